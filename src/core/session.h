// SPDX-License-Identifier: MIT
// A session: one text in progress, with its KV cache and the scratch memory to continue it. All
// memory is allocated when the session is made; evaluation allocates nothing.
//
// Sessions are made in groups, usually of one. The sessions of a group have their own texts, KV
// caches and logits, and share weights, stack and scratch. dt_session_eval_parts evaluates several
// of them in one pass, which reads the weights once for all. A session's bits are those it has
// alone. Only one thread at a time may use a group.
#ifndef DT_CORE_SESSION_H
#define DT_CORE_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/profile.h"
#include "core/sampling/shortlist.h"
#include "core/weights.h"

struct dt_session_options {
    uint32_t context;  // positions of the KV cache, 1 to DT_MAX_CONTEXT; 0: the model's context.
                       // More than the model's is allowed: RoPE is computed for any position.
    uint32_t batch;    // columns evaluated together in a prompt, 1 to 512; 0: 32
    uint32_t kv_type;  // enum dt_kv_type; 0: DT_KV_F32
    uint32_t threads;  // workers that parallel_for may use; 0: as many as the services have
    uint32_t sessions; // of the group, at most DT_SESSIONS_MAX; 0: 1
    uint32_t guesses;  // that dt_session_eval_guessing may evaluate, less than `batch`; more are
                       // none, and a group of several sessions has none
};

#define DT_SESSIONS_MAX 64u

// Bytes of memory, for the memory plan. kv, logits and tables are parts of `own`, the group's own
// arena. The scratch arena is separate, because it depends on the stack and is replaced at a swap.
// `own` ends with the KV caches, which are equally large. kv_first: what the first positions of
// each use, from its beginning on; the rest is used as positions are.
struct dt_session_bytes {
    size_t kv, logits, tables, own, scratch, kv_first;
};

struct dt_session; // lies in its own arena

// The memory that a group needs. services may be NULL (one thread). Errors as dt_session_init.
dt_status dt_session_measure(const struct dt_weights *weights, const struct dt_stack *stack,
                             const struct dt_session_options *options,
                             const struct dt_services *services, struct dt_session_bytes *out,
                             struct dt_error *err);

// The same before weights exist: `own` is exact, `scratch` an upper bound.
dt_status dt_session_estimate(const struct dt_model *model,
                              const struct dt_session_options *options,
                              const struct dt_services *services, struct dt_session_bytes *out,
                              struct dt_error *err);

// Makes a group of sessions in the arena `own`; *out is the first. weights, services (may be NULL),
// the instances of the stack and the memory of both arenas outlive it; the stack itself is copied.
// The memory of `own` must be zeroed (fresh pages are); that of `scratch` need not be. DT_USAGE: an
// option is out of range. DT_NO_MEMORY: an arena is too small.
dt_status dt_session_init(struct dt_session **out, const struct dt_weights *weights,
                          const struct dt_stack *stack, const struct dt_session_options *options,
                          const struct dt_services *services, struct dt_arena *own,
                          struct dt_arena *scratch, struct dt_error *err);

// The session number `index` of s's group, 0 being the first; NULL if there are not as many. It
// lives as long as the first.
struct dt_session *dt_session_in_group(struct dt_session *s, uint32_t index);

// Sets the session's flag, which is polled between operators, and inside a matrix product at least
// every 1 MB of weights. In a pass of sessions with different flags it is polled between passes
// only, and stops only its own session. Any thread and signal handlers may set it. NULL: never
// cancelled. A cancelled eval returns DT_CANCELLED and keeps the positions of the batches it
// finished.
void dt_session_set_cancel(struct dt_session *s, const atomic_int *cancel);

// Sets a function that is called on the worker thread after every batch, with the number of tokens
// done and the total. NULL: none.
typedef void dt_session_progress(void *arg, uint32_t done, uint32_t total);
void dt_session_set_progress(struct dt_session *s, dt_session_progress *progress, void *arg);

// Receives the logits of one position (0-based in the session). Returns non-zero to stop.
typedef int dt_session_logits_sink(void *arg, uint32_t position, const float *logits);

// Appends count tokens at the session's position and evaluates them in batches. Without a sink,
// logits are computed for the last token only; with one, for every token. DT_CONTEXT_FULL: they do
// not fit, nothing was done. DT_BAD_INPUT: an id is outside the vocabulary, nothing was done.
// DT_CANCELLED: see dt_session_set_cancel; also when the sink stops. The bits of a position do not
// depend on how tokens are divided into calls and batches.
dt_status dt_session_eval(struct dt_session *s, const uint32_t *tokens, uint32_t count,
                          dt_session_logits_sink *sink, void *sink_arg, struct dt_error *err);

// What dt_session_eval_parts evaluates for one session.
struct dt_session_part {
    struct dt_session *session;
    const uint32_t *tokens; // appended at the session's position
    uint32_t count;
    dt_session_logits_sink *sink; // NULL: logits of the last token only
    void *sink_arg;
    bool concurrent; // the sink may be called for several positions at once, on several threads, in
                     // any order
    bool no_logits;  // without a sink: of no token, because more of the text follows
    uint32_t guesses;     // the last so many of `tokens` are not appended: dt_session_eval_guessing
    dt_status status;     // result: as of dt_session_eval
    struct dt_error *err; // filled unless status is DT_OK; may be NULL
};

// dt_session_eval for several sessions of one group, each at most once: their tokens are evaluated
// together, in passes of at most `batch` columns. A part that fails or is cancelled does not affect
// the others. Returns DT_OK if all parts are, else the status of the first that is not. Logits of
// sessions that take no part stay valid, but at another address: ask dt_session_logits again.
dt_status dt_session_eval_parts(struct dt_session_part *parts, uint32_t count);

// Appends one token, and evaluates guesses of the tokens behind it in the same pass. The session
// then holds the token, exactly as after dt_session_eval; and if the next token that is evaluated
// alone is the first guess, it is appended without a pass, and so on. What is appended otherwise,
// truncate, restore and swap drop the guesses. So a right guess saves a pass, and a wrong one
// changes nothing. As many guesses are used as the options, the batch and the capacity allow; those
// outside the vocabulary end the list. Errors as dt_session_eval.
dt_status dt_session_eval_guessing(struct dt_session *s, uint32_t token, const uint32_t *guesses,
                                   uint32_t count, struct dt_error *err);

// How many guesses the session holds; they are in dt_session_tokens() from the position on.
uint32_t dt_session_guesses(const struct dt_session *s);

// The logits of guess `index`, below dt_session_guesses(); NULL if they are computed when it is
// appended, by a shortlist. Valid until the next pass.
const float *dt_session_guess_logits(const struct dt_session *s, uint32_t index);

// Whether the last evaluation computed with finite numbers only; if not, it ended with
// DT_BAD_INPUT.
bool dt_session_is_finite(const struct dt_session *session);

// The logits of the last position: model->hp.vocab floats, valid until the group's next eval; the
// caller may write to them (samplers do). NULL before the first eval and after a truncate. If only
// candidate logits exist, computes the rest; that ignores the cancel flag.
float *dt_session_logits(struct dt_session *s);

// Enables the shortlist for the group from the next eval on: logits are computed only for tokens
// the sampler may pick, as set by dt_session_set_bound(). The list must be made for these weights
// and as many users as the group has sessions, and must be disabled (NULL) before they are swapped.
// It outlives its use here.
void dt_session_set_shortlist(struct dt_session *s, struct dt_shortlist *list);

// Sets which logits of an eval's last position the sampler will need. A new session computes all.
void dt_session_set_bound(struct dt_session *s, struct dt_sampler_bound bound);

// The candidates of the last position, valid until the next eval, truncate or swap. False if there
// are none: then all logits were computed, or there are no logits.
bool dt_session_candidates(const struct dt_session *s, struct dt_candidates *out);

// After candidates that the sampler is not sure of: adds less likely ones, valid as above. False
// if that would not help; then all logits are needed.
bool dt_session_widen_candidates(struct dt_session *s, struct dt_candidates *out);

// The number of tokens evaluated so far, and the most that fit.
uint32_t dt_session_position(const struct dt_session *s);
uint32_t dt_session_capacity(const struct dt_session *s);

// The tokens evaluated so far: dt_session_position() of them, valid until the next call on s.
const uint32_t *dt_session_tokens(const struct dt_session *s);

// Rolls back to the first `position` tokens. The cache keeps them, so nothing is recomputed. Does
// nothing if there are not more.
void dt_session_truncate(struct dt_session *s, uint32_t position);

// The length of the common prefix of tokens[0..count) and the session's tokens: truncate to it, and
// evaluate the rest.
uint32_t dt_session_common_prefix(const struct dt_session *s, const uint32_t *tokens,
                                  uint32_t count);

// ---- texts that are longer than the context ----
//
// Entries apart from positions: a session can drop entries in its middle. Those behind them move
// up, the keys of those before are rotated to follow, and nothing is evaluated again. From then on
// position, tokens, truncate and common_prefix are about the entries that are left. The kept ones
// were computed with what is dropped, so they are not what an evaluation of the shorter text gives;
// a text that has no more in common than what is before the gap has a common prefix of 0.

// Whether the model allows it: not with learned positions, nor with a norm of keys behind RoPE.
bool dt_session_can_drop(const struct dt_session *s);

// Drops `count` entries from entry `first` on; first + count is at most the position. Logits of the
// last position stay. Moves the keys and values behind them.
void dt_session_drop(struct dt_session *s, uint32_t first, uint32_t count);

// What an evaluation does when the context is full: drops `drop` entries behind the first `pinned`,
// and goes on. drop 0, or a window that is not possible (the model does not allow it, or drop +
// pinned is not less than the context): it fails with DT_CONTEXT_FULL, as in a new session. Drops
// happen at the same tokens however a text is divided into calls and batches.
struct dt_session_window {
    uint32_t pinned, drop;
};
void dt_session_set_window(struct dt_session *s, const struct dt_session_window *window);

// How many tokens of the text were dropped, until the session is empty. Sinks of logits get
// positions in the text.
uint32_t dt_session_dropped(const struct dt_session *s);

// Saves the first `position` tokens (at most the current position) with their keys and values as
// plain bytes of any alignment, so that another text can use the session. Restore needs a session
// of the same model, capacity and kv_type, with any stack. After a restore the session holds
// exactly those positions and no logits.
size_t dt_session_saved_bytes(const struct dt_session *s, uint32_t position);
void dt_session_save(const struct dt_session *s, uint32_t position, void *out);
void dt_session_restore(struct dt_session *s, uint32_t position, const void *saved);

// Makes `to` hold the first `position` tokens of `from` (at most its position) with their keys and
// values, and no logits. Both are sessions of one group.
void dt_session_copy(struct dt_session *to, const struct dt_session *from, uint32_t position);

// Changes the weights (of the same model), the stack and the scratch of the group, at a token
// boundary. The KV cache and the logits of the last position stay, so the text continues.
// dt_session_measure gives the bytes of scratch; it must not be the memory in use. If
// options.threads was 0, the number of workers is read from the services again. When it returns
// DT_OK, the old weights, stack and scratch are not referred to any more; after an error nothing
// has changed.
dt_status dt_session_swap(struct dt_session *s, const struct dt_weights *weights,
                          const struct dt_stack *stack, struct dt_arena *scratch,
                          struct dt_error *err);

// Measures every operator of the group from now on (core/profile.h). NULL: off, at no cost.
void dt_session_set_profile(struct dt_session *s, const struct dt_profile *profile);

// Fills the positions below `position` with fixed values, as if that many tokens (id 0) had been
// evaluated: for measuring the speed at a position without evaluating a prompt.
void dt_session_fill(struct dt_session *s, uint32_t position);

#endif
