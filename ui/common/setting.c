// SPDX-License-Identifier: MIT
#include "setting.h"

#include <string.h>

bool ui_setting_is(const struct dt_app_api *api, struct dt_app *app, int setting, const char *word)
{
    return strcmp(api->get(app, setting), word) == 0;
}

int ui_setting_choice(const struct dt_app_api *api, struct dt_app *app, int setting)
{
    size_t count;
    const char *word = api->settings(app, &count)[setting].choices;
    const char *value = api->get(app, setting);
    size_t length = strlen(value);
    for (int place = 0; *word; place++) {
        size_t n = strcspn(word, " ");
        if (n == length && memcmp(word, value, n) == 0)
            return place;
        word += n + (word[n] == ' ');
    }
    return 0;
}

bool ui_thoughts_are_shown(const struct dt_app_api *api, struct dt_app *app, bool terminal)
{
    const char *how = api->get(app, DT_SET_THINKING);
    return strcmp(how, "show") == 0 || (terminal && strcmp(how, "auto") == 0);
}
