// SPDX-License-Identifier: MIT
// Encodes any text with SentencePiece or a family of byte-level BPE (chosen by the first byte); it
// must decode to itself, or to its normalised form where the vocabulary asks for that.
#include "core/text/normalize.h"
#include "core/text/tokenizer.h"
#include "fuzz.h"
#include "synth.h"
#include "core/formats/open_model.h"

#define KINDS 6 // tokenizer.bin, GGUF SentencePiece, four BPE families

static struct dt_tokenizer tokenizers[KINDS];
static struct dt_vocab vocabs[KINDS];
enum { MOST_TEXT = 65536 };

static void make(int kind)
{
    struct synth file = {0}; // not freed: vocabularies point into it
    struct dt_error err = {0};
    struct synth_shape shape = {.dim = 8,
                                .hidden = 8,
                                .layers = 1,
                                .heads = 1,
                                .kv_heads = 1,
                                .vocab = 300,
                                .context = 4,
                                .shared = true,
                                .seed = 1};
    struct synth_gguf how = {.bpe = kind >= 2, .form = DT_FORM_F32};
    void *memory = aligned_alloc(DT_ALIGN, 1 << 16);
    struct dt_arena arena = dt_arena_over(memory, 1 << 16);
    if (kind == 0) {
        synth_tokenizer(&file, 300);
        FUZZ_HOLDS(!dt_vocab_open_bin(file.bytes, file.n, "x", 300, &arena, &vocabs[0], &err));
    } else {
        struct dt_model model;
        synth_gguf(&file, &shape, &how);
        FUZZ_HOLDS(!dt_model_open(file.bytes, file.n, "x", &arena, &model, &err));
        vocabs[kind] = model.vocab;
        if (kind >= 2)
            vocabs[kind].pretokenizer = (enum dt_pretokenizer)(kind - 2);
    }
    size_t need = dt_tokenizer_measure(&vocabs[kind], MOST_TEXT);
    FUZZ_HOLDS(!dt_tokenizer_init(&tokenizers[kind], &vocabs[kind], aligned_alloc(DT_ALIGN, need),
                                  need, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint32_t tokens[MOST_TEXT + 2];
    static char back[MOST_TEXT * 8], normal[MOST_TEXT * DT_NFC_GROWTH];
    if (size < 1 || size > MOST_TEXT / 8)
        return 0;
    int kind = data[0] % KINDS;
    unsigned flags = data[0] / KINDS % 2 ? DT_ENCODE_SPECIAL : 0;
    if (!tokenizers[kind].vocab)
        make(kind);
    struct dt_error err = {0};
    size_t count, n = 0;
    const char *text = (const char *)data + 1;
    FUZZ_HOLDS(!dt_tokenizer_encode(&tokenizers[kind], text, size - 1, flags, tokens, MOST_TEXT,
                                    &count, &err));
    for (size_t i = 0; i < count; i++) {
        FUZZ_HOLDS(tokens[i] < vocabs[kind].size);
        n += dt_tokenizer_decode(&tokenizers[kind], i ? tokens[i - 1] : DT_NO_TOKEN, tokens[i],
                                 back + n);
    }
    // Markers decode to nothing, SentencePiece decodes U+2581 to a space, and a tokenizer.bin drops
    // bytes without tokens.
    if (kind < 2 || flags)
        return 0;
    size_t length = size - 1;
    if (vocabs[kind].nfc) {
        length = dt_nfc(text, length, normal);
        text = normal;
    }
    FUZZ_HOLDS(n == length && memcmp(back, text, n) == 0);
    return 0;
}
