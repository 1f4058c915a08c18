#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rules of style that a program can check (CONTRIBUTING.md describes them).

lint.py RULE ROOT [BUILD]     prints what breaks the rule; exit code 1 if anything does, 77 if the
                              rule cannot be checked here

format      clang-format changes nothing in any C file
columns     no line is longer than 100 columns
files       no C file of src/ or ui/ is longer than 600 lines
functions   no C function is longer than 80 lines
folders     no folder under src/ or ui/ holds more than 25 modules (a .c with its .h is one)
globals     every global symbol is used outside the file that defines it; reads BUILD, a meson
            build folder with its tests built
words       words that the project replaced do not come back; tests/lint_words.txt lists them
"""
import collections
import fnmatch
import json
import pathlib
import re
import shutil
import subprocess
import sys

MOST_COLUMNS = 100
MOST_FILE_LINES = 600
MOST_FUNCTION_LINES = 80
MOST_MODULES = 25

CODE = ("src/", "ui/", "backends/", "plugins/", "tests/")

# Written by a program.
GENERATED = ("src/core/text/unicode_classes.c", "src/core/text/unicode_forms.h",
             "src/base/width_table.h")
# Data of tests, story grammars and pages of prose: their lines are as long as their content.
LONG_LINES = GENERATED + (
    "tests/fuzz/seeds/*",
    "tests/golden/*.jsonl",
    "tests/golden/bpe/*",
    "tests/terminal/golden/*",
    "*.md",
    "*.gram",
    "tests/openai/package-lock.json",
)
# Symbols that a loader, the C library, readline or a fuzzer looks up by name.
ENTRIES = re.compile(r"^(main|dt_(backend|ui|speech|engine|fetch|serve)_module\w*|"
                     r"x(malloc|realloc|free)|"
                     r"LLVMFuzzer\w+|__\w+)$")

WORDS_FILE = "tests/lint_words.txt"


def tree(root):
    """Every file of the tree, relative to it: what git tracks or would track, or all files."""
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"]
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = {name for name in names.split("\0") if name and (root / name).is_file()}
    else:
        found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return sorted(name for name in found if not name.startswith("build"))


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def c_files(root, folders=CODE):
    return [name for name in tree(root) if name.startswith(folders) and name.endswith((".c", ".h"))
            and name not in GENERATED]


def text_of(path):
    """The text of a file, or None where it is not text."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def clang_format():
    """The formatter of version 14, which .clang-format is written for, or None."""
    for name in ("clang-format-14", "clang-format"):
        if shutil.which(name):
            version = subprocess.run([name, "--version"], capture_output=True, check=True).stdout
            if b" 14." in version:
                return name
    return None


def check_format(root, _build):
    formatter = clang_format()
    if not formatter:
        print("skipped: clang-format 14 is not installed")
        sys.exit(77)
    names = c_files(root)
    wrong = []
    for at in range(0, len(names), 50):
        command = [formatter, "--dry-run", "-Werror", "--style=file", *names[at:at + 50]]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        wrong += [line for line in done.stderr.splitlines() if ": error:" in line]
        if done.returncode and not wrong:
            wrong.append(done.stderr)
    return names, wrong


def check_columns(root, _build):
    names = [name for name in tree(root)
             if name.startswith(CODE) and not matches(name, LONG_LINES)]
    wrong = []
    for name in names:
        for number, line in enumerate((text_of(root / name) or "").splitlines(), 1):
            if len(line) > MOST_COLUMNS:
                wrong.append(f"{name}:{number}: {len(line)} columns; at most {MOST_COLUMNS}")
    return names, wrong


def check_files(root, _build):
    names = c_files(root, ("src/", "ui/"))
    wrong = []
    for name in names:
        lines = text_of(root / name).count("\n")
        if lines > MOST_FILE_LINES:
            wrong.append(f"{name}: {lines} lines; at most {MOST_FILE_LINES}")
    return names, wrong


def check_functions(root, _build):
    """In formatted code the braces of a function, and of nothing else, stand alone in column 1."""
    names = c_files(root)
    wrong = []
    for name in names:
        begin, title = None, ""
        for number, line in enumerate(text_of(root / name).splitlines(), 1):
            if line == "{":
                begin = number
            elif line == "}" and begin:
                length = number - begin + 1
                if length > MOST_FUNCTION_LINES:
                    wrong.append(f"{name}:{begin}: {length} lines in a function ({title}); "
                                 f"at most {MOST_FUNCTION_LINES}")
                begin = None
            elif not begin and re.match(r"[a-z_].*\w\(", line):
                title = re.search(r"(\w+)\(", line).group(1)
    return names, wrong


def check_folders(root, _build):
    modules = collections.defaultdict(set)
    names = c_files(root, ("src/", "ui/"))
    for name in names:
        path = pathlib.PurePosixPath(name)
        modules[str(path.parent)].add(path.stem)
    wrong = [f"{folder}: {len(stems)} modules; at most {MOST_MODULES}"
             for folder, stems in sorted(modules.items()) if len(stems) > MOST_MODULES]
    return names, wrong


def check_globals(root, build):
    """A symbol's definers and users are source files, whatever objects they are compiled to."""
    if not build or not (build / "compile_commands.json").exists():
        print("skipped: there is no build folder; ./check host makes it")
        sys.exit(77)
    source_of, of_program = {}, set()
    for row in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        source = (pathlib.Path(row["directory"]) / row["file"]).resolve()
        output = pathlib.Path(row["directory"]) / row["output"]
        if output.exists() and source.is_relative_to(root.resolve()):
            source_of[str(output)] = str(source.relative_to(root.resolve()))
            if not row["output"].startswith("tests/"):  # else its users may not be built here
                of_program.add(source_of[str(output)])
    defined, used = collections.defaultdict(set), collections.defaultdict(set)
    if source_of:
        table = subprocess.run(["nm", "-A", "-P", "-g", *source_of], capture_output=True,
                               text=True, check=True).stdout
        for line in table.splitlines():
            output, symbol, kind = line.rsplit(": ", 1)[0], *line.rsplit(": ", 1)[1].split()[:2]
            (used if kind in "Uw" else defined)[symbol].add(source_of[output])
    wrong = []
    for symbol, sources in sorted(defined.items()):
        sources &= of_program
        if sources and not used[symbol] - sources and not ENTRIES.match(symbol):
            wrong.append(f"{', '.join(sorted(sources))}: {symbol} is used in this file only; "
                         "make it static, or remove it")
    return list(source_of), wrong


def read_word_rules(root):
    """The rows of the word list, by kind: paths, pattern, line number."""
    rules = {"word": [], "allow": [], "skip": []}
    for number, line in enumerate((root / WORDS_FILE).read_text("utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            kind, paths, *pattern = line.split(None, 2)
            pattern = pattern[0] if pattern else ""
            if kind == "word":  # an underscore or a digit ends a word, too
                pattern = f"(?<![a-z])(?:{pattern})(?![a-z])"
            rules[kind].append((paths.split(","), re.compile(pattern, re.I), number))
    return rules


def check_words(root, _build):
    """File names are checked too, as line 0. A row that excuses nothing is a fault itself."""
    rules = read_word_rules(root)
    names = [name for name in tree(root) if name != WORDS_FILE]
    wrong, needed = [], set()
    for name in names:
        skips = [row[2] for row in rules["skip"] if matches(name, row[0])]
        needed.update(skips)
        text = None if skips else text_of(root / name)
        words = [row[1] for row in rules["word"] if matches(name, row[0])]
        if text is None or not words:
            continue
        any_word = re.compile("|".join(word.pattern for word in words), re.I)
        excuses = [row[1:] for row in rules["allow"] if matches(name, row[0])]
        for number, line in enumerate([name, *text.splitlines()]):
            left = line
            count = len(any_word.findall(left))
            for excuse, row in excuses if count else []:
                left = excuse.sub(lambda match: "." * len(match.group()), left)
                if len(any_word.findall(left)) < count:
                    count = len(any_word.findall(left))
                    needed.add(row)
            found = any_word.search(left)
            if found:
                wrong.append(f"{name}:{number}: \"{found.group()}\" is a replaced word: "
                             f"{line.strip()[:120]}")
    wrong += [f"{WORDS_FILE}:{row[2]}: this row excuses nothing; remove it"
              for row in rules["allow"] + rules["skip"] if row[2] not in needed]
    return names, wrong


def main():
    rules = {name[len("check_"):]: rule for name, rule in globals().items()
             if name.startswith("check_")}
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in rules:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[2])
    build = pathlib.Path(sys.argv[3]) if len(sys.argv) == 4 else None
    names, wrong = rules[sys.argv[1]](root, build)
    if not names:
        wrong.append(f"no file to check under {root}")
    for line in wrong:
        print(line)
    print(f"{sys.argv[1]}: {len(names)} files checked, {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
