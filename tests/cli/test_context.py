#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Contexts: how long they are by default, what is said about it, and the memory of few tokens."""
import json
import pathlib
import re

from common import done, expect, expect_run, folder, run
import synth

MB = 1000 * 1000


def figures(result):
    return json.loads(result.stdout.decode().strip().split("\n")[-1])


def memory(here):
    """Eight tokens in a long context take about as much memory as in a short one."""
    # the layers, heads and head size of Llama-3.2-1B, Qwen2.5-0.5B and SmolLM2-135M
    for name, layers, kv_heads, context in (
        ("1b", 16, 8, 131072),
        ("0.5b", 24, 2, 32768),
        ("135m", 30, 3, 8192),
    ):
        path = here / f"{name}.gguf"
        synth.sparse_gguf(path, 64, 64, layers, kv_heads, kv_heads, 64, 512, context)
        for kv in "f32", "f16", "i8":
            anonymous = {}
            for size in 64, context // 4:
                r = run("run", path, "-n", "8", "-t", "0", "-c", size, "--kv", kv, "-j", "1",
                        "--stop", "bos", "--json", "-q")
                if expect_run(f"{name}, {kv}: {size} positions", r, 0):
                    f = figures(r)
                    expect(f"{name}: the context", f["context"] == size, f)
                    anonymous[size] = f["anonymous_kib"] * 1024
            if len(anonymous) == 2:
                more = anonymous[context // 4] - anonymous[64]
                print(f"{name}, {kv}: {more / MB:.1f} MB more")
                # a page of every channel would be 33, 13 and 24 MB
                expect(f"{name}, {kv}: at most 8 MB more in a long context", more <= 8 * MB,
                       anonymous)


def defaults(here):
    """The default, and what is said about it."""
    path = here / "long.gguf"
    synth.sparse_gguf(path, 64, 64, 4, 2, 2, 32, 512, 131072)
    base = ("run", path, "-t", "0", "--stop", "bos", "--json")
    r = run(*base, "-n", "4")
    expect_run("a model of a long context", r, 0, stderr=b"4096 of the model's 131072 positions")
    expect("the context is 4096", figures(r)["context"] == 4096, r)
    r = run(*base, "-n", "4", "-q")
    expect("-q says nothing", r.returncode == 0 and not r.stderr, r)
    r = run(*base, "-n", "4", "-c", "131072")
    expect("what was asked for is not remarked on",
           r.returncode == 0 and b"positions" not in r.stderr, r)
    r = run(*base, "-n", "5000", "--mem-limit", "1G", "-c", "0")
    expect("-n makes the context longer", figures(r)["context"] == 5000, r.stderr)
    r = run(*base, "-n", "4", "-c", "131073", "-q")
    expect_run("a context beyond the trained one is warned of", r, 0,
               stderr=b"warning: the context has 131073 positions, but the model was trained for "
                      b"131072")
    plan = json.loads(run("inspect", path, "--json").stdout)["plan"]
    expect("inspect: the default", (plan["context"], plan["context_because"]) == (4096, "usual"),
           plan)
    r = run("inspect", path)
    expect_run("inspect says why", r, 0, stdout=b"4096 of the model's 131072 positions")
    return path


def limits(path):
    """A context that does not fit: the one that is named does."""
    for limit in "2M", "6M", "20M":
        for kv in "f32", "f16", "i8":
            what = f"--mem-limit {limit}, {kv}"
            base = ("run", path, "-n", "4", "-t", "0", "--stop", "bos", "--json", "-q",
                    "--mem-limit", limit, "--kv", kv)
            r = run(*base, "-c", "131072")
            expect_run(f"{what}: too long", r, 4, stderr=b"the KV cache needs")
            found = re.search(rb"of --mem-limit are left for it; -c (\d+) fits", r.stderr)
            if not expect(f"{what}: a context is named", found, r):
                continue
            fits = int(found[1])
            r = run(*base, "-c", fits)
            expect(f"{what}: -c {fits} fits",
                   r.returncode == 0 and figures(r)["context"] == fits, r)
            expect_run(f"{what}: twice as long does not", run(*base, "-c", 2 * fits), 4)
            r = run(*base)
            context = figures(r)["context"] if r.returncode == 0 else 0
            expect(f"{what}: the default fits", 64 <= context <= min(fits, 4096), r)
            expect(f"{what}: a default that memory limits is warned of",
                   (b"because memory is short" in r.stderr) == (context < 4096), r)
            plan = json.loads(run("inspect", path, "--json", "--mem-limit", limit, "--kv",
                                  kv).stdout)["plan"]
            expect(f"{what}: inspect shows the same", plan["context"] == context, plan)


def session(here):
    """In a session, /set context names one too, and keeps the one before."""
    model, words = here / "s.bin", here / "s.tok.bin"
    synth.legacy(model, context=20000)
    synth.tokenizer(words, 400)
    base = (model, "-z", words, "--no-config", "--library", here / "s.db", "-n", "4", "-s", "3",
            "--stop", "bos", "--mem-limit", "3M")
    r = run(*base, text=b"/set context 20000\n/memory\nOnce\n")
    found = re.search(rb"-c (\d+) fits \(in a session: /set context (\d+)\)", r.stderr + r.stdout)
    if expect("/set context names one that fits", found and found[1] == found[2], r):
        r = run(*base, text=b"/set context %s\n/memory\nOnce\n" % found[1])
        expect("and that one is made",
               r.returncode == 0 and b"%s positions" % found[1] in r.stdout + r.stderr, r)
    r = run(*base[:-2], text=b"Once\n")
    expect("a session says what its context has",
           b"4096 of the model's 20000 positions" in r.stdout + r.stderr, r)


def main():
    with folder() as name:
        here = pathlib.Path(name)
        memory(here)
        limits(defaults(here))
        session(here)
    done()


main()
