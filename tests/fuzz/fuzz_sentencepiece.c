// SPDX-License-Identifier: MIT
// Any bytes as SentencePiece's tokenizer.model; one that is read encodes a text.
#include "core/formats/sentencepiece.h"
#include "core/text/tokenizer.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "the \xe2\x96\x81 caf\xc3\xa9\n";
    uint8_t *copy = malloc(size ? size : 1); // exact size: sanitizers detect overruns
    memcpy(copy, data, size);
    struct dt_model_part part = {copy, size, "fuzz"};
    struct dt_error err = {0};
    struct dt_json_value none = {NULL, 0};
    struct dt_arena counter = dt_arena_over(NULL, 0);
    if (dt_sentencepiece_read(&part, none, 300, &counter, NULL, &err)) {
        FUZZ_HOLDS(err.message[0] && !strchr(err.message, '\n'));
        free(copy);
        return 0;
    }
    FUZZ_HOLDS(counter.wanted < 1u << 22);
    void *tables = aligned_alloc(DT_ALIGN, counter.wanted);
    struct dt_arena arena = dt_arena_over(tables, counter.wanted);
    struct dt_vocab vocab = {0};
    FUZZ_HOLDS(dt_sentencepiece_read(&part, none, 300, &arena, &vocab, &err) == DT_OK);
    FUZZ_HOLDS(arena.used == counter.wanted && vocab.size == 300);
    vocab.eot = DT_NO_TOKEN;
    dt_vocab_find_ends(&vocab);
    struct dt_tokenizer t;
    size_t need = dt_tokenizer_measure(&vocab, sizeof text), count;
    void *memory = aligned_alloc(DT_ALIGN, need);
    uint32_t tokens[64];
    FUZZ_HOLDS(dt_tokenizer_init(&t, &vocab, memory, need, &err) == DT_OK);
    FUZZ_HOLDS(dt_tokenizer_encode(&t, text, sizeof text - 1, DT_ENCODE_PREFIX | DT_ENCODE_SPECIAL,
                                   tokens, 64, &count, &err) == DT_OK);
    for (size_t i = 0; i < count; i++)
        FUZZ_HOLDS(tokens[i] < 300);
    free(memory);
    free(tables);
    free(copy);
    return 0;
}
