#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Changes of settings that can fail: model, tokenizer, backend, chat template, context. After a
failure every setting has its former value and the session goes on as before.

usage: test_changes.py PROGRAM SOURCE
"""
import pathlib
import re

from common import DATA, done, expect, expect_run, folder, run

MODEL = DATA / "bedtime-2m-q80-g32.bin"
TOKENIZER = DATA / "bedtime-2m.tok.bin"
OTHER = DATA / "storyteller-q8_0.gguf"


def session(here, lines, *arguments):
    env = {"HOME": str(here), "XDG_DATA_HOME": str(here), "XDG_CONFIG_HOME": str(here)}
    text = "".join(f"{line}\n" for line in lines)
    return run(*arguments, "-n", "4", "-s", "7", env=env, text=text.encode())


def listings(result):
    """What each /set of a session has listed."""
    return re.findall(r"Model:\n.*?/help NAME describes", result.stdout.decode(), re.S)


def value(listing, name):
    return re.search(rf"^  {name} +(.*)$", listing, re.M).group(1)


def stack(result):
    """What computed the turn."""
    return re.search(r"faults \d+ \| (\S+),", result.stderr.decode()).group(1)


def failures(here):
    broken = here / "broken.bin"
    broken.write_bytes(b"no model" * 100)
    (here / "template").write_text("{% if %}")
    missing = here / "missing"
    for line, reason in (
            (f"/set model {missing}", b"missing"),
            (f"/set model {broken}", b"broken.bin"),
            (f"/set model {here}", str(here).encode()),
            (f"/model {missing}", b"missing"),
            (f"/model {broken}", b"broken.bin"),
            (f"/set tokenizer {missing}", b"missing"),
            (f"/set tokenizer {broken}", b"broken.bin"),
            ("/set backend nonsense", b'unknown backend "nonsense"'),
            ("/set backend int8+", b"is not a stack of backends"),
            ("/backend nonsense", b'unknown backend "nonsense"'),
            ("/backend int8@nonsense", b'unknown backend "int8@nonsense"'),
            (f"/set chat-template {missing}", b"missing"),
            (f"/set chat-template {here}/template", b"template"),
            ("/set context 30000", b"--mem-limit"),
            ("/set threads 1000", b"threads must be between")):
        r = session(here, ("/set", line, "/set", "Once upon a time"), MODEL, "-z", TOKENIZER, "-b",
                    "reference", "-j", "1", "--mem-limit", "24M", "--chat-template", "chatml",
                    "--no-config")
        lists = listings(r)
        expect_run(f"{line}: the error has the reason", r, 0, b"Once upon a time", reason)
        expect(f"{line}: every setting is as before", len(lists) == 2 and lists[0] == lists[1], r)
        expect(f"{line}: and the engine", b"reference, 1 thread" in r.stderr, r)


def changes(here):
    """What succeeds is set, and stays for the next model."""
    r = session(here, (f"/model {OTHER}", "/set", "/memory"), MODEL, "--no-config")
    expect("/model sets the model", value(listings(r)[0], "model") == f"{OTHER} (set)", r)
    r = session(here, (f"/model {OTHER}", "/set chat-template chatml", "/memory", "/set"), MODEL,
                "--no-config")
    expect("another template: the model stays open", str(OTHER).encode() in r.stdout, r)
    expect("another template is set", value(listings(r)[0], "chat-template") == "chatml (set)", r)
    r = session(here, ("/backend reference", f"/model {OTHER}", "Once upon a time", "/set"), MODEL,
                "--no-config")
    expect("another model: the backend stays",
           b"| reference, " in r.stderr and value(listings(r)[0], "backend") == "reference (set)",
           r)
    r = session(here, ("/compare reference int8", f"/model {OTHER}", "Once upon a time", "/set"),
                MODEL, "--no-config")
    usual = session(here, ("/set", "Once upon a time"), OTHER, "--no-config")
    expect("a comparison: the backend of the next model is chosen as usual",
           stack(r) == stack(usual) and value(listings(r)[0], "backend") == "auto", (r, usual))
    r = session(here, ("/set backend reference", "/set backend default", "/set"), MODEL,
                "--no-config")
    expect("a default", value(listings(r)[0], "backend") == "auto", r)
    r = session(here, (f"/set tokenizer {TOKENIZER}", "/set", "Once"), MODEL, "--no-config")
    expect("a tokenizer is set", value(listings(r)[0], "tokenizer") == f"{TOKENIZER} (set)" and
           r.returncode == 0, r)


def without_model(here):
    """Settings that are wrong without an open model, and a session that then opens one."""
    missing = here / "missing"
    r = session(here, ("/set", "/set backend nonsense", f"/set tokenizer {missing}",
                       f"/set model {missing}2", "/set"), "--model", missing, "--no-config")
    lists = listings(r)
    expect("without a model: every setting is as before", len(lists) == 2 and lists[0] == lists[1],
           r)
    expect("without a model: both are errors",
           b"unknown backend" in r.stderr and b"the tokenizer cannot be read" in r.stderr, r)
    r = session(here, ("/backend reference", "/set threads 1", "/set context 64",
                       f"/model {MODEL}", "Once upon a time"), "--model", missing, "--no-config")
    expect_run("without a model: what is set counts for the next one", r, 0, b"Once upon a time",
               b"reference, 1 thread")
    expect("and the context", b"/64 |" in r.stderr, r)
    words = here / "words.bin"
    words.write_bytes(TOKENIZER.read_bytes())
    copy = here / "copy.bin"
    copy.write_bytes(MODEL.read_bytes())
    r = session(here, (f"/set tokenizer {words}", "Once upon a time"), copy, "--no-config")
    expect_run("a model that only lacked its tokenizer", r, 0, b"Once upon a time")


def main():
    with folder() as name:
        here = pathlib.Path(name)
        for test in (failures, changes, without_model):
            test(here)
    done()


main()
