# SPDX-License-Identifier: MIT
"""The full screen with the real program: every way to end it restores the terminal and saves the
story, and nothing wakes it while it is idle.

usage: test_program.py PROGRAM SCREEN SCENES-FOLDER
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

program, screen, scenes = sys.argv[1:4]
# A story without an end, so that each scene can act in the middle of it.
ENDLESS = ["--seed", "5", "--temperature", "1", "--length", "0", "--stop", "bos",
           "--overflow", "shift", "--backend", "reference"]
failed = []
# the program would inherit signals that are ignored here, as in a background job or under nohup
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
# scenes without a story, or whose crash comes within the first second of it
UNSAVED = {"idle.scene", "segv.scene", "abrt.scene"}


def environment(home):
    env = {name: value for name,
           value in os.environ.items() if not name.startswith(("DUOTALE_", "XDG_"))}
    env.update(HOME=home, LC_ALL="C.UTF-8")
    return env


def without_sound(home):
    """Scripts in place of a sound card and of speech engines: a player that never ends, a silent
    microphone, a recogniser with one result."""
    programs, words = pathlib.Path(home, "bin"), pathlib.Path(home, "model", "en-us")
    programs.mkdir()
    words.mkdir(parents=True)
    (words / "cmudict-en-us.dict").write_text("dragon D R AE G AH N\n")
    for name, does in (("aplay", "exec sleep 1000"),
                       ("arecord", "head -c 32000 /dev/zero; exec sleep 1000"),
                       ("pocketsphinx_continuous",
                        "cat >/dev/null; echo tell me a story about a dragon")):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o700)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "POCKETSPHINX_PATH": str(words.parent)}


def saved(home):
    """Whether the library has the beginning of the story."""
    files = pathlib.Path(home, ".local", "share", "duotale").glob("library*")
    return any(b"Once upon a time" in file.read_bytes() for file in files)


for scene in sorted(pathlib.Path(scenes).glob("*.scene")):
    with tempfile.TemporaryDirectory() as home:
        command = [screen, "-", str(scene), program, "--ui", "tui", "--no-config", *ENDLESS]
        run = subprocess.run(command, capture_output=True, text=True,
                             env={**environment(home), **without_sound(home)}, timeout=120)
        if run.returncode != 0:
            failed.append(scene.name)
            print(f"{scene.name}: {run.returncode}\n{run.stdout}{run.stderr}")
        elif scene.name not in UNSAVED and not saved(home):
            failed.append(scene.name)
            print(f"{scene.name}: the story is not in the library")
        else:
            print(f"{scene.name}: ok")

# Headless: a script plays without a terminal, and writes screens to files.
with tempfile.TemporaryDirectory() as home:
    script, picture = os.path.join(home, "script"), os.path.join(home, "screen.txt")
    pathlib.Path(script).write_text(
        "# a session\nenter Once upon a time\nwait idle\nkey F2\n"
        f"save-screen {picture}\nkey F2\nenter /set size 60x15\nwait ms 300\n"
        f"save-screen {picture}.small\nquit\n"
    )
    run = subprocess.run([program, "--ui", "tui", "--no-config", "--length", "20", "--size",
                          "70x18", "--script", script],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         env=environment(home), timeout=120)
    lines = pathlib.Path(picture).read_text().splitlines() if os.path.exists(picture) else []
    shown = (len(lines) == 18 and lines[0].startswith("Once upon a time") and
             any("temperature" in line for line in lines))
    small = pathlib.Path(picture + ".small")
    if not small.exists() or len(small.read_text().splitlines()) != 15:
        failed.append("/set size")
        print("headless: /set size 60x15 did not change the size")
    if run.returncode != 0 or run.stdout or not shown:
        failed.append("headless script")
        print(f"headless: {run.returncode} {run.stdout}{run.stderr}", *lines, sep="\n")
    pathlib.Path(script).write_text("press F2\n")
    run = subprocess.run([program, "--ui", "tui", "--no-config", "--script", script],
                         stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, env=environment(home), timeout=120)
    if "unknown script command: press" not in run.stderr:
        failed.append("headless script with an error")
        print(f"headless, an error: {run.returncode} {run.stdout}{run.stderr}")

sys.exit(1 if failed else 0)
