# SPDX-License-Identifier: MIT
# exp for RVV 0.7.1, with the bits of the C library's expf. The C906 has no vectors of doubles.
#
# The C library computes in double: x * 32/ln2 = k + r; then 2^(k/32), from a table, times a cubic
# polynomial in r. Here 16 lanes compute the same in pairs of floats: x * 32/ln2 and the table are
# sums high + low. The error is below 2^-28 of the result's leading power of two. Each result is
# rounded twice, from the value plus 2^-28 and from the value minus 2^-28. If both agree, that is
# the C library's result. If not (about 1 in 25), or if |x| > 87 or x is NaN, the lane is computed
# again in double with the steps of the C library. tests/duo/prove-exp.c proves this for every
# float.
#include "asm.inc"

# a0 out, a1 x, a2 n, fa0 m. v4 the argument, v8 z high, later r, v12 z low, v16 k, v20 the cubic,
# v24 and v28 the table.
.macro EXP argument
    beqz    a2, 9f
    addi    sp, sp, -64
    lla     t1, .Lhigh
    addi    t2, t1, 128
    lla     t3, .Lfloats
    flw     ft0, 0(t3)
    flw     ft1, 4(t3)
    flw     ft2, 8(t3)
    flw     ft3, 12(t3)
    flw     ft4, 16(t3)
    flw     ft5, 20(t3)
    flw     ft6, 24(t3)
    flw     ft7, 28(t3)
    li      t4, 31
1:  th.vsetvli t0, a2, e32, m4
    th.vle.v v4, (a1)
    \argument v4, v4, fa0
    th.vfmul.vf v8, v4, ft0
    th.vmv.v.v v12, v8
    th.vfadd.vf v16, v8, ft2
    th.vfmsac.vf v12, ft0, v4
    th.vfsub.vf v20, v16, ft2
    th.vfmacc.vf v12, ft1, v4
    th.vfsub.vv v8, v8, v20
    th.vfadd.vv v8, v8, v12
    th.vand.vx v12, v16, t4
    th.vsll.vi v12, v12, 2
    th.vlxe.v v24, (t1), v12
    th.vfmul.vf v20, v8, ft3
    th.vlxe.v v28, (t2), v12
    th.vfadd.vf v20, v20, ft4
    th.vfmul.vv v20, v20, v8
    th.vfadd.vf v20, v20, ft5
    th.vfmul.vv v20, v20, v8
    th.vsrl.vi v16, v16, 5
    th.vfmacc.vv v28, v24, v20
    th.vsll.vi v16, v16, 23
    th.vfadd.vf v8, v28, ft6
    th.vfsub.vf v12, v28, ft6
    th.vfadd.vv v8, v8, v24
    th.vfadd.vv v12, v12, v24
    th.vfsgnjx.vv v20, v4, v4
    th.vmfne.vv v1, v8, v12
    th.vadd.vv v8, v8, v16
    th.vmfgt.vf v2, v20, ft7
    th.vse.v v8, (a0)
    th.vmor.mm v0, v1, v2
    slli    t6, t0, 2
    th.vmfirst.m t5, v0
    sub     a2, a2, t0
    bgez    t5, 3f
2:  add     a1, a1, t6
    add     a0, a0, t6
    bnez    a2, 1b
    addi    sp, sp, 64
9:  ret
3:  th.vse.v v4, (sp)
    lla     t3, .Ldoubles
    fld     fa2, 0(t3)
    fld     fa3, 8(t3)
    fld     fa4, 16(t3)
    fld     fa5, 24(t3)
    fld     fa6, 32(t3)
    addi    t3, t3, 48
    fld     ft11, -8(t3)
    li      a5, 1
    fcvt.d.w fa7, a5
4:  slli    t5, t5, 2
    add     a3, sp, t5
    add     a4, a0, t5
    flw     fa1, 0(a3)
    th.vmsof.m v1, v0
    fcvt.d.s ft8, fa1
    th.vmxor.mm v0, v0, v1
    feq.s   a5, fa1, fa1
    beqz    a5, 5f
    fmin.d  ft8, ft8, ft11
    fneg.d  ft9, ft11
    fmax.d  ft8, ft8, ft9
    fmul.d  ft8, ft8, fa2
    fadd.d  ft9, ft8, fa3
    fmv.x.d a5, ft9
    fsub.d  ft9, ft9, fa3
    fsub.d  ft8, ft8, ft9
    andi    a6, a5, 31
    slli    a6, a6, 3
    add     a6, a6, t3
    ld      a6, 0(a6)
    slli    a5, a5, 47
    add     a6, a6, a5
    fmul.d  ft9, ft8, fa4
    fadd.d  ft9, ft9, fa5
    fmul.d  ft10, ft8, ft8
    fmul.d  ft8, ft8, fa6
    fadd.d  ft8, ft8, fa7
    fmul.d  ft9, ft9, ft10
    fadd.d  ft8, ft9, ft8
    fmv.d.x ft9, a6
    fmul.d  ft8, ft8, ft9
    fcvt.s.d fa1, ft8
5:  th.vmfirst.m t5, v0
    fsw     fa1, 0(a4)
    bgez    t5, 4b
    j       2b
.endm

FUNCTION dt_rvv07_exp_sub
    EXP th.vfsub.vf

FUNCTION dt_rvv07_exp_neg
    fmv.w.x fa0, zero
    EXP th.vfrsub.vf

    .section .rodata
    .balign 64
.Lhigh: # 2^(i/32), the nearest float
    .word  0x3f800000, 0x3f82cd87, 0x3f85aac3, 0x3f88980f
    .word  0x3f8b95c2, 0x3f8ea43a, 0x3f91c3d3, 0x3f94f4f0
    .word  0x3f9837f0, 0x3f9b8d3a, 0x3f9ef532, 0x3fa27043
    .word  0x3fa5fed7, 0x3fa9a15b, 0x3fad583f, 0x3fb123f6
    .word  0x3fb504f3, 0x3fb8fbaf, 0x3fbd08a4, 0x3fc12c4d
    .word  0x3fc5672a, 0x3fc9b9be, 0x3fce248c, 0x3fd2a81e
    .word  0x3fd744fd, 0x3fdbfbb8, 0x3fe0ccdf, 0x3fe5b907
    .word  0x3feac0c7, 0x3fefe4ba, 0x3ff5257d, 0x3ffa83b3
.Llow: # 2^(i/32) minus .Lhigh, rounded to float
    .word  0x00000000, 0xb34ea7a9, 0x334f9891, 0xb37eda4b
    .word  0xb260aba1, 0xb3697465, 0x33675624, 0xb32e0212
    .word  0x33231b71, 0xb30c5563, 0x33412342, 0x30c3125a
    .word  0xb32c9d5e, 0xb3162b08, 0xb22deaf6, 0xb37c5aa8
    .word  0x32cfe77a, 0x330ec5f7, 0xb3414fe8, 0xb2d6663e
    .word  0x320aa837, 0xb37323a2, 0x3228fc24, 0xb35c1daa
    .word  0xb2d4a58a, 0xb3504a1c, 0xb21eab59, 0xb2441be6
    .word  0xb24116de, 0xb348464a, 0x32292436, 0xb2923758
.Lfloats: # 32/ln2 high and low, 1.5 * 2^23, coefficients 3 to 1, 2^-28, 87
    .word  0x4238aa3b, 0x35257060, 0x4b400000, 0x35e357c2
    .word  0x3975fe73, 0x3cb17218, 0x31800000, 0x42ae0000
    .balign 8
.Ldoubles: # 32/ln2, 1.5 * 2^52, coefficients 3 to 1, the limit that arguments are clamped to
    .dword  0x40471547652b82fe, 0x4338000000000000, 0x3ebc6af84b912394
    .dword  0x3f2ebfce50fac4f3, 0x3f962e42ff0c52d6, 0x4069000000000000
.Ltable: # the bits of the double 2^(i/32), minus i << 47; must follow .Ldoubles
    .dword  0x3ff0000000000000, 0x3fefd9b0d3158574, 0x3fefb5586cf9890f, 0x3fef9301d0125b51
    .dword  0x3fef72b83c7d517b, 0x3fef54873168b9aa, 0x3fef387a6e756238, 0x3fef1e9df51fdee1
    .dword  0x3fef06fe0a31b715, 0x3feef1a7373aa9cb, 0x3feedea64c123422, 0x3feece086061892d
    .dword  0x3feebfdad5362a27, 0x3feeb42b569d4f82, 0x3feeab07dd485429, 0x3feea47eb03a5585
    .dword  0x3feea09e667f3bcd, 0x3fee9f75e8ec5f74, 0x3feea11473eb0187, 0x3feea589994cce13
    .dword  0x3feeace5422aa0db, 0x3feeb737b0cdc5e5, 0x3feec49182a3f090, 0x3feed503b23e255d
    .dword  0x3feee89f995ad3ad, 0x3feeff76f2fb5e47, 0x3fef199bdd85529c, 0x3fef3720dcef9069
    .dword  0x3fef5818dcfba487, 0x3fef7c97337b9b5f, 0x3fefa4afa2a490da, 0x3fefd0765b6e4540

    .section .note.GNU-stack,"",@progbits
