// SPDX-License-Identifier: MIT
// printf into a buffer without stdio: the engine reports errors where there is no C library.
#ifndef DT_BASE_FORMAT_H
#define DT_BASE_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

// Formats into out[0..size), always NUL-terminated when size > 0. Knows %c %s %.Ns %.*s %d %i %u %x
// with l, ll, z, h, hh; %f %.Nf (N <= 9) %g; %p and %%; a width, zeros before it, - for the left.
// %g prints up to six significant digits, in scientific form below 1e-5 and from 1e15 on, %f from
// 1e18 on likewise. Control bytes in strings are replaced by '?', so foreign text cannot reach a
// terminal this way. Decimals are rounded half up (1.25 is 1.3 at one place, where the C library
// says 1.2). Returns the length the whole text has (as snprintf does). Any thread, no locale.
size_t dt_format(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t dt_vformat(char *out, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
