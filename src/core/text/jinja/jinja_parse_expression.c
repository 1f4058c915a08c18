// SPDX-License-Identifier: MIT
// Expressions, with Jinja's precedences.
#include "base/bytes.h"
#include "base/text.h"
#include "core/text/jinja/jinja_parser.h"

// ---- constants ----

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static struct dt_jvalue integer(struct dt_jparser *p, const struct dt_jtoken *t)
{
    int64_t value = 0;
    int base = 10;
    uint32_t i = 0;
    if (t->n > 2 && t->at[0] == '0' && t->at[1] > '9') {
        char kind = (char)(t->at[1] | 0x20);
        base = kind == 'x' ? 16 : kind == 'o' ? 8 : 2;
        i = 2;
    }
    for (; i < t->n; i++) {
        if (t->at[i] == '_')
            continue;
        int digit = digit_of(t->at[i]);
        if (digit >= base || value > (INT64_MAX - digit) / base) {
            dt_jinja_fail(p->j, DT_UNSUPPORTED, "the number %.*s is not supported",
                          t->n < 40 ? (int)t->n : 40, t->at);
            break;
        }
        value = value * base + digit;
    }
    return dt_jint(value);
}

static struct dt_jvalue real(const struct dt_jtoken *t)
{
    double value = 0, scale = 1;
    int places = 0, exponent = 0, sign = 1;
    uint32_t i = 0;
    bool fraction = false;
    for (; i < t->n && (t->at[i] | 0x20) != 'e'; i++) {
        fraction = fraction || t->at[i] == '.';
        if (digit_of(t->at[i]) > 9)
            continue;
        value = value * 10 + digit_of(t->at[i]);
        places += fraction;
    }
    for (i++; i < t->n; i++) {
        sign = t->at[i] == '-' ? -1 : sign;
        if (digit_of(t->at[i]) <= 9 && exponent < 1000)
            exponent = exponent * 10 + digit_of(t->at[i]);
    }
    exponent = sign * exponent - places;
    for (int k = exponent < 0 ? -exponent : exponent; k > 0 && scale < 1e300; k--)
        scale *= 10;
    return dt_jreal(exponent < 0 ? value / scale : value * scale);
}

// Reads the escape at s[at]; writes its bytes to out[4] and their number to *length. Returns the
// bytes read; 0: not an escape, so that the backslash is text.
static size_t escape(const char *s, size_t n, size_t at, char *out, size_t *length)
{
    static const char letters[] = "ntr\\'\"abfv0", bytes[] = "\n\t\r\\'\"\a\b\f\v";
    char c = at + 1 < n ? s[at + 1] : 0;
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t code = 0;
    *length = 0;
    if (c == '\n')
        return 2;
    if (digits) {
        for (size_t i = 0; i < digits; i++) {
            int digit = at + 2 + i < n ? digit_of(s[at + 2 + i]) : 99;
            if (digit > 15)
                return 0;
            code = code << 4 | (uint32_t)digit;
        }
        *length = dt_utf8_encode(code, out);
        return 2 + digits;
    }
    if (c >= '0' && c <= '7') {
        size_t i = 1;
        for (; i < 4 && at + i < n && s[at + i] >= '0' && s[at + i] <= '7'; i++)
            code = code * 8 + (uint32_t)(s[at + i] - '0');
        *length = dt_utf8_encode(code, out);
        return i;
    }
    const char *found = c ? strchr(letters, c) : NULL;
    if (!found)
        return 0;
    *out = bytes[found - letters];
    *length = 1;
    return 2;
}

static void string(struct dt_jparser *p, struct dt_jbuffer *b)
{
    const char *s = p->at->at + 1;
    size_t n = p->at->n - 2, plain = 0, length;
    char out[4];
    for (size_t at = 0; at < n && !p->j->status;) {
        size_t read = s[at] == '\\' ? escape(s, n, at, out, &length) : 0;
        if (!read) {
            at++;
            continue;
        }
        dt_jbuffer_put(p->j, b, s + plain, at - plain, NULL);
        dt_jbuffer_put(p->j, b, out, length, NULL);
        plain = at += read;
    }
    dt_jbuffer_put(p->j, b, s + plain, n - plain, NULL);
    dt_jparser_advance(p);
}

// ---- primaries ----

static struct dt_jnode *constant(struct dt_jparser *p, struct dt_jvalue value)
{
    struct dt_jnode *node = dt_jnode_new(p, DT_JN_CONST);
    if (node)
        node->value = value;
    return node;
}

static struct dt_jnode *name(struct dt_jparser *p)
{
    static const char *const reserved[] = {"and", "or", "not", "in", "is", "if", "else", "elif"};
    struct dt_jvalue none = {.kind = DT_JNONE}, text = dt_jtext(p->at->at, p->at->n);
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (dt_jis(text, reserved[i])) {
            dt_jparser_fail(p, "a value");
            return NULL;
        }
    dt_jparser_advance(p);
    if (dt_jis(text, "true") || dt_jis(text, "True"))
        return constant(p, dt_jbool(true));
    if (dt_jis(text, "false") || dt_jis(text, "False"))
        return constant(p, dt_jbool(false));
    if (dt_jis(text, "none") || dt_jis(text, "None"))
        return constant(p, none);
    struct dt_jnode *node = dt_jnode_new(p, DT_JN_NAME);
    if (node)
        node->value = text;
    return node;
}

// The items of [ ] or { } up to the closing mark; pairs: keys and values.
static struct dt_jnode *items(struct dt_jparser *p, enum dt_jnode_type type, char close)
{
    struct dt_jnode *node = dt_jnode_new(p, type);
    struct dt_jnode **tail = node ? &node->a : NULL;
    dt_jparser_advance(p);
    while (!p->j->status && !dt_jparser_is_operator(p, DT_JOP(close, 0))) {
        tail = dt_jnode_append(tail, dt_jparse_expression(p));
        if (type == DT_JN_DICT) {
            dt_jparser_expect(p, DT_JOP(':', 0), ":");
            tail = dt_jnode_append(tail, dt_jparse_expression(p));
        }
        if (!dt_jparser_skip(p, DT_JOP(',', 0)))
            break;
    }
    dt_jparser_expect(p, DT_JOP(close, 0), close == ']' ? "]" : "}");
    return node;
}

static struct dt_jnode *primary(struct dt_jparser *p)
{
    struct dt_jtoken *t = p->at;
    if (p->j->status)
        return NULL;
    if (t->type == DT_JT_NAME)
        return name(p);
    if (t->type == DT_JT_STRING) {
        struct dt_jbuffer b = {0};
        while (p->at->type == DT_JT_STRING && !p->j->status) // adjacent ones are one text
            string(p, &b);
        return constant(p, dt_jbuffer_value(&b));
    }
    if (t->type == DT_JT_INT || t->type == DT_JT_REAL) {
        dt_jparser_advance(p);
        return constant(p, t->type == DT_JT_INT ? integer(p, t) : real(t));
    }
    if (dt_jparser_is_operator(p, DT_JOP('[', 0)))
        return items(p, DT_JN_LIST, ']');
    if (dt_jparser_is_operator(p, DT_JOP('{', 0)))
        return items(p, DT_JN_DICT, '}');
    if (dt_jparser_skip(p, DT_JOP('(', 0))) {
        struct dt_jnode *node = dt_jparser_is_operator(p, DT_JOP(')', 0))
                                    ? dt_jnode_new(p, DT_JN_TUPLE)
                                    : dt_jparse_tuple(p, true);
        dt_jparser_expect(p, DT_JOP(')', 0), ")");
        return node;
    }
    dt_jparser_fail(p, "a value");
    return NULL;
}

// ---- what follows a primary ----

// The arguments after "(", and the ")".
static struct dt_jnode *arguments(struct dt_jparser *p)
{
    struct dt_jnode *first = NULL, **tail = &first;
    while (!p->j->status && !dt_jparser_is_operator(p, DT_JOP(')', 0))) {
        struct dt_jnode *arg = dt_jnode_new(p, DT_JN_ARG);
        if (!arg)
            break;
        if (dt_jparser_is_operator(p, DT_JOP('*', 0)) ||
            dt_jparser_is_operator(p, DT_JOP('*', '*'))) {
            arg->op = p->at->op;
            dt_jparser_advance(p);
        } else if (p->at->type == DT_JT_NAME && p->at[1].type == DT_JT_OPERATOR &&
                   p->at[1].op == DT_JOP('=', 0)) {
            arg->value = dt_jparser_name(p);
            dt_jparser_advance(p);
        }
        arg->a = dt_jparse_expression(p);
        tail = dt_jnode_append(tail, arg);
        if (!dt_jparser_skip(p, DT_JOP(',', 0)))
            break;
    }
    dt_jparser_expect(p, DT_JOP(')', 0), ")");
    return first;
}

static struct dt_jnode *call(struct dt_jparser *p, struct dt_jnode *callee)
{
    struct dt_jnode *node = dt_jnode_new(p, DT_JN_CALL);
    dt_jparser_advance(p);
    if (node) {
        node->a = callee;
        node->b = arguments(p);
    }
    return node;
}

// A part of a slice, up to ":" or "]"; NULL: not given.
static struct dt_jnode *slice_part(struct dt_jparser *p)
{
    bool absent =
        dt_jparser_is_operator(p, DT_JOP(':', 0)) || dt_jparser_is_operator(p, DT_JOP(']', 0));
    return absent ? NULL : dt_jparse_expression(p);
}

static struct dt_jnode *subscript(struct dt_jparser *p, struct dt_jnode *of)
{
    struct dt_jnode *node = dt_jnode_new(p, DT_JN_ITEM);
    dt_jparser_advance(p);
    if (!node)
        return NULL;
    node->a = of;
    node->b = slice_part(p);
    if (dt_jparser_skip(p, DT_JOP(':', 0))) {
        node->type = DT_JN_SLICE;
        node->c = slice_part(p);
        if (dt_jparser_skip(p, DT_JOP(':', 0)))
            node->d = slice_part(p);
    } else if (!node->b) {
        dt_jparser_fail(p, "an index");
    }
    dt_jparser_expect(p, DT_JOP(']', 0), "]");
    return node;
}

static struct dt_jnode *postfix(struct dt_jparser *p, struct dt_jnode *node)
{
    while (!p->j->status) {
        if (dt_jparser_skip(p, DT_JOP('.', 0))) {
            struct dt_jnode *of = node;
            node = dt_jnode_new(p, DT_JN_ATTR);
            if (!node)
                break;
            node->a = of;
            if (p->at->type == DT_JT_INT) {
                node->type = DT_JN_ITEM;
                node->b = constant(p, integer(p, p->at));
                dt_jparser_advance(p);
            } else {
                node->value = dt_jparser_name(p);
            }
        } else if (dt_jparser_is_operator(p, DT_JOP('[', 0))) {
            node = subscript(p, node);
        } else if (dt_jparser_is_operator(p, DT_JOP('(', 0))) {
            node = call(p, node);
        } else {
            break;
        }
    }
    return node;
}

static struct dt_jvalue dotted_name(struct dt_jparser *p)
{
    struct dt_jvalue text = dt_jparser_name(p);
    while (dt_jparser_skip(p, DT_JOP('.', 0))) {
        struct dt_jvalue more = dt_jparser_name(p);
        if (!p->j->status)
            text.n = (uint32_t)(more.as.text + more.n - text.as.text);
    }
    return text;
}

static bool begins_argument(const struct dt_jparser *p)
{
    static const char *const not [] = {"else", "or", "and", "if", "in", "not", "is", "recursive"};
    for (size_t i = 0; i < sizeof not / sizeof *not ; i++)
        if (dt_jparser_is_name(p, not [i]))
            return false;
    return p->at->type == DT_JT_NAME || p->at->type == DT_JT_STRING || p->at->type == DT_JT_INT ||
           p->at->type == DT_JT_REAL || dt_jparser_is_operator(p, DT_JOP('[', 0)) ||
           dt_jparser_is_operator(p, DT_JOP('{', 0));
}

static struct dt_jnode *test(struct dt_jparser *p, struct dt_jnode *of)
{
    struct dt_jnode *node = dt_jnode_new(p, DT_JN_TEST);
    dt_jparser_advance(p);
    if (!node)
        return NULL;
    node->a = of;
    node->op = dt_jparser_skip_name(p, "not");
    node->value = dotted_name(p);
    if (dt_jparser_skip(p, DT_JOP('(', 0))) {
        node->b = arguments(p);
    } else if (begins_argument(p)) {
        node->b = dt_jnode_new(p, DT_JN_ARG);
        if (node->b)
            node->b->a = postfix(p, primary(p));
    }
    return node;
}

struct dt_jnode *dt_jparse_filters(struct dt_jparser *p, struct dt_jnode *node)
{
    while (!p->j->status) {
        if (dt_jparser_skip(p, DT_JOP('|', 0))) {
            struct dt_jnode *of = node;
            node = dt_jnode_new(p, DT_JN_FILTER);
            if (!node)
                break;
            node->a = of;
            node->value = dotted_name(p);
            if (dt_jparser_skip(p, DT_JOP('(', 0)))
                node->b = arguments(p);
        } else if (dt_jparser_is_name(p, "is")) {
            node = test(p, node);
        } else if (dt_jparser_is_operator(p, DT_JOP('(', 0))) {
            node = call(p, node);
        } else {
            break;
        }
    }
    return node;
}

// ---- operators ----

static struct dt_jnode *unary(struct dt_jparser *p, bool filters)
{
    struct dt_jnode *node;
    if (++p->nested > DT_JINJA_DEPTH_MOST)
        dt_jinja_fail(p->j, DT_UNSUPPORTED, "expressions are nested more than %u deep",
                      DT_JINJA_DEPTH_MOST);
    if (!p->j->status &&
        (dt_jparser_is_operator(p, DT_JOP('-', 0)) || dt_jparser_is_operator(p, DT_JOP('+', 0)))) {
        node = dt_jnode_new(p, DT_JN_SIGN);
        if (node) {
            node->op = p->at->op;
            dt_jparser_advance(p);
            node->a = unary(p, false);
        }
    } else {
        node = primary(p);
    }
    node = postfix(p, node);
    p->nested--;
    return filters ? dt_jparse_filters(p, node) : node;
}

// The operator of this level at the next token, or 0. "not in" is DT_JOP('n', 'i').
static uint16_t operator_at(const struct dt_jparser *p, enum dt_jlevel level)
{
    static const uint16_t compares[] = {DT_JOP('=', '='), DT_JOP('!', '='), DT_JOP('<', 0),
                                        DT_JOP('>', 0),   DT_JOP('<', '='), DT_JOP('>', '=')};
    static const uint16_t others[][4] = {
        [DT_JL_ADD] = {DT_JOP('+', 0), DT_JOP('-', 0)},
        [DT_JL_CONCAT] = {DT_JOP('~', 0)},
        [DT_JL_MULTIPLY] = {DT_JOP('*', 0), DT_JOP('/', 0), DT_JOP('/', '/'), DT_JOP('%', 0)},
        [DT_JL_POWER] = {DT_JOP('*', '*')},
    };
    if (level == DT_JL_OR || level == DT_JL_AND)
        return dt_jparser_is_name(p, level == DT_JL_OR ? "or" : "and");
    if (level == DT_JL_COMPARE) {
        if (dt_jparser_is_name(p, "in"))
            return DT_JOP('i', 'n');
        if (dt_jparser_is_name(p, "not") && p->at[1].type == DT_JT_NAME &&
            dt_read_is(p->at[1].at, p->at[1].n, "in"))
            return DT_JOP('n', 'i');
        for (size_t i = 0; i < sizeof compares / sizeof *compares; i++)
            if (dt_jparser_is_operator(p, compares[i]))
                return compares[i];
        return 0;
    }
    for (size_t i = 0; i < 4; i++)
        if (others[level][i] && dt_jparser_is_operator(p, others[level][i]))
            return others[level][i];
    return 0;
}

static struct dt_jnode *parse_level(struct dt_jparser *p, enum dt_jlevel level)
{
    struct dt_jnode *node, *chain = NULL, **tail = NULL;
    uint16_t op;
    if (p->j->status)
        return NULL;
    if (level == DT_JL_COUNT)
        return unary(p, true);
    if (level == DT_JL_NOT) {
        if (!dt_jparser_is_name(p, "not"))
            return parse_level(p, level + 1);
        node = dt_jnode_new(p, DT_JN_NOT);
        dt_jparser_advance(p);
        if (++p->nested > DT_JINJA_DEPTH_MOST)
            dt_jinja_fail(p->j, DT_UNSUPPORTED, "expressions are nested more than %u deep",
                          DT_JINJA_DEPTH_MOST);
        if (node)
            node->a = parse_level(p, level);
        p->nested--;
        return node;
    }
    node = parse_level(p, level + 1);
    while (!p->j->status && (op = operator_at(p, level)) != 0) {
        if (!chain) {
            chain = dt_jnode_new(p, DT_JN_CHAIN);
            if (!chain)
                return NULL;
            chain->op = (uint16_t)level;
            chain->a = node;
            tail = &chain->b;
        }
        struct dt_jnode *operand = dt_jnode_new(p, DT_JN_OPERAND);
        if (!operand)
            return NULL;
        dt_jparser_advance(p);
        if (op == DT_JOP('n', 'i'))
            dt_jparser_advance(p);
        operand->op = op;
        operand->a = parse_level(p, level + 1);
        tail = dt_jnode_append(tail, operand);
    }
    return chain ? chain : node;
}

struct dt_jnode *dt_jparse_expression(struct dt_jparser *p)
{
    if (++p->nested > DT_JINJA_DEPTH_MOST)
        dt_jinja_fail(p->j, DT_UNSUPPORTED, "expressions are nested more than %u deep",
                      DT_JINJA_DEPTH_MOST);
    struct dt_jnode *node = parse_level(p, DT_JL_OR);
    while (!p->j->status && dt_jparser_skip_name(p, "if")) {
        struct dt_jnode *then = node;
        node = dt_jnode_new(p, DT_JN_COND);
        if (!node)
            break;
        node->a = then;
        node->b = parse_level(p, DT_JL_OR);
        if (dt_jparser_skip_name(p, "else"))
            node->c = dt_jparse_expression(p);
    }
    p->nested--;
    return node;
}

struct dt_jnode *dt_jparse_tuple(struct dt_jparser *p, bool conditional)
{
    struct dt_jnode *first = conditional ? dt_jparse_expression(p) : parse_level(p, DT_JL_OR),
                    *tuple = NULL, **tail = NULL;
    while (!p->j->status && dt_jparser_skip(p, DT_JOP(',', 0))) {
        if (!tuple) {
            tuple = dt_jnode_new(p, DT_JN_TUPLE);
            tail = tuple ? dt_jnode_append(&tuple->a, first) : NULL;
        }
        if (p->at->type == DT_JT_BLOCK_END || p->at->type == DT_JT_PRINT_END ||
            dt_jparser_is_operator(p, DT_JOP(')', 0)) || dt_jparser_is_operator(p, DT_JOP('=', 0)))
            break;
        tail =
            dt_jnode_append(tail, conditional ? dt_jparse_expression(p) : parse_level(p, DT_JL_OR));
    }
    return tuple ? tuple : first;
}
