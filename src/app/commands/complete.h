// SPDX-License-Identifier: MIT
// What Tab offers.
#ifndef DT_APP_COMPLETE_H
#define DT_APP_COMPLETE_H

#include "app/session.h"

// As complete() of struct dt_app_api.
const struct dt_app_completion *dt_complete(struct dt_app *app, const char *line, size_t cursor);
void dt_complete_free(struct dt_app *app);

#endif
