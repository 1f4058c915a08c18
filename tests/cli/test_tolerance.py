#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Odd but usual files are read, and what a file asks for and duotale does not compute is refused
by name: keys of GGUF files and members of config.json, one by one."""
import json
import pathlib

import odd
from common import done, expect, expect_run, folder, run

PROMPT = "Once in the cat"


def score(path, text):
    """The likelihood of a text, and the messages."""
    result = run("eval", path, text, "-b", "reference", "-j", "1", "--json")
    found = json.loads(result.stdout)["nats_per_token"] if result.returncode == 0 else None
    return found, result.stderr.decode(errors="replace")


def same(what, model, plain, here, warning=None):
    """Expects the likelihood of the plain file, and a warning or none."""
    found, message = score(model.write(here / "odd.gguf"), here / "text")
    expect(what, found == plain, (found, plain, message))
    expect(f"{what}: warnings", bool(warning) == ("warning" in message)
           and (not warning or warning in message), message)


def refused(what, model, here, *words):
    path = here / "odd.gguf"
    model.write(path)
    result = run("eval", path, here / "text", "-b", "reference")
    if expect_run(what, result, 3):
        for word in words:
            expect(f"{what}: {word}", word.encode() in result.stderr, result.stderr)
        expect(f"{what}: one line", result.stderr.count(b"\n") == 1, result.stderr)


def listed(model, key, kind, times=2):
    """Makes a number of a key a list with the number for each layer."""
    model.set(key, f"arr:{kind}", [model.keys[key][1]] * times)
    return model


def tolerance(here):
    plain, message = score(odd.Gguf().write(here / "plain.gguf"), here / "text")
    expect("the plain file", plain is not None and "warning" not in message, message)
    types = odd.Gguf().keys["tokenizer.ggml.token_type"][1]
    for kind in ("u32", "i32", "i8", "u8"):
        same(f"types as {kind}",
             odd.Gguf().set("tokenizer.ggml.token_type", f"arr:{kind}", types), plain, here)
    for kind in ("u8", "i8", "u32", "i32", "bool"):
        same(f"a boolean as {kind}",
             odd.Gguf().set("tokenizer.ggml.add_bos_token", kind, 1), plain, here)
    refused("a boolean of 2", odd.Gguf().set("tokenizer.ggml.add_bos_token", "u8", 2), here,
            "add_bos_token")
    for key, kind in (("attention.head_count", "u32"), ("attention.head_count_kv", "i32"),
                      ("feed_forward_length", "u64"), ("attention.layer_norm_rms_epsilon", "f32")):
        same(f"{key} for each layer", listed(odd.Gguf(), f"llama.{key}", kind), plain, here)
    refused("layers of different widths", odd.Gguf().set("llama.feed_forward_length", "arr:u32",
                                                         [48, 32]), here, "feed_forward_length")
    for kind in ("u16", "i16", "i32", "u64", "i64"):
        same(f"a size as {kind}", odd.Gguf().set("llama.block_count", kind, 2), plain, here)
    same("epsilon as f64", odd.Gguf().set("llama.attention.layer_norm_rms_epsilon", "f64",
                                          odd.struct.unpack("<f", odd.struct.pack("<f", 1e-5))[0]),
         plain, here)
    for kind in ("none", "linear", "yarn"):
        same(f"scaling factor 0 with type {kind}",
             odd.Gguf().set("llama.rope.scaling.type", "str", kind)
             .set("llama.rope.scaling.factor", "f32", 0), plain, here)
    same("scaling factor 0", odd.Gguf().set("llama.rope.scaling.factor", "f32", 0), plain, here)
    for key in ("eos", "bos", "eot", "eom", "unknown"):
        key = f"tokenizer.ggml.{key}_token_id"
        same(f"{key} out of range", odd.Gguf().set(key, "u32", 99999), plain, here, key)
        same(f"{key} -1", odd.Gguf().set(key, "i32", -1), plain, here)
    same("one of eos_token_ids out of range",
         odd.Gguf().set("tokenizer.ggml.eos_token_ids", "arr:u32", [2, 99999]), plain, here,
         "tokenizer.ggml.eos_token_ids")
    same("GGUF version 2", version(odd.Gguf(), 2), plain, here)
    q, k, v = (odd.Gguf().tensors[f"blk.0.attn_{x}.weight"] for x in "qkv")
    model = odd.Gguf().drop(*(f"blk.0.attn_{x}.weight" for x in "qkv"))
    model.tensors["blk.0.attn_qkv.weight"] = (q[0] + k[0] + v[0], q[1], 0, q[3] + k[3] + v[3])
    same("q, k and v in one matrix", model, plain, here)
    text = odd.Gguf().set("tokenizer.chat_template", "str", "")
    same("an empty chat template", text, plain, here)


def version(model, number):
    model.version = number
    return model


def merges(here):
    plain, _ = score(odd.Gguf(vocab="bpe").write(here / "bpe.gguf"), here / "text")
    for what, dead in (("a header", ["#version: 0.2"]), ("pieces that do not exist", ["zz zz"]),
                       ("a result that does not exist", ["a z"]), ("a merge twice", ["Ġ t"])):
        model = odd.Gguf(vocab="bpe")
        model.set("tokenizer.ggml.merges", "arr:str", dead + odd.MERGES)
        same(f"merges with {what}", model, plain, here)
    same("no name of the rule", odd.Gguf(vocab="bpe").drop("tokenizer.ggml.pre"), plain, here,
         "tokenizer.ggml.pre is missing")
    same("the rule \"default\"", odd.Gguf(vocab="bpe", pre="default"), plain, here,
         "tokenizer.ggml.pre is default")
    refused("an unknown rule", odd.Gguf(vocab="bpe", pre="other"), here, "tokenizer.ggml.pre")


# key, values that change nothing, values that are refused
KEYS = (
    ("embedding_scale", "f32", (1, 0), (2,)),
    ("residual_scale", "f32", (1, 0), (0.5,)),
    ("logit_scale", "f32", (1, 0), (8,)),
    ("attention.scale", "f32", (0, 8**-0.5), (0.05,)),
    ("attn_logit_softcapping", "f32", (0,), (50,)),
    ("final_logit_softcapping", "f32", (0,), (30,)),
    ("router_logit_softcapping", "f32", (0,), (30,)),
    ("attention.causal", "bool", (True,), (False,)),
    ("attention.max_alibi_bias", "f32", (0,), (8,)),
    ("attention.clamp_kqv", "f32", (0,), (8,)),
    ("attention.output_scale", "f32", (0, 1), (2,)),
    ("attention.value_scale", "f32", (0, 1), (2,)),
    ("attention.temperature_length", "u32", (0,), (8192,)),
    ("attention.temperature_scale", "f32", (0,), (0.1,)),
    ("attention.kv_lora_rank", "u32", (0,), (512,)),
    ("attention.shared_kv_layers", "u32", (0,), (2,)),
    ("attention.key_length_swa", "u32", (8,), (16,)),
    ("rope.dimension_count_swa", "u32", (8,), (4,)),
    ("embedding_length_per_layer_input", "u32", (0,), (256,)),
    ("nextn_predict_layers", "u32", (0,), (1,)),
    ("use_parallel_residual", "bool", (False,), (True,)),
    ("rope.scaling.yarn_log_multiplier", "f32", (0,), (0.1,)),
    ("rope.scaling.type", "str", ("none", "linear"), ()),
    ("rope.scaling.finetuned", "bool", (True, False), ()),  # says nothing about a llama
    ("swin_norm", "bool", (False,), (True,)),
    ("swiglu_clamp_exp", "arr:f32", ([0, 0],), ([7, 7], [0, 7])),
    ("rescale_every_n_layers", "u32", (0,), (6,)),
    ("expert_count", "u32", (0,), (8,)),
    ("hidden_activation", "str", ("silu",), ("gelu",)),
)


def keys(here):
    plain, _ = score(odd.Gguf().write(here / "plain.gguf"), here / "text")
    for key, kind, neutral, others in KEYS:
        for value in neutral:
            same(f"{key} {value}", odd.Gguf().set(f"llama.{key}", kind, value), plain, here)
        for value in others:
            refused(f"{key} {value}", odd.Gguf().set(f"llama.{key}", kind, value), here,
                    f"llama.{key}" if key != "expert_count" else key)
    granite = odd.Gguf("granite").set("granite.rope.scaling.finetuned", "bool", False)
    refused("Granite without RoPE", granite, here, "granite.rope.scaling.finetuned")
    for key, kind, value in (("precompiled_charsmap", "arr:u8", [1, 2]),
                             ("normalizer.lowercase", "bool", True),
                             ("normalizer.strip_accents", "bool", True)):
        key = f"tokenizer.ggml.{key}"
        refused(key, odd.Gguf().set(key, kind, value), here, key)
    key = "tokenizer.ggml.remove_extra_whitespaces"
    same(key, odd.Gguf().set(key, "bool", True), plain, here, key)
    same(f"{key}, false", odd.Gguf().set(key, "bool", False), plain, here)


# member of config.json, values that change nothing, values that are refused
MEMBERS = (
    ("embedding_multiplier", (1,), (12,)), ("residual_multiplier", (1,), (0.2,)),
    ("attention_multiplier", (None,), (0.01,)), ("logits_scaling", (1,), (8,)),
    ("logit_scale", (1,), (0.06,)), ("scale_emb", (1,), (12,)), ("scale_depth", (0,), (1.4,)),
    ("attn_logit_softcapping", (None,), (50,)), ("final_logit_softcapping", (None,), (30,)),
    ("num_local_experts", (0, 1), (8,)), ("num_experts", (1,), (8,)),
    ("n_routed_experts", (None,), (64,)), ("clip_qkv", (None,), (8,)),
    ("use_parallel_residual", (False,), (True,)), ("parallel_attn", (False,), (True,)),
    ("alibi", (False,), (True,)), ("is_encoder_decoder", (False,), (True,)),
    ("use_bidirectional_attention", (False,), (True,)), ("hidden_act", ("silu",), ("relu",)),
    ("rope_scaling", (None, {"rope_type": "default"}), ({"rope_type": "other"},)),
    ("quantization_config", (None,), ({"quant_method": "awq"},)),
    ("layer_types", (["full_attention"] * 2,), (["linear_attention"] * 2,)),
    ("dtype", ("float32",), ()), ("pretraining_tp", (1, 2), ()),
)


def members(here):
    plain, _ = score(odd.Folder().write(here / "plain"), here / "text")
    expect("the plain folder", plain is not None)
    for name, neutral, others in MEMBERS:
        for value in neutral + others:
            model = odd.Folder()
            model.config[name] = value
            found, message = score(model.write(here / "folder"), here / "text")
            if value in neutral:
                expect(f"{name} {value}", found == plain, (found, plain, message))
            else:
                expect(f"{name} {value} is refused", found is None and name in message, message)


def windows(here):
    """Which layers have a window, and what Gemma-2 has where the file does not say it."""
    def gemma(**more):
        model = odd.Gguf("gemma2")
        for layer in range(2):
            for name in ("post_attention_norm", "post_ffw_norm"):
                model.add(f"blk.{layer}.{name}.weight", 0, 32, 1.0)
        model.set("gemma2.context_length", "u32", 8192)
        for key, (kind, value) in more.items():
            model.set(f"gemma2.attention.{key}", kind, value)
        return model.write(here / "gemma.gguf")
    shown = run("inspect", gemma()).stdout
    expect("Gemma-2's window", b"windows of 4096 positions" in shown, shown)
    whole = score(gemma(sliding_window=("u32", 0)), here / "text")[0]
    usual = score(gemma(sliding_window=("u32", 2)), here / "text")[0]
    all_layers = score(gemma(sliding_window=("u32", 2), sliding_window_pattern=("u32", 0)),
                       here / "text")[0]
    none = score(gemma(sliding_window=("u32", 2), sliding_window_pattern=("u32", 1)),
                 here / "text")[0]
    second = score(gemma(sliding_window=("u32", 2),
                         sliding_window_pattern=("arr:bool", [True, False])), here / "text")[0]
    expect("a pattern of 1 has no windows", none == whole, (none, whole))
    expect("of 0: all layers", len({whole, usual, all_layers}) == 3, (whole, usual, all_layers))
    expect("a list of layers", second == usual, (second, usual))


def case(here):
    path = odd.Gguf(dim=32).write(here / "plain.gguf")
    for form in ("q8_0", "Q8_0", "F16", "Bf16"):
        expect_run(f"-f {form}", run("convert", path, "-o", here / "form.gguf", "-f", form, "-q"),
                   0)
    expect_run("-f q9", run("convert", path, "-o", here / "form.gguf", "-f", "q9"), 2)


def main():
    with folder() as spot:
        here = pathlib.Path(spot)
        (here / "text").write_text(PROMPT)
        tolerance(here)
        merges(here)
        keys(here)
        members(here)
        windows(here)
        case(here)
    done()


if __name__ == "__main__":
    main()
