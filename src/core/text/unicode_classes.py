#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes unicode_classes.c: the ranges of letters (L*) and numbers (N*) from Python's Unicode data.

    src/core/text/unicode_classes.py >src/core/text/unicode_classes.c
"""
import sys
import unicodedata


def ranges(initial):
    found, start = [], None
    for code in range(0x80, 0x110000):
        inside = unicodedata.category(chr(code))[0] == initial
        if inside and start is None:
            start = code
        if not inside and start is not None:
            found.append((start, code - 1))
            start = None
    return found


def table(name, initial):
    print(f"static const struct range {name}[] = {{")
    line = "   "
    for first, last in ranges(initial):
        item = f" {{0x{first:x}, 0x{last:x}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};\n")


sys.stdout.reconfigure(newline="\n")
print("// SPDX-License-Identifier: MIT")
print(f"// Made by unicode_classes.py from Unicode {unicodedata.unidata_version}: do not edit.")
print("// clang-format off")
print('#include "core/text/unicode_classes.h"\n')
print("#include <stddef.h>\n")
print("struct range {\n    uint32_t first, last;\n};\n")
table("letters", "L")
table("numbers", "N")
print("""static bool in(const struct range *table, size_t count, uint32_t code)
{
    size_t low = 0, high = count; // the first range that ends at or after code
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && table[low].first <= code;
}

bool dt_unicode_letter(uint32_t code)
{
    if (code < 0x80)
        return (code | 32) - 'a' < 26;
    return in(letters, sizeof letters / sizeof *letters, code);
}

bool dt_unicode_number(uint32_t code)
{
    if (code < 0x80)
        return code - '0' < 10;
    return in(numbers, sizeof numbers / sizeof *numbers, code);
}

bool dt_unicode_space(uint32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= 9 && code <= 13);
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}""")
