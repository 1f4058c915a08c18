// SPDX-License-Identifier: MIT
// Between UTF-8 and what a terminal shows.
#ifndef DT_APP_CHARSET_H
#define DT_APP_CHARSET_H

#include "app/api.h"

// What the locale says (setlocale must have been called), or the word of the setting: "auto",
// "utf8", "ascii", "latin1".
enum dt_app_charset dt_charset_resolve(const char *word);

// As in struct dt_app_api.
size_t dt_charset_encode(enum dt_app_charset charset, const char *s, size_t n, char *out);
size_t dt_charset_decode(enum dt_app_charset charset, const char *s, size_t n, char *out);

#endif
