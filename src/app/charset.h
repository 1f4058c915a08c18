// SPDX-License-Identifier: MIT
// Between UTF-8 and what a terminal shows.
#ifndef DT_APP_CHARSET_H
#define DT_APP_CHARSET_H

#include "app/api.h"

// Sets the locale of the environment for characters; C.UTF-8 if none is set or it is not installed.
void dt_charset_set_locale(void);

// What the locale says (dt_charset_set_locale must have been called), or the word of the setting:
// "auto", "utf8", "ascii", "latin1".
enum dt_app_charset dt_charset_resolve(const char *word);

// As in struct dt_app_api.
size_t dt_charset_encode(enum dt_app_charset charset, const char *s, size_t n, char *out);
size_t dt_charset_decode(enum dt_app_charset charset, const char *s, size_t n, char *out);

#endif
