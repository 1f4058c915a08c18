// SPDX-License-Identifier: MIT
// A bump allocator over memory that the caller owns. The engine gets all its memory from arenas.
#ifndef DT_BASE_ARENA_H
#define DT_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define DT_ALIGN 64 // of every block: one cache line, one AVX-512 register

// `used` may be saved and restored to free everything allocated since. With base == NULL an arena
// only counts: run the same code once to find the size, and once with the memory.
struct dt_arena {
    unsigned char *base; // DT_ALIGN-aligned, or NULL to count
    size_t size;         // bytes at base; SIZE_MAX when counting
    size_t used;         // bytes allocated, always a multiple of DT_ALIGN
    size_t wanted;       // what `used` would be if every allocation had succeeded
};

// Makes an arena over `size` bytes of memory; memory NULL makes a counting arena (size is ignored).
static inline struct dt_arena dt_arena_over(void *memory, size_t size)
{
    struct dt_arena arena = {memory, memory ? size : SIZE_MAX, 0, 0};
    return arena;
}

// Allocates count * item bytes, DT_ALIGN-aligned, not initialised: pages are touched when they are
// first used. Returns NULL if they do not fit, if the product overflows, and always in a counting
// arena, so check dt_arena_failed, not the pointer.
void *dt_arena_alloc(struct dt_arena *arena, size_t count, size_t item);

// Whether any allocation has failed since the arena was made.
int dt_arena_failed(const struct dt_arena *arena);

#endif
