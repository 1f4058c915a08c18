#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""threads.py [PROGRAM] [MODEL...]: decode speed with one thread and with two, on two CPUs, and with one of those CPUs busy elsewhere.

Prints medians over interleaved rounds and their ratios; asserts nothing. Without a MODEL one of the shape of stories15M is made. A machine
that does other things at the same time spoils the figures: the load average is printed beside them.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
sys.argv[1:1] = [] if len(sys.argv) > 1 else [str(HERE.parent.parent / "build" / "duotale")]
import synth

ROUNDS = 5


def speed(program, model, threads, cpus):
    command = ["taskset", "-c", cpus, program, "bench", str(model), "-j", str(threads), "--prompt", "0", "--gen", "200", "--runs", "3",
               "--no-start", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["results"][0]["decode_tok_s"]["median"]


def main():
    program, models = sys.argv[1], [pathlib.Path(m) for m in sys.argv[2:]]
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        print("skipped: this needs two CPUs")
        return
    both = ",".join(map(str, cpus))
    with tempfile.TemporaryDirectory(prefix="duotale-bench-") as name:
        if not models:
            models = [pathlib.Path(name) / "15m-q80-g32.bin"]
            synth.int8(models[0])
        for model in models:
            told = {"1 thread": [], "2 threads": [], "1 thread, a CPU busy": [], "2 threads, a CPU busy": []}
            for _ in range(ROUNDS):
                told["1 thread"].append(speed(program, model, 1, both))
                told["2 threads"].append(speed(program, model, 2, both))
                busy = subprocess.Popen(["taskset", "-c", str(cpus[1]), sys.executable, "-c", "while True: pass"])
                try:
                    told["1 thread, a CPU busy"].append(speed(program, model, 1, both))
                    told["2 threads, a CPU busy"].append(speed(program, model, 2, both))
                finally:
                    busy.kill()
                    busy.wait()
            medians = {what: statistics.median(values) for what, values in told.items()}
            print(f"{model.name}, load average {os.getloadavg()[0]:.1f}")
            for what, value in medians.items():
                print(f"  {what:24} {value:10.1f} tok/s  {value / medians['1 thread']:5.2f} of one thread")


if __name__ == "__main__":
    main()
