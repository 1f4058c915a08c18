#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Generates stories and compares them, byte for byte, with what llama2.c printed.

rows.py PROGRAM --models FOLDER [--models ...] --rows FILE.jsonl [--rows ...]
        [--backend STACK] [--pack WHEN] [--threads 1,2] [--only run|runq]
        [--sampling greedy|sampled] [--every N] [--least PERCENT]

A row holds the program of llama2.c (run: fp32, runq: int8), its arguments and its output in hex.
llama2.c drops the bytes of characters that its vocabulary lacks and duotale prints the whole
character, so bytes above ASCII are removed from both before they are compared.

--every N takes each N-th row, for slow machines. --least PERCENT is for approximate backends:
stories may differ, but at least that share of the bytes must come before the first difference of
their story. Exit code 0: they agree; 1: they do not; 77: models or rows are missing.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys


def ascii_only(text):
    return bytes(byte for byte in text if byte < 0x80)


def find_model(folders, name):
    return next((folder / name for folder in folders if (folder / name).exists()), None)


def generate(program, models, row, options, threads):
    """The command, its output, and None or what went wrong."""
    arguments = list(row["args"])
    for at in (0, arguments.index("-z") + 1):
        arguments[at] = str(find_model(models, arguments[at]))
    command = [program, "run", *arguments, "--stop", "bos", "-b", options.backend, "-j",
               str(threads), "--pack", options.pack, "--quiet"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        return command, b"", f"exit code {done.returncode}: {done.stderr.decode(errors='replace')}"
    return command, ascii_only(done.stdout), None


def first_difference(wanted, found):
    if wanted == found:
        return None
    pairs = enumerate(zip(wanted, found))
    return next((i for i, (a, b) in pairs if a != b), min(len(wanted), len(found)))


def collect_jobs(options):
    """Pairs of a row and a number of threads; None if a file of rows is missing."""
    jobs, absent = [], set()
    for path in options.rows:
        if not path.exists():
            print(f"skipped: there is no {path.resolve()}")
            return None
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            greedy = float(row["args"][row["args"].index("-t") + 1]) == 0
            if options.only and row["program"] != options.only:
                continue
            if options.sampling and (options.sampling == "greedy") != greedy:
                continue
            if not find_model(options.models, row["args"][0]):
                absent.add(row["args"][0])
                continue
            jobs += [(row, int(threads)) for threads in options.threads.split(",")]
    for name in sorted(absent):
        print(f"skipped: the rows of {name}, which is not in {options.models[0].resolve()}")
    return jobs[::options.every]


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--models", type=pathlib.Path, action="append", required=True)
    parser.add_argument("--rows", type=pathlib.Path, action="append", required=True)
    parser.add_argument("--backend", default="reference")
    parser.add_argument("--pack", default="auto")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--only", choices=["run", "runq"])
    parser.add_argument("--sampling", choices=["greedy", "sampled"])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--least", type=float)
    return parser.parse_args()


def main():
    options = parse_options()
    jobs = collect_jobs(options)
    if not jobs:
        return 77
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        stories = list(pool.map(lambda job: generate(options.program, options.models, job[0],
                                                     options, job[1]), jobs))
    agree, errors, total, common = 0, 0, 0, 0
    for (row, _), (command, found, error) in zip(jobs, stories):
        wanted = ascii_only(bytes.fromhex(row["stdout_hex"]))
        at = first_difference(wanted, found)
        total += len(wanted)
        common += len(wanted) if at is None else at
        agree += at is None
        errors += error is not None
        if error or (at is not None and options.least is None):
            print(" ".join(command), "\n   ", error or f"differs at byte {at}: expected "
                  f"{wanted[at:at + 40]!r}, got {found[at:at + 40]!r}")
    percent = 100 * common / total
    print(f"{options.backend}: {agree} of {len(jobs)} stories agree; {percent:.1f} % of the bytes "
          f"come before a difference ({options.least or 100:g} % required)")
    if options.least is None:
        return 1 if agree < len(jobs) else 0
    return 1 if errors or percent < options.least else 0


if __name__ == "__main__":
    sys.exit(main())
