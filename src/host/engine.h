// SPDX-License-Identifier: MIT
// An engine: one open model with its vocabulary, a stack of backends, a session and a sampler.
//
// Threads: only one thread at a time may use an engine (in a program with a front end, the worker).
// dt_engine_cancel and dt_engine_uncancel may be called from any thread or signal handler.
#ifndef DT_HOST_ENGINE_H
#define DT_HOST_ENGINE_H

#include <stdbool.h>

#include "core/model.h"
#include "core/sampling/draft.h"
#include "core/sampling/sampler.h"
#include "core/session.h"
#include "core/text/jinja/jinja.h"
#include "core/text/template.h"
#include "core/text/tokenizer.h"
#include "host/memory.h"
#include "host/modules/registry.h"
#include "host/modules/stack_instance.h"
#include "host/stream/stream.h"

struct dt_engine;

// Whether the variant of the backend "auto" is chosen by measurement.
enum dt_tune_policy {
    DT_TUNE_AUTO =
        0,         // by one that is remembered, else by a new one; DUOTALE_TUNE=off: by the score
    DT_TUNE_NEVER, // by the score
    DT_TUNE_AGAIN, // by a new one
};

// Where weights are that are not copied.
enum dt_weights_place {
    DT_WEIGHTS_AUTO = 0, // mapped if they fit into memory, else streamed where that is possible
    DT_WEIGHTS_MAPPED,   // in the page cache
    DT_WEIGHTS_STREAMED, // a part in memory, the rest read for every token (host/stream)
};

// The place of a name: "auto", "mapped" or "streamed"; AUTO for any other.
enum dt_weights_place dt_weights_place_of(const char *name);

// Speculation (core/sampling/draft.h). The generated text is the same.
enum dt_draft_policy {
    DT_DRAFT_NEVER = 0,
    DT_DRAFT_AUTO,   // where memory allows its buffers; used where it pays
    DT_DRAFT_ALWAYS, // with little memory too; used where it pays
    DT_DRAFT_FORCED, // used whatever it costs, for tests
};

// The policy of a setting: "off", "auto" or "on"; AUTO for the name of a table. file_of: that name;
// NULL for a word.
enum dt_draft_policy dt_draft_policy_of(const char *text);
const char *dt_draft_file_of(const char *text);

struct dt_engine_options {
    const char *stack;         // as in dt_registry_assemble; NULL: "auto"
    uint32_t threads;          // workers; 0: chosen for the model, at most one a CPU
    uint32_t context;          // positions of the KV cache; 0: the model's, but at most 4096 (or
                               // context_at_least) and what memory allows
    uint32_t context_at_least; // positions that are needed, where context is 0
    uint32_t batch;    // prompt tokens evaluated together; 0: 64, or 32 if less than 256 MB of
                       // memory are available
    uint32_t kv_type;  // enum dt_kv_type; 0: f32
    uint32_t sessions; // texts at the same time, each with its KV cache and sampler; 0: 1
    enum dt_pack_policy pack; // AUTO: packed if the copy takes at most a quarter of the memory
                              // that is available (and left of memory_limit)
    enum dt_tune_policy tune;
    size_t memory_limit; // bytes of allocated memory (not mapped files); 0: no limit
    enum dt_weights_place weights;
    enum dt_draft_policy draft;
    const char *draft_file; // a table of n-grams; NULL: NAME.draft beside the model, if it is
                            // there. Once one model has used it, others without it are no errors
    const struct dt_stream_options *stream; // limits (if not 0) and medium for tests; NULL: none
    bool check_scales;                      // check every scale when opening (reads the whole file)
    bool without_shortlist;  // compute all logits of every token (core/sampling/shortlist.h); the
                             // generated text is the same
    bool without_vocabulary; // open a model without a vocabulary, for measurements without text
    bool without_backend;    // read a model without computing: dt_engine_prepare finds no backends
                             // and makes no plan (it is all zero); dt_engine_start fails
};

// Makes an engine without a model. Backends are searched for when they are first needed. Copies
// options; NULL means all zero. The caller frees *out with dt_engine_free.
dt_status dt_engine_new(struct dt_engine **out, const struct dt_engine_options *options,
                        struct dt_error *err);
// Closes the model and frees the engine. NULL is harmless.
void dt_engine_free(struct dt_engine *engine);

// ---- models ----

// Writes the path of the default model, which data/models/default names, to out. DT_BAD_INPUT if
// there is none.
dt_status dt_engine_default_model(char *out, size_t size, struct dt_error *err);

// Why a context is as long as it is.
enum dt_context_reason {
    DT_CONTEXT_ASKED,   // options.context
    DT_CONTEXT_TRAINED, // the model was trained for as many positions
    DT_CONTEXT_USUAL,   // the model was trained for more, which few texts need
    DT_CONTEXT_MEMORY,  // more would take too much of the memory that is left
};

// The memory plan, in bytes. Computed before anything in it is allocated.
struct dt_engine_plan {
    size_t file_bytes;              // mapped files: page cache, not in total
    struct dt_weights_plan weights; // used in place, and copies
    size_t model_tables;            // layers, vocabulary
    size_t tokenizer;               // including its index, which the first prompt fills
    size_t sampler;
    size_t shortlist;
    size_t draft;       // the index of speculation; its logits are those of the session
    size_t draft_table; // mapped, not in total
    struct dt_session_bytes session;
    struct dt_stream_plan stream; // what is in memory is in total
    size_t total;                 // everything above except file_bytes
    uint32_t context, threads;
    enum dt_context_reason context_reason;
    char stack[128]; // resolved name
};

// How the weights are used, in at most 63 bytes: "packed (file)", "packed (copy, 15.2 MB)",
// "converted (copy, 3.1 MB)" or "in place". dt_engine_stream_text: of streamed ones.
const char *dt_engine_weights_text(const struct dt_weights_plan *plan, char *out, size_t size);

const char *dt_engine_stream_text(const struct dt_stream_plan *plan, char *out, size_t size);

// Maps the model's files (see dt_model_files_map for `path`), reads its tables and vocabulary,
// resolves the stack and computes the memory plan. Reads no weights and allocates nothing of the
// plan but model_tables and tokenizer. No model may be open. tokenizer: the vocabulary's file; NULL
// takes the model file's own, else ./tokenizer.bin, NAME.tok.bin or tokenizer.bin beside the model.
// plan may be NULL. After DT_OK call dt_engine_start or dt_engine_close.
dt_status dt_engine_prepare(struct dt_engine *engine, const char *path, const char *tokenizer,
                            struct dt_engine_plan *plan, struct dt_error *err);

// Between dt_engine_prepare and dt_engine_start: sets options.sessions to as many, up to `most`, as
// take at most an eighth of the memory that is available. Returns the number, at least 1.
uint32_t dt_engine_choose_sessions(struct dt_engine *engine, uint32_t most);

// One line, without its end, about a context that is not the one the model was trained for; "" if
// it is. Starting a model and setting the context log it as a warning, but for DT_CONTEXT_USUAL.
const char *dt_engine_context_note(const struct dt_engine *engine, char *out, size_t size);

// Allocates the memory of the plan, converts or packs weights where the plan says so, and makes the
// session. DT_NO_MEMORY names what did not fit, with both numbers, and a context that
// does; DT_CANCELLED after
// dt_engine_cancel. After an error the engine is still prepared. progress may be NULL.
dt_status dt_engine_start(struct dt_engine *engine, dt_progress *progress, void *progress_arg,
                          struct dt_error *err);

// The measurement of variants. Times are the best of all rounds, in seconds, for all weights of the
// backend's matrices.
struct dt_engine_tuning {
    uint32_t count; // of rows; 0: nothing was measured since the engine was made
    uint32_t taken; // the row that was chosen
    size_t bytes;   // of these weights
    double seconds; // that the measurement took
    struct dt_engine_tuning_row {
        char variant[32];    // the first row has the best score
        const char *dropped; // why it was not measured; NULL: it was
        double token, prompt_token;
    } row[DT_STACK_MAX];
};

// The last measurement. Valid until the next one.
const struct dt_engine_tuning *dt_engine_tuning(const struct dt_engine *engine);

// dt_engine_prepare and dt_engine_start. After an error no model is open.
dt_status dt_engine_open(struct dt_engine *engine, const char *path, const char *tokenizer,
                         struct dt_error *err);

// Frees everything that belongs to the model. The engine can then open another one.
void dt_engine_close(struct dt_engine *engine);

// Whether a model is started.
bool dt_engine_is_open(const struct dt_engine *engine);

// Parts of the open model, owned by the engine and valid until dt_engine_close; a swap of the stack
// does not invalidate them. NULL if not prepared (model, path, tokenizer) or not started (session,
// sampler).
const struct dt_model *dt_engine_model(const struct dt_engine *engine);
const char *dt_engine_path(const struct dt_engine *engine);
struct dt_session *dt_engine_session(struct dt_engine *engine);
struct dt_sampler *dt_engine_sampler(struct dt_engine *engine);
// The session number `index`, of options.sessions; the one above is number 0. NULL if there are not
// as many.
struct dt_session *dt_engine_session_at(struct dt_engine *engine, uint32_t index);
uint32_t dt_engine_sessions(const struct dt_engine *engine); // options.sessions, at least 1
const struct dt_tokenizer *dt_engine_tokenizer(const struct dt_engine *engine);
// Source of the vocabulary: a path, "the model file", or "none" (options.without_vocabulary).
const char *dt_engine_tokenizer_source(const struct dt_engine *engine);

// The resolved stack ("int8@avx2+fastexp"); the requested one while none is resolved.
const char *dt_engine_stack_name(const struct dt_engine *engine);

// Whether "auto" found nothing better than the reference backend, which is slow. Starting a model
// and swapping log a line that says why, once for an engine.
bool dt_engine_is_slow(const struct dt_engine *engine);

// The weights as the stack computes with them; NULL if not started. Invalid after a swap.
const struct dt_weights *dt_engine_weights(const struct dt_engine *engine);

// Workers; 1 if not started.
uint32_t dt_engine_threads(const struct dt_engine *engine);

// The backends, owned by the engine. NULL only without enough memory.
struct dt_registry *dt_engine_registry(struct dt_engine *engine);

// Limit, use and peak of the engine's allocated memory.
struct dt_account *dt_engine_account(struct dt_engine *engine);

// ---- text and tokens ----

// Encodes text[0..n) with enum dt_encode_flags. *tokens points to *count tokens, which belong to
// the engine and are valid until the next call.
dt_status dt_engine_encode(struct dt_engine *engine, const char *text, size_t n, unsigned flags,
                           const uint32_t **tokens, size_t *count, struct dt_error *err);

// dt_template_encode with this engine's tokenizer, enlarged if necessary: encodes the turns of a
// chat as core/text/template.h renders them.
dt_status dt_engine_encode_pieces(struct dt_engine *engine, const struct dt_template_piece *pieces,
                                  size_t piece_count, bool bos, char *scratch, size_t scratch_size,
                                  uint32_t *tokens, size_t capacity, size_t *count,
                                  struct dt_error *err);

// dt_template_encode_text with this engine's tokenizer: a rendered dialogue (host/chat.h). *tokens
// as in dt_engine_encode.
dt_status dt_engine_encode_chat(struct dt_engine *engine, const struct dt_jinja_text *text,
                                bool whole, const uint32_t **tokens, size_t *count,
                                struct dt_error *err);

// Writes the bytes of token `id`, following `previous` (DT_NO_TOKEN at the start), to
// out[DT_PIECE_MAX]; returns their number. They are not cleaned: pass them through a
// dt_text_filter before they reach a terminal.
size_t dt_engine_piece(const struct dt_engine *engine, uint32_t previous, uint32_t id, char *out);

// Evaluates tokens for the sampler, with the shortlist if that is enough. Errors as
// dt_session_eval, and as dt_engine_check.
dt_status dt_engine_eval(struct dt_engine *engine, const uint32_t *tokens, uint32_t count,
                         struct dt_error *err);

// dt_session_eval, which hands the logits of every token to the sink; then dt_engine_check.
dt_status dt_engine_score(struct dt_engine *engine, const uint32_t *tokens, uint32_t count,
                          dt_session_logits_sink *sink, void *sink_arg, struct dt_error *err);

// dt_session_eval_parts for sessions of this engine, with the shortlist where that is enough for
// their samplers; then dt_engine_check. Each part has its own status and error; *err is that of the
// first part that failed, or of the files.
dt_status dt_engine_eval_parts(struct dt_engine *engine, struct dt_session_part *parts,
                               uint32_t count, struct dt_error *err);

// Whether everything that was read of the model's files was theirs: DT_BAD_INPUT if one was
// truncated or written to, or its medium failed, since it was opened. Opening, encoding, evaluating
// and swapping check this themselves; evaluating single tokens finds a file that was written to up
// to 50 ms later. So a caller checks after the last token.
dt_status dt_engine_check(const struct dt_engine *engine, struct dt_error *err);

// Returns memory that only prompts need to the kernel: the tokenizer's index (rebuilt by the next
// encode) and the scratch memory of a batch. Results do not change. For one long story after one
// prompt.
void dt_engine_trim(struct dt_engine *engine);

// Samples the next token from the last logits, which are invalid afterwards. The repetition penalty
// applies to the session's tokens.
uint32_t dt_engine_next(struct dt_engine *engine);
uint32_t dt_engine_next_at(struct dt_engine *engine, uint32_t index); // of that session

// Resets the sampler to these settings and this seed (0 counts as 1).
void dt_engine_set_sampling(struct dt_engine *engine, const struct dt_sampling *settings,
                            uint64_t seed);
void dt_engine_set_sampling_at(struct dt_engine *engine, uint32_t index,
                               const struct dt_sampling *settings, uint64_t seed);

// ---- cancelling ----

// Makes a running eval, start or swap return DT_CANCELLED as soon as it polls the flag. The flag
// stays set until dt_engine_uncancel. Any thread, also signal handlers.
void dt_engine_cancel(struct dt_engine *engine);
void dt_engine_uncancel(struct dt_engine *engine);
bool dt_engine_cancelled(const struct dt_engine *engine);

// ---- changes of a started engine ----

// Figures of the shortlist since the weights were loaded; false if it is not in use.
bool dt_engine_shortlist(const struct dt_engine *engine, struct dt_shortlist_facts *facts);

// Figures of speculation since the session was made; false if it is off.
bool dt_engine_draft(const struct dt_engine *engine, struct dt_draft_facts *facts);

// Tokens that a pass evaluated, in the mean; 0 if no pass had guesses.
double dt_engine_tokens_per_pass(const struct dt_engine *engine);

// How the weights of a started engine are used, in at most 63 bytes: dt_engine_weights_text, or
// "streamed: 43% in memory, 34.7 MB/token, 91% waiting".
const char *dt_engine_weights_now(const struct dt_engine *engine, char *out, size_t size);

// Figures of streaming since the model was started; false if the weights are not streamed. plan may
// be NULL.
bool dt_engine_stream(const struct dt_engine *engine, struct dt_stream_plan *plan,
                      struct dt_stream_facts *facts);

// Computes what a swap to this stack would allocate. plan->total is in addition to the memory in
// use now.
dt_status dt_engine_swap_plan(struct dt_engine *engine, const char *stack,
                              struct dt_engine_plan *plan, struct dt_error *err);

// Sets the stack of the models that are opened from now on. DT_USAGE or DT_UNSUPPORTED, as
// dt_registry_assemble, changes nothing. No model may be open.
dt_status dt_engine_set_stack(struct dt_engine *engine, const char *stack, struct dt_error *err);

// Replaces the stack, also of models that are opened later, at a token boundary: the next eval
// computes with the new one. The KV cache and the tokens stay. The old stack is freed after the new
// one is complete, so both need memory at the same time. An error changes nothing. progress may be
// NULL.
dt_status dt_engine_swap(struct dt_engine *engine, const char *stack, dt_progress *progress,
                         void *progress_arg, struct dt_error *err);

// Sets the number of workers (0: choose), at a token boundary. The generated text does not change.
// An error changes nothing.
dt_status dt_engine_set_threads(struct dt_engine *engine, uint32_t threads, struct dt_error *err);

// Limits what is allocated from now on; what is in use stays. 0: no limit.
void dt_engine_set_memory_limit(struct dt_engine *engine, size_t bytes);

// Sets the length of the KV cache (0: as in options). Replaces the session by an empty one, so
// pointers to the old one are invalid. An error changes nothing.
dt_status dt_engine_set_context(struct dt_engine *engine, uint32_t context, struct dt_error *err);

// The memory in use now, by kind.
void dt_engine_memory(const struct dt_engine *engine, struct dt_engine_plan *now);

#endif
