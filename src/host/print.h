// SPDX-License-Identifier: MIT
// Printing for people: what a verb writes to a terminal or a pipe, unless it is JSON.
#ifndef DT_HOST_PRINT_H
#define DT_HOST_PRINT_H

#include <stdio.h>

// fprintf for text that may hold foreign strings: the whole passes dt_text_clean, with newlines and
// tabs kept. A name that must stay on its line passes dt_text_clean with DT_TEXT_LINE first.
// A failed write is found by ferror(out). Any thread.
void dt_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
