#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Model and tokenizer files that are cut while they are in use: an error, never a wrong result."""
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import time

from common import DATA, PROGRAM, SLOW, done, expect, folder

MODEL = DATA / "bedtime-2m-q80-g32.bin"
TOKENIZER = DATA / "bedtime-2m.tok.bin"
REASON = b"can no longer be read completely"


def start(*arguments):
    return subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_mapping(process, path):
    """Waits until the process has mapped the file."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if str(path) in pathlib.Path(f"/proc/{process.pid}/maps").read_text():
                return True
        except OSError:
            pass
        time.sleep(0.005)
    return False


def finish(what, process, name):
    try:
        out, err = process.communicate(timeout=300 if SLOW else 60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    expect(f"{what}: exit code 3", process.returncode == 3, (process.returncode, out, err))
    expect(f"{what}: the file is named", REASON in err and name.encode() in err, err)
    return out


def cut_while_running(here, what, make, cut, wanted=None):
    """Cuts a file after it was mapped by a verb that runs for long."""
    model, tokenizer = here / "m.bin", here / "m.tok.bin"
    shutil.copy(MODEL, model)
    shutil.copy(TOKENIZER, tokenizer)
    process = start(*make(model, tokenizer))
    path = model if cut == "model" else tokenizer
    expect(f"{what}: the file is mapped", wait_for_mapping(process, path))
    os.truncate(path, 5000)
    out = finish(what, process, path.name)
    if wanted is not None:
        expect(f"{what}: no result", out == wanted, out)


def convert(here):
    """Standard output is a full pipe, so that convert waits in its midst until the input is cut."""
    for form in ("q8_0", "f16"):
        source, out = here / "in.bin", here / "out.bin"
        shutil.copy(MODEL, source)
        reader, writer = os.pipe()
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writer, False)
        os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        process = subprocess.Popen(
            [PROGRAM, "convert", source, "-o", out, "--to", "gguf", "--format", form, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
        )
        os.close(writer)
        expect(f"convert to {form}: the file is mapped", wait_for_mapping(process, source))
        status = pathlib.Path(f"/proc/{process.pid}/wchan")
        end = time.monotonic() + 60
        while time.monotonic() < end and "pipe" not in status.read_text():
            time.sleep(0.01)
        os.truncate(source, 5000)
        shown = b""
        while data := os.read(reader, 1 << 16):
            shown += data
        os.close(reader)
        finish(f"convert to {form}", process, source.name)
        expect(f"convert to {form}: no file is written", not out.exists())
        expect(f"convert to {form}: JSON", "error" in json.loads(shown.lstrip(b"x")), shown)


def main():
    with folder() as name:
        here = pathlib.Path(name)
        convert(here)
        text = here / "text"
        text.write_bytes(b"Once upon a time there was a little bear who liked honey. " * 60000)
        stories = here / "stories"
        stories.write_bytes((b"Once upon a time there was a bear. " * 20 + b"\n<|endoftext|>\n")
                            * 3000)
        cut_while_running(here, "eval", lambda m, t: ("eval", m, stories), "model", b"")
        cut_while_running(here, "eval --json", lambda m, t: ("eval", m, stories, "--json"), "model",
                          b"")
        cut_while_running(here, "eval, tokenizer", lambda m, t: ("eval", m, stories, "-z", t),
                          "tokenizer", b"")
        cut_while_running(here, "eval --compare",
                          lambda m, t: ("eval", "--compare", m, MODEL, stories), "model", b"")
        cut_while_running(here, "a long prompt",
                          lambda m, t: ("run", m, "-n", "0", "--prompt-file", text), "model")
        cut_while_running(here, "a session",
                          lambda m, t: (m, "--library", here / "l.db", "-n", "100000", "-i", "Once",
                                        "--overflow", "shift", "--stop", "bos", "-s", "5"),
                          "model")
    done()


main()
