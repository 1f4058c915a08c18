// SPDX-License-Identifier: MIT
// The interface between duotale (the host) and a compute backend. Plain C; no library to link.
//
// A backend is a shared object that exports one symbol, `dt_backend_module`: a constant struct
// dt_backend, which is a table of kernels over one or more weight forms. It includes this header,
// and <duotale/kit/table.h> if it uses the ready-made operators there. It imports libc and libm and
// no other symbol; the host passes everything else to create() in a struct dt_services.
//
// Each entry of a table is marked:
//   [required]         the host refuses the module without it
//   [optional]         may be NULL, with the meaning stated there
//   [together with X]  set both or neither; else the host refuses the module or ignores the entry
//
// Rules for every kernel (each function of struct dt_backend that takes a ctx, but destroy):
//  - Threads. A kernel runs on the thread that calls it and starts none. The host splits the work
//    by rows, heads or columns, and calls the same kernel with the same ctx from several threads at
//    once; the output ranges of such calls do not overlap. So a kernel does not write to ctx.
//  - Results. A result depends on its operands only: not on the range it is computed in, on the
//    number of columns in the call, or on the thread. So the bits of a position are the same in
//    every batch.
//  - Errors. A kernel cannot fail and allocates nothing. A backend refuses in probe, create or
//    can_matmul, or leaves an entry NULL; the host then uses the backend below it in the stack.
//  - Ownership. The caller owns every pointer it passes. A pointer is valid until the call returns;
//    weights and services are valid until destroy.
//  - Alignment. Weights, quants and scales start at any byte, except that F32 weights are aligned
//    to 4 bytes, F16 and BF16 weights to 2. Activations, outputs and scratch memory are aligned to
//    64 bytes at column 0; "padded" strides are multiples of 16 floats. Arrays of uint32_t are
//    aligned to 4 bytes.
//  - Floats are IEEE binary32, rounded to nearest. A backend does not change the rounding mode and
//    does not flush subnormal numbers to zero.
//
// Compatibility: tables grow at their end only. A module built with an older header has a smaller
// `size`; the host reads the entries past it as NULL. `abi` changes only if an existing entry does.
#ifndef DT_ABI_BACKEND_H
#define DT_ABI_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DT_BACKEND_ABI 1u

// ---- weights ----

// How the weights of a matrix are stored. The values are part of the ABI. Blocks are GGUF's.
enum dt_form {
    DT_FORM_NONE = 0,

    // Forms that a backend may list in `forms` and that its kernels get.
    DT_FORM_F32 = 1,
    DT_FORM_F16 = 2,
    DT_FORM_BF16 = 3,
    DT_FORM_I8 = 4,   // int8; one f32 scale for each `group` values, in an array of its own
    DT_FORM_Q8_0 = 5, // blocks of 32: an f16 scale, 32 int8
    DT_FORM_Q4_0 = 6, // blocks of 32: an f16 scale, 16 bytes; value i of the block is the low half
                      // of byte i, value i + 16 its high half, each minus 8

    // The backend's own layout, named by dt_matrix.layout. Never listed in `forms`: a backend gets
    // it for the matrices it packed itself, and for files packed with the same layout.
    DT_FORM_PACKED = 7,

    // Forms that only the host reads. It converts them to one of the first kind when it loads a
    // model; a backend does not list them, and no kernel gets them.
    DT_FORM_Q4_1 = 8,
    DT_FORM_Q5_0 = 9,
    DT_FORM_Q5_1 = 10,
    DT_FORM_Q2_K = 11,
    DT_FORM_Q3_K = 12,
    DT_FORM_IQ4_NL = 16,

    // Blocks of 256, in runs of 32 or 16 values. A backend that computes them has them in
    // `more_forms`; for every other one they are converted.
    DT_FORM_Q4_K = 13, // 144 bytes: d and m, f16; 6 bits of scale and of minimum for each of 8
                       // runs, in 12 bytes; 4-bit levels. The weight is d * scale * level - m *
                       // minimum
    DT_FORM_Q5_K = 14, // 176 bytes: the same with the fifth bits of the levels before the others
    DT_FORM_Q6_K = 15, // 210 bytes: 6-bit levels, the low halves first; int8 scales of 16 runs; d.
                       // The weight is d * scale * (level - 32)
};

// A set of forms, for dt_backend.more_forms.
#define DT_FORM_BIT(form) (UINT64_C(1) << (form))

enum dt_scale {
    DT_SCALE_NONE = 0,
    DT_SCALE_F32 = 1,
    DT_SCALE_F16 = 2,
};

// A matrix of rows x cols weights; matmul computes y[rows] = W x[cols].
//  - I8, Q8_0, Q4_0: the quant of (r, c) is in group c / group, which starts at
//    quants + r * row_stride + (c / group) * group_stride. Within a group the values are contiguous
//    (I8 and Q8_0: one byte each; Q4_0: two in a byte, see DT_FORM_Q4_0). The scale of the group is
//    at scales + r * scale_row_stride + (c / group) * scale_group_stride.
//    The weight is quant * scale.
//  - Q4_K, Q5_K, Q6_K: block b of row r starts at quants + r * row_stride + b * group_stride; group
//    is 256; there are no other scales. matmul: activations are quantised in groups of 256 (see
//    act_prepare). A block's value is d * a - m * b, exact until it is rounded to a float once: a
//    is the sum of scale * level * quant, b the sum of minimum * quant, both as integers (in
//    binary64 the products are exact). out = the sum of value * activation scale over the blocks,
//    in order.
//  - F32, F16, BF16: element c of row r is at quants + r * row_stride + c * its size; group is 0.
//  - PACKED: rows, cols, group (of the matrix that was packed), quants, bytes and layout are set.
//    The other fields have any value.
struct dt_matrix {
    uint32_t form; // enum dt_form
    uint32_t rows;
    uint32_t cols;
    uint32_t group;      // values with one scale; divides cols; 0 where there are no scales
    uint32_t scale_type; // enum dt_scale
    uint32_t reserved;
    const void *quants;
    const void *scales;
    size_t row_stride; // this and the next three: bytes
    size_t group_stride;
    size_t scale_row_stride;
    size_t scale_group_stride;
    size_t bytes;       // read by one pass over the matrix: quants and scales
    const char *layout; // PACKED: the name of the layout (dt_backend.layout); else NULL
};

// ---- the KV cache ----

enum dt_kv_type {
    DT_KV_F32 = 1,
    DT_KV_F16 = 2,
    DT_KV_I8 = 3, // int8; one f32 scale for the channels of an entry in a head
};

// The keys and values of one layer, as attention reads them. Element (entry e, head h, channel c)
// of the keys is at keys + h * key_head + slot(e) * key_slot + c * key_channel, counted in elements
// of `type`; the values likewise. slot(e) is e if slots is NULL, else slots[e]. Entries are in the
// order of their positions.
//
// The host's own layout has keys with contiguous positions (key_slot is 1, key_channel padded) and
// values with contiguous channels (value_channel is 1); a kernel is correct for every other one
// too. A kernel may read the memory from an existing slot up to the next multiple of 16 slots; it
// holds finite floats, and a result must not depend on them. That does not hold for scales.
//
// I8: a key is its quants times key_scales[h * scale_head + slot(e)], a value its quants times
// value_scales there. score[e] = ((the sum of q * (float)quant, in the order of channels) * scale)
// / divisor; out = the sum of (score[e] * scale) * (float)quant, score[e] being the softmax's.
struct dt_kv {
    uint32_t type;      // enum dt_kv_type
    uint32_t heads;     // KV heads; query head q uses KV head q / (query heads / heads)
    uint32_t head_size; // channels
    uint32_t capacity;  // slots
    const void *keys;
    const void *values;
    size_t key_head, key_slot, key_channel;       // strides, in elements
    size_t value_head, value_slot, value_channel; // strides, in elements
    const float *key_scales, *value_scales;       // I8; else NULL
    const uint32_t *slots;                        // NULL: entry e is in slot e
    size_t scale_head;                            // I8: stride of heads, in scales
};

// ---- what the host provides ----

// CPU features. The host detects them without executing the instructions in question. Bits are
// only ever added.
#define DT_CPU_AVX2       (1ull << 0) // with FMA3 and F16C
#define DT_CPU_AVX512     (1ull << 1) // F, BW, DQ and VL
#define DT_CPU_AVX512VNNI (1ull << 2)
#define DT_CPU_AVXVNNI    (1ull << 3)
#define DT_CPU_AMX_INT8   (1ull << 4) // with AMX-TILE; the backend requests arch_prctl permission
#define DT_CPU_NEON       (1ull << 8)
#define DT_CPU_DOTPROD    (1ull << 9)
#define DT_CPU_RVV07      (1ull << 16) // RVV 0.7.1 (T-Head XTheadVector)
#define DT_CPU_RVV10      (1ull << 17)

struct dt_cpu {
    uint32_t size;     // of this struct where the host was built
    uint32_t vlen;     // bits of a RISC-V vector register, 0 if there is none
    uint64_t features; // DT_CPU_*
    const char *arch;  // "x86_64", "riscv64", "aarch64", ...
    const char *model; // the CPU's name, for messages
};

// Levels of dt_services.log.
enum dt_backend_log_level {
    DT_BACKEND_LOG_DEBUG = 0,
    DT_BACKEND_LOG_INFO = 1,
    DT_BACKEND_LOG_WARNING = 2,
    DT_BACKEND_LOG_ERROR = 3,
};

// Part of a loop: computes items [begin, end) as worker number `worker`, 0 to threads - 1.
typedef void dt_loop_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker);

// Functions of the host for a backend. All are set. They may be called from create until destroy,
// on the thread that runs create, destroy or a kernel; allocate, release and parallel_for are not
// called from a kernel.
struct dt_services {
    uint32_t size; // of this struct where the host was built
    uint32_t reserved;
    void *host; // the first argument of every function here
    // Returns zeroed memory, aligned to 64 bytes and counted as this backend's, or NULL if the
    // memory limit does not allow it. The backend owns it and releases it in destroy at the latest.
    void *(*allocate)(void *host, size_t bytes);
    // Frees a block; bytes is the size it was allocated with. NULL is ignored.
    void (*release)(void *host, void *block, size_t bytes);
    // Logs one line without a newline; level is an enum dt_backend_log_level. line is copied.
    void (*log)(void *host, int level, const char *line);
    // Runs body over [0, count) in pieces of at least `grain` items on the host's threads, and
    // returns when all are done. Not called from inside a body.
    void (*parallel_for)(void *host, dt_loop_body *body, void *arg, uint32_t count, uint32_t grain);
    // The number of workers of parallel_for, at least 1.
    uint32_t (*threads)(void *host);
};

// ---- the kernel table ----

enum dt_rope_style {
    DT_ROPE_PAIRS = 0,  // channels (0,1) (2,3) ...: llama2.c, and GGUF architecture llama
    DT_ROPE_HALVES = 1, // channels (0,n/2) (1,n/2+1) ...: qwen2 and others
};

struct dt_backend {
    uint32_t abi;            // [required] DT_BACKEND_ABI
    uint32_t size;           // [required] sizeof(struct dt_backend) where the module was built
    const char *name;        // [required] "int8": what users type; 1 to 31 of a-z and 0-9
    const char *variant;     // [optional] "avx512vnni"; "" or NULL for the only or baseline one
    const char *description; // [optional] one line; states the tolerance of approximate arithmetic
    const char *layout;      // [together with pack] name and version of the packed layout
    uint32_t row_tile;       // row ranges start at multiples of this; 1 to 4096, 0 means 1
    uint32_t form_count;     // [together with matmul] entries of forms, at most 8
    uint32_t forms[8];       // enum dt_form that matmul and embed read, best first

    // ---- life cycle ----

    // [required] The score of this module on this CPU, or 0 if it cannot run there. Of the variants
    // of one name the host takes the one with the highest score. Compiled without the instructions
    // it checks for. Any thread; before create.
    int (*probe)(const struct dt_cpu *cpu);
    // [optional] Creates the state that every kernel gets as ctx; NULL: ctx is NULL. services is
    // valid until destroy returns. Returns 0 and sets *ctx (it may stay NULL); or returns -1, with
    // one line in reason (at most reason_size bytes with the NUL) and nothing left allocated.
    int (*create)(const struct dt_services *services, void **ctx, char *reason, size_t reason_size);
    // [optional] Frees what create made. No kernel runs during or after it.
    void (*destroy)(void *ctx);

    // ---- matrices: the host takes these from one backend of a stack ----

    // [optional] 1 if matmul can multiply this matrix (form, cols, group, scale type), else 0.
    // NULL: every matrix whose form is in forms. Does not read weights: quants and scales may be
    // invalid pointers here.
    int (*can_matmul)(void *ctx, const struct dt_matrix *w);
    // [together with act_prepare] Bytes of the prepared activations of `columns` columns of w->cols
    // floats; does not decrease with more columns. 0, or a NULL entry: nothing is prepared, and
    // matmul reads the floats.
    size_t (*act_bytes)(void *ctx, const struct dt_matrix *w, uint32_t columns);
    // [together with act_bytes] Prepares the columns of x for matmul. act: act_bytes of scratch
    // memory, 64-byte aligned, owned by the host. Column c is the floats from x + c * x_stride on.
    // The result serves every matrix of the same form, cols and group. A backend of 8-bit
    // activations quantises each group of w->group values as llama2.c's runq.c does: scale =
    // max|x| / 127, q = round(x / scale), halves away from zero; q is 0 where the scale is 0.
    void (*act_prepare)(void *ctx, void *act, const float *x, size_t x_stride, uint32_t columns,
                        const struct dt_matrix *w);
    // [optional] out[c * out_stride + r] = row r of W times column c, for r in [row_begin, row_end)
    // and every column. act: as act_prepare wrote it for exactly these columns; or, if nothing is
    // prepared, the floats, with x_stride between columns. row_begin is a multiple of row_tile;
    // row_end is one too, or w->rows. NULL: this backend multiplies no matrix.
    void (*matmul)(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns);
    // [together with matmul] out[0 .. w->cols) = row `row` of w as floats, for every form in forms
    // and for PACKED matrices of this backend's layout.
    void (*embed)(void *ctx, float *out, const struct dt_matrix *w, uint32_t row);
    // [together with pack] Bytes of w in this backend's layout; 0 if it cannot be packed. w has one
    // of the forms in `forms`.
    size_t (*pack_bytes)(void *ctx, const struct dt_matrix *w);
    // [together with pack_bytes and layout; optional] Packs rows [row_begin, row_end) of w, ranged
    // as in matmul. packed: pack_bytes bytes for the whole matrix, 64-byte aligned, owned by the
    // host; the bytes do not depend on how the rows are split. They may go to a file and be read by
    // another run, so they hold no pointers. NULL: weights are used as they are in the file.
    void (*pack)(void *ctx, void *packed, const struct dt_matrix *w, uint32_t row_begin,
                 uint32_t row_end);

    // ---- operators: all optional; NULL means the one of the backend below in the stack ----

    // [optional] out = weight * (x / sqrt(mean(x^2) + epsilon)) for each column of n floats. out
    // may be x. Reference order: ss = the sum of x^2 in sequence; ss / n; + epsilon; 1 / sqrtf;
    // weight * (ss * x).
    void (*rmsnorm)(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                    const float *weight, uint32_t n, uint32_t columns, float epsilon);
    // [optional] Rotates the first `rotated` channels (an even number) of each of `heads` heads of
    // one position, in place: (a, b) -> (a cos - b sin, a sin + b cos). cosine and sine hold
    // rotated / 2 values each. style: enum dt_rope_style.
    void (*rope)(void *ctx, float *x, uint32_t heads, uint32_t head_size, uint32_t rotated,
                 const float *cosine, const float *sine, uint32_t style);
    // [optional] Attention of one position for the query heads [head_begin, head_end) of `heads`.
    // For each: score[e] = (q . key e) / divisor for entries 0 to entries - 1; softmax; out = the
    // sum of score[e] * value e, in the order of entries. q and out: heads * head_size floats; only
    // the range is read and written. scores: scratch memory of the calling thread, (head_end -
    // head_begin) * score_stride floats with any content; score_stride is padded and >= entries.
    // entries is at least 1.
    void (*attention)(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                      uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                      float *scores, size_t score_stride);
    // [optional] x = softmax(x) in place; n >= 1. Reference order: the maximum; exp(x - maximum);
    // their sum in sequence; a division.
    void (*softmax)(void *ctx, float *x, uint32_t n);
    // [optional] gate = silu(gate) * up, where silu(a) = a * (1 / (1 + exp(-a))).
    void (*silu_mul)(void *ctx, float *gate, const float *up, uint32_t n);
    // [optional] x = x + y.
    void (*add)(void *ctx, float *x, const float *y, uint32_t n);
    // [optional] The smallest index of the largest of x[0 .. n); n >= 1. It is the i that
    // `if (x[i] > x[best]) best = i` ends with, from best = 0 on, NaN included.
    uint32_t (*argmax)(void *ctx, const float *x, uint32_t n);
    // [optional] Writes every i with x[i] >= threshold to index, ascending, and returns how many.
    // index has space for n.
    uint32_t (*select)(void *ctx, const float *x, uint32_t n, float threshold, uint32_t *index);

    // ---- the shortlist: logits of only those tokens that can be sampled ----
    //
    // The last matrix of a model, the classifier, has one row for each token of the vocabulary, and
    // most rows give logits far below the largest. The host computes an upper bound of every logit
    // from two numbers a row (screen), then computes only the rows whose bound is high enough
    // (matmul_rows). The bounds hold for exact arithmetic, so the host adds what a kernel's own
    // arithmetic may be off by (act_error). The text does not change; fewer weights are read.
    // The host uses a shortlist if the backend of the classifier has matmul_rows, act_error and
    // embed; screen may come from another backend of the stack.

    // [together with act_error; optional] out[k] = row index[k] of W times one column, for k in [0,
    // count): the bits that matmul gives for that row. index is in any order. act: prepared for
    // one column, or its floats, as for matmul.
    void (*matmul_rows)(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const void *act);
    // [together with matmul_rows] A bound e >= 0 of the error of matmul for one column x, prepared
    // in act: for every row, |out[r] - W_r . x| <= e |W_r|, where W_r is the row as embed gives it,
    // W_r . x the exact product and |.| the Euclidean norm. By Cauchy and Schwarz e may be the sum
    // of |x' - x|, x' being the dequantised column, and of a bound of the
    // rounding of the sums, as a multiple of |x'|. e is a float, rounded up.
    float (*act_error)(void *ctx, const void *act, const float *x, const struct dt_matrix *w);
    // [optional] bounds[i] holds two bfloat16 numbers: a in its upper half, b in its lower half.
    // With u = a * along + b * across, each operation rounded to float, or fused: writes every i
    // whose u is not less than threshold to index, ascending, and returns how many. index has
    // space for n. *rest = the sum of 2^((u - threshold) * scale) over all other i, computed in any
    // order; never less than the exact sum, and at most 6.5 % more. scale >= 0 and finite.
    uint32_t (*screen)(void *ctx, const uint32_t *bounds, uint32_t n, float along, float across,
                       float threshold, float scale, uint32_t *index, double *rest);
    // [optional] Set it where reading rows one at a time through embed is slow. For r in
    // [row_begin, row_end), with k = r - row_begin and W_r as embed gives it: products[2 k] =
    // |W_r|^2, off by at most (cols / 8 + 40) 2^-24 |W_r|^2; products[2 k + 1] = W_r . direction,
    // off by at most (cols / 8 + 40) 2^-24 |W_r| |direction|. Returns 1; or 0, with nothing
    // written, if matmul_rows is not faster than matmul for this matrix. The host asks that with
    // an empty range and products and direction NULL; then it uses no shortlist.
    int (*row_products)(void *ctx, float *products, const struct dt_matrix *w, uint32_t row_begin,
                        uint32_t row_end, const float *direction);

    // ---- operators of structures other than llama's; as above, NULL means the one below ----

    // [optional] out = weight * ((x - mean) / sqrt(variance + epsilon)) + bias for each column of n
    // floats. out may be x; bias may be NULL (no bias). Reference order: the sum of x in sequence,
    // / n; the sum of (x - mean)^2 in sequence, / n; + epsilon; r = 1 / sqrtf; weight * ((x - mean)
    // * r); + bias.
    void (*layernorm)(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                      const float *weight, const float *bias, uint32_t n, uint32_t columns,
                      float epsilon);
    // [optional] x = gelu(x), in the approximation with tanh: x / 2 * (1 + tanh(sqrt(2 / pi) * (x +
    // 0.044715 x^3))), computed as x * (1 / (1 + exp(-(x * (a + b * (x * x)))))) with the floats
    // a = 2 sqrt(2 / pi) = 1.5957691216 and b = 0.044715 a = 0.0713548163.
    void (*gelu)(void *ctx, float *x, uint32_t n);
    // [optional] gate = gelu(gate) * up.
    void (*gelu_mul)(void *ctx, float *gate, const float *up, uint32_t n);
    // [optional] x = cap * tanh(x / cap), computed as cap * (1 - 2 / (1 + exp(2 * (x / cap)))).
    // cap > 0.
    void (*softcap)(void *ctx, float *x, uint32_t n, float cap);
    // [optional] attention with softcap(scores, cap) between the scores and the softmax.
    void (*attention_capped)(void *ctx, float *out, const float *q, const struct dt_kv *kv,
                             uint32_t heads, uint32_t head_begin, uint32_t head_end,
                             uint32_t entries, float divisor, float cap, float *scores,
                             size_t score_stride);

    // ---- more weight forms ----

    // [optional] Forms that matmul, matmul_rows, embed, pack and can_matmul read besides those of
    // `forms`, as a set of DT_FORM_BIT: Q4_K, Q5_K, Q6_K. Weights that have another form are never
    // converted to them.
    uint64_t more_forms;

    // ---- more KV caches ----

    // [optional] The caches that attention and attention_capped read: bit 1 << t for each enum
    // dt_kv_type t. 0: F32 and F16. The host uses the one below in the stack for others.
    uint32_t kv_types;
};

// Defines the module's table:
//     DT_BACKEND_EXPORT(name) = {.abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), ...};
// In a static build (DT_STATIC_MODULES) each backend has a symbol of its own, made from `name`.
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
