// SPDX-License-Identifier: MIT
#include "core/formats/safetensors.h"

#include <string.h>

#include "base/format.h"
#include "core/formats/reader.h"

#define HEADER_MOST (64u << 20) // bytes

bool dt_safetensors_recognise(const unsigned char *bytes, size_t n)
{
    return n > 10 && bytes[8] == '{' && dt_read_u64(bytes) <= n - 8;
}

dt_status dt_safetensors_read(struct dt_safetensors *s, const unsigned char *bytes, size_t n,
                              const char *name, struct dt_error *err)
{
    *s = (struct dt_safetensors){.bytes = bytes, .n = n, .name = name};
    if (n < 8)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "the file has %zu bytes, too few for safetensors", n);
    uint64_t length = dt_read_u64(bytes);
    if (length > n - 8 || length > HEADER_MOST)
        return dt_error_set(
            err, DT_BAD_INPUT, name,
            "its header has %llu bytes, but the file has only %zu more, and at most %u are valid",
            (unsigned long long)length, n - 8, HEADER_MOST);
    dt_status status =
        dt_json_check((const char *)bytes + 8, (size_t)length, name, &s->header, err);
    if (status)
        return status;
    if (s->header.at[0] != '{')
        return dt_error_set(err, DT_BAD_INPUT, name, "its header is not a JSON object");
    s->data = 8 + (size_t)length;
    size_t count = dt_json_count(s->header);
    if (count > DT_SAFETENSORS_MAX)
        return dt_error_set(err, DT_BAD_INPUT, name, "it has %zu tensors; expected at most %u",
                            count, DT_SAFETENSORS_MAX);
    s->tensors = (uint32_t)(count - (dt_json_find(s->header, "__metadata__").n > 0));
    if (s->data % 4)
        return dt_error_set(err, DT_UNSUPPORTED, name,
                            "its tensors begin at byte %zu; expected a multiple of 4", s->data);
    return DT_OK;
}

static const struct {
    const char *name;
    uint32_t form, bytes;
} types[] = {
    {"F32", DT_FORM_F32, 4},
    {"F16", DT_FORM_F16, 2},
    {"BF16", DT_FORM_BF16, 2},
    {"F64", 0, 8},
    {"I64", 0, 8},
    {"I32", 0, 4},
    {"I16", 0, 2},
    {"I8", 0, 1},
    {"U8", 0, 1},
    {"BOOL", 0, 1},
    {"F8_E4M3", 0, 1},
    {"F8_E5M2", 0, 1},
};

static dt_status bad(const struct dt_safetensors *s, const struct dt_safetensor *t,
                     struct dt_error *err, const char *what)
{
    return dt_error_set(err, DT_BAD_INPUT, s->name, "tensor %.*s: %s",
                        t->name.n < 100 ? (int)t->name.n : 100, t->name.at, what);
}

static dt_status read_shape(const struct dt_safetensors *s, struct dt_json_value shape,
                            struct dt_safetensor *t, uint64_t *values, struct dt_error *err)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    *values = 1;
    for (int i = 0; i < 4; i++)
        t->size[i] = 1;
    if (!shape.n || shape.at[0] != '[')
        return bad(s, t, err, "its shape is not a list");
    while (dt_json_next(shape, &walk, &key, &item)) {
        if (t->dims == 4)
            return bad(s, t, err, "its shape has more than 4 dimensions");
        uint64_t size;
        if (!dt_json_uint_of(item, &size) || __builtin_mul_overflow(*values, size, values))
            return bad(s, t, err, "its shape is not a list of sizes, or is too large");
        t->size[t->dims++] = size;
    }
    return DT_OK;
}

dt_status dt_safetensors_next(const struct dt_safetensors *s, struct dt_json_walk *walk,
                              struct dt_safetensor *out, bool *more, struct dt_error *err)
{
    struct dt_json_value item, type, begin, end;
    struct dt_json_walk pair = {0};
    uint64_t values, bytes;
    memset(out, 0, sizeof *out);
    do {
        if (!(*more = dt_json_next(s->header, walk, &out->name, &item)))
            return DT_OK;
    } while (dt_json_is(out->name, "\"__metadata__\""));

    type = dt_json_find(item, "dtype");
    dt_format(out->type, sizeof out->type, "%.*s", type.n > 2 ? (int)type.n - 2 : 0,
              type.n > 2 ? type.at + 1 : "");
    uint32_t width = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(out->type, types[i].name) == 0) {
            out->form = types[i].form;
            width = types[i].bytes;
        }
    if (!width)
        return bad(s, out, err, "its dtype is unknown");
    dt_status status = read_shape(s, dt_json_find(item, "shape"), out, &values, err);
    if (status)
        return status;
    struct dt_json_value offsets = dt_json_find(item, "data_offsets"), key;
    if (!dt_json_next(offsets, &pair, &key, &begin) || !dt_json_next(offsets, &pair, &key, &end) ||
        !dt_json_uint_of(begin, &out->begin) || !dt_json_uint_of(end, &out->end) ||
        dt_json_count(offsets) != 2)
        return bad(s, out, err, "its data_offsets are not a pair of numbers");
    if (out->begin > out->end || out->end > s->n - s->data)
        return dt_error_set(
            err, DT_BAD_INPUT, s->name,
            "tensor %.*s: its data_offsets are %llu to %llu, the file has %zu bytes of data",
            out->name.n < 100 ? (int)out->name.n : 100, out->name.at,
            (unsigned long long)out->begin, (unsigned long long)out->end, s->n - s->data);
    if (__builtin_mul_overflow(values, width, &bytes) || bytes != out->end - out->begin)
        return dt_error_set(err, DT_BAD_INPUT, s->name,
                            "tensor %.*s: its shape needs %llu values of %u bytes, but its "
                            "data_offsets hold %llu bytes",
                            out->name.n < 100 ? (int)out->name.n : 100, out->name.at,
                            (unsigned long long)values, width,
                            (unsigned long long)(out->end - out->begin));
    if (out->begin % (width < 4 ? width : 4))
        return dt_error_set(
            err, DT_UNSUPPORTED, s->name,
            "tensor %.*s begins at byte %llu of the data; expected a multiple of %u",
            out->name.n < 100 ? (int)out->name.n : 100, out->name.at,
            (unsigned long long)out->begin, width);
    out->data = s->bytes + s->data + out->begin;
    return DT_OK;
}
