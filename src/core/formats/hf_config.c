// SPDX-License-Identifier: MIT
// Reads config.json of a Hugging Face folder. A member that changes the computation is computed, or
// refused by name.
#include <math.h>

#include "core/formats/hf_reader.h"

#define SHOWN(v) (v).n < 40 ? (int)(v).n : 40, (v).n ? (v).at : "missing"

// The first member of config.json with one of these names; null is absent.
static struct dt_json_value member(const struct dt_hf_reader *r, const char *const *names)
{
    struct dt_json_value v = {0};
    for (; *names; names++) {
        v = dt_json_find(r->config, *names);
        if (v.n && !dt_json_is(v, "null"))
            return v;
    }
    return (struct dt_json_value){0};
}

static bool given(const struct dt_hf_reader *r, const char *key)
{
    return member(r, (const char *const[]){key, NULL}).n > 0;
}

static bool is_true(const struct dt_hf_reader *r, const char *key)
{
    return dt_json_is(dt_json_find(r->config, key), "true");
}

// An integer from 1 to `most`. Messages have the first name.
static dt_status number(const struct dt_hf_reader *r, const char *const *names, uint32_t most,
                        bool required, uint32_t *out)
{
    struct dt_json_value v = member(r, names);
    uint64_t value;
    if (!v.n)
        return required
                   ? dt_error_set(r->err, DT_BAD_INPUT, r->config_name, "%s is missing", names[0])
                   : DT_OK;
    if (!dt_json_uint_of(v, &value) || value < 1 || value > most)
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name, "%s is %.*s; expected 1 to %u",
                            names[0], SHOWN(v), most);
    *out = (uint32_t)value;
    return DT_OK;
}

static dt_status real(const struct dt_hf_reader *r, struct dt_json_value from, const char *key,
                      double least, double most, float *out)
{
    struct dt_json_value v = dt_json_find(from, key);
    double value;
    if (!v.n || dt_json_is(v, "null"))
        return DT_OK;
    if (!dt_json_number_of(v, &value) || !(value >= least && value <= most))
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name, "%s is %.*s; expected %g to %g",
                            key, SHOWN(v), least, most);
    *out = (float)value;
    return DT_OK;
}

// ---- RoPE ----

// Llama 3.1's RoPE scaling, as published with the model: long waves are slowed by `factor`, short
// ones not at all, and those between in proportion.
static dt_status llama3_factors(const struct dt_hf_reader *r, struct dt_json_value scaling,
                                float factor)
{
    struct dt_hparams *hp = &r->model->hp;
    float low = 1, high = 4, original = 8192;
    dt_status status;
    if ((status = real(r, scaling, "low_freq_factor", 1e-3, 1e6, &low)) ||
        (status = real(r, scaling, "high_freq_factor", 1e-3, 1e6, &high)) ||
        (status = real(r, scaling, "original_max_position_embeddings", 1, 1e9, &original)))
        return status;
    if (!(high > low))
        return dt_error_set(
            r->err, DT_BAD_INPUT, r->config_name,
            "rope_scaling.high_freq_factor is %g; expected more than low_freq_factor %g",
            (double)high, (double)low);
    float *factors = dt_arena_alloc(r->arena, hp->rotated / 2, sizeof *factors);
    for (uint32_t i = 0; factors && i < hp->rotated / 2; i++) {
        double wave = 6.283185307179586 * pow((double)hp->rope_base, 2.0 * i / hp->rotated);
        double smooth = ((double)original / wave - (double)low) / ((double)high - (double)low);
        smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        factors[i] = (float)(1 / ((1 - smooth) / (double)factor + smooth));
    }
    hp->rope_factors = factors;
    return DT_OK;
}

static float yarn_attention(float factor, float weight)
{
    return factor > 1 ? 0.1f * weight * logf(factor) + 1 : 1;
}

static dt_status read_yarn(const struct dt_hf_reader *r, struct dt_json_value scaling, float factor)
{
    struct dt_hparams *hp = &r->model->hp;
    float mscale = 0, all = 0, original = (float)hp->context;
    dt_status status;
    hp->rope_scaling = DT_ROPE_YARN;
    hp->rope_factor = factor;
    hp->rope_beta_fast = 32;
    hp->rope_beta_slow = 1;
    if ((status = real(r, scaling, "beta_fast", 1e-3, 1e6, &hp->rope_beta_fast)) ||
        (status = real(r, scaling, "beta_slow", 1e-3, 1e6, &hp->rope_beta_slow)) ||
        (status = real(r, scaling, "mscale", 0, 1e3, &mscale)) ||
        (status = real(r, scaling, "mscale_all_dim", 0, 1e3, &all)) ||
        (status = real(r, scaling, "original_max_position_embeddings", 1, 1e9, &original)))
        return status;
    if (dt_json_is(dt_json_find(scaling, "truncate"), "false"))
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "rope_scaling.truncate is false; expected true");
    hp->rope_original = (uint32_t)original;
    hp->rope_attention = mscale > 0 && all > 0
                             ? yarn_attention(factor, mscale) / yarn_attention(factor, all)
                             : yarn_attention(factor, 1);
    return real(r, scaling, "attention_factor", 1e-3, 1e3, &hp->rope_attention);
}

// One list of LongRoPE's divisors.
static dt_status long_factors(const struct dt_hf_reader *r, struct dt_json_value scaling,
                              const char *key, const float **out)
{
    struct dt_json_value list = dt_json_find(scaling, key), name, item;
    struct dt_json_walk walk = {0};
    uint32_t half = r->model->hp.rotated / 2, i = 0;
    if (dt_json_count(list) != half || list.at[0] != '[')
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name,
                            "rope_scaling.%s has %zu items; expected %u numbers", key,
                            dt_json_count(list), half);
    float *factors = dt_arena_alloc(r->arena, half, sizeof *factors);
    for (; dt_json_next(list, &walk, &name, &item); i++) {
        double value;
        if (!dt_json_number_of(item, &value) || !(value > 0 && value < 1e9))
            return dt_error_set(r->err, DT_BAD_INPUT, r->config_name,
                                "rope_scaling.%s: item %u is %.*s; expected a positive number", key,
                                i, SHOWN(item));
        if (factors)
            factors[i] = (float)value;
    }
    *out = factors;
    return DT_OK;
}

static dt_status read_long(const struct dt_hf_reader *r, struct dt_json_value scaling, float factor)
{
    struct dt_hparams *hp = &r->model->hp;
    float original = 0;
    dt_status status;
    hp->rope_scaling = DT_ROPE_LONG;
    if ((status = real(r, scaling, "original_max_position_embeddings", 2, 1e9, &original)) ||
        (status = real(r, r->config, "original_max_position_embeddings", 2, 1e9, &original)) ||
        (status = long_factors(r, scaling, "long_factor", &hp->rope_long)) ||
        (status = long_factors(r, scaling, "short_factor", &hp->rope_short)))
        return status;
    if (original > 0)
        factor = (float)hp->context / original;
    else
        original = (float)hp->context;
    hp->rope_original = (uint32_t)original;
    hp->rope_attention = factor > 1 ? sqrtf(1 + logf(factor) / logf(original)) : 1;
    return real(r, scaling, "attention_factor", 1e-3, 1e3, &hp->rope_attention);
}

// Hunyuan's base for a longer context: base * alpha^(d / (d - 2)).
static dt_status read_alpha(const struct dt_hf_reader *r, struct dt_json_value scaling)
{
    struct dt_hparams *hp = &r->model->hp;
    float alpha = 1;
    dt_status status = real(r, scaling, "alpha", 1e-3, 1e9, &alpha);
    if (!status && hp->head_size > 2)
        hp->rope_base = (float)((double)hp->rope_base *
                                pow((double)alpha, hp->head_size / (hp->head_size - 2.0)));
    return status;
}

static dt_status read_scaling(const struct dt_hf_reader *r, struct dt_json_value scaling)
{
    struct dt_hparams *hp = &r->model->hp;
    float factor = 1;
    dt_status status;
    struct dt_json_value type = dt_json_find(scaling, "rope_type");
    if (!type.n)
        type = dt_json_find(scaling, "type");
    if ((status = real(r, scaling, "factor", 1e-3, 1e6, &factor)))
        return status;
    if (dt_json_is(type, "\"llama3\""))
        return llama3_factors(r, scaling, factor);
    if (dt_json_is(type, "\"yarn\""))
        return read_yarn(r, scaling, factor);
    if (dt_json_is(type, "\"longrope\"") || dt_json_is(type, "\"su\""))
        return read_long(r, scaling, factor);
    if (dt_json_is(type, "\"dynamic\"") && hp->structure->hf_names == DT_HF_HUNYUAN)
        return read_alpha(r, scaling);
    if (dt_json_is(type, "\"linear\""))
        hp->rope_scale = 1.0f / factor;
    else if (!dt_json_is(type, "\"default\""))
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "rope_scaling type is %.*s; expected linear, llama3, yarn or longrope",
                            SHOWN(type));
    return DT_OK;
}

// rope_theta and rope_scaling, or rope_parameters, which has both in one object, or in one object
// for each kind of layers.
static dt_status read_rope(const struct dt_hf_reader *r)
{
    struct dt_hparams *hp = &r->model->hp;
    struct dt_json_value parameters = dt_json_find(r->config, "rope_parameters");
    struct dt_json_value local = dt_json_find(parameters, "sliding_attention");
    struct dt_json_value scaling = dt_json_find(r->config, "rope_scaling");
    float partial = 1;
    dt_status status;
    hp->rope_base = 10000.0f;
    hp->rope_scale = 1.0f;
    if (hp->structure->no_rope)
        return DT_OK;
    if (dt_json_find(parameters, "full_attention").n)
        parameters = dt_json_find(parameters, "full_attention");
    if ((status = real(r, r->config, "rope_theta", 1, 1e12, &hp->rope_base)) ||
        (status = real(r, parameters, "rope_theta", 1, 1e12, &hp->rope_base)) ||
        (status = real(r, r->config, "partial_rotary_factor", 1e-3, 1, &partial)) ||
        (status = real(r, parameters, "partial_rotary_factor", 1e-3, 1, &partial)) ||
        (status = real(r, r->config, "rope_local_base_freq", 1, 1e12, &hp->rope_base_local)) ||
        (status = real(r, local, "rope_theta", 1, 1e12, &hp->rope_base_local)))
        return status;
    if (!hp->window)
        hp->rope_base_local = 0;
    hp->rotated = (uint32_t)((float)hp->head_size * partial);
    if (!hp->rotated || hp->rotated % 2)
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name,
                            "partial_rotary_factor is %g: %u of %u channels; expected an even "
                            "number of them",
                            (double)partial, hp->rotated, hp->head_size);
    if (scaling.n && !dt_json_is(scaling, "null"))
        return read_scaling(r, scaling);
    if (dt_json_find(parameters, "rope_type").n)
        return read_scaling(r, parameters);
    return DT_OK;
}

// ---- scales, caps, windows ----

static dt_status refuse_others(const struct dt_hf_reader *r)
{
    static const struct {
        const char *key;
        uint32_t numbers; // a structure with these computes it
        double neutral;
    } keys[] = {
        {"embedding_multiplier", DT_NUMBER_SCALES, 1},
        {"residual_multiplier", DT_NUMBER_SCALES, 1},
        {"attention_multiplier", DT_NUMBER_SCALES, 0},
        {"logits_scaling", DT_NUMBER_SCALES, 1},
        {"logit_scale", 0, 1},
        {"scale_emb", DT_NUMBER_SCALES, 1},
        {"scale_depth", DT_NUMBER_SCALES, 0},
        {"dim_model_base", DT_NUMBER_SCALES, 0},
        {"attn_logit_softcapping", DT_NUMBER_CAPS, 0},
        {"final_logit_softcapping", DT_NUMBER_CAPS, 0},
        {"num_local_experts", 0, 1},
        {"num_experts", 0, 1},
        {"n_routed_experts", 0, 1},
        {"moe_num_experts", 0, 1},
        {"clip_qkv", 0, 0},
        {"compression_ratio", 0, 1}, // of positions
    };
    static const char *const flags[] = {"use_parallel_residual",
                                        "parallel_attn",
                                        "alibi",
                                        "use_cla",
                                        "scale_attn_by_inverse_layer_idx",
                                        "is_encoder_decoder",
                                        "add_cross_attention",
                                        "use_bidirectional_attention"};
    uint32_t numbers = r->model->hp.structure->numbers;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct dt_json_value v = dt_json_find(r->config, keys[i].key);
        double value;
        if (!(keys[i].numbers & numbers) && dt_json_number_of(v, &value) &&
            value != keys[i].neutral && value != 0)
            return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                                "%s is %.*s, which duotale does not compute for a %s model; "
                                "expected %g",
                                keys[i].key, SHOWN(v), r->model->architecture, keys[i].neutral);
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (is_true(r, flags[i]))
            return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                                "%s is true, which duotale does not compute; expected false",
                                flags[i]);
    return DT_OK;
}

static dt_status read_numbers(const struct dt_hf_reader *r)
{
    struct dt_hparams *hp = &r->model->hp;
    const struct dt_structure *s = hp->structure;
    float attention = 0, logits = 0, depth = 0, base = 0, scalar = 0;
    struct dt_json_value cap = dt_json_find(r->config, "attn_logit_softcapping");
    dt_status status = refuse_others(r);
    if (status)
        return status;
    if (s->whole_attention && hp->window)
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "sliding_window is %u, which duotale does not compute for a %s model",
                            hp->window, r->model->architecture);
    if (dt_json_is(dt_json_find(r->config, "scale_attn_weights"), "false"))
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "scale_attn_weights is false; expected true");
    dt_structure_set_numbers(hp);
    if ((s->numbers & DT_NUMBER_SCALES) &&
        ((status = real(r, r->config, "embedding_multiplier", 0, 1e6, &hp->embedding_scale)) ||
         (status = real(r, r->config, "scale_emb", 0, 1e6, &hp->embedding_scale)) ||
         (status = real(r, r->config, "residual_multiplier", 0, 1e6, &hp->residual_scale)) ||
         (status = real(r, r->config, "attention_multiplier", 0, 1e6, &attention)) ||
         (status = real(r, r->config, "logits_scaling", 0, 1e6, &logits)) ||
         (status = real(r, r->config, "scale_depth", 0, 1e6, &depth)) ||
         (status = real(r, r->config, "dim_model_base", 0, 1e6, &base))))
        return status;
    if (attention > 0)
        hp->attention_divisor = 1 / attention;
    if (logits > 0)
        hp->logit_scale = 1 / logits;
    if (depth > 0)
        hp->residual_scale = depth / sqrtf((float)hp->layers);
    if (base > 0)
        hp->logit_scale = base / (float)hp->dim;
    if (!(s->numbers & DT_NUMBER_CAPS))
        return DT_OK;
    if (dt_json_is(cap, "null"))
        hp->attention_cap = 0;
    if (dt_json_is(dt_json_find(r->config, "final_logit_softcapping"), "null"))
        hp->logit_cap = 0;
    if ((status = real(r, r->config, "attn_logit_softcapping", 0, 1e6, &hp->attention_cap)) ||
        (status = real(r, r->config, "final_logit_softcapping", 0, 1e6, &hp->logit_cap)) ||
        (status = real(r, r->config, "query_pre_attn_scalar", 1e-3, 1e6, &scalar)))
        return status;
    if (scalar > 0)
        hp->attention_divisor = sqrtf(scalar);
    return DT_OK;
}

static dt_status read_window(const struct dt_hf_reader *r)
{
    struct dt_hparams *hp = &r->model->hp;
    static const char *const names[] = {"sliding_window", "window_size", NULL};
    dt_status status = DT_OK;
    if (!dt_json_find(r->config, names[0]).n)
        hp->window = hp->structure->window;
    if (!dt_json_is(dt_json_find(r->config, "use_sliding_window"), "false"))
        status = number(r, names, UINT32_MAX, false, &hp->window);
    if (hp->window >= hp->context) // the window of every position is whole
        hp->window = hp->structure->local_base > 0 ? hp->context : 0;
    return status;
}

// One item of a list with a value for each layer; GPT-Neo's attention_types has lists of such items
// with a number of repetitions.
static dt_status set_layer(const struct dt_hf_reader *r, uint32_t layer, struct dt_json_value item)
{
    struct dt_model *m = r->model;
    if (layer >= m->hp.layers)
        return DT_OK;
    bool windowed = dt_json_is(item, "\"sliding_attention\"") || dt_json_is(item, "\"local\"");
    if (!windowed && !dt_json_is(item, "\"full_attention\"") && !dt_json_is(item, "\"global\""))
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "layer_types: the attention of layer %u is %.*s; expected "
                            "full_attention or sliding_attention",
                            layer, SHOWN(item));
    if (m->hp.window)
        dt_structure_set_window(m, layer, windowed);
    return DT_OK;
}

static dt_status read_layer_types(const struct dt_hf_reader *r)
{
    static const char *const names[] = {"layer_types", "attention_layers", NULL};
    struct dt_json_value list = member(r, names), key, item;
    struct dt_json_value types = dt_json_find(r->config, "attention_types");
    struct dt_json_walk walk = {0};
    uint32_t layer = 0;
    dt_status status = DT_OK;
    while (dt_json_next(list, &walk, &key, &item) && !status)
        status = set_layer(r, layer++, item);
    walk = (struct dt_json_walk){0};
    while (!list.n && dt_json_next(types, &walk, &key, &item)) {
        struct dt_json_walk pair = {0}, each;
        struct dt_json_value kinds = {0}, times = {0}, kind;
        uint64_t count = 0;
        dt_json_next(item, &pair, &key, &kinds);
        dt_json_next(item, &pair, &key, &times);
        if (!dt_json_uint_of(times, &count) || count > DT_MAX_LAYERS)
            return dt_error_set(r->err, DT_BAD_INPUT, r->config_name,
                                "attention_types has %.*s; expected lists and repetitions",
                                SHOWN(item));
        for (; count && !status; count--) {
            each = (struct dt_json_walk){0};
            while (dt_json_next(kinds, &each, &key, &kind) && !status)
                status = set_layer(r, layer++, kind);
        }
    }
    return status;
}

dt_status dt_hf_read_layers(const struct dt_hf_reader *r)
{
    struct dt_model *m = r->model;
    struct dt_json_value list = dt_json_find(r->config, "no_rope_layers"), key, item;
    struct dt_json_walk walk = {0};
    uint32_t every = 0, first = 0, layer = 0;
    dt_status status;
    dt_structure_set_layers(m);
    if ((status = number(r, (const char *const[]){"sliding_window_pattern", NULL}, DT_MAX_LAYERS,
                         false, &every)) ||
        (status = number(r, (const char *const[]){"max_window_layers", NULL}, UINT32_MAX, false,
                         &first)))
        return status;
    for (uint32_t l = 0; m->hp.window && l < m->hp.layers; l++) {
        if (every)
            dt_structure_set_window(m, l, (l + 1) % every != 0);
        if (first && is_true(r, "use_sliding_window"))
            dt_structure_set_window(m, l, l >= first);
    }
    for (; m->hp.structure->nope_every && dt_json_next(list, &walk, &key, &item); layer++)
        if (layer < m->hp.layers)
            m->layers[layer].rope = dt_json_is(item, "0") ? DT_LAYER_ROPE_NONE : DT_LAYER_ROPE;
    // check_dense has read those of Granite 4
    return m->hp.structure->hf_names == DT_HF_SHARED_MLP ? DT_OK : read_layer_types(r);
}

// ---- sizes ----

static dt_status read_heads(const struct dt_hf_reader *r)
{
    struct dt_hparams *hp = &r->model->hp;
    static const char *const heads[] = {"num_attention_heads", "n_head", "num_heads", NULL};
    static const char *const size[] = {"head_dim", NULL};
    dt_status status;
    if ((status = number(r, heads, DT_MAX_HEADS, true, &hp->heads)))
        return status;
    hp->kv_heads = hp->heads;
    if ((status = number(r, (const char *const[]){"num_key_value_heads", NULL}, DT_MAX_HEADS, false,
                         &hp->kv_heads)))
        return status;
    if (hp->kv_heads > hp->heads || hp->heads % hp->kv_heads)
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name,
                            "num_attention_heads is %u, not a multiple of num_key_value_heads %u",
                            hp->heads, hp->kv_heads);
    if (!given(r, "head_dim") && hp->dim % hp->heads)
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name,
                            "hidden_size is %u, not a multiple of num_attention_heads %u", hp->dim,
                            hp->heads);
    hp->head_size = hp->dim / hp->heads;
    if ((status = number(r, size, DT_MAX_DIM, false, &hp->head_size)))
        return status;
    if (!hp->head_size || hp->head_size % 2 || (uint64_t)hp->head_size * hp->heads > 4 * DT_MAX_DIM)
        return dt_error_set(
            r->err, DT_BAD_INPUT, r->config_name,
            "%u heads of %u channels: expected an even number of channels and at most %u in all",
            hp->heads, hp->head_size, 4 * DT_MAX_DIM);
    return DT_OK;
}

static dt_status read_structure(const struct dt_hf_reader *r)
{
    struct dt_json_value type = dt_json_find(r->config, "model_type");
    const struct dt_structure *s =
        dt_json_is_text(type) ? dt_structure_find_hf(type.at + 1, type.n - 2) : NULL;
    char known[512];
    if (s) {
        r->model->architecture = s->name;
        r->model->hp.structure = s;
        r->model->hp.rope_style = s->hf_rope;
        return DT_OK;
    }
    const char *lacks = dt_json_is_text(type) ? dt_structure_lacks(type.at + 1, type.n - 2) : NULL;
    dt_structure_list(true, known, sizeof known);
    return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                        "model_type is %.*s (%s%s); expected one of %s", SHOWN(type),
                        lacks ? "not supported: " : "unknown", lacks ? lacks : "", known);
}

// Of Granite 4's structure duotale has what is as in Granite 3: attention in every layer, with
// RoPE, and no experts. What a member that is missing means is another structure.
static dt_status check_dense(const struct dt_hf_reader *r)
{
    struct dt_json_value types = dt_json_find(r->config, "layer_types"),
                         positions = dt_json_find(r->config, "position_embedding_type"),
                         experts = dt_json_find(r->config, "num_local_experts"),
                         norm = dt_json_find(r->config, "normalization_function"), key, item;
    struct dt_json_walk walk = {0};
    size_t layers = 0;
    uint64_t count = UINT64_MAX;
    while (dt_json_next(types, &walk, &key, &item)) {
        if (!dt_json_is(item, "\"attention\""))
            return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                                "layer %zu is %.*s (layer_types); of Granite 4 duotale computes "
                                "the models with attention in every layer",
                                layers, SHOWN(item));
        layers++;
    }
    if (layers != r->model->hp.layers)
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "layer_types has %zu layers of %u; those without a type are "
                            "state-space layers",
                            layers, r->model->hp.layers);
    if (!dt_json_uint_of(experts, &count) || count)
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "num_local_experts is %.*s; mixtures of experts are not supported",
                            SHOWN(experts));
    if (!dt_json_is(positions, "\"rope\""))
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "position_embedding_type is %.*s; expected rope", SHOWN(positions));
    if (norm.n && !dt_json_is(norm, "\"rmsnorm\""))
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "normalization_function is %.*s; expected rmsnorm", SHOWN(norm));
    return DT_OK;
}

static dt_status check_activation(const struct dt_hf_reader *r)
{
    static const char *const names[] = {"hidden_activation", "hidden_act", "activation_function",
                                        NULL};
    struct dt_json_value act = member(r, names);
    bool silu = r->model->hp.structure->activation == DT_ACTIVATION_SILU;
    if (!act.n || (silu && dt_json_is(act, "\"silu\"")))
        return DT_OK;
    if (!silu && (dt_json_is(act, "\"gelu_new\"") || dt_json_is(act, "\"gelu_pytorch_tanh\"") ||
                  // Gemma's first files say gelu and mean the one with tanh
                  (dt_json_is(act, "\"gelu\"") && r->model->hp.structure->scaled_embedding)))
        return DT_OK;
    return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name, "hidden_act is %.*s; expected %s",
                        SHOWN(act), silu ? "silu" : "gelu_new or gelu_pytorch_tanh");
}

dt_status dt_hf_read_config(const struct dt_hf_reader *r)
{
    static const char *const dim[] = {"hidden_size", "n_embd", NULL};
    static const char *const usual[] = {"intermediate_size", "n_inner", NULL};
    static const char *const shared[] = {"shared_intermediate_size", NULL};
    static const char *const layers[] = {"num_hidden_layers", "n_layer", "num_layers", NULL};
    static const char *const context[] = {"max_position_embeddings", "n_positions", NULL};
    struct dt_hparams *hp = &r->model->hp;
    dt_status status;
    if ((status = read_structure(r)) || (status = check_activation(r)))
        return status;
    bool plain = hp->structure->plain_ffn, dense = hp->structure->hf_names == DT_HF_SHARED_MLP;
    const char *const *hidden = dense ? shared : usual;
    hp->norm_epsilon = plain ? 1e-5f : 1e-6f;
    if ((status = number(r, dim, DT_MAX_DIM, true, &hp->dim)))
        return status;
    hp->hidden = 4 * hp->dim; // what null means to GPT-2 and GPT-Neo
    if ((status = number(r, hidden, DT_MAX_HIDDEN, !plain, &hp->hidden)) ||
        (status = number(r, layers, DT_MAX_LAYERS, true, &hp->layers)) ||
        (status = number(r, (const char *const[]){"vocab_size", NULL}, DT_MAX_VOCAB, true,
                         &hp->vocab)) ||
        (status = number(r, context, UINT32_MAX, true, &hp->context)) ||
        (status = real(r, r->config, "layer_norm_epsilon", 0, 1, &hp->norm_epsilon)) ||
        (status = real(r, r->config, "rms_norm_eps", 0, 1, &hp->norm_epsilon)) ||
        (dense && (status = check_dense(r))) || (status = read_heads(r)))
        return status;
    hp->context = hp->context < DT_MAX_CONTEXT ? hp->context : DT_MAX_CONTEXT;
    struct dt_json_value tied = dt_json_find(r->config, "tie_word_embeddings");
    hp->tied = tied.n ? dt_json_is(tied, "true") : hp->structure->hf_tied;
    if ((status = read_window(r)) || (status = read_numbers(r)))
        return status;
    return read_rope(r);
}
