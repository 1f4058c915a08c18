// SPDX-License-Identifier: MIT
#include "app/commands/commands_library.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands/question.h"
#include "app/library/export.h"
#include "app/worker/open_model.h"
#include "app/worker/prompts.h"
#include "app/worker/save.h"
#include "app/worker/story_settings.h"
#include "app/worker/worker_events.h"

void dt_command_library(struct dt_app *app, char *arguments)
{
    uint32_t number = ++app->searches;
    atomic_store(&app->print_search, number);
    atomic_fetch_add(&app->answers, 1);
    if (!dt_writer_search(app->writer, arguments, 0, 20, number))
        dt_app_answered(app);
}

static void report_no_number(struct dt_report *report, const char *text)
{
    dt_report_notice(report, DT_NOTICE_WARNING,
                     "\"%s\" is not the number of a story. /library lists the stories.", text);
}

// Loads a story from the library, and waits for it. False after a notice; else the caller releases
// *out with dt_story_record_free.
static bool load(struct dt_worker *w, int64_t id, struct dt_story_record *out)
{
    struct dt_error err = {0};
    if (dt_writer_wait(w->writer, dt_writer_load(w->writer, id), &w->control->stopping, out,
                       &err) == DT_SAVED)
        return true;
    dt_report_error(w->report, &err);
    return false;
}

// ---- opening ----

static void add_turns(struct dt_worker *w, const struct dt_story_record *record)
{
    for (size_t i = 0; i < record->turn_count; i++) {
        const struct dt_turn_record *from = &record->turns[i];
        struct dt_turn *turn = dt_story_add(&w->story, from->prompt);
        if (!turn || !dt_story_append_text(turn, from->output, strlen(from->output)))
            break;
        turn->request =
            !record->chat && w->family == DT_TEMPLATE_STORY && dt_story_is_request(turn->prompt);
        turn->finished = true;
        turn->end = from->finished ? from->end : DT_END_STOPPED; // a draft can be continued
        turn->tokens = from->tokens;
        turn->seed = from->seed;
        turn->speed = from->speed;
        snprintf(turn->stack, sizeof turn->stack, "%s", from->stack);
    }
}

// Opens the model of the story if it is not the one in use, and says if the stack was another.
static void use_model(struct dt_worker *w, const struct dt_story_record *record)
{
    if (*record->model && strcmp(record->model, w->model_path) != 0) {
        if (dt_remote_is_address(record->model) || access(record->model, R_OK) == 0)
            dt_open_model_with(w, record->model, record->tokenizer);
        else
            dt_report_notice(w->report, DT_NOTICE_WARNING,
                             "The model of this story, %s, is not available. Continuing with %s.",
                             record->model, w->figures.model);
    }
    if (*record->stack && w->settings.value[DT_SET_BACKEND].source < DT_FROM_FILE &&
        dt_engine_is_open(w->engine) && strcmp(record->stack, dt_engine_stack_name(w->engine)) != 0)
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "The story was generated with %s. /backend %s continues with it.",
                         record->stack, record->stack);
}

static void open_story(struct dt_worker *w, const char *arguments, bool first)
{
    struct dt_story *story = &w->story;
    struct dt_story_record record;
    char what[200];
    int64_t id = 0; // the last story
    if (*arguments && strcmp(arguments, "last") != 0 && !dt_story_number(arguments, &id)) {
        report_no_number(w->report, arguments);
        return;
    }
    if (!load(w, id, &record))
        return;
    dt_story_clear(story);
    dt_story_settings_use(w, &record, first);
    story->title = strdup(record.title);
    story->chat = record.chat;
    story->id = record.id;
    add_turns(w, &record);
    story->stale = true;
    story->saved = dt_writer_story_new(w->writer, &record);
    use_model(w, &record);
    snprintf(what, sizeof what, "Story %lld: %s", (long long)story->id, story->title);
    dt_worker_post_story(w, 0, what);
    dt_worker_post_figures(w, false);
    dt_story_record_free(&record);
}

void dt_command_open(struct dt_worker *w, const char *arguments)
{
    open_story(w, arguments, false);
}

void dt_command_open_first(struct dt_worker *w, const char *number)
{
    open_story(w, number, true);
}

// ---- exporting and renaming ----

// Reads "[--thoughts] [N] FILE". *id: N, or 0. False if there is no file name.
static bool read_export(const char *arguments, bool *thoughts, int64_t *id, char *path, size_t size)
{
    static const char option[] = "--thoughts";
    char number[24];
    *thoughts = strncmp(arguments, option, sizeof option - 1) == 0 &&
                strchr(" ", arguments[sizeof option - 1]) != NULL;
    if (*thoughts)
        arguments += sizeof option - 1;
    arguments += strspn(arguments, " ");
    size_t n = strcspn(arguments, " ");
    snprintf(number, sizeof number, "%.*s", (int)n, arguments);
    bool of_library = arguments[n] == ' ' && n < sizeof number && dt_story_number(number, id);
    const char *name = of_library ? arguments + n + strspn(arguments + n, " ") : arguments;
    if (!of_library)
        *id = 0;
    if (name[0] == '~' && name[1] == '/' && getenv("HOME"))
        snprintf(path, size, "%s%s", getenv("HOME"), name + 1);
    else
        snprintf(path, size, "%s", name);
    return *name != '\0';
}

static void export_story(struct dt_worker *w, const char *arguments, bool replace)
{
    struct dt_save_record own;
    struct dt_story_record loaded;
    struct dt_error err = {0};
    char path[4096];
    int64_t id;
    bool thoughts;
    read_export(arguments, &thoughts, &id, path, sizeof path);
    if (id ? !load(w, id, &loaded) : !dt_worker_has_turn(w, "export"))
        return;
    if (!id)
        dt_save_make_record(w, &own);
    const struct dt_story_record *record = id ? &loaded : &own.story;
    if (dt_export_file(path, record, replace, thoughts, &err) == DT_OK)
        dt_report_notice(w->report, DT_NOTICE_INFO, "Exported %zu turn%s to %s.",
                         record->turn_count, record->turn_count == 1 ? "" : "s", path);
    else
        dt_report_error(w->report, &err);
    if (id)
        dt_story_record_free(&loaded);
    else
        free(own.story.turns);
}

static void export_to_new(struct dt_worker *w, const char *arguments)
{
    export_story(w, arguments, false);
}

static void export_over(struct dt_worker *w, const char *arguments)
{
    export_story(w, arguments, true);
}

void dt_command_export(struct dt_app *app, char *arguments)
{
    char path[4096], question[400];
    int64_t id;
    bool thoughts;
    if (!read_export(arguments, &thoughts, &id, path, sizeof path)) {
        dt_report_notice(&app->report, DT_NOTICE_WARNING,
                         "Which file? /export FILE writes the story, /export N FILE story N of the "
                         "library; FILE ends in .md, .txt or .json.");
        return;
    }
    if (access(path, F_OK) != 0) {
        dt_requests_ask(&app->requests, export_to_new, arguments, strlen(arguments), true);
        return;
    }
    snprintf(question, sizeof question, "%.300s exists. Replace it?", path);
    dt_question_post(&app->report,
                     dt_question_open(app, export_over, arguments,
                                      "The file exists; nothing was written.", false),
                     question);
}

void dt_command_rename(struct dt_worker *w, const char *arguments)
{
    struct dt_story *story = &w->story;
    struct dt_save_record record;
    if (!*arguments) {
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "The title is \"%s\". /rename TITLE changes it.",
                         story->title ? story->title : "");
        return;
    }
    free(story->title);
    story->title = strdup(arguments);
    if (story->saved && !dt_worker_private(w)) {
        dt_save_make_fields(w, &record);
        dt_writer_put_fields(w->writer, story->saved, &record.story);
    }
    dt_worker_post_story(w, story->count, NULL);
    dt_report_notice(w->report, DT_NOTICE_INFO, "Renamed to \"%s\".", arguments);
}

// ---- deleting ----

// arguments: the number of a story; "": the one at hand.
static void delete_story(struct dt_worker *w, const char *arguments)
{
    struct dt_error err = {0};
    int64_t id = *arguments ? strtoll(arguments, NULL, 10) : w->story.id;
    if (w->story.saved) // another session may have made it another story
        w->story.id = dt_writer_story_number(w->story.saved);
    bool at_hand = !*arguments || id == w->story.id, in_library = !at_hand || w->story.saved;
    struct dt_writer_story *saved = at_hand ? w->story.saved : NULL;
    if (in_library && dt_writer_wait(w->writer, dt_writer_delete(w->writer, saved, id), NULL, NULL,
                                     &err) != DT_SAVED)
        dt_report_error(w->report, &err);
    else if (at_hand)
        dt_story_begin(w, "deleted");
    else
        dt_report_notice(w->report, DT_NOTICE_INFO, "Deleted story %lld.", (long long)id);
}

// On the worker: asks whether to delete a story that is in the library. text: the question's number
// and the story's.
static void ask_to_delete(struct dt_worker *w, const char *text)
{
    struct dt_story_record record;
    char question[300], *end;
    uint32_t number = (uint32_t)strtoul(text, &end, 10);
    int64_t id = strtoll(end, NULL, 10);
    if (!load(w, id, &record))
        return;
    snprintf(question, sizeof question,
             "Delete story %lld, \"%.120s\", from the library? This cannot be undone.",
             (long long)id, record.title);
    dt_story_record_free(&record);
    dt_question_post(w->report, number, question);
}

void dt_command_delete(struct dt_app *app, char *arguments)
{
    const struct dt_app_story *story = dt_view_story(app->view);
    const char *text = "Delete this story? This cannot be undone.";
    char request[64];
    int64_t id = story->id;
    if (*arguments && !dt_story_number(arguments, &id)) {
        report_no_number(&app->report, arguments);
        return;
    }
    if (id <= 0 && story->turns == 0) {
        dt_report_notice(&app->report, DT_NOTICE_WARNING,
                         "Which story? /delete N deletes story N; /library lists the stories.");
        return;
    }
    uint32_t number = dt_question_open(app, delete_story, arguments, "Nothing deleted.", true);
    if (id > 0) {
        snprintf(request, sizeof request, "%u %lld", number, (long long)id);
        dt_requests_ask(&app->requests, ask_to_delete, request, strlen(request), true);
    } else {
        dt_question_post(&app->report, number, text);
    }
}
