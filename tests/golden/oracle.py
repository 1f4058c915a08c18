#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""oracle.py PROGRAM: compares the tokens of `run --ids` with llama2.c's arithmetic in numpy.

Every sum is sequential and in binary32, with the C library's expf, powf, cosf and sinf. The models
are small and random, fp32 and int8 with several group sizes; stories start with BOS alone, greedy
and sampled, with `-b reference` and, for int8, `-b int8`. Exit code 77: numpy is missing.
"""
import ctypes
import ctypes.util
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: numpy is not installed")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import synth

F = np.float32
libm = ctypes.CDLL(ctypes.util.find_library("m"))


def c_function(name, arguments=1):
    f = getattr(libm, name)
    f.restype = ctypes.c_float
    f.argtypes = [ctypes.c_float] * arguments
    return f


expf, cosf, sinf = c_function("expf"), c_function("cosf"), c_function("sinf")
powf = c_function("powf", 2)


def in_sequence(terms):
    """Sums along the last axis, term by term, from zero."""
    return np.add.accumulate(terms, axis=-1, dtype=F)[..., -1] + F(0)


def exp(x):
    return np.array([expf(float(v)) for v in x], F)


class Model:
    """Reads a synthetic file, by the description of the format."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        self.int8 = data[:4] == struct.pack("<I", 0x616B3432)
        if self.int8:
            fields, at = struct.unpack("<7i", data[8:36]), 256
            shared, self.group = data[36], struct.unpack("<i", data[37:41])[0]
        else:
            fields, at = struct.unpack("<7i", data[:28]), 28
            shared, self.group = fields[5] > 0, 0
        dim, hidden, layers, heads, kv_heads, vocab, self.context = fields
        vocab = abs(vocab)
        self.dim, self.layers, self.head = dim, layers, dim // heads
        self.heads, self.kv_heads = heads, kv_heads
        kv = self.head * kv_heads

        def floats(count):
            nonlocal at
            at += 4 * count
            return np.frombuffer(data[at - 4 * count:at], F)

        def matrix(rows, cols):
            nonlocal at
            if not self.int8:
                return floats(rows * cols).reshape(rows, cols)
            quants = np.frombuffer(data[at:at + rows * cols], np.int8).reshape(rows, cols)
            at += rows * cols
            return quants, floats(rows * cols // self.group).reshape(rows, cols // self.group)

        def matrices(rows, cols):
            return [matrix(rows, cols) for _ in range(layers)]

        if self.int8:
            self.attention_norm, self.ffn_norm = floats(layers * dim), floats(layers * dim)
            self.final_norm = floats(dim)
            self.embedding = matrix(vocab, dim)
            self.q, self.k = matrices(dim, dim), matrices(kv, dim)
            self.v, self.o = matrices(kv, dim), matrices(dim, dim)
            self.w1, self.w2 = matrices(hidden, dim), matrices(dim, hidden)
            self.w3 = matrices(hidden, dim)
        else:
            self.embedding = matrix(vocab, dim)
            self.attention_norm = floats(layers * dim)
            self.q, self.k = matrices(dim, dim), matrices(kv, dim)
            self.v, self.o = matrices(kv, dim), matrices(dim, dim)
            self.ffn_norm = floats(layers * dim)
            self.w1, self.w2 = matrices(hidden, dim), matrices(dim, hidden)
            self.w3 = matrices(hidden, dim)
            self.final_norm = floats(dim)
            floats(self.context * self.head)
        self.classifier = self.embedding if shared else matrix(vocab, dim)
        self.keys = [[] for _ in range(layers)]
        self.values = [[] for _ in range(layers)]

    def row(self, token):
        if not self.int8:
            return self.embedding[token].copy()
        quants, scales = self.embedding
        return quants[token].astype(F) * np.repeat(scales[token], self.group)

    def multiply(self, w, x):
        if not self.int8:
            return in_sequence(w * x)
        groups = x.reshape(-1, self.group)
        scale = np.abs(groups).max(axis=1) / F(127)
        ratio = np.divide(groups, scale[:, None], out=np.zeros_like(groups),
                          where=scale[:, None] != 0)
        # round half away from zero
        quant = (np.sign(ratio) * np.floor(np.abs(ratio) + F(0.5))).astype(np.int32)
        # where + 0.5 may round: look closer
        exact = np.abs(np.abs(ratio) - np.floor(np.abs(ratio)) - F(0.5)) < 1e-6
        for g, i in zip(*np.nonzero(exact)):
            v = float(ratio[g, i])
            quant[g, i] = int(abs(v) + 0.5) * (1 if v > 0 else -1)
        quants, scales = w
        rows = quants.shape[0]
        sums = (quants.astype(np.int32).reshape(rows, -1, self.group) * quant[None]).sum(axis=2)
        return in_sequence((sums.astype(F) * scales) * scale)

    def norm(self, x, weight):
        ss = in_sequence(x * x)
        ss = F(ss / F(self.dim)) + F(1e-5)
        ss = F(1) / np.sqrt(F(ss))
        return weight * (ss * x)

    def rope(self, x, position):
        out = x.copy()
        for i in range(0, len(x), 2):
            frequency = F(1) / F(powf(10000.0, float(F(i % self.head) / F(self.head))))
            angle = F(position) * frequency
            c, s = F(cosf(float(angle))), F(sinf(float(angle)))
            out[i], out[i + 1] = x[i] * c - x[i + 1] * s, x[i] * s + x[i + 1] * c
        return out

    @staticmethod
    def softmax(x):
        e = exp(x - x.max())
        return e / in_sequence(e)

    def forward(self, token, position):
        x = self.row(token)
        for layer in range(self.layers):
            part = slice(layer * self.dim, (layer + 1) * self.dim)
            h = self.norm(x, self.attention_norm[part])
            q, k = self.multiply(self.q[layer], h), self.multiply(self.k[layer], h)
            v = self.multiply(self.v[layer], h)
            self.keys[layer].append(self.rope(k, position))
            self.values[layer].append(v)
            q = self.rope(q, position)
            out = np.empty(self.dim, F)
            for head in range(self.heads):
                mine = slice(head * self.head, (head + 1) * self.head)
                theirs = head // (self.heads // self.kv_heads)
                theirs = slice(theirs * self.head, (theirs + 1) * self.head)
                keys = np.array([key[theirs] for key in self.keys[layer]])
                scores = in_sequence(q[mine] * keys) / np.sqrt(F(self.head))
                weights = self.softmax(scores)
                values = np.array([value[theirs] for value in self.values[layer]])
                out[mine] = in_sequence((weights[:, None] * values).T)
            x = x + self.multiply(self.o[layer], out)
            h = self.norm(x, self.ffn_norm[part])
            gate, up = self.multiply(self.w1[layer], h), self.multiply(self.w3[layer], h)
            gate = gate * (F(1) / (F(1) + exp(-gate)))
            x = x + self.multiply(self.w2[layer], gate * up)
        return self.multiply(self.classifier, self.norm(x, self.final_norm))


class Sampler:
    def __init__(self, temperature, top_p, seed):
        self.temperature, self.top_p, self.state = F(temperature), F(top_p), seed

    def coin(self):
        s = self.state
        s ^= s >> 12
        s = (s ^ (s << 25)) & (2**64 - 1)
        s ^= s >> 27
        self.state = s
        return F((((s * 0x2545F4914F6CDD1D) & (2**64 - 1)) >> 32) >> 8) / F(16777216)

    def next(self, logits):
        if self.temperature == 0:
            return int(np.argmax(logits))
        p = Model.softmax(logits / self.temperature)
        coin = self.coin()
        if self.top_p <= 0 or self.top_p >= 1:
            above = np.nonzero(coin < np.add.accumulate(p, dtype=F))[0]
            return int(above[0]) if len(above) else len(p) - 1
        kept = [i for i in range(len(p)) if p[i] >= (F(1) - self.top_p) / F(len(p) - 1)]
        kept.sort(key=lambda i: -p[i])
        total = F(0)
        for n, i in enumerate(kept):
            total = F(total + p[i])
            if total > self.top_p:
                kept = kept[:n + 1]
                break
        r, at = coin * total, F(0)
        for i in kept:
            at = F(at + p[i])
            if r < at:
                return i
        return kept[-1]


def story(path, sampling, steps):
    model, sampler, token, ids = Model(path), Sampler(*sampling), 1, [1]
    for position in range(steps):
        token = sampler.next(model.forward(token, position))
        if token == 1:
            break
        ids.append(token)
    return ids


def main():
    program, failures, output, different = sys.argv[1], 0, 0, set()
    shapes = [
        ("fp32", {"shared": False}), ("fp32", {"dim": 24, "heads": 3, "kv_heads": 1, "hidden": 40,
                                               "layers": 1, "shared": False}),
        ("fp32", {"dim": 32, "heads": 2, "kv_heads": 2, "shared": True}),
        *(("int8", {"dim": d, "hidden": h, "layers": 2, "heads": 4, "kv_heads": 2, "vocab": 400,
                    "context": 64, "group": g})
          for d, h, g in ((32, 48, 4), (48, 96, 16), (64, 96, 32), (96, 144, 48), (64, 192, 64),
                          (128, 256, 128))),
    ]
    samplings = [(0, 0.9, 1), (1.0, 0.9, 7), (1.0, 1.0, 42), (0.6, 0.5, 123)]
    with tempfile.TemporaryDirectory(prefix="duotale-test-") as name:
        path, words = pathlib.Path(name) / "model.bin", pathlib.Path(name) / "tokenizer.bin"
        synth.tokenizer(words, 400)
        for number, (kind, shape) in enumerate(shapes):
            (synth.int8 if kind == "int8" else synth.legacy)(path, seed=number + 1, **shape)
            for temperature, top_p, seed in samplings:
                wanted = story(path, (temperature, top_p, seed), 32)
                different |= set(wanted)
                for stack in ["reference"] + (["int8"] if kind == "int8" else []):
                    output += 1
                    done = subprocess.run([program, "run", str(path), "-z", str(words), "--ids",
                                           "--stop", "bos", "-q", "-n", "32", "-b", stack,
                                           "-t", str(temperature), "-p", str(top_p), "-s",
                                           str(seed)], capture_output=True, check=False)
                    found = [int(word) for word in done.stdout.split()]
                    if found != wanted:
                        failures += 1
                        print(f"{kind} {shape} {stack} t={temperature} p={top_p} s={seed}\n"
                              f"  expected {wanted}\n  got      {found}\n"
                              f"  {done.stderr.decode()}")
    if len(different) < 200:
        failures += 1
        print(f"only {len(different)} different tokens were generated: too few for a test")
    print(f"{output - failures} of {output} stories agree with the oracle")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
