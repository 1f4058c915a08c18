// SPDX-License-Identifier: MIT
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

// A handler has no argument, so the state is static.
static int wake[2] = {-1, -1};
static atomic_uint pending; // UI_SIGNAL_...
static const int signals[] = {SIGWINCH, SIGTSTP, SIGCONT};
static struct sigaction actions_before[3];

static void on_signal(int number)
{
    int error = errno;
    atomic_fetch_or(&pending, number == SIGWINCH  ? UI_SIGNAL_SIZE
                              : number == SIGTSTP ? UI_SIGNAL_SUSPEND
                                                  : UI_SIGNAL_CONTINUED);
    ssize_t n = write(wake[1], "", 1); // if the pipe is full, there is something to read
    (void)n;
    errno = error;
}

static void catch_signal(size_t i)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (actions_before[i].sa_handler != SIG_IGN)
        sigaction(signals[i], &action, NULL);
}

void ui_signals_open(void)
{
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        wake[0] = wake[1] = -1;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], NULL, &actions_before[i]);
        catch_signal(i);
    }
}

void ui_signals_close(void)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &actions_before[i], NULL);
    for (int i = 0; i < 2; i++) {
        if (wake[i] >= 0)
            close(wake[i]);
        wake[i] = -1;
    }
}

int ui_signals_fd(void)
{
    return wake[0];
}

unsigned ui_signals_read(void)
{
    char drain[64];
    while (read(wake[0], drain, sizeof drain) == (ssize_t)sizeof drain)
        ;
    return atomic_exchange(&pending, 0);
}

void ui_signals_suspend(void)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (signals[i] != SIGTSTP)
            continue;
        sigaction(SIGTSTP, &actions_before[i], NULL);
        raise(SIGTSTP); // to this thread, so that it stops here; returns after SIGCONT
        catch_signal(i);
    }
    atomic_fetch_and(&pending, ~(unsigned)UI_SIGNAL_CONTINUED); // the caller knows
}
