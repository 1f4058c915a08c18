// SPDX-License-Identifier: MIT
#include "synth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void synth_free(struct synth *s)
{
    free(s->bytes);
    memset(s, 0, sizeof *s);
}

void synth_put(struct synth *s, const void *bytes, size_t n)
{
    if (s->n + n > s->room) {
        size_t room = (s->n + n) * 2 + 4096;
        unsigned char *grown = aligned_alloc(64, (room + 63) / 64 * 64);
        if (!grown)
            abort();
        if (s->n)
            memcpy(grown, s->bytes, s->n);
        free(s->bytes);
        s->bytes = grown;
        s->room = room;
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

// n weights of tensor number `tensor`: the same in every format.
static void weights(float *out, size_t n, const struct synth_shape *shape, uint32_t tensor)
{
    uint64_t state = shape->seed * 0x9e3779b97f4a7c15u + tensor;
    synth_random(&state);
    for (size_t i = 0; i < n; i++)
        out[i] = synth_random(&state) * 0.25f;
}

static void put_floats(struct synth *out, const struct synth_shape *shape, size_t n, uint32_t tensor, bool norm)
{
    float *v = malloc(n * sizeof *v);
    weights(v, n, shape, tensor);
    for (size_t i = 0; norm && i < n; i++)
        v[i] = 1.0f + v[i] * 0.25f;
    synth_put(out, v, n * sizeof *v);
    free(v);
}

// One tensor as llama2.c's exporter quantises it: groups along the rows, scale = max / 127, ties to even.
static void put_groups(struct synth *out, const struct synth_shape *shape, size_t n, uint32_t tensor)
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
            synth_u8(out, (uint8_t)(int8_t)(scales[g] > 0 ? rintf(v[g * shape->group + i] / scales[g]) : 0));
    }
    synth_put(out, scales, n / shape->group * sizeof *scales);
    free(v);
    free(scales);
}

static void put_matrix(struct synth *out, const struct synth_shape *s, int version, size_t n, uint32_t tensor)
{
    if (version == 2)
        put_groups(out, s, n, tensor);
    else
        put_floats(out, s, n, tensor, false);
}

// Numbers of tensors, so that every format draws the same weights: kind * 4096 + layer.
enum { EMBEDDING, ATT_NORM, WQ, WK, WV, WO, FFN_NORM, W1, W2, W3, FINAL_NORM, WCLS };

void synth_llama2c(struct synth *out, const struct synth_shape *s, int version)
{
    size_t dim = s->dim, hidden = s->hidden, kv = dim / s->heads * s->kv_heads;
    const size_t count[] = {s->vocab * dim, dim,          dim * dim,    kv * dim,     kv * dim, dim * dim,
                            dim,            hidden * dim, dim * hidden, hidden * dim, dim,      s->vocab * dim};
    static const int legacy[] = {ATT_NORM, WQ, WK, WV, WO, FFN_NORM, W1, W2, W3};
    static const int versioned[] = {WQ, WK, WV, WO, W1, W2, W3};
    if (version) {
        synth_u32(out, 0x616b3432);
        synth_u32(out, (uint32_t)version);
    }
    const uint32_t header[] = {s->dim,      s->hidden, s->layers, s->heads,
                               s->kv_heads, version || s->shared ? s->vocab : 0u - s->vocab, s->context};
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
        for (size_t i = 0; i < s->context * (dim / s->heads); i++) // RoPE tables that nobody reads
            synth_f32(out, 0);
    }
    if (!s->shared)
        put_matrix(out, s, version, count[WCLS], WCLS * 4096);
}

void synth_tokenizer(struct synth *out, uint32_t vocab)
{
    static const char *const words[] = {" ",   "a",   "b",   "e",    "h",    "n",    "o",    "t",   "he",
                                        " t",  "th",  "the", " the", " a",   "an",   "on",   "no",  " on",
                                        "eat", "hat", " b",  "bat",  " bat", "\xc3\xa9", "\n", "hen"};
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
