// SPDX-License-Identifier: MIT
// The thoughts of a model: what it writes between two markers, such as <think> and </think>, before
// its answer. A marker may be one token or several, so the markers are found in the text. Pure.
#ifndef DT_CORE_THOUGHTS_H
#define DT_CORE_THOUGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text/vocab.h"

// The markers of published models; a set of rows is a mask, row i is bit i.
struct dt_thought_markers {
    const char *open, *close; // without blanks
};
#define DT_THOUGHT_ROWS 8u
#define DT_THOUGHT_ANY  ((1u << DT_THOUGHT_ROWS) - 1) // all rows
const struct dt_thought_markers *dt_thought_markers(unsigned row);

// The rows that a model uses: those that its chat template text[0..n) names (NULL: none), and those
// that are control or user-defined tokens of its vocabulary. 0: the model does not think.
unsigned dt_thoughts_of_model(const struct dt_vocab *vocab, const char *text, size_t n);

// Whether piece[0..n) is a marker of one of the rows.
bool dt_thoughts_is_marker(unsigned rows, const char *piece, size_t n);

// The length of the marker of one of the rows that text[0..n) begins with; 0: none.
size_t dt_thoughts_marker_at(unsigned rows, const char *text, size_t n);

// The bytes at the end of text[0..n) that open a thought: a marker and the blanks behind it. 0:
// there is none.
size_t dt_thoughts_opened(unsigned rows, const char *text, size_t n);

#define DT_THOUGHTS_HELD 64u

enum dt_thoughts_state {
    DT_THOUGHTS_BEGIN,  // nothing yet that is not blank, or perhaps the beginning of a marker
    DT_THOUGHTS_INSIDE, // in a thought
    DT_THOUGHTS_ANSWER, // the answer has begun, which has no thoughts
};

// Divides an answer, which arrives in pieces, into thoughts and answer. Thoughts come first: a
// marker behind the beginning of the answer is text. Blanks around markers are dropped, also those
// before the answer; two thoughts are two paragraphs. The result does not depend on how the bytes
// are divided. All zero but rows: a new answer; rows 0: all of it is the answer.
struct dt_thoughts {
    unsigned rows, row; // row: of the markers of this thought
    enum dt_thoughts_state state;
    bool had; // a thought has ended
    bool gap; // nothing of this thought that is not blank yet
    bool any; // some of the thoughts was written
    char held[DT_THOUGHTS_HELD];
    size_t held_count;
    size_t taken;     // bytes of the answer so far
    size_t answer_at; // where in it the answer begins, in state ANSWER
};

// Adds n bytes. Appends to thought[*thought_n] and answer[*answer_n], whose capacity is
// n + DT_THOUGHTS_HELD more.
void dt_thoughts_push(struct dt_thoughts *t, const char *bytes, size_t n, char *thought,
                      size_t *thought_n, char *answer, size_t *answer_n);

// Ends the answer: what is held is text. Appends at most DT_THOUGHTS_HELD bytes.
void dt_thoughts_flush(struct dt_thoughts *t, char *thought, size_t *thought_n, char *answer,
                       size_t *answer_n);

// Whether a whole text begins with a thought.
bool dt_thoughts_begins(unsigned rows, const char *text, size_t n);

// Where in a whole text the answer begins, its thoughts, markers and blanks left out; n if there is
// no answer yet. *open (may be NULL): the row whose thought has no end, -1: none.
size_t dt_thoughts_answer(unsigned rows, const char *text, size_t n, int *open);

#endif
