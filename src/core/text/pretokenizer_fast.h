// SPDX-License-Identifier: MIT
// The most frequent rules as code, for speed. They give what their patterns give (pretokenizer.c).
#ifndef DT_CORE_PRETOKENIZER_FAST_H
#define DT_CORE_PRETOKENIZER_FAST_H

#include "core/text/vocab.h"

// Whether a rule has a faster form.
bool dt_pretokenizer_is_fast(enum dt_pretokenizer kind);

// The end of the word that begins at text[at], at < n, for such a rule.
size_t dt_pretokenizer_fast(enum dt_pretokenizer kind, const char *text, size_t n, size_t at);

#endif
