// SPDX-License-Identifier: MIT
// The GGUF container: header, keys and tensor descriptions. gguf_model.c makes a model of them.
//
// duotale also reads and writes these extensions:
//  - llama2.c's int8 groups, exactly: an I8 tensor of two dimensions ("blk.0.attn_q.weight") and a
//    second tensor with "_scales" after the name (F32, for each row its groups);
//  - matrices packed for one backend: I8 tensors of one dimension, whose rows and columns follow
//    from the hyperparameters. Key duotale.packed.layout (string) names the layout,
//    duotale.packed.group (u32) the group of the scales, unless a header of the layout has it.
//    duotale.packed.tied (bool): the packed output.weight is a copy of token_embd.weight;
//  - duotale.tokenizer.lstrip, .rstrip, .single_word (lists of ids): how added tokens are found in
//    a text; .ignore_merges, .nfc (bool): what the name of the splitting rule does not say;
//  - duotale.rope_tables: the RoPE tables of a legacy llama2.c file, so that its shards can be
//    joined again;
//  - hints: general.sampling.temp, top_k, top_p, min_p, penalty_repeat (as in other programs), and
//    duotale.opening (string), duotale.length (u32), duotale.chat (bool).
#ifndef DT_CORE_GGUF_H
#define DT_CORE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Types of values.
enum dt_gguf_type {
    DT_GGUF_U8 = 0,
    DT_GGUF_I8 = 1,
    DT_GGUF_U16 = 2,
    DT_GGUF_I16 = 3,
    DT_GGUF_U32 = 4,
    DT_GGUF_I32 = 5,
    DT_GGUF_F32 = 6,
    DT_GGUF_BOOL = 7,
    DT_GGUF_STRING = 8,
    DT_GGUF_ARRAY = 9,
    DT_GGUF_U64 = 10,
    DT_GGUF_I64 = 11,
    DT_GGUF_F64 = 12,
};

enum {
    DT_GGUF_TENSOR_I8 = 24
}; // a tensor type that is a weight form only together with its scales

#define DT_GGUF_MAX_KEYS    512u
#define DT_GGUF_MAX_KEY     256u // bytes of a key
#define DT_GGUF_MAX_TENSORS 16384u
#define DT_GGUF_MAX_NAME    128u // bytes of a tensor's name
#define DT_GGUF_ALIGNMENT   32u  // unless the file sets another

struct dt_gguf_value {
    const unsigned char *key;
    uint32_t key_length;
    uint32_t type;             // enum dt_gguf_type
    uint32_t item;             // ARRAY: the type of its items
    uint64_t count;            // ARRAY: items; STRING: bytes; others: 1
    const unsigned char *data; // the number, the string, or the first item
    size_t bytes;              // at data
};

// A file's header. Large (24 KB): have one at a time on a call stack. Points into the file's bytes.
struct dt_gguf {
    const unsigned char *bytes;
    size_t n;
    const char *name; // for messages
    uint32_t version;
    uint32_t tensors;
    uint32_t alignment;
    uint32_t keys;
    size_t infos; // offset of the tensor descriptions
    size_t data;  // offset of the tensors' data
    struct dt_gguf_value key[DT_GGUF_MAX_KEYS];
};

struct dt_gguf_tensor {
    const char *name; // in the file, not terminated
    uint32_t name_length;
    uint32_t type;
    uint32_t dims;    // 1 .. 4
    uint64_t size[4]; // size[0] is the length of a row; those past dims are 1
    uint64_t offset;  // from dt_gguf.data
};

// Reads the header: keys and the extent of the tensor descriptions. bytes outlive *out; name is for
// messages. DT_BAD_INPUT, or DT_UNSUPPORTED for another version or byte order. Pure.
dt_status dt_gguf_read(struct dt_gguf *out, const unsigned char *bytes, size_t n, const char *name,
                       struct dt_error *err);

// Reads the next tensor description. *at starts as g->infos and advances.
dt_status dt_gguf_tensor(const struct dt_gguf *g, size_t *at, struct dt_gguf_tensor *out,
                         struct dt_error *err);

// The value of a key, or NULL.
const struct dt_gguf_value *dt_gguf_find(const struct dt_gguf *g, const char *key);

// Read a key. If it is absent, *out is left alone; another type or range is DT_BAD_INPUT.
dt_status dt_gguf_uint(const struct dt_gguf *g, const char *key, uint64_t least, uint64_t most,
                       uint32_t *out, struct dt_error *err);
dt_status dt_gguf_float(const struct dt_gguf *g, const char *key, double least, double most,
                        float *out, struct dt_error *err);
dt_status dt_gguf_bool(const struct dt_gguf *g, const char *key, bool *out, struct dt_error *err);
dt_status dt_gguf_text(const struct dt_gguf *g, const char *key, const char **out, size_t *length,
                       struct dt_error *err);

// The names of a llama's tensors in GGUF (core/slots.h).
struct dt_slot_names;
extern const struct dt_slot_names dt_gguf_names;

// The form of a tensor type, or DT_FORM_NONE if it is not supported; and its name ("IQ2_XXS"), or
// "unknown". Static.
uint32_t dt_gguf_form(uint32_t type);
const char *dt_gguf_type_name(uint32_t type);
// The tensor type of a form, or UINT32_MAX.
uint32_t dt_gguf_type_of_form(uint32_t form);

#endif
