# SPDX-License-Identifier: MIT
"""Every allocation fails from some moment on: an error or an ordinary end, never a hang or a crash;
a signal ends a session at once. When memory is there again, what was finished is saved.

usage: test_memory.py PROGRAM SOURCE SHIM [MOMENTS]
"""
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys

from terminal_session import PROMPT, TerminalSession, common

SHIM = os.path.abspath(sys.argv[3])
MODEL = common.DATA.resolve() / "bedtime-2m-q80-g32.bin"
SHORT = rb"[Oo]ut of memory|not enough memory|no memory|cannot be started"
ORDINARY = (0, 1, 2, 4)  # exit codes; a shortage has 4, and 1 if a library or thread has it
UIS = ("plain", "line", "tui")
TURNS = 24
STEPS = int(sys.argv[4]) if len(sys.argv) > 4 else 9  # moments in a session on a terminal
FAILED = 4  # how a turn ended: with an error
STORY = ("-t", "0", "-n", "6", "--no-config")


def environment(home, **more):
    shutil.rmtree(home, ignore_errors=True)
    os.mkdir(home)
    return {"HOME": home, "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
            "LD_PRELOAD": SHIM, **{name: str(value) for name, value in more.items()}}


def piped(home, arguments, text, **shim):
    """One run without a terminal; None if it does not end."""
    try:
        return common.run(*arguments, text=text, env=environment(home, **shim), timeout=60)
    except subprocess.TimeoutExpired:
        return None


def count_of(home, *arguments, text=b""):
    name = home + ".count"
    usual = piped(home, arguments, text, DT_SHIM_COUNT=name)
    common.expect(f"{arguments[0]}: exit code 0 with memory", usual.returncode == 0, usual)
    return int(pathlib.Path(name).read_text()), usual.stdout


def pipes(folder):
    home = folder + "/home"
    lines = b"/set temperature 0\nOnce upon a time\n/library\n/memory\nand then\n/model\n"
    for name, arguments, text, steps in (
            ("run", ("run", MODEL, "-t", "0", "-n", "6"), b"", 20),
            ("run -m chat", ("run", MODEL, "-m", "chat", "-t", "0"), b"Hello\n", 8),
            ("a session", (MODEL, *STORY), b"Once upon a time", 20),
            ("commands", (MODEL, *STORY), lines, 15),
            ("stories", ("stories", "list"), b"", 8),
            ("backends", ("backends",), b"", 8)):
        total, usual = count_of(home, *arguments, text=text)
        for i in range(steps + 1):
            number = total * i // steps
            r = piped(home, arguments, text, DT_SHIM_FAIL=number)
            what = f"{name}, nothing from allocation {number} of {total} on"
            if not common.expect(f"{what}: it ends", r is not None):
                continue
            common.expect(f"{what}: an ordinary exit code", r.returncode in ORDINARY, r)
            common.expect(f"{what}: an error, or the whole output",
                          r.stderr if r.returncode else i == 0 or name not in ("run", "a session")
                          or r.stdout == usual, (r, usual))


def rows_of(home):
    path = home + "/data/duotale/library.db"
    if not os.path.exists(path):
        return []
    db = sqlite3.connect(path)
    try:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'turn'").fetchall():
            return []  # memory was short before there was a library
        return db.execute("SELECT finished, told, ending FROM turn ORDER BY story, n").fetchall()
    finally:
        db.close()


def sessions(folder):
    home = folder + "/home"
    for ui in UIS:
        name = folder + "/count"
        for i in range(STEPS):
            shim = ({"DT_SHIM_COUNT": name} if i == 0 else
                    {"DT_SHIM_FAIL": total * i // STEPS})
            s = TerminalSession("--ui", ui, *STORY, MODEL, home=home, env=environment(home, **shim))
            what = f"{ui}, failing: {shim}"
            ready = rb"Type how a story begins" if ui == "tui" else PROMPT
            done = rb"Length limit reached" if ui == "tui" else rb"tok/s.*" + PROMPT
            shown = None
            try:
                s.wait(ready + rb"|" + SHORT)
                if not s.over():
                    s.enter("Once upon a time")
                    said = ui == "tui" and re.search(SHORT, s.seen)  # and stays on the screen
                    common.expect(f"{what}: the turn, or an error",
                                  said or s.wait(done + rb"|" + SHORT) or s.over(), s.tail())
                    shown = re.search(done, s.seen, re.S)
                if i == 0 or (i % 2 and ui == "plain"):
                    s.enter("/quit")
                elif not s.over():
                    s.kill(signal.SIGTERM)
                code = s.ends(60)
                common.expect(f"{what}: it ends in order, at the first signal",
                              code in (*ORDINARY, 128 + signal.SIGTERM), (code, s.tail()))
                common.expect(f"{what}: the terminal is given back", s.modes_are_back(), s.tail())
                common.expect(f"{what}: what was acknowledged is in the library, or it is said",
                              not shown or re.search(SHORT, s.seen) or
                              [row[0] for row in rows_of(home)] == [1], (rows_of(home), s.tail()))
            finally:
                s.close()
            if i == 0:
                common.expect(f"{ui}: the turn is seen", shown, s.tail())
                total = int(pathlib.Path(name).read_text())


def recovery(folder):
    """Memory is short for a while: what was finished then is saved with the next turn."""
    home = folder + "/home"
    text = b"/set temperature 0\n" + b"".join(b"And turn %d\n" % i for i in range(TURNS))
    total, _ = count_of(home, MODEL, *STORY, text=text)
    later = 0
    for begin in range(total // 2, total // 2 + total // TURNS, 24):  # every moment of a turn
        end = begin + 24
        r = piped(home, (MODEL, *STORY), text, DT_SHIM_FAIL=begin, DT_SHIM_UNTIL=end)
        what = f"no memory from {begin} to {end} of {total}"
        if not common.expect(f"{what}: it ends", r is not None):
            continue
        common.expect(f"{what}: an ordinary exit code", r.returncode in ORDINARY, r)
        rows = rows_of(home)
        common.expect(f"{what}: no turn before the last is a draft or empty",
                      all(finished and (story or ending == FAILED)
                          for finished, story, ending in rows[:-1]), (rows, r))
        common.expect(f"{what}: all turns are there, or an error",
                      r.returncode or len(rows) == TURNS, (rows, r))
        if r.returncode and len(rows) > TURNS // 2 + 2 and rows[-1][2] != FAILED:
            later += 1
            common.expect(f"{what}: turns after the shortage are shown with their prompts",
                          f"And turn {TURNS - 1}".encode() in r.stdout, r)
    common.expect("sessions went on after a shortage", later > 5, later)


def main():
    with common.folder() as folder:
        pipes(folder)
        sessions(folder)
        recovery(folder)
    common.done()


main()
