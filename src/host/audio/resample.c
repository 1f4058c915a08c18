// SPDX-License-Identifier: MIT
// Sampling-rate conversion by a windowed sinc (J. O. Smith, "Digital Audio Resampling", 2002): the
// filter's impulse response is evaluated at the distances between the time of an output sample and
// the input samples around it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/audio/wav.h"

enum {
    ZEROS = 12,   // zero crossings of the sinc on each side
    BLOCK = 4096, // inputs processed at a time
    STEPS = 64,   // table entries between two zero crossings, linearly interpolated
};

struct dt_resampler {
    uint32_t from, to;
    uint32_t taps; // inputs on each side of an output
    double scale;  // cut-off frequency as a fraction of the input's Nyquist frequency, <= 1
    float table[ZEROS * STEPS + 2];
    int16_t *window; // inputs [first, first + count), first + count == inputs
    size_t count;
    int64_t first;
    int64_t inputs;  // total so far
    int64_t outputs; // total so far
};

dt_status dt_resampler_new(struct dt_resampler **out, uint32_t from, uint32_t to,
                           struct dt_error *err)
{
    const double pi = 3.14159265358979323846;
    struct dt_resampler *r = calloc(1, sizeof *r);
    *out = r;
    if (!r)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the resampler");
    r->from = from;
    r->to = to;
    r->scale = to < from ? (double)to / from * 0.95 : 1.0; // 5 % for the filter's slope
    r->taps = (uint32_t)ceil(ZEROS / r->scale);
    r->window = malloc((2 * (size_t)r->taps + from / to + 2 + BLOCK) * sizeof *r->window);
    if (!r->window) {
        free(r);
        *out = NULL;
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the resampler");
    }
    for (int i = 0; i <= ZEROS * STEPS; i++) {
        double x = (double)i / STEPS;
        double window = 0.5 + 0.5 * cos(pi * x / ZEROS); // Hann
        r->table[i] = (float)(i ? sin(pi * x) / (pi * x) * window : 1.0);
    }
    return DT_OK;
}

void dt_resampler_free(struct dt_resampler *r)
{
    if (r)
        free(r->window);
    free(r);
}

size_t dt_resampler_capacity(const struct dt_resampler *r, size_t n)
{
    return (size_t)((uint64_t)(n + 2 * r->taps + 2) * r->to / r->from) + 2;
}

static int16_t output_at(const struct dt_resampler *r, int64_t whole, double fraction)
{
    double sum = 0, weight = 0;
    for (int64_t i = whole - r->taps + 1; i <= whole + r->taps; i++) {
        double x = fabs((double)(i - whole) - fraction) * r->scale * STEPS;
        if (x >= ZEROS * STEPS)
            continue;
        size_t step = (size_t)x;
        double part = x - (double)step;
        double h = r->table[step] * (1 - part) + r->table[step + 1] * part;
        weight += h; // dividing by it keeps a constant signal constant
        if (i >= r->first && i < r->first + (int64_t)r->count)
            sum += h * r->window[i - r->first];
    }
    double y = weight > 0 ? sum / weight : 0;
    y = y > 32767 ? 32767 : y < -32768 ? -32768 : y;
    return (int16_t)lrint(y);
}

// Appends at most BLOCK samples to the window and drops those that no later output depends on.
static void append(struct dt_resampler *r, const int16_t *samples, size_t n)
{
    int64_t oldest = r->outputs * r->from / r->to - r->taps;
    if (oldest > r->first) {
        size_t gone =
            (size_t)(oldest - r->first) < r->count ? (size_t)(oldest - r->first) : r->count;
        memmove(r->window, r->window + gone, (r->count - gone) * sizeof *r->window);
        r->count -= gone;
        r->first += (int64_t)gone;
    }
    if (n > 0)
        memcpy(r->window + r->count, samples, n * sizeof *samples);
    r->count += n;
    r->inputs += (int64_t)n;
}

size_t dt_resampler_push(struct dt_resampler *r, const int16_t *samples, size_t n, bool end,
                         int16_t *out)
{
    size_t made = 0;
    for (size_t done = 0; done < n || end;) {
        size_t part = n - done < BLOCK ? n - done : BLOCK;
        append(r, part ? samples + done : NULL, part);
        done += part;
        bool last = end && done == n;
        int64_t total = (int64_t)(((uint64_t)r->inputs * r->to + r->from / 2) / r->from);
        for (;;) {
            int64_t whole = r->outputs * r->from / r->to;
            if (last ? r->outputs >= total : whole + r->taps >= r->inputs)
                break;
            double fraction = (double)(r->outputs * r->from % r->to) / r->to;
            out[made++] = output_at(r, whole, fraction);
            r->outputs++;
        }
        if (last) {
            r->count = 0;
            r->first = r->inputs = r->outputs = 0;
            break;
        }
    }
    return made;
}
