#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Stories longer than the context: --overflow, and the KV cache in int8."""
import json
import pathlib
import re

from common import DATA, SLOW, done, expect, expect_run, folder, run

MODEL = DATA / "storyteller-q8_0.gguf"
TEXT = ["run", MODEL, "-i", "Once upon a time there was a fox named Rosa.", "-t", "0.8", "-s", "5",
        "-q", "--stop", "bos"]
LONG = [*TEXT, "-c", "64", "-n", "260"]
WAYS = [["-b", "reference"], ["-j", "2"], ["--batch", "1"], ["--pack", "never"]]


def int8():
    """One text, whatever computes it; less memory."""
    caches = {kv: run(*TEXT, "-n", "120", "--kv", kv) for kv in ("f32", "i8")}
    expect("int8 is not f32", caches["f32"].stdout != caches["i8"].stdout, caches["i8"].stdout)
    for way in WAYS:
        r = run(*TEXT, "-n", "120", "--kv", "i8", *way)
        expect(f"the text of an int8 cache, {way}", r.stdout == caches["i8"].stdout, r.stdout)
    plan = {kv: json.loads(run("inspect", MODEL, "--json", "-c", "512", "--kv", kv).stdout)["plan"]
            for kv in ("f32", "i8")}
    expect("about a quarter of the memory",
           3.4 < plan["f32"]["kv_bytes"] / plan["i8"]["kv_bytes"] < 4, plan)


def policies():
    """A story goes on; the same one, whatever computes it."""
    short = run(*TEXT, "-c", "64", "-n", "260")
    expect("stop is the default", run(*LONG, "--overflow", "stop").stdout == short.stdout, short)
    texts = {}
    for policy in "window", "shift":
        r = run(*LONG, "--overflow", policy, "--json")
        if not expect_run(policy, r, 0):
            continue
        last = json.loads(r.stdout.splitlines()[-1])
        expect(f"{policy}: all tokens",
               last["prompt_tokens"] + last["tokens"] == 261 and last["context_used"] <= 64, last)
        texts[policy] = run(*LONG, "--overflow", policy).stdout
        expect(f"{policy}: begins as the short one", texts[policy].startswith(short.stdout[:-40]),
               texts[policy])
        for way in WAYS[:2] if SLOW else WAYS:
            r = run(*LONG, "--overflow", policy, *way)
            expect(f"{policy}: the same text, {way}", r.stdout == texts[policy], r.stdout)
    expect("the policies differ", len(set(texts.values())) == 2, texts)
    for kv in "f16", "i8":
        a, b = (run(*LONG, "--overflow", "window", "--kv", kv, "-b", by).stdout
                for by in ("auto", "reference"))
        expect(f"window, {kv}: the same text", a == b and len(a) > len(short.stdout), (a, b))
    two = run(*LONG, "--overflow", "window", "--sequences", "2")
    alone = texts["window"] + b"<|endoftext|>\n" + run(*LONG, "--overflow", "window", "-s",
                                                       "6").stdout
    expect("two stories, each as alone", two.stdout == alone, two.stdout)


def long_prompt(here):
    """A prompt longer than the context."""
    path = here / "prompt.txt"
    path.write_text("Tom and Ann went to the park. They saw a big red bird. " * 12)
    command = ["run", MODEL, "--prompt-file", path, "-c", "64", "-n", "220", "-t", "0", "-q"]
    expect_run("stop", run(*command), 1, stderr=b"context of 64")
    texts = [run(*command, "--overflow", "window", *way).stdout for way in ([], *WAYS[:3])]
    expect("window", len(set(texts)) == 1 and len(texts[0]) > 600, texts)


def scores(here):
    """eval --overflow window scores all of a story."""
    path = here / "story.txt"
    path.write_text("Tom and Ann went to the park. They saw a big red bird. " * 12)
    command = ["eval", MODEL, path, "--json", "-c", "64"]
    cut, whole, again = (json.loads(run(*command, *more).stdout)
                         for more in ([], ["--overflow", "window"],
                                      ["--overflow", "window", "--batch", "7", "-b", "reference"]))
    expect("cut at the context", cut["tokens"] == 63, cut)
    expect("the whole story", whole["tokens"] > 150 and all(whole["quarters_bits_per_byte"]), whole)
    same = "bits_per_byte", "quarters_bits_per_byte", "tokens"
    expect("the same score", all(whole[k] == again[k] for k in same), (whole, again))


def memory():
    """A long story takes no more memory than a short one."""
    command = [*TEXT, "-c", "128", "--overflow", "window", "--json", "-j", "1"]
    peak = {n: json.loads(run(*command, "-n", n).stdout.splitlines()[-1])["peak_rss_kib"]
            for n in (300, 10000)}
    expect("constant memory", peak[10000] - peak[300] < 400, peak)


def refusals():
    expect_run("a policy that is none", run(*TEXT, "--overflow", "some"), 2, stderr=b"window")
    expect_run("no chat", run("run", MODEL, "-m", "chat", "--overflow", "window"), 2,
               stderr=b"--overflow cannot be combined with a chat")
    expect_run("eval has no shift", run("eval", MODEL, "text", "--overflow", "shift"), 2,
               stderr=b"window")


def session(here):
    """A session: the story goes on, its text stays, and /context says what is where."""
    lines = "/pin Rosa is a fox.\nOnce upon a time\n/context\n/premise\n"
    r = run(MODEL, "--no-config", "--library", here / "library.db", "--overflow", "window", "-c",
            "64", "-n", "200", "--stop", "bos", "-s", "4", text=lines.encode())
    expect_run("a session", r, 0)
    both = r.stdout + r.stderr
    expect("what was dropped", b"dropped              " in both and b"overflow window" in both, r)
    expect("the pinned premise", b"with the premise: Rosa is a fox." in both, r)
    expect("/premise is /pin", b"The premise is: Rosa is a fox." in both, r)
    expect("nothing is evaluated again", both.count(b"nothing is evaluated again") == 1, r)
    stories = run("stories", "--library", here / "library.db", "export", "1", "-")
    expect("the library has the whole text", len(stories.stdout) > 400, stories)


def chat(here):
    """A chat goes on too: whole turns are dropped, and the first request stays."""
    lines = "/set length 60\n" + "".join(f"Tell me a story about a {animal}.\n" for animal in
                    ("frog", "dog", "cat", "bird", "fox")) + "/context\n"
    r = run(MODEL, "--no-config", "--library", here / "chat.db", "--mode", "chat", "--overflow",
            "window", "-c", "96", "-s", "4", text=lines.encode())
    both = r.stdout + r.stderr
    expect_run("a chat", r, 0)
    expect("its oldest turns were dropped",
           b"overflow window" in both and b"dropped              0 tokens" not in both, r)
    expect("what is kept begins with a turn",
           re.search(rb'kept  .*, from "(</s>)?\s*Tell me a story', both), r)


with folder() as name:
    HERE = pathlib.Path(name)
    int8()
    policies()
    long_prompt(HERE)
    scores(HERE)
    if not SLOW:
        memory()
    refusals()
    session(HERE)
    chat(HERE)
done()
