// SPDX-License-Identifier: MIT
// The inside of an engine, shared by engine*.c only.
#ifndef DT_HOST_ENGINE_STATE_H
#define DT_HOST_ENGINE_STATE_H

#include "host/engine.h"
#include "host/model_files.h"

// What belongs to one stack of backends and is replaced by a swap.
struct dt_engine_stack {
    struct dt_stack_instance *instance;
    struct dt_weights *weights; // malloc'ed, because the session stores its address
    struct dt_block weights_block, scratch;
};

struct dt_engine {
    struct dt_engine_options options;
    char *stack_wanted, *draft_wanted;
    struct dt_account account;
    struct dt_registry *registry;
    struct dt_threads *threads;
    struct dt_services services; // for the session; services.host is the engine
    atomic_int cancel;
    bool fallback_reported;
    struct dt_engine_tuning tuning;

    // valid while prepared
    struct dt_model_files files;
    struct dt_file tokenizer_file;
    const char *tokenizer_source;
    struct dt_block model_block, vocab_block, tokenizer_block;
    struct dt_block vectors_block; // copies of norms and biases
    struct dt_model model;
    struct dt_tokenizer tokenizer;
    size_t text_max; // bytes of text the tokenizer can encode in one call
    uint32_t *tokens;
    size_t tokens_capacity;
    struct dt_engine_stack stack;
    struct dt_engine_plan plan;
    uint32_t context; // positions of a session
    enum dt_context_reason context_reason;
    uint64_t checked_ns; // when the files were last checked by a system call
    bool batch_chosen;   // options.batch is not the user's
    uint32_t guesses;    // of speculation, in a pass; 0: none
    struct dt_file draft_file;
    bool draft_used;                   // options.draft_file fitted a model
    struct dt_draft_table draft_table; // in it; empty if there is none
    bool prepared;

    // valid while started
    struct dt_stream *stream; // NULL: the weights are mapped or copied
    uint64_t stream_ns;       // of evaluations with it
    struct dt_block session_block, sampler_block, shortlist_block;
    struct dt_session *session;                 // the first
    struct dt_sampler sampler[DT_SESSIONS_MAX]; // of each session
    struct dt_shortlist shortlist;              // used while shortlist_block is allocated
    struct dt_block draft_block;
    struct dt_draft draft; // used while draft_block is allocated
};

// ---- engine_plan.c ----

// The number of workers for a requested number; 0 chooses by model size and CPUs.
uint32_t dt_engine_threads_for(const struct dt_engine *e, uint32_t requested);

// bytes without those that are taken, at least 0.
static inline uint64_t dt_engine_rest(uint64_t bytes, uint64_t taken)
{
    return taken < bytes ? bytes - taken : 0;
}

// What may still be allocated.
uint64_t dt_engine_memory_left(const struct dt_engine *e);

struct dt_session_options dt_engine_session_options(const struct dt_engine *e, uint32_t threads);

// Whether a shortlist saves time for this classifier, computed by this backend.
bool dt_engine_needs_shortlist(const struct dt_engine *e, const struct dt_matrix *classifier,
                               const struct dt_instance *by);

// dt_weights_plan; a model that is packed for another backend is refused with the command that
// unpacks it.
dt_status dt_engine_plan_weights(const struct dt_engine *e,
                                 const struct dt_stack_instance *instance, enum dt_pack_policy pack,
                                 struct dt_weights_plan *plan, struct dt_error *err);

// Sets instance->pack from the options: for AUTO, ALWAYS if the memory allows a packed copy, else
// NEVER.
dt_status dt_engine_choose_pack(struct dt_engine *e, struct dt_stack_instance *instance,
                                struct dt_error *err);

// Computes what a stack over the open model allocates. Reads no weights.
dt_status dt_engine_make_plan(struct dt_engine *e, struct dt_stack_instance *instance,
                              struct dt_engine_plan *plan, struct dt_error *err);

// ---- engine_context.c ----

struct dt_context_limits {
    uint32_t trained;         // the model's
    uint32_t asked, at_least; // as in the options
    uint32_t fits;            // positions that memory allows; not used if asked is not 0
};

// The length of a context, and why. What memory allows counts for at least 64 positions, or the
// model's if they are fewer.
uint32_t dt_context_choose(const struct dt_context_limits *limits, enum dt_context_reason *reason);

// Sets e->context for the options and the memory that is left. If the weights are not allocated, it
// is chosen for those of `instance`.
dt_status dt_engine_choose_context(struct dt_engine *e, const struct dt_stack_instance *instance,
                                   struct dt_error *err);

// DT_NO_MEMORY, with a context that fits, if it is certain that the session of e->context does not
// fit beside the weights of e->stack.instance; DT_OK also if no context does. failed: an allocation
// failed, so that a session which may not fit counts as one that does not.
dt_status dt_engine_check_context(const struct dt_engine *e, bool failed, struct dt_error *err);

// Logs dt_engine_context_note as a warning, where it is one.
void dt_engine_warn_context(const struct dt_engine *e);

// ---- engine_stream.c ----

// Sets plan->stream, for a plan without it whose weights are those of a prepared engine, and adds
// what it allocates to plan->total.
dt_status dt_engine_plan_stream(const struct dt_engine *e, struct dt_engine_plan *plan,
                                struct dt_error *err);

// The error of a stack that would copy weights that are streamed.
dt_status dt_engine_refuse_copy(const struct dt_engine *e, const char *stack, size_t bytes,
                                struct dt_error *err);

// Whether the weights of the stacks are never copied.
bool dt_engine_must_stream(const struct dt_engine *e);

// After dt_engine_plan_stream chose to stream: makes batches that were not chosen by the user
// wider, because the file is read once for each.
dt_status dt_engine_widen_batch(struct dt_engine *e, struct dt_error *err);

// Starts streaming as e->plan says, and attaches the weights of e->stack.
dt_status dt_engine_start_stream(struct dt_engine *e, dt_progress *progress, void *progress_arg,
                                 struct dt_error *err);

// ---- engine_eval.c ----

// Sets e->guesses, and opens the table of n-grams: the one that options name, else one beside the
// model, where speculation is on. Only the first can fail; a fault of the other is logged.
dt_status dt_engine_open_draft(struct dt_engine *e, struct dt_error *err);

// What dt_engine_make_draft allocates.
size_t dt_engine_draft_bytes(const struct dt_engine *e);

// Makes e->draft for a new session. Without enough memory there is no speculation.
void dt_engine_make_draft(struct dt_engine *e);

// ---- engine_text.c ----

// Reads the vocabulary from `path` (NULL: see dt_engine_prepare) into e->model.vocab and sets
// e->tokenizer_source.
dt_status dt_engine_read_vocabulary(struct dt_engine *e, const char *path, struct dt_error *err);

// Makes e->tokenizer for texts of up to text_max bytes (0: a default). On failure the old one
// stays.
dt_status dt_engine_make_tokenizer(struct dt_engine *e, size_t text_max, struct dt_error *err);

// ---- engine_damage.c ----

// After logits that are not finite: reads all weights, and fills *err with the first tensor that
// holds a value that is not finite, if there is one. Else only the file is added.
void dt_engine_name_damage(struct dt_engine *e, struct dt_error *err);

// ---- engine.c ----

// Allocates and fills the weights and the scratch memory of stack->instance. On failure the caller
// calls dt_engine_stack_free.
dt_status dt_engine_build(struct dt_engine *e, struct dt_engine_stack *stack, dt_progress *progress,
                          void *progress_arg, struct dt_error *err);

void dt_engine_stack_free(struct dt_engine *e, struct dt_engine_stack *stack);

// Makes an empty session over e->stack in a new block.
dt_status dt_engine_make_session(struct dt_engine *e, struct dt_block *block,
                                 struct dt_session **out, struct dt_error *err);

// Logs one line, once for an engine, if the stack is the slow reference for want of a better one.
void dt_engine_report_fallback(struct dt_engine *e);

// Gives the session a shortlist for e->stack's weights if that saves time. Without enough memory
// the session computes all logits.
void dt_engine_make_shortlist(struct dt_engine *e);

#endif
