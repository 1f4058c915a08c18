// SPDX-License-Identifier: MIT
// The interface between duotale and a compute backend: plain C, no library to link.
//
// A backend is a shared object that exports one symbol, `dt_backend_module`, a constant
// struct dt_backend: a table of kernels over one or more weight forms. It includes this header (and
// kit.h beside it, if it likes) and imports nothing but libc and libm. Everything else it
// needs, the host hands to create() in a struct dt_services.
//
// Rules that hold for every kernel:
//  - Kernels are single-threaded. The host splits the work (rows of a matrix, heads of attention)
//  and may call
//    the same kernel from several threads at once on disjoint ranges with the same ctx.
//  - A result depends on its operands alone: not on the range it was computed in, the number of
//  columns beside it,
//    or the thread. So a position's bits are the same in any batch.
//  - Nothing is allocated in a kernel, and nothing fails: what a backend cannot do it refuses
//  beforehand
//    (probe, create, can_matmul) or leaves NULL, and the backend below it in the stack does it.
//  - Pointers to weights, quants and scales have no alignment beyond that of one byte for quants
//  and
//    scales, 4 for f32 and 2 for f16 weights. Activations, outputs and scratch are 64-byte aligned
//    at column 0, and their strides are multiples of 16 floats where the text says "padded".
//  - All floats are IEEE binary32, round to nearest; a backend must not change the rounding mode or
//    flush denormals.
//
// The tables only ever grow at their end. A module built against an older header has a smaller
// `size`; entries past it are taken as NULL. `abi` changes only if an existing entry does.
#ifndef DT_ABI_BACKEND_H
#define DT_ABI_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DT_BACKEND_ABI 1u

// ---- weights ----

// How a matrix is stored. Values are part of the ABI. Blocks are those of the GGUF format.
enum dt_form {
    DT_FORM_NONE = 0,
    DT_FORM_F32 = 1,
    DT_FORM_F16 = 2,
    DT_FORM_BF16 = 3,
    DT_FORM_I8 =
        4, // int8, one f32 scale for each `group` values of a row, kept apart (llama2.c version 2)
    DT_FORM_Q8_0 = 5,   // blocks of 32: f16 scale, 32 int8
    DT_FORM_Q4_0 = 6,   // blocks of 32: f16 scale, 16 bytes: value i in the low, i + 16 in the high
                        // half, minus 8
    DT_FORM_PACKED = 7, // a backend's own layout, named by dt_matrix.layout
    DT_FORM_Q4_1 = 8,   // from here on: read, never computed from; the host converts them
    DT_FORM_Q5_0 = 9,
    DT_FORM_Q5_1 = 10,
    DT_FORM_Q2_K = 11,
    DT_FORM_Q3_K = 12,
    DT_FORM_Q4_K = 13,
    DT_FORM_Q5_K = 14,
    DT_FORM_Q6_K = 15,
    DT_FORM_IQ4_NL = 16,
};

enum dt_scale {
    DT_SCALE_NONE = 0,
    DT_SCALE_F32 = 1,
    DT_SCALE_F16 = 2,
};

// A matrix of rows x cols weights; it computes y[rows] = W x[cols]. The quant of (r, c) lies in
// the group c / group, at quants + r * row_stride + (c / group) * group_stride; within a group
// the values are contiguous (I8, Q8_0: one byte each; Q4_0: halves as above). Its scale is at
// scales + r * scale_row_stride + (c / group) * scale_group_stride. So I8 and Q8_0 are one
// description. For F32, F16 and BF16: element c of row r at quants + r * row_stride + c * its size;
// group is 0. For PACKED and the K and Q4_1.. forms only quants, bytes and (blocks) row_stride have
// a meaning.
struct dt_matrix {
    uint32_t form; // enum dt_form
    uint32_t rows;
    uint32_t cols;
    uint32_t group;      // values a scale; divides cols; 0 where there are no scales
    uint32_t scale_type; // enum dt_scale
    uint32_t reserved;
    const void *quants;
    const void *scales;
    size_t row_stride; // bytes
    size_t group_stride;
    size_t scale_row_stride;
    size_t scale_group_stride;
    size_t bytes;       // what one pass over the matrix reads, quants and scales
    const char *layout; // PACKED: the name of the layout, as in dt_backend.layout; else NULL
};

// ---- the KV cache ----

enum dt_kv_type {
    DT_KV_F32 = 1,
    DT_KV_F16 = 2,
};

// One layer's keys and values as attention sees them. Element (entry e, head h, channel c) of the
// keys is at keys + h * key_head + slot(e) * key_slot + c * key_channel, in elements of `type`; the
// same for values. slot(e) is e when slots is NULL, else slots[e]. Entries are in the order of
// their positions. The host's usual layout: keys channel-major (key_slot 1: positions contiguous,
// key_channel padded), values position-major (value_channel 1). Memory behind any existing slot up
// to the next multiple of 16 slots may be read (it holds finite floats), never relied on.
struct dt_kv {
    uint32_t type;      // enum dt_kv_type
    uint32_t heads;     // KV heads; query head q uses KV head q / (query heads / heads)
    uint32_t head_size; // channels
    uint32_t capacity;  // slots
    const void *keys;
    const void *values;
    size_t key_head, key_slot, key_channel;       // strides in elements
    size_t value_head, value_slot, value_channel; // strides in elements
    const float *key_scales, *value_scales;       // reserved for quantised caches, NULL
    const uint32_t *slots;                        // NULL: entry e is in slot e
};

// ---- what the host hands in ----

// Filled by the host without executing what it asks about. Bits are append-only.
#define DT_CPU_AVX2       (1ull << 0) // with FMA3 and F16C
#define DT_CPU_AVX512     (1ull << 1) // F, BW, DQ, VL
#define DT_CPU_AVX512VNNI (1ull << 2)
#define DT_CPU_AVXVNNI    (1ull << 3)
#define DT_CPU_AMX_INT8                                                                            \
    (1ull << 4) // with AMX-TILE; the kernel's leave (arch_prctl) is the backend's to ask for
#define DT_CPU_NEON    (1ull << 8)
#define DT_CPU_DOTPROD (1ull << 9)
#define DT_CPU_RVV07   (1ull << 16) // RVV 0.7.1 (T-Head XTheadVector)
#define DT_CPU_RVV10   (1ull << 17)

struct dt_cpu {
    uint32_t size;     // of this struct
    uint32_t vlen;     // RISC-V vector register bits, 0 if none
    uint64_t features; // DT_CPU_*
    const char *arch;  // "x86_64", "riscv64", "aarch64", ...
    const char *model; // for people
};

// Part of a loop: items [begin, end), on worker 0 .. threads-1.
typedef void dt_loop_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker);

struct dt_services {
    uint32_t size;
    uint32_t reserved;
    void *host; // first argument of every function here
    // Zeroed, 64-byte aligned memory, counted as this backend's own; NULL if refused. Not in
    // kernels.
    void *(*allocate)(void *host, size_t bytes);
    void (*release)(void *host, void *block, size_t bytes);
    // One line for the log; level 0 debug, 1 information, 2 warning, 3 error.
    void (*log)(void *host, int level, const char *line);
    // Runs body over [0, count) in pieces of at least `grain` items on the host's threads; returns
    // when all are done. Not from inside a body.
    void (*parallel_for)(void *host, dt_loop_body *body, void *arg, uint32_t count, uint32_t grain);
    uint32_t (*threads)(void *host); // how many workers parallel_for has, >= 1
};

// ---- the kernel table ----

enum dt_rope_style {
    DT_ROPE_PAIRS = 0,  // (0,1) (2,3) ...: llama2.c and GGUF architecture llama
    DT_ROPE_HALVES = 1, // (0,n/2) (1,n/2+1) ...: qwen2 and others
};

struct dt_backend {
    uint32_t abi;            // DT_BACKEND_ABI
    uint32_t size;           // sizeof(struct dt_backend) where it was built
    const char *name;        // "int8": what users type; [a-z0-9]+
    const char *variant;     // "avx512vnni", or "" for the only or baseline one
    const char *description; // one line for people, with the tolerance of approximate arithmetic
    const char *layout;      // the name and version of its packed layout, or NULL
    uint32_t row_tile;       // row ranges given to matmul begin at multiples of this (>= 1)
    uint32_t form_count;
    uint32_t
        forms[8]; // enum dt_form it computes from, best first; none for a backend without matmul

    // 0: cannot run on this CPU; else a score, the best variant of a name wins. This function must
    // be built without the instructions it asks about. Any thread, before create.
    int (*probe)(const struct dt_cpu *cpu);
    // Makes *ctx (may stay NULL). services outlives ctx. Returns 0, or -1 with a line in reason.
    // NULL: nothing to make.
    int (*create)(const struct dt_services *services, void **ctx, char *reason, size_t reason_size);
    void (*destroy)(void *ctx); // NULL: nothing to do

    // --- matrices: these go together, from one backend of a stack ---

    // 1 if matmul takes this matrix as it is described (form, cols, group, scale type), else 0.
    // NULL: every matrix whose form is in forms.
    int (*can_matmul)(void *ctx, const struct dt_matrix *w);
    // Bytes of prepared activations for `columns` columns of w->cols floats, never fewer for more
    // columns. With act_bytes and act_prepare NULL, matmul takes the floats themselves.
    size_t (*act_bytes)(void *ctx, const struct dt_matrix *w, uint32_t columns);
    // Prepares columns (for int8: quantises each by groups of w->group) into act: serves every
    // matrix of the same form, cols and group. x: columns * x_stride floats. Quantisation is
    // llama2.c's: scale = max|x| / 127, q = round(x / scale), half away from zero, 0 where the
    // scale is 0.
    void (*act_prepare)(void *ctx, void *act, const float *x, size_t x_stride, uint32_t columns,
                        const struct dt_matrix *w);
    // out[c * out_stride + r] = row r of W times column c, for r in [row_begin, row_end), all
    // columns. act: prepared for exactly `columns` columns, or floats with x_stride between
    // columns.
    void (*matmul)(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns);
    // out[w->cols] = row `row` of w, dequantised (also for PACKED matrices of its own layout).
    void (*embed)(void *ctx, float *out, const struct dt_matrix *w, uint32_t row);
    // Packing (optional, with layout): bytes of the packed form of w, 0 if it cannot; and the
    // packing of rows [row_begin, row_end) (multiples of row_tile, or the end) into packed, which
    // is 64-byte aligned and describes the whole matrix. Source forms: those of `forms`.
    size_t (*pack_bytes)(void *ctx, const struct dt_matrix *w);
    void (*pack)(void *ctx, void *packed, const struct dt_matrix *w, uint32_t row_begin,
                 uint32_t row_end);

    // --- everything else: each entry may be NULL and is then taken from below ---

    // out = weight * (x / sqrt(mean(x^2) + epsilon)), by columns; out may be x. Reference order:
    // the sum over x in sequence, then ss / n, + epsilon, 1 / sqrtf, weight * (ss * x).
    void (*rmsnorm)(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                    const float *weight, uint32_t n, uint32_t columns, float epsilon);
    // Rotates the first rotated (even) channels of each of `heads` heads of one position in place;
    // cosine and sine hold rotated/2 values. (a, b) -> (a*cos - b*sin, a*sin + b*cos).
    void (*rope)(void *ctx, float *x, uint32_t heads, uint32_t head_size, uint32_t rotated,
                 const float *cosine, const float *sine, uint32_t style);
    // Attention of one position for query heads [head_begin, head_end) of `heads`: for each,
    // score[e] = (q . key e) / divisor over entries 0 .. entries-1, softmax, out = sum of score[e]
    // * value e, in the order of entries. q, out: heads * head_size floats (all heads; only the
    // range is read and written). scores: (head_end - head_begin) * score_stride floats of scratch,
    // score_stride >= entries, padded.
    void (*attention)(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                      uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                      float *scores, size_t score_stride);
    // x = softmax(x) in place: maximum, exp(x - max), sum in sequence, division.
    void (*softmax)(void *ctx, float *x, uint32_t n);
    // gate = silu(gate) * up, silu(a) = a * (1 / (1 + exp(-a))).
    void (*silu_mul)(void *ctx, float *gate, const float *up, uint32_t n);
    void (*add)(void *ctx, float *x, const float *y, uint32_t n); // x += y
    // The smallest index of the largest of x[0..n).
    uint32_t (*argmax)(void *ctx, const float *x, uint32_t n);
    // Writes the indices i, ascending, with x[i] >= threshold to index (space for n) and returns
    // how many.
    uint32_t (*select)(void *ctx, const float *x, uint32_t n, float threshold, uint32_t *index);

    // --- the shortlist of a classifier (core/sampling/shortlist.h); optional, the first two beside
    // matmul ---

    // out[k] = row index[k] of W times the one column in act, for k in [0, count): the bits that
    // matmul gives for that row.
    void (*matmul_rows)(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const void *act);
    // A bound e of what matmul's arithmetic may lose on this column, prepared in act from x:
    // |out[r] - W_r . x| <= e |W_r| for every row of weights W_r as embed gives them, |.| the
    // Euclidean norm. What preparing changes, by Cauchy and Schwarz, and the rounding of its sums.
    float (*act_error)(void *ctx, const void *act, const float *x, const struct dt_matrix *w);
    // Passes over n pairs, bounds[i] = two bfloat16, a in its upper half and b in its lower; u = a
    // * along + b * across, each operation rounded or fused. Writes the indices i, ascending, whose
    // u is not below threshold to index (space for n) and returns how many; *rest is what the
    // others add up to: sum of 2^((u - threshold) * scale), never too little, at most 6.5 % too
    // much (in any order). scale >= 0, finite.
    uint32_t (*screen)(void *ctx, const uint32_t *bounds, uint32_t n, float along, float across,
                       float threshold, float scale, uint32_t *index, double *rest);
    // Optional, where reading rows one by one through embed takes too long. products[2 k] = |W_r|^2
    // and products[2 k + 1] = W_r . direction for r = row_begin + k < row_end, W_r as embed gives
    // it; off by no more than (cols / 8 + 40) 2^-24 of |W_r|^2, and of |W_r| |direction|. Returns
    // 1; or 0, having written nothing, for a matrix of which matmul_rows saves nothing worth a
    // list.
    int (*row_products)(void *ctx, float *products, const struct dt_matrix *w, uint32_t row_begin,
                        uint32_t row_end, const float *direction);
};

// How a module makes itself known. In a static build every backend has a name of its own instead.
#ifdef DT_STATIC_MODULES
#define DT_BACKEND_SYMBOL_(name) dt_backend_module_##name
#define DT_BACKEND_SYMBOL(name)  DT_BACKEND_SYMBOL_(name)
#else
#define DT_BACKEND_SYMBOL(name) dt_backend_module
#endif
#define DT_BACKEND_EXPORT(name)                                                                    \
    __attribute__((visibility("default"))) extern const struct dt_backend DT_BACKEND_SYMBOL(name); \
    const struct dt_backend DT_BACKEND_SYMBOL(name)

#ifdef __cplusplus
}
#endif
#endif
