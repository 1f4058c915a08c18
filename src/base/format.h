// SPDX-License-Identifier: MIT
// printf into a buffer without stdio, for error messages on systems without a full C library.
#ifndef DT_BASE_FORMAT_H
#define DT_BASE_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

// Formats into out[0..size), NUL-terminated if size > 0. Returns the length of the whole text, as
// snprintf does. Any thread; independent of the locale.
// Conversions: %c %s %.Ns %.*s %d %i %u %x with l, ll, z, h, hh; %f %.Nf (N <= 9) %g; %p and %%;
// with a width, 0 for leading zeros, - for left alignment. %g prints up to six significant digits,
// in scientific form below 1e-5 and from 1e15; %f in scientific form from 1e18. Decimals are
// rounded half up (1.25 with one place is 1.3; the C library prints 1.2). Strings are copied as
// they are, since they may be paths; text that is shown passes dt_text_clean.
size_t dt_format(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t dt_vformat(char *out, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
