// SPDX-License-Identifier: MIT
// <duotale/backend.h> of ABI 1, frozen, without its comments. Never edited: modules built with it
// exist.
#ifndef DT_ABI_BACKEND_H
#define DT_ABI_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DT_BACKEND_ABI 1u

enum dt_form {
    DT_FORM_NONE = 0,
    DT_FORM_F32 = 1,
    DT_FORM_F16 = 2,
    DT_FORM_BF16 = 3,
    DT_FORM_I8 = 4,
    DT_FORM_Q8_0 = 5,
    DT_FORM_Q4_0 = 6,
    DT_FORM_PACKED = 7,
    DT_FORM_Q4_1 = 8,
    DT_FORM_Q5_0 = 9,
    DT_FORM_Q5_1 = 10,
    DT_FORM_Q2_K = 11,
    DT_FORM_Q3_K = 12,
    DT_FORM_Q4_K = 13,
    DT_FORM_Q5_K = 14,
    DT_FORM_Q6_K = 15,
    DT_FORM_IQ4_NL = 16,
};

enum dt_scale {
    DT_SCALE_NONE = 0,
    DT_SCALE_F32 = 1,
    DT_SCALE_F16 = 2,
};

struct dt_matrix {
    uint32_t form;
    uint32_t rows;
    uint32_t cols;
    uint32_t group;
    uint32_t scale_type;
    uint32_t reserved;
    const void *quants;
    const void *scales;
    size_t row_stride;
    size_t group_stride;
    size_t scale_row_stride;
    size_t scale_group_stride;
    size_t bytes;
    const char *layout;
};

enum dt_kv_type {
    DT_KV_F32 = 1,
    DT_KV_F16 = 2,
};

struct dt_kv {
    uint32_t type;
    uint32_t heads;
    uint32_t head_size;
    uint32_t capacity;
    const void *keys;
    const void *values;
    size_t key_head, key_slot, key_channel;
    size_t value_head, value_slot, value_channel;
    const float *key_scales, *value_scales;
    const uint32_t *slots;
};

#define DT_CPU_AVX2       (1ull << 0)
#define DT_CPU_AVX512     (1ull << 1)
#define DT_CPU_AVX512VNNI (1ull << 2)
#define DT_CPU_AVXVNNI    (1ull << 3)
#define DT_CPU_AMX_INT8   (1ull << 4)
#define DT_CPU_NEON       (1ull << 8)
#define DT_CPU_DOTPROD    (1ull << 9)
#define DT_CPU_RVV07      (1ull << 16)
#define DT_CPU_RVV10      (1ull << 17)

struct dt_cpu {
    uint32_t size;
    uint32_t vlen;
    uint64_t features;
    const char *arch;
    const char *model;
};

typedef void dt_loop_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker);

struct dt_services {
    uint32_t size;
    uint32_t reserved;
    void *host;

    void *(*allocate)(void *host, size_t bytes);
    void (*release)(void *host, void *block, size_t bytes);

    void (*log)(void *host, int level, const char *line);

    void (*parallel_for)(void *host, dt_loop_body *body, void *arg, uint32_t count, uint32_t grain);
    uint32_t (*threads)(void *host);
};

enum dt_rope_style {
    DT_ROPE_PAIRS = 0,
    DT_ROPE_HALVES = 1,
};

struct dt_backend {
    uint32_t abi;
    uint32_t size;
    const char *name;
    const char *variant;
    const char *description;
    const char *layout;
    uint32_t row_tile;
    uint32_t form_count;
    uint32_t forms[8];

    int (*probe)(const struct dt_cpu *cpu);

    int (*create)(const struct dt_services *services, void **ctx, char *reason, size_t reason_size);
    void (*destroy)(void *ctx);

    int (*can_matmul)(void *ctx, const struct dt_matrix *w);

    size_t (*act_bytes)(void *ctx, const struct dt_matrix *w, uint32_t columns);

    void (*act_prepare)(void *ctx, void *act, const float *x, size_t x_stride, uint32_t columns,
                        const struct dt_matrix *w);

    void (*matmul)(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns);

    void (*embed)(void *ctx, float *out, const struct dt_matrix *w, uint32_t row);

    size_t (*pack_bytes)(void *ctx, const struct dt_matrix *w);
    void (*pack)(void *ctx, void *packed, const struct dt_matrix *w, uint32_t row_begin,
                 uint32_t row_end);

    void (*rmsnorm)(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                    const float *weight, uint32_t n, uint32_t columns, float epsilon);

    void (*rope)(void *ctx, float *x, uint32_t heads, uint32_t head_size, uint32_t rotated,
                 const float *cosine, const float *sine, uint32_t style);

    void (*attention)(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                      uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                      float *scores, size_t score_stride);

    void (*softmax)(void *ctx, float *x, uint32_t n);

    void (*silu_mul)(void *ctx, float *gate, const float *up, uint32_t n);
    void (*add)(void *ctx, float *x, const float *y, uint32_t n);

    uint32_t (*argmax)(void *ctx, const float *x, uint32_t n);

    uint32_t (*select)(void *ctx, const float *x, uint32_t n, float threshold, uint32_t *index);

    void (*matmul_rows)(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const void *act);

    float (*act_error)(void *ctx, const void *act, const float *x, const struct dt_matrix *w);

    uint32_t (*screen)(void *ctx, const uint32_t *bounds, uint32_t n, float along, float across,
                       float threshold, float scale, uint32_t *index, double *rest);

    int (*row_products)(void *ctx, float *products, const struct dt_matrix *w, uint32_t row_begin,
                        uint32_t row_end, const float *direction);
};

#ifdef DT_STATIC_MODULES
#define DT_BACKEND_SYMBOL_(name) dt_backend_module_##name
#define DT_BACKEND_SYMBOL(name)  DT_BACKEND_SYMBOL_(name)
#else
#define DT_BACKEND_SYMBOL(name) dt_backend_module
#endif
#define DT_BACKEND_EXPORT(name)                                                                    \
    __attribute__((visibility("default"))) extern const struct dt_backend DT_BACKEND_SYMBOL(name); \
    const struct dt_backend DT_BACKEND_SYMBOL(name)

#ifdef __cplusplus
}
#endif
#endif
