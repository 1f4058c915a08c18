// SPDX-License-Identifier: MIT
// Figures as text, the same in every front end.
#ifndef DT_UI_COMMON_FIGURES_H
#define DT_UI_COMMON_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "app/api.h"

// A size in at most five characters: "12M", "1.3M". Returns out.
const char *ui_size_text(uint64_t bytes, char *out, size_t size);

// "ctx 480/512"; of a story whose oldest part was dropped, "ctx 480/512 of 2310 (window)": tokens
// in the context, its capacity, tokens of the story, and the policy. At most 63 bytes. Returns out.
const char *ui_context_text(const struct dt_app_figures *figures, char *out, size_t size);

// One line: tokens, tok/s, first-token time, context used/total, RSS, anonymous memory,
// MemAvailable, major faults, stack, threads, seed. `live`: the speed of the last second instead of
// the mean, and no first-token time. Returns out.
const char *ui_figures_line(const struct dt_app_figures *figures, int live, char *out, size_t size);

#endif
