#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""duotale backends --verify: every built module passes; planted faults are found, each in the
operator that has it; what is not a module is refused."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from common import PROGRAM, SOURCE, done, expect, expect_run, folder, run

BUILD = pathlib.Path(PROGRAM).parent
CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = shlex.split(os.environ.get("DT_TEST_CFLAGS", ""))

# Faults of a copy of the example backend: what is replaced, by what, the operator, the message.
FAULTS = {
    "a wrong sum": ("sum += weight * x[c * x_stride + i];",
                    "sum += weight * x[c * x_stride + i] * (i == 77 ? 1.5f : 1);",
                    "matmul", "in double"),
    "one row too many": ("for (uint32_t r = row_begin; r < row_end; r++) {",
                         "for (uint32_t r = row_begin; r < row_end + 1 && r < w->rows; r++) {",
                         "matmul", "outside the range"),
    "a read past the end": ("float sum = 0, weight;",
                            "float sum = 0, weight = ((const volatile float *)w->quants)"
                            "[w->rows * w->cols];",
                            # a sanitizer ends the process itself
                            "matmul", "ended the process" if FLAGS else "crashed with signal"),
    "a wrong embedding": ("w->cols * sizeof *out);",
                          "(w->cols - 1) * sizeof *out);\n    out[w->cols - 1] = 1;",
                          "matmul", "embed"),
}


def compile_module(text, here, name):
    include = here / "include" / "duotale"
    include.mkdir(parents=True, exist_ok=True)
    for header in (SOURCE / "src" / "abi").glob("*.h"):
        shutil.copy(header, include / header.name)
    source, module = here / f"{name}.c", here / f"duotale-backend-{name}.so"
    source.write_text(text)
    result = subprocess.run([*CC, "-std=c11", "-O2", "-ffp-contract=off", "-shared", "-fPIC",
                             *FLAGS, f"-I{here / 'include'}", str(source), "-o", str(module)],
                            capture_output=True, check=False)
    expect(f"{name} compiles", result.returncode == 0, result.stderr)
    return module


def built_modules():
    modules = sorted((BUILD / "backends").rglob("duotale-backend-*.so"))
    expect("modules were built", modules)
    for module in modules:
        result = run("backends", "--verify", module, "--shapes", "60")
        if result.returncode == 3 and b"cannot run on this CPU" in result.stderr:
            print(f"skipped: {module.name} cannot run on this CPU")
            continue
        expect_run(f"{module.name} passes", result, 0, b"passed, 60 shapes", b"")
        exact = run("backends", "--verify", module, "--shapes", "20", "--exact")
        expect_run(f"{module.name}: exact, but for fastexp", exact,
                   1 if "fastexp" in module.name else 0)


def faults(here):
    good = (SOURCE / "tests" / "thirdparty" / "schoolbook.c").read_text()
    expect_run("the example backend passes",
               run("backends", "--verify", compile_module(good, here, "good")), 0, b"passed")
    for i, (what, (old, new, operator, message)) in enumerate(FAULTS.items()):
        expect(f"{what}: the example has the line", old in good)
        module = compile_module(good.replace(old, new), here, f"fault{i}")
        result = run("backends", "--verify", module, "-s", "5")
        expect_run(f"{what} is found", result, 1, b"FAILED at shape")
        text = result.stdout.decode()
        line = next((row for row in text.splitlines() if "FAILED" in row), "")
        expect(f"{what}: its operator and its message", line.startswith(operator)
               and message in line, line)
        seed = re.search(r"--seed (\d+) --shapes 1 repeats it\): f32, group", line)
        if expect(f"{what}: the shape and its seed", seed, line):
            again = run("backends", "--verify", module, "--seed", seed[1], "--shapes", "1")
            fault = line.split("repeats it): ")[1]
            expect(f"{what}: the seed repeats it", again.returncode == 1
                   and fault in again.stdout.decode(), again.stdout)


def refused(here):
    text = here / "text.so"
    text.write_text("not a shared object\n")
    expect_run("a text", run("backends", "--verify", text), 3, stderr=b"text.so")
    expect_run("a missing file", run("backends", "--verify", here / "none.so"), 3,
               stderr=b"No such file")
    other = compile_module("int nothing;\n", here, "other")
    expect_run("another library", run("backends", "--verify", other), 3, stderr=b"other.so")
    head = ("#include <duotale/backend.h>\nstatic int p(const struct dt_cpu *c)\n"
            "{ (void)c; return %d; }\nDT_BACKEND_EXPORT(x) = {.abi = %s, .size = sizeof(struct "
            "dt_backend), .name = \"x\", .variant = \"\", .probe = p};\n")
    future = compile_module(head % (1, "99"), here, "future")
    expect_run("another interface", run("backends", "--verify", future), 3, stderr=b"99")
    never = compile_module(head % (0, "DT_BACKEND_ABI"), here, "never")
    expect_run("another CPU", run("backends", "--verify", never), 3, stderr=b"cannot run on")
    for wrong in (["--shapes", "0"], ["--shapes", "x"], ["--seed", "x"]):
        expect_run(f"usage: {wrong}", run("backends", "--verify", text, *wrong), 2,
                   stderr=wrong[0].encode())


with folder() as name:
    spot = pathlib.Path(name)
    built_modules()
    faults(spot)
    refused(spot)
done()
