// SPDX-License-Identifier: MIT
// fp32: F32, F16 and BF16 matrices in place. The products of a row are summed in KIT_W lanes, and
// the lanes by a fixed tree, which does not depend on the number of columns or the range of rows.
// Compiled once for each CPU variant.
#include "abi/backend.h"
#include "abi/kit/attention.h"
#include "abi/kit/ops.h"
#include "probe.h"

enum {
    decode_rows = 8, // rows at a time for one column
    batch_rows = 4,  // rows, and batch_cols columns, at a time for many columns
#if defined(KIT_AVX512)
    batch_cols = 6,
#elif defined(KIT_NEON)
    batch_cols = 4,
#else
    batch_cols = 2,
#endif
};

KIT_INLINE size_t element_bytes(uint32_t form)
{
    return form == DT_FORM_F32 ? 4 : 2;
}

KIT_INLINE kit_f load(const unsigned char *p, uint32_t form)
{
    if (form == DT_FORM_F32)
        return kit_load((const float *)(const void *)p);
    if (form == DT_FORM_F16)
        return kit_load_f16((const uint16_t *)(const void *)p);
    return kit_load_bf16((const uint16_t *)(const void *)p);
}

KIT_INLINE kit_f load_n(const unsigned char *p, uint32_t form, size_t n)
{
    if (form == DT_FORM_F32)
        return kit_load_n((const float *)(const void *)p, n);
    if (form == DT_FORM_F16)
        return kit_load_f16_n((const uint16_t *)(const void *)p, n);
    return kit_load_bf16_n((const uint16_t *)(const void *)p, n);
}

// The sums of the lanes of four vectors: lane i with lane i + 8, then + 4, + 2, + 1.
KIT_INLINE void lane_sums(float out[4], const kit_f v[4])
{
#if defined(KIT_AVX512) || defined(KIT_AVX2)
    __m128 half[4];
    KIT_UNROLL
    for (int i = 0; i < 4; i++) {
#ifdef KIT_AVX512
        __m256 w = _mm256_add_ps(_mm512_castps512_ps256((__m512)v[i]),
                                 _mm512_extractf32x8_ps((__m512)v[i], 1));
#else
        __m256 w = (__m256)v[i];
#endif
        half[i] = _mm_add_ps(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1));
    }
    __m128 ab = _mm_add_ps(_mm_unpacklo_ps(half[0], half[1]), _mm_unpackhi_ps(half[0], half[1]));
    __m128 cd = _mm_add_ps(_mm_unpacklo_ps(half[2], half[3]), _mm_unpackhi_ps(half[2], half[3]));
    _mm_storeu_ps(out, _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab)));
#elif defined(KIT_NEON) // vpaddq adds neighbouring lanes
    float32x4_t ab = vpaddq_f32((float32x4_t)v[0], (float32x4_t)v[1]);
    float32x4_t cd = vpaddq_f32((float32x4_t)v[2], (float32x4_t)v[3]);
    vst1q_f32(out, vpaddq_f32(ab, cd));
#else
    for (int i = 0; i < 4; i++)
        out[i] = (v[i][0] + v[i][2]) + (v[i][1] + v[i][3]);
#endif
}

// rows x cols dot products of length n. w[r]: the rows; columns start x_stride floats apart in x.
KIT_INLINE void dots(float *out, size_t out_stride, const unsigned char *const *w, const float *x,
                     size_t x_stride, uint32_t n, uint32_t form, int rows, int cols)
{
    kit_f sum[24];
    KIT_UNROLL
    for (int i = 0; i < rows * cols; i++)
        sum[i] = kit_set(0.0f);
    uint32_t j = 0;
    for (; j + KIT_W <= n; j += KIT_W) {
        kit_f b[6];
        KIT_UNROLL
        for (int c = 0; c < cols; c++)
            b[c] = kit_load(x + (size_t)c * x_stride + j);
        KIT_UNROLL
        for (int r = 0; r < rows; r++) {
            kit_f a = load(w[r] + j * element_bytes(form), form);
            KIT_UNROLL
            for (int c = 0; c < cols; c++)
                sum[c * rows + r] = kit_fma(a, b[c], sum[c * rows + r]);
        }
    }
    if (j < n) {
        for (int c = 0; c < cols; c++) {
            kit_f b = kit_load_n(x + (size_t)c * x_stride + j, n - j);
            for (int r = 0; r < rows; r++) {
                kit_f a = load_n(w[r] + j * element_bytes(form), form, n - j);
                sum[c * rows + r] = kit_fma(a, b, sum[c * rows + r]);
            }
        }
    }
    for (int c = 0; c < cols; c++) {
        KIT_UNROLL
        for (int r = 0; r < rows; r += 4)
            lane_sums(out + (size_t)c * out_stride + r, sum + c * rows + r);
    }
}

// The addresses of `count` rows; the last one again for those past the end.
KIT_INLINE void rows_at(const unsigned char **at, const struct dt_matrix *w, uint32_t row,
                        uint32_t count, int rows)
{
    for (int r = 0; r < rows; r++) {
        uint32_t k = (uint32_t)r < count ? (uint32_t)r : count - 1;
        at[r] = (const unsigned char *)w->quants + (row + k) * w->row_stride;
    }
}

KIT_INLINE void matmul_one(float *out, const struct dt_matrix *w, uint32_t begin, uint32_t end,
                           const float *x, uint32_t form)
{
    const unsigned char *at[decode_rows];
    for (uint32_t r = begin; r < end; r += decode_rows) {
        uint32_t count = end - r < decode_rows ? end - r : decode_rows;
        rows_at(at, w, r, count, decode_rows);
        if (count == decode_rows) {
            dots(out + r, 0, at, x, 0, w->cols, form, decode_rows, 1);
        } else {
            float spare[decode_rows];
            dots(spare, 0, at, x, 0, w->cols, form, decode_rows, 1);
            memcpy(out + r, spare, count * sizeof *out);
        }
    }
}

// The rows of an index times one column. Prefetches the next rows, which hardware cannot predict.
KIT_INLINE void listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                            uint32_t count, const float *x, uint32_t form)
{
    const unsigned char *at[decode_rows];
    for (uint32_t k = 0; k < count; k += decode_rows) {
        uint32_t n = count - k < decode_rows ? count - k : decode_rows;
        float sums[decode_rows];
        for (uint32_t r = 0; r < decode_rows; r++) {
            uint32_t next = k + decode_rows + r;
            at[r] =
                (const unsigned char *)w->quants + index[k + (r < n ? r : n - 1)] * w->row_stride;
            for (size_t i = 0; next < count && i < w->cols * element_bytes(form); i += 64)
                __builtin_prefetch((const unsigned char *)w->quants + index[next] * w->row_stride +
                                   i);
        }
        dots(sums, 0, at, x, 0, w->cols, form, decode_rows, 1);
        memcpy(out + k, sums, n * sizeof *out);
    }
}

KIT_INLINE void matmul_many(float *out, size_t out_stride, const struct dt_matrix *w,
                            uint32_t begin, uint32_t end, const float *x, size_t x_stride,
                            uint32_t columns, uint32_t form)
{
    const unsigned char *at[batch_rows];
    for (uint32_t r = begin; r < end; r += batch_rows) {
        uint32_t count = end - r < batch_rows ? end - r : batch_rows, c = 0;
        float tile[batch_rows * batch_cols];
        rows_at(at, w, r, count, batch_rows);
        for (; c + batch_cols <= columns; c += batch_cols) {
            dots(tile, batch_rows, at, x + c * x_stride, x_stride, w->cols, form, batch_rows,
                 batch_cols);
            for (uint32_t k = 0; k < batch_cols; k++)
                memcpy(out + (c + k) * out_stride + r, tile + k * batch_rows, count * sizeof *out);
        }
        for (; c < columns; c++) {
            dots(tile, batch_rows, at, x + c * x_stride, 0, w->cols, form, batch_rows, 1);
            memcpy(out + c * out_stride + r, tile, count * sizeof *out);
        }
    }
}

KIT_INLINE void matmul_form(float *out, size_t out_stride, const struct dt_matrix *w,
                            uint32_t begin, uint32_t end, const float *x, size_t x_stride,
                            uint32_t columns, uint32_t form)
{
    if (columns == 1)
        matmul_one(out, w, begin, end, x, form);
    else
        matmul_many(out, out_stride, w, begin, end, x, x_stride, columns, form);
}

static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns)
{
    (void)ctx;
    if (w->form == DT_FORM_F32)
        matmul_form(out, out_stride, w, row_begin, row_end, act, x_stride, columns, DT_FORM_F32);
    else if (w->form == DT_FORM_F16)
        matmul_form(out, out_stride, w, row_begin, row_end, act, x_stride, columns, DT_FORM_F16);
    else
        matmul_form(out, out_stride, w, row_begin, row_end, act, x_stride, columns, DT_FORM_BF16);
}

static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    const unsigned char *at = (const unsigned char *)w->quants + row * w->row_stride;
    uint32_t j = 0;
    for (; j + KIT_W <= w->cols; j += KIT_W)
        kit_store(out + j, load(at + j * element_bytes(w->form), w->form));
    if (j < w->cols)
        kit_store_n(out + j, load_n(at + j * element_bytes(w->form), w->form, w->cols - j),
                    w->cols - j);
}

static void matmul_rows(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const void *act)
{
    (void)ctx;
    if (w->form == DT_FORM_F32)
        listed_rows(out, w, index, count, act, DT_FORM_F32);
    else if (w->form == DT_FORM_F16)
        listed_rows(out, w, index, count, act, DT_FORM_F16);
    else
        listed_rows(out, w, index, count, act, DT_FORM_BF16);
}

// Nothing is quantised. The sum of n rounded products, in any order, differs from the exact one by
// at most n 2^-24 times the sum of their magnitudes.
static float act_error(void *ctx, const void *act, const float *x, const struct dt_matrix *w)
{
    (void)ctx;
    (void)act;
    double norm = 0;
    for (uint32_t i = 0; i < w->cols; i++)
        norm += (double)x[i] * (double)x[i];
    return (float)(1.01 * (w->cols + 2) * 0x1p-24 * __builtin_sqrt(norm));
}

// The sum of squares is in lanes; the reference's is in sequence.
static void rmsnorm(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                    const float *weight, uint32_t n, uint32_t columns, float epsilon)
{
    (void)ctx;
    for (uint32_t c = 0; c < columns; c++, out += out_stride, x += x_stride) {
        kit_f sum[4] = {{0}};
        float parts[4];
        uint32_t i = 0;
        for (; i + 4 * KIT_W <= n; i += 4 * KIT_W) {
            KIT_UNROLL
            for (int k = 0; k < 4; k++) {
                kit_f v = kit_load(x + i + k * KIT_W);
                sum[k] = kit_fma(v, v, sum[k]);
            }
        }
        for (; i < n; i += KIT_W) {
            kit_f v = kit_load_n(x + i, n - i < KIT_W ? n - i : KIT_W);
            sum[0] = kit_fma(v, v, sum[0]);
        }
        lane_sums(parts, sum);
        kit_rmsnorm_finish(out, x, weight, n, (parts[0] + parts[1]) + (parts[2] + parts[3]),
                           epsilon);
    }
}

#include "abi/kit/table.h"

DT_BACKEND_EXPORT(DT_MODULE_ID) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "fp32",
    .variant = DT_MODULE_VARIANT,
    .description = "float matrices of F32, F16 and BF16 in place; sums in lanes: logits within "
                   "1e-4 of the reference's",
    .row_tile = 8,
    .form_count = 3,
    .forms = {DT_FORM_F32, DT_FORM_F16, DT_FORM_BF16},
    .probe = DT_MODULE_PROBE,
    .matmul = matmul,
    .embed = embed,
    .rmsnorm = rmsnorm,
    .rope = kit_op_rope,
    .attention = kit_op_attention,
    .softmax = kit_op_softmax,
    .silu_mul = kit_op_silu_mul,
    .add = kit_op_add,
    .argmax = kit_op_argmax,
    .select = kit_op_select,
    .matmul_rows = matmul_rows,
    .act_error = act_error,
    .screen = kit_op_screen,
    .layernorm = kit_op_layernorm,
    .gelu = kit_op_gelu,
    .gelu_mul = kit_op_gelu_mul,
    .softcap = kit_op_softcap,
    .attention_capped = kit_op_attention_capped,
};
