// SPDX-License-Identifier: MIT
// What is done when a text is longer than its context.
#ifndef DT_CORE_OVERFLOW_H
#define DT_CORE_OVERFLOW_H

#include <stddef.h>
#include <stdint.h>

enum dt_overflow {
    DT_OVERFLOW_STOP,   // the text ends
    DT_OVERFLOW_NEW,    // the text ends, and the next one begins in an empty context
    DT_OVERFLOW_SHIFT,  // the older half is dropped, and the rest evaluated again
    DT_OVERFLOW_WINDOW, // the oldest quarter is dropped from the KV cache; nothing is evaluated
};

// The policy of a name: "stop", "new", "shift" or "window"; STOP for any other.
enum dt_overflow dt_overflow_of(const char *name);

// How many tokens at the beginning are never dropped, where `wanted` are to stay: at least the
// attention sinks, at most half of the context, and fewer than its tokens.
uint32_t dt_overflow_pinned(uint32_t capacity, size_t wanted);

// How many tokens behind them a window drops at once.
uint32_t dt_overflow_drop(uint32_t capacity, uint32_t pinned);

#endif
