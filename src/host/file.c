// SPDX-License-Identifier: MIT
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/array.h"

#ifndef O_DIRECT
#define O_DIRECT 0
#endif

// ---- the guard ----

// Read by the signal handler: size is published last and cleared first.
struct dt_file_guard {
    _Atomic(uintptr_t) base;
    atomic_size_t size; // 0: the guard is free
    atomic_int lost;    // a page of it was replaced by zeros
    const char *path;   // this and the next two: under the lock, or by the owner of the file
    int fd;
    struct timespec modified; // when it was mapped
};

// Blocks are added and never freed, so that the signal handler can follow them without a lock.
#define GUARDS_OF_BLOCK 16

struct guard_block {
    struct dt_file_guard guard[GUARDS_OF_BLOCK];
    _Atomic(struct guard_block *) next;
};

static struct guard_block guards;
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous_action;
static size_t page_size;

bool dt_file_guard_fault(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (struct guard_block *b = &guards; b; b = atomic_load(&b->next)) {
        for (struct dt_file_guard *g = b->guard; g < b->guard + GUARDS_OF_BLOCK; g++) {
            size_t size = atomic_load(&g->size);
            uintptr_t base = atomic_load(&g->base);
            if (size == 0 || at < base || at - base >= size)
                continue;
            void *page = (void *)(at / page_size * page_size);
            if (mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
                page)
                return false;
            atomic_store(&g->lost, 1);
            return true;
        }
    }
    return false;
}

static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
    int saved = errno;
    if (dt_file_guard_fault(info->si_addr)) {
        errno = saved;
        return;
    }
    if (previous_action.sa_flags & SA_SIGINFO) {
        previous_action.sa_sigaction(signal_number, info, context);
    } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
        previous_action.sa_handler(signal_number);
    } else {
        signal(signal_number, SIG_DFL); // the access is repeated and ends the process
    }
    errno = saved;
}

static void install_guard(void)
{
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = {0};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous_action);
}

// A free guard; NULL without memory. The lock is held.
static struct dt_file_guard *free_guard(void)
{
    struct guard_block *b = &guards;
    for (;; b = atomic_load(&b->next)) {
        for (struct dt_file_guard *g = b->guard; g < b->guard + GUARDS_OF_BLOCK; g++) {
            if (atomic_load(&g->size) == 0)
                return g;
        }
        if (!atomic_load(&b->next))
            break;
    }
    struct guard_block *fresh = calloc(1, sizeof *fresh);
    atomic_store(&b->next, fresh);
    return fresh ? fresh->guard : NULL;
}

// Takes fd, which guard_remove closes, unless there is no memory.
static struct dt_file_guard *guard_add(const void *base, const struct stat *info, const char *path,
                                       int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_guard);
    pthread_mutex_lock(&guards_lock);
    struct dt_file_guard *g = free_guard();
    if (g) {
        g->path = path;
        g->fd = fd;
        g->modified = info->st_mtim;
        atomic_store(&g->lost, 0);
        atomic_store(&g->base, (uintptr_t)base);
        atomic_store(&g->size, (size_t)info->st_size);
    }
    pthread_mutex_unlock(&guards_lock);
    return g;
}

static void guard_remove(struct dt_file_guard *g)
{
    pthread_mutex_lock(&guards_lock);
    atomic_store(&g->size, 0);
    close(g->fd);
    g->path = NULL;
    pthread_mutex_unlock(&guards_lock);
}

// Pages that were lost; and, if `written`, whether another program has written to the file. Its new
// bytes appear in the mapping, so that no read fails.
static dt_status guard_check(const struct dt_file_guard *g, bool written, struct dt_error *err)
{
    struct stat info;
    size_t size = atomic_load(&g->size);
    bool known = written && fstat(g->fd, &info) == 0;
    if (atomic_load_explicit(&g->lost, memory_order_relaxed) ||
        (known && (uint64_t)info.st_size < size))
        return dt_error_set(
            err, DT_BAD_INPUT, g->path,
            "can no longer be read completely: it was truncated while in use, or its disk "
            "failed; open it again");
    if (known &&
        (info.st_mtim.tv_sec != g->modified.tv_sec || info.st_mtim.tv_nsec != g->modified.tv_nsec))
        return dt_error_set(err, DT_BAD_INPUT, g->path,
                            "was written to while in use, so what was read of it does not belong "
                            "together; open it again when it is complete");
    return DT_OK;
}

dt_status dt_file_check(const struct dt_file *file, struct dt_error *err)
{
    return file->guard ? guard_check(file->guard, true, err) : DT_OK;
}

dt_status dt_file_check_lost(const struct dt_file *file, struct dt_error *err)
{
    return file->guard ? guard_check(file->guard, false, err) : DT_OK;
}

dt_status dt_file_check_all(struct dt_error *err)
{
    dt_status status = DT_OK;
    pthread_mutex_lock(&guards_lock);
    for (struct guard_block *b = &guards; b && status == DT_OK; b = atomic_load(&b->next)) {
        for (struct dt_file_guard *g = b->guard; g < b->guard + GUARDS_OF_BLOCK; g++) {
            if (atomic_load(&g->size) != 0 && (status = guard_check(g, true, err)) != DT_OK)
                break;
        }
    }
    pthread_mutex_unlock(&guards_lock);
    return status;
}

// ---- mappings ----

// Opens a regular file for reading; the descriptor, or -1 with *err.
static int open_regular(const char *path, struct stat *info, struct dt_error *err)
{
    // O_NONBLOCK: opening a FIFO must not block.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        dt_error_set(err, DT_BAD_INPUT, path, "cannot be opened: %s", strerror(errno));
        return -1;
    }
    if (fstat(fd, info) != 0)
        dt_error_set(err, DT_BAD_INPUT, path, "cannot be examined: %s", strerror(errno));
    else if (S_ISDIR(info->st_mode))
        dt_error_set(err, DT_BAD_INPUT, path, "is a folder; name a file in it");
    else if (!S_ISREG(info->st_mode))
        dt_error_set(err, DT_BAD_INPUT, path,
                     "is not a regular file; only regular files can be mapped");
    else
        return fd;
    close(fd);
    return -1;
}

dt_status dt_file_map(struct dt_file *out, const char *path, struct dt_error *err)
{
    dt_status status = DT_OK;
    struct stat info;
    int fd = open_regular(path, &info, err);
    if (fd < 0)
        return DT_BAD_INPUT;
    memset(out, 0, sizeof *out);
    char *copy = NULL;
    void *bytes = MAP_FAILED;
    if (info.st_size == 0) {
        status = dt_error_set(err, DT_BAD_INPUT, path, "is empty (0 bytes)");
        goto done;
    }
    if ((uint64_t)info.st_size > SIZE_MAX / 2) {
        status = dt_error_set(err, DT_BAD_INPUT, path, "is too large for this machine");
        goto done;
    }
    copy = strdup(path);
    if (!copy) {
        status = dt_error_set(err, DT_NO_MEMORY, path, "no memory for the file name");
        goto done;
    }
    bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        status = dt_error_set(err, errno == ENOMEM ? DT_NO_MEMORY : DT_BAD_INPUT, path,
                              "cannot map %llu bytes: %s", (unsigned long long)info.st_size,
                              strerror(errno));
        goto done;
    }
    out->guard = guard_add(bytes, &info, copy, fd);
    if (!out->guard) {
        munmap(bytes, (size_t)info.st_size);
        status = dt_error_set(err, DT_NO_MEMORY, path, "no memory for the table of mapped files");
        goto done;
    }
    out->bytes = bytes;
    out->size = (size_t)info.st_size;
    out->path = copy;
    copy = NULL;
    fd = -1;
done:
    free(copy);
    if (fd >= 0)
        close(fd);
    return status;
}

int dt_file_open_again(const struct dt_file *file, bool direct)
{
    struct stat mapped, info;
    if (!direct)
        return fcntl(file->guard->fd, F_DUPFD_CLOEXEC, 0);
    int fd = O_DIRECT ? open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_DIRECT) : -1;
    if (fd < 0)
        return -1;
    if (fstat(fd, &info) == 0 && fstat(file->guard->fd, &mapped) == 0 &&
        info.st_dev == mapped.st_dev && info.st_ino == mapped.st_ino)
        return fd;
    close(fd);
    return -1;
}

void dt_file_unmap(struct dt_file *file)
{
    if (!file->bytes)
        return;
    guard_remove(file->guard);
    munmap((void *)(uintptr_t)file->bytes, file->size);
    free(file->path);
    memset(file, 0, sizeof *file);
}

void dt_file_advise(const struct dt_file *file, size_t offset, size_t bytes,
                    enum dt_file_advice advice)
{
    static const int advices[] = {
        [DT_FILE_SEQUENTIAL] = MADV_SEQUENTIAL,
        [DT_FILE_RANDOM] = MADV_RANDOM,
        [DT_FILE_WILL_NEED] = MADV_WILLNEED,
        [DT_FILE_DONT_NEED] = MADV_DONTNEED,
    };
    if (!file->bytes || offset >= file->size)
        return;
    if (bytes > file->size - offset)
        bytes = file->size - offset;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), end = offset + bytes;
    size_t begin = offset / page * page; // madvise requires a page boundary
    if (advice == DT_FILE_DONT_NEED) {   // only whole pages
        begin = (offset + page - 1) / page * page;
        end = end == file->size ? end : end / page * page;
    }
    if (begin < end)
        (void)madvise((void *)((uintptr_t)file->bytes + begin), end - begin, advices[advice]);
}

void dt_file_large_pages(struct dt_file *file)
{
#ifdef MADV_HUGEPAGE
    enum { large = 2 << 20 };
    unsigned char seen[large / 4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!file->bytes || file->size < 2 * large || page < 4096 ||
        madvise((void *)(uintptr_t)file->bytes, file->size, MADV_HUGEPAGE) != 0)
        return;
    // madvise succeeds even if the file system has no large pages. Read one byte to find out.
    const volatile unsigned char *at = file->bytes + large;
    (void)*at;
    if (mincore((void *)(uintptr_t)at, large, seen) != 0)
        return;
    file->large = true;
    for (size_t i = 0; i < large / page; i++)
        file->large &= seen[i] & 1;
#else
    (void)file;
#endif
}

void dt_file_touch(const struct dt_file *file)
{
#ifdef MADV_POPULATE_READ
    // One call instead of a fault for every 64 KB; only if hardly any disk access is needed. Often
    // the last pages of a file that was read before are missing.
    if (file->bytes && file->size - dt_file_resident(file) <= file->size / 64)
        (void)madvise((void *)(uintptr_t)file->bytes, file->size, MADV_POPULATE_READ);
#else
    (void)file;
#endif
}

size_t dt_file_resident(const struct dt_file *file)
{
    unsigned char seen[4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), step = page * sizeof seen, pages = 0;
    for (size_t at = 0; file->bytes && at < file->size; at += step) {
        size_t n = file->size - at < step ? file->size - at : step;
        if (mincore((void *)((uintptr_t)file->bytes + at), n, seen) != 0)
            return 0;
        for (size_t i = 0; i < (n + page - 1) / page; i++)
            pages += seen[i] & 1;
    }
    size_t bytes = pages * page;
    return bytes < file->size ? bytes : file->size;
}

// ---- small files ----

dt_status dt_file_read(const char *path, size_t max, char **out, size_t *size, struct dt_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return dt_error_set(err, DT_BAD_INPUT, path, "cannot be opened: %s", strerror(errno));
    dt_status status = DT_OK;
    size_t capacity = 0, n = 0;
    char *text = NULL;
    for (;;) {
        if (!dt_array_grow(&text, &capacity, n + 4096, 1)) {
            status = dt_error_set(err, DT_NO_MEMORY, name, "no memory for %zu bytes", n + 4096);
            break;
        }
        ssize_t got = read(fd, text + n, capacity - n - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = dt_error_set(err, DT_BAD_INPUT, name, "cannot be read: %s", strerror(errno));
        if (got <= 0)
            break;
        n += (size_t)got;
        if (n > max) {
            status = dt_error_set(err, DT_BAD_INPUT, name,
                                  "is too large; at most %zu bytes are supported", max);
            break;
        }
    }
    if (!standard)
        close(fd);
    if (status != DT_OK) {
        free(text);
        return status;
    }
    text[n] = 0;
    *out = text;
    *size = n;
    return DT_OK;
}

FILE *dt_file_open_text(const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe without a writer does not wait
    if (fd < 0)
        return NULL;
    int error = fstat(fd, &info) != 0    ? errno
                : S_ISDIR(info.st_mode)  ? EISDIR
                : !S_ISREG(info.st_mode) ? EINVAL
                                         : 0;
    FILE *in = error ? NULL : fdopen(fd, "r");
    if (in)
        return in;
    error = error ? error : errno;
    close(fd);
    errno = error;
    return NULL;
}

const char *dt_file_reason(int error)
{
    return error == EINVAL ? "it is not a regular file" : strerror(error);
}

bool dt_file_readable(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, R_OK) == 0;
}

// ---- folders ----

const char *dt_folder_home(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return home;
    struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

bool dt_folder_of_user(const char *variable, const char *below_home, char *out, size_t size)
{
    const char *folder = getenv(variable);
    int n;
    if (folder && folder[0] == '/') // the specification says to ignore relative ones
        n = snprintf(out, size, "%s/duotale", folder);
    else if (dt_folder_home())
        n = snprintf(out, size, "%s/%s/duotale", dt_folder_home(), below_home);
    else
        return false;
    return n > 0 && (size_t)n < size;
}

bool dt_folder_make_all(const char *file)
{
    char folder[600];
    snprintf(folder, sizeof folder, "%s", file);
    for (char *p = folder + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        int why = mkdir(folder, 0700) == 0 ? 0 : errno;
        if (why && why != EEXIST &&
            access(folder, F_OK) != 0) { // one that is there may be where nothing can be made
            errno = why;
            return false;
        }
        *p = '/';
    }
    return true;
}
