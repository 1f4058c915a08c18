// SPDX-License-Identifier: MIT
// Big blocks of memory with an account, and what the kernel says about memory.
#ifndef DT_HOST_MEMORY_H
#define DT_HOST_MEMORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// What was taken, against what may be. Zeroed: no limit but the machine's.
struct dt_account {
    size_t limit; // bytes, 0: none (--mem-limit)
    atomic_size_t used;
    atomic_size_t peak;
};

// Zeroed, page-aligned memory from the kernel: pages cost nothing until they are touched. Refuses,
// with DT_NO_MEMORY and both numbers, what would go above the account's limit or above
// MemAvailable. what: for the message ("the KV cache"). bytes > 0. Any thread.
dt_status dt_memory_alloc(struct dt_account *account, size_t bytes, const char *what, void **out,
                          struct dt_error *err);

// Gives a block back with the size it was taken with. NULL is harmless.
void dt_memory_free(struct dt_account *account, void *block, size_t bytes);

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

// Asks for pages of 2 MB where a block will be touched all over: they cost no more then, and few of
// them are looked up. A hint.
void dt_memory_large_pages(void *at, size_t bytes);

// Touches bytes that are about to be written all over, in one call instead of a fault a page. A
// hint.
void dt_memory_touch(void *at, size_t bytes);

// The block stays ours and reads as zeros: its pages go back to the kernel until they are touched
// again.
void dt_memory_forget(void *block, size_t bytes);

// Whether bytes more could be taken now, without taking them.
dt_status dt_memory_allows(const struct dt_account *account, size_t bytes, const char *what,
                           struct dt_error *err);

// Facts, in bytes; 0 where the kernel does not tell.
struct dt_memory_facts {
    uint64_t rss, rss_peak; // resident set now, and at its highest
    uint64_t anonymous;     // private memory: what this process costs besides the page cache
    uint64_t file;          // resident pages of mapped files
    uint64_t available;    // MemAvailable of the machine, or what the cgroup leaves if that is less
    uint64_t total;        // MemTotal
    uint64_t major_faults; // pages read from disk since the start
    uint64_t minor_faults;
};

// Reads the facts from /proc without stdio or allocation: cheap enough for four times a second. Any
// thread.
void dt_memory_facts(struct dt_memory_facts *out);

// Of these, what is available, and MemTotal into *total unless NULL; both may be a twentieth of a
// second old, less what dt_memory_alloc took since. Any thread.
uint64_t dt_memory_available(uint64_t *total);

// Bytes this process has read from storage since its start (/proc/self/io), 0 where the kernel does
// not tell.
uint64_t dt_memory_bytes_read(void);

#endif
