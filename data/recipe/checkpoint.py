#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""checkpoint.py RUN OUT.bin: writes the last checkpoint of a run as a llama2.c float file.

For models that are measured but not shipped; release.py writes the files of a shipped one.
"""
import json
import os
import sys

import numpy as np

import export
import model
from corpus import stop


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: checkpoint.py RUN OUT.bin")
    path = os.path.join(sys.argv[1], "checkpoint.npz")
    try:
        with np.load(path) as c:
            shape, flat = model.Shape(*map(int, c["shape"])), c["flat"]
            state = json.loads(str(c["state"]))
    except (OSError, KeyError, ValueError) as e:
        stop(f"cannot read the checkpoint {path}: {e}; run train.py first")
    export.llama2c(shape, flat, sys.argv[2])
    print(f"{sys.argv[2]}: {model.count(shape)} parameters after {state['step']} steps, "
          f"{state['tokens']} tokens")


if __name__ == "__main__":
    main()
