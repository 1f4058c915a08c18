// SPDX-License-Identifier: MIT
// duotale tokenize: the tokens of a text, or of a dialogue as the model's chat template renders it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "core/formats/foreign.h"
#include "core/formats/json_read.h"
#include "core/formats/open_model.h"
#include "core/text/added_tokens.h"
#include "core/text/unicode_classes.h"
#include "host/chat.h"
#include "host/file.h"
#include "host/json.h"
#include "host/model_files.h"
#include "verbs/verb.h"

#define TEXT_MOST (256u << 20)

struct request {
    const char *tokenizer, *chat, *system;
    struct dt_jinja_date date;
    bool json, bos;
};

// What is open. Zeroed: nothing.
struct vocabulary {
    struct dt_model_files files;
    struct dt_file tokenizer_file;
    struct dt_model model;
    void *tables, *memory; // of the model and of the tokenizer
    struct dt_tokenizer tokenizer;
};

static dt_status no_memory(struct dt_error *err, size_t bytes)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory: %zu bytes are needed", bytes);
}

// ---- opening ----

// The number of pieces in a tokenizer.bin, which does not contain it; 0 if it is not one.
static uint32_t count_pieces(const struct dt_file *file)
{
    size_t at = 4;
    uint32_t count = 0;
    while (at + 8 <= file->size && count < DT_MAX_VOCAB) {
        uint32_t length;
        memcpy(&length, file->bytes + at + 4, sizeof length);
        if (length > file->size - at - 8)
            return 0;
        at += 8 + length;
        count++;
    }
    return at == file->size ? count : 0;
}

// Reads a tokenizer.bin of `size` pieces; 0: as many as it has.
static dt_status open_bin(struct vocabulary *v, const char *path, uint32_t size,
                          struct dt_error *err)
{
    dt_status status = dt_file_map(&v->tokenizer_file, path, err);
    if (status != DT_OK)
        return status;
    if (!size)
        size = count_pieces(&v->tokenizer_file);
    if (!size)
        return dt_error_set(err, DT_BAD_INPUT, path, "contains no vocabulary");
    size_t bytes = dt_vocab_measure(size) + DT_ALIGN;
    free(v->tables);
    v->tables = aligned_alloc(DT_ALIGN, (bytes + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN);
    if (!v->tables)
        return no_memory(err, bytes);
    struct dt_arena arena = dt_arena_over(v->tables, bytes);
    status = dt_vocab_open_bin(v->tokenizer_file.bytes, v->tokenizer_file.size, path, size, &arena,
                               &v->model.vocab, err);
    dt_vocab_find_ends(&v->model.vocab);
    return status;
}

// Opens what holds no vocabulary of its own: a llama2.c model, with the file beside it, or a
// tokenizer.bin.
static dt_status open_other(struct vocabulary *v, const char *path, const char *tokenizer,
                            struct dt_error *err)
{
    const struct dt_file *file = &v->files.file[0];
    const char *format = dt_model_recognise(file->bytes, file->size);
    char found[4096];
    struct dt_model header = {0};
    memset(&v->model, 0, sizeof v->model);
    if (count_pieces(file))
        return open_bin(v, path, 0, err);
    struct dt_model_part part = {file->bytes, file->size, path};
    dt_status status = dt_foreign_check(&part, err);
    if (status != DT_OK)
        return status;
    if (!format)
        return open_bin(v, path, 0, err);
    size_t bytes = dt_model_measure(file->bytes, file->size, path, err) + DT_ALIGN;
    void *memory = bytes > DT_ALIGN ? aligned_alloc(DT_ALIGN, bytes / DT_ALIGN * DT_ALIGN) : NULL;
    if (!memory)
        return bytes > DT_ALIGN ? no_memory(err, bytes) : err->status;
    struct dt_arena arena = dt_arena_over(memory, bytes / DT_ALIGN * DT_ALIGN);
    status = dt_model_open(file->bytes, file->size, path, &arena, &header, err);
    free(memory);
    if (status != DT_OK)
        return status;
    if (!tokenizer && !dt_model_files_find_tokenizer(path, found, sizeof found))
        return dt_error_set(err, DT_BAD_INPUT, path,
                            "contains no vocabulary, and no tokenizer file is beside it; name one "
                            "with -z");
    return open_bin(v, tokenizer ? tokenizer : found, header.hp.vocab, err);
}

static dt_status open_vocabulary(struct vocabulary *v, const char *path, const char *tokenizer,
                                 struct dt_error *err)
{
    struct dt_model_part parts[DT_MODEL_FILES_MAX];
    dt_status status = dt_model_files_map_vocabulary(&v->files, path, err);
    if (status != DT_OK)
        return status;
    uint32_t count = dt_model_files_parts(&v->files, parts);
    const char *format = dt_model_recognise(parts[0].bytes, parts[0].n);
    bool other = !format || strncmp(format, "llama2.c", 8) == 0;
    size_t n = strlen(path);
    if (n > 6 && strcmp(path + n - 6, ".model") == 0)
        other = false;
    if (tokenizer || (other && v->files.count == 1))
        return open_other(v, path, tokenizer, err);
    struct dt_model_found found = {0};
    size_t bytes = dt_model_measure_vocabulary(parts, count, &found, err);
    if (!bytes)
        return err->status;
    v->tables = aligned_alloc(DT_ALIGN, bytes / DT_ALIGN * DT_ALIGN);
    if (!v->tables)
        return no_memory(err, bytes);
    struct dt_arena arena = dt_arena_over(v->tables, bytes / DT_ALIGN * DT_ALIGN);
    return dt_model_open_vocabulary(parts, count, &found, &arena, &v->model, err);
}

static dt_status make_tokenizer(struct vocabulary *v, size_t text, struct dt_error *err)
{
    size_t bytes = dt_tokenizer_measure(&v->model.vocab, text ? text : 1) + DT_ALIGN;
    bytes = bytes / DT_ALIGN * DT_ALIGN;
    free(v->memory);
    v->memory = aligned_alloc(DT_ALIGN, bytes);
    return v->memory ? dt_tokenizer_init(&v->tokenizer, &v->model.vocab, v->memory, bytes, err)
                     : no_memory(err, bytes);
}

static void close_vocabulary(struct vocabulary *v)
{
    dt_model_files_unmap(&v->files);
    dt_file_unmap(&v->tokenizer_file);
    free(v->tables);
    free(v->memory);
}

// ---- output ----

// The bytes of the text that the piece of token `id` covers from byte `at` on. Bytes that are not
// in the text (a space before it) count as none.
static size_t piece_covers(const struct vocabulary *v, uint32_t id, const char *text, size_t n,
                           size_t at)
{
    char bytes[DT_PIECE_MAX + 4];
    size_t length = dt_tokenizer_decode(&v->tokenizer, DT_NO_TOKEN, id, bytes), piece;
    const unsigned char *raw = dt_vocab_piece(&v->model.vocab, id, &piece);
    uint32_t code;
    if (dt_vocab_type(&v->model.vocab, id) == DT_TOKEN_UNKNOWN)
        return at < n ? dt_utf8_decode(text + at, n - at, &code) : 0;
    if (dt_tokenizer_is_special(&v->model.vocab, id) || v->model.vocab.kind == DT_VOCAB_SPM)
        if (piece <= n - at && memcmp(text + at, raw, piece) == 0)
            return piece;
    if (length <= n - at && memcmp(text + at, bytes, length) == 0)
        return length;
    if (length && bytes[0] == ' ' && length - 1 <= n - at &&
        memcmp(text + at, bytes + 1, length - 1) == 0)
        return length - 1;
    if (dt_vocab_type(&v->model.vocab, id) == DT_TOKEN_CONTROL)
        return 0;
    return length < n - at ? length : n - at; // normalised text
}

// The same with the white space that an added token takes in.
static size_t covers(const struct vocabulary *v, uint32_t id, const char *text, size_t n, size_t at)
{
    const struct dt_vocab *vocab = &v->model.vocab;
    uint32_t flags = vocab->added_count ? dt_added_flags(vocab, id) : 0, code;
    size_t begin = at, length;
    while (flags & DT_ADDED_LSTRIP && begin < n &&
           (length = dt_utf8_decode(text + begin, n - begin, &code)) && dt_unicode_space(code))
        begin += length;
    size_t end = begin + piece_covers(v, id, text, n, begin);
    return (flags ? dt_added_end(vocab, id, text, n, end) : end) - at;
}

static void as_json(const struct vocabulary *v, const struct dt_jinja_text *text, bool rendered,
                    const uint32_t *tokens, size_t count)
{
    struct dt_json j;
    size_t at = 0, n;
    dt_json_init(&j, stdout, 0);
    dt_json_object(&j);
    if (rendered) {
        dt_json_name(&j, "rendered");
        dt_json_text_n(&j, text->text, text->length);
    }
    dt_json_name(&j, "ids");
    dt_json_array(&j);
    for (size_t i = 0; i < count; i++)
        dt_json_uint(&j, tokens[i]);
    dt_json_end(&j);
    dt_json_name(&j, "pieces");
    dt_json_array(&j);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *piece = dt_vocab_piece(&v->model.vocab, tokens[i], &n);
        dt_json_text_n(&j, (const char *)piece, n);
    }
    dt_json_end(&j);
    dt_json_name(&j, "offsets");
    dt_json_array(&j);
    for (size_t i = 0; i < count; i++) {
        n = covers(v, tokens[i], text->text, text->length, at);
        dt_json_array(&j);
        dt_json_uint(&j, at);
        dt_json_uint(&j, at += n);
        dt_json_end(&j);
    }
    dt_json_end(&j);
    dt_json_end(&j);
}

static void as_text(const struct vocabulary *v, const struct dt_jinja_text *text, bool rendered,
                    const uint32_t *tokens, size_t count)
{
    struct dt_text_filter filter = {0};
    char clean[3 * (DT_PIECE_MAX + 4)];
    size_t at = 0, n;
    for (size_t i = 0; rendered && i < text->length; i += n) {
        n = text->length - i < DT_PIECE_MAX ? text->length - i : DT_PIECE_MAX;
        fwrite(clean, 1, dt_text_filter_push(&filter, text->text + i, n, clean), stdout);
    }
    if (rendered)
        puts("\n");
    for (size_t i = 0; i < count; i++) {
        const unsigned char *piece = dt_vocab_piece(&v->model.vocab, tokens[i], &n);
        filter = (struct dt_text_filter){0};
        size_t length = dt_text_filter_push(&filter, (const char *)piece, n, clean);
        length += dt_text_filter_flush(&filter, clean + length);
        printf("%8u %8zu  \"", tokens[i], at);
        for (size_t k = 0; k < length; k++)
            fputs(clean[k] == '\n'   ? "\\n"
                  : clean[k] == '\t' ? "\\t"
                                     : (char[2]){clean[k]},
                  stdout);
        puts("\"");
        at += covers(v, tokens[i], text->text, text->length, at);
    }
}

// ---- texts and dialogues ----

static dt_status encode(struct vocabulary *v, const struct request *r,
                        const struct dt_jinja_text *text, bool rendered, struct dt_error *err)
{
    size_t capacity = 2 * text->length + 8, count = 0;
    uint32_t *tokens = malloc(capacity * sizeof *tokens);
    dt_status status = make_tokenizer(v, text->length, err);
    if (!tokens)
        status = no_memory(err, capacity * sizeof *tokens);
    if (status == DT_OK && rendered)
        status = dt_template_encode_text(&v->tokenizer, text->text, text->user, text->length,
                                         r->bos, false, tokens, capacity, &count, err);
    else if (status == DT_OK && (text->length || r->bos))
        status = dt_tokenizer_encode(&v->tokenizer, text->text, text->length, DT_ENCODE_PREFIX,
                                     tokens, capacity - 1, &count, err);
    bool has_bos = v->model.vocab.bos < v->model.vocab.size;
    if (status == DT_OK && !rendered && r->bos && has_bos && (!count || text->length)) {
        memmove(tokens + 1, tokens, count * sizeof *tokens);
        tokens[0] = v->model.vocab.bos;
        count++;
    }
    if (status == DT_OK)
        (r->json ? as_json : as_text)(v, text, rendered, tokens, count);
    free(tokens);
    return status;
}

// Reads the messages of a JSON array of {role, content}. *messages and *texts are malloc'ed; the
// texts are the memory of all of them.
static dt_status read_messages(const struct request *r, char **texts,
                               struct dt_jinja_message **messages, size_t *count,
                               struct dt_error *err)
{
    struct dt_json_value all, key, item;
    struct dt_json_walk walk = {0};
    char *source = NULL, *at;
    size_t n = 0;
    dt_status status = dt_file_read(r->chat, TEXT_MOST, &source, &n, err);
    if (status == DT_OK)
        status = dt_json_check(source, n, r->chat, &all, err);
    if (status == DT_OK && all.at[0] != '[')
        status = dt_error_set(err, DT_BAD_INPUT, r->chat,
                              "expected an array of objects with role and content");
    if (status != DT_OK)
        goto done;
    *messages = calloc(dt_json_count(all) + 1, sizeof **messages);
    at = *texts = malloc(2 * n + 2);
    if (!*messages || !at) {
        status = no_memory(err, 2 * n);
        goto done;
    }
    if (r->system)
        (*messages)[(*count)++] = (struct dt_jinja_message){"system", r->system, strlen(r->system)};
    while (dt_json_next(all, &walk, &key, &item)) {
        struct dt_json_value role = dt_json_find(item, "role"),
                             content = dt_json_find(item, "content");
        if (!dt_json_is_text(role) || !dt_json_is_text(content)) {
            status = dt_error_set(err, DT_BAD_INPUT, r->chat,
                                  "message %zu: role and content must be texts", *count + 1);
            goto done;
        }
        struct dt_jinja_message *m = &(*messages)[(*count)++];
        m->role = at;
        at += dt_json_text_of(role, at);
        *at++ = 0;
        m->content = at;
        m->length = dt_json_text_of(content, at);
        at += m->length;
    }
done:
    free(source);
    return status;
}

static dt_status tokenize_chat(struct vocabulary *v, const struct request *r, struct dt_error *err)
{
    struct dt_jinja_message *messages = NULL;
    struct dt_jinja_text text;
    struct dt_chat chat = {0};
    char *texts = NULL;
    size_t count = 0;
    dt_status status = read_messages(r, &texts, &messages, &count, err);
    if (status == DT_OK && !v->model.chat_template)
        status = dt_error_set(err, DT_BAD_INPUT, v->files.file[0].path,
                              "the model has no chat template");
    if (status == DT_OK)
        status = dt_chat_open(&chat, &v->model, NULL, DT_TEMPLATE_PLAIN, err);
    if (status == DT_OK) { // as the template is: it may refuse a message
        chat.source = v->model.chat_template;
        chat.length = v->model.chat_template_length;
        chat.merge_system = false;
        if (r->date.year)
            chat.date = r->date;
        status = dt_chat_render(&chat, messages, count, &text, err);
    }
    if (status == DT_OK)
        status = encode(v, r, &text, true, err);
    dt_chat_close(&chat);
    free(messages);
    free(texts);
    return status;
}

static dt_status tokenize_text(struct vocabulary *v, const struct request *r, const char *given,
                               struct dt_error *err)
{
    struct dt_jinja_text text = {.text = given};
    char *read = NULL;
    dt_status status = DT_OK;
    if (!given || strcmp(given, "-") == 0) {
        status = dt_file_read("-", TEXT_MOST, &read, &text.length, err);
        text.text = read;
    } else {
        text.length = strlen(given);
    }
    if (status == DT_OK)
        status = encode(v, r, &text, false, err);
    free(read);
    return status;
}

// ---- the command line ----

// Reads YYYY-MM-DD.
static bool date_of(const char *text, struct dt_jinja_date *out)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int n = 0;
    return sscanf(text, "%4d-%2d-%2d%n", &out->year, &out->month, &out->day, &n) == 3 && n == 10 &&
           text[n] == 0 && out->year > 0 && out->month >= 1 && out->month <= 12 && out->day >= 1 &&
           out->day <= days[out->month - 1];
}

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    if (id == DT_OPTION_JSON)
        r->json = true;
    else if (id == DT_OPTION_BOS)
        r->bos = true;
    else if (id == DT_OPTION_CHAT)
        r->chat = value->text;
    else if (id == DT_OPTION_SYSTEM)
        r->system = value->text;
    else if (id == DT_SET_TOKENIZER)
        r->tokenizer = value->text;
    else if (id == DT_OPTION_DATE && !date_of(value->text, &r->date))
        return dt_options_usage(DT_VERB_TOKENIZE, "--date: must be YYYY-MM-DD (got \"%s\")",
                                value->text);
    return 0;
}

int dt_verb_tokenize(int argc, char **argv)
{
    struct request r = {0};
    struct dt_error err = {0};
    int code = dt_options_read(DT_VERB_TOKENIZE, argc, argv, on_option, &r);
    if (code >= 0)
        return code;
    if (optind >= argc)
        return dt_options_usage(DT_VERB_TOKENIZE, "name a model");
    const char *path = argv[optind], *text = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (optind + 2 < argc || (r.chat && text))
        return dt_options_usage(DT_VERB_TOKENIZE, "%s: unexpected argument",
                                argv[optind + (r.chat ? 1 : 2)]);
    if ((r.system || r.date.year) && !r.chat)
        return dt_options_usage(DT_VERB_TOKENIZE, "--system and --date need --chat");
    struct vocabulary *v = calloc(1, sizeof *v);
    dt_verb_log(false);
    dt_status status = v ? open_vocabulary(v, path, r.tokenizer, &err) : no_memory(&err, sizeof *v);
    if (status == DT_OK)
        status = r.chat ? tokenize_chat(v, &r, &err) : tokenize_text(v, &r, text, &err);
    code = status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
    if (v)
        close_vocabulary(v);
    free(v);
    return code;
}
