// SPDX-License-Identifier: MIT
// Any text as tokenizer.json; one that is read encodes a text, which decodes without overruns.
#include "core/formats/hf_vocab.h"
#include "core/text/tokenizer.h"
#include "fuzz.h"

static void encode(const struct dt_vocab *vocab)
{
    static const char text[] = "the Cafe\xcc\x81 12345, don't\r\n\n  \xe4\xbd\xa0<|im_end|>\xff";
    struct dt_error err = {0};
    struct dt_tokenizer t;
    size_t need = dt_tokenizer_measure(vocab, sizeof text), count;
    void *memory = aligned_alloc(DT_ALIGN, need);
    uint32_t tokens[128];
    char piece[DT_PIECE_MAX];
    FUZZ_HOLDS(dt_tokenizer_init(&t, vocab, memory, need, &err) == DT_OK);
    dt_status status = dt_tokenizer_encode(
        &t, text, sizeof text - 1, DT_ENCODE_PREFIX | DT_ENCODE_SPECIAL, tokens, 128, &count, &err);
    FUZZ_HOLDS(status == DT_OK || status == DT_BAD_INPUT);
    for (size_t i = 0; i < count && status == DT_OK; i++) {
        FUZZ_HOLDS(tokens[i] < vocab->size);
        FUZZ_HOLDS(dt_tokenizer_decode(&t, DT_NO_TOKEN, tokens[i], piece) <= DT_PIECE_MAX);
    }
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt_json_outline root;
    struct dt_error err = {0};
    if (dt_json_check_outline((const char *)data, size, "fuzz", &root, &err))
        return 0;
    struct dt_arena counter = dt_arena_over(NULL, 0);
    if (dt_hf_vocab(&root, "fuzz", 300, &counter, false, NULL, &err)) {
        FUZZ_HOLDS(err.message[0] && !strchr(err.message, '\n'));
        return 0;
    }
    FUZZ_HOLDS(counter.wanted < 1u << 24);
    void *tables = aligned_alloc(DT_ALIGN, counter.wanted);
    struct dt_arena arena = dt_arena_over(tables, counter.wanted);
    struct dt_vocab vocab = {
        .bos = DT_NO_TOKEN, .eos = DT_NO_TOKEN, .unknown = DT_NO_TOKEN, .eot = DT_NO_TOKEN};
    if (dt_hf_vocab(&root, "fuzz", 300, &arena, false, &vocab, &err) == DT_OK) {
        dt_vocab_find_ends(&vocab);
        encode(&vocab);
    }
    free(tables);
    return 0;
}
