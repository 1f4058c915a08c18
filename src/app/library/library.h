// SPDX-License-Identifier: MIT
// The library of stories: one SQLite file. Plain calls that may wait for the disk; an interactive
// session uses them only through its library writer.
#ifndef DT_APP_LIBRARY_H
#define DT_APP_LIBRARY_H

#include "app/library/record.h"

struct dt_library;

// Why a call failed, where the next step differs.
enum dt_library_trouble {
    DT_LIBRARY_FINE,
    DT_LIBRARY_LOCKED,    // by another program: try again later
    DT_LIBRARY_FULL,      // the disk is full
    DT_LIBRARY_READ_ONLY, // the file, its folder or file system; or a newer program made the file
    DT_LIBRARY_CORRUPT,   // a damaged library: put it aside
    DT_LIBRARY_FOREIGN,   // not a library of stories: leave it as it is
    DT_LIBRARY_CHANGED,   // another session changed the story: save it as a new one
    DT_LIBRARY_DELETED,   // another session deleted the story: save it as a new one
    DT_LIBRARY_OTHER,     // input/output errors and all others
};

// XDG_DATA_HOME/duotale/library.db, else ~/.local/share/duotale/library.db. False without a home
// directory.
bool dt_library_default_path(char *out, size_t size);

enum dt_library_flags {
    DT_LIBRARY_WRITE = 1,   // makes the file (0600) and its folders (0700) if they are missing, and
                            // converts a library of version 1
    DT_LIBRARY_PATIENT = 2, // waits up to 2.5 s for a lock instead of 0.2 s
};

// Opens a library in WAL mode, where every commit is synced. vfs: the name of an SQLite file
// system, NULL: the default one. Without DT_LIBRARY_WRITE a missing file is DT_BAD_INPUT. With it,
// DT_OK and a *trouble other than DT_LIBRARY_FINE mean that the library can only be read; *err says
// why. A file that is not a library is never changed. One thread at a time may use a library.
// Release with dt_library_close.
dt_status dt_library_open(struct dt_library **out, const char *path, const char *vfs,
                          unsigned flags, enum dt_library_trouble *trouble, struct dt_error *err);
void dt_library_close(struct dt_library *library); // NULL is allowed

// The trouble of the last call on this library.
enum dt_library_trouble dt_library_last_trouble(const struct dt_library *library);

// What has become of the files of an open library. After another answer than DT_LIBRARY_IN_PLACE,
// what is written now is lost: close the library and open it again.
enum dt_library_place {
    DT_LIBRARY_IN_PLACE,
    DT_LIBRARY_CUT,      // its -wal or -shm file was removed; what they held is in the library now
    DT_LIBRARY_REPLACED, // the library was removed or replaced, or other files are beside it: what
                         // was written to it may be lost
};
enum dt_library_place dt_library_place(struct dt_library *library);

// Sets how long calls wait for a lock.
void dt_library_patience(struct dt_library *library, int milliseconds);

// Moves the content of the -wal file into the library, so that the file is filled again from its
// beginning, even after the library is closed and opened again.
void dt_library_checkpoint(struct dt_library *library);

// Renames the file, with its -wal and -shm, to NAME.broken-DATE, and copies the new name to moved.
// The library must be closed. DT_FAILED, without a change, if the file does not begin as a library
// of stories does.
dt_status dt_library_put_aside(const char *path, char *moved, size_t moved_size,
                               struct dt_error *err);

// The two functions below are one transaction each: when they return DT_OK the change is on the
// disk (synced); after a failure nothing has changed.

// Saves the fields of a story and its turns from number `from` on; turns past the last one are
// removed from the library. With record->id 0 it is a new story, and gets its id. Sets
// record->revision, created and updated. If the library has another revision of the story than
// record->revision (0: any), the trouble is DT_LIBRARY_CHANGED or DT_LIBRARY_DELETED.
dt_status dt_library_save(struct dt_library *library, struct dt_story_record *record, size_t from,
                          struct dt_error *err);
// Deletes a story; its text is overwritten in the file and in the search index. DT_BAD_INPUT if
// there is no such story.
dt_status dt_library_delete(struct dt_library *library, int64_t story, struct dt_error *err);

// Reads a whole story; story 0: the one changed last, whatever the clock says. DT_BAD_INPUT if
// there is none. The caller releases *out with dt_story_record_free.
dt_status dt_library_load(struct dt_library *library, int64_t story, struct dt_story_record *out,
                          struct dt_error *err);

// Finds the stories that contain all words (the last one as a prefix): those with a matching title
// first, then by relevance. "": all, the last changed first. At most `limit`, after the first
// `offset`. The caller releases *out with dt_library_entries_free.
dt_status dt_library_search(struct dt_library *library, const char *words, uint32_t offset,
                            uint32_t limit, struct dt_library_entry **out, size_t *count,
                            struct dt_error *err);

// Checks the whole file, and that the search index has the words of every finished turn (only if
// the library can be written). DT_BAD_INPUT with the first finding.
dt_status dt_library_check(struct dt_library *library, struct dt_error *err);

// Whether the file of a library is damaged. Errors of input and output can look like damage, so it
// is opened and its pages are checked. False with *known false: that cannot be found out, *err says
// why. The library must be closed.
bool dt_library_is_damaged(const char *path, const char *vfs, bool *known, struct dt_error *err);

#endif
