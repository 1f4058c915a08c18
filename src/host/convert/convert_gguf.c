// SPDX-License-Identifier: MIT
// Writes GGUF: one file, or a folder with one file a layer.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
#include "core/formats/gguf.h"
#include "core/quant/quantise.h"
#include "core/sampling/shortlist.h"
#include "core/structure.h"
#include "host/array.h"
#include "host/convert/calibrate.h"
#include "host/convert/convert_keys.h"
#include "host/convert/convert_matrix.h"

// ---- tensors ----

// A tensor of the target: a vector of n floats (norms, biases), or a matrix.
struct tensor {
    char name[64];
    const float *vector; // NULL: it is a matrix
    struct dt_convert_matrix matrix;
    uint32_t n;        // length of the vector
    uint32_t pairs_of; // as in dt_convert_matrix, for a bias
    uint32_t part;     // index of its file
    enum dt_slot slot;
    uint32_t layer;
    bool packed;
    size_t bytes;  // in the file
    size_t scales; // bytes of a second tensor with its scales; 0: none
};

struct plan {
    const struct dt_conversion *c;
    struct tensor *tensors;
    size_t count, capacity;
    uint32_t parts;
    uint32_t packed_group;
    bool packed; // at least one tensor is
    bool packs_embedding;
    bool tied; // a packed classifier is written beside the embedding that it is a copy of
    bool failed;
};

static struct tensor *add(struct plan *p, uint32_t part, const char *name)
{
    if (!dt_array_grow(&p->tensors, &p->capacity, p->count + 1, sizeof *p->tensors)) {
        p->failed = true;
        return NULL;
    }
    struct tensor *t = &p->tensors[p->count++];
    memset(t, 0, sizeof *t);
    dt_format(t->name, sizeof t->name, "%s", name);
    t->part = part;
    return t;
}

static void add_vector(struct plan *p, uint32_t part, const char *name, const float *v, uint32_t n,
                       uint32_t pairs_of)
{
    struct tensor *t = add(p, part, name);
    if (!t)
        return;
    t->vector = v;
    t->n = n;
    t->pairs_of = pairs_of;
    t->bytes = n * sizeof(float);
}

// Positions have the form of the source, and are not packed.
static void add_matrix(struct plan *p, uint32_t part, const char *name, enum dt_slot slot,
                       uint32_t layer, uint32_t pairs_of)
{
    const struct dt_matrix *w = dt_slot_matrix(p->c->model, slot, layer);
    bool keep = slot == DT_SLOT_POSITIONS;
    struct tensor *t = add(p, part, name);
    if (!t)
        return;
    t->slot = slot;
    t->layer = layer;
    t->matrix = (struct dt_convert_matrix){.source = w, .pairs_of = pairs_of};
    struct dt_conversion unchanged = {0};
    t->matrix.form = dt_convert_form(keep ? &unchanged : p->c, slot, w, &t->matrix.group);
    t->bytes = dt_convert_bytes(&t->matrix);
    if (t->matrix.form == DT_FORM_I8) {
        t->scales = t->bytes - (size_t)w->rows * w->cols;
        t->bytes -= t->scales;
    }
    const struct dt_instance *by = p->c->pack_for;
    if (by && !keep && (slot != DT_SLOT_EMBEDDING || p->packs_embedding)) {
        struct dt_matrix like =
            dt_quantise_matrix(t->matrix.form, w->rows, w->cols, t->matrix.group, NULL);
        size_t bytes = by->table.pack_bytes(by->ctx, &like);
        if (!bytes)
            return;
        t->packed = true;
        t->bytes = bytes;
        t->scales = 0;
        p->packed_group = like.group;
        p->packed = true;
    }
}

// Adds the tensor in a slot, if there is one. GGUF requires the channels of a llama's head in
// pairs. If the source has them in halves, the rows of queries and keys and their biases are
// reordered.
static void add_slot(struct plan *p, enum dt_slot slot, uint32_t layer, uint32_t part)
{
    const struct dt_model *m = p->c->model;
    bool rotated = slot == DT_SLOT_QUERY || slot == DT_SLOT_KEY || slot == DT_SLOT_QUERY_BIAS ||
                   slot == DT_SLOT_KEY_BIAS;
    bool halves = m->hp.structure->gguf_rope == DT_ROPE_PAIRS && m->hp.rope_style == DT_ROPE_HALVES;
    uint32_t pairs = rotated && halves ? m->hp.head_size : 0, rows, cols;
    const struct dt_matrix *w = dt_slot_matrix(m, slot, layer);
    const float *v = dt_slot_vector(m, slot, layer);
    char name[64];
    dt_slot_name(&dt_gguf_names, slot, layer, name, sizeof name);
    dt_slot_shape(&m->hp, slot, &rows, &cols);
    if (w && w->rows)
        add_matrix(p, part, name, slot, layer, pairs);
    else if (v)
        add_vector(p, part, name, v, cols, pairs);
}

// Matrices and biases that the source has in one are written in one, except packed matrices.
static bool is_written(const struct plan *p, enum dt_slot slot, uint32_t layer)
{
    const struct dt_model *m = p->c->model;
    const struct dt_layer *l = &m->layers[layer];
    // the structure that reads the file
    const struct dt_structure *s = dt_structure_find(m->architecture, strlen(m->architecture));
    bool qkv = l->qkv.rows && !p->c->pack_for;
    bool gate_up = l->gate_up.rows && !p->c->pack_for && s && dt_structure_has(s, DT_SLOT_GATE_UP);
    switch (slot) {
    case DT_SLOT_QKV:
        return qkv;
    case DT_SLOT_QUERY:
    case DT_SLOT_KEY:
    case DT_SLOT_VALUE:
        return !qkv;
    case DT_SLOT_QUERY_BIAS:
    case DT_SLOT_KEY_BIAS:
    case DT_SLOT_VALUE_BIAS:
        return !l->qkv_bias;
    case DT_SLOT_GATE_UP:
        return gate_up;
    case DT_SLOT_GATE:
    case DT_SLOT_UP:
        return !gate_up;
    default:
        return true;
    }
}

static void plan_tensors(struct plan *p, bool shards)
{
    const struct dt_model *m = p->c->model;
    const struct dt_instance *by = p->c->pack_for;
    p->parts = shards ? m->hp.layers + 1 : 1;
    // Single rows are read from the embedding, and by the shortlist. A backend with row_products
    // packs so that it can list rows itself.
    bool listed = by && !by->table.row_products;
    p->tied = listed && m->hp.tied && dt_shortlist_pays(&m->embedding, by, m->weight_bytes);
    p->packs_embedding = !listed || (m->hp.tied && !p->tied);
    add_slot(p, DT_SLOT_EMBEDDING, 0, 0);
    for (uint32_t l = 0; l < m->hp.layers; l++)
        for (int s = 0; s < DT_SLOT_LAYER_END; s++)
            if (is_written(p, (enum dt_slot)s, l))
                add_slot(p, (enum dt_slot)s, l, shards ? l + 1 : 0);
    add_slot(p, DT_SLOT_POSITIONS, 0, 0);
    add_slot(p, DT_SLOT_FINAL_NORM, 0, 0);
    add_slot(p, DT_SLOT_FINAL_NORM_BIAS, 0, 0);
    if (!m->hp.tied || p->tied)
        add_slot(p, DT_SLOT_CLASSIFIER, 0, 0);
    add_slot(p, DT_SLOT_ROPE_FACTORS, 0, 0);
    add_slot(p, DT_SLOT_ROPE_LONG, 0, 0);
    add_slot(p, DT_SLOT_ROPE_SHORT, 0, 0);
    if (shards) // not in a single file, because other programs reject an unknown tensor
        add_slot(p, DT_SLOT_ROPE_TABLES, 0, 0);
}

static size_t padded(size_t bytes)
{
    return (bytes + DT_CONVERT_ALIGNMENT - 1) / DT_CONVERT_ALIGNMENT * DT_CONVERT_ALIGNMENT;
}

static void describe(struct dt_string_buffer *b, const char *name, uint64_t cols, uint64_t rows,
                     uint32_t type, uint64_t offset)
{
    dt_gguf_put_string(b, name, strlen(name));
    dt_gguf_put_u32(b, rows ? 2 : 1);
    dt_gguf_put_u64(b, cols);
    if (rows)
        dt_gguf_put_u64(b, rows);
    dt_gguf_put_u32(b, type);
    dt_gguf_put_u64(b, offset);
}

// Appends the descriptions of one file's tensors; returns their number. *data receives the size of
// their data in bytes.
static uint64_t describe_all(const struct plan *p, uint32_t part, struct dt_string_buffer *b,
                             size_t *data)
{
    uint64_t count = 0;
    size_t offset = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct tensor *t = &p->tensors[i];
        if (t->part != part)
            continue;
        const struct dt_matrix *w = t->matrix.source;
        uint32_t form = t->matrix.form;
        if (t->vector)
            describe(b, t->name, t->n, 0, dt_gguf_type_of_form(DT_FORM_F32), offset);
        else if (t->packed)
            describe(b, t->name, t->bytes, 0, DT_GGUF_TENSOR_I8, offset);
        else
            describe(b, t->name, w->cols, w->rows,
                     form == DT_FORM_I8 ? DT_GGUF_TENSOR_I8 : dt_gguf_type_of_form(form), offset);
        offset += padded(t->bytes);
        count++;
        if (t->scales) {
            char scales[80];
            dt_format(scales, sizeof scales, "%s_scales", t->name);
            describe(b, scales, w->cols / t->matrix.group, w->rows,
                     dt_gguf_type_of_form(DT_FORM_F32), offset);
            offset += padded(t->scales);
            count++;
        }
    }
    *data = offset;
    return count;
}

// ---- writing ----

static dt_status write_vector(const struct tensor *t, struct dt_atomic_file *out,
                              struct dt_error *err)
{
    struct dt_convert_matrix order = {.pairs_of = t->pairs_of};
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < t->n && !status; i++)
        status =
            dt_atomic_file_write(out, &t->vector[dt_convert_row(&order, i)], sizeof(float), err);
    return status;
}

// Packs the whole matrix in memory, because a backend's layout may interleave any rows.
static dt_status write_packed(const struct plan *p, const struct tensor *t,
                              struct dt_convert_work *work, struct dt_atomic_file *out,
                              struct dt_error *err)
{
    const struct dt_instance *by = p->c->pack_for;
    struct dt_matrix source, from;
    const struct dt_matrix *w = &source;
    void *unpacked;
    dt_status status = dt_convert_source(&t->matrix, &source, &unpacked, err);
    if (status)
        return status;
    from = source;
    size_t bytes = dt_quantise_bytes(t->matrix.form, w->rows, w->cols, t->matrix.group);
    bool unchanged = dt_convert_copies(&t->matrix) && !t->matrix.pairs_of;
    unsigned char *rows = unchanged ? NULL : malloc(bytes);
    unsigned char *packed = aligned_alloc(64, (t->bytes + 63) / 64 * 64);
    if (!packed || (!unchanged && !rows)) {
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %zu bytes to pack %s",
                              t->bytes + (unchanged ? 0 : bytes), t->name);
        goto out;
    }
    if (!unchanged) {
        from = dt_quantise_matrix(t->matrix.form, w->rows, w->cols, t->matrix.group, rows);
        for (uint32_t r = 0; r < w->rows; r++) {
            uint32_t row = dt_convert_row(&t->matrix, r);
            size_t n = from.row_stride;
            dt_matrix_row(w, row, work->exact);
            if (t->matrix.blocks)
                memcpy(rows + r * n, t->matrix.blocks + row * n, n);
            else
                dt_quantise_row(&from, r, work->exact);
        }
    }
    memset(packed, 0, t->bytes);
    by->table.pack(by->ctx, packed, &from, 0, w->rows);
    status = dt_atomic_file_write(out, packed, t->bytes, err);
    work->done += t->bytes;
    if (!status && p->c->progress && p->c->progress(p->c->progress_arg, work->done, work->total))
        status = dt_error_set(err, DT_CANCELLED, NULL, "stopped; no file was written");
    if (!status && p->c->report)
        p->c->report(p->c->report_arg, &(struct dt_convert_tensor){.name = t->name,
                                                                   .form = DT_FORM_PACKED,
                                                                   .rows = w->rows,
                                                                   .cols = w->cols,
                                                                   .group = from.group,
                                                                   .copied = unchanged});
out:
    free(unpacked);
    free(rows);
    free(packed);
    return status;
}

static dt_status write_tensors(const struct plan *p, uint32_t part, struct dt_convert_work *work,
                               struct dt_scale_buffer *scales, struct dt_atomic_file *out,
                               struct dt_error *err)
{
    dt_status status = DT_OK;
    for (size_t i = 0; i < p->count && !status; i++) {
        struct tensor *t = &p->tensors[i];
        if (t->part != part)
            continue;
        if (!t->vector && p->c->calibration)
            status =
                dt_calibration_blocks(p->c->calibration, t->slot, t->layer, &t->matrix.blocks, err);
        t->matrix.name = t->name;
        if (status)
            break;
        if (t->vector) {
            status = write_vector(t, out, err);
        } else if (t->packed) {
            status = write_packed(p, t, work, out, err);
        } else {
            status = dt_convert_scales(scales, &t->matrix, err);
            if (!status)
                status = dt_convert_write(p->c, &t->matrix, work, out, scales, err);
        }
        if (!status)
            status = dt_atomic_file_pad(out, DT_CONVERT_ALIGNMENT, err);
        if (!status && t->scales) {
            status = dt_atomic_file_write(out, scales->floats, t->scales, err);
            if (!status)
                status = dt_atomic_file_pad(out, DT_CONVERT_ALIGNMENT, err);
        }
    }
    return status;
}

static dt_status write_part(const struct plan *p, uint32_t part, const char *path,
                            uint64_t all_tensors, struct dt_convert_work *work,
                            struct dt_error *err)
{
    struct dt_gguf_keys k = {.prefix = p->c->model->architecture};
    struct dt_string_buffer infos = {0}, header = {0};
    struct dt_scale_buffer scales = {0};
    struct dt_atomic_file out = {.file = -1};
    size_t data;
    dt_status status;
    if (part == 0)
        dt_gguf_key_model(&k, p->c);
    if (part == 0 && p->packed) {
        const char *layout = p->c->pack_for->table.layout;
        dt_gguf_key_text(&k, "duotale.packed.layout", layout);
        if (p->packed_group)
            dt_gguf_key_u32(&k, "duotale.packed.group", p->packed_group);
        if (p->tied)
            dt_gguf_key_bool(&k, "duotale.packed.tied", true);
    }
    if (part > 0)
        dt_gguf_key_u32(&k, "general.alignment", DT_CONVERT_ALIGNMENT);
    if (p->parts > 1) {
        dt_gguf_key_u32(&k, "split.no", part);
        dt_gguf_key_u32(&k, "split.count", p->parts);
        dt_gguf_key_u32(&k, "split.tensors.count", (uint32_t)all_tensors);
    }
    uint64_t count = describe_all(p, part, &infos, &data);
    dt_string_buffer_append(&header, "GGUF", 4);
    dt_gguf_put_u32(&header, 3);
    dt_gguf_put_u64(&header, count);
    dt_gguf_put_u64(&header, k.count);
    dt_string_buffer_append(&header, k.bytes.text, k.bytes.length);
    dt_string_buffer_append(&header, infos.text, infos.length);
    if (k.bytes.failed || infos.failed || header.failed) {
        status = dt_error_set(err, DT_NO_MEMORY, path, "no memory for a header of %llu tensors",
                              (unsigned long long)count);
        goto out;
    }
    if ((status = dt_atomic_file_open(&out, path, padded(header.length) + data, err)) ||
        (status = dt_atomic_file_write(&out, header.text, header.length, err)) ||
        (status = dt_atomic_file_pad(&out, DT_CONVERT_ALIGNMENT, err)) ||
        (status = write_tensors(p, part, work, &scales, &out, err)))
        goto out;
    status = dt_convert_commit(&out, err);
out:
    dt_atomic_file_abandon(&out);
    dt_string_buffer_free(&k.bytes);
    dt_string_buffer_free(&infos);
    dt_string_buffer_free(&header);
    free(scales.floats);
    return status;
}

static dt_status check_source(const struct dt_conversion *c, struct dt_error *err)
{
    const struct dt_model *m = c->model;
    if (!dt_structure_usual_ropes(m))
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "layers without RoPE are not every %u. layer, which a GGUF file of %s "
                            "cannot state",
                            m->hp.structure->nope_every, m->architecture);
    if (c->pack_for &&
        (!c->pack_for->table.pack || !c->pack_for->table.pack_bytes || !c->pack_for->table.layout))
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "backend %s has no packed layout; choose another backend",
                            c->pack_for->table.name);
    return DT_OK;
}

// Plans the tensors, then writes each part to the path that name() returns.
static dt_status convert(const struct dt_conversion *given, bool shards,
                         void (*name)(char out[PATH_MAX], const char *where, uint32_t i,
                                      uint32_t of),
                         const char *where, struct dt_error *err)
{
    struct dt_conversion plain = *given;
    struct dt_model model;
    struct dt_layer *layers;
    const struct dt_conversion *c = &plain;
    struct plan p = {.c = c};
    struct dt_convert_work work = {0};
    struct dt_string_buffer infos = {0};
    size_t total = 0, data;
    uint64_t all = 0;
    dt_status status = check_source(given, err);
    if (!status)
        status = dt_convert_unpacked(given->model, &model, &layers, err);
    if (status)
        return status;
    plain.model = &model;
    plan_tensors(&p, shards);
    for (size_t i = 0; i < p.count; i++)
        total += p.tensors[i].vector ? 0 : p.tensors[i].bytes + p.tensors[i].scales;
    for (uint32_t part = 0; part < p.parts; part++)
        all += describe_all(&p, part, &infos, &data);
    if (p.failed || infos.failed)
        status =
            dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for a list of %zu tensors", p.count);
    else if (c->pack_for && !p.packed)
        status = dt_error_set(
            err, DT_UNSUPPORTED, NULL,
            "backend %s packs no matrix of this form and shape; choose another with --format",
            c->pack_for->table.name);
    else
        status = dt_convert_begin(&work, c->model, total, err);
    for (uint32_t part = 0; part < p.parts && !status; part++) {
        char path[PATH_MAX];
        name(path, where, part, p.parts);
        status = write_part(&p, part, path, all, &work, err);
    }
    dt_convert_end(&work);
    dt_string_buffer_free(&infos);
    free(p.tensors);
    free(layers);
    return status;
}

static void name_whole(char out[PATH_MAX], const char *where, uint32_t i, uint32_t of)
{
    (void)i, (void)of;
    dt_format(out, PATH_MAX, "%s", where);
}

dt_status dt_convert_gguf(const struct dt_conversion *c, const char *path, struct dt_error *err)
{
    return convert(c, false, name_whole, path, err);
}

// ---- a folder with a file a layer ----

static void name_shard(char out[PATH_MAX], const char *where, uint32_t i, uint32_t of)
{
    dt_format(out, PATH_MAX, "%s/model-%05u-of-%05u.gguf", where, i + 1, of);
}

static void remove_folder(const char *folder)
{
    DIR *d = opendir(folder);
    char path[PATH_MAX];
    for (struct dirent *e; d && (e = readdir(d));) {
        dt_format(path, sizeof path, "%s/%s", folder, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(folder);
}

dt_status dt_convert_shards(const struct dt_conversion *c, const char *folder, struct dt_error *err)
{
    char partial[PATH_MAX], target[PATH_MAX];
    struct stat there;
    size_t n = dt_format(target, sizeof target, "%s", folder);
    while (n > 1 && n < sizeof target && target[n - 1] == '/')
        target[--n] = 0;
    if (n + 32 > sizeof target)
        return dt_error_set(err, DT_USAGE, folder, "is too long for a folder name");
    if (stat(target, &there) == 0)
        return dt_error_set(err, DT_FAILED, target, "already exists; name a new folder");
    const char *slash = strrchr(target, '/');
    dt_format(partial, sizeof partial, "%.*s.%s.%ld.partial", slash ? (int)(slash - target) + 1 : 0,
              target, slash ? slash + 1 : target, (long)getpid());
    if (mkdir(partial, 0777) != 0)
        return dt_error_set(err, DT_FAILED, target, "cannot be created: %s", strerror(errno));
    dt_status status = convert(c, true, name_shard, partial, err);
    if (!status && rename(partial, target) != 0)
        status = dt_error_set(err, DT_FAILED, target, "cannot be created: %s", strerror(errno));
    if (status)
        remove_folder(partial);
    return status;
}
