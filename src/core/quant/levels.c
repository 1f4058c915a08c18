// SPDX-License-Identifier: MIT
#include "core/quant/levels.h"

#include <math.h>
#include <string.h>

#include "core/quant/forms.h"

#define RUN DT_LEVELS_RUN

bool dt_levels_has(uint32_t form)
{
    return form == DT_FORM_Q4_0 || form == DT_FORM_Q4_1 || form == DT_FORM_Q4_K ||
           form == DT_FORM_Q5_0 || form == DT_FORM_Q5_1;
}

static bool is_centred(uint32_t form)
{
    return form == DT_FORM_Q4_0 || form == DT_FORM_Q5_0;
}

static int count_of(uint32_t form)
{
    return form == DT_FORM_Q5_0 || form == DT_FORM_Q5_1 ? 32 : 16;
}

int dt_levels_first(uint32_t form)
{
    return is_centred(form) ? -count_of(form) / 2 : 0;
}

void dt_levels_run(uint32_t form, const struct dt_levels *levels, uint32_t run, double *scale,
                   double *low)
{
    if (form == DT_FORM_Q4_K) {
        *scale = (double)(levels->d * (float)levels->scale6[run]);
        *low = -(double)(levels->minimum * (float)levels->minimum6[run]);
    } else {
        *scale = (double)levels->d;
        *low = (double)levels->minimum; // 0 for centred levels
    }
}

// Rounds to nearest, ties to even, as rint does, without a call; |x| is below 2^51.
static inline double round_even(double x)
{
    return (x + 0x1.8p52) - 0x1.8p52;
}

static inline double clamp(double x, double low, double high)
{
    return !(x > low) ? low : x > high ? high : x;
}

double dt_levels_nearest(uint32_t form, double scale, double low, double x)
{
    double first = dt_levels_first(form), last = first + count_of(form) - 1;
    return scale == 0 ? 0 : round_even(clamp((x - low) / scale, first, last));
}

// The nearest finite f16.
static double half_of(double x)
{
    double largest = 65504;
    return (double)dt_half_to_float(dt_float_to_half((float)clamp(x, -largest, largest)));
}

// ---- one run of 32 values ----

// A search for the scale and low of a run, and the best found.
struct search {
    uint32_t form;
    const double *x, *weight;
    double error, scale, low;
};

// Sums over a run with its nearest levels: of weight * level^2, ...
struct sums {
    double error, w, l, ll, x, lx;
};

// False, and the sums incomplete, once the error exceeds `most`.
static bool add_up(const struct search *s, double scale, double low, double most, struct sums *out)
{
    double first = dt_levels_first(s->form), last = first + count_of(s->form) - 1;
    double inverse = scale != 0 ? 1 / scale : 0;
    struct sums t = {0};
    for (uint32_t i = 0; i < RUN; i++) {
        double w = s->weight[i], x = s->x[i];
        double level = round_even(clamp((x - low) * inverse, first, last));
        double off = level * scale + low - x, wl = w * level;
        t.error += w * off * off;
        t.w += w;
        t.l += wl;
        t.ll += wl * level;
        t.x += w * x;
        t.lx += wl * x;
        if (i % 8 == 7 && t.error > most)
            return false;
    }
    *out = t;
    return true;
}

// Tries a scale and low, then those that fit its levels best by least squares, and so on.
static void descend(struct search *s, double scale, double low, int steps)
{
    bool stored = s->form != DT_FORM_Q4_K; // as f16; Q4_K rounds later
    for (int i = 0; i <= steps; i++) {
        struct sums t;
        if (stored) {
            scale = half_of(scale);
            low = half_of(low);
        }
        double most = i == steps ? s->error : 4 * s->error; // a step may improve that much
        if (scale == 0 || !add_up(s, scale, low, most, &t))
            return;
        if (t.error < s->error) {
            s->error = t.error;
            s->scale = scale;
            s->low = low;
        }
        double determinant = t.w * t.ll - t.l * t.l;
        if (is_centred(s->form) || !(determinant > 1e-9 * t.w * t.ll)) {
            if (!(t.ll > 0) || !is_centred(s->form))
                return;
            scale = t.lx / t.ll;
            continue;
        }
        scale = (t.w * t.lx - t.l * t.x) / determinant;
        low = (t.ll * t.x - t.l * t.lx) / determinant;
        if (s->form == DT_FORM_Q4_K && low > 0) {
            low = 0;
            scale = t.lx / t.ll;
        }
        if (s->form == DT_FORM_Q4_K && !(scale > 0))
            return;
    }
}

// The value of largest magnitude becomes each of the levels, and levels in between.
static void search_centred(struct search *s)
{
    double extreme = 0;
    for (uint32_t i = 0; i < RUN; i++)
        if (fabs(s->x[i]) > fabs(extreme))
            extreme = s->x[i];
    s->scale = s->low = 0;
    s->error = 0;
    for (uint32_t i = 0; i < RUN; i++)
        s->error += s->weight[i] * s->x[i] * s->x[i];
    if (extreme == 0)
        return;
    int middle = -dt_levels_first(s->form);
    for (int level = middle; level > 0; level--) {
        descend(s, extreme / -level, 0, 2);
        if (level < middle)
            descend(s, extreme / level, 0, 2);
    }
    for (int i = 0; i < 24; i++) {
        double level = (0.7 + i * 0.025) * middle;
        descend(s, extreme / -level, 0, 2);
        descend(s, extreme / level, 0, 2);
    }
}

// The least and the largest value become each pair of levels. Pairs that leave most levels unused
// are tried for blocks that need no more levels, so they are not improved.
static void search_from_low(struct search *s)
{
    double least = s->x[0], largest = s->x[0], total = 0, mean = 0;
    bool k = s->form == DT_FORM_Q4_K;
    for (uint32_t i = 0; i < RUN; i++) {
        least = s->x[i] < least ? s->x[i] : least;
        largest = s->x[i] > largest ? s->x[i] : largest;
        total += s->weight[i];
        mean += s->weight[i] * s->x[i];
    }
    mean = total > 0 ? mean / total : (least + largest) / 2;
    if (k && least > 0)
        least = 0;
    // without a scale, all values are the low
    s->scale = 0;
    s->low = k ? (mean < 0 ? mean : 0) : half_of(mean);
    s->error = 0;
    for (uint32_t i = 0; i < RUN; i++)
        s->error += s->weight[i] * (s->x[i] - s->low) * (s->x[i] - s->low);
    if (!(largest > least))
        return;
    int last = count_of(s->form) - 1;
    for (int a = 0; a < last; a++) {
        for (int b = last; b > a; b--) {
            double scale = (largest - least) / (b - a), low = least - a * scale;
            bool wide = a <= 3 && b >= last - 3;
            if (k && (!wide || low > 0))
                continue;
            descend(s, scale, low, wide ? 2 : 0);
            if (!k) // levels that fall: no better, but a block may have them
                descend(s, -scale, largest + a * scale, 0);
        }
    }
    // beyond the extremes, at which large values are cut
    for (int i = 1; i <= 6; i++) {
        double scale = (largest - least) * (1 - 0.06 * i) / last;
        descend(s, scale, least, 2);
        descend(s, scale, largest - last * scale, 2);
        descend(s, scale, (largest + least - last * scale) / 2, 2);
    }
}

// ---- blocks ----

static double error_of(const struct search *s, double scale, double low)
{
    struct sums t;
    return add_up(s, scale, low, INFINITY, &t) ? t.error : INFINITY;
}

static unsigned char six_bits(double x)
{
    return (unsigned char)round_even(clamp(x, 0, 63));
}

// The neighbours of 6-bit numbers with the least error of the run.
static void settle_run(const struct search *s, struct dt_levels *levels, uint32_t run)
{
    struct dt_levels tried = *levels;
    unsigned char a = levels->scale6[run], b = levels->minimum6[run];
    double best = INFINITY;
    for (int i = -1; i <= 1; i++) {
        for (int j = -1; j <= 1; j++) {
            double scale, low;
            if (a + i < 0 || a + i > 63 || b + j < 0 || b + j > 63)
                continue;
            tried.scale6[run] = (unsigned char)(a + i);
            tried.minimum6[run] = (unsigned char)(b + j);
            dt_levels_run(DT_FORM_Q4_K, &tried, run, &scale, &low);
            double error = error_of(s, scale, low);
            if (error < best) {
                best = error;
                levels->scale6[run] = tried.scale6[run];
                levels->minimum6[run] = tried.minimum6[run];
            }
        }
    }
}

// Rounds the scales and minima of eight runs to multiples of f16 numbers.
static void store_k(const double *scale, const double *minimum, struct dt_levels *out)
{
    double most_scale = 0, most_minimum = 0;
    for (int run = 0; run < 8; run++) {
        most_scale = scale[run] > most_scale ? scale[run] : most_scale;
        most_minimum = minimum[run] > most_minimum ? minimum[run] : most_minimum;
    }
    double d = half_of(most_scale / 63), m = half_of(most_minimum / 63);
    out->d = (float)d;
    out->minimum = (float)m;
    for (int run = 0; run < 8; run++) {
        out->scale6[run] = d != 0 ? six_bits(scale[run] / d) : 0;
        out->minimum6[run] = m != 0 ? six_bits(minimum[run] / m) : 0;
    }
}

void dt_levels_fit(uint32_t form, const double *x, const double *weight, struct dt_levels *out)
{
    struct search s = {.form = form, .x = x, .weight = weight};
    memset(out, 0, sizeof *out);
    if (form != DT_FORM_Q4_K) {
        if (is_centred(form))
            search_centred(&s);
        else
            search_from_low(&s);
        out->d = (float)s.scale;
        out->minimum = (float)s.low;
        return;
    }
    double scale[8], minimum[8];
    for (uint32_t run = 0; run < 8; run++, s.x += RUN, s.weight += RUN) {
        search_from_low(&s);
        scale[run] = s.scale;
        minimum[run] = -s.low;
    }
    store_k(scale, minimum, out);
    s.x = x;
    s.weight = weight;
    for (uint32_t run = 0; run < 8; run++, s.x += RUN, s.weight += RUN)
        settle_run(&s, out, run);
}

void dt_levels_plain_k(const float *x, struct dt_levels *out)
{
    double scale[8], minimum[8];
    for (uint32_t run = 0; run < 8; run++, x += RUN) {
        float least = x[0] < 0 ? x[0] : 0, largest = x[0];
        for (uint32_t i = 1; i < RUN; i++) {
            least = x[i] < least ? x[i] : least;
            largest = x[i] > largest ? x[i] : largest;
        }
        scale[run] = ((double)largest - (double)least) / 15;
        minimum[run] = -(double)least;
    }
    store_k(scale, minimum, out);
}

static void put_half(unsigned char *at, float value)
{
    uint16_t half = dt_float_to_half(value);
    memcpy(at, &half, sizeof half);
}

static void encode_k(const struct dt_levels *levels, const double *level, unsigned char *block)
{
    unsigned char *six = block + 4, *nibbles = block + 16;
    put_half(block + 2, levels->minimum);
    memset(six, 0, 12);
    for (int run = 0; run < 8; run++) {
        unsigned scale = levels->scale6[run], minimum = levels->minimum6[run];
        if (run < 4) {
            six[run] = (unsigned char)(six[run] | scale);
            six[run + 4] = (unsigned char)(six[run + 4] | minimum);
        } else {
            six[run + 4] = (unsigned char)((scale & 15) | (minimum & 15) << 4);
            six[run - 4] = (unsigned char)(six[run - 4] | scale >> 4 << 6);
            six[run] = (unsigned char)(six[run] | minimum >> 4 << 6);
        }
    }
    for (uint32_t pair = 0; pair < 4; pair++)
        for (uint32_t i = 0; i < RUN; i++)
            nibbles[pair * RUN + i] =
                (unsigned char)((unsigned)level[pair * 2 * RUN + i] |
                                (unsigned)level[(pair * 2 + 1) * RUN + i] << 4);
}

void dt_levels_encode(uint32_t form, const struct dt_levels *levels, const double *level,
                      unsigned char *block)
{
    put_half(block, levels->d);
    if (form == DT_FORM_Q4_K) {
        encode_k(levels, level, block);
        return;
    }
    int first = dt_levels_first(form);
    unsigned char *rest = block + 2;
    uint32_t fifth = 0;
    if (!is_centred(form)) {
        put_half(rest, levels->minimum);
        rest += 2;
    }
    unsigned char *nibbles = count_of(form) == 32 ? rest + 4 : rest;
    for (int i = 0; i < 16; i++) {
        unsigned a = (unsigned)((int)level[i] - first), b = (unsigned)((int)level[i + 16] - first);
        nibbles[i] = (unsigned char)((a & 15) | (b & 15) << 4);
        fifth |= a >> 4 << i | b >> 4 << (i + 16);
    }
    if (nibbles != rest)
        memcpy(rest, &fifth, sizeof fifth);
}
