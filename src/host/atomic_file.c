// SPDX-License-Identifier: MIT
#include "host/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"

#define BUFFER (1u << 20)

static void close_all(struct dt_atomic_file *o)
{
    if (o->file >= 0)
        close(o->file);
    free(o->path);
    free(o->temporary);
    free(o->buffer);
    memset(o, 0, sizeof *o);
    o->file = -1;
}

void dt_atomic_file_abandon(struct dt_atomic_file *o)
{
    if (!o->path)
        return;
    if (o->temporary)
        unlink(o->temporary);
    close_all(o);
}

// The folder of a path, with a slash at the end; "./" if the path has none.
static void folder_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (slash)
        dt_format(out, PATH_MAX, "%.*s", (int)(slash - path + 1), path);
    else
        dt_format(out, PATH_MAX, "./");
}

static char *hidden_name(const char *path)
{
    char folder[PATH_MAX], name[PATH_MAX + 64];
    const char *slash = strrchr(path, '/');
    folder_of(path, folder);
    dt_format(name, sizeof name, "%s.%s.%ld.partial", folder, slash ? slash + 1 : path,
              (long)getpid());
    return strdup(name);
}

// The process of a name made by hidden_name for this file; 0 if it is another name.
static long process_of(const char *name, const char *file)
{
    size_t n = strlen(file);
    char *end;
    if (name[0] != '.' || strncmp(name + 1, file, n) != 0 || name[1 + n] != '.')
        return 0;
    long process = strtol(name + n + 2, &end, 10);
    return strcmp(end, ".partial") == 0 ? process : 0;
}

// Removes what processes that were killed between two system calls have left of this file.
static void remove_leftovers(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    folder_of(path, folder);
    DIR *listing = opendir(folder);
    if (!listing)
        return;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        long process = process_of(entry->d_name, slash ? slash + 1 : path);
        if (process > 0 && kill((pid_t)process, 0) != 0 && errno == ESRCH)
            unlinkat(dirfd(listing), entry->d_name, 0);
    }
    closedir(listing);
}

static dt_status system_error(struct dt_error *err, const char *path, const char *what)
{
    return dt_error_set(err, DT_FAILED, path, "%s: %s", what, strerror(errno));
}

dt_status dt_atomic_file_open(struct dt_atomic_file *o, const char *path, uint64_t expected,
                              struct dt_error *err)
{
    char folder[PATH_MAX];
    struct stat there;
    memset(o, 0, sizeof *o);
    o->file = -1;
    o->expected = expected;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return dt_error_set(err, DT_FAILED, path,
                            "exists and is not a regular file; name another file");
    o->path = strdup(path);
    o->buffer = malloc(BUFFER);
    if (!o->path || !o->buffer) {
        close_all(o);
        return dt_error_set(err, DT_NO_MEMORY, path, "no memory for a buffer of %u bytes", BUFFER);
    }
    remove_leftovers(path);
    folder_of(path, folder);
#ifdef O_TMPFILE
    o->file = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
#endif
    if (o->file < 0) {
        o->temporary = hidden_name(path);
        if (o->temporary)
            o->file = open(o->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    }
    if (o->file < 0) {
        dt_status status = system_error(err, path, "cannot be written");
        free(o->temporary); // not unlinked: it is another process's if it exists
        o->temporary = NULL;
        close_all(o);
        return status;
    }
    // Not every file system can reserve space; only these errors mean that there is not enough.
    if (expected && fallocate(o->file, 0, 0, (off_t)expected) != 0 &&
        (errno == ENOSPC || errno == EFBIG || errno == EDQUOT)) {
        dt_error_set(err, DT_FAILED, path, "%s: %llu bytes are needed", strerror(errno),
                     (unsigned long long)expected);
        dt_atomic_file_abandon(o);
        return DT_FAILED;
    }
    return DT_OK;
}

static dt_status flush(struct dt_atomic_file *o, struct dt_error *err)
{
    for (size_t done = 0; done < o->filled;) {
        ssize_t n = write(o->file, o->buffer + done, o->filled - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return dt_error_set(
                err, DT_FAILED, o->path, "%s after %llu bytes; an existing file is unchanged",
                n < 0 ? strerror(errno) : "write failed", (unsigned long long)o->written);
        done += (size_t)n;
        o->written += (uint64_t)n;
    }
    o->filled = 0;
    return DT_OK;
}

dt_status dt_atomic_file_write(struct dt_atomic_file *o, const void *bytes, size_t n,
                               struct dt_error *err)
{
    const unsigned char *from = bytes;
    while (n > 0) {
        size_t part = BUFFER - o->filled < n ? BUFFER - o->filled : n;
        memcpy(o->buffer + o->filled, from, part);
        o->filled += part;
        from += part;
        n -= part;
        dt_status status = o->filled == BUFFER ? flush(o, err) : DT_OK;
        if (status)
            return status;
    }
    return DT_OK;
}

dt_status dt_atomic_file_pad(struct dt_atomic_file *o, size_t multiple, struct dt_error *err)
{
    static const unsigned char zeros[256];
    size_t over = (size_t)((o->written + o->filled) % multiple);
    for (size_t left = over ? multiple - over : 0; left > 0;) {
        size_t part = left < sizeof zeros ? left : sizeof zeros;
        dt_status status = dt_atomic_file_write(o, zeros, part, err);
        if (status)
            return status;
        left -= part;
    }
    return DT_OK;
}

dt_status dt_atomic_file_commit(struct dt_atomic_file *o, struct dt_error *err)
{
    char link[64], folder[PATH_MAX];
    dt_status status = flush(o, err);
    if (status)
        goto out;
    if ((o->expected && ftruncate(o->file, (off_t)o->written) != 0) || fsync(o->file) != 0) {
        status = system_error(err, o->path, "cannot be written to the disk");
        goto out;
    }
    if (!o->temporary) { // rename() needs a name
        o->temporary = hidden_name(o->path);
        dt_format(link, sizeof link, "/proc/self/fd/%d", o->file);
        if (!o->temporary ||
            linkat(AT_FDCWD, link, AT_FDCWD, o->temporary, AT_SYMLINK_FOLLOW) != 0) {
            status = system_error(err, o->path, "cannot be created");
            free(o->temporary);
            o->temporary = NULL;
            goto out;
        }
    }
    if (rename(o->temporary, o->path) != 0) {
        status = system_error(err, o->path, "cannot be replaced");
        goto out;
    }
    free(o->temporary);
    o->temporary = NULL;
    folder_of(o->path, folder);
    int f = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f >= 0) {
        fsync(f); // the directory entry; not all file systems support that, so errors are ignored
        close(f);
    }
out:
    dt_atomic_file_abandon(o);
    return status;
}
