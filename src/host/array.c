// SPDX-License-Identifier: MIT
#include "host/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256u

bool dt_array_grow(void *array, size_t *capacity, size_t need, size_t item_size)
{
    if (need <= *capacity)
        return true;
    size_t wanted = *capacity + *capacity / 2;
    if (wanted < FIRST_BYTES / item_size)
        wanted = FIRST_BYTES / item_size;
    if (wanted < need)
        wanted = need;
    if (wanted > SIZE_MAX / item_size)
        wanted = need;
    if (wanted > SIZE_MAX / item_size)
        return false;
    void *old, *grown;
    memcpy(&old, array, sizeof old); // `array` points to a pointer of any type
    grown = realloc(old, wanted * item_size);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}
