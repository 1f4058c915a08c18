#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Decode speed of one and two threads on two CPUs, with both CPUs idle and with one of them busy.

usage: threads.py [PROGRAM] [MODEL...]

The other work is a loop of the same priority on the second CPU. Each round measures the four cases
in turn; the output is their medians, and the ratios to one thread on the idle machine. Without a
MODEL, it measures those of ../shared/models and a synthetic one of the shape of stories15M. Other
work on the machine falsifies the figures, so the load average is printed beside them. Not a test.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "cli"))
sys.argv[1:1] = [] if len(sys.argv) > 1 else [str(TOP / "build" / "duotale")]
import synth

ROUNDS = int(os.environ.get("ROUNDS", "7"))
SMALL = ["stories260K.bin", "stories260K-h192-q80-g32.bin"]


def speed(program, model, threads, cpus):
    runs = "3" if model.stat().st_size > 4e6 else "31"  # the kernel needs time to find the free CPU
    command = ["taskset", "-c", cpus, program, "bench", str(model), "-j", str(threads), "--prompt",
               "0", "--gen", "200", "--runs", runs,
               "--no-start", "--json"]
    return json.loads(subprocess.run(command, capture_output=True,
                                     check=True).stdout)["results"][0]["decode_tok_s"]["median"]


def compare(program, model, cpus):
    both = ",".join(map(str, cpus))
    output = {(threads, busy): [] for busy in (False, True) for threads in (1, 2)}
    for _ in range(ROUNDS):
        for busy in (False, True):
            other = subprocess.Popen(["taskset", "-c", str(cpus[1]), sys.executable, "-c",
                                      "while True: pass"]) if busy else None
            try:
                for threads in (1, 2):
                    output[threads, busy].append(speed(program, model, threads, both))
            finally:
                if other:
                    other.kill()
                    other.wait()
    median = {key: statistics.median(values) for key, values in output.items()}
    print(f"{model.name}, {ROUNDS} rounds, load average {os.getloadavg()[0]:.1f}")
    for (threads, busy), value in median.items():
        what = f"{threads} thread{'s' if threads > 1 else ''}{', a CPU busy' if busy else ''}"
        print(f"  {what:22} {value:10.1f} tok/s"
              f"   {value / median[1, False]:5.2f} of one thread, idle"
              f"   {value / median[1, busy]:5.2f} of one thread beside the same", flush=True)


def main():
    if set(sys.argv[1:]) & {"-h", "--help"}:
        sys.exit(__doc__)
    program, models = sys.argv[1], [pathlib.Path(m) for m in sys.argv[2:]]
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        print("skipped: this needs two CPUs")
        return
    with tempfile.TemporaryDirectory(prefix="duotale-bench-") as name:
        if not models:
            shared = TOP.parent / "shared" / "models"
            models = [shared / m for m in SMALL if (shared / m).exists()]
            models.append(pathlib.Path(name) / "15m-q80-g32.bin")
            synth.int8(models[-1])
        for model in models:
            compare(program, model, cpus)


if __name__ == "__main__":
    main()
