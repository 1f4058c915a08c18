// SPDX-License-Identifier: MIT
#include "host/engine_tune.h"

#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "host/clock.h"
#include "host/log.h"

#define MANY        64u          // columns of a prompt that are measured
#define PASS_BYTES  (16u << 20)  // weights of at most this size are read as a whole in each pass,
#define PART_BYTES  (4u << 20)   // of larger ones each pass reads the next part
#define ITEM_BYTES  (32u << 10)  // weights of an item of a parallel loop
#define TRIAL_BYTES (128u << 10) // weights of the products that are compared
#define MANY_WORK   (8u << 20)   // weights times columns of a measurement of prompts
#define ROUNDS      11u
#define ENOUGH_NS   8000000u  // ends after five rounds
#define MOST_NS     25000000u // ends after four rounds
#define KEEP        0.97      // of the time of the best score: below it another variant is taken

struct measure {
    struct dt_engine *engine;
    struct dt_engine_stack *stack;
    struct dt_variant variant[DT_STACK_MAX];                        // [0] has the best score
    uint64_t one[DT_STACK_MAX][ROUNDS], many[DT_STACK_MAX][ROUNDS]; // femtoseconds a byte
    const char *dropped[DT_STACK_MAX];                              // why; NULL: it was not
    uint32_t variants, rounds;
    const struct dt_linear **linear; // the products, in the order of use
    uint32_t count, next;            // number, and the one that the next pass begins with
    size_t bytes;                    // of all
    const struct dt_matrix *main;    // the largest of a layer, for products with many columns
    struct dt_block block;
    float *x, *out, *best_out;
    void *act;
};

// Rows of one matrix, on all workers.
struct job {
    const struct dt_instance *by;
    const struct dt_matrix *w;
    const void *act;
    float *out;
    size_t out_stride;
    uint32_t rows, rows_per_item, columns;
};

static void job_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct job *j = arg;
    uint32_t row = begin * j->rows_per_item, last = end * j->rows_per_item;
    j->by->table.matmul(j->by->ctx, j->out, j->out_stride, j->w, row,
                        last < j->rows ? last : j->rows, j->act, j->w->cols, j->columns);
}

// The first `rows` rows times columns of x. Returns nanoseconds.
static uint64_t multiply(struct measure *m, uint32_t v, const struct dt_matrix *w, uint32_t rows,
                         uint32_t columns)
{
    const struct dt_instance *by = &m->variant[v].instance;
    size_t row_bytes = w->bytes / w->rows + 1;
    uint32_t tile = by->table.row_tile, item = (uint32_t)(ITEM_BYTES / row_bytes) + 1;
    struct job j = {
        .by = by,
        .w = w,
        .act = m->x,
        .out = m->out,
        .out_stride = rows,
        .rows = rows,
        .rows_per_item = (item + tile - 1) / tile * tile,
        .columns = columns,
    };
    uint64_t begin = dt_clock_ns();
    if (by->table.act_prepare && by->table.act_bytes(by->ctx, w, columns)) {
        by->table.act_prepare(by->ctx, m->act, m->x, w->cols, columns, w);
        j.act = m->act;
    }
    dt_threads_for(m->engine->threads, job_body, &j, (rows + j.rows_per_item - 1) / j.rows_per_item,
                   1);
    return dt_clock_ns() - begin;
}

// Rows of w that are `bytes` bytes, in tiles.
static uint32_t rows_of(const struct dt_matrix *w, size_t bytes, uint32_t tile)
{
    size_t rows = bytes / (w->bytes / w->rows + 1) / tile * tile + tile;
    return rows < w->rows ? (uint32_t)rows : w->rows;
}

static uint64_t per_byte(uint64_t ns, double bytes)
{
    return (uint64_t)((double)ns * 1e6 / bytes);
}

// One pass of a token over the weights, or over the part of them that is next.
static uint64_t pass(struct measure *m, uint32_t v)
{
    size_t most = m->bytes <= PASS_BYTES ? m->bytes : PART_BYTES, done = 0;
    uint64_t ns = 0;
    while (done < most) {
        const struct dt_matrix *w = &m->linear[m->next]->matrix;
        uint32_t rows = rows_of(w, most, m->variant[0].instance.table.row_tile);
        ns += multiply(m, v, w, rows, 1);
        done += w->bytes / w->rows * rows;
        m->next = (m->next + 1) % m->count;
    }
    return per_byte(ns, (double)done);
}

static uint64_t prompt(struct measure *m, uint32_t v)
{
    const struct dt_matrix *w = m->main;
    uint32_t rows = rows_of(w, MANY_WORK / MANY, m->variant[0].instance.table.row_tile);
    uint64_t ns = multiply(m, v, w, rows, MANY);
    return per_byte(ns, (double)w->bytes / w->rows * rows * MANY);
}

// ---- preparation ----

static bool list_products(struct measure *m)
{
    const struct dt_stack_instance *a = m->stack->instance;
    uint32_t count = dt_weights_count(m->stack->weights->model);
    m->linear = calloc(count, sizeof *m->linear);
    if (!m->linear)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct dt_linear *l = dt_weights_linear(m->stack->weights, i);
        if (!l->matrix.rows || l->by != a->instance[a->automatic])
            continue;
        m->linear[m->count++] = l;
        m->bytes += l->matrix.bytes;
        // the classifier is computed for the last token of a prompt only
        if (!m->main || (i + 1 < count && l->matrix.bytes > m->main->bytes))
            m->main = &l->matrix;
    }
    return m->count > 0;
}

// Drops variants that refuse a matrix.
static void drop_refusals(struct measure *m)
{
    for (uint32_t v = 0; v < m->variants; v++) {
        const struct dt_instance *by = &m->variant[v].instance;
        for (uint32_t i = 0; i < m->count && by->table.can_matmul && !m->dropped[v]; i++) {
            if (!by->table.can_matmul(by->ctx, &m->linear[i]->matrix))
                m->dropped[v] = "does not compute all matrices";
        }
    }
}

// Memory for the activations of any product with one column, and of the main one with MANY.
static bool alloc(struct measure *m)
{
    size_t act = 0, x = m->main->cols * (size_t)MANY, out = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct dt_matrix *w = &m->linear[i]->matrix;
        uint32_t columns = w == m->main ? MANY : 1;
        for (uint32_t v = 0; v < m->variants; v++) {
            const struct dt_instance *by = &m->variant[v].instance;
            size_t n = by->table.act_bytes ? by->table.act_bytes(by->ctx, w, columns) : 0;
            act = n > act ? n : act;
        }
        x = w->cols > x ? w->cols : x;
        out = w->rows > out ? w->rows : out;
    }
    size_t many =
        (size_t)MANY * rows_of(m->main, MANY_WORK / MANY, m->variant[0].instance.table.row_tile);
    out = many > out ? many : out;
    x = (x + 15) / 16 * 16;
    out = (out + 15) / 16 * 16;
    if (dt_block_alloc(&m->engine->account, &m->block, (x + 2 * out) * sizeof(float) + act,
                       "measurements", NULL) != DT_OK)
        return false;
    m->x = m->block.memory;
    m->out = m->x + x;
    m->best_out = m->out + out;
    m->act = m->best_out + out;
    uint32_t seed = 1;
    for (size_t i = 0; i < x; i++) {
        seed = seed * 1664525u + 1013904223u;
        m->x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    return true;
}

// Products of the main matrix: drops variants whose bits are not those of the first, or that take
// more than twice its time.
static void try_variants(struct measure *m)
{
    const struct dt_matrix *w = m->main;
    uint32_t rows = rows_of(w, TRIAL_BYTES, m->variant[0].instance.table.row_tile);
    const uint32_t columns[] = {1, MANY};
    for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
        size_t bytes = (size_t)rows * columns[k] * sizeof *m->out;
        uint64_t best = 0;
        for (uint32_t v = 0; v < m->variants; v++) {
            uint64_t ns = UINT64_MAX;
            for (int again = 0; again < 3 && !m->dropped[v]; again++) {
                uint64_t now = multiply(m, v, w, rows, columns[k]);
                ns = now < ns ? now : ns;
            }
            if (v == 0) {
                memcpy(m->best_out, m->out, bytes);
                best = ns;
            } else if (!m->dropped[v] && memcmp(m->best_out, m->out, bytes) != 0) {
                m->dropped[v] = "has other bits";
            } else if (!m->dropped[v] && columns[k] == 1 && ns / 2 > best) {
                m->dropped[v] = "takes more than twice the time";
            }
        }
    }
}

static void take_rounds(struct measure *m)
{
    uint64_t begin = dt_clock_ns(), spent = 0;
    while (m->rounds < ROUNDS && !atomic_load(&m->engine->cancel)) {
        for (uint32_t k = 0; k < m->variants; k++) {
            uint32_t v = m->rounds % 2 ? m->variants - 1 - k : k;
            if (m->dropped[v])
                continue;
            m->one[v][m->rounds] = pass(m, v);
            m->many[v][m->rounds] = prompt(m, v);
        }
        m->rounds++;
        spent = dt_clock_ns() - begin;
        if ((spent > ENOUGH_NS && m->rounds >= 5) || (spent > MOST_NS && m->rounds >= 4))
            return;
    }
}

// ---- decision ----

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// The variant to take: 0 unless another's best and median are both better. One token is decoded for
// each of a prompt.
static uint32_t decide(struct measure *m)
{
    uint32_t taken = 0;
    double least = 0, usual = 0, taken_least = 0;
    for (uint32_t v = 0; v < m->variants && m->rounds; v++) {
        if (m->dropped[v])
            continue;
        qsort(m->one[v], m->rounds, sizeof *m->one[v], by_value);
        qsort(m->many[v], m->rounds, sizeof *m->many[v], by_value);
        uint32_t middle = m->rounds / 2;
        double best = (double)(m->one[v][0] + m->many[v][0]);
        double median = (double)(m->one[v][middle] + m->many[v][middle]);
        if (v == 0) {
            least = taken_least = best;
            usual = median;
        } else if (best < KEEP * least && median < KEEP * usual && best < taken_least) {
            taken = v;
            taken_least = best;
        }
    }
    return taken;
}

static void report(const struct measure *m, uint32_t taken, uint64_t ns)
{
    struct dt_engine_tuning *t = &m->engine->tuning;
    memset(t, 0, sizeof *t);
    t->count = m->variants;
    t->taken = taken;
    t->bytes = m->bytes;
    t->seconds = (double)ns * 1e-9;
    for (uint32_t v = 0; v < m->variants; v++) {
        struct dt_engine_tuning_row *row = &t->row[v];
        dt_format(row->variant, sizeof row->variant, "%s", m->variant[v].name);
        row->dropped = m->dropped[v];
        if (m->dropped[v] || !m->rounds)
            continue;
        row->token = (double)m->one[v][0] * 1e-15 * (double)m->bytes;
        row->prompt_token = (double)m->many[v][0] * 1e-15 * (double)m->bytes;
    }
    dt_log(DT_LOG_DEBUG, "%s: of %u variants %s%s was chosen in %.1f ms", m->stack->instance->name,
           m->variants, t->row[taken].variant[0] ? "@" : "",
           t->row[taken].variant[0] ? t->row[taken].variant : "the plain one", t->seconds * 1e3);
}

static bool measure(struct dt_engine *e, struct dt_engine_stack *c)
{
    struct measure *m = calloc(1, sizeof *m);
    uint64_t begin = dt_clock_ns();
    bool done = false;
    if (!m)
        return false;
    m->engine = e;
    m->stack = c;
    m->variants = dt_stack_instance_variants(c->instance, m->variant);
    if (m->variants > 1 && list_products(m)) {
        drop_refusals(m);
        if (!m->dropped[0] && alloc(m)) {
            try_variants(m);
            take_rounds(m);
            uint32_t taken = decide(m);
            done = m->rounds > 2;
            report(m, taken, dt_clock_ns() - begin);
            if (done && strcmp(m->variant[taken].name, dt_stack_instance_variant(c->instance)) != 0)
                dt_stack_instance_use(c->instance, &m->variant[taken]);
        }
    }
    for (uint32_t v = 0; v < m->variants; v++)
        dt_variant_close(&m->variant[v]);
    dt_block_free(&e->account, &m->block);
    free(m->linear);
    free(m);
    return done;
}

// What the measurement depends on.
static void write_key(const struct dt_engine *e, const struct dt_stack_instance *a, char *out,
                      size_t size)
{
    char build[32];
    const struct dt_matrix *w = dt_registry_main_matrix(&e->model);
    dt_stack_instance_build(a, build, sizeof build);
    dt_format(out, size, "%s-%s-%s-%s-%ux%u-%zuMB-%u", build, a->instance[a->automatic]->table.name,
              dt_form_name(dt_registry_main_form(&e->model)),
              a->pack == DT_PACK_NEVER ? "in-place" : "packed", w->rows, w->cols,
              e->model.weight_bytes >> 20,
              e->threads ? dt_threads_count(e->threads)
                         : dt_engine_threads_for(e, e->options.threads));
}

// Takes the variant that is remembered, if it still exists.
static bool take_remembered(struct dt_stack_instance *a, const char *key)
{
    char name[32];
    struct dt_variant variant[DT_STACK_MAX];
    if (!dt_tuned_find(dt_stack_instance_tuned(a), key, name, sizeof name))
        return false;
    if (strcmp(name, dt_stack_instance_variant(a)) == 0)
        return true;
    bool found = false;
    uint32_t count = dt_stack_instance_variants(a, variant);
    for (uint32_t v = 0; v < count; v++) {
        if (!found && strcmp(variant[v].name, name) == 0) {
            dt_stack_instance_use(a, &variant[v]);
            found = true;
        }
        dt_variant_close(&variant[v]);
    }
    return found;
}

void dt_engine_tune(struct dt_engine *e, struct dt_engine_stack *c)
{
    char key[DT_TUNED_KEY];
    struct dt_stack_instance *a = c->instance;
    bool again = e->options.tune == DT_TUNE_AGAIN;
    if (a->automatic == DT_STACK_MAX || a->fallback || e->options.tune == DT_TUNE_NEVER ||
        (!again && !dt_tuned_allowed()))
        return;
    write_key(e, a, key, sizeof key);
    if ((!again && take_remembered(a, key)) || !c->weights || !e->threads)
        return;
    if (e->stream || e->plan.stream.streamed) // the weights would be read from the disk
        return;
    if (measure(e, c))
        dt_tuned_store(dt_stack_instance_tuned(a), key, dt_stack_instance_variant(a));
    dt_format(e->plan.stack, sizeof e->plan.stack, "%s", a->name);
}
