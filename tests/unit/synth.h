// SPDX-License-Identifier: MIT
// Small synthetic model files for tests.
#ifndef DT_TESTS_SYNTH_H
#define DT_TESTS_SYNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A growing file in memory, aligned to 64 bytes, freed by synth_free. Aborts if memory runs out.
struct synth {
    unsigned char *bytes;
    size_t n, capacity;
};

void synth_free(struct synth *s);
void synth_put(struct synth *s, const void *bytes, size_t n);
void synth_u8(struct synth *s, uint8_t v);
void synth_u32(struct synth *s, uint32_t v);
void synth_u64(struct synth *s, uint64_t v);
void synth_f32(struct synth *s, float v);
void synth_pad(struct synth *s, size_t multiple); // zeros up to a multiple

struct synth_shape {
    uint32_t dim, hidden, layers, heads, kv_heads, vocab, context;
    bool shared;
    uint32_t group; // llama2.c version 2
    uint64_t seed;  // 0: weights in a pattern of multiples of 1/64; else random
};

// n floats of a tensor, the same for every format; its number is kind * 4096 + layer.
enum synth_kind {
    SYNTH_EMBEDDING,
    SYNTH_ATT_NORM,
    SYNTH_WQ,
    SYNTH_WK,
    SYNTH_WV,
    SYNTH_WO,
    SYNTH_FFN_NORM,
    SYNTH_W1,
    SYNTH_W2,
    SYNTH_W3,
    SYNTH_FINAL_NORM,
    SYNTH_WCLS,
    SYNTH_BQ,
    SYNTH_BK,
    SYNTH_BV,
};
void synth_floats(struct synth *out, const struct synth_shape *shape, size_t n,
                  enum synth_kind kind, uint32_t layer);

// The next pseudo-random value in [-1, 1), a multiple of 2^-10.
float synth_random(uint64_t *state);

// Writes a llama2.c file of version 0, 1 or 2. The same seed gives the same weights in 0 and 1, and
// in 2 quantised as by llama2.c's exporter.
void synth_llama2c(struct synth *out, const struct synth_shape *shape, int version);

// Writes a tokenizer.bin of `vocab` pieces (>= 260): <unk>, BOS, EOS, 256 bytes, then letters and
// short words.
void synth_tokenizer(struct synth *out, uint32_t vocab);

// How a GGUF file differs from the default (all zero): version 3, architecture llama, F32,
// complete.
struct synth_gguf {
    uint32_t version;         // 0: 3
    const char *architecture; // NULL: "llama"
    uint32_t form;            // of the matrices, enum dt_form: F32 (0 too), F16, Q8_0, Q4_0;
                              // Q4_K, Q5_K and Q6_K have random blocks
    bool bpe;                 // a byte-level BPE vocabulary instead of a SentencePiece one
    bool biases;              // of query, key and value (qwen2)
    bool half_norms;          // F16
    bool groups;              // matrices as I8 with separate scales
    uint32_t head_size;       // 0: dim / heads
    uint32_t split_no,
        split_count;      // parts by layers; the first has the keys, the embedding and the output
    const char *skip;     // the key or tensor to leave out
    const char *twice;    // the tensor to write twice
    const char *template; // tokenizer.chat_template
};

// Writes a GGUF file. The same shape and seed give the weights of synth_llama2c, matrices in the
// given form.
void synth_gguf(struct synth *out, const struct synth_shape *shape, const struct synth_gguf *how);

// Write single keys, for other GGUF files.
void synth_gguf_text(struct synth *s, const char *text);
void synth_gguf_u32(struct synth *s, const char *key, uint32_t v);

#endif
