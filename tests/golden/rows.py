#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tells stories and compares them, byte for byte, with what llama2.c printed.

rows.py PROGRAM --models FOLDER --rows FILE.jsonl [--rows ...]
        [--backend STACK] [--threads 1,2] [--only run|runq] [--sampling greedy|sampled] [--every N] [--report]

A row holds the program (run: fp32, runq: int8), its arguments and its output in hex. llama2.c drops the bytes of characters
that its vocabulary lacks, we print the whole character: so all bytes above ASCII are left out of both sides before they are
compared. --every N takes each N-th row, for slow machines. --report only counts and prints how many agree. Exit 0: all equal; 1: not; 77: no models or rows here.
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


def tell(program, models, row, backend, threads):
    arguments = list(row["args"])
    arguments[0] = str(models / arguments[0])
    tokenizer = arguments.index("-z") + 1
    arguments[tokenizer] = str(models / arguments[tokenizer])
    command = [program, "run", *arguments, "--stop", "bos", "-b", backend, "-j", str(threads), "--quiet"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        return command, f"exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
    wanted, found = ascii_only(bytes.fromhex(row["stdout_hex"])), ascii_only(done.stdout)
    if wanted == found:
        return command, None
    at = next((i for i, (a, b) in enumerate(zip(wanted, found)) if a != b), min(len(wanted), len(found)))
    return command, f"differs at byte {at}: wanted {wanted[at:at + 40]!r}, found {found[at:at + 40]!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=pathlib.Path, action="append", required=True)
    parser.add_argument("--backend", default="reference")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--only", choices=["run", "runq"])
    parser.add_argument("--sampling", choices=["greedy", "sampled"])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()

    jobs, absent = [], set()
    for path in options.rows:
        if not path.exists():
            print(f"skipped: there is no {path}")
            return 77
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            greedy = float(row["args"][row["args"].index("-t") + 1]) == 0
            if options.only and row["program"] != options.only:
                continue
            if options.sampling and (options.sampling == "greedy") != greedy:
                continue
            if not (options.models / row["args"][0]).exists():
                absent.add(row["args"][0])
                continue
            jobs += [(row, int(threads)) for threads in options.threads.split(",")]
    jobs = jobs[::options.every]
    for name in sorted(absent):
        print(f"skipped: rows of {name}: not in {options.models}")
    if not jobs:
        return 77

    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        output = pool.map(lambda job: tell(options.program, options.models, job[0], options.backend, job[1]), jobs)
        for command, problem in output:
            if problem:
                wrong += 1
                if not options.report:
                    print(" ".join(command), "\n   ", problem)
    print(f"{options.backend}: {len(jobs) - wrong} of {len(jobs)} stories agree")
    return 1 if wrong and not options.report else 0


if __name__ == "__main__":
    sys.exit(main())
