// SPDX-License-Identifier: MIT
// Shared by the parts of the GGUF reader: gguf_model.c, gguf_vocab.c, gguf_tensors.c.
#ifndef DT_CORE_GGUF_READER_H
#define DT_CORE_GGUF_READER_H

#include "core/formats/gguf.h"
#include "core/formats/reader.h"
#include "core/slots.h"

// The state of reading one model.
struct dt_gguf_reader {
    struct dt_arena *arena;
    struct dt_model *model; // never NULL; when measuring, a temporary one without layers
    struct dt_error *err;
    const char *file;
    const char *prefix; // "llama"
    const char *layout; // of packed matrices, or NULL
    uint32_t packed_group;
    bool measuring;
};

// tokenizer.ggml.*: the vocabulary, whose pieces stay in the file; sets hp.vocab. Where the file
// has no vocabulary (vocab.kind DT_VOCAB_NONE), hp.vocab is left alone.
dt_status dt_gguf_read_vocab(struct dt_gguf_reader *r, const struct dt_gguf *g);

// Assigns every tensor of one file to its slot in the model. Norms and biases that are not F32 are
// converted into the arena.
dt_status dt_gguf_place_all(const struct dt_gguf_reader *r, const struct dt_gguf *g);

// DT_BAD_INPUT: names the first tensor that is in no file.
dt_status dt_gguf_check_complete(const struct dt_gguf_reader *r);

#endif
