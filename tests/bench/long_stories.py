#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Texts longer than the context: memory, bits per byte and speed of the policies.

    tests/bench/long_stories.py DUOTALE MODEL STORIES.txt [-c CONTEXT] [--documents N] [--svg FILE]

Documents of four times the context are made of the stories, one after the other. Prints a table:
KV memory, bits per byte of the last quarter of the documents, and the same of that quarter's text
alone in a whole context ("fresh"); then the speed of `run` at several lengths. The figures are
those of one machine; compare only within a run.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

SEPARATOR = "<|endoftext|>"


def call(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def documents(stories, size, count):
    """Texts of about `size` bytes, each of whole stories."""
    texts, text = [], ""
    for story in stories:
        text += story.strip().replace("\n", " ") + "\n"
        if len(text) >= size:
            texts.append(text[:size].rsplit(" ", 1)[0])
            text = ""
        if len(texts) == count:
            break
    return texts


def last_quarter(text):
    at = text.index(" ", len(text) * 3 // 4)
    return text[at + 1:]


def evaluate(o, path, context, kv, *more):
    common = o.model, "--json", "-c", context, "--kv", kv
    score = json.loads(call(o.duotale, "eval", o.model, path, *common[1:], *more))
    plan = json.loads(call(o.duotale, "inspect", *common))["plan"]
    return score, plan["kv_bytes"]


def speed(o, context, policy, length):
    out = call(o.duotale, "run", o.model, "-c", context, "-n", length, "--stop", "bos", "-t", "1",
               "-s", "1", "-j", "1", "--json", "-q", "-i", "Once upon a time", *policy)
    return json.loads(out.splitlines()[-1])


def svg(rows, fresh, path):
    """Bits per byte of the four quarters, for each row."""
    low = min(min(r[2]) for r in rows + [("fresh", 0, [fresh] * 4)]) * 0.97
    high = max(max(r[2]) for r in rows) * 1.03
    colours = "#1b6ca8", "#c8553d", "#4a7c59", "#8e5ea2", "#b8860b", "#555555"

    def y(value):
        return 280 - (value - low) / (high - low) * 240

    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="640" height="330" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="640" height="330" fill="#ffffff"/>',
           '<text x="60" y="22">bits per byte by quarter of texts of 4 x the context</text>']
    for i in range(4):
        out.append(f'<text x="{75 + i * 100}" y="305">{i + 1}</text>')
    for i in range(5):
        value = low + (high - low) * i / 4
        out.append(f'<text x="12" y="{y(value) + 4:.1f}">{value:.3f}</text>'
                   f'<line x1="60" x2="400" y1="{y(value):.1f}" y2="{y(value):.1f}" '
                   'stroke="#dddddd"/>')
    out.append(f'<line x1="60" x2="400" y1="{y(fresh):.1f}" y2="{y(fresh):.1f}" stroke="#000000" '
               'stroke-dasharray="4 3"/>'
               f'<text x="410" y="30">dashed: the last quarter alone</text>')
    for k, (name, kv, quarters) in enumerate(rows):
        points = " ".join(f"{80 + i * 100},{y(v):.1f}" for i, v in enumerate(quarters))
        colour = colours[k % len(colours)]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'
                   f'<text x="410" y="{50 + 18 * k}" fill="{colour}">{name}, '
                   f'{kv / 1e6:.2f} MB</text>')
    path.write_text("\n".join(out) + "\n</svg>\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("duotale")
    p.add_argument("model")
    p.add_argument("stories", type=pathlib.Path)
    p.add_argument("-c", "--context", type=int, default=512)
    p.add_argument("--documents", type=int, default=10)
    p.add_argument("--bytes-a-token", type=float, default=3.9)
    p.add_argument("--lengths", default="500,10000")
    p.add_argument("--svg", type=pathlib.Path)
    o = p.parse_args()
    stories = o.stories.read_text().split(SEPARATOR)
    texts = documents(stories, int(4 * o.context * o.bytes_a_token), o.documents)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        whole, alone = pathlib.Path(name) / "whole.txt", pathlib.Path(name) / "alone.txt"
        whole.write_text(f"\n{SEPARATOR}\n".join(texts))
        alone.write_text(f"\n{SEPARATOR}\n".join(map(last_quarter, texts)))
        fresh, _ = evaluate(o, alone, 2 * o.context, "f32")
        print(f"{len(texts)} documents; fresh: {fresh['bits_per_byte']:.4f} bits per byte\n")
        print("| policy | context | KV cache | KV memory | bits per byte, last quarter | "
              "against fresh |\n|---|---|---|---|---|---|")
        for what, context, kv, more in (
            ("window", o.context, "f32", ["--overflow", "window"]),
            ("window", o.context, "i8", ["--overflow", "window"]),
            ("window", o.context // 2, "f32", ["--overflow", "window"]),
            ("window", o.context // 2, "i8", ["--overflow", "window"]),
            ("none, context of 4 x", 4 * o.context + 64, "f32", ["--overflow", "window"]),
        ):
            score, bytes_ = evaluate(o, whole, context, kv, *more)
            last = score["quarters_bits_per_byte"][3]
            rows.append((f"{what} {context} {kv}", bytes_, score["quarters_bits_per_byte"]))
            print(f"| {what} | {context} | {kv} | {bytes_ / 1e6:.2f} MB | {last:.4f} | "
                  f"{(last / fresh['bits_per_byte'] - 1) * 100:+.1f} % |", flush=True)
    lengths = [int(n) for n in o.lengths.split(",")]
    print("\n| policy | length | tok/s, one thread | peak memory |\n|---|---|---|---|")
    for policy in ["--overflow", "window"], ["--overflow", "window", "--kv", "i8"], \
            ["--overflow", "shift"]:
        for n in lengths:
            f = speed(o, o.context, policy, n)
            print(f"| {' '.join(policy[1::2])} | {n} | {f['tok_s']:.0f} | "
                  f"{f['peak_rss_kib'] / 1024:.1f} MB |", flush=True)
    if o.svg:
        svg(rows, fresh["bits_per_byte"], o.svg)


if __name__ == "__main__":
    main()
