// SPDX-License-Identifier: MIT
// Rows of an index times one prepared column with AVX-512 VNNI, up to sixteen at a time. int8 and
// int4 include it after their vnni_tile_column, which multiplies a tile.
#ifndef DT_BACKENDS_COMMON_LISTED_VNNI_H
#define DT_BACKENDS_COMMON_LISTED_VNNI_H

static void listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const struct act_column *x)
{
    uint32_t capacity = vnni_tile_capacity(w);
    for (uint32_t k = 0; k < count;) {
        uint32_t left = count - k, n = left < capacity ? left : capacity;
        struct vnni_tile t = vnni_tile_listed(w, index + k, n);
        vnni_prefetch_rows(w, index + k + n, left - n < capacity ? left - n : capacity);
        kit_store_n(out + k, (kit_f)vnni_tile_column(w, &t, x, false), n);
        k += n;
    }
}

#endif
