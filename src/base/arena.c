// SPDX-License-Identifier: MIT
#include "base/arena.h"

void *dt_arena_alloc(struct dt_arena *arena, size_t count, size_t item)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, item, &bytes) || bytes > SIZE_MAX / 4 ||
        arena->wanted > SIZE_MAX / 4) {
        arena->wanted = SIZE_MAX / 2; // permanent: nothing fits any more
        return NULL;
    }
    bytes = (bytes + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN;
    arena->wanted += bytes;
    if (bytes > arena->size - arena->used)
        return NULL;
    unsigned char *block = arena->base ? arena->base + arena->used : NULL;
    arena->used += bytes;
    return block;
}

int dt_arena_failed(const struct dt_arena *arena)
{
    return arena->wanted != arena->used;
}
