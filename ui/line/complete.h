// SPDX-License-Identifier: MIT
// Tab: the application's candidates, in readline's form.
#ifndef DT_UI_LINE_COMPLETE_H
#define DT_UI_LINE_COMPLETE_H

#include "app/api.h"

// Makes readline complete with the application's candidates. One at a time.
void complete_open(const struct dt_app_api *api, struct dt_app *app);

#endif
