// SPDX-License-Identifier: MIT
// <duotale/voice.h> of ABI 1, frozen, without its comments. Never edited: modules built with it
// exist.
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

struct dt_speech_sink {
    uint32_t size;
    uint32_t reserved;
    void *arg;

    int (*play)(void *arg, uint32_t rate, const int16_t *samples, size_t n);
};

#define DT_SPEECH_STDIN  "/proc/self/fd/0"
#define DT_SPEECH_STDOUT "/proc/self/fd/1"
#define DT_SPEECH_FILE_0 "/proc/self/fd/20"
#define DT_SPEECH_FILES  8
struct dt_speech_file {
    const void *bytes;
    size_t length;
};

enum dt_speech_output {
    DT_SPEECH_OUTPUT_TEXT = 0,
    DT_SPEECH_OUTPUT_WAV = 1,
};

struct dt_speech_child {
    uint32_t size;
    uint32_t output;
    const char *const *argv;
    const void *input;
    size_t input_length;
    const struct dt_speech_file *files;
    size_t file_count;

    uint32_t hang_milliseconds;
    uint32_t reserved;
    const struct dt_speech_sink *sink;
    char *text;
    size_t text_size;
};

struct dt_speech_host {
    uint32_t size;
    uint32_t reserved;
    void *host;
    void *(*allocate)(void *host, size_t bytes);
    void (*release)(void *host, void *block);

    void (*log)(void *host, int level, const char *line);

    int (*cancelled)(void *host);

    int (*find_program)(void *host, const char *name, char *path, size_t path_size);

    int (*run)(void *host, const struct dt_speech_child *child, char *reason, size_t reason_size);
    uint64_t (*memory_available)(void *host);
};

struct dt_voice_settings {
    uint32_t size;
    uint32_t words_per_minute;
    uint32_t pitch;
    uint32_t reserved;
    const char *variant;
};

struct dt_voice {
    uint32_t size;
    uint32_t reserved;

    int (*open)(const struct dt_speech_host *host, const struct dt_voice_settings *settings,
                void **ctx, char *reason, size_t reason_size);

    int (*say)(void *ctx, const char *sentence, const struct dt_speech_sink *sink, char *reason,
               size_t reason_size);
    void (*close)(void *ctx);
};

enum dt_ear_mode {
    DT_EAR_AUTO = 0,
    DT_EAR_REQUEST = 1,
    DT_EAR_FREE = 2,
};

#define DT_EAR_RATE 16000

struct dt_ear_settings {
    uint32_t size;
    uint32_t mode;
};

struct dt_ear {
    uint32_t size;
    uint32_t reserved;
    int (*open)(const struct dt_speech_host *host, const struct dt_ear_settings *settings,
                void **ctx, char *reason, size_t reason_size);

    int (*hear)(void *ctx, const int16_t *samples, size_t n, char *text, size_t text_size,
                char *reason, size_t reason_size);
    void (*close)(void *ctx);
};

enum dt_speech_kind {
    DT_SPEECH_VOICE = 1,
    DT_SPEECH_EAR = 2,
};

struct dt_speech_module {
    uint32_t abi;
    uint32_t size;
    uint32_t kind;
    uint32_t reserved;
    const char *name;
    const char *description;

    int (*probe)(const struct dt_speech_host *host, char *reason, size_t reason_size);
    const struct dt_voice *voice;
    const struct dt_ear *ear;
};

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
