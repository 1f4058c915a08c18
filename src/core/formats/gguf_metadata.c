// SPDX-License-Identifier: MIT
// Reads what a GGUF file says for people, and its chat templates beside the first one.
#include "core/formats/gguf_reader.h"

static bool begins(const struct dt_gguf_value *v, const char *prefix)
{
    size_t n = strlen(prefix);
    return v->key_length > n && memcmp(v->key, prefix, n) == 0;
}

// Whether a key is a text, or a list of texts, about the model as a whole.
static bool is_fact(const struct dt_gguf_value *v)
{
    static const char *const others[] = {"general.architecture", "general.name", "general.license"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (dt_read_is((const char *)v->key, v->key_length, others[i]))
            return false;
    return begins(v, "general.") &&
           (v->type == DT_GGUF_STRING || (v->type == DT_GGUF_ARRAY && v->item == DT_GGUF_STRING));
}

static uint32_t items_of(const struct dt_gguf_value *v)
{
    return v->type != DT_GGUF_ARRAY ? 1 : v->count < DT_FACTS_MAX ? (uint32_t)v->count : 0;
}

static const char template_key[] = "tokenizer.chat_template.";

static bool is_template(const struct dt_gguf_value *v)
{
    return begins(v, template_key) && v->type == DT_GGUF_STRING;
}

static uint32_t put_fact(struct dt_model_fact *fact, const struct dt_gguf_value *v)
{
    const unsigned char *p = v->data;
    for (uint32_t k = 0; k < items_of(v); k++) {
        size_t n = v->type == DT_GGUF_ARRAY ? (size_t)dt_read_u64(p) : v->bytes;
        p += v->type == DT_GGUF_ARRAY ? 8 : 0;
        fact[k] = (struct dt_model_fact){.key = (const char *)v->key,
                                         .key_length = v->key_length,
                                         .text = (const char *)p,
                                         .length = n,
                                         .list = v->type == DT_GGUF_ARRAY};
        p += n;
    }
    return items_of(v);
}

dt_status dt_gguf_read_metadata(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_model *m = r->model;
    uint32_t facts = 0, templates = 0;
    for (uint32_t i = 0; i < g->keys; i++) {
        if (is_fact(&g->key[i]) && facts + items_of(&g->key[i]) <= DT_FACTS_MAX)
            facts += items_of(&g->key[i]);
        templates += is_template(&g->key[i]);
    }
    struct dt_model_fact *fact = dt_arena_alloc(r->arena, facts, sizeof *fact);
    struct dt_model_template *template = dt_arena_alloc(r->arena, templates, sizeof *template);
    if (r->measuring)
        return DT_OK;
    if ((facts && !fact) || (templates && !template))
        return dt_error_set(r->err, DT_NO_MEMORY, g->name, "its metadata needs %zu bytes",
                            facts * sizeof *fact + templates * sizeof *template);
    m->facts = fact;
    m->templates = template;
    for (uint32_t i = 0; i < g->keys; i++) {
        const struct dt_gguf_value *v = &g->key[i];
        if (is_fact(v) && m->fact_count + items_of(v) <= facts)
            m->fact_count += put_fact(fact + m->fact_count, v);
        if (is_template(v))
            template[m->template_count++] = (struct dt_model_template){
                .name = (const char *)v->key + sizeof template_key - 1,
                .name_length = v->key_length - (sizeof template_key - 1),
                .text = (const char *)v->data,
                .length = v->bytes,
            };
    }
    return DT_OK;
}
