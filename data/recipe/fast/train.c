// SPDX-License-Identifier: MIT
//
// Loss and gradients of a LLaMA-family model on the CPU, for train.py (through ctypes). The
// optimiser is in Python; this part takes most of the time. Formulas: RMSNorm (Zhang and
// Sennrich 2019), rotary embedding on adjacent pairs (Su et al. 2021), SwiGLU (Shazeer 2020),
// the backward passes derived by hand and checked against finite differences and PyTorch by
// tests/recipe.
//
// A batch is a list of documents ("segments") one after another, each padded to a multiple of 32
// positions. Each has its own positions 0, 1, 2...; attention does not cross segments. Threads
// fetch groups of segments ("chunks") from a shared counter. Each thread has its own gradients,
// which are summed at the end.
//
// Parameters, in one float array: embedding[V][D] (also the classifier), then for each layer
// norm1[D] wqkv[3D][D] wo[D][D] norm2[D] w13[2H][D] w2[D][H], then norm[D].
#include "gemm.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_THREADS 64
#define EPS         1e-5f
#define HUGE_PAGE   ((size_t)2 << 20)

struct weight { // one matrix, packed for the forward and for the backward product
    act *fwd, *bwd;
    size_t at; // offset in the parameters
    int out, in;
};

struct layer {
    size_t n1, n2;
    struct weight qkv, o, w13, w2;
};

struct saved { // what the backward pass needs from the forward pass: one layer, one chunk
    float *x0, *r0, *x1, *r1, *lse;
    act *h0, *qkv, *att, *h1, *gu, *a;
};

struct worker {
    struct trainer *t;
    pthread_t thread;
    struct saved *s;
    float *grad, *x, *dx, *f, *f2, *score, *dscore, *dk, *dv, *row, *rn;
    act *b, *b2, *pack, *turn, *kp, *kr, *vp, *vc, *pb, *sb, *tb, *qp, *xl, *hl, *dlog;
    double loss;
};

struct batch {
    const float *param;
    const int32_t *token, *target, *start; // start[segments + 1], multiples of 32
    const float *weight;                   // of the loss of each position
    const int32_t *soft_id;                // [positions][soft], or NULL
    const float *soft_p;
    float *token_loss; // or NULL
    int segments, soft, chunks, backward;
    float alpha, drop, scale;
    uint32_t seed;
    int *chunk; // first segment of each chunk; chunks + 1 entries
    atomic_int next;
};

struct trainer {
    int D, L, H, nh, hs, V, T, threads, cap;
    size_t params, emb, norm;
    struct layer *layer;
    struct weight cls;
    act *copy; // the rounded parameters
    float *cosv, *sinv;
    struct worker w[MAX_THREADS];
    struct batch b;
};

// Zeroed memory with space after its end. Large blocks use huge pages, because tiles are read by
// rows that are pages apart.
static void *grab(size_t n)
{
    size_t align = n >= HUGE_PAGE / 2 ? HUGE_PAGE : 64,
           size = (n + 4096 + align - 1) / align * align;
    void *p = aligned_alloc(align, size);
    if (!p)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE)
        madvise(p, size, MADV_HUGEPAGE); // only a hint: failure is harmless
#endif
    memset(p, 0, size);
    return p;
}

#define GRAB(p, n) ((p) = grab((size_t)(n) * sizeof *(p)), (p) != NULL)

// e^x within 2e-7 relative for x in [-87, 88]; Cephes' polynomial on the reduced argument
static inline float fast_exp(float x)
{
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float n = rintf(x * 1.44269504f);
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    union {
        int32_t i;
        float f;
    } s = {.i = ((int32_t)n + 127) << 23};
    return p * s.f;
}

// Multiplies each of n numbers by 0 with probability drop, else by 1 / (1 - drop). The choice
// depends only on seed, place and index, so that the backward pass repeats it.
static void dropout(const struct batch *b, uint32_t place, uint32_t first, float *x, size_t n)
{
    if (b->drop <= 0)
        return;
    uint32_t limit = (uint32_t)((double)b->drop * 4294967295.0);
    uint32_t key = (b->seed * 0x9E3779B1u) ^ (place * 0x85EBCA77u);
    float keep = 1.0f / (1.0f - b->drop);
    for (size_t i = 0; i < n; i++) {
        uint32_t h = (first + (uint32_t)i) * 0x9E3779B1u + key;
        h = (h ^ (h >> 16)) * 0x7FEB352Du;
        h = (h ^ (h >> 15)) * 0x846CA68Bu;
        h ^= h >> 16;
        x[i] = h < limit ? 0 : x[i] * keep;
    }
}

static void norm_forward(const float *x, const float *g, float *r, float *tmp, act *y, int n, int D)
{
    for (int t = 0; t < n; t++, x += D, y += D) {
        float s = 0;
        for (int i = 0; i < D; i++)
            s += x[i] * x[i];
        r[t] = s = 1.0f / sqrtf(s / (float)D + EPS);
        for (int i = 0; i < D; i++)
            tmp[i] = x[i] * s * g[i];
        act_store(y, tmp, (size_t)D);
    }
}

// dx += the gradient of x for the gradient dy of the norm's result; dg += the gradient of its gain.
static void norm_backward(const float *x, const float *g, const float *r, const float *dy,
                          float *dx, float *dg, int n, int D)
{
    for (int t = 0; t < n; t++, x += D, dy += D, dx += D) {
        float s = 0, q = r[t];
        for (int i = 0; i < D; i++)
            s += dy[i] * g[i] * x[i];
        s *= q * q * q / (float)D;
        for (int i = 0; i < D; i++) {
            dx[i] += dy[i] * g[i] * q - x[i] * s;
            dg[i] += dy[i] * x[i] * q;
        }
    }
}

// Rotates each adjacent pair of the first n numbers of each row by the angles of its position. The
// first row has position first.
static void rope(const struct trainer *t, float *x, int first, int rows, int n, int ld, float sign)
{
    for (int p = first; p < first + rows; p++, x += ld) {
        const float *c = t->cosv + (size_t)p * t->hs / 2, *s = t->sinv + (size_t)p * t->hs / 2;
        for (int h = 0; h < n; h += t->hs)
            for (int i = 0; i < t->hs / 2; i++) {
                float a = x[h + 2 * i], b = x[h + 2 * i + 1], k = s[i] * sign;
                x[h + 2 * i] = a * c[i] - b * k;
                x[h + 2 * i + 1] = a * k + b * c[i];
            }
    }
}

static void attend(struct worker *w, const struct saved *s, int first, int T, int n)
{
    struct trainer *t = w->t;
    int D = t->D, hs = t->hs, ld = 3 * D;
    float scale = 1.0f / sqrtf((float)hs);
    for (int h = 0; h < t->nh; h++) {
        const act *q = s->qkv + (size_t)first * ld + h * hs;
        pack_cols(w->kp, q + D, hs, T, ld);
        pack_rows(w->vp, q + 2 * D, T, hs, ld);
        for (int r = 0; r < T; r += BLOCK) {
            int C = r + BLOCK;
            gemm(BLOCK, C, hs, q + (size_t)r * ld, ld, w->kp, hs, w->score, t->T, 0);
            float inv[BLOCK];
            for (int i = 0; i < BLOCK; i++) {
                float *x = w->score + (size_t)i * t->T, max = -1e30f, sum = 0;
                for (int j = r + i + 1; j < C; j++)
                    x[j] = -1e30f;
                for (int j = 0; j < C; j++)
                    max = x[j] > max ? x[j] : max;
                for (int j = 0; j < C; j++)
                    sum += x[j] = fast_exp((x[j] - max) * scale);
                for (int j = r + i + 1; j < C; j++)
                    x[j] = 0;
                inv[i] = 1.0f / sum;
                s->lse[(size_t)h * n + first + r + i] = max * scale + logf(sum);
                act_store(w->pb + (size_t)i * t->T, x, (size_t)C);
            }
            gemm(BLOCK, hs, C, w->pb, t->T, w->vp, T, w->dk, hs, 0);
            for (int i = 0; i < BLOCK; i++) {
                for (int j = 0; j < hs; j++)
                    w->dk[i * hs + j] *= inv[i];
                act_store(s->att + (size_t)(first + r + i) * D + h * hs, w->dk + i * hs,
                          (size_t)hs);
            }
        }
    }
}

// Computes the gradient of q, k and v (dqkv) from that of the attention's output (dout, rounded).
static void attend_backward(struct worker *w, const struct saved *s, const act *dout, float *dqkv,
                            int first, int T, int n)
{
    struct trainer *t = w->t;
    int D = t->D, hs = t->hs, ld = 3 * D;
    float scale = 1.0f / sqrtf((float)hs);
    for (int h = 0; h < t->nh; h++) {
        const act *q = s->qkv + (size_t)first * ld + h * hs;
        const act *go = dout + (size_t)first * D + h * hs;
        const act *o = s->att + (size_t)first * D + h * hs;
        float *dq = dqkv + (size_t)first * ld + h * hs;
        pack_cols(w->kp, q + D, hs, T, ld);
        pack_rows(w->kr, q + D, T, hs, ld);
        pack_cols(w->vc, q + 2 * D, hs, T, ld);
        memset(w->dk, 0, sizeof(float) * (size_t)(T * hs));
        memset(w->dv, 0, sizeof(float) * (size_t)(T * hs));
        for (int r = 0; r < T; r += BLOCK) {
            int C = r + BLOCK;
            gemm(BLOCK, C, hs, q + (size_t)r * ld, ld, w->kp, hs, w->score, t->T, 0);
            gemm(BLOCK, C, hs, go + (size_t)r * D, D, w->vc, hs, w->dscore, t->T, 0);
            for (int i = 0; i < BLOCK; i++) {
                float *x = w->score + (size_t)i * t->T, *y = w->dscore + (size_t)i * t->T;
                float lse = s->lse[(size_t)h * n + first + r + i], d = 0;
                for (int j = 0; j < hs; j++)
                    d += act_get(go[(size_t)(r + i) * D + j]) * act_get(o[(size_t)(r + i) * D + j]);
                for (int j = 0; j < C; j++) {
                    x[j] = fast_exp(x[j] * scale - lse);
                    y[j] = x[j] * (y[j] - d) * scale;
                }
                for (int j = r + i + 1; j < C; j++)
                    x[j] = y[j] = 0;
                act_store(w->pb + (size_t)i * t->T, x, (size_t)C);
                act_store(w->sb + (size_t)i * t->T, y, (size_t)C);
            }
            gemm(BLOCK, hs, C, w->sb, t->T, w->kr, T, dq + (size_t)r * ld, ld, 0);
            pack_rows(w->qp, q + (size_t)r * ld, BLOCK, hs, ld);
            transpose(w->tb, BLOCK, w->sb, t->T, BLOCK, C);
            gemm(C, hs, BLOCK, w->tb, BLOCK, w->qp, BLOCK, w->dk, hs, 1);
            pack_rows(w->qp, go + (size_t)r * D, BLOCK, hs, D);
            transpose(w->tb, BLOCK, w->pb, t->T, BLOCK, C);
            gemm(C, hs, BLOCK, w->tb, BLOCK, w->qp, BLOCK, w->dv, hs, 1);
        }
        for (int i = 0; i < T; i++) {
            memcpy(dq + (size_t)i * ld + D, w->dk + i * hs, sizeof(float) * (size_t)hs);
            memcpy(dq + (size_t)i * ld + 2 * D, w->dv + i * hs, sizeof(float) * (size_t)hs);
        }
    }
}

// Gradient of W[out][in] += transposed dy[n][out] times x[n][in].
static void weight_grad(struct worker *w, const struct weight *m, const act *dy, int ldy,
                        const act *x, int n)
{
    int cap = w->t->cap + BLOCK;
    transpose(w->turn, cap, dy, ldy, n, m->out);
    pack_rows(w->pack, x, n, m->in, m->in);
    gemm(m->out, m->in, n, w->turn, cap, w->pack, n, w->grad + m->at, m->in, 1);
}

// Everything but attention runs in blocks of 32 rows, so that the floats between two products
// stay in the L1 cache.
static void forward(struct worker *w, int seg0, int seg1)
{
    struct trainer *t = w->t;
    const struct batch *b = &t->b;
    int D = t->D, H = t->H, first = b->start[seg0], n = b->start[seg1] - first;
    uint32_t base = (uint32_t)first * (uint32_t)D, step = (uint32_t)D;
    float *f = w->f2;
    for (int i = 0; i < n; i++)
        memcpy(w->x + (size_t)i * D, b->param + t->emb + (size_t)b->token[first + i] * D,
               sizeof(float) * (size_t)D);
    dropout(b, 0, base, w->x, (size_t)n * (size_t)D);
    for (int l = 0; l < t->L; l++) {
        struct saved *s = &w->s[l];
        const struct layer *y = &t->layer[l];
        memcpy(s->x0, w->x, sizeof(float) * (size_t)n * (size_t)D);
        for (int k = seg0; k < seg1; k++)
            for (int r = b->start[k] - first; r < b->start[k + 1] - first; r += BLOCK) {
                act *h = s->h0 + (size_t)r * D;
                norm_forward(w->x + (size_t)r * D, b->param + y->n1, s->r0 + r, w->row, h, BLOCK,
                             D);
                gemm(BLOCK, 3 * D, D, h, D, y->qkv.fwd, D, f, 3 * D, 0);
                rope(t, f, r - (b->start[k] - first), BLOCK, 2 * D, 3 * D, 1);
                act_store(s->qkv + (size_t)r * 3 * D, f, (size_t)BLOCK * 3 * (size_t)D);
            }
        for (int k = seg0; k < seg1; k++)
            attend(w, s, b->start[k] - first, b->start[k + 1] - b->start[k], n);
        for (int r = 0; r < n; r += BLOCK) {
            size_t at = (size_t)r * D, size = (size_t)BLOCK * D;
            float *x = w->x + at, *x1 = s->x1 + at;
            gemm(BLOCK, D, D, s->att + at, D, y->o.fwd, D, f, D, 0);
            dropout(b, (uint32_t)(2 * l + 1), base + (uint32_t)r * step, f, size);
            for (size_t i = 0; i < size; i++)
                x1[i] = x[i] += f[i];
            norm_forward(x, b->param + y->n2, s->r1 + r, w->row, s->h1 + at, BLOCK, D);
            gemm(BLOCK, 2 * H, D, s->h1 + at, D, y->w13.fwd, D, f, 2 * H, 0);
            act_store(s->gu + (size_t)r * 2 * H, f, (size_t)BLOCK * 2 * (size_t)H);
            for (int i = 0; i < BLOCK; i++) {
                float *g = f + (size_t)i * 2 * H, *u = g + H;
                for (int j = 0; j < H; j++)
                    g[j] = g[j] / (1.0f + fast_exp(-g[j])) * u[j];
                act_store(s->a + (size_t)(r + i) * H, g, (size_t)H);
            }
            gemm(BLOCK, D, H, s->a + (size_t)r * H, H, y->w2.fwd, H, f, D, 0);
            dropout(b, (uint32_t)(2 * l + 2), base + (uint32_t)r * step, f, size);
            for (size_t i = 0; i < size; i++)
                x[i] += f[i];
        }
    }
}

// The classifier, the loss and, for the backward pass, the gradient of the logits.
static void head(struct worker *w, int seg0, int seg1)
{
    struct trainer *t = w->t;
    const struct batch *b = &t->b;
    int D = t->D, V = t->V, first = b->start[seg0], n = b->start[seg1] - first;
    float *rows = w->f2;
    norm_forward(w->x, b->param + t->norm, w->rn, w->row, w->xl, n, D);
    for (int r = 0; r < n; r += BLOCK) {
        gemm(BLOCK, V, D, w->xl + (size_t)r * D, D, t->cls.fwd, D, rows, V, 0);
        for (int i = 0; i < BLOCK; i++) {
            int p = first + r + i;
            float *y = rows + (size_t)i * V, max = -1e30f, sum = 0, wt = b->weight[p];
            if (b->target[p] < 0)
                wt = 0;
            if (wt == 0) {
                if (b->token_loss)
                    b->token_loss[p] = 0;
                memset(w->dlog + (size_t)(r + i) * (V + BLOCK), 0, sizeof(act) * (size_t)V);
                continue;
            }
            float ty = y[b->target[p]];
            for (int j = 0; j < V; j++)
                max = y[j] > max ? y[j] : max;
            for (int j = 0; j < V; j++)
                sum += y[j] = fast_exp(y[j] - max);
            float loss = logf(sum) + max - ty;
            if (b->token_loss)
                b->token_loss[p] = loss;
            w->loss += (double)(wt * loss);
            if (!b->backward)
                continue;
            float k = wt * b->scale / sum, hard = wt * b->scale;
            for (int j = 0; j < V; j++)
                y[j] *= k;
            if (b->soft_id) {
                for (int j = 0; j < b->soft; j++)
                    y[b->soft_id[(size_t)p * b->soft + j]] -=
                        hard * b->alpha * b->soft_p[(size_t)p * b->soft + j];
                hard *= 1.0f - b->alpha;
            }
            y[b->target[p]] -= hard;
            act_store(w->dlog + (size_t)(r + i) * (V + BLOCK), y, (size_t)V);
        }
    }
}

// The backward pass of a layer's second half (feed-forward). w->dx: gradient after it on entry,
// before it on return.
static void mlp_backward(struct worker *w, int l, int n, uint32_t base)
{
    struct trainer *t = w->t;
    const struct batch *b = &t->b;
    struct saved *s = &w->s[l];
    const struct layer *y = &t->layer[l];
    int D = t->D, H = t->H;
    float *f = w->f2;
    for (int r = 0; r < n; r += BLOCK) {
        size_t at = (size_t)r * D, size = (size_t)BLOCK * D;
        act *dgu = w->b2 + (size_t)r * 2 * H;
        memcpy(f, w->dx + at, sizeof(float) * size);
        dropout(b, (uint32_t)(2 * l + 2), base + (uint32_t)at, f, size);
        act_store(w->b + at, f, size);
        gemm(BLOCK, H, D, w->b + at, D, y->w2.bwd, D, f, H, 0);
        for (int i = 0; i < BLOCK; i++) {
            const act *gu = s->gu + (size_t)(r + i) * 2 * H;
            const float *da = f + (size_t)i * H;
            float *d = w->row;
            for (int j = 0; j < H; j++) {
                float g = act_get(gu[j]), u = act_get(gu[H + j]), k = 1.0f / (1.0f + fast_exp(-g));
                d[j] = da[j] * u * k * (1.0f + g * (1.0f - k));
                d[H + j] = da[j] * g * k;
            }
            act_store(dgu + (size_t)i * 2 * H, d, 2 * (size_t)H);
        }
        gemm(BLOCK, D, 2 * H, dgu, 2 * H, y->w13.bwd, 2 * H, f, D, 0);
        norm_backward(s->x1 + at, b->param + y->n2, s->r1 + r, f, w->dx + at, w->grad + y->n2,
                      BLOCK, D);
    }
    weight_grad(w, &y->w2, w->b, D, s->a, n);
    weight_grad(w, &y->w13, w->b2, 2 * H, s->h1, n);
}

// The same for the first half (attention).
static void attention_backward(struct worker *w, int l, int seg0, int seg1, uint32_t base)
{
    struct trainer *t = w->t;
    const struct batch *b = &t->b;
    struct saved *s = &w->s[l];
    const struct layer *y = &t->layer[l];
    int D = t->D, first = b->start[seg0], n = b->start[seg1] - first;
    float *f = w->f2;
    for (int r = 0; r < n; r += BLOCK) {
        size_t at = (size_t)r * D, size = (size_t)BLOCK * D;
        memcpy(f, w->dx + at, sizeof(float) * size);
        dropout(b, (uint32_t)(2 * l + 1), base + (uint32_t)at, f, size);
        act_store(w->b + at, f, size);
        gemm(BLOCK, D, D, w->b + at, D, y->o.bwd, D, f, D, 0);
        act_store(w->b2 + at, f, size);
    }
    weight_grad(w, &y->o, w->b, D, s->att, n);
    for (int k = seg0; k < seg1; k++)
        attend_backward(w, s, w->b2, w->f, b->start[k] - first, b->start[k + 1] - b->start[k], n);
    for (int k = seg0; k < seg1; k++)
        for (int r = b->start[k] - first; r < b->start[k + 1] - first; r += BLOCK) {
            size_t at = (size_t)r * D;
            act *dqkv = w->b2 + 3 * at;
            rope(t, w->f + 3 * at, r - (b->start[k] - first), BLOCK, 2 * D, 3 * D, -1);
            act_store(dqkv, w->f + 3 * at, (size_t)BLOCK * 3 * (size_t)D);
            gemm(BLOCK, D, 3 * D, dqkv, 3 * D, y->qkv.bwd, 3 * D, f, D, 0);
            norm_backward(s->x0 + at, b->param + y->n1, s->r0 + r, f, w->dx + at, w->grad + y->n1,
                          BLOCK, D);
        }
    weight_grad(w, &y->qkv, w->b2, 3 * D, s->h0, n);
}

static void backward(struct worker *w, int seg0, int seg1)
{
    struct trainer *t = w->t;
    const struct batch *b = &t->b;
    int D = t->D, V = t->V, first = b->start[seg0], n = b->start[seg1] - first;
    uint32_t base = (uint32_t)first * (uint32_t)D;
    memset(w->dx, 0, sizeof(float) * (size_t)n * (size_t)D);
    for (int r = 0; r < n; r += BLOCK) {
        size_t at = (size_t)r * D;
        gemm(BLOCK, D, V, w->dlog + (size_t)r * (V + BLOCK), V + BLOCK, t->cls.bwd, V, w->f2, D, 0);
        norm_backward(w->x + at, b->param + t->norm, w->rn + r, w->f2, w->dx + at,
                      w->grad + t->norm, BLOCK, D);
    }
    weight_grad(w, &t->cls, w->dlog, V + BLOCK, w->xl, n);
    for (int l = t->L - 1; l >= 0; l--) {
        mlp_backward(w, l, n, base);
        attention_backward(w, l, seg0, seg1, base);
    }
    dropout(b, 0, base, w->dx, (size_t)n * (size_t)D);
    for (int i = 0; i < n; i++) {
        float *g = w->grad + t->emb + (size_t)b->token[first + i] * D;
        for (int j = 0; j < D; j++)
            g[j] += w->dx[(size_t)i * D + j];
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct trainer *t = w->t;
    struct batch *b = &t->b;
    int c;
    gemm_thread_begin();
    w->loss = 0;
    if (b->backward)
        memset(w->grad, 0, sizeof(float) * t->params);
    while ((c = atomic_fetch_add(&b->next, 1)) < b->chunks) {
        forward(w, b->chunk[c], b->chunk[c + 1]);
        head(w, b->chunk[c], b->chunk[c + 1]);
        if (b->backward)
            backward(w, b->chunk[c], b->chunk[c + 1]);
    }
    gemm_thread_end();
    return NULL;
}

static size_t place(struct weight *m, int out, int in, size_t at)
{
    m->out = out;
    m->in = in;
    m->at = at;
    return at + (size_t)out * (size_t)in;
}

static int weight_new(struct weight *m)
{
    size_t n = (size_t)m->out * (size_t)m->in;
    return GRAB(m->fwd, n) && GRAB(m->bwd, n);
}

static int worker_new(struct worker *w, struct trainer *t)
{
    size_t D = (size_t)t->D, H = (size_t)t->H, n = (size_t)t->cap + BLOCK, T = (size_t)t->T + BLOCK;
    size_t V = (size_t)t->V, hs = (size_t)t->hs;
    size_t wide = 2 * H > 3 * D ? 2 * H : 3 * D, big = wide > V ? wide : V;
    w->t = t;
    if (!GRAB(w->s, t->L))
        return 0;
    for (int l = 0; l < t->L; l++) {
        struct saved *s = &w->s[l];
        if (!(GRAB(s->x0, n * D) && GRAB(s->x1, n * D) && GRAB(s->r0, n) && GRAB(s->r1, n) &&
              GRAB(s->lse, n * (size_t)t->nh) && GRAB(s->h0, n * D) && GRAB(s->qkv, n * 3 * D) &&
              GRAB(s->att, n * D) && GRAB(s->h1, n * D) && GRAB(s->gu, n * 2 * H) &&
              GRAB(s->a, n * H)))
            return 0;
    }
    return GRAB(w->grad, t->params) && GRAB(w->x, n * D) && GRAB(w->dx, n * D) &&
           GRAB(w->f, n * 3 * D) && GRAB(w->f2, BLOCK * big) && GRAB(w->score, BLOCK * T) &&
           GRAB(w->dscore, BLOCK * T) && GRAB(w->dk, T * hs) && GRAB(w->dv, T * hs) &&
           GRAB(w->row, wide) && GRAB(w->rn, n) && GRAB(w->b, n * D) && GRAB(w->b2, n * wide) &&
           GRAB(w->pack, n * wide) && GRAB(w->turn, n * big) && GRAB(w->kp, T * hs) &&
           GRAB(w->kr, T * hs) && GRAB(w->vp, T * hs) && GRAB(w->vc, T * hs) &&
           GRAB(w->pb, BLOCK * T) && GRAB(w->sb, BLOCK * T) && GRAB(w->tb, BLOCK * T) &&
           GRAB(w->qp, BLOCK * hs) && GRAB(w->xl, n * D) && GRAB(w->dlog, n * (V + BLOCK));
}

// 1 if built with AMX and bfloat16, 0 if built with plain float.
int train_amx(void)
{
    return TRAIN_AMX;
}

// Makes a trainer for a model of this shape. Returns NULL if a size is not a multiple of 32, memory
// is insufficient, or the tiles may not be used. cap: the most positions of a chunk. The trainer is
// never freed.
struct trainer *train_new(int D, int L, int H, int heads, int V, int T, int threads, int cap)
{
    struct trainer *t;
    if (D < 32 || D % 32 || H < 32 || H % 32 || V < 32 || V % 32 || T < 32 || T % 32 || L < 1 ||
        heads < 1 || D % heads || (D / heads) % 32 || threads < 1 || threads > MAX_THREADS ||
        cap < T || cap % 32 || gemm_permit() || !GRAB(t, 1))
        return NULL;
    t->D = D, t->L = L, t->H = H, t->nh = heads, t->hs = D / heads, t->V = V, t->T = T;
    t->threads = threads, t->cap = cap;
    if (!GRAB(t->layer, L))
        return NULL;
    size_t at = place(&t->cls, V, D, 0);
    for (int l = 0; l < L; l++) {
        struct layer *y = &t->layer[l];
        y->n1 = at;
        at = place(&y->qkv, 3 * D, D, at + (size_t)D);
        y->n2 = at = place(&y->o, D, D, at);
        at = place(&y->w13, 2 * H, D, at + (size_t)D);
        at = place(&y->w2, D, H, at);
        if (!(weight_new(&y->qkv) && weight_new(&y->o) && weight_new(&y->w13) &&
              weight_new(&y->w2)))
            return NULL;
    }
    t->norm = at;
    t->params = at + (size_t)D;
    if (!weight_new(&t->cls) || !GRAB(t->copy, t->params))
        return NULL;
    size_t half = (size_t)t->hs / 2;
    if (!GRAB(t->cosv, (size_t)T * half) || !GRAB(t->sinv, (size_t)T * half))
        return NULL;
    for (int p = 0; p < T; p++)
        for (size_t i = 0; i < half; i++) {
            double a = p * pow(10000.0, -2.0 * (double)i / t->hs);
            t->cosv[(size_t)p * half + i] = (float)cos(a);
            t->sinv[(size_t)p * half + i] = (float)sin(a);
        }
    for (int i = 0; i < threads; i++)
        if (!worker_new(&t->w[i], t))
            return NULL;
    return t;
}

long train_params(const struct trainer *t)
{
    return (long)t->params;
}

static void weight_pack(struct trainer *t, struct weight *m)
{
    pack_cols(m->fwd, t->copy + m->at, m->in, m->out, m->in);
    pack_rows(m->bwd, t->copy + m->at, m->out, m->in, m->in);
}

// Returns the weighted sum of the losses of a batch in nats and, if grad is not NULL, writes the
// gradient of scale times that sum. token, target (-1: none), weight: start[segments] positions.
// soft > 0: a share alpha of the target is the distribution soft_p over soft_id. token_loss may be
// NULL. Returns NaN if a segment is longer than the context or not a multiple of 32, or if memory
// is insufficient.
double train_step(struct trainer *t, const float *param, float *grad, const int32_t *token,
                  const int32_t *target, const float *weight, const int32_t *start, int segments,
                  float scale, float drop, uint32_t seed, int soft, const int32_t *soft_id,
                  const float *soft_p, float alpha, float *token_loss)
{
    struct batch *b = &t->b;
    *b = (struct batch){.param = param,
                        .token = token,
                        .target = target,
                        .weight = weight,
                        .start = start,
                        .segments = segments,
                        .scale = scale,
                        .drop = drop,
                        .seed = seed,
                        .soft = soft,
                        .soft_id = soft > 0 ? soft_id : NULL,
                        .soft_p = soft_p,
                        .alpha = alpha,
                        .token_loss = token_loss,
                        .backward = grad != NULL};
    b->chunk = malloc(sizeof *b->chunk * (size_t)(segments + 1));
    if (!b->chunk)
        return NAN;
    b->chunk[0] = 0;
    for (int i = 0; i < segments; i++) {
        int len = start[i + 1] - start[i];
        if (len <= 0 || len % 32 || len > t->T) {
            free(b->chunk);
            return NAN;
        }
        if (start[i + 1] - start[b->chunk[b->chunks]] > t->cap)
            b->chunk[++b->chunks] = i;
    }
    b->chunk[++b->chunks] = segments;
    atomic_store(&b->next, 0);

    act_store(t->copy, param, t->params);
    weight_pack(t, &t->cls);
    for (int l = 0; l < t->L; l++) {
        weight_pack(t, &t->layer[l].qkv);
        weight_pack(t, &t->layer[l].o);
        weight_pack(t, &t->layer[l].w13);
        weight_pack(t, &t->layer[l].w2);
    }
    int started = 1;
    for (; started < t->threads; started++)
        if (pthread_create(&t->w[started].thread, NULL, work, &t->w[started]))
            break;
    work(&t->w[0]);
    double loss = t->w[0].loss;
    for (int i = 1; i < started; i++) {
        pthread_join(t->w[i].thread, NULL);
        loss += t->w[i].loss;
    }
    if (grad) {
        memcpy(grad, t->w[0].grad, sizeof(float) * t->params);
        for (int i = 1; i < started; i++)
            for (size_t j = 0; j < t->params; j++)
                grad[j] += t->w[i].grad[j];
    }
    free(b->chunk);
    b->chunk = NULL;
    return loss;
}

// Newton-Schulz: five steps that replace x by nearly its nearest orthogonal matrix (Jordan et al.
// 2024, "Muon"), rows <= columns. A worker's buffers may be too small, so each job allocates its
// own.
struct ortho {
    float *const *x;
    const int32_t *rows, *cols;
    int count;
    atomic_int next, failed;
};

static int orthogonalise(float *x, int R, int C)
{
    const float ka = 3.4445f, kb = -4.7750f, kc = 2.0315f;
    size_t n = (size_t)R * (size_t)C, rr = (size_t)R * (size_t)R;
    act *xa = NULL, *p = NULL, *aa = NULL;
    float *a = NULL, *a2 = NULL, *y = NULL;
    int ok = GRAB(xa, n) && GRAB(p, n) && GRAB(aa, rr) && GRAB(a, rr) && GRAB(a2, rr) && GRAB(y, n);
    double s = 1e-14;
    for (size_t i = 0; ok && i < n; i++)
        s += (double)x[i] * x[i];
    float k = (float)(1.0 / sqrt(s));
    for (size_t i = 0; ok && i < n; i++)
        x[i] *= k;
    for (int step = 0; ok && step < 5; step++) {
        act_store(xa, x, n);
        pack_cols(p, xa, C, R, C);
        gemm(R, R, C, xa, C, p, C, a, R, 0); // x x'
        act_store(aa, a, rr);
        pack_rows(p, aa, R, R, R);
        gemm(R, R, R, aa, R, p, R, a2, R, 0);
        for (size_t i = 0; i < rr; i++)
            a[i] = kb * a[i] + kc * a2[i];
        act_store(aa, a, rr);
        pack_rows(p, xa, R, C, C);
        gemm(R, C, R, aa, R, p, R, y, C, 0);
        for (size_t i = 0; i < n; i++)
            x[i] = ka * x[i] + y[i];
    }
    free(xa), free(p), free(aa), free(a), free(a2), free(y);
    return ok;
}

static void *ortho_work(void *arg)
{
    struct ortho *o = arg;
    int i;
    gemm_thread_begin();
    while ((i = atomic_fetch_add(&o->next, 1)) < o->count)
        if (!orthogonalise(o->x[i], o->rows[i], o->cols[i]))
            atomic_store(&o->failed, 1);
    gemm_thread_end();
    return NULL;
}

// Orthogonalises count matrices (rows <= cols, multiples of 32) in place. Returns 0, or -1 if out
// of memory.
int train_ortho(float *const *x, const int32_t *rows, const int32_t *cols, int count, int threads)
{
    struct ortho o = {.x = x, .rows = rows, .cols = cols, .count = count};
    pthread_t id[MAX_THREADS];
    int started = 1;
    for (; started < threads && started < MAX_THREADS; started++)
        if (pthread_create(&id[started], NULL, ortho_work, &o))
            break;
    ortho_work(&o);
    for (int i = 1; i < started; i++)
        pthread_join(id[i], NULL);
    return atomic_load(&o.failed) ? -1 : 0;
}
