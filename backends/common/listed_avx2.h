// SPDX-License-Identifier: MIT
// Rows anywhere times one prepared column with AVX2, eight side by side. Included by int8 and int4
// behind their own avx2_tile_of, which multiplies one tile.
#ifndef DT_BACKENDS_INT8_LISTED_AVX2_H
#define DT_BACKENDS_INT8_LISTED_AVX2_H

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
