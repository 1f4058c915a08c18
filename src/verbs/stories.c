// SPDX-License-Identifier: MIT
// duotale stories: the library from the command line.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/library/export.h"
#include "app/library/library.h"
#include "app/settings/settings.h"
#include "host/json.h"
#include "verbs/verb.h"

static const char help[] =
    "usage: duotale stories [list] [--json]          the stories, newest first\n"
    "       duotale stories show N                   one of them\n"
    "       duotale stories search WORD... [--json]  those that hold all these words\n"
    "       duotale stories export N FILE            as .md, .txt or .json; - is standard output "
    "(text)\n"
    "       duotale stories rm N...                  deletes them for good\n"
    "  -n, --limit N         how many are listed (100)\n"
    "      --library FILE    another library\n"
    "      --json\n"
    "  -h, --help\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 no such story.\n";

struct asked {
    struct dt_settings settings;
    char path[512];
    uint32_t limit;
    bool json;
};

static void print_date(int64_t seconds)
{
    char when[32];
    time_t t = (time_t)seconds;
    struct tm parts;
    strftime(when, sizeof when, "%Y-%m-%d %H:%M", localtime_r(&t, &parts));
    fputs(when, stdout);
}

static void print_entries(const struct dt_library_entry *entries, size_t count, bool snippets)
{
    for (size_t i = 0; i < count; i++) {
        printf("%5lld  ", (long long)entries[i].id);
        print_date(entries[i].updated);
        printf("  %3u  %s\n", entries[i].turns, entries[i].title);
        if (snippets)
            printf("       %s\n", entries[i].snippet);
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

// Opens the library. A missing one is DT_BAD_INPUT.
static dt_status open_library(const struct asked *asked, bool write, struct dt_library **out,
                              struct dt_error *err)
{
    enum dt_library_trouble trouble;
    if (!asked->path[0])
        return dt_error_set(err, DT_FAILED, NULL,
                            "there is no home folder, so no library: --library FILE names one");
    dt_status status = dt_library_open(out, asked->path, NULL, DT_LIBRARY_PATIENT, &trouble, err);
    if (status != DT_OK || !write)
        return status;
    dt_library_close(*out); // it is there: now for writing
    return dt_library_open(out, asked->path, NULL, DT_LIBRARY_WRITE | DT_LIBRARY_PATIENT, &trouble,
                           err);
}

static int list(const struct asked *asked, const char *words)
{
    struct dt_library *library = NULL;
    struct dt_library_entry *entries = NULL;
    struct dt_error err = {0};
    size_t count = 0;
    dt_status status = open_library(asked, false, &library, &err);
    if (status == DT_BAD_INPUT) { // no library: no stories
        if (asked->json)
            puts("[]");
        else
            fputs("no story was kept yet\n", stderr);
        return dt_verb_flush();
    }
    if (status == DT_OK)
        status = dt_library_search(library, words, 0, asked->limit, &entries, &count, &err);
    if (status == DT_OK && asked->json)
        print_json(entries, count);
    else if (status == DT_OK)
        print_entries(entries, count, *words != '\0');
    dt_library_entries_free(entries, count);
    dt_library_close(library);
    return status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
}

static bool number(const char *text, int64_t *out)
{
    uint64_t value;
    if (!dt_verb_seed(text, &value) || value == 0 || value > INT64_MAX)
        return false;
    *out = (int64_t)value;
    return true;
}

static int show(const struct asked *asked, const char *which, const char *file)
{
    struct dt_library *library = NULL;
    struct dt_story_record story = {0};
    struct dt_error err = {0};
    int64_t id;
    if (!number(which, &id))
        return dt_verb_usage("stories", "\"%s\" is no number of a story", which);
    dt_status status = open_library(asked, false, &library, &err);
    if (status == DT_OK)
        status = dt_library_load(library, id, &story, &err);
    if (status == DT_OK && file && strcmp(file, "-") != 0)
        status = dt_export_file(file, &story, &err);
    else if (status == DT_OK)
        dt_export_write(stdout, &story, asked->json ? DT_EXPORT_JSON : DT_EXPORT_TEXT);
    dt_story_record_free(&story);
    dt_library_close(library);
    return status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
}

static int remove_stories(const struct asked *asked, char **which, int count)
{
    struct dt_library *library = NULL;
    struct dt_error err = {0};
    int64_t id;
    for (int i = 0; i < count; i++) {
        if (!number(which[i], &id))
            return dt_verb_usage("stories", "\"%s\" is no number of a story", which[i]);
    }
    dt_status status = open_library(asked, true, &library, &err);
    for (int i = 0; i < count && status == DT_OK; i++) {
        number(which[i], &id);
        status = dt_library_delete(library, id, &err);
    }
    dt_library_close(library);
    return status == DT_OK ? 0 : dt_verb_fail(&err);
}

static int search(const struct asked *asked, char **words, int count)
{
    char query[400] = "";
    size_t n = 0;
    for (int i = 0; i < count && n < sizeof query; i++)
        n += (size_t)snprintf(query + n, sizeof query - n, "%s%s", i ? " " : "", words[i]);
    return list(asked, query);
}

int dt_verb_stories(int argc, char **argv)
{
    static const struct option options[] = {
        {"limit", required_argument, NULL, 'n'},
        {"library", required_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct asked asked = {.limit = 100};
    struct dt_error err = {0};
    char config[512];
    const char *library = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "n:h", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            if (!dt_verb_count(optarg, 1000000, &asked.limit))
                return dt_verb_usage("stories", "--limit takes a whole number, not \"%s\"", optarg);
            break;
        case 'l':
            library = optarg;
            break;
        case 'j':
            asked.json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return dt_verb_flush();
        default:
            return dt_verb_usage("stories", "see above");
        }
    }
    // the library that a session would use
    dt_settings_init(&asked.settings);
    if (dt_settings_file(config, sizeof config) &&
        dt_settings_read(&asked.settings, config, &err) != DT_OK)
        return dt_verb_fail(&err);
    if (dt_settings_environment(&asked.settings, &err) != DT_OK)
        return dt_verb_fail(&err);
    if (library)
        snprintf(asked.path, sizeof asked.path, "%s", library);
    else if (!dt_settings_path(&asked.settings, DT_SET_LIBRARY, asked.path, sizeof asked.path))
        dt_library_default_path(asked.path, sizeof asked.path);
    int count = argc - optind;
    char **words = argv + optind;
    if (count == 0 || (strcmp(words[0], "list") == 0 && count == 1))
        return list(&asked, "");
    if (strcmp(words[0], "show") == 0 && count == 2)
        return show(&asked, words[1], NULL);
    if (strcmp(words[0], "export") == 0 && count == 3)
        return show(&asked, words[1], words[2]);
    if (strcmp(words[0], "search") == 0 && count > 1)
        return search(&asked, words + 1, count - 1);
    if (strcmp(words[0], "rm") == 0 && count > 1)
        return remove_stories(&asked, words + 1, count - 1);
    return dt_verb_usage(
        "stories", "list, show N, search WORD..., export N FILE or rm N...; not \"%s\"", words[0]);
}
