// SPDX-License-Identifier: MIT
#include "app/commands/commands_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands/change.h"
#include "app/models.h"
#include "app/worker/compare.h"
#include "app/worker/worker_events.h"
#include "base/text.h"
#include "host/string_buffer.h"

static void output(struct dt_worker *w, struct dt_string_buffer *buffer)
{
    if (buffer->text)
        dt_report_output(w->report, buffer->text);
    dt_string_buffer_free(buffer);
}

void dt_command_model(struct dt_app *app, char *arguments)
{
    size_t count;
    const char *path = arguments;
    if (!*arguments) {
        dt_models_find(app, true);
        return;
    }
    // a name from the list of models is as good as its path
    const struct dt_app_model *models = dt_view_models(app->view, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(models[i].name, arguments) == 0)
            path = models[i].path;
    }
    dt_change_or_report(app, DT_SET_MODEL, path);
}

// ---- backends ----

static void list_backends(struct dt_worker *w, const char *unused)
{
    (void)unused;
    struct dt_registry *registry = dt_engine_registry(w->engine);
    struct dt_string_buffer out = {0};
    for (size_t i = 0; registry && i < dt_registry_count(registry); i++) {
        const struct dt_backend_info *info = dt_registry_at(registry, i);
        char name[160];
        snprintf(name, sizeof name, info->variant && *info->variant ? "%s@%s" : "%s", info->name,
                 info->variant);
        if (info->reason)
            dt_string_buffer_printf(&out, "%-22s -      %s\n", name, info->reason);
        else
            dt_string_buffer_printf(&out, "%-22s %-6d %s\n", name, info->score,
                                    info->description ? info->description : "");
    }
    if (dt_engine_is_open(w->engine))
        dt_string_buffer_printf(
            &out, "In use: %s. /backend STACK continues with another one, such as int8+fastexp.\n",
            dt_engine_stack_name(w->engine));
    else if (w->remote)
        dt_string_buffer_printf(&out,
                                "In use: none of them, because %s computes. /backend STACK chooses "
                                "one for local models.\n",
                                dt_remote_address(w->remote));
    output(w, &out);
}

void dt_command_backend(struct dt_app *app, char *arguments)
{
    if (*arguments)
        dt_change_or_report(app, DT_SET_BACKEND, arguments);
    else
        dt_requests_ask(&app->requests, list_backends, NULL, 0, true);
}

void dt_command_threads(struct dt_app *app, char *arguments)
{
    dt_change_or_report(app, DT_SET_THREADS, *arguments ? arguments : "0");
}

void dt_command_compare(struct dt_worker *w, const char *arguments)
{
    char first[512] = "", second[512] = "";
    if (sscanf(arguments, "%511s %511s", first, second) != 2)
        dt_report_notice(w->report, DT_NOTICE_WARNING,
                         "Which stacks? /compare STACK STACK, such as /compare reference int8; the "
                         "address of a server may replace one.");
    else if (dt_worker_has_model(w))
        dt_compare(w, first, second);
}

// ---- figures ----

static void print_bytes(struct dt_string_buffer *out, const char *what, uint64_t bytes,
                        const char *note)
{
    dt_string_buffer_printf(out, "%-20s %10.2f MB%s%s\n", what, (double)bytes / 1e6,
                            *note ? "  " : "", note);
}

static void print_plan(struct dt_worker *w, struct dt_string_buffer *out)
{
    struct dt_engine_plan plan;
    char note[64];
    dt_engine_memory(w->engine, &plan);
    print_bytes(out, "model file, mapped", plan.file_bytes, w->model_path);
    if (plan.stream.streamed) {
        print_bytes(out, "weights in memory", plan.stream.pinned_weights,
                    dt_engine_weights_now(w->engine, note, sizeof note));
        snprintf(note, sizeof note, "through %.2f MB of buffers",
                 (double)(plan.stream.buffers * plan.stream.buffer_bytes) / 1e6);
        print_bytes(out, "read for a token", plan.stream.read_bytes, note);
    } else {
        print_bytes(out, "weights in place", plan.weights.in_place_bytes, "part of the mapping");
        print_bytes(out, "weights copied", plan.weights.copied_bytes,
                    dt_engine_weights_text(&plan.weights, note, sizeof note));
    }
    snprintf(note, sizeof note, "%u positions, %u used", plan.context, w->story.token_count);
    print_bytes(out, "KV cache", plan.session.kv, note);
    print_bytes(out, "scratch, logits",
                plan.session.scratch + plan.session.logits + plan.session.tables, "");
    print_bytes(out, "vocabulary, tables", plan.model_tables + plan.tokenizer, "");
    print_bytes(out, "sampler, speculation", plan.sampler + plan.draft, "");
    print_bytes(out, "allocated in all", plan.total, "");
}

void dt_command_memory(struct dt_worker *w, const char *arguments)
{
    (void)arguments;
    struct dt_memory_facts facts;
    struct dt_string_buffer out = {0};
    char note[64];
    dt_memory_facts(&facts);
    if (dt_engine_is_open(w->engine))
        print_plan(w, &out);
    else if (w->remote)
        dt_string_buffer_printf(&out, "%-20s            on the server, %s\n", "model and context",
                                dt_remote_address(w->remote));
    snprintf(note, sizeof note, "peak %.2f", (double)facts.rss_peak / 1e6);
    print_bytes(&out, "resident", facts.rss, note);
    print_bytes(&out, "anonymous", facts.anonymous, "");
    snprintf(note, sizeof note, "of %.2f", (double)facts.total / 1e6);
    print_bytes(&out, "available", facts.available, note);
    dt_string_buffer_printf(&out, "page faults          %10llu     from disk\n",
                            (unsigned long long)facts.major_faults);
    output(w, &out);
}

// The text of the tokens from `at` on, up to about `most` bytes, on one line.
static void print_tokens(struct dt_worker *w, struct dt_string_buffer *out, uint32_t at,
                         size_t most)
{
    const struct dt_story *story = &w->story;
    struct dt_text_filter filter = {0};
    char raw[DT_PIECE_MAX], clean[3 * (DT_PIECE_MAX + 4)];
    for (size_t bytes = 0, n; at < story->token_count && bytes < most; at++, bytes += n) {
        n = dt_engine_piece(w->engine, at ? story->tokens[at - 1] : DT_NO_TOKEN, story->tokens[at],
                            raw);
        n = dt_text_filter_push(&filter, raw, n, clean);
        for (size_t i = 0; i < n; i++)
            clean[i] = clean[i] == '\n' ? ' ' : clean[i];
        dt_string_buffer_append(out, clean, n);
    }
}

void dt_command_context(struct dt_worker *w, const char *arguments)
{
    (void)arguments;
    const struct dt_story *story = &w->story;
    struct dt_string_buffer out = {0};
    if (!dt_worker_has_model(w))
        return;
    if (w->remote) {
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "The model is on a server, which has a context of its own.");
        return;
    }
    uint32_t head = story->head < story->token_count ? story->head : story->token_count,
             kept = story->token_count - head;
    dt_string_buffer_printf(&out, "context              %u of %u tokens; overflow %s\n",
                            dt_worker_context_used(w), dt_worker_context(w),
                            dt_settings_text(&w->settings, DT_SET_OVERFLOW));
    dt_string_buffer_printf(&out, "pinned               %u tokens%s%s\n", head,
                            story->premise && *story->premise ? ", with the premise: " : "",
                            story->premise ? story->premise : "");
    dt_string_buffer_printf(&out, "dropped              %u tokens%s\n", story->dropped,
                            story->dropped ? "; their text stays on the screen and in the library"
                                           : "");
    dt_string_buffer_printf(&out, "kept                 %u tokens", kept);
    if (kept) {
        dt_string_buffer_printf(&out, ", from \"");
        print_tokens(w, &out, head, 60);
        dt_string_buffer_printf(&out, "...\"");
    }
    dt_string_buffer_printf(&out, "%s\n",
                            story->stale ? "; evaluated again with the next turn" : "");
    output(w, &out);
}

static void print_stats(struct dt_worker *w, const char *unused)
{
    (void)unused;
    const struct dt_app_figures *f = &w->figures;
    const struct dt_turn *turn = dt_story_last(&w->story);
    struct dt_string_buffer out = {0};
    dt_worker_post_figures(w, true);
    dt_string_buffer_printf(&out, "generated            %u tokens in %.2f s, %.1f tok/s\n",
                            f->tokens, f->seconds, f->speed_mean);
    dt_string_buffer_printf(&out, "prompt               %u tokens evaluated, %.1f tok/s\n",
                            f->prompt_tokens, f->prompt_speed);
    dt_string_buffer_printf(&out, "first token          %.1f ms\n", f->first_token_ms);
    dt_string_buffer_printf(&out, "context              %u", f->context_used);
    if (f->context_total)
        dt_string_buffer_printf(&out, " of %u", f->context_total);
    dt_string_buffer_printf(&out, "\ncomputed by          %s", f->stack);
    if (f->threads)
        dt_string_buffer_printf(&out, ", %u thread%s", f->threads, f->threads == 1 ? "" : "s");
    dt_string_buffer_printf(&out, "\n");
    dt_string_buffer_printf(&out, "seed                 %llu\n",
                            (unsigned long long)(turn ? turn->seed : f->seed));
    if (w->speech) {
        struct dt_speech_figures voice;
        char line[300];
        dt_speech_figures(w->speech, &voice);
        dt_string_buffer_printf(&out, "%s\n", dt_speech_line(&voice, line, sizeof line));
    }
    output(w, &out);
}

void dt_command_stats(struct dt_app *app, char *arguments)
{
    const char *when = arguments;
    if (!*arguments) {
        dt_requests_ask(&app->requests, print_stats, NULL, 0, true);
        return;
    }
    if (strcmp(arguments, "live on") == 0)
        when = "live";
    else if (strcmp(arguments, "live off") == 0 || strcmp(arguments, "on") == 0)
        when = "turn";
    dt_change_or_report(app, DT_SET_STATS, when);
}
