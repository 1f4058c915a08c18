#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""widen.py INT8.bin FP32.bin: a llama2.c file of version 2 (int8 groups) as a legacy fp32 file.

Every weight is its integer times its group's scale, rounded once to binary32. So the fp32 rows of
a model need no second, four times larger file in the tree.
"""
import array
import struct
import sys


def floats(data, at, count):
    values = array.array("f")
    values.frombytes(data[at:at + 4 * count])
    return values


class Reader:
    def __init__(self, data):
        magic, version, *self.shape = struct.unpack("<Ii7i", data[:36])
        if magic != 0x616B3432 or version != 2:
            raise ValueError("not a llama2.c file of version 2")
        self.shared = data[36]
        self.group = struct.unpack("<i", data[37:41])[0]
        self.data, self.at = data, 256

    def vector(self, count):
        self.at += 4 * count
        return floats(self.data, self.at - 4 * count, count)

    def matrix(self, rows, cols):
        """Integers, then scales; the product of both is exact in binary64."""
        count = rows * cols
        quants = array.array("b", self.data[self.at:self.at + count])
        self.at += count
        scales = self.vector(count // self.group)
        values = array.array("f")
        for number, scale in enumerate(scales):
            begin = number * self.group
            values.extend(quant * scale for quant in quants[begin:begin + self.group])
        return values


def widen(data):
    reader = Reader(data)
    dim, hidden, layers, heads, kv_heads, vocab, context = reader.shape
    kv = dim // heads * kv_heads
    norms = [reader.vector(layers * dim), reader.vector(layers * dim), reader.vector(dim)]
    embedding = reader.matrix(vocab, dim)
    queries, keys, values, outputs, w1, w2, w3 = (
        [reader.matrix(rows, cols) for _ in range(layers)]
        for rows, cols in ((dim, dim), (kv, dim), (kv, dim), (dim, dim),
                           (hidden, dim), (dim, hidden), (hidden, dim)))
    classifier = [] if reader.shared else [reader.matrix(vocab, dim)]
    if reader.at != len(data):
        raise ValueError(f"{len(data)} bytes; the header describes {reader.at}")
    # a negative vocabulary size says that the classifier has weights of its own
    header = struct.pack("<7i", dim, hidden, layers, heads, kv_heads,
                         vocab if reader.shared else -vocab, context)
    rotations = array.array("f", bytes(4 * context * (dim // heads)))  # every reader skips them
    parts = [embedding, norms[0], *queries, *keys, *values, *outputs, norms[1], *w1, *w2, *w3,
             norms[2], rotations, *classifier]
    return header + b"".join(part.tobytes() for part in parts)


def main():
    with open(sys.argv[1], "rb") as source:
        data = widen(source.read())
    with open(sys.argv[2], "wb") as target:
        target.write(data)


if __name__ == "__main__":
    main()
