#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a man page from a template.

fill.py TEMPLATE VERB TABLES KEYS.C SCRIPT.C SCDOC OUT

A line @WORD@ of the template is replaced by the program's own tables (TABLES WORD [VERB]), by the
exit codes, or by the key and script tables of the full screen.
"""
import pathlib
import re
import subprocess
import sys

EXIT = """*0*
	Success.

*1*
	Failure; among others, standard output was closed.

*2*
	A mistake on the command line, in the environment or in the settings file.

*3*
	A model or input file is missing, damaged or of an unknown format.

*4*
	Not enough memory.

*130*
	Interrupted."""

template, verb, tables, keys, script, scdoc, out = sys.argv[1:]


def escape(text):
    return re.sub(r"([*_\\#\[\]<>])", r"\\\1", text)


def rows(file, pattern, least, flags=0):
    """A table of the full screen, as a definition list."""
    found = re.findall(pattern, pathlib.Path(file).read_text(encoding="utf-8"), flags)
    if len(found) < least:
        sys.exit(f"{file}: only {len(found)} rows match; has the layout of the table changed?")
    found = [(a.replace("\\\\", "\\"), b) for a, b in found]
    return "\n\n".join(f"*{escape(a)}*\n\t{escape(b)}" for a, b in found)


def replacement(match):
    word = match[1]
    if word == "KEYS":
        return rows(keys, r'"((?:[^"\\]|\\.)+)", "((?:[^"\\]|\\.)+)"\},', 10)
    if word == "SCRIPT":
        return rows(script, r"^//   (\S.*?)  +(\S.*)$", 5, re.M)
    if word == "EXIT":
        return EXIT
    command = [tables, word.lower()]
    if word not in ("COMMANDS", "SETTINGS"):
        command.append(verb)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


page = re.sub(r"@([A-Z]+)@", replacement, pathlib.Path(template).read_text(encoding="utf-8"))
page = re.sub(r"\n{3,}", "\n\n", page)
lines = subprocess.run([scdoc], input=page, check=True, capture_output=True,
                       text=True).stdout.splitlines()
# scdoc writes empty paragraphs, which mandoc's lint reports
BREAKS = (".P", ".SH", ".SS", ".RE")
clean = []
for i, line in enumerate(lines):
    following = next((other for other in lines[i + 1:] if other), ".SH")
    before = next((other for other in reversed(clean) if other), ".SH")
    if line == ".P" and (following.startswith(BREAKS)
                         or before.startswith((".P", ".SH", ".SS", ".TH"))):
        continue
    clean.append(line)
pathlib.Path(out).write_text("\n".join(clean) + "\n", encoding="utf-8")
