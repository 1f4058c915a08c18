// SPDX-License-Identifier: MIT
// Blocks of 256 values in runs with scales of their own: Q4_K, Q5_K and Q6_K, as integers. Pure:
// any thread.
#ifndef DT_CORE_K_BLOCK_H
#define DT_CORE_K_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define DT_K_VALUES 256u

// Value i, of run r = i / run, is d * scale[r] * level[i] - m * minimum[r].
struct dt_k_block {
    float d, m;
    uint32_t run; // values in a run: 32, or 16 in Q6_K
    int8_t level[DT_K_VALUES];
    int8_t scale[16];
    uint8_t minimum[16]; // 0 in Q6_K
};

// Q4_K, Q5_K or Q6_K.
bool dt_k_has(uint32_t form);

// Reads a block of such a form, of any alignment.
void dt_k_block_read(uint32_t form, const unsigned char *block, struct dt_k_block *out);

// The product of a block and 256 quantised activations: d * a - m * b with exact a and b, rounded
// to a float once.
float dt_k_block_dot(const struct dt_k_block *block, const int8_t *x);

#endif
