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


def sparse_gguf(path, dim, hidden, layers, heads, kv_heads, head_size, vocab, context, kind=8,
                block=34, values=32, others=None):
    """A llama of zeros in q8_0 (q4_0: 2, 18) without a vocabulary: a file of any shape that
    takes no space. others: the kind, bytes and values of a block of some tensors, by name."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    keys = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    for name, value in (
        ("context_length", context),
        ("embedding_length", dim),
        ("block_count", layers),
        ("feed_forward_length", hidden),
        ("attention.head_count", heads),
        ("attention.head_count_kv", kv_heads),
        ("attention.key_length", head_size),
        ("attention.value_length", head_size),
        ("rope.dimension_count", head_size),
        ("vocab_size", vocab),
    ):
        keys.append(text("llama." + name) + struct.pack("<II", 4, value))
    keys.append(text("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5))
    tensors = [("token_embd", vocab, dim), ("output_norm", 0, dim)]
    for i in range(layers):
        tensors += [
            (f"blk.{i}.{name}", rows, cols)
            for name, rows, cols in (
                ("attn_norm", 0, dim),
                ("attn_q", heads * head_size, dim),
                ("attn_k", kv_heads * head_size, dim),
                ("attn_v", kv_heads * head_size, dim),
                ("attn_output", dim, heads * head_size),
                ("ffn_norm", 0, dim),
                ("ffn_gate", hidden, dim),
                ("ffn_up", hidden, dim),
                ("ffn_down", dim, hidden),
            )
        ]
    header = struct.pack("<IIQQ", 0x46554747, 3, len(tensors), len(keys)) + b"".join(keys)
    offset = 0
    for name, rows, cols in tensors:
        shape = (cols, rows) if rows else (cols,)
        header += text(name + ".weight") + struct.pack("<I", len(shape))
        header += struct.pack(f"<{len(shape)}Q", *shape)
        form = (others or {}).get(name, (kind, block, values))
        header += struct.pack("<IQ", form[0] if rows else 0, offset)
        size = rows * cols // form[2] * form[1] if rows else cols * 4
        offset += (size + 31) // 32 * 32
    header += bytes(-len(header) % 32)
    with open(path, "wb") as out:
        out.write(header)
        out.truncate(len(header) + offset)
