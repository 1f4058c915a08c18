// SPDX-License-Identifier: MIT
#include "host/modules/stack_instance.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/format.h"
#include "base/hash.h"
#include "host/log.h"
#include "host/modules/cpu.h"
#include "host/modules/probe.h"
#include "host/modules/registry_state.h"

// ---- services to backends ----

static void *service_allocate(void *host, size_t bytes)
{
    struct dt_stack_instance *a = host;
    void *block = NULL;
    struct dt_error err;
    if (bytes == 0 || dt_memory_alloc(a->account, bytes, a->name, &block, &err) != DT_OK) {
        if (bytes)
            dt_log(DT_LOG_WARNING, "%s", err.message);
        return NULL;
    }
    atomic_fetch_add(&a->bytes, bytes);
    return block;
}

static void service_release(void *host, void *block, size_t bytes)
{
    struct dt_stack_instance *a = host;
    if (!block)
        return;
    dt_memory_free(a->account, block, bytes);
    atomic_fetch_sub(&a->bytes, bytes);
}

static void service_log(void *host, int level, const char *line)
{
    (void)host;
    dt_log(level, "%s", line);
}

static void service_for(void *host, dt_loop_body *body, void *arg, uint32_t count, uint32_t grain)
{
    struct dt_stack_instance *a = host;
    if (a->threads)
        dt_threads_for(a->threads, body, arg, count, grain);
    else if (count)
        body(arg, 0, count, 0);
}

static uint32_t service_threads(void *host)
{
    struct dt_stack_instance *a = host;
    return a->threads ? dt_threads_count(a->threads) : 1;
}

// ---- stack instances ----

// Writes the name of the stack: "int8@avx2+fastexp".
static void write_name(struct dt_stack_instance *a)
{
    size_t used = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct dt_backend_info *b = &a->entry[i]->info;
        used += dt_format(a->name + used, sizeof a->name - used, "%s%s%s%s", i ? "+" : "", b->name,
                          *b->variant ? "@" : "", b->variant);
        used = used < sizeof a->name ? used : sizeof a->name - 1;
    }
}

// Starts an instance of a backend.
static dt_status start(struct dt_stack_instance *a, const struct dt_registry_entry *e,
                       struct dt_instance *out, struct dt_error *err)
{
    const struct dt_backend *table = e->compiled;
    if (!table) {
        char wrong[DT_PROBE_REASON] = "";
        dt_status status = dt_module_load(e->module, &dt_backend_kind, err);
        if (status != DT_OK)
            return status;
        table = e->module->symbol;
        if (!dt_registry_accepts(table, wrong, sizeof wrong)) // it was replaced
            return dt_error_set(err, DT_FAILED, e->module->path, "%s", wrong);
    }
    dt_instance_init(out, table, NULL);
    char reason[256] = "";
    if (out->table.create &&
        out->table.create(&a->services, &out->ctx, reason, sizeof reason) != 0) {
        reason[sizeof reason - 1] = 0;
        return dt_error_set(err, DT_FAILED, NULL, "backend %s cannot be started: %s", e->info.name,
                            reason[0] ? reason : "it gives no reason");
    }
    return DT_OK;
}

// Adds one backend on top of the stack.
static dt_status add(struct dt_stack_instance *a, const struct dt_registry_entry *e,
                     struct dt_error *err)
{
    if (a->count == DT_STACK_MAX - 1)
        return dt_error_set(err, DT_USAGE, NULL,
                            "stack %s: has too many backends; at most %d are possible", a->name,
                            DT_STACK_MAX - 1);
    struct dt_instance *instance = calloc(1, sizeof *instance);
    if (!instance)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for backend %s", e->info.name);
    dt_status status = start(a, e, instance, err);
    if (status != DT_OK) {
        free(instance);
        return status;
    }
    a->entry[a->count] = e;
    a->instance[a->count++] = instance;
    write_name(a);
    return DT_OK;
}

static dt_status resolve(struct dt_stack_instance *a, struct dt_error *err)
{
    return dt_stack_make(&a->stack, (const struct dt_instance *const *)a->instance, a->count, err);
}

dt_status dt_registry_assemble(struct dt_registry *registry, const char *spec,
                               const struct dt_model *model, struct dt_account *account,
                               struct dt_threads *threads, struct dt_stack_instance **out,
                               struct dt_error *err)
{
    struct dt_stack_instance *a = calloc(1, sizeof *a);
    if (!a)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for a stack of backends");
    a->account = account;
    a->threads = threads;
    a->registry = registry;
    a->automatic = DT_STACK_MAX;
    a->services = (struct dt_services){
        .size = sizeof a->services,
        .host = a,
        .allocate = service_allocate,
        .release = service_release,
        .log = service_log,
        .parallel_for = service_for,
        .threads = service_threads,
    };
    dt_status status = DT_OK;
    for (const char *part = spec;;) {
        size_t n = strcspn(part, "+");
        const struct dt_registry_entry *e = NULL, *below = NULL;
        bool automatic = n == 4 && memcmp(part, "auto", n) == 0;
        if (automatic) {
            e = dt_registry_choose_auto(registry, model);
            below = dt_registry_choose_below(registry, model, e);
            a->fallback = model && e->compiled == &dt_backend_reference;
        } else if (n == 0) {
            status = dt_error_set(
                err, DT_USAGE, NULL,
                "\"%s\" is not a stack of backends; write one as int8 or int8+fastexp", spec);
        } else {
            status = dt_registry_choose(registry, part, n, &e, err);
        }
        if (status == DT_OK && below)
            status = add(a, below, err);
        if (status == DT_OK)
            status = add(a, e, err);
        if (status == DT_OK && automatic && model)
            a->automatic = a->count - 1;
        if (status != DT_OK || !part[n])
            break;
        part += n + 1;
    }
    if (status == DT_OK)
        status = resolve(a, err);
    if (status != DT_OK) {
        dt_stack_instance_free(a);
        return status;
    }
    *out = a;
    return DT_OK;
}

static void end(struct dt_instance *instance)
{
    if (instance->table.destroy)
        instance->table.destroy(instance->ctx);
}

void dt_stack_instance_free(struct dt_stack_instance *a)
{
    if (!a)
        return;
    while (a->count > 0) {
        end(a->instance[--a->count]);
        free(a->instance[a->count]);
    }
    size_t leaked = atomic_load(&a->bytes);
    if (leaked)
        dt_log(DT_LOG_WARNING, "stack %s: did not release %zu bytes", a->name, leaked);
    free(a);
}

// ---- variants ----

// Whether b could take a's place, apart from its bits.
static bool is_rival(const struct dt_registry_entry *a, const struct dt_registry_entry *b)
{
    const struct dt_backend *s = a->info.table, *t = b->info.table;
    if (b->info.reason || !t || strcmp(a->info.name, b->info.name) != 0)
        return false;
    bool layouts =
        s->layout && t->layout ? strcmp(s->layout, t->layout) == 0 : !s->layout && !t->layout;
    return layouts && s->row_tile == t->row_tile && s->form_count == t->form_count &&
           memcmp(s->forms, t->forms, sizeof s->forms) == 0 && s->more_forms == t->more_forms;
}

uint32_t dt_stack_instance_variants(struct dt_stack_instance *a, struct dt_variant *out)
{
    uint32_t count = 0;
    int best = 0;
    if (a->automatic == DT_STACK_MAX)
        return 0;
    for (size_t i = 0; i < a->registry->count && count < DT_STACK_MAX; i++) { // best score first
        const struct dt_registry_entry *e = &a->registry->entries[i];
        if (!is_rival(a->entry[a->automatic], e))
            continue;
        best = best ? best : e->info.score;
        struct dt_variant *v = &out[count];
        memset(v, 0, sizeof *v);
        v->entry = e;
        dt_format(v->name, sizeof v->name, "%s", e->info.variant);
        if (e->info.score * 2 >= best && start(a, e, &v->instance, NULL) == DT_OK)
            count++;
    }
    return count;
}

void dt_variant_close(struct dt_variant *variant)
{
    end(&variant->instance);
}

void dt_stack_instance_use(struct dt_stack_instance *a, struct dt_variant *variant)
{
    struct dt_instance before = *a->instance[a->automatic];
    const struct dt_registry_entry *entry = a->entry[a->automatic];
    *a->instance[a->automatic] = variant->instance;
    a->entry[a->automatic] = variant->entry;
    variant->instance = before;
    variant->entry = entry;
    dt_format(variant->name, sizeof variant->name, "%s", entry->info.variant);
    resolve(a, NULL); // as many levels as before
    write_name(a);
}

const char *dt_stack_instance_variant(const struct dt_stack_instance *a)
{
    return a->automatic == DT_STACK_MAX ? NULL : a->entry[a->automatic]->info.variant;
}

struct dt_tuned *dt_stack_instance_tuned(struct dt_stack_instance *a)
{
    return &a->registry->tuned;
}

void dt_stack_instance_build(const struct dt_stack_instance *a, char *out, size_t size)
{
    const struct dt_cpu *cpu = dt_cpu();
    uint64_t hash = dt_hash(DT_HASH_BEGIN, cpu->model, strlen(cpu->model));
    hash = dt_hash(hash, &cpu->features, sizeof cpu->features);
    hash = dt_hash(hash, DT_VERSION, strlen(DT_VERSION));
    for (size_t i = 0; a->automatic < DT_STACK_MAX && i < a->registry->count; i++) {
        const struct dt_registry_entry *e = &a->registry->entries[i];
        struct stat facts;
        if (!is_rival(a->entry[a->automatic], e) ||
            stat(e->module ? e->module->path : "/proc/self/exe", &facts) != 0)
            continue;
        hash = dt_hash(hash, &facts.st_size, sizeof facts.st_size);
        hash = dt_hash(hash, &facts.st_mtim, sizeof facts.st_mtim);
    }
    dt_format(out, size, "%llx", (unsigned long long)hash);
}
