# SPDX-License-Identifier: MIT
"""Whole sessions on a terminal with the line and plain front ends; pipes; signals.

usage: test_interactive.py PROGRAM SOURCE
"""
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import synth  # noqa: E402

from terminal_session import FIGURES, PROMPT, TerminalSession, common

WORDS = rb"(w[0-9a-f]{4}.*?){5}"  # five tokens of that model
ENDLESS = None  # a model of random weights whose large vocabulary makes an end of story unlikely
MODEL = common.DATA / (common.DATA / "default").read_text().strip()


def step(session, what, good):
    """One check; if it fails, the last output of the terminal is printed."""
    return common.expect(what, good, session.tail())


def whole_run(home, term, locale, ui):
    name = f"{ui}, TERM={term}, {locale}"
    s = TerminalSession(ENDLESS, "--ui", ui, "--seed", "3", "-n", "40", "-b", "reference", "-j",
                        "1", term=term, locale=locale, home=home)
    try:
        if not step(s, f"{name}: a prompt", s.wait(PROMPT)):
            return
        s.enter("Once upon a time")
        step(s, f"{name}: a story", s.wait(FIGURES) and s.wait(rb"seed 3"))
        step(s, f"{name}: a prompt again", s.wait(PROMPT))
        for line, answer in (("/set length 0", rb"length = 0"),
                             ("/set overflow shift", rb"overflow = shift"),
                             ("/new", rb"a new story")):
            s.enter(line)
            s.wait(answer)
            s.wait(PROMPT)
        s.enter("There was a dog")
        step(s, f"{name}: a story begins", s.wait(rb"There was a dog"))
        s.wait(rb".{30}")
        s.type("\x03")
        found = s.wait(FIGURES)
        step(s, f"{name}: Ctrl-C stops", found and s.wait(PROMPT))
        s.enter("/continue")
        s.wait(rb"/continue.*?" + WORDS)
        s.type("\x03")
        step(s, f"{name}: /continue, and Ctrl-C again", s.wait(FIGURES) and s.wait(PROMPT))
        s.enter("/set length 30")
        s.wait(rb"length = 30")
        s.wait(PROMPT)
        s.enter("/retry")
        step(s, f"{name}: /retry",
             s.wait(rb"generated again") and s.wait(rb"30 tokens") and s.wait(PROMPT))
        s.enter("/set length 0")
        s.wait(PROMPT)
        s.enter("/continue")
        s.wait(rb"/continue.{30}")
        s.enter("/backend int8")
        step(s, f"{name}: swap in mid-story",
             s.wait(rb"Now computing with int8.{0,20} \(was reference\)"))
        s.wait(rb".{30}")
        s.type("\x03")
        step(s, f"{name}: the story continues with the other backend",
             s.wait(rb"tokens,[^>]*?int8") and s.wait(PROMPT))
        s.enter("/set length 30")
        s.wait(rb"length = 30")
        s.wait(PROMPT)
        s.enter("/compare reference int8")
        step(s, f"{name}: /compare",
             s.wait(rb"times as fast; the texts are equal", 60) and s.wait(PROMPT))
        s.enter("/undo")
        step(s, f"{name}: /undo", s.wait(rb"undone"))
        step(s, f"{name}: the prompt is in the input again", s.wait(rb"There was a dog"))
        s.type("\x15" if ui == "line" else "")
        s.enter("")
        s.wait(rb"> ", 1)
        s.enter("/library Once")
        step(s, f"{name}: /library", s.wait(rb"\s1  \d\d\d\d-.*Once upon"))
        s.wait(rb"> ")
        s.enter("/open 1")
        step(s, f"{name}: /open", s.wait(rb"Story 1: Once upon") and s.wait(rb"Once upon a\s+time"))
        s.wait(PROMPT)
        s.enter("/contin")
        step(s, f"{name}: a unique beginning of a command is enough",
             s.wait(FIGURES) and s.wait(PROMPT))
        s.enter("/retyr")
        step(s, f"{name}: a wrong command has a suggestion", s.wait(rb"Did you mean /retry"))
        s.wait(rb"> ")
        s.type("\x15" if ui == "line" else "")
        s.enter("/quit")
        step(s, f"{name}: exit code 0", s.ends() == 0)
        step(s, f"{name}: the terminal is restored", s.modes_are_back())
    finally:
        s.close()


def live_figures(home):
    """Live figures come at most 4 times a second, so this turn runs until they were seen."""
    s = TerminalSession(ENDLESS, "--ui", "line", "--stats", "live", "--seed", "3", "-n", "0",
                        "--overflow", "shift",
                        "-b", "reference", "-j", "1", home=home)
    try:
        s.wait(PROMPT)
        s.enter("Once upon a time")
        step(s, "live figures are drawn below the text",
             s.wait(rb"\r\n" + FIGURES + rb" \| ctx [^\r\n]*\x1b\[K\x1b\[A"))
        step(s, "live figures are cleared before more text",
             s.wait(rb"\r\n\x1b\[K\x1b\[A.*?" + WORDS))
        s.type("\x03")
        step(s, "live figures: the final ones stay",
             s.wait(FIGURES + rb", first token") and s.wait(PROMPT))
        s.enter("/set length 60")
        s.wait(rb"length = 60")
        s.wait(PROMPT)
        s.enter("/continue")
        step(s, "live figures: a turn with a length limit",
             s.wait(rb"60 tokens, [\d.]+ tok/s, first token") and s.wait(PROMPT))
        s.enter("/quit")
        step(s, "live figures: quits", s.ends() == 0)
    finally:
        s.close()


def saved_text(home, prompt, seconds=10):
    """The text that the library holds of the turn with this prompt; waits until there is some."""
    end = time.monotonic() + seconds
    while True:
        with sqlite3.connect(f"file:{home}/data/duotale/library.db?mode=ro", uri=True) as db:
            row = db.execute("SELECT told FROM turn WHERE prompt LIKE ? || '%'",
                             (prompt,)).fetchone()
        if (row and len(row[0]) > 5) or time.monotonic() >= end:
            return row[0] if row else ""
        time.sleep(0.05)


def endless_session(home, name):
    """A session of the line front end, in a home of its own: no notice of an earlier story."""
    os.mkdir(f"{home}/{name}")
    return TerminalSession(ENDLESS, "--ui", "line", "--overflow", "shift", "-n", "0",
                           "-b", "reference", "-j", "1", home=f"{home}/{name}")


def leaving(home):
    s = endless_session(home, "ctrl-d")
    try:
        s.wait(PROMPT)
        s.type("\x03")
        step(s, "Ctrl-C at an empty prompt says how to leave", s.wait(rb"/quit"))
        s.wait(PROMPT)
        s.type("\x04")
        step(s, "Ctrl-D: exit code 0", s.ends() == 0)
        step(s, "Ctrl-D: the terminal is restored", s.modes_are_back())
    finally:
        s.close()
    for number in (signal.SIGTERM, signal.SIGHUP):
        s = endless_session(home, f"idle-{number.name}")
        try:
            s.wait(PROMPT)
            s.kill(number)
            step(s, f"{number.name}: exit code 128 and the signal", s.ends() == 128 + number)
            step(s, f"{number.name}: the terminal is restored", s.modes_are_back())
        finally:
            s.close()
        s = endless_session(home, f"story-{number.name}")
        try:
            s.wait(PROMPT)
            s.enter("Zebedee was")
            s.wait(rb"was.*?" + WORDS)
            s.kill(number)
            step(s, f"{number.name} in a story: exit code", s.ends() == 128 + number)
            with sqlite3.connect(s.home + "/data/duotale/library.db") as db:
                row = db.execute("SELECT finished, told FROM turn").fetchone()
            step(s, f"{number.name} in a story: the story is saved",
                 row and row[0] == 1 and len(row[1]) > 5)
            step(s, f"{number.name} in a story: the terminal is restored", s.modes_are_back())
        finally:
            s.close()


def crash(home):
    """A segmentation fault in one of the threads."""
    s = endless_session(home, "crash")
    try:
        s.wait(PROMPT)
        s.enter("Quentin was")
        s.wait(rb"was.*?" + WORDS)
        saved = saved_text(s.home, "Quentin")
        step(s, "SIGSEGV: the unfinished turn is saved while it is generated", len(saved) > 5)
        threads = sorted(int(t) for t in os.listdir(f"/proc/{s.pid}/task"))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(234, s.pid, threads[-1], int(signal.SIGSEGV))  # tgkill on x86-64
        if os.uname().machine != "x86_64":
            s.kill(signal.SIGSEGV)
        sanitized = "ASAN" in str(os.environ.get("DT_SANITIZE", ""))
        codes = (-signal.SIGSEGV, -signal.SIGABRT, 1) if sanitized else (-signal.SIGSEGV,)
        step(s, "SIGSEGV: ends by it", s.ends() in codes)
        step(s, "SIGSEGV: the terminal is restored", s.modes_are_back())
        step(s, "SIGSEGV: what was saved before is still there",
             len(saved) > 5 and saved_text(s.home, "Quentin", 0).startswith(saved))
    finally:
        s.close()


def typing(home):
    s = TerminalSession("--ui", "line", "-n", "8", "--seed", "77",
                        home=home)  # no story of this seed ends within 8 tokens
    try:
        s.wait(PROMPT)
        s.type("One day\\\r")
        s.wait(rb"\. ")
        s.type("a cat\r")
        step(s, "a backslash continues the entry in another line",
             s.wait(rb"One day\r\na cat") and s.wait(PROMPT))
        s.enter("/new")
        s.wait(PROMPT)
        s.type("\x1b[200~Two dogs\nran away\x1b[201~")
        s.wait(rb"Two dogs.*ran away")
        s.type("\r")
        step(s, "a paste is one entry",
             s.wait(rb"Two dogs\r?\nran away.*8 tokens") and s.wait(PROMPT))
        s.type("/ba\t")
        step(s, "Tab completes commands", s.wait(rb"/backend "))
        s.type("refe\t")
        step(s, "Tab completes backends", s.wait(rb"rence"))
        s.type("\x15/set overf\t")
        step(s, "Tab completes settings", s.wait(rb"low"))
        s.type("shi\t")
        step(s, "Tab completes values", s.wait(rb"ft"))
        s.type("\x15")
        s.enter("/seed 77")
        s.wait(PROMPT)
        s.type("\x1b[A")
        step(s, "Up shows the last entry", s.wait(rb"/seed 77"))
        s.type("\x15\x12Two")
        step(s, "Ctrl-R finds an earlier entry", s.wait(rb"wo dogs"))
        s.type("\x07\x15")
        s.enter("/edit")
        step(s, "/edit puts the text into the input", s.wait(rb"# "))
        s.type("\x15")
        s.enter("and then they came home")
        step(s, "the story continues from the edited text",
             s.wait(rb"and then they came home.*8 tokens") and s.wait(PROMPT))
        s.enter("/private on")
        s.wait(PROMPT)
        s.enter("/new")
        s.wait(PROMPT)
        s.enter("Wilhelmina's secret")
        s.wait(FIGURES)
        s.wait(PROMPT)
        s.enter("/quit")
        step(s, "exit code 0", s.ends() == 0)
    finally:
        s.close()
    data = b"".join(p.read_bytes() for p in pathlib.Path(home, "data/duotale").iterdir())
    common.expect("a private story is in no file", b"Wilhelmina" not in data)
    common.expect("other stories are", b"Two dogs" in data)
    for path in pathlib.Path(home, "data/duotale").iterdir():
        common.expect(f"{path.name} belongs to the user alone", path.stat().st_mode & 0o077 == 0,
                      oct(path.stat().st_mode))
    s = TerminalSession("--ui", "line", "-n", "8", home=home)
    try:
        step(s, "the last story is mentioned at the start", s.wait(rb"Last story: \"Two dogs"))
        s.wait(PROMPT)
        s.type("\x1b[A\x1b[A")
        step(s, "entries of an earlier session are in the history", s.wait(rb"/\w+"))
    finally:
        s.close()


def run(home, *arguments, text=b"", env=None, **options):
    environment = {"XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/config",
                   "HOME": home, "LC_ALL": "C.UTF-8"}
    environment.update(env or {})
    return common.run(*arguments, text=text, env=environment, **options)


def pipes(home):
    r = run(home, "-n", "12", "-s", "5", text=b"Once\n")
    common.expect_run("a pipe: one story", r, 0, b"Once upon", b"seed 5")
    common.expect("a pipe: only the story on stdout",
                  b"tok/s" not in r.stdout and b"\x1b" not in r.stdout, r.stdout)
    again = run(home, "-n", "12", "-s", "5", text=b"Once\n")
    common.expect("the same seed, the same story", r.stdout == again.stdout)
    # run samples as llama2.c does, ignoring the model's defaults; with the same settings, a session
    # generates the same story
    plain = run(home, "-n", "12", "-s", "5", "-t", "1", "-p", "0.9", "--min-p", "0", text=b"Once\n")
    output = common.run("run", MODEL, "-n", "14", "-s", "5", "-i", "Once", env={"HOME": home})
    common.expect("run generates the same text",
                  output.stdout.strip().startswith(plain.stdout.strip()[:40]),
                  (output.stdout, plain.stdout))
    r = run(home, "-n", "5", "-s", "5")
    common.expect_run("an empty pipe: a story", r, 0)
    common.expect("an empty pipe: it has text", len(r.stdout) > 10)
    r = run(home, "-n", "5", "-s", "5", "-i", "The cat")
    common.expect("a prompt as a flag and an empty pipe: one story",
                  r.stderr.count(b"tok/s") == 1 and b"The cat" in r.stdout, r)
    pathlib.Path(home, "script").write_text("The cat\n/continue\n")
    r = run(home, "-n", "5", "-s", "5", "--script", home + "/script")
    common.expect("a script and an empty pipe: the entries of the script",
                  r.stderr.count(b"tok/s") == 2 and r.stdout.startswith(b"The cat"), r)
    r = run(home, "-n", "5", text=b"/help\n/nonsense\n/library\n")
    common.expect_run("commands from a pipe", r, 0, b"/backend", b"Unknown command /nonsense")
    common.expect_run("no such model", run(home, "--model", "/nonexistent", text=b"x"), 3, b"",
                      b"/nonexistent")
    common.expect_run("no such script", run(home, "--script", "/nonexistent"), 3, b"",
                      b"/nonexistent")
    common.expect_run("no such flag", run(home, "--nonsense"), 2)
    common.expect_run("no such front end", run(home, "--ui", "gui"), 2, None, b"line")
    common.expect_run("a full screen without a terminal or a script", run(home, "--ui", "tui"), 1,
                      b"", b"terminal")
    common.expect_run("a value out of range", run(home, "--top-p", "7"), 2, None,
                      b"between 0 and 1")
    common.expect_run("a wrong environment variable", run(home, env={"DUOTALE_TOP_P": "x"}), 2,
                      None, b"DUOTALE_TOP_P")
    os.makedirs(home + "/config/duotale", exist_ok=True)
    path = pathlib.Path(home, "config/duotale/config.ini")
    path.write_text("[Sampling]\nseed = 5\nlenth = 3\n")
    common.expect_run("a wrong line in the file", run(home), 2, None, b"config.ini:3")
    path.write_text("[Sampling]\nseed = 5\nlength = 12\n")
    r = run(home, text=b"Once")
    common.expect("settings of the file are used", r.stdout == again.stdout, r.stdout)
    r = run(home, text=b"Once", env={"DUOTALE_LENGTH": "3"})
    common.expect("the environment precedes the file", b" 3 tokens" in b" " + r.stderr, r.stderr)
    path.unlink()
    read, write = os.pipe()
    os.close(read)
    r = subprocess.run([common.PROGRAM, "-n", "50"], input=b"Once", stdout=write,
                       stderr=subprocess.PIPE, check=False,
                       env={"HOME": home, "PATH": os.environ["PATH"]})
    os.close(write)
    common.expect("the reader of the pipe is gone: exit code 1", r.returncode == 1, r)
    r = subprocess.run(["sh", "-c", 'exec "$0" -n 50 >&-', common.PROGRAM], input=b"Once",
                       stderr=subprocess.PIPE, check=False,
                       env={"HOME": home, "PATH": os.environ["PATH"]})
    common.expect("a closed stdout: exit code 1", r.returncode == 1, r)
    command = [common.PROGRAM, ENDLESS, "-n", "0", "--overflow", "shift", "-b", "reference"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE,
                             env={"HOME": home, "PATH": os.environ["PATH"]})
    child.stdin.write(b"Once")
    child.stdin.close()
    child.stdout.read(40)
    child.send_signal(signal.SIGINT)
    child.stdout.read()
    common.expect("Ctrl-C in a pipe: exit code 130", child.wait(20) == 130, child.returncode)
    # no home folder, no terminal type
    r = subprocess.run([common.PROGRAM, "-n", "5"], input=b"Once", capture_output=True, check=False,
                       env={})
    common.expect("an empty environment", r.returncode == 0 and r.stdout.startswith(b"Once"), r)


def no_library(home):
    """Without a library: the reason is shown, and the commands that need it answer."""
    blocked = home + "/blocked"
    pathlib.Path(blocked).write_text("a file, where a folder would have to be\n")
    env = {"XDG_DATA_HOME": blocked, "XDG_CONFIG_HOME": blocked}
    r = run(home, "-n", "4", text=b"/new\nOnce\n/library\n/save-settings\n", env=env)
    common.expect_run("no folder for a library: a story, and exit code 1", r, 1, b"Once",
                      b"cannot be made (Not a directory)")
    common.expect("no folder for a library: the story is in a file",
                  [path for path in pathlib.Path(home).rglob("duotale-story-*.md")], r)
    common.expect("no folder for a library: /library answers",
                  b"no stories can be searched" in r.stderr, r.stderr)
    common.expect("no folder for settings: the reason",
                  b"settings cannot be written: Not a directory" in r.stderr, r.stderr)
    r = run(home, text=b"/system Be kind.\n/seed 7\n")
    common.expect("/system and /seed answer",
                  b"system = Be kind." in r.stderr and b"seed = 7" in r.stderr, r)


def real_numbers(home):
    """The default model's file has top-p 0.95 as a float."""
    r = run(home, text=b"/set top-p\n/set temperature 0.949999988\n")
    common.expect("a float is shown as its shortest decimal",
                  re.search(rb"top-p = 0.95\n.*temperature = 0.95\n", r.stdout + r.stderr, re.S), r)


def exports(home):
    out = home + "/story"
    r = run(home, "-n", "12", "-s", "5",
            text="".join(["/open\n", *(f"/export {out}.{form}\n"
                                      for form in ("md", "txt", "json", "doc"))]).encode())
    common.expect_run("exports", r, 0, None, b".md, .txt or .json")
    story = json.loads(pathlib.Path(out + ".json").read_text())
    common.expect("JSON has the turn", story["turns"] and story["turns"][0]["told"])
    text = pathlib.Path(out + ".txt").read_text()
    common.expect("text has the turn", story["turns"][0]["told"].strip() in text)
    common.expect("Markdown has a title", pathlib.Path(out + ".md").read_text().startswith("# "))


def prompt_once(home):
    """/continue does not show the prompt again, /retry shows it once; and the input line is empty
    after a wrong command and after Ctrl-C."""
    r = run(home, ENDLESS, "-n", "12", "-s", "5", "-b", "int8",
            text=b"/new\nOnce upon\n/continue\n/retry\n")
    common.expect("plain: /continue and /retry show the prompt once",
                  r.stdout.count(b"Once upon") == 2, r.stdout)
    os.mkdir(home + "/line")  # a notice of the stories above would count as output here
    s = TerminalSession(ENDLESS, "--ui", "line", "--seed", "3", "-n", "12", "-b", "int8",
                        home=home + "/line")
    try:
        s.wait(PROMPT)
        s.enter("Once upon")
        s.wait(FIGURES)
        s.wait(PROMPT)
        for line in ("/continue", "/retry"):
            begin = len(s.seen)
            s.enter(line)
            step(s, f"line: {line}", s.wait(FIGURES) and s.wait(PROMPT))
            step(s, f"line: {line} shows the prompt as often as it should",
                 s.seen[begin:].count(b"Once upon") == (line == "/retry"))
        s.enter("/nonsense")
        s.wait(rb"Unknown command")
        step(s, "line: a wrong command leaves an empty prompt",
             s.wait(PROMPT) and not s.wait(rb"nonsense", 0.3))
        begin = len(s.seen)
        s.type("abc")
        s.wait(rb"abc")
        s.type("\x03")
        new_prompt = rb"\r\n(\x1b\[\?2004[lh]|\r)*> "
        step(s, "line: Ctrl-C shows a new prompt in a new line", s.wait(new_prompt))
        lost = 0
        for i in range(400):  # at many delays after the last key
            s.type("abc")
            s.wait(rb"abc")
            end = time.perf_counter() + i * 1.5e-6
            while time.perf_counter() < end:
                pass
            s.type("\x03")
            lost += not s.wait(new_prompt, 10)
            if lost:
                break
        step(s, "line: no Ctrl-C is lost", not lost)
    finally:
        s.close()


def chatting(home):
    """Chat mode: a question is shown once, /retry generates another answer, /export has both; and
    the chat of run."""
    s = TerminalSession("--ui", "line", "-m", "chat", "-n", "20", "-s", "3", home=home)
    try:
        step(s, "chat: a prompt", s.wait(PROMPT))
        for question in ("Hello there", "And then?"):
            s.enter(question)
            step(s, f"chat: an answer to {question}", s.wait(FIGURES) and s.wait(PROMPT))
        step(s, "chat: the question is shown once", s.seen.count(b"And then?") == 1)
        s.enter("/retry")
        step(s, "chat: retry", s.wait(rb"generated again.*And then\?.*seed 5") and s.wait(PROMPT))
        s.enter(f"/export {home}/chat.json")
        s.wait(PROMPT)
        s.enter("/quit")
        step(s, "chat: exit code 0", s.ends() == 0)
        turns = json.loads(pathlib.Path(home, "chat.json").read_text())["turns"]
        step(s, "chat: both sides are exported",
             [t["prompt"] for t in turns] == ["Hello there", "And then?"] and
             all(t["told"] for t in turns))
    finally:
        s.close()
    s = TerminalSession("run", "-m", "chat", "-n", "200", "-s", "3", home=home)
    try:
        step(s, "run -m chat: a prompt", s.wait(rb"> "))
        s.enter("Hello there")
        step(s, "run -m chat: an answer", s.wait(rb"Hello there\r\n\w"))
        s.type("\x04")  # read if it asks again
        step(s, "run -m chat: exit code 0", s.ends() == 0)
    finally:
        s.close()


def comparing(home):
    """A comparison does not change the story: the same tokens follow, and only the last one is
    evaluated again."""
    output = []
    for name, between in (("without", ""), ("with", "/compare reference int8+fastexp\n")):
        out = f"{home}/{name}.json"
        r = run(home, ENDLESS, "-n", "40", "-s", "5", "-b", "int8", "--compare-length", "100",
                text=f"/new\nOnce\n{between}/continue\n/stats\n/export {out}\n".encode())
        common.expect_run(f"a story {name} a comparison", r, 0)
        output.append(json.loads(pathlib.Path(out).read_text())["turns"][0]["told"])
    common.expect("/compare: the story continues with the same tokens", output[0] == output[1],
                  output)
    common.expect("/compare: the positions of the story are not evaluated again",
                  re.search(rb"prompt +1 tokens", r.stdout + r.stderr), r)


def stories_verb(home):
    r = run(home, "stories", "list")
    common.expect_run("stories list", r, 0, b"Once")
    number = r.stdout.split()[0].decode()
    common.expect_run("stories show", run(home, "stories", "show", number), 0)
    common.expect_run("stories search", run(home, "stories", "search", "once"), 0, b"Once")
    common.expect_run("stories export", run(home, "stories", "export", number, home + "/s.md"), 0)
    common.expect_run("stories show of a missing story", run(home, "stories", "show", "99999"), 3,
                      None, b"99999")
    common.expect_run("stories rm", run(home, "stories", "rm", number), 0)
    common.expect_run("stories rm: the story is deleted", run(home, "stories", "show", number), 3)
    common.expect_run("stories with an unknown subcommand", run(home, "stories", "dance"), 2)
    common.expect_run("stories list without a library", run(home + "/other", "stories", "list"), 0)


def main():
    global ENDLESS
    with common.folder() as folder:
        homes = 0
        ENDLESS = folder + "/endless.bin"
        synth.int8(ENDLESS, dim=64, hidden=128, layers=2, heads=2, kv_heads=2, vocab=32000,
                   context=512)
        synth.tokenizer(folder + "/endless.tok.bin", 32000)

        def home():
            nonlocal homes
            homes += 1
            path = f"{folder}/home{homes}"
            os.mkdir(path)
            return path

        piped = home()
        pipes(piped)
        no_library(home())
        real_numbers(piped)
        exports(piped)
        comparing(piped)
        prompt_once(piped)
        chatting(home())
        stories_verb(piped)
        for term in ("dumb", "vt100", "xterm-256color", None):
            for locale in ("C.UTF-8", "C"):
                whole_run(home(), term, locale, "line")
        whole_run(home(), None, "C", "plain")
        live_figures(home())
        leaving(home())
        crash(home())
        typing(home())
    common.done()


main()
