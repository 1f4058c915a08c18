// SPDX-License-Identifier: MIT
// A model as the engine sees it: a read-only view over the bytes of a file, whatever its format.
#ifndef DT_CORE_MODEL_H
#define DT_CORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/backend.h"
#include "base/arena.h"
#include "base/status.h"
#include "core/quant/forms.h"
#include "core/text/vocab.h"

// Caps on what a file may claim; far above any model that fits the machines we know.
#define DT_MAX_LAYERS  1024u
#define DT_MAX_DIM     65536u
#define DT_MAX_HIDDEN  262144u
#define DT_MAX_HEADS   1024u
#define DT_MAX_VOCAB   1048576u
#define DT_MAX_CONTEXT 1048576u

struct dt_hparams {
    uint32_t dim;    // width of the residual stream
    uint32_t hidden; // width of the feed-forward layer
    uint32_t layers;
    uint32_t heads;     // query heads
    uint32_t kv_heads;  // key/value heads, divides heads
    uint32_t head_size; // channels of a head; heads * head_size may differ from dim
    uint32_t vocab;
    uint32_t context;    // positions it was trained for
    uint32_t rotated;    // channels of a head that RoPE turns (even)
    uint32_t rope_style; // enum dt_rope_style
    float rope_base;     // theta
    float rope_scale;    // linear scaling: position is multiplied by this (1 = none)
    float norm_epsilon;
    bool tied;                 // the classifier is the embedding
    const float *rope_factors; // rotated/2 divisors of the frequencies (GGUF's rope_freqs), or NULL
};

struct dt_layer {
    const float *attention_norm, *ffn_norm; // dim floats
    // (heads*hs, dim), (kv*hs, dim), (kv*hs, dim), (dim, heads*hs)
    struct dt_matrix query, key, value, output;
    struct dt_matrix gate, down, up; // w1 (hidden, dim), w2 (dim, hidden), w3 (hidden, dim)
    const float *query_bias, *key_bias, *value_bias; // or NULL
};

// What the file says about how it likes to be used. Absent fields hold DT_UNSET.
#define DT_UNSET (-1.0f)
struct dt_model_hints {
    float temperature, top_p, top_k, min_p, repeat_penalty;
    uint32_t length;     // tokens of a usual story, 0 if not said
    bool chat;           // the program should start in chat mode
    const char *opening; // bytes in the file, not terminated; or NULL
    size_t opening_length;
};

struct dt_model {
    const char *format; // "llama2.c legacy", "llama2.c version 2", "GGUF v3", "safetensors": static
    const char *architecture; // "llama", "qwen2" ...: static
    const char *name; // the model's own name, in the file's bytes, not terminated; NULL if none
    size_t name_length;
    const char *license; // likewise
    size_t license_length;
    const char *chat_template; // likewise: Jinja text as the file holds it
    size_t chat_template_length;
    struct dt_hparams hp;
    struct dt_matrix embedding;  // (vocab, dim), read row by row, never expanded
    struct dt_matrix classifier; // (vocab, dim); the embedding again where tied
    const float *final_norm;     // dim floats
    const float *rope_tables;    // legacy llama2.c files end with cos and sin, context * head_size
                                 // floats that nobody reads: kept for conversion; else NULL
    struct dt_layer *layers;     // hp.layers of them, in the arena
    struct dt_vocab vocab;       // kind DT_VOCAB_NONE where the file has none
    struct dt_model_hints hints;
    size_t file_bytes;
    size_t weight_bytes; // all matrices and norms as they lie in the file
};

// Which reader takes these bytes: by magic ("GGUF", "ak42"), by what begins a safetensors file or a
// config.json, else llama2.c's legacy header if it is plausible. Returns the format's name, static;
// NULL if no reader knows them (dt_model_open says why). Pure.
const char *dt_model_recognise(const unsigned char *bytes, size_t n);

// One file of a model. Most models are one file; GGUF may be split into several, and a Hugging Face
// folder is its config.json first, then the others.
struct dt_model_part {
    const unsigned char *bytes; // 4-byte aligned (a mapping is), outlives the model, never written
    size_t n;
    const char *name; // for messages
};

// How many files the model that begins with these bytes is split into: 1 for most, 0 where the
// bytes are no readable header.
uint32_t dt_model_split_count(const unsigned char *bytes, size_t n);

// Arena bytes dt_model_open will take, or 0 with *err when the file is so broken that it cannot be
// told.
size_t dt_model_measure(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_error *err);
size_t dt_model_measure_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_error *err);

// Reads a whole model from bytes[0..n), which outlive *out and are never written; name is for
// messages. Trusts nothing: every count is capped, every product overflow-checked, every offset
// inside the file. DT_BAD_INPUT (or DT_UNSUPPORTED for what is sound but not for us) with field,
// found and wanted; DT_NO_MEMORY if the arena is too small. Norms and biases are checked to be
// finite, and so are scales that lie apart from their quants (llama2.c version 2: a ninth of the
// file); scales inside blocks are not, for that reads the whole file. Any thread.
dt_status dt_model_open(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_arena *arena, struct dt_model *out, struct dt_error *err);

// The same for a model of several files, in their order (split.no). DT_BAD_INPUT where they do not
// belong together.
dt_status dt_model_open_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_arena *arena, struct dt_model *out, struct dt_error *err);

// Looks at every scale, blocks included: DT_BAD_INPUT names the tensor, row and value of the first
// one that is no finite number.
dt_status dt_model_check_scales(const struct dt_model *model, const char *name,
                                struct dt_error *err);

// Visits every matrix in the order of evaluation, under its GGUF name ("blk.3.attn_q.weight"); a
// tied classifier is not visited again. Stops at the first result that is not DT_OK and returns it.
typedef dt_status dt_model_visit(void *arg, const char *tensor, const struct dt_matrix *w);
dt_status dt_model_each_matrix(const struct dt_model *model, dt_model_visit *visit, void *arg);

#endif
