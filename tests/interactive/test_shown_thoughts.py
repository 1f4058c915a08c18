# SPDX-License-Identifier: MIT
"""The thoughts of a model on a terminal: dimmed, between markers, or hidden, in every front end;
cut, continued, generated again and opened.

usage: test_shown_thoughts.py PROGRAM SOURCE
"""
import os
import pathlib
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from scripted import DROPS, MARKERS, OPENS, THOUGHT, Scripted  # noqa: E402

from terminal_session import PROMPT, TerminalSession, common

# a thought that never ends
LOOP = ["<|assistant|>", "<think>", "\n", "Hm", " maybe", " so", "Hm"]
DIM = rb"\x1b\[[0-9;]*2m"
FIGURES = rb"\d tokens.{0,40}? tok/s"
THINKING = rb"thinking \.\.\."
# between words: the end of a line, and what curses sends in place of spaces
GAP = rb"(?:\s|\x1b\[\d*[CG]|\x1b\[[\d;]*H)*"
WORDS = GAP.join([rb"Hm", rb"maybe", rb"so"])
ANSWER = GAP.join([rb"Yes", rb"it", rb"is"])


def step(session, what, good):
    """One check; if it fails, the last output of the terminal is printed."""
    return common.expect(what, good, session.tail())


def session(model, ui, home, *arguments, term="xterm-256color"):
    s = TerminalSession(model.path, "--ui", ui, "-m", "chat", "-t", "0", *arguments, term=term,
                        home=home)
    s.wait(PROMPT if ui != "tui" else rb"tok/s")
    return s


def leaves(s, what):
    s.enter("/quit")
    step(s, f"{what}: quits", s.ends() == 0)


def shown(models, home):
    """What separates a thought from the answer."""
    dim = DIM + WORDS + rb".*?\x1b.*?" + ANSWER
    marks = rb"<think>.*?" + WORDS + rb".*?</think>.*?" + ANSWER
    for ui, term, seen in (("tui", "xterm-256color", dim), ("tui", "vt100", marks),
                           ("line", "xterm-256color", dim), ("line", "vt100", marks),
                           ("plain", "dumb", marks)):
        for name, model in models.items():
            what = f"{ui} on {term}, {name}"
            s = session(model, ui, home, term=term)
            try:
                s.enter("Hi")
                step(s, f"{what}: thoughts are shown apart", s.wait(seen, 10))
                if ui != "tui":
                    step(s, f"{what}: they are counted",
                         s.wait(rb"\d tokens \(\d of them thoughts\)"))
                if seen is dim:
                    step(s, f"{what}: no marker is shown", b"think>" not in s.seen)
                leaves(s, what)
            finally:
                s.close()


def hidden(model, loop, home):
    for ui in ("tui", "line", "plain"):
        s = session(model, ui, home, "--thinking", "hide")
        try:
            s.enter("Hi")
            step(s, f"{ui}: the answer", s.wait(ANSWER))
            step(s, f"{ui}: hidden thoughts are not shown", not re.search(WORDS, s.seen))
            if ui == "tui":
                s.enter("/set thinking show")
                step(s, "tui: they are shown when that is set", s.wait(DIM + WORDS, 10))
            leaves(s, ui)
        finally:
            s.close()
        s = session(loop, ui, home, "--thinking", "hide", "-n", "0", "--overflow", "shift")
        try:
            s.enter("Hi")
            step(s, f"{ui}: something says that the model thinks", s.wait(THINKING))
            if ui == "tui":
                step(s, "tui: and that nothing limits the turn",
                     b"Nothing limits" in s.seen or s.wait(rb"Nothing limits"))
            s.type("\x03")
            step(s, f"{ui}: Ctrl-C in a thought", s.wait(rb"Stopped|" + FIGURES))
            step(s, f"{ui}: nothing of it is shown", not re.search(WORDS, s.seen))
            s.enter("/set thinking show")
            s.wait(rb"thinking = show")
            s.enter("/set length 9")
            s.wait(rb"length = 9")
            s.enter("/continue")
            step(s, f"{ui}: /continue goes on in the thought, and shows it", s.wait(WORDS))
            if ui != "plain":
                step(s, f"{ui}: the limit is reached in it",
                     s.wait(rb"Length limit reached in a thought"))
            leaves(s, ui)
        finally:
            s.close()


def edited(model, home):
    """/edit, /retry, /undo and /open of a turn with thoughts."""
    for ui in ("tui", "line"):
        own = f"{home}/{ui}"
        os.mkdir(own)
        s = session(model, ui, own)
        try:
            s.enter("Hi")
            s.wait(ANSWER)
            s.wait(FIGURES if ui == "line" else rb"mean \d")
            s.enter("/retry")
            step(s, f"{ui}: /retry", s.wait(rb"generated again"))
            s.wait(FIGURES if ui == "line" else rb"\x1b\[23;\d+H")  # the status line
            s.enter("/edit")
            step(s, f"{ui}: /edit offers the answer", s.wait(rb"# .{0,20}?Yes it is"))
            step(s, f"{ui}: without the thoughts", b"think>" not in s.seen)
            s.type("\x7f" * 2 + "was\r")
            step(s, f"{ui}: the edited answer", s.wait(rb"edited"))
            s.enter("/new")
            s.wait(rb"a new story|Type how")
            s.enter("/open 1")
            step(s, f"{ui}: /open shows thoughts and answer",
                 s.wait(DIM + WORDS + rb".*?\x1b.*?Yes it was"))
            s.enter("/undo")
            step(s, f"{ui}: /undo", s.wait(rb"(?:undone|Type how).*?Hi"))
            s.type("\r")
            step(s, f"{ui}: and again", s.wait(ANSWER))
            leaves(s, ui)
        finally:
            s.close()


def verb(model, loop, home):
    s = TerminalSession("run", model.path, "-m", "chat", "-t", "0", "-q", "-i", "Hi", home=home)
    try:
        step(s, "run on a terminal shows thoughts", s.wait(rb"<think>\s+Hm maybe so</think>\s+Yes"))
        s.type("\x04")
        step(s, "run: ends", s.ends() == 0)
    finally:
        s.close()
    s = TerminalSession("run", loop.path, "-m", "chat", "-t", "0", "-i", "Hi", "--thinking", "hide",
                        home=home)
    try:
        step(s, "run: the mark while thoughts are hidden, and its end",
             s.wait(rb"thinking \.\.\.\r {12}\r") and s.wait(rb"inside a thought"))
        step(s, "run: ends at the context's end", s.ends() == 0)
    finally:
        s.close()


def main():
    with common.folder() as folder:
        here = pathlib.Path(folder)
        models = {"drops": Scripted(here / "drops", [THOUGHT], DROPS, markers=MARKERS),
                  "opens": Scripted(here / "opens", [THOUGHT], OPENS, markers=MARKERS)}
        loop = Scripted(here / "loop", [LOOP], DROPS, markers=MARKERS)
        shown(models, folder)
        hidden(models["drops"], loop, folder)
        edited(models["opens"], folder)
        verb(models["drops"], loop, folder)
    common.done()


main()
