// SPDX-License-Identifier: MIT
// What the assembly files share: the instructions they may use, how a function begins, a loop.
.option arch,
    +xtheadvector
         .text

         .macro FUNCTION name.globl  \name.hidden \name.type   \name,
    @function.balign 16
\name :.endm

            // A function that goes through elements of 32 bits until `left`, which its body counts
            // down, is 0: EACH_STRIP left, the body on t0 elements, NEXT_STRIP left. Nothing may
            // stand behind it.
            .macro EACH_STRIP left,
    group = m8 beqz    \left, 2f 1 : th.vsetvli t0, \left,
    e32, \group.endm.macro NEXT_STRIP left bnez    \left, 1b 2 : ret.endm
