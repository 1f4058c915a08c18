// SPDX-License-Identifier: MIT
// Whether a model was made for dialogues: a chat template alone does not say it, because many base
// models have one.
#ifndef DT_CORE_DIALOGUE_H
#define DT_CORE_DIALOGUE_H

#include "core/text/vocab.h"

// A name that a model has: of its file, in its metadata. Not terminated.
struct dt_dialogue_name {
    const char *text;
    size_t n;
};

struct dt_dialogue {
    bool chat;
    char reason[160]; // its name says "Instruct"; clean text; "" without a template
};

// Decides for a model with the chat template text[0..n) (NULL: none, which is no dialogue) and
// these names. A name with the word "base" or "pretrained" means no; one with "instruct", "chat",
// "it" and the like yes. Else it is yes if one of the tokens ends[0..count), those that the file
// itself names, ends the turns of the template; or for `family`, an architecture whose other models
// are named "base" (NULL: none).
void dt_dialogue_decide(const struct dt_vocab *vocab, const char *text, size_t n,
                        const struct dt_dialogue_name *names, size_t name_count,
                        const uint32_t *ends, size_t count, const char *family,
                        struct dt_dialogue *out);

#endif
