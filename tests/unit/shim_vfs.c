// SPDX-License-Identifier: MIT
#include "shim_vfs.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct change { // one write or truncation (bytes NULL) that the disk does not have yet
    struct change *next;
    sqlite3_int64 offset;
    int count;
    unsigned char *bytes;
};

struct shim_file {
    sqlite3_file base;
    struct change *first, *last;
    unsigned char *image; // the file as the process sees it
    sqlite3_int64 size, capacity;
    sqlite3_file *real; // behind this struct
};

static sqlite3_vfs shim;
static atomic_bool forget, full, read_only, damaged;
static atomic_int bad_sync, leak_percent;
static unsigned dice = 12345;

// The countdown to the fault; negative after it.
static atomic_long fault_in;
static atomic_int fault_code, fault_count;
static atomic_bool fault_stays, fault_kills;

// Called before each input or output: whether it fails.
static bool fault(void)
{
    if (!atomic_load(&fault_code))
        return false;
    long left = atomic_fetch_sub(&fault_in, 1);
    if (left > 1 || (left < 1 && !atomic_load(&fault_stays)))
        return false;
    if (atomic_load(&fault_kills))
        raise(SIGKILL);
    atomic_fetch_add(&fault_count, 1);
    return true;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct shim_file *)f)->real;
}

static int image_capacity(struct shim_file *file, sqlite3_int64 size)
{
    if (size > file->capacity) {
        sqlite3_int64 capacity = size * 2 + 65536;
        unsigned char *more = realloc(file->image, (size_t)capacity);
        if (!more)
            return SQLITE_NOMEM;
        memset(more + file->capacity, 0, (size_t)(capacity - file->capacity));
        file->image = more;
        file->capacity = capacity;
    }
    if (size > file->size)
        file->size = size;
    return SQLITE_OK;
}

static int shim_close(sqlite3_file *f)
{
    struct shim_file *file = (struct shim_file *)f;
    // what nobody synced before closing is lost as well
    for (struct change *change = file->first; change;) {
        struct change *next = change->next;
        free(change->bytes);
        free(change);
        change = next;
    }
    free(file->image);
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int shim_read(sqlite3_file *f, void *out, int n, sqlite3_int64 offset)
{
    struct shim_file *file = (struct shim_file *)f;
    if (fault())
        return SQLITE_IOERR_READ;
    sqlite3_int64 have = offset < file->size ? file->size - offset : 0;
    if (have > n)
        have = n;
    if (have > 0)
        memcpy(out, file->image + offset, (size_t)have);
    memset((char *)out + have, 0, (size_t)(n - have));
    return have < n ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int keep_change(struct shim_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
    struct change *change = calloc(1, sizeof *change);
    if (!change)
        return SQLITE_NOMEM;
    change->offset = offset;
    change->count = n;
    if (bytes) {
        change->bytes = malloc((size_t)n);
        if (!change->bytes) {
            free(change);
            return SQLITE_NOMEM;
        }
        memcpy(change->bytes, bytes, (size_t)n);
    }
    if (file->last)
        file->last->next = change;
    else
        file->first = change;
    file->last = change;
    return SQLITE_OK;
}

static int shim_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 offset)
{
    struct shim_file *file = (struct shim_file *)f;
    int failed = SQLITE_OK;
    if (fault()) { // a part was written
        failed = atomic_load(&fault_code) == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        n /= 2;
    }
    if (atomic_load(&read_only))
        return SQLITE_READONLY;
    if (atomic_exchange(&damaged, false))
        return SQLITE_CORRUPT;
    if (atomic_load(&full) && offset + n > file->size) // what is there can be overwritten
        return SQLITE_FULL;
    int code = image_capacity(file, offset + n);
    if (code != SQLITE_OK)
        return code;
    memcpy(file->image + offset, bytes, (size_t)n);
    dice = dice * 1103515245u + 12345u;
    if (!atomic_load(&forget) || (int)(dice >> 16) % 100 < atomic_load(&leak_percent)) {
        code = real_of(f)->pMethods->xWrite(real_of(f), bytes, n, offset);
        if (code != SQLITE_OK || !atomic_load(&forget))
            return failed ? failed : code;
    }
    code = keep_change(file, bytes, n, offset);
    return failed ? failed : code;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct shim_file *file = (struct shim_file *)f;
    if (fault())
        return SQLITE_IOERR_TRUNCATE;
    if (size < file->size) {
        memset(file->image + size, 0, (size_t)(file->size - size));
        file->size = size;
    }
    return atomic_load(&forget) ? keep_change(file, NULL, 0, size)
                                : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
    struct shim_file *file = (struct shim_file *)f;
    int code = SQLITE_OK;
    if (fault())
        return SQLITE_IOERR_FSYNC;
    if (atomic_load(&bad_sync) > 0) {
        atomic_fetch_sub(&bad_sync, 1);
        return SQLITE_IOERR_FSYNC;
    }
    while (file->first && code == SQLITE_OK) {
        struct change *change = file->first;
        code = change->bytes ? real_of(f)->pMethods->xWrite(real_of(f), change->bytes,
                                                            change->count, change->offset)
                             : real_of(f)->pMethods->xTruncate(real_of(f), change->offset);
        file->first = change->next;
        if (!file->first)
            file->last = NULL;
        free(change->bytes);
        free(change);
    }
    // no real sync: the process is killed, the machine is not
    (void)flags;
    return code;
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *size)
{
    *size = ((struct shim_file *)f)->size;
    return SQLITE_OK;
}

static int shim_lock(sqlite3_file *f, int level)
{
    if (fault())
        return atomic_load(&fault_code) == SQLITE_BUSY ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
    return real_of(f)->pMethods->xLock(real_of(f), level);
}
static int shim_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
static int shim_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}
static int shim_control(sqlite3_file *f, int op, void *arg)
{
    // hints about sizes would make the real file longer behind our back
    if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE ||
        op == SQLITE_FCNTL_MMAP_SIZE)
        return SQLITE_NOTFOUND;
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
static int shim_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}
static int shim_characteristics(sqlite3_file *f)
{
    (void)f;
    return 0; // promises nothing
}
static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    // other codes mean that there is a mapping
    return fault() ? SQLITE_IOERR_SHMMAP
                   : real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}
static int shim_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}
static void shim_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}
static int shim_shm_unmap(sqlite3_file *f, int delete_it)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), delete_it);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_characteristics,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    struct shim_file *file = (struct shim_file *)f;
    sqlite3_vfs *under = vfs->pAppData;
    memset(file, 0, sizeof *file);
    file->real = (sqlite3_file *)(file + 1);
    int read_only_flags =
        (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    bool for_reading = atomic_load(&read_only) && (flags & SQLITE_OPEN_MAIN_DB) != 0;
    int code =
        under->xOpen(under, name, file->real, for_reading ? read_only_flags : flags, out_flags);
    if (code != SQLITE_OK)
        return code;
    file->base.pMethods = &methods;
    sqlite3_int64 size = 0;
    code = file->real->pMethods->xFileSize(file->real, &size);
    if (code == SQLITE_OK && size > 0) {
        code = image_capacity(file, size);
        if (code == SQLITE_OK)
            code = file->real->pMethods->xRead(file->real, file->image, (int)size, 0);
    }
    if (code != SQLITE_OK)
        shim_close(f);
    return code;
}

bool shim_vfs_register(void)
{
    sqlite3_vfs *under = sqlite3_vfs_find(NULL);
    if (!under)
        return false;
    shim = *under; // all that is not about files is the system's own
    shim.pNext = NULL;
    shim.zName = "shim";
    shim.pAppData = under;
    shim.szOsFile = (int)sizeof(struct shim_file) + under->szOsFile;
    shim.xOpen = shim_open;
    return sqlite3_vfs_register(&shim, 0) == SQLITE_OK;
}

void shim_vfs_forget(bool on, int leak)
{
    atomic_store(&leak_percent, leak);
    atomic_store(&forget, on);
}

void shim_vfs_full(bool on)
{
    atomic_store(&full, on);
}

void shim_vfs_read_only(bool on)
{
    atomic_store(&read_only, on);
}

void shim_vfs_damaged(void)
{
    atomic_store(&damaged, true);
}

void shim_vfs_fault(long n, int code, bool stays)
{
    atomic_store(&fault_code, SQLITE_OK);
    atomic_store(&fault_count, 0);
    atomic_store(&fault_kills, false);
    atomic_store(&fault_in, n);
    atomic_store(&fault_stays, stays);
    atomic_store(&fault_code, code);
}

void shim_vfs_kill(long n)
{
    shim_vfs_fault(n, SQLITE_OK, false);
    atomic_store(&fault_kills, true);
    atomic_store(&fault_code, SQLITE_IOERR);
}

int shim_vfs_faults(void)
{
    return atomic_load(&fault_count);
}

void shim_vfs_bad_sync(int n)
{
    atomic_store(&bad_sync, n);
}
