// SPDX-License-Identifier: MIT
// Shared by the parts of the GGUF reader: gguf_model.c, gguf_hparams.c, gguf_vocab.c,
// gguf_tensors.c, gguf_metadata.c, gguf_describe.c.
#ifndef DT_CORE_GGUF_READER_H
#define DT_CORE_GGUF_READER_H

#include "core/formats/gguf.h"
#include "core/formats/reader.h"
#include "core/structure.h"

// The state of reading one model.
struct dt_gguf_reader {
    struct dt_arena *arena;
    struct dt_model *model; // never NULL; when measuring, a temporary one without layers
    struct dt_error *err;
    const char *file;
    const char *prefix; // "llama"
    const char *layout; // of packed matrices, or NULL
    uint32_t packed_group;
    bool packed_tied; // a packed classifier is a copy of the embedding
    bool measuring;
    bool describing; // a file that is refused: what can be read is read
};

// Reads an integer from 1 to `most` of a key of the architecture, "llama.SUFFIX". If it is absent,
// *out is left alone, or it is DT_BAD_INPUT if it is required.
dt_status dt_gguf_number(const struct dt_gguf_reader *r, const struct dt_gguf *g,
                         const char *suffix, uint32_t most, bool required, uint32_t *out);

// Sets hp by the keys of the architecture, except vocab and tied. hp.structure is set.
dt_status dt_gguf_read_hparams(struct dt_gguf_reader *r, const struct dt_gguf *g);

// Sets the windows of layers where the file has a pattern of its own.
dt_status dt_gguf_read_windows(const struct dt_gguf_reader *r, const struct dt_gguf *g);

// Selects LongRoPE if the file has its tensors; all are placed.
dt_status dt_gguf_check_long_rope(const struct dt_gguf_reader *r);

// tokenizer.ggml.*: the vocabulary, whose pieces stay in the file; sets hp.vocab. Where the file
// has no vocabulary (vocab.kind DT_VOCAB_NONE), hp.vocab is left alone.
dt_status dt_gguf_read_vocab(struct dt_gguf_reader *r, const struct dt_gguf *g);

// Sets the facts and the named chat templates.
dt_status dt_gguf_read_metadata(struct dt_gguf_reader *r, const struct dt_gguf *g);

// Assigns every tensor of one file to its slot in the model. Norms and biases that are not F32 are
// converted into the arena.
dt_status dt_gguf_place_all(const struct dt_gguf_reader *r, const struct dt_gguf *g);

// DT_BAD_INPUT: names the first tensor that is in no file.
dt_status dt_gguf_check_complete(const struct dt_gguf_reader *r);

#endif
