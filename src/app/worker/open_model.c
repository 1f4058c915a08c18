// SPDX-License-Identifier: MIT
#include "app/worker/open_model.h"

#include <stdlib.h>
#include <string.h>

#include "app/view.h"
#include "app/worker/open_remote.h"
#include "app/worker/worker_events.h"
#include "core/kv/kv_cache.h"
#include "host/clock.h"
#include "host/remote/catalogue.h"

// Uses the model's suggestions as settings; everything a user sets has precedence.
static void use_hints(struct dt_worker *w)
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
        dt_report_set(w->report, rows[i].id, text, DT_FROM_MODEL, NULL); // ignored if out of range
    }
    dt_worker_see_settings(w);
}

// The model's own template, or the turns that are used instead of it, after a notice.
static void open_own_template(struct dt_worker *w)
{
    const struct dt_model *model = dt_engine_model(w->engine);
    struct dt_error err = {0};
    dt_chat_open(&w->chat, model, NULL, DT_TEMPLATE_PLAIN, &err);
    w->family = w->chat.family;
    if (!model->chat_template && w->default_model) // the storyteller, a llama2.c file without one
        w->family = DT_TEMPLATE_STORY;
    if (w->chat.reason.status == DT_OK)
        return;
    if (w->family == DT_TEMPLATE_UNKNOWN)
        w->family = DT_TEMPLATE_PLAIN;
    dt_report_notice(w->report, DT_NOTICE_WARNING,
                     "The model's chat template cannot be run: %s. Chats use the turns of %s; "
                     "--chat-template NAME chooses another template.",
                     w->chat.reason.message, dt_template_name(w->family));
}

dt_status dt_open_template(struct dt_worker *w, const char *wanted, struct dt_error *err)
{
    struct dt_chat chat;
    dt_status status = DT_OK;
    if (strcmp(wanted, "auto") == 0) {
        dt_chat_close(&w->chat);
        open_own_template(w);
        return DT_OK;
    }
    status = dt_chat_open(&chat, dt_engine_model(w->engine), wanted, DT_TEMPLATE_PLAIN, err);
    if (status != DT_OK) {
        dt_chat_close(&chat);
        return status;
    }
    dt_chat_close(&w->chat);
    w->chat = chat;
    w->family = chat.family;
    return DT_OK;
}

// Chooses the chat template of a model that was opened.
static void choose_template(struct dt_worker *w)
{
    struct dt_error err = {0};
    dt_chat_close(&w->chat);
    if (dt_open_template(w, dt_settings_text(&w->settings, DT_SET_TEMPLATE), &err) == DT_OK)
        return;
    dt_report_error(w->report, &err);
    dt_report_notice(w->report, DT_NOTICE_WARNING, "Using the model's own chat template.");
    open_own_template(w);
}

// Whether the turns of the template are known.
static bool has_turns(const struct dt_worker *w)
{
    return w->chat.source || w->family > DT_TEMPLATE_PLAIN;
}

bool dt_open_model_chat_wanted(struct dt_worker *w)
{
    if (w->remote)
        return dt_open_remote_chat_wanted(w);
    const struct dt_model *model = dt_engine_model(w->engine);
    if (dt_settings_is(&w->settings, DT_SET_MODE, "auto"))
        return (model->hints.chat || (model->dialogue.chat && has_turns(w))) &&
               w->family != DT_TEMPLATE_STORY;
    return dt_settings_is(&w->settings, DT_SET_MODE, "chat");
}

// Says which mode the setting `auto` means for a model with a chat template, why, and how to choose
// the other.
static void report_mode(struct dt_worker *w)
{
    const struct dt_model *model = dt_engine_model(w->engine);
    const char *reason = model->dialogue.reason;
    if (!dt_settings_is(&w->settings, DT_SET_MODE, "auto") || !*reason ||
        w->family == DT_TEMPLATE_STORY)
        return; // the storyteller writes stories
    bool chat = dt_open_model_chat_wanted(w);
    if (!chat && model->dialogue.chat)
        reason = "its chat template cannot be run";
    dt_report_notice(w->report, DT_NOTICE_INFO,
                     chat ? "Chat mode: the model is for dialogues (%s). /set mode story continues "
                            "texts instead."
                          : "Story mode: the model continues texts (%s). /set mode chat talks to "
                            "it instead.",
                     reason);
}

static int on_load(void *arg, size_t done, size_t total)
{
    struct dt_worker *w = arg;
    double seconds = (double)(dt_clock_ns() - w->progress.begin_ns) / 1e9;
    dt_worker_post_progress(w, done, total,
                            done ? seconds / (double)done * (double)(total - done) : -1, false);
    return dt_worker_stopped(w);
}

// Whether a backend ("int8@avx2") is one of those in a stack ("int8@avx2+fastexp").
static bool is_in_stack(const char *name, const char *stack)
{
    size_t n = strlen(name);
    for (const char *p = stack; (p = strstr(p, name)) != NULL; p += n) {
        if ((p == stack || p[-1] == '+') && (p[n] == '\0' || p[n] == '+'))
            return true;
    }
    return false;
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
            .in_use = is_in_stack(name, stack),
        };
    }
    struct dt_app_event event = {.type = DT_EVENT_BACKENDS};
    dt_events_post(&w->report->events, &event, NULL, 0, list, dt_view_list_free);
}

// tokenizer: a file, NULL: the model's own.
static dt_status try_open(struct dt_worker *w, const char *path, const char *tokenizer,
                          struct dt_error *err)
{
    struct dt_engine_plan plan;
    char note[512];
    dt_status status = dt_engine_prepare(w->engine, path, tokenizer, &plan, err);
    if (status != DT_OK)
        return status;
    if (plan.weights.from_form != DT_FORM_NONE ||
        (plan.weights.packed_bytes && !dt_settings_is(&w->settings, DT_SET_PACK, "auto")))
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "%s: the weights are %s for %s, which needs %.1f MB of memory.", path,
                         plan.weights.from_form == DT_FORM_NONE ? "packed" : "converted",
                         plan.stack, (double)plan.weights.copied_bytes / 1e6);
    if (plan.context_reason == DT_CONTEXT_USUAL)
        dt_report_notice(w->report, DT_NOTICE_INFO, "%s",
                         dt_engine_context_note(w->engine, note, sizeof note));
    return dt_engine_start(w->engine, on_load, w, err);
}

dt_status dt_open_model_check(struct dt_worker *w, const char *path, const char *tokenizer,
                              struct dt_error *err)
{
    const struct dt_settings *s = &w->settings;
    const struct dt_engine_options options = {
        .stack = dt_settings_text(s, DT_SET_BACKEND),
        .threads = (uint32_t)dt_settings_uint(s, DT_SET_THREADS),
        .context = (uint32_t)dt_settings_uint(s, DT_SET_CONTEXT),
        .batch = (uint32_t)dt_settings_uint(s, DT_SET_BATCH),
        .kv_type = dt_kv_type_of(dt_settings_text(s, DT_SET_KV)),
        .pack = dt_pack_policy_of(dt_settings_text(s, DT_SET_PACK)),
        .weights = dt_weights_place_of(dt_settings_text(s, DT_SET_WEIGHTS)),
        .memory_limit = (size_t)dt_settings_uint(s, DT_SET_MEM_LIMIT),
    };
    struct dt_engine *engine = NULL;
    dt_status status = dt_engine_new(&engine, &options, err);
    if (status == DT_OK)
        status = dt_engine_prepare(engine, path, tokenizer, NULL, err);
    dt_engine_free(engine);
    return status;
}

// Opens the model at `path`; if that fails, the one at `before`, if a model is open. Returns the
// result of the first; *opened is the path of the one that is open now, NULL: nothing has changed.
// tokenizer: for that model; usual: the setting, which belongs to the model before.
static dt_status replace_model(struct dt_worker *w, const char *path, const char *tokenizer,
                               const char *before, const char *usual, const char **opened,
                               struct dt_error *err)
{
    struct dt_error again = {0};
    bool was_open = dt_engine_is_open(w->engine);
    dt_status status = DT_OK;
    *opened = NULL;
    if (dt_catalogue_missing(path, err))
        status = err->status;
    else if (was_open)
        status = dt_open_model_check(w, path, tokenizer, err);
    if (status != DT_OK)
        return status;
    if (was_open)
        dt_engine_close(w->engine);
    *opened = path;
    status = try_open(w, path, tokenizer, err);
    if (status != DT_OK) {
        dt_engine_close(w->engine);
        if (was_open && try_open(w, before, usual, &again) == DT_OK)
            *opened = before;
    }
    return status;
}

// A model is open: brings everything that depends on it up to date.
static void adopt_model(struct dt_worker *w, const char *path)
{
    const char *name = strrchr(path, '/');
    snprintf(w->model_path, sizeof w->model_path, "%s", path);
    dt_report_set_model_path(w->report, path);
    dt_report_forget(w->report, DT_FROM_MODEL);
    dt_worker_see_settings(w);
    use_hints(w);
    choose_template(w);
    if (w->story.count == 0)
        w->story.chat = dt_open_model_chat_wanted(w);
    report_mode(w);
    w->story.stale = w->story.count > 0;
    snprintf(w->figures.model, sizeof w->figures.model, "%s", name ? name + 1 : path);
    w->threads_set = w->settings.value[DT_SET_THREADS];
    w->context_set = w->settings.value[DT_SET_CONTEXT];
    post_backends(w);
    dt_worker_post_model(w);
    dt_worker_post_story(w, w->story.count, NULL);
}

// A tokenizer file belongs to one model: the setting becomes that of the model opened now.
static void adopt_tokenizer(struct dt_worker *w, const char *tokenizer)
{
    const char *before = dt_settings_text(&w->settings, DT_SET_TOKENIZER);
    if (strcmp(before, tokenizer) == 0)
        return;
    if (!*tokenizer)
        dt_report_notice(
            w->report, DT_NOTICE_INFO,
            "The tokenizer %s belongs to the model before, so it is not used with this "
            "one. /set tokenizer FILE chooses one.",
            before);
    dt_report_set(w->report, DT_SET_TOKENIZER, tokenizer, DT_FROM_USER, NULL);
    dt_worker_see_settings(w);
}

// Opens a model in place of the open one, if there is one. path "": the default model. tokenizer: a
// file, NULL: the model's own. The error was reported.
static dt_status open_in_place(struct dt_worker *w, const char *path, const char *tokenizer)
{
    struct dt_error err = {0};
    char usual[4096] = "", set[512], before[sizeof w->model_path];
    dt_status status = DT_OK;
    dt_report_state(w->report, DT_APP_LOADING);
    dt_worker_begin_progress(w, "opening the model");
    snprintf(before, sizeof before, "%s", w->model_path);
    dt_engine_default_model(usual, sizeof usual, &err);
    if (!*path && !*usual)
        status = err.status;
    if (!*path)
        path = usual;
    char found[sizeof w->model_path];
    if (dt_catalogue_resolve(path, found, sizeof found))
        path = found;
    const char *own = dt_settings_path(&w->settings, DT_SET_TOKENIZER, set, sizeof set);
    bool remote = status == DT_OK && dt_remote_is_address(path);
    if (remote)
        status = dt_open_remote(w, path, &err);
    else if (status == DT_OK)
        status = replace_model(w, path, tokenizer, before, own, &path, &err);
    if (status != DT_OK && err.status != DT_CANCELLED)
        dt_report_error(w->report, &err);
    bool open = dt_engine_is_open(w->engine);
    if (status == DT_OK) { // another reason for an exit code stays
        atomic_compare_exchange_strong(&w->control->exit_code, &w->open_code, 0);
        w->open_code = 0;
    } else if (!open && !w->remote &&
               (status != DT_CANCELLED || !atomic_load(&w->control->leaving))) {
        w->open_code = dt_status_exit_code(status);
        atomic_store(&w->control->exit_code, w->open_code);
    }
    if (open && path && *path && !remote) { // "": there is no default model
        dt_open_remote_leave(w);
        w->default_model = strcmp(path, usual) == 0;
        adopt_model(w, path);
    }
    return status;
}

void dt_open_model(struct dt_worker *w, const char *unused)
{
    char path[512], tokenizer[512];
    (void)unused;
    dt_worker_see_settings(w);
    const char *set = dt_settings_path(&w->settings, DT_SET_MODEL, path, sizeof path);
    open_in_place(w, set ? set : "",
                  dt_settings_path(&w->settings, DT_SET_TOKENIZER, tokenizer, sizeof tokenizer));
}

dt_status dt_open_model_tokenizer(struct dt_worker *w, const char *tokenizer)
{
    char path[sizeof w->model_path];
    snprintf(path, sizeof path, "%s", w->model_path);
    return open_in_place(w, path, tokenizer);
}

dt_status dt_open_model_with(struct dt_worker *w, const char *path, const char *tokenizer)
{
    char set[512], usual[4096] = "";
    struct dt_setting_value given = {0};
    dt_worker_see_settings(w);
    if (!*path)
        dt_engine_default_model(usual, sizeof usual, NULL);
    bool other = *w->model_path && strcmp(*path ? path : usual, w->model_path) != 0;
    if (other && tokenizer)
        snprintf(given.text, sizeof given.text, "%s", tokenizer);
    dt_status status =
        open_in_place(w, path,
                      other ? dt_settings_value_path(&given, set, sizeof set)
                            : dt_settings_path(&w->settings, DT_SET_TOKENIZER, set, sizeof set));
    if (status == DT_OK && other)
        adopt_tokenizer(w, given.text);
    return status;
}
