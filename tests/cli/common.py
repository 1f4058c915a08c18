# SPDX-License-Identifier: MIT
"""What the command line tests share: running the program, saying what went wrong."""
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2])
SHARED = SOURCE / ".." / "shared"
DATA = SOURCE / "data" / "models"
SLOW = "DT_SLOW" in os.environ  # an instrumented build: less of what only takes time
FAILURES = []
DONE = 0


def run(*arguments, env=None, stdin=subprocess.DEVNULL, cwd=None, text=None, timeout=120, program=PROGRAM):
    """Runs the program; the result's stdout and stderr are bytes."""
    timeout *= 5 if SLOW else 1
    environment = dict(os.environ)
    environment.pop("DUOTALE_MODULES", None)
    environment.update(env or {})
    options = {"input": text} if text is not None else {"stdin": stdin}
    return subprocess.run([program, *map(str, arguments)], capture_output=True, check=False, env=environment, cwd=cwd,
                          timeout=timeout, **options)


def expect(what, good, detail=""):
    """One test."""
    global DONE
    DONE += 1
    if not good:
        FAILURES.append(what)
        print(f"FAILED: {what}: {detail}")
    return good


def expect_run(what, result, code, stdout=None, stderr=None):
    """One test of a finished run: exit code, and what its streams hold (bytes that must occur)."""
    good = result.returncode == code
    good = good and (stdout is None or stdout in result.stdout) and (stderr is None or stderr in result.stderr)
    return expect(what, good, f"exit code {result.returncode} (wanted {code})\n  stdout: {result.stdout[:300]!r}"
                  f"\n  stderr: {result.stderr[:600]!r}\n  wanted: {stdout!r} {stderr!r}")


def folder():
    return tempfile.TemporaryDirectory(prefix="duotale-test-")


def done():
    print(f"{DONE - len(FAILURES)} of {DONE} good")
    sys.exit(1 if FAILURES else 0)
