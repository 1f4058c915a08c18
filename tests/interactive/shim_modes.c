// SPDX-License-Identifier: MIT
// Preloaded into the program: makes the moment long in which the terminal's mode changes. Before
// each change it appends a byte to the file DT_SHIM_LOG, 'r' for readline's mode or 'o' for the
// ordinary mode, and, if DT_SHIM_WAIT names that byte, waits for input to be there.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int set_attributes(int fd, int when, const struct termios *to)
{
    static int (*real)(int fd, int when, const struct termios *to);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "tcsetattr");
    return real(fd, when, to);
}

static void note(char mode)
{
    const char *name = getenv("DT_SHIM_LOG");
    int log = name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (log >= 0 && write(log, &mode, 1) != 1)
        abort();
    if (log >= 0)
        close(log);
}

// In the ordinary mode only a whole line counts as input.
static int input_waits(int fd)
{
    struct pollfd wait = {fd, POLLIN, 0};
    return poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN);
}

__attribute__((visibility("default"))) int tcsetattr(int fd, int when, const struct termios *to)
{
    struct termios now;
    const char *wait = getenv("DT_SHIM_WAIT");
    if (tcgetattr(fd, &now) == 0 && (now.c_lflag & ICANON) != (to->c_lflag & ICANON)) {
        char mode = to->c_lflag & ICANON ? 'o' : 'r';
        note(mode);
        for (int i = 0; wait && strchr(wait, mode) && !input_waits(fd) && i < 30000; i++)
            usleep(1000);
    }
    return set_attributes(fd, when, to);
}
