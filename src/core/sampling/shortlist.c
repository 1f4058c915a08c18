// SPDX-License-Identifier: MIT
#include "core/sampling/shortlist.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/bits.h"

#define VOCAB_LEAST    4096u
#define SLICES         8u // evaluations until all bounds are known
#define ROWS_AT_ONCE   64u
#define SAMPLES        512u // rows whose mean gives the direction
#define RECENT_MOST    64u
#define FIRSTS         32u
#define PAUSE_FIRST    1u
#define PAUSE_LONGEST  512u
#define MISSING_MOST   1024u // rows of a list that the copy of frequent rows may lack
#define FREQUENT_LEAST 256u  // fewer rows are not copied
#define FREQUENT_COST  3u    // a row that is read by itself takes as long as so many of the copy
#define SCREEN_AT_ONCE 1024u // bounds, where a list is widened
#define ROUNDING       4e-6  // of sums and products of floats here, relative

typedef float lanes __attribute__((vector_size(16)));

static const float infinite = __builtin_inff();

bool dt_shortlist_pays(const struct dt_matrix *classifier, const struct dt_instance *by,
                       size_t weight_bytes)
{
    if (!by || by == &dt_instance_reference || classifier->rows < VOCAB_LEAST)
        return false;
    const struct dt_backend *t = &by->table;
    if (!t->matmul_rows || !t->act_error || !t->embed || classifier->bytes < weight_bytes / 5)
        return false;
    if (!t->row_products)
        return classifier->form != DT_FORM_PACKED; // its rows are not contiguous
    return t->row_products(by->ctx, NULL, classifier, 0, 0, NULL) != 0;
}

static void alloc(struct dt_shortlist *list, const struct dt_linear *classifier, bool packed,
                  uint32_t users, struct dt_arena *arena)
{
    uint32_t vocab = classifier->matrix.rows, dim = classifier->matrix.cols;
    list->direction = dt_arena_alloc(arena, dim, sizeof *list->direction);
    list->row = dt_arena_alloc(arena, dim, sizeof *list->row);
    list->bounds = dt_arena_alloc(arena, vocab, sizeof *list->bounds);
    list->capacity = vocab > RECENT_MOST + FIRSTS ? vocab : RECENT_MOST + FIRSTS;
    list->index = dt_arena_alloc(arena, (size_t)list->capacity * users, sizeof *list->index);
    list->logits = dt_arena_alloc(arena, (size_t)list->capacity * users, sizeof *list->logits);
    uint32_t most = dt_frequent_rows_most(&classifier->matrix, classifier->by, packed);
    dt_frequent_rows_alloc(&list->frequent, classifier, most, arena);
    if (most > 0) {
        list->missing = dt_arena_alloc(arena, MISSING_MOST, sizeof *list->missing);
        list->missing_at = dt_arena_alloc(arena, MISSING_MOST, sizeof *list->missing_at);
        list->missing_logits = dt_arena_alloc(arena, MISSING_MOST, sizeof *list->missing_logits);
    }
}

size_t dt_shortlist_measure(const struct dt_linear *classifier, bool packed, uint32_t users)
{
    struct dt_shortlist unused;
    struct dt_arena counter = dt_arena_over(NULL, 0);
    alloc(&unused, classifier, packed, users, &counter);
    return counter.wanted;
}

void dt_shortlist_init(struct dt_shortlist *list, const struct dt_linear *classifier, bool packed,
                       uint32_t users, void *memory)
{
    memset(list, 0, sizeof *list);
    uint32_t vocab = classifier->matrix.rows;
    struct dt_arena arena = dt_arena_over(memory, dt_shortlist_measure(classifier, packed, users));
    alloc(list, classifier, packed, users, &arena);
    list->classifier = classifier;
    list->vocab = vocab;
    list->pause = PAUSE_FIRST;
}

// ---- learning ----

static void read_row(const struct dt_shortlist *list, uint32_t row)
{
    const struct dt_linear *c = list->classifier;
    c->by->table.embed(c->by->ctx, list->row, &c->matrix, row);
}

static double dot(const float *a, const float *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void find_direction(struct dt_shortlist *list)
{
    uint32_t dim = list->classifier->matrix.cols,
             step = list->vocab / SAMPLES ? list->vocab / SAMPLES : 1;
    float *d = list->direction;
    memset(d, 0, dim * sizeof *d);
    for (uint32_t r = 0; r < list->vocab; r += step) {
        read_row(list, r);
        for (uint32_t i = 0; i < dim; i++)
            d[i] += list->row[i];
    }
    double length = sqrt(dot(d, d, dim));
    bool usable = length > 1e-18 && length < 1e18;
    for (uint32_t i = 0; i < dim; i++)
        d[i] = usable ? (float)((double)d[i] / length) : i == 0;
    list->direction_scale = 1 / sqrt(dot(d, d, dim)); // corrects the rounding of d
}

struct products {
    double square, along; // of a row with itself, and with the direction
    double error;         // relative: of square to itself, of along to the norm
};

// Uses lanes of floats, because it runs over all weights. A lane adds n / 8 products.
static struct products products_of(struct dt_shortlist *list, uint32_t row)
{
    read_row(list, row);
    uint32_t n = list->classifier->matrix.cols, i = 0;
    lanes square[2] = {{0}}, along[2] = {{0}};
    for (; i + 8 <= n; i += 8) {
        for (uint32_t k = 0; k < 2; k++) {
            lanes w, d;
            memcpy(&w, list->row + i + 4 * k, sizeof w);
            memcpy(&d, list->direction + i + 4 * k, sizeof d);
            square[k] += w * w;
            along[k] += w * d;
        }
    }
    struct products p = {.error = (n / 8 + 4) * 0x1p-24};
    for (uint32_t k = 0; k < 8; k++) {
        p.square += (double)square[k / 4][k % 4];
        p.along += (double)along[k / 4][k % 4];
    }
    p.square += dot(list->row + i, list->row + i, n - i);
    p.along = (p.along + dot(list->row + i, list->direction + i, n - i)) * list->direction_scale;
    return p;
}

// The least bfloat16 that is not below a float >= 0.
static uint32_t bfloat_above(float f)
{
    uint32_t bits = dt_bits_of(f);
    return bits >= 0x7f800000 ? 0x7f80 : (bits + 0xffff) >> 16;
}

static uint32_t bound_of(struct dt_shortlist *list, struct products p)
{
    double norm = sqrt(p.square);
    if (!(norm < 1e18)) // NaN, or too large for products: always a candidate
        return 0x7f80;
    float a = dt_float_of(dt_bits_of((float)p.along) & 0xffff0000);
    double left = p.square - p.along * p.along,
           error = fabs(p.along - (double)a) + 1.1 * p.error * norm;
    double across = sqrt((left > 0 ? left : 0) + 4 * p.error * p.square) * (1 + 1e-6);
    norm *= 1 + p.error + 1e-6;
    if (norm > (double)list->norm_most)
        list->norm_most = (float)(norm * (1 + 1e-6));
    if (error > (double)list->along_error)
        list->along_error = (float)(error * (1 + 1e-6));
    return dt_bits_of(a) | bfloat_above((float)(across * (1 + 1e-6)));
}

// The bounds of rows by the backend's operation.
static void learn_products(struct dt_shortlist *list, uint32_t end)
{
    const struct dt_linear *c = list->classifier;
    float products[2 * ROWS_AT_ONCE];
    double error = (c->matrix.cols / 8 + 40) * 0x1p-24;
    for (uint32_t r = list->learned, next; r < end; r = next) {
        next = end - r < ROWS_AT_ONCE ? end : r + ROWS_AT_ONCE;
        c->by->table.row_products(c->by->ctx, products, &c->matrix, r, next, list->direction);
        for (uint32_t k = 0; k < next - r; k++)
            list->bounds[r + k] = bound_of(
                list,
                (struct products){(double)products[2 * k],
                                  (double)products[2 * k + 1] * list->direction_scale, error});
    }
}

void dt_shortlist_learn(struct dt_shortlist *list)
{
    if (list->learned == list->vocab)
        return;
    if (list->learned == 0)
        find_direction(list);
    uint32_t left = list->vocab - list->learned, slice = (list->vocab + SLICES - 1) / SLICES;
    uint32_t end = list->learned + (left < slice ? left : slice);
    if (list->classifier->by->table.row_products)
        learn_products(list, end);
    else
        for (uint32_t r = list->learned; r < end; r++)
            list->bounds[r] = bound_of(list, products_of(list, r));
    list->learned = list->facts.learned = end;
}

// ---- using ----

// The largest of some logits; -inf if all are NaN.
static float largest_of(const float *logits, uint32_t count)
{
    float largest = -infinite;
    for (uint32_t i = 0; i < count; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    return largest;
}

// A lower bound of the largest logit. index, logits: the user's memory.
static float least_certain(const struct dt_shortlist *list, const struct dt_shortlist_request *q,
                           uint32_t *index, float *logits)
{
    uint32_t n = q->recent_count < RECENT_MOST ? q->recent_count : RECENT_MOST;
    for (uint32_t i = 0; i < n; i++)
        index[i] = q->recent[q->recent_count - n + i];
    for (uint32_t i = 0; i < list->firsts; i++)
        index[n++] = list->first[i];
    q->rows(q->arg, logits, index, n);
    return largest_of(logits, n);
}

bool dt_shortlist_passes(struct dt_shortlist *list)
{
    if (list->passing == 0)
        return list->learned < list->vocab;
    list->passing--;
    return true;
}

// Makes the copy of frequent rows one of this list's rows, if more rows than both have were read
// one by one since the last time: what making it reads was read in vain before.
static void renew_frequent(struct dt_shortlist *list, const uint32_t *index, uint32_t count)
{
    struct dt_frequent_rows *f = &list->frequent;
    if (count < FREQUENT_LEAST || count > f->most || list->missed < f->count + count)
        return;
    dt_frequent_rows_set(f, index, count);
    list->facts.frequent = count;
    list->missed = 0;
}

// Computes the logits of a list; index is ascending.
static void compute_list(struct dt_shortlist *list, const struct dt_shortlist_request *q,
                         const uint32_t *index, float *logits, uint32_t count)
{
    const struct dt_frequent_rows *f = &list->frequent;
    uint32_t missing = 0, at = 0, k = 0;
    bool use = f->count > 0 && count >= f->count / FREQUENT_COST && q->frequent;
    for (; use && k < count && missing < MISSING_MOST; k++) {
        while (at < f->count && f->index[at] < index[k])
            at++;
        if (at == f->count || f->index[at] != index[k]) {
            list->missing[missing] = index[k];
            list->missing_at[missing++] = k;
        }
    }
    if (!use || k < count) {
        q->rows(q->arg, logits, index, count);
        list->missed += count;
        return;
    }
    if (missing > 0) {
        q->rows(q->arg, list->missing_logits, list->missing, missing);
        list->missed += missing;
    }
    q->frequent(q->arg);
    for (k = at = 0; k < count; k++) {
        while (at < f->count && f->index[at] < index[k])
            at++;
        if (at < f->count && f->index[at] == index[k])
            logits[k] = f->out[at];
    }
    for (k = 0; k < missing; k++)
        logits[list->missing_at[k]] = list->missing_logits[k];
}

// How the bounds of one x are computed and compared.
struct screening {
    float along, across, scale; // for dt_backend.screen
    double slack;               // the most that any bound may be too low
};

static struct screening screening_of(const struct dt_shortlist *list,
                                     const struct dt_shortlist_request *q)
{
    uint32_t dim = list->classifier->matrix.cols;
    double square = dot(q->x, q->x, dim),
           along = dot(q->x, list->direction, dim) * list->direction_scale;
    double left = square - along * along;
    double length = sqrt(square), across = sqrt(left > 0 ? left : 0) + 1e-6 * length;
    return (struct screening){
        .along = (float)along,
        .across = (float)(across * (1 + 1e-6)),
        .scale = q->bound.temperature > 0 ? 1.44269504f / q->bound.temperature : 0.0f,
        .slack = (double)list->norm_most * ((double)q->error + ROUNDING * length) +
                 (double)list->along_error * fabs(along),
    };
}

static float rounded_down(double limit)
{
    return (float)(limit - fabs(limit) * 0x1p-23);
}

// The others are at most threshold + slack, and `rest` is relative to its exponential. The argmax
// may be NaN while other logits are not.
static void set_outside(struct dt_candidates *c, const struct screening *s, float largest,
                        double rest)
{
    if (largest != largest)
        largest = largest_of(c->logits, c->count);
    double above = (double)c->threshold + s->slack * (1 + 1e-6) - (double)largest;
    c->outside = rest * exp(above / (double)c->bound.temperature) * (1 + 1e-5);
}

// Lists the rows whose bounds are not below the threshold. Screens the last ones first, as many
// vocabularies begin with their frequent pieces. If nearly all of them remain, the others need not
// be screened: the result is the number of all rows.
static uint32_t screen_all(const struct dt_shortlist *list, const struct dt_stack *stack,
                           const struct screening *s, float threshold, uint32_t *index,
                           double *rest)
{
    const struct dt_instance *by = stack->screen;
    double more = 0;
    uint32_t part = list->vocab / 8, first = list->vocab - part;
    uint32_t last = by->table.screen(by->ctx, list->bounds + first, part, s->along, s->across,
                                     threshold, s->scale, index + first, rest);
    if (last > part - part / 16)
        return list->vocab;
    uint32_t count = by->table.screen(by->ctx, list->bounds, first, s->along, s->across, threshold,
                                      s->scale, index, &more);
    for (uint32_t i = 0; i < last; i++)
        index[count + i] = index[first + i] + first;
    *rest += more;
    return count + last;
}

bool dt_shortlist_make(struct dt_shortlist *list, const struct dt_stack *stack,
                       const struct dt_shortlist_request *q, struct dt_candidates *out)
{
    const struct dt_instance *argmax = stack->argmax;
    memset(out, 0, sizeof *out);
    if (list->learned < list->vocab || q->recent_count == 0)
        return false;
    uint32_t *index = list->index + (size_t)q->user * list->capacity;
    float *logits = list->logits + (size_t)q->user * list->capacity;
    struct screening s = screening_of(list, q);
    double certain = (double)least_certain(list, q, index, logits), rest = 0;
    float threshold = rounded_down(certain - (double)q->bound.margin - s.slack);
    uint32_t count = screen_all(list, stack, &s, threshold, index, &rest);
    if (count == 0 || count > q->most) {
        list->passing = list->pause;
        list->pause = list->pause * 2 < PAUSE_LONGEST ? list->pause * 2 : PAUSE_LONGEST;
        return false;
    }
    list->pause = PAUSE_FIRST;
    compute_list(list, q, index, logits, count);
    renew_frequent(list, index, count);
    uint32_t best = argmax->table.argmax(argmax->ctx, logits, count);
    list->first[list->facts.used % FIRSTS] = index[best];
    list->firsts += list->firsts < FIRSTS;
    list->facts.used++;
    list->facts.rows += count;
    *out = (struct dt_candidates){.index = index,
                                  .logits = logits,
                                  .count = count,
                                  .bound = q->bound,
                                  .threshold = threshold};
    if (q->bound.temperature > 0)
        set_outside(out, &s, logits[best], rest);
    return true;
}

// Appends the rows whose bounds are not below the threshold to the first `count`, which are
// ascending, without those. Returns how many there are then, or 0 for more than `most`.
static uint32_t screen_more(const struct dt_shortlist *list, const struct dt_stack *stack,
                            const struct screening *s, float threshold, uint32_t *index,
                            uint32_t count, uint32_t most, double *rest)
{
    const struct dt_instance *by = stack->screen;
    uint32_t found[SCREEN_AT_ONCE], at = 0, all = count;
    *rest = 0;
    for (uint32_t begin = 0, n; begin < list->vocab; begin += n) {
        double part = 0;
        n = list->vocab - begin < SCREEN_AT_ONCE ? list->vocab - begin : SCREEN_AT_ONCE;
        uint32_t here = by->table.screen(by->ctx, list->bounds + begin, n, s->along, s->across,
                                         threshold, s->scale, found, &part);
        *rest += part;
        for (uint32_t k = 0; k < here; k++) {
            uint32_t row = begin + found[k];
            while (at < count && index[at] < row)
                at++;
            if (at < count && index[at] == row)
                continue;
            if (all >= most)
                return 0;
            index[all++] = row;
        }
    }
    return all;
}

bool dt_shortlist_widen(struct dt_shortlist *list, const struct dt_stack *stack,
                        const struct dt_shortlist_request *q, struct dt_candidates *c)
{
    uint32_t *index = list->index + (size_t)q->user * list->capacity;
    float *logits = list->logits + (size_t)q->user * list->capacity;
    struct screening s = screening_of(list, q);
    double rest, more = (double)q->bound.margin - (double)c->bound.margin;
    float threshold = rounded_down((double)c->threshold - more);
    uint32_t count = screen_more(list, stack, &s, threshold, index, c->count, q->most, &rest);
    if (count == 0)
        return false;
    q->rows(q->arg, logits + c->count, index + c->count, count - c->count);
    list->facts.rows += count - c->count;
    c->count = count;
    c->bound = q->bound;
    c->threshold = threshold;
    set_outside(c, &s, largest_of(logits, count), rest);
    return true;
}
