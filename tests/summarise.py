#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""summarise.py TESTLOG.json REPORT: prints "PASSED FAILED SKIPPED" of a `meson test` run; names what failed or was skipped in REPORT."""
import json
import sys

good, bad, skipped = 0, 0, 0
with open(sys.argv[1], encoding="utf-8") as log, open(sys.argv[2], "w", encoding="utf-8") as report:
    for line in log:
        test = json.loads(line)
        name, result = test["name"], test["result"]
        text = test.get("stdout", "") + test.get("stderr", "")
        if result in ("OK", "EXPECTEDFAIL"):
            good += 1
            if "(counted)" in name: # tests that report how many agree, and fail for none
                report.write(f"{name}: {text.strip().splitlines()[-1] if text.strip() else ''}\n")
            # parts that were skipped inside a test that passed are named too
            for part in sorted({row.split("skipped:", 1)[1].strip() for row in text.splitlines() if "skipped:" in row}):
                report.write(f"skipped in {name}: {part}\n")
        elif result == "SKIP":
            skipped += 1
            why = [row for row in text.splitlines() if "skip" in row.lower()]
            report.write(f"skipped: {name}{': ' + why[-1].strip() if why else ''}\n")
        else:
            bad += 1
            tail = "\n".join("    " + row for row in text.splitlines()[-25:])
            report.write(f"FAILED: {name} ({result})\n{tail}\n")
print(good, bad, skipped)
