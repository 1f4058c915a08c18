// SPDX-License-Identifier: MIT
// UTF-8, terminal columns, and the filter that every byte of model text passes before anybody sees
// it.
#ifndef DT_BASE_TEXT_H
#define DT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DT_REPLACEMENT 0xFFFDu

// Decodes one character of s[0..n), n > 0: returns its length 1..4 and sets *code. An invalid or
// cut byte counts as one character of length 1 with *code = DT_REPLACEMENT (overlong forms,
// surrogates and values above U+10FFFF are invalid).
size_t dt_utf8_decode(const char *s, size_t n, uint32_t *code);

// Encodes code into out[0..4), returns the length; what is no character becomes U+FFFD.
size_t dt_utf8_encode(uint32_t code, char out[4]);

// 1 if all of s[0..n) is valid UTF-8.
bool dt_utf8_valid(const char *s, size_t n);

// Columns of a character on a terminal: 0 (combining, zero width), 1 or 2 (wide and fullwidth,
// emoji presentation), -1 for control characters. Our own table (width_table.py), so every libc
// gives the same screen. Character by character: sequences that some terminals draw as one (joined
// emoji, variation selector 16) count as their parts, as in ncurses.
int dt_text_width(uint32_t code);

// Columns of s[0..n), controls counted as 0.
size_t dt_text_columns(const char *s, size_t n);

// Joins bytes into whole clean characters: control characters other than newline and tab (C0, DEL,
// C1, and the Unicode line/paragraph separators and bidi overrides) are dropped, characters split
// over pieces are held back until whole, invalid bytes become U+FFFD (one for each maximal part of
// a sequence, as Unicode recommends). Zeroed it is fresh. How the bytes were cut into pieces makes
// no difference to what comes out.
struct dt_text_filter {
    unsigned char held[4];
    uint8_t held_count;
};

// Passes n bytes; writes at most 3 * (n + 4) bytes to out and returns how many.
size_t dt_text_filter_push(struct dt_text_filter *filter, const char *s, size_t n, char *out);

// The end of the text: an unfinished character becomes U+FFFD. Writes at most 12 bytes. The filter
// is fresh again.
size_t dt_text_filter_flush(struct dt_text_filter *filter, char *out);

#endif
