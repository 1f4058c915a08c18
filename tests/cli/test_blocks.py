#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files of blocks of 256 values: in place without a copy, and converted for a backend of a higher
score that has not these forms, as on boards."""
import json
import os
import pathlib
import shlex
import subprocess

from common import SOURCE, done, expect, expect_run, folder, run
import synth

CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = shlex.split(os.environ.get("DT_TEST_CFLAGS", ""))
MODULE = r"""
#include "abi/backend.h"
static int probe(const struct dt_cpu *cpu) { (void)cpu; return 5000; }
static void matmul(void *ctx, float *out, size_t stride, const struct dt_matrix *w, uint32_t begin,
                   uint32_t end, const void *act, size_t x_stride, uint32_t columns)
{
    (void)ctx, (void)out, (void)stride, (void)w, (void)begin, (void)end, (void)act, (void)x_stride;
    (void)columns;
}
static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx, (void)out, (void)w, (void)row;
}
DT_BACKEND_EXPORT(x) = {.abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), .name = "board",
    .probe = probe, .form_count = 1, .forms = {DT_FORM_Q8_0}, .matmul = matmul, .embed = embed};
"""
Q4_K, Q6_K = (12, 144, 256), (14, 210, 256)


def plan_of(path, *options, **more):
    result = run("inspect", path, "--json", "-c", "32", *options, **more)
    if not expect_run(f"inspect {' '.join(options)}", result, 0):
        return {}
    return json.loads(result.stdout)["plan"]


def main():
    with folder() as name:
        here = pathlib.Path(name)
        path = here / "k.gguf"
        synth.sparse_gguf(path, 256, 512, 2, 4, 2, 64, 400, 64, *Q4_K,
                          others={"token_embd": Q6_K, "blk.1.ffn_down": Q6_K})
        for backend in "auto", "reference":
            plan = plan_of(path, "-b", backend, "--pack", "never")
            expect(f"{backend}: nothing is copied", plan.get("copied_bytes") == 0
                   and plan["in_place_bytes"] > 0, plan)
        modules = here / "modules"
        modules.mkdir(mode=0o755)
        (here / "module.c").write_text(MODULE)
        subprocess.run([*CC, "-std=c11", "-shared", "-fPIC", *FLAGS, f"-I{SOURCE / 'src'}",
                        str(here / "module.c"), "-o", str(modules / "board.so")], check=True)
        plan = plan_of(path, env={"DUOTALE_MODULES": str(modules)})
        expect("a better backend without the forms: converted",
               plan.get("copied_bytes", 0) > 0 and "board" in json.dumps(plan), plan)
    done()


main()
