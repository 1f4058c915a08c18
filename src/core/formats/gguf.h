// SPDX-License-Identifier: MIT
// The GGUF container: its numbers, and its keys as they lie in the file. What a llama makes of them
// is in gguf_model.c.
//
// Beside what everybody writes, duotale knows and writes:
//  - I8 tensors of two dimensions with a second tensor of the same name and "_scales" after it
//    (F32, a row's groups by rows): llama2.c's int8 groups, kept exactly ("blk.0.attn_q.weight" and
//    "blk.0.attn_q.weight_scales");
//  - matrices packed for one backend: key duotale.packed.layout (string) names the layout, the
//    tensors are I8 of one dimension, their rows and columns those that the tensor always has;
//    duotale.packed.group (u32) is the group of their scales;
//  - duotale.rope_tables, the tensor of a legacy llama2.c file's tables, so that shards of it can
//    be put together again;
//  - hints: general.sampling.temp, top_k, top_p, min_p, penalty_repeat as others write them, and
//    duotale.opening (string), duotale.length (u32), duotale.chat (bool).
#ifndef DT_CORE_GGUF_H
#define DT_CORE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum dt_gguf_type { // of values
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

enum { DT_GGUF_TENSOR_I8 = 24 }; // a tensor type that is no weight form of ours by itself

#define DT_GGUF_MAX_KEYS    512u
#define DT_GGUF_MAX_KEY     256u // bytes of a key
#define DT_GGUF_MAX_TENSORS 16384u
#define DT_GGUF_MAX_NAME    128u // bytes of a tensor's name
#define DT_GGUF_ALIGNMENT   32u  // where the file says nothing

struct dt_gguf_value {
    const unsigned char *key;
    uint32_t key_length;
    uint32_t type;             // enum dt_gguf_type
    uint32_t item;             // ARRAY: the type of its items
    uint64_t count;            // ARRAY: items; STRING: bytes; else 1
    const unsigned char *data; // the number, the text, or the first item
    size_t bytes;              // at data
};

// A file's header. The struct is large (24 KB): one at a time on a stack.
struct dt_gguf {
    const unsigned char *bytes;
    size_t n;
    const char *name; // for messages
    uint32_t version;
    uint32_t tensors;
    uint32_t alignment;
    uint32_t keys;
    size_t infos; // where the tensors' descriptions begin
    size_t data;  // where their data begins
    struct dt_gguf_value key[DT_GGUF_MAX_KEYS];
};

struct dt_gguf_tensor {
    const char *name; // in the file, not terminated
    uint32_t name_length;
    uint32_t type;
    uint32_t dims;    // 1 .. 4
    uint64_t size[4]; // size[0] is the length of a row; those past dims are 1
    uint64_t offset;  // from the start of the data
};

// Reads the header: keys, and how far the tensors' descriptions go. DT_BAD_INPUT names what was
// found and wanted.
dt_status dt_gguf_read(struct dt_gguf *out, const unsigned char *bytes, size_t n, const char *name,
                       struct dt_error *err);

// The next description of a tensor; *at begins as out->infos and is moved on.
dt_status dt_gguf_tensor(const struct dt_gguf *g, size_t *at, struct dt_gguf_tensor *out,
                         struct dt_error *err);

// NULL if the key is not there.
const struct dt_gguf_value *dt_gguf_find(const struct dt_gguf *g, const char *key);

// These leave *out as it is when the key is absent, and refuse another type or range: DT_BAD_INPUT.
dt_status dt_gguf_uint(const struct dt_gguf *g, const char *key, uint64_t least, uint64_t most,
                       uint32_t *out, struct dt_error *err);
dt_status dt_gguf_float(const struct dt_gguf *g, const char *key, double least, double most,
                        float *out, struct dt_error *err);
dt_status dt_gguf_bool(const struct dt_gguf *g, const char *key, bool *out, struct dt_error *err);
dt_status dt_gguf_text(const struct dt_gguf *g, const char *key, const char **out, size_t *length,
                       struct dt_error *err);

// What a llama's tensors are called in GGUF (core/slots.h).
struct dt_slot_names;
extern const struct dt_slot_names dt_gguf_names;

// The form of a tensor type, DT_FORM_NONE if it is none of ours; and its name ("IQ2_XXS"),
// "unknown" if nobody's.
uint32_t dt_gguf_form(uint32_t type);
const char *dt_gguf_type_name(uint32_t type);
// The tensor type of a form; UINT32_MAX where there is none.
uint32_t dt_gguf_type_of_form(uint32_t form);

#endif
