# SPDX-License-Identifier: MIT
"""Denial of service: modules, voices, scripts and files that would hang or crash the program.

usage: test_denial.py PROGRAM SOURCE
"""
import json
import os
import pathlib
import resource
import shlex
import subprocess
import time

from common import DATA, PROGRAM, SOURCE, done, expect, expect_run, folder, run

CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = shlex.split(os.environ.get("DT_TEST_CFLAGS", ""))
MODEL = DATA / (DATA / "default").read_text().strip()


def compile_module(text, out):
    result = subprocess.run([*CC, "-std=c11", "-O1", "-shared", "-fPIC", *FLAGS, "-I",
                             str(SOURCE / "src"), "-x", "c", "-", "-o", str(out)],
                            input=text.encode(), capture_output=True, check=False)
    return expect(f"{out.name} is built", result.returncode == 0, result.stderr.decode())


def probes(here):
    """A module that crashes, hangs or exits in its probe is named; everything else works."""
    modules = here / "modules"
    modules.mkdir()
    faults = {"crash": "__builtin_trap();", "hang": "for (;;) __asm__ volatile(\"\");",
              "leave": "_exit(0);", "kill": "kill(getpid(), SIGKILL);"}
    for name, does in faults.items():
        compile_module(
            "#define _GNU_SOURCE\n#include <signal.h>\n#include <unistd.h>\n"
            "#include <abi/backend.h>\n"
            f"static int probe(const struct dt_cpu *cpu) {{ (void)cpu; {does} return 9; }}\n"
            "DT_BACKEND_EXPORT(x) = {.abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), "
            f".name = \"{name}\", .description = \"\", .probe = probe}};\n",
            modules / f"duotale-backend-{name}.so")
    compile_module(
        "#include <abi/voice.h>\n"
        "static int probe(const struct dt_speech_host *h, char *r, size_t n)"
        " { (void)h; (void)r; (void)n; __builtin_trap(); return 0; }\n"
        "static const struct dt_voice voice = {.size = sizeof voice, .open = (void *)probe,"
        " .say = (void *)probe};\n"
        "DT_SPEECH_EXPORT(x) = {.abi = DT_SPEECH_ABI, .size = sizeof(struct dt_speech_module),"
        " .kind = DT_SPEECH_VOICE, .name = \"crash\", .probe = probe, .voice = &voice};\n",
        modules / "voice-crash.so")
    env = {"DUOTALE_MODULES": str(modules), "HOME": str(here)}
    begin = time.monotonic()
    result = run("backends", "--json", env=env)
    rows = {row["name"]: row for row in json.loads(result.stdout)["backends"]}
    expect("backends: exit code 0", result.returncode == 0, result.stderr)
    expect("backends: the one that hangs costs seconds, not more", time.monotonic() - begin < 60)
    for name, says in (("crash", "crashed in its probe"), ("kill", "crashed in its probe"),
                       ("hang", "did not return from its probe"), ("leave", "ended the process")):
        reasons = [row.get("reason") or "" for key, row in rows.items() if name in key]
        expect(f"backends: {name} is named with its fault", any(says in r for r in reasons),
               result.stdout)
    expect("backends: the others are there", rows["reference"]["score"] > 0, result.stdout)
    (modules / "duotale-backend-hang.so").unlink()
    expect_run("a story in spite of them", run("run", "-n", "5", env=env), 0)
    result = run("voices", env=env)
    expect_run("voices: the one that crashes is named", result, 0, stdout=b"crashed in its probe")


BEFORE = "__attribute__((constructor)) static void before(void) { %s }\n"


def constructors(here):
    """A module whose constructor crashes, hangs, exits, or reads and writes what is the user's."""
    modules = here / "modules"
    modules.mkdir()
    table = ("#include <abi/backend.h>\n"
             "static int probe(const struct dt_cpu *cpu) { (void)cpu; return 0; }\n"
             "DT_BACKEND_EXPORT(x) = {.abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), "
             ".name = \"%s\", .description = \"\", .probe = probe};\n")
    head = "#define _GNU_SOURCE\n#include <signal.h>\n#include <unistd.h>\n"
    faults = {"crash": "__builtin_trap();", "hang": "for (;;) __asm__ volatile(\"\");",
              "leave": "_exit(0);", "kill": "kill(getpid(), SIGKILL);"}
    says = {"crash": "crashed while it was loaded", "kill": "crashed while it was loaded",
            "hang": "did not return from being loaded", "leave": "ended the process while it was"}
    env = {"DUOTALE_MODULES": str(modules), "HOME": str(here)}
    for name, does in faults.items():
        compile_module(head + BEFORE % does + table % name, modules / f"duotale-backend-{name}.so")
        (modules / "ui").mkdir(exist_ok=True)
        compile_module(head + BEFORE % does + "const int dt_ui_module = 1;\n",
                       modules / "ui" / f"duotale-ui-{name}.so")
        compile_module(head + BEFORE % does + "const int dt_speech_module = 1;\n",
                       modules / f"voice-{name}.so")
    rows = json.loads(run("backends", "--json", env=env).stdout)["backends"]
    for name in faults:
        reasons = [row.get("reason") or "" for row in rows if name in row["file"]]
        expect(f"a constructor, {name}: it is named with its fault",
               any(says[name] in reason for reason in reasons), rows)
    expect("constructors: the other backends work",
           sum(1 for row in rows if row["usable"]) > 2, rows)
    for file in modules.rglob("*-hang.so"):  # it costs its time in each program
        if file.name != "duotale-ui-hang.so":
            file.unlink()
    result = run("-n", "5", "--no-config", text=b"Once upon a time", env=env)
    expect_run("a session in spite of them", result, 0, b"Once upon a time")
    (modules / "ui" / "duotale-ui-hang.so").unlink()
    for name in ("crash", "leave", "kill"):
        result = run("--ui", name, "-n", "5", "--no-config", env=env)
        expect_run(f"a front end's constructor, {name}", result, 2, b"", says[name].encode())
    result = run("voices", env=env)
    expect_run("voices: those that crash are named", result, 0, b"crashed while it was loaded")
    expect_run("a story in spite of them", run("run", "-n", "5", env=env), 0)
    result = run("backends", "--verify", modules / "duotale-backend-crash.so", env=env)
    expect_run("verifying one of them", result, 3, stderr=b"crashed while it was loaded")
    # one model after the other: the verdict is stored, so nothing is examined twice
    for file in modules.rglob("*.so"):
        file.unlink()
    compile_module(head + BEFORE % ("int n = 0; while (access(\"/nowhere\", 0) && n < 1) n++; "
                                    f"write(2, \"<loaded>\\n\", 9);") + table % "loud",
                   modules / "duotale-backend-loud.so")
    lines = f"/model {MODEL}\n" * 3
    result = run(MODEL, "-n", "5", "--no-config", text=lines.encode(), env=env)
    expect("the verdict is stored: loaded once, in the child",
           result.returncode == 0 and result.stderr.count(b"<loaded>") == 1, result)
    # standard input and output are not the module's
    compile_module(head + BEFORE % ("char c; if (read(0, &c, 1) == 1) write(2, \"eaten\", 5); "
                                    "write(1, \"spoilt\", 6);") + table % "greedy",
                   modules / "duotale-backend-greedy.so")
    result = run("-n", "5", "--no-config", text=b"Once upon a time", env=env)
    expect("what a constructor reads and writes is not the user's",
           result.stdout.startswith(b"Once upon a time") and b"spoilt" not in result.stdout and
           b"eaten" not in result.stderr, result)


def voices(here):
    """A voice engine that never ends is bounded by the length of the text."""
    programs = here / "programs"
    programs.mkdir()
    engine = programs / "espeak-ng"
    out = here / "out.wav"
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(here)}
    header = ("RIFF\\377\\377\\377\\377WAVEfmt \\020\\000\\000\\000\\001\\000\\001\\000\\042\\126"
              "\\000\\000\\104\\254\\000\\000\\002\\000\\020\\000data\\377\\377\\377\\377")
    engine.write_text(f"#!/bin/sh\nprintf '{header}'\nexec cat /dev/zero\n")
    engine.chmod(0o700)
    result = run("run", "-n", "30", "-s", "5", "--voice", "espeak", "--speak-to", out, env=env)
    size = out.stat().st_size if out.exists() else 0
    expect("an endless voice: the text is whole", len(result.stdout) > 40, result.stderr)
    expect("an endless voice: the reason", b"longer than the text explains" in result.stderr,
           result.stderr)
    expect("an endless voice: the file is bounded", size < 64 << 20, size)


def scripts(here):
    """Scripts that begin one another end at a depth of 8; a nested one returns to the first."""
    env = {"HOME": str(here)}
    again = here / "self"
    again.write_text(f"/seed 5\n/script {again}\n")
    result = run("-n", "5", "--no-config", "--script", again, env=env, timeout=30)
    expect_run("a script that begins itself", result, 2, stderr=b"More than 8 scripts")
    inner, outer = here / "inner", here / "outer"
    inner.write_text("/seed 11\n")
    outer.write_text(f"/script {inner}\n/seed 12\n")
    result = run("-n", "5", "--no-config", "--script", outer, env=env)
    expect("a script continues after the one it began",
           b"seed = 11" in result.stderr and b"seed = 12" in result.stderr, result.stderr)
    keys = here / "keys"
    keys.write_text(f"enter /script {keys}\nwait ms 20\n")
    result = run("--ui", "tui", "--no-config", "--script", keys,
                 env={**env, "TERM": "xterm"}, timeout=60)
    expect_run("a script of keys that begins itself", result, 2, stderr=b"More than 8 scripts")


def special_files(here):
    """A pipe or a device in place of a file does not hang the program."""
    config = here / "config" / "duotale"
    config.mkdir(parents=True)
    env = {"HOME": str(here), "XDG_CONFIG_HOME": str(here / "config")}
    name = config / "config.ini"
    for what in ("pipe", "device", "socket-like folder"):
        if what == "pipe":
            os.mkfifo(name)
        elif what == "device":
            name.symlink_to("/dev/zero")
        else:
            name.mkdir()
        for arguments in (["-n", "5"], ["stories", "list"]):
            result = run(*arguments, env=env, timeout=20)
            expect_run(f"config.ini is a {what}: {arguments[0]}", result, 3,
                       stderr=b"the settings cannot be read")
        name.rmdir() if name.is_dir() and not name.is_symlink() else name.unlink()
    history = here / ".local" / "share" / "duotale"
    history.mkdir(parents=True)
    os.mkfifo(history / "history")
    expect_run("the history is a pipe", run("-n", "5", env=env, timeout=20), 0)
    script = here / "pipe"
    os.mkfifo(script)
    result = run("--no-config", "-n", "5", env=env, text=f"/script {script}\n".encode(), timeout=20)
    expect_run("a script is a pipe", result, 0, stderr=b"it is not a regular file")


def limits(here):
    """A small stack, a limit of the file size, a full device."""
    env = {"HOME": str(here)}

    def limited(which, bytes_, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, check=False,
                              input=b"Once upon a time\n", env={**os.environ, **env}, timeout=120,
                              preexec_fn=lambda: resource.setrlimit(which, (bytes_, bytes_)))

    if "DT_TEST_CFLAGS" not in os.environ:  # sanitizers need a larger stack
        result = limited(resource.RLIMIT_STACK, 64 << 10, "--no-config", "-n", "5")
        expect_run("64 KB of stack: plain", result, 0, stdout=b"Once upon")
        result = limited(resource.RLIMIT_STACK, 64 << 10, "stories", "list")
        expect_run("64 KB of stack: stories", result, 0)
    result = limited(resource.RLIMIT_FSIZE, 100 << 10, "convert", MODEL, "-o", here / "out.gguf")
    expect_run("a limit of the file size", result, 1, stderr=b"File too large")
    for arguments in (["--help"], ["help"], ["--version"], ["backends"], ["voices"], ["inspect"],
                      ["inspect", "--json"], ["run", "-n", "5"], ["run", "--help"],
                      ["stories", "--help"], ["eval", "--help"], ["bench", "--help"],
                      ["convert", "--help"], ["profile", "--help"], ["-n", "5", "--no-config"]):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=full,
                                    stderr=subprocess.PIPE, check=False,
                                    env={**os.environ, **env}, timeout=120)
        expect(f"/dev/full: {' '.join(arguments)}: exit code 1 and a line",
               result.returncode == 1 and b"No space left" in result.stderr,
               f"{result.returncode} {result.stderr[-300:]!r}")


def main():
    for test in (probes, constructors, voices, scripts, special_files, limits):
        with folder() as here:
            test(pathlib.Path(here))
    done()


main()
