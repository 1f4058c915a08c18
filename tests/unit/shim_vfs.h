// SPDX-License-Identifier: MIT
// A SQLite file system for tests: a disk that forgets what was not synced, is full, or cannot be
// written.
#ifndef DT_TESTS_SHIM_VFS_H
#define DT_TESTS_SHIM_VFS_H

#include <stdbool.h>

// Registers the VFS "shim" over the default one. Returns 0 when that fails.
bool shim_vfs_register(void);

// Writes reach the file at xSync only; a process that is killed takes the rest with it. leak: of
// 100 writes so many reach the file at once, as a disk may write back early and in any order.
void shim_vfs_forget(bool on, int leak);

// Every write that makes a file longer fails as on a full disk.
void shim_vfs_full(bool on);

// Every write fails as on a read-only file system.
void shim_vfs_read_only(bool on);

// The next write finds the file damaged.
void shim_vfs_damaged(void);

// Input or output number n from now fails, and all after it if `stays`. With SQLITE_FULL a write
// fails as on a full disk, with SQLITE_BUSY a lock is held by another program; else, and all other
// calls, fail as such calls do (SQLITE_IOERR_WRITE, SQLITE_CANTOPEN). Of a write that fails, the
// first half is written. SQLITE_OK: no fault.
void shim_vfs_fault(long n, int code, bool stays);

// The process is killed before input or output number n from now.
void shim_vfs_kill(long n);

// How many calls have failed since shim_vfs_fault.
int shim_vfs_faults(void);

// The next n calls of xSync fail with an input/output error.
void shim_vfs_bad_sync(int n);

#endif
