// SPDX-License-Identifier: MIT
#include "memory.h"

#include <setjmp.h>
#include <stdlib.h>

static jmp_buf *way_out;

// readline calls these, which it has itself too: a module's symbols come before those of its
// libraries.
#define EXPORT __attribute__((visibility("default")))
EXPORT void *xmalloc(size_t bytes);
EXPORT void *xrealloc(void *block, size_t bytes);
EXPORT void xfree(void *block);

void memory_set_way_out(jmp_buf *way)
{
    way_out = way;
}

static void *checked(void *block)
{
    if (!block && way_out)
        longjmp(*way_out, 1);
    if (!block)
        abort();
    return block;
}

void *xmalloc(size_t bytes)
{
    return checked(malloc(bytes ? bytes : 1));
}

void *xrealloc(void *block, size_t bytes)
{
    return checked(realloc(block, bytes ? bytes : 1));
}

void xfree(void *block)
{
    free(block);
}
