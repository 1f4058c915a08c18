// SPDX-License-Identifier: MIT
// The engine as a program uses it: a model file opened, a stack of backends over it, a session, a
// sampler. Everything the verbs and a session at the terminal need, in one object.
//
// Threads: an engine belongs to one thread at a time (the worker). Only dt_engine_cancel and
// dt_engine_uncancel may be called from any thread or from a signal handler; dt_memory_facts()
// needs no engine.
#ifndef DT_HOST_ENGINE_H
#define DT_HOST_ENGINE_H

#include <stdbool.h>

#include "core/model.h"
#include "core/sampling/sampler.h"
#include "core/session.h"
#include "core/text/template.h"
#include "core/text/tokenizer.h"
#include "host/memory.h"
#include "host/modules/registry.h"

struct dt_engine;

struct dt_engine_options {
    const char *stack; // as in dt_registry_assemble; NULL: "auto"
    uint32_t threads;  // workers; 0: what is best for the model, at most one a CPU
    uint32_t context;  // positions of the KV cache; 0: the model's
    uint32_t batch;   // columns of a prompt evaluated together; 0: 64, or 32 where less than 256 MB
                      // are to be had
    uint32_t kv_type; // enum dt_kv_type; 0: f32
    enum dt_pack_policy pack;
    size_t memory_limit;     // bytes of our own memory (not the mapping), 0: what the machine has
    bool check_scales;       // look at every scale when opening (reads the whole file)
    bool without_shortlist;  // compute all rows of the classifier for every token
                             // (core/sampling/shortlist.h); the texts are the same
    bool without_vocabulary; // where none is found, open the model all the same: for measuring, not
                             // for text
};

// Makes an engine with nothing open: the registry of backends is filled at the first need. options
// are copied. NULL options: all zero.
dt_status dt_engine_new(struct dt_engine **out, const struct dt_engine_options *options,
                        struct dt_error *err);
// Closes what is open and frees everything. NULL is harmless.
void dt_engine_free(struct dt_engine *engine);

// ---- models ----

// The file opened when nobody names one: the one that data/models/default names. Writes the path;
// DT_BAD_INPUT if there is none.
dt_status dt_engine_default_model(char *out, size_t size, struct dt_error *err);

// Where the bytes go. Known before anything is taken.
struct dt_engine_plan {
    size_t file_bytes;              // the mapping: page cache, not ours
    struct dt_weights_plan weights; // in place, and copies
    size_t model_tables;            // layers, vocabulary
    size_t tokenizer;               // at its largest: the index is made at the first prompt
    size_t sampler;
    size_t shortlist;
    struct dt_session_bytes session;
    size_t total; // all of ours: everything above but the mapping
    uint32_t context, threads;
    char stack[128]; // resolved name
};

// Maps the file, reads the model and its vocabulary, resolves the stack and says what it all would
// take: no weight is read, nothing of the plan is taken. The engine must be closed; after DT_OK
// dt_engine_model and dt_engine_tokenizer_source answer, and dt_engine_start goes on;
// dt_engine_close gives up. tokenizer NULL: the file's own vocabulary, then ./tokenizer.bin, then
// NAME.tok.bin and tokenizer.bin beside the model; else that file. plan may be NULL.
dt_status dt_engine_prepare(struct dt_engine *engine, const char *path, const char *tokenizer,
                            struct dt_engine_plan *plan, struct dt_error *err);

// Takes the memory, converts or packs where the plan says so, makes the session. DT_NO_MEMORY names
// what did not fit, with both numbers; the engine stays prepared then. DT_CANCELLED if
// dt_engine_cancel was called meanwhile. progress may be NULL.
dt_status dt_engine_start(struct dt_engine *engine, dt_progress *progress, void *progress_arg,
                          struct dt_error *err);

// prepare and start in one.
dt_status dt_engine_open(struct dt_engine *engine, const char *path, const char *tokenizer,
                         struct dt_error *err);

// Frees all that belongs to the model. The engine can open another one.
void dt_engine_close(struct dt_engine *engine);

bool dt_engine_is_open(const struct dt_engine *engine); // started, that is

// What is open; pointers are valid until close (the session's and sampler's too, over swaps). NULL
// when not prepared (model, tokenizer) or not started (session, sampler).
const struct dt_model *dt_engine_model(const struct dt_engine *engine);
const char *dt_engine_path(const struct dt_engine *engine);
struct dt_session *dt_engine_session(struct dt_engine *engine);
struct dt_sampler *dt_engine_sampler(struct dt_engine *engine);
const struct dt_tokenizer *dt_engine_tokenizer(const struct dt_engine *engine);
// Where the vocabulary came from: a path, "the model file", or "none" (options.without_vocabulary).
const char *dt_engine_tokenizer_source(const struct dt_engine *engine);
const char *dt_engine_stack_name(const struct dt_engine *engine); // resolved: "int8@avx2+fastexp"
const struct dt_weights *dt_engine_weights(const struct dt_engine *engine);
uint32_t dt_engine_threads(const struct dt_engine *engine);
struct dt_registry *
dt_engine_registry(struct dt_engine *engine); // NULL only when there is no memory for it
struct dt_account *
dt_engine_account(struct dt_engine *engine); // limit, used, peak of our own memory
const struct dt_engine_options *dt_engine_options(const struct dt_engine *engine);

// ---- text and tokens ----

// Encodes text[0..n) with enum dt_encode_flags; *tokens (count of them) belongs to the engine and
// is valid until the next encode.
dt_status dt_engine_encode(struct dt_engine *engine, const char *text, size_t n, unsigned flags,
                           const uint32_t **tokens, size_t *count, struct dt_error *err);

// The turns of a chat, as core/text/template.h renders them: dt_template_encode over this engine's
// tokenizer, made large enough.
dt_status dt_engine_encode_pieces(struct dt_engine *engine, const struct dt_template_piece *pieces,
                                  size_t piece_count, bool bos, char *scratch, size_t scratch_size,
                                  uint32_t *tokens, size_t capacity, size_t *count,
                                  struct dt_error *err);

// The bytes of id after previous (DT_NO_TOKEN at the start) into out[DT_PIECE_MAX]: raw, for a
// dt_text_filter.
size_t dt_engine_piece(const struct dt_engine *engine, uint32_t previous, uint32_t id, char *out);

// dt_session_eval, and a look at whether the file is still whole: DT_BAD_INPUT if it was truncated
// or its medium failed.
dt_status dt_engine_eval(struct dt_engine *engine, const uint32_t *tokens, uint32_t count,
                         struct dt_error *err);

// Gives back the pages that only prompts need: the tokenizer's index (made again at the next
// encode) and the scratch of a whole batch. Nothing changes but what is resident. For telling one
// long story after one prompt.
void dt_engine_trim(struct dt_engine *engine);

// Samples the next token from the last logits (which are used up). The repetition penalty sees the
// session's tokens.
uint32_t dt_engine_next(struct dt_engine *engine);

// Begins a draw anew: settings and seed (0 is taken as 1, as the sampler does).
void dt_engine_set_sampling(struct dt_engine *engine, const struct dt_sampling *settings,
                            uint64_t seed);

// ---- while it runs ----

// Stops an eval, a start or a swap that is running, at its next look (DT_CANCELLED); the flag stays
// until uncancel. Any thread, signal handlers too.
void dt_engine_cancel(struct dt_engine *engine);
void dt_engine_uncancel(struct dt_engine *engine);
bool dt_engine_cancelled(const struct dt_engine *engine);

// What the classifier's shortlist did since the weights were taken; false where there is none.
bool dt_engine_shortlist(const struct dt_engine *engine, struct dt_shortlist_facts *facts);

// What a swap to this stack would cost, before it is done: plan->total is what would be taken
// beside what stands now.
dt_status dt_engine_swap_plan(struct dt_engine *engine, const char *stack,
                              struct dt_engine_plan *plan, struct dt_error *err);

// At a token boundary: from the next eval on, this stack computes. The new one is made while the
// old one stands, the KV cache and the tokens are kept, the old one's memory is freed afterwards.
// Any failure changes nothing. progress may be NULL.
dt_status dt_engine_swap(struct dt_engine *engine, const char *stack, dt_progress *progress,
                         void *progress_arg, struct dt_error *err);

// At a token boundary: the number of workers from now on (0: choose). The texts do not change.
// Failure changes nothing.
dt_status dt_engine_set_threads(struct dt_engine *engine, uint32_t threads, struct dt_error *err);

// Another length of the KV cache: the session is made anew (another pointer) and is empty. Failure
// changes nothing.
dt_status dt_engine_set_context(struct dt_engine *engine, uint32_t context, struct dt_error *err);

// What is held now, by kind: for the status line and the memory profile.
void dt_engine_memory(const struct dt_engine *engine, struct dt_engine_plan *now);

#endif
