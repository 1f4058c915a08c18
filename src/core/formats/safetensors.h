// SPDX-License-Identifier: MIT
// The safetensors container: 8 bytes with the length of a JSON header, the header, and the data of
// the tensors.
#ifndef DT_CORE_SAFETENSORS_H
#define DT_CORE_SAFETENSORS_H

#include "core/formats/json_read.h"

#define DT_SAFETENSORS_MAX 65536u // tensors in a file

struct dt_safetensors {
    const unsigned char *bytes;
    size_t n;
    const char *name; // for messages
    struct dt_json_value header;
    size_t data; // offset of the tensors' data
    uint32_t tensors;
};

struct dt_safetensor {
    struct dt_json_value name; // a JSON string
    uint32_t form;             // enum dt_form; DT_FORM_NONE: not supported
    char type[16];             // as in the file, truncated
    uint32_t dims;             // at most 4
    uint64_t size[4];          // those past dims are 1
    const unsigned char *data;
    uint64_t begin, end; // within the data
};

// Whether the bytes begin like a safetensors file.
bool dt_safetensors_recognise(const unsigned char *bytes, size_t n);

// Reads the header. bytes outlive *out; name is for messages. DT_BAD_INPUT: the header is invalid.
dt_status dt_safetensors_read(struct dt_safetensors *out, const unsigned char *bytes, size_t n,
                              const char *name, struct dt_error *err);

// Reads the next tensor; *walk starts as {0}, *more is false at the end. Checks that type, shape
// and offsets agree and lie inside the file. The caller must check that tensors do not overlap,
// which needs memory.
dt_status dt_safetensors_next(const struct dt_safetensors *s, struct dt_json_walk *walk,
                              struct dt_safetensor *out, bool *more, struct dt_error *err);

#endif
