#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""duotale profile: its JSON is complete, its parts add up, wrong options are refused."""
import json
import math
import subprocess
import sys

program = sys.argv[1]


def run(*args):
    return subprocess.run([program, "profile", *args], capture_output=True, text=True, timeout=120)


def check(condition, what):
    if not condition:
        sys.exit("profile: " + what)


done = run("--gen", "20", "--at", "30", "--rounds", "2", "-j", "1", "-b", "reference", "--json")
check(done.returncode == 0, done.stderr)
output = json.loads(done.stdout)
operators = {
    "embed",
    "attention norm",
    "q, k, v",
    "rope and store",
    "attention",
    "attention output",
    "ffn norm",
    "gate, up",
    "activation",
    "down",
    "final norm",
    "classifier",
    "sampler",
}
check(set(output["operators"]) == operators, "operators: %s" % sorted(output["operators"]))
check(
    len(output["token_us"]) == 20 and all(t > 0 for t in output["token_us"]),
    "a time for every token",
)
parts = sum(o["us_per_token"] for o in output["operators"].values())
check(
    abs(parts / output["wall_us_per_token"] - output["accounted_share"]) < 1e-6,
    "the parts add up to the share",
)
check(0.5 < output["accounted_share"] <= 1.0001, "accounted: %s" % output["accounted_share"])
bytes_read = sum(
    o["bytes_per_token"]
    for n, o in output["operators"].items()
    if n in ("q, k, v", "attention output", "gate, up", "down", "classifier")
)
check(abs(bytes_read - output["weight_bytes_per_token"]) < 1, "every matrix is read once per token")
check(
    output["bytes_per_token"] > output["weight_bytes_per_token"], "keys and values are read as well"
)
check(
    abs(output["limit_tok_s"] * output["bytes_per_token"] / (output["bandwidth_gb_s"] * 1e9) - 1)
    < 1e-6,
    "the limit follows from the bandwidth",
)
bandwidths = [output[name] for name in ("bandwidth_in_place_gb_s", "bandwidth_private_gb_s")]
check(
    all(math.isfinite(rate) and rate > 0 for rate in bandwidths),
    "bandwidths are positive and finite: %s" % bandwidths,
)
check(output["bandwidth_gb_s"] == max(bandwidths), "the higher bandwidth is the limit")
check(math.isfinite(output["limit_tok_s"]) and output["limit_tok_s"] > 0, "there is a limit")
memory = output["memory_bytes"]
places = sum(v for k, v in memory.items() if k.startswith("resident_"))
check(
    abs(places - memory["rss"]) < 0.02 * memory["rss"] + 65536,
    "resident %d of %d" % (places, memory["rss"]),
)

for wrong, code in (
    (["--gen", "0"], 2),
    (["--gen", "100000"], 2),
    (["--rounds", "x"], 2),
    (["a", "b"], 2),
    (["/nowhere"], 3),
):
    done = run(*wrong)
    check(done.returncode == code, "%s: exit %d, expected %d" % (wrong, done.returncode, code))
    check(
        len(done.stderr.splitlines()) == 1 and not done.stdout,
        "%s: one line: %r" % (wrong, done.stderr),
    )
print("ok")
