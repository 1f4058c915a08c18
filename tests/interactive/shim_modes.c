// SPDX-License-Identifier: MIT
// Preloaded into the program: makes the moment long in which the terminal's mode changes. Before
// each change it appends a byte to the file DT_SHIM_LOG, 'r' for readline's mode or 'o' for the
// ordinary mode, and after it 'R' or 'O'; if DT_SHIM_WAIT names that byte, it waits there for
// input.
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

// In the ordinary mode only a whole line counts as input.
static int input_waits(int fd)
{
    struct pollfd wait = {fd, POLLIN, 0};
    return poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN);
}

static void note(char mode, int fd)
{
    const char *name = getenv("DT_SHIM_LOG"), *wait = getenv("DT_SHIM_WAIT");
    int log = name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (log >= 0 && write(log, &mode, 1) != 1)
        abort();
    if (log >= 0)
        close(log);
    for (int i = 0; wait && strchr(wait, mode) && !input_waits(fd) && i < 30000; i++)
        usleep(1000);
}

__attribute__((visibility("default"))) int tcsetattr(int fd, int when, const struct termios *to)
{
    struct termios now;
    int changes = tcgetattr(fd, &now) == 0 && (now.c_lflag & ICANON) != (to->c_lflag & ICANON);
    if (changes)
        note(to->c_lflag & ICANON ? 'o' : 'r', fd);
    int result = set_attributes(fd, when, to);
    if (changes)
        note(to->c_lflag & ICANON ? 'O' : 'R', fd);
    return result;
}
