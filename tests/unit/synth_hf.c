// SPDX-License-Identifier: MIT
#include "synth_hf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/quant/quantise.h"

static void print(struct synth *s, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    synth_put(s, text, (size_t)n);
}

static void put_config(struct synth *s, const struct synth_shape *shape, const struct synth_hf *how)
{
    print(s,
          "{\"model_type\": \"%s\", \"hidden_size\": %u, \"intermediate_size\": %u, "
          "\"num_hidden_layers\": %u,\n"
          " \"num_attention_heads\": %u, \"num_key_value_heads\": %u, \"vocab_size\": %u, "
          "\"max_position_embeddings\": %u,\n"
          " \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"hidden_act\": \"silu\", "
          "\"tie_word_embeddings\": %s,\n"
          " \"bos_token_id\": %s, \"eos_token_id\": %u%s}\n",
          how->model_type ? how->model_type : "llama", shape->dim, shape->hidden, shape->layers,
          shape->heads, shape->kv_heads, shape->vocab, shape->context,
          shape->shared ? "true" : "false", how->bpe ? "null" : "1", how->bpe ? 257u : 2u,
          how->config ? how->config : "");
}

static void put_merge(struct synth *s, const struct synth_hf *how, const char *left,
                      const char *right, bool first)
{
    print(s, how->new_merges ? "%s[\"%s\", \"%s\"]" : "%s\"%s %s\"", first ? "" : ", ", left,
          right);
}

// Byte-level: 256 bytes as escapes, two markers, one merge. SentencePiece: the special pieces, 256
// bytes, letters, two merges.
static void put_tokenizer(struct synth *s, const struct synth_shape *shape,
                          const struct synth_hf *how)
{
    print(s, "{\"version\": \"1.0\", \"added_tokens\": [");
    if (how->bpe)
        print(s, "{\"id\": 256, \"content\": \"<|im_start|>\", \"special\": true}, {\"id\": 257, "
                 "\"content\": \"<|im_end|>\", \"special\": true}]");
    else
        print(s, "{\"id\": 0, \"content\": \"<unk>\", \"special\": true}, {\"id\": 1, \"content\": "
                 "\"<s>\", \"special\": true},"
                 " {\"id\": 2, \"content\": \"</s>\", \"special\": true}]");
    print(s, how->bpe
                 ? ", \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}"
                 : ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": "
                   "\"Prepend\", \"prepend\": \"\\u2581\"}, {\"type\": \"Replace\", \"pattern\": "
                   "{\"String\": \" \"}, \"content\": \"\\u2581\"}]}, \"pre_tokenizer\": null");
    print(s, ", \"model\": {\"type\": \"BPE\", \"byte_fallback\": %s, \"vocab\": {",
          how->bpe ? "false" : "true");
    if (how->bpe) {
        uint32_t other = 256;
        for (uint32_t byte = 0; byte < 256; byte++) {
            bool visible = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
            print(s, "\"\\u%04x\": %u, ", visible ? byte : other++, byte);
        }
        print(s, "\"th\": 258, \"the\": 259}, \"merges\": [");
        put_merge(s, how, "t", "h", true);
        put_merge(s, how, "th", "e", false);
    } else {
        print(s, "\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2");
        for (uint32_t byte = 0; byte < 256; byte++)
            print(s, ", \"<0x%02X>\": %u", byte, byte + 3);
        print(s, ", \"th\": 259, \"\\u2581the\": 260, \"the\": 261, \"t\": 262, \"h\": 263, \"e\": "
                 "264, \"\\u2581\": 265}, \"merges\": [");
        put_merge(s, how, "t", "h", true);
        put_merge(s, how, "\xe2\x96\x81", "the", false);
        put_merge(s, how, "th", "e", false);
    }
    print(s, "]}}\n");
    (void)shape;
}

struct writer {
    const struct synth_shape *shape;
    const struct synth_hf *how;
    struct synth *out; // of the files
    struct synth header[4], data[4];
    struct synth map; // the index's
    uint32_t shards, count;
};

static void shard_name(char out[64], uint32_t i, uint32_t of)
{
    snprintf(out, 64, "model-%05u-of-%05u.safetensors", i + 1, of);
}

// rows 0: a vector. heads > 0: rows from pairs to halves within each head.
static void tensor(struct writer *w, const char *name, uint32_t rows, uint32_t cols, uint32_t heads,
                   enum synth_kind kind, uint32_t layer)
{
    uint32_t form = w->how->form ? w->how->form : DT_FORM_F32, n = rows ? rows : 1,
             part = w->count++ % w->shards;
    if (w->how->skip && strcmp(w->how->skip, name) == 0)
        return;
    struct synth floats = {0};
    synth_floats(&floats, w->shape, (size_t)n * cols, kind, layer);
    size_t bytes = dt_quantise_bytes(form, n, cols, 0);
    unsigned char *data = calloc(1, bytes);
    struct dt_matrix m = dt_quantise_matrix(form, n, cols, 0, data);
    uint32_t hs = heads ? n / heads : 0;
    for (uint32_t r = 0; r < n; r++) {
        uint32_t in = hs ? r % hs : 0,
                 from = hs ? r - in + (in < hs / 2 ? 2 * in : 2 * (in - hs / 2) + 1) : r;
        dt_quantise_row(&m, r, (const float *)(const void *)floats.bytes + (size_t)from * cols);
    }
    static const char *const types[] = {
        [DT_FORM_F32] = "F32", [DT_FORM_F16] = "F16", [DT_FORM_BF16] = "BF16"};
    struct synth *header = &w->header[part], *at = &w->data[part];
    print(header, "%s\"%s\": {\"dtype\": \"%s\", \"shape\": [", header->n ? ", " : "", name,
          types[form]);
    if (rows)
        print(header, "%u, ", rows);
    print(header, "%u], \"data_offsets\": [%zu, %zu]}", cols, at->n, at->n + bytes);
    synth_put(at, data, bytes);
    char file[64];
    shard_name(file, part, w->shards);
    print(&w->map, "%s\"%s\": \"%s\"", w->map.n ? ", " : "", name, file);
    free(data);
    synth_free(&floats);
}

static void put_layer(struct writer *w, uint32_t l)
{
    const struct synth_shape *s = w->shape;
    uint32_t keys = s->dim / s->heads * s->kv_heads;
    char name[96];
#define NAME(suffix) (snprintf(name, sizeof name, "model.layers.%u.%s", l, suffix), name)
    tensor(w, NAME("input_layernorm.weight"), 0, s->dim, 0, SYNTH_ATT_NORM, l);
    tensor(w, NAME("self_attn.q_proj.weight"), s->dim, s->dim, s->heads, SYNTH_WQ, l);
    tensor(w, NAME("self_attn.k_proj.weight"), keys, s->dim, s->kv_heads, SYNTH_WK, l);
    tensor(w, NAME("self_attn.v_proj.weight"), keys, s->dim, 0, SYNTH_WV, l);
    tensor(w, NAME("self_attn.o_proj.weight"), s->dim, s->dim, 0, SYNTH_WO, l);
    tensor(w, NAME("post_attention_layernorm.weight"), 0, s->dim, 0, SYNTH_FFN_NORM, l);
    tensor(w, NAME("mlp.gate_proj.weight"), s->hidden, s->dim, 0, SYNTH_W1, l);
    tensor(w, NAME("mlp.up_proj.weight"), s->hidden, s->dim, 0, SYNTH_W3, l);
    tensor(w, NAME("mlp.down_proj.weight"), s->dim, s->hidden, 0, SYNTH_W2, l);
    if (w->how->biases) {
        tensor(w, NAME("self_attn.q_proj.bias"), 0, s->dim, 0, SYNTH_BQ, l);
        tensor(w, NAME("self_attn.k_proj.bias"), 0, keys, 0, SYNTH_BK, l);
        tensor(w, NAME("self_attn.v_proj.bias"), 0, keys, 0, SYNTH_BV, l);
    }
#undef NAME
}

void synth_hf(struct synth out[SYNTH_HF_FILES], const struct synth_shape *s,
              const struct synth_hf *how)
{
    struct writer w = {.shape = s, .how = how, .out = out, .shards = how->shards ? how->shards : 1};
    put_config(&out[SYNTH_HF_CONFIG], s, how);
    put_tokenizer(&out[SYNTH_HF_TOKENIZER], s, how);
    print(&out[SYNTH_HF_TOKENIZER_CONFIG],
          "{\"tokenizer_class\": \"T\", \"chat_template\": \"%s\"}",
          how->bpe ? "<|im_start|>{{ role }}\\n{{ text }}<|im_end|>\\n"
                   : "[INST] <<SYS>>{{ \\\"x\\\" }}");
    tensor(&w, "model.embed_tokens.weight", s->vocab, s->dim, 0, SYNTH_EMBEDDING, 0);
    for (uint32_t l = 0; l < s->layers; l++)
        put_layer(&w, l);
    tensor(&w, "model.norm.weight", 0, s->dim, 0, SYNTH_FINAL_NORM, 0);
    if (!s->shared)
        tensor(&w, "lm_head.weight", s->vocab, s->dim, 0, SYNTH_WCLS, 0);
    for (uint32_t i = 0; i < w.shards; i++) {
        struct synth *file = &out[SYNTH_HF_WEIGHTS + i];
        struct synth header = {0};
        print(&header, "{\"__metadata__\": {\"format\": \"pt\"}, ");
        synth_put(&header, w.header[i].bytes, w.header[i].n);
        print(&header, "}");
        while (header.n % 8)
            print(&header, " ");
        synth_u64(file, header.n);
        synth_put(file, header.bytes, header.n);
        synth_put(file, w.data[i].bytes, w.data[i].n);
        synth_free(&header);
        synth_free(&w.header[i]);
        synth_free(&w.data[i]);
    }
    if (how->shards) {
        print(&out[SYNTH_HF_INDEX], "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
        synth_put(&out[SYNTH_HF_INDEX], w.map.bytes, w.map.n);
        print(&out[SYNTH_HF_INDEX], "}}");
    }
    synth_free(&w.map);
}
