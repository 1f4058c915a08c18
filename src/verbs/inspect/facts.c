// SPDX-License-Identifier: MIT
// Words, facts and templates of a model, as inspect shows them.
#include <stdio.h>
#include <string.h>

#include "base/format.h"
#include "base/text.h"
#include "core/text/pretokenizer.h"
#include "host/print.h"
#include "verbs/inspect/inspect.h"

const char *dt_inspect_kind(const struct dt_vocab *vocab)
{
    return vocab->kind == DT_VOCAB_SPM   ? "SentencePiece BPE"
           : vocab->kind == DT_VOCAB_BPE ? "byte-level BPE"
                                         : "none";
}

const char *dt_inspect_pretokenizer(const struct dt_vocab *vocab)
{
    return vocab->kind == DT_VOCAB_BPE
               ? dt_pretokenizer_name(vocab->pretokenizer, vocab->ignore_merges, vocab->nfc)
               : "none";
}

void dt_inspect_put_token(struct dt_json *j, const char *name, uint32_t id)
{
    dt_json_name(j, name);
    if (id == DT_NO_TOKEN)
        dt_json_text(j, NULL);
    else
        dt_json_uint(j, id);
}

// The text of a token, in at most DT_PIECE_MAX + 1 bytes.
static const char *token_text(const struct dt_vocab *vocab, uint32_t id, char *out)
{
    size_t n;
    const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
    if (n > 2 && piece[0] == '\n' && piece[n - 1] == '\n') { // "\n</s>\n" in a tokenizer.bin
        piece++;
        n -= 2;
    }
    dt_format(out, DT_PIECE_MAX + 1, "%.*s", (int)n, (const char *)piece);
    return out;
}

void dt_inspect_print_words(const struct dt_vocab *vocab, const char *pretokenizer)
{
    char text[DT_PIECE_MAX + 1];
    dt_print(stdout, "pre-tokenizer: %s\n", pretokenizer);
    dt_print(stdout, "ends:");
    for (uint32_t i = 0; i < vocab->end_count; i++)
        dt_print(stdout, "%s %u %s", i ? "," : "", vocab->ends[i],
                 token_text(vocab, vocab->ends[i], text));
    dt_print(stdout, vocab->end_count ? "\n" : " none\n");
}

void dt_inspect_put_words(struct dt_json *j, const struct dt_vocab *vocab, const char *pretokenizer)
{
    char text[DT_PIECE_MAX + 1];
    dt_json_put_text(j, "pre_tokenizer", pretokenizer);
    dt_json_name(j, "ends");
    dt_json_array(j);
    for (uint32_t i = 0; i < vocab->end_count; i++) {
        dt_json_object(j);
        dt_json_put_uint(j, "id", vocab->ends[i]);
        dt_json_put_text(j, "text", token_text(vocab, vocab->ends[i], text));
        dt_json_end(j);
    }
    dt_json_end(j);
}

// ---- facts ----

// Prints an entry of the file, if it has one, on one line.
static void print_entry(const char *what, const char *text, size_t n)
{
    char line[1024];
    if (!text)
        return;
    dt_text_clean(line, sizeof line, text, n, DT_TEXT_LINE);
    dt_print(stdout, "%s: %s\n", what, line);
}

// Whether row i continues the list of the row before it.
static bool continues(const struct dt_model *m, uint32_t i)
{
    const struct dt_model_fact *f = m->facts;
    return i > 0 && f[i].list && f[i].key_length == f[i - 1].key_length &&
           memcmp(f[i].key, f[i - 1].key, f[i].key_length) == 0;
}

void dt_inspect_print_facts(const struct dt_model *m)
{
    static const char prefix[] = "general.";
    print_entry("name", m->name, m->name_length);
    print_entry("licence", m->license, m->license_length);
    for (uint32_t i = 0; i < m->fact_count; i++) {
        const struct dt_model_fact *f = &m->facts[i];
        char key[128], text[1024];
        size_t skip = sizeof prefix - 1;
        bool general = f->key_length > skip && memcmp(f->key, prefix, skip) == 0;
        skip = general ? skip : 0;
        dt_text_clean(key, sizeof key, f->key + skip, f->key_length - skip, DT_TEXT_LINE);
        dt_text_clean(text, sizeof text, f->text, f->length, DT_TEXT_LINE);
        if (continues(m, i))
            dt_print(stdout, ", %s", text);
        else
            dt_print(stdout, "%s: %s", key, text);
        if (i + 1 == m->fact_count || !continues(m, i + 1))
            dt_print(stdout, "\n");
    }
}

void dt_inspect_put_facts(struct dt_json *j, const struct dt_model *m)
{
    dt_json_name(j, "name");
    dt_json_text_n(j, m->name, m->name_length);
    dt_json_name(j, "license");
    dt_json_text_n(j, m->license, m->license_length);
    dt_json_name(j, "metadata");
    dt_json_object(j);
    for (uint32_t i = 0; i < m->fact_count; i++) {
        const struct dt_model_fact *f = &m->facts[i];
        char key[DT_PIECE_MAX];
        if (!continues(m, i)) {
            dt_text_clean(key, sizeof key, f->key, f->key_length, DT_TEXT_LINE);
            dt_json_name(j, key);
            if (f->list)
                dt_json_array(j);
        }
        dt_json_text_n(j, f->text, f->length);
        if (f->list && (i + 1 == m->fact_count || !continues(m, i + 1)))
            dt_json_end(j);
    }
    dt_json_end(j);
}

// ---- templates ----

void dt_inspect_print_templates(const struct dt_model *m)
{
    for (uint32_t i = 0; i < m->template_count; i++) {
        char name[128];
        dt_text_clean(name, sizeof name, m->templates[i].name, m->templates[i].name_length,
                      DT_TEXT_LINE);
        dt_print(stdout, "%s%s", i ? ", " : "further chat templates: ", name);
    }
    if (m->template_count)
        dt_print(stdout, "\n");
}

void dt_inspect_put_templates(struct dt_json *j, const struct dt_model *m)
{
    dt_json_name(j, "chat_templates");
    dt_json_object(j);
    for (uint32_t i = 0; i < m->template_count; i++) {
        char name[128];
        dt_text_clean(name, sizeof name, m->templates[i].name, m->templates[i].name_length,
                      DT_TEXT_LINE);
        dt_json_put_uint(j, name, m->templates[i].length);
    }
    dt_json_end(j);
}
