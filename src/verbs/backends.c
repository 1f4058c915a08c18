// SPDX-License-Identifier: MIT
// duotale backends: lists the compute backends, measures their variants, or verifies a module file.
#include <stdio.h>
#include <string.h>

#include "host/modules/cpu.h"
#include "host/json.h"
#include "host/print.h"
#include "verbs/verb.h"
#include "verbs/verify/verify.h"

static void list_forms(struct dt_json *json, const struct dt_backend *table)
{
    dt_json_name(json, "forms");
    dt_json_array(json);
    for (uint32_t i = 0; table && i < table->form_count; i++)
        dt_json_text(json, dt_form_name(table->forms[i]));
    for (uint32_t form = 0; table && form < 64; form++)
        if (table->more_forms & DT_FORM_BIT(form))
            dt_json_text(json, dt_form_name(form));
    dt_json_end(json);
}

static void as_json(const struct dt_registry *registry)
{
    char features[256];
    size_t folders;
    const char *const *folder = dt_registry_folders(registry, &folders);
    struct dt_json json;
    dt_json_init(&json, stdout, 2);
    dt_json_object(&json);
    dt_json_put_uint(&json, "abi", DT_BACKEND_ABI);
    dt_json_put_text(&json, "cpu", dt_cpu()->model);
    dt_json_put_text(&json, "arch", dt_cpu()->arch);
    dt_json_put_text(&json, "features", dt_cpu_features(dt_cpu(), features, sizeof features));
    dt_json_name(&json, "folders");
    dt_json_array(&json);
    for (size_t i = 0; i < folders; i++)
        dt_json_text(&json, folder[i]);
    dt_json_end(&json);
    dt_json_name(&json, "backends");
    dt_json_array(&json);
    for (size_t i = 0; i < dt_registry_count(registry); i++) {
        const struct dt_backend_info *b = dt_registry_at(registry, i);
        dt_json_object(&json);
        dt_json_put_text(&json, "name", b->name);
        dt_json_put_text(&json, "variant", b->variant);
        dt_json_put_uint(&json, "score", (uint64_t)b->score);
        dt_json_put_bool(&json, "usable", !b->reason);
        dt_json_put_text(&json, "reason", b->reason);
        dt_json_put_text(&json, "file", b->path);
        dt_json_put_text(&json, "description", b->description);
        list_forms(&json, b->table);
        dt_json_put_text(&json, "layout", b->table ? b->table->layout : NULL);
        dt_json_end(&json);
    }
    dt_json_end(&json);
    dt_json_end(&json);
}

static void as_text(const struct dt_registry *registry)
{
    char features[256], name[80];
    dt_print(stdout, "%s (%s): %s\n\n", dt_cpu()->model, dt_cpu()->arch,
             *dt_cpu_features(dt_cpu(), features, sizeof features)
                 ? features
                 : "no vector extensions that a backend uses");
    dt_print(stdout, "%-20s %5s  %s\n", "backend", "score", "description or reason, file");
    for (size_t i = 0; i < dt_registry_count(registry); i++) {
        const struct dt_backend_info *b = dt_registry_at(registry, i);
        snprintf(name, sizeof name, "%s%s%s", b->name, *b->variant ? "@" : "", b->variant);
        if (b->reason)
            dt_print(stdout, "%-20s %5s  %s\n", name, "-", b->reason);
        else
            dt_print(stdout, "%-20s %5d  %s\n", name, b->score, b->description);
        dt_print(stdout, "%-20s %5s  %s\n", "", "", b->path);
    }
    size_t folders;
    const char *const *folder = dt_registry_folders(registry, &folders);
    dt_print(stdout, "\nfolders searched:%s\n", folders ? "" : " no module folder was found");
    for (size_t i = 0; i < folders; i++)
        dt_print(stdout, "  %s\n", folder[i]);
}

// ---- variants ----

struct tuned_model {
    const char *path;
    char stack[128], weights[64];
    uint32_t threads;
    struct dt_engine_tuning tuning;
};

static dt_status tune(const char *path, uint32_t threads, struct tuned_model *out,
                      struct dt_error *err)
{
    const struct dt_engine_options options = {
        .threads = threads, .tune = DT_TUNE_AGAIN, .without_vocabulary = true};
    struct dt_engine *engine = NULL;
    struct dt_engine_plan plan;
    dt_status status = dt_engine_new(&engine, &options, err);
    if (status == DT_OK)
        status = dt_engine_prepare(engine, path, NULL, &plan, err);
    if (status == DT_OK)
        status = dt_engine_start(engine, NULL, NULL, err);
    if (status == DT_OK) {
        out->path = path;
        out->threads = dt_engine_threads(engine);
        out->tuning = *dt_engine_tuning(engine);
        snprintf(out->stack, sizeof out->stack, "%s", dt_engine_stack_name(engine));
        dt_engine_weights_text(&plan.weights, out->weights, sizeof out->weights);
    }
    dt_engine_free(engine);
    return status;
}

static void tuned_as_text(const struct tuned_model *m)
{
    const struct dt_engine_tuning *t = &m->tuning;
    dt_print(stdout, "%s: %s, weights %s, %u thread%s\n", m->path, m->stack, m->weights, m->threads,
             m->threads == 1 ? "" : "s");
    if (t->count < 2)
        dt_print(stdout, "  there is one variant only\n");
    for (uint32_t i = 0; t->count > 1 && i < t->count; i++) {
        const struct dt_engine_tuning_row *row = &t->row[i];
        const char *name = row->variant[0] ? row->variant : "(plain)";
        if (row->dropped)
            dt_print(stdout, "  %-14s %s\n", name, row->dropped);
        else
            dt_print(stdout, "  %-14s %10.1f us a token, %10.1f us a token of a prompt%s\n", name,
                     row->token * 1e6, row->prompt_token * 1e6, i == t->taken ? "  <- taken" : "");
    }
    if (t->count > 1)
        dt_print(stdout, "  measured in %.1f ms\n", t->seconds * 1e3);
}

static void tuned_as_json(struct dt_json *json, const struct tuned_model *m)
{
    const struct dt_engine_tuning *t = &m->tuning;
    dt_json_object(json);
    dt_json_put_text(json, "model", m->path);
    dt_json_put_text(json, "stack", m->stack);
    dt_json_put_text(json, "weights", m->weights);
    dt_json_put_uint(json, "threads", m->threads);
    dt_json_put_number(json, "seconds", t->seconds);
    dt_json_name(json, "variants");
    dt_json_array(json);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct dt_engine_tuning_row *row = &t->row[i];
        dt_json_object(json);
        dt_json_put_text(json, "variant", row->variant);
        dt_json_put_text(json, "dropped", row->dropped);
        dt_json_put_number(json, "token_seconds", row->token);
        dt_json_put_number(json, "prompt_token_seconds", row->prompt_token);
        dt_json_put_bool(json, "taken", i == t->taken && t->count > 1);
        dt_json_end(json);
    }
    dt_json_end(json);
    dt_json_end(json);
}

// Measures each model with one thread, and with all.
static int tune_models(char *const *paths, int count, bool as_json)
{
    struct dt_verb_model usual = {0};
    struct dt_error err = {0};
    struct dt_json json;
    struct tuned_model m;
    dt_status status = count ? DT_OK : dt_verb_model_path(&usual, &err);
    uint32_t most = dt_threads_cpus();
    dt_json_init(&json, stdout, 2);
    if (as_json) {
        dt_json_object(&json);
        dt_json_name(&json, "models");
        dt_json_array(&json);
    }
    for (int i = 0; i < (count ? count : 1) && status == DT_OK; i++) {
        for (uint32_t threads = 1; threads <= 2 && threads <= most && status == DT_OK; threads++) {
            memset(&m, 0, sizeof m);
            status = tune(count ? paths[i] : usual.path, threads == 1 ? 1 : most, &m, &err);
            if (status == DT_OK && as_json)
                tuned_as_json(&json, &m);
            else if (status == DT_OK)
                tuned_as_text(&m);
        }
    }
    if (status != DT_OK) {
        if (as_json)
            dt_json_fail(&json, err.message);
        return dt_verb_fail(&err);
    }
    for (int i = 0; as_json && i < 2; i++)
        dt_json_end(&json);
    return dt_verb_flush();
}

struct request {
    bool json, tune;
    const char *verify; // a module file, or NULL
    struct dt_verify_options options;
};

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    if (id == DT_OPTION_JSON)
        r->json = true;
    else if (id == DT_OPTION_TUNE)
        r->tune = true;
    else if (id == DT_OPTION_VERIFY)
        r->verify = value->text;
    else if (id == DT_OPTION_SHAPES)
        r->options.shapes = (uint32_t)value->integer;
    else if (id == DT_OPTION_SEED)
        r->options.seed = value->integer;
    else if (id == DT_OPTION_EXACT)
        r->options.exact = true;
    return 0;
}

int dt_verb_backends(int argc, char **argv)
{
    struct request r = {.options = {.shapes = 200, .seed = 1}};
    int code = dt_options_read(DT_VERB_BACKENDS, argc, argv, on_option, &r);
    if (code >= 0)
        return code;
    if (r.tune && r.verify)
        return dt_options_usage(DT_VERB_BACKENDS, "--tune and --verify cannot be combined");
    if (r.tune)
        return tune_models(argv + optind, argc - optind, r.json);
    if (optind < argc)
        return dt_options_usage(DT_VERB_BACKENDS, "%s: unexpected argument", argv[optind]);
    struct dt_error err = {0};
    if (r.verify) {
        uint32_t failed;
        if (dt_verify_module(r.verify, &r.options, stdout, &failed, &err) != DT_OK)
            return dt_verb_fail(&err);
        code = dt_verb_flush();
        return failed ? dt_status_exit_code(DT_FAILED) : code;
    }
    struct dt_registry *registry;
    if (dt_registry_new(&registry, &err) != DT_OK)
        return dt_verb_fail(&err);
    if (r.json)
        as_json(registry);
    else
        as_text(registry);
    dt_registry_free(registry);
    return dt_verb_flush();
}
