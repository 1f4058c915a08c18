# SPDX-License-Identifier: MIT
"""What is typed: keys and escape sequences, commands that are wrong, the end of a story.

usage: test_typing.py PROGRAM SOURCE
"""
import time

from terminal_session import PROMPT, TerminalSession, common

def step(session, what, good):
    """One check; if it fails, the last output of the terminal is printed."""
    return common.expect(what, good, session.tail())


def sequences(home):
    """Readline: unknown sequences are not text, and a key may come in pieces on a serial line."""
    s = TerminalSession("--ui", "line", "-n", "8", term="vt100", home=home)
    try:
        s.wait(PROMPT)
        s.type("/rename a\x1b[13;5ub\x1b]11;rgb:0/0/0\x1b\\c\x1b[<64;10;12Md\x1b[M !!e\x1b[1;9Zf")
        s.type("\x1bP1+r\x1b\\\x1b[24;80Rg\r")
        step(s, "line: unknown sequences are not typed", s.wait(rb'Renamed to "abcdefg"', 10))
        s.wait(PROMPT)
        s.enter("/seed 78")
        s.wait(rb"seed = 78")
        s.wait(PROMPT)
        s.type("\x1b")
        time.sleep(0.15)
        s.type("[")
        time.sleep(0.15)
        s.type("A")
        step(s, "line: an arrow in three pieces is an arrow", s.wait(rb"/seed 78", 10))
        s.type("\x15\x1b[200~/rename one\r")
        s.type("\x1b[2")
        time.sleep(0.15)
        s.type("01~\r")
        step(s, "line: a paste marker in two pieces", s.wait(rb'Renamed to "one', 10))
        s.enter("/quit")
        step(s, "line: quits", s.ends() == 0)
    finally:
        s.close()


def plain_lines(home):
    """The terminal's own line editing passes sequences on: the program removes them."""
    s = TerminalSession("--ui", "plain", "-n", "8", home=home)
    try:
        s.wait(PROMPT)
        s.enter("/rename a\x1b[Ab\x1b[13;5uc")
        step(s, "plain: sequences are removed from lines", s.wait(rb'Renamed to "abc"', 10))
        s.enter("/quit")
        step(s, "plain: quits", s.ends() == 0)
    finally:
        s.close()


def main():
    for test in (sequences, plain_lines):
        with common.folder() as home:
            test(home)
    common.done()


main()
