// SPDX-License-Identifier: MIT
// Hugging Face folders: valid ones are read, broken ones are refused.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/formats/open_model.h"
#include "core/text/template.h"
#include "core/text/tokenizer.h"
#include "synth_hf.h"

static const struct synth_shape shape = {.dim = 24,
                                         .hidden = 40,
                                         .layers = 3,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .vocab = 270,
                                         .context = 20,
                                         .shared = false,
                                         .seed = 5};

struct folder {
    struct synth file[SYNTH_HF_FILES];
    struct dt_model_part parts[SYNTH_HF_FILES];
    unsigned char *bytes[SYNTH_HF_FILES];
    uint32_t count;
    struct dt_model model;
    void *memory;
    struct dt_error err;
};

static const char *const names[] = {"dir/config.json",
                                    "dir/tokenizer.json",
                                    "dir/tokenizer_config.json",
                                    "dir/model.safetensors.index.json",
                                    "dir/model-00001-of-00003.safetensors",
                                    "dir/model-00002-of-00003.safetensors",
                                    "dir/model-00003-of-00003.safetensors",
                                    "dir/x"};

static dt_status open_folder(struct folder *f)
{
    for (int i = 0; i < SYNTH_HF_FILES; i++)
        if (f->file[i].n) { // copies of the exact size, so that sanitizers detect overruns
            f->bytes[i] = malloc(f->file[i].n);
            memcpy(f->bytes[i], f->file[i].bytes, f->file[i].n);
            f->parts[f->count++] = (struct dt_model_part){f->bytes[i], f->file[i].n, names[i]};
        }
    size_t need = dt_model_measure_parts(f->parts, f->count, NULL, &f->err);
    if (!need)
        return f->err.status;
    f->memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(f->memory, need);
    dt_status status = dt_model_open_parts(f->parts, f->count, NULL, &arena, &f->model, &f->err);
    if (!status)
        assert_int_equal(arena.used, need);
    return status;
}

static void close_folder(struct folder *f)
{
    for (int i = 0; i < SYNTH_HF_FILES; i++) {
        synth_free(&f->file[i]);
        free(f->bytes[i]);
    }
    free(f->memory);
    memset(f, 0, sizeof *f);
}

static void make(struct folder *f, const struct synth_hf *how)
{
    memset(f, 0, sizeof *f);
    synth_hf(f->file, &shape, how);
    if (open_folder(f))
        fail_msg("%s: %s", f->err.file, f->err.message);
}

// Compares row r of a matrix with a llama2.c file; hs: within heads of hs rows, the order is by
// halves.
static double worst_off(const struct dt_matrix *a, const struct dt_matrix *b, uint32_t hs)
{
    double worst = 0;
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    float *x = malloc(a->cols * sizeof *x), *y = malloc(a->cols * sizeof *y);
    for (uint32_t r = 0; r < a->rows; r++) {
        uint32_t in = hs ? r % hs : 0,
                 to = hs ? r - in + (in < hs / 2 ? 2 * in : 2 * (in - hs / 2) + 1) : r;
        dt_matrix_row(a, r, x);
        dt_matrix_row(b, to, y);
        for (uint32_t i = 0; i < a->cols; i++) {
            double off = x[i] - (double)y[i];
            worst = off > worst ? off : -off > worst ? -off : worst;
        }
    }
    free(x);
    free(y);
    return worst;
}

static void folders_hold_the_model(void **state)
{
    (void)state;
    static const struct {
        struct synth_hf how;
        double bound;
    } rows[] = {{{0}, 0},
                {{.form = DT_FORM_F16}, 0},
                {{.form = DT_FORM_BF16}, 0.25 / 256},
                {{.shards = 3}, 0},
                {{.shards = 3, .new_merges = true, .model_type = "mistral"}, 0}};
    struct synth file = {0};
    synth_llama2c(&file, &shape, 0);
    struct dt_error err;
    size_t need = dt_model_measure(file.bytes, file.n, "x", &err);
    void *memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(memory, need);
    struct dt_model plain;
    assert_int_equal(dt_model_open(file.bytes, file.n, "x", &arena, &plain, &err), DT_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder f;
        make(&f, &rows[i].how);
        const struct dt_model *m = &f.model;
        assert_string_equal(m->architecture, "llama");
        assert_string_equal(m->format, "safetensors");
        assert_int_equal(m->hp.rope_style, DT_ROPE_HALVES);
        assert_true(m->hp.norm_epsilon == 1e-5f && m->hp.rope_base == 10000.0f &&
                    m->hp.context == 20 && !m->hp.tied);
        double worst = worst_off(&m->embedding, &plain.embedding, 0);
        for (uint32_t l = 0; l < 3; l++) {
            const struct dt_layer *a = &m->layers[l], *b = &plain.layers[l];
            const double off[] = {
                worst_off(&a->query, &b->query, 6), worst_off(&a->key, &b->key, 6),
                worst_off(&a->value, &b->value, 0), worst_off(&a->output, &b->output, 0),
                worst_off(&a->gate, &b->gate, 0),   worst_off(&a->up, &b->up, 0),
                worst_off(&a->down, &b->down, 0)};
            for (size_t k = 0; k < sizeof off / sizeof *off; k++)
                worst = off[k] > worst ? off[k] : worst;
            if (!rows[i].how.form)
                assert_memory_equal(a->ffn_norm, b->ffn_norm, 24 * sizeof(float));
        }
        assert_true(worst <= rows[i].bound);
        assert_true(worst_off(&m->classifier, &plain.classifier, 0) <= rows[i].bound);
        // the vocabulary: ids, types, and the order of merges
        const struct dt_vocab *v = &m->vocab;
        size_t n;
        assert_true(v->kind == DT_VOCAB_SPM && v->size == 270 && v->bos == 1 && v->eos == 2 &&
                    v->unknown == 0 && v->add_bos);
        assert_memory_equal(dt_vocab_piece(v, 260, &n), "\xe2\x96\x81the", 6);
        assert_int_equal(n, 6);
        assert_int_equal(dt_vocab_type(v, 3), DT_TOKEN_BYTE);
        assert_int_equal(dt_vocab_type(v, 1), DT_TOKEN_CONTROL);
        assert_int_equal(dt_vocab_type(v, 269), DT_TOKEN_UNUSED);
        assert_true(dt_vocab_score(v, 259) > dt_vocab_score(v, 260) &&
                    dt_vocab_score(v, 260) > dt_vocab_score(v, 261));
        assert_int_equal(dt_template_recognise(m->chat_template, m->chat_template_length),
                         DT_TEMPLATE_LLAMA2);
        close_folder(&f);
    }
    synth_free(&file);
    free(memory);
}

// Qwen2: biases, byte-level BPE, ends of turns, its names.
static void qwen2(void **state)
{
    (void)state;
    struct synth_hf how = {.model_type = "qwen2",
                           .biases = true,
                           .bpe = true,
                           .form = DT_FORM_BF16,
                           .config = ", \"use_sliding_window\": false, \"sliding_window\": 4"};
    struct folder f;
    make(&f, &how);
    const struct dt_model *m = &f.model;
    assert_string_equal(m->architecture, "qwen2");
    assert_non_null(m->layers[2].key_bias);
    assert_int_equal(m->hp.context, 20);
    assert_int_equal(m->vocab.kind, DT_VOCAB_BPE);
    assert_int_equal(m->vocab.pretokenizer, DT_PRETOKENIZER_GPT2);
    assert_int_equal(m->vocab.eos, 257);
    assert_int_equal(m->vocab.eot, 257);
    assert_int_equal(m->vocab.bos, DT_NO_TOKEN);
    struct dt_tokenizer t;
    size_t need = dt_tokenizer_measure(&m->vocab, 64), count;
    void *memory = aligned_alloc(DT_ALIGN, need);
    uint32_t tokens[64];
    assert_int_equal(dt_tokenizer_init(&t, &m->vocab, memory, need, &f.err), DT_OK);
    assert_int_equal(dt_tokenizer_encode(&t, "the\n", 4, DT_ENCODE_BOS, tokens, 64, &count, &f.err),
                     DT_OK);
    assert_true(count == 2 && tokens[0] == 259 && tokens[1] == '\n');
    free(memory);
    close_folder(&f);
}

// Positions in config.json. Heads of 6 have waves of 2 pi, 2 pi * 10000^(1/3) = 135.4 and 2 pi *
// 10000^(2/3) = 2916; with Llama 3.1's scaling, waves are short below 16 and long above 64.
static void positions(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        float scale;
        float factors[3]; // 0: none
        uint32_t window;
    } said[] = {
        {", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}", 0.25f, {0}, 0},
        {", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, "
         "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
         "\"original_max_position_embeddings\": 64}",
         1.0f,
         {1.0f, 8.0f, 8.0f},
         0},
        {", \"sliding_window\": 8", 1.0f, {0}, 8},
        {", \"sliding_window\": 21", 1.0f, {0}, 0},
        {", \"use_sliding_window\": false, \"sliding_window\": 8", 1.0f, {0}, 0},
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        struct folder f;
        make(&f, &(struct synth_hf){.config = said[i].config});
        const struct dt_hparams *hp = &f.model.hp;
        assert_true(hp->rope_scale == said[i].scale);
        assert_int_equal(hp->context, 20);
        assert_int_equal(hp->window, said[i].window);
        assert_int_equal(f.model.layers[2].window, said[i].window);
        assert_int_equal(hp->rope_factors != NULL, said[i].factors[0] != 0);
        if (hp->rope_factors)
            assert_memory_equal(hp->rope_factors, said[i].factors, sizeof said[i].factors);
        close_folder(&f);
    }
}

enum {
    CONFIG = SYNTH_HF_CONFIG,
    TOKENIZER = SYNTH_HF_TOKENIZER,
    INDEX = SYNTH_HF_INDEX,
    WEIGHTS = SYNTH_HF_WEIGHTS,
};

// A row is a valid folder in which one text is replaced (with NULL: the file ends there).
static const struct row {
    const char *name;
    int file;
    const char *find, *replace, *message;
} rows[] = {
    {"config-cut", CONFIG, "\"num_hidden_layers\"", NULL, "config.json: this JSON ends at byte"},
    {"config-comma", CONFIG, ", \"hidden_size\"", "  \"hidden_size\"", "expected a comma or }"},
    {"config-no-dim", CONFIG, "\"hidden_size\"", "\"hidden_sixe\"", "hidden_size is missing"},
    {"config-dim-0", CONFIG, "\"hidden_size\": 24", "\"hidden_size\": 00", "expected a comma or }"},
    {"config-dim-text", CONFIG, "\"hidden_size\": 24", "\"hidden_size\":\"2\"",
     "hidden_size is \"2\"; expected 1 to"},
    {"config-dim-half", CONFIG, "\"hidden_size\": 24", "\"hidden_size\":2.5",
     "hidden_size is 2.5; expected 1 to"},
    {"config-layers-1e9", CONFIG, "\"num_hidden_layers\": 3", "\"num_hidden_layers\":1e9",
     "num_hidden_layers is 1e9; expected 1 to 1024"},
    {"config-layers-minus", CONFIG, "\"num_hidden_layers\": 3", "\"num_hidden_layers\":-3",
     "num_hidden_layers is -3"},
    {"config-heads-not-dividing", CONFIG, "_attention_heads\": 4", "_attention_heads\": 5",
     "num_attention_heads is 5, not a multiple of num_key_value_heads 2"},
    {"config-kv-heads", CONFIG, "_value_heads\": 2", "_value_heads\": 3",
     "num_attention_heads is 4, not a multiple of num_key_value_heads 3"},
    {"config-gptq", CONFIG, "\"hidden_act\"",
     "\"quantization_config\": {\"quant_method\": \"gptq\"}, \"hidden_act\"",
     "the weights are quantised with gptq"},
    {"config-type", CONFIG, "\"llama\"", "\"Llama\"",
     "model_type is \"Llama\" (unknown); expected one of llama, mistral, qwen2"},
    {"config-type-lacks", CONFIG, "\"llama\"", "\"mamba\"",
     "model_type is \"mamba\" (not supported: state-space layers); expected one of llama"},
    {"config-softcap", CONFIG, "\"hidden_size\": 24",
     "\"attn_logit_softcapping\": 50.0, \"hidden_size\": 24",
     "attn_logit_softcapping is 50.0, which duotale does not compute for a llama model"},
    {"config-scales", CONFIG, "\"hidden_size\": 24", "\"logits_scaling\": 8, \"hidden_size\": 24",
     "logits_scaling is 8, which duotale does not compute for a llama model; expected 1"},
    {"config-parallel", CONFIG, "\"hidden_size\": 24",
     "\"use_parallel_residual\": true, \"hidden_size\": 24", "use_parallel_residual is true"},
    {"config-experts", CONFIG, "\"hidden_size\": 24",
     "\"num_local_experts\": 8, \"hidden_size\": 24", "num_local_experts is 8"},
    {"config-layer-types", CONFIG, "\"hidden_size\": 24",
     "\"layer_types\": [\"linear_attention\"], \"hidden_size\": 24",
     "the attention of layer 0 is \"linear_attention\"; expected full_attention or"},
    {"granite-mamba", CONFIG, "\"model_type\": \"llama\"",
     "\"model_type\": \"granitemoehybrid\", \"shared_intermediate_size\": 40, \"layer_types\": "
     "[\"attention\", \"mamba\", \"attention\"]",
     "layer 1 is \"mamba\" (layer_types); of Granite 4"},
    {"granite-no-types", CONFIG, "\"model_type\": \"llama\"",
     "\"model_type\": \"granitemoehybrid\", \"shared_intermediate_size\": 40, "
     "\"num_local_experts\": 0",
     "layer_types has 0 layers of 3; those without a type"},
    {"granite-experts", CONFIG, "\"model_type\": \"llama\"",
     "\"model_type\": \"granitemoehybrid\", \"shared_intermediate_size\": 40, \"layer_types\": "
     "[\"attention\", \"attention\", \"attention\"], \"num_local_experts\": 1",
     "num_local_experts is 1; mixtures of experts"},
    {"granite-experts-absent", CONFIG, "\"model_type\": \"llama\"",
     "\"model_type\": \"granitemoehybrid\", \"shared_intermediate_size\": 40, \"layer_types\": "
     "[\"attention\", \"attention\", \"attention\"]",
     "mixtures of experts are not supported"},
    {"granite-nope", CONFIG, "\"model_type\": \"llama\"",
     "\"model_type\": \"granitemoehybrid\", \"shared_intermediate_size\": 40, \"layer_types\": "
     "[\"attention\", \"attention\", \"attention\"], \"num_local_experts\": 0, "
     "\"position_embedding_type\": \"nope\"",
     "position_embedding_type is \"nope\"; expected rope"},
    {"config-yarn-truncate", CONFIG, "\"hidden_size\": 24",
     "\"rope_scaling\": {\"type\": \"yarn\", \"truncate\": false}, \"hidden_size\": 24",
     "rope_scaling.truncate is false; expected true"},
    {"config-longrope", CONFIG, "\"hidden_size\": 24",
     "\"rope_scaling\": {\"type\": \"longrope\", \"long_factor\": [1]}, \"hidden_size\": 24",
     "rope_scaling.long_factor has 1 items; expected 3 numbers"},
    {"config-act", CONFIG, "\"silu\"", "\"gelu\"", "hidden_act is \"gelu\"; expected silu"},
    {"config-eps", CONFIG, "1e-05", "1e+05", "rms_norm_eps is 1e+05; expected 0 to 1"},
    {"config-theta", CONFIG, "10000.0", "-1000.0", "rope_theta is -1000.0; expected 1 to"},
    {"config-vocab", CONFIG, "\"vocab_size\": 270", "\"vocab_size\": 265",
     "is 270 x 24; expected 265 x 24"},
    {"tokenizer-id-above", TOKENIZER, "\"th\": 259", "\"th\": 270",
     "has the id 270, vocab_size is 270"},
    {"config-hidden", CONFIG, "_size\": 40", "_size\": 48",
     "mlp.down_proj.weight\" is 24 x 40; expected 24 x 48"},
    {"tokenizer-cut", TOKENIZER, "\"vocab\"", NULL, "tokenizer.json: this JSON ends at byte"},
    {"tokenizer-escape", TOKENIZER, "\\u2581the", "\\uZ581the", "expected four hex digits"},
    {"tokenizer-no-vocab", TOKENIZER, "\"vocab\"", "\"vocap\"",
     "model.vocab and model.merges are missing"},
    {"tokenizer-no-fallback", TOKENIZER, "\"byte_fallback\": true", "\"byte_fallback\": null",
     "pre_tokenizer: duotale does not have null"},
    {"tokenizer-other-normalizer", TOKENIZER, "\"Prepend\"", "\"Lowercase\"",
     "normalizer: duotale does not have {\"type\": \"Lowercase\""},
    {"tokenizer-other-replace", TOKENIZER, "{\"String\": \" \"}", "{\"String\": \".\"}",
     "normalizer: duotale does not have {\"type\": \"Replace\""},
    {"tokenizer-other-pre", TOKENIZER, "\"pre_tokenizer\": null",
     "\"pre_tokenizer\": {\"type\": \"Whitespace\"}",
     "pre_tokenizer: duotale does not have {\"type\": \"Whitespace\"}"},
    {"tokenizer-id-text", TOKENIZER, "\"th\": 259", "\"th\": \"9\"",
     "expected a string and a number"},
    {"tokenizer-id-minus", TOKENIZER, "\"th\": 259", "\"th\": -59",
     "expected a string and a number"},
    {"tokenizer-id-twice", TOKENIZER, "\"t\": 262", "\"t\": 261", "two tokens have the id 261"},
    {"tokenizer-id-huge", TOKENIZER, "\"th\": 259", "\"th\": 1e9",
     "has the id 1000000000, vocab_size is 270"},
    {"tokenizer-merge-one", TOKENIZER, "\"th e\"", "\"the \"",
     "merge 2 is \"the \"; expected two pieces"},
    {"tokenizer-merge-number", TOKENIZER, "\"th e\"", "123456",
     "merge 2 is 123456; expected two pieces"},
    {"index-cut", INDEX, "\"model.norm.weight\"", NULL, "index.json: this JSON ends at byte"},
    {"index-other-file", INDEX, "\"model.embed_tokens.weight\": \"model-00001",
     "\"model.embed_tokens.weight\": \"model-00002",
     "but it is in model-00001-of-00003.safetensors"},
    {"index-unknown", INDEX, "\"model.norm.weight\"", "\"model.norm.weighs\"",
     "weight_map does not list \"model.norm.weight\""},
    {"index-one-more", INDEX, "\"weight_map\": {", "\"weight_map\": {\"a\": 1, ",
     "weight_map has 31 tensors, the files have 30"},
    {"header-too-long", WEIGHTS, "", "\xff\xff\xff\xff\xff\xff\xff\x7f", "this JSON has"},
    {"header-cut", WEIGHTS, "\"dtype\"", NULL, "model-00001-of-00003.safetensors"},
    {"header-not-json", WEIGHTS, "\"dtype\"", "'dtype''", "this JSON has ''' at byte"},
    {"dtype-unknown", WEIGHTS, "\"F32\"", "\"X32\"", "its dtype is unknown"},
    {"dtype-not-ours", WEIGHTS, "\"F32\"", "\"I32\"", "has dtype I32; expected F32, F16 or BF16"},
    {"dtype-lies", WEIGHTS, "\"F32\"", "\"F16\"",
     "its shape needs 6480 values of 2 bytes, but its data_offsets hold 25920 bytes"},
    {"shape-not-a-list", WEIGHTS, "[270, 24]", "2700000000", "its shape is not a list"},
    {"shape-text", WEIGHTS, "[270, 24]", "[\"27\",24]", "its shape is not a list of sizes"},
    {"shape-other", WEIGHTS, "[270, 24]", "[240, 27]", "is 240 x 27; expected 270 x 24"},
    {"shape-5-dimensions", WEIGHTS, "[270, 24]", "[1,1,1,1,1]", "more than 4 dimensions"},
    {"shape-overflows", WEIGHTS, "[270, 24]", "[9007199254740991,9007199254740991]",
     "its shape is not a list of sizes, or is too large"},
    {"offsets-outside", WEIGHTS, "[0, 25920]", "[9, 9925929]",
     "its data_offsets are 9 to 9925929, the file has"},
    {"offsets-backwards", WEIGHTS, "[0, 25920]", "[25920, 0]", "its data_offsets are 25920 to 0"},
    {"offsets-three", WEIGHTS, "[0, 25920]", "[0, 25920,1]",
     "its data_offsets are not a pair of numbers"},
    {"offsets-overlap", WEIGHTS, "[25920, ", "[25824, ", "its data_offsets hold"},
    {"offsets-shared", WEIGHTS, "[25920, 27072]", "[25888, 27040]",
     "two tensors overlap: bytes 0 to 25920, and from 25888"},
    {"tensor-unknown", WEIGHTS, "layers.0.self_attn.k_proj", "layers.0.self_attn.z_proj",
     "weight_map does not list"},
};

static void broken_folders_are_refused(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct folder f = {0};
        synth_hf(f.file, &shape, &(struct synth_hf){.shards = 3});
        struct synth *file = &f.file[r->file], changed = {0};
        unsigned char *at =
            *r->find ? memmem(file->bytes, file->n, r->find, strlen(r->find)) : file->bytes;
        assert_non_null(at);
        size_t before = (size_t)(at - file->bytes),
               after = before + (*r->find ? strlen(r->find) : 8);
        synth_put(&changed, file->bytes, before);
        if (r->replace) {
            synth_put(&changed, r->replace, strlen(r->replace));
            synth_put(&changed, file->bytes + after, file->n - after);
        }
        if (r->file >= SYNTH_HF_WEIGHTS && r->replace && *r->find) {
            uint64_t header;
            memcpy(&header, changed.bytes, 8);
            header += strlen(r->replace) - strlen(r->find);
            struct synth padded = {0}; // spaces after the JSON, as some writers add
            synth_put(&padded, changed.bytes, 8 + header);
            while (padded.n % 8)
                synth_u8(&padded, ' ');
            synth_put(&padded, changed.bytes + 8 + header, changed.n - 8 - header);
            header = padded.n - (changed.n - header);
            memcpy(padded.bytes, &header, 8);
            synth_free(&changed);
            changed = padded;
        }
        synth_free(file);
        *file = changed;
        char line[1024];
        dt_status status = open_folder(&f);
        dt_error_line(&f.err, line, sizeof line);
        if (dt_status_exit_code(status) != 3 || !strstr(line, r->message))
            wrong++, print_error("%s: status %s, message \"%s\"; expected \"%s\"\n", r->name,
                                 dt_status_name(status), line, r->message);
        close_folder(&f);
    }
    assert_int_equal(wrong, 0);
    assert_true(sizeof rows / sizeof *rows >= 40);
}

static void missing_parts_are_named(void **state)
{
    (void)state;
    static const struct {
        struct synth_hf how;
        int without;
        const char *message;
    } missing[] = {
        {{0}, SYNTH_HF_WEIGHTS, "no safetensors file is beside it"},
        {{0}, SYNTH_HF_CONFIG, "no config.json with model_type or hidden_size"},
        {{.skip = "model.norm.weight"}, -1, "tensor model.norm.weight is in none of the files"},
        {{.skip = "model.layers.1.mlp.up_proj.weight"},
         -1,
         "tensor model.layers.1.mlp.up_proj.weight is in none"},
        {{.skip = "lm_head.weight"},
         -1,
         "lm_head.weight is missing, and tie_word_embeddings is not true"},
        {{.shards = 3}, SYNTH_HF_WEIGHTS + 2, "weight_map has 30 tensors, the files have 20"},
    };
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        struct folder f = {0};
        synth_hf(f.file, &shape, &missing[i].how);
        if (missing[i].without >= 0)
            synth_free(&f.file[missing[i].without]);
        assert_int_equal(dt_status_exit_code(open_folder(&f)), 3);
        if (!strstr(f.err.message, missing[i].message))
            fail_msg("%s: expected %s", f.err.message, missing[i].message);
        close_folder(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_hold_the_model),
        cmocka_unit_test(qwen2),
        cmocka_unit_test(positions),
        cmocka_unit_test(broken_folders_are_refused),
        cmocka_unit_test(missing_parts_are_named),
    };
    return cmocka_run_group_tests_name("hf", tests, NULL, NULL);
}
