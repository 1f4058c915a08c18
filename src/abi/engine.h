// SPDX-License-Identifier: MIT
// The interface between duotale (the host) and engines that generate elsewhere: on another machine,
// in another program. Plain C; no library to link.
//
// An engine gets text and settings and returns text. It knows no tokens, no logits and no weights,
// and never sees the terminal. Each is a shared object, engine-NAME.so, that exports one symbol,
// `dt_engine_module`: a constant struct dt_remote_module. It includes this header only; it may link
// any library, because it is loaded only when a model with one of its schemes is opened.
//
// Each entry is marked [required] (the host refuses the module without it) or [optional] (may be
// NULL or 0, with the meaning stated there).
//
// Rules for all functions of a module:
//  - Threads. The functions of one context are called by one thread at a time, which may change
//    between calls. They may block, and return soon once cancelled() of the host is true.
//  - Errors. A function that can fail returns one of DT_REMOTE_*. Unless that is DT_REMOTE_DONE or
//    DT_REMOTE_CANCELLED, `reason` has one line: what was tried, what was found, what to do; at
//    most reason_size bytes with its NUL. The host cleans it before it is shown.
//  - Text is UTF-8. What an engine passes on may be invalid and may hold control characters: the
//    host cleans it. A character may be split between two calls of on_text.
//  - Secrets. The key is never logged and never part of a reason.
//  - Ownership. The caller owns every pointer it passes; it is valid until the call returns unless
//    stated otherwise.
//
// Compatibility: structs grow at their end only, and `size` is the size where the struct was
// filled; the reader takes what is beyond it as zero. `abi` changes only if an existing entry does.
#ifndef DT_ABI_ENGINE_H
#define DT_ABI_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DT_REMOTE_ABI 1u

// Results of functions.
#define DT_REMOTE_DONE      0
#define DT_REMOTE_FAILED    (-1)
#define DT_REMOTE_CANCELLED (-2) // cancelled() of the host, or on_text returned 0
#define DT_REMOTE_FULL      (-3) // the prompt is longer than the context
#define DT_REMOTE_LOST      (-4) // the connection broke after text had arrived
#define DT_REMOTE_UNKNOWN   (-5) // the engine cannot say that

// ---- what the host provides ----

// A value in a JSON text. n 0: there is none.
struct dt_remote_json {
    const char *at;
    size_t n;
};

// Functions of the host. All are set, and any thread of the module may call them.
struct dt_remote_host {
    uint32_t size;
    uint32_t reserved;
    void *host;                                  // the first argument of every function here
    void *(*allocate)(void *host, size_t bytes); // zeroed memory, or NULL if there is none
    void (*release)(void *host, void *block);    // NULL is ignored
    // Shows one line to the user, once for the same line. line is copied.
    void (*notice)(void *host, const char *line);
    // Not 0 once the user has stopped the call. Ask at least every 20 ms.
    int (*cancelled)(void *host);
    // JSON of a server, which need not be any. check: 1 if text[0..n) is one valid value, which
    // *out then is. The others need a value that came from check or find.
    int (*json_check)(void *host, const char *text, size_t n, struct dt_remote_json *out);
    // The value at a path such as "choices.0.text", of names and numbers of items; n 0: none.
    struct dt_remote_json (*json_find)(void *host, struct dt_remote_json in, const char *path);
    size_t (*json_count)(void *host, struct dt_remote_json in); // members or items
    // The text of a string, at most value.n bytes; returns the bytes, 0 for other values.
    size_t (*json_text)(void *host, struct dt_remote_json value, char *out);
    int (*json_number)(void *host, struct dt_remote_json value, double *out); // 1 if it is one
    // Writes text[0..n) as a string with its quotes, at most 6 * n + 2 bytes. Returns the bytes.
    size_t (*json_quote)(void *host, const char *text, size_t n, char *out);
};

// ---- engines ----

struct dt_remote_settings {
    uint32_t size;
    uint32_t silence_seconds; // how long the other side may be silent; 0: for ever
    const char *url;          // as typed, with its scheme; "#NAME" at its end chooses a model
    const char *key;          // NULL: none
};

// What an engine knows of the model once it is open. Filled by open.
struct dt_remote_facts {
    uint32_t size;
    uint32_t context; // in tokens; 0: unknown
    char model[256];  // the name that the other side uses
    char program[64]; // what is there: "llama.cpp"; may be empty
    uint32_t chat;    // 1: the model was made for dialogues; 0: not, or unknown
    uint32_t reserved;
};

struct dt_remote_message {
    const char *role; // "system", "user" or "assistant"
    const char *text;
    size_t length;
};

struct dt_remote_request {
    uint32_t size;
    uint32_t chat; // 0: continue the text of messages[0]; 1: answer the dialogue
    const struct dt_remote_message *messages;
    uint32_t message_count;
    uint32_t resume;     // 1: the last message is the assistant's, to be continued
    uint32_t max_tokens; // 0: as many as the context has space for
    uint32_t top_k;      // 0: all
    uint64_t seed;
    double temperature, top_p, min_p, repeat_penalty; // as in the settings of duotale
    uint32_t repeat_last;
    uint32_t without_thinking; // 1: the model is to answer without thoughts
};

// Why a text has ended.
enum dt_remote_end {
    DT_REMOTE_END_TEXT = 0,   // the model ended it
    DT_REMOTE_END_LENGTH = 1, // max_tokens, or the context is full
};

struct dt_remote_figures {
    uint32_t size;
    uint32_t end;           // enum dt_remote_end
    uint32_t prompt_tokens; // of the whole prompt; 0: unknown
    uint32_t evaluated;     // of them, those that were computed: the others were cached; 0: unknown
    uint32_t tokens;        // generated
    uint32_t counted;       // 1: `tokens` counts the pieces that arrived; 0: the engine's figure
    uint32_t context;       // with DT_REMOTE_FULL: its length, 0: unknown
    uint32_t reserved;
    double prompt_seconds, seconds; // of computing, by the engine's clock; 0: unknown
};

// Gets text as it arrives, n > 0 bytes, usually of one token. thought: 1 if it is a thought of the
// model. Returns 0 to stop.
typedef int dt_remote_on_text(void *arg, const char *text, size_t n, int thought);

struct dt_remote_engine {
    uint32_t size; // [required] sizeof(struct dt_remote_engine) where the module was built
    uint32_t reserved;
    // [required] Connects, and fills *facts. host and the strings of settings are valid until close
    // returns. *ctx may stay NULL.
    int (*open)(const struct dt_remote_host *host, const struct dt_remote_settings *settings,
                void **ctx, struct dt_remote_facts *facts, char *reason, size_t reason_size);
    // [required] Generates. *figures is zero but for its size; it is filled as far as it is known,
    // after an error too.
    int (*generate)(void *ctx, const struct dt_remote_request *request, dt_remote_on_text *on_text,
                    void *arg, struct dt_remote_figures *figures, char *reason, size_t reason_size);
    // [optional] The tokens of a request's prompt.
    int (*count)(void *ctx, const struct dt_remote_request *request, uint32_t *tokens, char *reason,
                 size_t reason_size);
    // [optional] The names of the models there, one call each. As of open.
    void (*models)(void *ctx, void (*on_name)(void *arg, const char *name), void *arg);
    void (*close)(void *ctx); // [optional] Releases ctx
};

// ---- the module ----

struct dt_remote_module {
    uint32_t abi;              // [required] DT_REMOTE_ABI
    uint32_t size;             // [required] sizeof(struct dt_remote_module) where it was built
    const char *name;          // [required] "openai"; of a-z and 0-9
    const char *description;   // [optional] one line
    const char *const *scheme; // [required] those of its models: "http", "https"; NULL ends them
    const struct dt_remote_engine *engine; // [required]
};

// Defines the module's table:
//     DT_REMOTE_EXPORT = {.abi = DT_REMOTE_ABI, .size = sizeof(struct dt_remote_module), ...};
#define DT_REMOTE_EXPORT                                                                           \
    __attribute__((visibility("default"))) extern const struct dt_remote_module dt_engine_module;  \
    const struct dt_remote_module dt_engine_module

#ifdef __cplusplus
}
#endif
#endif
