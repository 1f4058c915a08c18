// SPDX-License-Identifier: MIT
#include "app/library/record.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

bool dt_story_number(const char *text, int64_t *out)
{
    int64_t value = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || value > (INT64_MAX - 9) / 10)
            return false;
        value = 10 * value + (*p - '0');
    }
    *out = value;
    return value > 0;
}

void dt_turn_record_free(struct dt_turn_record *turn)
{
    free(turn->prompt);
    free(turn->output);
    free(turn->stack);
    memset(turn, 0, sizeof *turn);
}

void dt_story_record_free(struct dt_story_record *record)
{
    char *const texts[] = {record->title,    record->model,   record->tokenizer, record->stack,
                           record->settings, record->premise, record->system};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (size_t i = 0; i < record->turn_count; i++)
        dt_turn_record_free(&record->turns[i]);
    free(record->turns);
    memset(record, 0, sizeof *record);
}

dt_status dt_turn_record_copy(struct dt_turn_record *to, const struct dt_turn_record *from)
{
    *to = *from;
    to->prompt = strdup(from->prompt ? from->prompt : "");
    to->output = strdup(from->output ? from->output : "");
    to->stack = strdup(from->stack ? from->stack : "");
    if (to->prompt && to->output && to->stack)
        return DT_OK;
    dt_turn_record_free(to);
    return DT_NO_MEMORY;
}

static bool copy_text(char **to, const char *from)
{
    char *copy = strdup(from ? from : "");
    if (!copy)
        return false;
    free(*to);
    *to = copy;
    return true;
}

bool dt_story_record_copy_fields(struct dt_story_record *to, const struct dt_story_record *from)
{
    to->seed = from->seed;
    to->chat = from->chat;
    return copy_text(&to->title, from->title) && copy_text(&to->model, from->model) &&
           copy_text(&to->tokenizer, from->tokenizer) && copy_text(&to->stack, from->stack) &&
           copy_text(&to->settings, from->settings) && copy_text(&to->premise, from->premise) &&
           copy_text(&to->system, from->system);
}

const char *dt_record_date(int64_t seconds, bool utc, const char *format, char *out, size_t size)
{
    time_t t = (time_t)seconds;
    struct tm parts;
    bool valid = t == seconds && (utc ? gmtime_r(&t, &parts) : localtime_r(&t, &parts));
    if (!valid || strftime(out, size, format, &parts) == 0)
        strcpy(out, "-");
    return out;
}

void dt_library_entries_free(struct dt_library_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(entries[i].title);
        free(entries[i].model);
        free(entries[i].stack);
        free(entries[i].snippet);
    }
    free(entries);
}
