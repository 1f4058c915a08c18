# SPDX-License-Identifier: MIT
"""Models and vocabularies for tests, in llama2.c's formats."""
import math
import random
import struct


def tokenizer(path, size, longest=0):
    """A tokenizer.bin of `size` pieces: llama2.c's first 259, then letters, pairs and words."""
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n"] + [b"<0x%02X>" % i for i in range(256)]
    letters = [bytes([c]) for c in range(0x20, 0x7F)]
    pieces += letters
    pieces += [a + b for a in letters[:40] for b in letters[33:59]]
    pieces = pieces[:size]
    pieces += [b"w%04x" % i for i in range(len(pieces), size)]
    with open(path, "wb") as out:
        out.write(struct.pack("<I", longest or max(map(len, pieces))))
        for i, piece in enumerate(pieces):
            out.write(struct.pack("<fi", -float(i), len(piece)) + piece)


def floats(rng, count, scale):
    return struct.pack(f"<{count}f", *(rng.gauss(0, scale) for _ in range(count)))


def legacy(
    path,
    dim=32,
    hidden=48,
    layers=2,
    heads=4,
    kv_heads=2,
    vocab=400,
    context=64,
    shared=True,
    seed=1,
):
    """A legacy fp32 model of random weights."""
    rng = random.Random(seed)
    kv = dim // heads * kv_heads
    with open(path, "wb") as out:
        out.write(
            struct.pack(
                "<7i", dim, hidden, layers, heads, kv_heads, vocab if shared else -vocab, context
            )
        )
        out.write(floats(rng, vocab * dim, 1.0))
        out.write(struct.pack(f"<{layers * dim}f", *[1.0] * (layers * dim)))
        for rows, cols in ((dim, dim), (kv, dim), (kv, dim), (dim, dim)):
            out.write(floats(rng, layers * rows * cols, 1 / math.sqrt(cols)))
        out.write(struct.pack(f"<{layers * dim}f", *[1.0] * (layers * dim)))
        for rows, cols in ((hidden, dim), (dim, hidden), (hidden, dim)):
            out.write(floats(rng, layers * rows * cols, 1 / math.sqrt(cols)))
        out.write(struct.pack(f"<{dim}f", *[1.0] * dim))
        out.write(bytes(context * (dim // heads) * 4))  # two RoPE tables, which are not used
        if not shared:
            out.write(floats(rng, vocab * dim, 1.0))


def int8(
    path,
    dim=288,
    hidden=768,
    layers=6,
    heads=6,
    kv_heads=6,
    vocab=32000,
    context=256,
    group=32,
    seed=1,
):
    """A version 2 model, made of one random block. The default is the shape of stories15M."""
    rng = random.Random(seed)
    block = bytes(rng.randrange(256) for _ in range(65521))  # a prime, so that rows differ
    kv = dim // heads * kv_heads

    def tensor(out, rows, cols):
        count = rows * cols
        out.write((block * (count // len(block) + 1))[:count])
        scale = 1 / math.sqrt(cols) / 64
        scales = [scale * (0.5 + rng.random()) for _ in range(977)]
        packed = struct.pack("<977f", *scales)
        need = count // group * 4
        out.write((packed * (need // len(packed) + 1))[:need])

    with open(path, "wb") as out:
        header = struct.pack(
            "<Ii7iBi", 0x616B3432, 2, dim, hidden, layers, heads, kv_heads, vocab, context, 1, group
        )
        out.write(header.ljust(256, b"\0"))
        out.write(struct.pack("<f", 1.0) * ((2 * layers + 1) * dim))
        tensor(out, vocab, dim)
        for rows, cols in (
            (dim, dim),
            (kv, dim),
            (kv, dim),
            (dim, dim),
            (hidden, dim),
            (dim, hidden),
            (hidden, dim),
        ):
            for _ in range(layers):
                tensor(out, rows, cols)
