// SPDX-License-Identifier: MIT
// Cuts a story into sentences while it is still being written: what a voice is given to say.
#ifndef DT_BASE_SENTENCE_H
#define DT_BASE_SENTENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The longest piece given to a voice, in bytes. A longer sentence is cut at a comma or a space.
#define DT_SENTENCE_MAX 400

// The splitter: a plain value of fixed size, owned by whoever feeds it. Zeroed, it is ready.
struct dt_sentence {
    char sentence[DT_SENTENCE_MAX + 1]; // the last complete one, terminated, blanks folded to one
    char text[DT_SENTENCE_MAX + 1];     // what is being collected
    size_t length;                      // of text
    size_t end;        // one may end here (behind its stop and closing quotes), 0: nowhere yet
    uint32_t newlines; // seen since the last visible character
    bool gap;          // blanks seen since the last visible character
    char unit[4];      // a UTF-8 sequence in the making
    uint8_t unit_length, unit_need;
};

// Takes UTF-8 text in pieces of any size, split anywhere. Consumes up to the first complete
// sentence: returns how many of the n bytes it took and sets *complete when s->sentence holds one;
// call again with what is left. A sentence is complete when what follows shows that it is: ".",
// "!", "?" or an ellipsis, with closing quotes, and then something that does not begin with a small
// letter; an empty line; or the end of a line before a capital. "Mr." and other titles, initials,
// "3.14" and "1." at the start do not end one, and pieces without anything to say ("***") are left
// out.
size_t dt_sentence_push(struct dt_sentence *s, const char *text, size_t n, bool *complete);

// The end of the story: true if there was something left, now in s->sentence. The splitter is fresh
// again.
bool dt_sentence_flush(struct dt_sentence *s);

// Syllables of English text, by counting groups of vowels: an estimate.
uint32_t dt_sentence_syllables(const char *text, size_t n);

// Milliseconds that a voice at so many words a minute takes to say the text: its syllables (1.5 a
// word) and a pause for each comma and stop. An estimate, for figures and tests.
uint32_t dt_sentence_milliseconds(const char *text, size_t n, uint32_t words_per_minute);

#endif
