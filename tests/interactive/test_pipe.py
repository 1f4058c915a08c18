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
    r = common.run(*arguments, text=b"word " * 2000)
    common.expect("a message longer than the context: exit code 1, nothing on stdout",
                  r.returncode == 1 and r.stdout == b"" and b"shorten it" in r.stderr, r)
    r = common.run(*arguments, "--system", "word " * 2000, text=b"Hello")
    common.expect("a system prompt longer than the context is named",
                  r.returncode == 1 and r.stdout == b"" and b"system prompt" in r.stderr, r)
    r = common.run(*arguments, "-n", "40", text=b"Hello\nTell me more\nAnd more\n")
    common.expect("messages that are not answered are counted",
                  r.returncode == 1 and b"2 messages were not answered; raise -n" in r.stderr, r)
    r = common.run(*arguments, "-n", "40", text=b"Hello\n")
    common.expect("one answer that is cut is no error", r.returncode == 0 and r.stdout, r)


def main():
    with common.folder() as folder:
        seeds()
        chats()
        pipes(folder)
        answers(folder)
        terminals(folder)
    common.done()


main()
