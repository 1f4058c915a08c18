// SPDX-License-Identifier: MIT
#include "host/remote/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "abi/fetch.h"
#include "base/sha256.h"
#include "host/file.h"
#include "host/modules/modules.h"

#define TRIES           5u          // without a byte of progress between them
#define SPARE_BYTES     (16u << 20) // that stay free on the disk
#define SILENCE_SECONDS 60u

struct state {
    const struct dt_download *d;
    char part[4096];
    int file;
    bool locked; // the part is this download's
    uint64_t done, total;
    struct dt_sha256 hash;
    struct dt_error err; // why a function of the request stopped
};

// ---- the plug-in ----

static const struct dt_module_kind kind = {"plugins", "dt_fetch_module", "fetch"};

static const struct dt_fetch_module *find_module(struct dt_error *err)
{
    const struct dt_fetch_module *found = NULL;
    struct dt_modules modules = {0};
    dt_status status = dt_modules_find(&modules, &kind, err);
    for (size_t i = 0; i < modules.count && status == DT_OK && !found; i++) {
        struct dt_module *file = &modules.items[i];
        if (file->reason || dt_module_load(file, &kind, err) != DT_OK)
            continue;
        const struct dt_fetch_module *module = file->symbol;
        if (module->abi == DT_FETCH_ABI && module->size == sizeof *module)
            found = module;
    }
    dt_modules_free(&modules);
    if (!found && status != DT_NO_MEMORY)
        dt_error_set(err, DT_UNSUPPORTED, NULL,
                     "no plug-in for downloads; install libcurl and build duotale with it");
    return found;
}

// ---- the part ----

static dt_status system_error(struct state *s, const char *what)
{
    return dt_error_set(&s->err, DT_FAILED, s->part, "%s: %s", what, strerror(errno));
}

// Hashes what is there of an earlier download.
static dt_status hash_part(struct state *s)
{
    char bytes[65536];
    ssize_t n;
    dt_sha256_begin(&s->hash);
    s->done = 0;
    while ((n = pread(s->file, bytes, sizeof bytes, (off_t)s->done)) > 0) {
        dt_sha256_add(&s->hash, bytes, (size_t)n);
        s->done += (uint64_t)n;
    }
    return n < 0 ? system_error(s, "cannot be read") : DT_OK;
}

static dt_status open_part(struct state *s)
{
    snprintf(s->part, sizeof s->part, "%s.part", s->d->path);
    if (!dt_folder_make_all(s->part))
        return system_error(s, "its folder cannot be made");
    s->file = open(s->part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->file < 0)
        return system_error(s, "cannot be written");
    if (flock(s->file, LOCK_EX | LOCK_NB) != 0)
        return dt_error_set(&s->err, DT_FAILED, s->part,
                            "another download of this file is running");
    s->locked = true;
    return hash_part(s);
}

static dt_status restart(struct state *s)
{
    if (ftruncate(s->file, 0) != 0)
        return system_error(s, "cannot be written");
    return hash_part(s);
}

static dt_status check_space(struct state *s)
{
    struct statvfs disk;
    uint64_t need = s->total - s->done + SPARE_BYTES;
    if (s->total <= s->done || fstatvfs(s->file, &disk) != 0)
        return DT_OK;
    uint64_t have = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (have >= need)
        return DT_OK;
    return dt_error_set(&s->err, DT_FAILED, s->d->path,
                        "needs %.1f MB on the disk, and %.1f MB are free", (double)need / 1e6,
                        (double)have / 1e6);
}

// ---- what the plug-in calls ----

static int cancelled(void *arg)
{
    const struct state *s = arg;
    return s->d->stop && atomic_load(s->d->stop) != 0;
}

static int on_begin(void *arg, uint64_t from, uint64_t total, const char *type)
{
    struct state *s = arg;
    const struct dt_download *d = s->d;
    if (strncasecmp(type, "text/html", 9) == 0) {
        dt_error_set(&s->err, DT_BAD_INPUT, d->url, "is a web page, not a file of a model");
        return 0;
    }
    if (from != s->done && (from != 0 || restart(s) != DT_OK)) {
        if (s->err.status == DT_OK)
            dt_error_set(&s->err, DT_FAILED, d->url, "the server sent another part of the file");
        return 0;
    }
    if (d->bytes && total && total != d->bytes) {
        dt_error_set(&s->err, DT_BAD_INPUT, d->url, "has %llu bytes there; %llu were expected",
                     (unsigned long long)total, (unsigned long long)d->bytes);
        return 0;
    }
    s->total = total ? total : d->bytes;
    return check_space(s) == DT_OK;
}

static int on_bytes(void *arg, const char *bytes, size_t n)
{
    struct state *s = arg;
    if (s->done == 0 && n > 0 && *bytes == '<') {
        dt_error_set(&s->err, DT_BAD_INPUT, s->d->url, "is a web page, not a file of a model");
        return 0;
    }
    if (s->d->bytes && s->done + n > s->d->bytes) {
        dt_error_set(&s->err, DT_BAD_INPUT, s->d->url, "has more than %llu bytes",
                     (unsigned long long)s->d->bytes);
        return 0;
    }
    dt_sha256_add(&s->hash, bytes, n);
    while (n > 0) {
        ssize_t written = pwrite(s->file, bytes, n, (off_t)s->done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            system_error(s, "cannot be written");
            return 0;
        }
        bytes += written;
        n -= (size_t)written;
        s->done += (uint64_t)written;
    }
    if (s->d->progress)
        s->d->progress(s->d->arg, s->done, s->total);
    return 1;
}

// ---- the whole ----

static dt_status fetch_all(struct state *s, const struct dt_fetch_module *module)
{
    struct dt_fetch_request request = {
        .size = sizeof request,
        .silence_seconds = SILENCE_SECONDS,
        .url = s->d->url,
        .arg = s,
        .cancelled = cancelled,
        .on_begin = on_begin,
        .on_bytes = on_bytes,
    };
    int result;
    unsigned tries = 0;
    char reason[512];
    do {
        uint64_t before = s->done;
        reason[0] = '\0';
        request.from = s->done;
        if (s->done && s->done == s->d->bytes) // only the rename was missing
            return DT_OK;
        result = module->fetch(&request, reason, sizeof reason);
        tries = s->done > before ? 0 : tries + 1;
        for (int i = 0; result == DT_FETCH_BROKEN && i < 25 && !cancelled(s); i++)
            usleep(20000);
    } while (result == DT_FETCH_BROKEN && tries < TRIES && !cancelled(s));
    if (s->err.status != DT_OK)
        return s->err.status;
    if (result == DT_FETCH_CANCELLED || cancelled(s))
        return dt_error_set(&s->err, DT_CANCELLED, NULL,
                            "stopped after %.1f MB, which are kept: the same command continues",
                            (double)s->done / 1e6);
    if (result != DT_FETCH_DONE)
        return dt_error_set(&s->err, DT_FAILED, s->d->url, "%s%s", reason,
                            s->done ? "; what has arrived is kept: the same command continues"
                                    : "");
    return DT_OK;
}

static dt_status check(struct state *s)
{
    char hash[65];
    dt_sha256_end(&s->hash, hash);
    uint64_t bytes = s->d->bytes ? s->d->bytes : s->total;
    if (s->done == 0 || (bytes && s->done != bytes))
        return dt_error_set(&s->err, DT_BAD_INPUT, s->d->url, "has %llu bytes; %llu were expected",
                            (unsigned long long)s->done, (unsigned long long)bytes);
    if (s->d->sha256 && strcasecmp(hash, s->d->sha256) != 0)
        return dt_error_set(&s->err, DT_BAD_INPUT, s->d->url,
                            "is not the file that was expected: its SHA-256 is %s, not %s", hash,
                            s->d->sha256);
    return DT_OK;
}

// Syncs the part and renames it.
static dt_status finish(struct state *s)
{
    char folder[4096];
    if (fsync(s->file) != 0 || rename(s->part, s->d->path) != 0)
        return system_error(s, "cannot be completed");
    snprintf(folder, sizeof folder, "%s", s->d->path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    int file = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file >= 0) {
        fsync(file);
        close(file);
    }
    return DT_OK;
}

dt_status dt_download(const struct dt_download *download, struct dt_error *err)
{
    struct state s = {.d = download, .file = -1};
    const struct dt_fetch_module *module = find_module(&s.err);
    dt_status status = module ? DT_OK : s.err.status;
    if (status == DT_OK && strlen(download->path) + 8 > sizeof s.part)
        status = dt_error_set(&s.err, DT_USAGE, download->path, "the path is too long");
    if (status == DT_OK)
        status = open_part(&s);
    if (status == DT_OK)
        status = fetch_all(&s, module);
    if (status == DT_OK)
        status = check(&s);
    if (status == DT_OK)
        status = finish(&s);
    else if (s.locked && (status == DT_BAD_INPUT || s.done == 0))
        unlink(s.part);
    if (s.file >= 0)
        close(s.file);
    if (status != DT_OK && err)
        *err = s.err;
    return status;
}
