// SPDX-License-Identifier: MIT
// Large blocks of memory within a limit, and the kernel's figures about memory.
#ifndef DT_HOST_MEMORY_H
#define DT_HOST_MEMORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Memory in use, and its limit. Zeroed: no limit of its own.
struct dt_account {
    size_t limit; // bytes, 0: none (--mem-limit)
    atomic_size_t used;
    atomic_size_t peak;
};

// Allocates zeroed, page-aligned memory from the kernel; pages become resident when they are
// touched. DT_NO_MEMORY, with both numbers, if it exceeds the account's limit or the available
// memory. what: for the message ("the KV cache"). bytes > 0. Release it with dt_memory_free. Any
// thread.
dt_status dt_memory_alloc(struct dt_account *account, size_t bytes, const char *what, void **out,
                          struct dt_error *err);

// Releases a block of `bytes` bytes. NULL is harmless.
void dt_memory_free(struct dt_account *account, void *block, size_t bytes);

// As dt_memory_alloc, for `bytes` of addresses of which the caller uses only `used` bytes: only
// those count. Never in pages of 2 MB. Release it with dt_memory_free_sparse.
dt_status dt_memory_alloc_sparse(struct dt_account *account, size_t bytes, size_t used,
                                 const char *what, void **out, struct dt_error *err);
void dt_memory_free_sparse(struct dt_account *account, void *block, size_t bytes, size_t used);

// A block with its size. Zeroed: none.
struct dt_block {
    void *memory;
    size_t bytes;
};

// dt_memory_alloc into *block, which must be zeroed or freed.
dt_status dt_block_alloc(struct dt_account *account, struct dt_block *block, size_t bytes,
                         const char *what, struct dt_error *err);

// Frees the block and zeroes it. Harmless on a zeroed one.
void dt_block_free(struct dt_account *account, struct dt_block *block);

// Asks for pages of 2 MB, for a range that is used from its beginning on without gaps. Errors are
// ignored.
void dt_memory_large_pages(void *at, size_t bytes);

// Makes a range resident in one call instead of a fault a page. Errors are ignored.
void dt_memory_touch(void *at, size_t bytes);

// The same for the end of a range that has pages of 2 MB: what is behind the last of them.
void dt_memory_touch_end(void *at, size_t bytes);

// Returns the pages of a block to the kernel. The block stays allocated and reads as zeros.
void dt_memory_forget(void *block, size_t bytes);

// Figures in bytes; 0 if the kernel does not provide them.
struct dt_memory_facts {
    uint64_t rss, rss_peak; // resident set, now and at its largest
    uint64_t anonymous;     // resident private memory, without the page cache
    uint64_t file;          // resident pages of mapped files
    uint64_t available;     // MemAvailable, or what the cgroup's limit leaves if that is less
    uint64_t total;         // MemTotal
    uint64_t major_faults;  // count of page faults that read from disk
    uint64_t minor_faults;
};

// Reads the figures from /proc, without stdio or allocation. Cheap enough for four times a second.
// Any thread.
void dt_memory_facts(struct dt_memory_facts *out);

// dt_memory_facts' `available`, and `total` into *total unless NULL. Up to 50 ms old, but less what
// dt_memory_alloc allocated since. Any thread.
uint64_t dt_memory_available(uint64_t *total);

#endif
