// SPDX-License-Identifier: MIT
// Prints the vector unit of this CPU: "rvv 0" for none, "rvv 7 vlen N" for RVV 0.7.1, "rvv 10" for
// RVV 1.0. Executes th.vsetvli t0,x0,e16,m1, written as a number: with RVV 0.7.1 the result is
// VLEN/16; RVV 1.0 decodes a reserved LMUL and gives 0.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

static sigjmp_buf trap;

static void illegal(int sig)
{
    (void)sig;
    siglongjmp(trap, 1);
}

int main(void)
{
    struct sigaction act = {.sa_handler = illegal};
    sigaction(SIGILL, &act, NULL);
    if (sigsetjmp(trap, 1)) {
        puts("rvv 0");
        return 0;
    }
    unsigned long vl;
    __asm__ volatile(".word 0x004072d7\n\tmv %0, t0" : "=r"(vl) : : "t0");
    if (vl)
        printf("rvv 7 vlen %lu\n", vl * 16);
    else
        puts("rvv 10");
    return 0;
}
