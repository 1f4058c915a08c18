// SPDX-License-Identifier: MIT
#include "host/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "host/clock.h"

// ---- stopping ----

dt_status dt_stop_init(struct dt_stop *stop, struct dt_error *err)
{
    atomic_init(&stop->set, false);
    stop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop->fd < 0)
        return dt_error_set(err, DT_FAILED, NULL, "cannot make an event descriptor: %s",
                            strerror(errno));
    return DT_OK;
}

void dt_stop_free(struct dt_stop *stop)
{
    dt_child_close(&stop->fd);
}

void dt_stop_set(struct dt_stop *stop)
{
    int saved = errno;
    uint64_t one = 1;
    atomic_store(&stop->set, true);
    // Cannot fail: the counter would have to reach 2^64.
    if (write(stop->fd, &one, sizeof one) < 0)
        atomic_store(&stop->set, true);
    errno = saved;
}

void dt_stop_clear(struct dt_stop *stop)
{
    uint64_t count;
    if (read(stop->fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return;
    atomic_store(&stop->set, false);
}

// ---- finding ----

static bool is_program(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

bool dt_child_find(const char *name, char *path, size_t path_size)
{
    char candidate[PATH_MAX];
    if (strchr(name, '/')) {
        if (!is_program(name))
            return false;
        return !path || dt_format(path, path_size, "%s", name) < path_size;
    }
    const char *list = getenv("PATH");
    if (!list)
        list = "/usr/local/bin:/usr/bin:/bin";
    while (*list) {
        size_t n = strcspn(list, ":");
        if (n > 0 && list[0] == '/' &&
            dt_format(candidate, sizeof candidate, "%.*s/%s", (int)n, list, name) <
                sizeof candidate &&
            is_program(candidate))
            return !path || dt_format(path, path_size, "%s", candidate) < path_size;
        list += n + (list[n] == ':');
    }
    return false;
}

// ---- starting ----

void dt_child_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

// Makes an anonymous file with these bytes. Returns its descriptor, or -1 and errno.
static int memory_file(const struct dt_child_file *file)
{
    int low = memfd_create("duotale", MFD_CLOEXEC);
    if (low < 0)
        return -1;
    // Above the descriptors that the child will use.
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 64);
    close(low);
    const char *bytes = file->bytes;
    for (size_t done = 0; fd >= 0 && done < file->length;) {
        ssize_t n = write(fd, bytes + done, file->length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            dt_child_close(&fd);
            break;
        }
        done += (size_t)n;
    }
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0)
        dt_child_close(&fd);
    return fd;
}

static bool make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return false;
    }
    for (int i = 0; i < 2; i++) {
        int high = fcntl(ends[i], F_DUPFD_CLOEXEC, 64);
        if (high < 0)
            return false;
        close(ends[i]);
        ends[i] = high;
    }
    return true;
}

// Runs between vfork and exec, in the parent's memory: only async-signal-safe calls, and writes
// only to its own frame. Sends an error number through `report`.
static _Noreturn void become(const char *path, const struct dt_child_spec *spec, const int ends[3],
                             const int *files, int report, pid_t parent)
{
    // The kernel kills this process when its parent ends. The parent may have ended already.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &usual, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (spec->nice && nice(spec->nice) == -1)
        errno = 0; // not fatal
    // If memory runs out, the kernel should kill this process rather than the program.
    static const char expendable[] = "800";
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0 && write(score, expendable, sizeof expendable - 1) < 0)
        errno = 0; // not fatal
    if (score >= 0)
        close(score);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        int from = ends[i] >= 0 ? ends[i] : null;
        if (from < 0 || (from == i ? fcntl(from, F_SETFD, 0) : dup2(from, i)) < 0)
            goto failed;
    }
#ifdef SYS_close_range
    // Closes all other descriptors at exec, also those opened without O_CLOEXEC. 4 is
    // CLOSE_RANGE_CLOEXEC.
    syscall(SYS_close_range, 3u, ~0u, 4u);
#endif
    for (size_t i = 0; i < spec->file_count; i++)
        if (dup2(files[i], DT_CHILD_FILE_FD + (int)i) < 0)
            goto failed;
    execv(path, (char *const *)spec->argv);
failed:;
    int code = errno;
    if (write(report, &code, sizeof code) < 0)
        _exit(126);
    _exit(127);
}

// Starts the process; returns its id, or -1 and errno. vfork, because fork would copy the page
// tables and cause a fault for every page written afterwards, with each sentence spoken. Signals
// are blocked so that no handler runs in the child, which shares this process's memory until exec.
static __attribute__((noinline)) pid_t launch(const char *path, const struct dt_child_spec *spec,
                                              const int ends[3], const int *files, int report)
{
    const pid_t parent = getpid();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = vfork();
    if (pid == 0)
        become(path, spec, ends, files, report, parent);
    const int failure = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failure;
    return pid;
}

static bool set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

bool dt_child_lower(int steps)
{
    errno = 0;
    // On Linux this changes the calling thread only.
    return nice(steps) != -1 || errno == 0;
}

dt_status dt_child_start(struct dt_child *child, const struct dt_child_spec *spec,
                         struct dt_error *err)
{
    dt_status status = DT_OK;
    char path[PATH_MAX];
    int pipes[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}}; // stdin, stdout, stderr, report
    int files[DT_CHILD_FILES];
    size_t file_count = 0;

    memset(child, 0, sizeof *child);
    child->in = child->out = child->err = -1;
    if (!dt_child_find(spec->argv[0], path, sizeof path))
        return dt_error_set(err, DT_UNSUPPORTED, NULL, "%s is not installed", spec->argv[0]);
    for (int i = 0; i < 4; i++) {
        if ((i == 3 || (spec->pipes & (1u << i))) && !make_pipe(pipes[i])) {
            status = dt_error_set(err, DT_FAILED, NULL, "cannot start %s: no pipe: %s",
                                  spec->argv[0], strerror(errno));
            goto out;
        }
    }
    for (; file_count < spec->file_count && file_count < DT_CHILD_FILES; file_count++) {
        files[file_count] = memory_file(&spec->files[file_count]);
        if (files[file_count] < 0) {
            status = dt_error_set(err, DT_NO_MEMORY, NULL,
                                  "cannot start %s: no memory file of %zu bytes: %s", spec->argv[0],
                                  spec->files[file_count].length, strerror(errno));
            goto out;
        }
    }
    // the child's ends of the pipes
    const int ends[3] = {pipes[0][0], pipes[1][1], pipes[2][1]};
    pid_t pid = launch(path, spec, ends, files, pipes[3][1]);
    if (pid < 0) {
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "cannot start %s: vfork: %s", spec->argv[0],
                              strerror(errno));
        goto out;
    }
    child->pid = pid;
    setpgid(pid, pid); // the child does so too; whichever is first succeeds

    dt_child_close(&pipes[3][1]);
    int code = 0;
    ssize_t n;
    while ((n = read(pipes[3][0], &code, sizeof code)) < 0 && errno == EINTR)
        continue;
    if (n == (ssize_t)sizeof code) {
        dt_child_finish(child, NULL);
        status = dt_error_set(err, DT_UNSUPPORTED, path, "cannot be executed: %s", strerror(code));
        goto out;
    }
    child->in = pipes[0][1];
    child->out = pipes[1][0];
    child->err = pipes[2][0];
    pipes[0][1] = pipes[1][0] = pipes[2][0] = -1;
    if ((child->in >= 0 && !set_nonblocking(child->in)) ||
        (child->out >= 0 && !set_nonblocking(child->out)) ||
        (child->err >= 0 && !set_nonblocking(child->err))) {
        status = dt_error_set(err, DT_FAILED, NULL, "cannot start %s: pipes: %s", spec->argv[0],
                              strerror(errno));
        dt_child_finish(child, NULL);
    }
out:
    for (size_t i = 0; i < file_count; i++)
        dt_child_close(&files[i]);
    for (int i = 0; i < 4; i++) {
        dt_child_close(&pipes[i][0]);
        dt_child_close(&pipes[i][1]);
    }
    return status;
}

// ---- input and output ----

bool dt_child_read_error(struct dt_child *child)
{
    char bytes[512];
    while (child->err >= 0) {
        ssize_t n = read(child->err, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) {
            dt_child_close(&child->err);
            return false;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] == '\n') {
                child->line_open = false;
                continue;
            }
            if (!child->line_open) {
                if (bytes[i] == ' ' || bytes[i] == '\r')
                    continue; // an empty line does not replace the last one
                child->line_length = 0;
                child->line_open = true;
            }
            if (child->line_length + 1 < sizeof child->line) {
                child->line[child->line_length++] = (unsigned char)bytes[i] < 0x20 ? ' ' : bytes[i];
                child->line[child->line_length] = '\0';
            }
        }
    }
    return false;
}

ssize_t dt_child_write(struct dt_child *child, const void *bytes, size_t n)
{
    // write() has no MSG_NOSIGNAL: block SIGPIPE on this thread and consume it if this write raised
    // it.
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t done;
    do {
        done = write(child->in, bytes, n);
    } while (done < 0 && errno == EINTR);
    int code = errno;
    if (done < 0 && code == EPIPE && !was_pending) {
        const struct timespec now = {0, 0};
        while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
            continue;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (done >= 0)
        return done;
    return code == EAGAIN ? 0 : -1;
}

// ---- ending ----

static bool reap(struct dt_child *child, bool block, struct dt_child_end *end)
{
    struct rusage usage = {0};
    int code = 0;
    pid_t pid;
    while ((pid = wait4(child->pid, &code, block ? 0 : WNOHANG, &usage)) < 0 && errno == EINTR)
        continue;
    if (pid == 0)
        return false;
    struct dt_child_end ended = {.code = -1};
    if (pid > 0) {
        ended.code = WIFEXITED(code) ? WEXITSTATUS(code) : -1;
        ended.signal = WIFSIGNALED(code) ? WTERMSIG(code) : 0;
        ended.cpu_ns =
            ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000u +
            ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000u;
    }
    child->pid = 0;
    dt_child_read_error(child);
    dt_child_close(&child->in);
    dt_child_close(&child->out);
    dt_child_close(&child->err);
    if (end)
        *end = ended;
    return true;
}

bool dt_child_wait(struct dt_child *child, int milliseconds, struct dt_stop *stop,
                   struct dt_child_end *end)
{
    if (child->pid <= 0)
        return true;
    // Poll at growing intervals, because process descriptors exist only since Linux 5.3.
    struct dt_patience patience;
    dt_patience_begin(&patience);
    int pause = 1;
    while (!reap(child, false, end)) {
        if (milliseconds >= 0 && dt_patience_ends(&patience, (uint32_t)milliseconds))
            return false;
        struct pollfd fds[2] = {{.fd = stop ? stop->fd : -1, .events = POLLIN},
                                {.fd = child->err, .events = POLLIN}};
        poll(fds, 2, pause);
        if (stop && atomic_load(&stop->set))
            return false;
        if (fds[1].revents)
            dt_child_read_error(child);
        pause = pause < 20 ? pause * 2 : 20;
    }
    return true;
}

uint64_t dt_child_cpu_ns(const struct dt_child *child)
{
    clockid_t clock;
    struct timespec used;
    if (child->pid <= 0 || clock_getcpuclockid(child->pid, &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

void dt_child_finish(struct dt_child *child, struct dt_child_end *end)
{
    if (child->pid > 0) {
        kill(-child->pid, SIGKILL); // also the processes it started
        kill(child->pid, SIGKILL);
        reap(child, true, end);
    }
    dt_child_close(&child->in);
    dt_child_close(&child->out);
    dt_child_close(&child->err);
}

const char *dt_child_describe(const struct dt_child *child, const char *name,
                              const struct dt_child_end *end, char *out, size_t out_size)
{
    const char *colon = child->line_length ? ": " : "";
    const char *line = child->line_length ? child->line : "";
    if (end->signal)
        dt_format(out, out_size, "%s was ended by signal %d (%s)%s%s", name, end->signal,
                  strsignal(end->signal), colon, line);
    else
        dt_format(out, out_size, "%s ended with code %d%s%s", name, end->code, colon, line);
    return out;
}
