// SPDX-License-Identifier: MIT
#include "app/worker/open_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/worker/worker_events.h"
#include "core/text/thoughts.h"
#include "host/string_buffer.h"

static void on_notice(void *arg, const char *line)
{
    dt_report_notice(arg, DT_NOTICE_WARNING, "%s", line);
}

struct dt_remote_options dt_open_remote_options(struct dt_worker *w, const char *address)
{
    return (struct dt_remote_options){
        .address = address,
        .silence_seconds = (uint32_t)dt_settings_uint(&w->settings, DT_SET_REMOTE_TIMEOUT),
        .stop = &w->control->stopping,
        .notice = on_notice,
        .arg = w->report,
    };
}

bool dt_open_remote_chat_wanted(struct dt_worker *w)
{
    if (dt_settings_is(&w->settings, DT_SET_MODE, "auto"))
        return dt_remote_facts(w->remote)->chat != 0;
    return dt_settings_is(&w->settings, DT_SET_MODE, "chat");
}

struct list {
    struct dt_string_buffer lines;
    char base[512];
};

static void add_name(void *arg, const char *name)
{
    struct list *list = arg;
    dt_string_buffer_printf(&list->lines, "%s#%s\n", list->base, name);
}

// Offers the server's models when a model's name is typed.
static void offer_models(struct dt_worker *w)
{
    struct list list = {0};
    const char *address = dt_remote_address(w->remote);
    snprintf(list.base, sizeof list.base, "%.*s", (int)strcspn(address, "#"), address);
    dt_remote_models(w->remote, add_name, &list);
    dt_report_set_remote_models(w->report, dt_string_buffer_detach(&list.lines));
}

// A connection is open: brings everything that depends on the model up to date.
static void adopt(struct dt_worker *w)
{
    const struct dt_remote_facts *facts = dt_remote_facts(w->remote);
    const char *address = dt_remote_address(w->remote);
    char context[48] = "the length of its context is unknown";
    snprintf(w->model_path, sizeof w->model_path, "%s", address);
    dt_report_set_model_path(w->report, address);
    dt_report_forget(w->report, DT_FROM_MODEL);
    dt_worker_see_settings(w);
    dt_chat_close(&w->chat);
    w->chat = (struct dt_chat){.thoughts = DT_THOUGHT_ANY};
    w->family = DT_TEMPLATE_PLAIN;
    w->default_model = false;
    w->remote_used = 0;
    w->story.unsent = 0;
    w->story.stale = w->story.count > 0;
    if (w->story.count == 0)
        w->story.chat = dt_open_remote_chat_wanted(w);
    snprintf(w->figures.model, sizeof w->figures.model, "%s", facts->model);
    if (facts->context)
        snprintf(context, sizeof context, "a context of %u tokens", facts->context);
    dt_report_notice(w->report, DT_NOTICE_INFO,
                     "Connected to %s: %s, %s. %s; /set mode %s changes that.", address,
                     facts->model, context, w->story.chat ? "Chat mode" : "Story mode",
                     w->story.chat ? "story" : "chat");
    offer_models(w);
    dt_worker_post_model(w);
    dt_worker_post_story(w, w->story.count, NULL);
}

dt_status dt_open_remote(struct dt_worker *w, const char *address, struct dt_error *err)
{
    struct dt_remote_options options = dt_open_remote_options(w, address);
    struct dt_remote *remote;
    dt_status status = DT_OK;
    if (strlen(address) >= sizeof w->model_path)
        status = dt_error_set(err, DT_USAGE, address, "an address has at most %zu bytes",
                              sizeof w->model_path - 1);
    if (status == DT_OK)
        status = dt_remote_open(&remote, &options, err);
    if (status != DT_OK)
        return status;
    if (dt_engine_is_open(w->engine))
        dt_engine_close(w->engine);
    dt_remote_close(w->remote);
    w->remote = remote;
    adopt(w);
    return DT_OK;
}

void dt_open_remote_leave(struct dt_worker *w)
{
    if (!w->remote)
        return;
    dt_remote_close(w->remote);
    w->remote = NULL;
    w->remote_used = 0;
    w->story.unsent = 0;
    dt_report_set_remote_models(w->report, NULL);
}
