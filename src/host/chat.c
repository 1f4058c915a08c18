// SPDX-License-Identifier: MIT
#include "host/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "host/file.h"

#define TEMPLATE_MOST (1u << 20)
#define MEMORY_FIRST  (128u << 10)
#define MEMORY_MOST   (64u << 20)

// ---- rendering ----

static void token_text(const struct dt_vocab *vocab, uint32_t id, const char *untyped,
                       const char **text, size_t *n)
{
    *text = NULL;
    *n = 0;
    if (id >= vocab->size)
        return;
    *text = untyped; // pieces of llama2.c vary
    *n = strlen(untyped);
    if (vocab->types)
        *text = (const char *)dt_vocab_piece(vocab, id, n);
}

static dt_status render(struct dt_chat *chat, const struct dt_jinja_message *messages, size_t count,
                        struct dt_jinja_text *out, struct dt_error *err)
{
    struct dt_jinja_input in = {.messages = messages,
                                .count = count,
                                .add_generation_prompt = true,
                                .without_thinking = chat->without_thinking,
                                .date = chat->date};
    size_t bytes = 0;
    dt_status status = DT_NO_MEMORY;
    token_text(chat->vocab, chat->vocab->bos, "<s>", &in.bos, &in.bos_length);
    token_text(chat->vocab, chat->vocab->eos, "</s>", &in.eos, &in.eos_length);
    for (size_t i = 0; i < count; i++)
        bytes += messages[i].length;
    for (size_t size = MEMORY_FIRST + 24 * bytes; status == DT_NO_MEMORY; size *= 2) {
        size = (size + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN;
        if (size > chat->memory_size) {
            free(chat->memory);
            chat->memory = size <= MEMORY_MOST + 24 * bytes ? aligned_alloc(DT_ALIGN, size) : NULL;
            chat->memory_size = chat->memory ? size : 0;
        }
        if (!chat->memory)
            return dt_error_set(err, DT_NO_MEMORY, NULL,
                                "not enough memory to run the chat template on %zu bytes", bytes);
        struct dt_arena arena = dt_arena_over(chat->memory, chat->memory_size);
        status = dt_jinja_render(chat->source, chat->length, &in, &arena, out, err);
    }
    return status;
}

// Joins the system message and the first message of the user; the caller frees *joined.
static dt_status render_merged(struct dt_chat *chat, const struct dt_jinja_message *messages,
                               size_t count, struct dt_jinja_text *out, struct dt_error *err)
{
    size_t first = messages[0].length, second = messages[1].length;
    struct dt_jinja_message *all = calloc(count, sizeof *all);
    char *joined = malloc(first + second + 2);
    dt_status status;
    if (all && joined) {
        memcpy(joined, messages[0].content, first);
        memcpy(joined + first, "\n\n", 2);
        memcpy(joined + first + 2, messages[1].content, second);
        memcpy(all, messages + 1, (count - 1) * sizeof *all);
        all[0].content = joined;
        all[0].length = first + 2 + second;
        status = render(chat, all, count - 1, out, err);
    } else {
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %zu messages", count);
    }
    free(all);
    free(joined);
    return status;
}

// ---- thoughts ----

// The bytes at the end of a rendering that open a thought. What a user typed opens none.
static size_t opened(const struct dt_chat *chat, const struct dt_jinja_text *text)
{
    size_t n = dt_thoughts_opened(chat->thoughts, text->text, text->length);
    return n && text->user && memchr(text->user + text->length - n, 1, n) ? 0 : n;
}

static const struct dt_thought_markers *markers_of(const struct dt_chat *chat)
{
    unsigned row = 0;
    while (row + 1 < DT_THOUGHT_ROWS && !(chat->thoughts >> row & 1))
        row++;
    return dt_thought_markers(row);
}

// Ends the thought that a rendering opens, or appends an empty one.
static dt_status add_empty_thought(struct dt_chat *chat, struct dt_jinja_text *text,
                                   struct dt_error *err)
{
    char block[2 * DT_THOUGHTS_HELD];
    const struct dt_thought_markers *m = markers_of(chat);
    size_t begun = opened(chat, text), n = text->length;
    bool line = begun && text->text[n - 1] == '\n';
    if (!begun && chat->switches)
        return DT_OK;
    size_t more = (size_t)snprintf(block, sizeof block, "%s%s%s\n\n", begun ? "" : m->open,
                                   line ? "\n" : "\n\n", m->close);
    free(chat->text);
    chat->text = calloc(2, n + more);
    if (!chat->text)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %zu bytes of a chat",
                            n);
    memcpy(chat->text, text->text, n);
    memcpy(chat->text + n, block, more);
    unsigned char *user = (unsigned char *)chat->text + n + more; // the block is the template's
    if (text->user)
        memcpy(user, text->user, n);
    *text = (struct dt_jinja_text){chat->text, text->user ? user : NULL, n + more};
    return DT_OK;
}

size_t dt_chat_empty_thought(const struct dt_chat *chat, struct dt_template_piece *out)
{
    const struct dt_thought_markers *m = markers_of(chat);
    if (!chat->without_thinking || !chat->thoughts)
        return 0;
    out[0] = (struct dt_template_piece){m->open, strlen(m->open), true};
    out[1] = out[3] = (struct dt_template_piece){"\n\n", 2, false};
    out[2] = (struct dt_template_piece){m->close, strlen(m->close), true};
    return 4;
}

char *dt_chat_close_thought(const struct dt_chat *chat, const char *text, size_t n, bool *unclosed)
{
    int row;
    char *closed = NULL;
    dt_thoughts_answer(chat->thoughts, text, n, &row);
    *unclosed = row >= 0;
    if (*unclosed && asprintf(&closed, "%.*s\n%s\n\n", (int)n, text,
                              dt_thought_markers((unsigned)row)->close) < 0)
        closed = NULL;
    return closed;
}

dt_status dt_chat_render(struct dt_chat *chat, const struct dt_jinja_message *messages,
                         size_t count, struct dt_jinja_text *out, struct dt_error *err)
{
    bool merge = chat->merge_system && count > 1 && strcmp(messages[0].role, "system") == 0;
    dt_status status = merge ? render_merged(chat, messages, count, out, err)
                             : render(chat, messages, count, out, err);
    if (status == DT_OK && chat->without_thinking && chat->thoughts)
        status = add_empty_thought(chat, out, err);
    return status;
}

// ---- what is new ----

// The bytes of the new rendering that the model has seen; 0: it does not continue them. begun: so
// many bytes at the end of what was rendered before are the beginning of the answer too.
static size_t seen(const struct dt_chat *chat, const struct dt_jinja_text *new,
                   const struct dt_jinja_text *before, size_t begun,
                   const struct dt_jinja_message *answer, uint32_t ended)
{
    size_t from = before->length - begun, at = from + answer->length, n = 0;
    const char *end;
    token_text(chat->vocab, ended, ended == chat->vocab->bos ? "<s>" : "</s>", &end, &n);
    if (!n || answer->length < begun || at + n > new->length ||
        memcmp(new->text, before->text, before->length) != 0 ||
        memcmp(new->text + from, answer->content, answer->length) != 0 ||
        memcmp(new->text + at, end, n) != 0 || (new->user &&memchr(new->user + at, 1, n)))
        return 0;
    return at + n;
}

dt_status dt_chat_next(struct dt_chat *chat, const struct dt_jinja_message *messages, size_t count,
                       uint32_t ended, struct dt_chat_step *out, struct dt_error *err)
{
    struct dt_jinja_text before = {0};
    char *copy = NULL;
    size_t begun = 0, at = 0;
    dt_status status = DT_OK;
    if (count > 2 && ended != DT_NO_TOKEN) {
        status = dt_chat_render(chat, messages, count - 2, &before, err);
        begun = status == DT_OK ? opened(chat, &before) : 0;
        copy = status == DT_OK ? malloc(before.length + 1) : NULL;
        if (copy)
            memcpy(copy, before.text, before.length);
        before.text = copy;
    }
    if (status == DT_OK)
        status = dt_chat_render(chat, messages, count, &out->text, err);
    if (status == DT_OK && copy)
        at = seen(chat, &out->text, &before, begun, &messages[count - 2], ended);
    free(copy);
    out->whole = at == 0;
    if (status == DT_OK) {
        out->opened = opened(chat, &out->text);
        out->text.text += at;
        out->text.length -= at;
        out->text.user = out->text.user ? out->text.user + at : NULL;
    }
    return status;
}

// ---- choosing ----

// Whether a template knows how to keep a model from thinking: it renders this message otherwise.
static dt_status try_switch(struct dt_chat *chat, const struct dt_jinja_message *message,
                            const struct dt_jinja_text *with, struct dt_error *err)
{
    size_t n = with->length;
    struct dt_jinja_text out;
    struct dt_error ignored;
    char *copy = malloc(n + 1);
    if (!copy)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %zu bytes", n);
    memcpy(copy, with->text, n);
    chat->without_thinking = true;
    if (render(chat, message, 1, &out, &ignored) == DT_OK)
        chat->switches = out.length != n || memcmp(out.text, copy, n) != 0;
    chat->without_thinking = false;
    free(copy);
    return DT_OK;
}

// Whether a template renders a first message, and whether it takes a system message.
static dt_status try_template(struct dt_chat *chat, struct dt_error *err)
{
    static const struct dt_jinja_message messages[] = {{"system", "Be kind.", 8},
                                                       {"user", "Hi", 2}};
    struct dt_jinja_text out;
    dt_status status = render(chat, messages + 1, 1, &out, err);
    if (status == DT_OK && !dt_read_find(out.text, out.length, "Hi", 2))
        status = dt_error_set(err, DT_UNSUPPORTED, NULL, "it does not show the user's message");
    struct dt_error ignored;
    if (status == DT_OK && chat->thoughts)
        status = try_switch(chat, messages + 1, &out, err);
    if (status == DT_OK)
        chat->merge_system = render(chat, messages, 2, &out, &ignored) != DT_OK;
    return status;
}

// The family that the control tokens of a vocabulary show.
static enum dt_template family_of_vocabulary(const struct dt_vocab *vocab, enum dt_template other)
{
    static const struct {
        const char *marker;
        enum dt_template family;
    } rows[] = {{"<|im_start|>", DT_TEMPLATE_CHATML},
                {"<|start_header_id|>", DT_TEMPLATE_LLAMA3},
                {"<start_of_turn>", DT_TEMPLATE_GEMMA}};
    for (size_t i = 0; vocab->types && i < sizeof rows / sizeof *rows; i++)
        if (dt_template_marker(vocab, rows[i].marker, strlen(rows[i].marker)) != DT_NO_TOKEN)
            return rows[i].family;
    return vocab->kind == DT_VOCAB_SPM ? other : DT_TEMPLATE_PLAIN;
}

// Finds a named template of the model.
static bool open_named(struct dt_chat *chat, const struct dt_model *model, const char *name)
{
    for (uint32_t i = 0; i < model->template_count; i++)
        if (dt_read_is(model->templates[i].name, model->templates[i].name_length, name)) {
            chat->source = model->templates[i].text;
            chat->length = model->templates[i].length;
            return true;
        }
    return false;
}

static dt_status open_file(struct dt_chat *chat, const char *path, struct dt_error *err)
{
    if (!dt_file_readable(path))
        return dt_error_set(err, DT_USAGE, NULL,
                            "--chat-template: must be plain, llama2, llama3, chatml, zephyr, "
                            "gemma, mistral, story, a template of the model or a file (got "
                            "\"%s\")",
                            path);
    dt_status status = dt_file_read(path, TEMPLATE_MOST, &chat->file, &chat->length, err);
    if (status != DT_OK)
        return status;
    chat->source = chat->file;
    chat->thoughts |= dt_thoughts_of_model(chat->vocab, chat->file, chat->length);
    status = try_template(chat, err);
    if (status != DT_OK)
        snprintf(err->file, sizeof err->file, "%s", path);
    return status;
}

dt_status dt_chat_open(struct dt_chat *chat, const struct dt_model *model, const char *wanted,
                       enum dt_template fallback, struct dt_error *err)
{
    time_t now = time(NULL);
    struct tm t;
    localtime_r(&now, &t);
    *chat = (struct dt_chat){.vocab = &model->vocab};
    chat->date = (struct dt_jinja_date){t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
                                        t.tm_hour,        t.tm_min,     t.tm_sec};
    chat->thoughts =
        dt_thoughts_of_model(&model->vocab, model->chat_template, model->chat_template_length);
    if (wanted && dt_template_by_name(wanted, &chat->family))
        return DT_OK;
    if (wanted && open_named(chat, model, wanted)) {
        struct dt_error why = {0};
        dt_status status = try_template(chat, &why);
        return status == DT_OK
                   ? DT_OK
                   : dt_error_set(err, status, NULL, "chat template %s: %s", wanted, why.message);
    }
    if (wanted)
        return open_file(chat, wanted, err);
    if (!model->chat_template) {
        chat->family = family_of_vocabulary(&model->vocab, fallback);
        return DT_OK;
    }
    chat->family = dt_template_recognise(model->chat_template, model->chat_template_length);
    if (chat->family == DT_TEMPLATE_STORY || chat->family == DT_TEMPLATE_PLAIN)
        return DT_OK;
    chat->source = model->chat_template;
    chat->length = model->chat_template_length;
    if (model->vocab.kind == DT_VOCAB_NONE || try_template(chat, &chat->reason) != DT_OK)
        chat->source = NULL;
    return DT_OK;
}

void dt_chat_close(struct dt_chat *chat)
{
    free(chat->file);
    free(chat->memory);
    free(chat->text);
    *chat = (struct dt_chat){0};
}

const char *dt_chat_name(const struct dt_chat *chat, char *out, size_t size)
{
    if (chat->source)
        snprintf(out, size, "own template, %zu bytes", chat->length);
    else
        snprintf(out, size, "%s", dt_template_name(chat->family));
    return out;
}
