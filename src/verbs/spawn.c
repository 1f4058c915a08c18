// SPDX-License-Identifier: MIT
#include "verbs/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "host/clock.h"
#include "host/modules/modules.h"

// The path of this program; /proc/self/exe may be a loader, as in the board's bundle.
static const char *own_path(char *out, size_t size)
{
    dt_format(out, size, "%s/duotale", dt_modules_home());
    return access(out, X_OK) == 0 ? out : "/proc/self/exe";
}

// Appends what can be read from fd to *text. False at the end of the stream.
static bool drain(int fd, char **text, size_t *n)
{
    char *more = realloc(*text, *n + 65537);
    if (!more)
        return false;
    *text = more;
    ssize_t got = read(fd, more + *n, 65536);
    if (got > 0)
        *n += (size_t)got;
    more[*n] = 0;
    return got > 0 || (got < 0 && errno == EINTR);
}

void dt_output_free(struct dt_output *output)
{
    free(output->out);
    free(output->err);
    memset(output, 0, sizeof *output);
}

static uint64_t number_in(const char *text, const char *label)
{
    const char *at = text ? strstr(text, label) : NULL;
    return at ? strtoull(at + strlen(label), NULL, 10) : 0;
}

// Bytes that a child, ended and not yet reaped, read from storage.
static uint64_t bytes_read_by(pid_t pid)
{
    char path[64], text[1024];
    dt_format(path, sizeof path, "/proc/%d/io", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *line = strstr(text, "\nread_bytes:");
    return line ? number_in(line, "read_bytes:") : 0;
}

// In the child: connects the streams and becomes the program.
static _Noreturn void become(const char *path, const char *const *argv, int output, int errors)
{
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

// Reads both streams until they end. output: -1 where stdout is a file.
static void read_streams(int output, int errors, uint64_t begun, struct dt_output *out)
{
    size_t err_size = 0;
    struct pollfd wait[2] = {{.fd = output, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    while (wait[0].fd >= 0 || wait[1].fd >= 0) {
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            break;
        if (wait[0].revents) {
            if (!out->first_byte_ns)
                out->first_byte_ns = dt_clock_ns() - begun;
            if (!drain(output, &out->out, &out->out_size))
                wait[0].fd = -1;
        }
        if (wait[1].revents && !drain(errors, &out->err, &err_size))
            wait[1].fd = -1;
    }
}

// Waits for the end of the child and fills in the figures of the kernel.
static void reap(pid_t pid, uint64_t begun, struct dt_output *out)
{
    siginfo_t info;
    struct rusage usage = {0};
    int ended = 0;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
    out->total_ns = dt_clock_ns() - begun;
    out->bytes_read = bytes_read_by(pid);
    wait4(pid, &ended, 0, &usage);
    out->code = WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
    out->minor_faults = (uint64_t)usage.ru_minflt;
    out->major_faults = (uint64_t)usage.ru_majflt;
    out->peak_rss = (uint64_t)usage.ru_maxrss * 1024;
}

dt_status dt_verb_spawn(const char *const *argv, bool to_file, struct dt_output *out,
                        struct dt_error *err)
{
    int output[2] = {-1, -1}, errors[2] = {-1, -1};
    char path[4096];
    memset(out, 0, sizeof *out);
    own_path(path, sizeof path);
    if (to_file)
        output[0] = output[1] = memfd_create("story", MFD_CLOEXEC);
    if ((to_file ? output[0] < 0 : pipe2(output, O_CLOEXEC) != 0) || pipe2(errors, O_CLOEXEC) != 0)
        return dt_error_set(err, DT_FAILED, NULL, "cannot create a pipe: %s", strerror(errno));
    dt_status status = DT_OK;
    uint64_t begun = dt_clock_ns();
    pid_t pid = fork();
    if (pid == 0)
        become(path, argv, output[1], errors[1]);
    if (pid < 0)
        status =
            dt_error_set(err, DT_FAILED, NULL, "cannot start a child process: %s", strerror(errno));
    if (!to_file)
        close(output[1]);
    close(errors[1]);
    if (pid > 0) {
        read_streams(to_file ? -1 : output[0], errors[0], begun, out);
        reap(pid, begun, out);
    }
    if (to_file) {
        lseek(output[0], 0, SEEK_SET);
        while (drain(output[0], &out->out, &out->out_size))
            ;
    }
    close(output[0]);
    close(errors[0]);
    if (status == DT_OK && out->code != 0)
        status = dt_error_set(
            err, DT_FAILED, NULL, "a run of duotale ended with exit code %d: %.*s", out->code,
            out->err ? (int)strcspn(out->err, "\n") : 0, out->err ? out->err : "");
    return status;
}
