#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""serve.py DUOTALE MODEL.gguf [LLAMA-ROOT] [--clients 1,2,4,8] [--tokens N] [--rounds N]
         [--threads N]

Tokens per second of `duotale serve`, all clients together, and of llama-server (unpacked at
LLAMA-ROOT, as tests/bench/peers/fetch does) with the same model and threads, in one run: the rounds
of both are interleaved, and the best one counts. Every client streams one text; the time is that
from the first request to the last token.

serve.py --latency DUOTALE MODEL   what HTTP adds to a token: a stream beside `duotale bench`
"""
import argparse
import glob
import http.client
import json
import os
import platform
import subprocess
import sys
import threading
import time
import urllib.request

PROMPT = "Once upon a time there was a number %d"


def start(command, port, where=None):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               cwd=where)
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
                if answer.status == 200:
                    return process
        except OSError:
            time.sleep(0.1)
        if process.poll() is not None:
            break
    sys.exit(f"does not start: {command}")


def llama_command(root, model, port, threads, slots, context):
    """Runs through its own loader, as in peers.py; and its working directory."""
    lib = f"{os.path.abspath(root)}/usr/lib/{platform.machine()}-linux-gnu"
    loader = sorted(glob.glob(f"{root}/usr/lib64/ld-linux*") +
                    glob.glob(f"{root}/usr/lib/ld-linux*"))
    where = next((folder for folder, _, files in os.walk(f"{lib}/ggml")
                  if any(f.startswith("libggml-cpu") for f in files)), lib)
    command = [os.path.abspath(loader[0]), "--library-path", f"{lib}:{lib}/llama",
               f"{os.path.abspath(root)}/usr/bin/llama-server", "-m", os.path.abspath(model),
               "--host", "127.0.0.1", "--port", str(port), "-t", str(threads), "-tb", str(threads),
               "-np", str(slots), "-c", str(slots * context)]
    return command, where


def client(port, number, tokens, counts):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = {"prompt": PROMPT % number, "max_tokens": tokens, "stream": True, "seed": number + 1,
            "temperature": 0, "ignore_eos": True, "stream_options": {"include_usage": True}}
    connection.request("POST", "/v1/completions", json.dumps(body),
                       {"Content-Type": "application/json"})
    usage = 0
    for line in connection.getresponse():
        if b'"completion_tokens"' in line:
            usage = json.loads(line[6:])["usage"]["completion_tokens"]
    counts[number] = usage


def speed(port, clients, tokens):
    counts = [0] * clients
    threads = [threading.Thread(target=client, args=(port, i, tokens, counts))
               for i in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("duotale")
    parser.add_argument("model")
    parser.add_argument("llama", nargs="?")
    parser.add_argument("--clients", default="1,2,4,8")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--latency", action="store_true")
    a = parser.parse_args()
    clients = [int(n) for n in a.clients.split(",")]
    context, threads = 512, str(a.threads)
    command = [a.duotale, "serve", a.model, "--port", "18311", "-j", threads, "-c", str(context),
               "--sequences", str(max(clients))]
    servers = {"duotale": (start(command, 18311), 18311)}
    if a.llama:
        command, where = llama_command(a.llama, a.model, 18312, a.threads, max(clients), context)
        servers["llama-server"] = (start(command, 18312, where), 18312)
    try:
        if a.latency:
            begun = time.perf_counter()
            speed(18311, 1, a.tokens)
            print(f"{(time.perf_counter() - begun) / a.tokens * 1e6:.0f} us a token, streamed")
            return
        best = {name: dict.fromkeys(clients, 0.0) for name in servers}
        for name, (_, port) in servers.items():
            speed(port, 1, 8)  # warm
        for _ in range(a.rounds):
            for count in clients:
                for name, (_, port) in servers.items():
                    best[name][count] = max(best[name][count], speed(port, count, a.tokens))
        print("| clients | " + " | ".join(f"{name}, tok/s" for name in best) + " |")
        print("|---" * (1 + len(best)) + "|")
        for count in clients:
            row = [f"{best[name][count]:.0f} ({best[name][count] / best[name][clients[0]]:.2f}x)"
                   for name in best]
            print(f"| {count} | " + " | ".join(row) + " |")
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
