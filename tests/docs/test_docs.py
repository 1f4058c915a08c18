#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The documents: test_docs.py DUOTALE ROOT

Checks in every page that links and file paths exist, and runs the commands that the pages show.
In the README, CONTRIBUTING, CHANGELOG and docs/, each sentence has a line of its own.

    ```sh            every line is a command of one script; each must exit with 0
    ```console       lines "$ COMMAND" are commands; the lines below are their standard output,
                     compared word by word. "[...]" matches any text.
    ```sh not-run: WHY    shown only; WHY is one of the reasons in NOT_RUN
    ```c from FILE        lines of this file of the tree

The blocks of a page run one after another in one new folder, which is also HOME, with the program
in PATH, standard input empty, and SOURCE set to the source tree.
Before that, broken pages are checked, and each must be reported.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "plugins/*.md", "data/*/*.md",
         "packaging/*/*.md", "tests/*/*.md", "tests/golden/*/*.md"]
NOT_RUN = ("network", "root", "installs packages", "terminal", "sound", "tests",
           "corpus")
README_WORDS = 700
BLOCK = re.compile(r"^```(.*?)\n(.*?)^```\s*$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w./~$-])"
                  r"((?:src|ui|backends|plugins|data|docs|tests|packaging)/[\w.+/-]*[\w/])")
ROOT_FILE = re.compile(r"`([A-Z][\w-]*\.md|meson\.build|meson_options\.txt)`")
BASE = {"data/recipe/card.md": "data/models"}  # a page's folder, where it is not where the page is


def exists(root, base, name):
    """A file or folder of the tree. A Debian package's build has packaging/debian at the top."""
    name = name.split("#")[0].rstrip("/")
    if not name or (base / name).exists() or (root / name).exists():
        return True
    return name.startswith("packaging/debian") and (root / name[len("packaging/"):]).exists()


def ignored(root):
    """Folders that are made and not committed: a page may name them."""
    lines = (root / ".gitignore").read_text(encoding="utf-8").split("\n")
    return tuple(x.strip("/") for x in lines if x.startswith("/") and "*" not in x)


def missing_files(root, page, text):
    made = ignored(root)
    base = root / BASE.get(page.relative_to(root).as_posix(), page.parent)
    wrong = []
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            continue
        if not exists(root, base, target):
            wrong.append(f"link to {target}: no such file")
    if page.name == "CHANGELOG.md":  # history: may name files that are gone
        return wrong
    for target in set(PATH.findall(text)) | set(ROOT_FILE.findall(text)):
        name = target.rstrip("/.")
        if name.startswith(made) or exists(root, base, name):
            continue
        wrong.append(f"path {target}: no such file")
    return sorted(wrong)


def matches(expected, output):
    words = " ".join(expected.split())
    pattern = r".*".join(re.escape(part) for part in words.split("[...]"))
    return re.fullmatch(pattern, " ".join(output.split()), re.S) is not None


def run(command, folder, environment):
    result = subprocess.run(["bash", "-euo", "pipefail", "-c", command],
                            cwd=folder, env=environment,
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
    return (result.returncode, result.stdout.decode("utf-8", "replace"),
            result.stderr.decode("utf-8", "replace"))


def console_steps(body):
    """[(command, expected output)] of a console block"""
    steps = []
    for line in body.split("\n"):
        if line.startswith("$ "):
            steps.append([line[2:], []])
        elif steps:
            steps[-1][1].append(line)
        elif line.strip():
            raise ValueError(f"a console block begins with {line!r}, not with a command")
    return [(command, "\n".join(output)) for command, output in steps]


def run_blocks(text, environment):
    """-> (what is wrong, commands run, blocks not run)"""
    wrong, ran, left = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(environment, HOME=folder, TMPDIR=folder)
        for info, body in BLOCK.findall(text):
            kind, _, rest = info.strip().partition(" ")
            if kind not in ("sh", "console"):
                continue
            if rest:
                left += 1
                if rest not in (f"not-run: {reason}" for reason in NOT_RUN):
                    wrong.append(f'"{info}": the reason must be one of {", ".join(NOT_RUN)}')
                continue
            try:
                steps = console_steps(body) if kind == "console" else [(body, None)]
            except ValueError as error:
                wrong.append(str(error))
                continue
            for command, expected in steps:
                ran += 1
                code, output, errors = run(command, folder, environment)
                if code:
                    wrong.append(f"command failed with {code}: {command.strip()}\n{output}{errors}")
                elif expected is not None and not matches(expected, output):
                    wrong.append(f"other output of {command}\nshown: {expected}\nprinted: {output}")
    return wrong, ran, left


def check_quotes(root, text):
    """Blocks "from FILE" are part of that file."""
    wrong = []
    for info, body in BLOCK.findall(text):
        name = info.strip().partition(" from ")[2]
        if name and not ((root / name).is_file() and
                         body in (root / name).read_text(encoding="utf-8")):
            wrong.append(f"a block from {name} is not in that file:\n{body}")
    return wrong


def check_sentences(text):
    """Lines with more than one sentence, outside of code, tables and quotations"""
    wrong = []
    for line in BLOCK.sub("", text).split("\n"):
        if line.startswith(("|", "    ", ">")):
            continue
        plain = re.sub(r"`[^`]*`|\"[^\"]*\"", "X", line)
        plain = re.sub(r"\be\.g\.|\bi\.e\.|^\s*\d+\.", "", plain)
        if re.search(r"\w[)\]]*[.!?] +[A-Z\[]", plain):
            wrong.append(f"two sentences in one line: {line.strip()}")
    return wrong


def check_page(root, page, text, environment):
    wrong = missing_files(root, page, text) + check_quotes(root, text)
    if page == root / "README.md" and len(text.split()) > README_WORDS:
        wrong.append(f"{len(text.split())} words; at most {README_WORDS} are allowed")
    if page.parent in (root, root / "docs"):
        wrong += check_sentences(text)
    failures, ran, left = run_blocks(text, environment)
    return wrong + failures, ran, left


# A page, and a part of what must be reported about it; None: nothing.
SELF_TEST = [
    ("```sh\ntrue\n```\n", None),
    ("```sh\nfalse\n```\n", "command failed with 1"),
    ("```sh\nfalse | true\ntrue\n```\n", "command failed with 1"),
    ("```sh\nduotale run --no-such-option\n```\n", "command failed with 2"),
    ("```console\n$ echo one two\none\ntwo\n```\n", None),
    ("```console\n$ echo one two three\none [...] three\n```\n", None),
    ("```console\n$ echo one two\none three\n```\n", "other output"),
    ("```console\n$ echo one two\none\n```\n", "other output"),
    ("```console\n$ echo one\n```\n", "other output"),
    ("```console\nno command\n```\n", "not with a command"),
    ("```sh not-run: network\nfalse\n```\n", None),
    ("```sh not-run: laziness\nfalse\n```\n", "the reason must be"),
    ("```c from LICENSE\nMIT License\n```\n", None),
    ("```c from LICENSE\nnot in it\n```\n", "is not in that file"),
    ("```c from no-such-file\n\n```\n", "is not in that file"),
    ("[a](README.md) [b](https://example.org/x) [c](#part) src/main.c `start` build/x\n", None),
    ("[a](docs/no-such-page.md)\n", "link to docs/no-such-page.md"),
    ("See src/core/no_such_file.c.\n", "path src/core/no_such_file.c"),
    ("See `NO-SUCH-PAGE.md`.\n", "path NO-SUCH-PAGE.md"),
    ("One. `Two` is here.\n", "two sentences"),
    ("One (see there). Two.\n", "two sentences"),
    ("1. One, \"Two. Three\", e.g. `x. Y`.\n| a. B |\n", None),
    ("word " * (README_WORDS + 1), f"at most {README_WORDS}"),
]


def self_test(root, environment):
    wrong = []
    for text, expected in SELF_TEST:
        found, _, _ = check_page(root, root / "README.md", text, environment)
        report = "\n".join(found)
        if bool(found) != (expected is not None) or (expected or "") not in report:
            wrong.append(f"self-test {text[:60]!r}: expected {expected!r}, found {report!r}")
    return wrong


def main():
    program, root = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("DUOTALE_", "XDG_"))}
    environment = dict(keep, PATH=f"{program.parent}:{os.environ['PATH']}", SOURCE=str(root),
                       PKG_CONFIG_PATH=str(program.parent / "meson-uninstalled"), LC_ALL="C.UTF-8")
    wrong = self_test(root, environment)
    pages = sorted({p for pattern in PAGES for p in root.glob(pattern)})
    ran = left = 0
    for page in pages:
        found, more, skipped = check_page(root, page, page.read_text(encoding="utf-8"), environment)
        wrong += [f"{page.relative_to(root)}: {line}" for line in found]
        ran, left = ran + more, left + skipped
    if len(pages) < 8 or ran < 5:
        wrong.append(f"only {len(pages)} pages and {ran} commands were found under {root}")
    print(f"{len(pages)} pages, {ran} commands run, {left} blocks shown only")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
