// SPDX-License-Identifier: MIT
#include "host/modules/remembered.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
#include "base/hash.h"
#include "host/atomic_file.h"
#include "host/file.h"
#include "host/log.h"
#include "host/modules/cpu.h"

#define BYTES_MAX ((size_t)1 << 20)

struct header {
    char magic[16];
    uint64_t key;
    uint64_t row_bytes, count;
    uint64_t sum; // of the rows
};

static const char magic[16] = "duotale modules";

static bool path_of(const char *kind, char *out, size_t size)
{
    char folder[PATH_MAX - 16];
    return !getauxval(AT_SECURE) &&
           dt_folder_of_user("XDG_CACHE_HOME", ".cache", folder, sizeof folder) &&
           dt_format(out, size, "%s/modules-%s", folder, kind) < size;
}

// The program's file and the CPU. 0: unknown.
static uint64_t key_of(void)
{
    const struct dt_cpu *cpu = dt_cpu();
    struct stat program;
    if (stat("/proc/self/exe", &program) != 0)
        return 0;
    uint64_t hash = dt_hash(DT_HASH_BEGIN, cpu->model, strlen(cpu->model));
    hash = dt_hash(hash, &cpu->features, sizeof cpu->features);
    hash = dt_hash(hash, &cpu->vlen, sizeof cpu->vlen);
    hash = dt_hash(hash, &program.st_dev, sizeof program.st_dev);
    hash = dt_hash(hash, &program.st_ino, sizeof program.st_ino);
    hash = dt_hash(hash, &program.st_size, sizeof program.st_size);
    return dt_hash(hash, &program.st_ctim, sizeof program.st_ctim);
}

static bool read_all(int file, void *out, size_t n)
{
    return read(file, out, n) == (ssize_t)n;
}

static bool read_rows(int file, size_t row_bytes, void **rows, size_t *count)
{
    struct header h;
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != geteuid() ||
        (info.st_mode & 022) != 0 || !read_all(file, &h, sizeof h) ||
        memcmp(h.magic, magic, sizeof magic) != 0 || h.key != key_of() || h.key == 0 ||
        h.row_bytes != row_bytes || h.count == 0 || h.count > BYTES_MAX / row_bytes ||
        info.st_size != (off_t)(sizeof h + h.count * row_bytes))
        return false;
    size_t bytes = (size_t)h.count * row_bytes;
    *rows = malloc(bytes);
    *count = (size_t)h.count;
    if (*rows && read_all(file, *rows, bytes) && dt_hash(DT_HASH_BEGIN, *rows, bytes) == h.sum)
        return true;
    free(*rows);
    return false;
}

bool dt_remembered_read(const char *kind, size_t row_bytes, void **rows, size_t *count)
{
    char path[PATH_MAX];
    int file = path_of(kind, path, sizeof path)
                   ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW)
                   : -1;
    if (file < 0)
        return false;
    bool good = read_rows(file, row_bytes, rows, count);
    close(file);
    return good;
}

void dt_remembered_write(const char *kind, size_t row_bytes, const void *rows, size_t count)
{
    char path[PATH_MAX];
    struct dt_error err = {0};
    struct dt_atomic_file file = {0};
    struct header h = {.key = key_of(), .row_bytes = row_bytes, .count = count};
    size_t bytes = row_bytes * count;
    if (h.key == 0 || count == 0 || count > BYTES_MAX / row_bytes ||
        !path_of(kind, path, sizeof path))
        return;
    memcpy(h.magic, magic, sizeof magic);
    h.sum = dt_hash(DT_HASH_BEGIN, rows, bytes);
    (void)dt_folder_make_all(path); // what fails shows when the file is written
    dt_status status = dt_atomic_file_open(&file, path, sizeof h + bytes, &err);
    if (status == DT_OK)
        status = dt_atomic_file_write(&file, &h, sizeof h, &err);
    if (status == DT_OK)
        status = dt_atomic_file_write(&file, rows, bytes, &err);
    if (status == DT_OK)
        status = dt_atomic_file_commit(&file, &err);
    else
        dt_atomic_file_abandon(&file);
    if (status != DT_OK)
        dt_log(DT_LOG_DEBUG, "what modules are is not remembered: %s", err.message);
}
