#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every architecture that duotale computes, as small random models: the likelihood of a text
against a forward pass in numpy, in double precision, written from the published formulas. Each
model is a Hugging Face folder with its names and config.json, and a GGUF file converted from it.

    architectures.py PROGRAM [NAME]        exit 77 where numpy is missing

For each: the folder with reference against numpy; the GGUF file against the folder, bit for bit; in
batches and with threads, bit for bit; q8_0 and q4_0 with int8 and int4 against reference, bit for
bit; q4_0 fitted to another text is nearer to the model than rounded q4_0.
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
    print("numpy is missing: skipped")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from hf_files import byte_characters, write_safetensors  # noqa: E402

TEXT = "One day a small fox found a red ball in the deep green wood and ran home."
VOCAB = 320
BOUND = 3e-6  # nats per token against numpy; figures have seven digits

program = sys.argv[1]


# ---- the forward pass ----

def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def silu(x):
    return x / (1 + np.exp(-x))


def rms(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def layer_norm(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias


def yarn_frequencies(h, dim):
    """YaRN, as published: interpolation, extrapolation and a ramp between."""
    plain = h["base"] ** (-np.arange(0, dim, 2) / dim)
    turn = lambda r: dim * np.log(h["original"] / (r * 2 * np.pi)) / (2 * np.log(h["base"]))
    low, high = max(np.floor(turn(32)), 0), min(np.ceil(turn(1)), dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / max(high - low, 0.001), 0, 1)
    return plain / h["factor"] * ramp + plain * (1 - ramp)


def frequencies(h, local):
    dim = h["rotated"]
    if local:
        return h["local_base"] ** (-np.arange(0, dim, 2) / dim), 1.0
    if h.get("yarn"):
        return yarn_frequencies(h, dim), 0.1 * np.log(h["factor"]) + 1
    plain = h["base"] ** (-np.arange(0, dim, 2) / dim)
    return plain * h.get("position_scale", 1) / h.get("divisors", 1), h.get("rope_attention", 1.0)


def rotate(h, x, local):
    """RoPE on (positions, heads, channels)."""
    freq, attention = frequencies(h, local)
    angle = np.outer(np.arange(len(x)), freq)
    cos, sin = (np.cos(angle) * attention)[:, None], (np.sin(angle) * attention)[:, None]
    r = h["rotated"]
    even = slice(0, r, 2) if h.get("pairs") else slice(0, r // 2)
    odd = slice(1, r, 2) if h.get("pairs") else slice(r // 2, r)
    out = x.copy()
    out[..., even] = x[..., even] * cos - x[..., odd] * sin
    out[..., odd] = x[..., odd] * cos + x[..., even] * sin
    return out


def attention(h, t, y, layer):
    n, hs = len(y), h["head_size"]
    windowed = h["windowed"](layer) if "windowed" in h else "window" in h
    q = y @ t("q").T + t("q.bias", 0)
    k = y @ t("k").T + t("k.bias", 0)
    v = (y @ t("v").T + t("v.bias", 0)).reshape(n, h["kv_heads"], hs)
    if h.get("qk") == "whole":
        q, k = rms(q, t("q.norm"), h["eps"]), rms(k, t("k.norm"), h["eps"])
    q, k = q.reshape(n, h["heads"], hs), k.reshape(n, h["kv_heads"], hs)
    if h.get("qk") == "before":
        q, k = rms(q, t("q.norm"), h["eps"]), rms(k, t("k.norm"), h["eps"])
    if not h.get("no_rope") and not ("nope" in h and h["nope"](layer)):
        local = windowed and "local_base" in h
        q, k = rotate(h, q, local), rotate(h, k, local)
    if h.get("qk") == "after":
        q, k = rms(q, t("q.norm"), h["eps"]), rms(k, t("k.norm"), h["eps"])
    group = h["heads"] // h["kv_heads"]
    score = np.einsum("qhc,khc->hqk", q, k.repeat(group, 1)) * h.get("score_scale", hs**-0.5)
    if "score_cap" in h:
        score = h["score_cap"] * np.tanh(score / h["score_cap"])
    at = np.arange(n)
    seen = at[None, :] <= at[:, None]
    if windowed:
        seen &= at[None, :] > at[:, None] - h["window"]
    score = np.where(seen, score, -np.inf)
    e = np.exp(score - score.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return np.einsum("hqk,khc->qhc", p, v.repeat(group, 1)).reshape(n, -1) @ t("o").T + \
        t("o.bias", 0)


def feed_forward(h, t, y):
    act = gelu if h.get("gelu") else silu
    up = y @ t("up").T + t("up.bias", 0)
    inner = act(up) if h.get("plain") else act(y @ t("gate").T + t("gate.bias", 0)) * up
    return inner @ t("down").T + t("down.bias", 0)


def logits_of(h, w, tokens):
    """Logits of all positions."""
    eps, residual = h["eps"], h.get("residual_scale", 1)
    x = w["embedding"][tokens] * h.get("embedding_scale", 1)
    if "positions" in w:
        x = x + w["positions"][:len(tokens)]

    def norm(x, name, get):
        if h.get("layer_norm"):
            return layer_norm(x, get(name), get(name + ".bias"), eps)
        return rms(x, get(name), eps) if get(name, None) is not None else x

    for layer in range(h["layers"]):
        def t(name, *default):
            return w.get(f"{layer}.{name}", *default) if default else w[f"{layer}.{name}"]
        y = attention(h, t, norm(x, "norm1", t), layer)
        if t("post1", None) is not None:
            y = rms(y, t("post1"), eps)
        x = x + residual * y
        y = feed_forward(h, t, norm(x, "norm2", t))
        if t("post2", None) is not None:
            y = rms(y, t("post2"), eps)
        x = x + residual * y
    x = norm(x, "norm", lambda name, *default: w.get(name, *default) if default else w[name])
    out = x @ w.get("head", w["embedding"]).T * h.get("logit_scale", 1)
    if "logit_cap" in h:
        out = h["logit_cap"] * np.tanh(out / h["logit_cap"])
    return out


def nats_per_token(h, w, tokens):
    logits = logits_of(h, w, np.array(tokens))[:-1]
    top = logits.max(-1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(-1))
    return (total - logits[np.arange(len(tokens) - 1), tokens[1:]]).mean()


# ---- weights ----

def make_weights(rng, h):
    """Names of this file -> arrays of binary32 values."""
    w = {}

    def add(name, *shape, around=0.0, spread=0.15):
        w[name] = (rng.standard_normal(shape) * spread + around).astype(np.float32)

    def add_norm(name, size):
        add(name, size, around=1.0, spread=0.1)
        if h.get("layer_norm"):
            add(name + ".bias", size)

    q, kv, dim = h["heads"] * h["head_size"], h["kv_heads"] * h["head_size"], h["dim"]
    add("embedding", VOCAB, dim)
    if h.get("learned"):
        add("positions", h["context"], dim)
    for layer in range(h["layers"]):
        p = f"{layer}."
        if not h.get("no_pre"):
            add_norm(p + "norm1", dim)
            add_norm(p + "norm2", dim)
        if h.get("post"):
            add(p + "post1", dim, around=1.0, spread=0.1)
            add(p + "post2", dim, around=1.0, spread=0.1)
        if "qk" in h:
            whole = h["qk"] == "whole"
            add(p + "q.norm", q if whole else h["head_size"], around=1.0, spread=0.1)
            add(p + "k.norm", kv if whole else h["head_size"], around=1.0, spread=0.1)
        shapes = {"q": (q, dim), "k": (kv, dim), "v": (kv, dim), "o": (dim, q),
                  "up": (h["hidden"], dim), "down": (dim, h["hidden"])}
        if not h.get("plain"):
            shapes["gate"] = (h["hidden"], dim)
        for name, shape in shapes.items():
            add(p + name, *shape)
            if name in h.get("biases", ()):
                add(p + name + ".bias", shape[0])
    add_norm("norm", dim)
    if not h.get("tied"):
        add("head", VOCAB, dim)
    return w


# ---- Hugging Face folders ----

LLAMA = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm", "q": "self_attn.q_proj",
         "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
         "q.norm": "self_attn.q_norm", "k.norm": "self_attn.k_norm", "gate": "mlp.gate_proj",
         "up": "mlp.up_proj", "down": "mlp.down_proj",
         "": ("model.layers.", "model.embed_tokens", "model.norm")}
SANDWICH = dict(LLAMA, norm2="pre_feedforward_layernorm", post1="post_attention_layernorm",
                post2="post_feedforward_layernorm")
HUNYUAN = dict(LLAMA, **{"q.norm": "self_attn.query_layernorm",
                         "k.norm": "self_attn.key_layernorm"})
SHARED_MLP = dict(LLAMA, gate="shared_mlp.gate", up="shared_mlp.up",
                  down="shared_mlp.output_linear")
GPT_NEO = {"norm1": "ln_1", "norm2": "ln_2", "q": "attn.attention.q_proj",
           "k": "attn.attention.k_proj", "v": "attn.attention.v_proj",
           "o": "attn.attention.out_proj", "up": "mlp.c_fc", "down": "mlp.c_proj",
           "": ("transformer.h.", "transformer.wte", "transformer.ln_f")}
EXAONE = dict(GPT_NEO, gate="mlp.c_fc_0", up="mlp.c_fc_1")
GPT2 = dict(GPT_NEO, o="attn.c_proj", **{"": ("h.", "wte", "ln_f")})


def folder_tensors(h, w):
    names = h["names"]
    prefix, embedding, final = names[""]
    out = {}
    for name, x in w.items():
        layer, dot, rest = name.partition(".")
        kind = ".bias" if name.endswith(".bias") else ".weight"
        if h.get("plus_one") and kind == ".weight" and \
                ("norm" in name or "post" in name):
            x = x - np.float32(1)
        if not layer.isdigit():
            base = {"embedding": embedding, "norm": final, "head": "lm_head",
                    "positions": embedding.replace("wte", "wpe")}[layer]
            out[base + kind] = x
            continue
        base = prefix + layer + "." + names[rest.removesuffix(".bias")]
        if h.get("columns") and x.ndim == 2:
            x = x.T
        out[base + kind] = x
    for fused, parts in h.get("fused", {}).items():
        axis = 1 if h.get("columns") else 0
        for layer in range(h["layers"]):
            for kind in (".weight", ".bias"):
                some = [f"{prefix}{layer}.{p}{kind}" for p in parts]
                if some[0] in out:
                    out[f"{prefix}{layer}.{fused}{kind}"] = np.concatenate(
                        [out.pop(s) for s in some], axis if kind == ".weight" else 0)
    if "drop_lm_head" in h:
        out.pop("lm_head.weight", None)
    return out


def write_folder(path, h, w):
    os.makedirs(path)
    config = {"vocab_size": VOCAB, "torch_dtype": "float32", **h["config"]}
    if "GPT2 sizes" not in h:
        config = {"hidden_size": h["dim"], "intermediate_size": h["hidden"],
                  "max_position_embeddings": h["context"], **config}
        if "GPT-Neo sizes" not in h:
            config = {"num_attention_heads": h["heads"], "num_key_value_heads": h["kv_heads"],
                      "head_dim": h["head_size"], **config}
            config.setdefault("num_hidden_layers", h["layers"])
            config.setdefault("rms_norm_eps", h["eps"])
            config.setdefault("rope_theta", h.get("hf_base", h.get("base")))
            config.setdefault("tie_word_embeddings", bool(h.get("tied")))
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump({k: v for k, v in config.items() if v != "absent"}, f)
    pieces = byte_characters()
    pieces += [f"piece{i}" for i in range(VOCAB - len(pieces))]
    tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None,
                 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False,
                                   "trim_offsets": True, "use_regex": True},
                 "post_processor": None, "decoder": {"type": "ByteLevel"},
                 "model": {"type": "BPE", "vocab": {p: i for i, p in enumerate(pieces)},
                           "merges": []}}
    with open(os.path.join(path, "tokenizer.json"), "w") as f:
        json.dump(tokenizer, f)
    write_safetensors(os.path.join(path, "model.safetensors"),
                      {name: (x.shape, np.ascontiguousarray(x).astype("<f4").tobytes())
                       for name, x in folder_tensors(h, w).items()})


# ---- the architectures ----

def sizes(dim=64, hidden=96, layers=3, heads=4, kv_heads=2, head_size=16, eps=1e-5, base=10000.0,
          **more):
    h = dict(dim=dim, hidden=hidden, layers=layers, heads=heads, kv_heads=kv_heads, context=128,
             head_size=head_size, rotated=head_size, eps=eps, base=base, names=LLAMA)
    h.update(more)
    return h


def llama_config(kind, **more):
    return {"model_type": kind, "hidden_act": "silu", **more}


ALL = ("q", "k", "v", "o", "gate", "up", "down")
TWO = [3.0, 1.5, 1.0, 1.0, 2.0, 4.0, 6.0, 9.0]
ONE = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]


def gemma(kind, **more):
    config = {"model_type": kind, "hidden_activation": "gelu_pytorch_tanh", "head_dim": 32,
              "query_pre_attn_scalar": more.pop("scalar", 32), "tie_word_embeddings": "absent",
              **more.pop("config", {})}
    return sizes(head_size=32, rotated=32, gelu=True, embedding_scale=8.0, plus_one=True, tied=True,
                 eps=1e-6, config=config, **more)


ARCHITECTURES = {
    "Qwen3": sizes(head_size=32, rotated=32, eps=1e-6, base=1e6, qk="before", tied=True,
                   config=llama_config("qwen3", attention_bias=False)),
    "Llama with biases": sizes(biases=ALL, config=llama_config("llama", attention_bias=True,
                                                               mlp_bias=True)),
    "SmolLM3": sizes(layers=8, base=5e6, tied=True, nope=lambda layer: layer % 4 == 3,
                     config=llama_config("smollm3", no_rope_layers=[1, 1, 1, 0] * 2,
                                         use_sliding_window=False)),
    "ERNIE-4.5": sizes(head_size=32, rotated=32, base=5e5, tied=True, pairs=True,
                       config=llama_config("ernie4_5", use_bias=False)),
    "Falcon3": sizes(head_size=32, rotated=32, eps=1e-6, base=1000042.0,
                     config=llama_config("llama")),
    "DeepSeek-Coder": sizes(base=1e5, position_scale=0.25, eps=1e-6,
                            config=llama_config("llama", rope_scaling={"type": "linear",
                                                                       "factor": 4.0})),
    "EXAONE": sizes(names=EXAONE, base=1e6,
                    config={"model_type": "exaone", "activation_function": "silu",
                            "num_layers": 3, "num_hidden_layers": "absent",
                            "layer_norm_epsilon": 1e-5, "rms_norm_eps": "absent"}),
    "Hunyuan-dense": sizes(names=HUNYUAN, qk="after", tied=True, hf_base=10000.0,
                           base=10000.0 * 1000.0 ** (16 / 14),
                           config=llama_config("hunyuan_v1_dense",
                                               rope_scaling={"type": "dynamic", "alpha": 1000.0,
                                                             "factor": 1.0})),
    "Granite": sizes(score_scale=0.05, embedding_scale=12.0, residual_scale=0.22,
                     logit_scale=1 / 8.0, tied=True,
                     config=llama_config("granite", attention_multiplier=0.05,
                                         embedding_multiplier=12.0, residual_multiplier=0.22,
                                         logits_scaling=8.0)),
    "Granite 4": sizes(score_scale=0.05, embedding_scale=12.0, residual_scale=0.22,
                       logit_scale=1 / 8.0, tied=True, names=SHARED_MLP,
                       fused={"shared_mlp.input_linear": ["shared_mlp.gate", "shared_mlp.up"]},
                       config=llama_config("granitemoehybrid", attention_multiplier=0.05,
                                           embedding_multiplier=12.0, residual_multiplier=0.22,
                                           logits_scaling=8.0, layer_types=["attention"] * 3,
                                           num_local_experts=0, num_experts_per_tok=0,
                                           position_embedding_type="rope", mamba_n_heads=128,
                                           shared_intermediate_size=96, intermediate_size=32)),
    "MiniCPM": sizes(embedding_scale=12.0, residual_scale=1.4 / 3**0.5, logit_scale=32 / 64,
                     tied=True, config=llama_config("minicpm", scale_emb=12, scale_depth=1.4,
                                                    dim_model_base=32,
                                                    tie_word_embeddings="absent")),
    "OLMo-2": sizes(names=SANDWICH, no_pre=True, post=True, qk="whole", eps=1e-6, base=5e5,
                    config=llama_config("olmo2")),
    "Phi-3": sizes(window=24, fused={"self_attn.qkv_proj": ["self_attn.q_proj", "self_attn.k_proj",
                                                            "self_attn.v_proj"],
                                     "mlp.gate_up_proj": ["mlp.gate_proj", "mlp.up_proj"]},
                   config=llama_config("phi3", sliding_window=24)),
    "Phi-4-mini": sizes(rotated=16, head_size=32, tied=True, divisors=np.array(TWO),
                        rope_attention=(1 + np.log(4) / np.log(32)) ** 0.5,
                        fused={"self_attn.qkv_proj": ["self_attn.q_proj", "self_attn.k_proj",
                                                      "self_attn.v_proj"],
                               "mlp.gate_up_proj": ["mlp.gate_proj", "mlp.up_proj"]},
                        config=llama_config("phi3", partial_rotary_factor=0.5, sliding_window=None,
                                            original_max_position_embeddings=32,
                                            rope_scaling={"type": "longrope", "long_factor": TWO,
                                                          "short_factor": ONE})),
    "Gemma": gemma("gemma"),
    "Gemma-3": gemma("gemma3_text", names=SANDWICH, layers=7, post=True, qk="before", window=16,
                     base=1e6, local_base=10000.0, windowed=lambda layer: layer % 6 != 5,
                     config={"sliding_window": 16, "rope_local_base_freq": 10000.0,
                             "attn_logit_softcapping": None, "final_logit_softcapping": None}),
    "Gemma-2": gemma("gemma2", names=SANDWICH, layers=4, post=True, window=16, score_cap=5.0,
                     logit_cap=3.0, windowed=lambda layer: layer % 2 == 0, score_scale=24**-0.5,
                     scalar=24, config={"sliding_window": 16, "attn_logit_softcapping": 5.0,
                                        "final_logit_softcapping": 3.0}),
    "GPT-2": sizes(kv_heads=4, hidden=256, layer_norm=True, plain=True, gelu=True, learned=True,
                   no_rope=True, tied=True, columns=True, names=GPT2, biases=ALL,
                   fused={"attn.c_attn": ["attn.attention.q_proj", "attn.attention.k_proj",
                                          "attn.attention.v_proj"]},
                   config={"model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 3,
                           "n_positions": 128, "n_inner": None, "layer_norm_epsilon": 1e-5,
                           "activation_function": "gelu_new"}, **{"GPT2 sizes": True}),
    "GPT-Neo": sizes(kv_heads=4, hidden=256, layers=4, layer_norm=True, plain=True, gelu=True,
                     learned=True, no_rope=True, tied=True, names=GPT_NEO, score_scale=1.0,
                     biases=("o", "up", "down"), window=16, windowed=lambda layer: layer % 2 == 1,
                     config={"model_type": "gpt_neo", "num_heads": 4, "num_layers": 4,
                             "intermediate_size": None, "window_size": 16,
                             "attention_types": [[["global", "local"], 2]],
                             "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"},
                     **{"GPT-Neo sizes": True}),
    "YaRN": sizes(base=1e6, yarn=True, factor=4.0, original=32,
                  config=llama_config("qwen2", rope_scaling={
                      "rope_type": "yarn", "factor": 4.0,
                      "original_max_position_embeddings": 32})),
    "Mistral's window": sizes(window=24, config=llama_config("mistral", sliding_window=24)),
    "rope_parameters": sizes(base=5e5, hf_base="absent", position_scale=0.5,
                             config=llama_config("llama", rope_parameters={
                                 "rope_type": "linear", "factor": 2.0, "rope_theta": 5e5})),
}


# ---- GGUF headers ----

# The tensors of layer 0 and of the model, as programs that read these architectures expect them.
NORMS = {"attn_norm.weight", "ffn_norm.weight"}
PARTS = {f"{x}.weight" for x in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down")}
GATED = PARTS | {"ffn_gate.weight"}
QK = {"attn_q_norm.weight", "attn_k_norm.weight"}
POST = {"post_attention_norm.weight", "post_ffw_norm.weight"}
FUSED = {"attn_qkv.weight", "attn_output.weight", "ffn_up.weight", "ffn_down.weight"}
LAYER_NORMS = NORMS | {"attn_norm.bias", "ffn_norm.bias"}
LEARNED = {"position_embd.weight", "output_norm.bias"}
LONG = {"rope_factors_long.weight", "rope_factors_short.weight"}

# name -> architecture, tensors of layer 0, other tensors, keys
HEADERS = {
    "Qwen3": ("qwen3", GATED | NORMS | QK, set(), {"attention.key_length": 32}),
    "Llama with biases": ("llama", GATED | NORMS | {x.replace("weight", "bias") for x in GATED},
                          {"output.weight"}, {}),
    "SmolLM3": ("smollm3", GATED | NORMS, set(), {}),
    "ERNIE-4.5": ("ernie4_5", GATED | NORMS, set(), {"attention.value_length": 32}),
    "DeepSeek-Coder": ("llama", GATED | NORMS, {"output.weight"},
                       {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "EXAONE": ("exaone", GATED | NORMS, {"output.weight"}, {}),
    "Hunyuan-dense": ("hunyuan-dense", GATED | NORMS | QK, set(), {}),
    "Granite": ("granite", GATED | NORMS, set(),
                {"attention.scale": 0.05, "embedding_scale": 12.0, "residual_scale": 0.22,
                 "logit_scale": 8.0}),
    "Granite 4": ("granite", GATED | NORMS, set(),
                  {"attention.scale": 0.05, "embedding_scale": 12.0, "residual_scale": 0.22,
                   "logit_scale": 8.0}),
    "MiniCPM": ("minicpm", GATED | NORMS, set(),
                {"embedding_scale": 12.0, "residual_scale": 1.4 / 3**0.5, "logit_scale": 2.0}),
    "OLMo-2": ("olmo2", GATED | QK | POST, {"output.weight"}, {}),
    "Phi-3": ("phi3", FUSED | NORMS, {"output.weight"}, {"attention.sliding_window": 24}),
    "Phi-4-mini": ("phi3", FUSED | NORMS, LONG,
                   {"rope.dimension_count": 16, "rope.scaling.original_context_length": 32,
                    "rope.scaling.attn_factor": (1 + float(np.log(4) / np.log(32))) ** 0.5}),
    "Gemma": ("gemma", GATED | NORMS, set(), {"attention.key_length": 32}),
    "Gemma-3": ("gemma3", GATED | NORMS | QK | POST, set(),
                {"attention.sliding_window": 16, "rope.freq_base": 1e6,
                 "rope.freq_base_swa": 10000.0}),
    "Gemma-2": ("gemma2", GATED | NORMS | POST, set(),
                {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}),
    "GPT-2": ("gpt2", FUSED | LAYER_NORMS | {x.replace("weight", "bias") for x in FUSED}, LEARNED,
              {"attention.layer_norm_epsilon": 1e-5, "context_length": 128}),
    "YaRN": ("qwen2", GATED | NORMS, {"output.weight"},
             {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
              "rope.scaling.original_context_length": 32}),
}


def read_header(path):
    """The keys that are numbers or strings, and the names of the tensors, of a GGUF file."""
    with open(path, "rb") as f:
        bytes_ = f.read()
    at = 8

    def field(form):
        nonlocal at
        v = struct.unpack_from("<" + form, bytes_, at)
        at += struct.calcsize("<" + form)
        return v[0]

    def text():
        nonlocal at
        n = field("Q")
        at += n
        return bytes_[at - n:at].decode(errors="replace")

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            item, n = field("I"), field("Q")
            return [value(item) for _ in range(n)]
        return field({4: "I", 5: "i", 6: "f", 7: "?"}[kind])

    tensors, count = field("Q"), field("Q")
    keys = {}
    for _ in range(count):
        name = text()
        keys[name] = value(field("I"))
    names = []
    for _ in range(tensors):
        names.append(text())
        dims = field("I")
        at += dims * 8 + 12
    return keys, names


def check_header(path, h):
    if h["name"] not in HEADERS:
        return []
    arch, layer, others, expected = HEADERS[h["name"]]
    keys, names = read_header(path)
    wrong = []
    got = {n.removeprefix("blk.0.") for n in names if n.startswith("blk.0.")}
    rest = {n for n in names if not n.startswith("blk.")}
    for what, have, want in (("tensors of layer 0", got, layer),
                             ("tensors", rest, others | {"token_embd.weight",
                                                         "output_norm.weight"})):
        if have != want:
            wrong.append(f"{what}: {sorted(have ^ want)} too many or missing")
    if keys["general.architecture"] != arch:
        wrong.append(f"architecture {keys['general.architecture']}; expected {arch}")
    for key, v in expected.items():
        found = keys.get(f"{arch}.{key}")
        if not (found == v or (isinstance(v, float) and found and abs(found / v - 1) < 1e-6)):
            wrong.append(f"key {key} is {found}; expected {v}")
    return wrong


# ---- runs ----

def score(model, text, *options):
    """nats per token, or the message of a failure."""
    done = subprocess.run([program, "eval", model, text, "--json", *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        return done.stderr.decode().strip()
    return json.loads(done.stdout)["nats_per_token"]


def divergence(model, text, backends):
    """The largest of KL divergences between two backends: 0 where all logits have the same bits."""
    done = subprocess.run([program, "eval", "--compare", model, model, text, "--json", "-b",
                           backends], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        return done.stderr.decode().strip()
    found = json.loads(done.stdout)
    return found["kl"]["max"] if found["first_difference"] is None else "another greedy text"


def convert(source, target, *options):
    done = subprocess.run([program, "convert", source, "-o", target, "-q", *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.stderr.decode().strip() if done.returncode else None


def check(folder, text, name, h):
    """Returns what is wrong, and the error against numpy."""
    wrong = []
    rng = np.random.Generator(np.random.PCG64(len(name)))
    w = make_weights(rng, h)
    model = os.path.join(folder, "model")
    write_folder(model, h, w)
    expected = nats_per_token(h, {k: v.astype(float) for k, v in w.items()}, list(TEXT.encode()))
    plain = score(model, text, "-b", "reference", "-j", "1")
    if isinstance(plain, str):
        return [plain], np.inf
    error = abs(plain - expected)
    if not error < BOUND:
        wrong.append(f"{plain:.7f} nats per token; numpy has {expected:.7f}")

    def same(what, got, like=plain):
        if got != like:
            wrong.append(f"{what}: {got}; expected {like}")

    same("batches of 7 columns, 2 threads", score(model, text, "-b", "reference", "-j", "2",
                                                  "--batch", "7"))
    fp32 = score(model, text, "-b", "fp32")  # its sums have another order
    if isinstance(fp32, str) or not abs(fp32 - expected) < BOUND:
        wrong.append(f"fp32: {fp32}; numpy has {expected:.7f}")
    gguf = os.path.join(folder, "x.gguf")
    problem = convert(model, gguf)
    if problem:
        return wrong + [problem], error
    same("GGUF", score(gguf, text, "-b", "reference"))
    wrong += check_header(gguf, h)
    again = os.path.join(folder, "again.gguf")
    same("GGUF, converted again", convert(gguf, again) or score(again, text, "-b", "reference"))
    for form, backend in (("q8_0", "int8"), ("q4_0", "int4")):
        quantised = os.path.join(folder, form + ".gguf")
        problem = convert(gguf, quantised, "-f", form)
        same(f"divergence of {form} with {backend}",
             problem or divergence(quantised, text, backend + ",reference"), 0)
    # the folder, and not the file: matrices in one are written in one
    fitted = os.path.join(folder, "fitted.gguf")
    problem = convert(model, fitted, "-f", "q4_0", "--calibrate", text + "-other")
    far = [distance(gguf, other, text) for other in (os.path.join(folder, "q4_0.gguf"), fitted)]
    if problem or isinstance(far[0], str) or not far[1] < 0.8 * far[0]:
        wrong.append(f"fitted: {problem or far[1]}; expected less than 0.8 * {far[0]}")
    return wrong, error


def distance(model, other, text):
    """The mean KL divergence of another model's tokens, computed in floats."""
    done = subprocess.run([program, "eval", "--compare", model, other, text, "--json", "-b",
                           "fp32"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return json.loads(done.stdout)["kl"]["mean"] if done.returncode == 0 else done.stderr.decode()


def other_text():
    """Words in an order that is no story's, for calibration."""
    words = TEXT.lower().replace(".", "").split() + "sun rain house bird went sat blue".split()
    rng = np.random.Generator(np.random.PCG64(3))
    return "\n<|endoftext|>\n".join(" ".join(rng.choice(words, 40)) for _ in range(8))


def main():
    failed = 0
    for name, h in ARCHITECTURES.items():
        if len(sys.argv) > 2 and sys.argv[2] != name:
            continue
        h["name"] = name
        with tempfile.TemporaryDirectory() as folder:
            text = os.path.join(folder, "text")
            with open(text, "w") as f:
                f.write(TEXT)
            with open(text + "-other", "w") as f:
                f.write(other_text())
            wrong, error = check(folder, text, name, h)
        print(f"{'WRONG' if wrong else 'ok   '} {name}: off by {error:.2g} nats per token")
        for line in wrong:
            print("      " + line)
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
