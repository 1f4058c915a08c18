#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The variant that "auto" takes: measured, remembered, forced, damaged files. Three variants of a
module give the same bits: one repeats its work twenty times and has the best score."""
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
static int probe(const struct dt_cpu *cpu) { (void)cpu; return SCORE; }
static void matmul(void *ctx, float *out, size_t stride, const struct dt_matrix *w, uint32_t begin,
                   uint32_t end, const void *act, size_t x_stride, uint32_t columns)
{
    (void)ctx;
    for (volatile int again = 0; again < WORK; again++)
        for (uint32_t c = 0; c < columns; c++)
            for (uint32_t r = begin; r < end; r++) {
                const float *row = (const void *)((const char *)w->quants + r * w->row_stride);
                const float *x = (const float *)act + c * x_stride;
                float sum = 0;
                for (uint32_t i = 0; i < w->cols; i++)
                    sum += row[i] * x[i];
                out[c * stride + r] = sum * FACTOR;
            }
}
static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    const float *from = (const void *)((const char *)w->quants + row * w->row_stride);
    for (uint32_t i = 0; i < w->cols; i++)
        out[i] = from[i];
}
DT_BACKEND_EXPORT(x) = {.abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), .name = "tuned",
    .variant = VARIANT, .probe = probe, .form_count = 1, .forms = {DT_FORM_F32}, .row_tile = 1,
    .matmul = matmul, .embed = embed};
"""
VARIANTS = (  # score, times the work is done, factor of the results
    ("slow", 1000, 20, "1.0f"), ("quick", 900, 1, "1.0f"), ("usual", 800, 19, "1.0f"),
    ("wrong", 700, 1, "1.5f"), ("low", 400, 1, "1.0f"),
)


def build(here):
    modules = here / "modules"
    modules.mkdir(mode=0o755)
    (here / "module.c").write_text(MODULE)
    for name, score, work, factor in VARIANTS:
        subprocess.run(
            [*CC, "-std=c11", "-O2", "-ffp-contract=off", "-shared", "-fPIC", *FLAGS,
             f"-I{SOURCE / 'src'}", f"-DSCORE={score}", f"-DWORK={work}", f"-DFACTOR={factor}",
             f'-DVARIANT="{name}"', str(here / "module.c"), "-o", str(modules / f"{name}.so")],
            check=True)
    return modules


class Home:
    """A model, the modules, and a cache folder."""

    def __init__(self, here):
        self.here = here
        self.cache = here / "cache"
        self.env = {"DUOTALE_MODULES": str(build(here)), "DUOTALE_TUNE": "on",
                    "XDG_CACHE_HOME": str(self.cache)}
        self.model = here / "m.bin"
        synth.legacy(self.model)
        synth.tokenizer(here / "tokenizer.bin", 400)

    def run(self, *options, **env):
        return run("run", self.model, "-s", "5", "-n", "20", "--json", *options,
                   env={**self.env, **env})

    def stack(self, *options, **env):
        result = self.run(*options, **env)
        return json.loads(result.stdout)["backend"] if result.returncode == 0 else result

    def file(self):
        return self.cache / "duotale" / "variants"

    def lines(self):
        text = self.file().read_text() if self.file().exists() else "#"
        return [line for line in text.splitlines() if not line.startswith("#")]


def measured(home):
    score = home.stack(DUOTALE_TUNE="off")
    expect("DUOTALE_TUNE=off: the score", score == "tuned@slow" and not home.file().exists(), score)
    first = home.stack("-j", "1")
    expect("the fastest of equal bits is taken", first == "tuned@quick", first)
    lines = home.lines()
    expect("and remembered", len(lines) == 1 and lines[0].endswith(" quick"), lines)
    expect("one place for each number of threads",
           "tuned@" in home.stack("-j", "2") and len(home.lines()) == 2, home.lines())
    mode = home.file().parent.stat().st_mode
    expect("the folder is the user's", mode & 0o077 == 0, oct(mode))
    same = [json.loads(home.run("-b", b).stdout)["tokens"]
            for b in ("auto", "tuned", "tuned@slow", "reference")]
    expect("the same tokens", all(t == same[0] for t in same), same)
    expect("a name alone is the score's", home.stack("-b", "tuned") == "tuned@slow")
    expect("auto in a stack", home.stack("-b", "auto+fastexp", "-j", "1")
           .startswith("tuned@quick+fastexp"), home.stack("-b", "auto+fastexp", "-j", "1"))


def remembered(home):
    """What the file says counts, if it can be true."""
    home.stack("-j", "1")
    good = home.file().read_text()
    # what a measurement would not find shows that none was made
    home.file().write_text(good.replace(" quick", " usual"))
    expect("the file decides", home.stack("-j", "1") == "tuned@usual", home.lines())
    shown = json.loads(run("inspect", home.model, "--json", "-j", "1", env=home.env).stdout)
    expect("before the model is started, too", "tuned@usual" in json.dumps(shown), shown)
    for what, text in (
        ("a variant that does not exist", good.replace(" quick", " gone")),
        ("an invalid name", good.replace(" quick", " ../quick")),
        ("a score that is too low", good.replace(" quick", " low")),
        ("no file of ours", "\0\xff" * 300), ("a long line", "x" * 5000 + " quick\n"),
        ("a large file", "#" * 70000), ("an empty file", ""), ("half a line", good[:-9]),
        ("another build", good.replace("\n", "\n0")),
    ):
        home.file().write_text(text, errors="surrogateescape")
        found = home.stack("-j", "1")
        expect(f"{what}: measured again", found == "tuned@quick", (found, home.lines()))
        expect(f"{what}: and stored", any(line.endswith(" quick") for line in home.lines()))
    home.file().write_text("".join(f"old{i} quick\n" for i in range(200)))
    home.stack("-j", "1")
    expect("the file does not grow", len(home.lines()) == 64 and "old199 quick" in home.lines(),
           len(home.lines()))


def no_folder(home):
    file = home.here / "a file"
    file.write_text("")
    for what, env in (("a file for the folder", {"XDG_CACHE_HOME": str(file)}),
                      # without HOME, the home directory would be that of the password file
                      ("nothing", {"XDG_CACHE_HOME": "", "HOME": str(file)}),
                      ("a relative path", {"XDG_CACHE_HOME": "cache", "HOME": str(file)})):
        result = home.run("-j", "1", **env)
        expect_run(f"{what}: it runs", result, 0)
        expect(f"{what}: measured, without a word",
               json.loads(result.stdout)["backend"] == "tuned@quick" and
               b"remember" not in result.stderr, result)


def listed(home):
    result = run("backends", "--tune", home.model, env=home.env)
    expect_run("--tune", result, 0, b"<- taken")
    one_thread = result.stdout.split(b", 2 threads")[0]
    for name, reason in (("quick", b"us a token of a prompt  <- taken"),
                         ("wrong", b"has other bits")):
        row = [line for line in one_thread.splitlines() if line.strip().startswith(name.encode())]
        expect(f"--tune: {name}", len(row) == 1 and reason in row[0], result.stdout)
    expect("--tune: not what has a low score", b" low " not in result.stdout, result.stdout)
    expect("--tune remembers", any(line.endswith(" quick") for line in home.lines()), home.lines())
    home.file().write_text(home.file().read_text().replace(" quick", " usual"))
    report = json.loads(run("backends", "--tune", home.model, "--json",
                            env={**home.env, "DUOTALE_TUNE": "off"}).stdout)
    taken = [v["variant"] for v in report["models"][0]["variants"] if v["taken"]]
    expect("--tune measures again", taken == ["quick"] and home.stack("-j", "1") == "tuned@quick",
           report)
    expect("--tune: one thread, and all", report["models"][0]["threads"] == 1, report)
    alone = run("backends", "--tune", home.model, env={**home.env, "DUOTALE_MODULES": "",
                                                       "DUOTALE_CPU": "none"})
    expect_run("--tune with one variant", alone, 0, b"one variant only")
    expect_run("--tune: no such model", run("backends", "--tune", home.here / "no", env=home.env),
               3, stderr=b"cannot be opened")
    expect_run("--tune and --verify", run("backends", "--tune", "--verify", "x.so"), 2,
               stderr=b"cannot be combined")
    expect_run("a model without --tune", run("backends", home.model), 2, stderr=b"unexpected")


def streamed(home):
    """Weights that are read from the disk for each token are not measured."""
    big = home.here / "big.bin"
    synth.legacy(big, dim=256, hidden=512, layers=2)
    result = run("run", big, "-s", "5", "-n", "3", "--json", "-j", "1", "-z",
                 home.here / "tokenizer.bin", "--weights", "streamed", env=home.env)
    expect_run("streamed", result, 0)
    expect("streamed: the score, and nothing is stored",
           json.loads(result.stdout)["backend"] == "tuned@slow" and not home.lines(), result)


for test in (measured, remembered, no_folder, listed, streamed):
    with folder() as name:
        test(Home(pathlib.Path(name)))
done()
