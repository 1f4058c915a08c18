#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The memory of a run: the shape of stories15M in int8, a full context, fp32 KV cache."""
import json
import os
import pathlib

from common import DATA, done, expect, expect_run, folder, run
import synth

MB = 1000 * 1000


def figures(result):
    return json.loads(result.stdout.decode().strip().split("\n")[-1])


def main():
    with folder() as name:
        here = pathlib.Path(name)
        model, words = here / "15m.bin", here / "tokenizer.bin"
        synth.int8(model)
        synth.tokenizer(words, 32000)
        size = os.path.getsize(model)
        for stack in ("int8", "reference"):
            result = run(
                "run",
                model,
                "-t",
                "1.0",
                "-p",
                "0.9",
                "-s",
                "5",
                "-n",
                "0",
                "-i",
                "the story of a whole context",
                "-b",
                stack,
                "-j",
                "1",
                "--stop",
                "bos",
                "--json",
                "--quiet",
            )
            if not expect_run(f"{stack}: generates", result, 0):
                continue
            f = figures(result)
            print(
                f"{stack}: file {size / MB:.1f} MB, RSS {f['peak_rss_kib'] * 1024 / MB:.1f} MB, "
                f"anonymous {f['anonymous_kib'] * 1024 / MB:.1f} MB, {f['context_used']} positions"
            )
            expect(f"{stack}: the whole context", f["context_used"] >= 250, f)
            expect(
                f"{stack}: anonymous memory at most 6 MB", f["anonymous_kib"] * 1024 <= 6 * MB, f
            )
            expect(
                f"{stack}: RSS at most the file and 8 MB",
                f["peak_rss_kib"] * 1024 <= size + 8 * 1024 * 1024,
                f,
            )
        # a refusal names both numbers
        result = run("run", model, "-n", "4", "--mem-limit", "1M")
        expect_run("a limit below the plan", result, 4, stderr=b"1048576 bytes of --mem-limit")
        result = run("run", model, "-n", "4", "--context", "65536", "--mem-limit", "64M")
        expect_run("a context beyond the limit", result, 4, stderr=b"the KV cache needs")
        result = run("run", model, "-n", "4", "-b", "fp32", "--mem-limit", "20M")
        expect_run(
            "a conversion beyond the limit",
            result,
            4,
            stderr=b"a converted copy of the weights needs",
        )
        expect(
            "the size of a conversion is printed first",
            b"converts the weights from i8 to f32" in result.stderr,
            result.stderr,
        )
        result = run("run", DATA / "bedtime-2m-q80-g32.bin", "-n", "4", "--mem-limit", "64M")
        expect_run("a limit that is enough", result, 0)
    done()


main()
