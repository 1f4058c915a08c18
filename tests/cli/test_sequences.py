#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Several stories in one pass: run --sequences, bench --sequences, and eval."""
import json
import signal
import subprocess
import time

from common import DATA, PROGRAM, done, expect, expect_run, folder, run

MODEL = DATA / "storyteller-q8_0.gguf"
SEPARATOR = b"<|endoftext|>\n"
TEXT = ["run", MODEL, "-i", "Once upon a time", "-t", "0.9", "-n", "90", "-q"]


def stories():
    alone = [run(*TEXT, "-s", 11 + i) for i in range(4)]
    expected = SEPARATOR.join(result.stdout for result in alone)
    expect("they differ", len({result.stdout for result in alone}) > 2, expected)
    for more in [], ["-b", "reference"], ["-j", "2", "--pack", "never"], ["--batch", "1"]:
        together = run(*TEXT, "-s", 11, "--sequences", 4, *more)
        expect_run(f"four stories {more}", together, 0)
        expect(f"each as alone {more}", together.stdout == expected, together.stdout)

    ids = run(*TEXT, "-s", 11, "--sequences", 4, "--ids").stdout.splitlines()
    alone = [run(*TEXT, "-s", 11 + i, "--ids").stdout.rstrip(b"\n") for i in range(4)]
    expect("ids", ids == alone, ids)

    stop = ["--stop-text", "."]
    alone = [run(*TEXT, "-s", 11 + i, *stop).stdout for i in range(3)]
    result = run(*TEXT, "-s", 11, "--sequences", 3, *stop)
    expect("they stop at their own texts", result.stdout == SEPARATOR.join(alone), result.stdout)

    lines = run(*TEXT, "-s", 11, "--sequences", 3, "--json").stdout.splitlines()
    objects = [json.loads(line) for line in lines]
    last = objects.pop()
    texts = ["".join(o["text"] for o in objects if o["sequence"] == i) for i in range(3)]
    expected = [run(*TEXT, "-s", 11 + i).stdout.decode().rstrip("\n") for i in range(3)]
    expect("JSON", texts == expected, texts)
    expect(
        "figures of all",
        last["sequences"] == 3
        and len(last["stops"]) == 3
        and last["tokens"] == sum(not o["prompt"] for o in objects)
        and last["prompt_tokens"] == sum(o["prompt"] for o in objects) // 3 + 1,
        last,
    )
    cut = run(*TEXT[:-3], "-n", 2, "-q", "--sequences", 2, "-s", 1)
    one = run(*TEXT[:-3], "-n", 2, "-q", "-s", 1)
    expect("a prompt that is cut", cut.stdout == SEPARATOR.join([one.stdout] * 2), cut.stdout)
    whole = run("run", MODEL, "-n", 0, "-t", 1.2, "-s", 3, "--sequences", 2, "-q")
    alone = [run("run", MODEL, "-n", 0, "-t", 1.2, "-s", 3 + i, "-q").stdout for i in range(2)]
    expect("up to the context's end", whole.stdout == SEPARATOR.join(alone), whole.stdout)


def refusals():
    for value in "0", "65", "two":
        expect_run(
            f"--sequences {value}",
            run("run", MODEL, "--sequences", value),
            2,
            stderr=b"--sequences: must be a whole number from 1 to 64",
        )
    expect_run(
        "no chat", run("run", MODEL, "-m", "chat", "--sequences", 2), 2, stderr=b"with a chat"
    )
    expect_run(
        "nothing read aloud",
        run("run", MODEL, "--speak", "--sequences", 2),
        2,
        stderr=b"with --speak",
    )
    expect_run(
        "more than memory allows",
        run("run", MODEL, "--sequences", 64, "--mem-limit", "24M"),
        4,
        stderr=b"the KV cache",
    )
    for value in "", "0", "1,", "1,x", "65", ",":
        expect_run(
            f"bench --sequences '{value}'",
            run("bench", MODEL, "--sequences", value),
            2,
            stderr=b"must be numbers of 1 to 64",
        )


def interrupted():
    """After Ctrl-C, what there is of each story is printed."""
    command = [PROGRAM, "run", MODEL, "-n", 0, "-i", "Once", "--sequences", 3, "-b", "reference"]
    process = subprocess.Popen(
        [str(a) for a in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    start = process.stdout.read(8)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    out = start + out
    parts = out.split(SEPARATOR)
    good = len(parts) == 3 and all(part.startswith(b"Once") for part in parts)
    expect("interrupted", good and process.returncode in (0, 130), (process.returncode, out))


def measured():
    result = run(
        "bench", MODEL, "--sequences", "1,3", "--runs", 1, "--gen", 8, "--no-start", "--json"
    )
    rows = json.loads(result.stdout)["results"]
    expect(
        "a row each",
        [row["sequences"] for row in rows] == [1, 3]
        and all(row["decode_tok_s"]["median"] > 0 for row in rows),
        rows,
    )


def scored():
    """Stories that are scored together have the score that they have one by one."""
    texts = [result.stdout for result in (run(*TEXT, "-s", 30 + i) for i in range(11))]
    with folder() as here:
        path = f"{here}/stories.txt"
        with open(path, "wb") as f:
            f.write(SEPARATOR.join(texts))
        for backend in "int8", "reference":
            options = ["-b", backend, "--json", "-c", 64]  # longer stories are cut
            result = run("eval", MODEL, path, *options)
            whole = json.loads(result.stdout)
            tokens = nats = 0
            for text in texts:
                with open(f"{here}/one.txt", "wb") as f:
                    f.write(text)
                one = json.loads(run("eval", MODEL, f"{here}/one.txt", *options).stdout)
                tokens += one["tokens"]
                nats += one["tokens"] * one["nats_per_token"]
            expect(
                f"eval with {backend}",
                whole["stories"] == 11
                and whole["tokens"] == tokens
                and abs(whole["nats_per_token"] - nats / tokens) < 1e-6,
                (whole, nats / tokens),
            )
            threads = json.loads(run("eval", MODEL, path, *options, "-j", 3).stdout)
            expect("on any threads", threads["nats_per_token"] == whole["nats_per_token"], threads)


stories()
refusals()
interrupted()
measured()
scored()
done()
