# SPDX-License-Identifier: MIT
"""Locales that are not set or not installed, answers to commands from a pipe, seeds.

usage: test_pipe.py PROGRAM SOURCE
"""
import os
import re
import sqlite3

from terminal_session import PROMPT, TerminalSession, common

MODEL = common.DATA / "bedtime-2m-q80-g32.bin"
WORD = "Überraschung für Zoë"  # the umlauts are two bytes each


def environment(home, **more):
    env = {"HOME": home, "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config"}
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        env[name] = more.get(name, "")
    return env


def stored(home):
    with sqlite3.connect(home + "/data/duotale/library.db") as db:
        rows = [row[0] for row in db.execute("SELECT prompt FROM turn ORDER BY id")]
    db.close()
    return rows


def pipes(folder):
    for locale in ({}, {"LANG": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "xx_YY.UTF-8"},
                   {"LC_ALL": "de_DE.ISO-8859-1"}, {"LC_CTYPE": "C.UTF-8"}):
        home = f"{folder}/pipe-{'-'.join(locale.values())}"
        os.mkdir(home)
        r = common.run(MODEL, "-n", "4", text=WORD.encode(), env=environment(home, **locale))
        common.expect(f"{locale}: a pipe is not converted", WORD.encode() in r.stdout, r)
        common.expect(f"{locale}: the prompt is stored", stored(home) == [WORD], stored(home))


def terminals(folder):
    for ui in ("plain", "line", "tui"):
        for locale, shown in ((None, True), ("xx_YY.UTF-8", True), ("C", False)):
            home = f"{folder}/{ui}-{locale}"
            os.mkdir(home)
            env = {"LC_ALL": ""} if locale is None else {}
            # the likeliest tokens: others may be bytes of no character, which are replaced
            s = TerminalSession(MODEL, "--ui", ui, "-n", "4", "-t", "0", "--stop", "bos", home=home,
                                env=env, locale=locale or "", term="xterm")
            try:
                s.wait(PROMPT if ui != "tui" else rb"bedtime")
                s.enter(WORD)
                s.wait(rb"tok/s")
                s.wait(PROMPT if ui != "tui" else rb"> ", seconds=3)
                s.enter("/quit")
                common.expect(f"{ui}, {locale}: exit code 0", s.ends() == 0, s.tail())
            finally:
                s.close()
            common.expect(f"{ui}, {locale}: the prompt is stored", stored(home) == [WORD],
                          stored(home))
            if shown:
                common.expect(f"{ui}, {locale}: it is shown", "Überraschung".encode() in s.seen,
                              s.tail())
            common.expect(f"{ui}, {locale}: nothing is replaced",
                          "\ufffd".encode() not in s.seen, s.tail())


def answers(folder):
    """A piped command that asks the library or the folders of models is answered before the end."""
    home = folder + "/answers"
    os.mkdir(home)
    env = environment(home)
    common.run(MODEL, "-n", "4", text=b"The dragon Ottokar", env=env)
    for i in range(6):
        r = common.run(MODEL, text=b"/library Ottokar\n", env=env)
        common.expect_run(f"/library from a pipe, {i}", r, 0, b"Ottokar")
        r = common.run(MODEL, text=b"/model\n", env=env)
        common.expect_run(f"/model from a pipe, {i}", r, 0, b"bedtime-2m")
    r = common.run(MODEL, text=b"/library nothing\n/library Ottokar\n/model\n/memory\n", env=env)
    parts = (b"No matching stories", b"Ottokar", b"/model FILE")
    places = [r.stdout.find(part) for part in parts]
    common.expect("answers come in order", -1 not in places and places == sorted(places), r)


def seeds():
    drawn = set()
    for _ in range(6):
        r = common.run("run", MODEL, "-n", "2", "-s", "0")
        drawn.add(re.search(rb"seed (\d+)", r.stderr).group(1))
    common.expect("runs within a second have seeds of their own", len(drawn) == 6, drawn)


def chats():
    """Every line of a pipe is answered, or its end is an error."""
    arguments = ("run", MODEL, "-m", "chat", "-t", "0", "-q")
    r = common.run(*arguments, "-n", "40", text=b"Hello\nTell me more\nAnd more\n")
    common.expect("messages that are not answered are counted",
                  r.returncode == 1 and b"2 messages were not answered; raise -n" in r.stderr, r)
    r = common.run(*arguments, "-n", "40", text=b"Hello\n")
    common.expect("one answer that is cut is no error", r.returncode == 0 and r.stdout, r)


LONG = b"word " * 600 + b"\n"


def full(folder):
    """What does not fit into the context: an error says what fills it and what to do."""
    home = folder + "/full"
    os.mkdir(home)
    env = environment(home)
    words = "word " * 80

    def check(what, result, *parts, output=b""):
        common.expect(f"{what}: exit code 1 and only {output!r} on stdout",
                      result.returncode == 1 and result.stdout == output, result)
        for part in parts:
            common.expect(f"{what}: the message has {part!r}",
                          re.search(part, result.stderr) is not None, result)

    chat = ("run", MODEL, "-m", "chat", "-t", "0", "-q")
    size = rb"do not fit into the context of 512 \("
    check("run, a long message", common.run(*chat, text=LONG), size,
          rb"\(chat template \d+, this message 1\d\d\d\); shorten it, or raise --context")
    check("run, a long system prompt", common.run(*chat, "--system", LONG, text=b"Hello"), size,
          rb"\(system prompt 1\d\d\d, .*this message \d\); shorten the system prompt")
    r = common.run(*chat, text=b"Hello\n" + LONG)
    check("run, a long second message", r, size, rb"\(1 earlier turn \d+, this message 1\d\d\d\)",
          output=r.stdout)
    common.expect("run: the first message is answered", len(r.stdout) > 10, r)
    for quiet in ((), ("-q",)):
        check(f"run, a long prompt {quiet}", common.run("run", MODEL, "-i", LONG, *quiet), size,
              rb"\(this text 1\d\d\d\); shorten it, or raise --context")
    r = common.run("run", MODEL, "-q", "-n", "20", "-i", words)
    common.expect("run: a prompt that -n cuts is said with -q too",
                  r.returncode == 0 and b"-n 20 cut the prompt from 16" in r.stderr, r)

    def session(what, text, *parts, output=b"", more=()):
        check(f"a session, {what}", common.run(MODEL, "--no-config", "--stats", "off", "-s", "3",
                                               *more, text=text, env=env), *parts, output=output)

    session("a long prompt", LONG, size, rb"\(this text 1\d\d\d\); shorten it, or make the")
    session("a long premise", b"/pin " + LONG[:500] + b"\nOnce upon\n",
            rb"into the context of 60 \(premise 2\d\d, this text \d\); shorten the premise",
            more=("--context", "60"))
    session("a long system prompt", b"Hello\n",
            rb"\(system prompt 16\d, this message \d\); shorten the system prompt \(/system\)",
            more=("--mode", "chat", "--context", "60", "--system", words))
    session("a long message of a chat", LONG, rb"this message 1\d\d\d\); shorten it",
            more=("--mode", "chat"))
    text = b"/set length 2\n" + (b"Hello there " * 10 + b"\n") * 4
    for mode in ("chat", "story"):
        r = common.run(MODEL, "--no-config", "-s", "3", "--mode", mode, "--context", "60",
                       "--overflow", "stop", "--stop", "bos", text=text, env=env)
        common.expect(f"a session, many turns of a {mode}: exit code 1, and they are counted",
                      r.returncode == 1 and
                      re.search(rb"context of 60 \(\d earlier turns? \d+, this \w+ \d+\); /new",
                                r.stderr), r)
    # a system prompt and a message that fit are not counted twice
    r = common.run(MODEL, "--no-config", "-n", "4", "--mode", "chat", "--context", "100",
                   "--system", "word " * 25, text=b"Hello\n", env=env)
    common.expect("a system prompt of half the context fits", r.returncode == 0 and r.stdout, r)


def not_text(folder):
    """UTF-16 is an error wherever it is read, and a zero byte does not cut a message."""
    home = folder + "/not-text"
    os.mkdir(home)
    env = environment(home)
    reason = b"the text is UTF-16; save it as UTF-8"
    chat = ("run", MODEL, "-m", "chat", "-t", "0", "-q", "-n", "60")
    for name in ("utf-16-le", "utf-16-be", "utf-16"):
        for text in ("Once upon a time", "/set seed 3\nOnce upon a time\n"):
            r = common.run(MODEL, "--no-config", "-n", "4", text=text.encode(name), env=env)
            common.expect_run(f"a session, {name} {text!r}", r, 3, b"", reason)
            common.expect(f"a session, {name} {text!r}: no story", r.stdout == b"", r)
        r = common.run(*chat, text="Hello\nThere\n".encode(name))
        common.expect_run(f"run -m chat, {name}", r, 3, b"", reason)
        common.expect(f"run -m chat, {name}: no answer", r.stdout == b"", r)
    r = common.run(*chat[:-2], text=b"Hello\n" + "There\n".encode("utf-16") + b"More\n")
    common.expect_run("run -m chat, the second line", r, 3, None, reason)
    common.expect("run -m chat, the first line is answered", len(r.stdout) > 10, r)
    usual = common.run(*chat, text=b"Hello there\n").stdout
    r = common.run(*chat, text=b"Hel\0lo there\n")
    common.expect("run -m chat, a zero byte is left out",
                  r.returncode == 0 and r.stdout == usual, r)


def main():
    with common.folder() as folder:
        seeds()
        chats()
        full(folder)
        not_text(folder)
        pipes(folder)
        answers(folder)
        terminals(folder)
    common.done()


main()
