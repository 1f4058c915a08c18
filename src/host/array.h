// SPDX-License-Identifier: MIT
// Growing arrays.
#ifndef DT_HOST_ARRAY_H
#define DT_HOST_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

// Ensures that an array has capacity for `need` items of item_size bytes each. `array` is the
// address of the pointer to its first item, which is NULL or malloc'ed; the caller owns the array
// and releases it with free(). Grows by at least half, so that appending one item at a time takes
// linear time; items already there are copied, new ones are uninitialised. False when memory is
// short or the size in bytes overflows: array and *capacity are unchanged then.
//
//     if (!dt_array_grow(&list->items, &list->capacity, list->count + 1, sizeof *list->items))
bool dt_array_grow(void *array, size_t *capacity, size_t need, size_t item_size);

#endif
