#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""release.py CORPUS [--run DIR] [--out DIR]: measures a finished run and writes the shipped files:
model files, model card, loss curve and log."""
import argparse
import json
import os
import random
import re
import shutil
import time

import numpy as np

import corpus
import export
import generate
import model
import tokenizer
import train
from corpus import stop

OPENINGS = ["Once upon a time", "One day, a little frog", "Lily and Tom were",
            "The sun was warm and", "There was an old tree", "In a small house by the sea",
            "Tim had a red ball.", "A kind dragon lived", "It was a rainy day and",
            "Mia could not sleep."]
ASKED = ["Tell me a story about a frog and a red ball.", "Tell me a story about a dragon.",
         "Can you tell me a story about a girl named Mia and a boat?",
         "A story about a cake, please.", "Please tell me a story about a rabbit and the moon.",
         "Write a story about a lost kitten.", "Tell me about a train.",
         "I want a story about a bear and some honey.", "Tell me a bedtime story about a star.",
         "Make up a story about a king and a mouse."]
FOLLOW = ["What happened next?", "Tell me another one."]


def load(run):
    path = os.path.join(run, "checkpoint.npz")
    try:
        with np.load(path) as c:
            shape = model.Shape(*(int(x) for x in c["shape"]))
            return shape, c["flat"].astype(np.float32), json.loads(str(c["state"]))
    except (OSError, KeyError, ValueError) as e:
        stop(f"cannot read the checkpoint {path}: {e}; run train.py first")


def requests(valid, topics, n):
    """n requests made from validation stories, each with the 1 to 3 words it names"""
    rng, out = random.Random(17), []
    while len(out) < n:
        r = corpus.request(topics, rng.choice(valid), rng)
        if r and len(r[1]) <= 3:
            out.append(r)
    return out


def follows(stories, asked):
    """Share of the requested words that occur in the stories"""
    hit = total = 0
    for s, words in zip(stories, asked):
        have = set(w.lower() for w in re.findall(r"[A-Za-z]+", s))
        hit += sum(w.lower() in have for w in words)
        total += len(words)
    return hit / total


def measure(shape, flat, tok, train_set, valid, stories=None):
    encode = tok.encode
    held = train.plain_rows(valid[:stories], encode, shape.context)
    size = train.story_bytes(valid[:stories])
    out = {}
    for name, int8 in (("float", False), ("int8", True)):
        out[name] = generate.Net(shape, flat, int8).nats(held) / np.log(2) / size
        print(f"bits per byte, {name}: {out[name]:.4f}", flush=True)
    out["int8_excess_percent"] = 100 * (out["int8"] / out["float"] - 1)
    topics = corpus.Topics(train_set)
    asked = requests(valid, topics, 100)
    net = generate.Net(shape, flat, True)
    output, ended = generate.generate(net, [[1] + encode(q + "\n\n") for q, _ in asked])
    output = [tok.decode(t) for t in output]
    words = [w for _, w in asked]
    out["requests"] = follows(output, words)
    out["requests_shuffled"] = follows(output, words[1:] + words[:1])
    out["ended"] = sum(ended) / len(ended)
    print(f"requested words in the greedy stories: {out['requests']:.1%}; "
          f"with the requests shuffled: {out['requests_shuffled']:.1%}; "
          f"stories that end by themselves: {out['ended']:.0%}", flush=True)
    return out


def samples(shape, flat, tok):
    """[(heading, prompt, story)], unedited, generated with int8 weights and activations"""
    net = generate.Net(shape, flat, True)
    end = lambda done: "" if done else " [...]"
    out = []
    t, e = generate.generate(net, [[1] + tok.encode(o) for o in OPENINGS])
    out += [(f"{i + 1}. opening, greedy", o, tok.decode(x) + end(d))
            for i, (o, x, d) in enumerate(zip(OPENINGS, t, e))]
    how = dict(temperature=0.8, top_p=0.95, min_p=0.05)
    t, e = generate.generate(net, [[1] + tok.encode(q + "\n\n") for q in ASKED],
                             seeds=range(1, 11), **how)
    out += [(f"{i + 11}. request, temperature 0.8, seed {i + 1}", q + "\n\n",
             tok.decode(x) + end(d))
            for i, (q, x, d) in enumerate(zip(ASKED, t, e))]
    short = [tok.encode(ASKED[i] + "\n\n") + t[i] for i in (0, 1)]
    more = [[1] + s + [2] + tok.encode(q + "\n\n") for s, q in zip(short, FOLLOW)]
    more = [m if len(m) < shape.context - 60 else None for m in more]
    for q, m, i in zip(FOLLOW, more, (0, 1)):
        if m:
            (x,), (d,) = generate.generate(net, [m], seeds=[i + 1], **how)
            out.append((f"after sample {i + 11}, temperature 0.8, seed {i + 1}", q + "\n\n",
                        tok.decode(x) + end(d)))
    return out


def curve(log, path):
    """Draws an SVG: bits per byte of the validation split over training tokens"""
    rows = [l.strip().split(",") for l in open(log, encoding="utf-8")][1:]
    x, y = [int(r[1]) / 1e6 for r in rows], [float(r[6]) for r in rows]
    if not x:
        return
    lo, hi = min(y) // 0.1 * 0.1, min(max(y), 1.2)
    px = lambda v: 60 + 620 * v / x[-1]
    py = lambda v: 20 + 300 * (hi - min(v, hi)) / max(hi - lo, 1e-6)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 370" font-family="sans-serif" '
           'font-size="12"><rect width="700" height="370" fill="white"/>']
    v = lo
    while v <= hi + 1e-9:
        out.append(f'<path d="M60 {py(v):.1f}H680" stroke="#ddd"/><text x="54" y="{py(v) + 4:.1f}" '
                   f'text-anchor="end">{v:.1f}</text>')
        v += 0.1
    unit = max(1, round(x[-1] / 8 / 5) * 5)
    for v in range(0, int(x[-1]) + 1, unit):
        out.append(f'<text x="{px(v):.1f}" y="338" text-anchor="middle">{v}</text>')
    points = " ".join(f"{px(a):.1f},{py(b):.1f}" for a, b in zip(x, y))
    out.append(f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>')
    out.append(f'<text x="370" y="358" text-anchor="middle">million tokens</text>'
               f'<text x="680" y="16" text-anchor="end">bits per byte, validation split '
               f'(last: {y[-1]:.3f})</text></svg>\n')
    export.write_file(path, ["\n".join(out).encode()])


def card(template, out, shape, state, figures, output, settings):
    """Writes the model card: card.md with the figures filled in"""
    with open(template, encoding="utf-8") as f:
        text = f.read()
    quote = lambda s: "\n".join("> " + l if l else ">" for l in s.split("\n"))
    parts = []
    for heading, prompt, story in output:
        gap = "\n\n" if prompt.endswith("\n") else ""
        parts.append(f"**{heading}**\n\n{quote(f'**{prompt.strip()}**' + gap + story)}\n")
    fill = dict(PARAMETERS=f"{model.count(shape):,}", DIM=shape.dim, LAYERS=shape.layers,
                HEADS=shape.heads, HEAD=shape.dim // shape.heads, HIDDEN=shape.hidden,
                VOCAB=f"{shape.vocab:,}", CONTEXT=shape.context,
                TOKENS=f"{state['tokens'] / 1e6:.0f}",
                MINUTES=f"{state['seconds'] / 60:.0f}", EPOCHS=f"{state['epoch'] + 1}",
                STEPS=f"{state['step']:,}", ENGINE=settings.get("engine", "?"),
                BITS=f"{figures['float']:.3f}", INT8=f"{figures['int8']:.3f}",
                EXCESS=f"{figures['int8_excess_percent']:+.2f}",
                REQUESTS=f"{figures['requests']:.0%}",
                SHUFFLED=f"{figures['requests_shuffled']:.0%}", ENDED=f"{figures['ended']:.0%}",
                SAMPLES="\n".join(parts))
    for k, v in fill.items():
        text = text.replace(f"@{k}@", str(v))
    export.write_file(out, [text.encode()])


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("corpus")
    a.add_argument("--run", default=os.path.join(model.HERE, "work", "run"))
    a.add_argument("--out", default=os.path.join(model.HERE, "..", "models"))
    a.add_argument("--name", default="storyteller")
    o = a.parse_args()
    began = time.monotonic()
    shape, flat, state = load(o.run)
    tok = tokenizer.Tokenizer.load(os.path.join(o.run, "tokenizer.model"))
    train_set, valid = corpus.read_stories(o.corpus)
    figures = measure(shape, flat, tok, train_set, valid)
    output = samples(shape, flat, tok)
    about = dict(name="Duotale Storyteller", version="1.0", bits=figures["float"],
                 tokens=str(state["tokens"]),
                 description="Tells short stories for small children, on request. A request is its "
                             "sentence and two line breaks; the end-of-story token ends a story.")
    try:
        os.makedirs(o.out, exist_ok=True)
    except OSError as e:
        stop(f"cannot create the folder {o.out}: {e.strerror}; name another one with --out")
    at = lambda tail: os.path.join(o.out, o.name + tail)
    export.gguf(shape, flat, tok, about, at("-q8_0.gguf"), True)
    export.gguf(shape, flat, tok, about, at("-f32.gguf"), False)
    export.llama2c(shape, flat, at(".bin"))
    export.llama2c_int8(shape, flat, at("-q80.bin"), 32)
    tok.write_llama2c(at(".tok.bin"))
    log = os.path.join(o.run, "log.csv")
    shutil.copyfile(log, at(".log.csv"))
    curve(log, at(".svg"))
    with open(os.path.join(o.run, "settings.json"), encoding="utf-8") as f:
        settings = json.load(f)
    export.write_file(at(".json"), [json.dumps(
        {"shape": shape._asdict(), "settings": settings, "state": state, "figures": figures},
        indent=1).encode() + b"\n"])
    card(os.path.join(model.HERE, "card.md"), os.path.join(o.out, "README.md"), shape, state,
         figures, output, settings)
    print(f"wrote {os.path.normpath(o.out)} in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
