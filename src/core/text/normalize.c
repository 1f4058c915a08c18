// SPDX-License-Identifier: MIT
// Form C as in Unicode Standard Annex 15: decompose, order marks by their combining class, compose.
// Hangul syllables are computed.
#include "core/text/normalize.h"

#include <string.h>

#include "base/text.h"
#include "core/text/unicode_forms.h"

#define CODE_MASK 0x1fffffu

// Hangul: syllables are L * 588 + V * 28 + T.
#define HANGUL  0xac00u
#define HANGULS 11172u
#define LEADING 0x1100u
#define VOWEL   0x1161u
#define TRAIL   0x11a7u // one before the first trailing consonant

// One starter and the marks after it, decomposed and ordered.
struct segment {
    uint32_t code[256];
    unsigned char class[256];
    size_t count;
    char *out;
    size_t written;
};

bool dt_nfc_is_simple(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 0xcc) // U+0300 begins with 0xcc
            return false;
    return true;
}

static unsigned char class_of(uint32_t code)
{
    size_t low = 0, high = sizeof classes / sizeof *classes;
    if (code < 0x300)
        return 0;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (classes[middle] >> 8 <= code)
            low = middle;
        else
            high = middle;
    }
    return (unsigned char)(classes[low] & 255);
}

// The row of a character in `decompositions`, or 0: it has none.
static uint64_t decomposition(uint32_t code)
{
    size_t low = 0, high = sizeof decompositions / sizeof *decompositions;
    if (code < 0xc0)
        return 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (decompositions[middle] >> 42 < code)
            low = middle + 1;
        else
            high = middle;
    }
    bool found =
        low < sizeof decompositions / sizeof *decompositions && decompositions[low] >> 42 == code;
    return found ? decompositions[low] : 0;
}

// The character that two characters make together, or 0.
static uint32_t composition(uint32_t first, uint32_t second)
{
    if (first - LEADING < 19 && second - VOWEL < 21)
        return HANGUL + ((first - LEADING) * 21 + (second - VOWEL)) * 28;
    if (first - HANGUL < HANGULS && (first - HANGUL) % 28 == 0 && second - TRAIL - 1 < 27)
        return first + (second - TRAIL);
    uint64_t wanted = (uint64_t)first << 21 | second, mask = (UINT64_C(1) << 42) - 1;
    size_t low = 0, count = sizeof compositions / sizeof *compositions, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((decompositions[compositions[middle]] & mask) < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    uint64_t row = low < count ? decompositions[compositions[low]] : 0;
    return (row & mask) == wanted ? (uint32_t)(row >> 42) : 0;
}

static void compose(struct segment *s)
{
    size_t last = 0; // of what is kept
    for (size_t i = 1; i < s->count; i++) {
        // blocked if a mark between it and the starter has the same class or a higher one
        bool blocked = last > 0 && (s->class[last] >= s->class[i] || s->class[last] == 0);
        uint32_t code = blocked || s->class[0] != 0 ? 0 : composition(s->code[0], s->code[i]);
        if (code) {
            s->code[0] = code;
        } else {
            last++;
            s->code[last] = s->code[i];
            s->class[last] = s->class[i];
        }
    }
    s->count = s->count ? last + 1 : 0;
}

static void flush(struct segment *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->written += dt_utf8_encode(s->code[i], s->out + s->written);
    s->count = 0;
}

static void add(struct segment *s, uint32_t code)
{
    unsigned char class = class_of(code);
    if (class == 0 && s->count > 0) {
        compose(s);
        uint32_t both = s->count == 1 ? composition(s->code[0], code) : 0;
        if (both) {
            s->code[0] = both;
            return;
        }
        flush(s);
    } else if (s->count == sizeof s->class) {
        compose(s);
        flush(s);
    }
    size_t at = s->count++;
    for (; class && at > 0 && s->class[at - 1] > class; at--) {
        s->code[at] = s->code[at - 1];
        s->class[at] = s->class[at - 1];
    }
    s->code[at] = code;
    s->class[at] = class;
}

static void add_decomposed(struct segment *s, uint32_t code)
{
    if (code - HANGUL < HANGULS) {
        uint32_t index = code - HANGUL;
        add(s, LEADING + index / 588);
        add(s, VOWEL + index % 588 / 28);
        if (index % 28)
            add(s, TRAIL + index % 28);
        return;
    }
    uint32_t tail[8]; // the second characters, the innermost last
    size_t depth = 0;
    for (uint64_t row; (row = decomposition(code)) != 0;) {
        code = (uint32_t)(row >> 21) & CODE_MASK;
        if (row & CODE_MASK && depth < sizeof tail / sizeof *tail)
            tail[depth++] = (uint32_t)row & CODE_MASK;
    }
    add(s, code);
    while (depth > 0)
        add(s, tail[--depth]);
}

size_t dt_nfc(const char *text, size_t n, char *out)
{
    struct segment s = {.out = out};
    for (size_t at = 0; at < n;) {
        uint32_t code = (unsigned char)text[at];
        size_t length = code < 0x80 ? 1 : dt_utf8_decode(text + at, n - at, &code);
        if (code < 0x80 || length > 1) {
            add_decomposed(&s, code);
        } else {
            compose(&s);
            flush(&s);
            memcpy(out + s.written, text + at, length);
            s.written += length;
        }
        at += length;
    }
    compose(&s);
    flush(&s);
    return s.written;
}
