// SPDX-License-Identifier: MIT
// Unicode normalisation form C, which some tokenizers apply to text before they split it.
#ifndef DT_CORE_NORMALIZE_H
#define DT_CORE_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>

// A text of n bytes has at most DT_NFC_GROWTH * n bytes in form C.
#define DT_NFC_GROWTH 3u

// Whether every character of text[0..n) is below U+0300: such a text is in form C. False for some
// texts that are in form C. Pure.
bool dt_nfc_is_simple(const char *text, size_t n);

// Writes text[0..n) in form C (Unicode 15.1) to out, which holds DT_NFC_GROWTH * n bytes, and
// returns how many bytes it wrote. Bytes that are not UTF-8 are copied. Of more than 255 combining
// marks in a row only the first 255 are ordered and composed together. Linear. Pure.
size_t dt_nfc(const char *text, size_t n, char *out);

#endif
