// SPDX-License-Identifier: MIT
#include "host/remote/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/format.h"
#include "base/hash.h"
#include "base/text.h"
#include "host/modules/modules.h"
#include "host/remote/key.h"
#include "host/remote/services.h"

#define NOTICES 16u

struct dt_remote {
    const struct dt_remote_engine *engine;
    struct dt_remote_host services;
    struct dt_remote_options options;
    struct dt_remote_facts facts;
    void *ctx;
    char *address;
    char key[DT_REMOTE_KEY_MAX];
    uint64_t shown[NOTICES]; // hashes of the lines that were shown
    unsigned shown_count;
};

bool dt_remote_is_address(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz");
    return n >= 2 && n <= 16 && strncmp(name + n, "://", 3) == 0;
}

// ---- services ----

static int cancelled(void *host)
{
    const struct dt_remote *remote = host;
    return remote->options.stop && atomic_load(remote->options.stop) != 0;
}

static void notice(void *host, const char *line)
{
    struct dt_remote *remote = host;
    char clean[300];
    size_t n = dt_text_clean(clean, sizeof clean, line, strlen(line), DT_TEXT_LINE);
    uint64_t hash = dt_hash(DT_HASH_BEGIN, clean, n);
    for (unsigned i = 0; i < remote->shown_count; i++) {
        if (remote->shown[i] == hash)
            return;
    }
    if (remote->shown_count == NOTICES)
        return;
    remote->shown[remote->shown_count++] = hash;
    if (remote->options.notice)
        remote->options.notice(remote->options.arg, clean);
}

// ---- the module ----

static const struct dt_module_kind kind = {"plugins", "dt_engine_module", "engine-"};

// Whether a module's tables are complete. Reads nothing beyond the sizes that they state.
static bool is_valid(const struct dt_remote_module *m, char *reason, size_t size)
{
    if (m->abi != DT_REMOTE_ABI)
        dt_format(reason, size,
                  "was built for version %u of the engine interface, this program has version %u",
                  m->abi, DT_REMOTE_ABI);
    else if (m->size < sizeof *m || !m->scheme || !m->engine ||
             m->engine->size < sizeof *m->engine || !m->engine->open || !m->engine->generate)
        dt_format(reason, size, "has an incomplete table of functions");
    else if (!dt_module_name_valid(m->name))
        dt_format(reason, size, "has an invalid name; only 1 to 31 of a-z and 0-9 are valid");
    else
        return true;
    return false;
}

static bool has_scheme(const struct dt_remote_module *m, const char *address)
{
    size_t n = strcspn(address, ":");
    for (const char *const *scheme = m->scheme; *scheme; scheme++) {
        if (strlen(*scheme) == n && memcmp(*scheme, address, n) == 0)
            return true;
    }
    return false;
}

// Loads modules until one has the scheme of the address. They are not examined in a child first:
// one is loaded only when a user names an address, and a child of several threads could wait for
// ever for a lock of the libraries that it loads. NULL, with an error: there is none.
static const struct dt_remote_engine *find_engine(const char *address, struct dt_error *err)
{
    const struct dt_remote_engine *engine = NULL;
    struct dt_modules modules = {0};
    struct dt_error refused = {0};
    char reason[300], line[600];
    dt_status status = dt_modules_find(&modules, &kind, err);
    for (size_t i = 0; i < modules.count && status == DT_OK && !engine; i++) {
        struct dt_module *file = &modules.items[i];
        if (file->reason)
            dt_error_set(&refused, DT_UNSUPPORTED, file->path, "%s", file->reason);
        if (file->reason || dt_module_load(file, &kind, &refused) != DT_OK)
            continue;
        const struct dt_remote_module *module = file->symbol;
        if (!is_valid(module, reason, sizeof reason))
            dt_error_set(&refused, DT_UNSUPPORTED, file->path, "%s", reason);
        else if (has_scheme(module, address))
            engine = module->engine;
    }
    dt_modules_free(&modules);
    if (engine || status == DT_NO_MEMORY)
        return engine;
    dt_error_set(err, DT_UNSUPPORTED, address,
                 "no plug-in for such an address%s%s; install libcurl and duotale's engine-openai",
                 refused.status ? ": " : "",
                 refused.status ? dt_error_line(&refused, line, sizeof line) : "");
    return NULL;
}

// ---- opening ----

// Whether the name of a model says that it is for dialogues: one of its words does.
static bool is_dialogue(const char *name)
{
    static const char *const words[] = {"instruct", "chat", "it", "assistant", "gpt", "thinking"};
    for (size_t n; *name; name += n + (name[n] != '\0')) {
        n = strcspn(name, "-_./: ");
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            if (strlen(words[i]) == n && strncasecmp(name, words[i], n) == 0)
                return true;
        }
    }
    return false;
}

static void clean_facts(struct dt_remote_facts *facts)
{
    facts->model[sizeof facts->model - 1] = facts->program[sizeof facts->program - 1] = '\0';
    dt_text_clean(facts->model, sizeof facts->model, facts->model, strlen(facts->model),
                  DT_TEXT_LINE);
    facts->chat = facts->chat || is_dialogue(facts->model);
    dt_text_clean(facts->program, sizeof facts->program, facts->program, strlen(facts->program),
                  DT_TEXT_LINE);
}

// The status of a module's result; reason: its line.
static dt_status status_of(const struct dt_remote *remote, int result, const char *reason,
                           struct dt_error *err)
{
    switch (result) {
    case DT_REMOTE_DONE:
        return DT_OK;
    case DT_REMOTE_CANCELLED:
        return dt_error_set(err, DT_CANCELLED, NULL, "stopped");
    case DT_REMOTE_UNKNOWN:
        return dt_error_set(err, DT_UNSUPPORTED, remote->address, "the server cannot say that");
    case DT_REMOTE_FULL:
        return dt_error_set(err, DT_CONTEXT_FULL, remote->address, "%s", reason);
    default:
        return dt_error_set(err, DT_FAILED, remote->address, "%s",
                            *reason ? reason : "failed without a reason");
    }
}

// A key that anyone on the way can read.
static void warn_of_open_key(struct dt_remote *remote)
{
    const char *address = remote->address;
    if (!remote->key[0] || strncmp(address, "http://", 7) != 0)
        return;
    const char *host = address + 7;
    static const char *const near[] = {"localhost", "127.", "[::1]"};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        if (strncmp(host, near[i], strlen(near[i])) == 0)
            return;
    }
    notice(remote,
           "The key goes to the server without encryption: the address is http, not https.");
}

dt_status dt_remote_open(struct dt_remote **out, const struct dt_remote_options *options,
                         struct dt_error *err)
{
    char reason[512] = "";
    *out = NULL;
    const struct dt_remote_engine *engine = find_engine(options->address, err);
    if (!engine)
        return err ? err->status : DT_UNSUPPORTED;
    struct dt_remote *remote = calloc(1, sizeof *remote);
    char *address = strdup(options->address);
    if (!remote || !address) {
        free(remote);
        free(address);
        return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for a connection");
    }
    remote->options = *options;
    remote->address = address;
    remote->options.address = address;
    remote->facts.size = sizeof remote->facts;
    dt_remote_services_init(&remote->services);
    remote->services.host = remote;
    remote->services.cancelled = cancelled;
    remote->services.notice = notice;
    dt_status status = dt_remote_key(address, remote->key, err);
    if (status == DT_OK) {
        warn_of_open_key(remote);
        const struct dt_remote_settings settings = {
            .size = sizeof settings,
            .silence_seconds = options->silence_seconds,
            .url = address,
            .key = remote->key[0] ? remote->key : NULL,
        };
        int result = engine->open(&remote->services, &settings, &remote->ctx, &remote->facts,
                                  reason, sizeof reason);
        status = status_of(remote, result, reason, err);
    }
    if (status == DT_OK) {
        remote->engine = engine;
        clean_facts(&remote->facts);
        *out = remote;
    } else {
        dt_remote_close(remote);
    }
    return status;
}

void dt_remote_close(struct dt_remote *remote)
{
    if (!remote)
        return;
    if (remote->engine && remote->engine->close)
        remote->engine->close(remote->ctx);
    free(remote->address);
    explicit_bzero(remote->key, sizeof remote->key);
    free(remote);
}

const char *dt_remote_address(const struct dt_remote *remote)
{
    return remote->address;
}

const struct dt_remote_facts *dt_remote_facts(const struct dt_remote *remote)
{
    return &remote->facts;
}

struct names {
    void (*on_name)(void *arg, const char *name);
    void *arg;
};

static void clean_name(void *arg, const char *name)
{
    const struct names *names = arg;
    size_t n = strlen(name);
    if (n < 256 && dt_text_is_clean(name, n, DT_TEXT_LINE)) // else it cannot be typed
        names->on_name(names->arg, name);
}

void dt_remote_models(const struct dt_remote *remote, void (*on_name)(void *arg, const char *name),
                      void *arg)
{
    struct names names = {on_name, arg};
    if (remote->engine->models)
        remote->engine->models(remote->ctx, clean_name, &names);
}

dt_status dt_remote_generate(struct dt_remote *remote, struct dt_remote_request *request,
                             dt_remote_on_text *on_text, void *arg,
                             struct dt_remote_figures *figures, struct dt_error *err)
{
    char reason[512] = "";
    request->size = sizeof *request;
    *figures = (struct dt_remote_figures){.size = sizeof *figures};
    int result = remote->engine->generate(remote->ctx, request, on_text, arg, figures, reason,
                                          sizeof reason);
    return status_of(remote, result, reason, err);
}

dt_status dt_remote_count(struct dt_remote *remote, struct dt_remote_request *request,
                          uint32_t *tokens, struct dt_error *err)
{
    char reason[512] = "";
    request->size = sizeof *request;
    *tokens = 0;
    if (!remote->engine->count)
        return status_of(remote, DT_REMOTE_UNKNOWN, reason, err);
    int result = remote->engine->count(remote->ctx, request, tokens, reason, sizeof reason);
    return status_of(remote, result, reason, err);
}
