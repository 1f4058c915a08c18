// SPDX-License-Identifier: MIT
// Shared by the checks of operators: the module under test, random numbers, and memory that ends at
// an unreadable page.
#ifndef DT_VERBS_VERIFY_HARNESS_H
#define DT_VERBS_VERIFY_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/backend.h"

// The module under test. One operator is checked at a time, in a process of its own.
struct dt_rig {
    struct dt_backend table; // completed to this program's size
    void *ctx;
    bool integer; // its products and rmsnorm must give the reference's bits
    bool exact;   // softmax, silu_mul and attention must give the reference's bits
    uint64_t state;
    uint32_t index; // of the shape
};

extern struct dt_rig dt_rig;

// Describes the shape to be checked, for the report of a fault or crash.
void dt_rig_shape(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Reports a fault of the kernel and ends the process.
_Noreturn void dt_rig_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Fails if two arrays of floats differ: in any bit, or by more than relative * |expected| +
// absolute. The message names the first such value.
void dt_rig_same_bits(const char *what, const float *got, const float *expected, size_t n);
void dt_rig_near(const char *what, const float *got, const float *expected, size_t n,
                 double relative, double absolute);

// Random numbers.
uint32_t dt_rig_below(uint32_t n);                   // 0 to n - 1
uint32_t dt_rig_between(uint32_t from, uint32_t to); // both included; small values are likely
float dt_rig_normal(void); // about N(0, 1), sometimes 0 or 30 times as large
void dt_rig_fill(float *x, size_t n, float scale); // with dt_rig_normal() * scale

// Allocates `bytes` bytes that end `tail` bytes before an unreadable page, with any alignment.
// dt_rig_free frees all of them.
void *dt_rig_guarded(size_t bytes, size_t tail);
// The same for floats, aligned and padded to 64 bytes, as activations and outputs are.
float *dt_rig_floats(size_t count);
void dt_rig_free(void);

// One of the forms that the module computes.
uint32_t dt_rig_form(void);
// A random matrix in guarded memory. group is used for I8 only.
struct dt_matrix dt_rig_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group);
// The value (row, col) of a matrix of a float form, in double.
double dt_rig_value(const struct dt_matrix *w, uint32_t row, uint32_t col);

uint16_t dt_rig_to_half(float f); // subnormal halves become 0

// One operator: checks one random shape.
struct dt_rig_operator {
    const char *name;
    bool (*present)(void); // whether the module has it
    void (*check)(void);
};

extern const struct dt_rig_operator dt_rig_operators[];
extern const size_t dt_rig_operator_count;

// The check of matrices, in matmul.c.
void dt_rig_check_matmul(void);

#endif
