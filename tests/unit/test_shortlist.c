// SPDX-License-Identifier: MIT
// Compares the shortlist with all logits: every token within the margin is listed, and the others'
// sum is within the bound.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <cmocka.h>

#include "core/quant/quantise.h"
#include "core/sampling/sampler.h"
#include "base/arena.h"
#include "core/sampling/shortlist.h"

static uint64_t random_state = 0x2545f4914f6cdd1du;

static uint32_t below(uint32_t n)
{
    return (uint32_t)((uint64_t)dt_random_u32(&random_state) * n >> 32);
}

static float normal(void)
{
    float sum = -2.0f;
    for (int i = 0; i < 4; i++)
        sum += dt_random_f32(&random_state);
    return sum * 1.7320508f;
}

static void *memory(size_t bytes)
{
    void *at = aligned_alloc(DT_ALIGN, (bytes + DT_ALIGN) / DT_ALIGN * DT_ALIGN);
    assert_non_null(at);
    memset(at, 0, bytes);
    return at;
}

struct rig {
    struct dt_linear classifier;
    void *weights, *act, *capacity;
    float *x, *logits, *centre;
    struct dt_shortlist list;
    struct dt_stack stack;
};

static void rows(void *arg, float *out, const uint32_t *index, uint32_t count)
{
    struct rig *r = arg;
    dt_backend_reference.matmul_rows(NULL, out, &r->classifier.matrix, index, count, r->act);
}

// Most rows are close together, like those of untrained tokens; some are anywhere, some are special
// values.
static void row_of(const struct rig *r, uint32_t dim, float *out)
{
    uint32_t kind = below(40);
    float size = kind == 0 ? 4.0f : kind == 1 ? 0.0f : 1.0f;
    for (uint32_t i = 0; i < dim; i++)
        out[i] = kind < 12    ? size * normal()
                 : kind == 12 ? -2 * r->centre[i]
                              : r->centre[i] + 0.1f * normal();
}

static void set_up(struct rig *r, uint32_t form, uint32_t vocab, uint32_t dim)
{
    uint32_t group = form == DT_FORM_I8 ? 16 : 0;
    memset(r, 0, sizeof *r);
    assert_int_equal(dt_stack_make(&r->stack, NULL, 0, NULL), DT_OK);
    r->weights = memory(dt_quantise_bytes(form, vocab, dim, group));
    r->classifier.matrix = dt_quantise_matrix(form, vocab, dim, group, r->weights);
    r->classifier.by = &dt_instance_reference;
    float *row = memory(dim * sizeof *row);
    r->x = memory(dim * sizeof *r->x);
    r->centre = memory(dim * sizeof *r->centre);
    r->logits = memory(vocab * sizeof *r->logits);
    for (uint32_t i = 0; i < dim; i++)
        r->centre[i] = normal();
    for (uint32_t k = 0; k < vocab; k++) {
        row_of(r, dim, row);
        if (form == DT_FORM_F32 && below(500) == 0)
            row[below(dim)] = below(2) ? NAN : 1e30f;
        dt_quantise_row(&r->classifier.matrix, k, row);
    }
    free(row);
    size_t act = dt_backend_reference.act_bytes(NULL, &r->classifier.matrix, 1);
    r->act = memory(act + dim * sizeof(float));
    r->capacity = memory(dt_shortlist_measure(&r->classifier, false, 1));
    dt_shortlist_init(&r->list, &r->classifier, false, 1, r->capacity);
}

static void tear_down(struct rig *r)
{
    void *all[] = {r->weights, r->act, r->capacity, r->x, r->centre, r->logits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void multiply(struct rig *r, uint32_t dim)
{
    const struct dt_matrix *w = &r->classifier.matrix;
    if (dt_backend_reference.act_bytes(NULL, w, 1))
        dt_backend_reference.act_prepare(NULL, r->act, r->x, dim, 1, w);
    else
        memcpy(r->act, r->x, dim * sizeof *r->x);
    dt_backend_reference.matmul(NULL, r->logits, w->rows, w, 0, w->rows, r->act, dim, 1);
}

// An input as in a model: away from the centre of the unused rows, or any.
static void new_x(struct rig *r, uint32_t dim)
{
    float away = below(4) ? 0.3f * dt_random_f32(&random_state) : 0,
          size = powf(10, 0.4f * normal());
    for (uint32_t i = 0; i < dim; i++)
        r->x[i] = size * (normal() - away * r->centre[i]);
    if (below(50) == 0)
        r->x[below(dim)] = below(2) ? INFINITY : NAN;
    multiply(r, dim);
}

static void check(struct rig *r, const struct dt_shortlist_request *q,
                  const struct dt_candidates *c)
{
    uint32_t vocab = r->classifier.matrix.rows;
    float largest = -INFINITY;
    uint32_t *place = memory(vocab * sizeof *place); // in the list, from 1 on
    for (uint32_t k = 0; k < c->count; k++) {
        assert_int_equal(place[c->index[k]], 0);
        place[c->index[k]] = k + 1;
    }
    for (uint32_t i = 0; i < vocab; i++)
        largest = r->logits[i] > largest ? r->logits[i] : largest;
    double outside = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        if (place[i]) {
            assert_memory_equal(&c->logits[place[i] - 1], &r->logits[i], sizeof *c->logits);
            continue;
        }
        if (!(r->logits[i] < largest - q->bound.margin ||
              (q->bound.margin == 0 && r->logits[i] < largest)))
            fail_msg(
                "row %u of %u is left out: its logit is %.9g, the largest %.9g, the margin %.9g", i,
                vocab, (double)r->logits[i], (double)largest, (double)q->bound.margin);
        if (q->bound.temperature > 0)
            outside += exp(((double)r->logits[i] - (double)largest) / (double)q->bound.temperature);
    }
    free(place);
    if (q->bound.temperature > 0 && !(outside <= c->outside))
        fail_msg("%u rows are left out, which add up to %.9g; the bound is %.9g", vocab - c->count,
                 outside, c->outside);
}

static uint32_t wider, refused;

static void check_wider(struct rig *r, struct dt_shortlist_request *q, struct dt_candidates *c)
{
    uint32_t before = c->count, most = q->most;
    double outside = c->outside;
    q->bound.margin += (below(2) ? 5 : 1) * q->bound.temperature;
    q->most = below(4) ? r->classifier.matrix.rows : before;
    if (dt_shortlist_widen(&r->list, &r->stack, q, c)) {
        wider += c->count > before;
        assert_false(c->outside > 1.08 * outside); // 2^x is approximated
        assert_true(c->bound.margin == q->bound.margin);
    } else {
        refused++;
        assert_true(c->count == before && q->most == before);
        q->bound = c->bound;
    }
    check(r, q, c);
    q->most = most;
}

static void one_model(uint32_t form)
{
    struct rig r;
    uint32_t vocab = 300 + below(3000), dim = 32 * (1 + below(5)), recent[5];
    set_up(&r, form, vocab, dim);
    struct dt_candidates c;
    struct dt_shortlist_request q = {
        .most = vocab / 2, .x = r.x, .recent = recent, .recent_count = 5, .rows = rows, .arg = &r};
    for (int i = 0; i < 8; i++) { // no list before all bounds are known
        assert_int_equal(dt_shortlist_make(&r.list, &r.stack, &q, &c), false);
        dt_shortlist_learn(&r.list);
    }
    assert_int_equal(r.list.learned, vocab);
    for (int i = 0; i < 60; i++) {
        new_x(&r, dim);
        q.error = dt_backend_reference.act_error(NULL, r.act, r.x, &r.classifier.matrix);
        q.bound.temperature = below(2) ? 0 : 0.2f + 2 * dt_random_f32(&random_state);
        q.bound.margin = q.bound.temperature * 9.02f;
        for (uint32_t k = 0; k < 5; k++)
            recent[k] = below(vocab);
        for (uint32_t k = 0, most = below(8) ? vocab : 0; k < most;
             k++) // the best token is mostly among them
            recent[2] = r.logits[k] > r.logits[recent[2]] ? k : recent[2];
        if (!dt_shortlist_make(&r.list, &r.stack, &q, &c))
            continue;
        check(&r, &q, &c);
        for (uint32_t k = 1; k < c.count; k++)
            assert_true(c.index[k - 1] < c.index[k]);
        if (q.bound.temperature > 0)
            check_wider(&r, &q, &c);
    }
    if (r.list.facts.used < 10) // otherwise nothing was tested
        fail_msg("only %u lists of 60 were made", (unsigned)r.list.facts.used);
    assert_true(r.list.facts.rows < r.list.facts.used * vocab / 2);
    tear_down(&r);
}

static void lists(void **state)
{
    (void)state;
    static const uint32_t forms[] = {DT_FORM_F32, DT_FORM_F16,  DT_FORM_BF16,
                                     DT_FORM_I8,  DT_FORM_Q8_0, DT_FORM_Q4_0};
    for (int i = 0; i < 36; i++)
        one_model(forms[i % 6]);
    assert_true(wider > 0 && refused > 0);
}

// A vocabulary that begins with the pieces that the model uses.
static void frequent_first(void **state)
{
    (void)state;
    struct rig r;
    enum { VOCAB = 1600, USED = 300, DIM = 32 };
    float row[DIM];
    set_up(&r, DT_FORM_F32, VOCAB, DIM);
    for (uint32_t k = 0; k < VOCAB; k++) {
        for (uint32_t i = 0; i < DIM; i++)
            row[i] = k < USED ? 2 * normal() : r.centre[i] + 0.01f * normal();
        dt_quantise_row(&r.classifier.matrix, k, row);
    }
    for (int i = 0; i < 8; i++)
        dt_shortlist_learn(&r.list);
    uint32_t recent[1] = {0};
    struct dt_candidates c;
    struct dt_shortlist_request q = {
        .most = VOCAB / 2, .x = r.x, .recent = recent, .recent_count = 1, .rows = rows, .arg = &r};
    for (int k = 0; k < 20; k++) {
        for (uint32_t i = 0; i < DIM; i++)
            r.x[i] = 0.5f * normal() - 0.5f * r.centre[i];
        multiply(&r, DIM);
        for (uint32_t i = 0; i < USED; i++)
            recent[0] = r.logits[i] > r.logits[recent[0]] ? i : recent[0];
        assert_true(dt_shortlist_make(&r.list, &r.stack, &q, &c));
        assert_in_range(c.count, 1, USED);
        check(&r, &q, &c);
    }
    tear_down(&r);
}

// After a list that was too long, some evaluations are skipped.
static void pauses(void **state)
{
    (void)state;
    struct rig r;
    set_up(&r, DT_FORM_F32, 400, 32);
    for (int i = 0; i < 8; i++)
        dt_shortlist_learn(&r.list);
    new_x(&r, 32);
    uint32_t recent[1] = {0}, tried = 0;
    struct dt_candidates c;
    // an error that makes every bound useless
    struct dt_shortlist_request q = {.most = r.classifier.matrix.rows / 2,
                                     .x = r.x,
                                     .error = 1e6f,
                                     .recent = recent,
                                     .recent_count = 1,
                                     .rows = rows,
                                     .arg = &r};
    for (int i = 0; i < 2000; i++) {
        if (dt_shortlist_passes(&r.list))
            continue;
        tried++;
        assert_int_equal(dt_shortlist_make(&r.list, &r.stack, &q, &c), false);
    }
    assert_in_range(tried, 5, 20);
    tear_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(frequent_first),
        cmocka_unit_test(pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
