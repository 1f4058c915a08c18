// SPDX-License-Identifier: MIT
// Changing a setting in a session.
#ifndef DT_APP_CHANGE_H
#define DT_APP_CHANGE_H

#include "app/session.h"

// Sets one as the user, and has the worker do what the change requires (swap the backend, open the
// model again ...). Where that can fail, the worker sets the value when it has succeeded. As
// dt_settings_set. The ui thread.
dt_status dt_change_setting(struct dt_app *app, int id, const char *value, struct dt_error *err);

// Whether the worker sets this setting and reports the result.
bool dt_change_is_reported(int id);

// The same for a command: an error becomes a notice. Whether the value is valid.
bool dt_change_or_report(struct dt_app *app, int id, const char *value);

#endif
