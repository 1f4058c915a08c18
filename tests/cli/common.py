# SPDX-License-Identifier: MIT
"""Shared by the command line tests: running the program and reporting failures."""
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2])
SHARED = SOURCE / ".." / "shared"
DATA = SOURCE / "data" / "models"
SLOW = "DT_SLOW" in os.environ  # an instrumented build: slow checks are left out
FAILURES = []
DONE = 0


def run(
    *arguments,
    env=None,
    stdin=subprocess.DEVNULL,
    cwd=None,
    text=None,
    timeout=120,
    program=PROGRAM,
):
    """Runs the program; stdout and stderr of the result are bytes."""
    timeout *= 5 if SLOW else 1
    environment = dict(os.environ)
    environment.pop("DUOTALE_MODULES", None)
    environment.update(env or {})
    options = {"input": text} if text is not None else {"stdin": stdin}
    return subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        check=False,
        env=environment,
        cwd=cwd,
        timeout=timeout,
        **options,
    )


def expect(what, good, detail=""):
    """One test."""
    global DONE
    DONE += 1
    if not good:
        FAILURES.append(what)
        print(f"FAILED: {what}: {detail}")
    return good


def expect_run(what, result, code, stdout=None, stderr=None):
    """One test of a finished run: its exit code, and bytes that its streams must contain."""
    good = result.returncode == code
    good = (
        good
        and (stdout is None or stdout in result.stdout)
        and (stderr is None or stderr in result.stderr)
    )
    return expect(
        what,
        good,
        f"exit code {result.returncode} (expected {code})\n  stdout: {result.stdout[:300]!r}"
        f"\n  stderr: {result.stderr[:600]!r}\n  expected: {stdout!r} {stderr!r}",
    )


def folder():
    return tempfile.TemporaryDirectory(prefix="duotale-test-")


def fill_library(db, text):
    """Puts the text into every column for text of an open library."""
    for (name,) in list(db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
        db.execute(f"DROP TRIGGER {name}")
    for table in ("story", "turn"):
        columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})") if c[2] == "TEXT"]
        values = ", ".join(f"{column} = CAST(? AS TEXT)" for column in columns)
        db.execute(f"UPDATE {table} SET {values}", [text] * len(columns))
    db.execute("INSERT INTO words(words) VALUES('rebuild')")


def done():
    print(f"{DONE - len(FAILURES)} of {DONE} tests passed")
    sys.exit(1 if FAILURES else 0)
