// SPDX-License-Identifier: MIT
#include "app/library/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/json.h"

bool dt_export_form_of(const char *name, enum dt_export_form *out)
{
    static const char *const endings[] = {".txt", ".md", ".json"};
    const char *ending = strrchr(name, '.');
    for (int i = 0; ending && i < 3; i++) {
        if (strcmp(ending, endings[i]) == 0) {
            *out = (enum dt_export_form)i;
            return true;
        }
    }
    return false;
}

static void date(int64_t seconds, char *out, size_t size)
{
    time_t t = (time_t)seconds;
    struct tm parts;
    gmtime_r(&t, &parts);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

// Quoted lines, for what the user said in a chat.
static void quote(FILE *out, const char *text)
{
    bool begin = true;
    for (; *text; text++) {
        if (begin)
            fputs("> ", out);
        begin = *text == '\n';
        fputc(*text, out);
    }
    fputs(begin ? "\n" : "\n\n", out);
}

// Whether a prompt is said to the model (a chat, a request), and not the beginning of the text
// itself.
static bool is_said(const struct dt_story_record *story, const struct dt_turn_record *turn)
{
    if (story->chat)
        return true;
    size_t n = strlen(turn->prompt);
    return n > 0 && strchr(".?!", turn->prompt[n - 1]) && turn->output[0] && turn->output[0] != ' ';
}

static void write_text(FILE *out, const struct dt_story_record *story, bool markdown)
{
    fprintf(out, markdown ? "# %s\n\n" : "%s\n\n", story->title ? story->title : "A story");
    for (size_t i = 0; i < story->turn_count; i++) {
        const struct dt_turn_record *turn = &story->turns[i];
        bool said = is_said(story, turn), last = i + 1 == story->turn_count;
        if (said && markdown)
            quote(out, turn->prompt);
        else
            fputs(turn->prompt, out);
        if (said && !markdown)
            fputs("\n\n", out);
        fputs(turn->output, out);
        if (last || said || is_said(story, turn + 1))
            fputs(last ? "\n" : "\n\n", out);
    }
    if (markdown) {
        char when[32];
        date(story->updated ? story->updated : (int64_t)time(NULL), when, sizeof when);
        fprintf(out, "\n---\n\nTold by duotale with %s on %s, seed %llu, %s.\n",
                story->model && *story->model ? story->model : "its own model",
                story->stack ? story->stack : "", (unsigned long long)story->seed, when);
    }
}

static void write_json(FILE *out, const struct dt_story_record *story)
{
    static const char *const ends[] = {"story", "stopped", "length", "context", "error"};
    struct dt_json json;
    dt_json_init(&json, out, 2);
    dt_json_object(&json);
    dt_json_put_text(&json, "format", "duotale story 1");
    dt_json_put_uint(&json, "id", (uint64_t)story->id);
    dt_json_put_text(&json, "title", story->title);
    dt_json_put_uint(&json, "created", (uint64_t)story->created);
    dt_json_put_uint(&json, "updated", (uint64_t)story->updated);
    dt_json_put_text(&json, "model", story->model);
    dt_json_put_text(&json, "stack", story->stack);
    dt_json_put_text(&json, "settings", story->settings);
    dt_json_put_text(&json, "premise", story->premise);
    dt_json_put_text(&json, "system", story->system);
    dt_json_put_bool(&json, "chat", story->chat);
    dt_json_name(&json, "turns");
    dt_json_array(&json);
    for (size_t i = 0; i < story->turn_count; i++) {
        const struct dt_turn_record *turn = &story->turns[i];
        dt_json_object(&json);
        dt_json_put_text(&json, "prompt", turn->prompt);
        dt_json_put_text(&json, "told", turn->output);
        dt_json_put_bool(&json, "finished", turn->finished);
        dt_json_put_text(&json, "end",
                         turn->finished && turn->end >= 0 && turn->end < 5 ? ends[turn->end]
                                                                           : NULL);
        dt_json_put_uint(&json, "tokens", turn->tokens);
        dt_json_put_uint(&json, "seed", turn->seed);
        dt_json_put_number(&json, "tokens_per_second", turn->speed);
        dt_json_put_text(&json, "stack", turn->stack);
        dt_json_end(&json);
    }
    dt_json_end(&json);
    dt_json_end(&json);
}

bool dt_export_write(FILE *out, const struct dt_story_record *story, enum dt_export_form form)
{
    if (form == DT_EXPORT_JSON)
        write_json(out, story);
    else
        write_text(out, story, form == DT_EXPORT_MARKDOWN);
    return fflush(out) == 0 && !ferror(out);
}

dt_status dt_export_file(const char *path, const struct dt_story_record *story,
                         struct dt_error *err)
{
    char temporary[4200];
    enum dt_export_form form;
    FILE *out = NULL;
    if (!dt_export_form_of(path, &form))
        return dt_error_set(err, DT_USAGE, path,
                            "a story is written as .md, .txt or .json: the name says which");
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return dt_error_set(err, DT_FAILED, path, "the story cannot be written: %s",
                            strerror(errno));
    out = fdopen(fd, "w");
    if (!out || !dt_export_write(out, story, form) || fsync(fd) != 0 ||
        rename(temporary, path) != 0) {
        dt_error_set(err, DT_FAILED, path, "the story cannot be written: %s", strerror(errno));
        if (out)
            fclose(out);
        else
            close(fd);
        unlink(temporary);
        return DT_FAILED;
    }
    fclose(out);
    return DT_OK;
}
