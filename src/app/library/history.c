// SPDX-License-Identifier: MIT
#include "app/library/history.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/settings/settings.h"
#include "base/text.h"
#include "host/file.h"

#define FILE_MAX (256 * 1024) // a larger file is replaced by one with the last entries

static void put(struct dt_history *history, char *entry)
{
    if (history->count == DT_HISTORY_MAX) {
        free(history->entries[0]);
        memmove(history->entries, history->entries + 1,
                (DT_HISTORY_MAX - 1) * sizeof *history->entries);
        history->count--;
    }
    history->entries[history->count++] = entry;
}

static void escape(FILE *out, const char *entry)
{
    for (; *entry; entry++) {
        if (*entry == '\n')
            fputs("\\n", out);
        else if (*entry == '\\')
            fputs("\\\\", out);
        else
            fputc(*entry, out);
    }
    fputc('\n', out);
}

static void unescape(char *line)
{
    char *begin = line, *to = line;
    for (; *line; line++) {
        if (line[0] == '\\' && line[1] == 'n') {
            *to++ = '\n';
            line++;
        } else if (line[0] == '\\' && line[1] == '\\') {
            *to++ = '\\';
            line++;
        } else {
            *to++ = *line;
        }
    }
    *to = '\0';
    dt_text_clean(begin, (size_t)(to - begin) + 1, begin, (size_t)(to - begin), DT_TEXT_LINES);
}

void dt_history_read(struct dt_history *history)
{
    char folder[480], temporary[600];
    char *line = NULL;
    size_t capacity = 0;
    if (!dt_folder_of_user("XDG_DATA_HOME", ".local/share", folder, sizeof folder))
        return;
    snprintf(history->path, sizeof history->path, "%s/history", folder);
    FILE *in = dt_file_open_text(history->path);
    if (!in)
        return;
    while (getline(&line, &capacity, in) > 0) {
        line[strcspn(line, "\n")] = '\0';
        unescape(line);
        char *copy = *line ? strdup(line) : NULL;
        if (copy)
            put(history, copy);
    }
    long size = ftell(in);
    fclose(in);
    free(line);
    if (size <= FILE_MAX)
        return;
    snprintf(temporary, sizeof temporary, "%s.new", history->path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out)
        return;
    for (size_t i = 0; i < history->count; i++)
        escape(out, history->entries[i]);
    if (fclose(out) == 0)
        rename(temporary, history->path);
}

void dt_history_free(struct dt_history *history)
{
    for (size_t i = 0; i < history->count; i++)
        free(history->entries[i]);
    history->count = 0;
}

struct line {
    char path[512];
    char *entry;
};

static void write_line(void *arg)
{
    struct line *line = arg;
    dt_folder_make_all(line->path);
    int fd = open(line->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "a") : NULL;
    if (out) { // the history is a convenience: the library reports a full disk
        escape(out, line->entry);
        fclose(out);
    }
    free(line->entry);
    free(line);
}

void dt_history_add(struct dt_history *history, struct dt_writer *writer, const char *entry)
{
    if (!*entry || (history->count && strcmp(history->entries[history->count - 1], entry) == 0))
        return;
    char *copy = strdup(entry);
    if (!copy)
        return;
    put(history, copy);
    struct line *line = writer && history->path[0] ? malloc(sizeof *line) : NULL;
    if (!line)
        return;
    memcpy(line->path, history->path, sizeof line->path);
    line->entry = strdup(entry);
    if (!line->entry || !dt_writer_call(writer, write_line, line)) {
        free(line->entry);
        free(line);
    }
}
