#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""duotale run: streams, exit codes, llama2.c's conventions, interruption, closed outputs."""
import json
import os
import pathlib
import signal
import subprocess
import time

from common import DATA, PROGRAM, done, expect, expect_run, folder, run
import synth

MODEL = DATA / "bedtime-2m-q80-g32.bin"


def typed_text():
    """What editors leave in a prompt file makes no difference; UTF-16 is refused."""
    plain = run("run", MODEL, "-t", "0", "-n", "40", "-i", "Once upon\na time").stdout
    with folder() as here:
        file = pathlib.Path(here) / "prompt.txt"
        for name, data in (
            ("a byte order mark", b"\xef\xbb\xbfOnce upon\na time"),
            ("CRLF and a last newline", b"Once upon\r\na time\r\n"),
        ):
            file.write_bytes(data)
            result = run("run", MODEL, "-t", "0", "-n", "40", "--prompt-file", file)
            expect(name, result.stdout == plain and plain, result.stdout)
        file.write_bytes("Once upon a time".encode("utf-16"))
        expect_run("UTF-16", run("run", MODEL, "--prompt-file", file), 3, stderr=b"is UTF-16")
        file.write_bytes("Once upon a time".encode("utf-16-le"))
        expect_run("without a mark", run("run", MODEL, "--prompt-file", file), 3, b"", b"is UTF-16")


def stop_texts():
    args = ("run", MODEL, "-t", "0", "-n", "100", "-i", "Once upon a time")
    whole = run(*args).stdout
    word = whole[60:68]
    at = whole.index(word, len("Once upon a time"))
    result = run(*args, "--stop-text", word.decode(), "--stop-text", "not there")
    expect("it ends before the text", result.stdout == whole[:at] + b"\n", result.stdout)
    last = json.loads(run(*args, "--stop-text", word.decode(), "--json").stdout.splitlines()[-1])
    expect("the reason", last["stop"] == "stop-text", last)
    expect_run("another text", run(*args, "--stop-text", "not there"), 0, whole)
    expect_run("no text", run(*args, "--stop-text", ""), 2, b"", b"--stop-text: at most 8 texts")


def streams():
    result = run("run", MODEL, "-t", "0", "-n", "40", "-i", "Once upon a time")
    expect_run("a story goes to stdout", result, 0, b"Once upon a time", b"achieved tok/s: ")
    expect("it ends with a newline", result.stdout.endswith(b"\n"), result.stdout)
    expect("no figures on stdout", b"tok/s" not in result.stdout)
    expect("the tokenizer is named", b"bedtime-2m.tok.bin" in result.stderr, result.stderr)
    expect_run(
        "flags before the model",
        run("run", "-t", "0", "-n", "40", "-i", "Once upon a time", MODEL),
        0,
        result.stdout,
    )
    long = run(
        "run",
        MODEL,
        "--temperature",
        "0",
        "--steps",
        "40",
        "--prompt",
        "Once upon a time",
        "--backend",
        "int8",
        "--threads",
        "2",
    )
    expect("long options are the same", long.stdout == result.stdout, long)
    expect_run("quiet", run("run", MODEL, "-n", "4", "--quiet"), 0, stderr=b"")
    expect("quiet is quiet", run("run", MODEL, "-n", "4", "-q").stderr == b"")
    expect_run("the default model", run("run", "-n", "4"), 0, stderr=b"models/")
    with folder() as name:
        prompt = pathlib.Path(name) / "prompt"
        prompt.write_bytes(b"Once upon a time")
        expect(
            "a prompt from a file",
            run("run", MODEL, "-t", "0", "-n", "40", "--prompt-file", prompt).stdout
            == result.stdout,
        )
    expect(
        "a prompt from stdin",
        run(
            "run", MODEL, "-t", "0", "-n", "40", "--prompt-file", "-", text=b"Once upon a time"
        ).stdout
        == result.stdout,
    )


def seeds():
    output = run("run", MODEL, "-n", "30", "-s", "7")
    expect(
        "a seed gives one story", output.stdout == run("run", MODEL, "-n", "30", "-s", "7").stdout
    )
    expect("another seed another", output.stdout != run("run", MODEL, "-n", "30", "-s", "8").stdout)
    expect(
        "threads change nothing",
        output.stdout == run("run", MODEL, "-n", "30", "-s", "7", "-j", "3").stdout,
    )
    free = run("run", MODEL, "-n", "30")
    seed = free.stderr.decode().split("seed ")[1].split()[0]
    expect(
        "the seed from the clock is printed and repeats the story",
        run("run", MODEL, "-n", "30", "-s", seed).stdout == free.stdout,
    )
    expect("-s 0 is the clock's", b"seed 0" not in run("run", MODEL, "-n", "3", "-s", "0").stderr)


def steps():
    # llama2.c: -n counts positions, so n tokens after BOS are printed; a longer prompt is cut
    ids = run("run", MODEL, "-t", "0", "-n", "12", "--stop", "bos", "--ids", "-q").stdout.split()
    expect("-n 12: BOS and 12 tokens", len(ids) == 13 and ids[0] == b"1", ids)
    ids = run(
        "run", MODEL, "-t", "0", "-n", "3", "-i", "Once upon a time there was a tree", "--ids", "-q"
    ).stdout.split()
    expect("a prompt longer than -n is cut", len(ids) == 4, ids)
    result = run(
        "run", MODEL, "-t", "0", "-n", "0", "--stop", "bos", "--json", "-q", "--context", "64"
    )
    last = json.loads(result.stdout.decode().strip().split("\n")[-1])
    expect("-n 0 fills the context", last["context_used"] == last["context"], last)
    last = json.loads(
        run("run", MODEL, "-n", "100000", "-s", "5", "--context", "32", "--stop", "bos", "--json",
            "-q")
        .stdout.decode()
        .strip()
        .split("\n")[-1]
    )
    expect(
        "-n above the context is the context", last["context_used"] == 32 == last["context"], last
    )


def machine_readable():
    result = run("run", MODEL, "-t", "0", "-n", "40", "-i", "Once upon", "--json", "-q")
    rows = [json.loads(line) for line in result.stdout.decode().strip().split("\n")]
    text = "".join(row["text"] for row in rows[:-1])
    plain = run("run", MODEL, "-t", "0", "-n", "40", "-i", "Once upon", "-q").stdout.decode()
    expect("JSON holds the same text", text == plain[:-1], (text, plain))
    expect(
        "JSON's last object has the figures",
        {"done", "stop", "tokens", "tok_s", "seed", "backend"} <= set(rows[-1]),
        rows[-1],
    )


def conventions():
    """The options of llama2.c accept any number. Settings are read as in a session, but not from
    files and environment."""
    story = ("run", MODEL, "-n", "30", "-i", "Once", "-q")
    greedy, usual = run(*story, "-t", "0").stdout, run(*story, "-s", "7").stdout
    expect("-t below 0 is 0", run(*story, "-t", "-3").stdout == greedy)
    expect(
        "-p out of range is 0.9",
        usual
        == run(*story, "-s", "7", "-p", "7").stdout
        == run(*story, "-s", "7", "-p", "-1").stdout,
    )
    expect_run("a negative seed wraps", run(*story, "-s", "-1"), 0)
    expect_run("a very high temperature", run(*story, "-t", "1e5"), 0)
    expect(
        "the default values, given",
        usual
        == run(
            *story,
            "-s",
            "7",
            "-t",
            "1.0",
            "-p",
            "0.9",
            "--top-k",
            "0",
            "--min-p",
            "0",
            "--repeat-penalty",
            "1",
            "-m",
            "generate",
            "--stop",
            "end",
            "--chat-template",
            "auto",
        ).stdout,
    )
    expect("-m story is generate", usual == run(*story, "-s", "7", "-m", "story").stdout)
    expect("-k 1 is greedy", greedy == run(*story, "-k", "1").stdout)
    expect_run("a size in words", run(*story, "--mem-limit", "64MiB"), 0)
    expect_run(
        "a very long system prompt",
        run("run", MODEL, "-m", "chat", "-n", "100", "-y", "Be kind.\n" * 200, text=b"Hello\n"),
        1,
        b"",
        b"do not fit into the context of 100 (system prompt",
    )
    environment = {"DUOTALE_TEMPERATURE": "0", "DUOTALE_TOP_P": "nonsense"}
    expect("the environment is ignored", usual == run(*story, "-s", "7", env=environment).stdout)


def usage():
    for arguments in (
        ["-t", "warm"],
        ["-n", "-3"],
        ["-j", "9999"],
        ["--nonsense"],
        ["-m", "sing"],
        ["--mem-limit", "5X"],
        ["-s", "x"],
        ["--min-p", "2"],
        ["--kv", "f8"],
        ["a.bin", "b.bin"],
        ["-b", "nonsense"],
        ["-b", "int8+"],
        ["--stop", "never"],
    ):
        result = run("run", *([MODEL] if arguments[0] == "-b" else []), *arguments)
        expect_run(f"usage: {arguments}", result, 2)
        expect(
            f"one line: {arguments}",
            result.stderr.count(b"\n") == 1 or arguments[0] == "-b",
            result.stderr,
        )
    expect_run("unknown verb", run("sing"), 2, stderr=b"sing")
    expect_run("help", run("--help"), 0, b"usage: duotale")
    expect_run("a verb's help", run("run", "--help"), 0, b"--top-p")
    expect_run("version", run("--version"), 0, b"duotale ")


def outputs():
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [PROGRAM, "run", MODEL, "-n", "20"],
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    expect(
        "a full disk is reported",
        result.returncode == 1 and b"No space left" in result.stderr,
        result,
    )
    result = subprocess.run(
        ["/bin/sh", "-c", f'"{PROGRAM}" run "{MODEL}" -n 20 >&-'],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    expect(
        "a closed stdout is reported",
        result.returncode == 1 and b"standard output" in result.stderr,
        result,
    )
    result = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f'("{PROGRAM}" run "{MODEL}" -n 0 --stop bos -q; echo "code $?" >&2) | head -c 5',
        ],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    expect(
        "a closed pipe ends it without a message",
        b"code 1" in result.stderr and len(result.stdout) == 5,
        result,
    )


def interruption():
    child = subprocess.Popen(
        [PROGRAM, "run", MODEL, "-n", "0", "--stop", "bos", "-b", "reference", "-t", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    first = child.stdout.read(20)
    child.send_signal(signal.SIGINT)
    rest, errors = child.communicate(timeout=60)
    expect(
        "Ctrl-C: 130, the text stays, figures are printed",
        child.returncode == 130 and b"achieved" in errors and len(first + rest) >= 20,
        (child.returncode, first + rest, errors),
    )


def filtered():
    """A model that generates every byte: newline and tab alone of C0 are printed, all is UTF-8."""
    with folder() as name:
        model, words = pathlib.Path(name) / "m.bin", pathlib.Path(name) / "t.bin"
        synth.legacy(model)
        synth.tokenizer(words, 400)
        for seed in range(1, 9):
            out = run(
                "run",
                model,
                "-z",
                words,
                "-t",
                "8",
                "-p",
                "1",
                "-s",
                seed,
                "-n",
                "0",
                "--stop",
                "bos",
            ).stdout
            bad = [b for b in out if (b < 0x20 and b not in b"\n\t") or b == 0x7F]
            try:
                text = out.decode("utf-8")
            except UnicodeDecodeError as problem:
                bad.append(problem)
                text = ""
            expect(
                f"clean text, seed {seed}",
                not bad and not any(0x80 <= ord(c) < 0xA0 for c in text),
                out,
            )
        reference = run(
            "run", model, "-z", words, "-t", "1", "-s", "3", "-n", "0", "-b", "reference", "-q"
        )
        for threads in ("1", "2", "4"):
            for batch in ("1", "7"):
                same = run(
                    "run",
                    model,
                    "-z",
                    words,
                    "-t",
                    "1",
                    "-s",
                    "3",
                    "-n",
                    "0",
                    "-b",
                    "reference",
                    "-q",
                    "-j",
                    threads,
                    "--batch",
                    batch,
                )
                expect(f"{threads} threads, batch {batch}", same.stdout == reference.stdout)


def chat():
    result = run(
        "run",
        MODEL,
        "-m",
        "chat",
        "-y",
        "Be kind.",
        "-t",
        "0",
        "-n",
        "120",
        text=b"Hello\nAnd then?\n",
    )
    expect_run(
        "chat reads turns from stdin, and counts those without an answer",
        result,
        1,
        b" ",
        b"1 message was not answered; raise -n",
    )
    expect(
        "chat prints no prompt in a pipe",
        b"> " not in result.stdout and b"User" not in result.stdout,
        result.stdout,
    )


def tokenizers():
    with folder() as name:
        here = pathlib.Path(name)
        synth.legacy(here / "m.bin")
        expect_run("no tokenizer anywhere", run("run", here / "m.bin", cwd=here), 3, stderr=b"-z")
        (here / "models").mkdir()
        os.rename(here / "m.bin", here / "models" / "m.bin")
        synth.tokenizer(here / "models" / "tokenizer.bin", 400)
        result = run("run", here / "models" / "m.bin", "-n", "3", cwd=here)
        expect_run("beside the model", result, 0, stderr=b"models/tokenizer.bin")
        synth.tokenizer(here / "tokenizer.bin", 400)
        result = run("run", here / "models" / "m.bin", "-n", "3", cwd=here)
        expect(
            "the current folder's comes first",
            b"vocabulary: tokenizer.bin" in result.stderr,
            result.stderr,
        )
        synth.tokenizer(here / "other.bin", 400)
        result = run(
            "run", here / "models" / "m.bin", "-n", "3", "-z", here / "other.bin", cwd=here
        )
        expect("-z comes first", b"other.bin" in result.stderr, result.stderr)


def truncated_in_use():
    """A file that is cut during generation ends it with a message, not with a crash."""
    with folder() as name:
        model, words = pathlib.Path(name) / "m.bin", pathlib.Path(name) / "t.bin"
        synth.int8(
            model, dim=256, hidden=512, layers=8, heads=4, kv_heads=4, vocab=8000, context=8192
        )
        synth.tokenizer(words, 8000)
        child = subprocess.Popen(
            [
                PROGRAM,
                "run",
                model,
                "-z",
                words,
                "-n",
                "0",
                "--stop",
                "bos",
                "-b",
                "reference",
                "-t",
                "1",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        child.stdout.read(40)
        os.truncate(model, 4096)
        deadline = time.time() + 60
        out, errors = child.communicate(timeout=max(1, deadline - time.time()))
        expect(
            "a cut file is reported",
            child.returncode == 3 and b"can no longer be read" in errors,
            (child.returncode, errors, out[-80:]),
        )


for part in (
    streams,
    typed_text,
    stop_texts,
    seeds,
    steps,
    machine_readable,
    conventions,
    usage,
    outputs,
    interruption,
    filtered,
    chat,
    tokenizers,
    truncated_in_use,
):
    part()
done()
