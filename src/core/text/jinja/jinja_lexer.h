// SPDX-License-Identifier: MIT
// A template as tokens. For core/text/jinja.c only.
#ifndef DT_CORE_JINJA_LEXER_H
#define DT_CORE_JINJA_LEXER_H

#include "core/text/jinja/jinja_value.h"

enum dt_jtoken_type {
    DT_JT_END, // of the template; its first token too, so that a token before always exists
    DT_JT_DATA,
    DT_JT_PRINT, // {{
    DT_JT_PRINT_END,
    DT_JT_BLOCK, // {%
    DT_JT_BLOCK_END,
    DT_JT_NAME,
    DT_JT_STRING, // with its quotes
    DT_JT_INT,
    DT_JT_REAL,
    DT_JT_OPERATOR,
};

// One or two characters of an operator as a number.
#define DT_JOP(a, b) ((uint16_t)((a) | (b) << 8))

struct dt_jtoken {
    uint8_t type;
    uint16_t op; // OPERATOR: DT_JOP
    uint32_t line;
    const char *at;
    uint32_t n;
};

struct dt_jtokens {
    struct dt_jtoken *at;
    uint32_t count, capacity;
};

// Splits a template; the list ends with an END token, also after a failure if at is not NULL.
void dt_jinja_lex(struct dt_jinja *j, const char *source, size_t n, struct dt_jtokens *out);

#endif
