#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every block format decoded twice, bit by bit the same: by duotale (the program given) and by the numpy decoders here.

The decoders are written from the format's description (the block structures of ggml's quantised types): whole arrays of
blocks at a time, fields by their offsets, in binary32. Where python3-gguf is installed, its decoders are a third voice.

    forms.py PROGRAM        exit 77 where numpy is missing
"""
import subprocess
import sys

try:
    import numpy as np
except ImportError:
    print("numpy is missing: skipped")
    sys.exit(77)

F32 = np.float32


def half(b, at):
    return b[:, at:at + 2].copy().view("<f2").astype(F32)  # (n, 1)


def nibbles(q):
    """(n, 16) bytes to (n, 32): all low halves, then all high ones."""
    return np.concatenate([q & 15, q >> 4], axis=1)


def bits32(b, at):
    """Four bytes as 32 values of 0 or 1."""
    return np.unpackbits(b[:, at:at + 4], axis=1, bitorder="little")


def q8_0(b):
    return half(b, 0) * b[:, 2:34].view(np.int8).astype(F32)


def q4_0(b):
    return half(b, 0) * (nibbles(b[:, 2:18]).astype(np.int8) - 8).astype(F32)


def q4_1(b):
    return half(b, 0) * nibbles(b[:, 4:20]).astype(F32) + half(b, 2)


def q5_0(b):
    q = nibbles(b[:, 6:22]) | bits32(b, 2) << 4
    return half(b, 0) * (q.astype(np.int8) - 16).astype(F32)


def q5_1(b):
    q = nibbles(b[:, 8:24]) | bits32(b, 4) << 4
    return half(b, 0) * q.astype(F32) + half(b, 2)


def iq4_nl(b):
    levels = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], dtype=F32)
    return half(b, 0) * levels[nibbles(b[:, 2:18])]


def crumbs(q):
    """(n, 64) bytes of 2-bit values to (n, 256): each half of 32 bytes holds four planes of 32."""
    return np.concatenate([(q[:, h:h + 32] >> s) & 3 for h in (0, 32) for s in (0, 2, 4, 6)], axis=1)


def by16(scale):
    return np.repeat(scale.astype(F32), 16, axis=1)


def by32(scale):
    return np.repeat(scale.astype(F32), 32, axis=1)


def q2_k(b):
    scales, d, dmin = b[:, 0:16], half(b, 80), half(b, 82)
    return d * by16(scales & 15) * crumbs(b[:, 16:80]).astype(F32) - dmin * by16(scales >> 4)


def q3_k(b):
    planes = np.unpackbits(b[:, 0:32, None], axis=2, bitorder="little")      # (n, 32, 8): bit k of byte l
    high = planes.transpose(0, 2, 1).reshape(len(b), 256)                       # value 32 k + l
    low4 = np.concatenate([b[:, 96:104] & 15, b[:, 96:104] >> 4], axis=1)
    high2 = np.concatenate([(b[:, 104:108] >> s) & 3 for s in (0, 2, 4, 6)], axis=1)
    scales = (low4 | high2 << 4).astype(np.int16) - 32
    q = crumbs(b[:, 32:96]).astype(np.int16) - 4 * (1 - high.astype(np.int16))
    return half(b, 108) * by16(scales) * q.astype(F32)


def scales_k4(p):
    """12 bytes to eight 6-bit scales and eight minimums."""
    first, second, third = p[:, 0:4], p[:, 4:8], p[:, 8:12]
    scale = np.concatenate([first & 63, (third & 15) | (first >> 6) << 4], axis=1)
    low = np.concatenate([second & 63, third >> 4 | (second >> 6) << 4], axis=1)
    return scale, low


def nibbles_k(q):
    """(n, 128) bytes to (n, 256): 32 bytes give 32 low halves and then 32 high ones."""
    return np.concatenate([x for i in range(0, 128, 32) for x in (q[:, i:i + 32] & 15, q[:, i:i + 32] >> 4)], axis=1)


def q4_k(b):
    scale, low = scales_k4(b[:, 4:16])
    return half(b, 0) * by32(scale) * nibbles_k(b[:, 16:144]).astype(F32) - half(b, 2) * by32(low)


def q5_k(b):
    scale, low = scales_k4(b[:, 4:16])
    planes = np.unpackbits(b[:, 16:48, None], axis=2, bitorder="little").transpose(0, 2, 1).reshape(len(b), 256)
    q = nibbles_k(b[:, 48:176]) | planes << 4
    return half(b, 0) * by32(scale) * q.astype(F32) - half(b, 2) * by32(low)


def q6_k(b):
    ql, qh = b[:, 0:128], b[:, 128:192]
    parts = []
    for h in range(2):
        lo, hi = ql[:, 64 * h:64 * h + 64], qh[:, 32 * h:32 * h + 32]
        parts += [lo[:, :32] & 15 | (hi & 3) << 4, lo[:, 32:] & 15 | (hi >> 2 & 3) << 4,
                  lo[:, :32] >> 4 | (hi >> 4 & 3) << 4, lo[:, 32:] >> 4 | (hi >> 6) << 4]
    q = np.concatenate(parts, axis=1).astype(np.int8) - 32
    return half(b, 208) * by16(b[:, 192:208].view(np.int8)) * q.astype(F32)


def f16(b):
    return b.copy().view("<f2").astype(F32)


def bf16(b):
    return (b.copy().view("<u2").astype(np.uint32) << 16).view(F32)


# name: (bytes of a block, values of a block, where f16 fields lie, decoder)
FORMS = {
    "f16": (2, 1, [0], f16), "bf16": (2, 1, [], bf16),
    "q8_0": (34, 32, [0], q8_0), "q4_0": (18, 32, [0], q4_0), "q4_1": (20, 32, [0, 2], q4_1),
    "q5_0": (22, 32, [0], q5_0), "q5_1": (24, 32, [0, 2], q5_1), "iq4_nl": (18, 32, [0], iq4_nl),
    "q2_k": (84, 256, [80, 82], q2_k), "q3_k": (110, 256, [108], q3_k), "q4_k": (144, 256, [0, 2], q4_k),
    "q5_k": (176, 256, [0, 2], q5_k), "q6_k": (210, 256, [208], q6_k),
}


def third_voice(name, blocks):
    try:
        from gguf import GGMLQuantizationType, quants
    except ImportError:
        return None
    return quants.dequantize(blocks.reshape(-1), getattr(GGMLQuantizationType, name.upper())).reshape(-1)


def main():
    rng = np.random.Generator(np.random.PCG64(7))
    wrong = 0
    for name, (size, values, halves, decode) in FORMS.items():
        count = 512 if values > 1 else 8192
        blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
        for at in halves:  # any finite half, most of a usual size
            scale = rng.standard_normal((count, 1)) * 10.0 ** rng.integers(-6, 4, (count, 1))
            blocks[:, at:at + 2] = scale.astype("<f2").view(np.uint8).reshape(count, 2)
        if name == "bf16":
            blocks[:, 1] &= 0xbf  # no infinities
        got = subprocess.run([sys.argv[1], name, "8"], input=blocks.tobytes(), stdout=subprocess.PIPE, check=True)
        got = np.frombuffer(got.stdout, "<f4")
        want = decode(blocks).reshape(-1)
        assert want.dtype == F32 and got.size == count * values, (name, got.size)
        same = bool((got.view(np.uint32) == want.view(np.uint32)).all())
        voices = 2
        other = third_voice(name, blocks)
        if other is not None:
            voices = 3
            same = same and bool((got == other).all())
        print(f"{name}: {got.size} values, {voices} decoders, {'the same bits' if same else 'DIFFERENT'}")
        wrong += not same
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
