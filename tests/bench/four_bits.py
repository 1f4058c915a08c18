#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What 4 bits cost: bits per byte of a model rounded, calibrated, and quantised by llama.cpp.

    four_bits.py --text TEXT --held TEXT [--peers tests/bench/peers] MODEL[,TOKENIZER]...

Prints a Markdown table. Every file is evaluated by `duotale eval -b fp32`, so that only the weights
differ. llama-quantize gets the importance of each column from the same text: the mean squares of
the activations, from a forward pass in numpy, in the file format of llama.cpp's imatrix. Models are
of llama's architecture. The held-out text must not be the calibration text.
"""
import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

from peers import LlamaCpp

F32 = np.float32


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.decode()}")
    return done.stdout


# ---- mean squares of the activations ----

def read_legacy(path):
    """A llama2.c file of version 0: sizes and matrices."""
    data = pathlib.Path(path).read_bytes()
    dim, hidden, layers, heads, kv, vocab, _ = struct.unpack("<7i", data[:28])
    at, size, w = 28, dim // heads, {}

    def part(name, *shape):
        nonlocal at
        count = int(np.prod(shape))
        w[name] = np.frombuffer(data, F32, count, at).reshape(shape)
        at += 4 * count

    part("embedding", abs(vocab), dim)
    part("attn_norm", layers, dim)
    for name, rows in (("q", dim), ("k", kv * size), ("v", kv * size), ("o", dim)):
        part(name, layers, rows, dim)
    part("ffn_norm", layers, dim)
    part("gate", layers, hidden, dim)
    part("down", layers, dim, hidden)
    part("up", layers, hidden, dim)
    part("norm", dim)
    return {"layers": layers, "heads": heads, "kv": kv, "size": size}, w


def rms(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def rotate(x, cosine, sine):
    y = np.empty_like(x)
    a, b = x[..., 0::2], x[..., 1::2]
    y[..., 0::2], y[..., 1::2] = a * cosine - b * sine, a * sine + b * cosine
    return y


def squares(h, w, texts):
    """For each matrix in GGUF's names, the sums of squares of its columns; and the tokens."""
    sums, count = {}, 0

    def see(layer, x, *names):
        for name in names:
            key = f"blk.{layer}.{name}.weight" if layer >= 0 else name
            sums[key] = sums.get(key, 0) + (x.astype(float) ** 2).sum(axis=0)

    for ids in texts:
        n, x = len(ids), w["embedding"][ids]
        count += n
        angle = np.arange(n)[:, None] / 10000 ** (np.arange(0, h["size"], 2) / h["size"])
        cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
        for l in range(h["layers"]):
            y = rms(x, w["attn_norm"][l])
            see(l, y, "attn_q", "attn_k", "attn_v")
            q, k, v = ((y @ w[m][l].T).reshape(n, -1, h["size"]) for m in "qkv")
            q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
            k, v = (np.repeat(m, h["heads"] // h["kv"], axis=1) for m in (k, v))
            scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(h["size"])
            scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
            p = np.exp(scores - scores.max(-1, keepdims=True))
            y = np.einsum("hts,shd->thd", p / p.sum(-1, keepdims=True), v).reshape(n, -1)
            see(l, y, "attn_output")
            x = x + y @ w["o"][l].T
            y = rms(x, w["ffn_norm"][l])
            see(l, y, "ffn_gate", "ffn_up")
            gate = y @ w["gate"][l].T
            y = gate / (1 + np.exp(-gate)) * (y @ w["up"][l].T)
            see(l, y, "ffn_down")
            x = x + y @ w["down"][l].T
        see(-1, rms(x, w["norm"]), "token_embd.weight", "output.weight")
    return sums, count


def write_imatrix(path, sums, count):
    with open(path, "wb") as out:
        out.write(struct.pack("<i", len(sums)))
        for name, values in sums.items():
            out.write(struct.pack("<i", len(name)) + name.encode())
            out.write(struct.pack("<ii", count, len(values)))
            out.write((values / count).astype("<f4").tobytes())
        out.write(struct.pack("<ii", 1, 4) + b"text")


# ---- the table ----

class Bench:
    def __init__(self, o, work):
        self.o, self.work, self.rows = o, pathlib.Path(work), []
        self.peer = LlamaCpp(o.peers) if o.peers else None

    def convert(self, source, name, *options):
        run(self.o.duotale, "convert", source, "-o", self.work / name, "-q", *options)
        return self.work / name

    def quantize(self, source, name, form, *options):
        """llama-quantize, through its own loader."""
        p = self.peer
        run(p.loader, "--library-path", p.path, os.path.join(p.root, "usr/bin/llama-quantize"),
            # it writes the data at multiples of 32 and copies the key that says 64
            "--override-kv", "general.alignment=int:32", *options, source, self.work / name, form,
            2, cwd=p.backends)
        return self.work / name

    def tokens(self, model):
        texts, total = [], 0
        for story in pathlib.Path(self.o.text).read_text().split("<|endoftext|>"):
            if story.strip() and total < 16384:
                found = run(self.o.duotale, "tokenize", model, story.strip(), "--bos", "--json")
                texts.append(json.loads(found)["ids"][:512])
                total += len(texts[-1])
        return texts

    def add(self, what, file):
        found = json.loads(run(self.o.duotale, "eval", file, self.o.held, "--json", "-b", "fp32",
                               "--first", self.o.first))
        bits = found["bits_per_byte"]
        self.rows.append((what, os.path.getsize(file), bits))
        loss = 100 * (bits / self.rows[0][2] - 1)
        print(f"| {what} | {os.path.getsize(file):,} | {bits:.4f} | {loss:+.2f} % |", flush=True)

    def model(self, source, tokenizer):
        own = ("-z", tokenizer) if tokenizer else ()
        fit = ("--calibrate", self.o.text)
        self.rows = []
        print(f"\n{os.path.basename(source)}\n")
        print("| form | bytes | bits per byte | loss |\n|---|---|---|---|")
        f32 = self.convert(source, "f32.gguf", "-f", "f32", *own)
        self.add("f32", f32)
        for form in ("q4_0", "q4_1"):
            for extra, label in (((), ""), (("--embedding", "q8_0"), ", embedding q8_0")):
                self.add(f"{form}{label}", self.convert(f32, "x.gguf", "-f", form, *extra))
                self.add(f"{form}{label}, calibrated",
                         self.convert(f32, "x.gguf", "-f", form, *extra, *fit))
        if not self.peer or not self.peer.there():
            return
        legacy = self.convert(f32, "f32.bin", "-f", "f32", "--to", "llama2c-v0")
        imatrix = self.work / "imatrix.dat"
        write_imatrix(imatrix, *squares(*read_legacy(legacy), self.tokens(f32)))
        for form in ("Q4_0", "Q4_1", "Q4_K_M"):
            for extra, label in ((("--pure",), " --pure"), ((), "")):
                if extra and form == "Q4_K_M":
                    continue
                for more, with_ in (((), ""), (("--imatrix", imatrix), ", imatrix")):
                    self.add(f"llama-quantize {form}{label}{with_}",
                             self.quantize(f32, "x.gguf", form, *extra, *more))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("models", nargs="+", metavar="MODEL[,TOKENIZER]")
    p.add_argument("--duotale", default="duotale")
    p.add_argument("--text", required=True)
    p.add_argument("--held", required=True)
    p.add_argument("--first", type=int, default=100, help="stories of the held-out text")
    p.add_argument("--peers", help="the folder that peers/fetch made")
    o = p.parse_args()
    o.text, o.held, o.duotale = (os.path.abspath(f) if os.path.exists(f) else f
                                 for f in (o.text, o.held, o.duotale))
    for model in o.models:
        with tempfile.TemporaryDirectory() as work:
            Bench(o, work).model(*(model.split(",") + [None])[:2])


if __name__ == "__main__":
    main()
