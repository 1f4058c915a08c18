#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Decode speed and memory of a session on a terminal, compared with `duotale run` in turn, one
thread; and the CPU time of an idle session. Not a test.

usage: interactive.py PROGRAM MODEL TOKENIZER [--ui line] [--runs 7] [--tokens 240]
"""
import argparse
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from statistics import median

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("program")
arguments.add_argument("model")
arguments.add_argument("tokenizer")
arguments.add_argument("--ui", default="line")
arguments.add_argument("--runs", type=int, default=7)
arguments.add_argument("--tokens", type=int, default=240)
arguments.add_argument("--backend", default="auto")
a = arguments.parse_args()
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.argv = ["session", a.program, os.path.join(root, "..")]
sys.path.insert(0, os.path.join(root, "interactive"))
from terminal_session import PROMPT, TerminalSession  # noqa: E402


def resident(pid):
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def cpu(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def run_once():
    child = subprocess.Popen([a.program, "run", a.model, "-z", a.tokenizer, "-i", "Once", "-t", "0",
                              "-n", str(a.tokens + 2), "-j", "1", "-b", a.backend],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)  # the scheduler groups by session
    out, err = child.communicate()
    text = err.decode()
    return float(re.search(r"tok/s: ([\d.]+)", text).group(1)), text


def rss_of_run():
    # the peak, by the kernel
    done = subprocess.run(["/usr/bin/env", "python3", "-c",
                           "import resource,subprocess,sys;"
                           "subprocess.run(sys.argv[1:],capture_output=True);"
                           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
                           a.program, "run", a.model, "-z", a.tokenizer, "-i", "Once",
                           "-t", "0", "-n", str(a.tokens + 2), "-j", "1", "-b", a.backend],
                          capture_output=True, check=True)
    return int(done.stdout)


def nanoseconds(pid, task=None):
    """CPU time of each thread: a loaded machine changes it less than the time of the clock."""
    tasks = [task] if task else os.listdir(f"/proc/{pid}/task")
    return {t: int(open(f"/proc/{pid}/task/{t}/schedstat", encoding="ascii").read().split()[0])
            for t in tasks}


def turn_speed(session, turn, seconds=120):
    """The speed of a turn, from the library: it does not depend on what a front end draws."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        session.wait(rb"$.^", 0.2)  # reads the output
        try:
            with sqlite3.connect(f"file:{session.home}/data/duotale/library.db?mode=ro",
                                 uri=True) as library:
                query = "SELECT speed FROM turn WHERE finished ORDER BY id"
                rows = library.execute(query).fetchall()
        except sqlite3.OperationalError:  # not created yet
            rows = []
        if len(rows) > turn:
            return rows[turn][0]
    sys.exit(f"no turn ended within {seconds} s; the terminal shows: {session.tail()}")


with tempfile.TemporaryDirectory() as home:
    s = TerminalSession(a.model, "-z", a.tokenizer, "--ui", a.ui, "-t", "0", "-n", a.tokens, "-j",
                        "1", "-b", a.backend, home=home)
    s.wait(PROMPT if a.ui != "tui" else rb"seed", 20)
    rates = {"run": [], a.ui: []}
    run_cpu, worker_cpu, whole_cpu = [], [], []
    for i in range(a.runs):
        cpu_before = os.times()
        rate, text = run_once()
        cpu_after = os.times()
        run_cpu.append(cpu_after.children_user - cpu_before.children_user +
                       cpu_after.children_system - cpu_before.children_system)
        rates["run"].append(rate)
        first = nanoseconds(s.pid)
        s.enter("/new")
        s.wait(rb"a new story", 2)  # the full screen may draw it in parts
        s.enter("Once")
        rates[a.ui].append(turn_speed(s, i))
        spent = {t: n - first.get(t, 0) for t, n in nanoseconds(s.pid).items()}
        worker_cpu.append(max(spent.values()) / 1e9)
        whole_cpu.append(sum(spent.values()) / 1e9)
    for name, values in rates.items():
        print(f"{name:8} {median(values):9.1f} tok/s  ({min(values):.1f} .. {max(values):.1f})")
    print(f"ratio of medians {median(rates[a.ui]) / median(rates['run']):.3f}, "
          f"of pairs {median(x / y for x, y in zip(rates[a.ui], rates['run'])):.3f}")
    print(f"CPU seconds a story: run {median(run_cpu):.4f} (with its start), "
          f"the worker {median(worker_cpu):.4f}, all threads of the session "
          f"{median(whole_cpu):.4f}; of pairs, worker over run "
          f"{median(x / y for x, y in zip(worker_cpu, run_cpu)):.3f}")
    rss, other = resident(s.pid), rss_of_run()
    print(f"RSS {a.ui} {rss / 1024:.1f} MB, run {other / 1024:.1f} MB, "
          f"difference {(rss - other) / 1024:.1f} MB")
    before = cpu(s.pid)
    time.sleep(5)
    print(f"CPU in 5 idle seconds: {cpu(s.pid) - before} ticks "
          f"({os.sysconf('SC_CLK_TCK')} a second)")
    s.enter("/quit")
    s.ends()
    s.close()
