#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The completions for bash, zsh and fish, each tried in its shell. A shell that is missing is
skipped by name."""
import fcntl
import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import struct
import subprocess
import sys
import termios
import time

from common import DATA, PROGRAM, done, expect, folder, run

COMPLETIONS = pathlib.Path(sys.argv[3]).resolve()
VERBS = ["run", "backends", "inspect", "tokenize", "eval", "bench", "profile", "voices", "convert",
         "stories", "serve", "models"]
LIMIT = 60  # seconds until a shell that does not answer fails the test


class Bash:
    """Calls the completion function with the words of a line, as bash splits it."""
    name = "bash"

    def __init__(self, here, env):
        self.here, self.env = here, env

    def offers(self, line):
        words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith(" ") else [])
        script = (f"source {shlex.quote(str(COMPLETIONS / 'duotale'))}\n"
                  f"COMP_WORDS=({shlex.join(words)})\nCOMP_CWORD={len(words) - 1}\n"
                  "_duotale\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n")
        result = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True,
                                env=self.env, cwd=self.here, timeout=LIMIT, check=False)
        expect(f"bash: no error: {line}", not result.stderr, result.stderr)
        return result.stdout.split()

    def close(self):
        pass


class Fish:
    """Asks fish's own `complete -C`."""
    name = "fish"

    def __init__(self, here, env):
        self.here, self.env = here, env

    def offers(self, line):
        script = (f"source {shlex.quote(str(COMPLETIONS / 'duotale.fish'))}; "
                  f"complete -C {shlex.quote(line)}")
        result = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True,
                                text=True, env=self.env, cwd=self.here, timeout=LIMIT, check=False)
        expect(f"fish: no error: {line}", not result.stderr, result.stderr)
        return [row.split("\t")[0].rsplit("=", 1)[-1] for row in result.stdout.splitlines()]

    def close(self):
        pass


ZSH_SETUP = """
unsetopt zle_bracketed_paste 2>/dev/null
PS1= PS2= RPS1= LISTMAX=10000
fpath=({folder} $fpath)
autoload -Uz compinit
compinit -D -u
show() {{ zle list-choices; zle -R; zle -I; print -r -- "<END>"; zle kill-buffer }}
zle -N show
bindkey '^T' show
print -r -- "<"END">"
"""


class Zsh:
    """Types into an interactive zsh on a pseudo-terminal, and reads the list that it shows."""
    name = "zsh"

    def __init__(self, here, env):
        setup = here / "zsh.setup"
        setup.write_text(ZSH_SETUP.format(folder=shlex.quote(str(COMPLETIONS))))
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(here)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**env, "TERM": "xterm"})
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 400, 0, 0))
        self.type(f"source {setup}\n")
        self.answer()

    def type(self, text):
        os.write(self.terminal, text.encode())

    def answer(self):
        """What zsh writes up to the mark."""
        end, text = time.monotonic() + LIMIT, b""
        while time.monotonic() < end and b"<END>" not in text:
            if select.select([self.terminal], [], [], 1)[0]:
                text += os.read(self.terminal, 65536)
        plain = text.decode(errors="replace").replace("\0", "")  # NULs delay a slow terminal
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", " ", plain)

    def offers(self, line):
        self.type(line + "\x14")
        rows = self.answer().splitlines()[1:]  # the first one is the line itself
        return [word for row in rows for word in row.split(" -- ")[0].split()]

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def options_of(verb):
    """The long options in a verb's help, from the lines that begin with an option."""
    text = run(*([verb] if verb else []), "--help").stdout.decode()
    found = set()
    for row in re.findall(r"^  (?:-\w, |    )(--\S+)", text, re.M):
        row = row.split("[=")[0]
        if row.startswith("--[no-]"):
            found |= {"--" + row[7:], "--no-" + row[7:]}
        else:
            found.add(row)
    return found


def try_shell(shell, stories):
    def offered(line, *wanted, never=()):
        got = {word.rstrip("=") for word in shell.offers(line)}
        expect(f"{shell.name}: {line!r} offers {wanted}",
               set(wanted) <= got and not set(never) & got, sorted(got))

    offered("duotale ru", "run", never=("stories",))
    offered("duotale ", *VERBS)
    offered("duotale run --ste", "--steps")
    offered("duotale run --kv ", "f32", "f16", "i8", never=("q8_0",))
    offered("duotale run --kv=", "f32", "f16", "i8")
    offered("duotale convert --format q8", "q8_0", never=("f32",))
    offered("duotale --ui l", "line", never=("tui",))
    offered("duotale -b refe", "reference")
    offered("duotale stories s", "show", "search", never=("list",))
    offered("duotale stories show ", *stories)
    offered("duotale inspect a-mod", "a-model.gguf")
    if shell.name != "zsh":  # zsh offers the part behind the '+'
        offered("duotale -b reference+refe", "reference+reference")
    for verb in ["", *VERBS]:
        wanted = options_of(verb)
        expect(f"options in the help of {verb or 'duotale'}", "--help" in wanted, wanted)
        offered(f"duotale {verb + ' ' if verb else ''}--", *wanted)


with folder() as name:
    spot = pathlib.Path(name)
    (spot / "bin").mkdir()
    (spot / "bin" / "duotale").symlink_to(PROGRAM)
    (spot / "a-model.gguf").write_bytes(b"")
    environment = {**os.environ, "HOME": name, "XDG_DATA_HOME": str(spot / "data"),
                   "XDG_CONFIG_HOME": str(spot / "config"), "LC_ALL": "C.UTF-8",
                   "PATH": f"{spot / 'bin'}:{os.environ['PATH']}"}
    run("--model", DATA / "bedtime-2m-q80-g32.bin", "-n", "5", text=b"Once upon a time",
        env=environment)
    numbers = [row.split()[0] for row in run("stories", env=environment).stdout.decode()
               .splitlines()]
    expect("a story to complete", numbers, numbers)
    for kind in (Bash, Zsh, Fish):
        if not shutil.which(kind.name):
            print(f"skipped: {kind.name} is not installed")
            continue
        one = kind(spot, environment)
        try_shell(one, numbers)
        one.close()
done()
