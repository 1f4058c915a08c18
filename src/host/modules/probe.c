// SPDX-License-Identifier: MIT
#include "host/modules/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "host/clock.h"

#define RESULTS_MAX 128

// A file as it was when it was tried.
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of the following
static struct result {
    struct identity file;
    char reason[96]; // "": the module returned
} results[RESULTS_MAX];
static size_t result_count;

static bool identify(const char *path, struct identity *out)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return false;
    *out = (struct identity){info.st_dev, info.st_ino, info.st_size, info.st_ctim};
    return true;
}

static const struct result *find(const struct identity *file)
{
    for (size_t i = 0; i < result_count; i++) {
        const struct identity *known = &results[i].file;
        if (known->device == file->device && known->inode == file->inode &&
            known->size == file->size && known->changed.tv_sec == file->changed.tv_sec &&
            known->changed.tv_nsec == file->changed.tv_nsec)
            return &results[i];
    }
    return NULL;
}

static void store(const struct dt_module *module, const char *reason)
{
    struct result *result = &results[result_count];
    if (result_count == RESULTS_MAX || !identify(module->path, &result->file))
        return;
    dt_format(result->reason, sizeof result->reason, "%s", reason);
    result_count++;
}

static void refuse(struct dt_module *module, const char *reason)
{
    dt_module_unload(module);
    free(module->reason);
    module->reason = strdup(reason);
}

// ---- the child ----

// Sends the number of each module before it is tried, and again afterwards.
static _Noreturn void try_all(const struct dt_modules *modules, const bool *tried, int out,
                              void (*try_it)(void *arg, const struct dt_module *module), void *arg)
{
    const struct rlimit no_core = {0, 0};
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &usual, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_CORE, &no_core);
    for (uint32_t i = 0; i < modules->count; i++) {
        if (tried[i])
            continue;
        if (write(out, &i, sizeof i) != (ssize_t)sizeof i)
            _exit(1);
        try_it(arg, &modules->items[i]);
        if (write(out, &i, sizeof i) != (ssize_t)sizeof i)
            _exit(1);
    }
    _exit(0);
}

// ---- the parent ----

// Reads a number within the time that one module has. 0: the child has ended, or time is over.
static bool read_number(int in, uint32_t *number, bool *in_time)
{
    uint64_t end = dt_clock_ns() + DT_PROBE_MILLISECONDS * 1000000ull;
    struct pollfd wait = {in, POLLIN, 0};
    int ready = 0;
    *in_time = true;
    for (uint64_t now; (now = dt_clock_ns()) < end;) {
        ready = poll(&wait, 1, (int)((end - now) / 1000000u) + 1);
        if (ready >= 0 || errno != EINTR)
            break;
    }
    *in_time = ready != 0;
    ssize_t n = -1;
    while (ready > 0 && (n = read(in, number, sizeof *number)) < 0 && errno == EINTR)
        continue;
    return n == (ssize_t)sizeof *number;
}

// Tries the modules that are not tried yet, up to the first that fails. False if there is no child.
static bool try_some(struct dt_modules *modules, bool *tried,
                     void (*try_it)(void *arg, const struct dt_module *module), void *arg)
{
    int ends[2], code = 0;
    uint32_t number, current = UINT32_MAX;
    bool in_time = true;
    char reason[96];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t child = fork();
    if (child == 0)
        try_all(modules, tried, ends[1], try_it, arg);
    close(ends[1]);
    while (child > 0 && read_number(ends[0], &number, &in_time) && number < modules->count) {
        if (number == current) {
            tried[number] = true;
            store(&modules->items[number], "");
            current = UINT32_MAX;
        } else {
            current = number;
        }
    }
    close(ends[0]);
    if (child < 0)
        return false;
    kill(child, SIGKILL); // it has ended, or it hangs
    while (waitpid(child, &code, 0) < 0 && errno == EINTR)
        continue;
    if (current >= modules->count)
        return in_time && WIFEXITED(code) && WEXITSTATUS(code) == 0;
    if (!in_time)
        dt_format(reason, sizeof reason,
                  "did not return from its probe within %d s, so it is not used",
                  DT_PROBE_MILLISECONDS / 1000);
    else if (WIFSIGNALED(code))
        dt_format(reason, sizeof reason, "crashed in its probe (signal %d), so it is not used",
                  WTERMSIG(code));
    else
        dt_format(reason, sizeof reason, "ended the process in its probe, so it is not used");
    tried[current] = true;
    store(&modules->items[current], reason);
    refuse(&modules->items[current], reason);
    return true;
}

void dt_modules_probe(struct dt_modules *modules,
                      void (*try_it)(void *arg, const struct dt_module *module), void *arg)
{
    bool *tried = calloc(modules->count + 1, sizeof *tried);
    size_t left = 0;
    if (!tried)
        return;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < modules->count; i++) {
        struct identity file;
        struct dt_module *module = &modules->items[i];
        const struct result *known =
            module->symbol && identify(module->path, &file) ? find(&file) : NULL;
        tried[i] = !module->symbol || known;
        left += !tried[i];
        if (known && known->reason[0])
            refuse(module, known->reason);
    }
    while (left > 0 && try_some(modules, tried, try_it, arg)) {
        left = 0;
        for (size_t i = 0; i < modules->count; i++)
            left += !tried[i];
    }
    pthread_mutex_unlock(&lock);
    free(tried);
}
