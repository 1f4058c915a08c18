#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Summaries for ./check.

summarise.py TESTLOG.json REPORT   prints "PASSED FAILED SKIPPED" of a `meson test` run; REPORT
                                   names the tests that failed, were skipped, or count agreement
summarise.py --skipped FILE        prints how many of the lines "skipped...: NAME: REASON" in FILE
                                   have the same reason
"""
import collections
import json
import re
import sys


def skipped_parts(text):
    """The reasons of lines "skipped: REASON" and "REASON: skipped"."""
    found = set()
    for line in text.splitlines():
        match = re.search(r"skipped: +(.+)", line) or re.search(r"(\S.*): skipped$", line)
        if match:
            found.add(match.group(1).strip())
    return sorted(found)


def summarise(log, report):
    passed, failed, skipped = 0, 0, 0
    for line in log:
        test = json.loads(line)
        name, result = test["name"], test["result"]
        text = test.get("stdout", "") + test.get("stderr", "")
        if result in ("OK", "EXPECTEDFAIL"):
            passed += 1
            if "(counted)" in name:
                report.write(f"{name}: {text.strip().splitlines()[-1] if text.strip() else ''}\n")
            for part in skipped_parts(text):
                report.write(f"skipped in {name}: {part}\n")
        elif result == "SKIP":
            skipped += 1
            parts = skipped_parts(text) or ["no reason given"]
            report.write(f"skipped: {name}: {'; '.join(parts)}\n")
        else:
            failed += 1
            tail = "\n".join("    " + row for row in text.splitlines()[-25:])
            report.write(f"FAILED: {name} ({result})\n{tail}\n")
    print(passed, failed, skipped)


def skipped_by_reason(lines):
    reasons = collections.Counter()
    for line in lines:
        if "../shared" in line:
            reasons["../shared (optional models and texts beside this folder) is not there"] += 1
        else:
            reasons[line.strip().rsplit(": ", 1)[-1]] += 1
    if reasons:
        print(f"{sum(reasons.values())} tests or parts of tests were skipped:")
    for reason, count in reasons.most_common():
        print(f"{count:6}  {reason}")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--skipped":
        with open(sys.argv[2], encoding="utf-8") as lines:
            skipped_by_reason(lines)
    elif len(sys.argv) == 3:
        with open(sys.argv[1], encoding="utf-8") as log, \
                open(sys.argv[2], "w", encoding="utf-8") as report:
            summarise(log, report)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
