# SPDX-License-Identifier: MIT
# Attention over an int8 KV cache for RVV 0.7.1: kv.S with rows of int8, which are converted as they
# are loaded. Prototypes: kernels.h.
#include "asm.inc"

# v0 += the row at `from` times the float `offset` bytes behind `weight`. Rows are a3 bytes apart.
.macro ADD_ROW offset, weight, from
    flw     fa1, \offset(\weight)
    th.vlb.v v16, (\from)
    add     \from, \from, a3
    th.vfcvt.f.x.v v16, v16
    th.vfmul.vf v16, v16, fa1
    th.vfadd.vv v0, v0, v16
.endm

# As above for two rows: v0 from `low`, v8 from `high`.
.macro ADD_ROW_PAIR offset, weight, low, high
    flw     fa1, \offset(\weight)
    th.vlb.v v16, (\low)
    add     \low, \low, a3
    th.vlb.v v24, (\high)
    add     \high, \high, a3
    th.vfcvt.f.x.v v16, v16
    th.vfcvt.f.x.v v24, v24
    th.vfmul.vf v16, v16, fa1
    th.vfmul.vf v24, v24, fa1
    th.vfadd.vv v0, v0, v16
    th.vfadd.vv v8, v8, v24
.endm

# As above for three rows in groups of four registers: v0, v4 and v8.
.macro ADD_ROW_TRIPLE offset, weight, low, middle, high
    flw     fa1, \offset(\weight)
    th.vlb.v v12, (\low)
    add     \low, \low, a3
    th.vlb.v v16, (\middle)
    add     \middle, \middle, a3
    th.vlb.v v20, (\high)
    add     \high, \high, a3
    th.vfcvt.f.x.v v12, v12
    th.vfcvt.f.x.v v16, v16
    th.vfcvt.f.x.v v20, v20
    th.vfmul.vf v12, v12, fa1
    th.vfmul.vf v16, v16, fa1
    th.vfmul.vf v20, v20, fa1
    th.vfadd.vv v0, v0, v12
    th.vfadd.vv v4, v4, v16
    th.vfadd.vv v8, v8, v20
.endm

# Repeats one of the macros `rows` times, four at a time. Changes weight, the rows, `rows` and temp.
.macro REPEAT rows, temp, what, weight, where:vararg
    srli    \temp, \rows, 2
    andi    \rows, \rows, 3
    beqz    \temp, 12f
10: \what   0, \weight, \where
    \what   4, \weight, \where
    \what   8, \weight, \where
    \what   12, \weight, \where
    addi    \temp, \temp, -1
    addi    \weight, \weight, 16
    bnez    \temp, 10b
12: beqz    \rows, 13f
11: \what   0, \weight, \where
    addi    \rows, \rows, -1
    addi    \weight, \weight, 4
    bnez    \rows, 11b
13:
.endm

# a0 scores, a1 q, a2 keys, a3 bytes between channels, a4 channels, a5 positions, a6 scales, fa0
# divisor. Each lane sums the channels of its position in sequence, starting from 0.
FUNCTION dt_rvv07_scores_i8
1:  li      t0, 64
    bltu    a5, t0, 3f
    # 64 positions
    srli    t0, t0, 1
    th.vsetvli x0, t0, e32, m8
    th.vmv.v.i v0, 0
    th.vmv.v.i v8, 0
    mv      t1, a1
    mv      t2, a2
    addi    t3, a2, 32
    mv      t4, a4
    REPEAT  t4, t5, ADD_ROW_PAIR, t1, t2, t3
    th.vle.v v16, (a6)
    addi    a6, a6, 128
    th.vle.v v24, (a6)
    addi    a6, a6, 128
    th.vfmul.vv v0, v0, v16
    th.vfmul.vv v8, v8, v24
    th.vfdiv.vf v0, v0, fa0
    th.vfdiv.vf v8, v8, fa0
    th.vse.v v0, (a0)
    addi    a0, a0, 128
    th.vse.v v8, (a0)
    addi    a0, a0, 128
    addi    a2, a2, 64
    addi    a5, a5, -64
    j       1b
3:  beqz    a5, 9f
    li      t0, 16
    bleu    a5, t0, 6f
    # 17 to 32 positions; repeated for up to 63
    th.vsetvli t0, a5, e32, m8
    th.vmv.v.i v0, 0
    mv      t1, a1
    mv      t2, a2
    mv      t4, a4
    REPEAT  t4, t5, ADD_ROW, t1, t2
    th.vle.v v16, (a6)
    th.vfmul.vv v0, v0, v16
    th.vfdiv.vf v0, v0, fa0
    th.vse.v v0, (a0)
    sub     a5, a5, t0
    add     a2, a2, t0
    slli    t0, t0, 2
    add     a0, a0, t0
    add     a6, a6, t0
    j       3b
    # up to 16 positions: a smaller group of registers is faster
6:  th.vsetvli t0, a5, e32, m4
    th.vmv.v.i v0, 0
    REPEAT  a4, t5, ADD_ROW, a1, a2
    th.vle.v v16, (a6)
    th.vfmul.vv v0, v0, v16
    th.vfdiv.vf v0, v0, fa0
    th.vse.v v0, (a0)
9:  ret

# a0 out, a1 weights, a2 values, a3 bytes between positions, a4 channels (1..32), a5 positions:
# out[c] = sum over positions, in sequence, of weight * value[c].
FUNCTION dt_rvv07_mix_i8
    th.vsetvli x0, a4, e32, m8
    th.vmv.v.i v0, 0
    REPEAT  a5, t5, ADD_ROW, a1, a2
    th.vse.v v0, (a0)
    ret

# The same for 2 * a4 channels (a4 <= 32).
FUNCTION dt_rvv07_mix2_i8
    th.vsetvli x0, a4, e32, m8
    add     a6, a2, a4
    slli    a4, a4, 2
    th.vmv.v.i v0, 0
    th.vmv.v.i v8, 0
    REPEAT  a5, t5, ADD_ROW_PAIR, a1, a2, a6
    th.vse.v v0, (a0)
    add     a0, a0, a4
    th.vse.v v8, (a0)
    ret

# The same for 48 channels.
FUNCTION dt_rvv07_mix48_i8
    li      t0, 16
    th.vsetvli x0, t0, e32, m4
    th.vmv.v.i v0, 0
    addi    a6, a2, 16
    th.vmv.v.i v4, 0
    addi    a7, a2, 32
    th.vmv.v.i v8, 0
    REPEAT  a5, t5, ADD_ROW_TRIPLE, a1, a2, a6, a7
    th.vse.v v0, (a0)
    addi    a0, a0, 64
    th.vse.v v4, (a0)
    addi    a0, a0, 64
    th.vse.v v8, (a0)
    ret

# a0 x, a1 y, a2 count: x *= y.
FUNCTION dt_rvv07_multiply
    EACH_STRIP a2
    th.vle.v v0, (a0)
    th.vle.v v8, (a1)
    sub     a2, a2, t0
    slli    t0, t0, 2
    add     a1, a1, t0
    th.vfmul.vv v0, v0, v8
    th.vse.v v0, (a0)
    add     a0, a0, t0
    NEXT_STRIP a2

    .section .note.GNU-stack,"",@progbits
