# SPDX-License-Identifier: MIT
"""A model that generates all bytes and many escape sequences, a hostile library and model file: no
byte of them reaches the terminal, in any front end.

usage: test_hostile.py PROGRAM SOURCE
"""
import json
import os
import re
import sqlite3
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import synth  # noqa: E402

from terminal_session import FIGURES, PROMPT, TerminalSession, common

HOSTILE = [b"\x1b[2J", b"\x1b[31m", b"\x1b]0;owned\x07", b"\x1bc", b"\x9b2J", b"\x1b(0", b"\x0e",
           b"\x08\x08\x08", b"\r", b"\x7f", b"\x00",
           b"\x1b[?1049h", b"\x1bP+q544e\x1b\\", b"\x1b[6n", b"\x05", b"\xc2\x9b31m",
           b"\xe2\x80\xae", b"\xff\xfe", b"\xed\xa0\x80", b"\xf0\x9f",
           b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x1b[10000;10000H", b"\x1b]52;c;aGk=\x07", b"%s%n",
           b"\x1b[200~rm -rf\x1b[201~"]


def hostile_tokenizer(path, size):
    """llama2.c's first 259 pieces, with every byte, then the HOSTILE strings repeatedly."""
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n"] + [b"<0x%02X>" % i for i in range(256)]
    while len(pieces) < size:
        pieces.append(HOSTILE[len(pieces) % len(HOSTILE)])
    with open(path, "wb") as out:
        out.write(struct.pack("<I", max(map(len, pieces))))
        for i, piece in enumerate(pieces):
            out.write(struct.pack("<fi", -float(i), len(piece)) + piece)


# What the front ends may send: cursor right, clear to end of line, standout, bracketed paste.
OURS = re.compile(rb"\x1b\[(\?2004[hl]|K|J|[0-9]*[CDPA@]|[0-9]*m)|\x1b\[H")


def clean(sent):
    """The control bytes other than those of the front end's sequences."""
    rest = OURS.sub(b"", sent)
    return re.findall(rb"[\x00-\x06\x08\x0b-\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]",
                      rest)


PAYLOAD = (b"X\x1b[31mRED\x1b]0;OWNED\x07\x1b[2J\xc2\x9b31m\xc2\x9d0;T\xc2\x9c\x08\r\x7f"
           b"\xe2\x80\xae\xe2\x81\xa6\xff\xfe\xed\xa0\x80")
# No front end sends these: a title, red text, C1, bidi overrides.
FOREIGN = re.compile(rb"\x1b\]|\x1b\[31mRED|RED\x1b|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|"
                     rb"\xe2\x81[\xa6-\xa9]|\xff|\xfe|\xed\xa0")


def hostile_library(home, model):
    """A library whose only story holds the payload in every column."""
    env = {"HOME": home, "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config"}
    common.run(model, "-n", "8", text=b"Once", env=env)
    with sqlite3.connect(home + "/data/duotale/library.db") as db:
        common.fill_library(db, PAYLOAD)
    db.close()


def front_ends(folder, model):
    """Everything of a library, a folder of models, a script and a history that can be shown."""
    home = folder + "/hostile-home"
    os.makedirs(home + "/data/duotale/models")
    hostile_library(home, model)
    name = "m" + PAYLOAD.replace(b"/", b"").decode("utf-8", "surrogateescape")
    with open(home + "/data/duotale/models/" + name + ".gguf", "wb") as out:
        out.write(b"GGUF" + PAYLOAD)
    with open(home + "/data/duotale/history", "wb") as out:
        out.write(PAYLOAD.replace(b"\r", b"") + b"\n")
    script = home + "/script"
    with open(script, "wb") as out:
        out.write(b"/rename " + PAYLOAD.replace(b"\r", b"") + b"\n/library\n")
    for ui in ("tui", "line", "plain"):
        s = TerminalSession(model, "--ui", ui, "-n", "8", "--charset", "utf8", "--script", script,
                            home=home, term="xterm")
        try:
            common.expect(f"{ui}: the script's commands, or why they ended",
                          s.wait(rb"RED.*> |unknown script"), s.tail())
            if ui == "tui" and not re.search(rb"packed|in place", s.seen):
                s.wait(rb"packed|in place")  # the model is open
            for line in ("/library RED", "/model", "/open 1", "/rename a", "/set", "/library",
                         "/model " + folder + "/none", "/panel library", "/panel models"):
                s.enter(line)
                s.pump(0.1)
            s.wait(rb"zzz", seconds=1)
            s.type("\x1b[A\x1b[A")  # the history
            s.wait(rb"zzz", seconds=0.5)
            s.type("\x1b\x1b\x15")
            s.wait(rb"zzz", seconds=0.5)
            s.enter("/quit")
            code = s.ends()
            common.expect(f"{ui}: exit code 0", code == 0, (code, s.tail()))
            found = FOREIGN.search(s.seen)
            common.expect(f"{ui}: the story was shown", s.seen.count(b"RED") > 2, s.tail())
            common.expect(f"{ui}: nothing foreign", not found,
                          found and s.seen[max(0, found.start() - 80):found.end() + 80])
        finally:
            s.close()


def main():
    with common.folder() as folder:
        model = folder + "/hostile.bin"
        vocab = 600
        synth.int8(model, dim=64, hidden=128, layers=2, heads=2, kv_heads=2, vocab=vocab,
                   context=512)
        hostile_tokenizer(folder + "/hostile.tok.bin", vocab)
        home = folder + "/home"
        os.mkdir(home)
        env = {"HOME": home, "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
               "LC_ALL": "C.UTF-8"}
        front_ends(folder, model)
        seen = set()
        for seed in range(1, 9):
            r = common.run(model, "-n", "500", "-t", "2", "-p", "0", "-s", seed, text=b"x", env=env)
            common.expect(f"pipe, seed {seed}: exit code", r.returncode == 0, r.stderr)
            common.expect(f"pipe, seed {seed}: no control bytes",
                          not clean(r.stdout) and b"\x1b" not in r.stdout and b"\r" not in r.stdout,
                          clean(r.stdout)[:9])
            common.expect(f"pipe, seed {seed}: valid UTF-8",
                          r.stdout.decode(errors="replace").encode() == r.stdout or
                          "\ufffd" in r.stdout.decode())
            try:
                r.stdout.decode()
            except UnicodeDecodeError as error:
                common.expect(f"pipe, seed {seed}: valid UTF-8", False, error)
            r = common.run("run", model, "--json", "-n", "200", "-t", "2", "-p", "0", "-s", seed,
                           "-i", "x", env=env)
            for line in r.stdout.splitlines():
                seen.add(json.loads(line).get("id"))
        common.expect("the model generated most of the bytes",
                      len([i for i in seen if i and 3 <= i < 259]) > 150, len(seen))
        for ui, charset in (("line", "utf8"), ("line", "ascii"), ("line", "latin1"),
                            ("plain", "utf8")):
            s = TerminalSession(model, "--ui", ui, "-n", "300", "-t", "2", "-p", "0", "-s", "3",
                                "--charset", charset, home=home, term="xterm")
            try:
                s.wait(PROMPT)
                s.at = len(s.seen)
                begin = s.at
                s.enter("x")
                common.expect(f"{ui} {charset}: a turn", s.wait(FIGURES), s.tail())
                output = s.seen[begin:]
                bad = [b for b in clean(output) if charset != "latin1" or len(b) == 1]
                common.expect(f"{ui} {charset}: no control bytes",
                              not bad and b"\x07" not in output, bad[:9])
                if charset != "utf8":
                    high = [b for b in output if b >= 0x80 and (charset == "ascii" or b < 0xA0)]
                    common.expect(f"{ui} {charset}: only characters of the charset", not high,
                                  high[:9])
                s.wait(PROMPT)
                exported = f"{folder}/hostile-{ui}-{charset}.txt"
                s.enter("/export " + exported)
                s.wait(rb"Exported")
                s.wait(rb"> ")
                s.enter("/quit")
                common.expect(f"{ui} {charset}: exit code 0", s.ends() == 0, s.tail())
                common.expect(f"{ui} {charset}: the terminal is restored", s.modes_are_back())
            finally:
                s.close()
            with open(exported, "rb") as text:
                data = text.read()
            common.expect(f"{ui} {charset}: no control bytes in the export",
                          not clean(data) and b"\x1b" not in data, clean(data)[:9])
    common.done()


main()
