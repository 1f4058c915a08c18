// SPDX-License-Identifier: MIT
// The story of a session: its turns as text, and the tokens that its context should hold. Plain
// data of the worker's thread; worker/context.h makes tokens from text.
#ifndef DT_APP_STORY_H
#define DT_APP_STORY_H

#include "app/library/library_writer.h"

#define DT_NOWHERE UINT32_MAX

// A prompt and the text generated for it.
struct dt_turn {
    char *prompt;
    char *text; // clean UTF-8, NUL-terminated; in a chat with the thoughts and their markers
    size_t length, capacity;
    size_t opened; // bytes of the text that the prompt in the context has already: it opens a
                   // thought
    bool finished;
    bool unsaved; // memory was short when it was to be handed to the library writer
    bool request; // in story mode: the prompt is a request to the storyteller, not part of the text
    int end;      // enum dt_app_turn_end
    uint32_t tokens;
    uint64_t seed;
    double speed; // tokens a second
    char stack[128];
    // Where in the tokens of the story its prompt and its text begin; DT_NOWHERE: not in there, or
    // not as they were.
    uint32_t begin, output_at;
    uint64_t random; // the sampler's state after its last token, 0: unknown
};

struct dt_story {
    struct dt_turn *turns;
    size_t count, capacity;
    char *title, *premise;
    bool premise_opened; // the premise is that of an opened story
    bool chat;
    bool stale; // the tokens have to be made anew from the text
    int64_t id; // its number in the library, 0: none yet
    // Its handle at the library writer; NULL: nothing was saved yet, or nothing is to be saved.
    struct dt_writer_story *saved;
    // What the session should hold. It is evaluated when the next token is generated.
    uint32_t *tokens;
    size_t token_capacity;
    uint32_t token_count;
    uint32_t head;    // so many tokens are never dropped: BOS and premise
    uint32_t dropped; // tokens of the story that were dropped behind the head
    size_t unsent; // what is not sent to a server, because its context is full: bytes of the text
                   // of a story, turns of a chat
};

// Removes turns, title and tokens; the premise stays.
void dt_story_clear(struct dt_story *story);
void dt_story_free(struct dt_story *story);

struct dt_turn *dt_story_last(struct dt_story *story); // NULL if there is none

// Appends a turn without text. NULL if memory is short.
struct dt_turn *dt_story_add(struct dt_story *story, const char *prompt);

// Append text to a turn, or tokens to the story. False, without a change, if memory is short.
bool dt_story_append_text(struct dt_turn *turn, const char *text, size_t n);
bool dt_story_push_tokens(struct dt_story *story, const uint32_t *tokens, size_t count);

// Removes turn n and all after it, with their tokens.
void dt_story_cut(struct dt_story *story, size_t n);

// Drops `count` tokens from token `first` on, at most those after the head.
void dt_story_drop(struct dt_story *story, uint32_t first, uint32_t count);

// Drops the oldest half of the tokens after the head. Returns how many were dropped.
uint32_t dt_story_shift(struct dt_story *story);

// Whether a turn has come to its own end, not to a limit.
bool dt_story_is_ended(const struct dt_turn *turn);

// Whether a prompt is a request to the storyteller (a sentence) rather than the beginning of a
// text.
bool dt_story_is_request(const char *prompt);

// The prompt of turn n as it is shown: in story mode a request is a paragraph of its own. The
// caller releases it with free(); NULL if memory is short.
char *dt_story_shown_prompt(const struct dt_story *story, size_t n);

// A title from the first words. The caller releases it with free(); NULL if memory is short.
char *dt_story_make_title(const struct dt_story *story);

#endif
