// SPDX-License-Identifier: MIT
// A chat with a model: which template it has, and what of a dialogue is new to the model.
#ifndef DT_HOST_CHAT_H
#define DT_HOST_CHAT_H

#include "core/model.h"
#include "core/text/jinja/jinja.h"
#include "core/text/template.h"
#include "core/text/thoughts.h"

// The template of a chat: a Jinja text that is run, or a family whose turns are built in.
struct dt_chat {
    const struct dt_vocab *vocab;
    const char *source; // the Jinja text; NULL: the family is used
    size_t length;
    enum dt_template family; // UNKNOWN: there is a template that can neither be run nor recognised
    bool merge_system;       // the template refuses a system message: it goes before the first one
    bool without_thinking;   // the model is to answer without thoughts; the caller's to set
    bool switches;           // the template does that itself, by enable_thinking or thinking
    unsigned thoughts;       // the markers of the model's thoughts (core/text/thoughts.h), 0: none
    struct dt_error reason;  // why the model's template is not run; status DT_OK: it is, or there
                             // is none
    struct dt_jinja_date date; // the date of templates that show one
    char *file;                // the text of a template file
    void *memory;              // of the last rendering
    size_t memory_size;
    char *text; // a rendering with an empty thought behind it
};

// Chooses the template: `wanted` is the name of a family, of a further template of the model, a
// file with a Jinja text, or NULL for the model's own. A model's template that cannot be run is
// replaced by its family, and a model without one gets the family that its control tokens show (a
// byte-level vocabulary never gets Llama 2's). fallback: the family of other models without a
// template. model outlives *chat. DT_USAGE: `wanted` is none of these; DT_BAD_INPUT or
// DT_UNSUPPORTED: the template cannot be run. Release with dt_chat_close in any case.
dt_status dt_chat_open(struct dt_chat *chat, const struct dt_model *model, const char *wanted,
                       enum dt_template fallback, struct dt_error *err);
void dt_chat_close(struct dt_chat *chat);

// Describes the template for people: "own template, 4116 bytes" or "chatml".
const char *dt_chat_name(const struct dt_chat *chat, char *out, size_t size);

// Renders a dialogue, with the beginning of the model's answer; without_thinking: where the
// template does not see to it, an empty thought follows. The text is valid until the next call on
// chat. Only where chat->source is set. Errors as dt_jinja_render.
dt_status dt_chat_render(struct dt_chat *chat, const struct dt_jinja_message *messages,
                         size_t count, struct dt_jinja_text *out, struct dt_error *err);

// The pieces that follow the built-in turn of a family where the model is to answer without
// thoughts: an empty one, or nothing. Returns their number, at most 4.
size_t dt_chat_empty_thought(const struct dt_chat *chat, struct dt_template_piece *out);

// An answer whose thought has no end, with its end; malloc'ed. NULL, with *unclosed false: its
// thoughts have an end, or there are none; with true: memory is short.
char *dt_chat_close_thought(const struct dt_chat *chat, const char *text, size_t n, bool *unclosed);

// What a model has to read before it answers the last message. whole: the text is the whole
// dialogue, else what follows the tokens so far. opened: bytes at the end of the text that open a
// thought; the model's answer, as it is stored, begins with them.
struct dt_chat_step {
    struct dt_jinja_text text;
    bool whole;
    size_t opened;
};

// Renders a dialogue and compares it with what the model has seen: all but the last two messages,
// rendered, then messages[count - 2], its answer, then the token `ended`. Where the new rendering
// continues that, the step is the difference; else (thoughts dropped, an answer trimmed or stopped)
// the whole. ended DT_NO_TOKEN: the whole.
dt_status dt_chat_next(struct dt_chat *chat, const struct dt_jinja_message *messages, size_t count,
                       uint32_t ended, struct dt_chat_step *out, struct dt_error *err);

#endif
