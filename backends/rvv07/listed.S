# SPDX-License-Identifier: MIT
# Rows of an index, in place, for RVV 0.7.1, and screening: the kernels of a classifier's shortlist.
# Vector lanes are columns of a row, with a reduction for each group. This needs more instructions
# than the packed tiles, but reads only these rows from memory. Prototypes: kernels.h.
#include "asm.inc"

# a0 sums, a1 x, a2 weights, a3 offsets, a4 columns of a group (a multiple of 32), a5 rows (a
# multiple of 4), a6 groups, a7 bytes between groups. Four rows at a time, each from its first byte
# to its last, because sequential reads are fastest. A product fits in 16 bits. v24 to v27: the sums
# of four rows, in element 0.
FUNCTION dt_rvv07_i8_sums
    addi    sp, sp, -16
    sd      s0, 0(sp)
    li      t0, 32
    mul     a6, a6, a4
    sub     a7, a7, a4
    add     a6, a6, a1      # the end of x
1:  lwu     t3, 0(a3)
    lwu     t4, 4(a3)
    lwu     t5, 8(a3)
    lwu     t6, 12(a3)
    add     t3, t3, a2
    add     t4, t4, a2
    add     t5, t5, a2
    add     t6, t6, a2
    mv      t1, a0
    mv      t2, a1
2:  th.vsetvli x0, t0, e16, m4
    th.vmv.v.i v24, 0
    mv      s0, a4
3:  th.vlb.v v0, (t2)
    th.vlb.v v4, (t3)
    addi    t2, t2, 32
    th.vlb.v v8, (t4)
    addi    t3, t3, 32
    th.vmul.vv v4, v4, v0
    th.vlb.v v12, (t5)
    addi    t4, t4, 32
    th.vmul.vv v8, v8, v0
    th.vlb.v v16, (t6)
    addi    t5, t5, 32
    th.vmul.vv v12, v12, v0
    addi    t6, t6, 32
    th.vwredsum.vs v24, v4, v24
    th.vmul.vv v16, v16, v0
    th.vwredsum.vs v25, v8, v25
    addi    s0, s0, -32
    th.vwredsum.vs v26, v12, v26
    th.vwredsum.vs v27, v16, v27
    bnez    s0, 3b
    th.vsetvli x0, t0, e32, m1
    add     t3, t3, a7
    th.vext.x.v s0, v24, x0
    add     t4, t4, a7
    sw      s0, 0(t1)
    th.vext.x.v s0, v25, x0
    add     t5, t5, a7
    sw      s0, 4(t1)
    th.vext.x.v s0, v26, x0
    add     t6, t6, a7
    sw      s0, 8(t1)
    th.vext.x.v s0, v27, x0
    sw      s0, 12(t1)
    addi    t1, t1, 128
    bne     t2, a6, 2b
    addi    a5, a5, -4
    addi    a0, a0, 16
    addi    a3, a3, 16
    bnez    a5, 1b
    ld      s0, 0(sp)
    addi    sp, sp, 16
    ret

# a0 sums, a1 x, a2 weights, a3 offsets, a4 rows (a multiple of 4), a5 groups, a6 bytes between
# groups. Lanes are bytes of a block: their low halves belong to the first 16 columns, the high
# halves to the others. A sum starts at -8 times the sum of x, in v24, instead of subtracting 8 from
# each quant. The other sums of two products fit in 16 bits.
.macro Q4_ROW from, both, low
    th.vand.vi \low, \both, 15
    add     \from, \from, a6
    th.vsrl.vi \both, \both, 4
    th.vmul.vv \low, \low, v0
    th.vmacc.vv \low, \both, v2
.endm
FUNCTION dt_rvv07_q4_sums
    li      t0, 16
    slli    a5, a5, 5
    add     a5, a5, a1      # the end of x
1:  lwu     t3, 0(a3)
    lwu     t4, 4(a3)
    lwu     t5, 8(a3)
    lwu     t6, 12(a3)
    add     t3, t3, a2
    add     t4, t4, a2
    add     t5, t5, a2
    add     t6, t6, a2
    mv      t1, a0
    mv      t2, a1
2:  th.vsetvli x0, t0, e16, m2
    th.vlb.v v0, (t2)
    addi    t2, t2, 16
    th.vlb.v v2, (t2)
    th.vmv.v.i v22, 0
    th.vlbu.v v4, (t3)
    th.vadd.vv v20, v0, v2
    th.vlbu.v v8, (t4)
    th.vsll.vi v20, v20, 3
    th.vlbu.v v12, (t5)
    th.vrsub.vx v20, v20, x0
    th.vlbu.v v16, (t6)
    th.vwredsum.vs v24, v20, v22
    addi    t2, t2, 16
    Q4_ROW  t3, v4, v6
    Q4_ROW  t4, v8, v10
    Q4_ROW  t5, v12, v14
    Q4_ROW  t6, v16, v18
    th.vwredsum.vs v25, v6, v24
    th.vwredsum.vs v26, v10, v24
    th.vwredsum.vs v27, v14, v24
    th.vwredsum.vs v28, v18, v24
    th.vsetvli x0, t0, e32, m1
    th.vext.x.v a7, v25, x0
    sw      a7, 0(t1)
    th.vext.x.v a7, v26, x0
    sw      a7, 4(t1)
    th.vext.x.v a7, v27, x0
    sw      a7, 8(t1)
    th.vext.x.v a7, v28, x0
    sw      a7, 12(t1)
    addi    t1, t1, 128
    bne     t2, a5, 2b
    addi    a4, a4, -4
    addi    a0, a0, 16
    addi    a3, a3, 16
    bnez    a4, 1b
    ret

# a0 out, a1 weights, a2 groups, a3 bytes between groups
FUNCTION dt_rvv07_q4_unpack
    li      t0, 16
    th.vsetvli x0, t0, e8, m1
1:  th.vle.v v0, (a1)
    add     a1, a1, a3
    th.vand.vi v1, v0, 15
    addi    a2, a2, -1
    th.vsrl.vi v2, v0, 4
    th.vadd.vi v1, v1, -8
    th.vadd.vi v2, v2, -8
    th.vse.v v1, (a0)
    addi    a0, a0, 16
    th.vse.v v2, (a0)
    addi    a0, a0, 16
    bnez    a2, 1b
    ret

# a0 y, a1 sums, a2 scales, a3 rows, fa0 x scale
FUNCTION dt_rvv07_add_sums
    th.vsetvli x0, a3, e32, m8
    th.vle.v v0, (a1)
    th.vle.v v8, (a2)
    th.vfcvt.f.x.v v0, v0
    th.vle.v v16, (a0)
    th.vfmul.vv v0, v0, v8
    th.vfmul.vf v0, v0, fa0
    th.vfadd.vv v16, v16, v0
    th.vse.v v16, (a0)
    ret

# a0 out, a1 base, a2 offsets, a3 count
FUNCTION dt_rvv07_gather_floats
    th.vsetvli x0, a3, e32, m8
    th.vle.v v8, (a2)
    th.vlxw.v v0, (a1), v8
    th.vse.v v0, (a0)
    ret

# The same for halves. Infinity and NaN get the exponent of a float's infinity and their fraction;
# all other halves, including subnormal ones, are their shifted bits times 2^112.
FUNCTION dt_rvv07_gather_halves
    th.vsetvli x0, a3, e32, m8
    th.vle.v v8, (a2)
    th.vlxhu.v v16, (a1), v8
    lui     t0, 0x8         # 0x8000
    addi    t1, t0, -1
    th.vand.vx v24, v16, t0
    th.vand.vx v16, v16, t1
    lui     t2, 0x77800     # 2^112
    fmv.w.x fa0, t2
    th.vsll.vi v8, v16, 13
    th.vsll.vi v24, v24, 16
    lui     t0, 0x8
    addi    t0, t0, -1024   # 0x7c00
    addi    t0, t0, -1
    th.vfmul.vf v8, v8, fa0
    th.vmsgtu.vx v0, v16, t0
    lui     t1, 0x7f800
    th.vor.vx v8, v8, t1, v0.t
    th.vor.vv v8, v8, v24
    th.vse.v v8, (a0)
    ret

# a0 two products, a1 weights, a2 scales, a3 direction, a4 groups, a5 columns of a group (a multiple
# of 32), a6 bytes between groups
FUNCTION dt_rvv07_row_products
    li      t1, 32
    th.vsetvli x0, t1, e32, m8
    th.vmv.v.i v0, 0
    th.vmv.v.i v8, 0
1:  flw     fa0, 0(a2)
    addi    a2, a2, 4
    mv      t2, a5
    mv      t3, a1
2:  th.vlb.v v16, (t3)
    addi    t3, t3, 32
    th.vle.v v24, (a3)
    addi    a3, a3, 128
    th.vfcvt.f.x.v v16, v16
    addi    t2, t2, -32
    th.vfmul.vf v16, v16, fa0
    th.vfmacc.vv v0, v16, v16
    th.vfmacc.vv v8, v16, v24
    bnez    t2, 2b
    add     a1, a1, a6
    addi    a4, a4, -1
    bnez    a4, 1b
    fmv.w.x fa0, zero
    th.vfmv.s.f v24, fa0
    th.vfredsum.vs v16, v0, v24
    th.vfmv.f.s fa1, v16
    th.vfredsum.vs v16, v8, v24
    th.vfmv.f.s fa2, v16
    fsw     fa1, 0(a0)
    fsw     fa2, 4(a0)
    ret

# a0 index, a1 bounds, a2 n, a3 number of the first pair, a4 address of the sum, fa0 along, fa1
# across, fa2 threshold, fa3 scale * 2^23. The strip that is not full comes first, because later it
# would clear lanes of the sum. Groups of 4 registers: the cost of vcompress grows with their
# square.
FUNCTION dt_rvv07_screen
    mv      t1, a0
    li      t0, 16
    fmv.w.x fa4, zero
    th.vsetvli x0, t0, e32, m4
    th.vmv.v.i v24, 0
    lui     t2, 0x4e7e0     # 127 * 2^23
    fmv.w.x fa5, t2
    lui     t3, 0xffff0
    beqz    a2, 4f
    andi    t5, a2, 15
    beqz    t5, 1f
    mv      t0, t5
1:  th.vsetvli x0, t0, e32, m4
    th.vle.v v8, (a1)
    slli    t4, t0, 2
    th.vsll.vi v12, v8, 16
    add     a1, a1, t4
    th.vand.vx v8, v8, t3
    th.vfmul.vf v12, v12, fa1
    th.vfmul.vf v8, v8, fa0
    th.vfadd.vv v8, v8, v12
    th.vmflt.vf v0, v8, fa2
    th.vfsub.vf v12, v8, fa2
    th.vfmul.vf v12, v12, fa3
    th.vmnand.mm v1, v0, v0
    th.vfadd.vf v12, v12, fa5
    th.vmpopc.m t4, v1
    th.vfmax.vf v12, v12, fa4
    sub     a2, a2, t0
    th.vfcvt.xu.f.v v12, v12
    th.vfadd.vv v24, v24, v12, v0.t
    bnez    t4, 3f
2:  add     a3, a3, t0
    li      t0, 16
    bnez    a2, 1b
4:  li      t0, 16
    th.vsetvli x0, t0, e32, m4
    th.vfmv.s.f v8, fa4
    th.vfredsum.vs v12, v24, v8
    th.vfmv.f.s fa0, v12
    fsw     fa0, 0(a4)
    sub     a0, t1, a0
    srli    a0, a0, 2
    ret
3:  th.vid.v v8
    th.vadd.vx v8, v8, a3
    th.vcompress.vm v16, v8, v1
    th.vsetvli x0, t4, e32, m4
    th.vse.v v16, (t1)
    slli    t4, t4, 2
    add     t1, t1, t4
    j       2b

    .section .note.GNU-stack,"",@progbits
