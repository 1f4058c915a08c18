// SPDX-License-Identifier: MIT
// duotale serve: an engine behind HTTP.
#include "verbs/serve/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/settings/settings.h"
#include "base/format.h"
#include "host/clock.h"
#include "host/print.h"
#include "host/thread_start.h"
#include "verbs/verb.h"

#define SESSIONS_USUAL 4u // where the number is chosen

// A body may be as long as a text that fills the context, with much JSON around it.
#define BODY_LEAST     (64u << 10)
#define BODY_MOST      (4u << 20)
#define BYTES_OF_TOKEN 48u

struct arguments {
    struct dt_verb_model model;
    struct dt_sampling sampling;
    uint64_t seed;
    const char *template_name;
    struct dt_serve_place place;
    uint32_t sessions; // 0: chosen
    bool quiet, verbose;
};

// ---- options ----

static int read_setting(struct arguments *a, int id, const struct dt_option_value *v)
{
    struct dt_setting_value value = {0};
    struct dt_error err = {0};
    int code = dt_verb_model_option(DT_VERB_SERVE, &a->model, id, v);
    if (code >= 0)
        return code;
    if (id == DT_SET_TEMPLATE) {
        a->template_name = strcmp(v->text, "auto") == 0 ? NULL : v->text;
        return 0;
    }
    if (id == DT_SET_SEED)
        return dt_options_seed(v->text, &a->seed)
                   ? 0
                   : dt_options_usage(DT_VERB_SERVE, "--seed: must be a whole number (got \"%s\")",
                                      v->text);
    if (dt_settings_parse(id, v->text, &value, &err) != DT_OK)
        return dt_options_usage(DT_VERB_SERVE, "--%s", err.message);
    switch (id) {
    case DT_SET_TEMPERATURE:
        a->sampling.temperature = (float)value.number;
        break;
    case DT_SET_TOP_P:
        a->sampling.top_p = (float)value.number;
        break;
    case DT_SET_TOP_K:
        a->sampling.top_k = (uint32_t)value.integer;
        break;
    case DT_SET_MIN_P:
        a->sampling.min_p = (float)value.number;
        break;
    case DT_SET_REPEAT_PENALTY:
        a->sampling.repeat_penalty = (float)value.number;
        break;
    case DT_SET_REPEAT_LAST:
        a->sampling.repeat_last = (uint32_t)value.integer;
        break;
    default:
        break;
    }
    return 0;
}

static int on_option(void *arg, int id, const struct dt_option_value *v)
{
    struct arguments *a = arg;
    switch (id) {
    case DT_OPTION_LISTEN_AT:
        if (dt_format(a->place.address, sizeof a->place.address, "%s", v->text) >=
            sizeof a->place.address)
            return dt_options_usage(DT_VERB_SERVE, "--listen: too long for an address");
        return 0;
    case DT_OPTION_PORT:
        a->place.options.port = (uint32_t)v->integer;
        return 0;
    case DT_OPTION_TOKEN_FILE:
        a->place.token_file = v->text;
        return 0;
    case DT_OPTION_WITHOUT_TOKEN:
        a->place.open = true;
        return 0;
    case DT_OPTION_SEQUENCES:
        a->sessions = (uint32_t)v->integer;
        return 0;
    case DT_OPTION_ARRIVAL:
        a->place.options.seconds = (uint32_t)v->integer;
        return 0;
    case DT_OPTION_QUIET:
        a->quiet = true;
        return 0;
    case DT_OPTION_VERBOSE:
        a->verbose = true;
        return 0;
    default:
        return read_setting(a, id, v);
    }
}

static int read_arguments(struct arguments *a, int argc, char **argv)
{
    const struct dt_verb_page *page = dt_verb_page(DT_VERB_SERVE);
    for (size_t i = 0; i < page->setting_count; i++) {
        const struct dt_setting *setting = &dt_settings_table()[page->settings[i]];
        const struct dt_option_value initial = {.text = setting->initial};
        if (setting->type != DT_SETTING_TEXT && setting->type != DT_SETTING_FILE)
            read_setting(a, page->settings[i], &initial); // other texts stay NULL
    }
    a->place.options.port = 8080;
    a->place.options.seconds = 60;
    int code = dt_options_read(DT_VERB_SERVE, argc, argv, on_option, a);
    if (code >= 0)
        return code;
    if (optind + 1 < argc)
        return dt_options_usage(DT_VERB_SERVE, "%s: only one model can be served",
                                argv[optind + 1]);
    if (a->place.open && a->place.token_file)
        return dt_options_usage(DT_VERB_SERVE, "--open and --token-file cannot be combined");
    a->model.path = optind < argc ? argv[optind] : NULL;
    a->model.engine.sessions = a->sessions;
    return -1;
}

// ---- signals ----

static struct dt_serve *interruptible;

static void on_signal(int signal_number)
{
    (void)signal_number;
    int saved = errno;
    atomic_store(&interruptible->stopping, 1);
    dt_engine_cancel(interruptible->engine);
    dt_serve_ring(interruptible);
    errno = saved;
}

static void catch_signals(struct dt_serve *serve)
{
    interruptible = serve;
    struct sigaction action = {.sa_handler = on_signal};
    action.sa_flags = (int)SA_RESETHAND; // a second one ends the process immediately
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

// ---- opening ----

// The name of a model for clients: that of its file, without the ending.
static void name_model(struct dt_serve *serve)
{
    const char *path = dt_engine_path(serve->engine), *name = path;
    for (const char *p = path; *p; p++) {
        if (*p == '/' && p[1])
            name = p + 1;
    }
    const char *dot = strrchr(name, '.');
    size_t n = dot && dot > name ? (size_t)(dot - name) : strcspn(name, "/");
    dt_text_clean(serve->model, sizeof serve->model, name, n, DT_TEXT_LINE);
}

static dt_status open_model(struct dt_serve *serve, struct arguments *a, struct dt_error *err)
{
    dt_status status = dt_verb_model_path(&a->model, err);
    if (status == DT_OK)
        status = dt_engine_new(&serve->engine, &a->model.engine, err);
    if (status != DT_OK)
        return status;
    catch_signals(serve);
    status = dt_engine_prepare(serve->engine, a->model.path, a->model.tokenizer, NULL, err);
    if (status != DT_OK)
        return status;
    if (!a->sessions)
        dt_engine_choose_sessions(serve->engine, SESSIONS_USUAL);
    status = dt_engine_start(serve->engine, NULL, NULL, err);
    if (status != DT_OK)
        return status;
    serve->sessions = dt_engine_sessions(serve->engine);
    serve->capacity = dt_session_capacity(dt_engine_session(serve->engine));
    name_model(serve);
    size_t body = (size_t)serve->capacity * BYTES_OF_TOKEN;
    serve->body_max = body < BODY_LEAST ? BODY_LEAST : body > BODY_MOST ? BODY_MOST : body;
    status = dt_chat_open(&serve->chat, dt_engine_model(serve->engine), a->template_name,
                          DT_TEMPLATE_LLAMA2, err);
    if (status == DT_OK && serve->chat.reason.status != DT_OK &&
        serve->chat.family == DT_TEMPLATE_UNKNOWN) {
        serve->chat_error = serve->chat.reason;
        serve->chat_error.status = serve->chat_status = DT_UNSUPPORTED;
    }
    return status;
}

static void announce(const struct dt_serve *serve, const struct arguments *a)
{
    const char *token = a->place.options.token;
    dt_serve_print_addresses(serve, &a->place);
    if (a->quiet)
        return;
    dt_print(stderr, "duotale: serving %s with %s, up to %u text%s of %u tokens together\n",
             serve->model, dt_engine_stack_name(serve->engine), serve->sessions,
             serve->sessions == 1 ? "" : "s", serve->capacity);
    if (token)
        dt_print(stderr, "duotale: requests need the token: Authorization: Bearer %s\n",
                 a->place.token_file || getenv("DUOTALE_TOKEN") ? "..." : token);
    else if (!a->place.options.local)
        dt_print(stderr, "duotale: --open: whoever reaches this address can use the model\n");
}

// ---- serving ----

static void *run_server(void *arg)
{
    struct dt_serve *serve = arg;
    serve->module->run(serve->server);
    return NULL;
}

static dt_status serve_until_stopped(struct dt_serve *serve, struct dt_error *err)
{
    pthread_t thread;
    int failure = dt_thread_start(&thread, 256u << 10, run_server, serve);
    if (failure)
        return dt_error_set(err, DT_FAILED, NULL, "cannot start a thread: %s", strerror(failure));
    dt_serve_schedule(serve);
    serve->module->stop(serve->server);
    pthread_join(thread, NULL);
    return DT_OK;
}

int dt_verb_serve(int argc, char **argv)
{
    static struct dt_serve serve; // large, and signal handlers use it
    struct arguments a = {0};
    struct dt_error err = {0};
    int code = read_arguments(&a, argc, argv);
    if (code >= 0)
        return code;
    dt_verb_log(a.verbose);
    pthread_mutex_init(&serve.lock, NULL);
    serve.sampling = a.sampling;
    serve.seed = a.seed;
    serve.first_id = dt_clock_unix() << 32 | (dt_clock_seed() & 0xffffff) << 8;
    serve.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    dt_serve_host_init(&serve);
    dt_status status = DT_OK;
    if (serve.bell < 0)
        status = dt_error_set(&err, DT_FAILED, NULL, "cannot make an event: %s", strerror(errno));
    if (status == DT_OK)
        status = open_model(&serve, &a, &err);
    if (status == DT_OK)
        status = dt_serve_listen(&serve, &a.place, &err);
    if (status == DT_OK) {
        announce(&serve, &a);
        status = serve_until_stopped(&serve, &err);
    }
    if (status != DT_OK && status != DT_CANCELLED)
        dt_verb_fail(&err);
    if (serve.server)
        serve.module->close(serve.server);
    dt_chat_close(&serve.chat);
    dt_engine_free(serve.engine);
    if (serve.bell >= 0)
        close(serve.bell);
    pthread_mutex_destroy(&serve.lock);
    return dt_status_exit_code(status);
}
