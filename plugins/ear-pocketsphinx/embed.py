#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a text file as a C string. Usage: embed.py IN OUT NAME"""
import sys

source, target, name = sys.argv[1:]
with open(source, encoding="ascii") as f, open(target, "w", encoding="ascii") as out:
    out.write(f"static const char {name}[] =")
    for line in f:
        text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
        out.write(f'\n    "{text}\\n"')
    out.write(";\n")
