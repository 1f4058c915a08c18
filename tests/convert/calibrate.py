#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`duotale convert --calibrate`: what it gains, that the bytes do not depend on threads, bad texts
and models, interruption.

    calibrate.py PROGRAM SOURCE_ROOT
"""
import json
import math
import os
import pathlib
import pty
import random
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import synth
from common import DATA, PROGRAM, SLOW, done, expect, expect_run, folder, run

END = "\n<|endoftext|>\n"


def default_model():
    return DATA / (DATA / "default").read_text().split()[0]


def words(count, seed):
    rng = random.Random(seed)
    known = "the a big small red dog cat bird ran sat saw went to home sun tree and then".split()
    return " ".join(rng.choice(known) for _ in range(count))


def convert(source, out, *options):
    return run("convert", source, "-o", out, *options, timeout=600)


def small(p, name="small.bin", **shape):
    """A random model with grouped heads, whose hidden layer has three blocks of 32."""
    shape = {"dim": 64, "hidden": 96, "heads": 4, "kv_heads": 2, **shape}
    synth.legacy(p / name, **shape)
    synth.tokenizer(p / "t.bin", 400)
    return p / name


def stories(p, name, seeds):
    """Texts that the default model generates."""
    texts = [
        run("run", default_model(), "-s", s, "-n", 220, "-t", 0.9, "-q", timeout=600).stdout
        for s in seeds
    ]
    (p / name).write_bytes(END.encode().join(texts))
    return p / name


def bits(model, text):
    found = run("eval", model, text, "--json", "-b", "fp32", timeout=600)
    return json.loads(found.stdout)["bits_per_byte"]


def gains(p):
    """On texts that were not calibrated with, at the same number of bytes."""
    model = default_model()
    text, other = stories(p, "text", range(1, 7)), stories(p, "other", range(11, 16))
    expect_run("rounded", convert(model, p / "r.gguf", "-f", "q4_0"), 0)
    found = convert(model, p / "c.gguf", "-f", "q4_0", "--calibrate", text)
    expect_run("calibrated", found, 0, stdout=b"calibrating with ")
    expect(
        "the same size",
        (p / "r.gguf").stat().st_size == (p / "c.gguf").stat().st_size,
    )
    exact, rounded, fitted = (bits(m, other) for m in (model, p / "r.gguf", p / "c.gguf"))
    expect(
        f"bits a byte: {exact:.4f}; rounded {rounded:.4f}, calibrated {fitted:.4f}",
        fitted - exact < 0.75 * (rounded - exact),
    )
    print(f"loss: rounded {rounded / exact - 1:.2%}, calibrated {fitted / exact - 1:.2%}")


def same_bytes(p):
    model = small(p)
    (p / "text").write_text(END.join(words(60, seed) for seed in range(5)))
    options = ("-z", p / "t.bin", "--calibrate", p / "text", "-q")
    for form, all_threads in (("q4_0", (1, 2, 3)), ("q4_1", (1, 3)), ("q5_0", (1, 2))):
        for threads in all_threads:
            out = p / f"{form}-{threads}.gguf"
            expect_run(f"{form}, -j {threads}", convert(model, out, "-f", form, "-j", threads,
                                                        *options), 0, stdout=b"")
            expect(f"{form}: {threads} threads write the bytes of one",
                   out.read_bytes() == (p / f"{form}-1.gguf").read_bytes())
    # a file that is packed holds the same weights
    plain, packed = p / "q4_0-1.gguf", p / "packed.gguf"
    found = convert(model, packed, "-f", "q4_0", "--for", "int4", *options)
    if b"no packed layout" not in found.stderr and b"unknown" not in found.stderr:
        expect_run("packed", found, 0)
        a, b = (run("eval", m, p / "text", "--json", "-b", "int4") for m in (plain, packed))
        same = json.loads(a.stdout)["nats_per_token"] == json.loads(b.stdout)["nats_per_token"]
        expect("the packed file computes the same", same)


def forms_of(found):
    return {t["name"]: t["form"] for t in json.loads(found.stdout)["tensors"]}


def forms(p):
    """The form of each matrix, where blocks do not divide rows and where one is chosen."""
    model = small(p, "wide.bin", dim=256, hidden=96, vocab=270, shared=False, layers=1)
    synth.tokenizer(p / "wide.tok", 270)
    (p / "text").write_text(words(400, 1))
    options = ("-z", p / "wide.tok", "--calibrate", p / "text", "--json")
    found = convert(model, p / "k.gguf", "-f", "q4_k", *options)
    expect_run("q4_k", found, 0)
    got = forms_of(found)
    expect("q4_k where 256 divides the rows", got["blk.0.attn_q.weight"] == "q4_k"
           and got["output.weight"] == "q4_k", got)
    expect("q4_1 where only 32 does", got["blk.0.ffn_down.weight"] == "q4_1", got)
    found = convert(model, p / "e.gguf", "-f", "q4_0", "--embedding", "q8_0", *options)
    got = forms_of(found)
    expect("the embedding and the classifier have a form of their own",
           got["token_embd.weight"] == got["output.weight"] == "q8_0"
           and got["blk.0.attn_q.weight"] == "q4_0", got)
    report = json.loads(found.stdout)
    expect("JSON has tokens and memory",
           report["calibration_tokens"] > 0 and report["calibration_bytes"] > 100000, report)
    for name in ("k", "e"):
        expect_run(f"{name}.gguf runs", run("run", p / f"{name}.gguf", "-n", 5, "-q"), 0)
    # 8 bits stay 8 bits, in the backend that computes them
    def nats(backend):
        found = json.loads(run("eval", p / "e.gguf", p / "text", "--json", "-b", backend).stdout)
        return found["nats_per_token"], found["backend"]

    chosen = nats("auto")
    if "int4" in chosen[1]:
        expect("auto is int8 below int4", chosen[1].startswith("int8@") and "+int4@" in chosen[1]
               and chosen == nats("int8+int4"), chosen)
        want = nats("reference")[0]
        expect("the reference's bits", chosen[0] == want, (chosen, want))
        expect("not those of 4 bits", chosen[0] != nats("int4")[0])
    found = convert(p / "e.gguf", p / "again.gguf", "-f", "q4_0", "--calibrate", p / "text",
                    "--json", "--embedding", "q8_0")
    tensors = json.loads(found.stdout)["tensors"]
    expect("what has the form already is copied", all(t["copied"] for t in tensors), tensors)


def damaged(p, name, change):
    model = small(p, name)
    data = bytearray(model.read_bytes())
    change(data)
    model.write_bytes(data)
    return model


def bad_input(p):
    model = small(p)
    (p / "text").write_text(words(200, 1))
    for name, content, code, message in (
        ("empty", "", 3, b"contains no text"),
        ("blank", "\n\n" + END, 3, b"contains no text"),
        ("short", "A dog ran.", 3, b"needs at least 64"),
    ):
        (p / name).write_text(content)
        found = convert(model, p / "x.gguf", "-z", p / "t.bin", "-f", "q4_0", "--calibrate",
                        p / name)
        expect_run(f"a text that is {name}", found, code, stderr=message)
    found = convert(model, p / "x.gguf", "-z", p / "t.bin", "-f", "q4_0", "--calibrate", p / "no")
    expect(f"a text that is missing: {found.stderr}", found.returncode == 3
           and b"/no" in found.stderr)
    options = ("-z", p / "t.bin", "--calibrate", p / "text")
    for what, more, code, message in (
        ("another form", ("-f", "q8_0"), 3, b"q4_0, q4_1, q4_k, q5_0 and q5_1"),
        ("shards", ("-f", "q4_0", "--shard"), 2, b"--shard and --calibrate"),
    ):
        expect_run(what, convert(model, p / "x.gguf", *more, *options), code, stderr=message)
    expect_run("a llama2.c file", convert(model, p / "x.bin", "-f", "i8", *options), 2,
               stderr=b"--calibrate: applies to GGUF")
    # models: the embedding is first, after a header of 28 bytes
    zero = damaged(p, "zero.bin", lambda d: d.__setitem__(slice(28, None), bytes(len(d) - 28)))
    expect_run("activations that are zero", convert(zero, p / "x.gguf", "-f", "q4_0", *options), 3,
               stderr=b"all its activations are zero")
    nan = damaged(p, "nan.bin", lambda d: struct.pack_into("<f", d, 28 + 4 * 70, math.nan))
    expect_run("a weight that is no number", convert(nan, p / "x.gguf", "-f", "q4_0", *options), 3,
               stderr=b"token_embd.weight: value 6 of row 1")
    large = damaged(p, "large.bin", lambda d: [struct.pack_into("<f", d, 28 + 4 * i, 3e38)
                                               for i in range(400 * 64)])
    expect_run("numbers that become infinite", convert(large, p / "x.gguf", "-f", "q4_0", *options),
               3, stderr=b"infinite or undefined")
    expect("nothing is written", not (p / "x.gguf").exists())


def interruption(p):
    """Signals at any time leave the old file or the complete new one, and nothing else."""
    place, out = p / "out", p / "out" / "c.gguf"
    place.mkdir()
    model = small(p, layers=4)
    (p / "text").write_text(END.join(words(60, seed) for seed in range(10)))
    options = ["-f", "q4_0", "-z", p / "t.bin", "--calibrate", p / "text"]
    begin = time.monotonic()
    expect_run("uninterrupted", convert(model, out, *options), 0)
    whole = time.monotonic() - begin
    new, stopped = out.read_bytes(), 0
    rng = random.Random(3)
    for i in range(4 if SLOW else 6):
        out.write_bytes(b"old")
        child = subprocess.Popen(
            [PROGRAM, "convert", str(model), "-o", str(out), *map(str, options)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        time.sleep(whole * rng.uniform(0, 0.9))
        child.send_signal((signal.SIGINT, signal.SIGTERM)[i % 2])
        line = child.communicate()[1].decode()
        found = out.read_bytes()
        stopped += child.returncode == 130
        expect(
            f"moment {i}: {child.returncode} {line} {os.listdir(place)}",
            found in (b"old", new)
            and os.listdir(place) == ["c.gguf"]
            and (child.returncode != 130 or (found == b"old" and "stopped" in line)),
        )
    print(f"{stopped} stopped in the middle")


def progress(p):
    """On a terminal, one line that is drawn again and again, and removed at the end."""
    model = small(p)
    (p / "text").write_text(END.join(words(60, seed) for seed in range(8)))
    ours, theirs = pty.openpty()
    for options, label in (((), b"converting ["), (("--calibrate", p / "text"), b"calibrating [")):
        command = [PROGRAM, "convert", model, "-z", p / "t.bin", "-o", p / "x.gguf", "-f", "q4_0",
                   *options]
        found = subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=theirs)
        os.write(theirs, b"end")
        seen = b""
        while not seen.endswith(b"end"):
            seen += os.read(ours, 65536)
        expect(f"{label}: {seen[:200]}", found.returncode == 0 and b"\r" + label in seen
               and b"?" not in seen and seen.endswith(b"\r" + b" " * 70 + b"\rend"), seen)


for test in ((gains,) if not SLOW else ()) + (same_bytes, forms, bad_input, progress, interruption):
    with folder() as name:
        test(pathlib.Path(name))
done()
