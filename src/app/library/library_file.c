// SPDX-License-Identifier: MIT
#include "app/library/library_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/library/library.h"
#include "host/file.h"

// Places in the header of an SQLite database (sqlite.org/fileformat2.html).
#define APPLICATION_AT 68
#define CELLS_AT       103 // of the first page: the rows of the schema

static uint32_t big_endian(const unsigned char *p, int n)
{
    uint32_t value = 0;
    for (int i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

enum dt_library_content dt_library_file_content(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    unsigned char head[108];
    char wal[600];
    struct stat st;
    if (stat(path, &st) != 0)
        return DT_LIBRARY_FILE_EMPTY;
    if (!S_ISREG(st.st_mode))
        return DT_LIBRARY_FILE_FOREIGN;
    if (st.st_size == 0)
        return DT_LIBRARY_FILE_EMPTY;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof head) : -1;
    if (fd >= 0)
        close(fd);
    if (n < 0) // cannot be read: SQLite says why
        return DT_LIBRARY_FILE_UNKNOWN;
    if (n != sizeof head || memcmp(head, magic, sizeof magic) != 0)
        return DT_LIBRARY_FILE_FOREIGN;
    uint32_t application = big_endian(head + APPLICATION_AT, 4);
    if (application == DT_LIBRARY_APPLICATION)
        return DT_LIBRARY_FILE_OURS;
    if (application != 0 || big_endian(head + CELLS_AT, 2) != 0)
        return DT_LIBRARY_FILE_FOREIGN;
    snprintf(wal, sizeof wal, "%s-wal", path);
    return stat(wal, &st) == 0 && st.st_size > 0 ? DT_LIBRARY_FILE_UNKNOWN : DT_LIBRARY_FILE_EMPTY;
}

int dt_library_file_make(const char *path)
{
    // SQLite would make it readable for everybody; its -wal and -shm get the mode of the file
    if (!dt_folder_make_all(path))
        return errno;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

struct dt_file_identity dt_library_file_identity(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return (struct dt_file_identity){0};
    return (struct dt_file_identity){(uint64_t)st.st_dev, (uint64_t)st.st_ino};
}

bool dt_library_file_same(struct dt_file_identity a, struct dt_file_identity b)
{
    return a.device == b.device && a.inode == b.inode;
}

bool dt_library_file_finish(const char *from, const char *to)
{
    char folder[700];
    int fd = open(from, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0;
    close(fd);
    if (!good || rename(from, to) != 0)
        return false;
    snprintf(folder, sizeof folder, "%s", to);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) { // so that the new name survives a power cut
        fsync(fd);
        close(fd);
    }
    return true;
}
