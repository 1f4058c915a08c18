// SPDX-License-Identifier: MIT
#include "host/memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/format.h"
#include "host/clock.h"

// ---- facts ----

// Reads a small file of /proc or /sys into text, NUL-terminated; returns its length, 0 if it is
// missing. The kernel returns all of such a file in one read.
static size_t read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    size_t n = got > 0 ? (size_t)got : 0;
    text[n] = 0;
    return n;
}

// The number after a line's label ("VmRSS:"), 0 if there is no such line.
static uint64_t number_after(const char *text, const char *label)
{
    size_t length = strlen(label);
    for (const char *line = text; *line;) {
        if (strncmp(line, label, length) == 0)
            return strtoull(line + length, NULL, 10);
        line = strchr(line, '\n');
        if (!line)
            break;
        line++;
    }
    return 0;
}

// The files of this process's memory cgroup, found once.
static struct {
    char limit[320], stat[320];
    const char *used[2]; // labels in stat whose sum cannot be reclaimed
} cgroup;

static void find_cgroup(void)
{
    char text[4096];
    if (read_small("/proc/self/cgroup", text, sizeof text) == 0)
        strcpy(text, "0::/"); // without /proc: the root of the namespace
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        controllers++;
        if (*controllers == 0) { // v2: one hierarchy
            if (strcmp(path, "/") == 0)
                path = "";
            dt_format(cgroup.limit, sizeof cgroup.limit, "/sys/fs/cgroup%s/memory.max", path);
            dt_format(cgroup.stat, sizeof cgroup.stat, "/sys/fs/cgroup%s/memory.stat", path);
            cgroup.used[0] = "anon ";
            cgroup.used[1] = "kernel ";
        } else if (strcmp(controllers, "memory") == 0) {
            if (strcmp(path, "/") == 0)
                path = "";
            dt_format(cgroup.limit, sizeof cgroup.limit,
                      "/sys/fs/cgroup/memory%s/memory.limit_in_bytes", path);
            dt_format(cgroup.stat, sizeof cgroup.stat, "/sys/fs/cgroup/memory%s/memory.stat", path);
            cgroup.used[0] = "rss ";
            cgroup.used[1] = NULL;
            break; // a mixed setup has the memory controller in v1
        }
    }
}

// The memory that the cgroup's limit leaves, counting page cache as free; UINT64_MAX if unlimited.
static uint64_t cgroup_available(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_cgroup);
    char text[8192];
    if (!cgroup.limit[0] || read_small(cgroup.limit, text, sizeof text) == 0 || text[0] < '0' ||
        text[0] > '9')
        return UINT64_MAX; // "max"
    uint64_t limit = strtoull(text, NULL, 10), used = 0;
    if (limit > UINT64_MAX / 4 || read_small(cgroup.stat, text, sizeof text) == 0)
        return UINT64_MAX;
    for (int i = 0; i < 2 && cgroup.used[i]; i++)
        used += number_after(text, cgroup.used[i]);
    return used < limit ? limit - used : 0;
}

static void machine_memory(uint64_t *available, uint64_t *total)
{
    char text[4096];
    struct sysinfo info;
    *available = *total = 0;
    if (read_small("/proc/meminfo", text, sizeof text) > 0) {
        *available = number_after(text, "MemAvailable:") * 1024;
        *total = number_after(text, "MemTotal:") * 1024;
    } else if (sysinfo(&info) == 0) {
        // Without the page cache this is less than what is available, so allocations are not
        // checked against it: the total stays unknown.
        *available = (uint64_t)info.freeram * info.mem_unit;
    }
    uint64_t group = cgroup_available();
    if (group < *available)
        *available = group;
}

// The available memory is read at most every RECENT_NS: starting an engine allocates several blocks
// within a few milliseconds, and the kernel needs about as long for each reading.
#define RECENT_NS 50000000u

static struct {
    pthread_mutex_t lock;
    uint64_t at, available, total;
} recent = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint64_t dt_memory_available(uint64_t *total)
{
    pthread_mutex_lock(&recent.lock);
    uint64_t now = dt_clock_ns();
    if (!recent.at || now - recent.at > RECENT_NS) {
        machine_memory(&recent.available, &recent.total);
        recent.at = now;
    }
    uint64_t available = recent.available;
    if (total)
        *total = recent.total;
    pthread_mutex_unlock(&recent.lock);
    return available;
}

// Subtracts an allocation from the last reading.
static void subtract_from_recent(size_t bytes)
{
    pthread_mutex_lock(&recent.lock);
    recent.available -= bytes < recent.available ? bytes : recent.available;
    pthread_mutex_unlock(&recent.lock);
}

// Invalidates the last reading, which a release made too small.
static void forget_recent(void)
{
    pthread_mutex_lock(&recent.lock);
    recent.at = 0;
    pthread_mutex_unlock(&recent.lock);
}

void dt_memory_facts(struct dt_memory_facts *out)
{
    char text[4096];
    memset(out, 0, sizeof *out);
    if (read_small("/proc/self/status", text, sizeof text) > 0) {
        out->rss = number_after(text, "VmRSS:") * 1024;
        out->rss_peak = number_after(text, "VmHWM:") * 1024;
        out->anonymous = number_after(text, "RssAnon:") * 1024;
        out->file = number_after(text, "RssFile:") * 1024;
    }
    machine_memory(&out->available, &out->total);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->major_faults = (uint64_t)usage.ru_majflt;
        out->minor_faults = (uint64_t)usage.ru_minflt;
    }
}

// ---- blocks ----

// Smaller blocks are not checked against the available memory.
#define CHECKED_MIN (256u * 1024)

#define LARGE_PAGE ((size_t)2 << 20)

static dt_status check_limits(const struct dt_account *account, size_t bytes, const char *what,
                              struct dt_error *err)
{
    size_t used = atomic_load(&account->used);
    if (account->limit && (bytes > account->limit || used > account->limit - bytes))
        return dt_error_set(
            err, DT_NO_MEMORY, NULL,
            "%s needs %zu bytes; %zu of the %zu bytes of --mem-limit are left; raise the limit "
            "(in a session: /set mem-limit), or use a smaller context or model",
            what, bytes, used < account->limit ? account->limit - used : 0, account->limit);
    if (bytes < CHECKED_MIN)
        return DT_OK;
    uint64_t total, available = dt_memory_available(&total);
    if (total && bytes > available)
        return dt_error_set(
            err, DT_NO_MEMORY, NULL,
            "%s needs %zu bytes; %llu bytes are available; use a smaller context or model, or "
            "end other programs",
            what, bytes, (unsigned long long)available);
    return DT_OK;
}

// Pages of 2 MB begin at multiples of their size: a large block too, so that all of it but its end
// can have them.
static void *map_pages(size_t bytes, int flags)
{
    size_t more = bytes >= 2 * LARGE_PAGE ? LARGE_PAGE : 0;
    char *block = bytes > SIZE_MAX - more ? MAP_FAILED
                                          : mmap(NULL, bytes + more, PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (block == MAP_FAILED || !more)
        return block;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page,
           before = -(size_t)(uintptr_t)block % LARGE_PAGE;
    if (before > 0)
        munmap(block, before);
    if (bytes + more > before + whole)
        munmap(block + before + whole, bytes + more - before - whole);
    return block + before;
}

static dt_status map_memory(struct dt_account *account, size_t bytes, size_t used_bytes, int flags,
                            const char *what, void **out, struct dt_error *err)
{
    dt_status status = check_limits(account, used_bytes, what, err);
    if (status != DT_OK)
        return status;
    void *block = map_pages(bytes, flags);
    if (block == MAP_FAILED)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "%s needs %zu bytes, which the kernel refused",
                            what, bytes);
    subtract_from_recent(used_bytes);
    size_t used = atomic_fetch_add(&account->used, used_bytes) + used_bytes;
    size_t peak = atomic_load(&account->peak);
    while (used > peak && !atomic_compare_exchange_weak(&account->peak, &peak, used))
        ;
    *out = block;
    return DT_OK;
}

dt_status dt_memory_alloc(struct dt_account *account, size_t bytes, const char *what, void **out,
                          struct dt_error *err)
{
    return map_memory(account, bytes, bytes, 0, what, out, err);
}

dt_status dt_memory_alloc_sparse(struct dt_account *account, size_t bytes, size_t used,
                                 const char *what, void **out, struct dt_error *err)
{
    dt_status status = map_memory(account, bytes, used, MAP_NORESERVE, what, out, err);
#ifdef MADV_NOHUGEPAGE
    if (status == DT_OK)
        (void)madvise(*out, bytes, MADV_NOHUGEPAGE);
#endif
    return status;
}

void dt_memory_free_sparse(struct dt_account *account, void *block, size_t bytes, size_t used)
{
    if (!block)
        return;
    munmap(block, bytes);
    atomic_fetch_sub(&account->used, used);
    forget_recent();
}

void dt_memory_free(struct dt_account *account, void *block, size_t bytes)
{
    dt_memory_free_sparse(account, block, bytes, bytes);
}

dt_status dt_block_alloc(struct dt_account *account, struct dt_block *block, size_t bytes,
                         const char *what, struct dt_error *err)
{
    dt_status status = dt_memory_alloc(account, bytes, what, &block->memory, err);
    if (status == DT_OK)
        block->bytes = bytes;
    return status;
}

void dt_block_free(struct dt_account *account, struct dt_block *block)
{
    dt_memory_free(account, block->memory, block->bytes);
    *block = (struct dt_block){0};
}

void dt_memory_forget(void *block, size_t bytes)
{
    if (madvise(block, bytes, MADV_DONTNEED) != 0)
        memset(block, 0, bytes);
}

// madvise for the whole pages within a range.
static void advise(void *at, size_t bytes, int advice)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE),
           begin = ((size_t)(uintptr_t)at + page - 1) / page * page;
    size_t end = ((size_t)(uintptr_t)at + bytes) / page * page;
    if (begin < end)
        (void)madvise((void *)(uintptr_t)begin, end - begin, advice);
}

void dt_memory_large_pages(void *at, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    advise(at, bytes, MADV_HUGEPAGE);
#else
    (void)at;
    (void)bytes;
#endif
}

void dt_memory_touch_end(void *at, size_t bytes)
{
    size_t large = ((size_t)(uintptr_t)at + bytes) / LARGE_PAGE * LARGE_PAGE;
    if (large > (size_t)(uintptr_t)at)
        dt_memory_touch((char *)at + (large - (size_t)(uintptr_t)at),
                        bytes - (large - (size_t)(uintptr_t)at));
}

void dt_memory_touch(void *at, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    advise(at, bytes, MADV_POPULATE_WRITE);
#else
    (void)at;
    (void)bytes;
#endif
}
