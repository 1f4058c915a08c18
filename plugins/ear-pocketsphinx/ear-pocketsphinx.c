// SPDX-License-Identifier: MIT
// An ear with PocketSphinx and the English model of Debian's pocketsphinx-en-us. Requests for a
// story are recognised with a grammar and the few hundred pronunciations it needs (16.5 MB); other
// speech with the whole language model (109 MB) if memory allows. The engine is a child process
// that reads sound from its standard input, so that its memory is free again after each request.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/voice.h"
#include "story_gram.h"

#define PROGRAM     "pocketsphinx_continuous"
#define LANGUAGE    "en-us.lm.bin" // missing in the bundle for boards
#define FREE_MEMORY (160ull << 20) // the whole language model, and a reserve for other programs

#define FOLDER_MAX 200

// Where models are installed. The first is an environment variable of pocketsphinx.
static const char *const folders[] = {
    "POCKETSPHINX_PATH",
    "/usr/share/pocketsphinx/model",
    "/usr/local/share/pocketsphinx/model",
};

struct sphinx {
    const struct dt_speech_host *host;
    uint32_t mode;
    char folder[FOLDER_MAX];
    char *dictionary; // pronunciations of the grammar's words
    size_t dictionary_length;
};

static int is_there(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, R_OK) == 0;
}

static int find_folder(char folder[FOLDER_MAX])
{
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const char *models = folders[i][0] == '/' ? folders[i] : getenv(folders[i]);
        int n = models ? snprintf(folder, FOLDER_MAX, "%s/en-us", models) : 0;
        if (n > 0 && n < FOLDER_MAX && is_there(folder, "cmudict-en-us.dict"))
            return 1;
    }
    return 0;
}

static int probe(const struct dt_speech_host *host, char *reason, size_t reason_size)
{
    char folder[FOLDER_MAX];
    if (!host->find_program(host->host, PROGRAM, NULL, 0))
        snprintf(reason, reason_size,
                 "needs " PROGRAM ", which is not installed; install it (Debian: pocketsphinx)");
    else if (!find_folder(folder))
        snprintf(reason, reason_size,
                 "needs an English model in %s/en-us, which is not installed; install it (Debian: "
                 "pocketsphinx-en-us)",
                 folders[1]);
    else
        return 10;
    return 0;
}

// ---- the dictionary of the grammar ----

// A word of the grammar: a pointer into its text. Comments and names of rules are not words.
struct word {
    const char *text;
    size_t length;
};

static int by_text(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

// Fills words with the grammar's words, sorted, at most `most`; returns how many.
static size_t grammar_words(struct word *words, size_t most)
{
    size_t count = 0;
    for (const char *p = story_gram; *p;) {
        if (p[0] == '/' && p[1] == '/') {
            p += strcspn(p, "\n");
        } else if (*p == '<') {
            p += strcspn(p, ">");
        } else if (*p >= 'a' && *p <= 'z') {
            size_t length = strspn(p, "abcdefghijklmnopqrstuvwxyz");
            if (count < most)
                words[count++] = (struct word){p, length};
            p += length;
        } else {
            p++;
        }
    }
    qsort(words, count, sizeof *words, by_text);
    return count;
}

// Copies the lines of the installed dictionary that the grammar needs: "word W ER D"; variants are
// "word(2) W ER D".
static int make_dictionary(struct sphinx *s, char *reason, size_t reason_size)
{
    enum { CAPACITY = 65536, WORDS = 1024 };
    char path[256], line[512];
    struct word words[WORDS];
    size_t count = grammar_words(words, WORDS);
    snprintf(path, sizeof path, "%s/cmudict-en-us.dict", s->folder);
    FILE *file = fopen(path, "re");
    s->dictionary = s->host->allocate(s->host->host, CAPACITY);
    if (!file || !s->dictionary) {
        snprintf(reason, reason_size, "%s: cannot be read; install pocketsphinx-en-us again", path);
        if (file)
            fclose(file);
        return DT_SPEECH_FAILED;
    }
    while (fgets(line, sizeof line, file)) {
        size_t n = strcspn(line, " (");
        size_t length = strlen(line);
        const struct word word = {line, n};
        if (n > 0 && s->dictionary_length + length < CAPACITY &&
            bsearch(&word, words, count, sizeof word, by_text)) {
            memcpy(s->dictionary + s->dictionary_length, line, length);
            s->dictionary_length += length;
        }
    }
    fclose(file);
    return DT_SPEECH_DONE;
}

// ---- preparing sound ----

// Makes sound similar to the recordings that the recogniser's model was trained on, which contain
// some noise and more treble than cheap microphones and synthetic voices: normalises the loudness,
// raises the treble with a first difference, and adds noise at -65 dB, so that no sample run is
// digital silence. Returns *total samples, owned by the caller, or NULL without memory.
static int16_t *prepare(struct sphinx *s, const int16_t *samples, size_t n, size_t *total)
{
    enum { MARGIN = DT_EAR_RATE / 4 }; // samples of silence before and after the speech
    int peak = 1;
    uint32_t random = 1;
    int16_t *out = s->host->allocate(s->host->host, (n + 2 * MARGIN) * sizeof *out);
    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i++)
        peak = abs(samples[i]) > peak ? abs(samples[i]) : peak;
    double gain = 16000.0 / peak;
    gain = gain > 30 ? 30 : gain; // softer sound is only noise
    for (size_t i = 0; i < n + 2 * MARGIN; i++) {
        int now = i >= MARGIN && i < MARGIN + n ? samples[i - MARGIN] : 0;
        int before = i > MARGIN && i <= MARGIN + n ? samples[i - MARGIN - 1] : 0;
        int noise = 0; // the sum of four is nearly normal, of standard deviation 5
        for (int k = 0; k < 4; k++) {
            random = random * 1664525u + 1013904223u;
            noise += (int)(random >> 16) % 9 - 4;
        }
        double y = gain * (now - 0.5 * before) + noise;
        out[i] = (int16_t)(y > 32767 ? 32767 : y < -32768 ? -32768 : y);
    }
    *total = n + 2 * MARGIN;
    return out;
}

// ---- recognising ----

static int open_ear(const struct dt_speech_host *host, const struct dt_ear_settings *settings,
                    void **ctx, char *reason, size_t reason_size)
{
    struct sphinx *s = host->allocate(host->host, sizeof *s);
    if (!s) {
        snprintf(reason, reason_size, "no memory for the ear (%zu bytes); close other programs",
                 sizeof *s);
        return DT_SPEECH_FAILED;
    }
    s->host = host;
    s->mode = settings->mode;
    int result = DT_SPEECH_DONE;
    find_folder(s->folder); // the probe succeeded, so it exists
    if (s->mode != DT_EAR_FREE) {
        result = make_dictionary(s, reason, reason_size);
    } else if (!is_there(s->folder, LANGUAGE)) {
        snprintf(reason, reason_size,
                 "any English needs the language model %s/" LANGUAGE
                 ", which is not installed; use --ear pocketsphinx:request",
                 s->folder);
        result = DT_SPEECH_FAILED;
    }
    if (result != DT_SPEECH_DONE) {
        host->release(host->host, s->dictionary);
        host->release(host->host, s);
        return result;
    }
    *ctx = s;
    return DT_SPEECH_DONE;
}

// Joins the engine's lines, one for each part of speech between pauses, with single spaces.
static void join_lines(char *text)
{
    char *out = text;
    for (char *p = text; *p; p++) {
        if (*p == '\n' || *p == ' ' || *p == '\r') {
            if (out > text && out[-1] != ' ')
                *out++ = ' ';
        } else {
            *out++ = *p;
        }
    }
    if (out > text && out[-1] == ' ')
        out--;
    *out = '\0';
}

static int listen(struct sphinx *s, int free_speech, const int16_t *samples, size_t n, char *text,
                  size_t text_size, char *reason, size_t reason_size)
{
    char model[256], words[256], language[256];
    const struct dt_speech_file files[] = {
        {s->dictionary, s->dictionary_length},
        {story_gram, sizeof story_gram - 1},
    };
    snprintf(model, sizeof model, "%s/en-us", s->folder);
    snprintf(words, sizeof words, "%s/cmudict-en-us.dict", s->folder);
    snprintf(language, sizeof language, "%s/" LANGUAGE, s->folder);
    const char *argv[] = {
        PROGRAM,
        "-infile",
        DT_SPEECH_STDIN,
        "-logfn",
        "/dev/null",
        "-hmm",
        model,
        "-dict",
        free_speech ? words : DT_SPEECH_FILE_0,
        free_speech ? "-lm" : "-jsgf",
        free_speech ? language : "/proc/self/fd/21",
        // Without the noise filter, which makes clean speech worse; pauses within a request do not
        // end it; a higher weight of the grammar and a wider search than by default.
        "-remove_noise",
        "no",
        "-vad_postspeech",
        "120",
        "-lw",
        free_speech ? "6.5" : "12",
        "-beam",
        "1e-90",
        "-pbeam",
        "1e-90",
        "-wbeam",
        "1e-70",
        NULL,
    };
    struct dt_speech_child child = {
        .size = sizeof child,
        .output = DT_SPEECH_OUTPUT_TEXT,
        .argv = argv,
        .input = samples,
        .input_length = n * sizeof *samples,
        .files = files,
        .file_count = free_speech ? 0 : 2,
        .hang_milliseconds = 60000, // a board needs longer than the speech lasts
        .text = text,
        .text_size = text_size,
    };
    int result = s->host->run(s->host->host, &child, reason, reason_size);
    if (result == DT_SPEECH_DONE)
        join_lines(text);
    return result;
}

static int hear(void *ctx, const int16_t *samples, size_t n, char *text, size_t text_size,
                char *reason, size_t reason_size)
{
    struct sphinx *s = ctx;
    int result = DT_SPEECH_DONE;
    size_t total = 0;
    int16_t *prepared = prepare(s, samples, n, &total);
    text[0] = '\0';
    if (!prepared) {
        snprintf(reason, reason_size, "no memory for %zu samples of sound; use a shorter recording",
                 n);
        return DT_SPEECH_FAILED;
    }
    if (s->mode != DT_EAR_FREE)
        result = listen(s, 0, prepared, total, text, text_size, reason, reason_size);
    if (result == DT_SPEECH_DONE && !text[0] &&
        (s->mode == DT_EAR_FREE || (s->mode == DT_EAR_AUTO && is_there(s->folder, LANGUAGE) &&
                                    s->host->memory_available(s->host->host) > FREE_MEMORY)))
        result = listen(s, 1, prepared, total, text, text_size, reason, reason_size);
    s->host->release(s->host->host, prepared);
    return result;
}

static void close_ear(void *ctx)
{
    struct sphinx *s = ctx;
    s->host->release(s->host->host, s->dictionary);
    s->host->release(s->host->host, s);
}

static const struct dt_ear ear = {
    .size = sizeof ear,
    .open = open_ear,
    .hear = hear,
    .close = close_ear,
};

DT_SPEECH_EXPORT(ear_pocketsphinx) = {
    .abi = DT_SPEECH_ABI,
    .size = sizeof(struct dt_speech_module),
    .kind = DT_SPEECH_EAR,
    .name = "pocketsphinx",
    .description = "PocketSphinx: requests for a story by a small grammar, or any English",
    .probe = probe,
    .ear = &ear,
};
