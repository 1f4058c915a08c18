// SPDX-License-Identifier: MIT
#include "base/text.h"

#include <string.h>

struct width_range {
    uint32_t first, last;
};

#include "base/width_table.h"

// ---- UTF-8 ----

// The bytes of a sequence by its first byte: 1 to 4, or 0 if no sequence begins with it.
static size_t sequence_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4) // continuation bytes, overlong two-byte forms, beyond U+10FFFF
        return 0;
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

// Whether `next` can be byte `place` (1 to 3) of a sequence that begins with lead. Source: the
// Unicode Standard, table 3-7. Only the second byte has a smaller range than 80..BF, which excludes
// overlong forms, surrogates and codes above U+10FFFF.
static bool continues(unsigned char lead, size_t place, unsigned char next)
{
    unsigned char low = 0x80, high = 0xBF;
    if (place == 1) {
        low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : low;
        high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : high;
    }
    return next >= low && next <= high;
}

// The code point of a valid sequence.
static uint32_t sequence_code(const unsigned char *s, size_t length)
{
    if (length == 1)
        return s[0];
    uint32_t code = s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (s[i] & 0x3F);
    return code;
}

size_t dt_utf8_decode(const char *s, size_t n, uint32_t *code)
{
    const unsigned char *bytes = (const unsigned char *)s;
    size_t length = sequence_length(bytes[0]);
    bool whole = length > 0 && length <= n;
    for (size_t i = 1; whole && i < length; i++)
        whole = continues(bytes[0], i, bytes[i]);
    *code = whole ? sequence_code(bytes, length) : DT_REPLACEMENT;
    return whole ? length : 1;
}

size_t dt_utf8_encode(uint32_t code, char out[4])
{
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        code = DT_REPLACEMENT;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00u >> length & 0xF0) | code);
    return length;
}

bool dt_utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t length = dt_utf8_decode(s + i, n - i, &code);
        if (length == 1 && (unsigned char)s[i] >= 0x80)
            return false;
        i += length;
    }
    return true;
}

size_t dt_utf8_whole(const char *s, size_t n)
{
    size_t back = 0;
    while (back < 3 && back < n && ((unsigned char)s[n - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back == n)
        return n;
    size_t length = sequence_length((unsigned char)s[n - 1 - back]);
    return length > back + 1 ? n - 1 - back : n;
}

// ---- columns ----

static bool within(uint32_t code, const struct width_range *ranges, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && code >= ranges[low].first;
}

int dt_text_width(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7F && code < 0xA0))
        return -1;
    if (code < 0x300) // the first combining character
        return 1;
    if (within(code, width_none, sizeof width_none / sizeof *width_none))
        return 0;
    return within(code, width_wide, sizeof width_wide / sizeof *width_wide) ? 2 : 1;
}

size_t dt_text_columns(const char *s, size_t n)
{
    size_t columns = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code;
        i += dt_utf8_decode(s + i, n - i, &code);
        int width = dt_text_width(code);
        columns += width > 0 ? (size_t)width : 0;
    }
    return columns;
}

// ---- the filter ----

// Whether a character could move the cursor, ring the bell, change a mode or the text direction.
static bool dropped(uint32_t code)
{
    if (code < 0x20)
        return code != '\n' && code != '\t';
    return (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069);
}

// The length of the character at s, and whether it is one that dt_text_clean keeps.
static size_t examine(const char *s, size_t n, enum dt_text_form form, bool *clean)
{
    uint32_t code;
    size_t length = dt_utf8_decode(s, n, &code);
    *clean = (length > 1 || (unsigned char)s[0] < 0x80) && !dropped(code) &&
             (form == DT_TEXT_LINES ||
              (code != '\n' && code != '\t' && code != 0x200E && code != 0x200F && code != 0x061C));
    return length;
}

size_t dt_text_clean(char *out, size_t size, const char *s, size_t n, enum dt_text_form form)
{
    size_t written = 0;
    for (size_t i = 0; i < n;) {
        bool clean;
        size_t length = examine(s + i, n - i, form, &clean);
        if (written + (clean ? length : 1) >= size)
            break;
        if (clean)
            memmove(out + written, s + i, length);
        else
            out[written] = '?';
        written += clean ? length : 1;
        i += length;
    }
    out[written] = 0;
    return written;
}

bool dt_text_is_clean(const char *s, size_t n, enum dt_text_form form)
{
    bool clean = true;
    for (size_t i = 0; i < n && clean;)
        i += examine(s + i, n - i, form, &clean);
    return clean;
}

size_t dt_text_filter_push(struct dt_text_filter *filter, const char *s, size_t n, char *out)
{
    unsigned char *held = filter->held;
    size_t written = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)s[i];
        if (filter->held_count > 0 && !continues(held[0], filter->held_count, byte)) {
            written += dt_utf8_encode(DT_REPLACEMENT, out + written);
            filter->held_count = 0;
        }
        if (filter->held_count == 0 && sequence_length(byte) == 0) {
            written += dt_utf8_encode(DT_REPLACEMENT, out + written);
            continue;
        }
        held[filter->held_count++] = byte;
        if (filter->held_count < sequence_length(held[0]))
            continue;
        if (!dropped(sequence_code(held, filter->held_count))) {
            memcpy(out + written, held, filter->held_count);
            written += filter->held_count;
        }
        filter->held_count = 0;
    }
    return written;
}

size_t dt_text_filter_flush(struct dt_text_filter *filter, char *out)
{
    size_t written = filter->held_count > 0 ? dt_utf8_encode(DT_REPLACEMENT, out) : 0;
    filter->held_count = 0;
    return written;
}
