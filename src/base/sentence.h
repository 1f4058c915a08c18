// SPDX-License-Identifier: MIT
// Splits a story into sentences while it is generated, for reading aloud.
#ifndef DT_BASE_SENTENCE_H
#define DT_BASE_SENTENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The longest sentence in bytes. A longer one is split at a comma or a space.
#define DT_SENTENCE_MAX 400

// The splitter: a plain value of fixed size. All zero: a new one.
struct dt_sentence {
    char sentence[DT_SENTENCE_MAX + 1]; // the last complete one, terminated, with single spaces
    char text[DT_SENTENCE_MAX + 1];     // the incomplete one
    size_t length;                      // of text
    size_t end;        // possible end, after a stop and closing quotes; 0: none yet
    uint32_t newlines; // since the last visible character
    bool gap;          // white space since the last visible character
    char unit[4];      // an incomplete UTF-8 sequence
    uint8_t unit_length, unit_need;
};

// Reads UTF-8 text in pieces of any size, up to the end of the first complete sentence. Returns how
// many of the n bytes it has read, and sets *complete if s->sentence has a sentence; call it again
// with the rest. A sentence ends with ".", "!", "?" or an ellipsis and closing quotes, if the text
// after it does not begin with a small letter; with an empty line; or with the end of a line before
// a capital. Titles such as "Mr.", initials, "3.14" and "1." at the start do not end one. Text
// without anything to read aloud ("***") is skipped.
size_t dt_sentence_push(struct dt_sentence *s, const char *text, size_t n, bool *complete);

// Ends the story: true if text was left, which is now in s->sentence. The splitter is new again.
bool dt_sentence_flush(struct dt_sentence *s);

// An estimate of the syllables of English text: the number of groups of vowels.
uint32_t dt_sentence_syllables(const char *text, size_t n);

// An estimate of the milliseconds that reading the text aloud takes, from its syllables (1.5 in a
// word) and a pause for each comma and stop. words_per_minute 0: 175.
uint32_t dt_sentence_milliseconds(const char *text, size_t n, uint32_t words_per_minute);

#endif
