// SPDX-License-Identifier: MIT
// Characters of texts: they are counted, cut and changed by character, not by byte.
#include "base/bytes.h"
#include "base/text.h"
#include "core/text/jinja/jinja_value.h"
#include "core/text/unicode_classes.h"

bool dt_jspace(uint32_t code)
{
    return dt_unicode_space(code) || (code >= 0x1c && code <= 0x1f);
}

// ASCII, Latin-1, Latin Extended-A, Greek, Cyrillic and Armenian; other letters do not change.
static uint32_t upper(uint32_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 0xe0 && c <= 0xfe && c != 0xf7) ||
        (c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2) || (c >= 0x430 && c <= 0x44f))
        return c - 32;
    if ((c >= 0x100 && c <= 0x137 && c != 0x131) || (c >= 0x14a && c <= 0x177) ||
        (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f))
        return c & ~1u;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return c - !(c & 1u);
    if (c >= 0x450 && c <= 0x45f)
        return c - 80;
    if (c >= 0x561 && c <= 0x586)
        return c - 48;
    return c == 0xff ? 0x178 : c == 0x3c2 ? 0x3a3 : c;
}

static uint32_t lower(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) ||
        (c >= 0x391 && c <= 0x3a9 && c != 0x3a2) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if ((c >= 0x100 && c <= 0x137 && c != 0x130) || (c >= 0x14a && c <= 0x177) ||
        (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f))
        return c | 1u;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return c + (c & 1u);
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    if (c >= 0x531 && c <= 0x556)
        return c + 48;
    return c == 0x178 ? 0xff : c;
}

size_t dt_jcharacters(struct dt_jvalue v)
{
    size_t count = 0;
    uint32_t code;
    for (size_t at = 0; at < v.n; count++)
        at += dt_utf8_decode(v.as.text + at, v.n - at, &code);
    return count;
}

size_t dt_jsearch(struct dt_jvalue in, struct dt_jvalue word, size_t from)
{
    if (word.n == 0)
        return from;
    const char *found =
        from < in.n ? dt_read_find(in.as.text + from, in.n - from, word.as.text, word.n) : NULL;
    return found ? (size_t)(found - in.as.text) : SIZE_MAX;
}

// Whether the character text[0..n) is one of `set`.
static bool is_in_set(const char *text, size_t n, uint32_t code, struct dt_jvalue set)
{
    uint32_t other;
    if (set.kind != DT_JTEXT)
        return dt_jspace(code);
    for (size_t at = 0, step; at < set.n; at += step) {
        step = dt_utf8_decode(set.as.text + at, set.n - at, &other);
        if (step == n && memcmp(set.as.text + at, text, n) == 0)
            return true;
    }
    return false;
}

struct dt_jvalue dt_jstrip(struct dt_jvalue v, struct dt_jvalue set, bool left, bool right)
{
    size_t begin = 0, end = v.n, n;
    uint32_t code;
    while (left && begin < end) {
        n = dt_utf8_decode(v.as.text + begin, end - begin, &code);
        if (!is_in_set(v.as.text + begin, n, code, set))
            break;
        begin += n;
    }
    while (right && end > begin) {
        size_t at = end - 1;
        while (at > begin && end - at < 4 && ((unsigned char)v.as.text[at] & 0xc0) == 0x80)
            at--;
        if (dt_utf8_decode(v.as.text + at, end - at, &code) != end - at) {
            at = end - 1; // not a character
            code = DT_REPLACEMENT;
        }
        if (!is_in_set(v.as.text + at, end - at, code, set))
            break;
        end = at;
    }
    return dt_jpart(v, begin, end);
}

// The byte where character `index` begins.
static size_t byte_of(struct dt_jvalue v, int64_t index)
{
    size_t at = 0;
    uint32_t code;
    while (index-- > 0 && at < v.n)
        at += dt_utf8_decode(v.as.text + at, v.n - at, &code);
    return at;
}

struct dt_jvalue dt_jindex(struct dt_jinja *j, struct dt_jvalue v, int64_t index)
{
    struct dt_jvalue none = {0};
    int64_t length = dt_jlength(j, v);
    uint32_t code;
    if (index < 0)
        index += length;
    if (index < 0 || index >= length || j->status)
        return none;
    if (v.kind == DT_JLIST)
        return v.as.list->at[index];
    size_t at = byte_of(v, index);
    return dt_jpart(v, at, at + dt_utf8_decode(v.as.text + at, v.n - at, &code));
}

// A bound of a slice, as Python computes it.
static int64_t bound(struct dt_jinja *j, struct dt_jvalue v, int64_t length, int64_t step,
                     int64_t absent)
{
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
    if (v.kind == DT_JUNDEFINED || v.kind == DT_JNONE)
        return absent;
    if (v.kind != DT_JINT && v.kind != DT_JBOOL) {
        dt_jinja_fail(j, DT_BAD_INPUT, "%s cannot be an index", dt_jkind_name(v));
        return 0;
    }
    int64_t at = v.as.integer;
    if (at < 0)
        at = at < -length ? low : at + length;
    return at < low ? low : at > high ? high : at;
}

struct dt_jvalue dt_jslice(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue start,
                           struct dt_jvalue stop, struct dt_jvalue step)
{
    struct dt_jvalue out = {0};
    struct dt_jbuffer b = {0};
    int64_t by = step.kind == DT_JINT ? step.as.integer : 1, length;
    if (v.kind != DT_JTEXT && v.kind != DT_JLIST)
        return dt_jinja_fail(j, DT_BAD_INPUT, "%s cannot be sliced", dt_jkind_name(v));
    length = dt_jlength(j, v);
    if (by == 0 || by < -length - 1 || by > length + 1)
        by = by == 0 ? 0 : by < 0 ? -length - 1 : length + 1;
    if (by == 0)
        return dt_jinja_fail(j, DT_BAD_INPUT, "the step of a slice is 0");
    int64_t from = bound(j, start, length, by, by < 0 ? length - 1 : 0),
            to = bound(j, stop, length, by, by < 0 ? -1 : length);
    if (v.kind == DT_JTEXT && by == 1) {
        size_t begin = byte_of(v, from), end = to > from ? byte_of(v, to) : begin;
        return dt_jpart(v, begin, end);
    }
    struct dt_jlist *items = dt_jitems(j, v);
    bool tuple = v.tuple, text = v.kind == DT_JTEXT;
    out = dt_jnew_list(j);
    for (int64_t i = from; items && (by < 0 ? i > to : i < to) && !j->status; i += by) {
        if (text)
            dt_jinja_print(j, &b, items->at[i]);
        else
            dt_jinja_push(j, out.as.list, items->at[i]);
    }
    out.tuple = tuple;
    return text ? dt_jbuffer_value(&b) : out;
}

struct dt_jvalue dt_jchange_case(struct dt_jinja *j, struct dt_jvalue v, enum dt_jcase how,
                                 bool words)
{
    struct dt_jbuffer b = {0};
    char out[4];
    uint32_t code;
    bool inside = false; // a word
    for (size_t at = 0, n; at < v.n && !j->status; at += n) {
        n = dt_utf8_decode(v.as.text + at, v.n - at, &code);
        bool up = how == DT_JUPPER || (how == DT_JTITLE && !inside) || (how == DT_JCAPITAL && !at);
        uint32_t changed = up ? upper(code) : lower(code);
        bool same = changed == code;
        size_t length = same ? n : dt_utf8_encode(changed, out);
        unsigned char user[4];
        memset(user, v.user && v.user[at], sizeof user);
        dt_jbuffer_put(j, &b, same ? v.as.text + at : out, length, user);
        inside = words ? dt_unicode_letter(code)
                       : !dt_jspace(code) && !(code < 0x80 && strchr("-({[<", (int)code));
    }
    return dt_jbuffer_value(&b);
}
