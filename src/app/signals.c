// SPDX-License-Identifier: MIT
// Signals: told to end, we stop and leave in order; after a crash the terminal is given back first.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "app/app.h"

static struct dt_app *session; // the one there is
static struct termios modes;   // of the terminal, at the start
static int terminal = -1;      // which descriptor that was
static char farewell[256];
static volatile sig_atomic_t farewell_length;
static volatile time_t end_asked_at; // when, in seconds of the clock that only goes forward
static const int ends[] = {SIGTERM, SIGHUP, SIGQUIT};
static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

static void on_end(int number)
{
    struct dt_app *app = session;
    if (!app)
        _exit(128 + number);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    // another one a second later does not wait any more (timeout(1) sends two at once, and means
    // one)
    if (atomic_load(&app->leaving) > 1) {
        if (now.tv_sec - end_asked_at < 2)
            return;
        dt_signals_restore();
        _exit(128 + number);
    }
    end_asked_at = now.tv_sec;
    atomic_store(&app->leaving, 1 + number);
    atomic_store(&app->exit_code, 128 + number);
    dt_app_stop(app);
    dt_events_wake(&app->events);
}

static void on_fault(int number)
{
    dt_signals_restore();
    static const char text[] = "\nduotale: a fault of the program ended it. What was told is in "
                               "the library, but for the last second.\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    signal(number, SIG_DFL);
    raise(number);
}

void dt_signals_restore(void)
{
    int error = errno;
    if (farewell_length > 0) {
        ssize_t n =
            write(terminal >= 0 ? terminal : STDOUT_FILENO, farewell, (size_t)farewell_length);
        (void)n;
    }
    if (terminal >= 0)
        tcsetattr(terminal, TCSANOW, &modes);
    errno = error;
}

void dt_signals_crash_bytes(const char *bytes, size_t n)
{
    farewell_length = 0;
    if (bytes && n <= sizeof farewell) {
        memcpy(farewell, bytes, n);
        farewell_length = (sig_atomic_t)n;
    }
}

void dt_signals_install(struct dt_app *app)
{
    struct sigaction action = {.sa_handler = on_end};
    session = app;
    for (int fd = 0; fd <= 2 && terminal < 0; fd++) {
        if (isatty(fd) && tcgetattr(fd, &modes) == 0)
            terminal = fd;
    }
    if (!app)
        return;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct sigaction before;
        // nohup's wish is respected
        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(ends[i], &action, NULL);
    }
    action.sa_handler = on_fault;
    action.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigaction(faults[i], &action, NULL);
}
