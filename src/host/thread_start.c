// SPDX-License-Identifier: MIT
#include "host/thread_start.h"

#include <signal.h>
#include <unistd.h>

int dt_thread_start(pthread_t *thread, size_t stack_bytes, void *(*body)(void *), void *arg)
{
    static const int faults[] = {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t blocked, before;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    long least = sysconf(_SC_THREAD_STACK_MIN); // 128 KB on AArch64
    if (stack_bytes && least > 0 && stack_bytes < (size_t)least)
        stack_bytes = (size_t)least;
    if (stack_bytes)
        error = pthread_attr_setstacksize(&attributes, stack_bytes);
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &before); // a new thread inherits the mask
    if (!error)
        error = pthread_create(thread, &attributes, body, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}
