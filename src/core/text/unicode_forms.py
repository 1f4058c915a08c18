#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes unicode_forms.h: canonical decompositions, compositions and combining classes from
Python's Unicode data, for normalize.c. Use a Python with Unicode 15.1 (3.13).

    src/core/text/unicode_forms.py >src/core/text/unicode_forms.h
"""
import sys
import unicodedata


def decompositions():
    found = []
    for code in range(0x110000):
        text = unicodedata.decomposition(chr(code))
        if text and not text.startswith("<"):
            parts = [int(part, 16) for part in text.split()] + [0]
            found.append((code, parts[0], parts[1]))
    return found


def composes(code, first, second):
    """Whether NFC makes `code` of the two characters; composition exclusions are not made."""
    return second and unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(code)


def classes():
    found, last = [], 0
    for code in range(0x110000):
        here = unicodedata.combining(chr(code))
        if here != last:
            found.append(code << 8 | here)
            last = here
    return found


def table(kind, name, items):
    print(f"static const {kind} {name}[] = {{")
    line = "   "
    for item in items:
        item = f" {item},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};\n")


sys.stdout.reconfigure(newline="\n")
rows = decompositions()
order = [i for i, row in enumerate(rows) if composes(*row)]
order.sort(key=lambda i: rows[i][1:])
print("// SPDX-License-Identifier: MIT")
print(f"// Made by unicode_forms.py from Unicode {unicodedata.unidata_version}: do not edit.")
print("// clang-format off")
print("#ifndef DT_CORE_UNICODE_FORMS_H")
print("#define DT_CORE_UNICODE_FORMS_H\n")
print("#include <stdint.h>\n")
print("// Canonical decompositions, sorted: code << 42 | first << 21 | second (0: only one).")
table("uint64_t", "decompositions", [f"0x{a << 42 | b << 21 | c:x}" for a, b, c in rows])
print("// The rows of `decompositions` that are composed, sorted by first and second.")
table("uint16_t", "compositions", order)
print("// Where the combining class changes: the first code << 8 | class.")
table("uint32_t", "classes", [f"0x{value:x}" for value in classes()])
print("#endif")
