// SPDX-License-Identifier: MIT
// Starting threads that leave signals to the main thread.
#ifndef DT_HOST_THREAD_START_H
#define DT_HOST_THREAD_START_H

#include <pthread.h>
#include <stddef.h>

// pthread_create with all signals blocked in the new thread, except those that its own instructions
// raise (SIGSEGV, SIGBUS ...): these would kill the process without running its handlers if they
// were blocked. stack_bytes 0: the system's default; what is below the system's least is raised to
// it. Returns 0 or an error number. The caller joins the thread.
int dt_thread_start(pthread_t *thread, size_t stack_bytes, void *(*body)(void *), void *arg);

#endif
