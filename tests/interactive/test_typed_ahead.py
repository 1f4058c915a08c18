# SPDX-License-Identifier: MIT
"""What is typed at the moment in which the terminal's mode changes. A preloaded library makes that
moment last until something was typed.

usage: test_typed_ahead.py PROGRAM SOURCE SHIM
"""
import json
import os
import pathlib
import re
import signal
import sys
import time

from terminal_session import FIGURES, PROMPT, TerminalSession, common

SHIM = os.path.abspath(sys.argv[3])


class SlowModes(TerminalSession):
    """A session that waits for input before each change to the modes in `waits`: "r" is readline's
    mode, "o" the ordinary one. Capitals: after the change. delay: how many milliseconds the line
    feed of an Enter may take."""

    def __init__(self, home, waits, *arguments, delay=1):
        self.log = pathlib.Path(home, "modes")
        self.log.write_bytes(b"")
        asan = os.environ.get("ASAN_OPTIONS", "")
        super().__init__("--ui", "line", "-n", "8", *arguments, home=home, env={
            "LD_PRELOAD": SHIM, "DT_SHIM_LOG": str(self.log), "DT_SHIM_WAIT": waits,
            "ESCDELAY": str(delay),
            "ASAN_OPTIONS": ":".join(filter(None, (asan, "verify_asan_link_order=0")))})

    def changes(self, mode, count, seconds=60):
        """Waits until the program began that many changes to the mode."""
        end = time.monotonic() + seconds
        while self.log.read_bytes().count(mode) < count:
            if time.monotonic() > end or self.over():
                return False
            self.pump(0.02)
        return True


def step(session, what, good):
    """One check; if it fails, the last output of the terminal is printed."""
    return common.expect(what, good, session.tail())


def into_readline(home):
    """The driver has made a line feed of an Enter, and a zero byte of Ctrl-D."""
    s = SlowModes(home, "r")
    try:
        for i, (line, answer) in enumerate((
                ("/rename one\r", rb'Renamed to "one"'),
                ("/set length 8\r", rb"length = 8"),
                ("\r", rb"tokens, .*tok/s"),  # an empty line begins a story
                ("/rename two\r/rename three\r", rb'"two".*Renamed to "three"'))):
            step(s, f"before {line!r}: the mode changes", s.changes(b"r", i + 1))
            s.type(line)
            step(s, f"{line!r} is entered", s.wait(answer))
        step(s, "Ctrl-D: the mode changes", s.changes(b"r", 5))
        s.type("\x04")
        step(s, "Ctrl-D leaves", s.ends() == 0)
        step(s, "the terminal is restored", s.modes_are_back())
    finally:
        s.close()


def out_of_readline(home):
    """The driver has not edited what was typed in readline's mode."""
    s = SlowModes(home, "o")
    try:
        s.wait(PROMPT)
        for i, (line, answer) in enumerate((
                ("/rename ab\x7fc\r", rb'Renamed to "ac"'),
                ("/rename x\x15/rename \xc3\xb6\x7fd\xc3\xb6\r",
                 rb'Renamed to "d\xc3\xb6"'),
                ("/rename two words\x17cats\r", rb'Renamed to "two cats"'),
                ("/rename a\x1b[Ab\r", rb'Renamed to "ab"'))):
            s.type("/seed 7\r")
            step(s, f"before {line!r}: the mode changes", s.changes(b"o", 2 * i + 1))
            s.type(line.encode("latin1"))
            step(s, f"{line!r} is edited", s.wait(answer))
            # the change after this line needs input too
            s.wait(PROMPT)
            s.type("/seed 8\r")
            step(s, f"after {line!r}: the mode changes", s.changes(b"o", 2 * i + 2))
            s.type("\x15")
            s.wait(rb"seed = 8")
            s.wait(PROMPT)
        s.type("Once\r")
        s.changes(b"o", 9)
        s.type("\x04")
        step(s, "Ctrl-D leaves", s.ends() == 0)
    finally:
        s.close()


def below_an_enter(home):
    """readline is back in the ordinary mode before it reports a line: lines that are typed then are
    not lines of one entry."""
    s = SlowModes(home, "O")
    try:
        s.wait(PROMPT)
        s.type("/seed 7\r")
        step(s, "below an Enter: the mode has changed", s.changes(b"O", 1))
        s.type("\r\n/rename one\r/rename two\r\n/set length 9\rx")
        step(s, "below an Enter: each line is an entry",
             s.wait(rb'(?=.*length = 9).*to "one".*to "two"') and not s.wait(FIGURES, 1))
        s.type("\x15/quit\r")
        step(s, "below an Enter: the mode has changed again", s.changes(b"O", 2))
        s.type("\r")
        step(s, "below an Enter: quits", s.ends() == 0)
    finally:
        s.close()


def in_two_pieces(home):
    """CR LF is one Enter, also if the line feed comes later: in readline's mode, in the ordinary
    one, and between them; after the delay it is a key of its own."""
    late = {"ESCDELAY": "60000"}
    for ui in ("line", "plain", "tui"):
        here = f"{home}/{ui}"
        os.mkdir(here)
        s = TerminalSession("--ui", ui, "-n", "4", "-t", "0", "--stop", "bos", home=here, env=late)
        prompt = (PROMPT, FIGURES) if ui != "tui" else (rb"tok/s", rb"Length limit")
        try:
            s.wait(prompt[0])
            s.enter("One day")
            step(s, f"{ui}: a turn", s.wait(prompt[1]))
            if ui != "tui":
                s.wait(PROMPT)
            s.type("\n")
            s.enter("a cat")
            s.enter(f"/export {here}/story.json")
            step(s, f"{ui}: it is exported", s.wait(rb"Exported 2 turns"))
            turns = json.loads(pathlib.Path(here, "story.json").read_text())["turns"]
            step(s, f"{ui}: a late line feed begins nothing",
                 [t["prompt"].strip(" ") for t in turns] == ["One day", "a cat"])
            s.enter("/quit")
            step(s, f"{ui}: quits", s.ends() == 0)
        finally:
            s.close()
    s = SlowModes(home, "r", "--stop", "bos", delay=60000)  # the second piece changes its form
    try:
        for i, line in enumerate(("/rename one\r", "\n")):
            step(s, f"two pieces, {line!r}: the mode changes", s.changes(b"r", i + 1))
            s.type(line)
        s.wait(PROMPT)
        s.type("/rename two\r")
        step(s, "two pieces: no story begins",
             s.wait(rb'"two"') and not re.search(FIGURES, s.seen))
    finally:
        s.close()
    for ui in ("line", "plain"):
        s = TerminalSession("--ui", ui, "-n", "0", "-t", "1", "--stop", "bos", "--overflow",
                            "shift", home=f"{home}/{ui}", env=late)
        try:
            s.wait(PROMPT)
            s.enter("Once upon a time")
            s.wait(rb"Once upon a time.{20}")
            s.type("\n")
            step(s, f"{ui}: a late line feed stops no turn", s.wait(rb".{400}"))
            step(s, f"{ui}: it goes on", not re.search(FIGURES, s.seen))
            s.type("\x03")
            step(s, f"{ui}: Ctrl-C stops it", s.wait(FIGURES))
        finally:
            s.close()


def with_a_signal(home):
    """A key and Ctrl-C at once: the key is read by what Ctrl-C does."""
    s = TerminalSession("--ui", "line", "-n", "8", home=home)
    try:
        s.wait(PROMPT)
        s.kill(signal.SIGSTOP)
        s.type("x")
        s.kill(signal.SIGINT)
        s.kill(signal.SIGCONT)
        # the driver passes keys on by itself: where readline is late, it echoes this one first
        step(s, "a key and a signal: the prompt is there again", s.wait(rb"leave.*?\nx?.{0,12}> "))
        s.type("\x15")
        s.enter("/quit")
        step(s, "a key and a signal: quits", s.ends() == 0)
    finally:
        s.close()


def at_once(home):
    """Lines that come in one piece, as a paste without markers or from a script."""
    s = TerminalSession("--ui", "line", "-n", "8", "--stop", "bos", home=home, term="vt100")
    try:
        s.wait(PROMPT)
        s.type("/rename one\r\n/rename twx\x7fo\r\n/set length 9\r\n")
        step(s, "CR LF is one Enter",
             s.wait(rb'(?=.*length = 9).*"one".*"two"') and not s.wait(FIGURES, 1))
        s.type("\r\n")
        step(s, "an empty line begins a story", s.wait(FIGURES) and s.wait(PROMPT))
        s.type("Once\r/quit\r")
        step(s, "quits after the turn", s.ends() == 0 and b"9 tokens" in s.seen)
    finally:
        s.close()


def answers(home):
    """What is typed in one piece with a command answers its question, and is no prompt."""
    for ui in ("line", "plain", "tui"):
        here = f"{home}/{ui}"
        os.mkdir(here)
        file = pathlib.Path(here, "story.txt")
        file.write_text("kept until the answer")
        s = TerminalSession("--ui", ui, "-n", "4", "-t", "0", "--stop", "bos", home=here)
        try:
            s.wait(PROMPT if ui != "tui" else rb"tok/s")
            s.enter("Once upon")
            step(s, f"{ui}: a story", s.wait(FIGURES if ui != "tui" else rb"Length limit"))
            s.wait(PROMPT if ui != "tui" else rb"> ", 5)
            s.type(f"/export {file}\ry" + ("" if ui == "tui" else "\r"))
            step(s, f"{ui}: the file is replaced", s.wait(rb"Exported"))
            step(s, f"{ui}: by the story", "Once upon" in file.read_text())
            if ui != "tui":  # there a story is looked up before the question
                s.type("/delete 1\ry\r")
                step(s, f"{ui}: the story is deleted", s.wait(rb"cannot be\s+undone.*?deleted"))
            s.enter("/quit")
            step(s, f"{ui}: quits", s.ends() == 0)
        finally:
            s.close()


def main():
    for test in (into_readline, out_of_readline, below_an_enter, in_two_pieces, with_a_signal,
                 at_once, answers):
        with common.folder() as home:
            test(home)
    common.done()


main()
