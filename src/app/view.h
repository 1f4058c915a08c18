// SPDX-License-Identifier: MIT
// What the front end sees: a copy of story, figures and lists that changes only when the front end
// fetches an event; and the payloads of events with which the other threads change it.
#ifndef DT_APP_VIEW_H
#define DT_APP_VIEW_H

#include "app/api.h"
#include "app/events.h"

// ---- payloads ----

struct dt_view_turn {
    char *prompt, *thought, *text; // malloc'ed
    size_t prompt_length, thought_length, thought_capacity, text_length, text_capacity;
    struct dt_app_turn facts; // without its strings
};

// Of DT_EVENT_REDRAW and DT_EVENT_FIELDS.
struct dt_view_story {
    size_t keep;  // turns [0, keep) are unchanged,
    size_t count; // and these follow
    struct dt_view_turn *turns;
    char *title, *premise;
    int64_t id;
    bool chat, saved;
    bool fields_only; // the turns are unchanged
};
void dt_view_story_free(void *payload);

// Of DT_EVENT_TURN_END.
struct dt_view_end {
    struct dt_app_figures figures;
    struct dt_app_turn facts;
};

// DT_EVENT_FIGURES and DT_EVENT_MODEL carry a struct dt_app_figures; DT_EVENT_VOICE a struct
// dt_app_voice, or nothing if only `listening` changed.

// Of DT_EVENT_BACKENDS, DT_EVENT_MODELS and DT_EVENT_LIBRARY: an array of the type in api.h, and
// the strings it refers to.
struct dt_view_list {
    void *items;
    size_t count;
    char **strings; // malloc'ed
    size_t string_count, string_capacity;
};
// A list of `count` zeroed items. NULL if memory is short.
struct dt_view_list *dt_view_list_new(size_t count, size_t item_size);
// A copy of text that lives as long as the list; "" if memory is short or text is NULL.
const char *dt_view_list_text(struct dt_view_list *list, const char *text);
void dt_view_list_free(void *payload);

// Of DT_EVENT_COMPARE: a struct dt_app_compare whose strings are malloc'ed.
void dt_view_compare_free(void *payload);

// The title, number or premise of the story changed. Only within the app: dt_view_next applies it
// and does not return it.
#define DT_EVENT_FIELDS ((enum dt_app_event_type)1000)

// ---- the view ----

struct dt_view;

struct dt_view *dt_view_new(void); // NULL if memory is short
void dt_view_free(struct dt_view *view);

// Fetches the next event and applies it. False if there is none. The text of *out is valid until
// the next call.
bool dt_view_next(struct dt_view *view, struct dt_events *events, struct dt_app_event *out);

// As the functions of the same names in struct dt_app_api.
enum dt_app_state dt_view_state(const struct dt_view *view);
const struct dt_app_figures *dt_view_figures(const struct dt_view *view);
struct dt_app_voice *dt_view_voice(struct dt_view *view); // `listening` is the caller's to set
const struct dt_app_story *dt_view_story(struct dt_view *view);
bool dt_view_turn(const struct dt_view *view, size_t i, struct dt_app_turn *out);
const struct dt_app_backend *dt_view_backends(const struct dt_view *view, size_t *count);
const struct dt_app_model *dt_view_models(const struct dt_view *view, size_t *count);
const struct dt_app_entry *dt_view_library(const struct dt_view *view, size_t *count);
const struct dt_app_compare *dt_view_compare(const struct dt_view *view);

#endif
