// SPDX-License-Identifier: MIT
// Whole texts between the terminal's charset and UTF-8.
#ifndef DT_UI_COMMON_CHARSET_H
#define DT_UI_COMMON_CHARSET_H

#include "app/api.h"

// A new string, which the caller frees; NULL without memory.
char *ui_to_utf8(const struct dt_app_api *api, struct dt_app *app, const char *bytes);
char *ui_from_utf8(const struct dt_app_api *api, struct dt_app *app, const char *utf8);

#endif
