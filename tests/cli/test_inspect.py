#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""duotale inspect: what it shows of every file, also of one that is refused; and what convert
keeps of a Hugging Face folder."""
import json
import pathlib

import odd
from common import done, expect, expect_run, folder, run

CARD = """---
license: apache-2.0
license_name: "a name"
model_creator: 'Ada: the first'
tags:
- story
- small   # a comment
pipeline_tag: text-generation
language: [en, "de"]
base_model:
  - owner/Base-1B
widget:
  - text: nothing
---
# A model
license: none
"""


def inspect(what, path, code, *lines):
    """Tests the exit code and that lines begin so; always two of them."""
    result = run("inspect", path)
    if not expect_run(what, result, code):
        return result
    found = result.stdout.decode(errors="replace").split("\n")
    for line in ("pre-tokenizer: ", "ends: ", *lines):
        expect(f"{what}: {line!r}", any(f.startswith(line) for f in found), found[:14])
    if code:
        expect(f"{what}: the error", result.stderr.count(b"\n") == 1, result.stderr)
    as_json = run("inspect", path, "--json")
    if expect_run(f"{what}, as JSON", as_json, code):
        shown = json.loads(as_json.stdout)
        expect(f"{what}, as JSON: words", "pre_tokenizer" in shown["vocabulary"]
               and "ends" in shown["vocabulary"], shown["vocabulary"])
    return result


def ggufs(here):
    def gguf(*a, **k):
        return odd.Gguf(*a, **k)
    sizes = "dim 32, hidden 48, 2 layers, 4 heads"
    path = gguf().write(here / "ok.gguf")
    inspect("a file that is accepted", path, 0, sizes, "pre-tokenizer: none", "ends: 2 </s>")
    path = gguf("mamba").set("general.author", "str", "Ada").write(here / "mamba.gguf")
    inspect("an architecture without a row", path, 3, f"{path}: GGUF v3, architecture mamba",
            "not supported: state-space layers", "name: odd", "author: Ada", sizes,
            "21 tensors in F32", "ends: 2 </s>", "refused: architecture is mamba")
    inspect("an unknown architecture", gguf("zzz").write(here / "zzz.gguf"), 3,
            "not supported: an architecture that duotale does not know", sizes)
    path = gguf().drop("blk.1.attn_q.weight", "blk.0.ffn_up.weight").write(here / "m.gguf")
    inspect("missing tensors", path, 3,
            "missing tensors: 2 (blk.0.ffn_up.weight, blk.1.attn_q.weight)", "19 tensors in F32")
    path = gguf().add("blk.0.attn_sinks.weight", 0, 4).write(here / "sinks.gguf")
    inspect("a tensor too many", path, 3,
            "tensors that are not part of this architecture: 1 (blk.0.attn_sinks.weight)")
    model = gguf(dim=256, hidden=256)
    rows, cols, _, _ = model.tensors["blk.0.attn_q.weight"]
    model.tensors["blk.0.attn_q.weight"] = (rows, cols, 16, bytes(rows * cols // 256 * 66))
    inspect("an unsupported weight format", model.write(here / "iq2.gguf"), 3,
            "1 tensors in IQ2_XXS: 65536 values", "20 tensors in F32")
    path = gguf(vocab="bpe", pre="foo", specials=("<s>", "<|im_end|>")).write(here / "pre.gguf")
    inspect("an unknown pre-tokenizer", path, 3, "pre-tokenizer: foo", "ends: 266 <|im_end|>")
    path = gguf().set("llama.expert_count", "u32", 8).write(here / "moe.gguf")
    inspect("experts", path, 3, sizes, "refused: expert_count is 8")
    path = gguf().set("general.type", "str", "adapter").write(here / "lora.gguf")
    inspect("a LoRA adapter", path, 3, "type: adapter", "refused: the file is a LoRA adapter")
    inspect("an mmproj", gguf("clip").write(here / "clip.gguf"), 3,
            "not supported: an encoder of images")
    whole = pathlib.Path(gguf().write(here / "whole.gguf")).read_bytes()
    for part in range(1, 16):
        path = here / "cut.gguf"
        path.write_bytes(whole[:len(whole) * part // 16])
        inspect(f"{part}/16 of a file", path, 3, f"{path}: GGUF v3, architecture llama", sizes)
    for n in list(range(24, 400, 37)) + [2000]:
        path.write_bytes(whole[:n])
        inspect(f"the first {n} bytes", path, 3, f"{path}: GGUF v3")
    path = gguf("a\nb\x1b[31m").write(here / "name.gguf")
    result = inspect("an architecture with control characters", path, 3)
    expect("they are cleaned", b"\x1b" not in result.stdout + result.stderr, result)


def folders(here):
    sizes = "dim 32, hidden 48, 2 layers, 4 heads"
    words = ("vocabulary: byte-level BPE, 267 pieces", "ends: 266 <|end|>")
    model = odd.Folder()
    model.config["model_type"] = "qwen3_next"
    inspect("an unknown type", model.write(here / "unknown"), 3, "not supported: linear attention",
            sizes, *words)
    model = odd.Folder()
    model.config = {"model_type": "gemma3", "text_config": model.config}
    inspect("sizes inside text_config", model.write(here / "inside"), 3, sizes)
    model = odd.Folder()
    model.config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    inspect("GPTQ", model.write(here / "gptq"), 3, sizes, "refused: the weights are quantised")
    model = odd.Folder()
    del model.tensors["model.layers.1.mlp.up_proj.weight"]
    inspect("missing tensors of a folder", model.write(here / "missing"), 3,
            "missing tensors: 1 (model.layers.1.mlp.up_proj.weight)", "19 tensors in F32", *words)
    model = odd.Folder()
    model.tokenizer["pre_tokenizer"] = odd.sequence(odd.split(r"\p{Han}+"), odd.BYTE_LEVEL)
    inspect("an unknown pattern", model.write(here / "pattern"), 3, "pre-tokenizer: unknown",
            sizes, *words)
    path = odd.Folder().write(here / "damaged")
    with open(path / "tokenizer.json", "r+b") as out:
        out.truncate(900)
    inspect("a damaged tokenizer.json", path, 3, sizes, "vocabulary: none", "ends: none")
    path = odd.Folder().write(here / "cut")
    with open(path / "model.safetensors", "r+b") as out:
        out.truncate(40)
    inspect("a damaged safetensors file", path, 3, sizes, *words)
    inspect("no weights", odd.Folder().write(here / "none", weights_too=False), 3, sizes, *words,
            "refused: the folder has a config.json, but no model.safetensors")
    (here / "lora").mkdir()
    (here / "lora" / "adapter_config.json").write_text("{}")
    inspect("a LoRA folder", here / "lora", 3, "refused: the folder is a LoRA adapter")


def others(here):
    (here / "x.zip").write_bytes(b"PK\3\4" + bytes(100))
    inspect("an archive", here / "x.zip", 3, f"{here}/x.zip: no model that duotale knows",
            "ends: none", "refused: the file is a zip archive")
    (here / "empty").write_bytes(b"")
    inspect("an empty file", here / "empty", 3)
    result = run("inspect", here / "nothing")
    expect("no file: only the error", result.returncode == 3 and not result.stdout, result)


def shown(path):
    return json.loads(run("inspect", path, "--json").stdout)


def ids(path, text, *options):
    return json.loads(run("tokenize", path, text, "--json", *options).stdout)["ids"]


def round_trip(here):
    """What a folder says is in the GGUF file that convert writes of it."""
    model = odd.Folder(specials=("<|begin|>", "<|end|>", "<|eom_id|>", "<pad>", "<|stop|>",
                                 ("<think>", 4)))
    default = "{{ bos_token }}{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"
    tools = "T{{ messages[-1].content }}<|stop|>"
    model.config["eos_token_id"] = [266, 269]
    model.tokenizer_config = {
        "bos_token": "<|begin|>", "pad_token": "<pad>",
        "chat_template": [{"name": "default", "template": default},
                          {"name": "tool_use", "template": tools}]}
    model.files = {"README.md": CARD, "additional_chat_templates/rag.jinja": "R",
                   "generation_config.json": {"temperature": 0.5, "top_p": 0.75, "top_k": 7,
                                              "eos_token_id": 266, "do_sample": True}}
    source, target = model.write(here / "trip"), here / "trip.gguf"
    expect_run("convert a folder", run("convert", source, "-o", target, "-q"), 0)
    before, after = shown(source), shown(target)
    for key in ("license", "chat_template_bytes", "chat_templates"):
        expect(f"{key} is kept", before[key] == after[key], (before[key], after[key]))
    expect("the templates", after["chat_templates"] == {"tool_use": len(tools), "rag": 1}, after)
    expect("the licence", after["license"] == "apache-2.0", after["license"])
    expect("the facts", after["metadata"] == {
        "general.author": "Ada: the first", "general.license.name": "a name",
        "general.tags": ["story", "small", "text-generation"], "general.languages": ["en", "de"],
        "general.base_model.0.name": "Base-1B", "general.base_model.0.organization": "owner"},
        after["metadata"])
    for key in ("bos", "eos", "ends", "size", "pre_tokenizer"):
        expect(f"{key} is kept", before["vocabulary"][key] == after["vocabulary"][key],
               (before["vocabulary"], after["vocabulary"]))
    expect("all ends", [e["id"] for e in after["vocabulary"]["ends"]] == [266, 267, 269],
           after["vocabulary"])
    header = target.read_bytes()
    for key, value in (("tokenizer.ggml.padding_token_id", 268),
                       ("tokenizer.ggml.eom_token_id", 267), ("tokenizer.ggml.eos_token_id", 266)):
        expect(f"{key}", odd.text(key) + odd.encoded("u32", value) in header)
    for key, value in (("temp", 0.5), ("top_p", 0.75), ("top_k", 7.0)):
        name = odd.text(f"general.sampling.{key}")
        expect(f"general.sampling.{key}", name + odd.encoded("f32", value) in header)
    for text in ("Once in the cat", "  a<think>b\n", "été <|end|>", "1234"):
        expect(f"the ids of {text!r}", ids(source, text) == ids(target, text),
               (ids(source, text), ids(target, text)))
    (here / "chat.json").write_text('[{"role": "user", "content": "Once"}]')
    chat = [run("tokenize", m, "--chat", here / "chat.json", "--json").stdout
            for m in (source, target)]
    expect("a dialogue", chat[0] == chat[1] and b"ids" in chat[0], chat)
    again = here / "again.gguf"
    expect_run("convert it again", run("convert", target, "-o", again, "-q"), 0)
    twice = shown(again)
    for key in ("license", "chat_templates", "metadata", "vocabulary"):
        expect(f"{key} is kept again", twice[key] == after[key], (twice[key], after[key]))
    for path in (source, target):
        result = run("run", path, "-m", "chat", "--chat-template", "rag", "-i", "Once", "-n", "2")
        expect_run("a template without the prompt", result, 3, stderr=b"chat template rag")
        result = run("run", path, "-m", "chat", "--chat-template", "tool_use", "-i", "Once", "-n",
                     "9", "-q", "-t", "0")
        expect_run("a named template", result, 0)
        expect_run("no such template", run("run", path, "-m", "chat", "--chat-template", "other",
                                           "-i", "Once"), 2, stderr=b"--chat-template")


def cards(here):
    """Headers of model cards that are odd leave nothing out and break nothing."""
    for name, card, metadata in (
            ("no header", "# A model\n", {}), ("empty", "", {}), ("no end", "---\ntags: a\n", {}),
            ("CRLF", "---\r\ntags:\r\n- a\r\n---\r\n", {"general.tags": ["a"]}),
            ("an empty list", "---\ntags: []\n---\n", {}),
            ("many lines", "---\ndescription: |\n  a\n  b\ntags: [x]\n---\n",
             {"general.tags": ["x"]}),
            ("a nested list", "---\ntags:\n  - a\n  - b: c\nmodel-index:\n- name: x\n---\n",
             {"general.tags": ["a"]}),
            ("noise", "---\n\0\xff: [\n- ---\n---\n", {})):
        model = odd.Folder()
        model.files = {"README.md": card}
        path = model.write(here / "card")
        result = run("inspect", path, "--json")
        if expect_run(f"a card: {name}", result, 0):
            found = json.loads(result.stdout)["metadata"]
            expect(f"a card: {name}", found == metadata, found)


def main():
    with folder() as spot:
        here = pathlib.Path(spot)
        ggufs(here)
        folders(here)
        others(here)
        round_trip(here)
        cards(here)
    done()


if __name__ == "__main__":
    main()
