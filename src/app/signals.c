// SPDX-License-Identifier: MIT
#include "app/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

// A handler has no argument, so the state is static.
static struct dt_control *session;
static struct termios modes; // of the terminal when the program started
static int terminal = -1;    // the terminal's descriptor
static char crash_bytes[256];
static volatile sig_atomic_t crash_length;
static volatile time_t end_time; // of the first request to end, CLOCK_MONOTONIC in seconds
static const int ends[] = {SIGTERM, SIGHUP, SIGQUIT};
static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

// Lets the terminal go on if its output is stopped, by Ctrl-S or by the other end of a line, so
// that no write waits. stuck: what waits in the driver is dropped.
static void restart_output(bool stuck)
{
    if (terminal < 0)
        return;
    tcflow(terminal, TCOOFF); // without it, TCOON does not undo a Ctrl-S
    tcflow(terminal, TCOON);
    if (stuck)
        tcflush(terminal, TCOFLUSH);
}

// Every second after a request to end. Interrupts a write that waits for a reader.
static void on_alarm(int number)
{
    int error = errno;
    struct pollfd wait = {terminal, POLLOUT, 0};
    (void)number;
    if (terminal >= 0 && poll(&wait, 1, 0) == 0)
        restart_output(true);
    alarm(1);
    errno = error;
}

static void restore_terminal(void)
{
    int error = errno;
    restart_output(false);
    if (crash_length > 0) {
        ssize_t n =
            write(terminal >= 0 ? terminal : STDOUT_FILENO, crash_bytes, (size_t)crash_length);
        (void)n;
    }
    if (terminal >= 0)
        tcsetattr(terminal, TCSANOW, &modes);
    errno = error;
}

static void on_end(int number)
{
    int error = errno;
    struct dt_control *control = session;
    if (!control)
        _exit(128 + number);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    // A second request leaves at once, unless it comes within two seconds: timeout(1) sends two.
    if (atomic_load(&control->leaving) > 1) {
        if (now.tv_sec - end_time < 2)
            return;
        restore_terminal();
        _exit(128 + number);
    }
    end_time = now.tv_sec;
    atomic_store(&control->exit_code, 128 + number);
    dt_control_leave(control, 1 + number);
    restart_output(false);
    alarm(1);
    errno = error;
}

static void on_fault(int number)
{
    restore_terminal();
    static const char text[] =
        "\nduotale: the program crashed. Everything up to the last second is "
        "saved in the library.\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    signal(number, SIG_DFL);
    raise(number);
}

void dt_signals_crash_bytes(const char *bytes, size_t n)
{
    crash_length = 0;
    if (bytes && n <= sizeof crash_bytes) {
        memcpy(crash_bytes, bytes, n);
        crash_length = (sig_atomic_t)n;
    }
}

void dt_signals_install(struct dt_control *control)
{
    struct sigaction action = {.sa_handler = on_end};
    session = control;
    for (int fd = 0; fd <= 2 && terminal < 0; fd++) {
        if (isatty(fd) && tcgetattr(fd, &modes) == 0)
            terminal = fd;
    }
    if (!control)
        return;
    sigaddset(&action.sa_mask, SIGTTOU); // the terminal is restored from the background too
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct sigaction before;
        // a signal that is ignored stays ignored (nohup)
        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(ends[i], &action, NULL);
    }
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = on_fault;
    action.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigaction(faults[i], &action, NULL);
}
