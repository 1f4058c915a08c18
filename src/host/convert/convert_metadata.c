// SPDX-License-Identifier: MIT
// Metadata of a GGUF file that says nothing to duotale, but to people and other programs: authors,
// tags, more chat templates, special tokens.
#include <stdlib.h>
#include <string.h>

#include "core/formats/gguf.h"
#include "host/convert/convert_keys.h"

// FNV-1a.
static uint64_t hash(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

void dt_gguf_keys_note(struct dt_gguf_keys *k, const char *name, size_t n)
{
    if (k->written_count < DT_GGUF_MAX_KEYS)
        k->written[k->written_count++] = hash(name, n);
}

static bool is_written(const struct dt_gguf_keys *k, const struct dt_gguf_value *v)
{
    uint64_t wanted = hash(v->key, v->key_length);
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

void dt_gguf_key_metadata(struct dt_gguf_keys *k, const struct dt_model *m)
{
    struct dt_gguf *g = m->gguf_bytes ? malloc(sizeof *g) : NULL;
    if (m->gguf_bytes && !g)
        k->bytes.failed = true;
    if (!g || dt_gguf_read(g, m->gguf_bytes, m->gguf_size, NULL, NULL)) {
        free(g);
        return;
    }
    for (uint32_t i = 0; i < g->keys; i++) {
        const struct dt_gguf_value *v = &g->key[i];
        if (is_of_the_file(v) || is_written(k, v))
            continue;
        // the bytes of the file, from the length of the key on
        const char *from = (const char *)v->key - 8;
        (void)dt_string_buffer_append(&k->bytes, from,
                                      (size_t)((const char *)v->data + v->bytes - from));
        k->count++;
    }
    free(g);
}
