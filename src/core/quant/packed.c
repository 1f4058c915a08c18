// SPDX-License-Identifier: MIT
#include "core/quant/packed.h"

#include <string.h>

#include "core/quant/dequant.h"
#include "core/quant/k_block.h"
#include "core/quant/quantise.h"

enum kind { I8 = 1, Q4, F32, F16, BF16, Q4_K, Q5_K, Q6_K, I8_ROWS, Q4_ROWS };

// A packed matrix as its header describes it.
struct view {
    bool rows16;
    enum kind kind;
    uint32_t rows, cols, group, scale_bytes;
    const unsigned char *tiles;
};

enum { header_bytes = 64 };

static uint32_t u32_at(const unsigned char *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

bool dt_packed_knows(const char *layout)
{
    return layout && (strcmp(layout, "rows16-1") == 0 || strcmp(layout, "rvv07-1") == 0);
}

const char *dt_packed_layouts(void)
{
    return "rows16-1, rvv07-1";
}

static uint32_t value_bytes(const struct view *v)
{
    return v->kind == F32 ? 4 : 2;
}

static bool has_rows(const struct view *v)
{
    return v->kind == I8_ROWS || v->kind == Q4_ROWS;
}

static bool has_halves(const struct view *v)
{
    return v->kind == Q4 || v->kind == Q4_ROWS;
}

static bool has_scales(const struct view *v)
{
    return v->kind == I8 || has_halves(v) || has_rows(v);
}

// The form whose blocks of 256 values are interleaved; NONE for other kinds.
static uint32_t k_form(const struct view *v)
{
    return v->kind == Q4_K   ? DT_FORM_Q4_K
           : v->kind == Q5_K ? DT_FORM_Q5_K
           : v->kind == Q6_K ? DT_FORM_Q6_K
                             : DT_FORM_NONE;
}

// Bytes of one row, of the tiles' rows that do not exist too.
static uint64_t row_bytes(const struct view *v)
{
    if (k_form(v))
        return (uint64_t)(v->cols / DT_K_VALUES) * dt_form_block_bytes(k_form(v));
    if (!has_scales(v))
        return (uint64_t)v->cols * value_bytes(v);
    return v->cols / (has_halves(v) ? 2 : 1) + (uint64_t)(v->cols / v->group) * v->scale_bytes;
}

static uint64_t whole_bytes(const struct view *v)
{
    uint64_t part = has_rows(v) ? 1 : v->rows16 ? 16 : 32; // rvv07's last tile may have 32
    return header_bytes + (v->rows + part - 1) / part * part * row_bytes(v);
}

// The kinds of both layouts have the same numbers, except that rvv07-1 has I8_ROWS as 4, Q4_ROWS
// as 5.
static bool set_kind(struct view *v, uint32_t kind)
{
    if (kind < I8 || kind > (v->rows16 ? (uint32_t)Q6_K : 5u))
        return false;
    v->kind = v->rows16 || kind <= F32 ? (enum kind)kind : kind == 4 ? I8_ROWS : Q4_ROWS;
    return true;
}

static bool view_of(const struct dt_matrix *w, struct view *v)
{
    const unsigned char *h = w->quants;
    if (w->form != DT_FORM_PACKED || !h || w->bytes < header_bytes || !dt_packed_knows(w->layout))
        return false;
    memset(v, 0, sizeof *v);
    v->rows16 = strcmp(w->layout, "rows16-1") == 0;
    char name[16] = {0};
    memcpy(name, h, v->rows16 ? 16 : 8);
    h += v->rows16 ? 16 : 8;
    if (memcmp(name, w->layout, strlen(w->layout) + 1) != 0 || !set_kind(v, u32_at(h)))
        return false;
    v->rows = u32_at(h + 4);
    v->cols = u32_at(h + 8);
    v->group = u32_at(h + 12);
    if (v->rows != w->rows || v->cols != w->cols || v->rows == 0 || v->cols == 0)
        return false;
    v->scale_bytes = v->rows16 && u32_at(h + 16) == DT_SCALE_F16 ? 2 : 4;
    if (has_scales(v)) {
        if (v->group == 0 || v->cols % v->group != 0 || (has_halves(v) && v->group != 32) ||
            (v->rows16 && v->group % 4 != 0))
            return false;
        // the only forms with f16 scales are those with blocks of 32
        if (v->rows16 && v->scale_bytes != (v->kind == Q4 ? 2u : 4u) &&
            !(v->kind == I8 && v->group == 32))
            return false;
        if (v->rows16 && u32_at(h + 16) != DT_SCALE_F16 && u32_at(h + 16) != DT_SCALE_F32)
            return false;
    }
    if (k_form(v) && (v->group != DT_K_VALUES || v->cols % DT_K_VALUES != 0))
        return false;
    v->tiles = (const unsigned char *)w->quants + header_bytes;
    uint64_t bytes;
    memcpy(&bytes, h + (v->rows16 ? 24 : 16), sizeof bytes);
    return bytes == whole_bytes(v) && bytes <= w->bytes;
}

bool dt_packed_plain(const struct dt_matrix *w, struct dt_matrix *plain)
{
    struct view v;
    if (!view_of(w, &v))
        return false;
    uint32_t form = k_form(&v)           ? k_form(&v)
                    : v.kind == F32      ? DT_FORM_F32
                    : v.kind == F16      ? DT_FORM_F16
                    : v.kind == BF16     ? DT_FORM_BF16
                    : has_halves(&v)     ? DT_FORM_Q4_0
                    : v.scale_bytes == 2 ? DT_FORM_Q8_0
                                         : DT_FORM_I8;
    *plain = dt_quantise_matrix(form, w->rows, w->cols, form == DT_FORM_I8 ? v.group : 0, NULL);
    return true;
}

// ---- one row ----

// Where a row is: its tile, its place there, and the rows of the tile.
struct place {
    const unsigned char *tile;
    uint32_t row, of;
};

static struct place place_of(const struct view *v, uint32_t r)
{
    uint32_t most = has_rows(v) ? 1 : v->rows16 ? 16 : 64, begin = r / most * most;
    struct place p = {v->tiles + begin * row_bytes(v), r - begin, most};
    if (most == 64 && v->rows - begin <= 32)
        p.of = 32;
    return p;
}

static const unsigned char *value_at(const struct view *v, const struct place *p, uint32_t col)
{
    return p->tile + ((size_t)col * p->of + p->row) * value_bytes(v);
}

// The first byte of a group's part of a tile.
static const unsigned char *group_at(const struct view *v, const struct place *p, uint32_t g)
{
    return p->tile + (size_t)g * p->of * (row_bytes(v) / (v->cols / v->group));
}

static const unsigned char *scale_at(const struct view *v, const struct place *p, uint32_t g)
{
    if (has_rows(v))
        return p->tile + v->cols / (v->kind == Q4_ROWS ? 2 : 1) + (size_t)g * 4;
    const unsigned char *at = group_at(v, p, g) + (size_t)p->row * v->scale_bytes;
    size_t quants = (size_t)(v->kind == Q4 ? v->group / 2 : v->group) * p->of;
    return v->rows16 ? at : at + quants; // before or after the quants
}

static float scale_of(const struct view *v, const struct place *p, uint32_t g)
{
    const unsigned char *at = scale_at(v, p, g);
    float value;
    uint16_t half;
    if (v->scale_bytes == 4) {
        memcpy(&value, at, sizeof value);
        return value;
    }
    memcpy(&half, at, sizeof half);
    return dt_half_to_float(half);
}

// The quant of column k of a group.
static int quant_of(const struct view *v, const struct place *p, uint32_t g, uint32_t k)
{
    if (v->kind == I8_ROWS)
        return (int8_t)p->tile[(size_t)g * v->group + k];
    if (v->kind == Q4_ROWS) {
        unsigned char both = p->tile[(size_t)g * 16 + k % 16];
        return (k < 16 ? both & 15 : both >> 4) - 8;
    }
    const unsigned char *at = group_at(v, p, g);
    if (v->rows16) {
        at += (size_t)16 * v->scale_bytes;
        if (v->kind == I8)
            return at[(size_t)(k / 4) * 64 + p->row * 4 + k % 4] - 128;
        unsigned char both = at[k / 8 * 64 + p->row * 4 + k % 4];
        return (k % 8 < 4 ? both & 15 : both >> 4) - 8;
    }
    if (v->kind == I8)
        return (int8_t)at[(size_t)k * p->of + p->row];
    unsigned char both = at[(size_t)(k / 2) * p->of + p->row];
    return ((k % 2 ? both >> 4 : both & 15) ^ 8) - 8; // a signed half of a byte
}

bool dt_packed_by_rows(const struct dt_matrix *w, struct dt_matrix *plain)
{
    struct view v;
    if (!view_of(w, &v) || !has_rows(&v))
        return false;
    *plain = *w;
    plain->form = v.kind == Q4_ROWS ? DT_FORM_Q4_0 : DT_FORM_I8;
    plain->group = v.group;
    plain->scale_type = DT_SCALE_F32;
    plain->quants = v.tiles;
    plain->scales = v.tiles + v.cols / (v.kind == Q4_ROWS ? 2 : 1);
    plain->row_stride = plain->scale_row_stride = (size_t)row_bytes(&v);
    plain->group_stride = v.kind == Q4_ROWS ? 16 : v.group;
    plain->scale_group_stride = sizeof(float);
    plain->layout = NULL;
    return true;
}

// Block b of a row; its 32-bit words are 64 bytes apart, and two bytes may follow them.
static void k_block_of(const struct view *v, const struct place *p, uint32_t b,
                       unsigned char *block)
{
    uint32_t bytes = dt_form_block_bytes(k_form(v));
    const unsigned char *from = p->tile + (size_t)b * bytes * 16;
    for (uint32_t i = 0; i < bytes / 4; i++)
        memcpy(block + (size_t)i * 4, from + ((size_t)i * 16 + p->row) * 4, 4);
    if (bytes % 4)
        memcpy(block + bytes - 2, from + (size_t)(bytes - 2) * 16 + (size_t)p->row * 2, 2);
}

void dt_packed_row(const struct dt_matrix *w, uint32_t r, float *out)
{
    struct view v;
    if (!view_of(w, &v))
        return;
    struct place p = place_of(&v, r);
    for (uint32_t b = 0; k_form(&v) && b < v.cols / DT_K_VALUES; b++) {
        unsigned char block[256];
        k_block_of(&v, &p, b, block);
        dt_dequant_block(k_form(&v), block, out + (size_t)b * DT_K_VALUES);
    }
    if (k_form(&v))
        return;
    if (has_scales(&v)) {
        for (uint32_t g = 0; g < v.cols / v.group; g++) {
            float scale = scale_of(&v, &p, g);
            for (uint32_t k = 0; k < v.group; k++)
                *out++ = (float)quant_of(&v, &p, g, k) * scale;
        }
        return;
    }
    for (uint32_t k = 0; k < v.cols; k++) {
        unsigned char bits[4] = {0};
        uint16_t half;
        memcpy(v.kind == BF16 ? bits + 2 : bits, value_at(&v, &p, k), value_bytes(&v));
        memcpy(&out[k], bits, sizeof out[k]);
        if (v.kind == F16) {
            memcpy(&half, bits, sizeof half);
            out[k] = dt_half_to_float(half);
        }
    }
}

float dt_packed_scale(const struct dt_matrix *w, uint32_t r, uint32_t group)
{
    struct view v;
    if (!view_of(w, &v) || (!has_scales(&v) && !k_form(&v)))
        return 0;
    struct place p = place_of(&v, r);
    if (k_form(&v)) {
        unsigned char block[256];
        struct dt_k_block k;
        k_block_of(&v, &p, group, block);
        dt_k_block_read(k_form(&v), block, &k);
        return k.d - k.d == 0 ? k.d + k.m : k.d; // not finite if one of them is not
    }
    return scale_of(&v, &p, group);
}

// ---- unpacking ----

static void unpack_group(const struct view *v, const struct place *p, uint32_t g,
                         const struct dt_matrix *plain, uint32_t r)
{
    unsigned char *quants =
        (unsigned char *)(uintptr_t)plain->quants + r * plain->row_stride + g * plain->group_stride;
    unsigned char *scale = (unsigned char *)(uintptr_t)plain->scales + r * plain->scale_row_stride +
                           g * plain->scale_group_stride;
    if (plain->scale_type == DT_SCALE_F16 && v->scale_bytes == 4) {
        uint16_t half = dt_float_to_half(scale_of(v, p, g)); // exact: it was one
        memcpy(scale, &half, sizeof half);
    } else {
        memcpy(scale, scale_at(v, p, g), v->scale_bytes);
    }
    if (has_halves(v)) {
        for (uint32_t k = 0; k < 16; k++)
            quants[k] =
                (unsigned char)((quant_of(v, p, g, k) + 8) | (quant_of(v, p, g, k + 16) + 8) << 4);
        return;
    }
    for (uint32_t k = 0; k < v->group; k++)
        quants[k] = (unsigned char)quant_of(v, p, g, k);
}

void dt_packed_unpack(const struct dt_matrix *w, const struct dt_matrix *plain, uint32_t begin,
                      uint32_t end)
{
    struct view v;
    if (!view_of(w, &v))
        return;
    for (uint32_t r = begin; r < end; r++) {
        struct place p = place_of(&v, r);
        if (has_scales(&v)) {
            for (uint32_t g = 0; g < v.cols / v.group; g++)
                unpack_group(&v, &p, g, plain, r);
            continue;
        }
        unsigned char *to = (unsigned char *)(uintptr_t)plain->quants + r * plain->row_stride;
        for (uint32_t b = 0; k_form(&v) && b < v.cols / DT_K_VALUES; b++)
            k_block_of(&v, &p, b, to + (size_t)b * plain->group_stride);
        if (k_form(&v))
            continue;
        for (uint32_t k = 0; k < v.cols; k++)
            memcpy(to + (size_t)k * value_bytes(&v), value_at(&v, &p, k), value_bytes(&v));
    }
}
