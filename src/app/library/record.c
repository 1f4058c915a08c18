// SPDX-License-Identifier: MIT
#include "app/library/record.h"

#include <stdlib.h>
#include <string.h>

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
