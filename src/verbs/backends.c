// SPDX-License-Identifier: MIT
// duotale backends: what can compute here, from which file, and why not.
#include <stdio.h>
#include <string.h>

#include "host/modules/cpu.h"
#include "host/json.h"
#include "verbs/verb.h"

static const char help[] =
    "usage: duotale backends [--json]\n"
    "Every compute backend that was found: its score on this CPU, its file, or why it cannot be "
    "used.\n"
    "A stack is written bottom first: int8+fastexp; one variant is forced by int8@avx2.\n"
    "Folders are searched in this order: those in DUOTALE_MODULES, beside the program, the install "
    "folder.\n";

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
    printf("%s (%s): %s\n\n", dt_cpu()->model, dt_cpu()->arch,
           *dt_cpu_features(dt_cpu(), features, sizeof features)
               ? features
               : "no vector features that backends ask for");
    printf("%-20s %5s  %s\n", "backend", "score", "what and where");
    for (size_t i = 0; i < dt_registry_count(registry); i++) {
        const struct dt_backend_info *b = dt_registry_at(registry, i);
        snprintf(name, sizeof name, "%s%s%s", b->name, *b->variant ? "@" : "", b->variant);
        if (b->reason)
            printf("%-20s %5s  %s\n", name, "-", b->reason);
        else
            printf("%-20s %5d  %s\n", name, b->score, b->description);
        printf("%-20s %5s  %s\n", "", "", b->path);
    }
    size_t folders;
    const char *const *folder = dt_registry_folders(registry, &folders);
    printf("\nlooked into:%s\n", folders ? "" : " no folder of modules was found");
    for (size_t i = 0; i < folders; i++)
        printf("  %s\n", folder[i]);
}

int dt_verb_backends(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"json", no_argument, NULL, 'J'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == 'h')
            return fputs(help, stdout) < 0;
        if (option != 'J')
            return dt_status_exit_code(DT_USAGE);
        json = true;
    }
    if (optind < argc)
        return dt_verb_usage("backends", "takes no \"%s\"", argv[optind]);
    struct dt_error err = {0};
    struct dt_registry *registry;
    if (dt_registry_new(&registry, &err) != DT_OK)
        return dt_verb_fail(&err);
    if (json)
        as_json(registry);
    else
        as_text(registry);
    dt_registry_free(registry);
    return dt_verb_flush();
}
