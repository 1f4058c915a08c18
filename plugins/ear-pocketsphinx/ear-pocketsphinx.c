// SPDX-License-Identifier: MIT
// PocketSphinx, with the English model of Debian's pocketsphinx-en-us. A request for a story is understood with a grammar and the few
// hundred pronunciations it needs (16.5 MB); anything else with the whole language model (109 MB), where memory allows.
// The engine runs as a child process that reads sound on its standard input, so the memory is gone when the words are there.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/voice.h"
#include "story_gram.h"

#define PROGRAM "pocketsphinx_continuous"
#define FREE_MEMORY (160ull << 20) // the whole model and as much again for the rest of the machine

static const char *const folders[] = {
    "/usr/share/pocketsphinx/model/en-us",
    "/usr/local/share/pocketsphinx/model/en-us",
};

struct sphinx {
    const struct dt_speech_host *host;
    uint32_t mode;
    const char *folder;
    char *dictionary; // of the grammar's words
    size_t dictionary_length;
};

static const char *find_folder(void)
{
    char path[256];
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(path, sizeof path, "%s/cmudict-en-us.dict", folders[i]);
        if (access(path, R_OK) == 0)
            return folders[i];
    }
    return NULL;
}

static int probe(const struct dt_speech_host *host, char *reason, size_t reason_size)
{
    if (!host->find_program(host->host, PROGRAM, NULL, 0))
        snprintf(reason, reason_size, "needs the program " PROGRAM ", which is not installed (Debian: pocketsphinx)");
    else if (!find_folder())
        snprintf(reason, reason_size, "needs an English model at %s, which is not installed (Debian: pocketsphinx-en-us)", folders[0]);
    else
        return 10;
    return 0;
}

// ---- the dictionary of the grammar -----------------------------------------------------------------------

// Whether the grammar has this word outside its comments and rule names.
static int grammar_has(const char *word, size_t n)
{
    for (const char *p = story_gram; *p;) {
        if (p[0] == '/' && p[1] == '/') {
            p += strcspn(p, "\n");
        } else if (*p == '<') {
            p += strcspn(p, ">");
        } else if (*p >= 'a' && *p <= 'z') {
            size_t length = strspn(p, "abcdefghijklmnopqrstuvwxyz");
            if (length == n && memcmp(p, word, n) == 0)
                return 1;
            p += length;
        } else {
            p++;
        }
    }
    return 0;
}

// Copies the lines of the installed dictionary that the grammar needs: "word W ER D", variants as "word(2) W ER D".
static int make_dictionary(struct sphinx *s, char *reason, size_t reason_size)
{
    enum { ROOM = 65536 };
    char path[256], line[512];
    snprintf(path, sizeof path, "%s/cmudict-en-us.dict", s->folder);
    FILE *file = fopen(path, "re");
    s->dictionary = s->host->allocate(s->host->host, ROOM);
    if (!file || !s->dictionary) {
        snprintf(reason, reason_size, "cannot read the pronunciations in %s", path);
        if (file)
            fclose(file);
        return DT_SPEECH_FAILED;
    }
    while (fgets(line, sizeof line, file)) {
        size_t n = strcspn(line, " (");
        size_t length = strlen(line);
        if (n > 0 && n < 24 && s->dictionary_length + length < ROOM && grammar_has(line, n)) {
            memcpy(s->dictionary + s->dictionary_length, line, length);
            s->dictionary_length += length;
        }
    }
    fclose(file);
    return DT_SPEECH_DONE;
}

// ---- understanding --------------------------------------------------------------------------------------

static int open_ear(const struct dt_speech_host *host, const struct dt_ear_settings *settings, void **ctx, char *reason,
                    size_t reason_size)
{
    struct sphinx *s = host->allocate(host->host, sizeof *s);
    if (!s) {
        snprintf(reason, reason_size, "no memory for an ear");
        return DT_SPEECH_FAILED;
    }
    s->host = host;
    s->mode = settings->mode;
    s->folder = find_folder();
    int result = s->mode == DT_EAR_FREE ? DT_SPEECH_DONE : make_dictionary(s, reason, reason_size);
    if (result != DT_SPEECH_DONE) {
        host->release(host->host, s->dictionary);
        host->release(host->host, s);
        return result;
    }
    *ctx = s;
    return DT_SPEECH_DONE;
}

// The engine prints one line for each stretch of speech between pauses: make them one line, blanks folded.
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

static int listen(struct sphinx *s, int free_speech, const int16_t *samples, size_t n, char *text, size_t text_size,
                  char *reason, size_t reason_size)
{
    char model[256], words[256], language[256];
    const struct dt_speech_file files[] = {
        {s->dictionary, s->dictionary_length},
        {story_gram, sizeof story_gram - 1},
    };
    snprintf(model, sizeof model, "%s/en-us", s->folder);
    snprintf(words, sizeof words, "%s/cmudict-en-us.dict", s->folder);
    snprintf(language, sizeof language, "%s/en-us.lm.bin", s->folder);
    const char *argv[] = {
        PROGRAM,   "-infile", "/dev/stdin",    "-logfn",
        "/dev/null", "-hmm",    model,           "-dict",
        free_speech ? words : DT_SPEECH_FILE_0, free_speech ? "-lm" : "-jsgf",
        free_speech ? language : "/dev/fd/21",
        // Its noise filter takes more from clean speech than it gives; a pause within a request must not end it.
        "-remove_noise", "no", "-vad_postspeech", "120", NULL,
    };
    struct dt_speech_child child = {
        .size = sizeof child,
        .output = DT_SPEECH_OUTPUT_TEXT,
        .argv = argv,
        .input = samples,
        .input_length = n * sizeof *samples,
        .files = files,
        .file_count = free_speech ? 0 : 2,
        .hang_milliseconds = 60000, // a board thinks longer about a sentence than it takes to say
        .text = text,
        .text_size = text_size,
    };
    int result = s->host->run(s->host->host, &child, reason, reason_size);
    if (result == DT_SPEECH_DONE)
        join_lines(text);
    return result;
}

static int hear(void *ctx, const int16_t *samples, size_t n, char *text, size_t text_size, char *reason, size_t reason_size)
{
    struct sphinx *s = ctx;
    int result = DT_SPEECH_DONE;
    text[0] = '\0';
    if (s->mode != DT_EAR_FREE)
        result = listen(s, 0, samples, n, text, text_size, reason, reason_size);
    if (result == DT_SPEECH_DONE && !text[0] &&
        (s->mode == DT_EAR_FREE || (s->mode == DT_EAR_AUTO && s->host->memory_available(s->host->host) > FREE_MEMORY)))
        result = listen(s, 1, samples, n, text, text_size, reason, reason_size);
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
