# SPDX-License-Identifier: MIT
"""Writes model files from the flat parameters: llama2.c (float and int8 groups), GGUF (F32, Q8_0).

Needs numpy only. Sources of the formats: llama2.c's export.py (legacy and version 2) and the GGUF
specification (ggml's docs/gguf.md). Both store rotary pairs in adjacent rows, as the trainer does,
so rows stay in place.
"""
import os
import struct

import numpy as np

import model
from corpus import stop

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # GGUF value types
TYPE_F32, TYPE_Q8_0 = 0, 8                              # GGUF tensor types
ALIGN, GROUP = 32, 32

# The program recognises the template by its comment (src/core/text/template.c).
TEMPLATE = ("{# duotale story turns: a request and two newlines, a story and its end #}"
            "{{ bos_token }}{% for message in messages %}"
            "{% if message['role'] == 'user' %}{{ message['content'] + '\\n\\n' }}"
            "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
            "{% endif %}{% endfor %}")


def write_file(path, chunks):
    """Writes a complete file or none."""
    tmp = path + ".tmp"
    try:
        with open(tmp, "wb") as f:
            for c in chunks:
                f.write(c)
        os.replace(tmp, path)
    except OSError as e:
        stop(f"cannot write {path}: {e.strerror}")


def tensors(shape, flat):
    """{name: array, or list with one array per layer}, in llama2.c's order"""
    v, D, H, L = model.views(shape, flat), shape.dim, shape.hidden, range(shape.layers)
    return {"emb": v["emb", -1], "n1": [v["n1", l] for l in L],
            "wq": [v["wqkv", l][:D] for l in L], "wk": [v["wqkv", l][D:2 * D] for l in L],
            "wv": [v["wqkv", l][2 * D:] for l in L], "wo": [v["wo", l] for l in L],
            "n2": [v["n2", l] for l in L], "w1": [v["w13", l][:H] for l in L],
            "w2": [v["w2", l] for l in L], "w3": [v["w13", l][H:] for l in L],
            "norm": v["norm", -1]}


def each(x):
    return x if isinstance(x, list) else [x]


def bytes_of(x):
    return np.ascontiguousarray(x, "<f4").tobytes()


def llama2c(shape, flat, path):
    """Legacy float file, with the rotary tables at its end."""
    t = tensors(shape, flat)
    half = shape.dim // shape.heads // 2
    a = np.outer(np.arange(shape.context), 10000.0 ** (-np.arange(half) / half))
    head = struct.pack("<7i", shape.dim, shape.hidden, shape.layers, shape.heads, shape.heads,
                       shape.vocab, shape.context)
    order = ("emb", "n1", "wq", "wk", "wv", "wo", "n2", "w1", "w2", "w3", "norm")
    write_file(path, [head] + [bytes_of(x) for k in order for x in each(t[k])] +
               [bytes_of(np.cos(a)), bytes_of(np.sin(a))])


def llama2c_int8(shape, flat, path, group=64):
    """Version 2: int8 in groups along a row, one float scale per group."""
    while shape.dim % group or shape.hidden % group:
        group //= 2
    t = tensors(shape, flat)
    head = struct.pack("<Ii7iBi", 0x616B3432, 2, shape.dim, shape.hidden, shape.layers, shape.heads,
                       shape.heads, shape.vocab, shape.context, 1, group)
    out = [head.ljust(256, b"\0")] + [bytes_of(x) for k in ("n1", "n2", "norm") for x in each(t[k])]
    for k in ("emb", "wq", "wk", "wv", "wo", "w1", "w2", "w3"):
        for x in each(t[k]):
            b = np.ascontiguousarray(x, np.float32).reshape(-1, group)
            s = np.abs(b).max(axis=1) / np.float32(127)
            q = np.rint(b / np.where(s == 0, 1, s)[:, None]).astype(np.int8)
            out += [q.tobytes(), bytes_of(s)]
    write_file(path, out)


def q8_0(x):
    """-> (scales as float16, quants) in blocks of 32 along a row"""
    b = np.ascontiguousarray(x, np.float32).reshape(-1, 32)
    d = (np.abs(b).max(axis=1) / np.float32(127)).astype(np.float16)
    s = d.astype(np.float32)
    q = np.rint(b / np.where(s == 0, 1, s)[:, None])
    return d, np.clip(q, -127, 127).astype(np.int8)


def q8_0_bytes(x):
    d, q = q8_0(x)
    out = np.zeros(len(d), [("d", "<f2"), ("q", "i1", 32)])
    out["d"], out["q"] = d, q
    return out.tobytes()


def rounded(shape, flat):
    """The parameters after rounding to Q8_0, as floats"""
    out = flat.copy()
    for v in model.views(shape, out).values():
        if v.ndim == 2:
            d, q = q8_0(v)
            v[:] = (q * d.astype(np.float32)[:, None]).reshape(v.shape)
    return out


def text(s):
    b = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(b)) + b


def value(kind, x):
    if kind == STRING:
        return text(x)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<B"}[kind], x)


def metadata(shape, tok, about, file_type):
    """[(key, type, value)], arrays as (key, ARRAY, (type, values))"""
    hs = shape.dim // shape.heads
    m = [("general.architecture", STRING, "llama"), ("general.type", STRING, "model"),
         ("general.name", STRING, about["name"]), ("general.basename", STRING, "storyteller"),
         ("general.version", STRING, about["version"]),
         ("general.size_label", STRING, f"{model.count(shape) / 1e6:.1f}M"),
         ("general.author", STRING, "the duotale authors"),
         ("general.description", STRING, about["description"]),
         ("general.license", STRING, "mit"), ("general.license.name", STRING, "MIT License"),
         ("general.license.link", STRING, "https://spdx.org/licenses/MIT.html"),
         ("general.dataset.count", U32, 1), ("general.dataset.0.name", STRING, "TinyStories"),
         ("general.dataset.0.author", STRING, "Ronen Eldan and Yuanzhi Li"),
         ("general.dataset.0.description", STRING, "Children's stories; licence CDLA-Sharing-1.0"),
         ("general.dataset.0.repo_url", STRING,
          "https://huggingface.co/datasets/roneneldan/TinyStories"),
         ("general.tags", ARRAY, (STRING, ["text-generation", "stories"])),
         ("general.languages", ARRAY, (STRING, ["en"])),
         ("general.sampling.temp", F32, 0.8), ("general.sampling.top_p", F32, 0.95),
         ("general.sampling.top_k", I32, 0), ("general.sampling.min_p", F32, 0.05),
         ("general.alignment", U32, ALIGN), ("general.quantization_version", U32, 2),
         ("general.file_type", U32, file_type),
         ("llama.context_length", U32, shape.context), ("llama.embedding_length", U32, shape.dim),
         ("llama.block_count", U32, shape.layers), ("llama.feed_forward_length", U32, shape.hidden),
         ("llama.attention.head_count", U32, shape.heads),
         ("llama.attention.head_count_kv", U32, shape.heads),
         ("llama.attention.key_length", U32, hs), ("llama.attention.value_length", U32, hs),
         ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
         ("llama.rope.dimension_count", U32, hs), ("llama.rope.freq_base", F32, 10000.0),
         ("llama.vocab_size", U32, shape.vocab),
         ("tokenizer.ggml.model", STRING, "llama"), ("tokenizer.ggml.pre", STRING, "default"),
         ("tokenizer.ggml.tokens", ARRAY, (STRING, tok.pieces)),
         ("tokenizer.ggml.scores", ARRAY, (F32, tok.scores)),
         ("tokenizer.ggml.token_type", ARRAY, (I32, tok.types)),
         ("tokenizer.ggml.bos_token_id", U32, 1), ("tokenizer.ggml.eos_token_id", U32, 2),
         ("tokenizer.ggml.unknown_token_id", U32, 0),
         ("tokenizer.ggml.add_bos_token", BOOL, 1), ("tokenizer.ggml.add_eos_token", BOOL, 0),
         ("tokenizer.ggml.add_space_prefix", BOOL, 1),
         ("tokenizer.chat_template", STRING, TEMPLATE), ("duotale.chat", BOOL, 1),
         ("duotale.opening", STRING, "Once upon a time"), ("duotale.length", U32, 400),
         ("duotale.bits_per_byte", F32, about["bits"]),
         ("duotale.training_tokens", STRING, about["tokens"])]
    return m


NAMES = (("n1", "attn_norm"), ("wq", "attn_q"), ("wk", "attn_k"), ("wv", "attn_v"),
         ("wo", "attn_output"), ("n2", "ffn_norm"), ("w1", "ffn_gate"), ("w2", "ffn_down"),
         ("w3", "ffn_up"))


def gguf(shape, flat, tok, about, path, quantised):
    """GGUF version 3. quantised: matrices as Q8_0; norms stay float."""
    head = []
    for key, kind, x in metadata(shape, tok, about, 7 if quantised else 0):
        head.append(text(key) + struct.pack("<I", kind))
        if kind == ARRAY:
            head.append(struct.pack("<IQ", x[0], len(x[1])) +
                        b"".join(value(x[0], y) for y in x[1]))
        else:
            head.append(value(kind, x))
    entries = len(metadata(shape, tok, about, 0))
    t = tensors(shape, flat)
    named = [("token_embd.weight", t["emb"])]
    for l in range(shape.layers):
        named += [(f"blk.{l}.{out}.weight", t[k][l]) for k, out in NAMES]
    named.append(("output_norm.weight", t["norm"]))
    infos, data, at = [], [], 0
    for name, x in named:
        packed = quantised and x.ndim == 2
        b = q8_0_bytes(x) if packed else bytes_of(x)
        infos.append(text(name) + struct.pack("<I", x.ndim) +
                     b"".join(struct.pack("<Q", n) for n in reversed(x.shape)) +
                     struct.pack("<IQ", TYPE_Q8_0 if packed else TYPE_F32, at))
        b += b"\0" * (-len(b) % ALIGN)
        data.append(b)
        at += len(b)
    top = struct.pack("<4sIQQ", b"GGUF", 3, len(named), entries) + b"".join(head + infos)
    write_file(path, [top, b"\0" * (-len(top) % ALIGN)] + data)
