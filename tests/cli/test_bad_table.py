#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of broken files (tests/unit/bad_files.c) at the command line: exit code 3, and one line
that names the file and contains the message of the table.

    test_bad_table.py PROGRAM WRITE_BAD_FILES
"""
import os
import subprocess
import sys
import tempfile

program, writer = sys.argv[1:3]
wrong = count = 0
with tempfile.TemporaryDirectory() as folder:
    rows = subprocess.run(
        [writer, folder], stdout=subprocess.PIPE, check=True, text=True
    ).stdout.splitlines()
    for row in rows:
        name, kind, message = row.split("\t")
        path = os.path.join(folder, name)
        args = (
            [path, "-n", "2"]
            if kind == "model"
            else [os.path.join(folder, "companion"), "-z", path, "-n", "2"]
        )
        done = subprocess.run(
            [program, "run", *args, "-i", "the"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        # an empty file, and one of several shards, are refused before a reader is called
        explained = (
            message in done.stderr
            or os.path.getsize(path) == 0
            or "is one of 2 files" in done.stderr
        )
        if (
            done.returncode != 3
            or not explained
            or name not in done.stderr
            or done.stderr.count("\n") != 1
            or done.stdout
        ):
            print(f"{name}: exit {done.returncode}, {done.stderr!r}, expected {message!r}")
            wrong += 1
        count += 1
print(f"{count} broken files, {wrong} not refused correctly")
sys.exit(1 if wrong or count < 120 else 0)
