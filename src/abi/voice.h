// SPDX-License-Identifier: MIT
// The interface between duotale and its voices and ears: plain C, no library to link.
//
// A voice turns sentences into sound, an ear turns sound into text. Each is a shared object,
// voice-NAME.so or ear-NAME.so, that exports one symbol, `dt_speech_module`, a constant struct
// dt_speech_module. It includes this header alone and imports nothing but libc and libm. Neither
// ever sees a model, a token or the terminal: text and samples are all that passes.
//
// Speech engines are programs of their own: a module starts one as a child process with the host's
// run() and reads what it writes. So their memory goes back to the system behind every sentence, a
// crash of theirs is not ours, and their licences stay theirs. The host sees to it that children
// die with the program, whatever kills it, and that a stop ends them at once. An engine may be
// written into the module all the same.
//
// Rules:
//  - open, say, hear and close of one context are called by one thread at a time, a thread of the
//  host's choice that
//    may block: telling a story never waits for it. probe may be called by any thread.
//  - Samples are 16-bit signed, native byte order, one channel.
//  - Functions that can fail return 0 when done, DT_SPEECH_CANCELLED when the host's cancelled()
//  told them to give up, else
//    DT_SPEECH_FAILED with one line in reason (what was tried, what was found, what to do; no
//    newline).
//  - Memory of a context comes from the host's allocate().
//
// The structs only ever grow at their end, and `size` tells how much of one there is: a reader
// treats what lies beyond as zero. `abi` changes only if something that exists does.
#ifndef DT_ABI_VOICE_H
#define DT_ABI_VOICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DT_SPEECH_ABI 1u

#define DT_SPEECH_DONE      0
#define DT_SPEECH_FAILED    (-1)
#define DT_SPEECH_CANCELLED (-2)

// ---- what the host does for a module ----

// Where sound goes. The host's, lent for one call.
struct dt_speech_sink {
    uint32_t size;
    uint32_t reserved;
    void *arg; // first argument of play
    // Takes n samples at `rate` a second. Blocks while they cannot be heard yet. Returns
    // DT_SPEECH_DONE, or another value of the above: give up and return it.
    int (*play)(void *arg, uint32_t rate, const int16_t *samples, size_t n);
};

// Bytes that a child finds as a file that is nowhere on a disk. File i of a child is opened as
// DT_SPEECH_FILE_0 with its last digit counted up ("/proc/self/fd/20", "/proc/self/fd/21", ...),
// for reading. Not by /dev/fd, nor /dev/stdin: a small system's /dev may have neither.
#define DT_SPEECH_STDIN  "/proc/self/fd/0"
#define DT_SPEECH_STDOUT "/proc/self/fd/1"
#define DT_SPEECH_FILE_0 "/proc/self/fd/20"
#define DT_SPEECH_FILES  8
struct dt_speech_file {
    const void *bytes;
    size_t length;
};

// How the host reads what a child writes to its standard output.
enum dt_speech_output {
    DT_SPEECH_OUTPUT_TEXT = 0, // collected in text
    DT_SPEECH_OUTPUT_WAV = 1,  // a WAV stream, of any sample format, passed on to sink as it comes
};

// A child process, run to its end.
struct dt_speech_child {
    uint32_t size;
    uint32_t output; // enum dt_speech_output
    const char *const
        *argv; // argv[0]: a program by name, looked for in PATH, or by path; NULL at the end
    const void *input; // what it reads on its standard input, may be NULL
    size_t input_length;
    const struct dt_speech_file *files;
    size_t file_count; // at most DT_SPEECH_FILES
    // It hangs when it has neither read nor written for so long and is killed; 0: the host's idea
    // of it. Time that the sink takes does not count.
    uint32_t hang_milliseconds;
    uint32_t reserved;
    const struct dt_speech_sink *sink; // OUTPUT_WAV
    char *text;                        // OUTPUT_TEXT: NUL-terminated; what does not fit is dropped
    size_t text_size;
};

struct dt_speech_host {
    uint32_t size;
    uint32_t reserved;
    void *host;                                  // first argument of every function here
    void *(*allocate)(void *host, size_t bytes); // zeroed, NULL if refused
    void (*release)(void *host, void *block);    // NULL is harmless
    // One line for the log; level 0 debug, 1 information, 2 warning, 3 error.
    void (*log)(void *host, int level, const char *line);
    // Not 0 once somebody wants silence: return soon, with DT_SPEECH_CANCELLED. run() and play() do
    // so by themselves.
    int (*cancelled)(void *host);
    // 1 and the path if PATH has an executable of this name, else 0. path may be NULL.
    int (*find_program)(void *host, const char *name, char *path, size_t path_size);
    // Runs a child to its end. Its exit with anything but 0, death by a signal, silence for too
    // long, or output that is no WAV are failures with a reason that quotes the last line of its
    // standard error.
    int (*run)(void *host, const struct dt_speech_child *child, char *reason, size_t reason_size);
    uint64_t (*memory_available)(void *host); // bytes that children could take now
};

// ---- voices ----

struct dt_voice_settings {
    uint32_t size;
    uint32_t words_per_minute; // 50 .. 450
    uint32_t pitch;            // 0 .. 100, 50 is the voice as it was made
    uint32_t reserved;
    const char *variant; // which of its voices, "" for its usual one: what users type behind the
                         // colon of "espeak:en-us+f3"
};

struct dt_voice {
    uint32_t size;
    uint32_t reserved;
    // Makes *ctx (may stay NULL). host and the strings of settings outlive it. A wrong variant is
    // refused here if the voice can tell.
    int (*open)(const struct dt_speech_host *host, const struct dt_voice_settings *settings,
                void **ctx, char *reason, size_t reason_size);
    // Says one sentence: UTF-8, one line, free of control characters, at most a few hundred bytes.
    // Plays samples as early as they are there, all with one rate.
    int (*say)(void *ctx, const char *sentence, const struct dt_speech_sink *sink, char *reason,
               size_t reason_size);
    void (*close)(void *ctx); // NULL: nothing to do
};

// ---- ears ----

// What is to be understood.
enum dt_ear_mode {
    DT_EAR_AUTO = 0,    // requests first; anything if that fails and memory allows
    DT_EAR_REQUEST = 1, // requests for a story: a small grammar
    DT_EAR_FREE = 2,    // any text, with as much memory as that takes
};

#define DT_EAR_RATE 16000 // samples a second that hear() gets

struct dt_ear_settings {
    uint32_t size;
    uint32_t mode; // enum dt_ear_mode
};

struct dt_ear {
    uint32_t size;
    uint32_t reserved;
    int (*open)(const struct dt_speech_host *host, const struct dt_ear_settings *settings,
                void **ctx, char *reason, size_t reason_size);
    // Understands n samples of speech: the words as they were heard, small letters, one blank
    // between them, an empty text if there were none. n is at most a minute's worth.
    int (*hear)(void *ctx, const int16_t *samples, size_t n, char *text, size_t text_size,
                char *reason, size_t reason_size);
    void (*close)(void *ctx); // NULL: nothing to do
};

// ---- the module ----

enum dt_speech_kind {
    DT_SPEECH_VOICE = 1,
    DT_SPEECH_EAR = 2,
};

struct dt_speech_module {
    uint32_t abi;  // DT_SPEECH_ABI
    uint32_t size; // sizeof(struct dt_speech_module) where it was built
    uint32_t kind; // enum dt_speech_kind
    uint32_t reserved;
    const char *name;        // "espeak": what users type; [a-z0-9]+
    const char *description; // one line for people
    // 0 and a reason: cannot work here (no engine installed); else a score: the best one is chosen
    // where nobody says which. 1: only if asked for by name.
    int (*probe)(const struct dt_speech_host *host, char *reason, size_t reason_size);
    const struct dt_voice *voice; // the table of its kind; the other is NULL
    const struct dt_ear *ear;
};

// How a module makes itself known. In a static build every module has a name of its own instead.
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
