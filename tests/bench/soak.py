# SPDX-License-Identifier: MIT
"""A soak test: random commands, swaps, models, voices, signals and terminal sizes, in the full
screen and in line mode, for as long as asked. Run by hand, with a program built with sanitizers:

    meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false && ninja -C build-asan
    python3 tests/bench/soak.py build-asan/duotale . --minutes 30 [--seed N]

With --turns N it measures instead: N turns in one session of an ordinary build, in line mode or
with --ui tui, and the growth of its private memory after the first 200. Exit code 1 if a sanitizer
reported something, a session crashed or hung, or memory grew by more than 1 MB.
"""
import argparse
import fcntl
import os
import pathlib
import random
import re
import signal
import struct
import sys
import tempfile
import termios
import time

ARGUMENTS = argparse.ArgumentParser()
ARGUMENTS.add_argument("program")
ARGUMENTS.add_argument("source")
ARGUMENTS.add_argument("--minutes", type=float, default=30)
ARGUMENTS.add_argument("--turns", type=int, default=0)
ARGUMENTS.add_argument("--ui", choices=("line", "tui"), default="line")
ARGUMENTS.add_argument("--seed", type=int, default=int(time.time()))
OPTIONS = ARGUMENTS.parse_args()
sys.argv[1:] = [OPTIONS.program, OPTIONS.source]  # for common.py
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interactive"))
from terminal_session import FIGURES, PROMPT, TerminalSession, common  # noqa: E402

RANDOM = random.Random(OPTIONS.seed)
WORDS = ("once upon a time there was little dog who found the red ball and said hello to "
         "caf\u00e9 \u4f60\u597d \U0001F469\u200D\U0001F467 na\u00efve end.").split()
SEQUENCES = (b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[H", b"\x1b[F", b"\x1b[5~",
             b"\x1b[6~",
             b"\x1b[3~", b"\x1bOP", b"\x1bOQ", b"\x1bOR", b"\x1bOS", b"\x1b[15~", b"\x1b",
             b"\x1b[13;5u",
             b"\x1b]11;rgb:0/0/0\x1b\\", b"\x1b[<64;3;4M", b"\x1b[M !!", b"\t", b"\x0c",
             b"\x12", b"\x15", b"\x17", b"\x19", b"\x0b", b"\x7f", b"\x1b[200~one\r\ntwo\x1b[201~",
             b"\x1bb", b"\x1bf")
STACKS = ("reference", "int8", "int8+fastexp", "fp32", "auto", "nonsense", "int8+int8")


def models():
    return [str(p) for p in common.DATA.iterdir()
            if p.suffix in (".bin", ".gguf") and ".tok." not in p.name] + ["/nonexistent", "."]


def text():
    return " ".join(RANDOM.choice(WORDS) for _ in range(RANDOM.randint(1, 12)))


def command(home):
    pick = RANDOM.choice
    return pick((
        lambda: f"/backend {pick(STACKS)}", lambda: f"/model {pick(models())}",
        lambda: f"/set temperature {pick(('0', '0.7', '1.5', 'x'))}",
        lambda: f"/set length {pick(('1', '8', '40'))}", lambda: f"/threads {pick('0129')}",
        lambda: f"/set context {pick(('64', '128', '0'))}", lambda: "/undo", lambda: "/retry",
        lambda: "/continue", lambda: "/new", lambda: "/library", lambda: f"/library {text()}",
        lambda: f"/open {pick(('', '1', '2', 'foo', '99'))}", lambda: f"/delete {pick('123')}",
        lambda: f"/rename {text()}", lambda: f"/pin {pick(('-', text()))}", lambda: "/memory",
        lambda: f"/stats {pick(('', 'off', 'turn', 'live'))}", lambda: "/help",
        lambda: f"/speak {pick(('on', 'off'))}", lambda: f"/voice {pick(('', 'tones', 'espeak'))}",
        lambda: f"/export {home}/{RANDOM.randint(0, 9)}.txt", lambda: "/edit",
        lambda: f"/set overflow {pick(('stop', 'new', 'shift', 'window'))}", lambda: "/set",
        lambda: f"/set size {pick(('auto', '60x15', '3x3'))}",
        lambda: f"/private {pick(('on', 'off'))}",
        lambda: f"/compare {pick(STACKS)} {pick(STACKS)}",
        lambda: f"/panel {pick(('models', 'none', 'x'))}",
        lambda: "/seed", lambda: "/nonsense", lambda: f"/listen {pick(('off', '/dev/null'))}",
    ))()


def resize(session, rows, cols):
    fcntl.ioctl(session.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    session.kill(signal.SIGWINCH)


def act(session, home):
    kind = RANDOM.random()
    if kind < 0.35:
        session.enter(text())
    elif kind < 0.65:
        session.enter(command(home))
    elif kind < 0.85:
        session.type(RANDOM.choice(SEQUENCES))
    elif kind < 0.92:
        session.type("\x03")
    elif kind < 0.97:
        resize(session, RANDOM.choice((3, 10, 15, 24, 60)), RANDOM.choice((5, 40, 80, 200)))
    else:
        session.type(bytes(RANDOM.randrange(256) for _ in range(20)).replace(b"\x04", b"")
                     .replace(b"\x1a", b"").replace(b"\x1c", b""))


def ending(session):
    """Ends the session in one of the ways; the exit codes that are right. 3 and 130 are those of
    a session without a model: none could be opened, or Ctrl-C ended that."""
    way = RANDOM.random()
    if way < 0.5:
        session.type("\x03\x03\x15\x1b")
        time.sleep(0.4)
        session.enter("n")
        session.type("\x15")
        session.enter("/quit")
        if session.ends(20) is not None:
            return (0, 1)
    number = RANDOM.choice((signal.SIGTERM, signal.SIGHUP))
    session.kill(number)
    return (128 + number, 0, 1)


def soak(home, log):
    """Sessions until the time is over. Returns the faults."""
    faults, sessions, actions = [], 0, 0
    end = time.monotonic() + 60 * OPTIONS.minutes
    env = {"ASAN_OPTIONS": f"detect_leaks=1:log_path={log}/report:quarantine_size_mb=8",
           "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={log}/report", "XDG_RUNTIME_DIR": home}
    while time.monotonic() < end:
        ui = RANDOM.choice(("tui", "line"))
        session = TerminalSession("--ui", ui, "-n", "12", "--no-config", home=home, env=env,
                                  term=RANDOM.choice(("xterm-256color", "vt100", "linux")))
        sessions += 1
        done = []
        try:
            session.pump(1)
            for _ in range(RANDOM.randint(20, 120)):
                if session.over() or time.monotonic() > end:
                    break
                act(session, home)
                actions += 1
                for _ in range(RANDOM.choice((1, 1, 2, 8))):
                    if not session.pump(0.05):
                        break
            if not session.over():
                done = ending(session)
            code = session.ends(60)
            if code is None or code not in (*done, 0, 1, 3, 130):
                faults.append(f"session {sessions} ({ui}): exit code {code}: {session.tail()}")
            if not session.modes_are_back():
                faults.append(f"session {sessions} ({ui}): the terminal was not restored")
        finally:
            session.close()
        faults += [p.read_text(errors="replace") for p in pathlib.Path(log).iterdir()]
        for report in pathlib.Path(log).iterdir():
            report.unlink()
    print(f"{sessions} sessions, {actions} actions, {len(faults)} faults")
    return faults


def anonymous(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1))


def settle(session):
    """Waits until the screen is drawn: nothing comes for 60 ms."""
    seen = -1
    while seen != len(session.seen):
        seen = len(session.seen)
        session.pump(0.06)


def turns(home):
    """Many turns in one session: how much private memory grows after the first 200."""
    session = TerminalSession("--ui", OPTIONS.ui, "-n", "6", "--no-config", "--stats", "turn",
                              home=home)
    before = 0
    full = OPTIONS.ui == "tui"
    try:
        session.wait(rb"tok/s" if full else PROMPT)
        for i in range(OPTIONS.turns):
            if i == 200:
                before = anonymous(session.pid)
            session.enter("/new" if i % 10 == 9 else text().replace("/", ""))
            if full:
                settle(session)
            elif not session.wait(PROMPT if i % 10 == 9 else FIGURES, 60):
                return [f"turn {i}: no answer: {session.tail()}"]
            elif i % 10 != 9:
                session.wait(PROMPT, 60)
            session.seen, session.at = b"", 0
        growth = anonymous(session.pid) - before
        print(f"{OPTIONS.turns} turns: private memory {before} kB after 200, then +{growth} kB")
        session.enter("/quit")
        session.ends()
        return [f"memory grew by {growth} kB"] if growth > 1024 else []
    finally:
        session.close()


def main():
    print(f"seed {OPTIONS.seed}")
    with tempfile.TemporaryDirectory(prefix="duotale-soak-") as folder:
        home, log = f"{folder}/home", f"{folder}/log"
        os.mkdir(home)
        os.mkdir(log)
        faults = turns(home) if OPTIONS.turns else soak(home, log)
    for fault in faults:
        print(f"FAULT: {fault[-3000:]}")
    sys.exit(1 if faults else 0)


main()
