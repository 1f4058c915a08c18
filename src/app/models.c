// SPDX-License-Identifier: MIT
#include "app/models.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/library/library_writer.h"
#include "host/file.h"
#include "host/string_buffer.h"

#define FILES_MAX 200

struct look {
    struct dt_app *app;
    struct dt_engine *engine;
    struct dt_engine_options options;
    char current[512];
    char *paths[FILES_MAX];
    size_t count, done;
    struct dt_app_model found[FILES_MAX]; // strings malloc'ed
    bool print;
    uint64_t available, limit;
};

static bool ends_in(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

static void add_folder(struct look *look, const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL && look->count < FILES_MAX) {
        const char *name = entry->d_name;
        char path[4096];
        struct stat st;
        bool known = false;
        if (!(ends_in(name, ".gguf") || ends_in(name, ".bin")) || ends_in(name, ".tok.bin") ||
            strncmp(name, "tok", 3) == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        for (size_t i = 0; i < look->count; i++)
            known = known || strcmp(look->paths[i], path) == 0;
        if (!known && (look->paths[look->count] = strdup(path)) != NULL)
            look->count++;
    }
    if (dir)
        closedir(dir);
}

static void add_folder_of(struct look *look, const char *file)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", file);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    add_folder(look, slash ? folder : ".");
}

static int by_name(const void *a, const void *b)
{
    const char *x = strrchr(*(char *const *)a, '/'), *y = strrchr(*(char *const *)b, '/');
    return strcmp(x ? x : "", y ? y : "");
}

static void post(struct look *look)
{
    struct dt_view_list *list = dt_view_list_new(look->done, sizeof(struct dt_app_model));
    if (!list)
        return;
    struct dt_app_model *items = list->items;
    for (size_t i = 0; i < look->done; i++) {
        const struct dt_app_model *from = &look->found[i];
        items[i] = *from;
        items[i].path = dt_view_list_text(list, from->path);
        items[i].name =
            strrchr(items[i].path, '/') ? strrchr(items[i].path, '/') + 1 : items[i].path;
        items[i].format = from->format;
        items[i].reason = from->reason ? dt_view_list_text(list, from->reason) : NULL;
    }
    struct dt_app_event event = {.type = DT_EVENT_MODELS, .done = look->done, .total = look->count};
    dt_events_post(&look->app->report.events, &event, NULL, 0, list, dt_view_list_free);
}

static void print(struct look *look)
{
    struct dt_string_buffer out = {0};
    for (size_t i = 0; i < look->done; i++) {
        const struct dt_app_model *m = &look->found[i];
        const char *name = strrchr(m->path, '/') ? strrchr(m->path, '/') + 1 : m->path;
        if (m->format)
            dt_string_buffer_printf(
                &out, "%c %-32s %8.1f MB  %7.2f M parameters, %s, allocates %.1f MB%s%s\n",
                m->in_use ? '*' : ' ', name, (double)m->file_bytes / 1e6,
                (double)m->parameters / 1e6, m->format, (double)m->own_bytes / 1e6,
                m->fits ? "" : ": ", m->fits ? "" : m->reason);
        else
            dt_string_buffer_printf(&out, "  %-32s %8.1f MB  %s\n", name,
                                    (double)m->file_bytes / 1e6, m->reason);
    }
    dt_string_buffer_printf(&out, "/model FILE opens one.\n");
    if (out.text)
        dt_report_output(&look->app->report, out.text);
    dt_string_buffer_free(&out);
}

static void free_look(struct look *look)
{
    for (size_t i = 0; i < look->count; i++)
        free(look->paths[i]);
    for (size_t i = 0; i < look->done; i++)
        free((char *)look->found[i].reason);
    dt_engine_free(look->engine);
    free(look);
}

static uint64_t parameters(const struct dt_model *model)
{
    const struct dt_hparams *hp = &model->hp;
    uint64_t dim = hp->dim, q = (uint64_t)hp->heads * hp->head_size,
             kv = (uint64_t)hp->kv_heads * hp->head_size;
    uint64_t layer = 2 * dim * q + 2 * dim * kv + 3 * dim * hp->hidden + 2 * dim;
    return hp->layers * layer + (hp->tied ? 1u : 2u) * dim * hp->vocab + dim;
}

// Examines one file; the next one is a separate job of the library writer.
static void look_at_one(void *arg)
{
    struct look *look = arg;
    if (look->done < look->count && !atomic_load(&look->app->control.leaving)) {
        struct dt_app_model *m = &look->found[look->done];
        struct dt_engine_plan plan;
        struct dt_error err = {0};
        struct stat st;
        char line[900];
        m->path = look->paths[look->done];
        m->file_bytes = stat(m->path, &st) == 0 ? (uint64_t)st.st_size : 0;
        m->in_use = strcmp(m->path, look->current) == 0;
        if (dt_engine_prepare(look->engine, m->path, NULL, &plan, &err) == DT_OK) {
            const struct dt_model *model = dt_engine_model(look->engine);
            m->format = model->format;
            m->parameters = parameters(model);
            m->own_bytes = plan.total;
            m->fits = (!look->available || plan.total <= look->available || m->in_use) &&
                      (!look->limit || plan.total <= look->limit);
            if (!m->fits) {
                uint64_t capacity =
                    look->limit && look->limit < look->available ? look->limit : look->available;
                snprintf(line, sizeof line, "needs %.1f MB of memory; %.1f MB are available",
                         (double)plan.total / 1e6, (double)capacity / 1e6);
                m->reason = strdup(line);
            }
            dt_engine_close(look->engine);
        } else {
            m->reason = strdup(err.message);
        }
        look->done++;
        post(look);
        if (dt_writer_call(look->app->writer, look_at_one, look))
            return;
    }
    if (look->print) {
        print(look);
        dt_app_answered(look->app);
    }
    free_look(look);
}

void dt_models_find(struct dt_app *app, bool print_list)
{
    struct look *look = calloc(1, sizeof *look);
    struct dt_settings *settings = malloc(sizeof *settings);
    char path[4096];
    if (!look || !settings)
        goto failed;
    dt_report_settings(&app->report, settings);
    look->app = app;
    look->print = print_list;
    dt_report_model_path(&app->report, look->current, sizeof look->current);
    look->options.context = (uint32_t)dt_settings_uint(settings, DT_SET_CONTEXT);
    look->options.stack = "auto";
    look->limit = dt_settings_uint(settings, DT_SET_MEM_LIMIT);
    if (dt_engine_default_model(path, sizeof path, NULL) == DT_OK)
        add_folder_of(look, path);
    if (*look->current)
        add_folder_of(look, look->current);
    if (dt_settings_path(settings, DT_SET_MODEL, path, sizeof path))
        add_folder_of(look, path);
    if (dt_folder_of_user("XDG_DATA_HOME", ".local/share", path, sizeof path - 16)) {
        strcat(path, "/models");
        add_folder(look, path);
    }
    if (look->count)
        qsort(look->paths, look->count, sizeof *look->paths, by_name);
    struct dt_memory_facts facts;
    dt_memory_facts(&facts);
    look->available = facts.available;
    if (dt_engine_new(&look->engine, &look->options, NULL) != DT_OK)
        goto failed;
    free(settings);
    if (print_list)
        atomic_fetch_add(&app->answers, 1);
    if (!dt_writer_call(app->writer, look_at_one, look)) {
        free_look(look);
        if (print_list)
            dt_app_answered(app);
    }
    return;
failed:
    free(settings);
    if (look)
        free_look(look);
    dt_report_notice(&app->report, DT_NOTICE_ERROR, "Out of memory: the models were not listed.");
}
