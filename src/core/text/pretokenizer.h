// SPDX-License-Identifier: MIT
// Splits text into the words within which byte-level BPE merges.
#ifndef DT_CORE_PRETOKENIZER_H
#define DT_CORE_PRETOKENIZER_H

#include <stddef.h>

#include "core/text/vocab.h"

// The end of the word that begins at text[at], at < n: at + 1 to n. Words follow the regular
// expressions published with the tokenizers (pretokenizer.c). A byte that is not valid UTF-8 is a
// character that is neither letter, number nor space. Linear over a whole text.
size_t dt_pretokenizer_word(enum dt_pretokenizer kind, const char *text, size_t n, size_t at);

#endif
