// SPDX-License-Identifier: MIT
// bench --kernels: times every kernel of every backend on one thread, over the shapes of five
// models.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/quant/quantise.h"
#include "host/clock.h"
#include "host/modules/cpu.h"
#include "host/file.h"
#include "host/json.h"
#include "host/print.h"
#include "verbs/bench/bandwidth.h"
#include "verbs/bench/bench.h"

#define ROUND_NS     4000000u // the least length of a round; the best of ROUNDS is reported
#define ROUNDS       5
#define PATTERN_ROWS 16u // rows that are quantised; the others are copies of them

struct shape {
    const char *name;
    uint32_t dim, hidden, heads, kv_heads, head_size, vocab;
};

static const struct shape shapes[] = {
    {"260K", 64, 192, 8, 4, 8, 512}, // hidden 172, padded for groups
    {"15M", 288, 768, 6, 6, 48, 32000},     {"110M", 768, 2048, 12, 12, 64, 32000},
    {"1.1B", 2048, 5632, 32, 4, 64, 32000}, {"7B", 4096, 11008, 32, 32, 128, 32000},
};

struct row {
    char key[160]; // "int8@avx2/matmul/15M 768x288/i8/1"
    const char *kernel;
    double seconds, bytes, operations; // of one call
    double share;    // of the bandwidth for this many bytes; 0 where no memory is read
    double baseline; // seconds; 0: none
};

struct suite {
    struct row *rows;
    size_t count, capacity;
    struct dt_account account;
    const struct dt_instance *by;
    const char *backend;
    double bandwidth[48]; // by log2 of the size, measured when it is needed
    bool failed;          // not enough memory for a row
    struct block {
        void *memory;
        size_t bytes;
    } blocks[8];
    uint32_t block_count;
    uint32_t skipped; // matrices too large for this machine's memory
};

// The arguments of one kernel call, which is repeated.
struct call {
    const struct dt_instance *by;
    struct dt_matrix w;
    struct dt_kv kv;
    float *x, *y, *out, *scores;
    void *act;
    uint32_t *index;
    size_t x_stride, out_stride;
    uint32_t columns, n, heads, head_size, entries;
    volatile uint32_t sink;
};

typedef void kernel(struct call *c);

static void call_matmul(struct call *c)
{
    c->by->table.matmul(c->by->ctx, c->out, c->out_stride, &c->w, 0, c->w.rows, c->act, c->x_stride,
                        c->columns);
}

static void call_prepare(struct call *c)
{
    c->by->table.act_prepare(c->by->ctx, c->act, c->x, c->x_stride, c->columns, &c->w);
}

static void call_embed(struct call *c)
{
    c->by->table.embed(c->by->ctx, c->out, &c->w, c->sink++ % c->w.rows);
}

static void call_rmsnorm(struct call *c)
{
    c->by->table.rmsnorm(c->by->ctx, c->out, c->out_stride, c->x, c->x_stride, c->y, c->n, 1,
                         1e-5f);
}

static void call_rope(struct call *c)
{
    c->by->table.rope(c->by->ctx, c->out, c->heads, c->head_size, c->head_size, c->x, c->y,
                      DT_ROPE_PAIRS);
}

static void call_attention(struct call *c)
{
    c->by->table.attention(c->by->ctx, c->out, c->x, &c->kv, c->heads, 0, c->heads, c->entries,
                           sqrtf((float)c->head_size), c->scores, c->entries + 16);
}

static void call_softmax(struct call *c)
{
    c->by->table.softmax(c->by->ctx, c->out, c->n);
}

static void call_silu(struct call *c)
{
    memcpy(c->out, c->x, c->n * sizeof *c->out);
    c->by->table.silu_mul(c->by->ctx, c->out, c->y, c->n);
}

static void call_add(struct call *c)
{
    c->by->table.add(c->by->ctx, c->out, c->y, c->n);
}

static void call_argmax(struct call *c)
{
    c->sink = c->by->table.argmax(c->by->ctx, c->x, c->n);
}

static void call_select(struct call *c)
{
    c->sink = c->by->table.select(c->by->ctx, c->x, c->n, 0.99f, c->index);
}

static double best_time(kernel *k, struct call *c)
{
    uint64_t begun = dt_clock_ns(), at;
    k(c); // warms up, and gives a first estimate
    uint64_t first = dt_clock_ns() - begun;
    if (first > 25 * (uint64_t)ROUND_NS)
        return (double)first / 1e9; // slow enough to measure once
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t calls = 0, at_once = first < ROUND_NS / 16 ? 4 : 1;
        begun = dt_clock_ns();
        do {
            for (uint32_t i = 0; i < at_once; i++)
                k(c);
            calls += at_once;
            at = dt_clock_ns();
        } while (at - begun < ROUND_NS);
        double each = (double)(at - begun) / 1e9 / calls;
        best = each < best ? each : best;
    }
    return best;
}

// Allocates zeroed memory until the next release(); NULL if there is not enough.
static void *allocate(struct suite *s, size_t bytes)
{
    void *memory = NULL;
    bytes = (bytes + 4095) / 4096 * 4096 + 4096;
    if (s->block_count == sizeof s->blocks / sizeof *s->blocks ||
        dt_memory_alloc(&s->account, bytes, "the matrix of a benchmark", &memory, NULL) != DT_OK)
        return NULL;
    s->blocks[s->block_count++] = (struct block){memory, bytes};
    return memory;
}

static void release(struct suite *s)
{
    while (s->block_count > 0) {
        struct block *b = &s->blocks[--s->block_count];
        dt_memory_free(&s->account, b->memory, b->bytes);
    }
}

static float *floats(struct suite *s, size_t n)
{
    float *x = allocate(s, n * sizeof *x);
    uint32_t state = 12345;
    for (size_t i = 0; x && i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

static double bandwidth(struct suite *s, double bytes)
{
    int power = 12;
    while (power < 30 && (double)(1ull << power) < bytes)
        power++;
    if (s->bandwidth[power] == 0)
        s->bandwidth[power] = dt_bandwidth_of_size((size_t)1 << power, 1);
    return s->bandwidth[power];
}

static void add_row(struct suite *s, const char *name, const char *what, const char *form,
                    uint32_t columns, kernel *k, struct call *c, double bytes, double operations)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 256;
        struct row *rows = realloc(s->rows, capacity * sizeof *rows);
        if (!rows) {
            s->failed = true;
            return;
        }
        s->rows = rows;
        s->capacity = capacity;
    }
    struct row *r = &s->rows[s->count++];
    memset(r, 0, sizeof *r);
    r->kernel = name;
    dt_format(r->key, sizeof r->key, "%s/%s/%s/%s/%u", s->backend, name, what, form, columns);
    r->seconds = best_time(k, c);
    r->bytes = bytes;
    r->operations = operations;
    double limit = bytes > 0 ? bandwidth(s, bytes) : 0;
    r->share = limit > 0 ? bytes / r->seconds / limit : 0;
}

// Makes a matrix whose rows repeat PATTERN_ROWS random ones. False if the form does not allow the
// shape, or without memory.
static bool make_matrix(struct suite *s, uint32_t form, uint32_t rows, uint32_t cols,
                        struct dt_matrix *w)
{
    uint32_t group = form == DT_FORM_I8 ? dt_quantise_group(cols, 32) : 0;
    size_t bytes = dt_quantise_bytes(form, rows, cols, group);
    if (!bytes)
        return false;
    unsigned char *data = allocate(s, bytes);
    float *x = floats(s, cols);
    if (!data || !x) {
        s->skipped++;
        return false;
    }
    *w = dt_quantise_matrix(form, rows, cols, group, data);
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t from = r % PATTERN_ROWS;
        if (r == from) {
            x[r % cols] += 0.5f;
            dt_quantise_row(w, r, x);
            continue;
        }
        memcpy(data + r * w->row_stride, data + from * w->row_stride, w->row_stride);
        if (form == DT_FORM_I8) {
            unsigned char *scales = (unsigned char *)(uintptr_t)w->scales;
            memcpy(scales + r * w->scale_row_stride, scales + from * w->scale_row_stride,
                   w->scale_row_stride);
        }
    }
    return true;
}

static void time_matrix(struct suite *s, const char *model, uint32_t form, uint32_t rows,
                        uint32_t cols, bool embedding)
{
    static const uint32_t batches[] = {1, 32};
    const struct dt_backend *b = &s->by->table;
    struct call c = {.by = s->by};
    char what[48];
    if (!make_matrix(s, form, rows, cols, &c.w) ||
        (b->can_matmul && !b->can_matmul(s->by->ctx, &c.w))) {
        release(s);
        return;
    }
    dt_format(what, sizeof what, "%s %ux%u", model, rows, cols);
    c.x_stride = (cols + 15) / 16 * 16;
    c.out_stride = (rows + 15) / 16 * 16;
    c.x = floats(s, 32 * c.x_stride);
    c.out = allocate(s, 32 * c.out_stride * sizeof(float));
    void *act = b->act_bytes ? allocate(s, b->act_bytes(s->by->ctx, &c.w, 32) + 64) : c.x;
    for (size_t i = 0; i < 2 && c.x && c.out && act; i++) {
        c.columns = batches[i];
        if (embedding && c.columns > 1)
            break; // the classifier is computed for one position only
        c.act = act;
        if (b->act_prepare && b->act_bytes && b->act_bytes(s->by->ctx, &c.w, c.columns)) {
            call_prepare(&c);
            add_row(s, "act_prepare", what, dt_form_name(form), c.columns, call_prepare, &c, 0,
                    (double)cols * c.columns);
        } else {
            c.act = c.x;
        }
        add_row(s, "matmul", what, dt_form_name(form), c.columns, call_matmul, &c,
                (double)c.w.bytes, 2.0 * rows * cols * c.columns);
    }
    if (embedding && b->embed && c.out)
        add_row(s, "embed", what, dt_form_name(form), 1, call_embed, &c, 0, cols);
    release(s);
}

static void time_attention(struct suite *s, const struct shape *m, uint32_t entries)
{
    size_t slots = entries + 16, channels = (size_t)m->kv_heads * m->head_size;
    struct call c = {.by = s->by, .heads = m->heads, .head_size = m->head_size, .entries = entries};
    float *keys = floats(s, channels * slots), *values = floats(s, channels * slots);
    char what[48];
    c.x = floats(s, (size_t)m->heads * m->head_size);
    c.out = allocate(s, (size_t)m->heads * m->head_size * sizeof(float));
    c.scores = allocate(s, m->heads * slots * sizeof(float));
    if (keys && values && c.x && c.out && c.scores) {
        c.kv = (struct dt_kv){.type = DT_KV_F32,
                              .heads = m->kv_heads,
                              .head_size = m->head_size,
                              .capacity = entries,
                              .keys = keys,
                              .values = values,
                              .key_head = m->head_size * slots,
                              .key_slot = 1,
                              .key_channel = slots,
                              .value_head = m->head_size * slots,
                              .value_slot = m->head_size,
                              .value_channel = 1};
        dt_format(what, sizeof what, "%s %u heads of %u, %u entries", m->name, m->heads,
                  m->head_size, entries);
        add_row(s, "attention", what, "f32", 1, call_attention, &c,
                (double)entries * 2 * (double)channels * sizeof(float),
                4.0 * m->heads * m->head_size * entries);
    }
    release(s);
}

static void time_vectors(struct suite *s, const struct shape *m)
{
    const struct dt_backend *b = &s->by->table;
    const struct {
        const char *name;
        bool present;
        kernel *k;
        uint32_t n;
    } all[] = {
        {"rmsnorm", b->rmsnorm != NULL, call_rmsnorm, m->dim},
        {"rope", b->rope != NULL, call_rope, m->heads * m->head_size},
        {"softmax", b->softmax != NULL, call_softmax, 256},
        {"silu_mul", b->silu_mul != NULL, call_silu, m->hidden},
        {"add", b->add != NULL, call_add, m->dim},
        {"argmax", b->argmax != NULL, call_argmax, m->vocab},
        {"select", b->select != NULL, call_select, m->vocab},
    };
    uint32_t most = m->vocab > m->hidden ? m->vocab : m->hidden;
    struct call c = {.by = s->by, .heads = m->heads, .head_size = m->head_size};
    c.x = floats(s, most + 16);
    c.y = floats(s, most + 16);
    c.out = floats(s, most + 16);
    c.index = allocate(s, (most + 16) * sizeof *c.index);
    for (size_t i = 0; i < sizeof all / sizeof *all && c.x && c.y && c.out && c.index; i++) {
        char what[48];
        c.n = all[i].n;
        dt_format(what, sizeof what, "%s %u", m->name, c.n);
        if (all[i].present)
            add_row(s, all[i].name, what, "f32", 1, all[i].k, &c, 0, c.n);
    }
    release(s);
}

static void time_backend(struct suite *s, const struct dt_backend_info *info, const struct shape *m)
{
    const struct dt_backend *b = &s->by->table;
    for (uint32_t i = 0; b->matmul && i < info->table->form_count; i++) {
        uint32_t form = info->table->forms[i];
        if (!dt_quantise_bytes(form, 32, 32, 32))
            continue; // packed, or a form that cannot be written
        time_matrix(s, m->name, form, m->dim, m->dim, false);
        time_matrix(s, m->name, form, m->hidden, m->dim, false);
        time_matrix(s, m->name, form, m->dim, m->hidden, false);
        time_matrix(s, m->name, form, m->vocab, m->dim, true);
    }
    if (b->attention)
        time_attention(s, m, 256);
    time_vectors(s, m);
}

// Whether name is one of a list "a,b,c"; NULL lists everything.
static bool listed(const char *list, const char *name)
{
    for (const char *at = list; at;) {
        size_t n = strcspn(at, ",");
        if (strlen(name) == n && memcmp(at, name, n) == 0)
            return true;
        at = at[n] ? at + n + 1 : NULL;
    }
    return !list;
}

// Reads the times of an earlier report of --json, which must contain every row of this one.
static dt_status read_baseline(struct suite *s, const char *path, struct dt_error *err)
{
    char *text = NULL, key[200];
    size_t n;
    dt_status status = dt_file_read(path, 64u << 20, &text, &n, err);
    for (size_t i = 0; i < s->count && status == DT_OK; i++) {
        static const char time[] = "\"microseconds\": ";
        dt_format(key, sizeof key, "\"key\": \"%s\"", s->rows[i].key);
        const char *at = strstr(text, key), *value = at ? strstr(at, time) : NULL;
        s->rows[i].baseline = value ? strtod(value + sizeof time - 1, NULL) / 1e6 : 0;
        if (s->rows[i].baseline <= 0)
            status = dt_error_set(err, DT_BAD_INPUT, path,
                                  "has no time of %s; it must be a report of --kernels --json over "
                                  "the same shapes and backends",
                                  s->rows[i].key);
    }
    free(text);
    return status;
}

static void print(const struct suite *s)
{
    dt_print(
        stdout,
        "%s, one thread, best of %d rounds; share: of the highest memory bandwidth that one thread "
        "reached in this run over as many bytes\n",
        dt_cpu()->model, ROUNDS);
    dt_print(stdout, "%-64s %10s %8s %8s %7s %s\n", "backend/kernel/shape/form/columns", "us",
             "GB/s", "GOP/s", "share", "baseline/now");
    for (size_t i = 0; i < s->count; i++) {
        const struct row *r = &s->rows[i];
        dt_print(stdout, "%-64s %10.3f %8.2f %8.2f", r->key, r->seconds * 1e6,
                 r->bytes / r->seconds / 1e9, r->operations / r->seconds / 1e9);
        if (r->share > 0)
            dt_print(stdout, " %6.1f%%", r->share * 100);
        else
            dt_print(stdout, " %7s", "");
        if (r->baseline > 0)
            dt_print(stdout, " %6.2f", r->baseline / r->seconds);
        putchar('\n');
    }
    if (s->skipped)
        dt_print(stdout, "not enough memory for %u of the matrices\n", s->skipped);
}

static void print_json(const struct suite *s)
{
    struct dt_json j;
    dt_json_init(&j, stdout, 2);
    dt_json_object(&j);
    dt_json_put_text(&j, "cpu", dt_cpu()->model);
    dt_json_put_uint(&j, "left_out", s->skipped);
    dt_json_name(&j, "kernels");
    dt_json_array(&j);
    for (size_t i = 0; i < s->count; i++) {
        const struct row *r = &s->rows[i];
        dt_json_object(&j);
        dt_json_put_text(&j, "key", r->key);
        dt_json_put_text(&j, "kernel", r->kernel);
        dt_json_put_number(&j, "microseconds", r->seconds * 1e6);
        dt_json_put_number(&j, "gb_s", r->bytes / r->seconds / 1e9);
        dt_json_put_number(&j, "gop_s", r->operations / r->seconds / 1e9);
        dt_json_put_number(&j, "share_of_bandwidth", r->share);
        if (r->baseline > 0)
            dt_json_put_number(&j, "speed_against_baseline", r->baseline / r->seconds);
        dt_json_end(&j);
    }
    dt_json_end(&j);
    dt_json_end(&j);
}

int dt_bench_kernels(const char *backends, const char *shape_list, const char *baseline, bool json)
{
    struct dt_error err = {0};
    struct suite s = {0};
    struct dt_registry *registry = NULL;
    dt_status status = dt_registry_new(&registry, &err);
    for (size_t m = 0; m < sizeof shapes / sizeof *shapes && status == DT_OK; m++) {
        if (!listed(shape_list, shapes[m].name))
            continue;
        for (size_t i = 0; i < dt_registry_count(registry) && status == DT_OK; i++) {
            const struct dt_backend_info *info = dt_registry_at(registry, i);
            char name[80];
            dt_format(name, sizeof name, "%s%s%s", info->name, *info->variant ? "@" : "",
                      info->variant);
            if (info->reason || (!listed(backends, name) && !listed(backends, info->name)))
                continue;
            struct dt_stack_instance *instance;
            status = dt_registry_assemble(registry, name, NULL, &s.account, NULL, &instance, &err);
            if (status != DT_OK)
                break;
            s.by = instance->instance[0];
            s.backend = instance->name;
            time_backend(&s, info, &shapes[m]);
            dt_stack_instance_free(instance);
        }
    }
    if (status == DT_OK && s.failed)
        status = dt_error_set(&err, DT_NO_MEMORY, NULL, "not enough memory for the results");
    if (status == DT_OK && s.count == 0)
        status = dt_error_set(&err, DT_USAGE, NULL,
                              "no usable backend or no shape of these names (the shapes are 260K, "
                              "15M, 110M, 1.1B and 7B)");
    if (status == DT_OK && baseline)
        status = read_baseline(&s, baseline, &err);
    int code;
    if (status == DT_OK) {
        (json ? print_json : print)(&s);
        code = dt_verb_flush();
    } else {
        code = dt_verb_fail(&err);
    }
    free(s.rows);
    dt_registry_free(registry);
    return code;
}
