# SPDX-License-Identifier: MIT Matrix times vector on unpacked rows, for RVV 0.7.1: up to 32 rows at
# a time; strided loads read the weights of a column. Slower than the packed tiles, but needs no
# copy of the weights. Prototypes: kernels.h.
#include "asm.inc"

# y (at a0) += (float)sum * scale (at a6) * fa0 for vl rows; the sums are in v0 to v7
.macro ADD_GROUP
    th.vfcvt.f.x.v v0, v0
    th.vle.v v8, (a6)
    th.vfmul.vv v0, v0, v8
    th.vle.v v16, (a0)
    th.vfmul.vf v0, v0, fa0
    th.vfadd.vv v16, v16, v0
    th.vse.v v16, (a0)
    ret
.endm

# a0 y, a1 x, a2 weights, a3 bytes between rows, a4 columns, a5 rows, a6 scales, fa0 x scale
FUNCTION dt_rvv07_i8_strided
    th.vsetvli x0, a5, e32, m8
    th.vmv.v.i v0, 0
    th.vsetvli x0, a5, e16, m4
1:  th.vlsb.v v16, (a2), a3
    lb      t0, 0(a1)
    addi    a2, a2, 1
    addi    a4, a4, -1
    addi    a1, a1, 1
    th.vwmacc.vx v0, t0, v16
    bnez    a4, 1b
    th.vsetvli x0, a5, e32, m8
    ADD_GROUP

# The same for a block of Q4_0: 16 bytes, value i in the low half of byte i, value i + 16 in its
# high half, each plus 8. a4 is not used.
FUNCTION dt_rvv07_q4_strided
    li      a4, 16
    th.vsetvli x0, a5, e32, m8
    th.vmv.v.i v0, 0
    th.vsetvli x0, a5, e16, m4
1:  th.vlsbu.v v16, (a2), a3
    lb      t0, 0(a1)
    lb      t1, 16(a1)
    addi    a2, a2, 1
    th.vand.vi v20, v16, 15
    th.vsrl.vi v16, v16, 4
    th.vadd.vi v20, v20, -8
    th.vadd.vi v16, v16, -8
    addi    a4, a4, -1
    th.vwmacc.vx v0, t0, v20
    th.vwmacc.vx v0, t1, v16
    addi    a1, a1, 1
    bnez    a4, 1b
    th.vsetvli x0, a5, e32, m8
    ADD_GROUP

# a0 out, a1 rows, a2 bytes between rows, a3 columns, a4 number of rows
FUNCTION dt_rvv07_i8_columns
    th.vsetvli x0, a4, e8, m4
1:  th.vlsb.v v0, (a1), a2
    addi    a1, a1, 1
    addi    a3, a3, -1
    th.vse.v v0, (a0)
    add     a0, a0, a4
    bnez    a3, 1b
    ret

# a0 out, a1 blocks, a2 bytes between rows, a3 number of rows. Value i of a block is in the low half
# of byte i, value i + 16 in its high half, each plus 8; the values of a pair of columns, as two's
# complement, are the two halves of a byte of the result.
FUNCTION dt_rvv07_q4_columns
    th.vsetvli x0, a3, e8, m4
    slli    t0, a3, 3
    add     t0, t0, a0      # the pairs from column 16 on
    li      t1, 8
    li      t2, 0x88
    li      t3, 0xf0
1:  th.vlsb.v v0, (a1), a2
    addi    a1, a1, 1
    th.vlsb.v v4, (a1), a2
    addi    a1, a1, 1
    th.vand.vi v8, v0, 15
    th.vsll.vi v12, v4, 4
    th.vsrl.vi v0, v0, 4
    th.vand.vx v4, v4, t3
    th.vor.vv v8, v8, v12
    th.vor.vv v0, v0, v4
    th.vxor.vx v8, v8, t2
    th.vxor.vx v0, v0, t2
    th.vse.v v8, (a0)
    add     a0, a0, a3
    addi    t1, t1, -1
    th.vse.v v0, (t0)
    add     t0, t0, a3
    bnez    t1, 1b
    ret

# a0 y, a1 x, a2 weights, a3 bytes between rows, a4 columns, a5 rows
FUNCTION dt_rvv07_f32_strided
    th.vsetvli x0, a5, e32, m8
    th.vmv.v.i v0, 0
1:  flw     fa0, 0(a1)
    th.vlse.v v16, (a2), a3
    addi    a1, a1, 4
    addi    a2, a2, 4
    th.vfmul.vf v16, v16, fa0
    addi    a4, a4, -1
    th.vfadd.vv v0, v0, v16
    bnez    a4, 1b
    th.vse.v v0, (a0)
    ret

    .section .note.GNU-stack,"",@progbits
