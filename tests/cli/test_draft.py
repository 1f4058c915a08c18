#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speculation: the same text with and without it, tables of n-grams, what is refused, figures."""
import json
import pathlib
import shutil

from common import DATA, done, expect, expect_run, folder, run

STORY = ("-s", "5", "-n", "150", "-q", "-i", "Once upon a time")


def figures(result):
    return json.loads(result.stdout.decode().strip().split("\n")[-1])


def train(here, model):
    """A table of the model's own stories."""
    stories = here / "stories.txt"
    texts = [run("run", model, "-t", "0.7", "-s", seed, "-n", "200", "-q").stdout
             for seed in range(1, 7)]
    stories.write_bytes(b"<|endoftext|>\n".join(texts))
    table = here / "own.draft"
    r = run("convert", model, "--draft", stories, "-o", table)
    expect_run("a table", r, 0, stdout=b" n-grams of ")
    r = run("convert", model, "--draft", stories, "-o", here / "again.draft", "--json")
    if expect_run("a table, as JSON", r, 0):
        facts = json.loads(r.stdout)
        expect("with its size", facts["bytes"] == table.stat().st_size and facts["entries"] > 100,
               facts)
        expect("the same bytes again",
               (here / "again.draft").read_bytes() == table.read_bytes())
    return stories, table


def same_text(model, table):
    """Weights that are read for every token have guesses from the start."""
    right = 0
    for t in ("0", "0.8"):
        plain = run("run", model, *STORY, "-t", t, "--draft", "off")
        expect_run(f"t {t}: off", plain, 0)
        for name, options in (
                ("on", ("--draft", "on")),
                ("streamed", ("--weights", "streamed", "--mem-limit", "9M")),
                ("streamed, a table", ("--weights", "streamed", "--mem-limit", "9M", "--draft",
                                       table)),
                ("one column", ("--draft", table, "--batch", "1")),
                ("reference, streamed", ("--weights", "streamed", "--mem-limit", "9M", "--draft",
                                         table, "-b", "reference", "--no-shortlist"))):
            r = run("run", model, *STORY, "-t", t, *options)
            expect_run(f"t {t}: {name}", r, 0)
            expect(f"t {t}: {name}: the same text", r.stdout == plain.stdout, r.stdout)
        r = run("run", model, *STORY, "-t", t, "--weights", "streamed", "--mem-limit", "9M",
                "--draft", table, "--json")
        f = figures(r)
        right += f["draft_right"]
        expect("its figures", f["tokens_per_pass"] >= 1 and f["draft_guesses"] >= f["draft_right"],
               f)
    expect("some guesses are right", right > 5, right)
    streamed = ("--weights", "streamed", "--mem-limit", "9M", "--draft", table)
    for name, options in (("stop text", ("--stop-text", " the ")), ("length", ("-n", "37")),
                          ("chat", ("-m", "chat", "--chat-template", "chatml")),
                          ("penalty", ("--repeat-penalty", "1.1"))):
        plain = run("run", model, *STORY, *options, "--draft", "off", text=b"And then?\nWhy?\n")
        r = run("run", model, *STORY, *options, *streamed, text=b"And then?\nWhy?\n")
        expect(f"{name}: the same", (r.returncode, r.stdout) == (plain.returncode, plain.stdout),
               (r.stderr, r.stdout, plain.stdout))
    plain, r = [run("run", model, *STORY, "--sequences", "3", "--weights", "streamed", "--draft", d)
                for d in ("off", table)]
    expect("several sequences have no guesses", r.stdout == plain.stdout and r.returncode == 0,
           r.stderr)
    r = run("run", model, "-t", "0", "-n", "120", *streamed)
    expect_run("a line says what it saved", r, 0, stderr=b" tokens a pass; ")
    r = run("profile", model, "--gen", "16", "--rounds", "1", "--draft", table)
    expect_run("profile, too", r, 0, stdout=b"speculation: ")
    r = run("profile", model, "--gen", "16", "--rounds", "1", "--draft", table, "--json")
    expect("and as JSON", json.loads(r.stdout)["draft"]["passes"] > 0, r.stdout)
    r = run("profile", model, "--gen", "16", "--rounds", "1", "--json")
    expect("unless asked, profile and bench measure without",
           "draft" not in json.loads(r.stdout), r.stdout)


def session(model, table):
    """Undo, retry and other settings in a session."""
    script = (b"/set seed 5\n/set length 40\n/set temperature 0.5\nOnce upon a time\n/retry\n"
              b"/undo\n/set temperature 0\nOne day\n/backend reference\nThen\n/quit\n")
    texts = []
    for draft in ("off", table):
        r = run("--no-config", "--private", "--ui", "plain", "--model", model, "--draft", draft,
                "--weights", "streamed", "--mem-limit", "12M", text=script)
        expect_run(f"a session, {draft}", r, 0)
        texts.append(r.stdout)
    expect("a session's text is the same", texts[0] == texts[1] and len(texts[0]) > 100, texts)


def plans(here, model, table):
    plan = json.loads(run("inspect", model, "--json", "--draft", table).stdout)["plan"]
    off = json.loads(run("inspect", model, "--json", "--draft", "off").stdout)["plan"]
    expect("the plan has the table", plan["draft_table_bytes"] == table.stat().st_size, plan)
    expect("and the index", plan["draft_bytes"] > 0 == off["draft_bytes"], (plan, off))
    expect("and the logits of guesses", plan["logits_bytes"] > off["logits_bytes"], (plan, off))
    expect_run("in words", run("inspect", model, "--draft", table), 0, stdout=b"table of n-grams")
    beside = here / "beside"
    beside.mkdir()
    copy = beside / "model.gguf"
    shutil.copy(model, copy)
    shutil.copy(table, beside / "model.draft")
    plan = json.loads(run("inspect", copy, "--json").stdout)["plan"]
    expect("a table beside the model is found", plan["draft_table_bytes"] > 0, plan)
    (beside / "model.draft").write_bytes(table.read_bytes()[:-1])
    r = run("run", copy, *STORY, "--weights", "streamed", "--mem-limit", "9M")
    expect_run("a broken one is left out", r, 0, stderr=b"it is not used")
    plain = run("run", model, *STORY, "--draft", "off")
    expect("with the same text", r.stdout == plain.stdout, r.stdout)


def refused(here, model, stories, table):
    good = table.read_bytes()
    for name, content, says in (
            ("cut", good[:-8], b"bytes; its"), ("empty header", b"", b"is empty"),
            ("short", good[:31], b"is not a table of n-grams"),
            ("another file", model.read_bytes()[:100], b"is not a table of n-grams"),
            ("version", good[:8] + b"\7" + good[9:], b"version 7"),
            ("hash", good[:16] + b"\0" * 8 + good[24:], b"another vocabulary"),
            ("slots", good[:24] + b"\xff" * 4 + good[28:], b"power of two")):
        bad = here / "bad.draft"
        bad.write_bytes(content)
        expect_run(f"broken table: {name}", run("run", model, *STORY, "--draft", bad), 3,
                   stderr=says)
    expect_run("no such table", run("run", model, *STORY, "--draft", here / "none"), 3,
               stderr=b"none")
    other = DATA / "bedtime-2m-q80-g32.bin"
    expect_run("of another model", run("run", other, *STORY, "--draft", table), 3,
               stderr=b"vocabulary")
    out = here / "no.draft"
    expect_run("no text", run("convert", model, "--draft", here / "none", "-o", out), 3)
    nothing = here / "nothing.txt"
    nothing.write_text("A cat.\n")
    expect_run("nothing repeats", run("convert", model, "--draft", nothing, "-o", out), 3,
               stderr=b"nothing in the text is repeated")
    expect("no file is left", not out.exists())
    expect_run("with a form", run("convert", model, "--draft", stories, "-f", "q8_0", "-o", out), 2,
               stderr=b"--draft: writes a table and no model")
    expect_run("no output", run("convert", model, "--draft", stories), 2, stderr=b"--output")


def main():
    model = DATA / "storyteller-q8_0.gguf"
    with folder() as name:
        here = pathlib.Path(name)
        stories, table = train(here, model)
        same_text(model, table)
        session(model, table)
        plans(here, model, table)
        refused(here, model, stories, table)
    done()


main()
