// SPDX-License-Identifier: MIT
// What the module calls: which request goes where. Requests for text go to the main thread; the
// others are answered here.
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/memory.h"
#include "verbs/serve/serve.h"

void dt_serve_ring(const struct dt_serve *serve)
{
    uint64_t one = 1;
    if (write(serve->bell, &one, sizeof one) < 0)
        return; // full: it has rung
}

// ---- answers without the engine ----

static struct dt_serve_figures figures_of(struct dt_serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    struct dt_serve_figures f = serve->figures;
    pthread_mutex_unlock(&serve->lock);
    return f;
}

static void write_health(struct dt_serve *serve, struct dt_serve_job *job)
{
    struct dt_serve_figures f = figures_of(serve);
    dt_json_object(&job->json);
    dt_json_put_text(&job->json, "status", "ok");
    dt_json_put_uint(&job->json, "slots_idle", serve->sessions - f.running);
    dt_json_put_uint(&job->json, "slots_processing", f.running);
    dt_json_put_uint(&job->json, "waiting", f.waiting);
    dt_json_end(&job->json);
}

static void write_models(struct dt_serve *serve, struct dt_serve_job *job)
{
    struct dt_json *j = &job->json;
    const struct dt_hparams *hp = &dt_engine_model(serve->engine)->hp;
    dt_json_object(j);
    dt_json_put_text(j, "object", "list");
    dt_json_name(j, "data");
    dt_json_array(j);
    dt_json_object(j);
    dt_json_put_text(j, "id", serve->model);
    dt_json_put_text(j, "object", "model");
    dt_json_put_uint(j, "created", serve->first_id >> 32);
    dt_json_put_text(j, "owned_by", "duotale");
    dt_json_put_uint(j, "max_model_len", serve->capacity);
    dt_json_name(j, "meta");
    dt_json_object(j);
    dt_json_put_uint(j, "n_ctx", serve->capacity);
    dt_json_put_uint(j, "n_ctx_train", hp->context);
    dt_json_put_uint(j, "n_vocab", hp->vocab);
    dt_json_put_uint(j, "n_embd", hp->dim);
    dt_json_end(j);
    dt_json_end(j);
    dt_json_end(j);
    dt_json_end(j);
}

// What clients of llama-server ask for: the context of a session, and how many there are.
static void write_props(struct dt_serve *serve, struct dt_serve_job *job)
{
    struct dt_json *j = &job->json;
    dt_json_object(j);
    dt_json_name(j, "default_generation_settings");
    dt_json_object(j);
    dt_json_put_uint(j, "n_ctx", serve->capacity);
    dt_json_end(j);
    dt_json_put_uint(j, "total_slots", serve->sessions);
    dt_json_put_text(j, "model_alias", serve->model);
    dt_json_put_text(j, "build_info", "duotale " DT_VERSION);
    dt_json_end(j);
}

static void write_metric(FILE *out, const char *name, bool counter, const char *help, double value)
{
    fprintf(out, "# HELP duotale_%s %s\n# TYPE duotale_%s %s\nduotale_%s %.17g\n", name, help, name,
            counter ? "counter" : "gauge", name, value);
}

static void write_metrics(struct dt_serve *serve, struct dt_serve_job *job)
{
    struct dt_serve_figures f = figures_of(serve);
    FILE *out = job->file;
    struct dt_memory_facts memory;
    dt_memory_facts(&memory);
    write_metric(out, "requests_total", true, "Requests for text.", (double)f.requests);
    write_metric(out, "refused_total", true, "Requests that were refused.", (double)f.refused);
    write_metric(out, "left_total", true, "Requests whose client left before the end.",
                 (double)f.left);
    write_metric(out, "prompt_tokens_total", true, "Tokens of prompts that were evaluated.",
                 (double)f.prompt_tokens);
    write_metric(out, "reused_tokens_total", true, "Tokens of prompts that were in a KV cache.",
                 (double)f.reused_tokens);
    write_metric(out, "generated_tokens_total", true, "Generated tokens.", (double)f.tokens);
    write_metric(out, "prompt_seconds_total", true, "Time of passes with prompts.",
                 (double)f.prompt_ns / 1e9);
    write_metric(out, "decode_seconds_total", true, "Time of passes without prompts.",
                 (double)f.decode_ns / 1e9);
    write_metric(out, "passes_total", true, "Passes of the model.", (double)f.passes);
    write_metric(out, "pass_texts_total", true, "Texts in these passes.", (double)f.pass_texts);
    write_metric(out, "texts_running", false, "Texts that are generated now.", f.running);
    write_metric(out, "texts_waiting", false, "Texts that wait.", f.waiting);
    write_metric(out, "texts_max", false, "Texts that can be generated together.", serve->sessions);
    write_metric(out, "context_tokens", false, "Tokens of the context of a text.", serve->capacity);
    write_metric(out, "resident_memory_bytes", false, "Resident memory of the process.",
                 (double)memory.rss);
}

// ---- routes ----

static const struct route {
    const char *path;
    void (*write)(struct dt_serve *serve, struct dt_serve_job *job); // GET; NULL: POST
    enum dt_serve_kind kind;
    const char *type;
} routes[] = {
    {"/health", write_health, 0, "application/json"},
    {"/v1/models", write_models, 0, "application/json"},
    {"/models", write_models, 0, "application/json"},
    {"/props", write_props, 0, "application/json"},
    {"/metrics", write_metrics, 0, "text/plain; version=0.0.4; charset=utf-8"},
    {"/v1/completions", NULL, DT_SERVE_COMPLETION, "application/json"},
    {"/v1/chat/completions", NULL, DT_SERVE_CHAT, "application/json"},
    {"/completion", NULL, DT_SERVE_LLAMA, "application/json"},
    {"/tokenize", NULL, DT_SERVE_TOKENIZE, "application/json"},
};

static const struct route *route_of(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    }
    return NULL;
}

static void count_refused(struct dt_serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    serve->figures.refused++;
    pthread_mutex_unlock(&serve->lock);
}

// Hands a job to the main thread, unless too many are there.
static void enqueue(struct dt_serve *serve, struct dt_serve_job *job)
{
    pthread_mutex_lock(&serve->lock);
    bool full = serve->jobs >= DT_SERVE_QUEUE_MAX || atomic_load(&serve->stopping);
    if (!full) {
        serve->jobs++;
        serve->figures.requests++;
        job->id = serve->first_id + serve->figures.requests;
        job->users++;
        job->next = serve->incoming;
        serve->incoming = job;
    }
    pthread_mutex_unlock(&serve->lock);
    if (!full) {
        dt_serve_ring(serve);
        return;
    }
    count_refused(serve);
    job->retry_after = 5;
    dt_serve_job_fail(job, 503, NULL, "overloaded",
                      atomic_load(&serve->stopping) ? "the server is being stopped"
                                                    : "too many requests wait; try again later");
}

// ---- the table ----

static void *begin(void *ctx, const struct dt_serve_request *request)
{
    struct dt_serve *serve = ctx;
    struct dt_serve_job *job = dt_serve_job_new(&serve->lock);
    const struct route *route = route_of(request->path);
    if (!job)
        return NULL;
    job->type = "application/json";
    job->created = dt_clock_unix();
    job->model = serve->model;
    bool get = strcmp(request->method, "GET") == 0;
    if (!route) {
        count_refused(serve);
        dt_serve_job_fail(job, 404, NULL, "not_found", "there is nothing at this address");
    } else if (get != (route->write != NULL)) {
        count_refused(serve);
        job->allow = get ? "POST" : "GET, HEAD";
        dt_serve_job_fail(job, 405, NULL, "method_not_allowed",
                          get ? "this address takes POST" : "this address takes GET");
    } else if (get) {
        job->type = route->type;
        route->write(serve, job);
        dt_serve_job_complete(job, 200);
    } else {
        job->kind = route->kind;
        if (!dt_serve_read_request(serve, job, request->body, request->length)) {
            count_refused(serve);
        } else {
            job->type = job->stream ? "text/event-stream; charset=utf-8" : "application/json";
            enqueue(serve, job);
        }
    }
    return job;
}

static int ready(void *ctx, void *exchange)
{
    struct dt_serve_job *job = exchange;
    (void)ctx;
    pthread_mutex_lock(job->lock);
    bool more = !job->answering || job->out.length > job->taken,
         is = job->complete || (job->stream && job->begun && more);
    pthread_mutex_unlock(job->lock);
    return is;
}

static int head(void *ctx, void *exchange, struct dt_serve_head *out)
{
    struct dt_serve_job *job = exchange;
    (void)ctx;
    pthread_mutex_lock(job->lock);
    bool is = job->complete || (job->stream && job->begun);
    if (is) {
        bool error = job->status != 200;
        job->answering = true;
        *out = (struct dt_serve_head){
            .status = job->status,
            .type = error ? "application/json" : job->type,
            .length = job->stream && !error ? -1 : (int64_t)job->out.length,
            .retry_after = job->retry_after,
            .allow = job->allow,
        };
    }
    pthread_mutex_unlock(job->lock);
    return is;
}

static ptrdiff_t read_answer(void *ctx, void *exchange, char *out, size_t size)
{
    struct dt_serve_job *job = exchange;
    (void)ctx;
    pthread_mutex_lock(job->lock);
    size_t n = job->out.length - job->taken;
    n = n < size ? n : size;
    if (n)
        memcpy(out, job->out.text + job->taken, n);
    job->taken += n;
    if (job->taken == job->out.length)
        job->taken = job->out.length = 0;
    ptrdiff_t result = n ? (ptrdiff_t)n : job->complete ? DT_SERVE_END : 0;
    pthread_mutex_unlock(job->lock);
    return result;
}

static void end(void *ctx, void *exchange)
{
    struct dt_serve *serve = ctx;
    struct dt_serve_job *job = exchange;
    pthread_mutex_lock(job->lock);
    job->gone = true;
    bool left = !job->complete;
    serve->figures.left += left;
    pthread_mutex_unlock(job->lock);
    dt_serve_job_drop(job);
    if (left)
        dt_serve_ring(serve);
}

static void refused(void *ctx, uint32_t status)
{
    (void)status;
    count_refused(ctx);
}

void dt_serve_host_init(struct dt_serve *serve)
{
    serve->host = (struct dt_serve_host){
        .size = sizeof serve->host,
        .ctx = serve,
        .begin = begin,
        .ready = ready,
        .head = head,
        .read = read_answer,
        .end = end,
        .refused = refused,
    };
}
