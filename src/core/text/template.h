// SPDX-License-Identifier: MIT
// Chat templates: which of the known families a model's template belongs to, and the turns of a
// dialogue in it. The Jinja text itself is never run: a family is known by the markers it uses.
#ifndef DT_CORE_TEMPLATE_H
#define DT_CORE_TEMPLATE_H

#include "core/text/tokenizer.h"

enum dt_template {
    DT_TEMPLATE_UNKNOWN = 0, // a template there is, but of no family we know
    DT_TEMPLATE_PLAIN,       // no markers: what is said, and a newline
    DT_TEMPLATE_LLAMA2,      // [INST] <<SYS>> ... [/INST], BOS and EOS around every turn
    DT_TEMPLATE_LLAMA3,      // <|start_header_id|>user<|end_header_id|> ... <|eot_id|>
    DT_TEMPLATE_CHATML,      // <|im_start|>user ... <|im_end|>
    DT_TEMPLATE_ZEPHYR,      // <|user|> ... </s> (TinyLlama's chat models too)
    DT_TEMPLATE_GEMMA,       // <start_of_turn>user ... <end_of_turn>
    DT_TEMPLATE_MISTRAL,     // [INST] ... [/INST] ... </s>, one BOS
    DT_TEMPLATE_STORY,       // our storyteller's: a request and two newlines, a story and EOS
};

// "chatml"; static. And back: false for a name that is none of them ("unknown" is none).
const char *dt_template_name(enum dt_template family);
bool dt_template_by_name(const char *name, enum dt_template *out);

// The family of a Jinja text by its markers; PLAIN for an empty one.
enum dt_template dt_template_recognise(const char *text, size_t n);

// The system prompt that a ChatML template puts in where none is given (Qwen2.5, SmolLM2), as it
// stands in the text; NULL where there is none.
const char *dt_template_default_system(const char *text, size_t n, size_t *length);

// A piece of a rendered turn: a marker that is one token of the vocabulary (where the vocabulary
// has it), or text in which markers have no meaning. Points to static text or to what was handed
// in.
struct dt_template_piece {
    const char *text;
    size_t length;
    bool marker;
};
#define DT_TEMPLATE_PIECES 24u

// What stands before the model's answer to `user`: the first turn with the system prompt (system
// NULL: none), or a later one. Returns the number of pieces written to out[DT_TEMPLATE_PIECES]. BOS
// is not among them but in Llama-2's later turns, where it is a marker of its own: the encoder adds
// it.
size_t dt_template_turn(enum dt_template family, bool first, const char *system,
                        size_t system_length, const char *user, size_t user_length,
                        struct dt_template_piece *out);

// What closes the model's turn after its last token: `ended` when that was the token that ends a
// turn (it is in the context already), else the turn was stopped and is closed with it.
size_t dt_template_close(enum dt_template family, bool ended, struct dt_template_piece *out);

// Pieces to tokens: markers become their tokens, runs of text are joined and encoded without
// markers, with a leading space where the vocabulary wants one after a marker or at the beginning.
// bos: put BOS first, where the vocabulary adds one. scratch: space for the joined text (the sum of
// all lengths). DT_NO_MEMORY when tokens or scratch are too small.
dt_status dt_template_encode(struct dt_tokenizer *t, const struct dt_template_piece *pieces,
                             size_t count, bool bos, char *scratch, size_t scratch_size,
                             uint32_t *tokens, size_t capacity, size_t *out_count,
                             struct dt_error *err);

// The id of a control or user-defined piece with exactly this text, DT_NO_TOKEN if there is none.
// Looks at every length.
uint32_t dt_template_marker(const struct dt_vocab *vocab, const char *text, size_t length);

// Sets vocab->eot to the token that ends a turn in the chat template text[0..n) (NULL: none),
// unless the model's file has set it.
void dt_template_turn_end(struct dt_vocab *vocab, const char *text, size_t n);

#endif
