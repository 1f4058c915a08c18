// SPDX-License-Identifier: MIT
// Splits text into the words within which byte-level BPE merges.
#ifndef DT_CORE_PRETOKENIZER_H
#define DT_CORE_PRETOKENIZER_H

#include "core/text/pattern.h"
#include "core/text/vocab.h"

#define DT_PRETOKENIZER_STEPS 6u

// A rule, compiled: text is split at the matches of the first pattern, each part at those of the
// second, and so on. Rules with a faster form (pretokenizer.c) have no steps.
struct dt_pretokenizer_plan {
    enum dt_pretokenizer kind;
    uint32_t steps;
    const struct dt_pattern *step; // in the arena
};

// Compiles a rule in the arena. False: the arena is too small. The arena bytes it needs.
bool dt_pretokenizer_plan(struct dt_pretokenizer_plan *out, enum dt_pretokenizer kind,
                          struct dt_arena *arena);
size_t dt_pretokenizer_measure(enum dt_pretokenizer kind);

// Walks over the words of text[0..n). All zero but plan: at the start.
struct dt_pretokenizer_walk {
    const struct dt_pretokenizer_plan *plan;
    size_t end[DT_PRETOKENIZER_STEPS]; // of the present part of each step
};

// The end of the word that begins at text[at], at < n: at + 1 to n. Call it with at 0, then with
// the last answer, for the same text. A byte that is not valid UTF-8 is a character of category S.
// Linear over a whole text, within about 300 steps a character.
size_t dt_pretokenizer_word(struct dt_pretokenizer_walk *walk, const char *text, size_t n,
                            size_t at);

// ---- names ----

// The rule that GGUF's tokenizer.ggml.pre names, and whether it takes words that are pieces without
// merging and normalises to form C. False: the name is not known.
bool dt_pretokenizer_by_name(const char *name, size_t length, enum dt_pretokenizer *kind,
                             bool *ignore_merges, bool *nfc);

// The name in GGUF of a rule; static. Prefers one that means the same flags.
const char *dt_pretokenizer_name(enum dt_pretokenizer kind, bool ignore_merges, bool nfc);

// The rule with these patterns, in order, whatever way they are written; false: there is none.
struct dt_pretokenizer_pattern {
    const char *text;
    size_t length;
};
bool dt_pretokenizer_by_patterns(const struct dt_pretokenizer_pattern *patterns, uint32_t count,
                                 enum dt_pretokenizer *kind);

// GPT-2's pattern, which a ByteLevel pre-tokenizer applies by itself; static.
extern const char dt_pretokenizer_gpt2[];

#endif
