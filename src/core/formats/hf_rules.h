// SPDX-License-Identifier: MIT
// The normalizer and pre_tokenizer sections of a Hugging Face tokenizer.json.
#ifndef DT_CORE_HF_RULES_H
#define DT_CORE_HF_RULES_H

#include "core/formats/json_read.h"
#include "core/text/vocab.h"

// The sections of a tokenizer.json, and the members of its model.
struct dt_hf_sections {
    struct dt_json_value normalizer, pre_tokenizer, added_tokens;
    struct dt_json_value type, byte_fallback, ignore_merges, vocab, merges;
    size_t merges_count;
};
void dt_hf_find_sections(const struct dt_json_outline *tokenizer, struct dt_hf_sections *out);

// Reads both sections as a whole into the fields of `out` that say how text is split: kind,
// pretokenizer, ignore_merges, nfc, meta_space and those of the space prefix. DT_UNSUPPORTED: a
// section has a part that duotale does not have, or parts in another order; names it.
dt_status dt_hf_rules(const struct dt_hf_sections *sections, const char *name, struct dt_vocab *out,
                      struct dt_error *err);

#endif
