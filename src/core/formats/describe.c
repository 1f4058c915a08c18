// SPDX-License-Identifier: MIT
#include "core/formats/describe.h"

#include <string.h>

#include "base/format.h"
#include "base/text.h"
#include "core/formats/llama2c.h"
#include "core/formats/open_model.h"
#include "core/structure.h"

static void add_name(struct dt_described_names *names, const char *name, size_t n)
{
    if (names->count < DT_DESCRIBED_NAMES)
        dt_text_clean(names->name[names->count], DT_DESCRIBED_NAME, name, n, DT_TEXT_LINE);
    names->count++;
}

void dt_describe_type(struct dt_description *d, const char *type, uint64_t values, uint64_t bytes)
{
    uint32_t i = 0;
    while (i < d->types && strcmp(d->type[i].name, type) != 0)
        i++;
    if (i == DT_DESCRIBED_TYPES)
        return;
    if (i == d->types) {
        dt_format(d->type[i].name, sizeof d->type[i].name, "%s", type);
        d->types++;
    }
    d->type[i].tensors++;
    d->type[i].values += values;
    d->type[i].bytes += bytes;
}

void dt_describe_tensor(struct dt_description *d, struct dt_described_slots *slots,
                        const struct dt_slot_names *names, const char *name, size_t n,
                        uint64_t rows)
{
    const struct dt_hparams *hp = &d->model.hp;
    int64_t layer;
    enum dt_slot slot = dt_slot_find(names, name, n, &layer);
    if (slot == DT_SLOT_GATE_UP && rows != 2 * (uint64_t)hp->hidden)
        slot = DT_SLOT_UP;
    if (slot == DT_SLOT_COUNT || !dt_structure_has(hp->structure, slot) ||
        layer >= (int64_t)hp->layers) {
        add_name(&d->unknown, name, n);
        return;
    }
    uint64_t bits = 1ull << slot;
    if (slot == DT_SLOT_QKV)
        bits |= 1ull << DT_SLOT_QUERY | 1ull << DT_SLOT_KEY | 1ull << DT_SLOT_VALUE;
    if (slot == DT_SLOT_QKV_BIAS)
        bits |= 1ull << DT_SLOT_QUERY_BIAS | 1ull << DT_SLOT_KEY_BIAS | 1ull << DT_SLOT_VALUE_BIAS;
    if (slot == DT_SLOT_GATE_UP)
        bits |= 1ull << DT_SLOT_GATE | 1ull << DT_SLOT_UP;
    *(layer < 0 ? &slots->model : &slots->layer[layer]) |= bits;
}

void dt_describe_missing(struct dt_description *d, struct dt_described_slots *slots,
                         const struct dt_slot_names *names)
{
    const struct dt_hparams *hp = &d->model.hp;
    char name[DT_DESCRIBED_NAME];
    for (int s = DT_SLOT_LAYER_END; s < DT_SLOT_COUNT; s++)
        if (dt_structure_needs(hp->structure, (enum dt_slot)s) && !(slots->model >> s & 1)) {
            dt_slot_name(names, (enum dt_slot)s, 0, name, sizeof name);
            add_name(&d->missing, name, strlen(name));
        }
    for (uint32_t l = 0; l < hp->layers; l++)
        for (int s = 0; s < DT_SLOT_LAYER_END; s++)
            if (dt_structure_needs(hp->structure, (enum dt_slot)s) && !(slots->layer[l] >> s & 1)) {
                dt_slot_name(names, (enum dt_slot)s, l, name, sizeof name);
                add_name(&d->missing, name, strlen(name));
            }
}

void dt_describe_no_vocabulary(struct dt_vocab *v)
{
    *v = (struct dt_vocab){.kind = DT_VOCAB_NONE};
    v->bos = v->eos = v->unknown = v->eot = v->pad = DT_NO_TOKEN;
}

static void llama2c(const struct dt_model_part *part, struct dt_description *out)
{
    struct dt_llama2c_header h;
    struct dt_hparams *hp = &out->model.hp;
    out->format = dt_model_recognise(part->bytes, part->n);
    if (!out->format || dt_llama2c_read_header(part->bytes, part->n, NULL, &h, NULL))
        return;
    dt_format(out->architecture, sizeof out->architecture, "llama");
    out->supported = true;
    hp->dim = h.dim;
    hp->hidden = h.hidden;
    hp->layers = h.layers;
    hp->heads = h.heads;
    hp->kv_heads = h.kv_heads;
    hp->head_size = h.dim / h.heads;
    hp->vocab = h.vocab;
    hp->context = h.context;
}

static void describe(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                     struct dt_description *out)
{
    if (count && parts[0].n >= 4 && memcmp(parts[0].bytes, "GGUF", 4) == 0) {
        dt_gguf_describe(parts, count, arena, out);
        return;
    }
    dt_hf_describe(parts, count, arena, out);
    if (out && !out->format && count)
        llama2c(&parts[0], out);
}

size_t dt_model_describe_measure(const struct dt_model_part *parts, uint32_t count)
{
    struct dt_arena counting = dt_arena_over(NULL, 0);
    describe(parts, count, &counting, NULL);
    return counting.used;
}

void dt_model_describe(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                       struct dt_description *out)
{
    memset(out, 0, sizeof *out);
    dt_describe_no_vocabulary(&out->model.vocab);
    describe(parts, count, arena, out);
    if (out->model.vocab.kind != DT_VOCAB_NONE)
        dt_vocab_find_ends(&out->model.vocab);
}
