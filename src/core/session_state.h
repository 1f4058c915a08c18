// SPDX-License-Identifier: MIT
// The inside of sessions, shared by session*.c only.
#ifndef DT_CORE_SESSION_STATE_H
#define DT_CORE_SESSION_STATE_H

#include "core/forward.h"
#include "core/session.h"

// A column of a pass whose logits are computed.
struct dt_session_wanted {
    struct dt_session *session;
    struct dt_session_part *part;
    uint32_t position; // of its token, in the cache
    uint32_t text_at;  // the same in the text
    float *logits;     // its row
    bool finite, stop; // found; the sink's answer
    uint32_t in_pass;  // its column in the pass
    bool last;         // of its part
};

// The columns of a pass with guesses: that of the token, then those of the guesses. Only a group of
// one session has them.
struct dt_session_guessed {
    uint32_t most;   // guesses
    float *normed;   // of each column, dim_stride apart: what its logits are computed from
    float *logits;   // of each column, row_stride apart
    bool classified; // the logits of all columns are computed
    uint32_t at;     // the column of the session's last token
    uint32_t left;   // guesses behind it
};

// What the sessions of one arena share.
struct dt_session_group {
    struct dt_forward forward;
    bool follow_services; // the worker count comes from the services, and is read again at a swap
    uint32_t kv_type;
    uint32_t count; // sessions
    struct dt_session *sessions;
    float *logits; // a row for each session, row_stride floats apart; any session may have any row
    size_t row_stride;
    struct dt_shortlist *list;
    struct dt_session_guessed guessed;
    bool examined; // all rows of these weights' classifier have given finite logits
    // of the pass: count entries, and as many parts; a batch of wanted columns
    struct dt_forward_run *runs;
    struct dt_session_part **run_parts;
    struct dt_session_wanted *wanted;
};

struct dt_session {
    struct dt_session_group *group;
    struct dt_kv_cache cache;
    struct dt_finite finite; // of the last evaluation
    uint32_t position;       // entries in the cache
    uint32_t dropped;        // tokens that were dropped; 0 in an empty session
    uint32_t dropped_at;     // the entry behind the last gap
    struct dt_session_window window;
    uint32_t done; // of the present part: tokens evaluated
    const atomic_int *cancel;
    dt_session_progress *progress;
    void *progress_arg;

    bool have_logits; // the last position has logits or candidates
    bool pending;     // it has candidates only; `hidden` has what the others are computed from
    struct dt_sampler_bound bound;
    struct dt_candidates candidates;
    uint32_t *tokens; // of all positions
    float *hidden;    // dim floats
    float *logits;    // the session's row of the group; NULL: none
};

// How many tokens can be evaluated now. Drops entries if there are none left and a window is set.
uint32_t dt_session_space(struct dt_session *s);

// Drops the logits of the last position.
void dt_session_forget_logits(struct dt_session *s);

static inline float *dt_session_row(const struct dt_session_group *g, uint32_t row)
{
    return g->logits + row * g->row_stride;
}

// Computes the candidates of s from its `hidden`; false where all logits are needed. columns: so
// many sessions need logits in this pass.
bool dt_session_make_candidates(struct dt_session *s, uint32_t position, uint32_t columns);

// Computes the logits of columns of x, dim_stride apart, into rows from `out` on.
void dt_session_compute_logits(struct dt_session_group *g, const float *x, float *out,
                               uint32_t columns);

// Moves the logits of sessions outside the pass to the last rows. Returns how many rows are free
// before them: one for each session of the pass, or more.
uint32_t dt_session_make_rows_free(struct dt_session_group *g);

// Computes the logits of a session that has candidates only, whatever its cancel flag is.
void dt_session_classify_pending(struct dt_session *s);

#endif
