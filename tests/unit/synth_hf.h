// SPDX-License-Identifier: MIT
// Synthetic Hugging Face folders for tests, as files in memory.
#ifndef DT_TESTS_SYNTH_HF_H
#define DT_TESTS_SYNTH_HF_H

#include "synth.h"

struct synth_hf {
    const char *model_type; // NULL: "llama"
    uint32_t form;          // DT_FORM_F32 (0 too), F16 or BF16
    uint32_t shards;        // 0: model.safetensors; else this many files and an index
    bool biases, bpe;
    bool new_merges;    // ["a", "b"] instead of "a b"
    const char *config; // more members of config.json, each after a comma: ", \"a\": 1"
    const char *skip;   // the tensor to leave out
};

enum {
    SYNTH_HF_CONFIG,
    SYNTH_HF_TOKENIZER,
    SYNTH_HF_TOKENIZER_CONFIG,
    SYNTH_HF_INDEX,
    SYNTH_HF_WEIGHTS,
    SYNTH_HF_FILES = 8
};

// Makes the files; shards are out[SYNTH_HF_WEIGHTS] and up, and unused files are empty. The weights
// are those of synth_llama2c, with query and key rows in Hugging Face's order (halves).
void synth_hf(struct synth out[SYNTH_HF_FILES], const struct synth_shape *shape,
              const struct synth_hf *how);

#endif
