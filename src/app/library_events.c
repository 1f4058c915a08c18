// SPDX-License-Identifier: MIT
#include "app/library_events.h"

#include <stdlib.h>
#include <time.h>

#include "app/session.h"
#include "app/worker/worker_events.h"
#include "host/string_buffer.h"

static void print_stories(struct dt_app *app, const struct dt_library_entry *entries, size_t count)
{
    struct dt_string_buffer out = {0};
    for (size_t i = 0; i < count; i++) {
        char when[32];
        dt_record_date(entries[i].updated, false, "%Y-%m-%d %H:%M", when, sizeof when);
        dt_string_buffer_printf(&out, "%5lld  %s  %3u turn%s  %s\n", (long long)entries[i].id, when,
                                entries[i].turns, entries[i].turns == 1 ? " " : "s",
                                entries[i].title);
    }
    dt_string_buffer_printf(&out, "%s",
                            count ? "/open N opens one of them.\n" : "No matching stories.\n");
    if (out.text)
        dt_report_output(&app->report, out.text);
    dt_string_buffer_free(&out);
}

static struct dt_view_list *make_list(const struct dt_library_entry *entries, size_t count)
{
    struct dt_view_list *list = dt_view_list_new(count, sizeof(struct dt_app_entry));
    if (!list)
        return NULL;
    struct dt_app_entry *items = list->items;
    for (size_t i = 0; i < count; i++) {
        const struct dt_library_entry *from = &entries[i];
        items[i] = (struct dt_app_entry){
            .id = from->id,
            .title = dt_view_list_text(list, from->title),
            .model = dt_view_list_text(list, from->model),
            .stack = dt_view_list_text(list, from->stack),
            .snippet = dt_view_list_text(list, from->snippet),
            .created = from->created,
            .updated = from->updated,
            .turns = from->turns,
        };
    }
    return list;
}

static void on_list(struct dt_app *app, const struct dt_writer_report *report)
{
    struct dt_app_event event = {.type = DT_EVENT_LIBRARY, .id = report->number};
    struct dt_view_list *list = make_list(report->entries, report->count);
    bool print = atomic_load(&app->print_search) == report->number;
    if (print && report->text)
        dt_report_notice(&app->report, DT_NOTICE_WARNING, "%s: no stories can be searched.",
                         report->text);
    else if (print)
        print_stories(app, report->entries, report->count);
    dt_library_entries_free(report->entries, report->count);
    if (list)
        dt_events_post(&app->report.events, &event, NULL, 0, list, dt_view_list_free);
    if (print)
        dt_app_answered(app);
}

static void post_figures(struct dt_worker *w, const char *unused)
{
    (void)unused;
    dt_worker_post_figures(w, false);
}

void dt_library_events_on_report(void *arg, const struct dt_writer_report *report)
{
    struct dt_app *app = arg;
    switch (report->type) {
    case DT_WRITER_NOTICE:
        dt_report_notice(&app->report, report->level, "%s", report->text);
        break;
    case DT_WRITER_LAST:
        if (app->interactive)
            dt_report_notice(&app->report, DT_NOTICE_INFO,
                             "Last story: \"%s\" (%zu turn%s). /open continues it.", report->text,
                             report->count, report->count == 1 ? "" : "s");
        break;
    case DT_WRITER_LIST:
        on_list(app, report);
        break;
    case DT_WRITER_HEALTH: // the status line shows it
        dt_requests_ask(&app->requests, post_figures, NULL, 0, true);
        break;
    case DT_WRITER_STORY:
        break;
    }
}
