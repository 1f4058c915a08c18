// SPDX-License-Identifier: MIT
// The cut of a text into words before byte-level BPE merges within each.
#ifndef DT_CORE_PRETOKENIZER_H
#define DT_CORE_PRETOKENIZER_H

#include <stddef.h>

#include "core/text/vocab.h"

// The end of the word that begins at text[at], at < n: at + 1 .. n. The words are those of the
// regular expressions that the families' tokenizers publish, for text in any bytes: a byte that is
// no UTF-8 is a character that is neither letter, number nor space. Linear over a whole text.
size_t dt_pretokenizer_word(enum dt_pretokenizer kind, const char *text, size_t n, size_t at);

#endif
