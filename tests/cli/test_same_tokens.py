#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The classifier's shortlist: the same tokens with and without it, and it is used, in every backend
that has it."""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

program = sys.argv[1]
DIM, HIDDEN, LAYERS, HEADS, VOCAB, CONTEXT = 64, 128, 2, 4, 6000, 128
USED = 500  # tokens that are likely; the rows of the others are close together


def floats(random_, n, size):
    return struct.pack("<%df" % n, *(random_.gauss(0, size) for _ in range(n)))


def write_model(path):
    r = random.Random(7)
    centre = [r.gauss(0, 1) for _ in range(DIM)]
    with open(path, "wb") as f:
        f.write(struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, HEADS, VOCAB, CONTEXT))
        for token in range(VOCAB):
            if token % (VOCAB // USED) == 0:
                f.write(floats(r, DIM, 0.6))
            else:
                f.write(struct.pack("<%df" % DIM, *(-0.4 * c + r.gauss(0, 0.05) for c in centre)))
        f.write(struct.pack("<%df" % DIM, *[1.0] * DIM) * LAYERS)
        for rows, cols in ((DIM, DIM),) * 4:  # query, key, value, output
            f.write(floats(r, LAYERS * rows * cols, 0.3))
        f.write(struct.pack("<%df" % DIM, *[1.0] * DIM) * LAYERS)
        for rows, cols in ((HIDDEN, DIM), (DIM, HIDDEN), (HIDDEN, DIM)):
            f.write(floats(r, LAYERS * rows * cols, 0.3))
        f.write(struct.pack("<%df" % DIM, *[1.0] * DIM))
        f.write(bytes(4 * CONTEXT * (DIM // HEADS)))


def run(*args):
    done = subprocess.run([program, *args], capture_output=True, text=True, timeout=120)
    if done.returncode:
        sys.exit("%s: exit %d: %s" % (" ".join(args), done.returncode, done.stderr))
    return done.stdout


with tempfile.TemporaryDirectory() as folder:
    whole, small = os.path.join(folder, "m.bin"), os.path.join(folder, "m-q80.bin")
    write_model(whole)
    run(
        "convert",
        whole,
        "-o",
        small,
        "-f",
        "q8_0",
        "--to",
        "llama2c-v2",
        "--group",
        "32",
        "--quiet",
    )
    four = os.path.join(folder, "m-q4_0.gguf")
    run("convert", whole, "-o", four, "-f", "q4_0", "--quiet")
    for model, backend in (
        (whole, "fp32"),
        (small, "int8"),
        (four, "int4"),
        (whole, "reference"),
    ):
        for sampling in (
            ["-t", "0"],
            ["-t", "1", "-p", "0.9"],
            ["-t", "0.6", "-p", "0.95"],
            ["-t", "0.8", "-p", "0.95", "--min-p", "0.05"],
            ["-t", "0.8", "-p", "1", "-k", "40"],
            ["-t", "1", "--repeat-penalty", "1.2"],
        ):
            for seed in ("1", "2"):
                command = [
                    "run",
                    model,
                    "-b",
                    backend,
                    "-s",
                    seed,
                    "-n",
                    "120",
                    "--ids",
                    "--stop",
                    "bos",
                    "-q",
                    *sampling,
                ]
                with_list, without = run(*command), run(*command, "--no-shortlist")
                if with_list != without or len(with_list.split()) < 100:
                    sys.exit(
                        "%s: with the shortlist\n%s\nwithout\n%s"
                        % (" ".join(command), with_list, without)
                    )
        # three together have the tokens that each has alone
        command = ["run", model, "-b", backend, "-n", "100", "--ids", "-q", "-t", "0.7"]
        alone = [run(*command, "-s", str(5 + i)) for i in range(3)]
        for more in [], ["--no-shortlist"], ["-j", "2"], ["--pack", "never"]:
            together = run(*command, "-s", "5", "--sequences", "3", *more)
            if together != "".join(alone):
                sys.exit("%s %s: together\n%s\nalone\n%s" % (backend, more, together, alone))
        for more, decides in (
            ([], backend != "reference"),
            (["--pack", "never"], backend != "reference"),
            (["--no-shortlist"], False),
        ):
            output = json.loads(
                run(
                    "profile",
                    model,
                    "-b",
                    backend,
                    "--gen",
                    "60",
                    "--rounds",
                    "1",
                    "-t",
                    "0.6",
                    "--json",
                    *more
                )
            )
            listed = output["shortlist"]
            if (listed["decided"] > 20) != decides or (
                decides and listed["rows_per_list"] > VOCAB / 2
            ):
                sys.exit("%s %s: %s" % (backend, more, listed))
            if (output["memory_bytes"]["shortlist"] > 0) != decides:
                sys.exit("%s %s: memory %s" % (backend, more, output["memory_bytes"]))
            # packed weights: the rows of nearly every list are in a packed copy
            copied = decides and "never" not in more
            if (300 < listed["frequent_rows"] < 1500) != copied:
                sys.exit("%s %s: frequent rows %s" % (backend, more, listed))
print("ok")
