// SPDX-License-Identifier: MIT
#include "core/text/jinja/jinja_lexer.h"

#include "base/bytes.h"
#include "base/text.h"

struct lexer {
    struct dt_jinja *j;
    const char *source;
    size_t at, n;
    bool line_start; // the last tag ended with a newline, or there was none
    struct dt_jtokens *out;
};

static void push(struct lexer *l, enum dt_jtoken_type type, size_t begin, size_t end)
{
    struct dt_jtokens *out = l->out;
    if (out->count == out->capacity) {
        uint32_t capacity = out->capacity ? 2 * out->capacity : 128;
        struct dt_jtoken *more = dt_jinja_alloc(l->j, (size_t)capacity * sizeof *more);
        if (!more)
            return;
        if (out->count)
            memcpy(more, out->at, out->count * sizeof *more);
        out->at = more;
        out->capacity = capacity;
    }
    out->at[out->count++] = (struct dt_jtoken){.type = (uint8_t)type,
                                               .line = l->j->line,
                                               .at = l->source + begin,
                                               .n = (uint32_t)(end - begin)};
}

static void fail(struct lexer *l, const char *what)
{
    dt_jinja_fail(l->j, DT_BAD_INPUT, "%s", what);
}

// Moves to byte `to`, counting lines.
static void move(struct lexer *l, size_t to)
{
    for (; l->at < to; l->at++)
        l->j->line += l->source[l->at] == '\n';
}

static bool here(const struct lexer *l, size_t at, const char *word)
{
    size_t n = strlen(word);
    return at <= l->n && n <= l->n - at && memcmp(l->source + at, word, n) == 0;
}

// The byte after the white space at `at`.
static size_t after_spaces(const struct lexer *l, size_t at)
{
    uint32_t code;
    while (at < l->n) {
        size_t n = dt_utf8_decode(l->source + at, l->n - at, &code);
        if (!dt_jspace(code))
            break;
        at += n;
    }
    return at;
}

// The end of source[begin..end) without the white space before it.
static size_t before_spaces(const struct lexer *l, size_t begin, size_t end)
{
    return begin +
           dt_jstrip(dt_jtext(l->source + begin, end - begin), (struct dt_jvalue){0}, false, true)
               .n;
}

// The end of the data before a block: what is only white space on the block's line is dropped.
static size_t before_indent(const struct lexer *l, size_t begin, size_t end)
{
    size_t line = end;
    while (line > begin && l->source[line - 1] != '\n')
        line--;
    return (line > begin || l->line_start) && after_spaces(l, line) >= end ? line : end;
}

// Ends a tag at its mark (which "-" or "+" may precede): drops what the mark says of the text
// after it.
static void end_tag(struct lexer *l, size_t mark, char sign, bool block)
{
    size_t to = mark + 2;
    if (sign == '-')
        to = after_spaces(l, to);
    else if (sign != '+' && block && to < l->n && l->source[to] == '\n')
        to++;
    l->line_start = l->source[to - 1] == '\n';
    move(l, to);
}

// ---- inside tags ----

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool is_digit(const struct lexer *l, size_t at)
{
    return at < l->n && l->source[at] >= '0' && l->source[at] <= '9';
}

static size_t after_digits(const struct lexer *l, size_t at)
{
    while (is_digit(l, at) || (at < l->n && l->source[at] == '_' && is_digit(l, at + 1)))
        at++;
    return at;
}

static void number(struct lexer *l)
{
    size_t begin = l->at, end = after_digits(l, begin), exponent;
    bool real = false;
    if (l->source[begin] == '0' && begin + 1 < l->n && strchr("xXoObB", l->source[begin + 1])) {
        end = begin + 2;
        while (end < l->n && is_word(l->source[end]))
            end++;
    } else {
        if (end < l->n && l->source[end] == '.' && is_digit(l, end + 1)) {
            real = true;
            end = after_digits(l, end + 1);
        }
        exponent = end + 1;
        if (end < l->n && (l->source[end] == 'e' || l->source[end] == 'E')) {
            exponent +=
                exponent < l->n && (l->source[exponent] == '+' || l->source[exponent] == '-');
            real = real || is_digit(l, exponent);
            end = is_digit(l, exponent) ? after_digits(l, exponent) : end;
        }
    }
    push(l, real ? DT_JT_REAL : DT_JT_INT, begin, end);
    move(l, end);
}

static void string(struct lexer *l)
{
    size_t begin = l->at, end = begin + 1;
    while (end < l->n && l->source[end] != l->source[begin])
        end += l->source[end] == '\\' ? 2 : 1;
    if (end >= l->n) {
        fail(l, "a text in quotes does not end");
        return;
    }
    push(l, DT_JT_STRING, begin, end + 1);
    move(l, end + 1);
}

static int operator(struct lexer *l)
{
    static const char *const twos[] = {"//", "**", "==", "!=", ">=", "<="};
    char c = l->source[l->at];
    size_t length = 1;
    if (!c || !strchr("+-/*%~[](){}=!><.:|,;", c)) {
        dt_jinja_fail(l->j, DT_BAD_INPUT, "unexpected character '%c'", c);
        return 0;
    }
    for (size_t i = 0; i < sizeof twos / sizeof *twos; i++)
        if (here(l, l->at, twos[i]))
            length = 2;
    push(l, DT_JT_OPERATOR, l->at, l->at + length);
    if (!l->j->status)
        l->out->at[l->out->count - 1].op = DT_JOP(c, length == 2 ? l->source[l->at + 1] : 0);
    move(l, l->at + length);
    return strchr("([{", c) ? 1 : strchr(")]}", c) ? -1 : 0;
}

// The inside of {{ }} or {% %}, with its end.
static void inside(struct lexer *l, bool block)
{
    const char *mark = block ? "%}" : "}}";
    int nested = 0;
    while (!l->j->status) {
        move(l, after_spaces(l, l->at));
        if (l->at >= l->n) {
            fail(l, block ? "a tag that begins with {% does not end"
                          : "a tag that begins with {{ does not end");
            return;
        }
        char c = l->source[l->at];
        bool sign = c == '-' || (c == '+' && block);
        if (nested <= 0 && here(l, l->at + sign, mark)) {
            push(l, block ? DT_JT_BLOCK_END : DT_JT_PRINT_END, l->at, l->at);
            end_tag(l, l->at + sign, sign ? c : 0, block);
            return;
        }
        if (c >= '0' && c <= '9') {
            number(l);
        } else if (is_word(c)) {
            size_t end = l->at;
            while (end < l->n && is_word(l->source[end]))
                end++;
            push(l, DT_JT_NAME, l->at, end);
            move(l, end);
        } else if (c == '\'' || c == '"') {
            string(l);
        } else {
            nested += operator(l);
        }
    }
}

// ---- comments and raw text ----

static void comment(struct lexer *l)
{
    size_t end = l->at;
    while (end < l->n && !here(l, end, "#}"))
        end++;
    if (end >= l->n) {
        fail(l, "a comment does not end");
        return;
    }
    char sign = end > l->at ? l->source[end - 1] : 0;
    end_tag(l, end, sign == '-' || sign == '+' ? sign : 0, true);
}

// If {% at `at` holds only this word, the byte of its %} (*sign: what precedes it); else 0.
static size_t only_word(const struct lexer *l, size_t at, const char *word, char *sign)
{
    at = after_spaces(l, at);
    if (!here(l, at, word))
        return 0;
    at = after_spaces(l, at + strlen(word));
    *sign = at < l->n && (l->source[at] == '-' || l->source[at] == '+') ? l->source[at] : 0;
    at += *sign != 0;
    return here(l, at, "%}") ? at : 0;
}

// {% raw %} whose %} is at `mark`: everything up to {% endraw %} is text.
static void raw(struct lexer *l, size_t mark, char sign)
{
    end_tag(l, mark, sign, false);
    size_t begin = l->at;
    for (size_t at = begin; at < l->n; at++) {
        if (!here(l, at, "{%"))
            continue;
        char open = at + 2 < l->n ? l->source[at + 2] : 0, close = 0;
        bool signed_ = open == '-' || open == '+';
        size_t end = only_word(l, at + 2 + signed_, "endraw", &close);
        if (!end)
            continue;
        size_t last = open == '-'   ? before_spaces(l, begin, at)
                      : open == '+' ? at
                                    : before_indent(l, begin, at);
        if (last > begin)
            push(l, DT_JT_DATA, begin, last);
        move(l, at);
        end_tag(l, end, close, true);
        return;
    }
    fail(l, "{% raw %} has no {% endraw %}");
}

// ---- templates ----

// Copies a template with its line ends as \n.
static const char *plain_lines(struct dt_jinja *j, const char *source, size_t *n)
{
    if (!memchr(source, '\r', *n))
        return source;
    char *copy = dt_jinja_alloc(j, *n);
    size_t length = 0;
    for (size_t i = 0; copy && i < *n; i++) {
        if (source[i] == '\r' && i + 1 < *n && source[i + 1] == '\n')
            continue;
        copy[length++] = source[i] == '\r' ? '\n' : source[i];
    }
    *n = length;
    return copy;
}

// Reads the data up to the next tag, and the tag.
static void next(struct lexer *l)
{
    size_t tag = l->at, end;
    while (tag < l->n && !(l->source[tag] == '{' && tag + 1 < l->n &&
                           strchr("{%#", l->source[tag + 1]) && l->source[tag + 1]))
        tag++;
    char kind = tag < l->n ? l->source[tag + 1] : 0, sign = tag + 2 < l->n ? l->source[tag + 2] : 0;
    end = tag;
    if (kind && sign == '-')
        end = before_spaces(l, l->at, tag);
    else if (kind && kind != '{' && sign != '+')
        end = before_indent(l, l->at, tag);
    if (end > l->at)
        push(l, DT_JT_DATA, l->at, end);
    move(l, tag);
    if (!kind)
        return;
    move(l, tag + 2 + (sign == '-' || sign == '+'));
    if (kind == '#') {
        comment(l);
        return;
    }
    char close = 0;
    size_t mark = kind == '%' ? only_word(l, l->at, "raw", &close) : 0;
    if (mark) {
        raw(l, mark, close);
        return;
    }
    push(l, kind == '%' ? DT_JT_BLOCK : DT_JT_PRINT, l->at, l->at);
    inside(l, kind == '%');
}

void dt_jinja_lex(struct dt_jinja *j, const char *source, size_t n, struct dt_jtokens *out)
{
    if (n >= UINT32_MAX / 4) {
        dt_jinja_fail(j, DT_UNSUPPORTED, "the template has %zu bytes", n);
        return;
    }
    source = n ? plain_lines(j, source, &n) : "";
    if (n > 0 && source && source[n - 1] == '\n')
        n--;
    struct lexer l = {.j = j, .source = source, .n = n, .line_start = true, .out = out};
    j->line = 1;
    push(&l, DT_JT_END, 0, 0);
    while (l.at < l.n && !j->status)
        next(&l);
    push(&l, DT_JT_END, n, n);
}
