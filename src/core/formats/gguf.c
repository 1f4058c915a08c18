// SPDX-License-Identifier: MIT
// The GGUF container, versions 2 and 3, little-endian. Source: docs/gguf.md of ggml.
#include "core/formats/gguf.h"

#include <math.h>

#include "core/formats/reader.h"

// A position in a header. After the first error nothing advances.
struct cursor {
    const struct dt_gguf *g;
    struct dt_error *err;
    size_t at;
    dt_status status;
};

// The next count bytes; NULL and an error if the file is shorter. what: names them in the message.
static const unsigned char *next_bytes(struct cursor *c, uint64_t count, const char *what)
{
    if (c->status)
        return NULL;
    if (count > c->g->n - c->at) {
        c->status = dt_error_set(c->err, DT_BAD_INPUT, c->g->name,
                                 "truncated header: %s needs %llu bytes at %zu, the file has %zu",
                                 what, (unsigned long long)count, c->at, c->g->n);
        return NULL;
    }
    const unsigned char *p = c->g->bytes + c->at;
    c->at += (size_t)count;
    return p;
}

static uint32_t next_u32(struct cursor *c, const char *what)
{
    const unsigned char *p = next_bytes(c, 4, what);
    return p ? dt_read_u32(p) : 0;
}

static uint64_t next_u64(struct cursor *c, const char *what)
{
    const unsigned char *p = next_bytes(c, 8, what);
    return p ? dt_read_u64(p) : 0;
}

static const unsigned char *next_string(struct cursor *c, uint64_t *length, const char *what)
{
    *length = next_u64(c, what);
    return next_bytes(c, *length, what);
}

static const unsigned char value_bytes[] = {
    [DT_GGUF_U8] = 1,  [DT_GGUF_I8] = 1,  [DT_GGUF_U16] = 2, [DT_GGUF_I16] = 2,
    [DT_GGUF_U32] = 4, [DT_GGUF_I32] = 4, [DT_GGUF_F32] = 4, [DT_GGUF_BOOL] = 1,
    [DT_GGUF_U64] = 8, [DT_GGUF_I64] = 8, [DT_GGUF_F64] = 8,
};

static uint32_t bytes_of_type(uint32_t type)
{
    return type < sizeof value_bytes ? value_bytes[type] : 0;
}

static dt_status bad_type(struct cursor *c, const struct dt_gguf_value *v, uint32_t type)
{
    if (c->status)
        return c->status;
    c->status = dt_error_set(c->err, DT_BAD_INPUT, c->g->name,
                             "key %.*s has a value of type %u; expected 0 to 12",
                             (int)v->key_length, (const char *)v->key, type);
    return c->status;
}

static void next_array(struct cursor *c, struct dt_gguf_value *v)
{
    v->item = next_u32(c, "the type of an array");
    v->count = next_u64(c, "the length of an array");
    v->data = c->g->bytes + c->at;
    if (c->status)
        return;
    if (v->item == DT_GGUF_ARRAY) {
        c->status =
            dt_error_set(c->err, DT_UNSUPPORTED, c->g->name, "key %.*s is an array of arrays",
                         (int)v->key_length, (const char *)v->key);
    } else if (v->item == DT_GGUF_STRING) {
        // A string needs at least 8 bytes, so a false count stops at the end of the file.
        size_t begin = c->at;
        if (v->count > (c->g->n - c->at) / 8) {
            c->status = dt_error_set(c->err, DT_BAD_INPUT, c->g->name,
                                     "key %.*s claims %llu strings, more than fit in the file",
                                     (int)v->key_length, (const char *)v->key,
                                     (unsigned long long)v->count);
            return;
        }
        uint64_t i = 0, length;
        size_t at = begin, n = c->g->n;
        for (; i < v->count && n - at >= 8; i++) {
            length = dt_read_u64(c->g->bytes + at);
            if (length > n - at - 8)
                break;
            at += 8 + (size_t)length;
        }
        c->at = at;
        if (i < v->count) // the file ends here
            next_string(c, &length, "a string of an array");
        v->bytes = c->at - begin;
    } else if (!bytes_of_type(v->item)) {
        bad_type(c, v, v->item);
    } else if (v->count > (c->g->n - c->at) / bytes_of_type(v->item)) {
        c->status =
            dt_error_set(c->err, DT_BAD_INPUT, c->g->name,
                         "key %.*s claims %llu values, more than fit in the file",
                         (int)v->key_length, (const char *)v->key, (unsigned long long)v->count);
    } else {
        v->bytes = (size_t)v->count * bytes_of_type(v->item);
        next_bytes(c, v->bytes, "an array");
    }
}

static void next_value(struct cursor *c, struct dt_gguf_value *v)
{
    v->type = next_u32(c, "the type of a value");
    v->count = 1;
    if (v->type == DT_GGUF_ARRAY) {
        next_array(c, v);
    } else if (v->type == DT_GGUF_STRING) {
        v->data = next_string(c, &v->count, "a string");
        v->bytes = (size_t)v->count;
    } else if (!bytes_of_type(v->type)) {
        bad_type(c, v, v->type);
    } else {
        v->bytes = bytes_of_type(v->type);
        v->data = next_bytes(c, v->bytes, "a value");
    }
}

static bool same_key(const struct dt_gguf_value *v, const char *key, size_t length)
{
    return v->key_length == length && memcmp(v->key, key, length) == 0;
}

const struct dt_gguf_value *dt_gguf_find(const struct dt_gguf *g, const char *key)
{
    size_t length = strlen(key);
    for (uint32_t i = 0; i < g->keys; i++)
        if (same_key(&g->key[i], key, length))
            return &g->key[i];
    return NULL;
}

static void next_keys(struct cursor *c, struct dt_gguf *g, uint64_t count)
{
    for (uint64_t i = 0; i < count && !c->status; i++) {
        struct dt_gguf_value v = {0};
        uint64_t length;
        v.key = next_string(c, &length, "a key");
        if (c->status)
            return;
        if (!length || length > DT_GGUF_MAX_KEY) {
            c->status = dt_error_set(
                c->err, DT_BAD_INPUT, g->name, "key %llu has %llu bytes; expected 1 to %u",
                (unsigned long long)i, (unsigned long long)length, DT_GGUF_MAX_KEY);
            return;
        }
        v.key_length = (uint32_t)length;
        for (uint32_t k = 0; k < g->keys; k++)
            if (same_key(&g->key[k], (const char *)v.key, v.key_length)) {
                c->status = dt_error_set(c->err, DT_BAD_INPUT, g->name, "key %.*s appears twice",
                                         (int)v.key_length, (const char *)v.key);
                return;
            }
        next_value(c, &v);
        if (!c->status)
            g->key[g->keys++] = v;
    }
}

dt_status dt_gguf_tensor(const struct dt_gguf *g, size_t *at, struct dt_gguf_tensor *out,
                         struct dt_error *err)
{
    struct cursor c = {.g = g, .err = err, .at = *at};
    uint64_t length;
    out->name = (const char *)next_string(&c, &length, "a tensor's name");
    if (!c.status && (!length || length > DT_GGUF_MAX_NAME))
        return dt_error_set(err, DT_BAD_INPUT, g->name,
                            "a tensor's name has %llu bytes; expected 1 to %u",
                            (unsigned long long)length, DT_GGUF_MAX_NAME);
    out->name_length = (uint32_t)length;
    out->dims = next_u32(&c, "a tensor's dimensions");
    if (!c.status && (out->dims < 1 || out->dims > 4))
        return dt_error_set(err, DT_BAD_INPUT, g->name, "%.*s has %u dimensions; expected 1 to 4",
                            (int)length, out->name, out->dims);
    for (uint32_t d = 0; d < 4; d++)
        out->size[d] = !c.status && d < out->dims ? next_u64(&c, "a tensor's dimensions") : 1;
    out->type = next_u32(&c, "a tensor's type");
    out->offset = next_u64(&c, "a tensor's offset");
    *at = c.at;
    return c.status;
}

dt_status dt_gguf_read(struct dt_gguf *g, const unsigned char *bytes, size_t n, const char *name,
                       struct dt_error *err)
{
    g->bytes = bytes;
    g->n = n;
    g->name = name;
    g->keys = g->tensors = 0;
    g->infos = 0;
    g->alignment = DT_GGUF_ALIGNMENT;
    struct cursor c = {.g = g, .err = err};
    const unsigned char *magic = next_bytes(&c, 4, "the magic");
    if (magic && memcmp(magic, "GGUF", 4) != 0)
        return dt_error_set(err, DT_BAD_INPUT, name, "the file does not begin with \"GGUF\"");
    g->version = next_u32(&c, "the version");
    if (!c.status && g->version != 2 && g->version != 3) {
        if (g->version && !(g->version & 0xffff))
            return dt_error_set(err, DT_UNSUPPORTED, name,
                                "big-endian GGUF (version field %u); expected a little-endian file",
                                g->version);
        return dt_error_set(err, DT_UNSUPPORTED, name, "GGUF version %u; expected 2 or 3",
                            g->version);
    }
    uint64_t tensors = next_u64(&c, "the number of tensors");
    uint64_t keys = next_u64(&c, "the number of keys");
    if (c.status)
        return c.status;
    if (!tensors || tensors > DT_GGUF_MAX_TENSORS)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "the number of tensors is %llu; expected 1 to %u",
                            (unsigned long long)tensors, DT_GGUF_MAX_TENSORS);
    if (keys > DT_GGUF_MAX_KEYS)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "the number of keys is %llu; expected at most %u",
                            (unsigned long long)keys, DT_GGUF_MAX_KEYS);
    g->tensors = (uint32_t)tensors;
    next_keys(&c, g, keys);
    if (c.status)
        return c.status;
    g->infos = c.at;

    dt_status status = dt_gguf_uint(g, "general.alignment", 8, 65536, &g->alignment, err);
    if (!status && g->alignment & (g->alignment - 1))
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "general.alignment is %u; expected a power of two", g->alignment);
    size_t at = g->infos;
    for (uint32_t i = 0; i < g->tensors && !status; i++) {
        struct dt_gguf_tensor t;
        status = dt_gguf_tensor(g, &at, &t, err);
    }
    if (status)
        return status;
    g->data = (at + g->alignment - 1) & ~(size_t)(g->alignment - 1);
    if (g->data > n) // only the padding is missing; no tensor fits there
        g->data = n;
    return DT_OK;
}

// Reads an integer of any width; false if the value has another type or is negative.
static bool integer(const struct dt_gguf_value *v, uint64_t *out)
{
    int64_t value = 0;
    switch (v->type) {
    case DT_GGUF_U8:
        value = v->data[0];
        break;
    case DT_GGUF_I8:
        value = (int8_t)v->data[0];
        break;
    case DT_GGUF_U16:
        value = v->data[0] | v->data[1] << 8;
        break;
    case DT_GGUF_I16:
        value = (int16_t)(v->data[0] | v->data[1] << 8);
        break;
    case DT_GGUF_U32:
        value = dt_read_u32(v->data);
        break;
    case DT_GGUF_I32:
        value = (int32_t)dt_read_u32(v->data);
        break;
    case DT_GGUF_U64:
    case DT_GGUF_I64:
        value = (int64_t)dt_read_u64(v->data); // 2^63 and more becomes negative: refused
        break;
    default:
        return false;
    }
    *out = (uint64_t)value;
    return value >= 0;
}

// Whether an array of numbers has the same value everywhere; *out is that value.
static bool uniform(const struct dt_gguf_value *v, struct dt_gguf_value *out)
{
    size_t size = v->type == DT_GGUF_ARRAY ? bytes_of_type(v->item) : 0;
    if (!size || !v->count)
        return false;
    for (uint64_t i = 1; i < v->count; i++)
        if (memcmp(v->data, v->data + i * size, size) != 0)
            return false;
    *out = *v;
    out->type = v->item;
    out->count = 1;
    out->bytes = size;
    return true;
}

dt_status dt_gguf_uint(const struct dt_gguf *g, const char *key, uint64_t least, uint64_t most,
                       uint32_t *out, struct dt_error *err)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    uint64_t value;
    struct dt_gguf_value first;
    if (!v)
        return DT_OK;
    if (uniform(v, &first)) // one value a layer, all the same
        v = &first;
    if (!integer(v, &value)) {
        bool negative = v->type != DT_GGUF_ARRAY && bytes_of_type(v->type) &&
                        v->type != DT_GGUF_F32 && v->type != DT_GGUF_F64 && v->type != DT_GGUF_BOOL;
        return dt_error_set(err, DT_BAD_INPUT, g->name, "%s is %s; expected %llu to %llu", key,
                            negative                   ? "negative"
                            : v->type == DT_GGUF_ARRAY ? "an array"
                                                       : "not an integer",
                            (unsigned long long)least, (unsigned long long)most);
    }
    if (value < least || value > most)
        return dt_error_set(err, DT_BAD_INPUT, g->name, "%s is %llu; expected %llu to %llu", key,
                            (unsigned long long)value, (unsigned long long)least,
                            (unsigned long long)most);
    *out = (uint32_t)value;
    return DT_OK;
}

dt_status dt_gguf_float(const struct dt_gguf *g, const char *key, double least, double most,
                        float *out, struct dt_error *err)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    double value;
    uint64_t whole;
    struct dt_gguf_value first;
    if (!v)
        return DT_OK;
    if (uniform(v, &first))
        v = &first;
    if (v->type == DT_GGUF_F32)
        value = (double)dt_read_f32(v->data);
    else if (v->type == DT_GGUF_F64)
        memcpy(&value, v->data, sizeof value);
    else if (integer(v, &whole))
        value = (double)whole;
    else
        return dt_error_set(err, DT_BAD_INPUT, g->name, "%s is not a number", key);
    if (!(value >= least && value <= most)) // NaN too
        return dt_error_set(err, DT_BAD_INPUT, g->name, "%s is %g; expected %g to %g", key, value,
                            least, most);
    *out = (float)value;
    return DT_OK;
}

dt_status dt_gguf_bool(const struct dt_gguf *g, const char *key, bool *out, struct dt_error *err)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    if (!v)
        return DT_OK;
    uint64_t value = v->type == DT_GGUF_BOOL ? v->data[0] : 2;
    if ((v->type != DT_GGUF_BOOL && !integer(v, &value)) || value > 1)
        return dt_error_set(err, DT_BAD_INPUT, g->name, "%s is not true or false", key);
    *out = value == 1;
    return DT_OK;
}

dt_status dt_gguf_text(const struct dt_gguf *g, const char *key, const char **out, size_t *length,
                       struct dt_error *err)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    if (!v)
        return DT_OK;
    if (v->type != DT_GGUF_STRING)
        return dt_error_set(err, DT_BAD_INPUT, g->name, "%s is not a string", key);
    *out = (const char *)v->data;
    *length = v->bytes;
    return DT_OK;
}

static const struct {
    const char *name;
    uint32_t form;
} tensor_types[] = {
    [0] = {"F32", DT_FORM_F32},
    [1] = {"F16", DT_FORM_F16},
    [2] = {"Q4_0", DT_FORM_Q4_0},
    [3] = {"Q4_1", DT_FORM_Q4_1},
    [6] = {"Q5_0", DT_FORM_Q5_0},
    [7] = {"Q5_1", DT_FORM_Q5_1},
    [8] = {"Q8_0", DT_FORM_Q8_0},
    [9] = {"Q8_1", 0},
    [10] = {"Q2_K", DT_FORM_Q2_K},
    [11] = {"Q3_K", DT_FORM_Q3_K},
    [12] = {"Q4_K", DT_FORM_Q4_K},
    [13] = {"Q5_K", DT_FORM_Q5_K},
    [14] = {"Q6_K", DT_FORM_Q6_K},
    [15] = {"Q8_K", 0},
    [16] = {"IQ2_XXS", 0},
    [17] = {"IQ2_XS", 0},
    [18] = {"IQ3_XXS", 0},
    [19] = {"IQ1_S", 0},
    [20] = {"IQ4_NL", DT_FORM_IQ4_NL},
    [21] = {"IQ3_S", 0},
    [22] = {"IQ2_S", 0},
    [23] = {"IQ4_XS", 0},
    [24] = {"I8", 0},
    [25] = {"I16", 0},
    [26] = {"I32", 0},
    [27] = {"I64", 0},
    [28] = {"F64", 0},
    [29] = {"IQ1_M", 0},
    [30] = {"BF16", DT_FORM_BF16},
    [34] = {"TQ1_0", 0},
    [35] = {"TQ2_0", 0},
    [39] = {"MXFP4", 0},
};

uint32_t dt_gguf_form(uint32_t type)
{
    return type < sizeof tensor_types / sizeof *tensor_types ? tensor_types[type].form
                                                             : DT_FORM_NONE;
}

const char *dt_gguf_type_name(uint32_t type)
{
    const char *name =
        type < sizeof tensor_types / sizeof *tensor_types ? tensor_types[type].name : NULL;
    return name ? name : "unknown";
}

uint32_t dt_gguf_type_of_form(uint32_t form)
{
    for (uint32_t type = 0; type < sizeof tensor_types / sizeof *tensor_types; type++)
        if (tensor_types[type].name && tensor_types[type].form == form && form)
            return type;
    return UINT32_MAX;
}
