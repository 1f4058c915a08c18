#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The installed headers: complete without the source tree, and compatible with older modules.

    test_headers.py PROGRAM SOURCE_FOLDER

abi-1/ is a frozen copy of the headers of ABI 1. It is never edited: modules built with it exist.
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import wave

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from common import DATA, PROGRAM, SOURCE, done, expect, expect_run, folder, run
import synth

BUILD = pathlib.Path(PROGRAM).parent
HERE = SOURCE / "tests" / "thirdparty"
FROZEN = HERE / "abi-1"
CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = shlex.split(os.environ.get("DT_TEST_CFLAGS", ""))
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror"]


def compile_c(*arguments, cwd):
    result = subprocess.run([*CC, *map(str, arguments)], capture_output=True, text=True, cwd=cwd,
                            check=False)
    return result.returncode == 0, result.stderr


def build_module(source, out, include):
    return compile_c(*STRICT, "-O2", "-ffp-contract=off", "-shared", "-fPIC", *FLAGS,
                     f"-I{include}", source, "-o", out, cwd=out.parent)


def story(here, backend, env=None):
    model, words = here / "m.bin", here / "t.bin"
    if not model.exists():
        synth.legacy(model)
        synth.tokenizer(words, 400)
    return run("run", model, "-z", words, "-s", "5", "-n", "60", "-b", backend, "-q", env=env)


def generates_the_references_story(what, here, modules, backend):
    env = {"DUOTALE_MODULES": str(modules)}
    output = story(here, backend, env)
    if expect_run(f"{what} generates a story", output, 0):
        expect(f"{what}: the story of the reference",
               output.stdout == story(here, "reference").stdout, output.stdout)


# ---- the installed tree ----

def install(here):
    root = here / "root"
    result = subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet",
                             "--destdir", str(root)], capture_output=True, check=False)
    if not expect("meson install", result.returncode == 0, result.stdout + result.stderr):
        return None
    return next(root.rglob("duotale/backend.h")).parent.parent


def installed_headers(here, include):
    headers = sorted(p.relative_to(include) for p in (include / "duotale").rglob("*.h"))
    names = [str(h) for h in headers]
    for name in ("backend.h", "serve.h", "voice.h", "kit/table.h", "kit/vector.h"):
        expect(f"<duotale/{name}> is installed", f"duotale/{name}" in names, names)
    for name in names:
        source = here / "alone.c"
        source.write_text(f"#include <{name}>\n#include <{name}>\nint nothing;\n")
        good, errors = compile_c(*STRICT, "-fsyntax-only", f"-I{include}", source, cwd=here)
        expect(f"<{name}> compiles on its own", good, errors)
        text = (include / name).read_text(encoding="utf-8")
        for used in re.findall(r'#\s*include\s*"([^"]+)"', text):
            target = (include / name).parent / used
            expect(f"{name} includes an installed header", target.exists(), used)
        system = {"stddef.h", "stdint.h", "string.h", "immintrin.h", "arm_neon.h"}
        for used in re.findall(r"[\w/]+\.h\b|\b(?:src|base|core|host|backends)/\w+", text):
            known = used in system or any(n.endswith(used) for n in names)
            expect(f"{name} refers to no private file", known, used)


def with_the_kit(here, include):
    modules = here / "kit"
    modules.mkdir(mode=0o755)
    source = modules / "withkit.c"  # a copy: nothing of the source tree beside it
    shutil.copy(HERE / "withkit.c", source)
    good, errors = build_module(source, modules / "duotale-backend-withkit.so", include)
    if expect("a module that uses the kit compiles with the installed headers", good, errors):
        generates_the_references_story("a module with the kit", here, modules, "withkit")


# ---- modules built with the headers of ABI 1 ----

def members(text):
    """{"struct.member": its type without the names of parameters} and the names of constants."""
    text = re.sub(r"//[^\n]*", "", text)
    found, constants = {}, []
    for name, body in re.findall(r"struct (\w+) \{(.*?)\n\};", text, re.S):
        for row in filter(None, (" ".join(r.split()) for r in body.split(";"))):
            pointer = re.fullmatch(r"(.*?)\(\*(\w+)\)\((.*)\)", row)
            if pointer:
                kinds = [re.sub(r"(?<=[ *])\w+$", "", p.strip()).strip()
                         for p in pointer[3].split(",")]
                found[f"{name}.{pointer[2]}"] = f"{pointer[1].strip()}({', '.join(kinds)})"
                continue
            kind, first = re.fullmatch(r"(.*?[ *])(\**\w+(?:\[\w+\])?(?:, .*)?)", row).groups()
            for one in first.split(","):
                plain, count = re.fullmatch(r"\**(\w+)(\[\w+\])?", one.strip()).groups()
                found[f"{name}.{plain}"] = kind.strip() + (count or "")
    for body in re.findall(r"enum \w+ \{(.*?)\};", text, re.S):
        constants += re.findall(r"\b(DT_\w+)\b", body)
    constants += re.findall(r"^#define (DT_\w+)[ \t]+\S", text, re.M)
    return found, [c for c in constants if not c.endswith("SYMBOL")]


def layout(here, include, header, names, constants):
    """{name: offset and size, or the constant's value}, as the compiler has them."""
    rows = []
    for name in names:
        kind, member = name.split(".")
        rows.append(f'printf("{name} %zu+%zu\\n", offsetof(struct {kind}, {member}), '
                    f"sizeof(((struct {kind} *)0)->{member}));")
    for name in constants:
        rows.append(f'SHOW("{name}", {name});')
    source, program = here / "layout.c", here / "layout"
    source.write_text(
        f"#include <duotale/{header}>\n#include <stdio.h>\n"
        "static void number(const char *n, long long v) { printf(\"%s %lld\\n\", n, v); }\n"
        "static void words(const char *n, const char *v) { printf(\"%s %s\\n\", n, v); }\n"
        "#define SHOW(n, v) _Generic((v), char *: words, const char *: words, "
        "default: number)(n, v)\n"
        "int main(void)\n{\n" + "\n".join(rows) + "\nreturn 0;\n}\n")
    good, errors = compile_c("-std=c11", "-w", *FLAGS, f"-I{include}", source, "-o", program,
                             cwd=here)
    if not expect(f"the layout of {header} can be asked for", good, errors):
        return {}
    output = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return dict(row.split(" ", 1) for row in output.splitlines())


def same_layout(here, old, new):
    for header, least in (("backend.h", 70), ("voice.h", 45)):
        types, constants = members((FROZEN / header).read_text(encoding="utf-8"))
        now = members((SOURCE / "src" / "abi" / header).read_text(encoding="utf-8"))[0]
        expect(f"{header}: the members were found", len(types) >= least, len(types))
        for name, kind in types.items():
            expect(f"{name} has the type of ABI 1", now.get(name) == kind, (kind, now.get(name)))
        before = layout(here, old, header, types, constants)
        after = layout(here, new, header, types, constants)
        expect(f"{header}: the compiler's layout was read", len(before) > least, len(before))
        for name, value in before.items():
            expect(f"{name} is where ABI 1 has it", after.get(name) == value,
                   (value, after.get(name)))


def old_modules(here, include):
    modules = here / "old"
    modules.mkdir(mode=0o755)
    good, errors = build_module(HERE / "schoolbook.c", modules / "duotale-backend-schoolbook.so",
                                include)
    if expect("a backend compiles with the headers of ABI 1", good, errors):
        generates_the_references_story("a backend of ABI 1", here, modules, "schoolbook")
    voices = here / "old-voices"
    voices.mkdir(mode=0o755)
    good, errors = build_module(HERE / "bell.c", voices / "voice-bell.so", include)
    if not expect("a voice compiles with the headers of ABI 1", good, errors):
        return
    wav = here / "story.wav"
    output = run("run", DATA / "bedtime-2m-q80-g32.bin", "-s", "5", "-n", "30", "-i",
                 "Once upon a time", "--speak-to", wav, "--voice", "bell",
                 env={"DUOTALE_MODULES": str(voices)})
    if expect_run("a voice of ABI 1 speaks", output, 0):
        with wave.open(str(wav)) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        words = len(output.stdout.split())
        expect("one note of 1/8 s for each word", abs(seconds - words / 8) < 0.01,
               (seconds, words))


with folder() as name:
    spot = pathlib.Path(name)
    ancient = spot / "abi-1"
    shutil.copytree(FROZEN, ancient / "duotale")
    current = install(spot)
    if current:
        installed_headers(spot, current)
        with_the_kit(spot, current)
        same_layout(spot, ancient, current)
    old_modules(spot, ancient)
done()
