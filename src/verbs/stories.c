// SPDX-License-Identifier: MIT
// duotale stories: the library of saved stories, on the command line.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/library/export.h"
#include "app/library/library.h"
#include "app/settings/settings.h"
#include "host/json.h"
#include "host/print.h"
#include "verbs/verb.h"

struct request {
    const char *library; // --library, or NULL
    char path[512];      // the library file; empty: there is none
    uint32_t limit;
    bool json, force, thoughts;
};

static void print_entries(const struct dt_library_entry *entries, size_t count, bool snippets)
{
    for (size_t i = 0; i < count; i++) {
        char when[32];
        dt_record_date(entries[i].updated, false, "%Y-%m-%d %H:%M", when, sizeof when);
        dt_print(stdout, "%5lld  %s  %3u  %s\n", (long long)entries[i].id, when, entries[i].turns,
                 entries[i].title);
        if (snippets)
            dt_print(stdout, "       %s\n", entries[i].snippet);
    }
}

static void print_json(const struct dt_library_entry *entries, size_t count)
{
    struct dt_json json;
    dt_json_init(&json, stdout, 2);
    dt_json_array(&json);
    for (size_t i = 0; i < count; i++) {
        dt_json_object(&json);
        dt_json_put_uint(&json, "id", (uint64_t)entries[i].id);
        dt_json_put_text(&json, "title", entries[i].title);
        dt_json_put_uint(&json, "created", (uint64_t)entries[i].created);
        dt_json_put_uint(&json, "updated", (uint64_t)entries[i].updated);
        dt_json_put_uint(&json, "turns", entries[i].turns);
        dt_json_put_text(&json, "model", entries[i].model);
        dt_json_put_text(&json, "stack", entries[i].stack);
        dt_json_put_text(&json, "snippet", entries[i].snippet);
        dt_json_end(&json);
    }
    dt_json_end(&json);
}

// Opens the library for reading or for writing. DT_BAD_INPUT if there is none.
static dt_status open_library(const struct request *request, bool write, struct dt_library **out,
                              struct dt_error *err)
{
    enum dt_library_trouble trouble;
    if (!request->path[0])
        return dt_error_set(
            err, DT_FAILED, NULL,
            "no home directory to look for the library in; name it with --library FILE");
    dt_status status = dt_library_open(out, request->path, NULL, DT_LIBRARY_PATIENT, &trouble, err);
    if (status != DT_OK || !write)
        return status;
    dt_library_close(*out); // it exists: opening for writing does not create it
    return dt_library_open(out, request->path, NULL, DT_LIBRARY_WRITE | DT_LIBRARY_PATIENT,
                           &trouble, err);
}

static int list(const struct request *request, const char *words)
{
    struct dt_library *library = NULL;
    struct dt_library_entry *entries = NULL;
    struct dt_error err = {0};
    size_t count = 0;
    dt_status status = open_library(request, false, &library, &err);
    if (status == DT_BAD_INPUT) {
        if (request->json)
            puts("[]");
        else
            fputs("duotale: no stories have been saved yet\n", stderr);
        return dt_verb_flush();
    }
    if (status == DT_OK)
        status = dt_library_search(library, words, 0, request->limit, &entries, &count, &err);
    if (status == DT_OK && request->json)
        print_json(entries, count);
    else if (status == DT_OK)
        print_entries(entries, count, *words != '\0');
    dt_library_entries_free(entries, count);
    dt_library_close(library);
    return status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
}

static dt_status export_to(const struct request *request, const char *file,
                           const struct dt_story_record *story, struct dt_error *err)
{
    if (!request->force && access(file, F_OK) == 0)
        return dt_error_set(err, DT_FAILED, file,
                            "the file exists; name another one, or replace it with --force");
    return dt_export_file(file, story, request->force, request->thoughts, err);
}

static int show(const struct request *request, const char *which, const char *file)
{
    struct dt_library *library = NULL;
    struct dt_story_record story = {0};
    struct dt_error err = {0};
    int64_t id;
    if (!dt_story_number(which, &id))
        return dt_options_usage(DT_VERB_STORIES, "%s: must be the number of a story", which);
    dt_status status = open_library(request, false, &library, &err);
    if (status == DT_OK)
        status = dt_library_load(library, id, &story, &err);
    if (status == DT_OK && file && strcmp(file, "-") != 0)
        status = export_to(request, file, &story, &err);
    else if (status == DT_OK)
        dt_export_write(stdout, &story, request->json ? DT_EXPORT_JSON : DT_EXPORT_TEXT,
                        request->thoughts);
    dt_story_record_free(&story);
    dt_library_close(library);
    return status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
}

static int remove_stories(const struct request *request, char **which, int count)
{
    struct dt_library *library = NULL;
    struct dt_error err = {0};
    int64_t id;
    for (int i = 0; i < count; i++) {
        if (!dt_story_number(which[i], &id))
            return dt_options_usage(DT_VERB_STORIES, "%s: must be the number of a story", which[i]);
    }
    dt_status status = open_library(request, true, &library, &err);
    for (int i = 0; i < count && status == DT_OK; i++) {
        dt_story_number(which[i], &id);
        status = dt_library_delete(library, id, &err);
    }
    dt_library_close(library);
    return status == DT_OK ? 0 : dt_verb_fail(&err);
}

static int search(const struct request *request, char **words, int count)
{
    char query[400] = "";
    size_t n = 0;
    for (int i = 0; i < count && n < sizeof query; i++)
        n += (size_t)snprintf(query + n, sizeof query - n, "%s%s", i ? " " : "", words[i]);
    return list(request, query);
}

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    if (id == DT_OPTION_LIMIT)
        r->limit = (uint32_t)value->integer;
    else if (id == DT_OPTION_JSON)
        r->json = true;
    else if (id == DT_OPTION_FORCE)
        r->force = true;
    else if (id == DT_OPTION_THOUGHTS)
        r->thoughts = true;
    else if (id == DT_SET_LIBRARY)
        r->library = value->text;
    return 0;
}

// The library that an interactive session would use, unless --library names one.
static dt_status find_library(struct request *r, struct dt_error *err)
{
    static struct dt_settings settings; // too large for a small stack
    char config[512];
    dt_settings_init(&settings);
    dt_status status = DT_OK;
    if (dt_settings_file(config, sizeof config))
        status = dt_settings_read(&settings, config, err);
    if (status == DT_OK)
        status = dt_settings_environment(&settings, err);
    if (status != DT_OK)
        return status;
    if (r->library)
        snprintf(r->path, sizeof r->path, "%s", r->library);
    else if (!dt_settings_path(&settings, DT_SET_LIBRARY, r->path, sizeof r->path))
        dt_library_default_path(r->path, sizeof r->path);
    return DT_OK;
}

int dt_verb_stories(int argc, char **argv)
{
    struct request r = {.limit = 100};
    struct dt_error err = {0};
    int code = dt_options_read(DT_VERB_STORIES, argc, argv, on_option, &r);
    if (code >= 0)
        return code;
    if (find_library(&r, &err) != DT_OK)
        return dt_verb_fail(&err);
    int count = argc - optind;
    char **words = argv + optind;
    if (count == 0 || (strcmp(words[0], "list") == 0 && count == 1))
        return list(&r, "");
    if (strcmp(words[0], "show") == 0 && count == 2)
        return show(&r, words[1], NULL);
    if (strcmp(words[0], "export") == 0 && count == 3)
        return show(&r, words[1], words[2]);
    if (strcmp(words[0], "search") == 0 && count > 1)
        return search(&r, words + 1, count - 1);
    if (strcmp(words[0], "rm") == 0 && count > 1)
        return remove_stories(&r, words + 1, count - 1);
    return dt_options_usage(DT_VERB_STORIES,
                            "%s: must be list, show N, search WORD..., export N FILE or rm N...",
                            words[0]);
}
