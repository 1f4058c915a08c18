// SPDX-License-Identifier: MIT
#include "core/text/template.h"

#include <string.h>

#include "base/bytes.h"

// For each family the markers that identify it, and the token that ends a turn. The first row whose
// markers are all present is the family.
static const struct family {
    const char *name;
    const char *markers[2];
    const char *turn_end; // NULL: EOS
} families[] = {
    [DT_TEMPLATE_UNKNOWN] = {"unknown", {NULL, NULL}, NULL},
    [DT_TEMPLATE_PLAIN] = {"plain", {NULL, NULL}, NULL},
    [DT_TEMPLATE_LLAMA2] = {"llama2", {"[INST]", "<<SYS>>"}, NULL},
    [DT_TEMPLATE_LLAMA3] = {"llama3", {"<|start_header_id|>", "<|eot_id|>"}, "<|eot_id|>"},
    [DT_TEMPLATE_CHATML] = {"chatml", {"<|im_start|>", "<|im_end|>"}, "<|im_end|>"},
    [DT_TEMPLATE_ZEPHYR] = {"zephyr", {"<|user|>", "<|assistant|>"}, NULL},
    [DT_TEMPLATE_GEMMA] = {"gemma", {"<start_of_turn>", "<end_of_turn>"}, "<end_of_turn>"},
    [DT_TEMPLATE_MISTRAL] = {"mistral", {"[INST]", "[/INST]"}, NULL},
    // has no markers: identified by the comment that data/recipe/export.py writes into it
    [DT_TEMPLATE_STORY] = {"story", {"{# duotale story turns", "eos_token"}, NULL},
};

#define FAMILIES (sizeof families / sizeof *families)

static const char *find(const char *text, size_t n, const char *word)
{
    return dt_read_find(text, n, word, strlen(word));
}

const char *dt_template_name(enum dt_template family)
{
    return families[(size_t)family < FAMILIES ? family : DT_TEMPLATE_UNKNOWN].name;
}

bool dt_template_by_name(const char *name, enum dt_template *out)
{
    for (size_t i = DT_TEMPLATE_PLAIN; i < FAMILIES; i++)
        if (strcmp(name, families[i].name) == 0) {
            *out = (enum dt_template)i;
            return true;
        }
    return false;
}

enum dt_template dt_template_recognise(const char *text, size_t n)
{
    if (!text || !n)
        return DT_TEMPLATE_PLAIN;
    for (size_t i = DT_TEMPLATE_LLAMA2; i < FAMILIES; i++)
        if (find(text, n, families[i].markers[0]) && find(text, n, families[i].markers[1]))
            // Phi has Zephyr's markers, but another one ends a turn.
            return i == DT_TEMPLATE_ZEPHYR && find(text, n, "<|end|>") ? DT_TEMPLATE_UNKNOWN
                                                                       : (enum dt_template)i;
    return DT_TEMPLATE_UNKNOWN;
}

const char *dt_template_default_system(const char *text, size_t n, size_t *length)
{
    static const char open[] = "<|im_start|>system\\n"; // as Jinja writes a newline
    if (!text)
        return NULL;
    const char *end = text + n;
    for (const char *p = text; p && (p = find(p, (size_t)(end - p), open));) {
        p += sizeof open - 1;
        const char *close = find(p, (size_t)(end - p), "<|im_end|>");
        if (!close)
            break;
        size_t found = (size_t)(close - p);
        if (found && !memchr(p, '\'', found) && !memchr(p, '{', found) && !memchr(p, '\\', found)) {
            *length = found;
            return p;
        }
    }
    return NULL;
}

// ---- turns ----

struct pieces {
    struct dt_template_piece *out;
    size_t count;
};

static void put_n(struct pieces *p, const char *text, size_t length, bool marker)
{
    if (length)
        p->out[p->count++] = (struct dt_template_piece){text, length, marker};
}

static void put(struct pieces *p, const char *text)
{
    put_n(p, text, strlen(text), false);
}

static void mark(struct pieces *p, const char *marker)
{
    put_n(p, marker, strlen(marker), true);
}

static void chatml(struct pieces *p, const char *role, const char *text, size_t length)
{
    mark(p, "<|im_start|>");
    put(p, role);
    put(p, "\n");
    put_n(p, text, length, false);
    mark(p, "<|im_end|>");
    put(p, "\n");
}

static void llama3(struct pieces *p, const char *role, const char *text, size_t length)
{
    mark(p, "<|start_header_id|>");
    put(p, role);
    mark(p, "<|end_header_id|>");
    put(p, "\n\n");
    put_n(p, text, length, false);
    mark(p, "<|eot_id|>");
}

static void zephyr(struct pieces *p, const char *role, const char *text, size_t length)
{
    mark(p, role);
    put(p, "\n");
    put_n(p, text, length, false);
    mark(p, "</s>");
    put(p, "\n");
}

size_t dt_template_turn(enum dt_template family, bool first, const char *system,
                        size_t system_length, const char *user, size_t user_length,
                        struct dt_template_piece *out)
{
    struct pieces p = {out, 0};
    bool with_system = first && system && system_length;
    switch (family) {
    case DT_TEMPLATE_UNKNOWN:
    case DT_TEMPLATE_PLAIN:
        if (with_system) {
            put_n(&p, system, system_length, false);
            put(&p, "\n\n");
        }
        put_n(&p, user, user_length, false);
        put(&p, "\n");
        break;
    case DT_TEMPLATE_STORY: // has no system turn: the model is not trained on one
        put_n(&p, user, user_length, false);
        put(&p, "\n\n");
        break;
    case DT_TEMPLATE_LLAMA2:
        if (!first)
            mark(&p, "<s>");
        put(&p, "[INST] ");
        if (with_system) {
            put(&p, "<<SYS>>\n");
            put_n(&p, system, system_length, false);
            put(&p, "\n<</SYS>>\n\n");
        }
        put_n(&p, user, user_length, false);
        put(&p, " [/INST]");
        break;
    case DT_TEMPLATE_LLAMA3:
        if (with_system)
            llama3(&p, "system", system, system_length);
        llama3(&p, "user", user, user_length);
        mark(&p, "<|start_header_id|>");
        put(&p, "assistant");
        mark(&p, "<|end_header_id|>");
        put(&p, "\n\n");
        break;
    case DT_TEMPLATE_CHATML:
        if (with_system)
            chatml(&p, "system", system, system_length);
        chatml(&p, "user", user, user_length);
        mark(&p, "<|im_start|>");
        put(&p, "assistant\n");
        break;
    case DT_TEMPLATE_ZEPHYR:
        if (with_system)
            zephyr(&p, "<|system|>", system, system_length);
        zephyr(&p, "<|user|>", user, user_length);
        mark(&p, "<|assistant|>");
        put(&p, "\n");
        break;
    case DT_TEMPLATE_GEMMA: // has no system turn: the prompt is put before the first question
        mark(&p, "<start_of_turn>");
        put(&p, "user\n");
        if (with_system) {
            put_n(&p, system, system_length, false);
            put(&p, "\n\n");
        }
        put_n(&p, user, user_length, false);
        mark(&p, "<end_of_turn>");
        put(&p, "\n");
        mark(&p, "<start_of_turn>");
        put(&p, "model\n");
        break;
    case DT_TEMPLATE_MISTRAL: // the same
        mark(&p, "[INST]");
        put(&p, " ");
        if (with_system) {
            put_n(&p, system, system_length, false);
            put(&p, "\n\n");
        }
        put_n(&p, user, user_length, false);
        put(&p, " ");
        mark(&p, "[/INST]");
        break;
    }
    return p.count;
}

size_t dt_template_close(enum dt_template family, bool ended, struct dt_template_piece *out)
{
    struct pieces p = {out, 0};
    switch (family) {
    case DT_TEMPLATE_UNKNOWN:
    case DT_TEMPLATE_PLAIN:
        put(&p, "\n");
        break;
    case DT_TEMPLATE_STORY:
    case DT_TEMPLATE_LLAMA2:
    case DT_TEMPLATE_MISTRAL:
        if (!ended)
            mark(&p, "</s>");
        break;
    case DT_TEMPLATE_LLAMA3:
        if (!ended)
            mark(&p, "<|eot_id|>");
        break;
    case DT_TEMPLATE_CHATML:
        if (!ended)
            mark(&p, "<|im_end|>");
        put(&p, "\n");
        break;
    case DT_TEMPLATE_ZEPHYR:
        if (!ended)
            mark(&p, "</s>");
        put(&p, "\n");
        break;
    case DT_TEMPLATE_GEMMA:
        if (!ended)
            mark(&p, "<end_of_turn>");
        put(&p, "\n");
        break;
    }
    return p.count;
}

// ---- tokens ----

uint32_t dt_template_marker(const struct dt_vocab *vocab, const char *text, size_t length)
{
    if (!vocab->types) // vocabularies without types have no markers except BOS and EOS
        return DT_NO_TOKEN;
    for (uint32_t id = 0; id < vocab->size; id++) {
        if (vocab->length[id] != length ||
            memcmp(vocab->bytes + vocab->offset[id], text, length) != 0)
            continue;
        enum dt_token_type type = dt_vocab_type(vocab, id);
        if (type == DT_TOKEN_CONTROL || type == DT_TOKEN_USER_DEFINED)
            return id;
    }
    return DT_NO_TOKEN;
}

void dt_template_turn_end(struct dt_vocab *vocab, const char *text, size_t n)
{
    if (vocab->eot != DT_NO_TOKEN || !text || !vocab->offset || !vocab->length)
        return;
    const char *marker = families[dt_template_recognise(text, n)].turn_end;
    if (marker)
        vocab->eot = dt_template_marker(vocab, marker, strlen(marker));
}
