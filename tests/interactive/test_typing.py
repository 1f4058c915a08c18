# SPDX-License-Identifier: MIT
"""What is typed: keys and escape sequences, commands that are wrong, the end of a story.

usage: test_typing.py PROGRAM SOURCE
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import synth  # noqa: E402

from terminal_session import FIGURES, PROMPT, TerminalSession, common

def step(session, what, good):
    """One check; if it fails, the last output of the terminal is printed."""
    return common.expect(what, good, session.tail())


@contextlib.contextmanager
def session(home, what, *arguments, **options):
    """A session at its prompt. /quit must end it after the block."""
    s = TerminalSession(*arguments, home=home, **options)
    try:
        s.wait(PROMPT if "tui" not in arguments else rb"tok/s")
        yield s
        s.type("\x15")  # an entry that was begun
        s.enter("/quit")
        step(s, f"{what}: quits", s.ends() == 0)
    finally:
        s.close()


def sequences(home):
    """Readline: unknown sequences are not text, and a key may come in pieces on a serial line."""
    with session(home, "line", "--ui", "line", "-n", "8", term="vt100") as s:
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


def edited_history(home):
    """Ctrl-C above an entry of the history that was edited: its undo list is freed at the end (a
    build with LeakSanitizer ends with 1 if not)."""
    with session(home, "edited history", "--ui", "line", "-n", "8") as s:
        for text in ("/seed 78", "/seed 79"):
            s.enter(text)
            s.wait(text[-2:].encode() + rb".*" + PROMPT)
        s.type("\x1b[A")
        s.wait(rb"/seed 79")
        s.type("0\x1b[A")
        step(s, "edited history: the entry above", s.wait(rb"8"))
        s.type("\x03")
        step(s, "edited history: Ctrl-C", s.wait(rb"\^C.*" + PROMPT))


def plain_lines(home):
    """The terminal's own line editing passes sequences on: the program removes them."""
    with session(home, "plain", "--ui", "plain", "-n", "8") as s:
        s.enter("/rename a\x1b[Ab\x1b[13;5uc")
        step(s, "plain: sequences are removed from lines", s.wait(rb'Renamed to "abc"', 10))


def turns_of(path):
    """The prompts of an exported story, and its whole text."""
    turns = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["turns"]
    return [t["prompt"] for t in turns], "".join(t["prompt"] + t["told"] for t in turns)


def pastes(home):
    """A paste with markers is one entry, with a newline a line; without markers, each line is a
    turn that continues the story, behind a space."""
    for ui in ("line", "tui"):
        with session(home, ui, "--ui", ui, "-n", "4", "--stop", "bos", "-t", "0") as s:
            s.type("\x1b[200~One day\r\na cat\rcame.\n\x1b[201~\r")
            step(s, f"{ui}: a paste", s.wait(FIGURES if ui == "line" else rb"Length limit"))
            s.enter(f"/export {home}/{ui}.json")
            step(s, f"{ui}: it is exported", s.wait(rb"Exported"))
        prompts, _ = turns_of(f"{home}/{ui}.json")
        step(s, f"{ui}: CR LF, CR and LF are each one newline",
             [p.rstrip("\n") for p in prompts] == ["One day\na cat\ncame."])
    for ui in ("line", "plain", "tui"):
        with session(home, ui, "--ui", ui, "-n", "4", "--stop", "bos", "-t", "0",
                     term="vt100") as s:
            s.type("One day\ra cat came\r\nand left\r")
            for i in range(100):  # the turns before may still be generated
                out = f"{home}/{ui}-{i}.json"
                s.enter(f"/export {out}")
                found = s.wait(rb"Exported (\d)")
                if not found or found.group(1) == b"3":
                    break
        if not step(s, f"{ui}: pasted lines are exported", found):
            continue
        prompts, text = turns_of(out)
        step(s, f"{ui}: each line is a prompt of the same story",
             [p.strip() for p in prompts] == ["One day", "a cat came", "and left"])
        step(s, f"{ui}: a space before each",
             re.search(r"\sa cat came\b", text) and re.search(r"\sand left\b", text))


def wheel(home):
    """On the alternate screen the wheel sends no arrows; what the terminal did before comes back,
    also after a crash."""
    for ending, code in (("/quit", 0), (signal.SIGTERM, 128 + signal.SIGTERM),
                         (signal.SIGSEGV, -signal.SIGSEGV)):
        s = TerminalSession("--ui", "tui", home=home)
        try:
            s.wait(rb"> .*tok/s")
            begin = len(s.seen)
            step(s, f"wheel, {ending}: stored and turned off",
                 s.seen.count(b"\x1b[?1007s\x1b[?1007l") == 1)
            if ending == "/quit":
                s.enter(ending)
            else:
                s.kill(ending)
            end = s.ends()
            step(s, f"wheel, {ending}: ends", end == code or ending == signal.SIGSEGV)
            step(s, f"wheel, {ending}: restored", s.seen[begin:].count(b"\x1b[?1007r") == 1)
        finally:
            s.close()
    with session(home, "wheel, vt100", "--ui", "tui", term="vt100") as s:
        pass
    step(s, "wheel: a terminal without an alternate screen gets nothing", b"1007" not in s.seen)


def existing_files(home):
    """A file that exists is replaced by /save-screen, and by Ctrl-E in the list of stories, only
    after a yes."""
    screen = pathlib.Path(home, "screen.txt")
    screen.write_text("precious")
    with session(home, "files", "--ui", "tui", "-n", "4", "-t", "0", "--stop", "bos",
                 cwd=home) as s:
        s.enter("Once upon a time")
        s.wait(rb"Length limit")
        s.enter(f"/save-screen {screen}")
        step(s, "/save-screen asks", s.wait(rb"exists"))
        s.type("n")
        step(s, "/save-screen: no", s.wait(rb"nothing was written")
             and screen.read_text() == "precious")
        s.enter(f"/save-screen {screen}")
        s.wait(rb"exists")
        s.type("y")
        step(s, "/save-screen: yes", until(lambda: "Once upon" in screen.read_text()))
        s.enter("/panel library")
        s.wait(rb"Ctrl-E exports")
        s.type("\x05")
        story = pathlib.Path(home, "story-1.md")
        step(s, "Ctrl-E writes a new file", until(lambda: story.is_file()
                                                  and "Once upon" in story.read_text()))
        s.type("\x1b")
        time.sleep(0.6)
        story.write_text("precious")
        s.enter("/panel library")
        s.wait(rb"Ctrl-E exports")
        s.type("\x05")
        step(s, "Ctrl-E asks", s.wait(rb"exists\. Replace it"))
        s.type("n")
        time.sleep(0.3)
        step(s, "Ctrl-E: no", story.read_text() == "precious")
        s.type("\x1b")
        time.sleep(0.6)


def until(condition, seconds=30):
    """Waits until a condition is true."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def wrong_commands(home):
    """What a command does not understand is an error, and never the text of a story."""
    with session(home, "commands", "--ui", "plain", "-n", "8", "--seed", "77") as s:
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


def undone_prompts(home):
    """/undo puts the prompt into the entry; a command typed there replaces it."""
    with session(home, "undo", "--ui", "line", "-n", "8", "--seed", "77") as s:
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
    step(s, "undo: no command is part of a story", b"time/undo" not in s.seen)


def end_of_a_story(home):
    """The end is said, and what is typed then continues the same story."""
    for ui in ("line", "plain"):
        # an Enter is typed at once below another one
        with session(home, ui, "--ui", ui, "-n", "0", "--seed", "5", env={"ESCDELAY": "1"}) as s:
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
            for _ in range(5):  # one that comes before the session has waited counts as part of
                s.enter("")     # the Enter above
                if s.wait(rb"a new story", 20):
                    break
            step(s, f"{ui}: Enter begins another story",
                 s.wait(FIGURES) and s.wait(PROMPT))


def endless_turns(home):
    """A turn that nothing limits says so, and any line that is no command stops it."""
    for ui in ("line", "plain"):
        with session(home, ui, "--ui", ui, "-n", "0", "--overflow", "shift", "--stop", "bos",
                     "--seed", "5", "-t", "1", "-b", "reference") as s:
            s.enter("Once upon a time")
            step(s, f"{ui}: an endless turn is said", s.wait(rb"Nothing\s+limits\s+this\s+turn"))
            s.wait(rb".{200}")
            s.enter("")
            step(s, f"{ui}: Enter stops it", s.wait(FIGURES, 20) and s.wait(PROMPT))
    with session(home, "tui", "--ui", "tui", "-n", "0", "--overflow", "shift", "--stop", "bos",
                 "--seed", "5", "-t", "1", "-b", "reference") as s:
        s.enter("Once upon a time")
        s.wait(rb"time.*time.{400}")
        s.type("x")
        step(s, "tui: a key stops it", s.wait(rb"Stopped\.", 20))


def other_models(home):
    """A tokenizer file belongs to one model; the limit of memory can be raised."""
    other = f"{home}/other.bin"
    synth.int8(other, dim=64, hidden=128, layers=2, heads=2, kv_heads=2, vocab=400, context=64)
    synth.tokenizer(f"{home}/other.tok.bin", 400)
    with session(home, "models", "--ui", "line", "-n", "8", "-z",
                 common.DATA / "bedtime-2m.tok.bin", common.DATA / "bedtime-2m-q80-g32.bin") as s:
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


def failed_changes(home):
    """A model or tokenizer that cannot be opened does not stop the turn."""
    model = f"{home}/endless.bin"  # its large vocabulary makes an end unlikely
    synth.int8(model, dim=64, hidden=128, layers=2, heads=2, kv_heads=2, vocab=32000, context=256)
    synth.tokenizer(f"{home}/endless.tok.bin", 32000)
    with session(home, "changes", "--ui", "plain", "-n", "0", "--overflow", "shift", "--seed", "3",
                 model) as s:
        s.enter("Once upon a time")
        s.wait(rb"time.{200}")
        for line in ("/set model /none", "/model /none", "/set tokenizer /none",
                     "/backend nonsense"):
            s.enter(line)
            step(s, f"changes: {line} is refused", s.wait(rb"/none: |unknown backend"))
            step(s, f"changes: {line}: the turn goes on", s.wait(rb"(w[0-9a-f]{4}[ \r\n]*){40}"))
        s.type("\x03")
        step(s, "changes: Ctrl-C ends it", s.wait(FIGURES))


def main():
    for test in (sequences, edited_history, plain_lines, pastes, wheel, existing_files,
                 wrong_commands, undone_prompts, end_of_a_story, endless_turns, other_models,
                 failed_changes):
        with common.folder() as home:
            test(home)
    common.done()


main()
