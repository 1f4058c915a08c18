// SPDX-License-Identifier: MIT
#include "charset.h"

#include <stdlib.h>
#include <string.h>

char *ui_to_utf8(const struct dt_app_api *api, struct dt_app *app, const char *bytes)
{
    size_t n = strlen(bytes);
    char *utf8 = malloc(3 * n + 9);
    if (utf8)
        utf8[api->decode(app, bytes, n, utf8)] = 0;
    return utf8;
}

char *ui_from_utf8(const struct dt_app_api *api, struct dt_app *app, const char *utf8)
{
    size_t n = strlen(utf8);
    char *bytes = malloc(n + 9);
    if (bytes)
        bytes[api->encode(app, utf8, n, bytes)] = 0;
    return bytes;
}
