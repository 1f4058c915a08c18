// SPDX-License-Identifier: MIT
// The commands that the worker does.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/settings/command_ids.h"
#include "app/library/export.h"
#include "app/view.h"
#include "app/worker.h"
#include "host/clock.h"

// Text in pieces, for what a command prints.
struct buffer {
    char *text;
    size_t n, capacity;
};

static void print(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void print(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    char line[700];
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof line)
        n = sizeof line - 1;
    if (buffer->n + (size_t)n + 1 > buffer->capacity) {
        size_t capacity = 2 * (buffer->n + (size_t)n + 1) + 256;
        char *more = realloc(buffer->text, capacity);
        if (!more)
            return;
        buffer->text = more;
        buffer->capacity = capacity;
    }
    memcpy(buffer->text + buffer->n, line, (size_t)n + 1);
    buffer->n += (size_t)n;
}

static void hand_in(struct dt_worker *w, struct buffer *buffer)
{
    if (buffer->text)
        dt_app_output(w->app, buffer->text);
    free(buffer->text);
}

void dt_act_redraw(struct dt_worker *w, size_t keep, const char *what)
{
    struct dt_story *story = &w->story;
    struct dt_view_story *payload = calloc(1, sizeof *payload);
    if (!payload)
        return;
    payload->keep = keep;
    payload->fields_only = what == NULL;
    payload->id = story->id;
    payload->title = strdup(story->title ? story->title : "");
    payload->premise = strdup(story->premise ? story->premise : "");
    payload->chat = story->chat;
    payload->saved = !dt_generate_private(w) && dt_writer_healthy(w->app->writer);
    size_t count = what && story->count > keep ? story->count - keep : 0;
    payload->turns = calloc(count + 1, sizeof *payload->turns);
    for (size_t i = 0; payload->turns && i < count; i++) {
        const struct dt_turn *turn = &story->turns[keep + i];
        struct dt_view_turn *copy = &payload->turns[i];
        copy->prompt = dt_story_shown_prompt(story, keep + i);
        copy->text = strdup(turn->text);
        copy->prompt_length = copy->prompt ? strlen(copy->prompt) : 0;
        copy->text_length = copy->text ? turn->length : 0;
        copy->capacity = copy->text ? turn->length + 1 : 0;
        copy->facts = (struct dt_app_turn){.finished = turn->finished,
                                           .end = (enum dt_app_turn_end)turn->end,
                                           .tokens = turn->tokens,
                                           .seed = turn->seed,
                                           .speed = turn->speed};
        payload->count++;
    }
    struct dt_app_event event = {.type = what ? DT_EVENT_REDRAW : DT_EVENT_FIELDS,
                                 .turn = (uint32_t)keep};
    dt_events_post(&w->app->events, &event, what, what ? strlen(what) : 0, payload,
                   dt_view_story_free);
}

static bool have_model(struct dt_worker *w)
{
    if (dt_engine_is_open(w->engine))
        return true;
    dt_app_notice(w->app, DT_NOTICE_ERROR, "No model is open: /model FILE opens one.");
    return false;
}

static bool have_turn(struct dt_worker *w, const char *what)
{
    if (w->story.count > 0)
        return true;
    dt_app_notice(w->app, DT_NOTICE_WARNING, "Nothing was told yet: there is nothing to %s.", what);
    return false;
}

// ---- backends ----

static int on_swap(void *arg, size_t done, size_t total)
{
    struct dt_worker *w = arg;
    struct dt_app_event event = {
        .type = DT_EVENT_PROGRESS, .done = done, .total = total, .seconds_left = -1};
    dt_events_post(&w->app->events, &event, "making the kernels ready", 24, NULL, NULL);
    return dt_worker_stopped(w);
}

static void model_event(struct dt_worker *w)
{
    dt_generate_figures(w, true);
    struct dt_app_figures *copy = malloc(sizeof *copy);
    struct dt_app_event event = {.type = DT_EVENT_MODEL};
    if (copy)
        *copy = w->figures;
    dt_events_post(&w->app->events, &event, NULL, 0, copy, free);
}

void dt_act_swap(struct dt_worker *w, const char *stack)
{
    struct dt_error err = {0};
    struct dt_engine_plan plan;
    char before[128];
    if (!dt_engine_is_open(w->engine) || strcmp(stack, w->stack_asked) == 0)
        return;
    snprintf(before, sizeof before, "%s", dt_engine_stack_name(w->engine));
    enum dt_app_state state = (enum dt_app_state)atomic_load(&w->app->state);
    dt_worker_state(w, DT_APP_SWAPPING);
    dt_status status = dt_engine_swap_plan(w->engine, stack, &plan, &err);
    if (status == DT_OK) {
        if (plan.weights.copied_bytes)
            dt_app_notice(w->app, DT_NOTICE_INFO,
                          "%s: %.1f MB of weights are %s; %.1f MB of memory are taken beside what "
                          "stands now.",
                          plan.stack, (double)plan.weights.copied_bytes / 1e6,
                          plan.weights.packed ? "packed" : "converted", (double)plan.total / 1e6);
        status = dt_engine_swap(w->engine, stack, on_swap, w, &err);
    }
    if (status == DT_OK) {
        snprintf(w->stack_asked, sizeof w->stack_asked, "%s", stack);
        dt_app_notice(
            w->app, DT_NOTICE_INFO, "%s goes on instead of %s%s.", dt_engine_stack_name(w->engine),
            before, plan.weights.copied_bytes ? "" : ", over the weights as they lie in the file");
    } else {
        if (status != DT_CANCELLED)
            dt_app_error(w->app, &err);
        dt_app_notice(w->app, DT_NOTICE_INFO, "%s goes on.", before);
        dt_app_set(w->app, DT_SET_BACKEND, w->stack_asked, DT_FROM_USER, NULL);
    }
    dt_worker_state(w, state);
    model_event(w);
}

static void list_backends(struct dt_worker *w)
{
    struct dt_registry *registry = dt_engine_registry(w->engine);
    struct buffer buffer = {0};
    for (size_t i = 0; registry && i < dt_registry_count(registry); i++) {
        const struct dt_backend_info *info = dt_registry_at(registry, i);
        char name[160];
        snprintf(name, sizeof name, info->variant && *info->variant ? "%s@%s" : "%s", info->name,
                 info->variant);
        if (info->reason)
            print(&buffer, "%-22s -      %s\n", name, info->reason);
        else
            print(&buffer, "%-22s %-6d %s\n", name, info->score,
                  info->description ? info->description : "");
    }
    if (dt_engine_is_open(w->engine))
        print(&buffer, "now: %s. /backend STACK goes on with another, as /backend int8+fastexp\n",
              dt_engine_stack_name(w->engine));
    hand_in(w, &buffer);
}

void dt_act_threads(struct dt_worker *w, uint32_t threads)
{
    struct dt_error err = {0};
    char text[16];
    if (!dt_engine_is_open(w->engine))
        return;
    if (dt_engine_set_threads(w->engine, threads, &err) != DT_OK) {
        dt_app_error(w->app, &err);
        snprintf(text, sizeof text, "%u", dt_engine_threads(w->engine));
        dt_app_set(w->app, DT_SET_THREADS, text, DT_FROM_USER, NULL);
        return;
    }
    dt_app_notice(w->app, DT_NOTICE_INFO, "%u thread%s compute%s.", dt_engine_threads(w->engine),
                  dt_engine_threads(w->engine) == 1 ? "" : "s",
                  dt_engine_threads(w->engine) == 1 ? "s" : "");
    model_event(w);
}

// ---- stories ----

void dt_act_new_story(struct dt_worker *w, const char *why)
{
    dt_story_clear(&w->story);
    dt_act_redraw(w, 0, why);
}

static void go_on(struct dt_worker *w)
{
    struct dt_turn *turn = dt_story_last(&w->story);
    struct dt_error err = {0};
    if (!have_model(w) || !have_turn(w, "continue"))
        return;
    if (turn->finished && turn->end == DT_END_STORY && turn->length > 0) {
        dt_app_notice(w->app, DT_NOTICE_INFO,
                      "The story has ended. /retry tells it differently, /edit lets you change it, "
                      "a new line begins another.");
        return;
    }
    if (turn->end == DT_END_CONTEXT && !dt_settings_is(&w->settings, DT_SET_OVERFLOW, "shift")) {
        dt_app_notice(w->app, DT_NOTICE_INFO,
                      "The context is full: /set overflow shift lets the story go on and forget "
                      "its beginning.");
        return;
    }
    if (w->story.stale && dt_story_rebuild(w, &err) != DT_OK) {
        dt_app_error(w->app, &err);
        return;
    }
    dt_generate(w, true);
}

static void retry(struct dt_worker *w)
{
    struct dt_story *story = &w->story;
    struct dt_turn *turn = dt_story_last(story);
    struct dt_error err = {0};
    if (!have_model(w) || !have_turn(w, "tell again"))
        return;
    turn->length = 0;
    turn->text[0] = '\0';
    turn->tokens = 0;
    turn->random = 0;
    uint64_t seed = dt_settings_uint(&w->settings, DT_SET_SEED);
    turn->seed = seed ? turn->seed + 1 : dt_generate_new_seed(w);
    if (turn->output_at == DT_NOWHERE)
        story->stale = true;
    else
        story->token_count = turn->output_at;
    if (story->stale && dt_story_rebuild(w, &err) != DT_OK) {
        dt_app_error(w->app, &err);
        return;
    }
    if (dt_settings_real(&w->settings, DT_SET_TEMPERATURE) == 0)
        dt_app_notice(w->app, DT_NOTICE_INFO,
                      "The temperature is 0: the likeliest words are the same again.");
    dt_act_redraw(w, story->count - 1, "told again");
    dt_generate(w, false);
}

static void undo(struct dt_worker *w)
{
    struct dt_story *story = &w->story;
    if (!have_turn(w, "take back"))
        return;
    char *prompt = strdup(dt_story_last(story)->prompt);
    size_t n = story->count - 1;
    dt_story_cut(story, n);
    if (story->kept && !dt_generate_private(w))
        dt_writer_wait(w->app->writer, dt_writer_cut(w->app->writer, story->kept, (uint32_t)n),
                       &w->app->stopping, NULL, NULL);
    dt_act_redraw(w, n, "undone");
    dt_generate_figures(w, false);
    if (prompt)
        dt_app_post(w->app, DT_EVENT_INPUT, *prompt == ' ' ? prompt + 1 : prompt);
    free(prompt);
}

static void edit(struct dt_worker *w)
{
    if (have_turn(w, "edit"))
        dt_app_post(w->app, DT_EVENT_EDIT, dt_story_last(&w->story)->text);
}

static void take_settings(struct dt_worker *w, char *lines)
{
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
        char *value = strstr(line, " = ");
        if (!value)
            continue;
        *value = '\0';
        int id = dt_settings_find(line);
        if (id >= 0) // flags and environment stay stronger
            dt_app_set(w->app, id, value + 3, DT_FROM_FILE, NULL);
    }
    dt_worker_see_settings(w);
}

void dt_act_open(struct dt_worker *w, int64_t id)
{
    struct dt_story *story = &w->story;
    struct dt_story_record record;
    struct dt_error err = {0};
    if (dt_writer_wait(w->app->writer, dt_writer_load(w->app->writer, id), &w->app->stopping,
                       &record, &err) != DT_SAVED) {
        dt_app_error(w->app, &err);
        return;
    }
    dt_story_clear(story);
    free(story->premise);
    story->premise = record.premise && *record.premise ? strdup(record.premise) : NULL;
    story->title = strdup(record.title);
    story->chat = record.chat;
    story->id = record.id;
    for (size_t i = 0; i < record.turn_count; i++) {
        const struct dt_turn_record *from = &record.turns[i];
        struct dt_turn *turn = dt_story_add(story, from->prompt);
        if (!turn || !dt_story_append_text(turn, from->output, strlen(from->output)))
            break;
        turn->request =
            !record.chat && w->family == DT_TEMPLATE_STORY && dt_story_is_request(turn->prompt);
        turn->finished = true;
        turn->end =
            from->finished ? from->end : DT_END_STOPPED; // cut off by a crash: it can be continued
        turn->tokens = from->tokens;
        turn->seed = from->seed;
        turn->speed = from->speed;
        snprintf(turn->stack, sizeof turn->stack, "%s", from->stack);
    }
    story->stale = true;
    take_settings(w, record.settings);
    if (record.system && *record.system)
        dt_app_set(w->app, DT_SET_SYSTEM, record.system, DT_FROM_FILE, NULL);
    dt_worker_see_settings(w);
    story->kept = dt_writer_story_new(w->app->writer, &record);
    if (record.model && *record.model && strcmp(record.model, w->model_path) != 0) {
        if (access(record.model, R_OK) == 0)
            dt_worker_open_model(w, record.model);
        else
            dt_app_notice(w->app, DT_NOTICE_WARNING,
                          "%s, which told this story, is not there any more: %s goes on.",
                          record.model, w->figures.model);
    }
    if (record.stack && *record.stack && w->settings.value[DT_SET_BACKEND].source < DT_FROM_FILE &&
        dt_engine_is_open(w->engine) && strcmp(record.stack, dt_engine_stack_name(w->engine)) != 0)
        dt_app_notice(w->app, DT_NOTICE_INFO, "It was told with %s; /backend %s goes on with that.",
                      record.stack, record.stack);
    char what[200];
    snprintf(what, sizeof what, "Story %lld: %s", (long long)story->id, story->title);
    dt_act_redraw(w, 0, what);
    dt_generate_figures(w, false);
    dt_story_record_free(&record);
}

static void export_story(struct dt_worker *w, const char *arguments)
{
    struct dt_story_record record;
    struct dt_error err = {0};
    char path[4096], *end;
    int64_t id = strtoll(arguments, &end, 10);
    bool of_library = end != arguments && *end == ' ';
    const char *name = of_library ? end + strspn(end, " ") : arguments;
    if (name[0] == '~' && name[1] == '/' && getenv("HOME"))
        snprintf(path, sizeof path, "%s%s", getenv("HOME"), name + 1);
    else
        snprintf(path, sizeof path, "%s", name);
    if (!*name) {
        dt_app_notice(w->app, DT_NOTICE_WARNING,
                      "/export FILE.md, FILE.txt or FILE.json; /export N FILE writes story N of "
                      "the library.");
        return;
    }
    if (of_library) {
        if (dt_writer_wait(w->app->writer, dt_writer_load(w->app->writer, id), &w->app->stopping,
                           &record, &err) != DT_SAVED) {
            dt_app_error(w->app, &err);
            return;
        }
    } else {
        if (!have_turn(w, "export"))
            return;
        dt_story_as_record(w, &record);
    }
    if (dt_export_file(path, &record, &err) == DT_OK)
        dt_app_notice(w->app, DT_NOTICE_INFO, "%zu turn%s written to %s.", record.turn_count,
                      record.turn_count == 1 ? "" : "s", path);
    else
        dt_app_error(w->app, &err);
    if (of_library)
        dt_story_record_free(&record);
    else
        free(record.turns);
}

static void rename_story(struct dt_worker *w, const char *title)
{
    struct dt_story *story = &w->story;
    struct dt_story_record record;
    if (!*title) {
        dt_app_notice(w->app, DT_NOTICE_INFO,
                      "This story is called \"%s\". /rename TITLE gives it another title.",
                      story->title ? story->title : "");
        return;
    }
    free(story->title);
    story->title = strdup(title);
    if (story->kept && !dt_generate_private(w)) {
        dt_story_as_record(w, &record);
        dt_writer_put_fields(w->app->writer, story->kept, &record);
        free(record.turns);
    }
    dt_act_redraw(w, story->count, NULL);
    dt_app_notice(w->app, DT_NOTICE_INFO, "Renamed to \"%s\".", title);
}

static void delete_story(struct dt_worker *w, const char *arguments)
{
    struct dt_error err = {0};
    int64_t id = *arguments ? strtoll(arguments, NULL, 10) : w->story.id;
    if (id == w->story.id) {
        uint64_t ticket = w->story.kept && id ? dt_writer_delete(w->app->writer, id) : 0;
        if (ticket && dt_writer_wait(w->app->writer, ticket, NULL, NULL, &err) != DT_SAVED) {
            dt_app_error(w->app, &err);
            return;
        }
        dt_act_new_story(w, "deleted");
        return;
    }
    if (dt_writer_wait(w->app->writer, dt_writer_delete(w->app->writer, id), NULL, NULL, &err) ==
        DT_SAVED)
        dt_app_notice(w->app, DT_NOTICE_INFO, "Story %lld is deleted.", (long long)id);
    else
        dt_app_error(w->app, &err);
}

static void pin(struct dt_worker *w, const char *text)
{
    struct dt_story *story = &w->story;
    if (!*text) {
        if (story->premise && *story->premise)
            dt_app_notice(w->app, DT_NOTICE_INFO, "Pinned: %s", story->premise);
        else
            dt_app_notice(w->app, DT_NOTICE_INFO,
                          "Nothing is pinned. /pin TEXT keeps a premise at the head of the "
                          "context, whatever else is dropped.");
        return;
    }
    free(story->premise);
    story->premise = strcmp(text, "-") == 0 ? NULL : strdup(text);
    story->stale = story->count > 0;
    dt_act_redraw(w, story->count, NULL);
    dt_app_notice(w->app, DT_NOTICE_INFO, "%s%s",
                  story->premise ? "Pinned." : "Nothing is pinned any more.",
                  story->count ? " The story so far is read again with the next turn." : "");
}

// ---- numbers ----

static void memory(struct dt_worker *w)
{
    struct dt_engine_plan plan;
    struct dt_memory_facts facts;
    struct buffer buffer = {0};
    dt_memory_facts(&facts);
    if (dt_engine_is_open(w->engine)) {
        dt_engine_memory(w->engine, &plan);
        print(&buffer, "model file, mapped   %10.2f MB  %s\n", (double)plan.file_bytes / 1e6,
              w->model_path);
        print(&buffer, "weights in place     %10.2f MB  part of the mapping\n",
              (double)plan.weights.in_place_bytes / 1e6);
        print(&buffer, "weights copied       %10.2f MB\n", (double)plan.weights.copied_bytes / 1e6);
        print(&buffer, "KV cache             %10.2f MB  %u positions, %u used\n",
              (double)plan.session.kv / 1e6, plan.context, w->story.token_count);
        print(&buffer, "scratch, logits      %10.2f MB\n",
              (double)(plan.session.scratch + plan.session.logits + plan.session.tables) / 1e6);
        print(&buffer, "vocabulary, tables   %10.2f MB\n",
              (double)(plan.model_tables + plan.tokenizer) / 1e6);
        print(&buffer, "sampler              %10.2f MB\n", (double)plan.sampler / 1e6);
        print(&buffer, "all of our own       %10.2f MB\n", (double)plan.total / 1e6);
    }
    print(&buffer, "resident             %10.2f MB  at its highest %.2f\n", (double)facts.rss / 1e6,
          (double)facts.rss_peak / 1e6);
    print(&buffer, "anonymous            %10.2f MB\n", (double)facts.anonymous / 1e6);
    print(&buffer, "available            %10.2f MB  of %.2f\n", (double)facts.available / 1e6,
          (double)facts.total / 1e6);
    print(&buffer, "major faults         %10llu\n", (unsigned long long)facts.major_faults);
    hand_in(w, &buffer);
}

static void stats(struct dt_worker *w)
{
    const struct dt_app_figures *f = &w->figures;
    const struct dt_turn *turn = dt_story_last(&w->story);
    struct buffer buffer = {0};
    dt_generate_figures(w, true);
    print(&buffer, "told                 %u tokens in %.2f s, %.1f tok/s\n", f->tokens, f->seconds,
          f->speed_mean);
    print(&buffer, "prompt               %u tokens evaluated, %.1f tok/s\n", f->prompt_tokens,
          f->prompt_speed);
    print(&buffer, "first token          %.1f ms\n", f->first_token_ms);
    print(&buffer, "context              %u of %u\n", f->context_used, f->context_total);
    print(&buffer, "computed by          %s, %u thread%s\n", f->stack, f->threads,
          f->threads == 1 ? "" : "s");
    print(&buffer, "seed                 %llu\n",
          (unsigned long long)(turn ? turn->seed : f->seed));
    if (w->speech) {
        struct dt_speech_figures voice;
        char line[300];
        dt_speech_figures(w->speech, &voice);
        print(&buffer, "%s\n", dt_speech_line(&voice, line, sizeof line));
    }
    hand_in(w, &buffer);
}

static void set_context(struct dt_worker *w)
{
    struct dt_error err = {0};
    char text[16];
    if (!dt_engine_is_open(w->engine))
        return;
    if (dt_engine_set_context(w->engine, (uint32_t)dt_settings_uint(&w->settings, DT_SET_CONTEXT),
                              &err) != DT_OK) {
        dt_app_error(w->app, &err);
        snprintf(text, sizeof text, "%u", dt_session_capacity(dt_engine_session(w->engine)));
        dt_app_set(w->app, DT_SET_CONTEXT, text, DT_FROM_USER, NULL);
    } else if (w->story.count > 0) {
        w->story.stale = true;
        dt_app_notice(
            w->app, DT_NOTICE_INFO,
            "The context holds %u tokens now; the story so far is read again with the next turn.",
            dt_session_capacity(dt_engine_session(w->engine)));
    }
    dt_generate_figures(w, true);
}

void dt_act(struct dt_worker *w, int id, const char *arguments)
{
    char first[128] = "", second[128] = "";
    switch (id) {
    case DT_COMMAND_NEW:
        dt_act_new_story(w, "a new story");
        dt_generate_figures(w, false);
        break;
    case DT_COMMAND_CONTINUE:
        go_on(w);
        break;
    case DT_COMMAND_RETRY:
        retry(w);
        break;
    case DT_COMMAND_UNDO:
        undo(w);
        break;
    case DT_COMMAND_EDIT:
        edit(w);
        break;
    case DT_COMMAND_BACKEND:
        if (*arguments)
            dt_act_swap(w, arguments);
        else
            list_backends(w);
        break;
    case DT_COMMAND_COMPARE:
        if (sscanf(arguments, "%127s %127s", first, second) != 2)
            dt_app_notice(w->app, DT_NOTICE_WARNING,
                          "/compare STACK STACK, as /compare reference int8");
        else if (have_model(w))
            dt_compare(w, first, second);
        break;
    case DT_COMMAND_MODEL:
        dt_worker_open_model(w, arguments);
        break;
    case DT_COMMAND_THREADS:
        dt_act_threads(w, (uint32_t)strtoul(arguments, NULL, 10));
        break;
    case DT_COMMAND_STATS:
        stats(w);
        break;
    case DT_COMMAND_MEMORY:
        memory(w);
        break;
    case DT_COMMAND_OPEN:
        dt_act_open(w, strtoll(arguments, NULL, 10));
        break;
    case DT_COMMAND_EXPORT:
        export_story(w, arguments);
        break;
    case DT_COMMAND_RENAME:
        rename_story(w, arguments);
        break;
    case DT_COMMAND_DELETE:
        delete_story(w, arguments);
        break;
    case DT_COMMAND_PIN:
        pin(w, arguments);
        break;
    case DT_COMMAND_SYSTEM: // the setting was changed; the context has it in its first turn
        w->story.stale = w->story.chat && w->story.count > 0;
        break;
    case DT_COMMAND_SPEAK:
        if (dt_settings_on(&w->settings, DT_SET_SPEAK) && dt_generate_open_speech(w)) {
            struct dt_speech_figures voice;
            dt_speech_figures(w->speech, &voice);
            dt_app_notice(w->app, DT_NOTICE_INFO,
                          "Stories are read aloud from the next turn on (%s).", voice.voice);
        }
        break;
    case DT_ACT_CONTEXT:
        set_context(w);
        break;
    case DT_COMMAND_PRIVATE:
        dt_act_redraw(w, w->story.count, NULL);
        break;
    default:
        break;
    }
}
