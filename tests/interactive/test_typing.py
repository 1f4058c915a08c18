# SPDX-License-Identifier: MIT
"""What is typed: keys and escape sequences, commands that are wrong, the end of a story.

usage: test_typing.py PROGRAM SOURCE
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import synth  # noqa: E402

from terminal_session import FIGURES, PROMPT, TerminalSession, common

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


def wrong_commands(home):
    """What a command does not understand is an error, and never the text of a story."""
    s = TerminalSession("--ui", "plain", "-n", "8", "--seed", "77", home=home)
    try:
        s.wait(PROMPT)
        s.enter("Once upon a time")
        step(s, "commands: a story", s.wait(FIGURES) and s.wait(PROMPT))
        for line, answer in (
                ("/open foo", rb'"foo" is not the number of a story'),
                ("/open 1x", rb'"1x" is not the number of a story'),
                ("/open -1", rb'"-1" is not the number of a story'),
                ("/open 99999999999999999999", rb"is not the number of a story"),
                ("/delete foo", rb'"foo" is not the number of a story'),
                ("/delete 99", rb"99.{0,200}no (such )?story|no story.{0,80}99|99 is not"),
                ("/undo 2", rb'/undo takes no argument \(got "2"\)'),
                ("/new Once", rb"/new takes no argument"),
                ("  /nonsense", rb"Unknown command /nonsense")):
            s.enter(line)
            step(s, f"commands: {line} is refused", s.wait(answer, 10))
        step(s, "commands: none of them asked",
             b"cannot be undone" not in s.seen and b"y/n" not in s.seen)
        s.enter("/delete 1")
        step(s, "commands: /delete of a story that exists names it",
             s.wait(rb'Delete story 1, "Once upon a time', 10))
        s.enter("n")
        s.enter("/edit")
        s.wait(rb"Enter the new text")
        s.enter("/undo")
        step(s, "commands: a command after /edit is a command", s.wait(rb"undone", 10))
        s.enter("//slash")
        step(s, "commands: a prompt with a slash", s.wait(rb"/slash.*" + FIGURES))
        s.wait(PROMPT)
        s.enter("/undo")
        step(s, "commands: it comes back with both slashes", s.wait(rb"\r\n//slash\r\n", 10))
        s.enter("/quit")
        step(s, "commands: quits", s.ends() == 0)
    finally:
        s.close()


def undone_prompts(home):
    """/undo puts the prompt into the entry; a command typed there replaces it."""
    s = TerminalSession("--ui", "line", "-n", "8", "--seed", "77", home=home)
    try:
        s.wait(PROMPT)
        for prompt in ("Once upon a time", "and then"):
            s.enter(prompt)
            s.wait(FIGURES)
            s.wait(PROMPT)
        s.enter("/undo")
        step(s, "undo: the prompt comes back", s.wait(rb"> (\x1b\S*)?and then", 10))
        s.enter("/undo")
        step(s, "undo twice: the first prompt comes back",
             s.wait(rb"undone.{0,80}> (\x1b\S*)?Once upon a time", 10))
        s.enter("/rename kept")
        step(s, "undo: another command there", s.wait(rb'Renamed to "kept"', 10))
        s.enter("/library")
        s.wait(PROMPT)
        s.enter("/quit")
        step(s, "undo: quits", s.ends() == 0)
        step(s, "undo: no command is part of a story", b"time/undo" not in s.seen)
    finally:
        s.close()


def end_of_a_story(home):
    """The end is said, and what is typed then continues the same story."""
    for ui in ("line", "plain"):
        s = TerminalSession("--ui", ui, "-n", "0", "--seed", "5", home=home)
        try:
            s.wait(PROMPT)
            s.enter("Once upon a time")
            step(s, f"{ui}: the end is said", s.wait(rb"The end\. Type.*/retry", 60))
            s.wait(PROMPT)
            s.enter("/set length 8")
            s.wait(rb"length = 8")
            s.wait(PROMPT)
            s.enter("The next morning")
            step(s, f"{ui}: a continuation is generated", s.wait(FIGURES) and s.wait(PROMPT))
            s.enter("/export " + f"{home}/{ui}.txt")
            step(s, f"{ui}: it is a turn of the same story", s.wait(rb"Exported 2 turns", 10))
            s.wait(PROMPT)
            s.enter("/set length 0")
            s.wait(rb"length = 0")
            s.enter("/retry")
            step(s, f"{ui}: another end", s.wait(rb"The end\. Type", 60) and s.wait(PROMPT))
            s.enter("/set length 8")
            s.wait(rb"length = 8")
            s.enter("")
            step(s, f"{ui}: Enter begins another story",
                 s.wait(rb"a new story.*" + FIGURES) and s.wait(PROMPT))
            s.enter("/quit")
            step(s, f"{ui}: quits", s.ends() == 0)
        finally:
            s.close()


def endless_turns(home):
    """A turn that nothing limits says so, and any line that is no command stops it."""
    for ui in ("line", "plain"):
        s = TerminalSession("--ui", ui, "-n", "0", "--overflow", "shift", "--stop", "bos",
                            "--seed", "5", "-t", "1", "-b", "reference", home=home)
        try:
            s.wait(PROMPT)
            s.enter("Once upon a time")
            step(s, f"{ui}: an endless turn is said", s.wait(rb"Nothing\s+limits\s+this\s+turn"))
            s.wait(rb".{200}")
            s.enter("")
            step(s, f"{ui}: Enter stops it", s.wait(FIGURES, 20) and s.wait(PROMPT))
            s.enter("/quit")
            step(s, f"{ui}: quits", s.ends() == 0)
        finally:
            s.close()
    s = TerminalSession("--ui", "tui", "-n", "0", "--overflow", "shift", "--stop", "bos",
                        "--seed", "5", "-t", "1", "-b", "reference", home=home)
    try:
        s.wait(rb"tok/s")
        s.enter("Once upon a time")
        s.wait(rb"time.*time.{400}")
        s.type("x")
        step(s, "tui: a key stops it", s.wait(rb"Stopped\.", 20))
        s.type("\x15/quit\r")
        step(s, "tui: quits", s.ends() == 0)
    finally:
        s.close()


def other_models(home):
    """A tokenizer file belongs to one model; the limit of memory can be raised."""
    other = f"{home}/other.bin"
    synth.int8(other, dim=64, hidden=128, layers=2, heads=2, kv_heads=2, vocab=400, context=64)
    synth.tokenizer(f"{home}/other.tok.bin", 400)
    s = TerminalSession("--ui", "line", "-n", "8", "-z", common.DATA / "bedtime-2m.tok.bin",
                        common.DATA / "bedtime-2m-q80-g32.bin", home=home)
    try:
        s.wait(PROMPT)
        s.enter(f"/model {other}")
        step(s, "tokenizer: another model is opened without it",
             s.wait(rb"belongs to\s+the\s+model\s+before", 10))
        s.wait(PROMPT)
        s.enter("/stats off")
        s.enter("/set mem-limit 1000")
        s.wait(rb"mem-limit = 1000")
        s.enter("/set context 60")
        step(s, "memory limit: the message names the command", s.wait(rb"/set\s+mem-limit", 10))
        s.enter("/set mem-limit 0")
        s.wait(rb"mem-limit = 0")
        s.enter("/set context 32")
        s.enter("/quit")
        step(s, "models: quits", s.ends() == 0)
    finally:
        s.close()


def failed_changes(home):
    """A model or tokenizer that cannot be opened does not stop the turn."""
    model = f"{home}/endless.bin"  # its large vocabulary makes an end unlikely
    synth.int8(model, dim=64, hidden=128, layers=2, heads=2, kv_heads=2, vocab=32000, context=256)
    synth.tokenizer(f"{home}/endless.tok.bin", 32000)
    s = TerminalSession("--ui", "plain", "-n", "0", "--overflow", "shift", "--seed", "3", model,
                        home=home)
    try:
        s.wait(PROMPT)
        s.enter("Once upon a time")
        s.wait(rb"time.{200}")
        for line in ("/set model /none", "/model /none", "/set tokenizer /none",
                     "/backend nonsense"):
            s.enter(line)
            step(s, f"changes: {line} is refused", s.wait(rb"/none: |unknown backend"))
            step(s, f"changes: {line}: the turn goes on", s.wait(rb"(w[0-9a-f]{4}[ \r\n]*){40}"))
        s.type("\x03")
        step(s, "changes: Ctrl-C ends it", s.wait(FIGURES))
        s.enter("/quit")
        step(s, "changes: quits", s.ends() == 0)
    finally:
        s.close()


def main():
    for test in (sequences, plain_lines, wrong_commands, undone_prompts, end_of_a_story,
                 endless_turns, other_models, failed_changes):
        with common.folder() as home:
            test(home)
    common.done()


main()
