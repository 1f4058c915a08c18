// SPDX-License-Identifier: MIT
// Reads the hyperparameters of a GGUF file. A key that changes the computation is computed, or
// refused by name.
#include <math.h>

#include "base/format.h"
#include "core/formats/gguf_reader.h"

// Writes a key of the architecture, "llama.SUFFIX", to out; returns it.
static const char *arch_key(const struct dt_gguf_reader *r, char out[DT_GGUF_MAX_KEY],
                            const char *suffix)
{
    dt_format(out, DT_GGUF_MAX_KEY, "%s.%s", r->prefix, suffix);
    return out;
}

dt_status dt_gguf_number(const struct dt_gguf_reader *r, const struct dt_gguf *g,
                         const char *suffix, uint32_t most, bool required, uint32_t *out)
{
    char key[DT_GGUF_MAX_KEY];
    arch_key(r, key, suffix);
    if (required && !dt_gguf_find(g, key))
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "key %s is missing", key);
    return dt_gguf_uint(g, key, 1, most, out, r->err);
}

static dt_status real(const struct dt_gguf_reader *r, const struct dt_gguf *g, const char *suffix,
                      double least, double most, float *out)
{
    char key[DT_GGUF_MAX_KEY];
    return dt_gguf_float(g, arch_key(r, key, suffix), least, most, out, r->err);
}

static dt_status read_heads(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    uint32_t experts = 0, value_size;
    char key[DT_GGUF_MAX_KEY];
    dt_status status;
    if ((status = dt_gguf_number(r, g, "attention.head_count", DT_MAX_HEADS, true, &hp->heads)))
        return status;
    hp->kv_heads = hp->heads;
    if ((status =
             dt_gguf_number(r, g, "attention.head_count_kv", DT_MAX_HEADS, false, &hp->kv_heads)))
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
    if ((status = dt_gguf_number(r, g, "attention.key_length", DT_MAX_DIM, false, &hp->head_size)))
        return status;
    value_size = hp->head_size;
    if ((status = dt_gguf_number(r, g, "attention.value_length", DT_MAX_DIM, false, &value_size)))
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

// ---- RoPE ----

static dt_status read_yarn(struct dt_gguf_reader *r, const struct dt_gguf *g, float factor)
{
    struct dt_hparams *hp = &r->model->hp;
    float extrapolation = 1, attention = 1;
    dt_status status;
    hp->rope_scaling = DT_ROPE_YARN;
    hp->rope_factor = factor;
    hp->rope_beta_fast = 32;
    hp->rope_beta_slow = 1;
    if (!hp->rope_original)
        hp->rope_original = hp->context;
    if ((status = real(r, g, "rope.scaling.yarn_ext_factor", 1, 1, &extrapolation)) ||
        (status = real(r, g, "rope.scaling.yarn_attn_factor", 1e-3, 1e3, &attention)) ||
        (status = real(r, g, "rope.scaling.attn_factor", 1e-3, 1e3, &attention)) ||
        (status = real(r, g, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, &hp->rope_beta_fast)) ||
        (status = real(r, g, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, &hp->rope_beta_slow)))
        return status;
    hp->rope_attention = attention * (1 + 0.1f * logf(factor > 1 ? factor : 1));
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
    if (hp->structure->no_rope) {
        hp->rotated = 0;
        return DT_OK;
    }
    if ((status =
             dt_gguf_text(g, arch_key(r, key, "rope.scaling.type"), &scaling, &length, r->err)))
        return status;
    bool none = scaling && dt_read_is(scaling, length, "none");
    if ((status =
             dt_gguf_number(r, g, "rope.dimension_count", hp->head_size, false, &hp->rotated)) ||
        (status = real(r, g, "rope.freq_base", 1, 1e12, &hp->rope_base)) ||
        (status = real(r, g, "rope.scale_linear", 0, 1e6, &factor)) ||
        (status = real(r, g, "rope.scaling.factor", 0, 1e6, &factor)) ||
        (status = dt_gguf_number(r, g, "rope.scaling.original_context_length", UINT32_MAX, false,
                                 &hp->rope_original)))
        return status;
    if (factor == 0.0f) // no scaling, as in other programs
        factor = 1;
    if (hp->rotated % 2)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "rope.dimension_count is %u; expected an even number", hp->rotated);
    if (scaling && dt_read_is(scaling, length, "yarn"))
        return factor != 1.0f ? read_yarn(r, g, factor) : DT_OK;
    if (!scaling || dt_read_is(scaling, length, "longrope")) // the tensors have the divisors
        if ((status = real(r, g, "rope.scaling.attn_factor", 1e-3, 1e3, &hp->rope_attention)))
            return status;
    if (scaling && !none && !dt_read_is(scaling, length, "linear") &&
        !dt_read_is(scaling, length, "longrope") && factor != 1.0f)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "rope.scaling.type is %.*s; expected none, linear, yarn or longrope",
                            length < 32 ? (int)length : 32, scaling);
    if (!scaling || dt_read_is(scaling, length, "linear"))
        hp->rope_scale = 1.0f / factor;
    return DT_OK;
}

dt_status dt_gguf_check_long_rope(const struct dt_gguf_reader *r)
{
    struct dt_hparams *hp = &r->model->hp;
    if (!hp->rope_long && !hp->rope_short)
        return DT_OK;
    if (!hp->rope_long || !hp->rope_short)
        return dt_error_set(r->err, DT_BAD_INPUT, r->file, "tensor %s is missing",
                            hp->rope_long ? "rope_factors_short.weight"
                                          : "rope_factors_long.weight");
    if (hp->rope_scaling == DT_ROPE_YARN || hp->rope_scale != 1.0f)
        return dt_error_set(r->err, DT_BAD_INPUT, r->file,
                            "rope_factors_long.weight exists beside rope.scaling.type; expected "
                            "one of them");
    hp->rope_scaling = DT_ROPE_LONG;
    if (!hp->rope_original)
        hp->rope_original = hp->context;
    return DT_OK;
}

// ---- scales, caps and windows ----

// The value of a key that is a number or a boolean, or a list of one; NAN: a list of several.
static bool scalar(const struct dt_gguf *g, const char *key, double *out)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    float value = 0;
    bool flag;
    if (v && v->type == DT_GGUF_BOOL && !dt_gguf_bool(g, key, &flag, NULL)) {
        *out = flag;
        return true;
    }
    bool number = v && !dt_gguf_float(g, key, -1e30, 1e30, &value, NULL);
    *out = number ? (double)value : (double)NAN;
    return number || (v && v->type == DT_GGUF_ARRAY && v->count);
}

// Keys that change the computation, with the values that do not. A structure that has `numbers`
// computes the key.
static dt_status refuse_others(const struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    static const struct {
        const char *suffix;
        uint32_t numbers;
        double neutral, also; // 0 is absent for many writers
    } keys[] = {
        {"embedding_scale", DT_NUMBER_SCALES, 1, 0},
        {"residual_scale", DT_NUMBER_SCALES, 1, 0},
        {"logit_scale", DT_NUMBER_SCALES, 1, 0},
        {"attn_logit_softcapping", DT_NUMBER_CAPS, 0, 0},
        {"final_logit_softcapping", DT_NUMBER_CAPS, 0, 0},
        {"router_logit_softcapping", 0, 0, 0},
        {"attention.causal", 0, 1, 1},
        {"attention.max_alibi_bias", 0, 0, 0},
        {"attention.clamp_kqv", 0, 0, 0},
        {"attention.output_scale", 0, 1, 0},
        {"attention.value_scale", 0, 1, 0},
        {"attention.temperature_length", 0, 0, 0},
        {"attention.temperature_scale", 0, 0, 0},
        {"attention.kv_lora_rank", 0, 0, 0},
        {"attention.shared_kv_layers", 0, 0, 0},
        {"embedding_length_per_layer_input", 0, 0, 0},
        {"nextn_predict_layers", 0, 0, 0},
        {"use_parallel_residual", 0, 0, 0},
        {"rope.scaling.yarn_log_multiplier", 0, 0, 0},
        {"swin_norm", 0, 0, 0},
        {"swiglu_clamp_exp", 0, 0, 0},
        {"rescale_every_n_layers", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char key[DT_GGUF_MAX_KEY], shown[32] = "a list";
        double value;
        if ((keys[i].numbers & r->model->hp.structure->numbers) ||
            !scalar(g, arch_key(r, key, keys[i].suffix), &value) || value == keys[i].neutral ||
            value == keys[i].also)
            continue;
        if (value == value)
            dt_format(shown, sizeof shown, "%g", value);
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "%s is %s, which duotale does not compute for the architecture %s; "
                            "expected %g or no such key",
                            key, shown, r->model->architecture, keys[i].neutral);
    }
    return DT_OK;
}

// Sizes and an activation that a file may state and that follow from others here.
static dt_status check_stated(const struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    const struct dt_hparams *hp = &r->model->hp;
    bool silu = hp->structure->activation == DT_ACTIVATION_SILU;
    const struct {
        const char *suffix;
        uint32_t expected;
    } sizes[] = {{"attention.key_length_swa", hp->head_size},
                 {"attention.value_length_swa", hp->head_size},
                 {"rope.dimension_count_swa", hp->rotated}};
    char key[DT_GGUF_MAX_KEY];
    const char *act = NULL;
    size_t n = 0;
    double value;
    bool switched = true;
    if (hp->structure->rope_switch) // elsewhere it is about the training
        (void)dt_gguf_bool(g, arch_key(r, key, "rope.scaling.finetuned"), &switched, NULL);
    if (!switched)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "%s is false: a model without RoPE, which duotale does not compute for "
                            "the architecture %s",
                            key, r->model->architecture);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (scalar(g, arch_key(r, key, sizes[i].suffix), &value) && value != sizes[i].expected)
            return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                                "%s is %g; expected %u, as in the other layers", key, value,
                                sizes[i].expected);
    dt_status status = dt_gguf_text(g, arch_key(r, key, "hidden_activation"), &act, &n, r->err);
    if (status || !act || dt_read_is(act, n, silu ? "silu" : "gelu_new") ||
        (!silu && (dt_read_is(act, n, "gelu_pytorch_tanh") || dt_read_is(act, n, "gelu"))))
        return status;
    return dt_error_set(r->err, DT_UNSUPPORTED, g->name, "%s is %.*s; expected %s", key,
                        n < 32 ? (int)n : 32, act, silu ? "silu" : "gelu_pytorch_tanh");
}

static dt_status read_numbers(const struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    const struct dt_structure *s = hp->structure;
    float scale = 0, logits = 0;
    dt_status status = refuse_others(r, g);
    if (!status)
        status = check_stated(r, g);
    if (!status && s->whole_attention && hp->window)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "%s.attention.sliding_window is %u, which duotale does not compute "
                            "for this architecture",
                            r->prefix, hp->window);
    dt_structure_set_numbers(hp);
    if (!status)
        status = real(r, g, "attention.scale", 0, 1e6, &scale);
    if (!status && !s->numbers && scale > 0 &&
        fabsf(scale * sqrtf((float)hp->head_size) - 1) > 1e-5f)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "%s.attention.scale is %g, which duotale does not compute for this "
                            "architecture; expected 1 / sqrt(%u) or no such key",
                            r->prefix, (double)scale, hp->head_size);
    if (!status && (s->numbers & DT_NUMBER_SCALES) &&
        ((status = real(r, g, "embedding_scale", 0, 1e6, &hp->embedding_scale)) ||
         (status = real(r, g, "residual_scale", 0, 1e6, &hp->residual_scale)) ||
         (status = real(r, g, "logit_scale", 0, 1e6, &logits))))
        return status;
    if (!status && (s->numbers & DT_NUMBER_CAPS) &&
        ((status = real(r, g, "attn_logit_softcapping", 0, 1e6, &hp->attention_cap)) ||
         (status = real(r, g, "final_logit_softcapping", 0, 1e6, &hp->logit_cap))))
        return status;
    if (scale > 0 && s->numbers)
        hp->attention_divisor = 1 / scale;
    if (logits > 0)
        hp->logit_scale = 1 / logits;
    return status;
}

dt_status dt_gguf_read_windows(const struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    char key[DT_GGUF_MAX_KEY];
    struct dt_model *m = r->model;
    const struct dt_gguf_value *v =
        dt_gguf_find(g, arch_key(r, key, "attention.sliding_window_pattern"));
    uint32_t every = 0;
    if (!v || !m->hp.window || !m->layers)
        return DT_OK;
    if (v->type == DT_GGUF_ARRAY) {
        if (v->item != DT_GGUF_BOOL || v->count != m->hp.layers)
            return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                                "%s has %llu items; expected %u true or false", key,
                                (unsigned long long)v->count, m->hp.layers);
        for (uint32_t l = 0; l < m->hp.layers; l++)
            dt_structure_set_window(m, l, v->data[l] != 0);
        return DT_OK;
    }
    dt_status status = dt_gguf_uint(g, key, 0, DT_MAX_LAYERS, &every, r->err);
    for (uint32_t l = 0; l < m->hp.layers && !status; l++) // 0: all layers, 1: none
        dt_structure_set_window(m, l, !every || (l + 1) % every != 0);
    return status;
}

dt_status dt_gguf_read_hparams(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    char key[DT_GGUF_MAX_KEY];
    dt_status status;
    const char *epsilon = hp->structure->norm == DT_NORM_LAYER ? "attention.layer_norm_epsilon"
                                                               : "attention.layer_norm_rms_epsilon";
    hp->norm_epsilon = 1e-5f;
    hp->window = hp->structure->window;
    if ((status = dt_gguf_number(r, g, "context_length", UINT32_MAX, true, &hp->context)) ||
        (status = dt_gguf_number(r, g, "embedding_length", DT_MAX_DIM, true, &hp->dim)) ||
        (status = dt_gguf_number(r, g, "block_count", DT_MAX_LAYERS, true, &hp->layers)) ||
        (status = dt_gguf_number(r, g, "feed_forward_length", DT_MAX_HIDDEN, true, &hp->hidden)) ||
        (status = real(r, g, epsilon, 0, 1, &hp->norm_epsilon)) ||
        (status = dt_gguf_uint(g, arch_key(r, key, "attention.sliding_window"), 0, UINT32_MAX,
                               &hp->window, r->err)) ||
        (status = read_heads(r, g)) || (status = read_rope(r, g)) ||
        (status = read_numbers(r, g)) ||
        (status = real(r, g, "rope.freq_base_swa", 1, 1e12, &hp->rope_base_local)))
        return status;
    if (hp->context > DT_MAX_CONTEXT) // an upper limit: less always works
        hp->context = DT_MAX_CONTEXT;
    if (hp->window >= hp->context) // the window of every position is whole
        hp->window = hp->rope_base_local > 0 ? hp->context : 0;
    return DT_OK;
}
