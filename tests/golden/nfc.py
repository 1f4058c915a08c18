#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares normalisation form C with Python's.

nfc.py PROGRAM     PROGRAM (nfc_lines.c) reads one text a line and writes its form C
"""
import random
import subprocess
import sys
import unicodedata


def texts():
    codes = [code for code in range(0x20, 0x110000)
             if not 0xd800 <= code < 0xe000 and unicodedata.category(chr(code)) != "Cn"]
    for first in range(0, len(codes), 97):
        # each between letters, so that it can join neither neighbour by accident
        yield "x".join(chr(code) for code in codes[first:first + 97])
    marks = [code for code in codes if unicodedata.combining(chr(code))]
    made = [code for code in codes if unicodedata.decomposition(chr(code))[:1] not in ("", "<")]
    hangul = list(range(0x1100, 0x1113)) + list(range(0x1161, 0x1176)) + \
        list(range(0x11a8, 0x11c3)) + [0xac00, 0xac01]
    rand = random.Random(5)
    for _ in range(20000):
        text = ""
        for _ in range(rand.randrange(1, 12)):
            pick = rand.choice([marks, made, hangul, [0x61, 0x65, 0x20, 0x9c7, 0x9be, 0xb47]])
            text += chr(rand.choice(pick))
            if rand.random() < 0.3:
                text = unicodedata.normalize("NFD", text)
        yield text


def main():
    lines = [text for text in texts() if "\n" not in text]
    given = "\n".join(lines) + "\n"
    got = subprocess.run([sys.argv[1]], input=given.encode(), capture_output=True, check=True)
    wrong = 0
    answers = got.stdout.decode().split("\n")
    assert len(answers) == len(lines) + 1, (len(answers), len(lines))
    for text, answer in zip(lines, answers):
        if unicodedata.normalize("NFC", text) != answer:
            wrong += 1
            if wrong < 10:
                print(ascii(text), "gives", ascii(answer))
    print(f"nfc: {len(lines)} texts, {wrong} differ")
    return 1 if wrong else 0


sys.exit(main())
