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
        stories = set()
        embedding = 32000 * 288 * 9 // 8
        for stack, pack in ("int8", "never"), ("int8", "auto"), ("reference", "auto"):
            packed = size if (stack, pack) == ("int8", "auto") else 0
            mapped = size if not packed else embedding + 2 * MB
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
                "--pack",
                pack,
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
            stories.add(result.stdout.rsplit(b"{", 1)[0])
            print(
                f"{stack}, pack {pack}: file {size / MB:.1f} MB, "
                f"RSS {f['peak_rss_kib'] * 1024 / MB:.1f} MB, "
                f"anonymous {f['anonymous_kib'] * 1024 / MB:.1f} MB, {f['context_used']} positions"
            )
            expect(f"{stack}: the whole context", f["context_used"] >= 250, f)
            expect(
                f"{stack}, pack {pack}: anonymous memory at most 6 MB beside a packed copy",
                f["anonymous_kib"] * 1024 <= packed + 6 * MB,
                f,
            )
            expect(
                f"{stack}, pack {pack}: RSS at most 9 MB, the packed copy and the mapped weights",
                f["peak_rss_kib"] * 1024 <= packed + mapped + 9 * 1024 * 1024,
                f,
            )
        expect("all three are the same story", len(stories) == 1, stories)
        # a refusal names both numbers
        result = run("run", model, "-n", "4", "--mem-limit", "1M")
        expect_run("a limit below the plan", result, 4, stderr=b"1048576 bytes of --mem-limit")
        result = run("run", model, "-n", "4", "--context", "65536", "--mem-limit", "64M")
        expect_run("a context beyond the limit", result, 4, stderr=b"the KV cache needs")
        # a packed copy is made only if it takes at most a quarter of the limit
        for limit, copied in ("48M", False), ("128M", True):
            result = run("inspect", model, "--mem-limit", limit, "--json")
            plan = json.loads(result.stdout)["plan"]
            expect(
                f"--mem-limit {limit}: packed: {copied}",
                (plan["copied_bytes"] > 0) == copied
                and plan["packed_bytes"] == plan["copied_bytes"],
                plan,
            )
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
