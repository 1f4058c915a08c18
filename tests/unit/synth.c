// SPDX-License-Identifier: MIT
#include "synth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/formats/gguf.h"
#include "core/quant/k_block.h"
#include "core/quant/quantise.h"

void synth_free(struct synth *s)
{
    free(s->bytes);
    memset(s, 0, sizeof *s);
}

void synth_put(struct synth *s, const void *bytes, size_t n)
{
    if (s->n + n > s->capacity) {
        size_t capacity = (s->n + n) * 2 + 4096;
        unsigned char *grown = aligned_alloc(64, (capacity + 63) / 64 * 64);
        if (!grown)
            abort();
        if (s->n)
            memcpy(grown, s->bytes, s->n);
        free(s->bytes);
        s->bytes = grown;
        s->capacity = capacity;
    }
    if (n)
        memcpy(s->bytes + s->n, bytes, n);
    s->n += n;
}

void synth_u8(struct synth *s, uint8_t v)
{
    synth_put(s, &v, sizeof v);
}

void synth_u32(struct synth *s, uint32_t v)
{
    synth_put(s, &v, sizeof v);
}

void synth_u64(struct synth *s, uint64_t v)
{
    synth_put(s, &v, sizeof v);
}

void synth_f32(struct synth *s, float v)
{
    synth_put(s, &v, sizeof v);
}

void synth_pad(struct synth *s, size_t multiple)
{
    while (s->n % multiple)
        synth_u8(s, 0);
}

float synth_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((int)(*state >> 53) - 1024) / 1024.0f;
}

// n weights of tensor number `tensor`, the same in every format.
static void weights(float *out, size_t n, const struct synth_shape *shape, uint32_t tensor)
{
    uint64_t state = shape->seed * 0x9e3779b97f4a7c15u + tensor;
    synth_random(&state);
    for (size_t i = 0; i < n; i++)
        out[i] = synth_random(&state) * 0.25f;
}

static void put_floats(struct synth *out, const struct synth_shape *shape, size_t n,
                       uint32_t tensor, bool norm)
{
    float *v = malloc(n * sizeof *v);
    weights(v, n, shape, tensor);
    for (size_t i = 0; norm && i < n; i++)
        v[i] = 1.0f + v[i] * 0.25f;
    synth_put(out, v, n * sizeof *v);
    free(v);
}

void synth_floats(struct synth *out, const struct synth_shape *shape, size_t n,
                  enum synth_kind kind, uint32_t layer)
{
    put_floats(out, shape, n, (uint32_t)kind * 4096 + layer,
               kind == SYNTH_ATT_NORM || kind == SYNTH_FFN_NORM || kind == SYNTH_FINAL_NORM);
}

// One tensor as llama2.c's exporter quantises it: groups along the rows, scale = max / 127, ties to
// even.
static void put_groups(struct synth *out, const struct synth_shape *shape, size_t n,
                       uint32_t tensor)
{
    float *v = malloc(n * sizeof *v);
    float *scales = malloc(n / shape->group * sizeof *scales);
    weights(v, n, shape, tensor);
    for (size_t g = 0; g < n / shape->group; g++) {
        float most = 0;
        for (size_t i = 0; i < shape->group; i++)
            most = fmaxf(most, fabsf(v[g * shape->group + i]));
        scales[g] = most / 127.0f;
        for (size_t i = 0; i < shape->group; i++)
            synth_u8(
                out,
                (uint8_t)(int8_t)(scales[g] > 0 ? rintf(v[g * shape->group + i] / scales[g]) : 0));
    }
    synth_put(out, scales, n / shape->group * sizeof *scales);
    free(v);
    free(scales);
}

static void put_matrix(struct synth *out, const struct synth_shape *s, int version, size_t n,
                       uint32_t tensor)
{
    if (version == 2)
        put_groups(out, s, n, tensor);
    else
        put_floats(out, s, n, tensor, false);
}

// Tensor numbers, so that every format gets the same weights: kind * 4096 + layer.
enum { EMBEDDING, ATT_NORM, WQ, WK, WV, WO, FFN_NORM, W1, W2, W3, FINAL_NORM, WCLS };

void synth_llama2c(struct synth *out, const struct synth_shape *s, int version)
{
    size_t dim = s->dim, hidden = s->hidden, kv = dim / s->heads * s->kv_heads;
    const size_t count[] = {s->vocab * dim, dim,          dim * dim, kv * dim,
                            kv * dim,       dim * dim,    dim,       hidden * dim,
                            dim * hidden,   hidden * dim, dim,       s->vocab * dim};
    static const int legacy[] = {ATT_NORM, WQ, WK, WV, WO, FFN_NORM, W1, W2, W3};
    static const int versioned[] = {WQ, WK, WV, WO, W1, W2, W3};
    if (version) {
        synth_u32(out, 0x616b3432);
        synth_u32(out, (uint32_t)version);
    }
    const uint32_t header[] = {s->dim,      s->hidden,
                               s->layers,   s->heads,
                               s->kv_heads, version || s->shared ? s->vocab : 0u - s->vocab,
                               s->context};
    synth_put(out, header, sizeof header);
    if (version) {
        synth_u8(out, s->shared);
        synth_u32(out, version == 2 ? s->group : 0);
        synth_pad(out, 256);
        for (uint32_t l = 0; l < s->layers; l++)
            put_floats(out, s, dim, ATT_NORM * 4096 + l, true);
        for (uint32_t l = 0; l < s->layers; l++)
            put_floats(out, s, dim, FFN_NORM * 4096 + l, true);
        put_floats(out, s, dim, FINAL_NORM * 4096, true);
        put_matrix(out, s, version, count[EMBEDDING], EMBEDDING * 4096);
        for (size_t i = 0; i < sizeof versioned / sizeof *versioned; i++)
            for (uint32_t l = 0; l < s->layers; l++)
                put_matrix(out, s, version, count[versioned[i]], (uint32_t)versioned[i] * 4096 + l);
    } else {
        put_floats(out, s, count[EMBEDDING], EMBEDDING * 4096, false);
        for (size_t i = 0; i < sizeof legacy / sizeof *legacy; i++)
            for (uint32_t l = 0; l < s->layers; l++)
                put_floats(out, s, count[legacy[i]], (uint32_t)legacy[i] * 4096 + l,
                           legacy[i] == ATT_NORM || legacy[i] == FFN_NORM);
        put_floats(out, s, dim, FINAL_NORM * 4096, true);
        for (size_t i = 0; i < s->context * (dim / s->heads); i++) // RoPE tables, not used
            synth_f32(out, 0);
    }
    if (!s->shared)
        put_matrix(out, s, version, count[WCLS], WCLS * 4096);
}

void synth_tokenizer(struct synth *out, uint32_t vocab)
{
    static const char *const words[] = {
        " ",  "a",  "b",  "e",  "h",   "n",   "o",   "t",  "he",  " t",   "th",       "the", " the",
        " a", "an", "on", "no", " on", "eat", "hat", " b", "bat", " bat", "\xc3\xa9", "\n",  "hen"};
    synth_u32(out, 16);
    for (uint32_t i = 0; i < vocab; i++) {
        char piece[24];
        if (i < 3)
            strcpy(piece, i == 0 ? "<unk>" : i == 1 ? "\n<s>\n" : "\n</s>\n");
        else if (i < 259)
            snprintf(piece, sizeof piece, "<0x%02X>", i - 3);
        else if (i - 259 < sizeof words / sizeof *words)
            strcpy(piece, words[i - 259]);
        else
            snprintf(piece, sizeof piece, "w%u", i);
        synth_f32(out, i < 259 ? 0.0f : -(float)(i - 259));
        synth_u32(out, (uint32_t)strlen(piece));
        synth_put(out, piece, strlen(piece));
    }
}

// ---- GGUF ----

void synth_gguf_text(struct synth *s, const char *text)
{
    synth_u64(s, strlen(text));
    synth_put(s, text, strlen(text));
}

// Writes keys and counts them.
struct keys {
    struct synth *out;
    const char *skip;
    uint64_t count;
};

static bool key(struct keys *k, const char *name, uint32_t type)
{
    if (k->skip && strcmp(k->skip, name) == 0)
        return false;
    synth_gguf_text(k->out, name);
    synth_u32(k->out, type);
    k->count++;
    return true;
}

static void key_u32(struct keys *k, const char *name, uint32_t v)
{
    if (key(k, name, 4))
        synth_u32(k->out, v);
}

void synth_gguf_u32(struct synth *s, const char *name, uint32_t v)
{
    struct keys k = {s, NULL, 0};
    key_u32(&k, name, v);
}

static void key_f32(struct keys *k, const char *name, float v)
{
    if (key(k, name, 6))
        synth_f32(k->out, v);
}

static void key_bool(struct keys *k, const char *name, bool v)
{
    if (key(k, name, 7))
        synth_u8(k->out, v);
}

static void key_text(struct keys *k, const char *name, const char *v)
{
    if (key(k, name, 8))
        synth_gguf_text(k->out, v);
}

static bool key_array(struct keys *k, const char *name, uint32_t item, uint64_t count)
{
    if (!key(k, name, 9))
        return false;
    synth_u32(k->out, item);
    synth_u64(k->out, count);
    return true;
}

// A byte as GPT-2's visible character in UTF-8.
static void byte_character(unsigned char b, char out[4])
{
    uint32_t c = b;
    if (b < 33)
        c = 256 + b;
    else if (b >= 127 && b < 161)
        c = 256 + 33 + (b - 127);
    else if (b == 173)
        c = 256 + 33 + 34;
    if (c < 128) {
        out[0] = (char)c;
        out[1] = 0;
    } else {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        out[2] = 0;
    }
}

static void put_vocab(struct keys *k, const struct synth_shape *s, const struct synth_gguf *how)
{
    static const char *const merges[] = {"h e",          "t h", "th e", "\xc4\xa0 t",
                                         "\xc4\xa0t he", "i n", "a n",  "o n"};
    static const char *const merged[] = {"he",          "th", "the", "\xc4\xa0t",
                                         "\xc4\xa0the", "in", "an",  "on"};
    static const char *const specials[] = {"<|im_start|>", "<|im_end|>", "<|endoftext|>"};
    if (how->bpe) {
        key_text(k, "tokenizer.ggml.model", "gpt2");
        key_text(k, "tokenizer.ggml.pre", "qwen2");
        if (key_array(k, "tokenizer.ggml.tokens", 8, s->vocab))
            for (uint32_t i = 0; i < s->vocab; i++) {
                char piece[32];
                if (i < 256)
                    byte_character((unsigned char)i, piece);
                else if (i < 264)
                    strcpy(piece, merged[i - 256]);
                else if (i < 267)
                    strcpy(piece, specials[i - 264]);
                else
                    snprintf(piece, sizeof piece, "unused%u", i);
                synth_gguf_text(k->out, piece);
            }
        if (key_array(k, "tokenizer.ggml.token_type", 5, s->vocab))
            for (uint32_t i = 0; i < s->vocab; i++)
                synth_u32(k->out, i >= 264 && i < 267 ? 3 : i < 264 ? 1 : 5);
        if (key_array(k, "tokenizer.ggml.merges", 8, 8))
            for (int i = 0; i < 8; i++)
                synth_gguf_text(k->out, merges[i]);
        key_u32(k, "tokenizer.ggml.eos_token_id", 266);
        key_bool(k, "tokenizer.ggml.add_bos_token", false);
        return;
    }
    struct synth file = {0};
    synth_tokenizer(&file, s->vocab);
    key_text(k, "tokenizer.ggml.model", "llama");
    size_t at = 4;
    bool tokens = key_array(k, "tokenizer.ggml.tokens", 8, s->vocab);
    for (uint32_t i = 0; tokens && i < s->vocab; i++) {
        uint32_t length;
        char piece[64] = "";
        memcpy(&length, file.bytes + at + 4, 4);
        for (uint32_t c = 0; c < length; c++) { // a space becomes U+2581
            char one[2] = {(char)file.bytes[at + 8 + c], 0};
            strcat(piece, one[0] == ' ' ? "\xe2\x96\x81" : one);
        }
        synth_gguf_text(k->out, i == 1 ? "<s>" : i == 2 ? "</s>" : piece);
        at += 8 + length;
    }
    if (key_array(k, "tokenizer.ggml.scores", 6, s->vocab))
        for (uint32_t i = 0; i < s->vocab; i++)
            synth_f32(k->out, i < 259 ? 0 : -(float)(i - 259));
    if (key_array(k, "tokenizer.ggml.token_type", 5, s->vocab))
        for (uint32_t i = 0; i < s->vocab; i++)
            synth_u32(k->out, i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
    key_u32(k, "tokenizer.ggml.bos_token_id", 1);
    key_u32(k, "tokenizer.ggml.eos_token_id", 2);
    key_u32(k, "tokenizer.ggml.unknown_token_id", 0);
    key_bool(k, "tokenizer.ggml.add_bos_token", true);
    synth_free(&file);
}

// Tensors: first the descriptions, then the data.
struct tensors {
    const struct synth_shape *shape;
    const struct synth_gguf *how;
    struct synth infos, data;
    uint64_t count;
};

static void describe(struct tensors *t, const char *name, uint32_t cols, uint32_t rows,
                     uint32_t type)
{
    synth_gguf_text(&t->infos, name);
    synth_u32(&t->infos, rows ? 2 : 1);
    synth_u64(&t->infos, cols);
    if (rows)
        synth_u64(&t->infos, rows);
    synth_u32(&t->infos, type);
    synth_pad(&t->data, 32);
    synth_u64(&t->infos, t->data.n);
    t->count++;
}

static void tensor_groups(struct tensors *t, const char *name, uint32_t rows, uint32_t cols,
                          uint32_t number)
{
    struct synth both = {0};
    char scales[64];
    snprintf(scales, sizeof scales, "%s_scales", name);
    put_groups(&both, t->shape, (size_t)rows * cols, number);
    describe(t, name, cols, rows, 24);
    synth_put(&t->data, both.bytes, (size_t)rows * cols);
    describe(t, scales, cols / t->shape->group, rows, 0);
    synth_put(&t->data, both.bytes + (size_t)rows * cols, both.n - (size_t)rows * cols);
    synth_free(&both);
}

// Random blocks of Q4_K, Q5_K or Q6_K, with weights of about 0.1.
static void tensor_k(struct tensors *t, const char *name, uint32_t rows, uint32_t cols,
                     uint32_t number)
{
    uint32_t form = t->how->form;
    uint64_t state = t->shape->seed * 0x9e3779b97f4a7c15u + number;
    size_t size = dt_form_block_bytes(form);
    unsigned char block[256];
    describe(t, name, cols, rows, dt_gguf_type_of_form(form));
    for (size_t b = 0; b < (size_t)rows * (cols / DT_K_VALUES); b++) {
        for (size_t i = 0; i < size; i++) {
            synth_random(&state);
            block[i] = (unsigned char)(state >> 40);
        }
        for (unsigned which = 0; which < 2 && dt_form_scale_at(form, which) >= 0; which++) {
            float spread = form == DT_FORM_Q4_K ? 0.0004f : form == DT_FORM_Q5_K ? 0.0002f : 6e-5f;
            uint16_t half = dt_float_to_half(spread * (1 + 0.5f * synth_random(&state)) *
                                             (which && form == DT_FORM_Q4_K   ? 7
                                              : which && form == DT_FORM_Q5_K ? 15
                                                                              : 1));
            memcpy(block + dt_form_scale_at(form, which), &half, sizeof half);
        }
        synth_put(&t->data, block, size);
    }
}

// rows 0: a vector; a norm if its name contains "norm".
static void tensor(struct tensors *t, const char *name, uint32_t rows, uint32_t cols,
                   uint32_t number)
{
    if (t->how->skip && strcmp(t->how->skip, name) == 0)
        return;
    if (t->how->groups && rows) {
        tensor_groups(t, name, rows, cols, number);
        return;
    }
    if (dt_k_has(t->how->form) && rows) {
        tensor_k(t, name, rows, cols, number);
        return;
    }
    uint32_t form = rows ? t->how->form : t->how->half_norms ? DT_FORM_F16 : DT_FORM_F32;
    form = form ? form : DT_FORM_F32;
    struct synth floats = {0};
    put_floats(&floats, t->shape, (size_t)(rows ? rows : 1) * cols, number,
               strstr(name, "norm") != NULL);
    size_t bytes = dt_quantise_bytes(form, rows ? rows : 1, cols, 0);
    unsigned char *data = calloc(1, bytes);
    struct dt_matrix w = dt_quantise_matrix(form, rows ? rows : 1, cols, 0, data);
    for (uint32_t r = 0; r < w.rows; r++)
        dt_quantise_row(&w, r, (const float *)(const void *)floats.bytes + (size_t)r * cols);
    for (int copies = t->how->twice && strcmp(t->how->twice, name) == 0 ? 2 : 1; copies > 0;
         copies--) {
        describe(t, name, cols, rows, dt_gguf_type_of_form(form));
        synth_put(&t->data, data, bytes);
    }
    free(data);
    synth_free(&floats);
}

static void layer_tensors(struct tensors *t, uint32_t l, uint32_t queries, uint32_t keys)
{
    const struct synth_shape *s = t->shape;
    const struct {
        const char *name;
        uint32_t rows, cols, number;
        bool bias;
    } rows[] = {
        {"attn_norm.weight", 0, s->dim, ATT_NORM, false},
        {"attn_q.weight", queries, s->dim, WQ, false},
        {"attn_k.weight", keys, s->dim, WK, false},
        {"attn_v.weight", keys, s->dim, WV, false},
        {"attn_output.weight", s->dim, queries, WO, false},
        {"ffn_norm.weight", 0, s->dim, FFN_NORM, false},
        {"ffn_gate.weight", s->hidden, s->dim, W1, false},
        {"ffn_down.weight", s->dim, s->hidden, W2, false},
        {"ffn_up.weight", s->hidden, s->dim, W3, false},
        {"attn_q.bias", 0, queries, WCLS + 1, true},
        {"attn_k.bias", 0, keys, WCLS + 2, true},
        {"attn_v.bias", 0, keys, WCLS + 3, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s", l, rows[i].name);
        if (!rows[i].bias || t->how->biases)
            tensor(t, name, rows[i].rows, rows[i].cols, rows[i].number * 4096 + l);
    }
}

void synth_gguf(struct synth *out, const struct synth_shape *s, const struct synth_gguf *how)
{
    static const struct synth_gguf plainest = {0};
    how = how ? how : &plainest;
    const char *arch = how->architecture ? how->architecture : "llama";
    uint32_t head_size = how->head_size ? how->head_size : s->dim / s->heads;
    uint32_t parts = how->split_count ? how->split_count : 1;
    struct synth keys_bytes = {0};
    struct keys k = {&keys_bytes, how->skip, 0};
    struct tensors t = {.shape = s, .how = how};
    char name[96];
#define ARCH(suffix) (snprintf(name, sizeof name, "%s.%s", arch, suffix), name)
    if (how->split_no == 0) {
        key_text(&k, "general.architecture", arch);
        key_text(&k, "general.name", "synthetic");
        key_u32(&k, "general.alignment", 32);
        key_u32(&k, ARCH("context_length"), s->context);
        key_u32(&k, ARCH("embedding_length"), s->dim);
        key_u32(&k, ARCH("block_count"), s->layers);
        key_u32(&k, ARCH("feed_forward_length"), s->hidden);
        key_u32(&k, ARCH("attention.head_count"), s->heads);
        key_u32(&k, ARCH("attention.head_count_kv"), s->kv_heads);
        key_f32(&k, ARCH("attention.layer_norm_rms_epsilon"), 1e-5f);
        key_u32(&k, ARCH("rope.dimension_count"), head_size);
        key_f32(&k, ARCH("rope.freq_base"), 10000.0f);
        if (how->head_size) {
            key_u32(&k, ARCH("attention.key_length"), head_size);
            key_u32(&k, ARCH("attention.value_length"), head_size);
        }
        put_vocab(&k, s, how);
        if (how->template)
            key_text(&k, "tokenizer.chat_template", how->template);
        tensor(&t, "token_embd.weight", s->vocab, s->dim, EMBEDDING * 4096);
        tensor(&t, "output_norm.weight", 0, s->dim, FINAL_NORM * 4096);
        if (!s->shared)
            tensor(&t, "output.weight", s->vocab, s->dim, WCLS * 4096);
    }
    if (how->split_count) {
        key_u32(&k, "split.no", how->split_no);
        key_u32(&k, "split.count", how->split_count);
        key_u32(&k, "split.tensors.count", s->layers * 9 + 2 + !s->shared);
    }
    for (uint32_t l = 0; l < s->layers; l++)
        if (l % parts == how->split_no)
            layer_tensors(&t, l, s->heads * head_size, s->kv_heads * head_size);

    synth_put(out, "GGUF", 4);
    synth_u32(out, how->version ? how->version : 3);
    synth_u64(out, t.count);
    synth_u64(out, k.count);
    synth_put(out, keys_bytes.bytes, keys_bytes.n);
    synth_put(out, t.infos.bytes, t.infos.n);
    synth_pad(out, 32);
    synth_put(out, t.data.bytes, t.data.n);
    synth_free(&keys_bytes);
    synth_free(&t.infos);
    synth_free(&t.data);
}
