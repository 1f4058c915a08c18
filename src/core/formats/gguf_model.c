// SPDX-License-Identifier: MIT
// Reads a model from GGUF files: hyperparameters from the keys, and all files of a split model.
#include <math.h>

#include "base/format.h"
#include "core/formats/foreign.h"
#include "core/formats/gguf_reader.h"
#include "core/text/template.h"

// ---- hyperparameters ----

static const char *arch_key(const struct dt_gguf_reader *r, char out[DT_GGUF_MAX_KEY],
                            const char *suffix)
{
    dt_format(out, DT_GGUF_MAX_KEY, "%s.%s", r->prefix, suffix);
    return out;
}

static dt_status number(const struct dt_gguf_reader *r, const struct dt_gguf *g, const char *suffix,
                        uint32_t most, bool required, uint32_t *out)
{
    char key[DT_GGUF_MAX_KEY];
    arch_key(r, key, suffix);
    if (required && !dt_gguf_find(g, key))
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "key %s is missing", key);
    return dt_gguf_uint(g, key, 1, most, out, r->err);
}

static dt_status read_architecture(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    static const struct {
        const char *name;
        uint32_t rope_style;
    } known[] = {{"llama", DT_ROPE_PAIRS}, {"qwen2", DT_ROPE_HALVES}};
    const char *name = NULL;
    size_t length = 0;
    dt_status status = dt_gguf_text(g, "general.architecture", &name, &length, r->err);
    if (status)
        return status;
    if (!name)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "key general.architecture is missing");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (dt_read_is(name, length, known[i].name)) {
            r->prefix = r->model->architecture = known[i].name;
            r->model->hp.rope_style = known[i].rope_style;
            return DT_OK;
        }
    return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                        "architecture is %.*s; expected llama or qwen2",
                        length < 64 ? (int)length : 64, name);
}

static dt_status read_heads(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    uint32_t experts = 0, value_size;
    char key[DT_GGUF_MAX_KEY];
    dt_status status;
    if ((status = number(r, g, "attention.head_count", DT_MAX_HEADS, true, &hp->heads)))
        return status;
    hp->kv_heads = hp->heads;
    if ((status = number(r, g, "attention.head_count_kv", DT_MAX_HEADS, false, &hp->kv_heads)))
        return status;
    if (hp->kv_heads > hp->heads || hp->heads % hp->kv_heads)
        return dt_error_set(
            r->err, DT_BAD_INPUT, g->name,
            "attention.head_count is %u, not a multiple of attention.head_count_kv %u", hp->heads,
            hp->kv_heads);
    hp->head_size = hp->dim / hp->heads;
    bool given = dt_gguf_find(g, arch_key(r, key, "attention.key_length")) != NULL;
    if (!given && hp->dim % hp->heads)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "embedding_length is %u, not a multiple of attention.head_count %u",
                            hp->dim, hp->heads);
    if ((status = number(r, g, "attention.key_length", DT_MAX_DIM, false, &hp->head_size)))
        return status;
    value_size = hp->head_size;
    if ((status = number(r, g, "attention.value_length", DT_MAX_DIM, false, &value_size)))
        return status;
    if (value_size != hp->head_size)
        return dt_error_set(
            r->err, DT_UNSUPPORTED, g->name,
            "attention.key_length is %u, but value_length is %u; they must be equal", hp->head_size,
            value_size);
    if (hp->head_size % 2 || (uint64_t)hp->head_size * hp->heads > 4 * DT_MAX_DIM)
        return dt_error_set(
            r->err, DT_BAD_INPUT, g->name,
            "%u heads of %u channels: expected an even number of channels and at most %u in all",
            hp->heads, hp->head_size, 4 * DT_MAX_DIM);
    if ((status =
             dt_gguf_uint(g, arch_key(r, key, "expert_count"), 0, UINT32_MAX, &experts, r->err)))
        return status;
    if (experts)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "expert_count is %u; mixtures of experts are not supported", experts);
    return DT_OK;
}

static dt_status read_rope(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    char key[DT_GGUF_MAX_KEY];
    const char *scaling = NULL;
    size_t length = 0;
    float factor = 1;
    dt_status status;
    hp->rope_base = 10000.0f;
    hp->rope_scale = 1.0f;
    hp->rotated = hp->head_size;
    if ((status = number(r, g, "rope.dimension_count", hp->head_size, false, &hp->rotated)) ||
        (status = dt_gguf_float(g, arch_key(r, key, "rope.freq_base"), 1, 1e12, &hp->rope_base,
                                r->err)) ||
        (status =
             dt_gguf_float(g, arch_key(r, key, "rope.scale_linear"), 1e-3, 1e6, &factor, r->err)) ||
        (status = dt_gguf_float(g, arch_key(r, key, "rope.scaling.factor"), 1e-3, 1e6, &factor,
                                r->err)) ||
        (status =
             dt_gguf_text(g, arch_key(r, key, "rope.scaling.type"), &scaling, &length, r->err)))
        return status;
    if (hp->rotated % 2)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "rope.dimension_count is %u; expected an even number", hp->rotated);
    if (scaling && !dt_read_is(scaling, length, "none") && !dt_read_is(scaling, length, "linear") &&
        factor != 1.0f)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "rope.scaling.type is %.*s; expected none or linear",
                            length < 32 ? (int)length : 32, scaling);
    if (!scaling || dt_read_is(scaling, length, "linear"))
        hp->rope_scale = 1.0f / factor;
    return DT_OK;
}

static dt_status read_hparams(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    char key[DT_GGUF_MAX_KEY];
    uint32_t window = 0;
    dt_status status;
    hp->norm_epsilon = 1e-5f;
    if ((status = number(r, g, "context_length", UINT32_MAX, true, &hp->context)) ||
        (status = number(r, g, "embedding_length", DT_MAX_DIM, true, &hp->dim)) ||
        (status = number(r, g, "block_count", DT_MAX_LAYERS, true, &hp->layers)) ||
        (status = number(r, g, "feed_forward_length", DT_MAX_HIDDEN, true, &hp->hidden)) ||
        (status = dt_gguf_float(g, arch_key(r, key, "attention.layer_norm_rms_epsilon"), 0, 1,
                                &hp->norm_epsilon, r->err)) ||
        (status = dt_gguf_uint(g, arch_key(r, key, "attention.sliding_window"), 0, UINT32_MAX,
                               &window, r->err)) ||
        (status = read_heads(r, g)) || (status = read_rope(r, g)))
        return status;
    // A model with sliding-window attention computes the same as others within its window, so the
    // context is limited to it.
    if (window && window < hp->context)
        hp->context = window;
    if (hp->context > DT_MAX_CONTEXT) // an upper limit: less always works
        hp->context = DT_MAX_CONTEXT;
    return DT_OK;
}

static dt_status read_hints(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_model *m = r->model;
    struct dt_model_hints *h = &m->hints;
    dt_status status;
    if ((status = dt_gguf_text(g, "general.name", &m->name, &m->name_length, r->err)) ||
        (status = dt_gguf_text(g, "general.license", &m->license, &m->license_length, r->err)) ||
        (status = dt_gguf_text(g, "tokenizer.chat_template", &m->chat_template,
                               &m->chat_template_length, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.temp", 0, 100, &h->temperature, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.top_p", 0, 1, &h->top_p, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.top_k", 0, DT_MAX_VOCAB, &h->top_k, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.min_p", 0, 1, &h->min_p, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.penalty_repeat", 0.01, 100, &h->repeat_penalty,
                                r->err)) ||
        (status = dt_gguf_text(g, "duotale.opening", &h->opening, &h->opening_length, r->err)) ||
        (status = dt_gguf_uint(g, "duotale.length", 0, DT_MAX_CONTEXT, &h->length, r->err)) ||
        (status = dt_gguf_bool(g, "duotale.chat", &h->chat, r->err)))
        return status;
    return dt_gguf_uint(g, "duotale.packed.group", 1, DT_MAX_DIM, &r->packed_group, r->err);
}

// Copies the name of the layout of packed matrices to the arena, terminated.
static dt_status read_layout(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    const char *layout = NULL;
    size_t length = 0;
    dt_status status = dt_gguf_text(g, "duotale.packed.layout", &layout, &length, r->err);
    if (status || !layout)
        return status;
    if (!length || length > 63)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "duotale.packed.layout has %zu bytes; expected 1 to 63", length);
    char *copy = dt_arena_alloc(r->arena, length + 1, 1);
    r->layout = "";
    if (copy) {
        memcpy(copy, layout, length);
        copy[length] = 0;
        r->layout = copy;
    }
    return DT_OK;
}

// ---- files ----

// Checks that a file is number i of `count`.
static dt_status check_split(const struct dt_gguf_reader *r, const struct dt_gguf *g, uint32_t i,
                             uint32_t count)
{
    uint32_t no = 0, files = 1;
    dt_status status;
    if ((status = dt_gguf_uint(g, "split.count", 0, 65535, &files, r->err)) ||
        (status = dt_gguf_uint(g, "split.no", 0, 65535, &no, r->err)))
        return status;
    if (!files)
        files = 1;
    if (files != count)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "split.count is %u, but %u file%s there",
                            files, count, count == 1 ? " is" : "s are");
    if (no != i)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "split.no is %u; expected %u: give the files of a model in order", no,
                            i);
    return DT_OK;
}

uint32_t dt_gguf_split_count(const unsigned char *bytes, size_t n)
{
    struct dt_gguf g;
    uint32_t count = 1;
    if (dt_gguf_read(&g, bytes, n, NULL, NULL) ||
        dt_gguf_uint(&g, "split.count", 0, 65535, &count, NULL))
        return 0;
    return count ? count : 1;
}

// Reads what the first file says about the whole model.
static dt_status read_first(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_model *m = r->model;
    dt_status status;
    m->format = g->version == 2 ? "GGUF v2" : "GGUF v3";
    if ((status = dt_foreign_check_gguf(g, r->err)) || (status = read_architecture(r, g)) ||
        (status = read_hparams(r, g)) || (status = dt_gguf_read_vocab(r, g)))
        return status;
    if (m->vocab.kind == DT_VOCAB_NONE &&
        (status = number(r, g, "vocab_size", DT_MAX_VOCAB, true, &m->hp.vocab)))
        return status;
    if ((status = read_hints(r, g)) || (status = read_layout(r, g)))
        return status;
    dt_template_turn_end(&m->vocab, m->chat_template, m->chat_template_length);
    m->layers = dt_arena_alloc(r->arena, m->hp.layers, sizeof *m->layers);
    if (m->layers)
        memset(m->layers, 0, m->hp.layers * sizeof *m->layers);
    else if (!r->measuring)
        return dt_error_set(r->err, DT_NO_MEMORY, g->name, "the table of %u layers needs %zu bytes",
                            m->hp.layers, m->hp.layers * sizeof *m->layers);
    return DT_OK;
}

dt_status dt_gguf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                       struct dt_model *out, struct dt_error *err)
{
    struct dt_model dropped = {0};
    dropped.vocab.eot = DT_NO_TOKEN;
    struct dt_gguf_reader r = {.arena = arena,
                               .model = out ? out : &dropped,
                               .err = err,
                               .file = parts[0].name,
                               .measuring = !out};
    uint64_t tensors = 0;
    uint32_t wanted = 0;
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < count && !status; i++) {
        struct dt_gguf g;
        if ((status = dt_gguf_read(&g, parts[i].bytes, parts[i].n, parts[i].name, err)) ||
            (status = check_split(&r, &g, i, count)))
            break;
        if (i == 0 &&
            ((status = read_first(&r, &g)) ||
             (status = dt_gguf_uint(&g, "split.tensors.count", 0, UINT32_MAX, &wanted, err))))
            break;
        tensors += g.tensors;
        status = dt_gguf_place_all(&r, &g);
    }
    if (status || !out)
        return status;
    if (wanted && wanted != tensors)
        return dt_error_set(err, DT_BAD_INPUT, r.file,
                            "split.tensors.count is %u, but the files have %llu tensors", wanted,
                            (unsigned long long)tensors);
    if ((status = dt_gguf_check_complete(&r)))
        return status;
    out->hp.tied = !out->classifier.quants;
    if (out->hp.tied)
        out->classifier = out->embedding;
    return DT_OK;
}
