#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Broken model and tokenizer files at the command line: exit code 3, and one line that names the
file. (The messages of the readers are tested in tests/unit.)"""
import os
import pathlib
import struct

from common import done, expect, folder, run
import synth


def patched(good, at, data):
    return good[:at] + data + good[at + len(data) :]


def field(good, index, value):
    """A legacy header's field: dim, hidden, layers, heads, kv_heads, vocab, context."""
    return patched(good, 4 * index, struct.pack("<i", value))


def i8_field(good, index, value):
    """A version 2 header's field: the same ones, after magic and version."""
    return patched(good, 8 + 4 * index, struct.pack("<i", value))


def main():
    with folder() as name:
        here = pathlib.Path(name)
        synth.legacy(here / "good.bin")
        synth.int8(
            here / "good8.bin",
            dim=64,
            hidden=96,
            layers=2,
            heads=4,
            kv_heads=2,
            vocab=400,
            context=64,
        )
        synth.tokenizer(here / "words.bin", 400)
        f32, i8, words = ((here / n).read_bytes() for n in ("good.bin", "good8.bin", "words.bin"))
        for model in ("good.bin", "good8.bin"):
            expect(
                f"{model} is accepted",
                run("run", here / model, "-z", here / "words.bin", "-n", "3").returncode == 0,
            )
        models = {
            "empty": b"",
            "one byte": b"x",
            "text": b"This is no model.\n" * 40,
            **{f"legacy cut in header field {i}": f32[: 4 * i + 2] for i in range(7)},
            **{f"version 2 cut at byte {n}": i8[:n] for n in (4, 8, 17, 35, 36, 37, 255, 256, 300)},
            "legacy cut in the weights": f32[: len(f32) // 2],
            "legacy one byte short": f32[: -4 * 8 * 64 - 1],
            "version 2 cut in the weights": i8[: len(i8) // 2],
            "version 2 one byte short": i8[:-1],
            **{f"legacy field {i} is 2^31 - 1": field(f32, i, 2**31 - 1) for i in range(7)},
            **{f"legacy field {i} is 0": field(f32, i, 0) for i in range(7)},
            **{f"version 2 field {i} is -1": i8_field(i8, i, -1) for i in range(7)},
            "dim not divisible by heads": field(f32, 0, 33),
            "heads not divisible by kv heads": field(f32, 4, 3),
            "version 3": patched(i8, 4, struct.pack("<i", 3)),
            "group 0": patched(i8, 37, struct.pack("<i", 0)),
            "group 60": patched(i8, 37, struct.pack("<i", 60)),
            "NaN norm": patched(f32, 28 + 400 * 32 * 4, struct.pack("<f", float("nan"))),
            "NaN scale": patched(i8, len(i8) - 4, struct.pack("<f", float("nan"))),
            "infinite scale": patched(i8, len(i8) - 8, struct.pack("<f", float("inf"))),
        }
        tokenizers = {
            "empty": b"",
            "cut in the first field": words[:2],
            "cut after it": words[:4],
            "cut in a score": words[:6],
            "cut in a length": words[:10],
            "cut in a piece": words[:14],
            "half of it": words[: len(words) // 2],
            "negative length": patched(words, 8, struct.pack("<i", -1)),
            "length 2^31 - 1": patched(words, 8, struct.pack("<i", 2**31 - 1)),
            "length beyond the file": patched(words, 8, struct.pack("<i", len(words))),
            "text": b"not a tokenizer\n" * 100,
        }
        bad = here / "broken.bin"
        for kind, table in (("model", models), ("tokenizer", tokenizers)):
            for what, content in table.items():
                bad.write_bytes(content)
                arguments = (
                    (bad, "-z", here / "words.bin")
                    if kind == "model"
                    else (here / "good.bin", "-z", bad)
                )
                result = run("run", *arguments, "-n", "3")
                lines = result.stderr.decode(errors="replace").strip().split("\n")
                expect(
                    f"{kind}: {what}",
                    result.returncode == 3
                    and len(lines) == 1
                    and "broken.bin" in lines[0]
                    and not result.stdout,
                    f"exit code {result.returncode}: {lines}",
                )
        for what, path in {
            "missing": here / "nowhere.bin",
            "a folder": here,
            "a device": "/dev/null",
        }.items():
            result = run("run", path, "-z", here / "words.bin")
            expect(
                f"{what}", result.returncode == 3 and result.stderr.count(b"\n") == 1, result.stderr
            )
        if os.geteuid() != 0:
            bad.chmod(0)
            expect("unreadable", run("run", bad, "-z", here / "words.bin").returncode == 3)
        print(f"{len(models)} broken models, {len(tokenizers)} broken tokenizers")
    done()


main()
