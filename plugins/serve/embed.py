#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""embed.py PAGE OPENINGS OUT: writes the page of `duotale serve`, with its style, its script and
the opening lines in it, and the policy that allows these and nothing else, as a C header."""
import base64
import hashlib
import html
import pathlib
import sys


def literal(name, text):
    data = text.encode()
    rows = [data[at:at + 20] for at in range(0, len(data), 20)]
    signed = [[byte - 256 * (byte > 127) for byte in row] for row in rows]
    lines = ["    " + "".join(f"{byte}, " for byte in row).rstrip() for row in signed]
    return f"static const char {name}[] = {{\n" + "\n".join(lines) + "\n    0,\n};\n"


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def main():
    page, openings, out = map(pathlib.Path, sys.argv[1:])
    style = (page.parent / "page.css").read_text(encoding="utf-8")
    script = (page.parent / "page.js").read_text(encoding="utf-8")
    lines = openings.read_text(encoding="utf-8").splitlines()
    options = "".join(f"<button type=\"button\">{html.escape(line.strip())}</button>\n"
                      for line in lines if line.strip() and not line.startswith("#"))
    text = page.read_text(encoding="utf-8")
    for mark, value in ("@STYLE@", style), ("@SCRIPT@", script), ("@OPENINGS@", options):
        assert text.count(mark) == 1, mark
        text = text.replace(mark, value)
    policy = (f"default-src 'none'; script-src {digest(script)}; style-src {digest(style)}; "
              "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
              "frame-ancestors 'none'")
    out.write_text("// Made by embed.py.\n" + literal("page_policy", policy)
                   + literal("page_text", text), encoding="utf-8")


if __name__ == "__main__":
    main()
