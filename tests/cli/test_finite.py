#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Weights that are not finite, or so large that sums overflow: an error in every backend."""
import json
import pathlib
import struct

from common import done, expect, expect_run, folder, run
import synth

BACKENDS = ("reference", "fp32", "int8", "int4", "auto", "int8+fastexp")


def patched(data, at, value):
    return data[:at] + struct.pack("<f", value) + data[at + 4 :]


def in_place(here, good, words):
    """Blocks of q8_0, which no backend converts: their scale of 16 bits is not a number."""
    gguf = here / "good.gguf"
    result = run("convert", good, "-z", words, "-o", gguf, "--format", "q8_0", "-q")
    expect("convert", result.returncode == 0, result.stderr)
    tensors = json.loads(run("inspect", "--json", gguf).stdout)["tensors"]
    data = gguf.read_bytes()
    total = sum(t["bytes"] for t in tensors if t["name"] != "output.weight")
    for half in (0x7E00, 0x7C00):
        for tensor in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up",
                       "ffn_down"):
            at = tensor_offset(data, f"blk.1.{tensor}.weight".encode())
            model = here / "q.gguf"
            model.write_bytes(data[:at] + struct.pack("<H", half) + data[at + 2 :])
            for backend in ("reference", "int8", "int4", "auto", "int8+fastexp"):
                r = run("run", model, "-b", backend, "-n", "20", "-t", "0", "-i", "ab")
                expect_run(f"run {backend}: {tensor} in place, {half:x}", r, 3,
                           stderr=tensor.encode())
    expect("the model has matrices", total > 0)


def tensor_offset(data, name):
    """The place of a tensor's data in a GGUF file with an alignment of 32."""
    at = data.index(struct.pack("<Q", len(name)) + name) + 8 + len(name)
    dimensions = struct.unpack_from("<I", data, at)[0]
    offset = struct.unpack_from("<Q", data, at + 4 + 8 * dimensions + 4)[0]
    last = max(data.rindex(n) for n in (b"output_norm.weight", b"output.weight",
                                        b"token_embd.weight", b"ffn_norm.weight", name)
               if n in data)
    end = last
    while data[end : end + 1] not in b"\x00\x01\x02":
        end += 1
    end += 4 + 8 * struct.unpack_from("<I", data, end)[0] + 12
    return (end + 31) // 32 * 32 + offset


def classifier_row(here, words):
    """A row of the classifier alone is found at the first token, also by a sampler that looks only
    at some of the rows."""
    model = here / "row.bin"
    synth.legacy(model, dim=32, hidden=64, layers=2, heads=4, kv_heads=4, vocab=400, shared=False)
    data = model.read_bytes()
    good = run("run", model, "-z", words, "-n", "20", "-t", "0", "-i", "ab")
    expect("run: a classifier of its own", good.returncode == 0 and good.stdout, good)
    for value in (float("nan"), float("-inf")):
        model.write_bytes(patched(data, len(data) - 4 * 32 * 17, value))
        for backend in BACKENDS:
            for sampling in (("-t", "0"), ("-t", "0.8", "-k", "5")):
                r = run("run", model, "-z", words, "-b", backend, "-n", "20", *sampling, "-i", "ab")
                expect_run(f"run {backend} {sampling}: {value} in a row of the classifier", r, 3,
                           stderr=b"output.weight")
                expect(f"run {backend} {sampling}: at the first token", r.stdout in (b"", b"ab\n"),
                       r)


def too_large_for_form(here, words):
    """A finite weight that the target's form cannot hold is refused with its tensor and value."""
    model, target = here / "large.bin", here / "large.gguf"
    synth.legacy(model, dim=256, hidden=256, layers=1, heads=4, kv_heads=4, vocab=400)
    data = model.read_bytes()
    query = 28 + 4 * 400 * 256 + 4 * 256
    for value in (-1e30, 3.4e38, 7e7, -7e7):
        model.write_bytes(patched(data, query + 4 * 300, value))
        for form in ("f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_k", "q4_0", "bf16", "i8", "f32"):
            what = f"convert {value} to {form}"
            # the largest bf16 is a little smaller than the largest float; scales of 16 bits are up
            # to 65504
            good = form in ("i8", "f32") or (form == "bf16" and value < 3.39e38) or (
                abs(value) < 65504 * (7.5, 127)[form == "q8_0"] and form in ("q4_0", "q8_0"))
            r = run("convert", model, "-z", words, "-o", target, "--format", form)
            if good:
                expect(what, r.returncode == 0, r)
                continue
            expect_run(what, r, 3, stderr=b"attn_q")
            expect(f"{what}: the value and the form", b"value 44 of row 1 " in r.stderr and
                   float(r.stderr.split(b" is ")[1].split(b",")[0]) == value and
                   form.encode() in r.stderr, r.stderr)
            expect(f"{what}: no file", not target.exists())
            target.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def main():
    with folder() as name:
        here = pathlib.Path(name)
        words, text = here / "t.bin", here / "text"
        synth.tokenizer(words, 400)
        text.write_bytes(b"ab ab ab ab\n")
        good = here / "good.bin"
        synth.legacy(good, dim=32, hidden=64, layers=2, heads=4, kv_heads=4, vocab=400)
        data = good.read_bytes()
        embedding, norms, square = 28, 28 + 4 * 400 * 32, 4 * 32 * 32
        query = norms + 4 * 2 * 32
        places = {
            "attn_q": query,
            "attn_v": query + 4 * square,
            "attn_output": query + 6 * square,
            "ffn_gate": query + 8 * square + 4 * 2 * 32,
        }
        cases = []
        for tensor, at in places.items():
            for label, value in (("nan", float("nan")), ("infinite", float("inf"))):
                cases.append((f"{tensor} {label}", patched(data, at, value), tensor.encode()))
        every = data[: embedding] + b"".join(
            struct.pack("<f", 1e30) for _ in range(400 * 32)) + data[norms:]
        cases.append(("too large", every, b"too large for 32-bit floats"))
        for label, content, wanted in cases:
            model = here / "m.bin"
            model.write_bytes(content)
            for backend in BACKENDS:
                r = run("run", model, "-z", words, "-b", backend, "-n", "20", "-t", "0", "-i", "ab")
                expect_run(f"run {backend}: {label}", r, 3, stderr=wanted)
                r = run("eval", model, text, "-z", words, "-b", backend)
                expect_run(f"eval {backend}: {label}", r, 3, b"", wanted)
            r = run(model, "-z", words, "--library", here / "l.db", "-n", "9", text=b"ab")
            expect_run(f"a session: {label}", r, 3, stderr=wanted)
        in_place(here, good, words)
        classifier_row(here, words)
        too_large_for_form(here, words)
        for backend in BACKENDS:
            r = run("run", good, "-z", words, "-b", backend, "-n", "20", "-t", "0", "-i", "ab")
            expect(f"run {backend}: the good model", r.returncode == 0 and r.stdout, r)
    done()


main()
