// SPDX-License-Identifier: MIT
#include "app/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "host/array.h"

struct dt_view {
    struct dt_event *current; // the event whose text the front end may still read
    enum dt_app_state state;
    struct dt_app_figures figures;
    struct dt_app_voice voice;
    struct dt_view_story story;
    size_t turn_capacity;
    struct dt_app_story facts; // the last answer of dt_view_story
    struct dt_view_list *backends, *models, *library;
    struct dt_app_compare *compare;
};

// ---- payloads ----

static void free_turn(struct dt_view_turn *turn)
{
    free(turn->prompt);
    free(turn->thought);
    free(turn->text);
}

void dt_view_story_free(void *payload)
{
    struct dt_view_story *story = payload;
    if (!story)
        return;
    for (size_t i = 0; i < story->count; i++)
        free_turn(&story->turns[i]);
    free(story->turns);
    free(story->title);
    free(story->premise);
    free(story);
}

struct dt_view_list *dt_view_list_new(size_t count, size_t item_size)
{
    struct dt_view_list *list = calloc(1, sizeof *list);
    if (!list)
        return NULL;
    list->items = calloc(count ? count : 1, item_size);
    list->count = count;
    if (!list->items) {
        free(list);
        return NULL;
    }
    return list;
}

const char *dt_view_list_text(struct dt_view_list *list, const char *text)
{
    char *copy = strdup(text ? text : "");
    if (copy)
        dt_text_clean(copy, strlen(copy) + 1, copy, strlen(copy), DT_TEXT_LINE);
    if (!copy || !dt_array_grow(&list->strings, &list->string_capacity, list->string_count + 1,
                                sizeof *list->strings)) {
        free(copy);
        return "";
    }
    list->strings[list->string_count++] = copy;
    return copy;
}

void dt_view_list_free(void *payload)
{
    struct dt_view_list *list = payload;
    if (!list)
        return;
    for (size_t i = 0; i < list->string_count; i++)
        free(list->strings[i]);
    free(list->strings);
    free(list->items);
    free(list);
}

void dt_view_compare_free(void *payload)
{
    struct dt_app_compare *compare = payload;
    if (!compare)
        return;
    for (int i = 0; i < 2; i++) {
        free((char *)compare->side[i].stack);
        free((char *)compare->side[i].text);
        free((char *)compare->side[i].refused);
    }
    free((char *)compare->prompt);
    free(compare);
}

// ---- the view ----

struct dt_view *dt_view_new(void)
{
    return calloc(1, sizeof(struct dt_view));
}

static void drop_turns(struct dt_view *view, size_t keep)
{
    while (view->story.count > keep)
        free_turn(&view->story.turns[--view->story.count]);
}

void dt_view_free(struct dt_view *view)
{
    if (!view)
        return;
    dt_event_free(view->current);
    drop_turns(view, 0);
    free(view->story.turns);
    free(view->story.title);
    free(view->story.premise);
    dt_view_list_free(view->backends);
    dt_view_list_free(view->models);
    dt_view_list_free(view->library);
    dt_view_compare_free(view->compare);
    free(view);
}

static struct dt_view_turn *add_turn(struct dt_view *view)
{
    if (!dt_array_grow(&view->story.turns, &view->turn_capacity, view->story.count + 1,
                       sizeof *view->story.turns))
        return NULL;
    struct dt_view_turn *turn = &view->story.turns[view->story.count++];
    memset(turn, 0, sizeof *turn);
    return turn;
}

static bool apply_story(struct dt_view *view, struct dt_view_story *story)
{
    bool good = true;
    if (!story->fields_only) {
        drop_turns(view, story->keep);
        for (size_t i = 0; i < story->count; i++) {
            struct dt_view_turn *turn = add_turn(view);
            if (!turn) {
                good = false;
                break;
            }
            *turn = story->turns[i];
            memset(&story->turns[i], 0, sizeof story->turns[i]); // taken over
        }
    }
    free(view->story.title);
    free(view->story.premise);
    view->story.title = story->title;
    view->story.premise = story->premise;
    story->title = story->premise = NULL;
    view->story.id = story->id;
    view->story.chat = story->chat;
    view->story.saved = story->saved;
    return good;
}

static bool append(const struct dt_app_event *event, char **text, size_t *length, size_t *capacity)
{
    if (!dt_array_grow(text, capacity, *length + event->length + 1, 1))
        return false;
    memcpy(*text + *length, event->text, event->length + 1);
    *length += event->length;
    return true;
}

static void swap_list(struct dt_view_list **list, struct dt_event *event)
{
    dt_view_list_free(*list);
    *list = event->payload;
    event->payload = NULL;
}

static bool begin_turn(struct dt_view *view, const struct dt_app_event *event)
{
    if (event->turn < view->story.count) { // it continues
        view->story.turns[event->turn].facts.finished = false;
        return true;
    }
    while (view->story.count < event->turn && add_turn(view))
        continue; // the events of these were lost for want of memory
    struct dt_view_turn *turn = view->story.count == event->turn ? add_turn(view) : NULL;
    if (!turn)
        return false;
    turn->prompt = strdup(event->text);
    turn->prompt_length = turn->prompt ? event->length : 0;
    return turn->prompt != NULL;
}

// False if memory is short for it.
static bool apply(struct dt_view *view, struct dt_event *node)
{
    struct dt_app_event *event = &node->event;
    struct dt_view_turn *turn;
    switch ((int)event->type) {
    case DT_EVENT_STATE:
        view->state = event->state;
        break;
    case DT_EVENT_TURN:
        return begin_turn(view, event);
    case DT_EVENT_THOUGHT:
    case DT_EVENT_TEXT:
        if (event->turn >= view->story.count)
            break;
        turn = &view->story.turns[event->turn];
        if (event->type == DT_EVENT_TEXT)
            return append(event, &turn->text, &turn->text_length, &turn->text_capacity);
        return append(event, &turn->thought, &turn->thought_length, &turn->thought_capacity);
    case DT_EVENT_TURN_END:
        if (node->payload) {
            struct dt_view_end *end = node->payload;
            view->figures = end->figures;
            if (event->turn < view->story.count)
                view->story.turns[event->turn].facts = end->facts;
        }
        break;
    case DT_EVENT_FIGURES:
    case DT_EVENT_MODEL:
        if (node->payload)
            view->figures = *(struct dt_app_figures *)node->payload;
        break;
    case DT_EVENT_VOICE:
        if (node->payload)
            view->voice = *(struct dt_app_voice *)node->payload;
        break;
    case DT_EVENT_REDRAW:
    case DT_EVENT_FIELDS:
        return !node->payload || apply_story(view, node->payload);
    case DT_EVENT_BACKENDS:
        swap_list(&view->backends, node);
        break;
    case DT_EVENT_MODELS:
        swap_list(&view->models, node);
        break;
    case DT_EVENT_LIBRARY:
        swap_list(&view->library, node);
        break;
    case DT_EVENT_COMPARE:
        dt_view_compare_free(view->compare);
        view->compare = node->payload;
        node->payload = NULL;
        break;
    default:
        break;
    }
    return true;
}

bool dt_view_next(struct dt_view *view, struct dt_events *events, struct dt_app_event *out)
{
    do {
        dt_event_free(view->current);
        view->current = dt_events_fetch(events);
        if (!view->current)
            return false;
        if (!apply(view, view->current))
            dt_events_lose(events, view->current->event.type);
    } while (view->current->event.type == DT_EVENT_FIELDS);
    *out = view->current->event;
    return true;
}

enum dt_app_state dt_view_state(const struct dt_view *view)
{
    return view->state;
}

const struct dt_app_figures *dt_view_figures(const struct dt_view *view)
{
    return &view->figures;
}

struct dt_app_voice *dt_view_voice(struct dt_view *view)
{
    return &view->voice;
}

const struct dt_app_story *dt_view_story(struct dt_view *view)
{
    view->facts = (struct dt_app_story){
        .id = view->story.id,
        .title = view->story.title ? view->story.title : "",
        .premise = view->story.premise ? view->story.premise : "",
        .chat = view->story.chat,
        .saved = view->story.saved,
        .turns = view->story.count,
    };
    return &view->facts;
}

bool dt_view_turn(const struct dt_view *view, size_t i, struct dt_app_turn *out)
{
    if (i >= view->story.count)
        return false;
    const struct dt_view_turn *turn = &view->story.turns[i];
    *out = turn->facts;
    out->prompt = turn->prompt ? turn->prompt : "";
    out->prompt_length = turn->prompt_length;
    out->thought = turn->thought ? turn->thought : "";
    out->thought_length = turn->thought_length;
    out->text = turn->text ? turn->text : "";
    out->text_length = turn->text_length;
    return true;
}

static const void *list_of(const struct dt_view_list *list, size_t *count)
{
    *count = list ? list->count : 0;
    return list ? list->items : NULL;
}

const struct dt_app_backend *dt_view_backends(const struct dt_view *view, size_t *count)
{
    return list_of(view->backends, count);
}

const struct dt_app_model *dt_view_models(const struct dt_view *view, size_t *count)
{
    return list_of(view->models, count);
}

const struct dt_app_entry *dt_view_library(const struct dt_view *view, size_t *count)
{
    return list_of(view->library, count);
}

const struct dt_app_compare *dt_view_compare(const struct dt_view *view)
{
    return view->compare;
}
