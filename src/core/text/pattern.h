// SPDX-License-Identifier: MIT
// The regular expressions that pre-tokenizers split text with, as far as published tokenizers use
// them: literals, classes with ranges and \p{..}, \s, groups of alternatives (also without case),
// greedy repetition, a negative look-ahead and $.
#ifndef DT_CORE_PATTERN_H
#define DT_CORE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DT_PATTERN_ATOMS  160u
#define DT_PATTERN_RANGES 192u

struct dt_pattern_atom {
    uint8_t kind;   // private
    bool negated;   // the class of characters above U+007F
    uint8_t ranges; // of the class, from first_range on
    uint8_t first_range;
    uint16_t least, most; // repetitions; most UINT16_MAX: any number
    uint16_t next;        // groups: the atom after an alternative or after the group
    uint32_t categories;  // bits 1 << enum dt_unicode_category, and one for white space
    uint64_t ascii[2];    // bits of U+0000 to U+007F
};

// A compiled pattern. Plain data without pointers: two patterns with the same bytes match the same.
struct dt_pattern {
    struct dt_pattern_atom atom[DT_PATTERN_ATOMS];
    uint32_t range[DT_PATTERN_RANGES][2];
    uint16_t atoms, ranges;
};

// Compiles text[0..n). False: it uses something else, or is too long. Pure.
bool dt_pattern_compile(struct dt_pattern *out, const char *text, size_t n);

// The end of the match that begins at text[at], at <= n; DT_PATTERN_NONE if there is none. Like
// Perl's: the first alternative that matches, repetitions as long as possible. `steps` is lowered
// by the work done; at 0 the answer is DT_PATTERN_NONE.
#define DT_PATTERN_NONE SIZE_MAX
size_t dt_pattern_match(const struct dt_pattern *p, const char *text, size_t n, size_t at,
                        size_t *steps);

#endif
