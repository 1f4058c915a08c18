#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Packed weights: files of `convert --for`, copies in memory, and what is refused."""
import json
import os
import pathlib
import resource
import subprocess
import sys

from common import PROGRAM, done, expect, expect_run, folder, run
import synth

LAYOUT = "rows16-1"


def legacy(path, vocab=400, **shape):
    synth.legacy(path, vocab=vocab, **shape)
    synth.tokenizer(path.with_suffix(".tok.bin"), vocab)


def int8(path, vocab=32000, **shape):
    synth.int8(path, vocab=vocab, **shape)
    synth.tokenizer(path.with_suffix(".tok.bin"), vocab)


def story(model, *options):
    """The text of a sampled story, and how the weights were used."""
    r = run("run", model, "-t", "1", "-p", "1", "-s", "7", "-n", "40", "-i", "ab", "--json",
            "-q", "-j", "1", *options)
    if not expect_run(f"run {model.name} {' '.join(options)}", r, 0):
        return None, None
    lines = [json.loads(line) for line in r.stdout.decode().strip().split("\n")]
    return [line.get("id") for line in lines[:-1]], lines[-1]["weights"]


def convert(what, *arguments):
    return expect_run(f"convert {what}", run("convert", *arguments, "-q"), 0)


def forms(here):
    """Every form and odd shapes: the bits of the plain file; and back again, byte by byte."""
    odd, blocks, large = here / "odd.bin", here / "blocks.bin", here / "large.bin"
    legacy(odd, dim=36, hidden=52, heads=3, kv_heads=1, vocab=333, shared=False)
    legacy(blocks, dim=96, hidden=160, heads=4, kv_heads=2, vocab=401, seed=2)
    int8(large, dim=64, hidden=96, layers=2, heads=4, kv_heads=2, vocab=4711, context=64)
    for source, form, backends in (
        (odd, "f32", ("fp32", "fp32+fastexp")),
        (odd, "f16", ("fp32",)),
        (odd, "bf16", ("fp32",)),
        (odd, "i8", ("int8", "fp32")),
        (blocks, "q8_0", ("int8", "int4", "fp32")),
        (blocks, "q4_0", ("int4", "int8")),
        (large, "i8", ("int8", "int8+fastexp")),  # the packed classifier is a copy
        (large, "q8_0", ("int8",)),
    ):
        plain, packed, back = here / "plain.gguf", here / "packed.gguf", here / "back.gguf"
        name = f"{source.stem} {form}"
        if not convert(name, source, "-f", form, "-o", plain):
            continue
        if not convert(f"{name} --for {LAYOUT}", plain, "--for", LAYOUT, "-o", packed):
            continue
        for backend in ("auto", *backends):
            for options in ((), ("--pack", "never"), ("--no-shortlist",)):
                want, _ = story(plain, "-b", backend, *options)
                got, used = story(packed, "-b", backend, *options)
                expect(f"{name}, {backend} {options}: the tokens of the plain file", want == got,
                       (want, got))
                if backend == "auto":
                    expect(f"{name}: packed in the file", used == "packed (file)", used)
        if convert(f"{name} back", packed, "-o", back):
            expect(f"{name}: the same file again", back.read_bytes() == plain.read_bytes())
        refused(name, packed)
    again = here / "again.gguf"
    if convert("a packed file for the same layout", packed, "--for", "host", "-o", again):
        expect("packed twice: the same bytes", again.read_bytes() == packed.read_bytes())
    shards = here / "shards"
    if convert("shards", plain, "--for", LAYOUT, "--shard", "-o", shards):
        expect("shards: the tokens of the plain file", story(shards)[0] == story(plain)[0])
    if convert("a .bin from a packed file", packed, "-o", here / "x.bin") and convert(
        "a .bin from the plain file", plain, "-o", here / "y.bin"
    ):
        expect("the same .bin", (here / "x.bin").read_bytes() == (here / "y.bin").read_bytes())


def refused(name, packed):
    """A backend of another layout: one line with the command; inspect shows the file."""
    r = run("run", packed, "-b", "reference", "-n", "1", "-q")
    command = f"duotale convert {packed} -o NEW.gguf".encode()
    expect_run(f"{name}: the reference refuses", r, 3, stdout=b"", stderr=command)
    expect(f"{name}: one line", r.stderr.count(b"\n") == 1, r.stderr)
    r = run("inspect", packed, "-b", "reference", "--json")
    if expect_run(f"{name}: inspect", r, 3):
        shown = json.loads(r.stdout)
        expect(f"{name}: inspect says why", "rows16-1" in shown["error"], shown.get("error"))


def damaged(here):
    source, packed = here / "s.bin", here / "p.gguf"
    legacy(source)
    if not convert("a file to damage", source, "-f", "q8_0", "--for", LAYOUT, "-o",
                   packed):
        return
    data, bad = packed.read_bytes(), here / "bad.gguf"
    key, header = data.index(LAYOUT.encode()), data.rindex(LAYOUT.encode())
    expect("the layout is in keys and headers", key < header)
    for what, changed, words_of_error in (
        ("cut", data[: header + 100], b"truncated"),
        ("a header of another shape", data[: header + 20] + b"\1" + data[header + 21 :],
         b"not a matrix of"),
        ("a header of another version", data[: header + 7] + b"2" + data[header + 8 :],
         b"not a matrix of"),
        ("a header of another kind", data[: header + 16] + b"\2" + data[header + 17 :],
         b"not a matrix of"),
        ("another version", data.replace(LAYOUT.encode(), b"rows16-2"), b"packed as rows16-2"),
    ):
        bad.write_bytes(changed)
        for verb in ("run", "convert"):
            options = ("-o", here / "none.gguf") if verb == "convert" else ("-n", "1")
            r = run(verb, bad, *options, "-q")
            expect_run(f"{verb} {what}", r, 3, stdout=b"", stderr=words_of_error)
            expect(f"{verb} {what}: one line", r.stderr.count(b"\n") == 1, r.stderr)
    expect("no file was written", not (here / "none.gguf").exists())
    for name, code, text in (("rows16-9", 2, b"rows16-9"), ("reference", 3, b"reference"),
                             ("fastexp", 3, b"fastexp")):
        r = run("convert", packed, "--for", name, "-o", here / "none.gguf", "-q")
        expect_run(f"--for {name}", r, code, stdout=b"", stderr=text)


def converted(here):
    """Weights that are converted while loading are packed in the same pass, by all workers."""
    source, model = here / "c.bin", here / "c.gguf"
    legacy(source, dim=96, hidden=160, heads=4, kv_heads=2, vocab=401, seed=3)
    for form in ("q5_0", "q4_1", "q5_1"):
        if not convert(f"to {form}", source, "-f", form, "-o", model):
            continue
        want, used = story(model, "--pack", "never")
        expect(f"{form}: only converted", used.startswith("converted (copy"), used)
        for threads in ("1", "3"):
            got, used = story(model, "--pack", "always", "-j", threads)
            expect(f"{form}: converted and packed", used.startswith("converted and packed (copy"),
                   used)
            expect(f"{form}, {threads} workers: the same tokens", want == got, (want, got))
    data = bytearray(model.read_bytes())
    data[-1000:-600] = b"\xff" * 400  # scales that are not finite, in the last matrix
    model.write_bytes(data)
    for pack in ("never", "always"):
        r = run("run", model, "-n", "1", "--pack", pack)
        expect_run(f"--pack {pack}: damage is named", r, 3, stderr=b"infinite or undefined")


def memory(here):
    """A copy takes the place of the mapped pages; without memory for it, the file is used."""
    model = here / "15m.bin"
    int8(model)
    size = os.path.getsize(model)
    r = run("run", model, "-n", "20", "-t", "0", "--json", "-q", "--no-shortlist",
            "--pack", "always")
    if expect_run("a packed copy", r, 0):
        figures = json.loads(r.stdout.decode().strip().split("\n")[-1])
        # the embedding is read in the file; 10 MB are the program, the KV cache and tables
        limit = size + 32000 * 288 * 9 // 8 + 10_000_000
        expect("resident memory does not double", figures["rss_kib"] * 1024 < limit, figures)

    def little_memory():
        resource.setrlimit(resource.RLIMIT_AS, (90_000_000, 90_000_000))

    big = here / "big.gguf"
    if not convert("to f32", model, "-f", "f32", "-o", big):
        return
    want, _ = story(big, "--pack", "never")
    r = subprocess.run([PROGRAM, "run", big, "-t", "1", "-p", "1", "-s", "7", "-n", "40", "-i",
                        "ab", "--json", "-j", "1"], capture_output=True, preexec_fn=little_memory,
                       check=False)
    if expect_run("no memory for a copy", r, 0, stderr=b"no memory for a packed copy"):
        lines = [json.loads(line) for line in r.stdout.decode().strip().split("\n")]
        expect("used in place", lines[-1]["weights"] == "in place", lines[-1])
        expect("the same tokens", [line.get("id") for line in lines[:-1]] == want)
    r = subprocess.run([PROGRAM, "run", big, "-n", "1", "-j", "1", "--pack", "always"],
                       capture_output=True, preexec_fn=little_memory, check=False)
    expect_run("a copy that was asked for", r, 4, stderr=b"a packed copy of the weights needs")


def main():
    with folder() as name:
        here = pathlib.Path(name)
        probe = here / "probe.bin"
        legacy(probe)
        if run("convert", probe, "--for", LAYOUT, "-o", here / "probe.gguf", "-q").returncode:
            print(f"no backend here packs {LAYOUT}")
            sys.exit(77)
        forms(here)
        damaged(here)
        converted(here)
        if "DT_SLOW" not in os.environ:
            memory(here)
    done()


main()
