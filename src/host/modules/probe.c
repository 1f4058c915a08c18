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
#include "host/array.h"
#include "host/clock.h"
#include "host/modules/remembered.h"

// ---- results ----

// A file as it was when it was examined.
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct result {
    struct identity file;
    const char *symbol; // of the kind
    char reason[DT_PROBE_REASON];
    void *finding; // NULL if there is a reason
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of the following
static struct result *results;
static size_t result_count, result_capacity;

static bool identify(const char *path, struct identity *out)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return false;
    *out = (struct identity){info.st_dev, info.st_ino, info.st_size, info.st_ctim};
    return true;
}

static const struct result *find(const char *path, const struct dt_module_kind *kind)
{
    struct identity file;
    if (!identify(path, &file))
        return NULL;
    for (size_t i = 0; i < result_count; i++) {
        const struct identity *known = &results[i].file;
        if (known->device == file.device && known->inode == file.inode &&
            known->size == file.size && known->changed.tv_sec == file.changed.tv_sec &&
            known->changed.tv_nsec == file.changed.tv_nsec &&
            strcmp(results[i].symbol, kind->symbol) == 0)
            return &results[i];
    }
    return NULL;
}

// Without memory the module is examined again the next time.
static void store(const char *path, const struct dt_examination *how, const char *reason,
                  const void *finding)
{
    struct result result = {.symbol = how->kind->symbol};
    if (!identify(path, &result.file) ||
        !dt_array_grow(&results, &result_capacity, result_count + 1, sizeof *results))
        return;
    dt_format(result.reason, sizeof result.reason, "%s", reason);
    if (!reason[0]) {
        result.finding = malloc(how->finding_size + 1);
        if (!result.finding)
            return;
        memcpy(result.finding, finding, how->finding_size);
    }
    results[result_count++] = result;
}

// ---- what earlier starts found ----

// A row of the file: the finding follows.
struct row {
    int64_t device, inode, size, changed, changed_ns;
};

static void recall_earlier(const struct dt_examination *how)
{
    size_t row_bytes = sizeof(struct row) + how->finding_size, count = 0;
    void *rows;
    for (size_t i = 0; i < result_count; i++) {
        if (strcmp(results[i].symbol, how->kind->symbol) == 0)
            return; // not the first time
    }
    if (!how->remember || !dt_remembered_read(how->kind->folder, row_bytes, &rows, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        const char *at = (const char *)rows + i * row_bytes;
        struct row row;
        memcpy(&row, at, sizeof row);
        struct result result = {
            .file = {.device = (dev_t)row.device,
                     .inode = (ino_t)row.inode,
                     .size = (off_t)row.size,
                     .changed = {(time_t)row.changed, (long)row.changed_ns}},
            .symbol = how->kind->symbol,
            .finding = malloc(how->finding_size + 1),
        };
        if (!result.finding ||
            !dt_array_grow(&results, &result_capacity, result_count + 1, sizeof *results)) {
            free(result.finding);
            break;
        }
        memcpy(result.finding, at + sizeof row, how->finding_size);
        results[result_count++] = result;
    }
    free(rows);
}

// Stores what was found of these modules.
static void remember(const struct dt_modules *modules, const struct dt_examination *how)
{
    size_t row_bytes = sizeof(struct row) + how->finding_size, count = 0;
    char *rows = calloc(modules->count + 1, row_bytes);
    for (size_t i = 0; rows && i < modules->count; i++) {
        const struct dt_module *module = &modules->items[i];
        const struct result *result = module->reason ? NULL : find(module->path, how->kind);
        if (!result || result->reason[0])
            continue;
        const struct identity *file = &result->file;
        struct row row = {(int64_t)file->device, (int64_t)file->inode, (int64_t)file->size,
                          (int64_t)file->changed.tv_sec, (int64_t)file->changed.tv_nsec};
        char *at = rows + count++ * row_bytes;
        memcpy(at, &row, sizeof row);
        memcpy(at + sizeof row, result->finding, how->finding_size);
    }
    if (rows)
        dt_remembered_write(how->kind->folder, row_bytes, rows, count);
    free(rows);
}

// ---- the child ----

// What the child says about a module. A finding follows the last one, if there is no reason.
enum step {
    BEGIN,  // it is being loaded
    LOADED, // it is being asked
    END,
};

struct message {
    uint32_t number; // of the module
    uint32_t step;
    char reason[DT_PROBE_REASON];
};

static void send_all(int out, const void *bytes, size_t n)
{
    const char *from = bytes;
    while (n > 0) {
        ssize_t written = write(out, from, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            _exit(1);
        from += written;
        n -= (size_t)written;
    }
}

// Loads a module and looks at it. False: the reason is written.
static bool examine(struct dt_module *module, const struct dt_examination *how, int out,
                    struct message *message, void *finding)
{
    struct dt_error err = {0};
    message->reason[0] = 0;
    memset(finding, 0, how->finding_size);
    if (dt_module_load(module, how->kind, &err) != DT_OK) {
        dt_format(message->reason, sizeof message->reason, "%s", err.message);
        return false;
    }
    message->step = LOADED;
    if (out >= 0)
        send_all(out, message, sizeof *message);
    how->look(how->arg, module, finding, message->reason);
    return !message->reason[0];
}

static _Noreturn void examine_all(struct dt_modules *modules, const struct dt_examination *how,
                                  const bool *known, int out, void *finding)
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
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) { // a module must not read the user's input or write into the story
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    for (uint32_t i = 0; i < modules->count; i++) {
        struct message message = {.number = i, .step = BEGIN};
        if (known[i])
            continue;
        send_all(out, &message, sizeof message);
        bool good = examine(&modules->items[i], how, out, &message, finding);
        message.step = END;
        send_all(out, &message, sizeof message);
        if (good)
            send_all(out, finding, how->finding_size);
    }
    _exit(0);
}

// ---- the parent ----

// Reads within the time that one step has. False: the child has ended, or *in_time is false.
static bool receive(int in, void *bytes, size_t n, bool *in_time)
{
    struct dt_patience patience;
    dt_patience_begin(&patience);
    char *to = bytes;
    while (n > 0) {
        struct pollfd wait = {in, POLLIN, 0};
        int ready = poll(&wait, 1, DT_PATIENCE_STEP);
        *in_time = ready != 0 || !dt_patience_ends(&patience, DT_PROBE_MILLISECONDS);
        if (ready == 0 && *in_time)
            continue;
        ssize_t got = ready > 0 ? read(in, to, n) : -1;
        if (got < 0 && ready != 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        n -= (size_t)got;
    }
    return true;
}

static dt_status refuse(struct dt_module *module, const char *reason, struct dt_error *err)
{
    dt_module_unload(module);
    free(module->reason);
    module->reason = strdup(reason);
    return module->reason
               ? DT_OK
               : dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of modules");
}

// What is known of a module afterwards, by what the child said last and how it ended.
static void explain(const struct message *last, bool in_time, int code, char *out, size_t size)
{
    const char *when = last->step == BEGIN ? "while it was loaded" : "in its probe";
    if (!in_time)
        dt_format(out, size, "did not return %s within %d s, so it is not used",
                  last->step == BEGIN ? "from being loaded" : "from its probe",
                  DT_PROBE_MILLISECONDS / 1000);
    else if (WIFSIGNALED(code))
        dt_format(out, size, "crashed %s (signal %d), so it is not used", when, WTERMSIG(code));
    else
        dt_format(out, size, "ended the process %s, so it is not used", when);
}

static dt_status accept(struct dt_module *module, const struct dt_examination *how,
                        const char *reason, const void *finding, struct dt_error *err)
{
    store(module->path, how, reason, finding);
    return reason[0] ? refuse(module, reason, err) : DT_OK;
}

// Examines the modules that are not known yet, up to the first that fails. *child: whether there
// was a child; without one nothing has changed.
static dt_status examine_some(struct dt_modules *modules, const struct dt_examination *how,
                              bool *known, char *findings, bool *child, struct dt_error *err)
{
    int ends[2], code = 0;
    bool in_time = true;
    dt_status status = DT_OK;
    struct message message, last = {.number = UINT32_MAX};
    *child = false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return DT_OK;
    pid_t pid = dt_modules_fork();
    if (pid == 0)
        examine_all(modules, how, known, ends[1], findings);
    close(ends[1]);
    while (pid > 0 && status == DT_OK && receive(ends[0], &message, sizeof message, &in_time) &&
           message.number < modules->count) {
        struct dt_module *module = &modules->items[message.number];
        char *finding = findings + message.number * how->finding_size;
        last = message;
        if (message.step != END)
            continue;
        message.reason[sizeof message.reason - 1] = 0;
        if (!message.reason[0] && !receive(ends[0], finding, how->finding_size, &in_time))
            break;
        known[message.number] = true;
        status = accept(module, how, message.reason, finding, err);
        last.number = UINT32_MAX;
    }
    close(ends[0]);
    if (pid < 0)
        return DT_OK;
    kill(pid, SIGKILL); // it has ended, or it hangs
    while (waitpid(pid, &code, 0) < 0 && errno == EINTR)
        continue;
    *child = last.number < modules->count || (WIFEXITED(code) && WEXITSTATUS(code) == 0);
    if (last.number >= modules->count || status != DT_OK)
        return status;
    explain(&last, in_time, code, message.reason, sizeof message.reason);
    known[last.number] = true;
    return accept(&modules->items[last.number], how, message.reason, NULL, err);
}

// Takes over what is stored. Returns how many modules are left.
static dt_status recall(struct dt_modules *modules, const struct dt_examination *how, bool *known,
                        char *findings, size_t *left, struct dt_error *err)
{
    dt_status status = DT_OK;
    for (size_t i = 0; i < modules->count && status == DT_OK; i++) {
        struct dt_module *module = &modules->items[i];
        const struct result *result = module->reason ? NULL : find(module->path, how->kind);
        known[i] = module->reason || result;
        *left += !known[i];
        if (result && result->reason[0])
            status = refuse(module, result->reason, err);
        else if (result)
            memcpy(findings + i * how->finding_size, result->finding, how->finding_size);
    }
    return status;
}

dt_status dt_modules_examine(struct dt_modules *modules, const struct dt_examination *how,
                             void *findings, struct dt_error *err)
{
    bool *known = calloc(modules->count + 1, sizeof *known);
    size_t left = 0;
    bool child = true;
    if (!known)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of modules");
    pthread_mutex_lock(&lock);
    recall_earlier(how);
    dt_status status = recall(modules, how, known, findings, &left, err);
    bool found_more = left > 0;
    while (left > 0 && child && status == DT_OK) {
        status = examine_some(modules, how, known, findings, &child, err);
        left = 0;
        for (size_t i = 0; i < modules->count; i++)
            left += !known[i];
    }
    for (size_t i = 0; left > 0 && i < modules->count && status == DT_OK; i++) {
        struct message message = {0};
        char *finding = (char *)findings + i * how->finding_size;
        if (known[i])
            continue;
        examine(&modules->items[i], how, -1, &message, finding);
        dt_module_unload(&modules->items[i]);
        status = accept(&modules->items[i], how, message.reason, finding, err);
    }
    if (how->remember && found_more && status == DT_OK)
        remember(modules, how);
    pthread_mutex_unlock(&lock);
    free(known);
    return status;
}
