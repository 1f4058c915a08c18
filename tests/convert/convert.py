#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`duotale convert` as a program: its files run, convert back bit by bit,
and survive interruption and a full disk.

    convert.py PROGRAM SOURCE_ROOT [roads|sizes|folder|shared|interrupt|disk]

`shared` compares with files that llama2.c's exporter made, `sizes` uses a corpus; exit code 77
if those are missing.
"""
import filecmp
import json
import math
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from hf_files import write_safetensors  # noqa: E402

program, root = sys.argv[1], sys.argv[2]
word = sys.argv[3] if len(sys.argv) > 3 else "roads"
failures = 0


def check(what, holds):
    global failures
    print(("ok    " if holds else "WRONG ") + what)
    failures += not holds


def duotale(*args, **kw):
    return subprocess.run(
        [program, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw
    )


def convert(source, out, *args):
    done = duotale("convert", source, "-o", out, *args)
    if done.returncode:
        print(done.stderr.decode())
    return done.returncode == 0


def text(model, *args):
    done = duotale(
        "run",
        model,
        "-b",
        "reference",
        "-t",
        "0",
        "-n",
        "80",
        "-q",
        "-i",
        "Once upon a time",
        *args,
    )
    return done.stdout if done.returncode == 0 else b"failed: " + done.stderr


def default_model():
    models = os.path.join(root, "data", "models")
    with open(os.path.join(models, "default")) as f:
        return os.path.join(models, f.read().split()[0])


def same(a, b):
    return filecmp.cmp(a, b, shallow=False)


def metadata_and_damage(p):
    """A key that duotale does not use is copied; a weight that is not finite is refused."""
    data = bytearray(pathlib.Path(p("f32.gguf")).read_bytes())
    author = b"Ada Lovelace, the first of all"
    entry = struct.pack("<Q", 14) + b"general.writer" + struct.pack("<IQ", 8, 30) + author
    assert len(entry) == 64  # the data stay aligned
    keys = struct.unpack_from("<Q", data, 16)[0]
    header = data[:16] + struct.pack("<Q", keys + 1)
    pathlib.Path(p("author.gguf")).write_bytes(header + entry + data[24:])
    check(
        "metadata is copied",
        convert(p("author.gguf"), p("copied.gguf"), "-f", "q8_0")
        and author in pathlib.Path(p("copied.gguf")).read_bytes(),
    )
    struct.pack_into("<f", data, len(data) * 6 // 10 // 4 * 4, float("nan"))
    pathlib.Path(p("nan.gguf")).write_bytes(data)
    for form in ("f32", "q8_0"):
        done = duotale("convert", p("nan.gguf"), "-o", p("not.gguf"), "-f", form)
        check(
            f"nan to {form} is refused",
            done.returncode == 3 and b"is nan" in done.stderr and not os.path.exists(p("not.gguf")),
        )


def roads(work):
    """The default model in every format: the text stays the same, and the files convert back."""
    model = default_model()
    shape = json.loads(duotale("inspect", model, "--json", "--tensors").stdout)
    form = next(t["form"] for t in shape["tensors"] if "attn_q" in t["name"])
    p = lambda name: os.path.join(work, name)
    want = text(model)
    check(f"the default model ({form}) generates text", len(want) > 60)
    # the same weights in other files
    check("to GGUF, unconverted", convert(model, p("same.gguf")) and text(p("same.gguf")) == want)
    check(
        "to shards", convert(p("same.gguf"), p("shards"), "--shard") and text(p("shards")) == want
    )
    check(
        "shards are one model to inspect",
        json.loads(duotale("inspect", p("shards"), "--json", "--tensors").stdout)["tensors"]
        == shape["tensors"],
    )
    check(
        "from shards back to one file",
        convert(p("shards"), p("again.gguf"), "--name", "x")
        and convert(p("same.gguf"), p("direct.gguf"), "--name", "x")
        and same(p("again.gguf"), p("direct.gguf")),
    )
    # as fp32: three files, one text
    check("to llama2.c legacy", convert(model, p("v0.bin"), "-f", "f32", "--to", "llama2c-v0"))
    check("to llama2.c version 1", convert(model, p("v1.bin"), "-f", "f32", "--to", "llama2c-v1"))
    check("to GGUF, f32", convert(model, p("f32.gguf"), "-f", "F32"))
    metadata_and_damage(p)
    convert(p("f32.gguf"), p("vocabulary.bin"), "-f", "f32")  # also writes the vocabulary
    z = ["-z", p("vocabulary.tok.bin")]
    exact = text(p("f32.gguf"))
    check("GGUF f32 generates text", len(exact) > 60 and not exact.startswith(b"failed"))
    check("legacy generates the same text", text(p("v0.bin"), *z) == exact)
    check("version 1 generates the same text", text(p("v1.bin"), *z) == exact)
    check(
        "legacy to shards and back, bit by bit",
        convert(p("v0.bin"), p("v0-shards"), "--shard", *z)
        and convert(p("v0-shards"), p("v0-back.bin"))
        and same(p("v0.bin"), p("v0-back.bin")),
    )
    check(
        "legacy to GGUF and back, bit by bit",
        convert(p("v0.bin"), p("v0.gguf"), *z)
        and convert(p("v0.gguf"), p("v0-back.bin"))
        and same(p("v0.bin"), p("v0-back.bin")),
    )
    check(
        "version 1 to GGUF and back, bit by bit",
        convert(p("v1.bin"), p("v1.gguf"), *z)
        and convert(p("v1.gguf"), p("v1-back.bin"), "--to", "llama2c-v1")
        and same(p("v1.bin"), p("v1-back.bin")),
    )
    # llama2.c's groups, and back
    check(
        "to llama2.c version 2", convert(p("f32.gguf"), p("v2.bin"), "-f", "q8_0", "--group", "32")
    )
    check(
        "version 2 to GGUF and back, bit by bit",
        convert(p("v2.bin"), p("v2.gguf"), *z)
        and convert(p("v2.gguf"), p("v2-back.bin"))
        and same(p("v2.bin"), p("v2-back.bin")),
    )
    check(
        "version 2 to shards and back, bit by bit",
        convert(p("v2.bin"), p("v2-shards"), "--shard", *z)
        and convert(p("v2-shards"), p("v2-back.bin"))
        and same(p("v2.bin"), p("v2-back.bin")),
    )
    check(
        "version 2 in GGUF generates the text of version 2",
        text(p("v2.gguf")) == text(p("v2.bin"), *z),
    )
    check(
        "tokenizer.bin comes back",
        os.path.exists(p("v2-back.tok.bin")) and same(p("v2-back.tok.bin"), p("v0-back.tok.bin")),
    )
    # the other formats: they generate text, and their errors have the right size
    worst = {}
    for name in ("f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"):
        done = duotale("convert", p("f32.gguf"), "-o", p(name + ".gguf"), "-f", name, "--json")
        report = json.loads(done.stdout)
        worst[name] = report["largest_error"]
        check(
            f"{name}: largest error {worst[name]:.3g}; generates text",
            len(text(p(name + ".gguf"))) > 60,
        )
    check(
        "errors in their order",
        worst["f16"] < worst["bf16"] < worst["q4_0"] > worst["q8_0"]
        and max(worst["q8_0"], worst["bf16"]) < worst["q5_1"] < worst["q4_1"]
        and worst["q5_0"] < worst["q4_0"],
    )
    # invalid conversions
    for args, code, output in (
        ([p("f32.gguf"), "-o", p("x.bin"), "-f", "q4_0"], 3, "int8 groups"),
        ([p("f32.gguf"), "-o", p("x.txt")], 2, "choose the format with --to"),
        ([p("f32.gguf"), "-o", p("x.gguf"), "-f", "q9"], 2, "--format: must be one of"),
        ([p("f32.gguf"), "-o", p("shards"), "--shard"], 1, "already exists"),
        ([p("f32.gguf"), "-o", p("none/x.gguf")], 1, "No such file"),
        ([p("nothing.gguf"), "-o", p("x.gguf")], 3, "nothing.gguf"),
    ):
        done = duotale("convert", *args)
        line = done.stderr.decode()
        check(
            f"refused: {line.strip()}",
            done.returncode == code and output in line and line.count("\n") == 1,
        )
    check(
        "no partial file is left",
        not [f for f in os.listdir(work) if "partial" in f or f.startswith("x.")],
    )


def sizes(work):
    """Fewer bits per weight cost more bits per byte of text: the default model and another one."""
    shared = os.path.join(root, "..", "shared")
    corpus, other = os.path.join(shared, "corpus", "tinystories_truecased.txt"), os.path.join(
        shared, "models", "bedtime-2m"
    )
    if not os.path.exists(corpus) or not os.path.exists(other + ".bin"):
        print("skipped: ../shared/corpus or ../shared/models/bedtime-2m.bin is missing")
        sys.exit(77)
    p = lambda name: os.path.join(work, name)
    for model, *z in ([default_model()], [other + ".bin", "-z", other + ".tok.bin"]):
        bits, size = {}, {}
        for form in ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"):
            check(f"{form} is written", convert(model, p("x.gguf"), "-f", form, *z))
            done = duotale(
                "eval", p("x.gguf"), corpus, "--last", "30", "-b", "fp32", "-j", "1", "--json"
            )
            bits[form], size[form] = json.loads(done.stdout)["bits_per_byte"], os.path.getsize(
                p("x.gguf")
            )
            print(
                f"      {os.path.basename(model)} {form}:"
                f" {size[form]} bytes, {bits[form]:.6f} bits a byte"
            )
        exact = bits["f32"]
        check(
            "16 and 8 bits: within 0.05 % of 32",
            all(abs(bits[f] / exact - 1) < 0.0005 for f in ("f16", "bf16", "q8_0")),
        )
        check(
            "8 bits before 5, 5 before 4",
            bits["q8_0"] < min(bits["q5_1"], bits["q5_0"])
            and max(bits["q5_1"], bits["q5_0"]) < min(bits["q4_1"], bits["q4_0"]),
        )
        # about 7,000 tokens: forms of one width differ by less than this
        order = ["f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]
        check(
            "none is better than a larger one by more than 0.05 %",
            all(bits[a] < bits[b] * 1.0005 for a, b in zip(order, order[1:])),
        )
        check(
            "each is smaller than the one before",
            all(size[a] > size[b] for a, b in zip(order, order[1:])),
        )
        check("4 bits cost less than 3 %", bits["q4_0"] < exact * 1.03)


def write_folder(out, v0, tokenizer):
    """Makes a Hugging Face folder from a legacy llama2.c file and its tokenizer.bin."""
    with open(v0, "rb") as f:
        dim, hidden, layers, heads, kv_heads, vocab, context = struct.unpack("<7i", f.read(28))
        data = f.read()
    tied, vocab, hs, at = vocab > 0, abs(vocab), dim // heads, 0
    tensors = {}

    def read_matrix(name, *shape, halves=0):
        nonlocal at
        n = 4 * math.prod(shape)
        block, width = data[at : at + n], 4 * shape[-1]
        at += n
        if halves:  # within a head: even rows first, then odd ones
            order = [
                h * hs + i for h in range(halves) for i in [*range(0, hs, 2), *range(1, hs, 2)]
            ]
            block = b"".join(block[r * width : r * width + width] for r in order)
        tensors[name] = (shape, block)

    def each(name, *shape, halves=0):
        for i in range(layers):
            read_matrix(f"model.layers.{i}.{name}.weight", *shape, halves=halves)

    kv = kv_heads * hs
    read_matrix("model.embed_tokens.weight", vocab, dim)
    each("input_layernorm", dim)
    each("self_attn.q_proj", dim, dim, halves=heads)
    each("self_attn.k_proj", kv, dim, halves=kv_heads)
    each("self_attn.v_proj", kv, dim)
    each("self_attn.o_proj", dim, dim)
    each("post_attention_layernorm", dim)
    each("mlp.gate_proj", hidden, dim)
    each("mlp.down_proj", dim, hidden)
    each("mlp.up_proj", hidden, dim)
    read_matrix("model.norm.weight", dim)
    at += 4 * context * hs
    if not tied:
        read_matrix("lm_head.weight", vocab, dim)

    os.mkdir(out)
    names, files = list(tensors), 3
    index = {}
    for part in range(files):
        file = f"model-{part + 1:05}-of-{files:05}.safetensors"
        part_of = names[part::files]
        write_safetensors(os.path.join(out, file), {n: tensors[n] for n in part_of}, format="pt")
        index.update(dict.fromkeys(part_of, file))
    pieces = []
    with open(tokenizer, "rb") as f:
        f.read(4)
        for i in range(vocab):
            n = struct.unpack("<fi", f.read(8))[1]
            piece = f.read(n).decode()
            pieces.append(
                ("<unk>", "<s>", "</s>")[i]
                if i < 3
                else piece.replace(" ", "\u2581")
                if i > 258
                else piece
            )
    ids = {p: i for i, p in enumerate(pieces)}
    merges = [
        f"{p[:k]} {p[k:]}"
        for p in pieces[259:]
        for k in range(1, len(p))
        if p[:k] in ids and p[k:] in ids
    ]
    special = [{"id": i, "content": pieces[i], "special": True} for i in range(3)]
    texts = {
        "config.json": {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": dim,
            "intermediate_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "vocab_size": vocab,
            "max_position_embeddings": context,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": tied,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "rope_scaling": None,
        },
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": special,
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "\u2581"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
                ],
            },
            "pre_tokenizer": None,
            "model": {
                "type": "BPE",
                "byte_fallback": True,
                "unk_token": "<unk>",
                "vocab": ids,
                "merges": merges,
            },
        },
        "model.safetensors.index.json": {"metadata": {}, "weight_map": index},
    }
    for name, value in texts.items():
        with open(os.path.join(out, name), "w") as f:
            json.dump(value, f)


def folder(work):
    """A Hugging Face folder generates the llama2.c file's text and converts to the same GGUF."""
    p = lambda name: os.path.join(work, name)
    convert(default_model(), p("x.gguf"))
    convert(p("x.gguf"), p("v0.bin"), "-f", "f32", "--to", "llama2c-v0")
    write_folder(p("hf"), p("v0.bin"), p("v0.tok.bin"))
    check(
        "the folder generates the text of the file",
        text(p("hf")) == text(p("v0.bin"), "-z", p("v0.tok.bin")),
    )
    check(
        "the same GGUF from both",
        convert(p("hf"), p("a.gguf"), "--name", "x")
        and convert(p("v0.bin"), p("b.gguf"), "--name", "x", "-z", p("v0.tok.bin"))
        and same(p("a.gguf"), p("b.gguf")),
    )
    check(
        "and as q8_0",
        convert(p("hf"), p("a.gguf"), "--name", "x", "-f", "q8_0")
        and convert(p("v0.bin"), p("b.gguf"), "--name", "x", "-f", "q8_0", "-z", p("v0.tok.bin"))
        and same(p("a.gguf"), p("b.gguf")),
    )
    check(
        "the same llama2.c file, with groups",
        convert(p("hf"), p("a.bin"), "-f", "q8_0", "--group", 32)
        and convert(p("v0.bin"), p("b.bin"), "-f", "q8_0", "--group", 32)
        and same(p("a.bin"), p("b.bin")),
    )
    check("and its tokenizer.bin", same(p("a.tok.bin"), p("v0.tok.bin")))
    os.remove(p("hf/model-00002-of-00003.safetensors"))
    done = duotale("inspect", p("hf"))
    check(
        f"a missing shard: {done.stderr.decode().strip()}",
        done.returncode == 3 and b"weight_map" in done.stderr,
    )


def shared(work):
    """The files that llama2.c's exporter made of the same sources, byte by byte."""
    models = os.path.join(root, "..", "shared", "models")
    if not os.path.isdir(models):
        print("skipped: ../shared/models is missing")
        sys.exit(77)
    for source, tokenizer, group, want in (
        ("stories260K-h192.bin", "tok512.bin", 64, "stories260K-h192-q80-g64.bin"),
        ("stories260K-h192.bin", "tok512.bin", 32, "stories260K-h192-q80-g32.bin"),
        ("stories260K.bin", "tok512.bin", 4, "stories260K-q80-g4.bin"),
        ("bedtime-2m.bin", "bedtime-2m.tok.bin", 32, "bedtime-2m-q80-g32.bin"),
    ):
        out = os.path.join(work, want)
        ok = convert(
            os.path.join(models, source),
            out,
            "-z",
            os.path.join(models, tokenizer),
            "-f",
            "q8_0",
            "--group",
            group,
        )
        check(f"{want}: byte by byte", ok and same(out, os.path.join(models, want)))
    out, back = os.path.join(work, "x.gguf"), os.path.join(work, "x.bin")
    source, tokenizer = os.path.join(models, "stories260K.bin"), os.path.join(models, "tok512.bin")
    check(
        "stories260K to shards and back, byte by byte",
        convert(source, work + "/s", "--shard", "-z", tokenizer)
        and convert(work + "/s", back)
        and same(back, source)
        and same(work + "/x.tok.bin", tokenizer),
    )
    check(
        "stories260K to GGUF generates the same text",
        convert(source, out, "-z", tokenizer) and text(out) == text(source, "-z", tokenizer),
    )


def interrupt(work):
    """Fifty interruptions by three signals leave the old file or the complete new one."""
    random.seed(5)
    model = default_model()
    out = os.path.join(work, "out.gguf")
    begin = time.monotonic()
    assert convert(model, out, "-f", "f32")
    whole = time.monotonic() - begin
    with open(out, "rb") as f:
        new = f.read()
    old = b"the old file"
    seen = {"old": 0, "new": 0}
    for i in range(50):
        with open(out, "wb") as f:
            f.write(old)
        child = subprocess.Popen(
            [program, "convert", model, "-o", out, "-f", "f32"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        time.sleep(random.uniform(0, whole))
        child.send_signal((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[i % 3])
        line = child.communicate()[1].decode()
        with open(out, "rb") as f:
            found = f.read()
        seen["new" if found == new else "old"] += 1
        left = os.listdir(work)
        # a kill between link() and rename() leaves a name, which the next conversion removes
        partial = f".out.gguf.{child.pid}.partial"
        if child.returncode == -signal.SIGKILL and partial in left:
            left.remove(partial)
        if found not in (old, new) or left != ["out.gguf"]:
            check(f"moment {i}: {child.returncode} {line} {left}", False)
        if child.returncode == 130 and found != old:
            check(f"moment {i}: reports that it stopped, but wrote the file", False)
    check(
        f"fifty interruptions: the old file {seen['old']} times, the new one {seen['new']} times",
        seen["old"] > 0,
    )
    gone = subprocess.Popen(["true"])
    gone.wait()
    for process in (gone.pid, os.getpid()):
        with open(f"{work}/.out.gguf.{process}.partial", "wb") as f:
            f.write(b"part of a file")
    assert convert(model, out, "-f", "f32")
    mine = f".out.gguf.{os.getpid()}.partial"
    check(
        "what a killed conversion left is removed, a running one's file stays",
        sorted(os.listdir(work)) == [mine, "out.gguf"],
    )
    os.unlink(f"{work}/{mine}")
    # a folder of shards
    for i in range(10):
        child = subprocess.Popen(
            [program, "convert", model, "-o", work + "/shards", "--shard", "-f", "f32"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(random.uniform(0, whole))
        child.send_signal(signal.SIGINT)
        child.communicate()
        left = sorted(os.listdir(work))
        check(f"shards, moment {i}: {left}", left in (["out.gguf"], ["out.gguf", "shards"]))
        shutil.rmtree(work + "/shards", ignore_errors=True)


def disk(work):
    """A full disk: a message, exit code 1, and the old file is unchanged."""
    out = os.path.join(work, "out.gguf")
    with open(out, "wb") as f:
        f.write(b"the old file")

    def little_capacity():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))

    done = duotale("convert", default_model(), "-o", out, "-f", "f32", preexec_fn=little_capacity)
    line = done.stderr.decode()
    check(
        f"disk full: {line.strip()}",
        done.returncode == 1 and "out.gguf" in line and line.count("\n") == 1,
    )
    with open(out, "rb") as f:
        check("the old file is unchanged", f.read() == b"the old file")
    check("no other file is left", os.listdir(work) == ["out.gguf"])


with tempfile.TemporaryDirectory() as place:
    {
        "roads": roads,
        "sizes": sizes,
        "folder": folder,
        "shared": shared,
        "interrupt": interrupt,
        "disk": disk,
    }[word](place)
sys.exit(1 if failures else 0)
