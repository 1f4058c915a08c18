// SPDX-License-Identifier: MIT
// UTF-8, terminal columns, and the filter that all text of models passes before it is shown.
#ifndef DT_BASE_TEXT_H
#define DT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DT_REPLACEMENT 0xFFFDu

// Decodes the first character of s[0..n), n > 0: returns its length 1..4 and sets *code. An invalid
// byte or an incomplete sequence is one character of length 1 with *code = DT_REPLACEMENT (overlong
// forms, surrogates and values above U+10FFFF are invalid).
size_t dt_utf8_decode(const char *s, size_t n, uint32_t *code);

// Encodes code into out[0..4) and returns the length. Invalid codes become U+FFFD.
size_t dt_utf8_encode(uint32_t code, char out[4]);

// Whether all of s[0..n) is valid UTF-8.
bool dt_utf8_valid(const char *s, size_t n);

// The length of s[0..n) without an incomplete character at its end.
size_t dt_utf8_whole(const char *s, size_t n);

// Columns of a character on a terminal: 0 (combining, zero width), 1, 2 (wide and fullwidth, emoji
// presentation), or -1 for control characters. Uses a table (width_table.py), so that the screen
// does not depend on the C library. Sequences that some terminals draw as one character (joined
// emoji, variation selector 16) count as their parts, as in ncurses.
int dt_text_width(uint32_t code);

// Columns of s[0..n); control characters count as 0.
size_t dt_text_columns(const char *s, size_t n);

enum dt_text_form {
    DT_TEXT_LINE,  // a name, a message: newline, tab and marks of direction are controls too
    DT_TEXT_LINES, // newline and tab stay
};

// The border for foreign text: names, paths, messages of other programs, rows of a library. Copies
// s[0..n) to out and makes it safe to print: each control character (C0, DEL, C1, the Unicode line
// and paragraph separators, bidi overrides and isolates) and each byte of invalid UTF-8 becomes
// '?'. Writes at most size - 1 bytes, cut at the end of a character, and a NUL (size > 0). The
// result is never longer than n. out may be s. Returns its length.
size_t dt_text_clean(char *out, size_t size, const char *s, size_t n, enum dt_text_form form);

// Whether dt_text_clean would not change s[0..n).
bool dt_text_is_clean(const char *s, size_t n, enum dt_text_form form);

// Makes clean text of bytes that arrive in pieces. Control characters except newline and tab are
// dropped (as listed above). A character
// that is split over pieces is held until it is complete. Invalid bytes become U+FFFD (one for each
// maximal part of a sequence, as Unicode recommends). The output does not depend on how the bytes
// are divided into pieces. All zero: a new filter.
struct dt_text_filter {
    unsigned char held[4];
    uint8_t held_count;
};

// Filters n bytes; writes at most 3 * (n + 4) bytes to out and returns how many.
size_t dt_text_filter_push(struct dt_text_filter *filter, const char *s, size_t n, char *out);

// Ends the text: an incomplete character becomes U+FFFD. Writes at most 12 bytes and returns how
// many. The filter is new again.
size_t dt_text_filter_flush(struct dt_text_filter *filter, char *out);

#endif
