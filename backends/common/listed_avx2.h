// SPDX-License-Identifier: MIT
// Rows of an index times one prepared column with AVX2, eight at a time. int8 and int4 include it
// after their avx2_tile_of, which multiplies a tile.
#ifndef DT_BACKENDS_COMMON_LISTED_AVX2_H
#define DT_BACKENDS_COMMON_LISTED_AVX2_H

static void listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const struct act_column *x)
{
    for (uint32_t k = 0; k < count; k += 8) {
        uint32_t n = count - k < 8 ? count - k : 8;
        const unsigned char *rows[8], *scales[8];
        avx2_rows_at(rows, scales, w, index, k, n);
        kit_store_n(out + k, (kit_f)avx2_tile_of(w, rows, scales, x, false), n);
    }
}

#endif
