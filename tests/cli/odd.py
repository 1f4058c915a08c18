# SPDX-License-Identifier: MIT
"""Odd model files for tests: small GGUF files and Hugging Face folders of random weights, whose
keys, tensors and texts a test changes before they are written."""
import array
import json
import os
import random
import struct

from hf_files import byte_characters, write_safetensors

TYPES = {"u8": (0, "B"), "i8": (1, "b"), "u16": (2, "H"), "i16": (3, "h"), "u32": (4, "I"),
         "i32": (5, "i"), "f32": (6, "f"), "bool": (7, "?"), "u64": (10, "Q"), "i64": (11, "q"),
         "f64": (12, "d")}


def text(value):
    value = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(value)) + value


def encoded(kind, value):
    """A value with its type; kind: "u32", "str", "arr:u32" ..."""
    if kind == "str":
        return struct.pack("<I", 8) + text(value)
    if kind.startswith("arr:"):
        item = kind[4:]
        if item == "str":
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        number, form = TYPES[item]
        return struct.pack("<IIQ", 9, number, len(value)) + \
            struct.pack(f"<{len(value)}{form}", *value)
    number, form = TYPES[kind]
    return struct.pack("<I" + form, number, value)


MERGES = ["Ġ t", "h e", "Ġt he", "Ġ a", "O n", "c e", "On ce", "i n", "a t"]
WORDS = ["▁", *"aeiounthrsdlcpmwfgbykvOLI.,", "▁a", "▁t", "he", "▁the", "on", "▁on", "ce", "On",
         "▁On", "nce", "▁Once", "in", "er", "nd", "at", "▁c", "▁cat"]


def bpe(specials):
    """Pieces, types and merges; a special is a text (control), or (text, type)."""
    pieces = byte_characters()
    for merge in MERGES:
        pieces.append(merge.replace(" ", ""))
    types = [1] * len(pieces)
    for special in specials:
        name, kind = special if isinstance(special, tuple) else (special, 3)
        pieces.append(name)
        types.append(kind)
    return pieces, types


def spm(specials):
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + WORDS
    types = [2, 3, 3] + [6] * 256 + [1] * len(WORDS)
    scores = [0.0] * 259 + [-float(i) for i in range(len(WORDS))]
    for special in specials:
        name, kind = special if isinstance(special, tuple) else (special, 3)
        pieces.append(name)
        types.append(kind)
        scores.append(0.0)
    return pieces, types, scores


def weights(rng, count, around=0.0):
    return array.array("f", [around + rng.uniform(-0.15, 0.15) for _ in range(count)]).tobytes()


def llama_tensors(rng, dim, hidden, layers, heads, kv_heads, vocab, tied):
    """(name in GGUF, rows or 0, columns) of a llama, with bytes."""
    kv = dim // heads * kv_heads
    shapes = [("token_embd.weight", vocab, dim), ("output_norm.weight", 0, dim)]
    for layer in range(layers):
        for name, rows, cols in (
                ("attn_norm", 0, dim), ("attn_q", dim, dim), ("attn_k", kv, dim),
                ("attn_v", kv, dim), ("attn_output", dim, dim), ("ffn_norm", 0, dim),
                ("ffn_gate", hidden, dim), ("ffn_up", hidden, dim), ("ffn_down", dim, hidden)):
            shapes.append((f"blk.{layer}.{name}.weight", rows, cols))
    if not tied:
        shapes.append(("output.weight", vocab, dim))
    return [(name, rows, cols, weights(rng, (rows or 1) * cols, 0.0 if rows else 1.0))
            for name, rows, cols in shapes]


class Gguf:
    """A GGUF file: `keys` maps names to (kind, value), `tensors` names to
    (rows or 0, columns, type, bytes)."""

    def __init__(self, arch="llama", vocab="spm", pre="gpt-2", specials=(), dim=32, hidden=48,
                 layers=2, heads=4, kv_heads=2, tied=False, seed=1):
        self.version, self.tail = 3, b""
        self.keys = {"general.architecture": ("str", arch), "general.name": ("str", "odd")}
        if vocab == "spm":
            pieces, types, scores = spm(specials)
            self.set("tokenizer.ggml.model", "str", "llama")
            self.set("tokenizer.ggml.scores", "arr:f32", scores)
            self.set("tokenizer.ggml.bos_token_id", "u32", 1)
            self.set("tokenizer.ggml.eos_token_id", "u32", 2)
        else:
            pieces, types = bpe(specials)
            self.set("tokenizer.ggml.model", "str", "gpt2")
            self.set("tokenizer.ggml.pre", "str", pre)
            self.set("tokenizer.ggml.merges", "arr:str", MERGES)
        self.set("tokenizer.ggml.tokens", "arr:str", pieces)
        self.set("tokenizer.ggml.token_type", "arr:i32", types)
        self.pieces = pieces
        for name, value in (("context_length", 64), ("embedding_length", dim),
                            ("block_count", layers), ("feed_forward_length", hidden),
                            ("attention.head_count", heads), ("attention.head_count_kv", kv_heads)):
            self.set(f"{arch}.{name}", "u32", value)
        self.set(f"{arch}.attention.layer_norm_rms_epsilon", "f32", 1e-5)
        self.tensors = {name: (rows, cols, 0, data) for name, rows, cols, data in llama_tensors(
            random.Random(seed), dim, hidden, layers, heads, kv_heads, len(pieces), tied)}

    def set(self, name, kind, value):
        self.keys[name] = (kind, value)
        return self

    def drop(self, *names):
        for name in names:
            self.keys.pop(name, None)
            self.tensors.pop(name, None)
        return self

    def add(self, name, rows, cols, value=0.0):
        self.tensors[name] = (rows, cols, 0, struct.pack("<f", value) * ((rows or 1) * cols))
        return self

    def write(self, path):
        head = b"GGUF" + struct.pack("<IQQ", self.version, len(self.tensors), len(self.keys))
        head += b"".join(text(k) + encoded(*v) for k, v in self.keys.items())
        data = b""
        for name, (rows, cols, kind, block) in self.tensors.items():
            sizes = (cols, rows) if rows else (cols,)
            head += text(name) + struct.pack("<I", len(sizes)) + \
                struct.pack(f"<{len(sizes)}Q", *sizes) + struct.pack("<IQ", kind, len(data))
            data += block + bytes(-len(block) % 32)
        head += bytes(-len(head) % 32)
        with open(path, "wb") as out:
            out.write(head + data + self.tail)
        return path


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+"
          r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
HF_NAMES = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj",
            "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
            "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
            "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
            "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
            "invert": False}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


class Folder:
    """A Hugging Face folder: the objects `config`, `tokenizer` and `tokenizer_config`, `tensors`
    of names to (shape, bytes), and `files` of names to texts."""

    def __init__(self, specials=("<|begin|>", "<|end|>"), dim=32, hidden=48, layers=2, heads=4,
                 kv_heads=2, seed=1):
        pieces, _ = bpe(specials)
        base = len(pieces) - len(specials)
        self.pieces, self.files, self.tensors = pieces, {}, {}
        self.config = {
            "model_type": "llama", "hidden_size": dim, "intermediate_size": hidden,
            "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "vocab_size": len(pieces), "hidden_act": "silu",
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": True, "bos_token_id": base, "eos_token_id": base + 1}
        self.tokenizer = {
            "added_tokens": [{"id": base + i, "content": s if isinstance(s, str) else s[0],
                              "special": isinstance(s, str), "normalized": False,
                              "lstrip": False, "rstrip": False, "single_word": False}
                             for i, s in enumerate(specials)],
            "normalizer": None, "pre_tokenizer": sequence(split(LLAMA3), BYTE_LEVEL),
            "post_processor": None, "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": {p: i for i, p in enumerate(pieces[:base])},
                      "merges": MERGES}}
        self.tokenizer_config = {}
        for name, rows, cols, data in llama_tensors(random.Random(seed), dim, hidden, layers,
                                                    heads, kv_heads, len(pieces), True):
            parts = name.split(".")
            if parts[0] == "blk":
                name = f"model.layers.{parts[1]}.{HF_NAMES[parts[2]]}.weight"
            else:
                name = f"{HF_NAMES[parts[0]]}.weight"
            self.tensors[name] = ((rows, cols) if rows else (cols,), data)

    def added(self, content):
        """The row of an added token."""
        return next(t for t in self.tokenizer["added_tokens"] if t["content"] == content)

    def write(self, path, weights_too=True):
        os.makedirs(path, exist_ok=True)
        for name, value in (("config.json", self.config), ("tokenizer.json", self.tokenizer),
                            ("tokenizer_config.json", self.tokenizer_config)):
            if value is not None:
                with open(os.path.join(path, name), "w", encoding="utf-8") as out:
                    json.dump(value, out, ensure_ascii=False)
        for name, value in self.files.items():
            os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
            with open(os.path.join(path, name), "w", encoding="utf-8") as out:
                out.write(value if isinstance(value, str) else json.dumps(value))
        if weights_too:
            write_safetensors(os.path.join(path, "model.safetensors"), self.tensors)
        return path
