// SPDX-License-Identifier: MIT
// The file of a library, without SQLite: what it is, and whether it is still the same one.
#ifndef DT_APP_LIBRARY_FILE_H
#define DT_APP_LIBRARY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DT_LIBRARY_APPLICATION 0x44756F54 // "DuoT": PRAGMA application_id

enum dt_library_content {
    DT_LIBRARY_FILE_EMPTY,   // missing, or without content: a library can be begun in it
    DT_LIBRARY_FILE_OURS,    // begins as a library of stories does
    DT_LIBRARY_FILE_UNKNOWN, // an SQLite database whose content is still in its -wal file
    DT_LIBRARY_FILE_FOREIGN, // anything else
};

// Looks at the first bytes of a file, which are the same in every version of the tables.
enum dt_library_content dt_library_file_content(const char *path);

// Makes the file with mode 0600, and its folders with mode 0700. Returns an error number, 0: the
// file is there.
int dt_library_file_make(const char *path);

// Which file a path names; all zero: none.
struct dt_file_identity {
    uint64_t device, inode;
};
struct dt_file_identity dt_library_file_identity(const char *path);
bool dt_library_file_same(struct dt_file_identity a, struct dt_file_identity b);

// Syncs `from` to the disk and renames it to `to`. False (errno) after a failure.
bool dt_library_file_finish(const char *from, const char *to);

#endif
