// SPDX-License-Identifier: MIT
// A table of n-grams for speculation. The hash of the vocabulary is made right, so that the rest is
// reached.
#include "core/sampling/draft.h"
#include "fuzz.h"

#include <string.h>

#define VOCAB 40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char pieces[VOCAB] = "abcdefghijklmnopqrstuvwxyz";
    uint32_t offset[VOCAB];
    uint16_t length[VOCAB];
    for (uint32_t i = 0; i < VOCAB; i++) {
        offset[i] = i;
        length[i] = 1;
    }
    struct dt_vocab vocab = {.size = VOCAB, .bytes = pieces, .offset = offset, .length = length};
    unsigned char *bytes = malloc(size ? size : 1);
    memcpy(bytes, data, size);
    uint64_t hash = dt_draft_vocab_hash(&vocab);
    if (size >= 24)
        memcpy(bytes + 16, &hash, sizeof hash);
    struct dt_error err = {0};
    struct dt_draft_table table;
    dt_status status = dt_draft_table_open(&table, bytes, size, "fuzz", &vocab, &err);
    FUZZ_HOLDS(status == DT_OK || (status == DT_BAD_INPUT && err.message[0]));
    if (status == DT_OK) {
        struct dt_draft draft;
        uint32_t text[64];
        void *memory = aligned_alloc(DT_ALIGN, dt_draft_measure(64));
        memset(memory, 0, dt_draft_measure(64));
        dt_draft_init(&draft, 64, memory);
        draft.table = table;
        draft.forced = true;
        for (uint32_t i = 0; i < 64; i++) {
            text[i] = (i * 7 + (uint32_t)size) % VOCAB;
            dt_draft_guess(&draft, text, i, text[i], DT_DRAFT_MOST);
            FUZZ_HOLDS(draft.count <= DT_DRAFT_MOST);
            for (uint32_t k = 0; k < draft.count; k++)
                FUZZ_HOLDS(draft.guess[k].token < VOCAB);
        }
        free(memory);
    }
    free(bytes);
    return 0;
}
