#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Weights that do not fit: the same text as mapped ones, the plan, and what is refused."""
import json
import pathlib

from common import SLOW, done, expect, expect_run, folder, run
import synth

BASE = ("-c", "64", "--seed", "7", "-n", "24", "-i", "Once", "--stop", "bos")


def figures(result):
    return json.loads(result.stdout.decode().strip().split("\n")[-1])


def limits(model, *more):
    """A limit for which a part of the weights is read."""
    plan = json.loads(run("inspect", model, "--json", "-c", "64", *more).stdout)["plan"]
    rest = plan["total_bytes"] - plan["copied_bytes"]
    return rest + (3 << 20) + 300000 + plan["mapped_bytes"] // 3


def same_text(model, *more):
    """Streamed, mapped, and, where the file is large enough, with a limit that decides it."""
    mapped = run("run", model, *BASE, *more, "--weights", "mapped")
    if not expect_run(f"{model.name}: mapped", mapped, 0):
        return
    limit = limits(model, *more)
    ways = [
        ("streamed", ("--weights", "streamed")),
        ("streamed in part", ("--weights", "streamed", "--mem-limit", limit)),
        ("chosen", ("--mem-limit", limit)),
        ("chosen, one thread", ("--mem-limit", limit, "-j", "1")),
    ]
    large = model.stat().st_size > 6 << 20
    for name, options in ways if large else ways[:2]:
        r = run("run", model, *BASE, *more, *options)
        if expect_run(f"{model.name}: {name}", r, 0, stderr=b"weights streamed: "):
            expect(f"{model.name}: {name}: the same text", r.stdout == mapped.stdout, r.stdout)
    r = run("run", model, *BASE, *more, *ways[1][1], "--json", "-q")
    if expect_run(f"{model.name}: JSON", r, 0):
        f = figures(r)
        expect("a part stays in memory", f["streamed_in_memory_bytes"] > 0, f)
        expect("the rest is read in each pass", f["streamed_read_bytes"] >=
               (f["streamed_passes"] - 1) * f["streamed_bytes"] > 0, f)
        if not SLOW:  # a sanitizer has memory of its own
            expect("private memory is within the limit",
                   f["anonymous_kib"] * 1024 < limit + (4 << 20), (f, limit))


def the_plan(model):
    limit = limits(model)
    plan = json.loads(run("inspect", model, "--json", "-c", "64").stdout)["plan"]
    expect("without a limit it is not streamed", plan["streamed"] is False, plan)
    plan = json.loads(run("inspect", model, "--json", "-c", "64", "--mem-limit", limit)
                      .stdout)["plan"]
    expect("with a limit it is", plan["streamed"] is True, plan)
    expect("all weights are either kept or read",
           plan["streamed_in_memory_bytes"] + plan["streamed_bytes_per_token"]
           == plan["in_place_bytes"], plan)
    expect("the plan keeps to the limit", plan["total_bytes"] <= limit, (plan, limit))
    r = run("inspect", model, "-c", "64", "--mem-limit", limit)
    expect_run("inspect prints it", r, 0, stdout=b"weights streamed")
    r = run("profile", model, "-c", "64", "--mem-limit", limit, "--gen", "4", "--rounds", "1")
    expect_run("profile has the figures", r, 0, stdout=b" MB read a token, ")


def refused(here, model):
    r = run("run", model, *BASE, "--weights", "streamed", "--mem-limit", "3M")
    expect_run("too little memory for the buffers", r, 4,
               stderr=b"the buffers for streaming the weights need")
    r = run("run", model, *BASE, "--weights", "streamed", "--pack", "always")
    expect_run("packing", r, 2, stderr=b"use one of them")
    r = run("run", model, *BASE, "--weights", "swapped")
    expect_run("another word", r, 2, stderr=b"mapped")
    path = here / "k.gguf"
    r = run("convert", model, "-f", "q4_k", "-o", path)
    if expect_run("a file that is converted while loading", r, 0):
        r = run("run", path, *BASE, "--weights", "streamed")
        expect_run("conversion", r, 3, stderr=b"convert the file first: duotale convert")
        r = run("run", path, *BASE)
        expect_run("but it runs", r, 0)


def main():
    with folder() as name:
        here = pathlib.Path(name)
        model = here / "m.bin"
        synth.legacy(model, dim=192, hidden=512, layers=6, heads=6, kv_heads=3, vocab=400)
        synth.tokenizer(here / "m.tok.bin", 400)
        same_text(model)
        same_text(model, "-b", "reference")
        for form in "q8_0", "q4_0":
            path = here / f"{form}.gguf"
            if expect_run(form, run("convert", model, "-f", form, "-o", path), 0):
                same_text(path)
        packed = here / "packed.gguf"
        if run("convert", model, "-f", "q8_0", "--for", "rows16-1", "-o", packed).returncode == 0:
            r = run("run", packed, *BASE, "--weights", "streamed")
            plain = run("run", packed, *BASE, "--weights", "mapped")
            if plain.returncode == 0 and expect_run("packed", r, 0):
                expect("packed: the same text", r.stdout == plain.stdout, r.stdout)
        the_plan(model)
        refused(here, model)
    done()


main()
