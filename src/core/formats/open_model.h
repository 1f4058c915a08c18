// SPDX-License-Identifier: MIT
// Opening a model: recognises the format of a file, measures and reads it.
#ifndef DT_CORE_OPEN_MODEL_H
#define DT_CORE_OPEN_MODEL_H

#include "core/formats/json_read.h"
#include "core/model.h"

// The format of a file: "GGUF", "llama2.c", "safetensors" (also for a config.json) or "llama2.c
// legacy", by its magic or, for the last, a plausible header. Static. NULL: not a model
// (dt_model_open says why). Pure.
const char *dt_model_recognise(const unsigned char *bytes, size_t n);

// How many files a model is split into, by the bytes of its first file: 1 for most models, 0 if the
// header cannot be read.
uint32_t dt_model_split_count(const unsigned char *bytes, size_t n);

// What measuring a model of several files found in them, so that opening it does not look again:
// large texts are checked once. Zeroed at first; used with the same files, in the same order.
struct dt_model_found {
    uint32_t tokenizer; // the file that `outline` is of, + 1
    struct dt_json_outline outline;
};

// The arena bytes that dt_model_open needs, or 0 with *err set if the header is invalid.
size_t dt_model_measure(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_error *err);
size_t dt_model_measure_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_model_found *found, struct dt_error *err);

// Reads a model from bytes[0..n), which outlive *out and are not written; name is for messages.
// Trusts no input: every count is capped, every product checked for overflow, every offset checked
// to lie inside the file. DT_BAD_INPUT: the file is invalid; DT_UNSUPPORTED: it is valid but cannot
// be computed; the message names the field, its value and what is expected. DT_NO_MEMORY: the arena
// is too small. Norms, biases and scales separate from their quants (llama2.c version 2) must be
// finite; scales inside blocks are not checked here, because that reads the whole file. Any thread.
dt_status dt_model_open(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_arena *arena, struct dt_model *out, struct dt_error *err);

// The same for a model of several files in order (GGUF's split.no; config.json first). DT_BAD_INPUT
// also if they do not belong together. found: what measuring them found; may be NULL in both.
dt_status dt_model_open_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_model_found *found, struct dt_arena *arena,
                              struct dt_model *out, struct dt_error *err);

// The same for the vocabulary and the chat template only, where the weights are missing or cannot
// be computed: a GGUF file (the first of a split), or the tokenizer's files of a Hugging Face
// folder. Only those fields and hp.vocab of *out are set. DT_UNSUPPORTED for other formats.
size_t dt_model_measure_vocabulary(const struct dt_model_part *parts, uint32_t count,
                                   struct dt_model_found *found, struct dt_error *err);
dt_status dt_model_open_vocabulary(const struct dt_model_part *parts, uint32_t count,
                                   struct dt_model_found *found, struct dt_arena *arena,
                                   struct dt_model *out, struct dt_error *err);

// Checks every scale, also inside blocks. DT_BAD_INPUT: names the tensor, row and value of the
// first scale that is not finite. Reads all weights.
dt_status dt_model_check_scales(const struct dt_model *model, const char *name,
                                struct dt_error *err);

// Calls visit for every matrix in the order of evaluation, with its GGUF name
// ("blk.3.attn_q.weight"). A tied classifier is visited once, as the embedding. Stops at the first
// result that is not DT_OK and returns it.
typedef dt_status dt_model_visit(void *arg, const char *tensor, const struct dt_matrix *w);
dt_status dt_model_each_matrix(const struct dt_model *model, dt_model_visit *visit, void *arg);

#endif
