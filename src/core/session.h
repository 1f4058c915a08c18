// SPDX-License-Identifier: MIT
// A story in progress: the KV cache, the scratch memory and the transformer that fills them. All
// memory is taken once, when the session is made; evaluation allocates nothing.
#ifndef DT_CORE_SESSION_H
#define DT_CORE_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/sampling/shortlist.h"

struct dt_session_options {
    uint32_t context; // positions the KV cache holds, 1 .. model's context (more is allowed: RoPE
                      // goes on); 0: the model's
    uint32_t batch;   // columns evaluated together in a prompt, 1 .. 512; 0: 32
    uint32_t kv_type; // enum dt_kv_type; 0: DT_KV_F32
    uint32_t threads; // workers that parallel_for may use, for scratch; 0: what the services say
};

// Where the bytes go, for the memory plan. kv, logits and tables are of the session's own arena
// (`own` in all), scratch is of the other: it depends on the stack and is replaced when the stack
// is swapped.
struct dt_session_bytes {
    size_t kv, logits, tables, own, scratch;
};

struct dt_session; // in its own arena

// What a session would take. services may be NULL (one thread).
dt_status dt_session_measure(const struct dt_weights *weights, const struct dt_stack *stack,
                             const struct dt_session_options *options,
                             const struct dt_services *services, struct dt_session_bytes *out,
                             struct dt_error *err);

// The same before weights exist, for plans: own is exact, scratch an upper bound.
dt_status dt_session_estimate(const struct dt_model *model,
                              const struct dt_session_options *options,
                              const struct dt_services *services, struct dt_session_bytes *out,
                              struct dt_error *err);

// Makes a session. weights, stack, services (may be NULL) and both arenas' memory outlive it. The
// own arena's memory must be zeroed (fresh pages are); the scratch arena's need not.
dt_status dt_session_init(struct dt_session **out, const struct dt_weights *weights,
                          const struct dt_stack *stack, const struct dt_session_options *options,
                          const struct dt_services *services, struct dt_arena *own,
                          struct dt_arena *scratch, struct dt_error *err);

// A flag polled between operators and inside a matmul at least every 1 MB of weights; may be set
// from any thread or a signal handler. NULL: never cancelled. An eval that was cancelled returns
// DT_CANCELLED with the positions of whole batches kept.
void dt_session_set_cancel(struct dt_session *s, const atomic_int *cancel);

// Called after every batch of a prompt with tokens done and in all (for progress); NULL: not
// called. Worker thread.
typedef void dt_session_progress(void *arg, uint32_t done, uint32_t total);
void dt_session_set_progress(struct dt_session *s, dt_session_progress *progress, void *arg);

// Called with the logits of every position (0-based in the session), when all are asked for.
// Returns non-zero to stop.
typedef int dt_session_logits_sink(void *arg, uint32_t position, const float *logits);

// Appends count tokens at the session's position and evaluates them in batches. The classifier is
// computed for the last one only, or for every one when sink is given. DT_CONTEXT_FULL (nothing
// done) when they do not fit; DT_CANCELLED; DT_FAILED never. Ids above the vocabulary:
// DT_BAD_INPUT. The bits of a position do not depend on how its tokens were cut into calls and
// batches.
dt_status dt_session_eval(struct dt_session *s, const uint32_t *tokens, uint32_t count,
                          dt_session_logits_sink *sink, void *sink_arg, struct dt_error *err);

// The logits of the last position evaluated: model->hp.vocab floats, valid until the next eval; the
// caller may write to them (samplers do). NULL before the first eval and after a truncate. Where
// only candidates were computed, this computes all, whatever the cancel flag says.
float *dt_session_logits(struct dt_session *s);

// From the next eval on, the classifier is computed for the tokens that can matter
// (core/sampling/shortlist.h), while a wish stands. The list must be of this session's weights, and
// is taken off (NULL) before they are swapped; it outlives its use here.
void dt_session_set_shortlist(struct dt_session *s, struct dt_shortlist *list);

// What the sampler will need of the logits of an eval's last position: those within reach of the
// largest, and the sum of the others' exponentials in this unit (0: not needed). A negative reach:
// all of them, which is how a session begins.
void dt_session_set_bound(struct dt_session *s, float margin, float temperature);

// The candidates of the last position, valid until the next eval, truncate or swap; false where
// there are none: all logits have been computed then, or none. dt_session_logits computes all of
// them later, if somebody asks.
bool dt_session_candidates(const struct dt_session *s, struct dt_candidates *out);

// Positions held (= tokens evaluated), and the most it can hold.
uint32_t dt_session_position(const struct dt_session *s);
uint32_t dt_session_capacity(const struct dt_session *s);

// The tokens evaluated so far, dt_session_position of them, valid until the next call on s.
const uint32_t *dt_session_tokens(const struct dt_session *s);

// Rolls back to the first `position` tokens (<= the current): the cache keeps them, nothing is
// recomputed.
void dt_session_truncate(struct dt_session *s, uint32_t position);

// How many of tokens[0..count) are already held as a prefix; for re-use after truncating to it.
uint32_t dt_session_common_prefix(const struct dt_session *s, const uint32_t *tokens,
                                  uint32_t count);

// A story set aside while another is told in the same session: the first `position` tokens (<= the
// current) with their keys and values, as plain bytes, of no alignment. Save and restore must be
// given a session of the same model, capacity and kv_type, at any stack. After a restore the
// session holds exactly those positions, and no logits.
size_t dt_session_saved_bytes(const struct dt_session *s, uint32_t position);
void dt_session_save(const struct dt_session *s, uint32_t position, void *out);
void dt_session_restore(struct dt_session *s, uint32_t position, const void *saved);

// At a token boundary: from now on these weights (of the same model) and this stack compute, with
// this scratch (dt_session_measure tells how much; it may not be the memory in use). The KV cache
// stays, so the story goes on; the logits of the last position stay too. Where options.threads was
// 0, the services are asked anew how many workers there are. The old weights, stack and scratch are
// no longer referred to when it returns. Any error leaves everything as it was.
dt_status dt_session_swap(struct dt_session *s, const struct dt_weights *weights,
                          const struct dt_stack *stack, struct dt_arena *scratch,
                          struct dt_error *err);

// Records what every operator takes: see core/profile.h. NULL: off, and then it costs nothing.
struct dt_profile;
void dt_session_set_profile(struct dt_session *s, const struct dt_profile *profile);

// Fills every position below `position` with fixed values, as if that many tokens (id 0) had been
// evaluated: for measuring decode at a position without evaluating a prompt. Not for telling
// stories.
void dt_session_fill(struct dt_session *s, uint32_t position);

#endif
