// SPDX-License-Identifier: MIT
// Chat templates: the families whose turns are built in, how one is recognised by its markers, and
// the tokens of a dialogue. A model's own template is run by jinja/jinja.h; a family is used where
// the user names one, and where a file has no template or one that cannot be run.
#ifndef DT_CORE_TEMPLATE_H
#define DT_CORE_TEMPLATE_H

#include "core/text/tokenizer.h"

enum dt_template {
    DT_TEMPLATE_UNKNOWN = 0, // a template of another family
    DT_TEMPLATE_PLAIN,       // no markers: the text and a newline
    DT_TEMPLATE_LLAMA2,      // [INST] <<SYS>> ... [/INST], BOS and EOS around every turn
    DT_TEMPLATE_LLAMA3,      // <|start_header_id|>user<|end_header_id|> ... <|eot_id|>
    DT_TEMPLATE_CHATML,      // <|im_start|>user ... <|im_end|>
    DT_TEMPLATE_ZEPHYR,      // <|user|> ... </s> (TinyLlama's chat models too)
    DT_TEMPLATE_GEMMA,       // <start_of_turn>user ... <end_of_turn>
    DT_TEMPLATE_MISTRAL,     // [INST] ... [/INST] ... </s>, one BOS
    DT_TEMPLATE_STORY,       // duotale's storyteller: request, two newlines, story, EOS
};

// The name of a family, such as "chatml"; static. And its inverse, false for other names and for
// "unknown".
const char *dt_template_name(enum dt_template family);
bool dt_template_by_name(const char *name, enum dt_template *out);

// The family of a Jinja text by its markers; PLAIN for an empty text.
enum dt_template dt_template_recognise(const char *text, size_t n);

// The system prompt that a ChatML template adds if none is given (Qwen2.5, SmolLM2): a slice of
// text, or NULL.
const char *dt_template_default_system(const char *text, size_t n, size_t *length);

// A piece of a rendered turn: a marker, which is one token (if the vocabulary has it), or plain
// text. Points to static text or to the caller's.
struct dt_template_piece {
    const char *text;
    size_t length;
    bool marker;
};
#define DT_TEMPLATE_PIECES 24u

// Renders everything before the model's answer to `user`: the first turn, with the system prompt
// (system NULL: none), or a later turn. Returns the number of pieces written to
// out[DT_TEMPLATE_PIECES]. BOS is not among them, because the encoder adds it, except in Llama 2's
// later turns, where it is a marker.
size_t dt_template_turn(enum dt_template family, bool first, const char *system,
                        size_t system_length, const char *user, size_t user_length,
                        struct dt_template_piece *out);

// Renders what closes the model's turn. ended: its last token was the one that ends a turn;
// otherwise the turn was stopped, and the closing pieces contain that token.
size_t dt_template_close(enum dt_template family, bool ended, struct dt_template_piece *out);

// Encodes pieces: markers become their tokens; adjacent texts are joined and encoded as plain text,
// with a leading space at the start and after a marker if the vocabulary adds one. bos: BOS first,
// if the vocabulary adds it. scratch: memory for the joined text (the sum of all lengths).
// DT_NO_MEMORY: tokens or scratch are too small.
dt_status dt_template_encode(struct dt_tokenizer *t, const struct dt_template_piece *pieces,
                             size_t count, bool bos, char *scratch, size_t scratch_size,
                             uint32_t *tokens, size_t capacity, size_t *out_count,
                             struct dt_error *err);

// Encodes a dialogue that a chat template rendered: control tokens are found in the bytes of the
// template only (user[i] 0; user NULL: all bytes), everything between them is encoded as plain text
// in which user-defined tokens count. bos: BOS first, if the vocabulary adds it and the text does
// not begin with it. after: the text follows one of the vocabulary's control tokens. capacity
// n + 8 is enough. Errors as dt_tokenizer_encode.
dt_status dt_template_encode_text(struct dt_tokenizer *t, const char *text,
                                  const unsigned char *user, size_t n, bool bos, bool after,
                                  uint32_t *tokens, size_t capacity, size_t *out_count,
                                  struct dt_error *err);

// The control or user-defined token whose piece is exactly this text, or DT_NO_TOKEN. Searches the
// whole vocabulary.
uint32_t dt_template_marker(const struct dt_vocab *vocab, const char *text, size_t length);

// Sets vocab->eot to the token that ends a turn in the chat template text[0..n) (NULL: none),
// unless the model's file has set it.
void dt_template_turn_end(struct dt_vocab *vocab, const char *text, size_t n);

#endif
