# SPDX-License-Identifier: MIT
"""The full screen over the real program: every way out gives the terminal back, what was told is kept, nothing wakes while nothing happens.

usage: test_program.py PROGRAM SCREEN SCENES-FOLDER
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

program, screen, scenes = sys.argv[1:4]
# A story that goes on for ever, so that every scene has its middle.
ENDLESS = ["--seed", "5", "--temperature", "1", "--length", "0", "--stop", "bos", "--overflow", "shift", "--backend", "reference"]
failed = []
for number in (signal.SIGINT, signal.SIGQUIT):  # ignored where a shell runs us in the background, and we would hand that on
    signal.signal(number, signal.SIG_DFL)
UNTOLD = {"idle.scene", "segv.scene", "abrt.scene"}  # a crash may cost the last second, and these tell no longer


def environment(home):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DUOTALE_", "XDG_"))}
    env.update(HOME=home, LC_ALL="C.UTF-8")
    return env


def without_sound(home):
    """What sound is played to, recorded from and understood by, as scripts: a player that never ends, a silent microphone, an ear that
    hears one request. So a scene needs no sound card and no engine."""
    programs, words = pathlib.Path(home, "bin"), pathlib.Path(home, "model", "en-us")
    programs.mkdir()
    words.mkdir(parents=True)
    (words / "cmudict-en-us.dict").write_text("dragon D R AE G AH N\n")
    for name, does in (("aplay", "exec sleep 1000"), ("arecord", "head -c 32000 /dev/zero; exec sleep 1000"),
                       ("pocketsphinx_continuous", "cat >/dev/null; echo tell me a story about a dragon")):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o700)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "POCKETSPHINX_PATH": str(words.parent)}


def output(home):
    """Whether the library holds what was told: how it began."""
    files = pathlib.Path(home, ".local", "share", "duotale").glob("library*")
    return any(b"Once upon a time" in file.read_bytes() for file in files)


for scene in sorted(pathlib.Path(scenes).glob("*.scene")):
    with tempfile.TemporaryDirectory() as home:
        command = [screen, "-", str(scene), program, "--ui", "tui", "--no-config", *ENDLESS]
        run = subprocess.run(command, capture_output=True, text=True, env={**environment(home), **without_sound(home)}, timeout=120)
        if run.returncode != 0:
            failed.append(scene.name)
            print(f"{scene.name}: {run.returncode}\n{run.stdout}{run.stderr}")
        elif scene.name not in UNTOLD and not output(home):
            failed.append(scene.name)
            print(f"{scene.name}: the story is not in the library")
        else:
            print(f"{scene.name}: ok")

# Headless: a script plays without a terminal, and its screens are files.
with tempfile.TemporaryDirectory() as home:
    script, picture = os.path.join(home, "script"), os.path.join(home, "screen.txt")
    pathlib.Path(script).write_text(
        f"# a sitting\nenter Once upon a time\nwait idle\nkey F2\nsave-screen {picture}\nkey F2\nquit\n"
    )
    run = subprocess.run([program, "--ui", "tui", "--no-config", "--length", "20", "--size", "70x18", "--script", script],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(home), timeout=120)
    lines = pathlib.Path(picture).read_text().splitlines() if os.path.exists(picture) else []
    if run.returncode != 0 or run.stdout or len(lines) != 18 or not lines[0].startswith("Once upon a time") or not any("temperature" in l for l in lines):
        failed.append("headless script")
        print(f"headless: {run.returncode} {run.stdout}{run.stderr}", *lines, sep="\n")
    pathlib.Path(script).write_text("press F2\n")
    run = subprocess.run([program, "--ui", "tui", "--no-config", "--script", script], stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, env=environment(home), timeout=120)
    if "unknown script command: press" not in run.stderr:
        failed.append("headless script with a mistake")
        print(f"headless, a mistake: {run.returncode} {run.stdout}{run.stderr}")

sys.exit(1 if failed else 0)
