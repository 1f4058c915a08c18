// SPDX-License-Identifier: MIT
// A bump allocator over memory that somebody else owns. The engine's only way to get memory.
#ifndef DT_BASE_ARENA_H
#define DT_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define DT_ALIGN 64 // every block: one cache line, one AVX-512 register

// `used` may be saved and restored to give back everything taken since. With base == NULL an
// arena only counts: run the same code once to learn the size, once with the memory.
struct dt_arena {
    unsigned char *base; // DT_ALIGN-aligned, or NULL to count
    size_t size;         // bytes at base; SIZE_MAX when counting
    size_t used;         // bytes taken, always a multiple of DT_ALIGN
    size_t wanted;       // what `used` would be if nothing had been refused
};

// An arena over memory of `size` bytes; memory NULL makes a counting arena (size ignored).
static inline struct dt_arena dt_arena_over(void *memory, size_t size)
{
    struct dt_arena arena = {memory, memory ? size : SIZE_MAX, 0, 0};
    return arena;
}

// Takes count * item bytes, DT_ALIGN-aligned, holding whatever the memory held: pages are touched
// when they are used, not before. Returns NULL when it does not fit, when the product overflows,
// and always in a counting arena: look at dt_arena_failed, not at the pointer.
void *dt_arena_alloc(struct dt_arena *arena, size_t count, size_t item);

// 1 when something was refused since the arena was made.
int dt_arena_failed(const struct dt_arena *arena);

#endif
