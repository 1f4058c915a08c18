// SPDX-License-Identifier: MIT
// Shared by the files of the verb inspect.
#ifndef DT_VERBS_INSPECT_H
#define DT_VERBS_INSPECT_H

#include <stdbool.h>

#include "base/status.h"
#include "core/model.h"
#include "host/json.h"

// "byte-level BPE", "none"; static.
const char *dt_inspect_kind(const struct dt_vocab *vocab);

// The rule that splits text into words, by its name in GGUF; static.
const char *dt_inspect_pretokenizer(const struct dt_vocab *vocab);

// Print the lines "pre-tokenizer: NAME" and "ends: ID TEXT, ...", or put the members pre_tokenizer
// and ends.
void dt_inspect_print_words(const struct dt_vocab *vocab, const char *pretokenizer);
void dt_inspect_put_words(struct dt_json *j, const struct dt_vocab *vocab,
                          const char *pretokenizer);

// Prints the lines name, licence and those of the other facts; or puts the members name, license
// and metadata.
void dt_inspect_print_facts(const struct dt_model *m);
void dt_inspect_put_facts(struct dt_json *j, const struct dt_model *m);

// Prints the names of further chat templates, or puts the member chat_templates.
void dt_inspect_print_templates(const struct dt_model *m);
void dt_inspect_put_templates(struct dt_json *j, const struct dt_model *m);

// Prints a token id or null.
void dt_inspect_put_token(struct dt_json *j, const char *name, uint32_t id);

// Prints what can be read of a model that was refused with *err. Nothing if there is no file.
void dt_inspect_refused(const char *path, bool json, const struct dt_error *err);

#endif
