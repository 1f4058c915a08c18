// SPDX-License-Identifier: MIT
// llama2.c's top-p: p = softmax(logits / temperature), sorted. The nucleus is the shortest prefix
// whose sum exceeds top_p. The token is the first of it where the running sum exceeds coin * (the
// sum of the nucleus). All sums are floats, in that order.
//
// Here only "near" logits, with a probability of at least 2^-13 of the largest, get their
// exponential e and are sorted. The rest, the tail, is summed with straight lines between the
// powers of two, which are at most 6.15 % above 2^y. So the sum S of all e is in a known interval.
// With E(i) the sum of the i + 1 largest e:
//   - the nucleus ends at the first i with E(i) > top_p * S, which lies between the results for the
//     two ends of the interval;
//   - the token is the first i with E(i) > coin * E(end), where S cancels.
// top_k and min_p end the nucleus earlier: after top_k tokens, and before the first e below min_p
// (the largest e is 1). If both ends give the same token, and rounding cannot change any
// comparison, the token is llama2.c's. u = 2^-24 is the rounding error of one operation. Sums here
// are doubles, whose own rounding is negligible.
#include "core/sampling/sampler_quick.h"

#include <string.h>

#include "base/expf.h"

#define U         0x1p-24
#define NEAR      13.0f       // powers of two below the largest, about e^-DT_SAMPLER_QUICK_MARGIN
#define TAIL_MOST 0x1.02p-13f // more than any e of the tail: 2^-NEAR and rounding
#define LOG2E     1.44269504f
#define BLOCK     16

// Floats that are summed side by side. Compilers make many instructions of vectors that a CPU does
// not have.
#if defined(__SSE2__) || defined(__ARM_NEON)
#define LANES 16
typedef float lanes __attribute__((vector_size(16)));
typedef int32_t masks __attribute__((vector_size(16)));
#else
#define LANES 4
#endif

// ---- the heap ----

static void sift(uint64_t *keys, uint32_t n, uint32_t at)
{
    uint64_t key = keys[at];
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && keys[child + 1] > keys[child])
            child++;
        if (keys[child] <= key)
            break;
        keys[at] = keys[child];
    }
    keys[at] = key;
}

void dt_sampler_heap_make(uint64_t *keys, uint32_t n)
{
    for (uint32_t at = n / 2; at-- > 0;)
        sift(keys, n, at);
}

void dt_sampler_heap_pop(uint64_t *keys, uint32_t left)
{
    uint64_t largest = keys[0];
    keys[0] = keys[left - 1];
    sift(keys, left - 1, 0);
    keys[left - 1] = largest;
}

// ---- the pass over all logits ----

struct split {
    uint32_t near_count; // keys filled
    double near_sum;     // of their exponentials
    double tail_low, tail_high;
};

// (logit - largest) * scale + offset are the bits of a float on the straight line.
struct line {
    float largest, scale, offset, edge;
};

#if LANES == 16

struct sums {
    lanes of[4];
};

// The bits of the floats on the line; 0 where they underflow or x is not below the edge.
static masks below_edge(const float *x, const struct line *line, masks *below)
{
    lanes v;
    memcpy(&v, x, sizeof v);
    *below = v < line->edge;
    lanes z = (v - line->largest) * line->scale + line->offset;
    z = (lanes)((masks)z & (masks)(z > 0.0f));
    return __builtin_convertvector(z, masks) & *below;
}

// Adds those below the edge; true if all are.
static inline bool add_block(struct sums *sums, const float *x, const struct line *line)
{
    masks below[4];
    for (int j = 0; j < 4; j++)
        sums->of[j] += (lanes)below_edge(x + 4 * j, line, &below[j]);
    masks all = below[0] & below[1] & below[2] & below[3];
    uint64_t halves[2];
    memcpy(halves, &all, sizeof halves);
    return (halves[0] & halves[1]) == UINT64_MAX;
}

#define ELEMENT(of, j) of[(j) / 4][(j) % 4]

#else

struct sums {
    float of[LANES];
};

static inline float below_edge(float x, const struct line *line, bool *all)
{
    if (!(x < line->edge)) {
        *all = false;
        return 0.0f;
    }
    float z = (x - line->largest) * line->scale + line->offset;
    return z > 0.0f ? dt_float_of((uint32_t)(int32_t)z) : 0.0f;
}

static inline bool add_block(struct sums *sums, const float *x, const struct line *line)
{
    bool all = true;
    for (int j = 0; j < BLOCK; j += LANES, x += LANES) {
        sums->of[0] += below_edge(x[0], line, &all);
        sums->of[1] += below_edge(x[1], line, &all);
        sums->of[2] += below_edge(x[2], line, &all);
        sums->of[3] += below_edge(x[3], line, &all);
    }
    return all;
}

#define ELEMENT(of, j) of[j]

#endif

// The next BLOCK logits, at the end padded in `padding` with values that add nothing.
static const float *block_at(const float *logits, uint32_t n, uint32_t i, float *padding)
{
    if (n - i >= BLOCK)
        return logits + i;
    for (uint32_t j = 0; j < BLOCK; j++)
        padding[j] = i + j < n ? logits[i + j] : -__builtin_inff();
    return padding;
}

static double sum_of(const struct sums *sums)
{
    double sum = 0;
    for (int j = 0; j < LANES; j++)
        sum += (double)ELEMENT(sums->of, j);
    return sum;
}

// The relative error of a tail sum besides the approximation of 2^y: the additions in each lane;
// the arguments, here (their bits are those of a float near 2^30) and in llama2.c (logit /
// temperature is rounded before the largest is subtracted).
static double tail_slack(const struct line *line, uint32_t n, float temperature)
{
    return (n / LANES + 4 * ((double)__builtin_fabsf(line->largest / temperature) + 128)) * U +
           0x1p-15;
}

// Returns 0 if there are NaNs or too many near logits.
static int split_logits(const struct dt_sampler_view *view, float temperature,
                        const struct line *line, uint64_t *keys, struct split *out)
{
    struct sums sums = {0};
    float top = line->largest / temperature;
    uint32_t n = view->count, most = view->vocab / 2;
    for (uint32_t i = 0; i < n; i += BLOCK) {
        float padding[BLOCK];
        const float *x = block_at(view->logits, n, i, padding);
        if (add_block(&sums, x, line))
            continue;
        for (uint32_t j = 0; j < BLOCK; j++) {
            if (x[j] < line->edge)
                continue;
            if (x[j] != x[j] || out->near_count == most)
                return 0;
            float e = dt_expf(x[j] / temperature - top);
            keys[out->near_count++] = dt_sampler_key(e, view->index ? view->index[i + j] : i + j);
            out->near_sum += (double)e;
        }
    }
    double slack = tail_slack(line, n, temperature), sum = sum_of(&sums);
    out->tail_low = sum / 1.0615 * (1 - slack);
    out->tail_high = sum * (1 + slack) + view->outside;
    return 1;
}

// ---- the decision ----

// The near logits by size, sorted on demand: the i-th is keys[count - 1 - i], i < ordered.
struct order {
    uint64_t *keys;
    uint32_t count, ordered;
};

// Returns 1 and the i-th largest e, or 0 if there are no more. i is at most one more than in
// earlier calls.
static int nth(struct order *order, uint32_t i, float *e)
{
    if (i >= order->count)
        return 0;
    if (i == order->ordered)
        dt_sampler_heap_pop(order->keys, order->count - order->ordered++);
    *e = dt_sampler_key_value(order->keys[order->count - 1 - i]);
    return 1;
}

// Whether division by S may make two unequal values equal, so that their indices decide.
static int too_close(float a, float b)
{
    return a != b && __builtin_fabsf(a - b) < 0x1p-20f * a;
}

// Whether the rank of the i-th token is certain.
static int place_is_certain(struct order *order, uint32_t i)
{
    float e = 0, other = 0; // initialised for gcc 14, which warns otherwise
    nth(order, i, &e);
    for (uint32_t j = i; j > 0; j--) {
        nth(order, j - 1, &other);
        if (other != e) {
            if (too_close(other, e))
                return 0;
            break;
        }
    }
    for (uint32_t j = i + 1;; j++) {
        if (!nth(order, j, &other))
            return e > TAIL_MOST; // the next one is in the tail
        if (other != e)
            return !too_close(e, other);
    }
}

// Whether top_k and min_p keep the i-th largest token: 1 and its e, 0, or -1 if rounding decides. i
// is at most one more than in earlier calls.
static int is_left(const struct dt_sampling *settings, struct order *order, uint32_t i, float *e)
{
    double least = (double)settings->min_p;
    if (settings->top_k > 0 && i >= settings->top_k)
        return 0;
    if (!nth(order, i, e)) // in the tail
        return least * (1 - 8 * U) > TAIL_MOST ? 0 : -1;
    if ((double)*e < least * (1 - 8 * U))
        return 0;
    return least > 0 && (double)*e <= least * (1 + 8 * U) ? -1 : 1;
}

static uint32_t decide(const struct dt_sampling *settings, uint32_t n, float coin,
                       const struct split *split, struct order *order)
{
    float top_p = dt_sampling_has_top_p(settings) ? settings->top_p : 2.0f; // more than any sum
    // llama2.c's float sum S of all e, in the order of their index. The error of an addition is at
    // most u times the sum, and at most the summand.
    double near_count = split->near_count, most = split->near_sum + split->tail_high;
    double tail_error = (n - near_count) * U * most;
    double error =
        near_count * U * most + (tail_error < split->tail_high ? tail_error : split->tail_high);
    double sum_low = split->near_sum + split->tail_low - 1.01 * error;
    double sum_high = most + 1.01 * error;
    // For the running float sums of e / S, and for nearly equal values in another order
    // (too_close).
    double epsilon = (near_count + 8) * U + 0x1p-19;

    // The first and last possible end of the nucleus, and the sums up to them.
    double running = 0, low_sum = 0;
    uint32_t low_end = 0;
    float e = 0, next;
    for (uint32_t i = 0;; i++) {
        int left = is_left(settings, order, i, &next);
        if (left < 0 || (!left && i == 0))
            return DT_SAMPLER_UNSURE;
        if (!left) {
            low_end = low_sum == 0 ? i - 1 : low_end;
            low_sum = low_sum == 0 ? running : low_sum;
            break;
        }
        e = next;
        running += (double)e;
        if (low_sum == 0 && running * (1 + epsilon) > (double)top_p * sum_low) {
            low_sum = running;
            low_end = i;
        }
        if (running * (1 - epsilon) > (double)top_p * sum_high)
            break;
    }
    // llama2.c drops tokens below this before it sorts; the nucleus must be clearly above it.
    float cutoff = (1.0f - top_p) / (float)(n - 1);
    if (!((double)e * (1 - 4 * U) > (double)cutoff * sum_high))
        return DT_SAMPLER_UNSURE;

    // The least and the largest sum that the draw may correspond to.
    double first = (double)coin * low_sum * (1 - 2 * epsilon),
           last = (double)coin * running * (1 + 2 * epsilon);
    running = 0;
    for (uint32_t i = 0; i <= low_end; i++) {
        nth(order, i, &e);
        running += (double)e;
        if (running * (1 + epsilon) <= first)
            continue;
        if (running * (1 - epsilon) <= last || !place_is_certain(order, i))
            return DT_SAMPLER_UNSURE;
        return dt_sampler_key_index(order->keys[order->count - 1 - i]);
    }
    return DT_SAMPLER_UNSURE;
}

uint32_t dt_sampler_quick(const struct dt_sampler_view *view, float largest,
                          const struct dt_sampling *settings, float coin, uint64_t *keys)
{
    float temperature = settings->temperature;
    // The division rounds larger ones too coarsely.
    if (!(__builtin_fabsf(largest / temperature) < 4096.0f))
        return DT_SAMPLER_UNSURE;
    struct line line = {
        .largest = largest,
        .scale = LOG2E / temperature * 0x1p23f,
        .offset = 127 * 0x1p23f,
        .edge = largest - NEAR / LOG2E * temperature,
    };
    struct split split = {0};
    if (!(line.scale < 0x1p60f) || !split_logits(view, temperature, &line, keys, &split))
        return DT_SAMPLER_UNSURE;

    struct order order = {keys, split.near_count, 0};
    dt_sampler_heap_make(keys, split.near_count);
    return decide(settings, view->vocab, coin, &split, &order);
}
