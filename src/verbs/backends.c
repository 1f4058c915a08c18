// SPDX-License-Identifier: MIT
// duotale backends: lists the compute backends, or verifies a module file.
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

struct request {
    bool json;
    const char *verify; // a module file, or NULL
    struct dt_verify_options options;
};

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    if (id == DT_OPTION_JSON)
        r->json = true;
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
