# SPDX-License-Identifier: MIT
"""The program says when it computes with the slow reference for want of a better backend: copied
without its modules, with modules that are refused or made for other CPUs. It finds its modules
where /proc is not mounted.

usage: test_slow.py PROGRAM SOURCE
"""
import json
import os
import pathlib
import shlex
import shutil
import subprocess

from terminal_session import PROMPT, TerminalSession, common

BUILD = pathlib.Path(common.PROGRAM).parent
MODEL = common.DATA.resolve() / "bedtime-2m-q80-g32.bin"
CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = shlex.split(os.environ.get("DT_TEST_CFLAGS", ""))
SLOW = b"reference backend, which is slow"
RUN = ("run", MODEL, "-t", "0", "-n", "8")


def installed(here):
    """Whether a program without modules finds some in the install folder of this build."""
    program = copy_program(here / "probe")
    rows = json.loads(common.run("backends", "--json", program=str(program)).stdout)["backends"]
    return any(row["file"] != "compiled in" for row in rows)


def copy_program(folder):
    folder.mkdir(mode=0o755)
    shutil.copy(common.PROGRAM, folder / "duotale")
    return folder / "duotale"


def build(text, out, *flags):
    result = subprocess.run([*CC, "-std=c11", "-O1", "-shared", "-fPIC", *FLAGS, *flags, "-I",
                             str(common.SOURCE / "src"), "-x", "c", "-", "-o", str(out)],
                            input=text.encode(), capture_output=True, check=False)
    return common.expect(f"{out.name} is built", result.returncode == 0, result.stderr.decode())


def alone(here):
    """A copy of the program without modules."""
    program = copy_program(here / "alone")
    place = str(here / "alone" / "backends").encode()
    for quiet in ((), ("-q",)):
        r = common.run(*RUN, *quiet, program=str(program))
        lines = [line for line in r.stderr.splitlines() if SLOW in line]
        common.expect_run(f"run {quiet}: it works", r, 0, b"Once")
        common.expect(f"run {quiet}: one line says it is slow, where it looked, what to do",
                      len(lines) == 1 and place in lines[0] and b"DUOTALE_MODULES" in lines[0], r)
        common.expect(f"run {quiet}: standard output is the story", SLOW not in r.stdout, r)
    common.expect("run: the figures have the mark", b"reference (slow), " in
                  common.run(*RUN, program=str(program)).stderr)
    r = common.run(*RUN, "--json", program=str(program))
    common.expect("run: and the JSON", b'"slow":true' in r.stdout.replace(b" ", b""), r)
    bench = ("bench", MODEL, "--prompt", "4", "--gen", "4", "--runs", "1", "--no-start")
    for arguments in (("eval", MODEL, here / "text"), bench):
        (here / "text").write_text("Once upon a time")
        r = common.run(*arguments, program=str(program))
        common.expect(f"{arguments[0]}: one line", r.stderr.count(SLOW) == 1, r)
    env = {"HOME": str(here), "XDG_DATA_HOME": str(here)}
    r = common.run(MODEL, "-n", "4", "--no-config", text=b"Once", env=env, program=str(program))
    common.expect("a piped session: one line", r.stderr.count(SLOW) == 1 and place in r.stderr, r)
    common.expect("a piped session: the mark", b"reference (slow)" in r.stderr, r)
    common.expect("a piped session: standard output is the story",
                  SLOW not in r.stdout and r.stdout.startswith(b"Once"), r)
    r = common.run(MODEL, "-n", "4", "--no-config", env=env, program=str(program),
                   text=f"/model {MODEL}\n/model {MODEL}\nOnce\n".encode())
    common.expect("a model that is opened again: still one line", r.stderr.count(SLOW) == 1, r)
    r = common.run(*RUN, program=str(program), env={"DUOTALE_MODULES": str(BUILD / "backends")})
    common.expect("DUOTALE_MODULES helps", r.returncode == 0 and SLOW not in r.stderr and
                  b"reference" not in r.stderr, r)


def asked_for(here):
    """Who asks for the reference gets it without a word; nor is there one for any other backend."""
    program = copy_program(here / "asked")
    config = here / "config.ini"
    config.write_text("backend = reference\n")
    env = {"HOME": str(here), "XDG_DATA_HOME": str(here)}
    for what, r in (
            ("-b reference", common.run(*RUN, "-b", "reference", program=str(program))),
            ("the setting", common.run(MODEL, "-n", "4", "--config", config, text=b"Once", env=env,
                                       program=str(program))),
            ("all modules", common.run(*RUN)),
            ("all modules, no CPU feature", common.run(*RUN, env={"DUOTALE_CPU": "none"}))):
        common.expect(f"{what}: no line", r.returncode == 0 and SLOW not in r.stderr and
                      b"(slow)" not in r.stderr, r)


def unusable(here):
    """Modules that are refused, that cannot run here, or that do not multiply."""
    program = copy_program(here / "unusable")
    modules = here / "unusable" / "backends"
    modules.mkdir(mode=0o755)
    head = ("#include <abi/backend.h>\n"
            "static int p(const struct dt_cpu *c) { (void)c; return SCORE; }\n"
            "DT_BACKEND_EXPORT(x) = {.abi = VERSION, .size = sizeof(struct dt_backend), .name = "
            "\"mine\", .description = \"\", .probe = p};\n")
    module = modules / "duotale-backend-mine.so"
    for what, version, score, reasons in (
            ("of another version", "99", 1, (b"1 of 1 backend modules", str(module).encode(),
                                             b"version 99")),
            ("for another CPU", "DT_BACKEND_ABI", 0, (b"1 of 1 backends", b"on this CPU")),
            ("that does not multiply", "DT_BACKEND_ABI", 1, (b"none of 1 backends computes",))):
        build(head, module, f"-DSCORE={score}", f"-DVERSION={version}")
        r = common.run(*RUN, program=str(program))
        lines = [line for line in r.stderr.splitlines() if SLOW in line]
        common.expect(f"a module {what}: one line with the reason",
                      r.returncode == 0 and len(lines) == 1 and
                      all(reason in lines[0] for reason in reasons), r)
        module.unlink()
    module.write_text("text\n")
    r = common.run(*RUN, program=str(program))
    common.expect("a file that is no module: one line with the reason",
                  b"is not a shared object" in next(
                      (x for x in r.stderr.splitlines() if SLOW in x), b""), r)


def terminals(here):
    """The line and the mark in every front end."""
    program = copy_program(here / "terminals")
    shutil.copytree(BUILD / "ui", here / "terminals" / "ui",
                    ignore=lambda _, names: [n for n in names if not n.endswith(".so")])
    for ui in ("plain", "line", "tui"):
        home = here / f"home-{ui}"
        home.mkdir()
        s = TerminalSession(MODEL, "--ui", ui, "-n", "4", home=str(home), program=str(program),
                            cols=140)
        try:
            common.expect(f"{ui}: the line", s.wait(rb"reference.{0,30}backend"), s.tail())
            s.wait(PROMPT if ui != "tui" else rb"bedtime")
            s.enter("Once upon a time")
            common.expect(f"{ui}: the mark",
                          s.wait(rb"reference \(slow\)" if ui != "tui" else
                                 rb"reference.{1,40}slow.{1,60}tok/s"), s.tail())
            s.enter("/quit")
            common.expect(f"{ui}: exit code 0", s.ends() == 0, s.tail())
        finally:
            s.close()


HIDE = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdarg.h>
#include <unistd.h>
static int hidden(const char *p) { return strncmp(p, "/proc/", 6) == 0; }
ssize_t readlink(const char *p, char *b, size_t n)
{
    ssize_t (*next)(const char *, char *, size_t) = dlsym(RTLD_NEXT, "readlink");
    return hidden(p) ? (errno = ENOENT, -1) : next(p, b, n);
}
int open(const char *p, int flags, ...)
{
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    va_list args;
    va_start(args, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
    va_end(args);
    return hidden(p) ? (errno = ENOENT, -1) : next(p, flags, mode);
}
"""


def without_proc(here):
    """The modules beside the program are found by the path that started it."""
    mask = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /proc && exec \"$@\"", "sh"]
    env = {**os.environ, "HOME": str(here), "XDG_DATA_HOME": str(here)}
    if FLAGS:
        print("not tested without /proc: the sanitizer itself needs it")
        return
    if subprocess.run([*mask, "true"], capture_output=True, check=False).returncode != 0:
        build(HIDE, here / "hide.so")
        mask, env = [], {**env, "LD_PRELOAD": str(here / "hide.so")}
    story = common.run(*RUN, "-q").stdout
    link = here / "link"
    link.symlink_to(common.PROGRAM)
    for what, command, more in (
            ("an absolute path", [common.PROGRAM], {}),
            ("a relative path", ["./duotale"], {"cwd": BUILD}),
            ("a symbolic link", [str(link)], {"cwd": "/"}),
            ("PATH", ["duotale"], {"cwd": "/", "env": {**env, "PATH":
                                                       f"{BUILD}:{os.environ['PATH']}"}}),
            ("a relative folder in PATH", ["duotale"],
             {"cwd": BUILD.parent, "env": {**env, "PATH": f"{BUILD.name}:{os.environ['PATH']}"}})):
        r = subprocess.run([*mask, *command, *map(str, RUN)], stdin=subprocess.DEVNULL, timeout=300,
                           capture_output=True, check=False, **{"env": env, **more})
        common.expect(f"without /proc, started by {what}: the modules are found",
                      r.returncode == 0 and SLOW not in r.stderr and b"reference" not in r.stderr
                      and r.stdout == story, r)
    r = subprocess.run([*mask, common.PROGRAM, "-n", "4", "--no-config"], input=b"Once", env=env,
                       capture_output=True, check=False, timeout=300)
    common.expect("without /proc: a session with the default model",
                  r.returncode == 0 and SLOW not in r.stderr and r.stdout.startswith(b"Once"), r)


def main():
    with common.folder() as name:
        here = pathlib.Path(name)
        asked_for(here)
        without_proc(here)
        if installed(here):
            print("not tested: modules are installed, so no program is without")
        else:
            alone(here)
            unusable(here)
            terminals(here)
    common.done()


main()
