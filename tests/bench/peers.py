#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speed of duotale and its peers on this machine. Not a test.

    tests/bench/peers/fetch       once: unpacks llama.cpp from Debian sid
    tests/bench/peers.py --duotale build/duotale --models DIR --llama2c DIR

Each round runs each program of a row once, in turn. A row has the ratio to the fastest peer first,
then the best figure of all rounds, with the median in parentheses, in tokens per second.

"limit" is the bound that memory bandwidth sets: `duotale profile` reads as many bytes as a token
does with the same number of threads and computes nothing (docs/performance.md).

The folders of --models have fp32 models of llama2.c: stories260K.bin with tok512.bin,
stories15M.bin, stories110M.bin (or 15m.bin, m15.bin). The other forms are looked for beside them
and in the folder of --work, and made there by `duotale convert`.
DIR of --llama2c is a checkout of llama2.c: run.c (fp32) and runq.c (int8) are compiled with
-Ofast -march=native, and with OpenMP for more than one thread. What is missing is skipped, by name.

With --wrap CMD, each call of a program is CMD PROGRAM ...; a call takes a few seconds at most.
With --reread, the files first leave the page cache; duotale, which opens them next, decides how the
cache holds them for all (in pages of 2 MB if the kernel and the file system can).
"""
import argparse
import datetime
import glob
import json
import os
import platform
import re
import shlex
import subprocess
import sys

import peers_report as report

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS = {"260k": 256, "15m": 256, "110m": 64}  # decoded by a call
SMALL = "260k"  # in fp32 only: rows of 64 and 172 values have no blocks; has its own vocabulary
FORMS = {"fp32": "f32", "int8": "q8_0", "int4": "q4_0"}
PROMPT = 64
WRAP = []


def run(command, **more):
    result = subprocess.run(WRAP + command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, errors="replace", check=False, **more)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {result.returncode}\n{result.stderr[-2000:]}")
    return result.stdout, result.stderr


def skip(what, why):
    print(f"skipped: {what}: {why}", flush=True)


def tokenizer_of(model, usual):
    """The smallest model has a vocabulary of its own, beside it; the others have the usual one."""
    path = os.path.join(os.path.dirname(model), "tok512.bin")
    own = SMALL in os.path.basename(model).lower() and os.path.exists(path)
    return path if own else usual


class LlamaCpp:
    """Runs through its own loader, so that nothing needs to be installed."""

    def __init__(self, root):
        nested = os.path.join(root, "root")
        self.root = os.path.abspath(nested if os.path.isdir(nested + "/usr") else root)
        lib = os.path.join(self.root, f"usr/lib/{platform.machine()}-linux-gnu")
        loaders = sorted(glob.glob(f"{self.root}/usr/lib64/ld-linux*") +
                         glob.glob(f"{self.root}/usr/lib/ld-linux*"))
        self.loader = loaders[0] if loaders else ""
        self.path = f"{lib}:{lib}/llama"
        self.backends = next((folder for folder, _, files in os.walk(os.path.join(lib, "ggml"))
                              if any(f.startswith("libggml-cpu") for f in files)), lib)
        self.version = "unknown"

    def there(self):
        return bool(self.loader)

    def speed(self, model, threads, prompt, gen):
        # it looks for its CPU variants in the working directory
        out, _ = run([self.loader, "--library-path", self.path,
                      os.path.join(self.root, "usr/bin/llama-bench"), "-m", os.path.abspath(model),
                      "-t", str(threads), "-p", str(prompt), "-n", str(gen), "-r", "1", "-o",
                      "json"], cwd=self.backends)
        row = json.loads(out)[0]
        self.version = f"build {row['build_number']} ({row['build_commit']})"
        return row["avg_ts"]


class Llama2c:
    """run and runq, compiled from a checkout."""

    def __init__(self, folder, work, tokenizer):
        self.folder, self.work, self.tokenizer = folder, work, tokenizer
        self.compiled = set()

    def program(self, name, threads):
        path = os.path.join(self.work, name + ("-openmp" if threads > 1 else ""))
        if path not in self.compiled:
            run(["gcc", "-Ofast", "-march=native", *(["-fopenmp"] if threads > 1 else []), "-o",
                 path, os.path.join(self.folder, name + ".c"), "-lm"])
            self.compiled.add(path)
        return path

    def speed(self, name, model, threads, gen):
        _, err = run([self.program(name, threads), model, "-z",
                      tokenizer_of(model, self.tokenizer), "-t", "0", "-n", str(gen)],
                     env=dict(os.environ, OMP_NUM_THREADS=str(threads)))
        figure = re.search(r"tok/s: ([0-9.]+)", err)
        if not figure:
            sys.exit(f"{name} {model}: no tok/s in its output\n{err[-500:]}")
        return float(figure.group(1))


class Duotale:
    def __init__(self, program, tokenizer, backend):
        self.program, self.tokenizer, self.backend = program, tokenizer, backend
        self.stacks = {}  # by model: what the backend was resolved to

    def speed(self, model, threads, prompt, gen, at=0, more=()):
        command = [self.program, "bench", model, "-z", tokenizer_of(model, self.tokenizer), "-b",
                   self.backend, "-j", str(threads), "--runs", "1", "--warm", "1", "--no-start",
                   "--json", "--gen", str(gen), "--prompt", str(prompt),
                   *(["--at", str(at)] if at else []), *more]
        row = json.loads(run(command)[0])["results"][0]
        self.stacks[model] = row["resolved"]
        return row["prompt_tok_s" if prompt else "decode_tok_s"]["median"]

    def limit(self, model, threads, gen):
        """The limit for the mean of the positions that are decoded."""
        out, _ = run([self.program, "profile", model, "-z", tokenizer_of(model, self.tokenizer),
                      "-b", self.backend, "-j", str(threads), "--json", "--gen", "8", "--at",
                      str(gen // 2 - 4), "--rounds", "1"])
        return json.loads(out)["limit_tok_s"]

    def version(self):
        return run([self.program, "--version"])[0].split("\n")[0]

    def convert(self, source, target, form, tokenizer):
        run([self.program, "convert", source, "-o", target, "-f", form, "-q",
             *(["-z", tokenizer_of(source, self.tokenizer)] if tokenizer else [])])


class Models:
    """Finds the files of a model, and makes those that are missing."""

    def __init__(self, folders, work, us):
        self.folders, self.work, self.us = folders, work, us
        self.missing = set()

    def find(self, size, endings):
        number = size.rstrip("mk")
        names = {start + end.lower() for start in (size, "m" + number, "stories" + size)
                 for end in endings}
        for folder in (*self.folders, self.work):
            for name in sorted(os.listdir(folder)):
                if name.lower() in names:
                    return os.path.join(folder, name)
        return None

    def get(self, size, form):
        """form: bin (fp32 of llama2.c), i8 (for runq), or that of a GGUF file."""
        endings = {"bin": [".bin"], "i8": ["-i8.bin", "-q80-g64.bin", "-q80-g32.bin"]}.get(
            form, [f"-{form}.gguf"])
        found = self.find(size, endings)
        source = None if found or form == "bin" else self.find(size, [".bin"])
        if source:
            found = os.path.join(self.work, size + endings[0])
            self.us.convert(source, found, form, tokenizer=form != "i8")
        if not found and (size, form) not in self.missing:
            skip(f"{size} {form}", f"neither {size}{endings[0]} nor {size}.bin in "
                 + ", ".join(self.folders))
            self.missing.add((size, form))
        return found


class Row:
    """Programs to compare, each with a function that measures it once."""

    def __init__(self, title, kind, programs, limit=None):
        self.title, self.kind, self.programs, self.limit = title, kind, programs, limit

    def measure(self, rounds):
        found, limits = [[] for _ in self.programs], []
        for _ in range(rounds):
            for figures, (_, measure) in zip(found, self.programs):
                figures.append(measure())
            if self.limit:
                limits.append(self.limit())
        programs = [report.program(name, figures)
                    for figures, (name, _) in zip(found, self.programs)]
        return {"title": self.title, "kind": self.kind, "programs": programs,
                "limit": max(limits) if limits else None}


def counted(n, noun):
    return f"{n} {noun}{'' if n == 1 else 's'}"


def decode_rows(options, us, llama, llama2c, models):
    for size, gen in TOKENS.items():
        for form, kind in FORMS.items():
            for threads in options.threads:
                title = f"{size.upper()} {form}, {counted(threads, 'thread')}"
                if options.only not in title or (size == SMALL and form != "fp32"):
                    continue
                model = models.get(size, "bin" if form == "fp32" else kind)
                if not model:
                    continue
                programs = [("duotale", lambda m=model, t=threads, g=gen: us.speed(m, t, 0, g))]
                path = models.get(size, kind) if llama else None
                if path:
                    programs.append(("llama.cpp", lambda m=path, t=threads,
                                     g=gen: llama.speed(m, t, 0, g)))
                name, own = {"fp32": ("run", "bin"), "int8": ("runq", "i8")}.get(form, (None, None))
                path = models.get(size, own) if llama2c and name else None
                if path:
                    programs.append((name, lambda n=name, m=path, t=threads,
                                     g=gen: llama2c.speed(n, m, t, g)))
                yield Row(title, "decode", programs,
                          lambda m=model, t=threads, g=gen: us.limit(m, t, g))


def prompt_rows(options, us, llama, models):
    for size in TOKENS:
        for threads in options.threads if size != SMALL else ():
            title = f"prompt of {PROMPT}: {size.upper()} int8, {counted(threads, 'thread')}"
            model = models.get(size, "q8_0") if options.only in title else None
            if not model:
                continue
            programs = [("duotale", lambda m=model, t=threads: us.speed(m, t, PROMPT, 1))]
            if llama:
                programs.append(("llama.cpp",
                                 lambda m=model, t=threads: llama.speed(m, t, PROMPT, 0)))
            yield Row(title, "prompt", programs)


def other_rows(options, us, llama, models):
    title = "15M int8 at position 224, peer: at 8"
    model = models.get("15m", "q8_0") if options.only in title else None
    if model:
        yield Row(title, "decode", [("duotale", lambda: us.speed(model, 1, 0, 16, at=224)),
                                    ("at 8", lambda: us.speed(model, 1, 0, 16, at=8))])
    path = options.trained
    for threads in options.threads if path else ():
        title = f"trained 15M int8, {counted(threads, 'thread')}"
        if options.only in title:
            programs = [("duotale", lambda t=threads: us.speed(path, t, 0, 250)),
                        ("without shortlist",
                         lambda t=threads: us.speed(path, t, 0, 250, more=["--no-shortlist"]))]
            if llama:
                programs.append(("llama.cpp", lambda t=threads: llama.speed(path, t, 0, 250)))
            yield Row(title, "decode", programs)
    title = "trained 15M, -t 1 -p 0.9, peer: greedy"
    if path and options.only in title:
        yield Row(title, "decode",
                  [("duotale", lambda: us.speed(path, 1, 0, 250, more=["-t", "1", "-p", "0.9"])),
                   ("greedy", lambda: us.speed(path, 1, 0, 250, more=["-t", "0"]))])


def first_line(path, pattern):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            found = re.search(pattern, f.read(), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def caches():
    """"L1d 32K, L2 1024K, L3 32768K", of the first CPU."""
    found = []
    for folder in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        level, kind, size = (first_line(f"{folder}/{name}", "(.*)")
                             for name in ("level", "type", "size"))
        if level and size and kind != "Instruction":
            found.append(f"L{level}{'d' if kind == 'Data' else ''} {size}")
    return ", ".join(found) or "unknown"


def machine():
    cpu = first_line("/proc/cpuinfo", r"^model name\s*:(.*)$") or platform.machine()
    flags = (first_line("/proc/cpuinfo", r"^(?:flags|Features)\s*:(.*)$") or "").split()
    known = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp")
    compiler = subprocess.run(["gcc", "--version"], stdout=subprocess.PIPE, text=True,
                              check=False).stdout.split("\n")[0]
    memory = int(first_line("/proc/meminfo", r"^MemTotal:\s*(\d+)") or 0) / 2**20
    return {
        "CPU": cpu + (" (virtual machine)" if "hypervisor" in flags else ""),
        "features": ", ".join(flag for flag in known if flag in flags) or "unknown",
        "CPUs": f"{len(os.sched_getaffinity(0))}",
        "caches": caches(),
        "memory": f"{memory:.1f} GiB",
        "large pages": first_line("/sys/kernel/mm/transparent_hugepage/enabled",
                                  r"\[(\w+)\]") or "unknown",
        "kernel": f"{platform.system()} {platform.release()}",
        "compiler": compiler,
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def reread(folder, us):
    """Drops each model from the page cache, and lets duotale read it once."""
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith((".bin", ".gguf")) and not name.startswith("tok"):
            with open(path, "rb") as f:
                os.fsync(f.fileno())
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            us.speed(path, 1, 0, 8)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--duotale", default="build/duotale", metavar="FILE")
    add("--models", required=True, metavar="DIR", action="append",
        help="folder of models; may be repeated")
    add("--work", default=os.path.join(HERE, "peers/work"), metavar="DIR",
        help="folder for programs and models that are made (default %(default)s)")
    add("--tokenizer", metavar="FILE",
        help="vocabulary of the models (default: tokenizer.bin of --llama2c)")
    add("--root", default=os.path.join(HERE, "peers/root"), metavar="DIR",
        help="where peers/fetch unpacked llama.cpp (default %(default)s)")
    add("--llama2c", metavar="DIR", help="checkout of llama2.c, with run.c and runq.c")
    add("-b", "--backend", default="auto", help="duotale's backend (default auto)")
    add("--threads", default="1,2", help="numbers of threads (default 1,2)")
    add("--rounds", type=int, default=7, help="rounds of each row (default 7)")
    add("--trained", metavar="FILE",
        help="a trained model of the 15M shape (data/recipe), for the shortlist and the sampler")
    add("--wrap", default="", metavar="CMD", help="command that runs each call of a program")
    add("--reread", action="store_true", help="drop the models from the page cache first")
    add("--only", default="", metavar="TEXT", help="rows whose title contains this")
    add("--json", metavar="FILE")
    add("--markdown", metavar="FILE",
        help="new file, or one with marker lines, between which the section is replaced")
    add("--svg", metavar="FILE", help="bar picture")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    try:
        options.threads = [int(n) for n in options.threads.split(",")]
    except ValueError:
        parser.error(f"--threads must be numbers, such as 1,2 (got {options.threads!r})")
    if not options.tokenizer:
        options.tokenizer = (os.path.join(options.llama2c, "tokenizer.bin") if options.llama2c
                             else "../shared/models/tokenizer32000.bin")
    for path, name in ((options.tokenizer, "--tokenizer"), (options.duotale, "--duotale"),
                       *((folder, "--models") for folder in options.models)):
        if not os.path.exists(path):
            parser.error(f"{path}: not found; name it with {name}")
    for name in ("duotale", "work", "tokenizer"):
        setattr(options, name, os.path.abspath(getattr(options, name)))
    options.models = [os.path.abspath(folder) for folder in options.models]
    return options


def main():
    options = read_options()
    os.makedirs(options.work, exist_ok=True)
    WRAP.extend(shlex.split(options.wrap))
    llama = LlamaCpp(options.root)
    if not llama.there():
        skip("llama.cpp", f"not in {options.root}; run tests/bench/peers/fetch")
        llama = None
    llama2c = None
    if options.llama2c:
        llama2c = Llama2c(options.llama2c, options.work, options.tokenizer)
    else:
        skip("llama2.c", "no --llama2c DIR")
    us = Duotale(options.duotale, options.tokenizer, options.backend)
    models = Models(options.models, options.work, us)
    if options.reread:
        for folder in options.models:
            reread(folder, us)
    facts = machine()
    for name, value in facts.items():
        print(f"{name}: {value}")
    print(f"\n{'tok/s, best (median)':38} {'ratio':>13} {'limit':>6}  {'duotale':17} peers",
          flush=True)
    rows = []
    for row in [*decode_rows(options, us, llama, llama2c, models),
                *prompt_rows(options, us, llama, models),
                *other_rows(options, us, llama, models)]:
        rows.append(row.measure(options.rounds))
        print(report.text_line(rows[-1]), flush=True)
    versions = {"duotale": us.version() + ", " + ", ".join(sorted(set(us.stacks.values())))}
    if llama:
        versions["llama.cpp"] = llama.version
    if llama2c:
        versions["llama2.c"] = "gcc -Ofast -march=native, -fopenmp for several threads"
    decoded = ", ".join(f"{size.upper()} {n}" for size, n in TOKENS.items())
    settings = {"date": datetime.date.today().isoformat(), **versions,
                "rounds": counted(options.rounds, "interleaved round"),
                "tokens": f"decoded from an empty context: {decoded}; prompts: {PROMPT}"}
    command = "tests/bench/peers.py --models DIR --rounds " + str(options.rounds)
    command += " --llama2c DIR" if llama2c else ""
    command += " --trained FILE" if options.trained else ""
    done = {"machine": facts, "settings": settings, "command": command, "rows": rows}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            f.write(report.to_json(done))
    if options.svg:
        with open(options.svg, "w", encoding="utf-8") as f:
            f.write(report.to_svg(done))
    if options.markdown:
        beside = os.path.dirname(os.path.abspath(options.markdown))
        picture = os.path.relpath(options.svg, beside) if options.svg else None
        report.write_markdown(options.markdown, report.to_markdown(done, picture))


if __name__ == "__main__":
    main()
