# SPDX-License-Identifier: MIT
# The operators other than matrix products, for RVV 0.7.1. Vector lanes are elements; float sums run
# in sequence in scalar registers, because their order determines the result. Prototypes: kernels.h.
#include "asm.inc"

# Every operation clears the elements past vl, so the tail has its own register and reduction.
FUNCTION dt_rvv07_max
    li      t1, 32
    th.vsetvli x0, t1, e32, m8
    flw     fa0, 0(a0)
    th.vfmv.v.f v0, fa0
1:  bltu    a1, t1, 2f
    th.vle.v v8, (a0)
    addi    a0, a0, 128
    th.vfmax.vv v0, v0, v8
    addi    a1, a1, -32
    j       1b
2:  th.vfmv.s.f v16, fa0
    th.vfredmax.vs v16, v0, v16
    beqz    a1, 3f
    th.vsetvli x0, a1, e32, m8
    th.vle.v v8, (a0)
    th.vfredmax.vs v16, v8, v16
3:  th.vfmv.f.s fa0, v16
    ret

# The end of the two sums: adds the elements after the unrolled loop one by one, and returns.
.macro ADD_THE_REST square
    beqz    a1, 4f
3:  flw     fa1, 0(a0)
    addi    a0, a0, 4
    .ifnb \square
    fmul.s  fa1, fa1, fa1
    .endif
    fadd.s  fa0, fa0, fa1
    addi    a1, a1, -1
    bnez    a1, 3b
4:  ret
.endm

FUNCTION dt_rvv07_sum
    fmv.w.x fa0, zero
    li      t0, 8
1:  bltu    a1, t0, 2f
    flw     fa1, 0(a0)
    flw     fa2, 4(a0)
    flw     fa3, 8(a0)
    flw     fa4, 12(a0)
    fadd.s  fa0, fa0, fa1
    flw     fa5, 16(a0)
    fadd.s  fa0, fa0, fa2
    flw     fa6, 20(a0)
    fadd.s  fa0, fa0, fa3
    flw     fa7, 24(a0)
    fadd.s  fa0, fa0, fa4
    flw     fa1, 28(a0)
    fadd.s  fa0, fa0, fa5
    addi    a0, a0, 32
    fadd.s  fa0, fa0, fa6
    addi    a1, a1, -8
    fadd.s  fa0, fa0, fa7
    fadd.s  fa0, fa0, fa1
    j       1b
2:  ADD_THE_REST

FUNCTION dt_rvv07_sum_squares
    fmv.w.x fa0, zero
    li      t0, 4
1:  bltu    a1, t0, 2f
    flw     fa1, 0(a0)
    flw     fa2, 4(a0)
    flw     fa3, 8(a0)
    flw     fa4, 12(a0)
    fmul.s  fa1, fa1, fa1
    fmul.s  fa2, fa2, fa2
    fmul.s  fa3, fa3, fa3
    fmul.s  fa4, fa4, fa4
    fadd.s  fa0, fa0, fa1
    addi    a0, a0, 16
    fadd.s  fa0, fa0, fa2
    addi    a1, a1, -4
    fadd.s  fa0, fa0, fa3
    fadd.s  fa0, fa0, fa4
    j       1b
2:  ADD_THE_REST square

FUNCTION dt_rvv07_divide
    EACH_STRIP a1
    th.vle.v v0, (a0)
    sub     a1, a1, t0
    th.vfdiv.vf v0, v0, fa0
    slli    t0, t0, 2
    th.vse.v v0, (a0)
    add     a0, a0, t0
    NEXT_STRIP a1

FUNCTION dt_rvv07_norm
    EACH_STRIP a3
    th.vle.v v0, (a1)
    slli    t1, t0, 2
    th.vle.v v8, (a2)
    sub     a3, a3, t0
    th.vfmul.vf v0, v0, fa0
    add     a1, a1, t1
    add     a2, a2, t1
    th.vfmul.vv v0, v8, v0
    th.vse.v v0, (a0)
    add     a0, a0, t1
    NEXT_STRIP a3

FUNCTION dt_rvv07_silu
    li      t0, 1
    fcvt.s.w fa0, t0
    EACH_STRIP a3
    th.vle.v v0, (a1)
    slli    t1, t0, 2
    th.vle.v v8, (a0)
    add     a1, a1, t1
    th.vfadd.vf v0, v0, fa0
    th.vle.v v16, (a2)
    th.vfrdiv.vf v0, v0, fa0
    add     a2, a2, t1
    th.vfmul.vv v8, v8, v0
    sub     a3, a3, t0
    th.vfmul.vv v8, v8, v16
    th.vse.v v8, (a0)
    add     a0, a0, t1
    NEXT_STRIP a3

FUNCTION dt_rvv07_add
    EACH_STRIP a2
    th.vle.v v0, (a0)
    slli    t1, t0, 2
    th.vle.v v8, (a1)
    add     a1, a1, t1
    sub     a2, a2, t0
    th.vfadd.vv v0, v0, v8
    th.vse.v v0, (a0)
    add     a0, a0, t1
    NEXT_STRIP a2

# a0 a, a1 b, a2 cosine, a3 sine, a4 pairs, a5 bytes between pairs
FUNCTION dt_rvv07_rotate
    EACH_STRIP a4, m4
    th.vlse.v v0, (a0), a5
    slli    t1, t0, 2
    th.vlse.v v4, (a1), a5
    mul     t2, t0, a5
    th.vle.v v8, (a2)
    sub     a4, a4, t0
    th.vle.v v12, (a3)
    th.vfmul.vv v16, v0, v8
    add     a2, a2, t1
    th.vfmul.vv v20, v4, v12
    add     a3, a3, t1
    th.vfmul.vv v24, v0, v12
    th.vfmul.vv v28, v4, v8
    th.vfsub.vv v16, v16, v20
    th.vfadd.vv v24, v24, v28
    th.vsse.v v16, (a0), a5
    add     a0, a0, t2
    th.vsse.v v24, (a1), a5
    add     a1, a1, t2
    NEXT_STRIP a4

# a0 q, a1 x, a2 n. RVV 0.7.1 has no instruction that rounds halves away from zero without changing
# the rounding mode: round to even, and add one where a half was left. v8 |x| / scale, v16 the
# nearest integer, v24 the remainder.
FUNCTION dt_rvv07_quantise
    fmv.w.x fa0, zero
    mv      t1, a1
    mv      t2, a2
    th.vsetvli x0, t2, e32, m8
    th.vfmv.s.f v16, fa0
1:  th.vsetvli t0, t2, e32, m8
    th.vle.v v0, (t1)
    slli    t3, t0, 2
    th.vfsgnjx.vv v8, v0, v0
    add     t1, t1, t3
    sub     t2, t2, t0
    th.vfredmax.vs v16, v8, v16
    bnez    t2, 1b
    th.vfmv.f.s fa0, v16
    li      t1, 127
    fcvt.s.w fa1, t1
    fdiv.s  fa0, fa0, fa1
    fmv.w.x fa2, zero
    feq.s   t1, fa0, fa2
    bnez    t1, 3f
    lui     t1, 0x3f000
    fmv.w.x fa3, t1
    li      t4, 127
2:  th.vsetvli t0, a2, e32, m8
    th.vle.v v0, (a1)
    slli    t3, t0, 2
    th.vfdiv.vf v24, v0, fa0
    add     a1, a1, t3
    th.vfsgnjx.vv v8, v24, v24
    sub     a2, a2, t0
    th.vfcvt.x.f.v v16, v8
    th.vfcvt.f.x.v v24, v16
    th.vfsub.vv v24, v8, v24
    th.vmv.v.v v8, v0
    th.vmfge.vf v0, v24, fa3
    th.vadd.vi v16, v16, 1, v0.t
    th.vmsgtu.vx v0, v16, t4
    th.vmerge.vxm v16, v16, x0, v0
    th.vmflt.vf v0, v8, fa2
    th.vrsub.vx v16, v16, x0, v0.t
    th.vsb.v v16, (a0)
    add     a0, a0, t0
    bnez    a2, 2b
    ret
3:  th.vsetvli t0, a2, e8, m8
    th.vmv.v.i v0, 0
    sub     a2, a2, t0
    th.vse.v v0, (a0)
    add     a0, a0, t0
    bnez    a2, 3b
    ret

FUNCTION dt_rvv07_find
    mv      t1, a0
    li      t2, 0
    beqz    a1, 3f
1:  th.vsetvli t0, a1, e32, m8
    th.vle.v v8, (t1)
    sub     a1, a1, t0
    th.vmfeq.vf v0, v8, fa0
    slli    t3, t0, 2
    th.vmfirst.m t4, v0
    bgez    t4, 2f
    add     t1, t1, t3
    add     t2, t2, t0
    bnez    a1, 1b
3:  mv      a0, t2
    ret
2:  add     a0, t2, t4
    ret

# a0 index, a1 x, a2 n, fa0 threshold
FUNCTION dt_rvv07_select
    mv      t1, a0
    li      t2, 0
    beqz    a2, 3f
1:  th.vsetvli t0, a2, e32, m8
    th.vle.v v8, (a1)
    sub     a2, a2, t0
    th.vmfge.vf v0, v8, fa0
    slli    t3, t0, 2
    th.vmpopc.m t4, v0
    add     a1, a1, t3
    bnez    t4, 4f
2:  add     t2, t2, t0
    bnez    a2, 1b
3:  sub     a0, t1, a0
    srli    a0, a0, 2
    ret
4:  th.vid.v v8
    th.vadd.vx v8, v8, t2
    th.vcompress.vm v16, v8, v0
    th.vsetvli x0, t4, e32, m8
    th.vse.v v16, (t1)
    slli    t4, t4, 2
    add     t1, t1, t4
    j       2b

    .section .note.GNU-stack,"",@progbits
