// SPDX-License-Identifier: MIT
// The structures of transformers as data: one row for each architecture. A row states which tensors
// the architecture has and how its parts are computed; core/forward.c follows the row. Pure: any
// thread.
#ifndef DT_CORE_STRUCTURE_H
#define DT_CORE_STRUCTURE_H

#include "core/slots.h"

enum dt_norm_kind { DT_NORM_RMS, DT_NORM_LAYER };
enum dt_activation { DT_ACTIVATION_SILU, DT_ACTIVATION_GELU }; // GELU: the one with tanh

// Which RMS norm queries and keys pass.
enum dt_qk_norm {
    DT_QK_NORM_NONE,
    DT_QK_NORM_HEADS,       // each head, before RoPE
    DT_QK_NORM_HEADS_AFTER, // each head, after RoPE
    DT_QK_NORM_WHOLE,       // all heads together, before RoPE
};

// The names of tensors in a Hugging Face folder.
enum dt_hf_names {
    DT_HF_LLAMA,
    DT_HF_SANDWICH, // with norms before and after a block
    DT_HF_HUNYUAN,
    DT_HF_EXAONE,
    DT_HF_SHARED_MLP,
    DT_HF_GPT2,
    DT_HF_GPT_NEO,
    DT_HF_NAMES_COUNT
};

// Numbers that a file of this structure may have. A file of another structure that has one is
// refused.
enum dt_structure_number {
    DT_NUMBER_SCALES = 1, // of the embedding, residuals, scores and logits
    DT_NUMBER_CAPS = 2,   // softcaps of scores and logits
};

struct dt_structure {
    const char *name;      // general.architecture of a GGUF file
    const char *hf[3];     // model_type of config.json
    uint64_t needs, may;   // bits of slots: every model has those of `needs`, some those of `may`
    uint32_t gguf_rope;    // enum dt_rope_style of the rows in GGUF
    uint32_t hf_rope;      // and in a Hugging Face folder
    uint32_t norm;         // enum dt_norm_kind
    uint32_t activation;   // enum dt_activation
    uint32_t qk_norm;      // enum dt_qk_norm
    uint32_t hf_names;     // enum dt_hf_names
    uint32_t numbers;      // bits of enum dt_structure_number
    uint32_t window_every; // with a window: layer l has it unless (l + 1) % window_every is 0;
                           // 0: every layer has it
    uint32_t window_phase; // added to l + 1 above
    uint32_t window;       // where the file does not mention one; 0: none
    uint32_t nope_every;   // layer l has no RoPE if (l + 1) % nope_every is 0; 0: every layer has
    float local_base;      // RoPE's base in windowed layers where the file gives none; 0: the same
    float embedding_scale; // where the file gives none; 0: none
    float residual_depth;  // likewise: residuals times this / sqrt(layers)
    float logit_width;     // likewise: logits times this / dim
    float attention_cap, logit_cap; // likewise
    uint32_t wide_layers; // in a model with so many layers, scores are divided by sqrt(dim / heads)
    bool whole_attention; // a file with a window is another structure, and refused
    bool plain_ffn;       // no gate
    bool no_rope;         // learned positions instead
    bool rope_switch;     // a GGUF file can switch RoPE off (rope.scaling.finetuned)
    bool unscaled_scores; // not divided by sqrt(head_size)
    bool scaled_embedding; // times sqrt(dim)
    bool hf_norm_plus_one; // a Hugging Face folder holds the weights of norms minus 1
    bool hf_columns;       // and its matrices transposed
    bool hf_tied;          // and its classifier is the embedding unless config.json denies it
    bool base_named;       // models that are not for dialogues have "base" in their names
};

// The row of an architecture by its name in GGUF (the first one with this name) or its model_type;
// NULL: unknown.
const struct dt_structure *dt_structure_find(const char *name, size_t n);
const struct dt_structure *dt_structure_find_hf(const char *model_type, size_t n);

// Writes the names of all architectures, "llama, qwen2, ...", or with `hf` their model_types.
void dt_structure_list(bool hf, char *out, size_t size);

// What a known architecture without a row has that duotale does not compute ("mixture of experts");
// NULL: nothing is known about it. Both kinds of names.
const char *dt_structure_lacks(const char *name, size_t n);

bool dt_structure_needs(const struct dt_structure *s, enum dt_slot slot);
bool dt_structure_has(const struct dt_structure *s, enum dt_slot slot); // needs, or may have

// Sets the window and the RoPE of every layer by hp.
void dt_structure_set_layers(struct dt_model *m);

// Sets whether a layer is windowed, and its RoPE; hp.window is not 0.
void dt_structure_set_window(struct dt_model *m, uint32_t layer, bool windowed);

// Whether the windows and RoPE of all layers are those of dt_structure_set_layers.
bool dt_structure_usual_windows(const struct dt_model *m);
bool dt_structure_usual_ropes(const struct dt_model *m);

// Sets the scales, caps and local base of hp that follow from the structure and the sizes; a file
// may have others.
void dt_structure_set_numbers(struct dt_hparams *hp);

// Makes query, key, value, gate and up views of the matrices that the file has in one, where it
// has.
void dt_structure_split(struct dt_model *m);

#endif
