// SPDX-License-Identifier: MIT
// Models of one or several files: a file begins at each multiple of 8 where "GGUF" and a version
// are.
#include "open_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt_model_part parts[4];
    uint8_t *copy[4];
    uint32_t count = 0;
    if (size < 4 || memcmp(data, "GGUF", 4) != 0)
        return 0;
    for (size_t begin = 0, at = 8; count < 4 && begin < size; at += 8) {
        if (at + 8 < size && (memcmp(data + at, "GGUF\3", 5) != 0 || count == 3))
            continue;
        size_t end = at + 8 < size ? at : size;
        copy[count] = malloc(end - begin); // exact size: sanitizers detect overruns
        memcpy(copy[count], data + begin, end - begin);
        parts[count] = (struct dt_model_part){copy[count], end - begin, "fuzz"};
        count++;
        begin = end;
    }
    dt_model_split_count(parts[0].bytes, parts[0].n);
    fuzz_open_parts(parts, count);
    while (count > 0)
        free(copy[--count]);
    return 0;
}
