// SPDX-License-Identifier: MIT
// A tokenizer.bin; the first two bytes are the model's number of pieces.
#include "core/text/tokenizer.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint32_t vocab_size = data[0] | (uint32_t)data[1] << 8;
    struct dt_error err = {0};
    size_t need = dt_vocab_measure(vocab_size);
    void *memory = aligned_alloc(DT_ALIGN, need ? need : DT_ALIGN);
    struct dt_arena arena = dt_arena_over(memory, need);
    struct dt_vocab vocab;
    dt_status status =
        dt_vocab_open_bin(data + 2, size - 2, "fuzz", vocab_size, &arena, &vocab, &err);
    FUZZ_HOLDS(status == DT_OK || (status == DT_BAD_INPUT && err.message[0]));
    if (!status) {
        char out[DT_PIECE_MAX];
        uint32_t tokens[64];
        size_t count;
        struct dt_tokenizer t;
        size_t tokenizer_need = dt_tokenizer_measure(&vocab, 32);
        void *tokenizer_memory = aligned_alloc(DT_ALIGN, tokenizer_need);
        FUZZ_HOLDS(dt_tokenizer_init(&t, &vocab, tokenizer_memory, tokenizer_need, &err) == DT_OK);
        for (uint32_t i = 0; i < vocab.size; i++)
            FUZZ_HOLDS(dt_tokenizer_decode(&t, 1, i, out) <= DT_PIECE_MAX);
        FUZZ_HOLDS(dt_tokenizer_encode(&t, "the hat\n\xc3\xa9\xff", 11,
                                       DT_ENCODE_BOS | DT_ENCODE_PREFIX, tokens, 64, &count,
                                       &err) == DT_OK);
        for (size_t i = 0; i < count; i++)
            FUZZ_HOLDS(tokens[i] < vocab.size);
        free(tokenizer_memory);
    }
    free(memory);
    return 0;
}
