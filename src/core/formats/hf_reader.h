// SPDX-License-Identifier: MIT
// Between the parts of the reader of Hugging Face folders (hf_model.c, hf_tensors.c): what they
// hand to each other.
#ifndef DT_CORE_HF_READER_H
#define DT_CORE_HF_READER_H

#include "core/formats/json_read.h"
#include "core/formats/reader.h"
#include "core/formats/safetensors.h"

struct dt_hf_reader {
    const struct dt_model_part *parts;
    uint32_t count;
    struct dt_arena *arena;
    struct dt_model *model; // never NULL: where only measuring, a dropped one
    struct dt_error *err;
    bool measuring;
    // parts that are JSON, by what they are; n 0: not there
    struct dt_json_value config, tokenizer, tokenizer_config, index;
    const char *config_name, *tokenizer_name, *tokenizer_config_name, *index_name;
};

// Puts every tensor of one safetensors file into its place in the model, and adds how many there
// are to *tensors; norms and biases that are not F32 are copied to the arena. DT_BAD_INPUT or
// DT_UNSUPPORTED names the tensor, or says what the index has against it.
dt_status dt_hf_place_all(const struct dt_hf_reader *r, const struct dt_model_part *part,
                          size_t *tensors);

// DT_BAD_INPUT names the first tensor that no file had.
dt_status dt_hf_check_complete(const struct dt_hf_reader *r);

#endif
