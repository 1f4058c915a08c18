#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""forms.py PROGRAM: decodes every block format with PROGRAM (form_rows) and with numpy.

The results must have the same bits. Formats that duotale writes are encoded with both, too. The
decoders here are written from the description of ggml's block structures: whole arrays of blocks,
fields by their offsets, in binary32. python3-gguf is a third implementation if it is installed.
Exit code 77: numpy is missing.
"""
import subprocess
import sys

try:
    import numpy as np
except ImportError:
    print("skipped: numpy is not installed")
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
    levels = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
                      dtype=F32)
    return half(b, 0) * levels[nibbles(b[:, 2:18])]


def crumbs(q):
    """(n, 64) bytes of 2-bit values to (n, 256): each half of 32 bytes holds four planes of 32."""
    return np.concatenate([(q[:, h:h + 32] >> s) & 3 for h in (0, 32) for s in (0, 2, 4, 6)],
                          axis=1)


def by16(scale):
    return np.repeat(scale.astype(F32), 16, axis=1)


def by32(scale):
    return np.repeat(scale.astype(F32), 32, axis=1)


def q2_k(b):
    scales, d, dmin = b[:, 0:16], half(b, 80), half(b, 82)
    return d * by16(scales & 15) * crumbs(b[:, 16:80]).astype(F32) - dmin * by16(scales >> 4)


def q3_k(b):
    # (n, 32, 8): bit k of byte l
    planes = np.unpackbits(b[:, 0:32, None], axis=2, bitorder="little")
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
    parts = [q[:, i:i + 32] for i in range(0, 128, 32)]
    return np.concatenate([half for part in parts for half in (part & 15, part >> 4)], axis=1)


def q4_k(b):
    scale, low = scales_k4(b[:, 4:16])
    return half(b, 0) * by32(scale) * nibbles_k(b[:, 16:144]).astype(F32) - half(b, 2) * by32(low)


def q5_k(b):
    scale, low = scales_k4(b[:, 4:16])
    planes = np.unpackbits(b[:, 16:48, None], axis=2, bitorder="little")
    planes = planes.transpose(0, 2, 1).reshape(len(b), 256)
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


# Encoders: (n, 32) floats to blocks.

def halves_of(x):
    return np.ascontiguousarray(x.astype("<f2")).view(np.uint8)


def inverse(d):
    return np.divide(F32(1), d, out=np.zeros_like(d), where=d != 0)


def fields(q):
    """(n, 32) levels to their fifth bits as four bytes, and their low halves as sixteen."""
    return np.packbits(q >> 4, axis=1, bitorder="little"), (q[:, :16] & 15) | (q[:, 16:] & 15) << 4


def to_q8_0(x):
    d = np.abs(x).max(axis=1, keepdims=True) / F32(127)
    q = x * inverse(d)
    q = np.sign(q) * np.floor(np.abs(q.astype(np.float64)) + 0.5)  # halves round away from 0
    return np.concatenate([halves_of(d), q.astype(np.int8).view(np.uint8)], axis=1)


def around_zero(x, middle):
    extreme = np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)
    d = extreme / F32(-middle)
    q = np.trunc(x * inverse(d) + F32(middle + 0.5)).clip(0, 2 * middle - 1).astype(np.uint8)
    return halves_of(d), *fields(q)


def from_minimum(x, most):
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    d = (high - low) / F32(most)
    q = np.trunc((x - low) * inverse(d) + F32(0.5)).clip(0, most).astype(np.uint8)
    return halves_of(d), halves_of(low), *fields(q)


def to_q4_0(x):
    d, _, low = around_zero(x, 8)
    return np.concatenate([d, low], axis=1)


def to_q4_1(x):
    d, minimum, _, low = from_minimum(x, 15)
    return np.concatenate([d, minimum, low], axis=1)


def to_q5_0(x):
    return np.concatenate(around_zero(x, 16), axis=1)


def to_q5_1(x):
    return np.concatenate(from_minimum(x, 31), axis=1)


def to_q4_k(x):
    x = x.reshape(-1, 8, 32).astype(np.float64)
    low = np.minimum(x.min(axis=2), 0)
    scale = (x.max(axis=2) - low) / 15
    d, dmin = (m.max(axis=1).__truediv__(63).astype(F32).astype("<f2") for m in (scale, 0 - low))

    def six_bits(values, unit):
        unit = unit.astype(np.float64)[:, None]
        q = np.divide(values, unit, out=np.zeros_like(values), where=unit != 0)
        return np.rint(q.clip(0, 63)).astype(np.uint8)

    sc, mn = six_bits(scale, d), six_bits(0 - low, dmin)
    step = (d.astype(F32)[:, None] * sc.astype(F32)).astype(np.float64)[:, :, None]
    down = (dmin.astype(F32)[:, None] * mn.astype(F32)).astype(np.float64)[:, :, None]
    q = np.divide(x + down, step, out=np.zeros_like(x), where=step != 0)
    q = np.rint(q.clip(0, 15)).astype(np.uint8)
    packed = np.empty((len(x), 12), np.uint8)
    packed[:, :4] = sc[:, :4] | sc[:, 4:] >> 4 << 6
    packed[:, 4:8] = mn[:, :4] | mn[:, 4:] >> 4 << 6
    packed[:, 8:] = sc[:, 4:] & 15 | mn[:, 4:] << 4
    nibbles = (q[:, 0::2] | q[:, 1::2] << 4).reshape(len(x), 128)
    return np.concatenate([halves_of(d[:, None]), halves_of(dmin[:, None]), packed, nibbles],
                          axis=1)


ENCODERS = {"q8_0": to_q8_0, "q4_0": to_q4_0, "q4_1": to_q4_1, "q5_0": to_q5_0, "q5_1": to_q5_1,
            "q4_k": to_q4_k}


# name: (bytes of a block, values of a block, offsets of f16 fields, decoder)
FORMS = {
    "f16": (2, 1, [0], f16), "bf16": (2, 1, [], bf16),
    "q8_0": (34, 32, [0], q8_0), "q4_0": (18, 32, [0], q4_0), "q4_1": (20, 32, [0, 2], q4_1),
    "q5_0": (22, 32, [0], q5_0), "q5_1": (24, 32, [0, 2], q5_1), "iq4_nl": (18, 32, [0], iq4_nl),
    "q2_k": (84, 256, [80, 82], q2_k), "q3_k": (110, 256, [108], q3_k),
    "q4_k": (144, 256, [0, 2], q4_k),
    "q5_k": (176, 256, [0, 2], q5_k), "q6_k": (210, 256, [208], q6_k),
}


def python_gguf(name, given, function):
    try:
        from gguf import GGMLQuantizationType, quants
    except ImportError:
        return None
    return getattr(quants, function)(given, getattr(GGMLQuantizationType, name.upper())).reshape(-1)


def ours(*args, given):
    return subprocess.run([sys.argv[1], *args], input=given.tobytes(), stdout=subprocess.PIPE,
                          check=True).stdout


def output(name, what, same, third):
    print(f"{name}: {what}, {2 + third} implementations {'agree' if same else 'DIFFER'}")
    return not same


def write(rng):
    """Rows of normal weights, one value, zeros, one sign, tiny and large values."""
    count, wrong = 2048, 0
    magnitude = F32(10) ** rng.integers(-4, 3, (count, 1)).astype(F32)
    x = rng.standard_normal((count, 32)).astype(F32)
    x *= magnitude
    x[:8] = 0
    x[8:16] = x[8:16, :1]
    x[16:32] = np.abs(x[16:32])
    x[32:48] = -np.abs(x[32:48])
    x[48:64] *= F32(1e-7)  # scales below the smallest normal half
    x[64:96, 5] = -x[64:96, 9]  # equal magnitudes
    x[96:128, 3:] = np.round(x[96:128, 3:]) + F32(0)  # no -0: either zero may be the minimum
    for name, encode in ENCODERS.items():
        blocks = encode(x)
        assert blocks.dtype == np.uint8, name
        assert blocks.shape == (x.size // FORMS[name][1], FORMS[name][0]), (name, blocks.shape)
        same = ours(name, "8", "write", given=x) == blocks.tobytes()
        if name == "q4_k":  # other programs search for better scales
            wrong += output(name, f"{blocks.size} bytes written", same, False)
            continue
        other = python_gguf(name, x, "quantize")
        same = same and (other is None or other.tobytes() == blocks.tobytes())
        # No value is off by more than half a step and the rounding of the half floats. The levels
        # of q4_0 and q5_0 are not symmetric: at one end a value may be off by a whole step.
        step = half(blocks, 0)
        off = np.abs(FORMS[name][3](blocks) - x)
        steps = F32(1.02 if name in ("q4_0", "q5_0") else 0.52)
        largest = np.abs(x).max(axis=1, keepdims=True)
        bound = np.abs(step) * steps + largest * F32(1e-3) + F32(4e-6)
        same = same and bool((off <= bound).all())
        wrong += output(name, f"{blocks.size} bytes written", same, other is not None)
    return wrong


def fit(rng):
    """Fitted blocks decode to values whose squared error is at most that of rounded ones."""
    wrong = 0
    x = rng.standard_normal((256, 256)).astype(F32) * F32(0.1)
    x[:32, ::17] *= F32(9)
    x[32:64] = np.abs(x[32:64])
    x[64:96] = np.round(x[64:96] * 20) / 20
    for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q4_k"):
        size, values, _, decode = FORMS[name]
        blocks = np.frombuffer(ours(name, str(256 // values), "fit", given=x), np.uint8)
        errors = [((decode(b).reshape(x.shape).astype(np.float64) - x) ** 2).sum(axis=1)
                  for b in (blocks.reshape(-1, size), ENCODERS[name](x.reshape(-1, values)))]
        same = bool((errors[0] <= errors[1] * (1 + 1e-9)).all()) and \
            errors[0].sum() < 0.95 * errors[1].sum()
        print(f"{name}: squared error {errors[0].sum() / errors[1].sum():.3f} of rounding's")
        wrong += output(name, f"{blocks.size} bytes fitted", same, False)
    return wrong


def main():
    rng = np.random.Generator(np.random.PCG64(7))
    wrong = 0
    for name, (size, values, halves, decode) in FORMS.items():
        count = 512 if values > 1 else 8192
        blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
        for at in halves:  # any finite half, most near 1
            scale = rng.standard_normal((count, 1)) * 10.0 ** rng.integers(-6, 4, (count, 1))
            blocks[:, at:at + 2] = scale.astype("<f2").view(np.uint8).reshape(count, 2)
        if name == "bf16":
            blocks[:, 1] &= 0xbf  # no infinities
        got = np.frombuffer(ours(name, "8", given=blocks), "<f4")
        want = decode(blocks).reshape(-1)
        assert want.dtype == F32 and got.size == count * values, (name, got.size)
        same = bool((got.view(np.uint32) == want.view(np.uint32)).all())
        other = python_gguf(name, blocks.reshape(-1), "dequantize")
        same = same and (other is None or bool((got == other).all()))
        wrong += output(name, f"{got.size} values read", same, other is not None)
    wrong += write(rng) + fit(rng)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
