// SPDX-License-Identifier: MIT
// Rows anywhere times one prepared column with AVX-512 VNNI, sixteen side by side. Included by int8
// and int4 behind their own vnni_tile_column, which multiplies one tile.
#ifndef DT_BACKENDS_INT8_LISTED_VNNI_H
#define DT_BACKENDS_INT8_LISTED_VNNI_H

static void listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const struct act_column *x)
{
    uint32_t reach = vnni_tile_reach(w);
    for (uint32_t k = 0; k < count;) {
        uint32_t left = count - k, n = left < reach ? left : reach;
        struct vnni_tile t = vnni_tile_listed(w, index + k, n);
        vnni_listed_ahead(w, index + k + n, left - n < reach ? left - n : reach);
        kit_store_n(out + k, (kit_f)vnni_tile_column(w, &t, x, false), n);
        k += n;
    }
}

#endif
