// SPDX-License-Identifier: MIT
#include "app/scripts.h"

void dt_scripts_end_last(struct dt_app *app)
{
    fclose(app->scripts[--app->script_count]);
}

void dt_scripts_end(struct dt_app *app)
{
    while (app->script_count > 0)
        dt_scripts_end_last(app);
}

void dt_scripts_begin(struct dt_app *app, FILE *in)
{
    if (app->script_count == DT_SCRIPTS_MAX) {
        dt_report_notice(
            &app->report, DT_NOTICE_ERROR,
            "More than %d scripts begin one another; all were ended. A script must not "
            "begin itself.",
            DT_SCRIPTS_MAX);
        fclose(in);
        dt_scripts_end(app);
        atomic_store(&app->control.exit_code, dt_status_exit_code(DT_USAGE));
        return;
    }
    if (app->script_count == 0)
        app->script_stops = atomic_load(&app->control.stops);
    app->scripts[app->script_count++] = in;
}
