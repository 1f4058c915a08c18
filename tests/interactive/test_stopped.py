# SPDX-License-Identifier: MIT
"""A program that is stopped and continued; output that is stopped, by Ctrl-S or because nobody
reads it: one signal ends the session, and the story is saved.

usage: test_stopped.py PROGRAM SOURCE
"""
import fcntl
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import synth  # noqa: E402

from terminal_session import PROMPT, TerminalSession, common

ENDLESS = ("-n", "0", "--overflow", "shift", "--stop", "bos", "-b", "int8", "-j", "1")


F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ needs Python 3.10


def step(session, what, good):
    """One check; if it fails, the last output of the terminal is printed."""
    return common.expect(what, good, session.tail())


def state_of(session):
    with open(f"/proc/{session.pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def stopped(home):
    """A program that is stopped finds the terminal as the shell left it, with what was typed."""
    for ui in ("line", "tui"):
        s = TerminalSession("--ui", ui, "-n", "8", home=home)
        try:
            s.wait(PROMPT if ui == "line" else rb"> .*tok/s")
            s.type("On")
            s.wait(rb"On")
            s.kill(signal.SIGSTOP)
            while state_of(s) != "T":
                s.pump(0.01)
            termios.tcsetattr(s.slave, termios.TCSANOW, s.modes)
            s.type("ce\r")
            s.kill(signal.SIGCONT)
            step(s, f"{ui}: the entry and its rest",
                 s.wait(rb"Once .*(tokens|Length limit reached)"))
            if ui == "line":
                s.wait(PROMPT)
            s.enter("/quit")
            step(s, f"{ui}: quits", s.ends() == 0)
            step(s, f"{ui}: the terminal is restored", s.modes_are_back())
        finally:
            s.close()


def saved(home):
    """Whether the turn is in the library, finished and with text."""
    with sqlite3.connect(home + "/data/duotale/library.db") as db:
        row = db.execute("SELECT finished, told FROM turn ORDER BY id DESC").fetchone()
    db.close()
    return row and row[0] == 1 and len(row[1]) > 5


def is_full(fd, seconds=60):
    """Waits until the bytes that wait at this end are many, and no more come for a second."""
    before, same, end = 0, 0, time.monotonic() + seconds
    while same < 10 and time.monotonic() < end:
        now = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0]
        same = same + 1 if now == before and now > 1000 else 0
        before = now
        time.sleep(0.1)
    return same >= 10


def ends_unread(session, seconds=60):
    """The exit code of a session whose terminal nobody reads."""
    end = time.monotonic() + seconds
    while not session.over() and time.monotonic() < end:
        time.sleep(0.02)
    return None if session.status is None else os.waitstatus_to_exitcode(session.status)


def ctrl_s(home, model):
    """The terminal's driver holds the output back. Ctrl-Q would let it go on."""
    for ui in ("line", "plain"):
        for where in ("a turn", "the prompt"):
            name = f"Ctrl-S in {where}, {ui}"
            here = f"{home}/{ui}-{where.split()[-1]}"
            os.mkdir(here)
            s = TerminalSession(model, "--ui", ui, *ENDLESS, home=here)
            try:
                s.wait(PROMPT)
                if where == "a turn":
                    s.enter("Once upon")
                    s.wait(rb"upon.{60}")
                s.type("\x13")
                while s.pump(0.3) and len(s.seen) > s.at:  # until nothing comes
                    s.at = len(s.seen)
                s.kill(signal.SIGTERM)
                step(s, f"{name}: one signal ends it", s.ends() == 128 + signal.SIGTERM)
                step(s, f"{name}: the story is saved", where == "the prompt" or saved(here))
                step(s, f"{name}: the terminal is restored", s.modes_are_back())
            finally:
                s.close()


def nobody_reads(home, model):
    """The other end of the terminal does not read: a connection that hangs."""
    for ui in ("line", "plain", "tui"):
        here = f"{home}/unread-{ui}"
        os.mkdir(here)
        s = TerminalSession(model, "--ui", ui, *ENDLESS, home=here)
        try:
            s.wait(PROMPT if ui != "tui" else rb"tok/s")
            s.enter("Once upon")
            s.wait(rb"upon")
            if not step(s, f"{ui}: the output is full", is_full(s.master)):
                continue
            s.kill(signal.SIGTERM)
            step(s, f"{ui}: one signal ends it", ends_unread(s) == 128 + signal.SIGTERM)
            step(s, f"{ui}: the story is saved", saved(here))
            step(s, f"{ui}: the terminal is restored", s.modes_are_back())
        finally:
            s.close()


def full_pipe(home, model):
    env = {**os.environ, "HOME": home, "XDG_DATA_HOME": home + "/data",
           "XDG_CONFIG_HOME": home + "/config"}
    child = subprocess.Popen([common.PROGRAM, model, *ENDLESS, "-i", "Once upon"], env=env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, bufsize=0)
    fcntl.fcntl(child.stdout, F_SETPIPE_SZ, 4096)
    common.expect("a full pipe: the output is full", is_full(child.stdout.fileno()))
    child.send_signal(signal.SIGTERM)
    try:
        code = child.wait(60)
    except subprocess.TimeoutExpired:
        code = None
        child.kill()
    common.expect("a full pipe: one signal ends it", code == 128 + signal.SIGTERM, code)
    common.expect("a full pipe: the story is saved", saved(home))
    child.stdout.close()


def main():
    with common.folder() as home:
        model = home + "/endless.bin"
        synth.int8(model, dim=64, hidden=128, layers=2, heads=2, kv_heads=2, vocab=32000,
                   context=512)
        synth.tokenizer(home + "/endless.tok.bin", 32000)
        stopped(home)
        ctrl_s(home, model)
        nobody_reads(home, model)
        os.mkdir(home + "/pipe")
        full_pipe(home + "/pipe", model)
    common.done()


main()
