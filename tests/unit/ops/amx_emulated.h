// SPDX-License-Identifier: MIT
// The AMX instructions of backends/common/tiles_amx.h in C, so that the kernels with tiles are
// tested on a CPU without them. A shape that does not fit its tile ends the process, as it would be
// an invalid instruction.
#ifndef DT_TESTS_AMX_EMULATED_H
#define DT_TESTS_AMX_EMULATED_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct emulated_tile {
    uint32_t rows, row_bytes;
    unsigned char data[16][64];
};

static _Thread_local struct emulated_tile emulated_tiles[8];

// config: as ldtilecfg reads it.
static inline void emulated_configure(const void *config)
{
    const unsigned char *bytes = config;
    if (bytes[0] != 1)
        abort();
    for (int t = 0; t < 8; t++) {
        struct emulated_tile *tile = &emulated_tiles[t];
        memset(tile, 0, sizeof *tile);
        tile->rows = bytes[48 + t];
        tile->row_bytes = bytes[16 + 2 * t] + 256u * bytes[17 + 2 * t];
        if (tile->rows > 16 || tile->row_bytes > 64)
            abort();
    }
}

static inline struct emulated_tile *emulated_tile(int t)
{
    if (emulated_tiles[t].rows == 0)
        abort();
    return &emulated_tiles[t];
}

static inline void emulated_load(int t, const void *from, size_t stride)
{
    struct emulated_tile *tile = emulated_tile(t);
    memset(tile->data, 0, sizeof tile->data);
    for (uint32_t r = 0; r < tile->rows; r++)
        memcpy(tile->data[r], (const unsigned char *)from + r * stride, tile->row_bytes);
}

static inline void emulated_store(int t, void *to)
{
    const struct emulated_tile *tile = emulated_tile(t);
    for (uint32_t r = 0; r < tile->rows; r++)
        memcpy((unsigned char *)to + r * 64, tile->data[r], tile->row_bytes);
}

static inline void emulated_zero(int t)
{
    memset(emulated_tile(t)->data, 0, 16 * 64);
}

// sum += a times b, a signed; b signed or not.
static inline void emulated_products(int sum, int a, int b, int b_is_signed)
{
    struct emulated_tile *s = emulated_tile(sum), *x = emulated_tile(a), *y = emulated_tile(b);
    if (s->rows != x->rows || s->row_bytes != y->row_bytes || y->rows != x->row_bytes / 4)
        abort();
    for (uint32_t m = 0; m < s->rows; m++) {
        for (uint32_t n = 0; n < s->row_bytes / 4; n++) {
            int32_t value;
            memcpy(&value, s->data[m] + 4 * n, 4);
            for (uint32_t k = 0; k < x->row_bytes; k++) {
                unsigned char byte = y->data[k / 4][4 * n + k % 4];
                value += (int8_t)x->data[m][k] * (b_is_signed ? (int8_t)byte : (int32_t)byte);
            }
            memcpy(s->data[m] + 4 * n, &value, 4);
        }
    }
}

#define AMX_CONFIGURE(config)      emulated_configure(&(config))
#define AMX_RELEASE()              memset(emulated_tiles, 0, sizeof emulated_tiles)
#define AMX_LOAD(t, from, stride)  emulated_load(t, from, stride)
#define AMX_STORE(t, to)           emulated_store(t, to)
#define AMX_ZERO(t)                emulated_zero(t)
#define AMX_PRODUCTS(sum, a, b)    emulated_products(sum, a, b, 1)
#define AMX_PRODUCTS_SU(sum, a, b) emulated_products(sum, a, b, 0)

#endif
