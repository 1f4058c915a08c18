#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One model on several rpc-servers of llama.cpp, on loopback: the same greedy story with 0, 1, 2.

usage: distributed.py PROGRAM MODEL.gguf ROOT
ROOT is a folder with Debian's llama.cpp-tools (tests/bench/peers/fetch). Prints one line a result,
"ok NAME" or "FAILED NAME: WHY", and figures as "NAME: FIGURES".
"""
import glob
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM, MODEL, ROOT = map(os.path.abspath, sys.argv[1:4])
PROMPT = "Once upon a time, there was a little fox"
TOKENS = 120
STARTED = []


def find(*names):
    """A file of the unpacked packages: the first of some names."""
    for name in names:
        found = sorted(f for f in glob.glob(f"{ROOT}/usr/**/{name}", recursive=True)
                       if os.path.isfile(f) and "/share/" not in f)
        if found:
            return found[0]
    sys.exit(f"FAILED programs: no {' or '.join(names)} in {ROOT}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(folder, name, program, *arguments):
    """Starts a program of ROOT with its own loader and libraries; they find their modules in the
    working directory. Returns it and its log."""
    loader = find("ld-linux-*.so.*")
    libraries = os.path.dirname(find("libllama.so*", "libggml.so*"))
    path = f"{libraries}:{libraries}/llama"
    modules = os.path.dirname(find("libggml-rpc.so"))
    log = os.path.join(folder, name + ".log")
    with open(log, "wb") as out:
        child = subprocess.Popen([loader, "--library-path", path, program, *arguments],
                                 cwd=modules, stdout=out, stderr=subprocess.STDOUT,
                                 stdin=subprocess.DEVNULL,
                                 env={**os.environ, "HOME": folder, "GGML_NO_BACKTRACE": "1"})
    STARTED.append(child)
    return child, log


def wait_for(child, port, log):
    """Waits until something listens."""
    end = time.monotonic() + 60
    while time.monotonic() < end and child.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    with open(log, encoding="utf-8", errors="replace") as text:
        sys.exit(f"FAILED programs: nothing listens: {text.read()[-1500:]}")


def stop_all():
    for child in reversed(STARTED):  # a server before the ones that it uses
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    STARTED.clear()


def generate(model, *arguments):
    """The greedy story, and the figures."""
    for _ in range(100):  # while the server still loads the model, it is busy
        done = subprocess.run([PROGRAM, "run", model, "-i", PROMPT, "-t", "0", "-n", str(TOKENS),
                               *arguments], capture_output=True, timeout=100, check=False)
        if b"(503" not in done.stderr:
            break
        time.sleep(0.1)
    text = done.stdout.decode("utf-8", "replace")
    speed = re.search(r"achieved tok/s: ([\d.]+)", done.stderr.decode("utf-8", "replace"))
    if done.returncode or not speed:
        sys.exit(f"FAILED {model}: {done.returncode} {done.stderr.decode('utf-8', 'replace')}")
    return text, float(speed.group(1))


def spread(folder, count):
    """The story with so many rpc-servers, its speed, and how many of them were connected to."""
    ports = [free_port() for _ in range(count)]
    for i, port in enumerate(ports):
        child, log = start(folder, f"rpc-{count}-{i}", find("ggml-rpc-server", "rpc-server"),
                           "--host", "127.0.0.1", "--port", str(port), "--threads", "1")
        wait_for(child, port, log)
    port = free_port()
    rpc = ["--rpc", ",".join(f"127.0.0.1:{p}" for p in ports), "-ngl", "99"] if count else []
    child, log = start(folder, f"server-{count}", find("llama-server"), "-m", MODEL, "--host",
                       "127.0.0.1", "--port", str(port), "-c", "512", "-np", "1", "-t", "1",
                       "-lv", "4", *rpc)
    wait_for(child, port, log)
    text, speed = generate(f"http://127.0.0.1:{port}")
    stop_all()
    with open(log, encoding="utf-8", errors="replace") as server:
        lines = server.read()
    used = len(set(re.findall(r"RPC\d*\[127\.0\.0\.1:(\d+)\] model buffer size", lines)))
    return text, speed, used


def main():
    failed = 0

    def result(name, good, why=""):
        nonlocal failed
        failed += not good
        print(f"ok {name}" if good else f"FAILED {name}: {why}", flush=True)

    with tempfile.TemporaryDirectory(prefix="duotale-remote-") as folder:
        try:
            local, speed = generate(MODEL, "-b", "reference")
            print(f"local, reference: {speed:.0f} tok/s")
            alone = None
            for count in (0, 1, 2):
                text, speed, used = spread(folder, count)
                alone = alone or text
                print(f"{count} rpc-servers: {speed:.0f} tok/s")
                result(f"a story with {count} rpc-servers", len(text) > 200 and text == alone,
                       f"{text!r} is not {alone!r}")
                if count:
                    result(f"{count} rpc-servers hold weights", used == count, f"{used} do")
            if alone == local:
                print("the local reference generates the same story")
            else:
                same = len(os.path.commonprefix([alone, local]))
                print(f"the local reference's story is the same for {same} bytes")
        finally:
            stop_all()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
