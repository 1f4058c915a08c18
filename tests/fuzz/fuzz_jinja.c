// SPDX-License-Identifier: MIT
// Any text as a chat template, with a fixed dialogue; the first byte chooses the size of the arena.
#include "core/text/jinja/jinja.h"
#include "fuzz.h"

#define ARENA (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dt_jinja_message messages[] = {
        {"system", "Be kind.", 8},
        {"user", "\xc3\xa9 <|end|> ", 11},
        {"assistant", "<think>a</think>b", 17},
        {"user", "\xff\n", 2},
    };
    static unsigned char memory[ARENA] __attribute__((aligned(DT_ALIGN)));
    struct dt_jinja_input in = {.messages = messages,
                                .count = 4,
                                .bos = "<s>",
                                .bos_length = 3,
                                .add_generation_prompt = true,
                                .date = {2024, 7, 26, 1, 2, 3}};
    struct dt_jinja_text out = {0};
    struct dt_error err = {0};
    if (size == 0)
        return 0;
    struct dt_arena arena = dt_arena_over(memory, data[0] < 200 ? ARENA : data[0] * 256u);
    // a copy, so that reading past its end is found
    char *source = malloc(size);
    memcpy(source, data + 1, size - 1);
    dt_status status = dt_jinja_render(source, size - 1, &in, &arena, &out, &err);
    FUZZ_HOLDS(status == err.status && (status == DT_OK) == (err.message[0] == 0));
    FUZZ_HOLDS(status == DT_OK || status == DT_BAD_INPUT || status == DT_UNSUPPORTED ||
               status == DT_NO_MEMORY);
    for (size_t i = 0; status == DT_OK && i < out.length; i++)
        FUZZ_HOLDS(!out.user || out.user[i] <= 1);
    free(source);
    return 0;
}
