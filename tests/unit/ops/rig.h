// SPDX-License-Identifier: MIT
// What the operator tests share: the module under test, numbers, and memory that ends at a page
// nobody may read.
#ifndef DT_TESTS_OPS_RIG_H
#define DT_TESTS_OPS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/backend.h"

struct rig {
    const struct dt_backend *table; // the module
    void *ctx;
    bool integer; // its matrices must give the reference's bits; else they are checked against
                  // doubles
    bool exact;   // so must its exponentials
    uint64_t state;
};

extern struct rig rig;

uint64_t rig_random(void);
uint32_t rig_below(uint32_t n); // 0 .. n - 1
uint32_t rig_between(uint32_t from,
                     uint32_t to); // both included; odd sizes and small ones are likely
float rig_normal(void);            // about N(0, 1), now and then 0 or 30 times as large

// `bytes` bytes that end `tail` bytes before an unreadable page, whatever alignment that gives.
// Freed all together by rig_free.
void *rig_guarded(size_t bytes, size_t tail);
// 64-byte aligned and padded to it: activations and outputs.
float *rig_floats(size_t count);
void rig_free(void);

// A random matrix of a form in guarded memory (each of its parts); group as the form has it, or as
// given for I8.
struct dt_matrix rig_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group);
// Value (row, col) in double.
double rig_value(const struct dt_matrix *w, uint32_t row, uint32_t col);

float rig_half(uint16_t h);
uint16_t rig_to_half(float f); // of values that are not subnormal halves

void rig_matmul_tests(void **state);
void rig_speed(void);

#endif
