// SPDX-License-Identifier: MIT
// Weights that are not all in memory: whoever multiplies asks for them in row ranges, in the order
// in which a pass uses the matrices. A row's result does not depend on the range it is computed in,
// so no bit of a result depends on the supply.
#ifndef DT_CORE_SUPPLY_H
#define DT_CORE_SUPPLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/backend.h"

// Rows [begin, end) of a matrix; row 0 of `matrix` is its row `begin`.
struct dt_supplied {
    struct dt_matrix matrix;
    uint32_t end;
};

struct dt_supply {
    void *host;
    // Waits until the rows of matrix number `index` from `row` on are in memory, as many as the
    // host likes, and describes them in *out; row is 0 or the end of the range before. They stay
    // until `done`. False if *cancel (may be NULL) was set meanwhile; then nothing is to be given
    // back. If the rows cannot be read, they are zeros, and the host knows.
    bool (*rows)(void *host, uint32_t index, uint32_t row, const atomic_int *cancel,
                 struct dt_supplied *out);
    // The rows that the last call of `rows` gave are not needed any more.
    void (*done)(void *host);
};

#endif
