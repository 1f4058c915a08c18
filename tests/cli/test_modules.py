#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Loadable modules: one built from the installed headers, broken and foreign ones, and the folders
that are searched."""
import json
import os
import pathlib
import shlex
import shutil
import subprocess

from common import DATA, PROGRAM, SHARED, SOURCE, done, expect, expect_run, folder, run
import synth

BUILD = pathlib.Path(PROGRAM).parent
CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = shlex.split(os.environ.get("DT_TEST_CFLAGS", ""))


def compile_module(source, out, *flags):
    command = [
        *CC,
        "-std=c11",
        "-O2",
        "-ffp-contract=off",
        "-shared",
        "-fPIC",
        *FLAGS,
        *flags,
        "-x",
        "c",
        str(source),
        "-o",
        str(out),
    ]
    return subprocess.run(command, capture_output=True, check=False)


def listed(env):
    rows = json.loads(run("backends", "--json", env=env).stdout)
    return {row["file"]: row for row in rows["backends"]}


def third_party(here):
    """From `meson install` to a story, with only the example from the source tree."""
    root = here / "root"
    result = subprocess.run(
        ["meson", "install", "-C", str(BUILD), "--no-rebuild", "--destdir", str(root), "--quiet"],
        capture_output=True,
        check=False,
    )
    if not expect("meson install", result.returncode == 0, result.stdout + result.stderr):
        return
    packages = next(root.rglob("duotale.pc")).parent
    prefix = next(root.rglob("bin/duotale")).parent.parent
    flags = subprocess.run(
        ["pkg-config", "--cflags", f"--define-variable=prefix={prefix}", "duotale"],
        capture_output=True,
        text=True,
        env={**os.environ, "PKG_CONFIG_PATH": str(packages)},
        check=False,
    )
    include = f"-I{prefix}/include" if not flags.stdout.strip() else flags.stdout.strip()
    folder_of_modules = here / "mine"
    folder_of_modules.mkdir(mode=0o755)
    module = folder_of_modules / "duotale-backend-schoolbook.so"
    result = compile_module(
        SOURCE / "tests" / "thirdparty" / "schoolbook.c", module, *shlex.split(include)
    )
    if not expect(
        "it compiles against the installed headers", result.returncode == 0, result.stderr
    ):
        return
    env = {"DUOTALE_MODULES": str(folder_of_modules)}
    row = listed(env).get(str(module))
    expect("it is listed as usable", row and row["usable"] and row["name"] == "schoolbook", row)
    model, words = here / "m.bin", here / "t.bin"
    synth.legacy(model)
    synth.tokenizer(words, 400)
    output = run(
        "run", model, "-z", words, "-s", "5", "-n", "60", "-b", "schoolbook", "-q", env=env
    )
    expect_run("it generates a story", output, 0)
    expect(
        "the story of the reference: both add in the same order",
        output.stdout
        == run("run", model, "-z", words, "-s", "5", "-n", "60", "-b", "reference", "-q").stdout,
    )
    # The installed program finds its modules and model wherever it is.
    moved = here / "moved"
    shutil.copytree(prefix, moved)
    rows = json.loads(run("backends", "--json", program=str(moved / "bin" / "duotale")).stdout)[
        "backends"
    ]
    expect(
        "an installed program finds its modules",
        any("moved/lib" in row["file"] for row in rows),
        rows,
    )
    expect_run(
        "and its model",
        run("run", "-n", "3", program=str(moved / "bin" / "duotale"), cwd="/"),
        0,
        stderr=b"share/duotale/models",
    )


def broken(here):
    modules = here / "broken"
    modules.mkdir(mode=0o755)
    good = next((BUILD / "backends").rglob("duotale-backend-int8.so")).read_bytes()
    (modules / "a-text.so").write_text("this is no shared object\n")
    (modules / "b-empty.so").write_bytes(b"")
    (modules / "c-cut.so").write_bytes(good[:4096])
    (modules / "d-foreign.so").write_bytes(
        good[:18] + (0xF3 if good[18] != 0xF3 else 0x3E).to_bytes(2, "little") + good[20:]
    )
    (modules / "e-wide.so").write_bytes(good[:4] + bytes([3 - good[4]]) + good[5:])
    (modules / "f-writable.so").write_bytes(good)
    (modules / "f-writable.so").chmod(0o666)
    source = here / "x.c"
    include = f"-I{here}/include"
    (here / "include" / "duotale").mkdir(parents=True)
    shutil.copy(SOURCE / "src" / "abi" / "backend.h", here / "include" / "duotale" / "backend.h")
    source.write_text("int nothing_of_the_kind;\n")
    compile_module(source, modules / "g-symbol.so", include)
    head = (
        '#include <duotale/backend.h>\n'
        'static int p(const struct dt_cpu *c) { (void)c; return %d; }\n'
        'DT_BACKEND_EXPORT(x) = {'
    )
    source.write_text(
        head % 1 + ".abi = 99, .size = sizeof(struct dt_backend), .name = \"x\", .probe = p};\n"
    )
    compile_module(source, modules / "h-version.so", include)
    source.write_text(head % 1 + ".abi = DT_BACKEND_ABI, .size = 12, .name = \"x\", .probe = p};\n")
    compile_module(source, modules / "i-size.so", include)
    source.write_text(
        head % 0
        + ".abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), .name = \"never\", "
        ".variant = \"\", .probe = p};\n"
    )
    compile_module(source, modules / "j-probe.so", include)
    source.write_text(
        head % 1
        + ".abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), .name = \"\\033[2J\", "
        ".probe = p};\n"
    )
    compile_module(source, modules / "k-name.so", include)
    source.write_text(
        '#include <duotale/backend.h>\n'
        'static int p(const struct dt_cpu *c) { (void)c; return 1; }\n'
        "static int make(const struct dt_services *s, void **c, char *r, size_t n)\n"
        "{ (void)s; (void)c; __builtin_strncpy(r, \"no luck today\", n); return -1; }\n"
        "DT_BACKEND_EXPORT(x) = {.abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend),\n"
        ".name = \"unlucky\", .variant = \"\",\n"
        ".probe = p, .create = make};\n"
    )
    compile_module(source, modules / "l-create.so", include)
    source.write_text("extern int somewhere_else(void); int f(void) { return somewhere_else(); }\n")
    compile_module(source, modules / "m-missing.so", include)
    env = {"DUOTALE_MODULES": str(modules)}
    rows = listed(env)
    reasons = {
        "a-text": "ELF",
        "b-empty": "ELF",
        "c-cut": "truncated",
        "d-foreign": "another machine",
        "e-wide": "-bit",
        "f-writable": "writable by everybody",
        "g-symbol": "dt_backend_module",
        "h-version": "version 99",
        "i-size": "12 bytes",
        "j-probe": "cannot run on this CPU",
        "k-name": "invalid name",
        "m-missing": "cannot be loaded",
    }
    for name, reason in reasons.items():
        row = rows.get(str(modules / f"{name}.so"))
        expect(
            f"{name} is refused: {reason}",
            row and not row["usable"] and reason in row["reason"],
            row,
        )
    row = rows.get(str(modules / "h-version.so"), {"reason": ""})
    expect("both versions are named", "99" in row["reason"] and "1" in row["reason"], row)
    model = DATA / "bedtime-2m-q80-g32.bin"
    expect_run("the others still work", run("run", model, "-n", "5", "-b", "int8", env=env), 0)
    expect_run(
        "one that cannot start has a reason",
        run("run", model, "-n", "5", "-b", "unlucky", env=env),
        1,
        stderr=b"no luck today",
    )
    expect_run(
        "one that cannot run here",
        run("run", model, "-n", "5", "-b", "never", env=env),
        3,
        stderr=b"cannot run on this CPU",
    )
    modules.chmod(0o777)
    rows = listed(env)
    expect(
        "a folder that others can write",
        str(modules) in rows and "writable by everybody" in rows[str(modules)]["reason"],
        rows.keys(),
    )
    modules.chmod(0o755)


def places(here):
    # the current folder is never searched
    spot = here / "spot"
    spot.mkdir(mode=0o755)
    shutil.copy(next((BUILD / "backends").rglob("duotale-backend-int8.so")), spot / "x.so")
    for value in (".", "", "spot", ":", "./"):
        rows = json.loads(
            run(
                "backends",
                "--json",
                env={"DUOTALE_MODULES": value},
                cwd=spot if value != "spot" else here,
            ).stdout
        )
        expect(
            f"DUOTALE_MODULES={value!r}: nothing of the current folder",
            not any("spot" in r["file"] for r in rows["backends"]),
            rows,
        )
    # without any module, the reference generates
    alone = here / "alone"
    alone.mkdir(mode=0o755)
    program = alone / "duotale"
    shutil.copy(PROGRAM, program)
    rows = json.loads(run("backends", "--json", program=str(program)).stdout)["backends"]
    installed = [row for row in rows if row["file"] != "compiled in"]
    output = run(
        "run", DATA / "bedtime-2m-q80-g32.bin", "-t", "0", "-n", "20", program=str(program)
    )
    expect_run("it generates a story alone", output, 0)
    expect("with the reference", b"reference" in output.stderr or installed, output.stderr)
    # variants and masks
    for mask, variant in (("none", b"int8;"), ("avx2", b"int8@avx2")):
        output = run(
            "run",
            DATA / "bedtime-2m-q80-g32.bin",
            "-n",
            "3",
            "-b",
            "int8",
            env={"DUOTALE_CPU": mask},
        )
        if b"int8@avx2" in output.stderr or mask == "none":
            expect(f"DUOTALE_CPU={mask}", variant in output.stderr, output.stderr)
    output = run(
        "run",
        DATA / "bedtime-2m-q80-g32.bin",
        "-n",
        "3",
        "-b",
        "int8@avx2",
        env={"DUOTALE_CPU": "none"},
    )
    expect("a forced variant without its CPU is refused", output.returncode in (2, 3), output)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value


def remembered(here):
    """What backends are is kept in the cache folder, and used by the next start."""
    env = {"XDG_CACHE_HOME": str(here / "cache")}
    file = here / "cache" / "duotale" / "modules-backends"
    run("backends", env={**env, "DUOTALE_MODULES": str(here / "none")})
    expect("nothing is remembered with DUOTALE_MODULES", not file.exists())
    first = listed(env)
    expect("a file remembers", file.exists() and listed(env) == first)
    whole = file.read_bytes()
    rows = whole[48:].replace(b"bit-identical", b"BIT-IDENTICAL")
    file.write_bytes(whole[:40] + fnv(rows).to_bytes(8, "little") + rows)
    texts = [row["description"] for row in listed(env).values() if row["file"] != "compiled in"]
    expect("it is used", any("BIT-IDENTICAL" in text for text in texts), texts)
    file.write_bytes(whole[:40] + bytes(8) + rows)
    expect("a damaged one is not", listed(env) == first)
    expect("and is written again", file.read_bytes() == whole)


with folder() as name:
    spot = pathlib.Path(name)
    remembered(spot)
    third_party(spot)
    broken(spot)
    places(spot)
done()
