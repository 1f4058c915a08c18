// SPDX-License-Identifier: MIT
// The safetensors container: eight bytes of length, a JSON header of that length, then the tensors'
// bytes.
#ifndef DT_CORE_SAFETENSORS_H
#define DT_CORE_SAFETENSORS_H

#include "core/formats/json_read.h"

#define DT_SAFETENSORS_MAX 65536u // tensors a file

struct dt_safetensors {
    const unsigned char *bytes;
    size_t n;
    const char *name; // for messages
    struct dt_json_value header;
    size_t data; // where the tensors' bytes begin
    uint32_t tensors;
};

struct dt_safetensor {
    struct dt_json_value name; // a JSON string
    uint32_t form;             // enum dt_form; DT_FORM_NONE: a type that is none of ours
    char type[16];             // as the file has it, cut
    uint32_t dims;             // at most 4
    uint64_t size[4];          // those past dims are 1
    const unsigned char *data;
    uint64_t begin, end; // within the data
};

// True if the bytes begin as a safetensors file does.
bool dt_safetensors_recognise(const unsigned char *bytes, size_t n);

// Reads the header. DT_BAD_INPUT names what was found and wanted.
dt_status dt_safetensors_read(struct dt_safetensors *out, const unsigned char *bytes, size_t n,
                              const char *name, struct dt_error *err);

// The next tensor (walk begins with {0}); *more is false at the end. Type, shape and offsets are
// checked to belong together and to lie inside the file; that no two tensors overlap is for the
// caller to see, who has the memory for it.
dt_status dt_safetensors_next(const struct dt_safetensors *s, struct dt_json_walk *walk,
                              struct dt_safetensor *out, bool *more, struct dt_error *err);

#endif
