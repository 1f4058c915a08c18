// SPDX-License-Identifier: MIT
// Settings in the environment and in the INI file.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/settings/settings.h"
#include "host/file.h"

#define LINE_MAX_INI 180 // inih's own buffer is 200 bytes in Debian's build
#define FIRST_WORDS                                                                                \
    "# duotale's settings. NAME = VALUE; [sections] are only headings; a long text continues "     \
    "in indented lines.\n"

dt_status dt_settings_environment(struct dt_settings *settings, struct dt_error *err)
{
    for (int id = 0; id < DT_SET_COUNT; id++) {
        char variable[64] = "DUOTALE_";
        size_t n = strlen(variable);
        const char *name = dt_settings_table()[id].name;
        for (; *name && n + 1 < sizeof variable; name++)
            variable[n++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
        variable[n] = '\0';
        const char *value = getenv(variable);
        struct dt_error inner = {0};
        if (value && dt_settings_set(settings, id, value, DT_FROM_ENVIRONMENT, &inner) != DT_OK)
            return dt_error_set(err, DT_USAGE, NULL, "environment variable %s: %s", variable,
                                inner.message);
    }
    return DT_OK;
}

bool dt_settings_file(char *out, size_t size)
{
    char folder[512];
    if (!dt_folder_of_user("XDG_CONFIG_HOME", ".config", folder, sizeof folder))
        return false;
    int n = snprintf(out, size, "%s/config.ini", folder);
    return n > 0 && (size_t)n < size;
}

// ---- reading ----

struct reader {
    FILE *in;
    struct dt_settings *settings;
    bool indented; // the line inih is looking at goes on the one before
    bool too_long;
    int last;                               // the setting of the line before, -1 if none
    char text[2 * DT_SETTING_TEXT_MAX + 2]; // its value so far, as written
    struct dt_error error;                  // the first one
};

static char *read_line(char *out, int size, void *stream)
{
    struct reader *reader = stream;
    if (!fgets(out, size, reader->in))
        return NULL;
    size_t n = strlen(out);
    reader->indented = out[0] == ' ' || out[0] == '\t';
    if (n + 1 == (size_t)size && out[n - 1] != '\n' && !feof(reader->in))
        reader->too_long = true;
    return out;
}

// Whether the value may hold any character.
static bool is_escaped(const struct dt_setting *setting)
{
    return setting->type == DT_SETTING_TEXT || setting->type == DT_SETTING_FILE ||
           setting->type == DT_SETTING_TEXTS;
}

// "\;" and "\#" are these characters, which would begin a comment otherwise; "\\" is a backslash.
static void unescape(char *text)
{
    char *to = text;
    for (; *text; text++) {
        if (text[0] == '\\' && (text[1] == ';' || text[1] == '#' || text[1] == '\\'))
            text++;
        *to++ = *text;
    }
    *to = '\0';
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
    (void)section;
    struct reader *reader = user;
    if (reader->error.status)
        return 0;
    if (reader->too_long) {
        dt_error_set(&reader->error, DT_USAGE, NULL,
                     "the line is longer than %d bytes; continue it in an indented line",
                     LINE_MAX_INI);
        return 0;
    }
    if (!name || !value) // a new section, which some builds of inih report
        return 1;
    int id = dt_settings_find(name);
    if (id < 0 || strcmp(dt_settings_table()[id].name, name) != 0) {
        // no abbreviations in files: a later version may have two settings with that beginning
        const char *near = dt_settings_nearest(name);
        dt_error_set(&reader->error, DT_USAGE, NULL,
                     near ? "unknown setting \"%s\"; did you mean \"%s\"?"
                          : "unknown setting \"%s\"",
                     name, near);
        return 0;
    }
    size_t n = reader->indented && reader->last == id ? strlen(reader->text) : 0,
           more = strlen(value);
    if (n + more + 2 > sizeof reader->text) {
        dt_error_set(&reader->error, DT_USAGE, NULL, "%s: longer than %d bytes", name,
                     DT_SETTING_TEXT_MAX - 1);
        return 0;
    }
    if (n > 0)
        reader->text[n++] = ' ';
    memcpy(reader->text + n, value, more + 1);
    reader->last = id;
    char text[sizeof reader->text];
    memcpy(text, reader->text, n + more + 1);
    if (is_escaped(&dt_settings_table()[id]))
        unescape(text);
    return dt_settings_set(reader->settings, id, text, DT_FROM_FILE, &reader->error) == DT_OK;
}

dt_status dt_settings_read(struct dt_settings *settings, const char *path, struct dt_error *err)
{
    char where[300];
    FILE *in = dt_file_open_text(path);
    if (!in && (errno == ENOENT || errno == ENOTDIR))
        return DT_OK;
    if (!in)
        return dt_error_set(err, DT_BAD_INPUT, path, "the settings cannot be read: %s",
                            dt_file_reason(errno));
    struct dt_settings *copy = malloc(sizeof *copy); // a wrong file changes nothing
    struct reader *reader = calloc(1, sizeof *reader);
    int line = -1;
    if (copy && reader) {
        *copy = *settings;
        *reader = (struct reader){.settings = copy, .last = -1, .in = in};
        line = ini_parse_stream(read_line, reader, on_value, reader);
    }
    dt_status status = DT_OK;
    if (ferror(in)) {
        status =
            dt_error_set(err, DT_BAD_INPUT, path, "the settings cannot be read: %s", strerror(EIO));
    } else if (line < 0) {
        status = dt_error_set(err, DT_NO_MEMORY, path, "out of memory to read the settings");
    } else if (line > 0 || reader->too_long) {
        snprintf(where, sizeof where, "%s:%d", path, line);
        status = dt_error_set(err, DT_USAGE, where, "%s",
                              reader->error.status ? reader->error.message
                                                   : "expected NAME = VALUE or [section]");
    } else {
        *settings = *copy;
    }
    fclose(in);
    free(copy);
    free(reader);
    return status;
}

// ---- writing ----

static void write_text(FILE *out, const char *text)
{
    size_t column = 0;
    for (; *text; text++) {
        // at a space, so that the joint, which is read as one, is the space
        if (column > LINE_MAX_INI / 2 && text[0] == ' ' && text[1] != ' ' && text[1] != '\0' &&
            text[-1] != ' ') {
            fputs("\n    ", out);
            column = 0;
            continue;
        }
        if (*text == ';' || *text == '#' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
        column++;
    }
}

dt_status dt_settings_write(const struct dt_settings *settings, const char *path,
                            struct dt_error *err)
{
    char temporary[600];
    const char *group = "";
    FILE *out = NULL;
    int fd = -1;
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (strlen(path) + 8 > sizeof temporary)
        return dt_error_set(err, DT_USAGE, path, "the path is too long");
    if (!dt_folder_make_all(path))
        goto failed;
    fd = mkostemp(temporary, O_CLOEXEC); // 0600
    if (fd < 0)
        goto failed;
    out = fdopen(fd, "w");
    if (!out)
        goto failed;
    fputs(FIRST_WORDS, out);
    for (int id = 0; id < DT_SET_COUNT; id++) {
        const struct dt_setting *setting = &dt_settings_table()[id];
        if (settings->value[id].source < DT_FROM_FILE || id == DT_SET_PRIVATE)
            continue; // a session that was private once should not be so for ever
        if (strcmp(group, setting->group) != 0)
            fprintf(out, "\n[%s]\n", setting->group);
        group = setting->group;
        fprintf(out, "%s = ", setting->name);
        if (is_escaped(setting))
            write_text(out, settings->value[id].text);
        else
            fputs(settings->value[id].text, out);
        fputc('\n', out);
    }
    if (fflush(out) != 0 || fsync(fd) != 0)
        goto failed;
    fclose(out);
    out = NULL;
    fd = -1;
    if (rename(temporary, path) != 0)
        goto failed;
    return DT_OK;
failed:
    dt_error_set(err, DT_FAILED, path, "the settings cannot be written: %s", strerror(errno));
    if (out)
        fclose(out);
    else if (fd >= 0)
        close(fd);
    unlink(temporary);
    return DT_FAILED;
}
