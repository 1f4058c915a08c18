# SPDX-License-Identifier: MIT
# Matrix times vector for RVV 0.7.1 (XTheadVector) with VLEN 128. Prototypes and layouts: kernels.h.
#
# The rows of a tile are interleaved: a vector holds the weights of 64 (or 32) rows for one column,
# which are multiplied with one activation, and the sum of a row is in one lane. There are no
# reductions, and the float part is added group by group with the reference's order and roundings.
#
# Arguments: a0 y, a1 x, a2 x scales, a3 weights; the others are listed at each function.
#include "asm.inc"

# int8, 64 rows: a4 groups, a5 columns of a group. Two products of |w| <= 128 and |x| <= 127 fit in
# 16 bits, so that pairs of columns are summed there and then widened. v0 to v15 the 32-bit sums,
# v16 to v23 16-bit pairs, v24 to v31 two columns.
FUNCTION dt_rvv07_i8_tile64
    li      t0, 32
    li      t1, 64
    li      t2, 128
    addi    a7, a0, 128
    mv      a6, a4
    fmv.w.x fa1, zero
    th.vsetvli x0, t0, e32, m8
1:  flw     fa0, 0(a2)
    th.vmv.v.i v0, 0
    th.vmv.v.i v8, 0
    srli    t4, a5, 4
    beqz    t4, 3f
2:  .set    k, 0
    .rept   8
    th.vsetvli x0, t2, e8, m8
    th.vle.v v24, (a3)
    lb      t5, k(a1)
    lb      t6, k+1(a1)
    addi    a3, a3, 128
    th.vsetvli x0, t1, e8, m4
    th.vwmul.vx v16, v24, t5
    th.vwmacc.vx v16, t6, v28
    th.vsetvli x0, t0, e16, m4
    th.vwadd.wv v0, v0, v16
    th.vwadd.wv v8, v8, v20
    .set    k, k+2
    .endr
    addi    t4, t4, -1
    addi    a1, a1, 16
    bnez    t4, 2b
3:  andi    t4, a5, 15
    beqz    t4, 5f
4:  th.vsetvli x0, t1, e8, m4
    th.vle.v v24, (a3)
    lb      t5, 0(a1)
    addi    a3, a3, 64
    addi    a1, a1, 1
    th.vwmul.vx v16, v24, t5
    th.vsetvli x0, t0, e16, m4
    th.vwadd.wv v0, v0, v16
    th.vwadd.wv v8, v8, v20
    addi    t4, t4, -1
    bnez    t4, 4b
5:  th.vsetvli x0, t0, e32, m8
    addi    t3, a3, 128
    th.vle.v v16, (a3)
    th.vfcvt.f.x.v v0, v0
    th.vle.v v24, (t3)
    th.vfcvt.f.x.v v8, v8
    th.vfmul.vv v0, v0, v16
    th.vfmul.vv v8, v8, v24
    th.vfmul.vf v0, v0, fa0
    th.vfmul.vf v8, v8, fa0
    addi    a3, a3, 256
    addi    a2, a2, 4
    bne     a4, a6, 6f
    th.vfadd.vf v0, v0, fa1 # the first group is added to 0: -0 becomes 0
    th.vfadd.vf v8, v8, fa1
    j       7f
6:  th.vle.v v16, (a0)
    th.vle.v v24, (a7)
    th.vfadd.vv v0, v0, v16
    th.vfadd.vv v8, v8, v24
7:  th.vse.v v0, (a0)
    th.vse.v v8, (a7)
    addi    a4, a4, -1
    bnez    a4, 1b
    ret

# int8, 32 rows: a4 groups, a5 columns of a group. With half as many rows there are registers for
# the float sums (v8 to v15) and for a sign-extending load, so that a group needs no change of
# vector type.
FUNCTION dt_rvv07_i8_tile32
    li      t0, 32
    th.vsetvli x0, t0, e32, m8
    th.vmv.v.i v8, 0
1:  flw     fa0, 0(a2)
    th.vmv.v.i v0, 0
    th.vsetvli x0, t0, e16, m4
    srli    t4, a5, 4
    beqz    t4, 3f
2:  .set    k, 0
    .rept   8
    th.vlb.v v16, (a3)
    lb      t5, k(a1)
    addi    a3, a3, 32
    th.vlb.v v20, (a3)
    lb      t6, k+1(a1)
    addi    a3, a3, 32
    th.vwmacc.vx v0, t5, v16
    th.vwmacc.vx v0, t6, v20
    .set    k, k+2
    .endr
    addi    t4, t4, -1
    addi    a1, a1, 16
    bnez    t4, 2b
3:  andi    t4, a5, 15
    beqz    t4, 5f
4:  th.vlb.v v16, (a3)
    lb      t5, 0(a1)
    addi    a3, a3, 32
    addi    a1, a1, 1
    th.vwmacc.vx v0, t5, v16
    addi    t4, t4, -1
    bnez    t4, 4b
5:  th.vsetvli x0, t0, e32, m8
    th.vle.v v24, (a3)
    th.vfcvt.f.x.v v0, v0
    th.vfmul.vv v0, v0, v24
    th.vfmul.vf v0, v0, fa0
    th.vfadd.vv v8, v8, v0
    addi    a3, a3, 128
    addi    a2, a2, 4
    addi    a4, a4, -1
    bnez    a4, 1b
    th.vse.v v8, (a0)
    ret

# 4-bit weights in groups of 32: a4 groups. 32 * 8 * 127 fits in 16 bits: a whole group is summed
# there and converted to float, a quarter at a time, because the float sums stay in registers. v0 to
# v7 16-bit sums, v8 to v23 float sums, v24 to v31 a pair of columns.
.macro Q4_QUARTER sum, y
    th.vsetvli x0, t2, e16, m2
    th.vfwcvt.f.x.v v24, \sum
    th.vsetvli x0, t2, e32, m4
    th.vle.v v28, (a3)
    addi    a3, a3, 64
    th.vfmul.vv v24, v24, v28
    th.vfmul.vf v24, v24, fa0
    th.vfadd.vv \y, \y, v24
.endm
.macro Q4_GROUP rows
    .set    k, 0
    .rept   16
    th.vle.v v24, (a3)
    lb      t5, k(a1)
    lb      t6, k+1(a1)
    addi    a3, a3, \rows
    th.vsll.vi v28, v24, 4
    th.vsra.vi v24, v24, 4
    th.vsra.vi v28, v28, 4
    .if k == 0
    th.vwmul.vx v0, v28, t5
    .else
    th.vwmacc.vx v0, t5, v28
    .endif
    th.vwmacc.vx v0, t6, v24
    .set    k, k+2
    .endr
.endm

FUNCTION dt_rvv07_q4_tile64
    li      t1, 64
    li      t2, 16
    li      t0, 32
    th.vsetvli x0, t0, e32, m8
    th.vmv.v.i v8, 0
    th.vmv.v.i v16, 0
1:  flw     fa0, 0(a2)
    th.vsetvli x0, t1, e8, m4
    Q4_GROUP 64
    Q4_QUARTER v0, v8
    Q4_QUARTER v2, v12
    Q4_QUARTER v4, v16
    Q4_QUARTER v6, v20
    addi    a1, a1, 32
    addi    a2, a2, 4
    addi    a4, a4, -1
    bnez    a4, 1b
    th.vsetvli x0, t0, e32, m8
    th.vse.v v8, (a0)
    addi    a0, a0, 128
    th.vse.v v16, (a0)
    ret

FUNCTION dt_rvv07_q4_tile32
    li      t1, 32
    li      t2, 16
    th.vsetvli x0, t1, e32, m8
    th.vmv.v.i v8, 0
1:  flw     fa0, 0(a2)
    th.vsetvli x0, t1, e8, m2
    Q4_GROUP 32
    Q4_QUARTER v0, v8
    Q4_QUARTER v2, v12
    addi    a1, a1, 32
    addi    a2, a2, 4
    addi    a4, a4, -1
    bnez    a4, 1b
    th.vsetvli x0, t1, e32, m8
    th.vse.v v8, (a0)
    ret

# fp32, 64 and 32 rows: a2 weights, a3 columns. Product and sum are rounded separately, as in the
# reference.
.macro F32_TILE rows
    li      t0, 32
    th.vsetvli x0, t0, e32, m8
    th.vmv.v.i v0, 0
    .if \rows == 64
    th.vmv.v.i v8, 0
    .endif
1:  flw     fa0, 0(a1)
    th.vle.v v16, (a2)
    addi    a2, a2, 128
    .if \rows == 64
    th.vle.v v24, (a2)
    addi    a2, a2, 128
    .endif
    th.vfmul.vf v16, v16, fa0
    .if \rows == 64
    th.vfmul.vf v24, v24, fa0
    .endif
    addi    a3, a3, -1
    th.vfadd.vv v0, v0, v16
    .if \rows == 64
    th.vfadd.vv v8, v8, v24
    .endif
    addi    a1, a1, 4
    bnez    a3, 1b
    th.vse.v v0, (a0)
    .if \rows == 64
    addi    a0, a0, 128
    th.vse.v v8, (a0)
    .endif
    ret
.endm
FUNCTION dt_rvv07_f32_tile64
    F32_TILE 64
FUNCTION dt_rvv07_f32_tile32
    F32_TILE 32

    .section .note.GNU-stack,"",@progbits
