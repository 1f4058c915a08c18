// SPDX-License-Identifier: MIT
// Values of settings that are one word of a list, such as theme or stats.
#ifndef DT_UI_COMMON_SETTING_H
#define DT_UI_COMMON_SETTING_H

#include <stdbool.h>

#include "app/api.h"

bool ui_setting_is(const struct dt_app_api *api, struct dt_app *app, int setting, const char *word);

// The place of the value in the setting's list of words, 0 for the first.
int ui_setting_choice(const struct dt_app_api *api, struct dt_app *app, int setting);

// Whether thoughts of a model are shown, by the setting `thinking`. terminal: the output is one.
bool ui_thoughts_are_shown(const struct dt_app_api *api, struct dt_app *app, bool terminal);

#endif
