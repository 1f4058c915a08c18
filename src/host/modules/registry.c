// SPDX-License-Identifier: MIT
#include "host/modules/registry_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/quant/packed.h"
#include "core/stack.h"
#include "host/modules/cpu.h"
#include "host/log.h"
#include "host/modules/probe.h"

const struct dt_module_kind dt_backend_kind = {"backends", "dt_backend_module", NULL};

// In a static build DT_STATIC_BACKENDS(X) lists the compiled-in backends: X(int8) X(int8_avx2) ...
#ifdef DT_STATIC_BACKENDS
#define DT_X(name) extern const struct dt_backend dt_backend_module_##name;
DT_STATIC_BACKENDS(DT_X)
#undef DT_X
#endif

static const struct dt_backend *const compiled_in[] = {&dt_backend_reference,
#ifdef DT_STATIC_BACKENDS
#define DT_X(name) &dt_backend_module_##name,
                                                       DT_STATIC_BACKENDS(DT_X)
#undef DT_X
#endif
};

// ---- finding ----

// Whether text[0..n) is `word`.
static bool equals(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(text, word, n) == 0;
}

bool dt_registry_accepts(const struct dt_backend *module, char *reason, size_t size)
{
    if (module->abi != DT_BACKEND_ABI) {
        dt_format(reason, size,
                  "was built for version %u of the backend interface, this program has version "
                  "%u; build it with this program's headers",
                  module->abi, DT_BACKEND_ABI);
        return false;
    }
    if (module->size < offsetof(struct dt_backend, can_matmul) || module->size > 65536) {
        dt_format(reason, size,
                  "has a table of %u bytes; at least %zu are required (%zu in this version)",
                  module->size, offsetof(struct dt_backend, can_matmul), sizeof *module);
        return false;
    }
    if (!dt_module_name_valid(module->name) ||
        (module->variant && *module->variant && !dt_module_name_valid(module->variant))) {
        dt_format(reason, size,
                  "has an invalid name or variant; only up to 31 of a-z and 0-9 are valid");
        return false;
    }
    struct dt_instance whole;
    dt_instance_init(&whole, module, NULL);
    const struct dt_backend *t = &whole.table;
    if (!t->probe)
        dt_format(reason, size, "has no probe function");
    else if (t->form_count > sizeof t->forms / sizeof *t->forms)
        dt_format(reason, size, "lists %u weight forms; at most %zu are valid", t->form_count,
                  sizeof t->forms / sizeof *t->forms);
    else if (!t->matmul != !t->embed || (t->matmul && t->form_count == 0))
        dt_format(reason, size,
                  "must provide matmul, embed and a weight form together, or none of them");
    else if (!t->act_bytes != !t->act_prepare || !t->pack_bytes != !t->pack ||
             (t->pack && !t->layout))
        dt_format(reason, size,
                  "must provide act_bytes and act_prepare together, and pack_bytes, pack and "
                  "layout together");
    else if (t->row_tile > 4096)
        dt_format(reason, size, "requests tiles of %u rows; at most 4096 are valid", t->row_tile);
    else
        return true;
    return false;
}

// Copies what a table says, and probes the CPU.
static void read_table(struct dt_registry_finding *out, const struct dt_backend *module)
{
    struct dt_instance whole;
    dt_instance_init(&whole, module, NULL);
    const struct dt_backend *t = &whole.table;
    dt_format(out->name, sizeof out->name, "%s", t->name);
    dt_format(out->variant, sizeof out->variant, "%s", t->variant ? t->variant : "");
    dt_format(out->description, sizeof out->description, "%s",
              t->description ? t->description : "");
    dt_format(out->layout, sizeof out->layout, "%s", t->layout ? t->layout : "");
    out->has_layout = t->layout != NULL;
    out->multiplies = t->matmul != NULL;
    out->table = (struct dt_backend){.abi = t->abi,
                                     .size = t->size,
                                     .row_tile = t->row_tile,
                                     .form_count = t->form_count,
                                     .more_forms = t->more_forms};
    memcpy(out->table.forms, t->forms, sizeof out->table.forms);
    out->score = t->probe(dt_cpu());
}

// Sets the pointers of an entry that was filled or moved.
static void point(struct dt_registry_entry *e)
{
    struct dt_registry_finding *f = &e->found;
    e->info.table = &f->table;
    e->info.name = f->table.name = f->name;
    e->info.variant = f->table.variant = f->variant;
    e->info.description = f->table.description = f->description;
    f->table.layout = f->has_layout ? f->layout : NULL;
}

// Reads a loaded module, in a child.
static void look(void *arg, const struct dt_module *module, void *finding, char *reason)
{
    (void)arg;
    if (dt_registry_accepts(module->symbol, reason, DT_PROBE_REASON))
        read_table(finding, module->symbol);
}

// Fills an entry from what was found, or from the reason why its file was refused.
static dt_status fill_entry(struct dt_registry_entry *e, const struct dt_registry_finding *found,
                            const char *path, const char *file_name, const char *refused,
                            struct dt_error *err)
{
    char reason[DT_PROBE_REASON] = "", have[128];
    e->info =
        (struct dt_backend_info){.path = path, .name = file_name, .variant = "", .description = ""};
    if (refused) {
        dt_format(reason, sizeof reason, "%s", refused);
    } else {
        e->found = *found;
        e->info.score = found->score;
        point(e);
        if (e->info.score <= 0)
            dt_format(reason, sizeof reason, "cannot run on this CPU (%s; it has: %s)",
                      dt_cpu()->model,
                      *dt_cpu_features(dt_cpu(), have, sizeof have) ? have : "no known feature");
    }
    if (!reason[0])
        return DT_OK;
    dt_log(e->info.table ? DT_LOG_DEBUG : DT_LOG_WARNING, "backend %s: %s", path, reason);
    e->info.score = 0;
    e->info.reason = e->reason = strdup(reason);
    return e->reason ? DT_OK
                     : dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of backends");
}

static dt_status add_compiled(struct dt_registry *registry, struct dt_error *err)
{
    dt_status status = DT_OK;
    for (size_t i = 0; i < sizeof compiled_in / sizeof *compiled_in && status == DT_OK; i++) {
        struct dt_registry_entry *e = &registry->entries[registry->count++];
        struct dt_registry_finding found = {0};
        e->compiled = compiled_in[i];
        read_table(&found, e->compiled);
        status = fill_entry(e, &found, "compiled in", e->compiled->name, NULL, err);
    }
    return status;
}

static dt_status add_modules(struct dt_registry *registry, struct dt_error *err)
{
    // of foreign folders nothing is remembered: their modules may be at work
    const struct dt_examination how = {&dt_backend_kind, look, NULL,
                                       sizeof(struct dt_registry_finding),
                                       !getenv("DUOTALE_MODULES")};
    struct dt_registry_finding *findings = calloc(registry->modules.count + 1, sizeof *findings);
    if (!findings)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of backends");
    dt_status status = dt_modules_examine(&registry->modules, &how, findings, err);
    for (size_t i = 0; i < registry->modules.count && status == DT_OK; i++) {
        struct dt_registry_entry *e = &registry->entries[registry->count++];
        e->module = &registry->modules.items[i];
        status =
            fill_entry(e, &findings[i], e->module->path, e->module->name, e->module->reason, err);
    }
    free(findings);
    return status;
}

static int by_name_and_score(const void *a, const void *b)
{
    const struct dt_backend_info *x = &((const struct dt_registry_entry *)a)->info,
                                 *y = &((const struct dt_registry_entry *)b)->info;
    int order = strcmp(x->name, y->name);
    if (order == 0)
        order = (y->score > x->score) - (y->score < x->score);
    return order ? order : strcmp(x->variant, y->variant);
}

dt_status dt_registry_new(struct dt_registry **out, struct dt_error *err)
{
    dt_status status = DT_OK;
    struct dt_registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of backends");
#ifndef DT_STATIC_BACKENDS
    status = dt_modules_find(&registry->modules, &dt_backend_kind, err);
    if (status != DT_OK)
        goto fail;
#endif
    registry->entries = calloc(sizeof compiled_in / sizeof *compiled_in + registry->modules.count,
                               sizeof *registry->entries);
    if (!registry->entries) {
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of backends");
        goto fail;
    }
    status = add_compiled(registry, err);
    if (status == DT_OK)
        status = add_modules(registry, err);
    if (status != DT_OK)
        goto fail;
    qsort(registry->entries, registry->count, sizeof *registry->entries, by_name_and_score);
    for (size_t i = 0; i < registry->count; i++) { // sorting moved them: update their pointers
        if (registry->entries[i].info.table)
            point(&registry->entries[i]);
    }
    *out = registry;
    return DT_OK;
fail:
    dt_registry_free(registry);
    return status;
}

void dt_registry_free(struct dt_registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->count; i++)
        free(registry->entries[i].reason);
    free(registry->entries);
    dt_tuned_free(&registry->tuned);
    dt_modules_free(&registry->modules);
    free(registry);
}

size_t dt_registry_count(const struct dt_registry *registry)
{
    return registry->count;
}

const struct dt_backend_info *dt_registry_at(const struct dt_registry *registry, size_t i)
{
    return &registry->entries[i].info;
}

const char *const *dt_registry_folders(const struct dt_registry *registry, size_t *count)
{
    *count = registry->modules.folder_count;
    return (const char *const *)registry->modules.folders;
}

const char *const *dt_registry_places(const struct dt_registry *registry, size_t *count)
{
    *count = registry->modules.place_count;
    return (const char *const *)registry->modules.places;
}

// ---- choosing ----

// Writes the names of the usable backends: "fp32, int8, int4 ...".
static void list_usable(const struct dt_registry *registry, char *out, size_t size)
{
    size_t used = 0;
    const char *last = "";
    out[0] = 0;
    for (size_t i = 0; i < registry->count; i++) {
        const struct dt_backend_info *b = &registry->entries[i].info;
        if (b->reason || strcmp(b->name, last) == 0)
            continue;
        last = b->name;
        if (used < size)
            used += dt_format(out + used, size - used, used ? ", %s" : "%s", b->name);
    }
}

dt_status dt_registry_choose(const struct dt_registry *registry, const char *text, size_t n,
                             const struct dt_registry_entry **out, struct dt_error *err)
{
    const char *at = memchr(text, '@', n);
    size_t name = at ? (size_t)(at - text) : n, variant = at ? n - name - 1 : 0;
    const struct dt_registry_entry *seen = NULL;
    for (size_t i = 0; i < registry->count; i++) { // the best variant of a name comes first
        const struct dt_registry_entry *e = &registry->entries[i];
        if (!equals(text, name, e->info.name) || (at && !equals(at + 1, variant, e->info.variant)))
            continue;
        if (!e->info.reason) {
            *out = e;
            return DT_OK;
        }
        if (!seen)
            seen = e;
    }
    if (seen)
        return dt_error_set(err, DT_UNSUPPORTED,
                            strcmp(seen->info.path, "compiled in") ? seen->info.path : NULL,
                            "backend %.*s %s", (int)n, text, seen->info.reason);
    char usable[300];
    list_usable(registry, usable, sizeof usable);
    return dt_error_set(
        err, DT_USAGE, NULL,
        "unknown backend \"%.*s\"; available: %s (`duotale backends` lists the details)",
        (int)(n < 64 ? n : 64), text, usable);
}

const struct dt_matrix *dt_registry_main_matrix(const struct dt_model *model)
{
    return model->hp.layers ? &model->layers[0].up : &model->classifier;
}

// The form, or the one that the matrix was packed from.
static uint32_t plain_form(const struct dt_matrix *w)
{
    struct dt_matrix plain;
    return dt_packed_plain(w, &plain) ? plain.form : w->form;
}

uint32_t dt_registry_main_form(const struct dt_model *model)
{
    return plain_form(dt_registry_main_matrix(model));
}

static bool has_layout(const struct dt_registry_entry *e, const char *layout)
{
    return e->info.table && e->info.table->layout && strcmp(e->info.table->layout, layout) == 0;
}

// The usable backend with the highest score that computes from `form`, and from `layout` if it is
// not NULL; of equal ones the one that lists the form first. NULL if there is none.
static const struct dt_registry_entry *best_for(const struct dt_registry *registry, uint32_t form,
                                                const char *layout)
{
    const struct dt_registry_entry *best = NULL;
    int best_rank = 0;
    for (size_t i = 0; i < registry->count; i++) {
        const struct dt_registry_entry *e = &registry->entries[i];
        int rank =
            e->info.reason || !e->found.multiplies ? -1 : dt_backend_form_rank(e->info.table, form);
        if (rank < 0 || (layout && !has_layout(e, layout)))
            continue;
        if (!best || e->info.score > best->info.score ||
            (e->info.score == best->info.score && rank < best_rank)) {
            best = e;
            best_rank = rank;
        }
    }
    return best;
}

const struct dt_registry_entry *dt_registry_choose_auto(const struct dt_registry *registry,
                                                        const struct dt_model *model)
{
    const struct dt_registry_entry *best = NULL;
    if (model) {
        const struct dt_matrix *w = dt_registry_main_matrix(model);
        uint32_t form = dt_registry_main_form(model);
        if (w->form == DT_FORM_PACKED && w->layout)
            best = best_for(registry, form, w->layout);
        if (!best)
            best = best_for(registry, form, NULL);
        // The weights must be converted: 8 bits per weight preserve any form with fewer. So they
        // are where a backend of a higher score has not this form, which is one of more_forms.
        const struct dt_registry_entry *eight = best_for(registry, DT_FORM_Q8_0, NULL);
        bool more = best && dt_backend_form_rank(best->info.table, form) ==
                                (int)best->info.table->form_count;
        if (!best ||
            (more && eight && eight->info.score > best->info.score && w->form != DT_FORM_PACKED))
            best = eight;
    }
    for (size_t i = 0; i < registry->count && !best; i++) {
        if (strcmp(registry->entries[i].info.name, dt_backend_reference.name) == 0)
            best = &registry->entries[i];
    }
    return best;
}

const struct dt_registry_entry *dt_registry_choose_below(const struct dt_registry *registry,
                                                         const struct dt_model *model,
                                                         const struct dt_registry_entry *chosen)
{
    const struct dt_registry_entry *eight = best_for(registry, DT_FORM_Q8_0, NULL);
    if (!model || !eight || eight == chosen ||
        dt_backend_form_rank(chosen->info.table, DT_FORM_Q4_0) < 0 ||
        dt_backend_form_rank(chosen->info.table, DT_FORM_Q8_0) >= 0)
        return NULL;
    if (dt_backend_form_rank(chosen->info.table, plain_form(&model->classifier)) < 0)
        return eight;
    for (uint32_t l = 0; l < model->hp.layers; l++) {
        const struct dt_layer *layer = &model->layers[l];
        const struct dt_matrix *const all[] = {&layer->query,  &layer->key,  &layer->value,
                                               &layer->output, &layer->gate, &layer->up,
                                               &layer->down};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i]->rows && dt_backend_form_rank(chosen->info.table, plain_form(all[i])) < 0)
                return eight;
    }
    return NULL;
}
