// SPDX-License-Identifier: MIT
// Speculation: guesses of the next tokens, which a model evaluates together with a token that is
// certain (dt_session_eval_guessing). Guesses come from
//   - the text itself: what followed the last tokens where they were before (prompt lookup, Saxena
//     2023), by an index of its n-grams of three and two tokens;
//   - a table of n-grams of other text (draft_table.h);
//   - look-ahead (Fu et al., "Break the sequential dependency of LLM inference using lookahead
//     decoding", 2024): what the model itself predicted behind guesses that were wrong.
// Each source has a record of how often it was right, and each guess a chance by that. A guess is
// used if its chance is worth more than its column of a pass costs, by the measured times.
#ifndef DT_CORE_DRAFT_H
#define DT_CORE_DRAFT_H

#include "base/arena.h"
#include "core/sampling/draft_table.h"

#define DT_DRAFT_MOST  7u    // guesses in a pass
#define DT_DRAFT_AHEAD 1024u // n-grams that the model predicted

enum dt_draft_source {
    DT_DRAFT_TEXT_LONG, // five tokens of the text or more
    DT_DRAFT_TEXT_3,
    DT_DRAFT_TEXT_2,
    DT_DRAFT_TABLE,      // chances are the table's, times what it was right of them
    DT_DRAFT_LOOK_AHEAD, // behind two tokens
    DT_DRAFT_PLACE,      // at this place, behind other tokens
    DT_DRAFT_SOURCES
};

struct dt_draft_guess {
    uint32_t token;
    enum dt_draft_source source;
    float expected; // what the source says of itself
    float chance;   // of this guess, if those before it are right
};

// How often a source was right, of what it expected. Both decay.
struct dt_draft_record {
    float right, expected;
};

// The last values of a time; their median, because other programs disturb some.
#define DT_DRAFT_TIMES 9u
struct dt_draft_times {
    float last[DT_DRAFT_TIMES];
    uint32_t count; // of all
};

// What passes cost.
struct dt_draft_cost {
    struct dt_draft_times singles, columns;
    double single;   // a pass of one token, in nanoseconds; 0: not measured
    double column;   // what a guess adds, in `single`s; < 0: not measured
    double append;   // appending a right guess, in nanoseconds
    uint32_t idle;   // passes since the last with guesses
    uint32_t steady; // passes with guesses since the last single one
};

// Since the draft was made.
struct dt_draft_facts {
    uint64_t passes;  // of one token and guesses, if any
    uint64_t guessed; // passes with guesses
    uint64_t guesses, right;
};

struct dt_draft {
    struct dt_draft_table table;
    uint32_t *last3, *last2; // by the hash of an n-gram: the place behind it, or 0
    uint32_t mask;
    uint32_t indexed; // tokens whose n-grams are in the index
    struct dt_draft_ahead {
        uint32_t check, token;
    } * ahead;                             // DT_DRAFT_AHEAD of them
    uint32_t place, placed[DT_DRAFT_MOST]; // predictions for the places from `place` on
    uint32_t placed_count;
    struct dt_draft_record record[DT_DRAFT_SOURCES];
    struct dt_draft_cost cost;
    struct dt_draft_facts facts;
    bool forced;       // guesses whatever they cost, for tests
    bool free_columns; // a pass is known to wait for its weights: guesses from the start
    uint32_t pause;    // passes until the cost is measured
    uint32_t wait;     // the next pause
    // of the last pass with guesses
    struct dt_draft_guess guess[DT_DRAFT_MOST];
    uint32_t count, resolved;
};

// Bytes of memory for texts of up to `capacity` tokens.
size_t dt_draft_measure(uint32_t capacity);

// Makes a draft without a table. memory (DT_ALIGN-aligned, dt_draft_measure bytes, zeroed) outlives
// it.
void dt_draft_init(struct dt_draft *d, uint32_t capacity, void *memory);

// Writes at most `most` guesses of what follows the text tokens[0..count) and then `token` to
// d->guess; d->count of them, 0 if none is worth its column.
void dt_draft_guess(struct dt_draft *d, const uint32_t *tokens, uint32_t count, uint32_t token,
                    uint32_t most);

// The text has only its first `count` tokens in common with what it was.
void dt_draft_truncate(struct dt_draft *d, uint32_t count);

// The next guess was right (and was appended, in so many nanoseconds), or wrong.
void dt_draft_right(struct dt_draft *d, uint64_t ns);
void dt_draft_wrong(struct dt_draft *d);

// A pass of one token and d->count guesses took so many nanoseconds.
void dt_draft_passed(struct dt_draft *d, uint64_t ns);

// The model predicts `next` behind tokens[0..count), some of which are wrong guesses.
void dt_draft_predicted(struct dt_draft *d, const uint32_t *tokens, uint32_t count, uint32_t next);

#endif
