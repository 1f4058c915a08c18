#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""eval, bench and inspect: their JSON and their errors. No speed is asserted."""
import csv
import io
import json
import pathlib
import xml.dom.minidom

import synth
from common import DATA, SHARED, SLOW, done, expect, expect_run, folder, run

MODEL = DATA / "bedtime-2m-q80-g32.bin"
STORIES = (
    "Once upon a time there was a cat.\nIt sat.\n\n<|endoftext|>\nTom had a dog.\n"
    "<|endoftext|>\n\n<|endoftext|>\nThe end"
)


def evaluation(here):
    text = here / "stories.txt"
    text.write_text(STORIES)
    result = run("eval", MODEL, text, "--json")
    if expect_run("eval", result, 0):
        score = json.loads(result.stdout)
        expect(
            "eval's fields",
            {"bits_per_byte", "nats_per_token", "tokens", "bytes", "backend"} <= set(score),
            score,
        )
        expect("empty stories are none", score["stories"] == 3, score)
        same = json.loads(
            run("eval", MODEL, text, "--json", "-b", "reference", "-j", "2", "--batch", "3").stdout
        )
        expect(
            "int8 scores like the reference",
            same["nats_per_token"] == score["nats_per_token"],
            (same, score),
        )
    result = run("eval", "--compare", MODEL, MODEL, text, "-b", "int8,reference", "--json")
    if expect_run("eval --compare", result, 0):
        both = json.loads(result.stdout)
        expect(
            "a model equals itself",
            both["kl"]["max"] < 1e-9
            and both["top1_agreement"] == 1
            and both["first_difference"] is None,
            both,
        )
    (here / "empty").write_text("\n<|endoftext|>\n")
    expect_run("a text without a story", run("eval", MODEL, here / "empty"), 3)
    expect_run("a text that is missing", run("eval", MODEL, here / "nowhere"), 3)
    expect_run("eval without arguments", run("eval", MODEL), 2)
    if SLOW:
        print("skipped: eval against independent figures: this build is instrumented")
        return
    models = SHARED / "models"
    stories = SHARED / "corpus" / "tinystories.txt"
    if not (models / "stories260K.bin").exists() or not stories.exists():
        print("skipped: eval against independent figures: no ../shared")
        return
    tokens = ["-z", models / "tok512.bin"]
    expected = [
        ("stories260K.bin", tokens, 0.9066, 0.0005),
        ("stories260K-h192-q80-g32.bin", tokens, 0.9066, 0.0045),
        ("stories260K-h192-f32.gguf", [], 0.9066, 0.0005),
        ("stories260K-h192-F16.gguf", [], 0.9066, 0.009),
        ("stories260K-h192-Q8_0.gguf", [], 0.9066, 0.009),
    ]
    for file, extra, bits, within in expected:
        score = json.loads(
            run("eval", models / file, stories, "--last", "100", "--json", *extra).stdout
        )
        print(f"{file}: {score['bits_per_byte']:.4f} bits per byte")
        expect(f"{file}: {bits} bits per byte", abs(score["bits_per_byte"] - bits) <= within, score)
        expect(
            f"{file}: 36,298 tokens, 76,588 bytes",
            (score["tokens"], score["bytes"]) == (36298, 76588),
            score,
        )
    f32 = [
        json.loads(
            run("eval", models / f, stories, "--last", "20", "--json", "-b", "reference", *e).stdout
        )
        for f, e in (("stories260K-h192.bin", tokens), ("stories260K-h192-f32.gguf", []))
    ]
    expect(
        "GGUF F32 has the bits of its llama2.c file",
        f32[0]["nats_per_token"] == f32[1]["nats_per_token"],
        f32,
    )


def benchmark(here):
    chart = here / "chart.svg"
    result = run(
        "bench",
        MODEL,
        "-b",
        "int8,reference",
        "--runs",
        "3",
        "--warm",
        "0",
        "--gen",
        "8",
        "--prompt",
        "8",
        "--json",
        "--svg",
        chart,
    )
    if expect_run("bench", result, 0):
        report = json.loads(result.stdout)
        rows = report["results"]
        expect(
            "one object per stack", [row["backend"] for row in rows] == ["int8", "reference"], rows
        )
        for row in rows:
            for field in ("prompt_tok_s", "decode_tok_s"):
                s = row[field]
                expect(
                    f"{field} is ordered",
                    s["min"] <= s["median"] <= s["max"] and s["min"] <= s["mean"] <= s["max"],
                    s,
                )
            expect(
                "its other fields",
                {
                    "threads",
                    "first_token_ms",
                    "start_to_first_byte_ms",
                    "peak_rss_kib",
                    "anonymous_kib",
                    "model",
                    "weights_bytes",
                }
                <= set(row),
                row,
            )
            expect(
                "they are measured",
                row["start_to_first_byte_ms"] > 0
                and row["peak_rss_kib"] > 0
                and row["anonymous_kib"] > 0,
                row,
            )
        expect(
            "the chart is XML", xml.dom.minidom.parse(str(chart)).documentElement.tagName == "svg"
        )
    result = run("bench", MODEL, "--runs", "1", "--gen", "4", "--csv", "--no-start")
    rows = list(csv.DictReader(io.StringIO(result.stdout.decode())))
    expect("CSV", len(rows) == 1 and float(rows[0]["decode_median"]) > 0, result.stdout)
    expect_run(
        "a table",
        run("bench", MODEL, "--runs", "1", "--gen", "4", "--no-start", "--at", "100"),
        0,
        b"int8",
    )
    expect_run("zero runs", run("bench", MODEL, "--runs", "0"), 2)
    expect_run("beyond the context", run("bench", MODEL, "--at", "100000"), 2, stderr=b"context")
    expect_run("no such model", run("bench", here / "nothing.bin"), 3)
    (here / "log").write_text("no speed here\n")
    expect_run("a log without a run", run("bench", "--contest", here / "log"), 3, stderr=b"log")
    (here / "log").write_text(
        "Once upon a time, a.achieved tok/s: 2.0\n\nOnce upon a time, b.achieved tok/s: 4.0\n"
    )
    report = json.loads(run("bench", "--contest", here / "log", "--json").stdout)["contest"][0]
    expect(
        "a log's mean",
        report["mean"] == 3 and report["runs"] == 2 and report["identical"] is False,
        report,
    )
    report = json.loads(
        run("bench", "--contest", MODEL, "--runs", "2", "--against", MODEL, "--json").stdout
    )["contest"][0]
    expect(
        "a contest run here",
        report["identical"] and report["same_story"] and report["edit_distance"] == 0,
        report,
    )
    winner = SHARED / "reference" / "contest" / "PR4.q80.N.out.txt"
    if winner.exists():
        report = json.loads(run("bench", "--contest", winner, "--json").stdout)["contest"][0]
        expect(
            "the winner's 24.302522",
            abs(report["mean"] - 24.302522) < 1e-6 and report["identical"],
            report["mean"],
        )
    else:
        print("skipped: the committee's logs: no ../shared")


def kernels(here):
    report = here / "kernels.json"
    result = run(
        "bench",
        "--kernels",
        "-b",
        "int8",
        "--shapes",
        "260K",
        "--json",
        env={"DUOTALE_CPU": "none"},
    )
    if not expect_run("bench --kernels", result, 0):
        return
    report.write_bytes(result.stdout)
    rows = json.loads(result.stdout)["kernels"]
    expect(
        "matmul and the others",
        {"matmul", "act_prepare", "embed"} <= {row["kernel"] for row in rows},
        rows,
    )
    result = run(
        "bench",
        "--kernels",
        "-b",
        "int8",
        "--shapes",
        "260K",
        "--json",
        "--baseline",
        report,
        env={"DUOTALE_CPU": "none"},
    )
    if expect_run("against a baseline", result, 0):
        expect(
            "every row compared",
            all(row["speed_against_baseline"] > 0 for row in json.loads(result.stdout)["kernels"]),
        )
    expect_run(
        "a baseline of another shape",
        run(
            "bench",
            "--kernels",
            "-b",
            "int8",
            "--shapes",
            "15M",
            "--baseline",
            report,
            env={"DUOTALE_CPU": "none"},
        ),
        3,
        stderr=b"the same shapes",
    )
    expect_run("no such shape", run("bench", "--kernels", "--shapes", "3T"), 2)


def inspection(here):
    result = run("inspect", MODEL, "--json")
    if expect_run("inspect", result, 0):
        report = json.loads(result.stdout)
        expect(
            "its shape",
            report["hyperparameters"]["dim"] == 160 and report["hyperparameters"]["layers"] == 6,
            report,
        )
        expect(
            "its parameters",
            sum(t["rows"] * t["cols"] for t in report["tensors"]) == report["parameters"],
            report["parameters"],
        )
        expect(
            "its plan",
            report["plan"]["total_bytes"] > report["plan"]["kv_bytes"] > 0,
            report["plan"],
        )
    converted = json.loads(run("inspect", MODEL, "--json", "-b", "fp32").stdout)["plan"]
    expect(
        "the size of a conversion is known",
        converted["copied_bytes"] > 4 * 2_000_000 and converted["converted_to"] == "f32",
        converted,
    )
    expect_run("as text", run("inspect", MODEL, "--tensors"), 0, b"blk.0.attn_q.weight")
    expect_run("its vocabulary", run("inspect", MODEL), 0, b"pre-tokenizer: none\nends: 2 </s>\n")
    lonely = here / "lonely.bin"
    synth.legacy(lonely)
    report = json.loads(run("inspect", lonely, "--json", cwd=here).stdout)
    expect(
        "a model without a vocabulary",
        report["vocabulary"]["source"] == "none" and report["hyperparameters"]["vocab"] == 400,
        report,
    )
    expect_run(
        "and its speed",
        run("bench", lonely, "--runs", "1", "--gen", "4", "--prompt", "4", cwd=here),
        0,
        b"lonely.bin",
    )
    expect_run("no model", run("inspect", here / "nothing.bin"), 3)


with folder() as name:
    spot = pathlib.Path(name)
    evaluation(spot)
    benchmark(spot)
    kernels(spot)
    inspection(spot)
done()
