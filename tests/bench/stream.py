#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seconds a token for models larger than memory, streamed and mapped. Run by hand, as root:

    python3 tests/bench/stream.py build/duotale . [--case NAME] [--tokens N] [--keep FOLDER]

Each case runs in a memory cgroup, which kills beyond its limit, and with the kernel's own limit of
the read rate (blkio of cgroup v1, io.max of v2). Where no cgroup can be made, nothing is measured:
no other reader takes its place. The models have random weights, and all tokens are the
work of full passes: without a shortlist, of a story that does not end.

The case "speculation" is the included model, which a model of its size does not need to stream: at
temperature 0.8, without guesses, with those from the text alone, and with a table of n-grams of
--corpus, of which the first 6 MB are used. The text must be the same.

The limit of a case is what must be read, the weights that do not fit, at the given rate:
(weights - those that stay) / rate. Exit code 77 if nothing could be measured.
"""
import argparse
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

MIB, MB = 1 << 20, 1000 * 1000
ARGUMENTS = argparse.ArgumentParser()
ARGUMENTS.add_argument("program")
ARGUMENTS.add_argument("source")
ARGUMENTS.add_argument("--case", action="append", help="only this case")
ARGUMENTS.add_argument("--tokens", type=int, default=4)
ARGUMENTS.add_argument("--keep", help="a folder for the models, which stay there")
ARGUMENTS.add_argument("--corpus", help="stories for the table of the case \"speculation\"")
ARGUMENTS.add_argument("--only", choices=("streamed", "mapped"))
OPTIONS = ARGUMENTS.parse_args()
sys.path.insert(0, str(pathlib.Path(OPTIONS.source) / "tests" / "cli"))
import synth  # noqa: E402

# name, shape, MiB of memory, MB/s, options
CASES = (
    ("15M-f32", "f32", (288, 768, 6, 6, 6, 48, 32000, 256), 38, 22, ()),
    ("15M-q8_0", "q8_0", (288, 768, 6, 6, 6, 48, 32000, 256), 14, 22, ()),
    ("110M-f32", "f32", (768, 2048, 12, 12, 12, 64, 32000, 1024), 64, 100, ()),
    ("1.1B-q8_0", "q8_0", (2048, 5632, 22, 32, 4, 64, 32000, 2048), 600, 250, ()),
    ("1.1B-q4_k_m", "q4_k_m", (2048, 5632, 22, 32, 4, 64, 32000, 2048), 400, 250, ()),
    ("7B-q4_k_m", "q4_k_m", (4096, 11008, 32, 32, 32, 128, 32000, 4096), 1024, 250, ("-c", "128")),
    ("7B-q4_0", "q4_0", (4096, 11008, 32, 32, 32, 128, 32000, 4096), 1024, 250, ("-c", "128")),
)


FORMS = {"q8_0": (8, 34, 32), "q4_0": (2, 18, 32), "q4_k_m": (12, 144, 256)}
Q6_K = (14, 210, 256)


def others(form, layers):
    """The tensors of a Q4_K_M file that are Q6_K."""
    if form != "q4_k_m":
        return {}
    more = [i for i in range(layers)
            if i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2]
    names = [f"blk.{i}.{name}" for i in more for name in ("attn_v", "ffn_down")]
    return dict.fromkeys(["token_embd", *names], Q6_K)


def fill(path, begin, top=0x3C):
    """Overwrites a file from `begin` on with bytes that are small numbers in every form."""
    rng = random.Random(1)
    block = bytes(rng.randrange(top) for _ in range((1 << 20) - 3))
    with open(path, "r+b") as out:
        left = out.seek(0, os.SEEK_END) - begin
        out.seek(begin)
        while left > 0:
            out.write(block[:left])
            left -= len(block)
        os.fsync(out.fileno())


def make(path, form, shape):
    dim, hidden, layers, heads, kv_heads, head_size, vocab, context = shape
    if form != "f32":
        synth.sparse_gguf(path, dim, hidden, layers, heads, kv_heads, head_size, vocab, context,
                          *FORMS[form], others(form, layers))
        # the tensors begin at a multiple of 32 after the header, which is below 64 KB
        with open(path, "rb") as file:
            head = file.read(1 << 16).rstrip(b"\0")
        fill(path, (len(head) + 63) // 32 * 32, 0x1C if form == "q4_k_m" else 0x3C)
        return
    kv = kv_heads * head_size
    floats = vocab * dim + layers * (2 * dim + 2 * dim * dim + 2 * dim * kv + 3 * dim * hidden)
    floats += dim + context * head_size
    with open(path, "wb") as out:
        out.write(struct.pack("<7i", dim, hidden, layers, heads, kv_heads, vocab, context))
        out.truncate(28 + 4 * floats)
    fill(path, 28)


class Limits:
    """Cgroups with a limit of memory and of reading; None if they cannot be made."""

    def __init__(self, memory, rate, path):
        device = os.stat(path).st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        name = f"duotale-stream-{os.getpid()}"
        v1 = [pathlib.Path("/sys/fs/cgroup", kind, name) for kind in ("memory", "blkio")]
        v2 = pathlib.Path("/sys/fs/cgroup", name)
        if v1[0].parent.is_dir() and v1[1].parent.is_dir():
            self.groups, self.peak = v1, v1[0] / "memory.max_usage_in_bytes"
            writes = [(v1[0] / "memory.limit_in_bytes", memory),
                      (v1[0] / "memory.swappiness", 0),
                      (v1[1] / "blkio.throttle.read_bps_device", f"{number} {rate}")]
        else:
            self.groups, self.peak = [v2], v2 / "memory.peak"
            writes = [(v2 / "memory.max", memory), (v2 / "memory.swap.max", 0),
                      (v2 / "io.max", f"{number} rbps={rate}")]
        self.read = self.groups[-1] / "blkio.throttle.io_service_bytes"
        self.number = number
        for group in self.groups:
            group.mkdir()
        for file, value in writes:
            file.write_text(str(value))

    def enter(self):
        for group in self.groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def bytes_read(self):
        if self.read.exists():
            for line in self.read.read_text().split("\n"):
                if line.startswith(f"{self.number} Read "):
                    return int(line.split()[-1])
        stat = self.groups[-1] / "io.stat"
        for line in stat.read_text().split("\n") if stat.exists() else ():
            if line.startswith(self.number + " "):
                return int(line.split("rbytes=")[1].split()[0])
        return 0

    def remove(self):
        time.sleep(0.2)
        for group in self.groups:
            if group.is_dir():
                group.rmdir()


def measure(path, way, memory, rate, tokens, more):
    """Figures of a run; None if no cgroup can be made."""
    command = ["run", path, "--weights", way, "--no-shortlist", "-t", "0", "-c", "256", "-n",
               str(tokens), "--stop", "bos", "--draft", "off", "--json", "-q", *more]
    return measure_run(path, memory, rate, command)


def measure_run(path, memory, rate, command):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    limits = None
    try:
        limits = Limits(memory * MIB, rate * MB, path)
    except OSError as error:
        print(f"skipped: no cgroup can be made here: {error}")
        return None
    try:
        result = subprocess.run(
            [OPTIONS.program, *command],
            capture_output=True, check=False, preexec_fn=limits.enter, timeout=1800)
        if result.returncode != 0:
            return {"error": f"exit code {result.returncode}: {result.stderr.decode()[:200]}"}
        figures = json.loads(result.stdout.decode().strip().split("\n")[-1])
        figures["peak"] = int(limits.peak.read_text()) if limits.peak.exists() else 0
        figures["bytes_read"] = limits.bytes_read()
        figures["text"] = [json.loads(line).get("text") for line in result.stdout.splitlines()]
        return figures
    finally:
        limits.remove()


def report(name, way, figures, memory, rate):
    if "error" in figures:
        print(f"| {name} | {memory} MiB | {rate} MB/s | {way} | {figures['error']} |")
        return
    seconds = 1 / figures["tok_s"] if figures["tok_s"] else 0
    line = f"| {name} | {memory} MiB | {rate} MB/s | {way} | {seconds:.2f} s |"
    if way == "streamed":
        limit = figures["streamed_bytes"] / (rate * MB)
        read = figures["streamed_read_bytes"] / max(figures["streamed_passes"], 1)
        line += (f" limit {limit:.2f} s, ratio {seconds / limit if limit else 0:.3f} |"
                 f" {figures['streamed_in_memory_bytes'] / MB:.1f} MB stay,"
                 f" {figures['streamed_bytes'] / MB:.1f} MB do not;"
                 f" {read / MB:.1f} MB read a pass |")
    print(f"{line} peak {figures['peak'] / MIB:.1f} MiB,"
          f" {figures['bytes_read'] / MB:.1f} MB read in all", flush=True)


def speculation(folder, memory=20, rate=22, seeds=(1, 2, 3)):
    """Tokens a second of the same stories with and without guesses. False without a cgroup."""
    path = folder / "storyteller.gguf"
    path.write_bytes((pathlib.Path(OPTIONS.source) / "data/models/storyteller-q8_0.gguf")
                     .read_bytes())
    ways = [("off", "off"), ("from the text", "on")]
    if OPTIONS.corpus:
        text, table = folder / "corpus.txt", folder / "corpus.draft"
        with open(OPTIONS.corpus, "rb") as corpus:
            text.write_bytes(corpus.read(6 * MB))
        subprocess.run([OPTIONS.program, "convert", path, "--draft", text, "-o", table, "-q"],
                       check=True)
        ways.append(("with a table", table))
    os.sync()  # what is not written yet cannot be dropped from the page cache
    for seed in seeds:
        first = None
        for name, draft in ways:
            figures = measure_run(path, memory, rate, [
                "run", path, "--weights", "streamed", "-t", "0.8", "-s", str(seed), "-n", "160",
                "-i", "Once upon a time", "--mem-limit", "9M", "--draft", draft, "--json", "-q"])
            if figures is None:
                return False
            if "error" in figures:
                print(f"| speculation {name} | {figures['error']} |")
                continue
            first = first or figures
            print(f"| speculation {name}, seed {seed} | {memory} MiB | {rate} MB/s |"
                  f" {figures['tok_s']:.2f} tok/s, {figures['tok_s'] / first['tok_s']:.2f} x |"
                  f" {figures.get('tokens_per_pass', 1) or 1:.2f} tokens a pass,"
                  f" {figures.get('draft_right', 0)} of {figures.get('draft_guesses', 0)} guesses"
                  f" right | {figures['tokens']} tokens,"
                  f" {'the same' if figures['text'] == first['text'] else 'ANOTHER'} text |",
                  flush=True)
    return True


def main():
    measured = False
    with tempfile.TemporaryDirectory(prefix="duotale-stream-", dir=OPTIONS.source) as folder:
        folder = pathlib.Path(OPTIONS.keep or folder)
        folder.mkdir(exist_ok=True)
        for name, form, shape, memory, rate, more in CASES:
            if OPTIONS.case and name not in OPTIONS.case:
                continue
            path = folder / (name + (".bin" if form == "f32" else ".gguf"))
            if not path.exists():
                make(path, form, shape)
                synth.tokenizer(folder / (name + ".tok.bin"), shape[6])
            for way in ("streamed", "mapped"):
                if OPTIONS.only in (None, way):
                    figures = measure(path, way, memory, rate, OPTIONS.tokens, more)
                    if figures is None:
                        return 77
                    report(name, way, figures, memory, rate)
                    measured = True
            if not OPTIONS.keep:
                path.unlink()
        if not OPTIONS.case or "speculation" in OPTIONS.case:
            measured = speculation(folder) or measured
    return 0 if measured else 77


sys.exit(main())
