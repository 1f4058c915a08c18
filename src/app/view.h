// SPDX-License-Identifier: MIT
// What the front end sees: a copy that changes only when it fetches an event. The payloads with
// which worker and library writer change it.
#ifndef DT_APP_VIEW_H
#define DT_APP_VIEW_H

#include "app/app.h"

// Of DT_EVENT_REDRAW: turns [0, keep) stay, these follow.
struct dt_view_turn {
    char *prompt, *text;
    size_t prompt_length, text_length, capacity;
    struct dt_app_turn facts; // its strings are not used
};
struct dt_view_story {
    size_t keep, count;
    struct dt_view_turn *turns;
    char *title, *premise;
    int64_t id;
    bool chat, saved;
    bool fields_only; // turns are as they were
};
void dt_view_story_free(void *payload);

// Of DT_EVENT_TURN_END, FIGURES, MODEL: struct dt_app_figures. Of TURN_END the turn's own facts
// besides.
struct dt_view_end {
    struct dt_app_figures figures;
    struct dt_app_turn facts;
};

// Of DT_EVENT_VOICE: struct dt_app_voice without `listening`, or nothing where that alone has
// changed.

// Lists: the array, and all its strings in one block behind it or each malloc'ed (strings, freed
// one by one).
struct dt_view_list {
    void *items;
    size_t count;
    char **strings;
    size_t string_count, string_capacity;
};
struct dt_view_list *dt_view_list_new(size_t count, size_t item_size);
// A copy of text that lives as long as the list; "" without memory.
const char *dt_view_list_text(struct dt_view_list *list, const char *text);
void dt_view_list_free(void *payload);

// Of DT_EVENT_COMPARE.
void dt_view_compare_free(void *payload); // struct dt_app_compare whose strings are malloc'ed

// Only inside the app: fields of the story changed (title, number); never handed out.
#define DT_EVENT_FIELDS ((enum dt_app_event_type)1000)

bool dt_view_new(struct dt_app *app);
void dt_view_free(struct dt_view *view);

// The table's functions of the same names.
bool dt_view_next(struct dt_app *app, struct dt_app_event *out);
enum dt_app_state dt_view_state(struct dt_app *app);
const struct dt_app_figures *dt_view_figures(struct dt_app *app);
const struct dt_app_voice *dt_view_voice(struct dt_app *app);
const struct dt_app_story *dt_view_story(struct dt_app *app);
bool dt_view_turn(struct dt_app *app, size_t i, struct dt_app_turn *out);
const struct dt_app_backend *dt_view_backends(struct dt_app *app, size_t *count);
const struct dt_app_model *dt_view_models(struct dt_app *app, size_t *count);
const struct dt_app_entry *dt_view_library(struct dt_app *app, size_t *count);
const struct dt_app_compare *dt_view_compare(struct dt_app *app);

#endif
