// SPDX-License-Identifier: MIT
// A Hugging Face folder: its files, separated by "--FILE--".
#include "open_model.h"

#define MOST 8

static const char *const names[MOST] = {"config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors",
                                        "README.md",
                                        "x/additional_chat_templates/b.jinja",
                                        "c"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt_model_part parts[MOST];
    uint8_t *copy[MOST];
    uint32_t count = 0;
    for (size_t begin = 0; count < MOST && begin <= size;) {
        const uint8_t *end = memmem(data + begin, size - begin, "--FILE--", 8);
        size_t n = end ? (size_t)(end - data) - begin : size - begin;
        copy[count] = malloc(n ? n : 1); // exact size: sanitizers detect overruns
        memcpy(copy[count], data + begin, n);
        parts[count] = (struct dt_model_part){copy[count], n, names[count]};
        count++;
        begin += n + 8;
    }
    if (count > 1)
        fuzz_open_parts(parts, count);
    while (count > 0)
        free(copy[--count]);
    return 0;
}
