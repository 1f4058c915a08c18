// SPDX-License-Identifier: MIT
#include "core/text/jinja/jinja_value.h"

#include "base/bytes.h"
#include "base/format.h"
#include "base/text.h"

#define CHUNK 8192u

struct dt_jvalue dt_jinja_fail(struct dt_jinja *j, dt_status status, const char *format, ...)
{
    char text[400];
    va_list args;
    if (!j->status) {
        va_start(args, format);
        dt_vformat(text, sizeof text, format, args);
        va_end(args);
        j->status = dt_error_set(j->err, status, NULL, "chat template, line %u: %s", j->line, text);
    }
    return (struct dt_jvalue){0};
}

void *dt_jinja_alloc(struct dt_jinja *j, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes > CHUNK / 4) {
        void *block = j->status ? NULL : dt_arena_alloc(j->arena, bytes, 1);
        if (block)
            return memset(block, 0, bytes);
        dt_jinja_fail(j, DT_NO_MEMORY, "out of memory after %zu bytes", j->arena->used);
        return NULL;
    }
    if (bytes > j->chunk_left) {
        j->chunk = j->status ? NULL : dt_arena_alloc(j->arena, CHUNK, 1);
        j->chunk_left = j->chunk ? CHUNK : 0;
        if (!j->chunk) {
            dt_jinja_fail(j, DT_NO_MEMORY, "out of memory after %zu bytes", j->arena->used);
            return NULL;
        }
    }
    void *block = memset(j->chunk, 0, bytes);
    j->chunk += bytes;
    j->chunk_left -= bytes;
    return block;
}

bool dt_jinja_step(struct dt_jinja *j, size_t cost)
{
    if (j->status)
        return false;
    if (cost > DT_JINJA_STEPS_MOST - j->steps) {
        dt_jinja_fail(j, DT_UNSUPPORTED, "the template needs more than %u steps",
                      DT_JINJA_STEPS_MOST);
        return false;
    }
    j->steps += (uint32_t)cost;
    return true;
}

// ---- making values ----

struct dt_jvalue dt_jtext(const char *text, size_t n)
{
    return (struct dt_jvalue){.kind = DT_JTEXT, .n = (uint32_t)n, .as.text = text};
}

struct dt_jvalue dt_jpart(struct dt_jvalue text, size_t begin, size_t end)
{
    text.as.text += begin;
    text.user = text.user ? text.user + begin : NULL;
    text.n = (uint32_t)(end - begin);
    return text;
}

struct dt_jvalue dt_juser_text(struct dt_jinja *j, const char *text, size_t n)
{
    unsigned char *user = n < UINT32_MAX / 2 ? dt_jinja_alloc(j, n + 1) : NULL;
    if (!user)
        return dt_jinja_fail(j, DT_NO_MEMORY, "a message of %zu bytes is too long", n);
    memset(user, 1, n);
    return (struct dt_jvalue){.kind = DT_JTEXT, .n = (uint32_t)n, .as.text = text, .user = user};
}

struct dt_jvalue dt_jnew_list(struct dt_jinja *j)
{
    struct dt_jlist *list = dt_jinja_alloc(j, sizeof *list);
    return (struct dt_jvalue){.kind = list ? DT_JLIST : DT_JUNDEFINED, .as.list = list};
}

struct dt_jvalue dt_jnew_dict(struct dt_jinja *j)
{
    struct dt_jdict *dict = dt_jinja_alloc(j, sizeof *dict);
    return (struct dt_jvalue){.kind = dict ? DT_JDICT : DT_JUNDEFINED, .as.dict = dict};
}

bool dt_jinja_push(struct dt_jinja *j, struct dt_jlist *list, struct dt_jvalue v)
{
    if (!dt_jinja_step(j, 1))
        return false;
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? 2 * list->capacity : 4;
        struct dt_jvalue *more = dt_jinja_alloc(j, (size_t)capacity * sizeof *more);
        if (!more)
            return false;
        if (list->count)
            memcpy(more, list->at, list->count * sizeof *more);
        list->at = more;
        list->capacity = capacity;
    }
    list->at[list->count++] = v;
    return true;
}

struct dt_jvalue *dt_jinja_find(const struct dt_jdict *dict, struct dt_jvalue key)
{
    for (uint32_t i = 0; i < dict->keys.count; i++)
        if (dt_jequal(dict->keys.at[i], key))
            return &dict->values.at[i];
    return NULL;
}

void dt_jinja_put(struct dt_jinja *j, struct dt_jdict *dict, struct dt_jvalue key,
                  struct dt_jvalue value)
{
    struct dt_jvalue *found = dt_jinja_find(dict, key);
    if (!dt_jinja_step(j, 1 + dict->keys.count / 16))
        return;
    if (found)
        *found = value;
    else if (dt_jinja_push(j, &dict->keys, key) && !dt_jinja_push(j, &dict->values, value))
        dict->keys.count--;
}

// ---- properties ----

bool dt_jis(struct dt_jvalue v, const char *word)
{
    return v.kind == DT_JTEXT && dt_read_is(v.as.text, v.n, word);
}

bool dt_jis_number(struct dt_jvalue v)
{
    return v.kind == DT_JBOOL || v.kind == DT_JINT || v.kind == DT_JREAL;
}

double dt_jnumber(struct dt_jvalue v)
{
    return v.kind == DT_JREAL ? v.as.real : (double)v.as.integer;
}

const char *dt_jkind_name(struct dt_jvalue v)
{
    static const char *const names[] = {
        "an undefined value", "none",   "a boolean", "a number",
        "a number",           "text",   "a list",    "a dict",
        "a namespace",        "a loop", "a macro",   "a function",
        "a method",
    };
    return names[v.kind];
}

bool dt_jtruth(struct dt_jvalue v)
{
    switch (v.kind) {
    case DT_JUNDEFINED:
    case DT_JNONE:
        return false;
    case DT_JBOOL:
    case DT_JINT:
        return v.as.integer != 0;
    case DT_JREAL:
        return v.as.real < 0 || v.as.real > 0 || v.as.real != v.as.real;
    case DT_JTEXT:
        return v.n > 0;
    case DT_JLIST:
        return v.as.list->count > 0;
    case DT_JDICT:
        return v.as.dict->keys.count > 0;
    default:
        return true;
    }
}

// Values nest at most DT_JINJA_DEPTH_MOST deep, because every level takes an expression of its own
// or a step of a loop; deeper ones are not equal.
static bool equal(struct dt_jvalue a, struct dt_jvalue b, unsigned depth)
{
    if (dt_jis_number(a) && dt_jis_number(b)) {
        if (a.kind != DT_JREAL && b.kind != DT_JREAL)
            return a.as.integer == b.as.integer;
        double x = dt_jnumber(a), y = dt_jnumber(b);
        return x >= y && x <= y;
    }
    // An empty text equals false, as in the engine that publishers test templates with (not in
    // Python): templates compare an absent system prompt with false.
    if (a.kind == DT_JTEXT && b.kind == DT_JBOOL)
        return a.n == 0 && !b.as.integer;
    if (a.kind == DT_JBOOL && b.kind == DT_JTEXT)
        return b.n == 0 && !a.as.integer;
    if (a.kind != b.kind || depth > DT_JINJA_DEPTH_MOST)
        return false;
    switch (a.kind) {
    case DT_JUNDEFINED:
    case DT_JNONE:
        return true;
    case DT_JTEXT:
        return a.n == b.n && (a.n == 0 || memcmp(a.as.text, b.as.text, a.n) == 0);
    case DT_JLIST:
        if (a.as.list->count != b.as.list->count || a.tuple != b.tuple)
            return false;
        for (uint32_t i = 0; i < a.as.list->count; i++)
            if (!equal(a.as.list->at[i], b.as.list->at[i], depth + 1))
                return false;
        return true;
    case DT_JDICT:
        if (a.as.dict->keys.count != b.as.dict->keys.count)
            return false;
        for (uint32_t i = 0; i < a.as.dict->keys.count; i++) {
            struct dt_jvalue *other = dt_jinja_find(b.as.dict, a.as.dict->keys.at[i]);
            if (!other || !equal(a.as.dict->values.at[i], *other, depth + 1))
                return false;
        }
        return true;
    default:
        return a.as.list == b.as.list;
    }
}

bool dt_jequal(struct dt_jvalue a, struct dt_jvalue b)
{
    return equal(a, b, 0);
}

static int order(struct dt_jinja *j, struct dt_jvalue a, struct dt_jvalue b, unsigned depth)
{
    if (!dt_jinja_step(j, 1))
        return 0;
    if (dt_jis_number(a) && dt_jis_number(b)) {
        if (a.kind != DT_JREAL && b.kind != DT_JREAL)
            return (a.as.integer > b.as.integer) - (a.as.integer < b.as.integer);
        double x = dt_jnumber(a), y = dt_jnumber(b);
        return (x > y) - (x < y);
    }
    if (a.kind == DT_JTEXT && b.kind == DT_JTEXT) {
        uint32_t n = a.n < b.n ? a.n : b.n;
        int difference = n ? memcmp(a.as.text, b.as.text, n) : 0;
        return difference ? difference : (a.n > b.n) - (a.n < b.n);
    }
    if (a.kind == DT_JLIST && b.kind == DT_JLIST && depth < DT_JINJA_DEPTH_MOST) {
        const struct dt_jlist *x = a.as.list, *y = b.as.list;
        for (uint32_t i = 0; i < x->count && i < y->count; i++)
            if (!equal(x->at[i], y->at[i], 0))
                return order(j, x->at[i], y->at[i], depth + 1);
        return (x->count > y->count) - (x->count < y->count);
    }
    dt_jinja_fail(j, DT_BAD_INPUT, "%s and %s have no order", dt_jkind_name(a), dt_jkind_name(b));
    return 0;
}

int dt_jorder(struct dt_jinja *j, struct dt_jvalue a, struct dt_jvalue b)
{
    return order(j, a, b, 0);
}

int64_t dt_jlength(struct dt_jinja *j, struct dt_jvalue v)
{
    switch (v.kind) {
    case DT_JUNDEFINED:
        return 0;
    case DT_JTEXT:
        dt_jinja_step(j, v.n / 64);
        return (int64_t)dt_jcharacters(v);
    case DT_JLIST:
        return v.as.list->count;
    case DT_JDICT:
        return v.as.dict->keys.count;
    case DT_JLOOP:
        return v.as.loop->items->count;
    default:
        dt_jinja_fail(j, DT_BAD_INPUT, "%s has no length", dt_jkind_name(v));
        return 0;
    }
}

struct dt_jlist *dt_jitems(struct dt_jinja *j, struct dt_jvalue v)
{
    struct dt_jvalue made;
    uint32_t code;
    if (v.kind == DT_JLIST)
        return v.as.list;
    if (v.kind == DT_JDICT)
        return &v.as.dict->keys;
    if (v.kind != DT_JTEXT && v.kind != DT_JUNDEFINED) {
        dt_jinja_fail(j, DT_BAD_INPUT, "%s cannot be iterated over", dt_jkind_name(v));
        return NULL;
    }
    made = dt_jnew_list(j);
    for (size_t at = 0, n; v.kind == DT_JTEXT && at < v.n && !j->status; at += n) {
        n = dt_utf8_decode(v.as.text + at, v.n - at, &code);
        dt_jinja_push(j, made.as.list, dt_jpart(v, at, at + n));
    }
    return j->status ? NULL : made.as.list;
}

struct dt_jvalue dt_jarg(const struct dt_jargs *args, uint32_t index, const char *name)
{
    if (args && index < args->count)
        return args->at[index];
    for (uint32_t i = 0; args && name && i < args->named_count; i++)
        if (dt_jis(args->names[i], name))
            return args->named[i];
    return (struct dt_jvalue){0};
}
