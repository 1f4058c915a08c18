// SPDX-License-Identifier: MIT
// Renders dialogues for chat_templates.py. Each line of standard input is a JSON object {template,
// messages: [{role, content}], bos_token, eos_token, generation, thinking, date: [year, month,
// day]}; each line of output is {"rendered": text} or {"error": message}, and "user", the origin of
// each byte as "0" and "1".
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/formats/json_read.h"
#include "core/text/jinja/jinja.h"

#define ARENA    (64u << 20)
#define MOST     (1u << 22)
#define MESSAGES 4096

static char *text_of(struct dt_json_value object, const char *name, size_t *n)
{
    struct dt_json_value v = dt_json_find(object, name);
    char *text = malloc(v.n + 1);
    *n = dt_json_text_of(v, text);
    text[*n] = 0;
    return text;
}

static void put_text(const char *text, size_t n)
{
    putchar('"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void render(struct dt_json_value line, void *memory)
{
    static struct dt_jinja_message messages[MESSAGES];
    struct dt_jinja_input in = {.messages = messages, .add_generation_prompt = true};
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item, date = dt_json_find(line, "date");
    struct dt_jinja_text out;
    struct dt_error err = {0};
    size_t n, unused;
    uint64_t numbers[3] = {2024, 7, 26};
    char *source = text_of(line, "template", &n);
    in.bos = text_of(line, "bos_token", &in.bos_length);
    in.eos = text_of(line, "eos_token", &in.eos_length);
    in.add_generation_prompt = !dt_json_is(dt_json_find(line, "generation"), "false");
    in.without_thinking = dt_json_is(dt_json_find(line, "thinking"), "false");
    for (size_t i = 0; i < 3 && dt_json_next(date, &walk, &key, &item); i++)
        dt_json_uint_of(item, &numbers[i]);
    in.date.year = (int)numbers[0];
    in.date.month = (int)numbers[1];
    in.date.day = (int)numbers[2];
    walk = (struct dt_json_walk){0};
    while (in.count < MESSAGES &&
           dt_json_next(dt_json_find(line, "messages"), &walk, &key, &item)) {
        struct dt_jinja_message *m = &messages[in.count++];
        m->role = text_of(item, "role", &unused);
        m->content = text_of(item, "content", &m->length);
    }
    struct dt_arena arena = dt_arena_over(memory, ARENA);
    dt_status status = dt_jinja_render(source, n, &in, &arena, &out, &err);
    printf("{\"%s\": ", status ? "error" : "rendered");
    put_text(status ? err.message : out.text, status ? strlen(err.message) : out.length);
    printf(", \"used\": %zu, \"user\": \"", arena.used);
    for (size_t i = 0; !status && i < out.length; i++)
        putchar(out.user && out.user[i] ? '1' : '0');
    printf("\"}\n");
    fflush(stdout);
    free(source);
    free((char *)in.bos);
    free((char *)in.eos);
    for (size_t i = 0; i < in.count; i++) {
        free((char *)messages[i].role);
        free((char *)messages[i].content);
    }
}

int main(void)
{
    char *line = malloc(MOST);
    void *memory = aligned_alloc(DT_ALIGN, ARENA);
    if (!line || !memory)
        return 1;
    while (fgets(line, MOST, stdin)) {
        struct dt_json_value v;
        struct dt_error err = {0};
        if (dt_json_check(line, strlen(line), "stdin", &v, &err)) {
            fprintf(stderr, "render_chat: %s\n", err.message);
            return 1;
        }
        render(v, memory);
    }
    free(line);
    free(memory);
    return 0;
}
