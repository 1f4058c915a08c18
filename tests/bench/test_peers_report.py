#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What peers.py writes: ratios and shares, valid JSON and SVG, a section of Markdown that replaces
the one of docs/performance.md. Nothing is measured."""
import json
import os
import sys
import tempfile
import xml.etree.ElementTree as xml

import peers_report as report

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def check(condition, what):
    if not condition:
        sys.exit("peers_report: " + what)


ROWS = [
    {"title": "A & B <1>", "kind": "decode", "limit": 400.0,
     "programs": [report.program("duotale", [100, 300, 200]),
                  report.program("llama.cpp", [50, 150, 160]),
                  report.program("run", [10, 20, 30])]},
    {"title": "alone", "kind": "prompt", "limit": None,
     "programs": [report.program("duotale", [7.25])]},
]
DONE = {"machine": {"CPU": "X <y> | z"}, "settings": {"rounds": "3 interleaved rounds"},
        "command": "peers.py --models DIR", "rows": ROWS}

rows = json.loads(report.to_json(DONE))["rows"]
check(rows[0]["ratio_best"] == 300 / 160 and rows[0]["ratio_median"] == 200 / 150, "ratios")
check(rows[0]["share_of_limit"] == 0.75, "share of the limit")
check(rows[1]["ratio_best"] is None and rows[1]["share_of_limit"] is None, "no peer, no limit")
check(report.text_line(ROWS[0]).split()[4:6] == ["1.88", "(1.33)"], "the ratio comes first")

svg = xml.fromstring(report.to_svg(DONE))
texts = [node.text for node in svg.iter() if node.tag.endswith("}text")]
check("A & B <1>" in texts and "300 (1.88x)" in texts and "alone" not in texts, f"svg: {texts}")
longest = max(float(node.get("width")) for node in svg.iter()
              if node.get("fill") == report.COLOURS["duotale"])
check(longest == 420, "the longest bar fills the width")
xml.fromstring(report.to_svg(dict(DONE, rows=[])))

text = report.to_markdown(DONE, "p.svg")
check("| A & B <1> | 1.88 (1.33) | 0.75 | 300 (200) | llama.cpp 160 (150), run 30.0 (20.0) | 400 |"
      in text, text)
check("X <y> \\| z" in text and "](p.svg)" in text, text)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "page.md")
    with open(os.path.join(ROOT, "docs/performance.md"), encoding="utf-8") as f:
        page = f.read()
    for old in (None, page):
        if old:
            with open(path, "w", encoding="utf-8") as f:
                f.write(old)
        report.write_markdown(path, text)
        report.write_markdown(path, text)
        with open(path, encoding="utf-8") as f:
            new = f.read()
        check(new.count(text) == 1 and new.count(report.BEGIN) == 1, "written once")
        if old:
            check(new.split(report.BEGIN)[0] == old.split(report.BEGIN)[0] and
                  new.split(report.END)[1] == old.split(report.END)[1],
                  "the rest of the page stays")
    with open(path, "w", encoding="utf-8") as f:
        f.write("no markers\n")
    try:
        report.write_markdown(path, text)
        check(False, "a file without markers is refused")
    except SystemExit:
        with open(path, encoding="utf-8") as f:
            check(f.read() == "no markers\n", "a refused file stays")
print("ok")
