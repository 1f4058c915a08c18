// SPDX-License-Identifier: MIT
// A template as a tree. For core/text/jinja.c only.
#ifndef DT_CORE_JINJA_PARSER_H
#define DT_CORE_JINJA_PARSER_H

#include "core/text/jinja/jinja_lexer.h"

enum dt_jnode_type {
    // expressions
    DT_JN_CONST,   // value
    DT_JN_NAME,    // value
    DT_JN_LIST,    // a: items
    DT_JN_TUPLE,   // a: items
    DT_JN_DICT,    // a: keys and values by turns
    DT_JN_CHAIN,   // op: enum dt_jlevel; a: the first operand; b: OPERANDs
    DT_JN_OPERAND, // op: DT_JOP; a
    DT_JN_NOT,     // a
    DT_JN_SIGN,    // op: '-' or '+'; a
    DT_JN_COND,    // a if b else c (or NULL)
    DT_JN_ATTR,    // a.value
    DT_JN_ITEM,    // a[b]
    DT_JN_SLICE,   // a[b:c:d]; each may be NULL
    DT_JN_CALL,    // a(b: ARGs)
    DT_JN_ARG,     // a; value: its name; op: '*' or DT_JOP('*', '*') unpacks it
    DT_JN_FILTER,  // a | value(b)
    DT_JN_TEST,    // a is value(b); op 1: is not
    DT_JN_BODY,    // the text that a block's filters are applied to
    // statements
    DT_JN_DATA,         // value
    DT_JN_PRINT,        // a
    DT_JN_IF,           // a: BRANCHes
    DT_JN_BRANCH,       // a: condition, NULL for else; b: body
    DT_JN_FOR,          // for a in b if d: c, else: e
    DT_JN_SET,          // a = b; or c: body whose text, after the filters d, is the value
    DT_JN_MACRO,        // value(a: PARAMs): b
    DT_JN_PARAM,        // value = a (or NULL)
    DT_JN_CALLER,       // {% call(c: PARAMs) a %} b
    DT_JN_FILTER_BLOCK, // a: filters; b: body
    DT_JN_WITH,         // a: SETs; b: body
    DT_JN_GROUP,        // b: body, shown as it is
    DT_JN_DO,           // a
    DT_JN_BREAK,
    DT_JN_CONTINUE,
    DT_JN_UNSUPPORTED, // value: its name
};

// Binary operators, the weakest first.
enum dt_jlevel {
    DT_JL_OR,
    DT_JL_AND,
    DT_JL_NOT, // not a binary operator: its place in the order
    DT_JL_COMPARE,
    DT_JL_ADD,
    DT_JL_CONCAT,
    DT_JL_MULTIPLY,
    DT_JL_POWER,
    DT_JL_COUNT,
};

struct dt_jnode {
    uint8_t type; // enum dt_jnode_type
    uint16_t op;
    uint32_t line;
    struct dt_jvalue value;
    struct dt_jnode *a, *b, *c, *d, *e;
    struct dt_jnode *next; // in a list
};

struct dt_jparser {
    struct dt_jinja *j;
    struct dt_jtoken *at; // the next token; there is always one after it, or it is the END
    unsigned nested;
};

// Parses a template; NULL for an empty one and after a failure.
struct dt_jnode *dt_jinja_parse(struct dt_jinja *j, const char *source, size_t n);

// ---- shared by the parts of the parser ----

struct dt_jnode *dt_jnode_new(struct dt_jparser *p, enum dt_jnode_type type);
// Appends to a list that ends at *tail; returns the new end.
struct dt_jnode **dt_jnode_append(struct dt_jnode **tail, struct dt_jnode *node);
void dt_jparser_fail(struct dt_jparser *p, const char *expected);
void dt_jparser_advance(struct dt_jparser *p);
bool dt_jparser_is_name(const struct dt_jparser *p, const char *name);
bool dt_jparser_is_operator(const struct dt_jparser *p, uint16_t op);
// Moves past a token if it is this one.
bool dt_jparser_skip_name(struct dt_jparser *p, const char *name);
bool dt_jparser_skip(struct dt_jparser *p, uint16_t op);
void dt_jparser_expect(struct dt_jparser *p, uint16_t op, const char *what);
// The text of the next token, a name.
struct dt_jvalue dt_jparser_name(struct dt_jparser *p);

struct dt_jnode *dt_jparse_expression(struct dt_jparser *p);
// Expressions with commas between them: a tuple. conditional: "if" belongs to them.
struct dt_jnode *dt_jparse_tuple(struct dt_jparser *p, bool conditional);
// The filters and tests after an expression.
struct dt_jnode *dt_jparse_filters(struct dt_jparser *p, struct dt_jnode *node);

#endif
