// SPDX-License-Identifier: MIT
#include "bad_files.h"

#include <math.h>
#include <string.h>

static const struct synth_shape shape = {.dim = 32,
                                         .hidden = 64,
                                         .layers = 2,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .vocab = BAD_FILE_VOCAB,
                                         .context = 16,
                                         .shared = true,
                                         .group = 16,
                                         .seed = 1};

enum base { V0, V0_OWN, V1, V2, V2_OWN, TOKENIZER, NOTHING };

static void base_file(struct synth *out, enum base base)
{
    struct synth_shape s = shape;
    s.shared = base != V0_OWN && base != V2_OWN;
    switch (base) {
    case V0:
    case V0_OWN:
        synth_llama2c(out, &s, 0);
        break;
    case V1:
        synth_llama2c(out, &s, 1);
        break;
    case V2:
    case V2_OWN:
        synth_llama2c(out, &s, 2);
        break;
    case TOKENIZER:
        synth_tokenizer(out, BAD_FILE_VOCAB);
        break;
    case NOTHING:
        break;
    }
}

void bad_file_companion(struct synth *out)
{
    base_file(out, V0);
}

// What is done to a sound file. Counting from the end: negative `at`.
enum act { CUT, SET32, SET8, TEXT };

struct row {
    const char *name;
    enum base base;
    enum act act;
    long at;
    uint32_t value;
    const char *message;
};

#define NAN32 0x7fc00000u
#define INF32 0xff800000u
// Version 2: the norms of 2 layers, the final one, then the quants of the embedding and its scales.
#define V2_NORM  256
#define V2_EMBED (V2_NORM + 5 * 32 * 4)
#define V2_SCALE (V2_EMBED + BAD_FILE_VOCAB * 32)
#define V2_WQ    (V2_SCALE + BAD_FILE_VOCAB * 2 * 4)

static const struct row rows[] = {
    // llama2.c, legacy
    {"v0-empty", V0, CUT, 0, 0, "too short"},
    {"v0-3-bytes", V0, CUT, 3, 0, "the file has 3 bytes"},
    {"v0-cut-at-hidden", V0, CUT, 4, 0, "hidden_dim needs bytes 4 to 7, the file has 4"},
    {"v0-cut-at-layers", V0, CUT, 8, 0, "n_layers needs bytes 8 to 11, the file has 8"},
    {"v0-cut-at-heads", V0, CUT, 13, 0, "n_heads needs bytes 12 to 15, the file has 13"},
    {"v0-cut-at-kv-heads", V0, CUT, 16, 0, "n_kv_heads needs bytes 16 to 19, the file has 16"},
    {"v0-cut-at-vocab", V0, CUT, 20, 0, "vocab_size needs bytes 20 to 23, the file has 20"},
    {"v0-cut-at-context", V0, CUT, 24, 0, "max_seq_len needs bytes 24 to 27, the file has 24"},
    {"v0-header-only", V0, CUT, 28, 0, "token_embedding_table needs bytes 28 to 38427, the file has 28"},
    {"v0-cut-in-norm", V0, CUT, 28 + 38400 + 64, 0, "rms_att_weight of layer 0 needs bytes 38428"},
    {"v0-cut-in-weights", V0, CUT, 50000, 0, "wk of layer 1 needs bytes 48924 to 50971, the file has 50000"},
    {"v0-cut-in-rope", V0, CUT, -4, 0, "freq_cis_imag needs bytes"},
    {"v0-cut-in-classifier", V0_OWN, CUT, -1, 0, "wcls needs bytes"},
    {"v0-zero-dim", V0, SET32, 0, 0, "dim is 0, wanted 1 to"},
    {"v0-zero-hidden", V0, SET32, 4, 0, "hidden_dim is 0, wanted 1 to"},
    {"v0-zero-layers", V0, SET32, 8, 0, "n_layers is 0, wanted 1 to"},
    {"v0-zero-heads", V0, SET32, 12, 0, "n_heads is 0, wanted 1 to"},
    {"v0-zero-kv-heads", V0, SET32, 16, 0, "n_kv_heads is 0, wanted 1 to"},
    {"v0-zero-vocab", V0, SET32, 20, 0, "vocab_size is 0, wanted 1 to"},
    {"v0-zero-context", V0, SET32, 24, 0, "max_seq_len is 0, wanted 1 to"},
    {"v0-dim-2^31", V0, SET32, 0, 0x80000000, "dim is -2147483648, wanted 1 to"},
    {"v0-hidden-2^31-1", V0, SET32, 4, 0x7fffffff, "hidden_dim is 2147483647, wanted 1 to"},
    {"v0-layers-2^31-1", V0, SET32, 8, 0x7fffffff, "n_layers is 2147483647, wanted 1 to"},
    {"v0-heads-minus-1", V0, SET32, 12, 0xffffffff, "n_heads is -1, wanted 1 to"},
    {"v0-vocab-2^31", V0, SET32, 20, 0x80000000, "vocab_size is -2147483648, wanted 1 to"},
    {"v0-context-2^31-1", V0, SET32, 24, 0x7fffffff, "max_seq_len is 2147483647, wanted 1 to"},
    {"v0-product-overflows", V0, SET32, 20, 0x00100000, "token_embedding_table needs bytes 28 to 134217755"},
    {"v0-dim-not-divisible", V0, SET32, 12, 5, "dim is 32, which n_heads 5 does not divide"},
    {"v0-odd-heads", V0, SET32, 12, 32, "gives heads of 1 channels, wanted an even number"},
    {"v0-kv-heads-not-dividing", V0, SET32, 16, 3, "n_heads is 4, which n_kv_heads 3 does not divide"},
    {"v0-kv-heads-above", V0, SET32, 16, 8, "n_heads is 4, which n_kv_heads 8 does not divide"},
    {"v0-nan-norm", V0, SET32, 28 + 38400, NAN32, "rms_att_weight of layer 0: value 0 is nan"},
    {"v0-text", NOTHING, TEXT, 0, 0, "no GGUF or ak42 magic"},
    // llama2.c, version 1
    {"v1-cut", V1, CUT, -8, 0, "w3 of layer 1 needs bytes"},
    // llama2.c, version 2
    {"v2-cut-at-version", V2, CUT, 6, 0, "version needs bytes 4 to 7, the file has 6"},
    {"v2-cut-at-dim", V2, CUT, 8, 0, "dim needs bytes 8 to 11, the file has 8"},
    {"v2-cut-at-context", V2, CUT, 32, 0, "max_seq_len needs bytes 32 to 35, the file has 32"},
    {"v2-cut-at-shared", V2, CUT, 36, 0, "cut short in the header: it has 256 bytes, the file has 36"},
    {"v2-cut-at-group", V2, CUT, 37, 0, "it has 256 bytes, the file has 37"},
    {"v2-cut-in-padding", V2, CUT, 255, 0, "it has 256 bytes, the file has 255"},
    {"v2-header-only", V2, CUT, 256, 0, "rms_att_weight of layer 0 needs bytes 256 to 383, the file has 256"},
    {"v2-cut-in-quants", V2, CUT, V2_EMBED + 5, 0, "token_embedding_table needs bytes 896 to 10495"},
    {"v2-cut-in-scales", V2, CUT, V2_SCALE + 5, 0, "token_embedding_table needs bytes 10496 to 12895"},
    {"v2-cut-in-classifier", V2_OWN, CUT, -1, 0, "wcls needs bytes"},
    {"v2-version-3", V2, SET32, 4, 3, "llama2.c file of version 3, wanted 1 (fp32) or 2"},
    {"v2-version-minus-1", V2, SET32, 4, 0xffffffff, "llama2.c file of version -1"},
    {"v2-zero-heads", V2, SET32, 20, 0, "n_heads is 0, wanted 1 to"},
    {"v2-negative-vocab", V2, SET32, 28, 0xfffffed4, "vocab_size is -300, wanted 1 to"},
    {"v2-shared-7", V2, SET8, 36, 7, "shared_classifier is 7, wanted 0 or 1"},
    {"v2-shared-lies", V2, SET8, 36, 0, "wcls needs bytes"},
    {"v2-group-0", V2, SET32, 37, 0, "group_size is 0, wanted 1 to"},
    {"v2-group-minus-1", V2, SET32, 37, 0xffffffff, "group_size is -1, wanted 1 to"},
    {"v2-group-2^31-1", V2, SET32, 37, 0x7fffffff, "group_size is 2147483647, wanted 1 to"},
    {"v2-group-not-dividing", V2, SET32, 37, 12,
     "token_embedding_table has rows of 32 values, which groups of 12 do not divide"},
    {"v2-group-not-dividing-w2", V2, SET32, 12, 60, "w2 of layer 0 has rows of 60 values, which groups of 16 do not divide"},
    {"v2-nan-norm", V2, SET32, V2_NORM + 5 * 128 - 4, NAN32, "rms_final_weight: value 31 is nan"},
    {"v2-nan-embedding-scale", V2, SET32, V2_SCALE + 3 * 4, NAN32,
     "token_embedding_table: scale 1 of row 1 is nan, wanted a finite number"},
    {"v2-infinite-scale", V2, SET32, V2_WQ + 32 * 32, INF32, "wq of layer 0: scale 0 of row 0 is -inf"},
    {"v2-nan-last-scale", V2, SET32, -4, NAN32, "w3 of layer 1: scale 1 of row 63 is nan"},
};

bool bad_file(size_t i, struct synth *out, const char **name, enum bad_kind *kind, const char **message)
{
    if (i >= sizeof rows / sizeof *rows)
        return false;
    const struct row *r = &rows[i];
    *name = r->name;
    *kind = r->base == TOKENIZER ? BAD_TOKENIZER : BAD_MODEL;
    *message = r->message;
    base_file(out, r->base);
    size_t at = r->at < 0 ? out->n - (size_t)-r->at : (size_t)r->at;
    switch (r->act) {
    case CUT:
        out->n = at;
        break;
    case SET32:
        memcpy(out->bytes + at, &r->value, 4);
        break;
    case SET8:
        out->bytes[at] = (unsigned char)r->value;
        break;
    case TEXT:
        synth_put(out, "Once upon a time there was a file that was no model at all.\n", 60);
        break;
    }
    return true;
}
