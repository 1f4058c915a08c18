#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fill.py TEMPLATE TABLES KEYS.C SCRIPT.C SCDOC OUT: puts the program's own tables into the manual page, and makes roff of it."""
import pathlib
import re
import subprocess
import sys

template, tables, keys, script, scdoc, out = sys.argv[1:]
page = pathlib.Path(template).read_text()
for mark, word in (("@COMMANDS@", "commands"), ("@SETTINGS@", "settings")):
    page = page.replace(mark, subprocess.run([tables, word], check=True, capture_output=True, text=True).stdout.strip())


def escape(text):
    return re.sub(r"([*_\\#\[\]<>])", r"\\\1", text)


# the full screen's own tables: keys with their help, words of a script with theirs
rows = re.findall(r'"((?:[^"\\]|\\.)+)", "((?:[^"\\]|\\.)+)"\},', pathlib.Path(keys).read_text())
page = page.replace("@KEYS@", "\n\n".join(f"*{escape(k.replace(chr(92) * 2, chr(92)))}*\n\t{escape(h)}" for k, h in rows))
words = re.findall(r"^//   (\S.*?)  +(\S.*)$", pathlib.Path(script).read_text(), re.M)
page = page.replace("@SCRIPT@", "\n\n".join(f"*{escape(w)}*\n\t{escape(h)}" for w, h in words))
if len(rows) < 10 or len(words) < 5:
    sys.exit(f"{keys}, {script}: {len(rows)} keys and {len(words)} words of scripts were found: are the tables written otherwise now?")
while "\n\n\n" in page:
    page = page.replace("\n\n\n", "\n\n")
lines = subprocess.run([scdoc], input=page, check=True, capture_output=True, text=True).stdout.splitlines()
# scdoc writes paragraphs where there is no text, which mandoc's lint is right about
BREAKS = (".P", ".SH", ".SS", ".RE")
clean = []
for i, line in enumerate(lines):
    following = next((other for other in lines[i + 1:] if other), ".SH")
    before = next((other for other in reversed(clean) if other), ".SH")
    if line == ".P" and (following.startswith(BREAKS) or before.startswith((".P", ".SH", ".SS", ".TH"))):
        continue
    clean.append(line)
pathlib.Path(out).write_text("\n".join(clean) + "\n")
