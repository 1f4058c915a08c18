// SPDX-License-Identifier: MIT
// What a Hugging Face folder says for people: the model card's header (README.md), named chat
// templates, and the sampling that generation_config.json suggests.
#include "core/formats/hf_reader.h"

#define HEADER_MOST    (64u << 10)
#define TEMPLATES_MOST 64u

// ---- the model card ----
// Its header is between lines "---" and has lines "key: value"; a value may be a list, [a, b] or
// lines "- a". Nested values are left out.

struct text {
    const char *at;
    size_t n;
};

struct walk {
    struct text header, list; // what follows; what is left of [a, b]
    bool commas;              // `list` is one
    bool inside;              // lines "- a" belong to the key
};

static struct text trimmed(const char *at, size_t n)
{
    while (n && (*at == ' ' || *at == '\t')) {
        at++;
        n--;
    }
    while (n && (at[n - 1] == ' ' || at[n - 1] == '\t' || at[n - 1] == '\r'))
        n--;
    return (struct text){at, n};
}

// Takes the next line.
static bool next_line(struct text *from, struct text *line)
{
    if (!from->n)
        return false;
    const char *end = memchr(from->at, '\n', from->n);
    size_t n = end ? (size_t)(end - from->at) : from->n, used = n + (end != NULL);
    *line = (struct text){from->at, n};
    from->at += used;
    from->n -= used;
    return true;
}

static struct text header_of(const struct dt_model_part *card)
{
    struct text all = {card ? (const char *)card->bytes : "", card ? card->n : 0}, line, out;
    all.n = all.n < HEADER_MOST ? all.n : HEADER_MOST;
    if (!next_line(&all, &line) || !dt_read_is(line.at, trimmed(line.at, line.n).n, "---"))
        return (struct text){all.at, 0};
    out = (struct text){all.at, 0};
    while (next_line(&all, &line)) {
        if (dt_read_is(line.at, trimmed(line.at, line.n).n, "---"))
            return out;
        out.n = (size_t)(line.at + line.n - out.at);
    }
    return (struct text){out.at, 0}; // it does not end
}

// A scalar without its quotes, or without a comment; n 0: there is none, or a nested value.
static struct text scalar(struct text t)
{
    t = trimmed(t.at, t.n);
    if (t.n >= 2 && (t.at[0] == '"' || t.at[0] == '\'') && t.at[t.n - 1] == t.at[0])
        return (struct text){t.at + 1, t.n - 2};
    for (size_t i = 0; i + 1 < t.n; i++) {
        if (t.at[i] == ' ' && t.at[i + 1] == '#')
            return trimmed(t.at, i);
        if (t.at[i] == ':' && t.at[i + 1] == ' ')
            return (struct text){t.at, 0};
    }
    bool nested = t.n && (t.at[0] == '|' || t.at[0] == '>' || t.at[0] == '{' || t.at[0] == '[');
    return nested ? (struct text){t.at, 0} : t;
}

// Finds a key; its first values follow.
static bool find_key(struct text header, const char *key, struct walk *w)
{
    size_t n = strlen(key);
    struct text line;
    while (next_line(&header, &line))
        if (line.n > n && memcmp(line.at, key, n) == 0 && line.at[n] == ':') {
            struct text value = trimmed(line.at + n + 1, line.n - n - 1);
            *w = (struct walk){.header = header, .list = value, .inside = !value.n};
            w->commas = value.n >= 2 && value.at[0] == '[' && value.at[value.n - 1] == ']';
            if (w->commas)
                w->list = (struct text){value.at + 1, value.n - 2};
            return true;
        }
    return false;
}

// The next item of a key's value.
static bool next_item(struct walk *w, struct text *item)
{
    while (w->list.n) {
        const char *comma = w->commas ? memchr(w->list.at, ',', w->list.n) : NULL;
        size_t n = comma ? (size_t)(comma - w->list.at) : w->list.n, used = n + (comma != NULL);
        *item = scalar((struct text){w->list.at, n});
        w->list.at += used;
        w->list.n -= used;
        if (item->n)
            return true;
    }
    struct text line;
    while (w->inside && next_line(&w->header, &line)) {
        struct text t = trimmed(line.at, line.n);
        if (t.n && line.at[0] != ' ' && t.at[0] != '-' && t.at[0] != '#')
            w->inside = false; // the next key
        if (t.n < 2 || t.at[0] != '-' || t.at[1] != ' ')
            continue;
        *item = scalar((struct text){t.at + 2, t.n - 2});
        if (item->n && w->inside)
            return true;
    }
    return false;
}

// Finds the first value of one of some keys.
static struct text first_of(struct text header, const char *const *keys)
{
    struct walk w;
    struct text item;
    for (; *keys; keys++)
        if (find_key(header, *keys, &w) && next_item(&w, &item))
            return item;
    return (struct text){NULL, 0};
}

// Writes the facts of a card to out, or only counts them.
static uint32_t read_facts(struct text header, struct dt_model_fact *out)
{
    static const struct {
        const char *key;
        bool list;
        const char *from[4];
    } rows[] = {
        {"general.author", false, {"author", "model_author", "model_creator"}},
        {"general.version", false, {"version", "model_version"}},
        {"general.organization", false, {"organization", "model_organization"}},
        {"general.description", false, {"description", "model_description"}},
        {"general.finetune", false, {"finetune", "model_finetune"}},
        {"general.basename", false, {"basename", "model_basename"}},
        {"general.size_label", false, {"size_label", "model_size_label"}},
        {"general.quantized_by", false, {"quantized_by"}},
        {"general.license.name", false, {"license_name"}},
        {"general.license.link", false, {"license_link"}},
        {"general.source.url", false, {"url", "model_url"}},
        {"general.source.repo_url", false, {"repo_url", "model_repo_url"}},
        {"general.source.doi", false, {"doi", "model_doi"}},
        {"general.tags", true, {"tags", "pipeline_tag"}},
        {"general.languages", true, {"languages", "language"}},
        {"general.base_model", true, {"base_model", "base_models"}},
        {"general.dataset", true, {"datasets", "dataset"}},
    };
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0, found = 0; k < 4 && rows[i].from[k]; k++) {
            struct walk w;
            struct text item;
            if (!find_key(header, rows[i].from[k], &w) || (found && !rows[i].list))
                continue;
            while (count < DT_FACTS_MAX && next_item(&w, &item)) {
                if (out)
                    out[count] = (struct dt_model_fact){.key = rows[i].key,
                                                        .key_length = strlen(rows[i].key),
                                                        .text = item.at,
                                                        .length = item.n,
                                                        .list = rows[i].list};
                count++;
                found++;
                if (!rows[i].list)
                    break;
            }
        }
    return count;
}

// _name_or_path without the folder, unless it is a path.
static struct text name_of_config(const struct dt_hf_reader *r)
{
    struct dt_json_value v = dt_json_find(r->config, "_name_or_path");
    struct text out = {NULL, 0};
    size_t slashes = 0;
    if (!dt_json_is_text(v) || v.n < 3 || memchr(v.at, '\\', v.n) || v.at[1] == '/' ||
        v.at[1] == '.' || v.at[v.n - 2] == '/')
        return out;
    out = (struct text){v.at + 1, v.n - 2};
    for (size_t i = 0; i < v.n - 2; i++)
        if (v.at[1 + i] == '/') {
            slashes++;
            out = (struct text){v.at + 2 + i, v.n - 3 - i};
        }
    return slashes <= 1 ? out : (struct text){NULL, 0};
}

// ---- templates ----

static const char additional[] = "additional_chat_templates/", ending[] = ".jinja";

static const char *name_of_template(const struct dt_model_part *part, size_t *n)
{
    size_t length = strlen(part->name), tail = sizeof ending - 1, head = sizeof additional - 1;
    const char *slash = NULL;
    for (const char *c = part->name; *c; c++)
        slash = *c == '/' ? c : slash;
    if (!slash || length < tail || strcmp(part->name + length - tail, ending) != 0 ||
        (size_t)(slash + 1 - part->name) < head || memcmp(slash + 1 - head, additional, head) != 0)
        return NULL;
    *n = (size_t)(part->name + length - tail - (slash + 1));
    return slash + 1;
}

bool dt_hf_is_template(const struct dt_model_part *part)
{
    size_t n;
    return name_of_template(part, &n) != NULL;
}

// The text of a JSON string in the arena; NULL when measuring.
static const char *copy_text(const struct dt_hf_reader *r, struct dt_json_value v, size_t *n)
{
    char *text = dt_arena_alloc(r->arena, v.n, 1);
    *n = text ? dt_json_text_of(v, text) : 0;
    return text;
}

// Files of the folder additional_chat_templates, and the items of chat_template that are not
// "default". With out NULL they are counted.
static uint32_t read_templates(const struct dt_hf_reader *r, struct dt_model_template *out)
{
    struct dt_json_value list = dt_json_find(r->tokenizer_config, "chat_template"), key, item;
    struct dt_json_walk walk = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->count && count < TEMPLATES_MOST; i++) {
        struct dt_model_template t = {.text = (const char *)r->parts[i].bytes,
                                      .length = r->parts[i].n};
        t.name = name_of_template(&r->parts[i], &t.name_length);
        if (t.name && out)
            out[count] = t;
        count += t.name != NULL;
    }
    while (list.n && list.at[0] == '[' && count < TEMPLATES_MOST &&
           dt_json_next(list, &walk, &key, &item)) {
        struct dt_json_value name = dt_json_find(item, "name"),
                             text = dt_json_find(item, "template");
        if (!dt_json_is_text(name) || !dt_json_is_text(text) || dt_json_is(name, "\"default\""))
            continue;
        if (out || r->measuring) {
            struct dt_model_template t;
            t.name = copy_text(r, name, &t.name_length);
            t.text = copy_text(r, text, &t.length);
            if (out)
                out[count] = t;
        }
        count++;
    }
    return count;
}

// ---- sampling ----

static void read_hints(const struct dt_hf_reader *r)
{
    struct dt_model_hints *h = &r->model->hints;
    const struct {
        const char *key;
        double least, most;
        float *out;
    } rows[] = {
        {"temperature", 0, 100, &h->temperature},
        {"top_p", 0, 1, &h->top_p},
        {"top_k", 0, DT_MAX_VOCAB, &h->top_k},
        {"min_p", 0, 1, &h->min_p},
        {"repetition_penalty", 0.01, 100, &h->repeat_penalty},
    };
    double value;
    if (dt_json_is(dt_json_find(r->generation, "do_sample"), "false"))
        return; // transformers takes the likeliest token then, and has the others by mistake
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dt_json_number_of(dt_json_find(r->generation, rows[i].key), &value) &&
            value >= rows[i].least && value <= rows[i].most)
            *rows[i].out = (float)value;
}

dt_status dt_hf_read_metadata(const struct dt_hf_reader *r)
{
    static const char *const names[] = {"model_name", "name", NULL};
    static const char *const licenses[] = {"license", NULL};
    struct dt_model *m = r->model;
    struct text header = header_of(r->card);
    struct text name = first_of(header, names), license = first_of(header, licenses);
    uint32_t facts = read_facts(header, NULL);
    struct dt_model_fact *fact = dt_arena_alloc(r->arena, facts, sizeof *fact);
    struct dt_hf_reader counting = *r;
    counting.measuring = false;
    uint32_t templates = read_templates(&counting, NULL);
    struct dt_model_template *template = dt_arena_alloc(r->arena, templates, sizeof *template);
    if (r->measuring) {
        read_templates(r, NULL); // the texts
        return DT_OK;
    }
    if ((facts && !fact) || (templates && !template))
        return dt_error_set(r->err, DT_NO_MEMORY, r->config_name, "its metadata needs %zu bytes",
                            facts * sizeof *fact + templates * sizeof *template);
    if (!name.n)
        name = name_of_config(r);
    m->name = name.n ? name.at : NULL;
    m->name_length = name.n;
    m->license = license.n ? license.at : NULL;
    m->license_length = license.n;
    m->facts = fact;
    m->fact_count = read_facts(header, fact);
    m->templates = template;
    m->template_count = templates ? read_templates(r, template) : 0;
    read_hints(r);
    return DT_OK;
}
