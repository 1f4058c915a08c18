#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed of duotale and its peers on this machine. Each round runs each program once, in turn; the
ratios are those of medians. Not a test.

    tests/bench/peers/fetch          once: unpacks llama.cpp from Debian sid
    tests/bench/peers.py --duotale build/duotale --models DIR --tokenizer FILE [--llama2c DIR]

"limit" is the bound that memory bandwidth sets: `duotale profile` reads the same weights with the
same number of threads and computes nothing. With --reread, the files first leave the page cache;
the program that opens them next decides how the cache holds them for all (duotale: in pages of 2 MB
if the kernel and the file system can).

DIR has the models of the speed table: 15m.bin, 110m.bin (fp32) and their GGUF forms. Missing ones
are made by ../shared/tools/models.py, if that exists. What is missing is skipped, by name.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {"15m": "288 768 6 6 6 32000 256", "110m": "768 2048 12 12 12 32000 1024"}


def run(command, **more):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            **more)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {result.returncode}\n{result.stderr[-2000:]}")
    return result.stdout, result.stderr


def skip(what, why):
    print(f"skipped: {what}: {why}", flush=True)


class LlamaCpp:
    """Runs through its own loader, so that nothing needs to be installed."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        lib = os.path.join(self.root, "usr/lib/x86_64-linux-gnu")
        self.loader = os.path.join(self.root, "usr/lib64/ld-linux-x86-64.so.2")
        self.path = f"{lib}:{lib}/llama"
        self.backends = next((folder for folder, _, files in os.walk(os.path.join(lib, "ggml"))
                              if any(f.startswith("libggml-cpu") for f in files)), lib)

    def there(self):
        return os.path.exists(self.loader)

    def tool(self, name, *arguments):
        # it looks for its CPU variants in the working directory
        return run([self.loader, "--library-path", self.path,
                    os.path.join(self.root, "usr/bin", name), *arguments],
                   cwd=self.backends)

    def quantize(self, source, target, form):
        self.tool("llama-quantize", "--pure", source, target, form, "1")

    def speed(self, model, threads, prompt, gen):
        out, _ = self.tool("llama-bench", "-m", os.path.abspath(model), "-t", str(threads), "-p",
                           str(prompt), "-n",
                           str(gen), "-r", "1", "-o", "json")
        found = {}
        for row in json.loads(out):
            found["prompt" if row["n_prompt"] else "decode"] = row["avg_ts"]
        return found


class Llama2c:
    """run and runq, compiled from sources in another folder."""

    def __init__(self, folder, work, tokenizer):
        self.work, self.tokenizer = work, tokenizer
        for name in ("run", "runq"):
            run(["gcc", "-Ofast", "-march=native", "-o", os.path.join(work, name),
                 os.path.join(folder, name + ".c"),
                 "-lm"])

    def speed(self, name, model):
        _, err = run([os.path.join(self.work, name), model, "-z", self.tokenizer, "-t", "0", "-n",
                      "256"])
        figure = re.search(r"tok/s: ([0-9.]+)", err)
        return {"decode": float(figure.group(1))} if figure else {}


class Duotale:
    def __init__(self, program, tokenizer):
        self.program, self.tokenizer = program, tokenizer

    def speed(self, model, backend, threads, prompt, gen, at=0, more=()):
        command = [self.program, "bench", model, "-b", backend, "-j", str(threads), "--runs", "1",
                   "--warm", "1", "--no-start", "--json", "--gen", str(gen), "--prompt",
                   str(prompt)]
        if at:
            command += ["--at", str(at)]
        if "260K" not in model:  # it has its own vocabulary
            command += ["-z", self.tokenizer]
        command += more
        out, _ = run(command)
        row = json.loads(out)["results"][0]
        found = {"decode": row["decode_tok_s"]["median"]}
        if prompt:
            found["prompt"] = row["prompt_tok_s"]["median"]
        return found

    def limit(self, model, backend, threads):
        """Tokens a second if only reading the weights, keys and values took time, at the bandwidth
        of these threads in this run; mean over 256 positions."""
        out, _ = run([self.program, "profile", model, "-z", self.tokenizer, "-b", backend, "-j",
                      str(threads), "--json", "--gen", "16",
                      "--at", "120", "--rounds", "1"])
        return {"decode": json.loads(out)["limit_tok_s"]}


def make_models(options, llama):
    """Makes the missing models, if possible."""
    tool = options.models_py
    for name, shape in SHAPES.items():
        path = os.path.join(options.models, name + ".bin")
        if not os.path.exists(path) and os.path.exists(tool):
            run([sys.executable, tool, "synth", *shape.split(), path])
        if os.path.exists(path) and os.path.exists(tool):
            for group in (32, 64):
                target = os.path.join(options.models, f"{name}-q80-g{group}.bin")
                if not os.path.exists(target) and not (name == "15m" and group == 64):
                    run([sys.executable, tool, "q80", path, str(group), target])
            gguf = os.path.join(options.models, name + "-f32.gguf")
            if not os.path.exists(gguf):
                run([sys.executable, tool, "gguf", path, options.tokenizer, gguf])
        gguf = os.path.join(options.models, name + "-f32.gguf")
        for form in ("Q8_0", "Q4_0"):
            target = os.path.join(options.models, f"{name}-{form}.gguf")
            if llama and os.path.exists(gguf) and not os.path.exists(target):
                llama.quantize(os.path.abspath(gguf), os.path.abspath(target), form)


def reread(options, us):
    """Drops each model from the page cache, and lets duotale read it once."""
    for name in sorted(os.listdir(options.models)):
        path = os.path.join(options.models, name)
        if not name.endswith((".bin", ".gguf")):
            continue
        with open(path, "rb") as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        us.speed(path, "auto", 1, 0, 8)


class Entry:
    """One program on one model; each round adds a figure of each kind."""

    def __init__(self, name, measure):
        self.name, self.measure, self.figures = name, measure, {}

    def round(self):
        for kind, value in self.measure().items():
            self.figures.setdefault(kind, []).append(value)

    def median(self, kind):
        return statistics.median(self.figures[kind]) if self.figures.get(kind) else None


def compare(title, ours, peers, rounds, kinds):
    """Runs the rounds, then prints one line for each kind of figure."""
    for _ in range(rounds):
        for entry in [ours, *peers]:
            entry.round()
    for kind in kinds:
        mine = ours.median(kind)
        if mine is None:
            continue
        line = f"{title:30} {kind:7} {ours.name} {mine:9.1f}"
        for peer in peers:
            theirs = peer.median(kind)
            if theirs:
                line += f"   {peer.name} {theirs:9.1f}  ratio {mine / theirs:5.2f}"
        print(line, flush=True)
    return ours


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duotale", default="build/duotale")
    parser.add_argument("--models", required=True,
                        help="folder of the models; writable if models are missing")
    parser.add_argument("--tokenizer", default="../shared/models/tokenizer32000.bin")
    parser.add_argument("--models-py", default="../shared/tools/models.py")
    parser.add_argument("--llamacpp", default=os.path.join(HERE, "peers/root"))
    parser.add_argument("--llama2c", help="folder with run.c and runq.c")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--small", default="../shared/models",
                        help="folder of stories260K-h192-*.gguf")
    parser.add_argument("--trained", metavar="FILE",
                        help="a trained model of the 15M shape, Q8_0 GGUF (data/recipe), "
                        "for the shortlist and the sampler")
    parser.add_argument("--reread", action="store_true",
                        help="drop the models from the page cache first")
    parser.add_argument("--only", default="", help="comparisons whose title contains this")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not os.path.exists(options.tokenizer):
        parser.error(f"{options.tokenizer}: not found; name the tokenizer with --tokenizer")

    llama = LlamaCpp(options.llamacpp)
    if not llama.there():
        skip("llama.cpp", f"not in {options.llamacpp}; run tests/bench/peers/fetch")
        llama = None
    llama2c = None
    if options.llama2c:
        work = os.path.join(HERE, "peers/work")
        os.makedirs(work, exist_ok=True)
        llama2c = Llama2c(options.llama2c, work, options.tokenizer)
    else:
        skip("llama2.c", "no --llama2c DIR")
    make_models(options, llama)
    us = Duotale(options.duotale, options.tokenizer)
    if options.reread:
        reread(options, us)
    print(f"machine: {machine()}; {options.rounds} interleaved rounds, medians of tok/s; "
          "64 tokens of prompt, 256 decoded")

    def file(name):
        path = os.path.join(options.models, name)
        if os.path.exists(path):
            return path
        skip(name, f"not in {options.models}")
        return None

    def wanted(title):
        return options.only in title

    for name in SHAPES:
        for backend, form in (("int8", "Q8_0"), ("int4", "Q4_0")):
            for threads in (1, 2):
                title = f"{name} {backend}, {threads} thread{'s' if threads > 1 else ''}"
                path = wanted(title) and file(f"{name}-{form}.gguf")
                if not path:
                    continue
                peers = []
                if llama:
                    peers.append(Entry("llama.cpp " + form,
                                       lambda p=path, t=threads: llama.speed(p, t, 64, 256)))
                peers.append(Entry("limit", lambda p=path, b=backend, t=threads: us.limit(p, b, t)))
                compare(title,
                        Entry("duotale", lambda p=path, b=backend,
                              t=threads: us.speed(p, b, t, 64, 256)), peers,
                        options.rounds, ("decode", "prompt"))
        for backend, program, path in (("fp32", "run", f"{name}.bin"),
                                       ("int8", "runq",
                                        f"{name}-q80-g{64 if name == '110m' else 32}.bin")):
            title = f"{name} {backend} of llama2.c"
            path = wanted(title) and file(path)
            if not path:
                continue
            peers = [Entry(program + " -Ofast native", lambda r=program,
                           p=path: llama2c.speed(r, p))] if llama2c else []
            peers.append(Entry("limit", lambda p=path, b=backend: us.limit(p, b, 1)))
            compare(title, Entry("duotale", lambda p=path, b=backend: us.speed(p, b, 1, 64, 256)),
                    peers, options.rounds,
                    ("decode", "prompt"))
    path = wanted("15m int8 by position") and file("15m-Q8_0.gguf")
    if path:
        late = Entry("at 224", lambda: us.speed(path, "int8", 1, 0, 16, at=224))
        early = Entry("at 8", lambda: us.speed(path, "int8", 1, 0, 16, at=8))
        compare("15m int8 by position", late, [early], options.rounds, ("decode",))
    for backend, form in (("fp32", "f32"), ("int8", "Q8_0")):
        small = os.path.join(options.small, f"stories260K-h192-{form}.gguf")
        if not wanted(f"260k {backend}"):
            continue
        if not os.path.exists(small):
            skip(small, "not found")
            continue
        peers = [Entry("2 threads", lambda p=small, b=backend: us.speed(p, b, 2, 0, 256))]
        if llama:
            peers.append(Entry("llama.cpp " + form, lambda p=small: llama.speed(p, 1, 64, 256)))
        compare(f"260k {backend}, 1 thread",
                Entry("duotale", lambda p=small, b=backend: us.speed(p, b, 1, 0, 256)), peers,
                options.rounds, ("decode",))
    if options.trained and wanted("trained"):
        trained(options, us, llama)


def trained(options, us, llama):
    """The shortlist of the classifier and the sampler, which need a trained model."""
    path = options.trained
    for threads in (1, 2):
        peers = [Entry("without shortlist",
                       lambda t=threads: us.speed(path, "int8", t, 0, 250,
                                                  more=["--no-shortlist"]))]
        if llama:
            peers.append(Entry("llama.cpp Q8_0", lambda t=threads: llama.speed(path, t, 64, 250)))
        compare(f"trained int8, {threads} thread{'s' if threads > 1 else ''}",
                Entry("duotale", lambda t=threads: us.speed(path, "int8", t, 0, 250)), peers,
                options.rounds, ("decode",))
    for title, more in (("shortlist", []), ("no shortlist", ["--no-shortlist"])):
        top_p = Entry("-t 1 -p 0.9",
                      lambda m=more: us.speed(path, "int8", 1, 0, 250,
                                              more=["-t", "1", "-p", "0.9", *m]))
        greedy = Entry("greedy",
                       lambda m=more: us.speed(path, "int8", 1, 0, 250, more=["-t", "0", *m]))
        compare(f"trained sampler, {title}", top_p, [greedy], options.rounds, ("decode",))
    for more in ([], ["-t", "1", "-p", "0.9"]):
        out, _ = run([us.program, "profile", path, "-b", "int8", "-j", "1", "--gen", "250",
                      "--rounds", "3", "--json", *more])
        figures = json.loads(out)
        listed, tokens = figures["shortlist"], 250 * 3
        whole = figures["operators"]["classifier"]["bytes_per_token"]
        print(f"trained shortlist {' '.join(more) or 'greedy':14} "
              f"decided {listed['decided'] / tokens:.1%} of the tokens, "
              f"{listed['rows_per_list']:.0f} of {listed['rows']} rows a list; "
              f"the classifier reads {whole / 1e6:.2f} MB a token")


if __name__ == "__main__":
    main()
