#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How soon a voice stops after a signal, and how much memory speech engines use. Not a test.

usage: voice.py PROGRAM MODEL    also runs `PROGRAM bench --speak MODEL`

The time to silence is that from the signal until the player has ended; a script that sleeps with
sound in its pipe replaces the player. Memory is the peak resident set of one run of each
engine on one sentence (GNU time).
"""
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SENTENCE = "Once upon a time, there was a little girl named Lily, who had a big red ball."


def silence(program, model, folder, sent, when):
    """Milliseconds from the signal to the end of the player.

    when: seconds from the start of the player to the signal
    """
    player = os.path.join(folder, "player")
    with open(os.path.join(folder, "aplay"), "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\necho $$ >{player}\ntrap '' INT TERM\nsleep 1000\n")
    os.chmod(os.path.join(folder, "aplay"), 0o700)
    if os.path.exists(player):
        os.unlink(player)
    env = {**os.environ, "PATH": folder + ":" + os.environ["PATH"]}
    p = subprocess.Popen([program, "run", model, "-n", "0", "--speak", "--voice", "tones", "-q"],
                         env=env,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (os.path.exists(player) and open(player, encoding="ascii").read().endswith("\n")):
        time.sleep(0.001)
    pid = int(open(player, encoding="ascii").read())
    time.sleep(when)
    begun = time.monotonic()
    p.send_signal(sent)

    def alive():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except OSError:
            return False
    while alive():
        time.sleep(0.0005)
    took = (time.monotonic() - begun) * 1000
    p.wait()
    return took


def memory(argv, data):
    """MB and seconds of CPU of one run, by /usr/bin/time: a fork of this process would count its
    memory too."""
    with open(data, "rb") as given:
        out = subprocess.run(["/usr/bin/time", "-f", "%M %U %S", *argv], stdin=given,
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True, check=True).stderr.split()
    return int(out[-3]) / 1024, float(out[-2]) + float(out[-1])


def main():
    program, model = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        for sent in (signal.SIGINT, signal.SIGKILL):
            times = [silence(program, model, folder, sent, when)
                     for when in (0, 0.01, 0.05, 0.2, 0.5) for _ in range(4)]
            print(f"{signal.Signals(sent).name}: silent after {statistics.median(times):.1f} ms "
                  f"(median of {len(times)}), "
                  f"at most {max(times):.1f} ms")
        print("memory of one sentence")
        text = os.path.join(folder, "text")
        with open(text, "w", encoding="ascii") as f:
            f.write(SENTENCE + "\n")
        for argv in (["espeak-ng", "-v", "en-us", "--stdin", "--stdout"],
                     *(["flite", "-voice", voice, "-t", SENTENCE, "-o", "/dev/null"]
                       for voice in ("kal", "kal16", "rms", "slt"))):
            if shutil.which(argv[0]) and os.path.exists("/usr/bin/time"):
                mb, cpu = memory(argv, text)
                print(f"  {argv[0]} {argv[2]:6} {mb:6.1f} MB {cpu:.3f} s of CPU")
    print(subprocess.run([program, "bench", "--speak", "--runs", "7", model], capture_output=True,
                         text=True, check=False).stdout, end="")


if __name__ == "__main__":
    main()
