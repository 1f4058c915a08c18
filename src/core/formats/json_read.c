// SPDX-License-Identifier: MIT
#include "core/formats/json_read.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

// ---- checking ----

struct checker {
    const char *text;
    size_t n, at;
    const char *what; // what was expected where it failed; NULL: no error so far
    struct dt_json_outline *outline;
    uint32_t member[3]; // by depth: the member whose value is being read, + 1; 0: none
    size_t items[3];    // of the open list or object
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Eight bytes at a time: which bytes of a word equal a byte (its highest bit is set then; bytes
// above the first such byte may be wrong).
#define EACH(byte) (0x0101010101010101u * (byte))

static uint64_t equal(uint64_t word, unsigned char byte)
{
    uint64_t x = word ^ EACH(byte);
    return (x - EACH(1)) & ~x & EACH(0x80);
}

// The first quote, backslash or control byte at or after p, or `end`.
static const char *plain_text(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t word = dt_read_u64((const unsigned char *)p);
        uint64_t control = (word - EACH(32)) & ~word & EACH(0x80);
        uint64_t found = equal(word, '"') | equal(word, '\\') | control;
        if (found) // the lowest is exact
            return p + __builtin_ctzll(found) / 8;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 32)
        p++;
    return p;
}

// The first byte that is no space at or after p, where p may be the indentation of a line.
static const char *indentation(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t other = dt_read_u64((const unsigned char *)p) ^ EACH(' ');
        if (other)
            return p + __builtin_ctzll(other) / 8;
        p += 8;
    }
    while (p < end && *p == ' ')
        p++;
    return p;
}

static void skip_space(struct checker *c)
{
    const char *p = c->text + c->at, *end = c->text + c->n;
    while (p < end && is_space(*p))
        p = indentation(p + 1, end);
    c->at = (size_t)(p - c->text);
}

static bool accept(struct checker *c, char wanted)
{
    if (c->at >= c->n || c->text[c->at] != wanted)
        return false;
    c->at++;
    return true;
}

static bool refuse(struct checker *c, const char *what)
{
    if (!c->what)
        c->what = what;
    return false;
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool check_string(struct checker *c)
{
    if (!accept(c, '"'))
        return refuse(c, "a string");
    while (c->at < c->n) {
        c->at = (size_t)(plain_text(c->text + c->at, c->text + c->n) - c->text);
        if (c->at == c->n)
            break;
        char b = c->text[c->at];
        if (b == '"') {
            c->at++;
            return true;
        }
        if ((unsigned char)b < 32)
            return refuse(c, "no control byte in a string");
        c->at++;
        if (b != '\\')
            continue;
        if (c->at >= c->n)
            break;
        char escape = c->text[c->at];
        if (escape == 'u') {
            for (int i = 1; i <= 4; i++)
                if (c->n - c->at <= (size_t)i || !is_hex(c->text[c->at + (size_t)i]))
                    return refuse(c, "four hex digits");
            c->at += 5;
        } else if (escape && strchr("\"\\/bfnrt", escape)) {
            c->at++;
        } else {
            return refuse(c, "an escape");
        }
    }
    return refuse(c, "the end of a string");
}

static bool check_digits(struct checker *c)
{
    size_t begin = c->at;
    while (c->at < c->n && is_digit(c->text[c->at]))
        c->at++;
    return c->at > begin || refuse(c, "a digit");
}

static bool check_number(struct checker *c)
{
    accept(c, '-');
    if (!accept(c, '0') && !check_digits(c))
        return false;
    if (accept(c, '.') && !check_digits(c))
        return false;
    if (accept(c, 'e') || accept(c, 'E')) {
        if (!accept(c, '+'))
            accept(c, '-');
        return check_digits(c);
    }
    return true;
}

static bool check_word(struct checker *c, const char *word)
{
    size_t length = strlen(word);
    if (c->n - c->at < length || memcmp(c->text + c->at, word, length) != 0)
        return refuse(c, "a value");
    c->at += length;
    return true;
}

static bool check_scalar(struct checker *c)
{
    switch (c->at < c->n ? c->text[c->at] : 0) {
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    default:
        return c->at < c->n && (c->text[c->at] == '-' || is_digit(c->text[c->at]))
                   ? check_number(c)
                   : refuse(c, "a value");
    }
}

// A member of the open object begins, which is part of the outline.
static void begin_member(struct checker *c, size_t key, size_t key_end, size_t depth)
{
    struct dt_json_outline *o = c->outline;
    c->member[depth] = 0;
    if (o->count == DT_JSON_OUTLINE_MAX) {
        o->partial = true;
        return;
    }
    skip_space(c);
    o->member[o->count] = (struct dt_json_member){.key = {c->text + key, key_end - key},
                                                  .value = {c->text + c->at, 0},
                                                  .parent = depth == 2 ? c->member[1] : 0};
    c->member[depth] = ++o->count;
}

// A value inside a list or an object ended, at a depth of 1 to 3.
static void end_value(struct checker *c, size_t depth)
{
    c->items[depth - 1]++;
    if (depth == 3 || !c->member[depth])
        return;
    struct dt_json_member *m = &c->outline->member[c->member[depth] - 1];
    m->value.n = (size_t)(c->text + c->at - m->value.at);
    m->items = *m->value.at == '{' || *m->value.at == '[' ? c->items[depth] : 0;
    c->member[depth] = 0;
}

static bool check_key(struct checker *c, const char *open, size_t depth)
{
    size_t key = c->at;
    if (!check_string(c))
        return false;
    size_t end = c->at;
    skip_space(c);
    if (!accept(c, ':'))
        return refuse(c, "a colon");
    // the root's members, and those of members that are objects
    if (c->outline && (depth == 1 || (depth == 2 && open[0] == '}' && c->member[1])))
        begin_member(c, key, end, depth);
    return true;
}

// Not recursive: open[0..depth) are the closing brackets of the open values.
static bool check_value(struct checker *c)
{
    char open[DT_JSON_MOST_NESTED];
    size_t depth = 0;
    for (;;) {
        // a value begins here
        skip_space(c);
        bool object = accept(c, '{');
        if (object || accept(c, '[')) {
            if (depth == DT_JSON_MOST_NESTED) {
                c->at--;
                return refuse(c, "at most 64 levels");
            }
            if (depth < 3)
                c->items[depth] = 0;
            open[depth++] = object ? '}' : ']';
            skip_space(c);
            if (!accept(c, open[depth - 1])) {
                if (object && !check_key(c, open, depth))
                    return false;
                continue;
            }
            depth--;
        } else if (!check_scalar(c)) {
            return false;
        }
        // a value ended here
        for (;;) {
            if (depth == 0)
                return true;
            if (depth <= 3)
                end_value(c, depth);
            skip_space(c);
            if (accept(c, ',')) {
                skip_space(c);
                if (open[depth - 1] == '}' && !check_key(c, open, depth))
                    return false;
                break;
            }
            if (!accept(c, open[depth - 1]))
                return refuse(c, open[depth - 1] == '}' ? "a comma or }" : "a comma or ]");
            depth--;
        }
    }
}

static dt_status check(struct checker c, const char *name, struct dt_json_value *out,
                       struct dt_error *err)
{
    const char *text = c.text;
    size_t n = c.n;
    skip_space(&c);
    size_t begin = c.at;
    bool good = check_value(&c);
    size_t end = c.at;
    skip_space(&c);
    if (good && c.at == n) {
        *out = (struct dt_json_value){text + begin, end - begin};
        return DT_OK;
    }
    if (c.at >= n)
        return dt_error_set(err, DT_BAD_INPUT, name, "this JSON ends at byte %zu; expected %s", n,
                            c.what ? c.what : "a value");
    return dt_error_set(err, DT_BAD_INPUT, name, "this JSON has '%c' at byte %zu; expected %s",
                        text[c.at], c.at, good ? "its end" : c.what);
}

dt_status dt_json_check(const char *text, size_t n, const char *name, struct dt_json_value *out,
                        struct dt_error *err)
{
    return check((struct checker){.text = text, .n = n}, name, out, err);
}

dt_status dt_json_check_outline(const char *text, size_t n, const char *name,
                                struct dt_json_outline *out, struct dt_error *err)
{
    out->count = 0;
    out->partial = false;
    return check((struct checker){.text = text, .n = n, .outline = out}, name, &out->root, err);
}

// ---- access ----

// The end of the value at p in a checked text. Counts brackets and skips strings.
static const char *end_of(const char *p, const char *end)
{
    size_t depth = 0;
    do {
        if (*p == '"') {
            for (p = plain_text(p + 1, end); p < end && *p != '"'; p = plain_text(p, end))
                p += *p == '\\' ? 2 : 1;
            p++;
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            depth--;
            p++;
        } else if (depth) {
            p = indentation(p + 1, end);
        } else {
            while (p < end && !is_space(*p) && *p != ',' && *p != '}' && *p != ']' && *p != ':')
                p++;
        }
    } while (depth && p < end);
    return p < end ? p : end;
}

static const char *after_space(const char *p, const char *end)
{
    while (p < end && (is_space(*p) || *p == ',' || *p == ':'))
        p = indentation(p + 1, end);
    return p;
}

bool dt_json_next(struct dt_json_value in, struct dt_json_walk *walk, struct dt_json_value *key,
                  struct dt_json_value *item)
{
    if (in.n < 2 || (in.at[0] != '{' && in.at[0] != '['))
        return false;
    const char *end = in.at + in.n - 1; // the closing bracket
    const char *p = after_space(walk->at ? walk->at : in.at + 1, end);
    *key = (struct dt_json_value){p, 0};
    if (p >= end || *p == '}' || *p == ']')
        return false;
    if (in.at[0] == '{') {
        const char *q = end_of(p, end);
        *key = (struct dt_json_value){p, (size_t)(q - p)};
        p = after_space(q, end);
    }
    const char *q = end_of(p, end);
    *item = (struct dt_json_value){p, (size_t)(q - p)};
    walk->at = q;
    return true;
}

// A string of a list at p; returns what follows it, or NULL if another value is there.
static const char *next_string(const char *p, const char *end, struct dt_json_value *out)
{
    p = after_space(p, end);
    if (p >= end || *p != '"')
        return NULL;
    const char *q = end_of(p, end);
    *out = (struct dt_json_value){p, (size_t)(q - p)};
    return q;
}

bool dt_json_next_pair(struct dt_json_value in, struct dt_json_walk *walk,
                       struct dt_json_value pair[2])
{
    pair[1] = (struct dt_json_value){NULL, 0};
    if (in.n >= 2 && in.at[0] == '[') {
        const char *end = in.at + in.n - 1;
        const char *p = after_space(walk->at ? walk->at : in.at + 1, end), *q = p;
        if (p < end && *p == '[' && (q = next_string(p + 1, end, &pair[0])) &&
            (q = next_string(q, end, &pair[1])) && (q = after_space(q, end)) < end && *q == ']') {
            walk->at = q + 1;
            return true;
        }
        pair[1].n = 0;
    }
    struct dt_json_value key;
    return dt_json_next(in, walk, &key, &pair[0]);
}

static bool is_key(struct dt_json_value key, const char *name)
{
    size_t length = strlen(name);
    return key.n == length + 2 && memcmp(key.at + 1, name, length) == 0;
}

struct dt_json_value dt_json_find(struct dt_json_value object, const char *name)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    while (object.n && object.at[0] == '{' && dt_json_next(object, &walk, &key, &item))
        if (is_key(key, name))
            return item;
    return (struct dt_json_value){NULL, 0};
}

struct dt_json_value dt_json_outline_find(const struct dt_json_outline *outline, const char *object,
                                          const char *name, size_t *items)
{
    uint32_t parent = 0;
    if (outline->partial) {
        struct dt_json_value in = object ? dt_json_find(outline->root, object) : outline->root;
        struct dt_json_value found = dt_json_find(in, name);
        if (items)
            *items = dt_json_count(found);
        return found;
    }
    for (uint32_t i = 0; object && i < outline->count && !parent; i++)
        if (!outline->member[i].parent && is_key(outline->member[i].key, object))
            parent = i + 1;
    for (uint32_t i = 0; i < outline->count; i++) {
        const struct dt_json_member *m = &outline->member[i];
        if (m->parent != parent || (object && !parent) || !is_key(m->key, name))
            continue;
        if (items)
            *items = m->items;
        return m->value;
    }
    if (items)
        *items = 0;
    return (struct dt_json_value){NULL, 0};
}

size_t dt_json_count(struct dt_json_value list)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    size_t count = 0;
    while (dt_json_next(list, &walk, &key, &item))
        count++;
    return count;
}

bool dt_json_is_text(struct dt_json_value v)
{
    return v.n >= 2 && v.at[0] == '"';
}

bool dt_json_is(struct dt_json_value v, const char *literal)
{
    return v.n == strlen(literal) && memcmp(v.at, literal, v.n) == 0;
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 4 | (uint32_t)(is_digit(p[i]) ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
    return v;
}

size_t dt_json_text_of(struct dt_json_value v, char *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    size_t written = 0;
    if (!dt_json_is_text(v))
        return 0;
    if (!memchr(v.at + 1, '\\', v.n - 2)) {
        if (out)
            memcpy(out, v.at + 1, v.n - 2);
        return v.n - 2;
    }
    for (const char *p = v.at + 1, *end = v.at + v.n - 1; p < end; p++) {
        size_t run = (size_t)(plain_text(p, end) - p);
        if (out && run)
            memcpy(out + written, p, run);
        written += run;
        p += run;
        if (p == end)
            break;
        uint32_t code = (unsigned char)*p;
        if (*p == '\\' && p[1] == 'u') {
            code = hex4(p + 2);
            p += 5;
            if (code >= 0xd800 && code < 0xdc00 && end - p > 6 && p[1] == '\\' && p[2] == 'u' &&
                hex4(p + 3) >= 0xdc00 && hex4(p + 3) < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (hex4(p + 3) - 0xdc00);
                p += 6;
            } else if (code >= 0xd800 && code < 0xe000) {
                code = 0xfffd;
            }
            char utf8[4];
            size_t n = dt_utf8_encode(code, utf8);
            if (out)
                memcpy(out + written, utf8, n);
            written += n;
            continue;
        }
        if (*p == '\\') {
            const char *known = strchr(from, *++p);
            code = known ? (unsigned char)to[known - from] : (unsigned char)*p;
        }
        if (out)
            out[written] = (char)code;
        written++;
    }
    return written;
}

bool dt_json_number_of(struct dt_json_value v, double *out)
{
    if (!v.n || (v.at[0] != '-' && !is_digit(v.at[0])))
        return false;
    const char *p = v.at, *end = v.at + v.n;
    bool negative = *p == '-', fraction = false;
    uint64_t digits = 0;
    int scale = 0, exponent = 0;
    for (p += negative; p < end && (is_digit(*p) || *p == '.'); p++) {
        if (*p == '.') {
            fraction = true;
        } else if (digits < UINT64_MAX / 16) {
            digits = digits * 10 + (uint64_t)(*p - '0');
            scale -= fraction;
        } else { // more digits than a double holds
            scale += !fraction;
        }
    }
    if (p < end) { // e or E
        bool minus = p[1] == '-';
        for (p += 1 + (p[1] == '-' || p[1] == '+'); p < end && exponent < 100000; p++)
            exponent = exponent * 10 + (*p - '0');
        exponent = minus ? -exponent : exponent;
    }
    exponent += scale;
    double value = (double)digits;
    // Powers up to 10^22 are exact, so the usual cases are rounded once.
    if (!digits)
        value = 0;
    else if (exponent < -22 || exponent > 22)
        value *= pow(10.0, exponent < -400 ? -400 : exponent > 400 ? 400 : exponent);
    else
        value = exponent < 0 ? value / pow(10.0, -exponent) : value * pow(10.0, exponent);
    *out = negative ? -value : value;
    return true;
}

bool dt_json_uint_of(struct dt_json_value v, uint64_t *out)
{
    double value;
    uint64_t whole = 0;
    size_t i = 0;
    while (i < v.n && i < 15 && is_digit(v.at[i]))
        whole = whole * 10 + (uint64_t)(v.at[i++] - '0');
    if (i && i == v.n) {
        *out = whole;
        return true;
    }
    if (!dt_json_number_of(v, &value) || !(value >= 0 && value <= 9007199254740992.0) ||
        value != floor(value))
        return false;
    *out = (uint64_t)value;
    return true;
}
