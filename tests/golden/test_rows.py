#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_rows.py ROWS.py: rows.py must fail when a story differs, and when too few bytes agree."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

STORY = b"Once upon a time there was a test."

# a name, what the program prints, arguments of rows.py, the expected exit code
CASES = [
    ("the same story", STORY, [], 0),
    ("other bytes above ASCII", STORY + b"\xc3\xa4", [], 0),
    ("one letter differs", STORY[:-2] + b"s.", [], 1),
    ("the story ends early", STORY[:-1], [], 1),
    ("the story is longer", STORY + b"!", [], 1),
    ("half of it agrees, half is enough", STORY[:17] + b"?" * 17, ["--least", "50"], 0),
    ("half of it agrees, more is required", STORY[:17] + b"?" * 17, ["--least", "51"], 1),
    ("nothing agrees", b"?", ["--least", "1"], 1),
    ("the program fails", None, ["--least", "0"], 1),
    ("no row is of that program", STORY, ["--only", "runq"], 77),
    ("no file of rows", STORY, ["--rows", "nothing.jsonl"], 77),
]


def write_files(folder, output):
    program = folder / "program"
    (folder / "output").write_bytes(output or b"")
    program.write_text(f"#!/bin/sh\ncat {folder}/output\nexit {1 if output is None else 0}\n")
    os.chmod(program, 0o755)
    for name in ("model.bin", "tok.bin"):
        (folder / name).write_bytes(b"")
    row = {"program": "run", "args": ["model.bin", "-z", "tok.bin", "-t", "0.0"],
           "stdout_hex": STORY.hex()}
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    return program


def main():
    failures = 0
    for name, output, arguments, expected in CASES:
        with tempfile.TemporaryDirectory(prefix="duotale-test-") as text:
            folder = pathlib.Path(text)
            command = [sys.executable, sys.argv[1], str(write_files(folder, output)),
                       "--models", text, "--rows", str(folder / "rows.jsonl"), *arguments]
            done = subprocess.run(command, cwd=text, capture_output=True, text=True, check=False)
        if done.returncode != expected:
            failures += 1
            print(f"{name}: expected exit code {expected}, got {done.returncode}: "
                  f"{done.stdout}{done.stderr}")
    print(f"{len(CASES) - failures} of {len(CASES)} cases as expected")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
