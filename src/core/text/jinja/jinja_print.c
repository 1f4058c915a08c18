// SPDX-License-Identifier: MIT
// Values as text: as they are printed, as Python source and as JSON.
#include <math.h>

#include "base/bytes.h"
#include "base/format.h"
#include "base/text.h"
#include "core/text/jinja/jinja_value.h"

// ---- buffers ----

void dt_jbuffer_put(struct dt_jinja *j, struct dt_jbuffer *b, const char *text, size_t n,
                    const unsigned char *user)
{
    if (n == 0 || !dt_jinja_step(j, 1 + n / 64))
        return;
    if (n > b->capacity - b->n) {
        size_t capacity = b->capacity ? 2 * b->capacity : 128;
        while (capacity - b->n < n)
            capacity *= 2;
        char *more = capacity < UINT32_MAX / 4 ? dt_jinja_alloc(j, 2 * capacity) : NULL;
        if (!more) {
            dt_jinja_fail(j, DT_NO_MEMORY, "a text of %zu bytes is too long", b->n + n);
            return;
        }
        if (b->n) {
            memcpy(more, b->at, b->n);
            memcpy(more + capacity, b->user, b->n);
        }
        b->at = more;
        b->user = (unsigned char *)more + capacity;
        b->capacity = capacity;
    }
    memcpy(b->at + b->n, text, n);
    if (user) {
        memcpy(b->user + b->n, user, n);
        b->any_user = b->any_user || memchr(user, 1, n);
    } else {
        memset(b->user + b->n, 0, n);
    }
    b->n += n;
}

void dt_jbuffer_puts(struct dt_jinja *j, struct dt_jbuffer *b, const char *text)
{
    dt_jbuffer_put(j, b, text, strlen(text), NULL);
}

struct dt_jvalue dt_jbuffer_value(const struct dt_jbuffer *b)
{
    struct dt_jvalue v = dt_jtext(b->n ? b->at : "", b->n);
    v.user = b->any_user ? b->user : NULL;
    return v;
}

// ---- numbers ----

// The shortest decimal digits that are x, at most 17, and the exponent of the first one. x > 0.
static int64_t digits_of(double x, int *count, int *exponent)
{
    int e = 0;
    for (double t = x; t >= 10 && e < 400; t /= 10)
        e++;
    for (double t = x; t < 1 && e > -400; t *= 10)
        e--;
    int64_t digits = 0;
    for (int p = 1; p <= 17; p++) {
        int shift = p - 1 - e;
        double scale = pow(10, shift < 0 ? -shift : shift),
               scaled = shift < 0 ? x / scale : x * scale;
        if (!(scaled < 9e18))
            break;
        digits = (int64_t)(scaled + 0.5);
        *count = p;
        double back = shift < 0 ? (double)digits * scale : (double)digits / scale;
        if (back >= x && back <= x)
            break;
    }
    int64_t most = 1;
    for (int i = 0; i < *count; i++)
        most *= 10;
    if (digits >= most) { // rounded up to the next power of ten
        digits /= 10;
        e++;
    }
    *exponent = e;
    return digits;
}

static void put_real(struct dt_jinja *j, struct dt_jbuffer *b, double x)
{
    char text[64], figures[32];
    int count = 1, e = 0;
    if (x != x || x > 1e308 * 1.5 || x < -1e308 * 1.5) {
        dt_jbuffer_puts(j, b, x != x ? "nan" : x > 0 ? "inf" : "-inf");
        return;
    }
    if (x < 0)
        dt_jbuffer_puts(j, b, "-");
    x = x < 0 ? -x : x;
    int64_t digits = x > 0 ? digits_of(x, &count, &e) : 0;
    dt_format(figures, sizeof figures, "%lld", (long long)digits);
    while (count > 1 && figures[count - 1] == '0')
        figures[--count] = 0;
    static const char zeros[] = "0000000000000000";
    if (e < -4 || e >= 16)
        dt_format(text, sizeof text, "%c%s%se%c%02d", figures[0], count > 1 ? "." : "", figures + 1,
                  e < 0 ? '-' : '+', e < 0 ? -e : e);
    else if (e < 0)
        dt_format(text, sizeof text, "0.%.*s%s", -e - 1, zeros, figures);
    else if (count <= e + 1)
        dt_format(text, sizeof text, "%s%.*s.0", figures, e + 1 - count, zeros);
    else
        dt_format(text, sizeof text, "%.*s.%s", e + 1, figures, figures + e + 1);
    dt_jbuffer_puts(j, b, text);
}

static void put_number(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v)
{
    char text[32];
    if (v.kind == DT_JREAL) {
        put_real(j, b, v.as.real);
        return;
    }
    dt_format(text, sizeof text, "%lld", (long long)v.as.integer);
    dt_jbuffer_puts(j, b, text);
}

// ---- Python source ----

// A character that has an escape of its own in both languages, or 0.
static char letter_of(char c)
{
    return c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : 0;
}

static void repr_text(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v)
{
    bool single = v.n && memchr(v.as.text, '\'', v.n), twice = v.n && memchr(v.as.text, '"', v.n);
    char quote = single && !twice ? '"' : '\'', text[8] = {quote};
    dt_jbuffer_puts(j, b, text);
    for (size_t at = 0; at < v.n && !j->status; at++) {
        char c = v.as.text[at];
        const unsigned char user[4] = {1, 1, 1, 1}, *from = v.user && v.user[at] ? user : NULL;
        if (c == quote || c == '\\' || letter_of(c))
            dt_format(text, sizeof text, "\\%c", letter_of(c) ? letter_of(c) : c);
        else if ((unsigned char)c < 0x20 || c == 0x7f)
            dt_format(text, sizeof text, "\\x%02x", (unsigned)(unsigned char)c);
        else
            dt_format(text, sizeof text, "%c", c);
        dt_jbuffer_put(j, b, (unsigned char)c < 0x80 ? text : &c,
                       (unsigned char)c < 0x80 ? strlen(text) : 1, from);
    }
    text[0] = quote;
    text[1] = 0;
    dt_jbuffer_puts(j, b, text);
}

static void repr(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v);

static void repr_list(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v)
{
    const struct dt_jlist *list = v.as.list;
    dt_jbuffer_puts(j, b, v.tuple ? "(" : "[");
    for (uint32_t i = 0; i < list->count && !j->status; i++) {
        if (i)
            dt_jbuffer_puts(j, b, ", ");
        repr(j, b, list->at[i]);
    }
    if (v.tuple && list->count == 1)
        dt_jbuffer_puts(j, b, ",");
    dt_jbuffer_puts(j, b, v.tuple ? ")" : "]");
}

static void repr(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v)
{
    if (!dt_jinja_step(j, 1))
        return;
    if (++j->depth > DT_JINJA_DEPTH_MOST)
        dt_jinja_fail(j, DT_UNSUPPORTED, "values are nested more than %u deep",
                      DT_JINJA_DEPTH_MOST);
    switch (j->status ? DT_JUNDEFINED : (enum dt_jkind)v.kind) {
    case DT_JUNDEFINED:
        dt_jbuffer_puts(j, b, "Undefined");
        break;
    case DT_JNONE:
        dt_jbuffer_puts(j, b, "None");
        break;
    case DT_JBOOL:
        dt_jbuffer_puts(j, b, v.as.integer ? "True" : "False");
        break;
    case DT_JINT:
    case DT_JREAL:
        put_number(j, b, v);
        break;
    case DT_JTEXT:
        repr_text(j, b, v);
        break;
    case DT_JLIST:
        repr_list(j, b, v);
        break;
    case DT_JDICT:
        dt_jbuffer_puts(j, b, "{");
        for (uint32_t i = 0; i < v.as.dict->keys.count && !j->status; i++) {
            if (i)
                dt_jbuffer_puts(j, b, ", ");
            repr(j, b, v.as.dict->keys.at[i]);
            dt_jbuffer_puts(j, b, ": ");
            repr(j, b, v.as.dict->values.at[i]);
        }
        dt_jbuffer_puts(j, b, "}");
        break;
    default:
        dt_jinja_fail(j, DT_UNSUPPORTED, "%s cannot be printed", dt_jkind_name(v));
    }
    j->depth--;
}

void dt_jinja_print(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v)
{
    if (v.kind == DT_JTEXT)
        dt_jbuffer_put(j, b, v.as.text, v.n, v.user);
    else if (v.kind != DT_JUNDEFINED)
        repr(j, b, v);
}

struct dt_jvalue dt_jinja_text_of(struct dt_jinja *j, struct dt_jvalue v)
{
    struct dt_jbuffer b = {0};
    if (v.kind == DT_JTEXT)
        return v;
    dt_jinja_print(j, &b, v);
    return dt_jbuffer_value(&b);
}

// ---- JSON ----

static void json_text(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v)
{
    char text[8];
    dt_jbuffer_puts(j, b, "\"");
    for (size_t at = 0; at < v.n && !j->status; at++) {
        unsigned char c = (unsigned char)v.as.text[at];
        const unsigned char user[8] = {1, 1, 1, 1, 1, 1, 1, 1},
                            *from = v.user && v.user[at] ? user : NULL;
        char letter = c == '"' || c == '\\' ? (char)c
                      : c == '\b'           ? 'b'
                      : c == '\f'           ? 'f'
                                            : letter_of((char)c);
        if (letter)
            dt_format(text, sizeof text, "\\%c", letter);
        else if (c < 0x20)
            dt_format(text, sizeof text, "\\u%04x", (unsigned)c);
        text[0] = letter || c < 0x20 ? text[0] : (char)c;
        dt_jbuffer_put(j, b, text, letter || c < 0x20 ? strlen(text) : 1, from);
    }
    dt_jbuffer_puts(j, b, "\"");
}

static void json_line(struct dt_jinja *j, struct dt_jbuffer *b, int indent, uint32_t level)
{
    if (indent >= 0)
        dt_jbuffer_puts(j, b, "\n");
    for (uint32_t i = 0; indent > 0 && i < (uint32_t)indent * level && !j->status; i++)
        dt_jbuffer_puts(j, b, " ");
}

static void json(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v, int indent,
                 uint32_t level)
{
    bool dict = v.kind == DT_JDICT;
    if (level > DT_JINJA_DEPTH_MOST) {
        dt_jinja_fail(j, DT_UNSUPPORTED, "values are nested more than %u deep",
                      DT_JINJA_DEPTH_MOST);
    } else if (dict || v.kind == DT_JLIST) {
        const struct dt_jlist *list = dict ? &v.as.dict->values : v.as.list;
        dt_jbuffer_puts(j, b, dict ? "{" : "[");
        for (uint32_t i = 0; i < list->count && dt_jinja_step(j, 1); i++) {
            if (i)
                dt_jbuffer_puts(j, b, indent >= 0 ? "," : ", ");
            json_line(j, b, indent, level + 1);
            if (dict) {
                json_text(j, b, dt_jinja_text_of(j, v.as.dict->keys.at[i]));
                dt_jbuffer_puts(j, b, ": ");
            }
            json(j, b, list->at[i], indent, level + 1);
        }
        if (list->count)
            json_line(j, b, indent, level);
        dt_jbuffer_puts(j, b, dict ? "}" : "]");
    } else if (v.kind == DT_JTEXT) {
        json_text(j, b, v);
    } else if (v.kind == DT_JINT || v.kind == DT_JREAL) {
        put_number(j, b, v);
    } else if (v.kind == DT_JNONE || v.kind == DT_JBOOL) {
        dt_jbuffer_puts(j, b, v.kind == DT_JNONE ? "null" : v.as.integer ? "true" : "false");
    } else {
        dt_jinja_fail(j, DT_BAD_INPUT, "tojson: %s cannot be written as JSON", dt_jkind_name(v));
    }
}

void dt_jinja_json(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v, int indent)
{
    json(j, b, v, indent, 0);
}
