// SPDX-License-Identifier: MIT
#include "host/audio/voices.h"

#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "host/modules/modules.h"
#include "host/modules/probe.h"

// In a static build DT_STATIC_SPEECH(X) lists the compiled-in modules: X(voice_espeak)
// X(voice_tones) ...
#ifdef DT_STATIC_SPEECH
#define DT_X(name) extern const struct dt_speech_module dt_speech_module_##name;
DT_STATIC_SPEECH(DT_X)
#undef DT_X
#endif

static const struct dt_speech_module *const compiled_in[] = {
#ifdef DT_STATIC_SPEECH
#define DT_X(name) &dt_speech_module_##name,
    DT_STATIC_SPEECH(DT_X)
#undef DT_X
#endif
        NULL,
};

struct entry {
    struct dt_voice_info info;
    char reason[512];
};

struct dt_voices {
    struct dt_modules files[2]; // voices, ears
    struct entry *entries;
    size_t count;
};

// ---- finding ----

// Whether a module's tables are complete; if not, writes the reason. Reads nothing beyond the sizes
// that they state.
static bool is_valid(const struct dt_speech_module *m, char *reason, size_t size)
{
    if (m->abi != DT_SPEECH_ABI) {
        dt_format(reason, size,
                  "was built for version %u of the voice interface, this program has version %u; "
                  "build it with this program's headers",
                  m->abi, DT_SPEECH_ABI);
        return false;
    }
    if (m->size < sizeof *m || m->size > 65536) {
        dt_format(reason, size, "has a table of %u bytes; at least %zu are required", m->size,
                  sizeof *m);
        return false;
    }
    bool voice = m->kind == DT_SPEECH_VOICE && m->voice && m->voice->size >= sizeof *m->voice &&
                 m->voice->open && m->voice->say;
    bool ear = m->kind == DT_SPEECH_EAR && m->ear && m->ear->size >= sizeof *m->ear &&
               m->ear->open && m->ear->hear;
    if (!voice && !ear)
        dt_format(reason, size, "is of kind %u, but its table of functions is incomplete", m->kind);
    else if (!dt_module_name_valid(m->name))
        dt_format(reason, size, "has an invalid name; only 1 to 31 of a-z and 0-9 are valid");
    else if (!m->probe)
        dt_format(reason, size, "has no probe function");
    else
        return true;
    return false;
}

static void consider(struct dt_voices *v, const struct dt_speech_host *services,
                     const struct dt_speech_module *module, const char *path)
{
    struct entry *entry = &v->entries[v->count++];
    entry->info = (struct dt_voice_info){.name = "?", .description = "", .path = path};
    if (!is_valid(module, entry->reason, sizeof entry->reason)) {
        entry->info.reason = entry->reason;
        return;
    }
    entry->info.module = module;
    entry->info.kind = module->kind;
    entry->info.name = module->name;
    entry->info.description = module->description ? module->description : "";
    entry->info.score = module->probe(services, entry->reason, sizeof entry->reason);
    if (entry->info.score <= 0) {
        entry->info.score = 0;
        entry->info.reason =
            entry->reason[0] ? entry->reason : "cannot be used here and gives no reason";
    }
}

// In a child: everything that reads the module's table or runs its code, before this process does.
// Refuses nothing: in this process, the module is asked again.
static void try_module(void *arg, const struct dt_module *file, void *finding, char *reason)
{
    char answer[512] = "";
    const struct dt_speech_module *module = file->symbol;
    (void)finding;
    (void)reason;
    if (is_valid(module, answer, sizeof answer))
        module->probe(arg, answer, sizeof answer);
}

// Loads the modules that a child could load and ask.
static dt_status load(struct dt_modules *files, const struct dt_module_kind *kind,
                      struct dt_speech_host *services, struct dt_error *err)
{
    const struct dt_examination how = {kind, try_module, services, 0, false};
    char none; // there are no findings
    dt_status status = dt_modules_examine(files, &how, &none, err);
    for (size_t i = 0; i < files->count && status == DT_OK; i++) {
        struct dt_error failure = {0};
        struct dt_module *file = &files->items[i];
        if (file->reason || dt_module_load(file, kind, &failure) == DT_OK)
            continue;
        file->reason = strdup(failure.message);
        if (!file->reason)
            status = dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of voices");
    }
    return status;
}

static int by_kind_and_score(const void *a, const void *b)
{
    const struct dt_voice_info *x = &((const struct entry *)a)->info,
                               *y = &((const struct entry *)b)->info;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return strcmp(x->name, y->name);
}

dt_status dt_voices_new(struct dt_voices **out, struct dt_error *err)
{
    static const struct dt_module_kind kinds[2] = {
        {"plugins", "dt_speech_module", "voice-"},
        {"plugins", "dt_speech_module", "ear-"},
    };
    dt_status status = DT_OK;
    struct dt_speech_context context;
    struct dt_voices *v = calloc(1, sizeof *v);
    if (!v)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of voices");
    for (int k = 0; k < 2 && status == DT_OK; k++)
        status = dt_modules_find(&v->files[k], &kinds[k], err);
    dt_speech_context_init(&context, NULL);
    for (int k = 0; k < 2 && status == DT_OK; k++)
        status = load(&v->files[k], &kinds[k], &context.services, err);
    if (status == DT_OK) {
        size_t most =
            sizeof compiled_in / sizeof *compiled_in + v->files[0].count + v->files[1].count;
        v->entries = calloc(most, sizeof *v->entries);
        if (!v->entries)
            status = dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of voices");
    }
    if (status != DT_OK) {
        dt_voices_free(v);
        return status;
    }
    for (size_t i = 0; compiled_in[i]; i++)
        consider(v, &context.services, compiled_in[i], "compiled in");
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < v->files[k].count; i++) {
            const struct dt_module *file = &v->files[k].items[i];
            struct entry *entry = &v->entries[v->count];
            if (file->symbol) {
                consider(v, &context.services, file->symbol, file->path);
            } else {
                entry->info.reason = file->reason;
                v->count++;
            }
            if (!entry->info.module) { // refused: use the file's name
                entry->info.kind = k == 0 ? DT_SPEECH_VOICE : DT_SPEECH_EAR;
                const char *dash = strchr(file->name, '-');
                entry->info.name = dash ? dash + 1 : file->name;
                entry->info.description = "";
                entry->info.path = file->path;
            }
        }
    }
    // Sorting moves the entries, and a reason may point into one: copy all, set them afterwards.
    for (size_t i = 0; i < v->count; i++)
        if (v->entries[i].info.reason && v->entries[i].info.reason != v->entries[i].reason)
            dt_format(v->entries[i].reason, sizeof v->entries[i].reason, "%s",
                      v->entries[i].info.reason);
    qsort(v->entries, v->count, sizeof *v->entries, by_kind_and_score);
    for (size_t i = 0; i < v->count; i++)
        v->entries[i].info.reason = v->entries[i].info.reason ? v->entries[i].reason : NULL;
    *out = v;
    return DT_OK;
}

void dt_voices_free(struct dt_voices *v)
{
    if (!v)
        return;
    dt_modules_free(&v->files[0]);
    dt_modules_free(&v->files[1]);
    free(v->entries);
    free(v);
}

size_t dt_voices_count(const struct dt_voices *v)
{
    return v->count;
}

const struct dt_voice_info *dt_voices_at(const struct dt_voices *v, size_t i)
{
    return i < v->count ? &v->entries[i].info : NULL;
}

// ---- choosing ----

static void list_usable(const struct dt_voices *v, uint32_t kind, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < v->count && used < size; i++) {
        const struct dt_voice_info *info = &v->entries[i].info;
        if (info->kind == kind && info->score > 0)
            used += dt_format(out + used, size - used, "%s%s", used ? ", " : "", info->name);
    }
    if (!used)
        dt_format(out, size, "none");
}

dt_status dt_voices_choose(const struct dt_voices *v, uint32_t kind, const char *spec,
                           const struct dt_voice_info **out, const char **variant,
                           struct dt_error *err)
{
    const char *what = kind == DT_SPEECH_VOICE ? "voice" : "ear";
    const struct dt_voice_info *found = NULL, *unusable = NULL;
    size_t length = strcspn(spec, ":");
    bool any = length == 0 || (length == 4 && memcmp(spec, "auto", 4) == 0);
    char usable[256];

    *variant = spec[length] ? spec + length + 1 : "";
    for (size_t i = 0; i < v->count && !found; i++) {
        const struct dt_voice_info *info = &v->entries[i].info;
        if (info->kind != kind ||
            (!any && (strlen(info->name) != length || memcmp(info->name, spec, length) != 0)))
            continue;
        if (info->score > (any ? 1 : 0))
            found = info;
        else if (info->score == 0 && !unusable)
            unusable = info;
    }
    *out = found;
    if (found)
        return DT_OK;
    list_usable(v, kind, usable, sizeof usable);
    if (any && unusable)
        return dt_error_set(err, DT_UNSUPPORTED, NULL, "no %s available: %s %s", what,
                            unusable->name, unusable->reason);
    if (any)
        return dt_error_set(
            err, DT_UNSUPPORTED, NULL,
            "no %s available: no module was found (`duotale voices` lists the folders searched)",
            what);
    if (unusable)
        return dt_error_set(err, DT_UNSUPPORTED, NULL, "%s %s %s; available: %s", what,
                            unusable->name, unusable->reason, usable);
    return dt_error_set(err, DT_USAGE, NULL, "unknown %s \"%.*s\"; available: %s", what,
                        (int)length, spec, usable);
}
