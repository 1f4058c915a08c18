// SPDX-License-Identifier: MIT
// A model: a read-only view of the bytes of its files, whatever their format.
#ifndef DT_CORE_MODEL_H
#define DT_CORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/backend.h"
#include "base/arena.h"
#include "base/status.h"
#include "core/quant/forms.h"
#include "core/text/dialogue.h"

// Limits for the fields of a file, far above any real model.
#define DT_MAX_LAYERS  1024u
#define DT_MAX_DIM     65536u
#define DT_MAX_HIDDEN  262144u
#define DT_MAX_HEADS   1024u
#define DT_MAX_CONTEXT 1048576u

// How the frequencies of RoPE follow from its base.
enum dt_rope_scaling {
    DT_ROPE_UNSCALED, // or linear: rope_scale
    DT_ROPE_YARN,     // slow waves are divided by rope_factor, fast ones not, those between in part
    DT_ROPE_LONG,     // divisors of their own within rope_original positions and beyond
};

// A number of which 0 means that the model does not have it is marked "0: none".
struct dt_hparams {
    const struct dt_structure *structure; // of the architecture
    uint32_t dim;                         // width of the residual stream
    uint32_t hidden;                      // width of the feed-forward layer
    uint32_t layers;
    uint32_t heads;     // query heads
    uint32_t kv_heads;  // key/value heads, divides heads
    uint32_t head_size; // channels of a head; heads * head_size may differ from dim
    uint32_t vocab;
    uint32_t context;       // positions the model was trained for
    uint32_t rotated;       // channels of a head that RoPE rotates (even)
    uint32_t rope_style;    // enum dt_rope_style
    float rope_base;        // theta
    float rope_scale;       // linear scaling: positions are multiplied by this (1: none)
    float rope_base_local;  // theta of windowed layers, which are not scaled; 0: that of the others
    uint32_t rope_scaling;  // enum dt_rope_scaling
    uint32_t rope_original; // YARN, LONG: positions before the extension
    float rope_factor, rope_beta_fast, rope_beta_slow; // YARN
    float rope_attention;                              // cosines and sines times this; 0: none
    float norm_epsilon;
    float embedding_scale;   // the embedding times this; 0: none
    float residual_scale;    // what attention and feed-forward add times this; 0: none
    float attention_divisor; // of the scores; 0: sqrt(head_size)
    float logit_scale;       // the normed vector before the classifier times this; 0: none
    float attention_cap;     // softcap of the scores; 0: none
    float logit_cap;         // softcap of the logits; 0: none
    uint32_t window;         // positions that a windowed layer attends to; 0: no layer is windowed
    bool tied;               // the classifier is the embedding
    // rotated / 2 divisors of the frequencies (GGUF's rope_freqs), or NULL
    const float *rope_factors;
    const float *rope_long, *rope_short; // LONG: beyond rope_original positions, and within
};

enum dt_layer_rope {
    DT_LAYER_ROPE,       // hp.rope_base, scaled
    DT_LAYER_ROPE_LOCAL, // hp.rope_base_local
    DT_LAYER_ROPE_NONE,
};

// A vector is NULL, and a matrix has no quants, where the structure has none.
struct dt_layer {
    const float *attention_norm, *ffn_norm;           // dim floats; before the block
    const float *post_attention_norm, *post_ffn_norm; // of what the block adds
    const float *attention_norm_bias, *ffn_norm_bias;
    const float *query_norm, *key_norm; // head_size floats, or of all heads (enum dt_qk_norm)
    // (heads*hs, dim), (kv*hs, dim), (kv*hs, dim), (dim, heads*hs)
    struct dt_matrix query, key, value, output;
    struct dt_matrix gate, down, up; // w1 (hidden, dim), w2 (dim, hidden), w3 (hidden, dim)
    const float *query_bias, *key_bias, *value_bias, *output_bias;
    const float *gate_bias, *up_bias, *down_bias;
    // Matrices and biases that the file has in one; the parts above are views of them.
    struct dt_matrix qkv, gate_up;
    const float *qkv_bias;
    uint32_t window; // positions that a position attends to, with its own; 0: all before it
    uint32_t rope;   // enum dt_layer_rope
};

// Defaults that the file suggests. Absent numbers are DT_UNSET.
#define DT_UNSET (-1.0f)
struct dt_model_hints {
    float temperature, top_p, top_k, min_p, repeat_penalty;
    uint32_t length;        // tokens of a usual story, 0: absent
    bool chat, chat_stated; // whether it is for chats, where the file says so
    const char *opening;    // a first prompt, in the file's bytes, not terminated; or NULL
    size_t opening_length;
};

// A chat template beside the first one, for tools or retrieval. The texts are not terminated.
struct dt_model_template {
    const char *name, *text;
    size_t name_length, length;
};

// What a file says about itself for people: authors, tags, links. Rows with the same key that
// follow one another are the items of one list. The texts are not terminated.
#define DT_FACTS_MAX 256u
struct dt_model_fact {
    const char *key; // of GGUF: "general.author"
    size_t key_length;
    const char *text;
    size_t length;
    bool list;
};

// What is worth a warning in a file that can be used.
#define DT_NOTES_MAX 6u
#define DT_NOTE_SIZE 200u

struct dt_model {
    const char *format; // "llama2.c legacy", "llama2.c version 2", "GGUF v3", "safetensors": static
    const char *architecture; // "llama", "qwen2" ...: static
    const char *name;         // in the file's bytes, not terminated; NULL: none
    size_t name_length;
    const char *license; // likewise
    size_t license_length;
    const char *chat_template; // likewise: Jinja text as the file holds it
    size_t chat_template_length;
    const struct dt_model_template *templates; // in the arena
    uint32_t template_count;
    const struct dt_model_fact *facts; // in the arena; name and license are not among them
    uint32_t fact_count;
    struct dt_hparams hp;
    struct dt_matrix embedding;  // (vocab, dim), read row by row, never expanded
    struct dt_matrix classifier; // (vocab, dim); the embedding again where tied
    struct dt_matrix positions;  // (context, dim): added to the embedding; mostly without quants
    const float *final_norm;     // dim floats
    const float *final_norm_bias;
    const float *rope_tables; // the cosines and sines that end a legacy llama2.c file: context *
                              // head_size floats, used for conversion only; else NULL
    struct dt_layer *layers;  // hp.layers of them, in the arena
    struct dt_vocab vocab;    // kind DT_VOCAB_NONE: the file has none
    struct dt_model_hints hints;
    struct dt_dialogue dialogue;     // whether it was made for dialogues
    const unsigned char *gguf_bytes; // the first file of a GGUF model, for its metadata; else NULL
    size_t gguf_size;
    char note[DT_NOTES_MAX][DT_NOTE_SIZE]; // one line each, without the file's name
    uint32_t notes;
    size_t file_bytes;
    size_t weight_bytes; // of all matrices and norms in the file
};

// One file of a model. Most models are one file; GGUF models may be split into several. The files
// of a Hugging Face folder begin with its config.json.
struct dt_model_part {
    const unsigned char *bytes; // aligned to 4 (a mapping is); outlive the model; not written
    size_t n;
    const char *name; // for messages
};

#endif
