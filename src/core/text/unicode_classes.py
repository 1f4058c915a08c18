#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes unicode_classes.c: general categories from Python's Unicode data. Use a Python with
Unicode 15.1 (3.13).

    src/core/text/unicode_classes.py >src/core/text/unicode_classes.c
"""
import sys
import unicodedata

# In the order of enum dt_unicode_category.
CATEGORIES = ["", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "P", "S"]


def category(code):
    name = unicodedata.category(chr(code))
    return CATEGORIES.index(name) if name in CATEGORIES else \
        CATEGORIES.index(name[0]) if name[0] in CATEGORIES else 0


def changes():
    found, last = [], None
    for code in range(0x80, 0x110000):
        here = category(code)
        if here != last:
            found.append(code << 8 | here)
            last = here
    return found


sys.stdout.reconfigure(newline="\n")
print("// SPDX-License-Identifier: MIT")
print(f"// Made by unicode_classes.py from Unicode {unicodedata.unidata_version}: do not edit.")
print("// clang-format off")
print('#include "core/text/unicode_classes.h"\n')
print("#include <stddef.h>\n")
print("// Where the category changes: the first code << 8 | category, from U+0080 on.")
print("static const uint32_t changes[] = {")
line = "   "
for value in changes():
    item = f" 0x{value:x},"
    if len(line) + len(item) > 100:
        print(line)
        line = "   "
    line += item
print(line)
print("};\n")
print("static const unsigned char ascii[128] = {")
for row in range(0, 128, 32):
    print("    " + ", ".join(str(category(code)) for code in range(row, row + 32)) + ",")
print("""};

enum dt_unicode_category dt_unicode_category(uint32_t code)
{
    if (code < 0x80)
        return (enum dt_unicode_category)ascii[code];
    size_t low = 0, high = sizeof changes / sizeof *changes; // changes[low] is at or before code
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (changes[middle] >> 8 <= code)
            low = middle;
        else
            high = middle;
    }
    return (enum dt_unicode_category)(changes[low] & 255);
}

bool dt_unicode_letter(uint32_t code)
{
    if (code < 0x80)
        return (code | 32) - 'a' < 26;
    enum dt_unicode_category category = dt_unicode_category(code);
    return category >= DT_UNICODE_LU && category <= DT_UNICODE_LO;
}

bool dt_unicode_number(uint32_t code)
{
    if (code < 0x80)
        return code - '0' < 10;
    return dt_unicode_category(code) == DT_UNICODE_N;
}

bool dt_unicode_space(uint32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= 9 && code <= 13);
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}""")
