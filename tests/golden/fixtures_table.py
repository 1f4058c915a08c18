#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tables of how many texts and dialogues a program reads as the reference implementations do, by
vocabulary and by chat template; for docs/formats.md.

    fixtures_table.py FIXTURES PROGRAM [PROGRAM]

With two programs, the first is an earlier one. A program with the verb `tokenize` is asked with it:
all texts, all dialogues. One without it is asked with `run`, on small random models with these
vocabularies: the prompt's tokens of all texts; and of the dialogues that have one message of the
user, since `run` reads no answers, whether the model answers what it answers in the last program,
which it does where it reads the same. Exit code 77: the fixtures are missing.
"""
import json
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from hf_files import byte_characters, write_safetensors  # noqa: E402

DIM = 32
MARKERS = re.compile(r"(?<!<)<[^<>\s]{1,40}>(?!>)")
BRACKETS = re.compile(r"\[/?[A-Z_]+\]")  # tokens of Mistral's later vocabularies


def call(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=60)


def write_model(path, vocab, config):
    """The weights of a small Llama and its config.json."""
    rng = random.Random(1)
    tensors = {"model.embed_tokens.weight": [vocab, DIM], "model.norm.weight": [DIM]}
    for name, shape in (("self_attn.q_proj", [DIM, DIM]), ("self_attn.k_proj", [DIM, DIM]),
                        ("self_attn.v_proj", [DIM, DIM]), ("self_attn.o_proj", [DIM, DIM]),
                        ("mlp.gate_proj", [DIM, DIM]), ("mlp.up_proj", [DIM, DIM]),
                        ("mlp.down_proj", [DIM, DIM]), ("input_layernorm", [DIM]),
                        ("post_attention_layernorm", [DIM])):
        tensors[f"model.layers.0.{name}.weight"] = shape
    blocks = {}
    for name, shape in tensors.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [1.0] * count if len(shape) == 1 else [rng.gauss(0, 0.5) for _ in range(count)]
        blocks[name] = (shape, struct.pack(f"<{count}f", *values))
    write_safetensors(path / "model.safetensors", blocks)
    (path / "config.json").write_text(json.dumps({
        "model_type": "llama", "hidden_size": DIM, "intermediate_size": DIM, "vocab_size": vocab,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
        "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": True, "hidden_act": "silu", **config}))


def generated(program, prompt, *arguments):
    """The ids and positions of the prompt's or the other tokens in the JSON of `run`; None: it
    refuses."""
    result = call(program, "run", *arguments, "--json", "-q", "-b", "reference", "-s", "7")
    if result.returncode:
        return None
    rows = [json.loads(line) for line in result.stdout.decode().splitlines()]
    return [(row["id"], row["position"]) for row in rows if row.get("prompt") is prompt]


# ---- vocabularies ----

def same_text(program, path, row, tokenizes):
    if tokenizes:
        result = call(program, "tokenize", path, row["text"], "--json")
        return not result.returncode and json.loads(result.stdout)["ids"] == row["ids"]
    found = generated(program, True, path, "-i", row["text"], "-n", len(row["ids"]) + 8)
    found = found and [i for i, _ in found]
    return found in (row["ids"], found and found[:1] + row["ids"])  # with BOS, or without


def vocabularies(programs, fixtures, here):
    print("| vocabulary | texts |" + "".join(f" {name} |" for name, *_ in programs))
    print("|---|---|" + "---|" * len(programs))
    for source in sorted((fixtures / "reduced").iterdir()):
        path = here / source.name
        path.mkdir()
        tokenizer = (source / "tokenizer.json").read_text(encoding="utf-8")
        (path / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        ids = [*json.loads(tokenizer)["model"]["vocab"].values(),
               *(t["id"] for t in json.loads(tokenizer)["added_tokens"])]
        write_model(path, max(ids) + 1, {})
        rows = [json.loads(line) for line in
                (source / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
        rows = [row for row in rows if row["text"] and "\0" not in row["text"]]
        print(f"| {source.name} | {len(rows)} |" +
              "".join(f" {sum(same_text(p, path, row, t) for row in rows)} |"
                      for _, p, t in programs), flush=True)


# ---- templates ----

def template_folder(path, template, row):
    path.mkdir()
    pieces = byte_characters()
    markers = {row["bos_token"], row["eos_token"], *MARKERS.findall(template)} - {""}
    if row["template"] in ("mistral-v0.3", "mistral-nemo(v3-tekken)"):
        markers |= {*BRACKETS.findall(template)}
    markers = sorted(markers)
    (path / "tokenizer.json").write_text(json.dumps({
        "added_tokens": [{"id": 256 + i, "content": m, "special": True}
                         for i, m in enumerate(markers)],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {p: i for i, p in enumerate(pieces)}, "merges": []}}))
    (path / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": row["bos_token"], "eos_token": row["eos_token"], "chat_template": template,
        "add_bos_token": "bos_token" in template}))
    ids = {m: 256 + i for i, m in enumerate(markers)}
    write_model(path, 256 + len(markers), {"bos_token_id": ids.get(row["bos_token"]),
                                           "eos_token_id": ids.get(row["eos_token"])})


def same_dialogue(program, last, path, row, tokenizes):
    if tokenizes:
        messages = path / "messages.json"
        messages.write_text(json.dumps(row["messages"]))
        result = call(program, "tokenize", path, "--chat", messages, "--date", "2024-07-26",
                      "--json")
        if row["error"] is not None:
            return result.returncode == 3 and row["error"].encode() in result.stderr
        return not result.returncode and json.loads(result.stdout)["rendered"] == row["rendered"]
    system = ["-y", row["messages"][0]["content"]] if len(row["messages"]) == 2 else []
    found, right = (generated(p, False, path, "-m", "chat", "-t", "1", *system, "-i",
                              row["messages"][-1]["content"], "-n", 2000) for p in (program, last))
    return found == right


def is_one_turn(row):
    return [m["role"] for m in row["messages"]] in (["user"], ["system", "user"])


def templates(programs, fixtures, here):
    all_templates = json.loads((fixtures / "chat-templates.json").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in
            (fixtures / "chat.jsonl").read_text(encoding="utf-8").splitlines()]
    print("| template |" + "".join(f" {name} |" for name, *_ in programs))
    print("|---|" + "---|" * len(programs))
    for number, (name, template) in enumerate(all_templates.items()):
        own = [row for row in rows if row["template"] == name]
        path = here / f"template{number}"
        template_folder(path, template, own[0])
        cells = []
        for _, program, tokenizes in programs:
            asked = own if tokenizes else [row for row in own if is_one_turn(row)]
            right = sum(same_dialogue(program, programs[-1][1], path, row, tokenizes)
                        for row in asked)
            cells.append(f" {right} of {len(asked)} |")
        print(f"| {name} |" + "".join(cells), flush=True)


def main():
    fixtures = pathlib.Path(sys.argv[1])
    if not (fixtures / "chat.jsonl").exists():
        print(f"{fixtures}/chat.jsonl is missing")
        return 77
    names = ["before", "now"] if len(sys.argv) > 3 else ["now"]
    programs = [(name, program, call(program, "tokenize", "--help").returncode == 0)
                for name, program in zip(names, sys.argv[2:])]
    with tempfile.TemporaryDirectory() as folder:
        vocabularies(programs, fixtures, pathlib.Path(folder))
        print()
        templates(programs, fixtures, pathlib.Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
