// SPDX-License-Identifier: MIT
// Metadata that says nothing to duotale, but to people and other programs: authors, tags, more chat
// templates, special tokens. Keys of a GGUF source are copied, those of a folder are written.
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/format.h"
#include "base/hash.h"
#include "core/formats/gguf.h"
#include "host/convert/convert_keys.h"

#define SOURCES_MOST 16u // a file has at most DT_GGUF_MAX_KEYS keys

void dt_gguf_keys_note(struct dt_gguf_keys *k, const char *name, size_t n)
{
    if (k->written_count < DT_GGUF_MAX_KEYS)
        k->written[k->written_count++] = dt_hash(DT_HASH_BEGIN, name, n);
}

static bool is_written(const struct dt_gguf_keys *k, const void *name, size_t n)
{
    uint64_t wanted = dt_hash(DT_HASH_BEGIN, name, n);
    for (uint32_t i = 0; i < k->written_count; i++)
        if (k->written[i] == wanted)
            return true;
    return false;
}

// Keys that describe the source file itself, or are written only where the target needs them.
static bool is_of_the_file(const struct dt_gguf_value *v)
{
    static const char *const prefixes[] = {"split.", "duotale.packed.", "duotale.tokenizer."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (v->key_length >= n && memcmp(v->key, prefixes[i], n) == 0)
            return true;
    }
    return false;
}

// ---- what a folder says ----

static void key_text(struct dt_gguf_keys *k, const char *name, const char *text, size_t n)
{
    dt_gguf_key_begin(k, name, DT_GGUF_STRING);
    dt_gguf_put_string(&k->bytes, text, n);
}

// A model or data set that this one is made of, "OWNER/NAME": GGUF numbers them.
static void put_source(struct dt_gguf_keys *k, const struct dt_model_fact *f, uint32_t i)
{
    char name[DT_GGUF_MAX_KEY];
    const char *slash = memchr(f->text, '/', f->length);
    size_t owner = slash ? (size_t)(slash - f->text) : 0, skip = slash ? owner + 1 : 0;
    bool address = dt_read_find(f->text, f->length, "://", 3) != NULL;
    dt_format(name, sizeof name, "%.*s.%u.%s", (int)f->key_length, f->key, i,
              address ? "repo_url" : "name");
    if (address)
        skip = owner = 0;
    key_text(k, name, f->text + skip, f->length - skip);
    if (!owner)
        return;
    dt_format(name, sizeof name, "%.*s.%u.organization", (int)f->key_length, f->key, i);
    key_text(k, name, f->text, owner);
}

static void put_list(struct dt_gguf_keys *k, const struct dt_model_fact *f, uint32_t count)
{
    char name[DT_GGUF_MAX_KEY];
    bool sources = dt_read_is(f->key, f->key_length, "general.base_model") ||
                   dt_read_is(f->key, f->key_length, "general.dataset");
    dt_format(name, sizeof name, "%.*s%s", (int)f->key_length, f->key, sources ? ".count" : "");
    if (sources) {
        count = count < SOURCES_MOST ? count : SOURCES_MOST;
        dt_gguf_key_u32(k, name, count);
        for (uint32_t i = 0; i < count; i++)
            put_source(k, &f[i], i);
        return;
    }
    dt_gguf_key_begin(k, name, DT_GGUF_ARRAY);
    dt_gguf_put_u32(&k->bytes, DT_GGUF_STRING);
    dt_gguf_put_u64(&k->bytes, count);
    for (uint32_t i = 0; i < count; i++)
        dt_gguf_put_string(&k->bytes, f[i].text, f[i].length);
}

static void put_facts(struct dt_gguf_keys *k, const struct dt_model *m)
{
    for (uint32_t i = 0, next; i < m->fact_count; i = next) {
        const struct dt_model_fact *f = &m->facts[i];
        char name[DT_GGUF_MAX_KEY];
        next = i + 1;
        while (f->list && next < m->fact_count && m->facts[next].key_length == f->key_length &&
               memcmp(m->facts[next].key, f->key, f->key_length) == 0)
            next++;
        dt_format(name, sizeof name, "%.*s", (int)f->key_length, f->key);
        if (f->list)
            put_list(k, f, next - i);
        else
            key_text(k, name, f->text, f->length);
    }
}

// Chat templates beside the first one; their names have letters, digits and '_' only.
static void put_templates(struct dt_gguf_keys *k, const struct dt_model *m)
{
    char name[DT_GGUF_MAX_KEY], *names = malloc((size_t)m->template_count * sizeof name + 1);
    k->bytes.failed = k->bytes.failed || !names;
    for (uint32_t i = 0; names && i < m->template_count; i++) {
        const struct dt_model_template *t = &m->templates[i];
        char *clean = names + i * sizeof name;
        size_t n = t->name_length < 64 ? t->name_length : 64;
        for (size_t c = 0; c < n; c++) {
            unsigned char b = (unsigned char)t->name[c], lower = b | 32;
            bool kept = (lower >= 'a' && lower <= 'z') || (b >= '0' && b <= '9');
            clean[c] = kept ? (char)b : '_';
        }
        clean[n] = 0;
        dt_format(name, sizeof name, "tokenizer.chat_template.%s", clean);
        if (n && !is_written(k, name, strlen(name)))
            key_text(k, name, t->text, t->length);
    }
    if (names && m->template_count) {
        dt_gguf_key_begin(k, "tokenizer.chat_templates", DT_GGUF_ARRAY);
        dt_gguf_put_u32(&k->bytes, DT_GGUF_STRING);
        dt_gguf_put_u64(&k->bytes, m->template_count);
        for (uint32_t i = 0; i < m->template_count; i++)
            dt_gguf_put_string(&k->bytes, names + i * sizeof name, strlen(names + i * sizeof name));
    }
    free(names);
}

// ---- what a GGUF file says ----

void dt_gguf_key_metadata(struct dt_gguf_keys *k, const struct dt_model *m)
{
    if (!m->gguf_bytes) {
        put_facts(k, m);
        put_templates(k, m);
        return;
    }
    struct dt_gguf *g = malloc(sizeof *g);
    if (!g)
        k->bytes.failed = true;
    if (!g || dt_gguf_read(g, m->gguf_bytes, m->gguf_size, NULL, NULL)) {
        free(g);
        return;
    }
    for (uint32_t i = 0; i < g->keys; i++) {
        const struct dt_gguf_value *v = &g->key[i];
        if (is_of_the_file(v) || is_written(k, v->key, v->key_length))
            continue;
        // the bytes of the file, from the length of the key on
        const char *from = (const char *)v->key - 8;
        (void)dt_string_buffer_append(&k->bytes, from,
                                      (size_t)((const char *)v->data + v->bytes - from));
        k->count++;
    }
    free(g);
}
