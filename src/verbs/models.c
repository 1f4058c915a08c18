// SPDX-License-Identifier: MIT
// duotale models: the catalogue, and the user's folder of models.
#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "host/clock.h"
#include "host/file.h"
#include "host/json.h"
#include "host/print.h"
#include "host/remote/catalogue.h"
#include "host/remote/download.h"
#include "verbs/verb.h"

struct request {
    const char *sha256;
    bool json, quiet;
};

static atomic_int interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    atomic_store(&interrupted, 1);
}

// ---- progress ----

struct progress {
    char name[128];
    uint64_t begun_ns, shown_ns, first; // first: bytes that were there
    bool shown;
};

static void show(void *arg, uint64_t done, uint64_t total)
{
    struct progress *p = arg;
    char of[32] = "", left[32] = "", percent[16] = "";
    uint64_t now = dt_clock_ns();
    if (!p->begun_ns) {
        p->begun_ns = now;
        p->first = done;
    }
    if (now - p->shown_ns < 200000000ull && done != total)
        return;
    p->shown_ns = now;
    p->shown = true;
    double seconds = (double)(now - p->begun_ns) / 1e9,
           rate = seconds > 0 ? (double)(done - p->first) / seconds : 0;
    if (total) {
        snprintf(percent, sizeof percent, "%3.0f%% ", 100.0 * (double)done / (double)total);
        snprintf(of, sizeof of, " of %.1f", (double)total / 1e6);
        if (rate > 0)
            snprintf(left, sizeof left, ", %.0f s left", (double)(total - done) / rate);
    }
    dt_print(stderr, "\r%s: %s%.1f%s MB, %.1f MB/s%s   ", p->name, percent, (double)done / 1e6, of,
             rate / 1e6, left);
    fflush(stderr);
}

// ---- downloading ----

// Downloads one file. name: in the folder of models.
static dt_status download(const char *url, const char *name, const char *sha256, uint64_t bytes,
                          bool quiet, struct dt_error *err)
{
    char path[4096], address[1024];
    struct progress progress = {0};
    struct sigaction before, action = {.sa_handler = on_interrupt};
    dt_status status = dt_catalogue_address(url, address, sizeof address, err);
    if (status == DT_OK && !dt_catalogue_path(name, path, sizeof path))
        status = dt_error_set(err, DT_FAILED, name, "there is no home directory for models");
    if (status != DT_OK)
        return status;
    if (dt_file_readable(path)) {
        dt_print(stderr, "duotale: %s is there: %s\n", name, path);
        return DT_OK;
    }
    snprintf(progress.name, sizeof progress.name, "%s", name);
    const struct dt_download job = {
        .url = address,
        .path = path,
        .sha256 = sha256,
        .bytes = bytes,
        .stop = &interrupted,
        .progress = !quiet && isatty(STDERR_FILENO) ? show : NULL,
        .arg = &progress,
    };
    sigaction(SIGINT, &action, &before);
    status = dt_download(&job, err);
    sigaction(SIGINT, &before, NULL);
    if (progress.shown)
        fputc('\n', stderr);
    if (status == DT_OK && !quiet)
        dt_print(stderr, "duotale: %s: %s\n", path,
                 sha256 ? "its SHA-256 is right"
                        : "its SHA-256 is not known; the connection alone is trusted");
    return status;
}

// The tokenizer of a llama2.c file, NAME.tok.bin beside it.
static dt_status get_tokenizer(const struct dt_catalogue_entry *e, bool quiet, struct dt_error *err)
{
    char name[160];
    size_t n = strlen(e->file);
    if (!*e->tokenizer)
        return DT_OK;
    if (n > 4 && strcmp(e->file + n - 4, ".bin") == 0)
        n -= 4;
    snprintf(name, sizeof name, "%.*s.tok.bin", (int)n, e->file);
    return download(e->tokenizer, name, NULL, 0, quiet, err);
}

static dt_status get_entry(const struct dt_catalogue_entry *e, bool quiet, struct dt_error *err)
{
    bool known = *e->sha256 != '\0';
    dt_status status =
        download(e->url, e->file, known ? e->sha256 : NULL, known ? e->bytes : 0, quiet, err);
    return status == DT_OK ? get_tokenizer(e, quiet, err) : status;
}

// The file's name at the end of an address. False: it has none that can be used.
static bool name_of(const char *url, char *out, size_t size)
{
    size_t length = strcspn(url, "?#"), at = length;
    while (at > 0 && url[at - 1] != '/')
        at--;
    size_t n = length - at;
    static const char usual[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (n == 0 || n >= size || url[at] == '.' || strspn(url + at, usual) < n)
        return false;
    memcpy(out, url + at, n);
    out[n] = '\0';
    return true;
}

static int get(const struct request *r, const char *what)
{
    struct dt_catalogue_entry entry;
    struct dt_error err = {0};
    char name[128];
    dt_status status;
    if (dt_catalogue_find(what, &entry)) {
        status = get_entry(&entry, r->quiet, &err);
    } else {
        char address[1024];
        status = dt_catalogue_address(what, address, sizeof address, &err);
        if (status == DT_OK && !name_of(what, name, sizeof name))
            status = dt_error_set(&err, DT_USAGE, what, "ends in no name of a file");
        if (status == DT_OK)
            status = download(what, name, r->sha256, 0, r->quiet, &err);
    }
    return status == DT_OK ? 0 : dt_verb_fail(&err);
}

bool dt_models_offer(const char *name, struct dt_error *err)
{
    struct dt_catalogue_entry e;
    char answer[16];
    if (!dt_catalogue_missing(name, err) || !dt_catalogue_find(name, &e))
        return false;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    dt_print(stderr, "%s (%s, %s) is not here. Download %.0f MB from %s? [y/N] ", e.name, e.about,
             e.licence, (double)e.bytes / 1e6, e.url);
    fflush(stderr);
    if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return false;
    *err = (struct dt_error){0};
    return get_entry(&e, false, err) == DT_OK;
}

// ---- listing ----

static bool is_there(const char *file)
{
    char path[4096];
    return dt_catalogue_path(file, path, sizeof path) && dt_file_readable(path);
}

static void list_entry(const struct dt_catalogue_entry *e, struct dt_json *json)
{
    bool there = is_there(e->file);
    if (!json) {
        dt_print(stdout, "%c %-16s %8.1f MB  %-11s %s%s\n", there ? '*' : ' ', e->name,
                 (double)e->bytes / 1e6, e->licence, e->about,
                 *e->sha256 ? "" : " (SHA-256 not known)");
        return;
    }
    dt_json_object(json);
    dt_json_put_text(json, "name", e->name);
    dt_json_put_text(json, "file", e->file);
    dt_json_put_bool(json, "there", there);
    dt_json_put_uint(json, "bytes", e->bytes);
    dt_json_put_text(json, "sha256", *e->sha256 ? e->sha256 : NULL);
    dt_json_put_text(json, "licence", e->licence);
    dt_json_put_text(json, "url", e->url);
    dt_json_put_text(json, "about", e->about);
    dt_json_end(json);
}

// A file of the folder that is none of the catalogue.
static void list_file(const char *folder, const char *name, struct dt_json *json)
{
    char path[4400], clean[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const char *end = strrchr(name, '.');
    bool part = end && strcmp(end, ".part") == 0;
    if (!end || stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        !(part || strcmp(end, ".gguf") == 0 || strcmp(end, ".bin") == 0) ||
        strstr(name, ".tok.bin"))
        return;
    dt_text_clean(clean, sizeof clean, name, strlen(name), DT_TEXT_LINE);
    if (!json) {
        dt_print(stdout, "%c %s  %.1f MB%s\n", part ? ' ' : '*', clean, (double)st.st_size / 1e6,
                 part ? " so far" : "");
        return;
    }
    dt_json_object(json);
    dt_json_put_text(json, "file", clean);
    dt_json_put_bool(json, "there", !part);
    dt_json_put_uint(json, "bytes", (uint64_t)st.st_size);
    dt_json_end(json);
}

static int list(const struct request *r)
{
    struct dt_catalogue_entry *entries;
    struct dt_error err = {0};
    struct dt_json json;
    char folder[4096];
    size_t count;
    if (dt_catalogue_read(&entries, &count, &err) != DT_OK)
        return dt_verb_fail(&err);
    dt_json_init(&json, stdout, 2);
    if (r->json)
        dt_json_array(&json);
    for (size_t i = 0; i < count; i++)
        list_entry(&entries[i], r->json ? &json : NULL);
    DIR *dir = dt_catalogue_path("", folder, sizeof folder) ? opendir(folder) : NULL;
    const struct dirent *item;
    while (dir && (item = readdir(dir)) != NULL) {
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known = known || strcmp(entries[i].file, item->d_name) == 0;
        if (!known)
            list_file(folder, item->d_name, r->json ? &json : NULL);
    }
    if (dir)
        closedir(dir);
    if (r->json)
        dt_json_end(&json);
    free(entries);
    return dt_verb_flush();
}

// ---- removing, and paths ----

static int no_such_model(const char *name)
{
    struct dt_error err = {0};
    dt_error_set(&err, DT_BAD_INPUT, name,
                 "no such model is here; `duotale models list` lists them");
    return dt_verb_fail(&err);
}

static int remove_model(const char *name)
{
    struct dt_catalogue_entry entry;
    char path[4096], other[4200];
    const char *file = dt_catalogue_find(name, &entry) ? entry.file : name;
    if (!dt_catalogue_path(file, path, sizeof path) || !*file)
        return no_such_model(name);
    snprintf(other, sizeof other, "%s.part", path);
    bool part = unlink(other) == 0;
    if (unlink(path) != 0 && !part)
        return no_such_model(name);
    size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, ".bin") == 0) {
        snprintf(other, sizeof other, "%.*s.tok.bin", (int)(n - 4), path);
        unlink(other);
    }
    return 0;
}

static int print_path(const char *name)
{
    struct dt_catalogue_entry entry;
    char path[4096];
    const char *file = dt_catalogue_find(name, &entry) ? entry.file : name;
    if (!dt_catalogue_path(file, path, sizeof path) || (*file && !dt_file_readable(path)))
        return no_such_model(name);
    dt_print(stdout, "%s\n", path);
    return dt_verb_flush();
}

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    if (id == DT_OPTION_JSON)
        r->json = true;
    else if (id == DT_OPTION_QUIET)
        r->quiet = true;
    else if (strspn(value->text, "0123456789abcdefABCDEF") == 64 && !value->text[64])
        r->sha256 = value->text;
    else
        return dt_options_usage(DT_VERB_MODELS, "--sha256: must be 64 hexadecimal digits");
    return 0;
}

int dt_verb_models(int argc, char **argv)
{
    struct request r = {0};
    int code = dt_options_read(DT_VERB_MODELS, argc, argv, on_option, &r);
    if (code >= 0)
        return code;
    const char *what = optind < argc ? argv[optind] : "list";
    int first = optind + 1, count = argc - first;
    code = 0;
    dt_verb_log(false);
    if (strcmp(what, "list") == 0 && count <= 0)
        return list(&r);
    if (strcmp(what, "path") == 0 && count <= 1)
        return print_path(count ? argv[first] : "");
    if (strcmp(what, "get") == 0 && count == 1)
        return get(&r, argv[first]);
    if (strcmp(what, "rm") == 0 && count >= 1) {
        for (int i = first; i < argc && code == 0; i++)
            code = remove_model(argv[i]);
        return code;
    }
    return dt_options_usage(DT_VERB_MODELS, "%s: expects list, get NAME, rm NAME or path NAME",
                            what);
}
