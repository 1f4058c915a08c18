#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Instructions, modelled C906 cycles and bytes loaded, from counts per address and a disassembly.

    cycles.py DISASSEMBLY COUNTS_SHORT COUNTS_LONG TOKENS [--by-function]

COUNTS are files of vcount for two runs whose lengths differ by TOKENS; the figures are per token.
Instructions are counted. Cycles are MODELLED, to compare programs, without cache misses: a vector
operation costs 2 cycles for each 128-bit register of its group, 4 if it widens (rvv-bench's
measurements on a C906); loads and stores 2 for each register; reductions 2 * LMUL + 1; division
36 * LMUL; scalar multiplications and float operations 2; integer division 12; float division 15;
loads 1.5; all else 1. Bytes loaded: scalar loads by their width, vector loads as if each filled its
group of registers, which is an upper bound.
"""
import collections
import re
import sys


def counts(name):
    return {int(line.split()[0], 16): int(line.split()[2]) for line in open(name, encoding="ascii")}


def main():
    listing, tokens = sys.argv[1], float(sys.argv[4])
    short, long = counts(sys.argv[2]), counts(sys.argv[3])
    sew, lmul, function = 8, 1, "?"
    cost, of, loaded = {}, {}, {}
    width = {"b": 1, "h": 2, "w": 4, "d": 8}
    for line in open(listing, encoding="utf-8", errors="replace"):
        found = re.match(r"([0-9a-f]+) <(.*)>:$", line)
        if found:
            function = found.group(2)
            continue
        fields = line.rstrip("\n").split("\t")
        if len(fields) < 3 or not fields[0].strip().endswith(":"):
            continue
        try:
            at = int(fields[0].strip()[:-1], 16)
        except ValueError:
            continue
        op, arguments = fields[2].strip(), fields[3] if len(fields) > 3 else ""
        c, b = 1.0, 0
        if op == "th.vsetvli":
            found = re.search(r"e(\d+),m(\d)", arguments)
            sew, lmul = int(found.group(1)), int(found.group(2))
        elif op.startswith("th.v"):
            kind = op[3:]
            memory = re.match(r"v([ls])(s|x|ux)?([bhwe])u?\.v", kind)
            if memory:
                c = max(2 * lmul, 2)
                if memory.group(1) == "l":
                    element = sew // 8 if memory.group(3) == "e" else width[memory.group(3)]
                    b = lmul * 128 // sew * element
                    if memory.group(2):  # strided or indexed: one element in each cycle
                        c = max(c, lmul * 128 // sew)
            elif "red" in kind:
                c = 2 * lmul + 1 + (2 if kind.startswith("vf") else 0)
            elif kind.startswith(("vw", "vfw", "vn")):
                c = 4 * lmul
            elif kind.startswith(("vfdiv", "vfrdiv", "vfsqrt")):
                c = 36 * lmul
            elif kind in ("vmv.x.s", "vext.x.v") or \
                    kind.startswith(("vmv.s", "vfmv.f", "vmfirst", "vmpopc")):
                c = 4
            elif kind.startswith("vcompress"):
                c = 4 * lmul * lmul
            else:
                c = 2 * lmul
        elif re.match(r"(div|rem)", op):
            c = 12
        elif op.startswith(("fdiv", "fsqrt")):
            c = 15
        elif op.startswith("mul"):
            c = 2
        elif re.match(r"(l[bhwd]u?|c\.l[wd](sp)?|fl[wd])$", op):
            c = 1.5
            b = width[re.sub(r"^(c\.)?f?l", "", op)[0]]
        elif op.startswith("f"):
            c = 2
        cost[at], of[at], loaded[at] = c, function, b
    total = collections.Counter()
    cycles, bytes_loaded = collections.Counter(), 0.0
    for at, n in long.items():
        n = (n - short.get(at, 0)) / tokens
        name = of.get(at, "(elsewhere)")
        total[name] += n
        cycles[name] += n * cost.get(at, 1.0)
        bytes_loaded += n * loaded.get(at, 0)
    print(f"{sum(total.values()):.0f} {sum(cycles.values()):.0f} {bytes_loaded:.0f}")
    if "--by-function" in sys.argv:
        for name, c in cycles.most_common(12):
            print(f"    {name:32} {total[name]:11.0f} instructions {c:12.0f} cycles (modelled)")


main()
