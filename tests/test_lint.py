#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_lint.py LINT.py CC: plants one fault after another in a small tree; lint must name each."""
import json
import pathlib
import subprocess
import sys
import tempfile

LINT, CC = sys.argv[1], sys.argv[2]

# A tree without faults.
SOUND = {
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nColumnLimit: 100\n"
                     "BreakBeforeBraces: Linux\nAllowShortFunctionsOnASingleLine: None\n",
    "src/core/one.c": "int two(void);\nint main(void)\n{\n    return two();\n}\n",
    "src/core/two.c": "int two(void);\nint two(void)\n{\n    return 2;\n}\n",
    "ui/tui/tui.h": "int tui;\n",
    "tests/x.py": "print('a wall of text')\n",
    "tests/lint_words.txt": "word * walls?|old_name\nword src/* acts?\n"
                            "allow tests/* wall of text\nskip data/*\n",
    "data/story.txt": "The wall.\n",
}

LONG_FUNCTION = "static void f(void)\n{\n%s}\n"

# rule, file, its text, what lint must print; None: no fault
PLANTED = [
    ("format", "src/core/two.c", "int  two(void);\n", "src/core/two.c:1:4: error:"),
    ("format", "tests/unit/t.h", "int\ttwo;\n", "tests/unit/t.h:1:4: error:"),
    ("format", "src/base/width_table.h", "int  two;\n", None),
    ("columns", "ui/tui/tui.h", "// " + 98 * "x" + "\n", "ui/tui/tui.h:1: 101 columns"),
    ("columns", "tests/x.py", "#" + 100 * "ä" + "\n", "tests/x.py:1: 101 columns"),
    ("columns", "tests/x/meson.build", "\n" + 101 * "x", "tests/x/meson.build:2: 101 columns"),
    ("columns", "tests/x.py", 100 * "ä" + "\n", None),
    ("columns", "tests/fuzz/seeds/json/one", 200 * "x", None),
    ("files", "src/host/long.c", "//\n" * 601, "src/host/long.c: 601 lines"),
    ("files", "src/host/long.h", "//\n" * 601, "src/host/long.h: 601 lines"),
    ("files", "ui/line/long.c", "//\n" * 601, "ui/line/long.c: 601 lines"),
    ("files", "src/host/long.c", "//\n" * 600, None),
    ("functions", "plugins/x.c", LONG_FUNCTION % ("    f();\n" * 79), "81 lines in a function (f)"),
    ("functions", "src/x.c", "int b = {\n%s};\n" % ("    0,\n" * 99), None),
    ("functions", "plugins/x.c", LONG_FUNCTION % ("    f();\n" * 78), None),
    ("globals", "src/core/two.c", SOUND["src/core/two.c"] + "int three = 3;\n", "three is used in"),
    ("globals", "src/core/two.c", SOUND["src/core/two.c"] + "void four(void)\n{\n}\n"
     "void (*const five)(void) = four;\n", "src/core/two.c: four is used in this file only"),
    ("globals", "src/core/two.c", SOUND["src/core/two.c"] + "static int six;\n", None),
    ("words", "docs/page.md", "# Title\n\nBehind the wall.\n", 'docs/page.md:3: "wall" is'),
    ("words", "src/core/two.c", "int dt_Walls_2;\n", '"Walls" is a replaced word'),
    ("words", "src/core/two.c", "int dt_act_open;\n", '"act" is a replaced word'),
    ("words", "src/core/two.c", "int active, walled, old;\n", None),
    ("words", "src/core/old_name.c", "\n", 'src/core/old_name.c:0: "old_name"'),
    ("words", "tests/x.py", "a wall of text, a wall of stone\n", "tests/x.py:1:"),
    ("words", "tests/x.py", "nothing\n", "tests/lint_words.txt:3: this row excuses nothing"),
    ("words", "data/story.txt", "", None),
]
MANY = {f"src/core/m{i}.{suffix}": "\n" for i in range(23) for suffix in "ch"}


def write_tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def compile_tree(root):
    rows = []
    for source in ("one", "two"):
        command = [CC, "-w", "-c", f"src/core/{source}.c", "-o", f"{source}.o"]
        subprocess.run(command, cwd=root, check=True)
        rows.append({"directory": str(root), "file": f"src/core/{source}.c",
                     "output": f"{source}.o"})
    (root / "compile_commands.json").write_text(json.dumps(rows), encoding="utf-8")


def lint(rule, files):
    with tempfile.TemporaryDirectory(prefix="duotale-test-") as folder:
        root = pathlib.Path(folder).resolve()
        write_tree(root, files)
        if rule == "globals":
            compile_tree(root)
        done = subprocess.run([sys.executable, LINT, rule, folder, folder], capture_output=True,
                              text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    rules = sorted({row[0] for row in PLANTED} | {"folders"})
    faults = [(rule, SOUND, None) for rule in rules]
    faults += [(rule, {**SOUND, name: text}, wanted) for rule, name, text, wanted in PLANTED]
    faults.append(("folders", {**SOUND, **MANY}, None))
    faults.append(("folders", {**SOUND, **MANY, "src/core/last.h": ""}, "src/core: 26 modules"))
    faults += [(rule, {"README": "\n", "tests/lint_words.txt": ""}, "no file to check")
               for rule in ("format", "files", "functions", "folders")]
    if lint("format", SOUND)[0] == 77:
        print("skipped: clang-format 14 is not installed")
        faults = [fault for fault in faults if fault[0] != "format"]
    failures = 0
    for rule, files, wanted in faults:
        code, output = lint(rule, files)
        good = code == 0 if wanted is None else code == 1 and wanted in output
        if not good:
            failures += 1
            print(f"{rule}: expected {wanted!r}, got exit code {code}:\n{output}")
    print(f"{len(faults) - failures} of {len(faults)} faults handled as expected")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
