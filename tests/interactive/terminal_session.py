# SPDX-License-Identifier: MIT
"""The program on a pseudo terminal: types input, waits for output."""
import errno
import os
import pty
import re
import select
import signal
import struct
import sys
import fcntl
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import common  # noqa: E402


class TerminalSession:
    """One run of the program on a new terminal."""

    def __init__(self, *arguments, term="xterm-256color", locale="C.UTF-8", cols=80, rows=24,
                 env=None, home=None, cwd=None, program=common.PROGRAM):
        self.home = home
        environment = {"PATH": os.environ["PATH"], "HOME": home, "XDG_DATA_HOME": home + "/data",
                       "XDG_CONFIG_HOME": home + "/config", "LC_ALL": locale,
                       "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), "INPUTRC": "/dev/null",
                       "DUOTALE_SEED": "5"}  # a test's result does not depend on chance
        if term is not None:
            environment["TERM"] = term
        environment.update(env or {})
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self.modes = termios.tcgetattr(self.slave)
        self.seen = b""
        self.at = 0
        self.status = None
        self.pid = os.fork()
        if self.pid == 0:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)  # ignored signals would be inherited
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(self.slave, fd)
            os.close(self.master)
            os.close(self.slave)
            if cwd:
                os.chdir(cwd)
            os.execve(program, [program, *map(str, arguments)], environment)

    def pump(self, seconds):
        """Waits for output at most so long, and reads it; False at the end of the output."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise
        self.seen += data
        return bool(data)

    def wait(self, pattern, seconds=30):
        """Waits for a match of the pattern (bytes, a regular expression) after the one before."""
        expression = re.compile(pattern, re.S)
        end = time.monotonic() + seconds
        while True:
            found = expression.search(self.seen, self.at)
            if found:
                self.at = found.end()
                return found
            if time.monotonic() > end or self.over():
                self.pump(0.05)
                found = expression.search(self.seen, self.at)
                if found:
                    self.at = found.end()
                    return found
                return None
            self.pump(0.05)

    def over(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is not None

    def type(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def enter(self, text):
        self.type(text + "\r")

    def kill(self, number):
        os.kill(self.pid, number)

    def ends(self, seconds=30):
        """Waits for the end: the exit code, or minus the signal; None if it does not end."""
        end = time.monotonic() + seconds
        while not self.over() and time.monotonic() < end:
            self.pump(0.05)
        while self.pump(0.02) and select.select([self.master], [], [], 0)[0]:
            pass
        if self.status is None:
            return None
        return os.waitstatus_to_exitcode(self.status)

    def modes_are_back(self):
        return termios.tcgetattr(self.slave) == self.modes

    def close(self):
        if not self.over():
            os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)
        os.close(self.master)
        os.close(self.slave)

    def tail(self):
        return repr(self.seen[-1500:])


PROMPT = rb"(?:\r|\n|^)(?:\x1b\[\?2004h)?(?:\x1b\[[0-9;?]*[a-zA-Z]|\r)*> "
FIGURES = rb"(\d+) tokens, [\d.]+ tok/s"
