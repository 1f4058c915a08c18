#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes width_table.h from Python's Unicode data.

    python3 src/base/width_table.py > src/base/width_table.h
    python3 src/base/width_table.py --check src/base/width_table.h    (77: another Unicode version)

Wide: East_Asian_Width W and F, also unassigned codes of the CJK blocks (their default is W), and
the hexagrams between them (W since Unicode 16).
No width: Mn, Me, Cf, and the vowels and finals of Hangul, which combine with the syllable before.
The soft hyphen and the Arabic signs that enclose digits are Cf but have a glyph: one column.
"""
import sys
import unicodedata

VISIBLE_FORMAT = {0x00AD, *range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD,
                  0x110CD}
CJK = [(0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FFFD), (0x30000, 0x3FFFD)]
JAMO = [(0x1160, 0x11FF), (0xD7B0, 0xD7C6), (0xD7CB, 0xD7FB)]


def within(code, ranges):
    return any(low <= code <= high for low, high in ranges)


def width(code):
    character = chr(code)
    category = unicodedata.category(character)
    if category in ('Mn', 'Me') or within(code, JAMO) or category in ('Zl', 'Zp'):
        return 0
    if category == 'Cf':
        return 1 if code in VISIBLE_FORMAT else 0
    if within(code, CJK):
        return 2
    # Python gives F for some unassigned codes.
    if category in ('Cn', 'Cs'):
        return 1
    return 2 if unicodedata.east_asian_width(character) in 'WF' else 1


def ranges_of(widths, wanted):
    start = None
    for code, w in enumerate(widths + [None]):
        if w == wanted and start is None:
            start = code
        elif w != wanted and start is not None:
            yield start, code - 1
            start = None


def table(name, ranges):
    rows = [f'{{0x{low:04X}, 0x{high:04X}}},' for low, high in ranges]
    lines = [f'static const struct width_range {name}[] = {{']
    for i in range(0, len(rows), 4):
        lines.append('    ' + ' '.join(rows[i:i + 4]))
    lines.append('};')
    return lines


def main():
    widths = [width(code) for code in range(0x110000)]
    lines = ['// SPDX-License-Identifier: MIT',
             f'// Made by width_table.py from Unicode {unicodedata.unidata_version}: do not edit.',
             '// clang-format off', '']
    lines += table('width_none', ranges_of(widths, 0)) + ['']
    lines += table('width_wide', ranges_of(widths, 2))
    text = '\n'.join(lines) + '\n'
    if sys.argv[1:2] != ['--check']:
        sys.stdout.write(text)
        return 0
    with open(sys.argv[2], encoding='ascii') as file:
        committed = file.read()
    if f'Unicode {unicodedata.unidata_version}:' not in committed:
        print(f'skipped: the table is of another Unicode than {unicodedata.unidata_version}')
        return 77
    if committed != text:
        print(f'{sys.argv[2]} differs from the output of width_table.py; run it again')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
