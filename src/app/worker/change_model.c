// SPDX-License-Identifier: MIT
#include "app/worker/change_model.h"

#include <string.h>

#include "app/worker/open_model.h"
#include "host/file.h"

// Reads the value of a setting; false after a notice.
static bool parse(struct dt_worker *w, int id, const char *text, struct dt_setting_value *out)
{
    struct dt_error err = {0};
    dt_worker_see_settings(w);
    if (dt_settings_value(id, text, DT_FROM_USER, out, &err) == DT_OK)
        return true;
    dt_report_error(w->report, &err);
    return false;
}

// The change was made: from now on the setting has this value.
static void set(struct dt_worker *w, int id, const struct dt_setting_value *value)
{
    dt_report_put_value(w->report, id, value);
    dt_worker_see_settings(w);
    dt_report_notice(w->report, DT_NOTICE_INFO, "%s = %s", dt_settings_table()[id].name,
                     value->text);
}

// The path that a value names, "" if it names none. Returns out.
static const char *path_of(const struct dt_setting_value *value, char *out, size_t size)
{
    if (!dt_settings_value_path(value, out, size))
        out[0] = '\0';
    return out;
}

// Whether a model can be opened; if not, a notice says why.
static bool check(struct dt_worker *w, const char *path, const char *tokenizer)
{
    struct dt_error err = {0};
    char usual[4096];
    if (!dt_engine_is_open(w->engine) || dt_remote_is_address(path))
        return true;
    dt_status status = DT_OK;
    if (!*path)
        status = dt_engine_default_model(usual, sizeof usual, &err);
    if (status == DT_OK)
        status = dt_open_model_check(w, *path ? path : usual, tokenizer, &err);
    if (status != DT_OK)
        dt_report_error(w->report, &err);
    return status == DT_OK;
}

static void stop_and_ask(struct dt_worker *w, dt_worker_function *run, const char *text)
{
    dt_control_stop(w->control);
    dt_requests_ask(w->requests, run, text, strlen(text), false);
}

void dt_change_model_checked(struct dt_worker *w, const char *text)
{
    struct dt_setting_value value;
    char path[600];
    if (!parse(w, DT_SET_MODEL, text, &value))
        return;
    path_of(&value, path, sizeof path);
    if (strcmp(path, w->model_path) == 0 || check(w, path, NULL))
        stop_and_ask(w, dt_change_model, text);
}

void dt_change_model(struct dt_worker *w, const char *text)
{
    struct dt_setting_value value;
    char path[600];
    if (parse(w, DT_SET_MODEL, text, &value) &&
        dt_open_model_with(w, path_of(&value, path, sizeof path), NULL) == DT_OK)
        set(w, DT_SET_MODEL, &value);
}

void dt_change_tokenizer_checked(struct dt_worker *w, const char *text)
{
    struct dt_setting_value value;
    char path[600];
    if (parse(w, DT_SET_TOKENIZER, text, &value) &&
        check(w, w->model_path, dt_settings_value_path(&value, path, sizeof path)))
        stop_and_ask(w, dt_change_tokenizer, text);
}

void dt_change_tokenizer(struct dt_worker *w, const char *text)
{
    struct dt_setting_value value;
    struct dt_error err = {0};
    char buffer[600];
    if (!parse(w, DT_SET_TOKENIZER, text, &value))
        return;
    const char *path = dt_settings_value_path(&value, buffer, sizeof buffer);
    if (dt_engine_is_open(w->engine)) {
        if (dt_open_model_tokenizer(w, path) == DT_OK)
            set(w, DT_SET_TOKENIZER, &value);
    } else if (path && !dt_file_readable(path)) {
        dt_error_set(&err, DT_BAD_INPUT, path, "the tokenizer cannot be read");
        dt_report_error(w->report, &err);
    } else { // the model may be what has to be set too
        set(w, DT_SET_TOKENIZER, &value);
        dt_open_model(w, "");
    }
}

void dt_change_template(struct dt_worker *w, const char *text)
{
    struct dt_setting_value value;
    struct dt_error err = {0};
    if (!parse(w, DT_SET_TEMPLATE, text, &value))
        return;
    if (dt_engine_is_open(w->engine) && dt_open_template(w, value.text, &err) != DT_OK) {
        dt_report_error(w->report, &err);
        return;
    }
    w->story.stale = w->story.count > 0;
    set(w, DT_SET_TEMPLATE, &value);
}

void dt_change_remote_timeout(struct dt_worker *w, const char *unused)
{
    char address[sizeof w->model_path];
    (void)unused;
    if (!w->remote)
        return;
    snprintf(address, sizeof address, "%s", w->model_path);
    dt_open_model_with(w, address, NULL);
}
