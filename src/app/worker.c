// SPDX-License-Identifier: MIT
#include "app/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "app/view.h"
#include "host/clock.h"
#include "host/modules/modules.h"

// ---- requests ----

static void free_request(struct dt_request *request)
{
    if (request)
        free(request->text);
    free(request);
}

bool dt_worker_ask(struct dt_app *app, enum dt_request_type type, int id, const char *text,
                   size_t length, bool live)
{
    struct dt_worker *w = app->worker;
    struct dt_request *request = calloc(1, sizeof *request);
    if (!request || !(request->text = calloc(length + 1, 1))) {
        free_request(request);
        dt_app_notice(app, DT_NOTICE_ERROR, "No memory for what was typed.");
        return false;
    }
    if (length)
        memcpy(request->text, text, length);
    request->type = type;
    request->id = id;
    request->live = live;
    request->stops = atomic_load(&app->stops);
    pthread_mutex_lock(&w->lock);
    if (w->last)
        w->last->next = request;
    else
        w->first = request;
    w->last = request;
    atomic_fetch_add(&w->waiting, 1);
    if (live)
        atomic_fetch_add(&w->live, 1);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    return true;
}

bool dt_worker_busy(struct dt_app *app)
{
    return atomic_load(&app->worker->waiting) > 0 || atomic_load(&app->worker->busy);
}

bool dt_worker_stopped(struct dt_worker *w)
{
    return atomic_load(&w->app->stops) != w->stops;
}

// Takes the first request, or the first live one. With the lock.
static struct dt_request *take(struct dt_worker *w, bool live)
{
    struct dt_request **at = &w->first, *before = NULL;
    while (*at && live && !(*at)->live) {
        before = *at;
        at = &(*at)->next;
    }
    struct dt_request *request = *at;
    if (!request)
        return NULL;
    *at = request->next;
    if (w->last == request)
        w->last = before;
    atomic_fetch_sub(&w->waiting, 1);
    if (request->live)
        atomic_fetch_sub(&w->live, 1);
    return request;
}

void dt_worker_live_requests(struct dt_worker *w)
{
    for (;;) {
        pthread_mutex_lock(&w->lock);
        struct dt_request *request = take(w, true);
        pthread_mutex_unlock(&w->lock);
        if (!request)
            return;
        dt_worker_see_settings(w);
        dt_act(w, request->id, request->text);
        free_request(request);
    }
}

void dt_worker_state(struct dt_worker *w, enum dt_app_state state)
{
    if (atomic_exchange(&w->app->state, (int)state) == (int)state)
        return;
    struct dt_app_event event = {.type = DT_EVENT_STATE, .state = state};
    dt_events_post(&w->app->events, &event, NULL, 0, NULL, NULL);
}

void dt_worker_see_settings(struct dt_worker *w)
{
    unsigned changes = atomic_load(&w->app->settings_changes);
    if (changes == w->settings_seen)
        return;
    w->settings_seen = changes;
    dt_app_settings(w->app, &w->settings);
}

// ---- models ----

static void take_hints(struct dt_worker *w)
{
    const struct dt_model_hints *hints = &dt_engine_model(w->engine)->hints;
    const struct {
        int id;
        float value;
    } rows[] = {
        {DT_SET_TEMPERATURE, hints->temperature},
        {DT_SET_TOP_P, hints->top_p},
        {DT_SET_TOP_K, hints->top_k},
        {DT_SET_MIN_P, hints->min_p},
        {DT_SET_REPEAT_PENALTY, hints->repeat_penalty},
        {DT_SET_LENGTH, hints->length ? (float)hints->length : DT_UNSET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[32];
        if (rows[i].value < 0)
            continue;
        if (dt_settings_table()[rows[i].id].type == DT_SETTING_REAL)
            dt_settings_real_text(rows[i].value, text, sizeof text);
        else
            snprintf(text, sizeof text, "%.0f", (double)rows[i].value);
        // hints are suggestions: one out of range is left alone
        dt_app_set(w->app, rows[i].id, text, DT_FROM_MODEL, NULL);
    }
    dt_worker_see_settings(w);
}

// How chats and requests are put to this model.
static void choose_template(struct dt_worker *w, bool default_model)
{
    const struct dt_model *model = dt_engine_model(w->engine);
    const char *wanted = dt_settings_text(&w->settings, DT_SET_TEMPLATE);
    w->family = dt_template_recognise(model->chat_template,
                                      model->chat_template ? model->chat_template_length : 0);
    if (strcmp(wanted, "auto") != 0) {
        if (!dt_template_by_name(wanted, &w->family))
            dt_app_notice(w->app, DT_NOTICE_WARNING,
                          "There is no chat template '%s': the model's own is used.", wanted);
    } else if (w->family == DT_TEMPLATE_PLAIN && default_model) {
        w->family = DT_TEMPLATE_STORY; // the storyteller's llama2.c form cannot say so
    } else if (w->family == DT_TEMPLATE_UNKNOWN) {
        dt_app_notice(w->app, DT_NOTICE_WARNING,
                      "The model's chat template is of no family we know: chats are put to it "
                      "plainly (--chat-template NAME).");
        w->family = DT_TEMPLATE_PLAIN;
    }
}

static bool chat_wanted(struct dt_worker *w)
{
    if (dt_settings_is(&w->settings, DT_SET_MODE, "auto"))
        return dt_engine_model(w->engine)->hints.chat && w->family != DT_TEMPLATE_STORY;
    return dt_settings_is(&w->settings, DT_SET_MODE, "chat");
}

static int on_load(void *arg, size_t done, size_t total)
{
    struct dt_worker *w = arg;
    uint64_t now = dt_clock_ns();
    if (now - w->progress_ns > 125000000) {
        double seconds = (double)(now - w->progress_begun) / 1e9;
        struct dt_app_event event = {.type = DT_EVENT_PROGRESS, .done = done, .total = total};
        event.seconds_left = done ? seconds / (double)done * (double)(total - done) : -1;
        w->progress_ns = now;
        dt_events_post(&w->app->events, &event, w->progress_what, strlen(w->progress_what), NULL,
                       NULL);
    }
    return dt_worker_stopped(w);
}

static void post_backends(struct dt_worker *w)
{
    struct dt_registry *registry = dt_engine_registry(w->engine);
    size_t count = registry ? dt_registry_count(registry) : 0;
    struct dt_view_list *list =
        count ? dt_view_list_new(count, sizeof(struct dt_app_backend)) : NULL;
    if (!list)
        return;
    struct dt_app_backend *items = list->items;
    const char *stack = dt_engine_is_open(w->engine) ? dt_engine_stack_name(w->engine) : "";
    for (size_t i = 0; i < count; i++) {
        const struct dt_backend_info *info = dt_registry_at(registry, i);
        char name[160];
        snprintf(name, sizeof name, info->variant && *info->variant ? "%s@%s" : "%s", info->name,
                 info->variant);
        items[i] = (struct dt_app_backend){
            .name = dt_view_list_text(list, name),
            .description = dt_view_list_text(list, info->description),
            .path = dt_view_list_text(list, info->path),
            .score = info->score,
            .reason = info->reason ? dt_view_list_text(list, info->reason) : NULL,
        };
        // a level of the stack, between '+' signs
        size_t n = strlen(name);
        for (const char *p = stack; (p = strstr(p, name)) != NULL; p += n) {
            if ((p == stack || p[-1] == '+') && (p[n] == '\0' || p[n] == '+'))
                items[i].in_use = true;
        }
    }
    struct dt_app_event event = {.type = DT_EVENT_BACKENDS};
    dt_events_post(&w->app->events, &event, NULL, 0, list, dt_view_list_free);
}

static dt_status try_open(struct dt_worker *w, const char *path, struct dt_error *err)
{
    char tokenizer[512];
    struct dt_engine_plan plan;
    dt_status status = dt_engine_prepare(
        w->engine, path,
        dt_settings_path(&w->settings, DT_SET_TOKENIZER, tokenizer, sizeof tokenizer), &plan, err);
    if (status != DT_OK)
        return status;
    if (plan.weights.copied_bytes)
        dt_app_notice(w->app, DT_NOTICE_INFO, "%s: the weights are %s for %s, which takes %.1f MB.",
                      path, plan.weights.packed ? "packed" : "converted", plan.stack,
                      (double)plan.weights.copied_bytes / 1e6);
    return dt_engine_start(w->engine, on_load, w, err);
}

dt_status dt_worker_open_model(struct dt_worker *w, const char *path)
{
    struct dt_error err = {0};
    char wanted[512], usual[4096] = "", before[sizeof w->model_path];
    dt_status status = DT_OK;
    dt_worker_see_settings(w);
    dt_worker_state(w, DT_APP_LOADING);
    w->progress_what = "opening the model";
    w->progress_begun = dt_clock_ns();
    w->progress_ns = w->progress_begun;
    snprintf(before, sizeof before, "%s", w->model_path);
    dt_engine_default_model(usual, sizeof usual, &err);
    if (!*path && dt_settings_path(&w->settings, DT_SET_MODEL, wanted, sizeof wanted))
        path = wanted;
    if (!*path && !*usual)
        status = err.status;
    if (!*path)
        path = usual;
    if (status == DT_OK) {
        bool was_open = dt_engine_is_open(w->engine);
        if (was_open)
            dt_engine_close(w->engine);
        status = try_open(w, path, &err);
        if (status != DT_OK) {
            dt_engine_close(w->engine);
            struct dt_error again = {0};
            // what was there before is there still
            if (was_open && try_open(w, before, &again) == DT_OK)
                path = before;
        }
    }
    if (status != DT_OK && err.status != DT_CANCELLED)
        dt_app_error(w->app, &err);
    w->load_status = dt_engine_is_open(w->engine) ? DT_OK : status;
    if (status == DT_OK)
        atomic_store(&w->app->exit_code, 0);
    else if (w->load_status != DT_OK)
        atomic_store(&w->app->exit_code, dt_status_exit_code(status));
    if (!dt_engine_is_open(w->engine))
        return status;
    snprintf(w->model_path, sizeof w->model_path, "%s", path);
    pthread_mutex_lock(&w->app->settings_lock);
    snprintf(w->app->model_path, sizeof w->app->model_path, "%s", path);
    dt_settings_forget(&w->app->settings, DT_FROM_MODEL);
    pthread_mutex_unlock(&w->app->settings_lock);
    atomic_fetch_add(&w->app->settings_changes, 1);
    dt_worker_see_settings(w);
    take_hints(w);
    choose_template(w, strcmp(path, usual) == 0);
    if (w->story.count == 0)
        w->story.chat = chat_wanted(w);
    w->story.stale = w->story.count > 0;
    snprintf(w->figures.model, sizeof w->figures.model, "%s",
             strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    snprintf(w->stack_asked, sizeof w->stack_asked, "%s",
             dt_settings_text(&w->settings, DT_SET_BACKEND));
    dt_generate_figures(w, true);
    post_backends(w);
    struct dt_app_figures *copy = malloc(sizeof *copy);
    struct dt_app_event event = {.type = DT_EVENT_MODEL};
    if (copy)
        *copy = w->figures;
    dt_events_post(&w->app->events, &event, NULL, 0, copy, free);
    dt_act_redraw(w, w->story.count, NULL);
    return status;
}

// ---- prompts ----

static bool have_model(struct dt_worker *w)
{
    if (dt_engine_is_open(w->engine))
        return true;
    dt_app_notice(w->app, DT_NOTICE_ERROR, "No model is open: /model FILE opens one.");
    return false;
}

// One line of data/openings.txt, another one each time.
static void random_opening(struct dt_worker *w, char *out, size_t size)
{
    char path[4096], line[256];
    unsigned count = 0;
    snprintf(out, size, "Once upon a time");
    FILE *in = dt_modules_data("openings.txt", path, sizeof path) ? fopen(path, "re") : NULL;
    if (!in)
        return;
    uint64_t dice = dt_generate_new_seed(w);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] && line[0] != '#' && dice % ++count == 0)
            snprintf(out, size, "%s", line);
    }
    fclose(in);
}

// A prompt that begins where the text so far ends.
static void join(const struct dt_turn *before, const char *prompt, char **out)
{
    char last = before->length ? before->text[before->length - 1] : ' ';
    bool glued = last == ' ' || last == '\n' || strchr(" \n\t.,;:!?'\")", prompt[0]) != NULL;
    if (asprintf(out, "%s%s", glued ? "" : " ", prompt) < 0)
        *out = NULL;
}

static void do_prompt(struct dt_worker *w, const char *text)
{
    struct dt_story *story = &w->story;
    struct dt_turn *last = dt_story_last(story);
    struct dt_error err = {0};
    char opening[512];
    char *joined = NULL;
    if (!have_model(w))
        return;
    if (story->count == 0) {
        story->chat = chat_wanted(w);
        if (!*text && !story->chat) {
            snprintf(opening, sizeof opening, "%s", dt_settings_text(&w->settings, DT_SET_OPENING));
            if (!opening[0])
                random_opening(w, opening, sizeof opening);
            text = opening;
        }
    }
    if (!*text)
        return;
    bool request = !story->chat && w->family == DT_TEMPLATE_STORY && dt_story_is_request(text);
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine));
    if (last && last->end == DT_END_CONTEXT &&
        !dt_settings_is(&w->settings, DT_SET_OVERFLOW, "shift"))
        dt_act_new_story(w, "a new story: the context was full");
    else if (last && !story->chat && last->end == DT_END_STORY && !request)
        dt_act_new_story(w, "a new story");
    else if (last && dt_settings_is(&w->settings, DT_SET_OVERFLOW, "new") &&
             story->token_count + strlen(text) / 2 + capacity / 4 > capacity)
        dt_act_new_story(w, "a new story: little of the context was left");
    last = dt_story_last(story);
    if (last && !story->chat && !request)
        join(last, text, &joined);
    struct dt_turn *turn = dt_story_add(story, joined ? joined : text);
    free(joined);
    if (!turn) {
        dt_app_notice(w->app, DT_NOTICE_ERROR, "No memory for another turn.");
        return;
    }
    turn->request = request;
    uint64_t seed = dt_settings_uint(&w->settings, DT_SET_SEED);
    turn->seed = seed ? seed + story->count - 1 : dt_generate_new_seed(w);
    dt_status status = dt_story_put_prompt(w, &err);
    if (status == DT_OK && story->token_count >= capacity) {
        // it fits, but not behind what is there
        if (dt_settings_is(&w->settings, DT_SET_OVERFLOW, "shift")) {
            uint32_t dropped = 0;
            while (story->token_count + 8 >= capacity && story->token_count > story->head + 8)
                dropped += dt_story_shift(story);
            dt_app_notice(w->app, DT_NOTICE_INFO,
                          "The context is full (%u tokens): the oldest %u are dropped.", capacity,
                          dropped);
        } else {
            status = dt_error_set(&err, DT_CONTEXT_FULL, NULL,
                                  "the context is full (%u tokens): /new begins another story; "
                                  "/set overflow shift lets it forget its beginning",
                                  capacity);
        }
    }
    if (status != DT_OK) {
        dt_story_cut(story, story->count - 1);
        dt_app_error(w->app, &err);
        dt_app_post(w->app, DT_EVENT_INPUT, text);
        return;
    }
    dt_generate(w, false);
}

static void do_edit(struct dt_worker *w, const char *text)
{
    struct dt_turn *turn = dt_story_last(&w->story);
    struct dt_error err = {0};
    if (!have_model(w) || !turn)
        return;
    if (dt_story_replace_text(w, text, &err) != DT_OK) {
        dt_app_error(w->app, &err);
        return;
    }
    dt_act_redraw(w, w->story.count - 1, "edited");
    dt_generate(w, true);
}

static void do_request(struct dt_worker *w, struct dt_request *request)
{
    w->asked_ns = dt_clock_ns();
    dt_worker_see_settings(w);
    switch (request->type) {
    case DT_REQUEST_PROMPT:
        do_prompt(w, request->text);
        break;
    case DT_REQUEST_EDIT:
        do_edit(w, request->text);
        break;
    case DT_REQUEST_COMMAND:
        dt_act(w, request->id, request->text);
        break;
    case DT_REQUEST_MODEL:
        dt_worker_open_model(w, request->text);
        break;
    case DT_REQUEST_QUIT:
        break;
    }
}

static void *work(void *arg)
{
    struct dt_worker *w = arg;
    struct dt_app *app = w->app;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        while (!w->first) {
            if (atomic_exchange(
                    &w->busy, 0)) { // whatever it was, it is done: even if the state never changed
                struct dt_app_event event = {.type = DT_EVENT_STATE, .state = DT_APP_IDLE};
                atomic_store(&app->state, DT_APP_IDLE);
                dt_events_post(&app->events, &event, NULL, 0, NULL, NULL);
            }
            pthread_cond_wait(&w->wake, &w->lock);
        }
        atomic_store(&w->busy, 1); // before the number that waits goes down
        struct dt_request *request = take(w, false);
        pthread_mutex_unlock(&w->lock);
        // a stop that came after this request was made is for it, an older one is not
        w->stops = request->stops;
        atomic_store(&app->stopping, 0);
        dt_engine_uncancel(w->engine);
        if (atomic_load(&app->stops) != w->stops) {
            atomic_store(&app->stopping, 1);
            dt_engine_cancel(w->engine);
        }
        bool quit = request->type == DT_REQUEST_QUIT;
        if (!quit)
            do_request(w, request);
        free_request(request);
        if (quit)
            return NULL;
    }
}

dt_status dt_worker_new(struct dt_app *app, struct dt_error *err)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct dt_worker *w = calloc(1, sizeof *w);
    sigset_t all, before;
    if (!w)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for a sitting");
    app->worker = w;
    w->app = app;
    w->engine = app->engine;
    w->settings_seen = atomic_load(&app->settings_changes) - 1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    // signals are the ui thread's, but for one's own faults
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(w);
        app->worker = NULL;
        return dt_error_set(err, DT_FAILED, NULL, "the worker's thread cannot be started: %s",
                            strerror(failed));
    }
    return DT_OK;
}

void dt_worker_free(struct dt_app *app)
{
    struct dt_worker *w = app->worker;
    if (!w)
        return;
    pthread_join(w->thread, NULL);
    while (w->first) {
        struct dt_request *request = take(w, false);
        free_request(request);
    }
    dt_speech_close(w->speech);
    dt_story_free(&w->story);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
    app->worker = NULL;
}
