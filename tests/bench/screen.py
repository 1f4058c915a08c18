#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the full screen costs: bytes sent to the terminal, speed, memory. Not a test.

usage: screen.py PROGRAM FAKE-APP TUI-MODULE                 bytes
       screen.py PROGRAM - - MODEL [--tokenizer FILE ...]    speed; the arguments go to the program

  bytes a token and a second: on a pty of 80x24, from fake-app at 60 tok/s for 20 s, live figures
  a line of 115200 baud:      the same, read at 11520 bytes a second: does the story lag behind?
  speed, resident memory:     200 tokens by `run` and by the full screen in turn, medians of 7
"""
import fcntl
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time

program, fake, module = sys.argv[1:4]
model = sys.argv[4:]


def start(*command, rows=24, cols=80):
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
        os.execv(command[0], command)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    return pid, fd


def read(fd, seconds, until=None, pace=0):
    """Reads for so long, or until the bytes `until` come; at most `pace` bytes a second."""
    got, begin = b"", time.monotonic()
    while time.monotonic() - begin < seconds and not (until and until in got):
        if not select.select([fd], [], [], 0.01)[0]:
            continue
        if pace:
            time.sleep(0.005)
        try:
            got += os.read(fd, int(pace * 0.005) if pace else 65536)
        except OSError:
            break
    return got


def end(pid, fd):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(fd)


def generate_fake(pace, seconds=20, rate=60):
    pid, fd = start(fake, module, "story=long", "hold=1", f"rate={rate}")
    read(fd, 5, b"seed")
    os.write(fd, b"Once\r")
    read(fd, 1.5)
    os.write(fd, b"/go 0\r")
    read(fd, 0.5, pace=pace)
    output = read(fd, seconds, pace=pace)
    end(pid, fd)
    return output


def status(pid, field):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(field):
            return int(line.split()[1])
    return 0


for rate in () if model else (6, 60, 240):
    output = generate_fake(0, 10, rate)
    print(f"{rate:4d} tok/s: {len(output) / 10:7.1f} bytes a second, "
          f"{len(output) / (10 * rate):5.1f} bytes a token")

if not model:
    fast, slow = generate_fake(0), generate_fake(11520)
    print(f"60 tok/s for 20 s: {len(fast)} bytes on a free line, {len(slow)} on one of 115200 baud")


def run_speed():
    done = subprocess.Popen([program, "run", *model, "-i", "Once upon a time", "-n", "200", "-s",
                             "7", "-j", "1"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = done.stderr.read()
    _, _, usage = os.wait4(done.pid, 0)
    rate = re.search(r"achieved tok/s: ([\d.]+)", said)
    return float(rate.group(1)) if rate else 0.0, usage.ru_maxrss


def screen_speed():
    pid, fd = start(program, "--ui", "tui", "--no-config", "--private", "--seed", "7", "--length",
                    "200", "--threads", "1", *model)
    read(fd, 20, b"seed")
    read(fd, 0.5)
    os.write(fd, b"Once upon a time\r")
    output = read(fd, 60, b"/continue continues")
    output += read(fd, 0.7)
    rss = status(pid, "VmHWM")
    os.write(fd, b"/stats\r")
    said = read(fd, 2, b"first token")
    os.write(fd, b"\x15/quit\r")
    end(pid, fd)
    rate = re.search(rb"([\d.]+) tok/s", said)
    return float(rate.group(1)) if rate else 0.0, rss


if model:
    ratios, memory = [], []
    for _ in range(7):
        (a, rss_run), (b, rss) = run_speed(), screen_speed()
        ratios.append(b / a if a else 0)
        memory.append(rss - rss_run)
        print(f"run {a:.1f} tok/s, peak {rss_run} KiB; full screen {b:.1f} tok/s, {rss} KiB")
    print(f"full screen / run: median {statistics.median(ratios):.3f} of the speed, "
          f"{statistics.median(memory):+.0f} KiB")
