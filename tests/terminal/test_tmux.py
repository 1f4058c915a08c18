# SPDX-License-Identifier: MIT
"""A whole session in tmux: story, panel, another backend in mid-story, other sizes, Ctrl-Z and fg,
leaving; the terminal is restored. With FRONT-END "line", Ctrl-Z and fg there too.

usage: test_tmux.py PROGRAM [FRONT-END]    exits with 77 without tmux
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

program = sys.argv[1]
if not shutil.which("tmux"):
    print("skipped: tmux is not installed")
    sys.exit(77)

home = tempfile.mkdtemp()
env = {name: value for name,
       value in os.environ.items() if not name.startswith(("DUOTALE_", "XDG_", "TMUX"))}
env.update(HOME=home, LC_ALL="C.UTF-8", SHELL="/bin/sh", PS1="$ ")
socket = os.path.join(home, "tmux")


def tmux(*arguments):
    return subprocess.run(["tmux", "-f", "/dev/null", "-S", socket, *arguments], env=env,
                          check=True, capture_output=True, text=True).stdout


def screen():
    return tmux("capture-pane", "-p")


def expect(text, there=True):
    since = time.monotonic()
    while (text in screen()) != there:
        if time.monotonic() - since > 30:
            event = "to appear" if there else "to go away"
            sys.exit(f"waited 30 s for {text!r} {event}:\n{screen()}")
        time.sleep(0.05)


def keys(*names):
    tmux("send-keys", *names)


asked = 0


def modes():
    """The modes that stty reports, and the state of the screen."""
    global asked
    asked += 1  # a number for each answer, because typed keys may arrive while the program leaves
    keys(f"clear; echo modes{asked}: $(stty -g | cksum) e''nd", "Enter")
    since = time.monotonic()
    while not (found := re.search(rf"modes{asked}: (\d+ \d+) end\n", screen())):
        if time.monotonic() - since > 30:
            sys.exit(f"waited 30 s for stty:\n{screen()}")
        time.sleep(0.05)
    flags = "#{alternate_on} #{cursor_flag} #{keypad_flag} #{keypad_cursor_flag}"
    return found.group(1), tmux("display-message", "-p", flags).strip()


JOINED = "\u2764\ufe0f\u200d\U0001f525\U0001f469\u200d\U0001f469\u200d\U0001f467|"


def stop_line_mode(before):
    keys(f"{program} --ui line --no-config --seed 3 --length 8", "Enter")
    keys("Once upon")
    expect("> Once upon")
    keys("C-z")
    expect("Stopped")
    after = modes()
    if before != after:
        sys.exit(f"the terminal is not restored while line mode is stopped:\n{before}\n{after}")
    keys("fg", "Enter")
    expect("> Once upon")
    keys(" a time", "Enter")
    expect("8 tokens")
    keys("/quit", "Enter")
    after = modes()
    if before != after:
        sys.exit(f"the terminal is not restored by line mode:\n{before}\n{after}")


try:
    tmux("new-session", "-d", "-x", "80", "-y", "24", "/bin/sh")
    expect("$")
    before = modes()
    tmux("resize-window", "-x", "80", "-y", "24")
    keys(f"{program} --no-config --seed 3 --temperature 1 --length 0 --stop bos --overflow shift",
         "Enter")
    expect("tok/s")
    keys("Once upon a time", "Enter")
    expect("ctx 0/", False)
    keys("F2")
    expect("Left/Right change")
    keys("Right")
    expect("temperature     1.05")
    keys("F2")
    keys("/backend reference", "Enter")
    tmux("resize-window", "-x", "60", "-y", "20")
    expect("reference")
    tmux("resize-window", "-x", "100", "-y", "30")
    keys("C-z")
    expect("Stopped")  # by the shell
    keys("fg", "Enter")
    expect("tok/s")
    keys("C-c")
    keys("F1")
    expect("this help")
    keys("Escape")
    expect("this help", False)
    keys("C-u", JOINED)  # tmux draws a joined emoji as one
    expect("|")
    keys("BSpace", "BSpace", "BSpace", "_")
    expect("> _\n")
    keys("C-u", "/quit", "Enter")
    expect("tok/s", False)
    after = modes()
    if before != after:
        sys.exit(f"the terminal is not restored:\n{before}\n{after}")
    if sys.argv[2:] == ["line"]:
        stop_line_mode(before)
finally:
    subprocess.run(["tmux", "-S", socket, "kill-server"], env=env, capture_output=True)
    shutil.rmtree(home, ignore_errors=True)
