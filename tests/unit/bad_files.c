// SPDX-License-Identifier: MIT
#include "bad_files.h"

#include "core/formats/open_model.h"
#include "core/quant/k_block.h"

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

enum base {
    V0,
    V0_OWN,
    V1,
    V2,
    V2_OWN,
    GGUF,
    GGUF_HALF,
    GGUF_BPE,
    GGUF_GROUPS,
    GGUF_SPLIT,
    GGUF_Q5_K,
    GGUF_Q6_K,
    TOKENIZER,
    NOTHING
};

// How each valid file is made: a llama2.c version, a GGUF variant or a vocabulary.
static const struct {
    enum { LLAMA2C, AS_GGUF, VOCABULARY, EMPTY } make;
    int version;
    bool own; // classifier
    struct synth_gguf gguf;
} bases[] = {
    [V0] = {LLAMA2C, .version = 0},
    [V0_OWN] = {LLAMA2C, .version = 0, .own = true},
    [V1] = {LLAMA2C, .version = 1},
    [V2] = {LLAMA2C, .version = 2},
    [V2_OWN] = {LLAMA2C, .version = 2, .own = true},
    [GGUF] = {AS_GGUF},
    [GGUF_HALF] = {AS_GGUF, .gguf.form = DT_FORM_F16},
    [GGUF_BPE] = {AS_GGUF, .gguf.bpe = true},
    [GGUF_GROUPS] = {AS_GGUF, .gguf.groups = true},
    [GGUF_SPLIT] = {AS_GGUF, .gguf.split_count = 2},
    [GGUF_Q5_K] = {AS_GGUF, .gguf.form = DT_FORM_Q5_K},
    [GGUF_Q6_K] = {AS_GGUF, .gguf.form = DT_FORM_Q6_K},
    [TOKENIZER] = {VOCABULARY},
    [NOTHING] = {EMPTY},
};

static void base_file(struct synth *out, enum base base, const char *skip, const char *twice)
{
    struct synth_shape s = shape;
    struct synth_gguf how = bases[base].gguf;
    s.shared = !bases[base].own;
    if (dt_k_has(how.form)) // rows of one block
        s.dim = s.hidden = DT_K_VALUES;
    how.skip = skip;
    how.twice = twice;
    switch (bases[base].make) {
    case LLAMA2C:
        synth_llama2c(out, &s, bases[base].version);
        break;
    case AS_GGUF:
        synth_gguf(out, &s, &how);
        break;
    case VOCABULARY:
        synth_tokenizer(out, BAD_FILE_VOCAB);
        break;
    case EMPTY:
        break;
    }
}

void bad_file_companion(struct synth *out)
{
    base_file(out, V0, NULL, NULL);
}

// A change to a valid file. `at` is an offset; negative, from the end of the file; with `find` (a
// key or the name of a tensor), from the end of that text, where a key's type and value, or a
// tensor's dimensions, type and offset follow.
enum act { CUT, SET32, SET64, SET8, TEXT, SKIP, TWICE };

struct row {
    const char *name;
    enum base base;
    enum act act;
    long at;
    uint64_t value;
    const char *message;
    const char *find;
};

#define NAN32 0x7fc00000u
#define INF32 0xff800000u
// Version 2: the norms of 2 layers, the final norm, then the quants of the embedding and its
// scales.
#define V2_NORM  256
#define V2_EMBED (V2_NORM + 5 * 32 * 4)
#define V2_SCALE (V2_EMBED + BAD_FILE_VOCAB * 32)
#define V2_WQ    (V2_SCALE + BAD_FILE_VOCAB * 2 * 4)

static const struct row rows[] = {
    // llama2.c, legacy
    {"v0-empty", V0, CUT, 0, 0, "too few for a model"},
    {"v0-3-bytes", V0, CUT, 3, 0, "the file has 3 bytes"},
    {"v0-cut-at-hidden", V0, CUT, 4, 0, "hidden_dim needs bytes 4 to 7, the file has 4"},
    {"v0-cut-at-layers", V0, CUT, 8, 0, "n_layers needs bytes 8 to 11, the file has 8"},
    {"v0-cut-at-heads", V0, CUT, 13, 0, "n_heads needs bytes 12 to 15, the file has 13"},
    {"v0-cut-at-kv-heads", V0, CUT, 16, 0, "n_kv_heads needs bytes 16 to 19, the file has 16"},
    {"v0-cut-at-vocab", V0, CUT, 20, 0, "vocab_size needs bytes 20 to 23, the file has 20"},
    {"v0-cut-at-context", V0, CUT, 24, 0, "max_seq_len needs bytes 24 to 27, the file has 24"},
    {"v0-header-only", V0, CUT, 28, 0,
     "token_embedding_table needs bytes 28 to 38427, the file has 28"},
    {"v0-cut-in-norm", V0, CUT, 28 + 38400 + 64, 0, "rms_att_weight of layer 0 needs bytes 38428"},
    {"v0-cut-in-weights", V0, CUT, 50000, 0,
     "wk of layer 1 needs bytes 48924 to 50971, the file has 50000"},
    {"v0-cut-in-rope", V0, CUT, -4, 0, "freq_cis_imag needs bytes"},
    {"v0-cut-in-classifier", V0_OWN, CUT, -1, 0, "wcls needs bytes"},
    {"v0-zero-dim", V0, SET32, 0, 0, "dim would be 0; 1 to"},
    {"v0-zero-hidden", V0, SET32, 4, 0, "hidden_dim would be 0; 1 to"},
    {"v0-zero-layers", V0, SET32, 8, 0, "n_layers would be 0; 1 to"},
    {"v0-zero-heads", V0, SET32, 12, 0, "n_heads would be 0; 1 to"},
    {"v0-zero-kv-heads", V0, SET32, 16, 0, "n_kv_heads would be 0; 1 to"},
    {"v0-zero-vocab", V0, SET32, 20, 0, "vocab_size would be 0; 1 to"},
    {"v0-zero-context", V0, SET32, 24, 0, "max_seq_len would be 0; 1 to"},
    {"v0-dim-2^31", V0, SET32, 0, 0x80000000, "dim would be -2147483648; 1 to"},
    {"v0-hidden-2^31-1", V0, SET32, 4, 0x7fffffff, "hidden_dim would be 2147483647; 1 to"},
    {"v0-layers-2^31-1", V0, SET32, 8, 0x7fffffff, "n_layers would be 2147483647; 1 to"},
    {"v0-heads-minus-1", V0, SET32, 12, 0xffffffff, "n_heads would be -1; 1 to"},
    {"v0-vocab-2^31", V0, SET32, 20, 0x80000000, "vocab_size would be -2147483648; 1 to"},
    {"v0-context-2^31-1", V0, SET32, 24, 0x7fffffff, "max_seq_len would be 2147483647; 1 to"},
    {"v0-product-overflows", V0, SET32, 20, 0x00100000,
     "token_embedding_table needs bytes 28 to 134217755"},
    {"v0-dim-not-divisible", V0, SET32, 12, 5, "dim is 32, not a multiple of n_heads 5"},
    {"v0-odd-heads", V0, SET32, 12, 32, "dim 32 / n_heads 32 = 1; expected an even number"},
    {"v0-kv-heads-not-dividing", V0, SET32, 16, 3, "n_heads is 4, not a multiple of n_kv_heads 3"},
    {"v0-kv-heads-above", V0, SET32, 16, 8, "n_heads is 4, not a multiple of n_kv_heads 8"},
    {"v0-nan-norm", V0, SET32, 28 + 38400, NAN32, "rms_att_weight of layer 0: value 0 is nan"},
    {"v0-text", NOTHING, TEXT, 0, 0, "not a model file: no GGUF or llama2.c header"},
    // llama2.c, version 1
    {"v1-cut", V1, CUT, -8, 0, "w3 of layer 1 needs bytes"},
    // llama2.c, version 2
    {"v2-cut-at-version", V2, CUT, 6, 0, "version needs bytes 4 to 7, the file has 6"},
    {"v2-cut-at-dim", V2, CUT, 8, 0, "dim needs bytes 8 to 11, the file has 8"},
    {"v2-cut-at-context", V2, CUT, 32, 0, "max_seq_len needs bytes 32 to 35, the file has 32"},
    {"v2-cut-at-shared", V2, CUT, 36, 0, "truncated header: 256 bytes are needed, the file has 36"},
    {"v2-cut-at-group", V2, CUT, 37, 0, "256 bytes are needed, the file has 37"},
    {"v2-cut-in-padding", V2, CUT, 255, 0, "256 bytes are needed, the file has 255"},
    {"v2-header-only", V2, CUT, 256, 0,
     "rms_att_weight of layer 0 needs bytes 256 to 383, the file has 256"},
    {"v2-cut-in-quants", V2, CUT, V2_EMBED + 5, 0,
     "token_embedding_table needs bytes 896 to 10495"},
    {"v2-cut-in-scales", V2, CUT, V2_SCALE + 5, 0,
     "token_embedding_table needs bytes 10496 to 12895"},
    {"v2-cut-in-classifier", V2_OWN, CUT, -1, 0, "wcls needs bytes"},
    {"v2-version-3", V2, SET32, 4, 3, "llama2.c version is 3; expected 1 (fp32) or 2"},
    {"v2-version-minus-1", V2, SET32, 4, 0xffffffff, "llama2.c version is -1"},
    {"v2-zero-heads", V2, SET32, 20, 0, "n_heads is 0; expected 1 to"},
    {"v2-negative-vocab", V2, SET32, 28, 0xfffffed4, "vocab_size is -300; expected 1 to"},
    {"v2-shared-7", V2, SET8, 36, 7, "shared_classifier is 7; expected 0 or 1"},
    {"v2-shared-lies", V2, SET8, 36, 0, "wcls needs bytes"},
    {"v2-group-0", V2, SET32, 37, 0, "group_size is 0; expected 1 to"},
    {"v2-group-minus-1", V2, SET32, 37, 0xffffffff, "group_size is -1; expected 1 to"},
    {"v2-group-2^31-1", V2, SET32, 37, 0x7fffffff, "group_size is 2147483647; expected 1 to"},
    {"v2-group-not-dividing", V2, SET32, 37, 12,
     "token_embedding_table has rows of 32 values, not a multiple of the group size 12"},
    {"v2-group-not-dividing-w2", V2, SET32, 12, 60,
     "w2 of layer 0 has rows of 60 values, not a multiple of the group size 16"},
    {"v2-nan-norm", V2, SET32, V2_NORM + 5 * 128 - 4, NAN32, "rms_final_weight: value 31 is nan"},
    {"v2-nan-embedding-scale", V2, SET32, V2_SCALE + 3 * 4, NAN32,
     "token_embedding_table: scale 1 of row 1 is nan; expected a finite number"},
    {"v2-infinite-scale", V2, SET32, V2_WQ + 32 * 32, INF32,
     "wq of layer 0: scale 0 of row 0 is -inf"},
    {"v2-nan-last-scale", V2, SET32, -4, NAN32, "w3 of layer 1: scale 1 of row 63 is nan"},
    // tokenizer.bin: the first piece is "<unk>" at 4, its length at 8, its text at 12
    {"tok-empty", TOKENIZER, CUT, 0, 0, "the file has 0 bytes"},
    {"tok-cut-at-longest", TOKENIZER, CUT, 3, 0, "the file has 3 bytes"},
    {"tok-longest-0", TOKENIZER, SET32, 0, 0, "longest piece is 0; expected 1 to"},
    {"tok-longest-2^31", TOKENIZER, SET32, 0, 1u << 31,
     "longest piece is 2147483648; expected 1 to"},
    {"tok-longest-understated", TOKENIZER, SET32, 0, 4, "piece 0: length is 5; expected 0 to 4"},
    {"tok-cut-in-pieces", TOKENIZER, CUT, 2404, 0, "piece "},
    {"tok-cut-in-text", TOKENIZER, CUT, -1, 0, "the file has"},
    {"tok-length-minus-1", TOKENIZER, SET32, 8, 0xffffffff, "piece 0: length is -1; expected 0 to"},
    {"tok-length-2^31-1", TOKENIZER, SET32, 8, 0x7fffffff,
     "piece 0: length is 2147483647; expected 0 to"},
    {"tok-length-lies", TOKENIZER, SET32, 8, 6, "piece "},
    {"tok-too-few-pieces", TOKENIZER, CUT, 200, 0,
     "the model has 300 pieces, but 200 bytes hold at most 24"},
    // GGUF: the container
    {"gguf-cut-at-version", GGUF, CUT, 4, 0, "the version needs 4 bytes at 4, the file has 4"},
    {"gguf-cut-at-tensors", GGUF, CUT, 8, 0, "the number of tensors needs 8 bytes at 8"},
    {"gguf-cut-at-keys", GGUF, CUT, 16, 0, "the number of keys needs 8 bytes at 16"},
    {"gguf-cut-in-key", GGUF, CUT, 26, 0, "a key needs 8 bytes at 24"},
    {"gguf-cut-in-value", GGUF, CUT, 24 + 8 + 20 + 2, 0, "the type of a value needs 4 bytes at 52"},
    {"gguf-cut-in-tokens", GGUF, CUT, 4000, 0, "a string of an array needs"},
    {"gguf-cut-in-infos", GGUF, CUT, 8300, 0, "truncated header"},
    {"gguf-cut-in-weights", GGUF, CUT, -1, 0, "truncated: blk.1.ffn_up.weight needs 8192 bytes at"},
    {"gguf-version-1", GGUF, SET32, 4, 1, "GGUF version 1; expected 2 or 3"},
    {"gguf-version-99", GGUF, SET32, 4, 99, "GGUF version 99; expected 2 or 3"},
    {"gguf-big-endian", GGUF, SET32, 4, 0x03000000, "big-endian GGUF"},
    {"gguf-no-tensors", GGUF, SET64, 8, 0, "the number of tensors is 0; expected 1 to"},
    {"gguf-tensors-2^63", GGUF, SET64, 8, 1ull << 63,
     "the number of tensors is 9223372036854775808; expected 1 to"},
    {"gguf-keys-2^32", GGUF, SET64, 16, 1ull << 32,
     "the number of keys is 4294967296; expected at most 512"},
    {"gguf-key-of-2^64", GGUF, SET64, 24, ~0ull, "a key needs 18446744073709551615 bytes"},
    {"gguf-empty-key", GGUF, SET64, 24, 0, "key 0 has 0 bytes; expected 1 to"},
    {"gguf-value-type-13", GGUF, SET32, 0, 13,
     "key general.name has a value of type 13; expected 0 to 12", "general.name"},
    {"gguf-text-of-2^63", GGUF, SET64, 4, 1ull << 63, "a string needs 9223372036854775808 bytes",
     "general.name"},
    {"gguf-array-of-arrays", GGUF, SET32, 4, 9, "key tokenizer.ggml.scores is an array of arrays",
     "tokenizer.ggml.scores"},
    {"gguf-array-too-long", GGUF, SET64, 8, 1ull << 61,
     "key tokenizer.ggml.scores claims 2305843009213693952 values", "tokenizer.ggml.scores"},
    {"gguf-texts-too-many", GGUF, SET64, 8, 1ull << 40,
     "key tokenizer.ggml.tokens claims 1099511627776 strings", "tokenizer.ggml.tokens"},
    {"gguf-alignment-0", GGUF, SET32, 4, 0, "general.alignment is 0; expected 8 to",
     "general.alignment"},
    {"gguf-alignment-24", GGUF, SET32, 4, 24, "general.alignment is 24; expected a power of two",
     "general.alignment"},
    {"gguf-dims-0", GGUF, SET32, 0, 0, "output_norm.weight has 0 dimensions; expected 1 to 4",
     "output_norm.weight"},
    {"gguf-dims-2^31", GGUF, SET32, 0, 1u << 31, "has 2147483648 dimensions; expected 1 to 4",
     "output_norm.weight"},
    // GGUF: hyperparameters
    {"gguf-no-architecture", GGUF, SKIP, 0, 0, "key general.architecture is missing",
     "general.architecture"},
    {"gguf-unknown-architecture", GGUF, SET8, 12, 'L',
     "architecture is Llama (unknown); expected one of llama, qwen2", "general.architecture"},
    {"gguf-no-context", GGUF, SKIP, 0, 0, "key llama.context_length is missing",
     "llama.context_length"},
    {"gguf-zero-dim", GGUF, SET32, 4, 0, "llama.embedding_length is 0; expected 1 to",
     "llama.embedding_length"},
    {"gguf-negative-layers", GGUF, SET64, 0, 0xffffffff00000005,
     "llama.block_count is negative; expected 1 to 1024", "llama.block_count"},
    {"gguf-layers-2^31", GGUF, SET32, 4, 1u << 31,
     "llama.block_count is 2147483648; expected 1 to 1024", "llama.block_count"},
    {"gguf-hidden-is-a-float", GGUF, SET32, 0, 6,
     "llama.feed_forward_length is not an integer; expected 1 to", "llama.feed_forward_length"},
    {"gguf-zero-heads", GGUF, SET32, 4, 0, "llama.attention.head_count is 0; expected 1 to",
     "llama.attention.head_count"},
    {"gguf-dim-not-divisible", GGUF, SET32, 4, 6,
     "embedding_length is 32, not a multiple of attention.head_count 6",
     "llama.attention.head_count"},
    {"gguf-kv-heads-not-dividing", GGUF, SET32, 4, 3,
     "attention.head_count is 4, not a multiple of attention.head_count_kv 3",
     "llama.attention.head_count_kv"},
    {"gguf-nan-epsilon", GGUF, SET32, 4, NAN32, "layer_norm_rms_epsilon is nan; expected 0 to 1",
     "llama.attention.layer_norm_rms_epsilon"},
    {"gguf-odd-rotation", GGUF, SET32, 4, 3, "rope.dimension_count is 3; expected an even number",
     "llama.rope.dimension_count"},
    {"gguf-rotation-too-wide", GGUF, SET32, 4, 10,
     "llama.rope.dimension_count is 10; expected 1 to 8", "llama.rope.dimension_count"},
    {"gguf-zero-rope-base", GGUF, SET32, 4, 0, "llama.rope.freq_base is 0; expected 1 to",
     "llama.rope.freq_base"},
    // GGUF: the vocabulary
    {"gguf-no-tokens", GGUF, SKIP, 0, 0, "key tokenizer.ggml.tokens is missing",
     "tokenizer.ggml.tokens"},
    {"gguf-no-scores", GGUF, SKIP, 0, 0, "key tokenizer.ggml.scores is missing",
     "tokenizer.ggml.scores"},
    {"gguf-unknown-tokenizer", GGUF, SET8, 12, 'x', "tokenizer.ggml.model is xlama",
     "tokenizer.ggml.model"},
    {"gguf-nan-score", GGUF, SET32, 16, NAN32, "tokenizer.ggml.scores: value 0 is nan",
     "tokenizer.ggml.scores"},
    {"gguf-bool-of-7", GGUF, SET8, 4, 7, "tokenizer.ggml.add_bos_token is not true or false",
     "tokenizer.ggml.add_bos_token"},
    {"gguf-no-merges", GGUF_BPE, SKIP, 0, 0, "key tokenizer.ggml.merges is missing",
     "tokenizer.ggml.merges"},
    {"gguf-unknown-pretokenizer", GGUF_BPE, SET8, 12, 'z',
     "tokenizer.ggml.pre is zwen2, a way to split text that duotale does not have",
     "tokenizer.ggml.pre"},
    // GGUF: tensors
    {"gguf-no-embedding", GGUF, SKIP, 0, 0, "tensor token_embd.weight is missing",
     "token_embd.weight"},
    {"gguf-no-norm", GGUF, SKIP, 0, 0, "tensor blk.1.ffn_norm.weight is missing",
     "blk.1.ffn_norm.weight"},
    {"gguf-tensor-twice", GGUF, TWICE, 0, 0, "blk.0.attn_q.weight appears twice",
     "blk.0.attn_q.weight"},
    {"gguf-layer-outside", GGUF, SET8, -15, '7',
     "blk.7.attn_q.weight belongs to layer 7, but block_count is 2", "blk.1.attn_q.weight"},
    {"gguf-unknown-tensor", GGUF, SET8, -8, 'z',
     "tensor blk.1.attn_z.weight is not part of a llama model", "blk.1.attn_q.weight"},
    {"gguf-wrong-shape", GGUF, SET64, 4, 40, "blk.0.attn_k.weight is 40 x 16; expected 32 x 16",
     "blk.0.attn_k.weight"},
    {"gguf-shape-overflows", GGUF, SET64, 12, 1ull << 62,
     "token_embd.weight is 32 x 4611686018427387904; expected 32 x 300", "token_embd.weight"},
    {"gguf-unknown-type", GGUF, SET32, 20, 16,
     "blk.0.attn_k.weight has type IQ2_XXS (16); expected F32", "blk.0.attn_k.weight"},
    {"gguf-type-2^31", GGUF, SET32, 20, 1u << 31, "has type unknown (2147483648)",
     "blk.0.attn_k.weight"},
    {"gguf-blocks-not-dividing", GGUF, SET32, 20, 12,
     "blk.0.attn_k.weight has rows of 32 values, not a multiple of the block size 256 (Q4_K)",
     "blk.0.attn_k.weight"},
    {"gguf-blocks-not-dividing-q5_k", GGUF, SET32, 20, 13,
     "blk.0.attn_k.weight has rows of 32 values, not a multiple of the block size 256 (Q5_K)",
     "blk.0.attn_k.weight"},
    {"gguf-blocks-not-dividing-q6_k", GGUF, SET32, 20, 14,
     "blk.0.attn_k.weight has rows of 32 values, not a multiple of the block size 256 (Q6_K)",
     "blk.0.attn_k.weight"},
    {"gguf-q5_k-cut", GGUF_Q5_K, CUT, -1, 0, "truncated: blk.1.ffn_up.weight needs 45056 bytes at",
     NULL},
    {"gguf-q6_k-cut", GGUF_Q6_K, CUT, -1, 0, "truncated: blk.1.ffn_up.weight needs 53760 bytes at",
     NULL},
    {"gguf-q6_k-wrong-shape", GGUF_Q6_K, SET64, 4, 512,
     "blk.0.attn_k.weight is 512 x 128; expected 256 x 128", "blk.0.attn_k.weight"},
    {"gguf-offset-outside", GGUF, SET64, 24, 1ull << 40,
     "blk.0.attn_k.weight has offset 1099511627776, the file has", "blk.0.attn_k.weight"},
    {"gguf-offset-unaligned", GGUF, SET64, 24, 33, "has offset 33; expected a multiple of 32",
     "blk.0.attn_k.weight"},
    {"gguf-nan-norm", GGUF, SET32, -1, NAN32, "output_norm.weight: value 0 is nan",
     "@output_norm.weight"},
    {"gguf-half-cut", GGUF_HALF, CUT, -1, 0, "truncated: blk.1.ffn_up.weight needs 4096 bytes at",
     NULL},
    {"gguf-scales-missing", GGUF_GROUPS, SET32, 20, 0,
     "blk.0.attn_q.weight_scales: scales, but the tensor has form f32", "blk.0.attn_q.weight"},
    {"gguf-scales-of-7", GGUF_GROUPS, SET64, 4, 7,
     "has 7 scales for each row, which do not divide its 32 values", "blk.0.attn_q.weight_scales"},
    {"gguf-part-of-two", GGUF_SPLIT, CUT, 1000000, 0, "split.count is 2, but 1 file is there",
     NULL},
    {"gguf-second-part-first", GGUF_SPLIT, SET64, 0, 0x100000004, "split.count is 2, but",
     "split.no"},
};

// Where the data of a vector begins whose description continues at `info`; the data of all tensors
// ends with the file.
static size_t norm_data(const struct synth *file, const unsigned char *info)
{
    uint64_t offset, last = 0;
    memcpy(&offset, info + 4 + 8 + 4, sizeof offset);
    const unsigned char *end = memmem(file->bytes, file->n, "blk.1.ffn_up.weight", 19);
    memcpy(&last, end + 19 + 4 + 16 + 4, sizeof last);
    return file->n - (64 * 32 * 4 + (size_t)last) + (size_t)offset;
}

bool bad_file(size_t i, struct synth *out, const char **name, enum bad_kind *kind,
              const char **message)
{
    if (i >= sizeof rows / sizeof *rows)
        return false;
    const struct row *r = &rows[i];
    *name = r->name;
    *kind = r->base == TOKENIZER ? BAD_TOKENIZER : BAD_MODEL;
    *message = r->message;
    base_file(out, r->base, r->act == SKIP ? r->find : NULL, r->act == TWICE ? r->find : NULL);
    size_t at = r->at < 0 ? out->n - (size_t)-r->at : (size_t)r->at;
    if (r->find && r->act != SKIP && r->act != TWICE) {
        // "@NAME" is the first byte of the tensor's data, found by its offset.
        const char *text = r->find + (r->find[0] == '@');
        unsigned char *found = memmem(out->bytes, out->n, text, strlen(text));
        at = (size_t)(found - out->bytes) + strlen(text) + (size_t)r->at;
        if (r->find[0] == '@')
            at = norm_data(out, found + strlen(text));
    }
    switch (r->act) {
    case CUT:
        out->n = at < out->n ? at : out->n;
        break;
    case SET32:
    case SET64:
        memcpy(out->bytes + at, &r->value, r->act == SET32 ? 4 : 8);
        break;
    case SET8:
        out->bytes[at] = (unsigned char)r->value;
        break;
    case TEXT:
        synth_put(out, "Once upon a time there was a file that was no model at all.\n", 60);
        break;
    case SKIP:
    case TWICE:
        break;
    }
    return true;
}
