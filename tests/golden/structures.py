#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""structures.py PROGRAM: greedy tokens against a forward pass in numpy, in double precision.

The models are small, random GGUF files with the structure and metadata of TinyLlama-1.1B, SmolLM2,
Qwen2.5-0.5B, Llama-3.2-1B and Mistral; and one in every block format, whose values forms.py
decodes. Exit code 77: numpy is missing.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: numpy is not installed")
    sys.exit(77)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from forms import FORMS  # noqa: E402
from hf_files import byte_characters  # noqa: E402

program = sys.argv[1]
TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "q2_k": 10,
         "q3_k": 11, "q4_k": 12, "q5_k": 13,
         "q6_k": 14, "iq4_nl": 20, "bf16": 30}


# GGUF.

def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def value(v):
    if isinstance(v, bool):
        return struct.pack("<IB", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + text(v)
    kind = {str: 8, bytes: 8, int: 5, float: 6}[type(v[0])]
    one = text if kind == 8 else struct.Struct("<i" if kind == 5 else "<f").pack
    items = b"".join(one(x) for x in v)
    return struct.pack("<IIQ", 9, kind, len(v)) + items


def write_gguf(path, keys, tensors):
    """tensors: name -> (type name, shape in numpy's order, bytes)."""
    infos, data = b"", b""
    for name, (kind, shape, block) in tensors.items():
        infos += text(name) + struct.pack("<I", len(shape))
        infos += b"".join(struct.pack("<Q", d) for d in reversed(shape))
        infos += struct.pack("<IQ", TYPES[kind], len(data))
        data += block + b"\0" * (-len(block) % 32)
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    header += b"".join(text(k) + value(v) for k, v in keys.items()) + infos
    with open(path, "wb") as f:
        f.write(header + b"\0" * (-len(header) % 32) + data)


# Vocabularies: bytes, markers, and pieces that no prompt contains.

def spm(size, template):
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    types = [2, 3, 3] + [6] * 256
    tokens += [f"piece{i}" for i in range(size - len(tokens))]
    types += [1] * (size - len(types))
    keys = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": [0.0] * size,
            "tokenizer.ggml.token_type": types, "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.unknown_token_id": 0, "tokenizer.chat_template": template}
    return keys, lambda s: [1, 3 + 32] + [3 + b for b in s]


def bpe(size, pre, markers, bos, eos, template, **more):
    tokens = byte_characters() + markers
    types = [1] * 256 + [3] * len(markers)
    tokens += [f"piece{i}" for i in range(size - len(tokens))]
    types += [1] * (size - len(types))
    keys = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre,
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": types, "tokenizer.ggml.merges": ["p p"],
            "tokenizer.ggml.eos_token_id": 256 + markers.index(eos),
            "tokenizer.chat_template": template, **more}
    keys["tokenizer.ggml.tokens"][-1] = "pp"  # the result of the one merge
    begin = []
    if bos:
        keys["tokenizer.ggml.bos_token_id"] = 256 + markers.index(bos)
        if more.get("tokenizer.ggml.add_bos_token", pre == "llama-bpe"):
            begin = [256 + markers.index(bos)]
    return keys, lambda s: begin + list(s)


# The forward pass.

def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def eight_bits(x, group=256):
    """What activations are after they were quantised to 8 bits, for blocks of 256 values."""
    x = x.astype(np.float32).reshape(*x.shape[:-1], -1, group)
    scale = np.abs(x).max(-1, keepdims=True) / np.float32(127)
    v = np.divide(x, scale, out=np.zeros_like(x), where=scale > 0)
    q = np.trunc(v + np.copysign(np.float32(0.5), v))
    return (q.astype(float) * scale.astype(float)).reshape(*x.shape[:-2], -1)


def forward(h, w, tokens):
    """Logits of the last position, all positions at once, causal. h["act"]: what a product makes of
    its activations."""
    act = h.get("act", lambda x: x)
    norm = lambda x, g: x / np.sqrt((x * x).mean(-1, keepdims=True) + h["eps"]) * g
    n, hs, half = len(tokens), h["head_size"], h["rotated"] // 2
    freq = h["base"] ** (-2.0 * np.arange(half) / h["rotated"]) / h.get("factors", 1.0)
    angle = np.outer(np.arange(n) * h.get("scale", 1.0), freq)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]

    def rope(x):
        x = x.copy()
        if h["halves"]:
            a, b = slice(0, half), slice(half, 2 * half)
        else:
            a, b = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
        x[..., a], x[..., b] = x[..., a] * cos - x[..., b] * sin, x[..., a] * sin + x[..., b] * cos
        return x

    x = w["token_embd.weight"][tokens]
    for layer in range(h["layers"]):
        t = lambda name, default=0.0: w.get(f"blk.{layer}.{name}", default)
        y = act(norm(x, t("attn_norm.weight")))
        q = rope((y @ t("attn_q.weight").T + t("attn_q.bias")).reshape(n, h["heads"], hs))
        k = rope((y @ t("attn_k.weight").T + t("attn_k.bias")).reshape(n, h["kv_heads"], hs))
        v = (y @ t("attn_v.weight").T + t("attn_v.bias")).reshape(n, h["kv_heads"], hs)
        group = h["heads"] // h["kv_heads"]
        score = np.einsum("qhc,khc->hqk", q, k.repeat(group, 1)) / np.sqrt(hs)
        score = np.where(np.tri(n, dtype=bool), score, -np.inf)
        y = np.einsum("hqk,khc->qhc", softmax(score), v.repeat(group, 1)).reshape(n, -1)
        x = x + act(y) @ t("attn_output.weight").T
        y = act(norm(x, t("ffn_norm.weight")))
        gate = y @ t("ffn_gate.weight").T
        y = gate / (1 + np.exp(-gate)) * (y @ t("ffn_up.weight").T)
        x = x + act(y) @ t("ffn_down.weight").T
    y = act(norm(x[-1], w["output_norm.weight"]))
    return y @ w.get("output.weight", w["token_embd.weight"]).T


def random_blocks(rng, name, rows, cols):
    """Random blocks of a format, with weights of about 0.1, and their values."""
    size, values, halves, decode = FORMS[name]
    count = rows * cols // values
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if name in ("f16", "bf16"):
        x = (rng.standard_normal((count, 1)) * 0.1).astype("<f4")
        words = x.astype("<f2") if name == "f16" else (x.view("<u4") >> 16).astype("<u2")
        blocks = words.view(np.uint8)
        return blocks.tobytes(), decode(blocks).reshape(rows, cols)
    # scales: decode with scales of 1, then divide so that the values are about 0.1
    for at in halves:
        blocks[:, at:at + 2] = np.array([1.0], "<f2").view(np.uint8)
    spread = np.abs(decode(blocks)).mean()
    for i, at in enumerate(halves):
        scale = (0.1 / spread * (0.75 + 0.5 * rng.random((count, 1)))) * (1 if i == 0 else 0.5)
        blocks[:, at:at + 2] = scale.astype("<f2").view(np.uint8).reshape(count, 2)
    return blocks.tobytes(), decode(blocks).reshape(rows, cols)


def build(rng, h, form):
    w, tensors = {}, {}

    def add(name, *shape, kind=form, norm=False):
        if len(shape) == 1 or kind == "f32":
            spread, mean = (0.05, 1) if norm else (0.15, 0)
            x = (rng.standard_normal(shape) * spread + mean).astype("<f4")
            w[name], tensors[name] = x.astype(float), ("f32", shape, x.tobytes())
        else:
            block, x = random_blocks(rng, kind, *shape)
            w[name], tensors[name] = x.astype(float), (kind, shape, block)

    queries, keys = h["heads"] * h["head_size"], h["kv_heads"] * h["head_size"]
    add("token_embd.weight", h["vocab"], h["dim"])
    for layer in range(h["layers"]):
        p = f"blk.{layer}."
        add(p + "attn_norm.weight", h["dim"], norm=True)
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            add(p + f"attn_{name}.weight", rows, h["dim"])
            if h.get("biases"):
                add(p + f"attn_{name}.bias", rows)
        add(p + "attn_output.weight", h["dim"], queries)
        add(p + "ffn_norm.weight", h["dim"], norm=True)
        add(p + "ffn_gate.weight", h["hidden"], h["dim"])
        add(p + "ffn_up.weight", h["hidden"], h["dim"])
        add(p + "ffn_down.weight", h["dim"], h["hidden"])
    add("output_norm.weight", h["dim"], norm=True)
    if not h.get("tied"):
        add("output.weight", h["vocab"], h["dim"])
    if "factors" in h:
        w["rope_freqs.weight"] = h["factors"]
        tensors["rope_freqs.weight"] = ("f32", h["factors"].shape,
                                        h["factors"].astype("<f4").tobytes())
    return w, tensors


def keys_of(h, arch, name):
    keys = {"general.architecture": arch, "general.name": name, "general.file_type": 0,
            "general.quantization_version": 2,
            f"{arch}.vocab_size": h["vocab"], f"{arch}.context_length": h["context"],
            f"{arch}.embedding_length": h["dim"],
            f"{arch}.block_count": h["layers"], f"{arch}.feed_forward_length": h["hidden"],
            f"{arch}.attention.head_count": h["heads"],
            f"{arch}.attention.head_count_kv": h["kv_heads"],
            f"{arch}.attention.layer_norm_rms_epsilon": float(h["eps"]),
            f"{arch}.rope.freq_base": float(h["base"])}
    if not h["halves"]:
        keys[f"{arch}.rope.dimension_count"] = h["rotated"]
    keys.update(h.get("keys", {}))
    return keys


def ids_of(path, prompt, count, backend):
    done = subprocess.run([program, "run", path, "-b", backend, "-t", "0", "-n", str(count), "-i",
                           prompt, "--json", "-q"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        return done.stderr.decode()
    return [json.loads(line).get("id") for line in done.stdout.decode().splitlines()]


LOOP = "{% for m in messages %}", "{% endfor %}"
CHATML = "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}".join(LOOP)
ZEPHYR = "{{ '<|user|>\\n' + m.content + eos_token }}{{ '<|assistant|>' }}".join(LOOP)
LLAMA3 = ("{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content"
          " + '<|eot_id|>' }}").join(LOOP)
MISTRAL = "{{ bos_token }}" + "{{ '[INST] ' + m.content + ' [/INST]' }}".join(LOOP)


def family(name):
    """Hyperparameters (narrower than the model's, otherwise the same), architecture, vocabulary."""
    common = {"layers": 2, "context": 128, "vocab": 512}
    if name == "TinyLlama-1.1B":
        h = dict(common, dim=64, hidden=176, heads=8, kv_heads=1, head_size=8, rotated=8, eps=1e-5,
                 base=10000.0, halves=False)
        return h, "llama", spm(512, ZEPHYR)
    if name == "SmolLM2-135M":  # 9 heads, 3 of keys
        h = dict(common, dim=72, hidden=192, heads=9, kv_heads=3, head_size=8, rotated=8, eps=1e-5,
                 base=100000.0, halves=False, tied=True)
        marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        return h, "llama", bpe(512, "smollm", marks, "<|im_start|>", "<|im_end|>", CHATML,
                               **{"tokenizer.ggml.add_bos_token": False})
    if name == "Qwen2.5-0.5B":  # 14 heads, 2 of keys, biases
        h = dict(common, dim=112, hidden=304, heads=14, kv_heads=2, head_size=8, rotated=8,
                 eps=1e-6, base=1000000.0, halves=True,
                 tied=True, biases=True)
        marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        return h, "qwen2", bpe(512, "qwen2", marks, "<|endoftext|>", "<|im_end|>", CHATML,
                               **{"tokenizer.ggml.add_bos_token": False})
    if name == "Llama-3.2-1B":  # factors of the frequencies
        h = dict(common, dim=64, hidden=256, heads=8, kv_heads=2, head_size=8, rotated=8, eps=1e-5,
                 base=500000.0, halves=False, tied=True,
                 factors=np.array([1.0, 1.7, 8.0, 32.0]),
                 keys={"llama.attention.key_length": 8, "llama.attention.value_length": 8})
        marks = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
        return h, "llama", bpe(512, "llama-bpe", marks, "<|begin_of_text|>", "<|eot_id|>", LLAMA3)
    # Mistral: heads wider than dim / heads, a window, and linear scaling
    h = dict(common, dim=64, hidden=224, heads=4, kv_heads=2, head_size=24, rotated=24, eps=1e-5,
             base=10000.0, halves=False, scale=0.25,
             keys={"llama.attention.key_length": 24, "llama.attention.value_length": 24,
                   "llama.attention.sliding_window": 64,
                   "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0})
    return h, "llama", spm(512, MISTRAL)


def compare(what, path, h, w, encode, backend, close=1e-3):
    """Compares greedy tokens with numpy's, as far as no two logits are nearly equal."""
    prompt, steps = "Once upon a time", 40
    want = encode(prompt.encode())
    got = ids_of(path, prompt, steps, backend)
    if isinstance(got, str):
        print(f"WRONG {what} with {backend}: {got.strip()}")
        return 1
    margin = np.inf
    while len(want) < steps:
        logits = forward(h, w, np.array(want))
        first, second = np.sort(logits)[::-1][:2]
        margin = min(margin, first - second)
        want.append(int(np.argmax(logits)))
        if margin < close:
            break
    got = [i for i in got if i is not None]
    n = min(len(got), len(want) - (margin < close))
    begin = 1 if got[:8] == want[1:9] else 0  # the program does not print a BOS that it adds
    same = got[:n - begin] == want[begin:n] and n >= len(encode(prompt.encode())) + 8
    print(f"{'ok   ' if same else 'WRONG'} {what} with {backend}: {n - begin} tokens, "
          f"smallest margin {margin:.3g}")
    if not same:
        print("  got ", got[:30], "\n  want", want[begin:begin + 30])
    return not same


# Keys that change the computation and that no llama has, and a value that does.
REFUSED = {"embedding_scale": 12.0, "residual_scale": 0.22, "attention.scale": 0.5,
           "logit_scale": 0.0625, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
           "attention.causal": False, "attention.max_alibi_bias": 8.0, "attention.clamp_kqv": 8.0,
           "use_parallel_residual": True, "expert_count": 8}
IGNORED = {"embedding_scale": 1.0, "logit_scale": 0.0, "attn_logit_softcapping": 0.0,
           "attention.causal": True, "use_parallel_residual": False, "expert_count": 0}


def refusals(path, keys, tensors):
    """A key is refused by its name, unless its value changes nothing."""
    wrong = 0
    for values, refused in ((REFUSED, True), (IGNORED, False)):
        for suffix, v in values.items():
            write_gguf(path, {**keys, "llama." + suffix: v}, tensors)
            message = ids_of(path, "Once", 6, "reference")
            named = isinstance(message, str) and suffix in message
            if named != refused or isinstance(message, str) != refused:
                print(f"WRONG llama.{suffix} = {v}: {message}")
                wrong += 1
    return wrong


def main():
    rng = np.random.Generator(np.random.PCG64(11))
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.gguf")
        for name in ("TinyLlama-1.1B", "SmolLM2-135M", "Qwen2.5-0.5B", "Llama-3.2-1B",
                     "Mistral-7B"):
            h, arch, (vocabulary, encode) = family(name)
            w, tensors = build(rng, h, "f32")
            write_gguf(path, {**keys_of(h, arch, name), **vocabulary}, tensors)
            for backend in ("reference", "fp32"):
                wrong += compare(name, path, h, w, encode, backend)
            if name == "TinyLlama-1.1B":
                wrong += refusals(path, {**keys_of(h, arch, name), **vocabulary}, tensors)
        # q8_0 and q4_0 are computed with 8-bit activations
        for form in [f for f in FORMS if f not in ("q8_0", "q4_0")]:
            h = dict(layers=1, context=64, vocab=512, dim=256, hidden=256, heads=4, kv_heads=2,
                     head_size=64, rotated=64, eps=1e-5,
                     base=10000.0, halves=False)
            vocabulary, encode = spm(512, "")
            w, tensors = build(rng, h, form)
            write_gguf(path, {**keys_of(h, "llama", form), **vocabulary}, tensors)
            k = form in ("q4_k", "q5_k", "q6_k")
            for backend in ("fp32",) if k else ("reference", "fp32"):
                wrong += compare(form, path, h, w, encode, backend)
            # blocks of 256 are computed in place; an activation may be rounded the other way
            for backend in ("reference", "int8") if k else ():
                wrong += compare(form, path, dict(h, act=eight_bits), w, encode, backend, 0.01)
    return 1 if wrong else 0


sys.exit(main())
