// SPDX-License-Identifier: MIT
// Shared by the parts of the reader of Hugging Face folders: hf_model.c, hf_config.c,
// hf_tokenizer.c, hf_tensors.c, hf_metadata.c, hf_describe.c.
#ifndef DT_CORE_HF_READER_H
#define DT_CORE_HF_READER_H

#include "core/formats/json_read.h"
#include "core/formats/reader.h"
#include "core/formats/safetensors.h"
#include "core/structure.h"

struct dt_hf_reader {
    const struct dt_model_part *parts;
    uint32_t count;
    struct dt_model_found *found; // or NULL
    struct dt_arena *arena;
    struct dt_model *model; // never NULL; when measuring, a temporary one
    struct dt_error *err;
    bool measuring;
    bool describing; // a folder that is refused: what can be read is read
    // the parts that are JSON, by their purpose; n 0: absent
    struct dt_json_value config, tokenizer_config, index;
    struct dt_json_outline tokenizer;
    const char *config_name, *tokenizer_name, *tokenizer_config_name, *index_name;
    struct dt_json_value generation;           // generation_config.json
    struct dt_json_value template_json;        // chat_template.json
    const struct dt_model_part *template_file; // chat_template.jinja, or NULL
    const struct dt_model_part *sentencepiece; // tokenizer.model, or NULL
    const struct dt_model_part *card;          // README.md, or NULL
};

// Whether a file is a named chat template: additional_chat_templates/NAME.jinja.
bool dt_hf_is_template(const struct dt_model_part *part);

// Finds the purpose of each part. Parts that cannot be read are errors, or left out when
// describing.
dt_status dt_hf_sort_parts(struct dt_hf_reader *r);

// The number of tokens that the tokenizer's own files name.
uint32_t dt_hf_count_tokens(const struct dt_hf_reader *r);

// The facts, the named chat templates, the name and licence, and what generation_config.json
// suggests for sampling.
dt_status dt_hf_read_metadata(const struct dt_hf_reader *r);

// The vocabulary, its special tokens and ends, and the chat template. hp.vocab is set.
dt_status dt_hf_read_tokenizer(const struct dt_hf_reader *r);

// Sets architecture and hp by config.json. LongRoPE's divisors are allocated in the arena.
dt_status dt_hf_read_config(const struct dt_hf_reader *r);

// Sets the windows and the RoPE of all layers, which exist.
dt_status dt_hf_read_layers(const struct dt_hf_reader *r);

// Assigns every tensor of one safetensors file to its slot in the model, and adds their number to
// *tensors. Norms and biases that are not F32 are converted into the arena. DT_BAD_INPUT or
// DT_UNSUPPORTED: names the tensor, or how it differs from the index.
dt_status dt_hf_place_all(const struct dt_hf_reader *r, const struct dt_model_part *part,
                          size_t *tensors);

// The names of an architecture's tensors; and the name of one in them, which lacks a prefix that
// some files leave out. NULL: a tensor without information.
const struct dt_slot_names *dt_hf_names(const struct dt_structure *s);
const char *dt_hf_tensor_name(const struct dt_structure *s, const char *name, size_t *n);

// DT_BAD_INPUT: names the first tensor that is in no file.
dt_status dt_hf_check_complete(const struct dt_hf_reader *r);

#endif
