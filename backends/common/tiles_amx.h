// SPDX-License-Identifier: MIT
// Many columns with Intel AMX. A tile product is 16 rows of weights times 16 columns of activations
// over one group, exact in 32-bit integers; the result is sixteen vectors, one for each row, with a
// column in each lane. Each vector is converted to float, multiplied by the row's scale and the
// columns' scales and added, group by group as the reference does. Rows are read in place; columns
// are prepared in blocks of sixteen, interleaved as TDPBSSD requires (Intel 64 manual).
//
// A call configures the tiles of its thread and releases them at its end, so that the kernel saves
// no tile data on context switches between calls.
#ifndef DT_BACKENDS_COMMON_TILES_AMX_H
#define DT_BACKENDS_COMMON_TILES_AMX_H

#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/panel_vnni.h"
#include "common/tile_vnni.h"

enum {
    amx_min_columns = 6,     // AMX is not faster than VNNI for fewer columns
    amx_panel_cols = 1024,   // columns of weights that are unpacked at a time
    amx_panel_stride = 1088, // bytes; a cache line more, so that rows are in different cache sets
};

// ---- instructions ----
// Inline asm, as the compilers' intrinsics do not declare the memory they access. The operands of a
// product: AMX_PRODUCTS two signed ones, AMX_PRODUCTS_SU a signed and an unsigned one.
#ifdef DT_AMX_EMULATED
#include "amx_emulated.h"
#else
// clang-format off

#define AMX_LOAD(tile, from, stride)                                                               \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                            \
                     : : "r"(from), "r"((size_t)(stride)) : "memory")
#define AMX_STORE(tile, to)                                                                        \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                        \
                     : : "r"(to), "r"((size_t)64) : "memory")
#define AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : : : "memory")
#define AMX_PRODUCTS(sum, a, b)                                                                    \
    __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #sum : : : "memory")
#define AMX_PRODUCTS_SU(sum, a, b)                                                                 \
    __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #sum : : : "memory")
#define AMX_CONFIGURE(config) __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory")
#define AMX_RELEASE()         __asm__ volatile("tilerelease" : : : "memory")
// clang-format on
#endif

// The operand of ldtilecfg: palette 1; for each tile, bytes of a row and number of rows.
struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// Configures the tiles: 0 and 3 hold weights, 1 and 4 activations, 2 and 5 sums. step: quants of a
// group that one tile holds.
KIT_INLINE void amx_begin(uint32_t step)
{
    struct amx_config config __attribute__((aligned(64))) = {.palette = 1};
    for (int t = 0; t < 6; t += 3) {
        config.rows[t] = config.rows[t + 2] = 16;
        config.row_bytes[t] = (uint16_t)step;
        config.rows[t + 1] = (uint8_t)(step / 4);
        config.row_bytes[t + 1] = config.row_bytes[t + 2] = 64;
    }
    AMX_CONFIGURE(config);
}

KIT_INLINE void amx_end(void)
{
    AMX_RELEASE();
}

// Requests permission for AMX from the kernel (arch_prctl(2), ARCH_REQ_XCOMP_PERM for
// XFEATURE_XTILEDATA). The permission is valid for the process; requesting it again has no effect.
static bool amx_permitted(void)
{
#ifdef DT_AMX_EMULATED
    return true;
#else
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#endif
}

// ---- activations ----

// Layout of sixteen prepared columns: quants [cols / 4][column][4], then scales [group][column].
struct amx_block {
    size_t scales, bytes;
};

KIT_INLINE struct amx_block amx_block_of(const struct dt_matrix *w)
{
    size_t quants = (size_t)w->cols * 16;
    return (struct amx_block){quants, quants + (size_t)(w->cols / w->group) * 64};
}

KIT_INLINE size_t amx_act_bytes(const struct dt_matrix *w, uint32_t columns)
{
    return amx_block_of(w).bytes * ((columns + 15) / 16);
}

// Whether AMX computes this product. Groups of fewer than 32 values would leave most of a tile
// empty.
KIT_INLINE bool amx_supports(const struct dt_matrix *w, uint32_t columns)
{
    return columns >= amx_min_columns && w->form != DT_FORM_PACKED && w->group % 32 == 0 &&
           w->group <= amx_panel_cols &&
           (w->group_stride == w->group || w->group == 32 || w->form == DT_FORM_Q4_0);
}

// Lane c of the result is the largest lane of m[c].
KIT_INLINE __m512 amx_max_lanes(const __m512 m[16])
{
    __m512 four[4];
    KIT_UNROLL
    for (int i = 0; i < 4; i++) {
        __m512 a = m[4 * i], b = m[4 * i + 1], c = m[4 * i + 2], d = m[4 * i + 3];
        __m512 ab = _mm512_max_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        __m512 cd = _mm512_max_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        four[i] = _mm512_max_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    }
    __m512 low = _mm512_max_ps(_mm512_shuffle_f32x4(four[0], four[1], 0x88),
                               _mm512_shuffle_f32x4(four[0], four[1], 0xdd));
    __m512 high = _mm512_max_ps(_mm512_shuffle_f32x4(four[2], four[3], 0x88),
                                _mm512_shuffle_f32x4(four[2], four[3], 0xdd));
    return _mm512_max_ps(_mm512_shuffle_f32x4(low, high, 0x88),
                         _mm512_shuffle_f32x4(low, high, 0xdd));
}

// The scales of one group of n columns, and their inverses (act_inverse).
KIT_INLINE void amx_group_scales(float *scales, float *inverse, const float *x, size_t x_stride,
                                 uint32_t n, uint32_t group)
{
    __m512 most[16];
    KIT_UNROLL
    for (uint32_t c = 0; c < 16; c++) {
        most[c] = _mm512_setzero_ps();
        for (uint32_t i = 0; c < n && i < group; i += 16)
            most[c] = (__m512)kit_max((kit_f)most[c], kit_abs(kit_load(x + c * x_stride + i)));
    }
    __m512 scale = _mm512_div_ps(amx_max_lanes(most), _mm512_set1_ps(127.0f));
    _mm512_storeu_ps(scales, scale);
    for (int c = 0; c < 16; c++)
        inverse[c] = act_inverse(scales[c]);
}

// Quantises 32 values of one column.
KIT_INLINE void amx_quantise(int8_t *to, const float *x, float scale, float inverse)
{
    for (int i = 0; i < 32; i += 16)
        act_store(to + i, act_quantise_by(kit_load(x + i), kit_set(scale), kit_set(inverse)), 16);
}

// Prepares one block of n columns, n <= 16.
KIT_INLINE void amx_prepare_block(unsigned char *block, const float *x, size_t x_stride, uint32_t n,
                                  const struct dt_matrix *w)
{
    struct amx_block layout = amx_block_of(w);
    int8_t quants[16][64] __attribute__((aligned(64))) = {0};
    float inverse[16] __attribute__((aligned(64)));
    float *scales = NULL;
    for (uint32_t k = 0; k < w->cols; k += 32) {
        if (k % w->group == 0) {
            scales = (float *)(void *)(block + layout.scales + (size_t)(k / w->group) * 64);
            amx_group_scales(scales, inverse, x + k, x_stride, n, w->group);
        }
        for (uint32_t c = 0; c < n; c++)
            amx_quantise(quants[c] + k % 64, x + c * x_stride + k, scales[c], inverse[c]);
        if (k % 64 == 0 && k + 32 < w->cols)
            continue;
        __m512i s[16];
        KIT_UNROLL
        for (int c = 0; c < 16; c++)
            s[c] = _mm512_load_si512(quants[c]);
        vnni_transpose(s);
        for (uint32_t i = 0; i < (k % 64 ? 16u : 8u); i++)
            _mm512_storeu_si512(block + (size_t)(k / 64) * 1024 + i * 64, s[i]);
    }
}

static void amx_prepare(void *act, const float *x, size_t x_stride, uint32_t columns,
                        const struct dt_matrix *w)
{
    size_t bytes = amx_block_of(w).bytes;
    for (uint32_t c = 0; c < columns; c += 16)
        amx_prepare_block((unsigned char *)act + c / 16 * bytes, x + c * x_stride, x_stride,
                          columns - c < 16 ? columns - c : 16, w);
}

// ---- products ----

// Some groups of sixteen rows, in place or unpacked, and their scales.
struct amx_rows {
    float scales[amx_panel_cols / 32][16]; // [group][row]
    const unsigned char *quants;
    size_t row_stride, group_stride;
} __attribute__((aligned(64)));

// A part of the next rows, prefetched while these are multiplied with one block of columns: `step`
// bytes for each group.
struct amx_prefetch {
    const unsigned char *at;
    size_t step;
};

// a * *by in every lane. Inline asm, so that the factor is read from memory by the instruction.
KIT_INLINE __m512 amx_times_float(__m512 a, const float *by)
{
    __asm__("vmulps %2%{1to16%}, %1, %0" : "=v"(a) : "v"(a), "m"(*by));
    return a;
}

// value[r] += (sum * scale of row r) * scales of the columns
KIT_INLINE void amx_add_group(__m512 value[16], const int32_t *sums, const float *row_scales,
                              const unsigned char *column_scales)
{
    __m512 x = _mm512_loadu_ps(column_scales);
    KIT_UNROLL
    for (int r = 0; r < 16; r++) {
        __m512 part =
            amx_times_float(_mm512_cvtepi32_ps(_mm512_load_si512(sums + r * 16)), row_scales + r);
        value[r] = _mm512_add_ps(value[r], _mm512_mul_ps(part, x));
    }
}

#define AMX_GROUP(a, b, sum, g)                                                                    \
    do {                                                                                           \
        const unsigned char *at_ = rows->quants + (size_t)(g)*rows->group_stride;                  \
        const unsigned char *from_ = quants + (size_t)(g)*group * 16;                              \
        AMX_ZERO(sum);                                                                             \
        for (uint32_t k_ = 0; k_ < group; k_ += step) {                                            \
            AMX_LOAD(a, at_ + k_, rows->row_stride);                                               \
            AMX_LOAD(b, from_ + (size_t)k_ * 16, 64);                                              \
            AMX_PRODUCTS(sum, a, b);                                                               \
        }                                                                                          \
    } while (0)

// `count` rows times one block of `columns` columns, over groups [first, first + n). Sums start at
// 0 for the first group, else at the values in out. The product of a group is computed two steps
// before it is added and stored one step before, so that the load does not wait for the store.
KIT_INLINE void amx_rows_times_block(float *out, size_t out_stride, uint32_t count,
                                     const struct amx_rows *rows, uint32_t first, uint32_t n,
                                     const unsigned char *block, const struct amx_block *layout,
                                     uint32_t columns, struct amx_prefetch next, uint32_t group,
                                     uint32_t step)
{
    int32_t sums[4][16][16] __attribute__((aligned(64)));
    const unsigned char *quants = block + (size_t)first * group * 16;
    const unsigned char *scales = block + layout->scales + (size_t)first * 64;
    __m512 value[16];
    KIT_UNROLL
    for (uint32_t c = 0; c < 16; c++)
        value[c] = first && c < columns ? (__m512)kit_load_n(out + c * out_stride, count)
                                        : _mm512_setzero_ps();
    if (first)
        vnni_transpose((__m512i *)value);

    AMX_GROUP(0, 1, 2, 0);
    AMX_STORE(2, sums[0]);
    if (n > 1)
        AMX_GROUP(3, 4, 5, 1);
    for (uint32_t g = 0; g < n; g += 2) {
        for (size_t ahead = 0; ahead < 2 * next.step; ahead += 64)
            _mm_prefetch((const char *)next.at + g * next.step + ahead, _MM_HINT_T1);
        if (g + 1 < n)
            AMX_STORE(5, sums[(g + 1) % 4]);
        if (g + 2 < n)
            AMX_GROUP(0, 1, 2, g + 2);
        amx_add_group(value, sums[g % 4][0], rows->scales[g], scales + (size_t)g * 64);
        if (g + 1 == n)
            break;
        if (g + 2 < n)
            AMX_STORE(2, sums[(g + 2) % 4]);
        if (g + 3 < n)
            AMX_GROUP(3, 4, 5, g + 3);
        amx_add_group(value, sums[(g + 1) % 4][0], rows->scales[g + 1],
                      scales + (size_t)(g + 1) * 64);
    }
    vnni_transpose((__m512i *)value);
    KIT_UNROLL
    for (uint32_t c = 0; c < 16; c++) {
        if (c < columns)
            kit_store_n(out + c * out_stride, (kit_f)value[c], count);
    }
}

// Unpacks groups [g, g + n) of the tile's rows to quants, amx_panel_stride bytes apart. Each module
// has its own.
typedef void amx_unpack_fn(int8_t *quants, const struct dt_matrix *w, const struct vnni_tile *t,
                           uint32_t g, uint32_t n);

// in_place: sixteen full rows are read without unpacking.
KIT_INLINE void amx_rows_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                                       uint32_t begin, uint32_t end, const void *act,
                                       uint32_t columns, bool in_place, amx_unpack_fn *unpack)
{
    struct amx_block layout = amx_block_of(w);
    int8_t panel[16 * amx_panel_stride] __attribute__((aligned(64)));
    struct amx_rows rows;
    uint32_t groups = w->cols / w->group, fit = amx_panel_cols / w->group;
    uint32_t blocks = (columns + 15) / 16;
    size_t group_bytes = 16 * w->row_stride / groups, step = group_bytes / blocks + 1;
    amx_begin(w->group % 64 ? 32 : 64);
    for (uint32_t r = begin; r < end; r += 16) {
        uint32_t count = end - r < 16 ? end - r : 16;
        struct vnni_tile t = vnni_tile_at(w, r, count);
        for (uint32_t g = 0; g < groups; g += fit) {
            uint32_t n = groups - g < fit ? groups - g : fit;
            for (uint32_t k = 0; k < n; k++)
                _mm512_store_ps(rows.scales[k], vnni_scales(w, &t, g + k));
            if (in_place && count == 16) {
                rows.quants = t.rows[0] + g * w->group_stride;
                rows.row_stride = w->row_stride;
                rows.group_stride = w->group_stride;
            } else {
                unpack(panel, w, &t, g, n);
                rows.quants = (const unsigned char *)panel;
                rows.row_stride = amx_panel_stride;
                rows.group_stride = w->group;
            }
            struct amx_prefetch next = {t.rows[0] + 16 * w->row_stride + g * group_bytes, step};
            for (uint32_t c = 0; c < columns; c += 16) {
                const unsigned char *block = (const unsigned char *)act + c / 16 * layout.bytes;
                float *to = out + c * out_stride + r;
                uint32_t here = columns - c < 16 ? columns - c : 16;
                if (w->group == 32)
                    amx_rows_times_block(to, out_stride, count, &rows, g, n, block, &layout, here,
                                         next, 32, 32);
                else if (w->group == 64)
                    amx_rows_times_block(to, out_stride, count, &rows, g, n, block, &layout, here,
                                         next, 64, 64);
                else
                    amx_rows_times_block(to, out_stride, count, &rows, g, n, block, &layout, here,
                                         next, w->group, w->group % 64 ? 32 : 64);
                next.at += n * step;
            }
        }
    }
    amx_end();
}

#endif
