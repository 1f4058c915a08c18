// SPDX-License-Identifier: MIT
#include "core/structure.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/format.h"

// ---- the table ----

#define B(slot) (1ull << DT_SLOT_##slot)

#define ATTENTION   (B(QUERY) | B(KEY) | B(VALUE) | B(OUTPUT))
#define GATED       (B(GATE) | B(UP) | B(DOWN))
#define PRE_NORMS   (B(ATTENTION_NORM) | B(FFN_NORM))
#define POST_NORMS  (B(POST_ATTENTION_NORM) | B(POST_FFN_NORM))
#define QK_NORMS    (B(QUERY_NORM) | B(KEY_NORM))
#define MODEL       (B(EMBEDDING) | B(FINAL_NORM))
#define LLAMA       (ATTENTION | GATED | PRE_NORMS | MODEL)
#define QKV_BIASES  (B(QUERY_BIAS) | B(KEY_BIAS) | B(VALUE_BIAS))
#define FFN_BIASES  (B(GATE_BIAS) | B(UP_BIAS) | B(DOWN_BIAS))
#define BIASES      (QKV_BIASES | B(OUTPUT_BIAS) | FFN_BIASES)
#define LONG_ROPE   (B(ROPE_LONG) | B(ROPE_SHORT))
#define NORM_BIASES (B(ATTENTION_NORM_BIAS) | B(FFN_NORM_BIAS) | B(FINAL_NORM_BIAS))
#define GPT                                                                                        \
    (ATTENTION | B(OUTPUT_BIAS) | B(UP) | B(UP_BIAS) | B(DOWN) | B(DOWN_BIAS) | PRE_NORMS |        \
     NORM_BIASES | B(POSITIONS) | MODEL)
// what a file of any architecture may have
#define ANY (B(CLASSIFIER) | B(ROPE_FACTORS) | B(ROPE_TABLES) | B(QKV) | B(QKV_BIAS))

static const struct dt_structure table[] = {
    {
        // Mistral, SmolLM2, Falcon3 and DeepSeek-Coder too
        .name = "llama",
        .hf = {"llama", "mistral"},
        .needs = LLAMA,
        .may = BIASES,
        .gguf_rope = DT_ROPE_PAIRS,
        .hf_rope = DT_ROPE_HALVES,
    },
    {
        .name = "qwen2",
        .hf = {"qwen2"},
        .needs = LLAMA,
        .may = BIASES,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
    },
    {
        .name = "qwen3",
        .hf = {"qwen3"},
        .needs = LLAMA | QK_NORMS,
        .may = BIASES,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
        .qk_norm = DT_QK_NORM_HEADS,
    },
    {
        .name = "smollm3",
        .hf = {"smollm3"},
        .needs = LLAMA,
        .may = BIASES,
        .gguf_rope = DT_ROPE_PAIRS,
        .hf_rope = DT_ROPE_HALVES,
        .nope_every = 4,
        .hf_tied = true,
    },
    {
        .name = "ernie4_5",
        .hf = {"ernie4_5"},
        .needs = LLAMA,
        .may = BIASES,
        .gguf_rope = DT_ROPE_PAIRS,
        .hf_rope = DT_ROPE_PAIRS,
        .hf_tied = true,
        .base_named = true,
    },
    {
        .name = "exaone",
        .hf = {"exaone"},
        .needs = LLAMA,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
        .hf_names = DT_HF_EXAONE,
    },
    {
        .name = "hunyuan-dense",
        .hf = {"hunyuan_v1_dense"},
        .needs = LLAMA | QK_NORMS,
        .may = BIASES,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
        .qk_norm = DT_QK_NORM_HEADS_AFTER,
        .hf_names = DT_HF_HUNYUAN,
    },
    {
        .name = "granite",
        .hf = {"granite"},
        .needs = LLAMA,
        .may = BIASES,
        .rope_switch = true,
        .gguf_rope = DT_ROPE_PAIRS,
        .hf_rope = DT_ROPE_HALVES,
        .numbers = DT_NUMBER_SCALES,
    },
    {
        // Granite 4 without state-space layers and experts; as GGUF it is a granite
        .name = "granite",
        .hf = {"granitemoehybrid"},
        .needs = LLAMA,
        .may = BIASES | B(GATE_UP),
        .rope_switch = true,
        .gguf_rope = DT_ROPE_PAIRS,
        .hf_rope = DT_ROPE_HALVES,
        .hf_names = DT_HF_SHARED_MLP,
        .numbers = DT_NUMBER_SCALES,
    },
    {
        .name = "minicpm",
        .hf = {"minicpm"},
        .needs = LLAMA,
        .may = BIASES | LONG_ROPE,
        .gguf_rope = DT_ROPE_PAIRS,
        .hf_rope = DT_ROPE_HALVES,
        .numbers = DT_NUMBER_SCALES,
        .embedding_scale = 12,
        .residual_depth = 1.4f,
        .logit_width = 256,
        .hf_tied = true,
    },
    {
        .name = "olmo2",
        .hf = {"olmo2"},
        .needs = (LLAMA & ~PRE_NORMS) | POST_NORMS | QK_NORMS,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
        .qk_norm = DT_QK_NORM_WHOLE,
        .whole_attention = true, // OLMo-3 has windows, and scales RoPE in the other layers only
        .hf_names = DT_HF_SANDWICH,
    },
    {
        .name = "phi3",
        .hf = {"phi3"},
        .needs = LLAMA,
        .may = B(QKV) | B(GATE_UP) | LONG_ROPE,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
    },
    {
        .name = "gemma",
        .hf = {"gemma"},
        .needs = LLAMA,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
        .activation = DT_ACTIVATION_GELU,
        .scaled_embedding = true,
        .hf_norm_plus_one = true,
        .hf_tied = true,
    },
    {
        .name = "gemma2",
        .hf = {"gemma2"},
        .needs = LLAMA | POST_NORMS,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
        .activation = DT_ACTIVATION_GELU,
        .hf_names = DT_HF_SANDWICH,
        .numbers = DT_NUMBER_CAPS,
        .window = 4096,
        .window_every = 2,
        .attention_cap = 50,
        .logit_cap = 30,
        .wide_layers = 46,
        .scaled_embedding = true,
        .hf_norm_plus_one = true,
        .hf_tied = true,
    },
    {
        .name = "gemma3",
        .hf = {"gemma3_text"},
        .needs = LLAMA | POST_NORMS | QK_NORMS,
        .gguf_rope = DT_ROPE_HALVES,
        .hf_rope = DT_ROPE_HALVES,
        .activation = DT_ACTIVATION_GELU,
        .qk_norm = DT_QK_NORM_HEADS,
        .hf_names = DT_HF_SANDWICH,
        .numbers = DT_NUMBER_CAPS,
        .window_every = 6,
        .local_base = 10000,
        .wide_layers = 62,
        .scaled_embedding = true,
        .hf_norm_plus_one = true,
        .hf_tied = true,
    },
    {
        .name = "gpt2",
        .hf = {"gpt2"},
        .needs = GPT | QKV_BIASES,
        .may = B(QKV) | B(QKV_BIAS),
        .norm = DT_NORM_LAYER,
        .activation = DT_ACTIVATION_GELU,
        .hf_names = DT_HF_GPT2,
        .plain_ffn = true,
        .no_rope = true,
        .hf_columns = true,
        .hf_tied = true,
    },
    {
        // the architecture's name in GGUF is duotale's own
        .name = "gptneo",
        .hf = {"gpt_neo"},
        .needs = GPT,
        .norm = DT_NORM_LAYER,
        .activation = DT_ACTIVATION_GELU,
        .hf_names = DT_HF_GPT_NEO,
        .window_every = 2,
        .window_phase = 1,
        .plain_ffn = true,
        .no_rope = true,
        .unscaled_scores = true,
        .hf_tied = true,
    },
};

// ---- look-up ----

#define COUNT(list) (sizeof(list) / sizeof *(list))

const struct dt_structure *dt_structure_find(const char *name, size_t n)
{
    for (size_t i = 0; i < COUNT(table); i++)
        if (dt_read_is(name, n, table[i].name))
            return &table[i];
    return NULL;
}

const struct dt_structure *dt_structure_find_hf(const char *model_type, size_t n)
{
    for (size_t i = 0; i < COUNT(table); i++)
        for (size_t k = 0; k < COUNT(table[i].hf) && table[i].hf[k]; k++)
            if (dt_read_is(model_type, n, table[i].hf[k]))
                return &table[i];
    return NULL;
}

void dt_structure_list(bool hf, char *out, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < COUNT(table); i++)
        for (size_t k = 0; k < (hf ? COUNT(table[i].hf) : 1); k++) {
            const char *name = hf ? table[i].hf[k] : table[i].name;
            bool again = !hf && dt_structure_find(name, strlen(name)) != &table[i];
            if (name && !again && at < size)
                at += dt_format(out + at, size - at, "%s%s", at ? ", " : "", name);
        }
}

const char *dt_structure_lacks(const char *name, size_t n)
{
    static const struct {
        const char *begin; // of the name
        const char *lacks;
    } known[] = {
        {"arctic", "mixture of experts"},
        {"bert", "an encoder"},
        {"nomic-bert", "an encoder"},
        {"bitnet", "ternary weights"},
        {"bloom", "ALiBi positions"},
        {"mpt", "ALiBi positions"},
        {"clip", "an encoder of images"},
        {"chatglm", "fused feed-forward matrices with interleaved partial RoPE"},
        {"command-r", "parallel blocks"},
        {"cohere", "parallel blocks"},
        {"dbrx", "mixture of experts"},
        {"deepseek2", "latent attention"},
        {"deepseek_v", "latent attention"},
        {"exaone4", "layers without RoPE between windowed ones"},
        {"falcon-h1", "state-space layers"},
        {"falcon_h1", "state-space layers"},
        {"falcon", "parallel blocks"},
        {"gemma3n", "per-layer embeddings"},
        {"gptneox", "parallel blocks"},
        {"gpt_neox", "parallel blocks"},
        {"gptj", "parallel blocks"},
        {"gpt-oss", "mixture of experts"},
        {"gpt_oss", "mixture of experts"},
        {"granitehybrid", "state-space layers"},
        {"granitemoe", "mixture of experts"},
        {"jamba", "state-space layers"},
        {"lfm2", "short convolutions"},
        {"llama4", "mixture of experts"},
        {"mamba", "state-space layers"},
        {"minicpm3", "latent attention"},
        {"mixtral", "mixture of experts"},
        {"olmoe", "mixture of experts"},
        {"openelm", "layers of different widths"},
        {"phi2", "parallel blocks"},
        {"phimoe", "mixture of experts"},
        {"phi", "parallel blocks"},
        {"plamo", "parallel blocks"},
        {"qwen2moe", "mixture of experts"},
        {"qwen2_moe", "mixture of experts"},
        {"qwen3moe", "mixture of experts"},
        {"qwen3_moe", "mixture of experts"},
        {"qwen3next", "linear attention"},
        {"qwen3_next", "linear attention"},
        {"rwkv", "recurrent layers"},
        {"stablelm", "layer norms with RoPE"},
        {"starcoder", "layer norms with RoPE, or multi-query attention with learned positions"},
        {"t5", "an encoder"},
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        size_t begin = strlen(known[i].begin);
        if (n >= begin && memcmp(name, known[i].begin, begin) == 0)
            return known[i].lacks;
    }
    return NULL;
}

bool dt_structure_needs(const struct dt_structure *s, enum dt_slot slot)
{
    return s->needs >> slot & 1;
}

bool dt_structure_has(const struct dt_structure *s, enum dt_slot slot)
{
    return (s->needs | s->may | ANY) >> slot & 1;
}

// ---- layers ----

void dt_structure_set_numbers(struct dt_hparams *hp)
{
    const struct dt_structure *s = hp->structure;
    hp->embedding_scale = s->scaled_embedding ? sqrtf((float)hp->dim) : s->embedding_scale;
    hp->residual_scale = s->residual_depth / sqrtf((float)hp->layers);
    hp->logit_scale = s->logit_width / (float)hp->dim;
    hp->attention_cap = s->attention_cap;
    hp->logit_cap = s->logit_cap;
    hp->attention_divisor = s->unscaled_scores ? 1 : 0;
    if (s->wide_layers && hp->layers == s->wide_layers)
        hp->attention_divisor = sqrtf((float)hp->dim / (float)hp->heads);
    hp->rope_base_local = hp->window ? s->local_base : 0;
}

static bool windowed_by_rule(const struct dt_structure *s, uint32_t layer)
{
    return !(s->window_every && (layer + 1 + s->window_phase) % s->window_every == 0);
}

void dt_structure_set_window(struct dt_model *m, uint32_t layer, bool windowed)
{
    struct dt_layer *l = &m->layers[layer];
    l->window = windowed ? m->hp.window : 0;
    if (l->rope != DT_LAYER_ROPE_NONE)
        l->rope = windowed && m->hp.rope_base_local > 0 ? DT_LAYER_ROPE_LOCAL : DT_LAYER_ROPE;
}

static bool without_rope(const struct dt_structure *s, uint32_t layer)
{
    return s->no_rope || (s->nope_every && (layer + 1) % s->nope_every == 0);
}

bool dt_structure_usual_windows(const struct dt_model *m)
{
    for (uint32_t l = 0; l < m->hp.layers; l++) {
        bool windowed = m->hp.window && windowed_by_rule(m->hp.structure, l);
        if (windowed != (m->layers[l].window > 0))
            return false;
    }
    return true;
}

bool dt_structure_usual_ropes(const struct dt_model *m)
{
    for (uint32_t l = 0; l < m->hp.layers; l++)
        if (without_rope(m->hp.structure, l) != (m->layers[l].rope == DT_LAYER_ROPE_NONE))
            return false;
    return true;
}

void dt_structure_set_layers(struct dt_model *m)
{
    const struct dt_hparams *hp = &m->hp;
    const struct dt_structure *s = hp->structure;
    for (uint32_t l = 0; m->layers && l < hp->layers; l++) {
        m->layers[l].rope = without_rope(s, l) ? DT_LAYER_ROPE_NONE : DT_LAYER_ROPE;
        dt_structure_set_window(m, l, hp->window && windowed_by_rule(s, l));
    }
}

// Rows [first, first + rows) of w.
static struct dt_matrix rows_of(const struct dt_matrix *w, uint32_t first, uint32_t rows)
{
    struct dt_matrix part = *w;
    part.rows = rows;
    part.quants = (const unsigned char *)w->quants + first * w->row_stride;
    if (w->scales)
        part.scales = (const unsigned char *)w->scales + first * w->scale_row_stride;
    part.bytes = w->bytes / w->rows * rows;
    return part;
}

void dt_structure_split(struct dt_model *m)
{
    const struct dt_hparams *hp = &m->hp;
    uint32_t queries = hp->heads * hp->head_size, keys = hp->kv_heads * hp->head_size;
    for (uint32_t i = 0; i < hp->layers; i++) {
        struct dt_layer *l = &m->layers[i];
        if (l->qkv.rows) {
            l->query = rows_of(&l->qkv, 0, queries);
            l->key = rows_of(&l->qkv, queries, keys);
            l->value = rows_of(&l->qkv, queries + keys, keys);
        }
        if (l->qkv_bias) {
            l->query_bias = l->qkv_bias;
            l->key_bias = l->qkv_bias + queries;
            l->value_bias = l->qkv_bias + queries + keys;
        }
        if (l->gate_up.rows) {
            l->gate = rows_of(&l->gate_up, 0, hp->hidden);
            l->up = rows_of(&l->gate_up, hp->hidden, hp->hidden);
        }
    }
}
