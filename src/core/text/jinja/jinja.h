// SPDX-License-Identifier: MIT
// Runs a model's chat template: the part of the Jinja language (version 3.1, with trim_blocks and
// lstrip_blocks, as the publishers of models use it) that such templates need. Every construct
// parses; one that is not supported fails when it is reached. All memory comes from an arena; time,
// memory and recursion are bounded, so a template may be untrusted.
#ifndef DT_CORE_JINJA_H
#define DT_CORE_JINJA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

struct dt_jinja_message {
    const char *role; // "system", "user" or "assistant"
    const char *content;
    size_t length; // bytes of content
};

// A local time, for strftime_now.
struct dt_jinja_date {
    int year, month, day; // month 1..12, day 1..31
    int hour, minute, second;
};

// The variables of a template: messages, bos_token, eos_token, add_generation_prompt,
// enable_thinking, thinking; tools and documents are none.
struct dt_jinja_input {
    const struct dt_jinja_message *messages;
    size_t count;
    const char *bos, *eos; // texts of the tokens; NULL: empty
    size_t bos_length, eos_length;
    bool add_generation_prompt;
    bool without_thinking; // enable_thinking and thinking are false; else they are undefined
    struct dt_jinja_date date;
};

// A rendered dialogue, in the arena. user[i] is 1 where byte i came from a message and 0 where it
// came from the template; NULL: all from the template. Only bytes of the template may be read as
// control tokens, so that a typed text cannot forge a turn.
struct dt_jinja_text {
    const char *text;
    const unsigned char *user;
    size_t length;
};

// Renders a template. Source and input outlive *out. DT_BAD_INPUT: the template is wrong, or called
// raise_exception; DT_UNSUPPORTED: it reached something that is not supported, or a limit of steps
// or recursion; DT_NO_MEMORY: the arena is too small (about 300 KB and 20 bytes for each byte of
// the dialogue are enough for published templates). The message names the line. Any thread; uses
// less than 64 KB of stack.
dt_status dt_jinja_render(const char *source, size_t n, const struct dt_jinja_input *input,
                          struct dt_arena *arena, struct dt_jinja_text *out, struct dt_error *err);

#endif
