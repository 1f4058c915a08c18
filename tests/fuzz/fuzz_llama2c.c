// SPDX-License-Identifier: MIT
#include "open_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0)
        return 0;
    struct dt_model_part part = {data, size, "fuzz"};
    fuzz_open_parts(&part, 1);
    dt_model_recognise(data, size);
    return 0;
}
