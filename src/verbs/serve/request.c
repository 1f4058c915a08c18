// SPDX-License-Identifier: MIT
// Reads the JSON of a request. What is asked for and not offered is refused by its name; members
// that nobody knows are ignored, as other servers do.
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/formats/json_read.h"
#include "host/clock.h"
#include "verbs/serve/serve.h"

// Members that are not offered, unless they ask for nothing (null, false, 0, "", [] or {}), or are
// this.
static const struct {
    const char *name, *harmless;
} not_offered[] = {
    {"logprobs", NULL},
    {"top_logprobs", NULL},
    {"echo", NULL},
    {"suffix", NULL},
    {"best_of", "1"},
    {"logit_bias", NULL},
    {"presence_penalty", NULL},
    {"frequency_penalty", NULL},
    {"tools", NULL},
    {"tool_choice", "\"none\""},
    {"functions", NULL},
    {"function_call", "\"none\""},
    {"response_format", NULL},
    {"modalities", "[\"text\"]"},
    {"audio", NULL},
    {"prediction", NULL},
    {"grammar", NULL},
    {"json_schema", NULL},
    {"n_probs", NULL},
    {"image_data", NULL},
    {"mirostat", NULL},
    {"typical_p", "1"},
};

struct reading {
    const struct dt_serve *serve;
    struct dt_serve_job *job;
    struct dt_json_value root;
    char *at; // in job->memory
    bool failed;
};

static bool fail(struct reading *r, const char *param, const char *what)
{
    char message[600];
    dt_format(message, sizeof message, "%s%s%s", param ? param : "", param ? " " : "", what);
    if (!r->failed)
        dt_serve_job_fail(r->job, 400, param, NULL, message);
    r->failed = true;
    return false;
}

// A member; n 0 also for null.
static struct dt_json_value member(const struct reading *r, const char *name)
{
    struct dt_json_value v = dt_json_find(r->root, name);
    return dt_json_is(v, "null") ? (struct dt_json_value){0} : v;
}

static bool asks_for_nothing(struct dt_json_value v)
{
    double number;
    char first = v.n ? v.at[0] : 0;
    return v.n == 0 || dt_json_is(v, "false") || (first == '"' && v.n == 2) ||
           ((first == '[' || first == '{') && dt_json_count(v) == 0) ||
           (dt_json_number_of(v, &number) && number == 0);
}

static void check_offered(struct reading *r)
{
    for (size_t i = 0; i < sizeof not_offered / sizeof *not_offered; i++) {
        struct dt_json_value v = member(r, not_offered[i].name);
        const char *harmless = not_offered[i].harmless;
        if (asks_for_nothing(v) ||
            (harmless && strlen(harmless) == v.n && memcmp(harmless, v.at, v.n) == 0))
            continue;
        if (v.at[0] == '{' && dt_json_is(dt_json_find(v, "type"), "\"text\""))
            continue; // of response_format
        fail(r, not_offered[i].name, "is not offered by this server");
        return;
    }
}

// ---- values ----

static bool read_number(struct reading *r, const char *name, double low, double high, double *out)
{
    struct dt_json_value v = member(r, name);
    double number;
    char range[80];
    if (!v.n)
        return false;
    if (dt_json_number_of(v, &number) && number >= low && number <= high) {
        *out = number;
        return true;
    }
    dt_format(range, sizeof range, "must be a number from %g to %g", low, high);
    return fail(r, name, range);
}

static bool read_whole(struct reading *r, const char *name, uint32_t low, uint32_t high,
                       uint32_t *out)
{
    double number;
    if (!read_number(r, name, low, high, &number))
        return false;
    if (number != (double)(uint32_t)number)
        return fail(r, name, "must be a whole number");
    *out = (uint32_t)number;
    return true;
}

static bool read_switch(struct reading *r, struct dt_json_value v, const char *name, bool *out)
{
    if (!v.n || dt_json_is(v, "null"))
        return false;
    if (!dt_json_is(v, "true") && !dt_json_is(v, "false"))
        return fail(r, name, "must be true or false");
    *out = dt_json_is(v, "true");
    return true;
}

// Appends a string to the memory. False: it is none, or no UTF-8.
static bool append_text(struct reading *r, struct dt_json_value v, const char *name)
{
    if (!dt_json_is_text(v))
        return fail(r, name, "must be a text");
    size_t n = dt_json_text_of(v, r->at);
    if (!dt_utf8_valid(r->at, n))
        return fail(r, name, "is not valid UTF-8");
    r->at += n;
    return true;
}

static const char *end_text(struct reading *r, const char *begin, size_t *n)
{
    *n = (size_t)(r->at - begin);
    *r->at++ = 0;
    return begin;
}

// ---- the parts of a request ----

static void read_seed(struct reading *r)
{
    struct dt_json_value v = member(r, "seed");
    double number;
    uint64_t whole;
    if (dt_json_uint_of(v, &whole)) {
        r->job->seed = whole;
    } else if (dt_json_number_of(v, &number)) {
        if (number < -9007199254740992.0 || number >= 0 || number != (double)(int64_t)number)
            fail(r, "seed", "must be a whole number");
        else if (number != -1) // llama-server's: any
            r->job->seed = (uint64_t)(int64_t)number;
    } else if (v.n) {
        fail(r, "seed", "must be a whole number");
    }
    if (!r->job->seed)
        r->job->seed = r->serve->seed ? r->serve->seed : dt_clock_seed();
}

static void read_sampling(struct reading *r)
{
    struct dt_sampling *s = &r->job->sampling;
    double number;
    uint32_t whole = 0;
    *s = r->serve->sampling;
    if (read_number(r, "temperature", 0, 100, &number))
        s->temperature = (float)number;
    if (read_number(r, "top_p", 0, 1, &number))
        s->top_p = (float)number;
    if (read_number(r, "min_p", 0, 1, &number))
        s->min_p = (float)number;
    if (read_number(r, "repeat_penalty", 0, 10, &number))
        s->repeat_penalty = (float)number;
    if (read_whole(r, "top_k", 0, 1u << 30, &whole))
        s->top_k = whole;
    if (read_whole(r, "repeat_last_n", 0, 1024, &whole))
        s->repeat_last = whole;
    read_seed(r);
}

static void add_stop(struct reading *r, struct dt_json_value v)
{
    struct dt_stop_text *stops = &r->job->stops;
    const char *begin = r->at;
    size_t n;
    if (!append_text(r, v, "stop"))
        return;
    const char *text = end_text(r, begin, &n);
    if (n == 0 || n > DT_STOP_TEXT_MAX || strlen(text) != n || stops->count == DT_STOP_TEXTS)
        fail(r, "stop", "takes at most 8 texts of 1 to 256 bytes");
    else
        stops->text[stops->count++] = text;
}

static void read_stops(struct reading *r)
{
    struct dt_json_value v = member(r, "stop"), key, item;
    struct dt_json_walk walk = {0};
    if (dt_json_is_text(v))
        add_stop(r, v);
    else if (v.n && v.at[0] != '[')
        fail(r, "stop", "must be a text or a list of texts");
    while (v.n && v.at[0] == '[' && !r->failed && dt_json_next(v, &walk, &key, &item))
        add_stop(r, item);
}

static void read_lengths(struct reading *r)
{
    static const char *const names[] = {"max_completion_tokens", "max_tokens", "n_predict"};
    struct dt_serve_job *job = r->job;
    job->count = 1;
    job->most = UINT32_MAX;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double number;
        if (dt_json_number_of(member(r, names[i]), &number) && number == -1)
            continue;
        if (read_whole(r, names[i], 1, 1u << 30, &job->most))
            break;
    }
    if (job->kind != DT_SERVE_LLAMA)
        read_whole(r, "n", 1, DT_SERVE_TEXTS_MAX, &job->count);
}

static void read_stream(struct reading *r)
{
    struct dt_json_value options = member(r, "stream_options");
    read_switch(r, member(r, "stream"), "stream", &r->job->stream);
    read_switch(r, dt_json_find(options, "include_usage"), "stream_options", &r->job->usage);
}

static void read_prompt(struct reading *r, const char *name)
{
    struct dt_json_value v = member(r, name), key;
    struct dt_json_walk walk = {0};
    const char *begin = r->at;
    if (v.n && v.at[0] == '[' && dt_json_count(v) == 1)
        dt_json_next(v, &walk, &key, &v);
    if (!v.n)
        fail(r, name, "is missing");
    else if (!dt_json_is_text(v))
        fail(r, name, "must be one text");
    else if (append_text(r, v, name))
        r->job->prompt = end_text(r, begin, &r->job->prompt_length);
}

// The content of a message: a text, or a list of parts that are texts.
static bool read_content(struct reading *r, struct dt_json_value v)
{
    struct dt_json_value key, part;
    struct dt_json_walk walk = {0};
    if (!v.n || v.at[0] != '[')
        return append_text(r, v, "messages.content");
    while (dt_json_next(v, &walk, &key, &part)) {
        if (!dt_json_is(dt_json_find(part, "type"), "\"text\""))
            return fail(r, "messages.content", "may have parts of the type text only");
        if (!append_text(r, dt_json_find(part, "text"), "messages.content"))
            return false;
    }
    return true;
}

static bool read_message(struct reading *r, struct dt_json_value item)
{
    static const char *const roles[][2] = {{"\"system\"", "system"},
                                           {"\"developer\"", "system"},
                                           {"\"user\"", "user"},
                                           {"\"assistant\"", "assistant"}};
    struct dt_json_value role = dt_json_find(item, "role");
    struct dt_jinja_message *m = &r->job->messages[r->job->message_count];
    const char *begin = r->at;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (dt_json_is(role, roles[i][0]))
            m->role = roles[i][1];
    }
    if (!m->role)
        return fail(r, "messages.role", "must be system, developer, user or assistant");
    if (!read_content(r, dt_json_find(item, "content")))
        return false;
    m->content = end_text(r, begin, &m->length);
    r->job->message_count++;
    return true;
}

static void read_messages(struct reading *r)
{
    struct dt_json_value all = member(r, "messages"), key, item,
                         thinking =
                             dt_json_find(member(r, "chat_template_kwargs"), "enable_thinking");
    struct dt_json_walk walk = {0};
    bool think = true;
    if (!all.n || all.at[0] != '[' || dt_json_count(all) == 0) {
        fail(r, "messages", "must be a list of messages");
        return;
    }
    r->job->messages = calloc(dt_json_count(all), sizeof *r->job->messages);
    if (!r->job->messages) {
        fail(r, "messages", "is too long for the memory");
        return;
    }
    while (dt_json_next(all, &walk, &key, &item) && read_message(r, item))
        ;
    if (!r->failed && strcmp(r->job->messages[r->job->message_count - 1].role, "user") != 0)
        fail(r, "messages", "must end with one of the user");
    if (read_switch(r, thinking, "chat_template_kwargs", &think))
        r->job->without_thinking = !think;
}

bool dt_serve_read_request(const struct dt_serve *serve, struct dt_serve_job *job, const char *body,
                           size_t n)
{
    struct reading r = {.serve = serve, .job = job};
    struct dt_error err = {0};
    job->memory = r.at = malloc(n + 16); // a text with its NUL is shorter than its JSON
    if (!job->memory) {
        dt_serve_job_fail(job, 503, NULL, NULL, "not enough memory for the request");
        return false;
    }
    if (dt_json_check(body, n, "the body", &r.root, &err) != DT_OK)
        return fail(&r, NULL, err.message);
    if (r.root.at[0] != '{')
        return fail(&r, NULL, "the body must be a JSON object");
    if (job->kind == DT_SERVE_TOKENIZE) {
        read_prompt(&r, "content");
        read_switch(&r, member(&r, "add_special"), "add_special", &job->bos);
        read_switch(&r, member(&r, "parse_special"), "parse_special", &job->special);
        return !r.failed;
    }
    check_offered(&r);
    read_lengths(&r);
    read_stream(&r);
    read_sampling(&r);
    read_stops(&r);
    if (!r.failed && job->kind == DT_SERVE_CHAT)
        read_messages(&r);
    else if (!r.failed)
        read_prompt(&r, "prompt");
    return !r.failed;
}
