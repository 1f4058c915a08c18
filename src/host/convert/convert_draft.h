// SPDX-License-Identifier: MIT
// Makes a table of n-grams for speculation (core/sampling/draft_table.h) from text.
#ifndef DT_HOST_CONVERT_DRAFT_H
#define DT_HOST_CONVERT_DRAFT_H

#include "core/sampling/draft_table.h"

struct dt_convert_draft_facts {
    uint64_t tokens;  // that were counted
    uint32_t entries; // of the table
    uint64_t bytes;   // of the file
};

// Counts what follows each n-gram of tokens[0..count), where DT_NO_TOKEN separates texts, and
// writes the table of those that predict most to `path`, with at most `slots` slots (a power of
// two). stop (may be NULL) is asked from time to time; true: DT_CANCELLED. DT_BAD_INPUT: nothing
// repeats in the text.
dt_status dt_convert_draft(const struct dt_vocab *vocab, const uint32_t *tokens, size_t count,
                           uint32_t slots, const char *path, bool (*stop)(void),
                           struct dt_convert_draft_facts *facts, struct dt_error *err);

#endif
