# SPDX-License-Identifier: MIT
# Attention for RVV 0.7.1: scores with positions in vector lanes (the keys of a channel are
# contiguous), and the sum of weighted values with channels in lanes. Prototypes: kernels.h.
#include "asm.inc"

# Repeats `rows` times: v0 += the row at `from` times the float at `weight`. Rows are a3 bytes
# apart. Changes all three registers.
.macro ADD_ROWS weight, from, rows
10: flw     fa1, 0(\weight)
    th.vle.v v16, (\from)
    add     \from, \from, a3
    addi    \rows, \rows, -1
    th.vfmul.vf v16, v16, fa1
    addi    \weight, \weight, 4
    th.vfadd.vv v0, v0, v16
    bnez    \rows, 10b
.endm

# As above for two rows at a time: v0 from `low`, v8 from `high`.
.macro ADD_ROW_PAIRS weight, low, high, rows
10: flw     fa1, 0(\weight)
    th.vle.v v16, (\low)
    add     \low, \low, a3
    th.vle.v v24, (\high)
    add     \high, \high, a3
    th.vfmul.vf v16, v16, fa1
    th.vfmul.vf v24, v24, fa1
    addi    \rows, \rows, -1
    th.vfadd.vv v0, v0, v16
    th.vfadd.vv v8, v8, v24
    addi    \weight, \weight, 4
    bnez    \rows, 10b
.endm

# a0 scores, a1 q, a2 keys, a3 bytes between channels, a4 channels, a5 positions, fa0 divisor.
# Each lane sums the channels of its position in sequence, starting from 0.
FUNCTION dt_rvv07_scores
1:  li      t0, 64
    bltu    a5, t0, 3f
    # 64 positions
    srli    t0, t0, 1
    th.vsetvli x0, t0, e32, m8
    th.vmv.v.i v0, 0
    th.vmv.v.i v8, 0
    mv      t1, a1
    mv      t2, a2
    addi    t3, a2, 128
    mv      t4, a4
    ADD_ROW_PAIRS t1, t2, t3, t4
    th.vfdiv.vf v0, v0, fa0
    th.vfdiv.vf v8, v8, fa0
    th.vse.v v0, (a0)
    addi    a0, a0, 128
    th.vse.v v8, (a0)
    addi    a0, a0, 128
    addi    a2, a2, 256
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
    ADD_ROWS t1, t2, t4
    th.vfdiv.vf v0, v0, fa0
    th.vse.v v0, (a0)
    sub     a5, a5, t0
    slli    t0, t0, 2
    add     a0, a0, t0
    add     a2, a2, t0
    j       3b
    # up to 16 positions: a smaller group of registers is faster
6:  th.vsetvli t0, a5, e32, m4
    th.vmv.v.i v0, 0
    ADD_ROWS a1, a2, a4
    th.vfdiv.vf v0, v0, fa0
    th.vse.v v0, (a0)
9:  ret

# a0 out, a1 weights, a2 values, a3 bytes between positions, a4 channels (1..32), a5 positions (>=
# 1): out[c] = sum over positions, in sequence, of weight * value[c].
FUNCTION dt_rvv07_mix
    th.vsetvli x0, a4, e32, m8
    th.vmv.v.i v0, 0
    ADD_ROWS a1, a2, a5
    th.vse.v v0, (a0)
    ret

# The same for 2 * a4 channels (a4 <= 32).
FUNCTION dt_rvv07_mix2
    th.vsetvli x0, a4, e32, m8
    slli    a4, a4, 2
    add     a6, a2, a4
    th.vmv.v.i v0, 0
    th.vmv.v.i v8, 0
    ADD_ROW_PAIRS a1, a2, a6, a5
    th.vse.v v0, (a0)
    add     a0, a0, a4
    th.vse.v v8, (a0)
    ret

# The same for 48 channels.
FUNCTION dt_rvv07_mix48
    li      t0, 16
    th.vsetvli x0, t0, e32, m4
    th.vmv.v.i v0, 0
    addi    a6, a2, 64
    th.vmv.v.i v4, 0
    addi    a7, a2, 128
    th.vmv.v.i v8, 0
1:  flw     fa1, 0(a1)
    th.vle.v v12, (a2)
    add     a2, a2, a3
    th.vle.v v16, (a6)
    add     a6, a6, a3
    th.vle.v v20, (a7)
    add     a7, a7, a3
    th.vfmul.vf v12, v12, fa1
    th.vfmul.vf v16, v16, fa1
    th.vfmul.vf v20, v20, fa1
    addi    a5, a5, -1
    th.vfadd.vv v0, v0, v12
    th.vfadd.vv v4, v4, v16
    th.vfadd.vv v8, v8, v20
    addi    a1, a1, 4
    bnez    a5, 1b
    th.vse.v v0, (a0)
    addi    a0, a0, 64
    th.vse.v v4, (a0)
    addi    a0, a0, 64
    th.vse.v v8, (a0)
    ret

# ---- caches of halves ----

# Repeats `rows` times: v0 += the row of t0 halves at `from` times the float at `weight`, two rows
# at a time. Rows are a3 bytes apart. Vectors are of floats before and after. Changes the three
# registers, t5, and v8 to v31.
.macro ADD_HALF_ROWS weight, from, rows
    andi    t5, \rows, 1
    beqz    t5, 11f
    th.vsetvli x0, t0, e16, m4
    flw     fa1, 0(\weight)
    th.vle.v v24, (\from)
    add     \from, \from, a3
    addi    \weight, \weight, 4
    th.vfwcvt.f.f.v v8, v24
    addi    \rows, \rows, -1
    th.vsetvli x0, t0, e32, m8
    th.vfmul.vf v8, v8, fa1
    th.vfadd.vv v0, v0, v8
    beqz    \rows, 12f
11: th.vsetvli x0, t0, e16, m4
    th.vle.v v24, (\from)
    add     \from, \from, a3
    th.vle.v v28, (\from)
    add     \from, \from, a3
    flw     fa1, 0(\weight)
    th.vfwcvt.f.f.v v8, v24
    flw     fa2, 4(\weight)
    th.vfwcvt.f.f.v v16, v28
    addi    \rows, \rows, -2
    th.vsetvli x0, t0, e32, m8
    th.vfmul.vf v8, v8, fa1
    addi    \weight, \weight, 8
    th.vfmul.vf v16, v16, fa2
    th.vfadd.vv v0, v0, v8
    th.vfadd.vv v0, v0, v16
    bnez    \rows, 11b
12:
.endm

# As dt_rvv07_scores, for keys that are halves.
FUNCTION dt_rvv07_scores_half
    beqz    a5, 9f
1:  th.vsetvli t0, a5, e32, m8
    th.vmv.v.i v0, 0
    mv      t1, a1
    mv      t2, a2
    mv      t4, a4
    ADD_HALF_ROWS t1, t2, t4
    th.vfdiv.vf v0, v0, fa0
    th.vse.v v0, (a0)
    sub     a5, a5, t0
    slli    t1, t0, 2
    add     a0, a0, t1
    slli    t1, t0, 1
    add     a2, a2, t1
    bnez    a5, 1b
9:  ret

# As dt_rvv07_mix, for values that are halves.
FUNCTION dt_rvv07_mix_half
    th.vsetvli t0, a4, e32, m8
    th.vmv.v.i v0, 0
    ADD_HALF_ROWS a1, a2, a5
    th.vse.v v0, (a0)
    ret

    .section .note.GNU-stack,"",@progbits
