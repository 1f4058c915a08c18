# SPDX-License-Identifier: MIT
"""A model file that is damaged while a session uses it: an error at the token boundary; the story
is kept, the session lives, and the story goes on when the file is whole again.

usage: test_damage.py PROGRAM SOURCE
"""
import os
import pathlib
import shutil
import sqlite3

from terminal_session import FIGURES, PROMPT, TerminalSession, common
import scripted  # of tests/cli

MODEL = common.DATA / "bedtime-2m-q80-g32.bin"
TOKENIZER = common.DATA / "bedtime-2m.tok.bin"
SECONDS = 300 if common.SLOW else 60


def cut(path):
    os.truncate(path, 5000)


def write_over(path):
    """As `cat NEW > FILE` does, with the same bytes: no read fails."""
    with open(path, "r+b") as out:
        out.write(MODEL.read_bytes())


def turns(home):
    with sqlite3.connect(home + "/data/duotale/library.db") as db:
        rows = [(prompt, text, finished) for text, prompt, finished in
                db.execute("SELECT told, prompt, finished FROM turn ORDER BY story, n")]
    db.close()
    return rows


def one(folder, what, damage, reason, in_turn):
    home = f"{folder}/{what}"
    os.mkdir(home)
    model = pathlib.Path(home) / "m.bin"
    shutil.copy(MODEL, model)
    shutil.copy(TOKENIZER, home + "/m.tok.bin")
    os.utime(model, (10**9, 10**9))  # another time than that of the writing below
    # in a turn: one that does not end before the damage
    s = TerminalSession(model, "--ui", "plain", "-n", "100000" if in_turn else "8", "-t", "1",
                        "--stop", "bos", "--overflow", "shift", "--no-config", home=home)
    try:
        common.expect(f"{what}: a prompt", s.wait(PROMPT, SECONDS), s.tail())
        s.enter("Once upon a time")
        if in_turn:
            common.expect(f"{what}: text", s.wait(rb"Once upon a time.{200}", SECONDS), s.tail())
            damage(model)
        else:
            common.expect(f"{what}: a turn", s.wait(FIGURES, SECONDS), s.tail())
            s.wait(PROMPT, SECONDS)
            damage(model)
            s.enter("And then")
        named = rb"m\.bin: " + reason
        found = s.wait(named + rb"|The end\.", SECONDS)
        if found and found.group().startswith(b"The end"):  # the story was over before the damage
            s.wait(PROMPT, SECONDS)
            s.enter("And then")
            found = s.wait(named, SECONDS)
        common.expect(f"{what}: the error names the file", found, s.tail())
        common.expect(f"{what}: a prompt again", s.wait(PROMPT, SECONDS), s.tail())
        # the damage is not forgotten: the next turn is an error as well
        s.enter("She said")
        common.expect(f"{what}: the next turn fails too", s.wait(reason, SECONDS), s.tail())
        s.wait(PROMPT, SECONDS)
        kept = turns(home)
        common.expect(f"{what}: what was written is kept",
                      kept and kept[0][0] == "Once upon a time" and len(kept[0][1]) > 20, kept)
        # the whole file comes back under its name
        shutil.copy(MODEL, home + "/n.bin")
        os.rename(home + "/n.bin", model)
        s.enter("/set length 8")
        s.wait(PROMPT, SECONDS)
        s.enter(f"/model {model}")
        s.wait(PROMPT, SECONDS)
        s.enter("At last")
        common.expect(f"{what}: the story goes on", s.wait(FIGURES, SECONDS), s.tail())
        s.wait(PROMPT, SECONDS)
        s.enter("/quit")
        common.expect(f"{what}: the session ends as usual", s.ends(SECONDS) is not None, s.tail())
    finally:
        s.close()
    after = turns(home)
    common.expect(f"{what}: the first turn is as it was", after[:1] == kept[:1], (kept, after))
    common.expect(f"{what}: the last turn is complete",
                  after and after[-1][0].endswith("At last") and after[-1][1] and after[-1][2],
                  after)


def many_files(folder):
    """A model of more files than a block of guards has: the last, with the embedding, is cut."""
    home = f"{folder}/many files"
    os.mkdir(home)
    model = scripted.Scripted(pathlib.Path(home, "toy-chat"), [["<|assistant|>", "Yes", " it"]],
                              scripted.KEEPS, layers=3)
    files = sorted(model.path.glob("model-*"))
    common.expect("many files: more than 16", len(files) == 30, files)
    s = TerminalSession(model.path, "--ui", "plain", "-t", "0", "--pack", "never", "-b", "fp32",
                        "--no-config", home=home)
    try:
        s.wait(PROMPT, SECONDS)
        s.enter("Hello")
        common.expect("many files: an answer", s.wait(rb"Yes it", SECONDS), s.tail())
        s.wait(PROMPT, SECONDS)
        os.truncate(files[-1], 5000)
        s.enter("Zoo")
        common.expect("many files: the error names the file", s.wait(
            rb"00030-of-00030\S*: can no longer be read completely", SECONDS), s.tail())
        s.wait(PROMPT, SECONDS)
        s.enter("/quit")
        common.expect("many files: the session ends as usual", s.ends(SECONDS) is not None,
                      s.tail())
    finally:
        s.close()


def main():
    lost, written = rb"can no longer be read completely", rb"was written to while in use"
    with common.folder() as folder:
        one(folder, "cut between turns", cut, lost, False)
        one(folder, "cut in a turn", cut, lost, True)
        one(folder, "written over between turns", write_over, written, False)
        one(folder, "written over in a turn", write_over, written, True)
        many_files(folder)
    common.done()


main()
