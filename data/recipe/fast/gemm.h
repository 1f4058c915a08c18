// SPDX-License-Identifier: MIT
//
// Matrix products of the trainer, in two builds of the same interface:
//
//   bfloat16  operands are bfloat16, sums are float: Intel AMX tiles (used when the compiler's
//             target has AMX-BF16 and AVX512-BF16)
//   float     everything is float, plain loops (any machine; -DTRAIN_FLOAT forces it for tests)
//
// All sizes are multiples of 32. The right-hand side of a product is packed first, into panels
// of 16 columns, by one of two routines: from rows (B[k][n] = s[k][n]) or from columns
// (B[k][n] = s[n][k]). The AMX layout is that of the Intel 64 manual, TDPBF16PS: pairs of
// consecutive k lie side by side.
#ifndef TRAIN_GEMM_H
#define TRAIN_GEMM_H

#include <stddef.h>
#include <stdint.h>

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && !defined(TRAIN_FLOAT)
#define TRAIN_AMX 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
typedef uint16_t act; // a bfloat16
#else
#define TRAIN_AMX 0
typedef float act;
#endif

#define PANEL 16
#define BLOCK 32

#if TRAIN_AMX

// Requests the tile registers from the kernel, once per process. Returns 0 if they may be used.
static int gemm_permit(void)
{
    return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* tile data */) ? -1 : 0;
}

// The compiler cannot see which memory the tile intrinsics read and write.
static inline void tiles_see_memory(const void *p)
{
    __asm__ volatile("" ::"r"(p) : "memory");
}

// Every thread that multiplies calls this first, and gemm_thread_end last.
static void gemm_thread_begin(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.bytes[i] = 64;
        c.rows[i] = 16;
    }
    tiles_see_memory(&c);
    _tile_loadconfig(&c);
}

static void gemm_thread_end(void)
{
    _tile_release();
}

static inline float act_get(act a)
{
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)a << 16};
    return v.f;
}

// Rounds n floats (a multiple of 16) to bfloat16.
static inline void act_store(act *restrict d, const float *restrict s, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __m256bh b = _mm512_cvtneps_pbh(_mm512_loadu_ps(s + i));
        _mm256_storeu_si256((__m256i *)(void *)(d + i), (__m256i)b);
    }
}

// Transposes a 16 x 16 block of 32-bit words held in registers.
static inline void turn16(__m512i r[16])
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int h = 0; h < 16; h += 8)
        for (int i = 0; i < 4; i++) {
            t[h + i] = _mm512_shuffle_i32x4(r[h + i], r[h + 4 + i], 0x88);
            t[h + 4 + i] = _mm512_shuffle_i32x4(r[h + i], r[h + 4 + i], 0xdd);
        }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    }
}

// Interleaves two rows of 16 bfloat16: pairs of one column.
static inline __m512i pair16(const act *a, const act *b)
{
    __m512i lo = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)a));
    __m512i hi = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)b));
    return _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16));
}

// B[k][n] = s[k * ld + n]
static void pack_rows(act *restrict d, const act *restrict s, int K, int N, int ld)
{
    for (int n = 0; n < N; n += PANEL, d += (size_t)K * PANEL)
        for (int k = 0; k < K; k += 2)
            _mm512_storeu_si512(d + (size_t)k * PANEL,
                                pair16(s + (size_t)k * ld + n, s + (size_t)(k + 1) * ld + n));
}

// B[k][n] = s[n * ld + k]
static void pack_cols(act *restrict d, const act *restrict s, int K, int N, int ld)
{
    for (int n = 0; n < N; n += PANEL, d += (size_t)K * PANEL)
        for (int k = 0; k < K; k += 32) {
            __m512i r[16];
            for (int i = 0; i < 16; i++)
                r[i] = _mm512_loadu_si512(s + (size_t)(n + i) * ld + k);
            turn16(r);
            for (int i = 0; i < 16; i++)
                _mm512_storeu_si512(d + (size_t)(k + 2 * i) * PANEL, r[i]);
        }
}

// d[c * ldd + r] = s[r * lds + c], R rows and C columns
static void transpose(act *restrict d, int ldd, const act *restrict s, int lds, int R, int C)
{
    for (int r = 0; r < R; r += 32)
        for (int c = 0; c < C; c += 16) {
            __m512i v[16];
            for (int i = 0; i < 16; i++) {
                const act *p = s + (size_t)(r + 2 * i) * lds + c;
                v[i] = pair16(p, p + lds);
            }
            turn16(v);
            for (int i = 0; i < 16; i++)
                _mm512_storeu_si512(d + (size_t)(c + i) * ldd + r, v[i]);
        }
}

// C[M][N] = (add ? C : 0) + A[M][K] B. B is packed with Kp >= K rows.
static void gemm(int M, int N, int K, const act *A, int lda, const act *B, int Kp, float *C,
                 int ldc, int add)
{
    tiles_see_memory(C);
    for (int m = 0; m < M; m += 32)
        for (int n = 0; n < N; n += 32) {
            const act *a0 = A + (size_t)m * lda, *a1 = a0 + (size_t)16 * lda;
            const act *b0 = B + (size_t)n * Kp, *b1 = b0 + (size_t)PANEL * Kp;
            float *c0 = C + (size_t)m * ldc + n, *c1 = c0 + (size_t)16 * ldc;
            int sc = ldc * 4, sa = lda * 2;
            if (add) {
                _tile_loadd(0, c0, sc);
                _tile_loadd(1, c0 + 16, sc);
                _tile_loadd(2, c1, sc);
                _tile_loadd(3, c1 + 16, sc);
            } else {
                _tile_zero(0);
                _tile_zero(1);
                _tile_zero(2);
                _tile_zero(3);
            }
            for (int k = 0; k < K; k += 32) {
                _tile_loadd(4, a0 + k, sa);
                _tile_loadd(6, b0 + (size_t)k * PANEL, 64);
                _tile_loadd(7, b1 + (size_t)k * PANEL, 64);
                _tile_loadd(5, a1 + k, sa);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_stored(0, c0, sc);
            _tile_stored(1, c0 + 16, sc);
            _tile_stored(2, c1, sc);
            _tile_stored(3, c1 + 16, sc);
        }
    tiles_see_memory(C);
}

#else // plain float

static int gemm_permit(void)
{
    return 0;
}
static void gemm_thread_begin(void)
{
}
static void gemm_thread_end(void)
{
}
static inline float act_get(act a)
{
    return a;
}

static inline void act_store(act *restrict d, const float *restrict s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        d[i] = s[i];
}

static void pack_rows(act *restrict d, const act *restrict s, int K, int N, int ld)
{
    for (int n = 0; n < N; n += PANEL)
        for (int k = 0; k < K; k++)
            for (int i = 0; i < PANEL; i++)
                *d++ = s[(size_t)k * ld + n + i];
}

static void pack_cols(act *restrict d, const act *restrict s, int K, int N, int ld)
{
    for (int n = 0; n < N; n += PANEL)
        for (int k = 0; k < K; k++)
            for (int i = 0; i < PANEL; i++)
                *d++ = s[(size_t)(n + i) * ld + k];
}

static void transpose(act *restrict d, int ldd, const act *restrict s, int lds, int R, int C)
{
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            d[(size_t)c * ldd + r] = s[(size_t)r * lds + c];
}

typedef float panel __attribute__((vector_size(PANEL * sizeof(float)), aligned(4), may_alias));

#ifdef __AVX512F__
#define ROWS 8
#else
#define ROWS 4
#endif

static void gemm(int M, int N, int K, const act *A, int lda, const act *B, int Kp, float *C,
                 int ldc, int add)
{
    for (int n = 0; n < N; n += PANEL)
        for (int m = 0; m < M; m += ROWS) {
            const act *a = A + (size_t)m * lda, *b = B + (size_t)n * Kp;
            panel sum[ROWS] = {{0}};
            for (int k = 0; k < K; k++, b += PANEL)
                for (int i = 0; i < ROWS; i++)
                    sum[i] += a[(size_t)i * lda + k] * *(const panel *)b;
            for (int i = 0; i < ROWS; i++) {
                panel *c = (panel *)(C + (size_t)(m + i) * ldc + n);
                if (add)
                    sum[i] += *c;
                *c = sum[i];
            }
        }
}

#endif
#endif
