// SPDX-License-Identifier: MIT
// Replaces the program behind a front end: the same table of functions, a fixed story, figures that
// depend only on the number of tokens. So a screen depends on the front end alone, and is the same
// on every machine.
//
//   fake-app MODULE.so [rate=60] [hold=N] [story=plain|wide|long] [SETTING=VALUE ...]
//
// A turn pauses after `hold` tokens until "/go N" adds N more (0: all), so that a screen can be
// compared in mid-story.
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "app/api.h"
#include "app/charset.h"

#define TURNS 200u
#define QUEUE 64u

static const char story_plain[] = " there was a little red ball. It lived in a box under the "
                                  "stairs, with a wooden horse and a drum that had lost its voice. "
                                  "Every night the ball dreamed of the garden. \"I want to roll "
                                  "down the hill,\" it said.\n\nOne day a girl named Lily opened "
                                  "the box. She was looking for her shoes, but she found the ball. "
                                  "\"You are so round!\" she said, and she took it outside. The "
                                  "sun was bright. The grass was wet. The ball rolled and rolled, "
                                  "past the dog, past the apple tree, down to the pond.\n\nA "
                                  "duck looked at it. \"Are you an egg?\" asked the duck. \"No,\" "
                                  "said the ball, \"I am a ball, and I am happy.\" The duck "
                                  "thought about that for a long time. Then it pushed the ball "
                                  "with its beak, and the ball floated like a small red boat.\n\n"
                                  "Lily came running. She laughed, and the duck laughed, and from "
                                  "that day on the three of them were friends. The end.";
static const char story_wide[] =
    " there was a caf\xc3\xa9 by the sea. "
    "\xe5\xb0\x8f\xe3\x81\x95\xe3\x81\xaa\xe8\xb5\xa4\xe3\x81\x84\xe3\x83\x9c\xe3\x83\xbc"
    "\xe3\x83\xab\xe3\x81\x8c\xe3\x81\x82\xe3\x82\x8a\xe3\x81\xbe\xe3\x81\x97\xe3\x81\x9f\xe3\x80"
    "\x82 "
    "The girl's name was Zoe\xcc\x88, the cat's was Rene\xcc\x81. \xe2\x80\x9cLook!\xe2\x80\x9d "
    "said Zoe\xcc\x88 \xe2\x80\x94 "
    "a star \xf0\x9f\x8c\x9f and a ball \xe2\x9a\xbd\xe2\x80\xa6 "
    "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 "
    "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab \xf0\x9f\xab\xa8 end.\tA tab, and "
    "averyveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongword"
    ".";

struct turn {
    char prompt[512];
    char *text;
    size_t length;
    bool finished;
};

static struct fake {
    struct dt_settings settings;
    char module[512];
    double rate;
    long hold; // tokens until the turn pauses; -1: it does not
    const char *kind;
    int timer;
    enum dt_app_state state;
    struct turn turn[TURNS];
    size_t turns;
    const char *source; // the story of this turn
    size_t at;          // byte of the next token
    uint64_t next_token;
    struct dt_app_figures figures;
    struct dt_app_voice voice;
    struct dt_app_story story;
    // events not fetched yet
    struct dt_app_event queue[QUEUE];
    char text[QUEUE][4096];
    unsigned head, count;
    char piece[256];
    const struct dt_command *own;
    size_t own_count;
    struct dt_command commands[40];
    bool leaving;
    struct dt_app_backend backends[5];
    struct dt_app_compare compare;
    bool compared;
    bool models_looked;
    char history[64][512];
    size_t history_count;
    char words[128];
    char answer_to[64];
} fake;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool may_generate(void)
{
    return fake.state == DT_APP_GENERATING && fake.hold != 0;
}

// Makes the descriptor readable when there is an event or a token.
static void arm(void)
{
    struct itimerspec when = {0};
    if (fake.count > 0)
        when.it_value.tv_nsec = 1;
    else if (may_generate()) {
        uint64_t t = now(), wait = fake.next_token > t ? fake.next_token - t : 1;
        when.it_value.tv_sec = (time_t)(wait / 1000000000u);
        when.it_value.tv_nsec = (long)(wait % 1000000000u);
    }
    timerfd_settime(fake.timer, 0, &when, NULL);
}

static struct dt_app_event *post(enum dt_app_event_type type, const char *text)
{
    unsigned slot = (fake.head + fake.count) % QUEUE;
    if (fake.count == QUEUE) {
        fprintf(stderr, "fake-app: too many events\n");
        abort();
    }
    fake.count++;
    snprintf(fake.text[slot], sizeof fake.text[slot], "%s", text);
    fake.queue[slot] = (struct dt_app_event){
        .type = type, .text = fake.text[slot], .length = strlen(fake.text[slot])};
    arm();
    return &fake.queue[slot];
}

static void post_state(enum dt_app_state state)
{
    post(DT_EVENT_STATE, "")->state = state;
}

static void post_notice(enum dt_app_level level, const char *text)
{
    post(DT_EVENT_NOTICE, text)->level = level;
}

// Figures from the number of tokens, of the size that a board has.
static void count_figures(void)
{
    static const double speeds[] = {58.2, 60.9, 61.4, 60.1, 59.7, 61.8, 62.3, 60.5};
    struct dt_app_figures *f = &fake.figures;
    f->context_used = 12 + f->tokens;
    f->context_total = 512;
    f->speed_now = f->tokens ? speeds[f->tokens / 15 % 8] : 0;
    f->speed_mean = f->tokens ? 60.4 : 0;
    f->seconds = f->tokens / 60.0;
    f->prompt_speed = 120;
    f->first_token_ms = 48.2;
    f->memory.rss = 9u << 20;
    f->memory.anonymous = 4404019;
    f->memory.available = 28u << 20;
    f->major_faults_s = f->tokens % 60 < 30 ? 0 : 3;
    f->own_memory = 3u << 20;
    f->threads = 1;
}

// ---- generation ----

static void begin(const char *prompt, size_t n)
{
    if (fake.turns == TURNS)
        return;
    struct turn *turn = &fake.turn[fake.turns];
    snprintf(turn->prompt, sizeof turn->prompt, "%.*s", (int)n, prompt);
    turn->finished = false;
    turn->length = 0;
    free(turn->text);
    turn->text = calloc(1, 65536);
    fake.turns++;
    fake.source = strcmp(fake.kind, "wide") == 0 ? story_wide : story_plain;
    fake.at = dt_settings_is(&fake.settings, DT_SET_MODE, "chat") ? 1 : 0;
    fake.figures.tokens = 0;
    fake.figures.seed = 42 + fake.turns;
    const char *hold = getenv("FAKE_HOLD");
    fake.hold = hold ? atol(hold) : -1;
    fake.next_token = now();
    post_state(DT_APP_READING);
    post(DT_EVENT_TURN, turn->prompt)->turn = (uint32_t)(fake.turns - 1);
    post_state(DT_APP_GENERATING);
}

static void end(enum dt_app_turn_end how)
{
    fake.turn[fake.turns - 1].finished = true;
    count_figures();
    struct dt_app_event *e = post(DT_EVENT_TURN_END, "");
    e->turn = (uint32_t)(fake.turns - 1);
    e->end = how;
    post_state(DT_APP_SAVING);
    post_state(DT_APP_IDLE);
}

// One token: a word with the space before it, or a newline.
static bool generate(struct dt_app_event *out)
{
    uint64_t t = now();
    if (!may_generate() || t < fake.next_token)
        return false;
    struct turn *turn = &fake.turn[fake.turns - 1];
    size_t n = 0;
    const char *from = fake.source + fake.at;
    if (from[n] == ' ' || from[n] == '\n')
        n++;
    while (from[n] && from[n] != ' ' && from[n] != '\n')
        n++;
    memcpy(fake.piece, from, n);
    fake.piece[n] = 0;
    memcpy(turn->text + turn->length, from, n);
    turn->length += n;
    fake.at += n;
    fake.figures.tokens++;
    fake.hold -= fake.hold > 0;
    fake.next_token += (uint64_t)(1e9 / fake.rate);
    *out = (struct dt_app_event){
        .type = DT_EVENT_TEXT, .text = fake.piece, .length = n, .turn = (uint32_t)(fake.turns - 1)};
    if (!fake.source[fake.at]) {
        if (strcmp(fake.kind, "long") == 0 && turn->length < 60000)
            fake.at = 0;
        else
            end(DT_END_STORY);
    } else if (fake.figures.tokens % 15 == 0) {
        count_figures();
        post(DT_EVENT_FIGURES, "");
    }
    return true;
}

// ---- the table ----

static int api_fd(struct dt_app *app)
{
    (void)app;
    return fake.timer;
}

static bool api_next(struct dt_app *app, struct dt_app_event *out)
{
    (void)app;
    if (fake.count > 0) {
        *out = fake.queue[fake.head];
        fake.head = (fake.head + 1) % QUEUE;
        fake.count--;
        if (out->type == DT_EVENT_STATE)
            fake.state = out->state;
        return true;
    }
    if (generate(out))
        return true;
    arm();
    return false;
}

static bool api_leaving(struct dt_app *app)
{
    (void)app;
    return fake.leaving;
}

static void fill_backends(void)
{
    const char *stack = fake.figures.stack;
    const struct dt_app_backend all[] = {
        {"int8@avx2", "8-bit integers, rows in panels", "/lib/duotale/int8-avx2.so", 40, NULL,
         false},
        {"int8", "8-bit integers, plain C", "/lib/duotale/int8.so", 20, NULL, false},
        {"fastexp", "a quicker exponential, error below 2 ulp", "/lib/duotale/fastexp.so", 10, NULL,
         false},
        {"rvv07", "T-Head vectors", "/lib/duotale/rvv07.so", 0, "needs a RISC-V CPU", false},
        {"reference", "llama2.c's order of sums, bit for bit", "compiled in", 1, NULL, false},
    };
    memcpy(fake.backends, all, sizeof all);
    for (size_t i = 0; i < 5; i++)
        fake.backends[i].in_use = strcmp(fake.backends[i].name, stack) == 0;
}

static void progress(const char *what, uint64_t done, uint64_t total, double left)
{
    struct dt_app_event *e = post(DT_EVENT_PROGRESS, what);
    e->done = done;
    e->total = total;
    e->seconds_left = left;
}

static void swap(const char *stack)
{
    enum dt_app_state before = fake.state;
    char line[200];
    if (strcmp(stack, "rvv07") == 0) {
        post_notice(DT_NOTICE_ERROR, "rvv07 cannot run here: it needs a RISC-V CPU. The backend "
                                     "was not changed.");
        return;
    }
    post_state(DT_APP_SWAPPING);
    snprintf(fake.figures.stack, sizeof fake.figures.stack, "%.100s", stack);
    fill_backends();
    post(DT_EVENT_MODEL, "");
    post(DT_EVENT_BACKENDS, "");
    snprintf(line, sizeof line, "%.100s is in use.", stack);
    post_notice(DT_NOTICE_INFO, line);
    post_state(before);
}

static void compare(void)
{
    fake.compare = (struct dt_app_compare){
        .side = {{.stack = "int8@avx2",
                  .text = " there was a little red ball. It was very round.",
                  .text_length = 48,
                  .tokens = 64,
                  .speed = 61.2,
                  .finished = true},
                 {.stack = "reference",
                  .text = " there was a little red ball. It liked the sun.",
                  .text_length = 47,
                  .tokens = 64,
                  .speed = 7.9,
                  .finished = true}},
        .prompt = "Once upon a time",
        .differ = true,
        .first_difference = 33,
        .first_token = 8,
        .finished = true,
    };
    fake.compared = true;
    post_state(DT_APP_COMPARING);
    post(DT_EVENT_COMPARE, "");
    post_state(DT_APP_IDLE);
}

static void many_turns(void)
{
    fake.turns = 0;
    for (int i = 0; i < 60; i++) {
        struct turn *turn = &fake.turn[fake.turns++];
        free(turn->text);
        turn->text = calloc(1, 512);
        snprintf(turn->prompt, sizeof turn->prompt, i ? " Then came day %d." : "This is day %d.",
                 i + 1);
        snprintf(turn->text, 512,
                 " The ball rolled down hill number %d, and the duck counted to %d.\n", i + 1,
                 (i + 1) * 3);
        turn->length = strlen(turn->text);
        turn->finished = true;
    }
    fake.story.id = 12;
    post(DT_EVENT_REDRAW, "Story 12: The Red Ball")->turn = 0;
}

// "3": so many sentences wait to be read; "off": none is read.
static void speak(const char *argument)
{
    fake.voice = (struct dt_app_voice){.name = "espeak",
                                       .speaking = strcmp(argument, "off") != 0,
                                       .waiting = (uint32_t)atoi(argument),
                                       .real_time_factor = 0.0043};
    post(DT_EVENT_VOICE, "");
}

// Begins a recording, or ends it; "off" discards it.
static void listen(const char *argument)
{
    fake.voice.listening = !fake.voice.listening;
    post(DT_EVENT_VOICE, "");
    if (fake.voice.listening) {
        post_notice(DT_NOTICE_INFO, "Listening: ask for a story. A pause or /listen ends it.");
    } else if (strcmp(argument, "off") == 0) {
        post_notice(DT_NOTICE_INFO, "Listening ended.");
    } else {
        post_notice(DT_NOTICE_INFO, "pocketsphinx: 1.9 s of sound recognised in 0.31 s. Press "
                                    "Enter to use the text.");
        post(DT_EVENT_INPUT, "Tell me a story about a dragon.");
    }
}

static bool command(const char *line)
{
    const char *rest = strchr(line, ' ');
    size_t n = rest ? (size_t)(rest - line) : strlen(line);
    rest = rest ? rest + 1 : "";
    for (size_t i = 0; i < fake.own_count; i++) {
        if (strlen(fake.own[i].name) == n && strncmp(fake.own[i].name, line, n) == 0) {
            post(DT_EVENT_COMMAND, rest)->command = &fake.own[i];
            return true;
        }
    }
#define IS(name) (n == sizeof name - 1 && strncmp(line, name, n) == 0)
    if (IS("go")) {
        fake.hold = atol(rest) ? atol(rest) : -1;
        fake.next_token = now();
        arm();
    } else if (IS("quit")) {
        post(DT_EVENT_QUIT, "");
    } else if (IS("backend")) {
        swap(rest);
    } else if (IS("compare")) {
        compare();
    } else if (IS("model")) {
        post_state(DT_APP_LOADING);
        progress("opening stories15M-q80.bin", 40, 100, 1.25);
    } else if (IS("loaded")) {
        progress("opening stories15M-q80.bin", 100, 100, 0);
        snprintf(fake.figures.model, sizeof fake.figures.model, "stories15M-q80.bin");
        post(DT_EVENT_MODEL, "");
        post_state(DT_APP_IDLE);
    } else if (IS("fail")) {
        post_notice(DT_NOTICE_ERROR, "model.bin: not a model: dim is 0, and the file has 12 bytes; "
                                     "/model lists the models.");
    } else if (IS("size")) {
        struct dt_error err = {0};
        if (dt_settings_set(&fake.settings, DT_SET_SIZE, rest, DT_FROM_USER, &err) == DT_OK)
            post(DT_EVENT_SETTING, "")->setting = DT_SET_SIZE;
    } else if (IS("speak")) {
        speak(rest);
    } else if (IS("listen")) {
        listen(rest);
    } else if (IS("memory")) {
        post(DT_EVENT_OUTPUT,
             "model file, mapped        16.12 MB\nKV cache                   3.54 MB\nscratch, "
             "logits            0.31 MB\n"
             "vocabulary, tables         0.95 MB\ntotal, without the file    4.80 MB\n");
    } else if (IS("delete")) {
        char text[400];
        snprintf(text, sizeof text, "Delete \"%s\" for good?", *rest ? rest : "The Red Ball");
        post(DT_EVENT_ASK, text)->id = 7;
    } else if (IS("open")) {
        many_turns();
    } else if (IS("undo")) {
        if (fake.turns > 0) {
            fake.turns--;
            post(DT_EVENT_REDRAW, "undone")->turn = (uint32_t)fake.turns;
            post(DT_EVENT_INPUT, fake.turn[fake.turns].prompt);
        }
    } else if (IS("edit")) {
        post(DT_EVENT_EDIT, fake.turns ? fake.turn[fake.turns - 1].text : "");
    } else if (IS("crash")) {
        raise(SIGSEGV);
    } else {
        char text[200];
        snprintf(text, sizeof text, "Unknown command /%.*s. /help lists the commands.", (int)n,
                 line);
        post_notice(DT_NOTICE_ERROR, text);
        return false;
    }
    return true;
}

static bool api_input(struct dt_app *app, const char *text, size_t n)
{
    (void)app;
    char line[2048];
    snprintf(line, sizeof line, "%.*s", (int)n, text);
    if (line[0] == '/' && line[1] != '/')
        return command(line + 1);
    if (!n)
        return true;
    if (fake.state != DT_APP_IDLE) {
        post_notice(DT_NOTICE_WARNING, "A prompt is already waiting.");
        return false;
    }
    begin(text, n);
    return true;
}

static bool api_edit(struct dt_app *app, const char *text, size_t n)
{
    (void)app;
    struct turn *turn = &fake.turn[fake.turns - 1];
    memcpy(turn->text, text, n + 1);
    turn->length = n;
    post(DT_EVENT_REDRAW, "edited")->turn = (uint32_t)(fake.turns - 1);
    return true;
}

static void api_answer(struct dt_app *app, uint32_t id, bool yes)
{
    (void)app;
    char text[64];
    snprintf(text, sizeof text, "Question %u: %s.", id, yes ? "yes" : "no");
    post_notice(DT_NOTICE_INFO, text);
}

static void api_stop(struct dt_app *app)
{
    (void)app;
    if (fake.voice.speaking) {
        fake.voice.speaking = false;
        post(DT_EVENT_VOICE, "");
    }
    if (fake.state == DT_APP_GENERATING)
        end(DT_END_STOPPED);
    else if (fake.state == DT_APP_LOADING) {
        progress("", 1, 1, 0);
        post_notice(DT_NOTICE_INFO, "Stopped.");
        post_state(DT_APP_IDLE);
    }
}

static void api_notice(struct dt_app *app, enum dt_app_level level, const char *line)
{
    (void)app;
    post_notice(level, line);
}

static enum dt_app_state api_state(struct dt_app *app)
{
    (void)app;
    return fake.state;
}

static const struct dt_app_figures *api_figures(struct dt_app *app)
{
    (void)app;
    return &fake.figures;
}

static const struct dt_app_voice *api_voice(struct dt_app *app)
{
    (void)app;
    return &fake.voice;
}

static const struct dt_app_story *api_story(struct dt_app *app)
{
    (void)app;
    fake.story.turns = fake.turns;
    fake.story.title = "The Red Ball";
    fake.story.premise = "";
    fake.story.saved = true;
    fake.story.chat = dt_settings_is(&fake.settings, DT_SET_MODE, "chat");
    return &fake.story;
}

static bool api_turn(struct dt_app *app, size_t i, struct dt_app_turn *out)
{
    (void)app;
    if (i >= fake.turns)
        return false;
    const struct turn *turn = &fake.turn[i];
    *out = (struct dt_app_turn){.prompt = turn->prompt,
                                .prompt_length = strlen(turn->prompt),
                                .text = turn->text,
                                .text_length = turn->length,
                                .finished = turn->finished};
    return true;
}

static const struct dt_setting *api_settings(struct dt_app *app, size_t *count)
{
    (void)app;
    *count = DT_SET_COUNT;
    return dt_settings_table();
}

static const char *api_get(struct dt_app *app, int id)
{
    (void)app;
    return dt_settings_text(&fake.settings, id);
}

static dt_status api_set(struct dt_app *app, int id, const char *value, struct dt_error *err)
{
    (void)app;
    dt_status status = dt_settings_set(&fake.settings, id, value, DT_FROM_USER, err);
    if (status == DT_OK)
        post(DT_EVENT_SETTING, "")->setting = id;
    return status;
}

static dt_status api_step(struct dt_app *app, int id, int steps, struct dt_error *err)
{
    char value[DT_SETTING_TEXT_MAX];
    if (!dt_settings_step(&fake.settings, id, steps, value, sizeof value))
        return DT_OK;
    return api_set(app, id, value, err);
}

static const struct dt_command fake_commands[] = {
    {"quit", "", "Leaves; the story is saved.", DT_COMPLETE_NONE, 0},
    {"backend", "[stack]", "Switches to another stack, also in mid-story.", DT_COMPLETE_BACKEND, 0},
    {"compare", "stack stack", "Generates the same greedy story with both.", DT_COMPLETE_BACKEND,
     0},
    {"open", "[n]", "Opens story n of the library.", DT_COMPLETE_STORY, 0},
    {"undo", "", "Removes the last turn.", DT_COMPLETE_NONE, 0},
};
#define FAKE_COMMANDS (sizeof fake_commands / sizeof *fake_commands)

static const struct dt_command *api_commands(struct dt_app *app, size_t *count)
{
    (void)app;
    memcpy(fake.commands, fake_commands, sizeof fake_commands);
    memcpy(fake.commands + FAKE_COMMANDS, fake.own, fake.own_count * sizeof *fake.own);
    *count = FAKE_COMMANDS + fake.own_count;
    return fake.commands;
}

static void api_own_commands(struct dt_app *app, const struct dt_command *table, size_t count)
{
    (void)app;
    fake.own = table;
    fake.own_count = count;
}

static const struct dt_app_completion *api_complete(struct dt_app *app, const char *line,
                                                    size_t cursor)
{
    static const char *words[FAKE_COMMANDS];
    static struct dt_app_completion c;
    (void)app;
    c = (struct dt_app_completion){.from = 1, .words = words, .suffix = ' '};
    for (size_t i = 0; i < FAKE_COMMANDS; i++) {
        if (cursor > 0 && line[0] == '/' &&
            strncmp(fake_commands[i].name, line + 1, cursor - 1) == 0)
            words[c.count++] = fake_commands[i].name;
    }
    return &c;
}

static size_t api_history_count(struct dt_app *app)
{
    (void)app;
    return fake.history_count;
}

static const char *api_history(struct dt_app *app, size_t i)
{
    (void)app;
    return i < fake.history_count ? fake.history[i] : NULL;
}

static void api_remember(struct dt_app *app, const char *entry)
{
    (void)app;
    if (fake.history_count < 64)
        snprintf(fake.history[fake.history_count++], sizeof fake.history[0], "%s", entry);
}

static const struct dt_app_backend *api_backends(struct dt_app *app, size_t *count)
{
    (void)app;
    *count = 5;
    return fake.backends;
}

static void api_find_models(struct dt_app *app)
{
    (void)app;
    fake.models_looked = true;
    post(DT_EVENT_MODELS, "");
}

static const struct dt_app_model *api_models(struct dt_app *app, size_t *count)
{
    static const struct dt_app_model models[] = {
        {"/m/bedtime-2m-q80-g32.bin", "bedtime-2m-q80-g32.bin", "llama2.c v2", 2400000, 1300000,
         2100000, true, NULL, true},
        {"/m/stories15M-q80.bin", "stories15M-q80.bin", "llama2.c v2", 16120000, 4800000, 15200000,
         true, NULL, false},
        {"/m/stories110M.gguf", "stories110M.gguf", "GGUF v3", 116000000, 31000000, 109500000,
         false, "needs 31M of memory, 28M are free", false},
        {"/m/notes.bin", "notes.bin", NULL, 4096, 0, 0, false, "not a model", false},
    };
    (void)app;
    *count = fake.models_looked ? 4 : 0;
    return models;
}

static uint32_t api_search(struct dt_app *app, const char *words, uint32_t offset, uint32_t limit)
{
    static uint32_t number;
    (void)app;
    (void)offset;
    (void)limit;
    snprintf(fake.words, sizeof fake.words, "%s", words);
    post(DT_EVENT_LIBRARY, "")->id = ++number;
    return number;
}

static const struct dt_app_entry *api_library(struct dt_app *app, size_t *count)
{
    static const struct dt_app_entry all[] = {
        {12, "The Red Ball", "bedtime-2m", "int8@avx2", "a little red ball. It lived in a box",
         1763700000, 1763713200, 3, true},
        {9, "A Duck Who Counts", "bedtime-2m", "int8@avx2", "The duck counted to three, and then",
         1763600000, 1763613200, 1, false},
        {4, "Caf\xc3\xa9 \xe5\xb0\x8f", "bedtime-2m", "reference",
         "by the sea there was a caf\xc3\xa9", 1763500000, 1763513200, 8, false},
    };
    static struct dt_app_entry found[3];
    (void)app;
    *count = 0;
    for (size_t i = 0; i < 3; i++) {
        if (strcasestr(all[i].title, fake.words))
            found[(*count)++] = all[i];
    }
    return found;
}

static const struct dt_app_compare *api_compare(struct dt_app *app)
{
    (void)app;
    return fake.compared ? &fake.compare : NULL;
}

static enum dt_app_charset api_charset(struct dt_app *app)
{
    (void)app;
    return dt_charset_resolve(dt_settings_text(&fake.settings, DT_SET_CHARSET));
}

static bool api_colour(struct dt_app *app)
{
    (void)app;
    const char *none = getenv("NO_COLOR");
    return !none || !*none;
}

static size_t api_encode(struct dt_app *app, const char *s, size_t n, char *out)
{
    return dt_charset_encode(api_charset(app), s, n, out);
}

static size_t api_decode(struct dt_app *app, const char *s, size_t n, char *out)
{
    return dt_charset_decode(api_charset(app), s, n, out);
}

static void api_crash_bytes(struct dt_app *app, const char *bytes, size_t n)
{
    (void)app;
    (void)bytes;
    (void)n;
}

static bool api_given(struct dt_app *app)
{
    (void)app;
    return true;
}

static const struct dt_app_api api = {
    .given = api_given,
    .size = sizeof(struct dt_app_api),
    .build = DT_UI_BUILD,
    .fd = api_fd,
    .next = api_next,
    .leaving = api_leaving,
    .input = api_input,
    .edit = api_edit,
    .answer = api_answer,
    .stop = api_stop,
    .notice = api_notice,
    .state = api_state,
    .figures = api_figures,
    .voice = api_voice,
    .story = api_story,
    .turn = api_turn,
    .settings = api_settings,
    .get = api_get,
    .set = api_set,
    .step = api_step,
    .commands = api_commands,
    .own_commands = api_own_commands,
    .complete = api_complete,
    .history_count = api_history_count,
    .history = api_history,
    .remember = api_remember,
    .backends = api_backends,
    .find_models = api_find_models,
    .models = api_models,
    .search = api_search,
    .library = api_library,
    .compare = api_compare,
    .charset = api_charset,
    .colour = api_colour,
    .encode = api_encode,
    .decode = api_decode,
    .crash_bytes = api_crash_bytes,
};

static void on_term(int number)
{
    (void)number;
    fake.leaving = true;
}

int main(int argc, char **argv)
{
    char reason[512] = "";
    struct dt_error err = {0};
    setlocale(LC_ALL, "");
    if (argc < 2)
        return 2;
    dt_settings_init(&fake.settings);
    fake.rate = 60;
    fake.kind = "plain";
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            return 2;
        *value++ = 0;
        if (strcmp(argv[i], "rate") == 0)
            fake.rate = atof(value);
        else if (strcmp(argv[i], "hold") == 0)
            setenv("FAKE_HOLD", value, 1);
        else if (strcmp(argv[i], "story") == 0)
            fake.kind = value;
        else if (dt_settings_set(&fake.settings, dt_settings_find(argv[i]), value, DT_FROM_USER,
                                 &err) != DT_OK)
            return 2;
    }
    fake.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    snprintf(fake.figures.model, sizeof fake.figures.model, "bedtime-2m-q80-g32.bin");
    snprintf(fake.figures.stack, sizeof fake.figures.stack, "int8@avx2");
    fake.figures.seed = 42;
    count_figures();
    fill_backends();
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    const struct dt_ui *ui = module ? dlsym(module, DT_UI_SYMBOL) : NULL;
    if (!ui) {
        fprintf(stderr, "fake-app: %s\n", dlerror());
        return 3;
    }
    if (strcmp(ui->build, DT_UI_BUILD) != 0)
        return 3;
    if (ui->usable(&api, NULL, reason, sizeof reason) != 0 ||
        ui->run(&api, NULL, reason, sizeof reason) != 0) {
        printf("refused: %s\n", reason);
        return 1;
    }
    printf("left\n");
    return 0;
}
