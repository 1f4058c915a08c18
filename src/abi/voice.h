// SPDX-License-Identifier: MIT
// The interface between duotale (the host) and its voices and ears. Plain C; no library to link.
//
// A voice turns sentences into sound; an ear turns speech into text. Each is a shared object,
// voice-NAME.so or ear-NAME.so, that exports one symbol, `dt_speech_module`: a constant struct
// dt_speech_module. It includes this header only and imports only libc and libm. A module gets text
// and samples, and never a model, a token or the terminal.
//
// Speech engines are usually separate programs: the module starts one as a child process with the
// host's run() and reads its output. The memory of the engine is then free again after each
// sentence, a crash of the engine does not end duotale, and its licence does not apply to the
// module. The host ends the children when duotale ends, for whatever reason, and at once when the
// user stops the speech. A module may also contain the engine itself.
//
// Each entry is marked [required] (the host refuses the module without it) or [optional] (may be
// NULL or 0, with the meaning stated there).
//
// Rules for all functions of a module:
//  - Threads. open, say, hear and close of one context are called by one thread at a time, which
//    may change between calls. They may block; the generation of text does not wait for them.
//    probe is called by any thread.
//  - Samples are signed 16-bit, in native byte order, one channel.
//  - Errors. A function that can fail returns DT_SPEECH_DONE; or DT_SPEECH_CANCELLED, if
//  cancelled()
//    of the host is true; or DT_SPEECH_FAILED, with one line in reason: what was tried, what was
//    found, what to do. The line has no newline and at most reason_size bytes with its NUL.
//  - Memory. Memory of a context comes from the host's allocate() and is released in close.
//  - Ownership. The caller owns every pointer it passes; it is valid until the call returns unless
//    stated otherwise.
//
// Compatibility: structs grow at their end only, and `size` is the size where the struct was
// filled; the reader takes what is beyond it as zero. `abi` changes only if an existing entry does.
#ifndef DT_ABI_VOICE_H
#define DT_ABI_VOICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DT_SPEECH_ABI 1u

// Results of functions.
#define DT_SPEECH_DONE      0
#define DT_SPEECH_FAILED    (-1)
#define DT_SPEECH_CANCELLED (-2)

// ---- what the host provides ----

// Levels of dt_speech_host.log.
enum dt_speech_log_level {
    DT_SPEECH_LOG_DEBUG = 0,
    DT_SPEECH_LOG_INFO = 1,
    DT_SPEECH_LOG_WARNING = 2,
    DT_SPEECH_LOG_ERROR = 3,
};

// Where sound goes. Owned by the host; valid for the call it is passed to.
struct dt_speech_sink {
    uint32_t size;
    uint32_t reserved;
    void *arg; // the first argument of play
    // Plays n samples at `rate` samples per second; blocks while the sound device is busy. If the
    // result is not DT_SPEECH_DONE, the module stops and returns that result.
    int (*play)(void *arg, uint32_t rate, const int16_t *samples, size_t n);
};

// Bytes that a child process reads as a file, without a file on disk. File i of a child has the
// path DT_SPEECH_FILE_0 with i added to its last digit ("/proc/self/fd/20", "/proc/self/fd/21",
// ...); it is open for reading. Do not use /dev/fd or /dev/stdin: small systems have neither.
#define DT_SPEECH_STDIN  "/proc/self/fd/0"
#define DT_SPEECH_STDOUT "/proc/self/fd/1"
#define DT_SPEECH_FILE_0 "/proc/self/fd/20"
#define DT_SPEECH_FILES  8
struct dt_speech_file {
    const void *bytes;
    size_t length;
};

// What the host does with the standard output of a child.
enum dt_speech_output {
    DT_SPEECH_OUTPUT_TEXT = 0, // stores it in text
    DT_SPEECH_OUTPUT_WAV = 1,  // reads a WAV stream of any sample format and plays it as it arrives
};

// A child process for run().
struct dt_speech_child {
    uint32_t size;           // [required]
    uint32_t output;         // enum dt_speech_output
    const char *const *argv; // [required] argv[0] is a path or a name to find in PATH; NULL ends it
    const void *input;       // [optional] the child's standard input
    size_t input_length;
    const struct dt_speech_file *files; // [optional] see DT_SPEECH_FILE_0
    size_t file_count;                  // at most DT_SPEECH_FILES
    // [optional] A child that neither reads nor writes for this long is killed. Time in the sink's
    // play does not count. 0: the host's default.
    uint32_t hang_milliseconds;
    uint32_t reserved;
    const struct dt_speech_sink *sink; // [required] with DT_SPEECH_OUTPUT_WAV
    char *text; // [required] with DT_SPEECH_OUTPUT_TEXT: gets the output and a NUL; bytes that
    size_t text_size; // do not fit in text_size are dropped
};

// Functions of the host. All are set, and any thread of the module may call them.
struct dt_speech_host {
    uint32_t size;
    uint32_t reserved;
    void *host;                                  // the first argument of every function here
    void *(*allocate)(void *host, size_t bytes); // zeroed memory, or NULL if there is none
    void (*release)(void *host, void *block);    // NULL is ignored
    // Logs one line without a newline; level is an enum dt_speech_log_level. line is copied.
    void (*log)(void *host, int level, const char *line);
    // Not 0 once the speech is stopped: return soon, with DT_SPEECH_CANCELLED. run() and play()
    // check it themselves.
    int (*cancelled)(void *host);
    // 1 if PATH has an executable of this name, whose path is then written to path; else 0. path
    // may be NULL.
    int (*find_program)(void *host, const char *name, char *path, size_t path_size);
    // Runs a child process and waits for its end. These are failures, with a reason that quotes the
    // last line of the child's standard error: an exit status that is not 0, death by a signal, a
    // hang, and output that is not WAV where that is expected.
    int (*run)(void *host, const struct dt_speech_child *child, char *reason, size_t reason_size);
    uint64_t (*memory_available)(void *host); // bytes that child processes can use now
};

// ---- voices ----

struct dt_voice_settings {
    uint32_t size;
    uint32_t words_per_minute; // 50 to 450
    uint32_t pitch;            // 0 to 100; 50 is the voice's normal pitch
    uint32_t reserved;
    const char *variant; // the part after the colon of "espeak:en-us+f3"; "" for the default voice
};

struct dt_voice {
    uint32_t size; // [required] sizeof(struct dt_voice) where the module was built
    uint32_t reserved;
    // [required] Creates the state that say and close get as ctx; *ctx may stay NULL. host and the
    // strings of settings are valid until close returns. Refuses an unknown variant, if the module
    // can recognise one.
    int (*open)(const struct dt_speech_host *host, const struct dt_voice_settings *settings,
                void **ctx, char *reason, size_t reason_size);
    // [required] Speaks one sentence: UTF-8, one line, without control characters, at most a few
    // hundred bytes. Passes samples to sink as soon as they exist, all at one rate.
    int (*say)(void *ctx, const char *sentence, const struct dt_speech_sink *sink, char *reason,
               size_t reason_size);
    void (*close)(void *ctx); // [optional] Releases ctx
};

// ---- ears ----

// What an ear recognises.
enum dt_ear_mode {
    DT_EAR_AUTO = 0,    // requests; if that fails and memory allows, any text
    DT_EAR_REQUEST = 1, // requests for a story, by a small grammar
    DT_EAR_FREE = 2,    // any text, whatever memory that needs
};

#define DT_EAR_RATE 16000 // samples per second of the samples that hear gets

struct dt_ear_settings {
    uint32_t size;
    uint32_t mode; // enum dt_ear_mode
};

struct dt_ear {
    uint32_t size; // [required] sizeof(struct dt_ear) where the module was built
    uint32_t reserved;
    // [required] As dt_voice.open.
    int (*open)(const struct dt_speech_host *host, const struct dt_ear_settings *settings,
                void **ctx, char *reason, size_t reason_size);
    // [required] Recognises the words in n samples, at most a minute of speech. Writes them to text
    // in lower case with one space between them, and a NUL; an empty text if there are none.
    int (*hear)(void *ctx, const int16_t *samples, size_t n, char *text, size_t text_size,
                char *reason, size_t reason_size);
    void (*close)(void *ctx); // [optional] Releases ctx
};

// ---- the module ----

enum dt_speech_kind {
    DT_SPEECH_VOICE = 1,
    DT_SPEECH_EAR = 2,
};

struct dt_speech_module {
    uint32_t abi;  // [required] DT_SPEECH_ABI
    uint32_t size; // [required] sizeof(struct dt_speech_module) where the module was built
    uint32_t kind; // [required] enum dt_speech_kind
    uint32_t reserved;
    const char *name;        // [required] "espeak": what users type; of a-z and 0-9
    const char *description; // [optional] one line
    // [required] A score, or 0 and a reason if the module cannot work here (for example, because
    // the engine is not installed). If the user names no module, the host takes the one with the
    // highest score. A score of 1 means: only if named.
    int (*probe)(const struct dt_speech_host *host, char *reason, size_t reason_size);
    const struct dt_voice *voice; // [required] for DT_SPEECH_VOICE, else NULL
    const struct dt_ear *ear;     // [required] for DT_SPEECH_EAR, else NULL
};

// Defines the module's table:
//     DT_SPEECH_EXPORT(name) = {.abi = DT_SPEECH_ABI, .size = sizeof(struct dt_speech_module),
//     ...};
// In a static build (DT_STATIC_MODULES) each module has a symbol of its own, made from `name`.
#ifdef DT_STATIC_MODULES
#define DT_SPEECH_SYMBOL_(name) dt_speech_module_##name
#define DT_SPEECH_SYMBOL(name)  DT_SPEECH_SYMBOL_(name)
#else
#define DT_SPEECH_SYMBOL(name) dt_speech_module
#endif
#define DT_SPEECH_EXPORT(name)                                                                     \
    __attribute__((visibility("default"))) extern const struct dt_speech_module DT_SPEECH_SYMBOL(  \
        name);                                                                                     \
    const struct dt_speech_module DT_SPEECH_SYMBOL(name)

#ifdef __cplusplus
}
#endif
#endif
