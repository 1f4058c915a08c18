// SPDX-License-Identifier: MIT
// A backtracking matcher. The published patterns need few steps a character; others are limited by
// the caller.
#include "core/text/pattern.h"

#include <string.h>

#include "base/text.h"
#include "core/text/unicode_classes.h"

enum kind {
    ACCEPT,
    CLASS,       // a class, least to most times
    GROUP,       // alternatives follow, each begins with BRANCH; next: the atom after the group
    BRANCH,      // next: the next branch, or 0
    JOIN,        // the end of an alternative; next: the atom after the group
    NOT_AHEAD,   // the next character is not of this class
    END_OF_TEXT, // $
};

#define MANY  UINT16_MAX
#define SPACE (1u << 31)
#define LETTERS                                                                                    \
    (1u << DT_UNICODE_LU | 1u << DT_UNICODE_LL | 1u << DT_UNICODE_LT | 1u << DT_UNICODE_LM |       \
     1u << DT_UNICODE_LO)

// ---- compiling ----

struct compiler {
    struct dt_pattern *out;
    const char *at, *end;
    bool any_case, failed;
    unsigned depth;
};

static bool accept(struct compiler *c, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
        return false;
    c->at += n;
    return true;
}

static struct dt_pattern_atom *add_atom(struct compiler *c, enum kind kind)
{
    static struct dt_pattern_atom unused;
    if (c->out->atoms == DT_PATTERN_ATOMS) {
        c->failed = true;
        return &unused;
    }
    struct dt_pattern_atom *atom = &c->out->atom[c->out->atoms++];
    atom->kind = (uint8_t)kind;
    return atom;
}

static bool in_categories(uint32_t categories, uint32_t code)
{
    return (categories >> dt_unicode_category(code) & 1) ||
           (categories & SPACE && dt_unicode_space(code));
}

static void add_categories(struct dt_pattern_atom *atom, uint32_t categories)
{
    atom->categories |= categories;
    for (uint32_t code = 0; code < 128; code++)
        if (in_categories(categories, code))
            atom->ascii[code >> 6] |= UINT64_C(1) << (code & 63);
}

static void add_range(struct compiler *c, struct dt_pattern_atom *atom, uint32_t first,
                      uint32_t last)
{
    for (uint32_t code = first; code <= last && code < 128; code++) {
        atom->ascii[code >> 6] |= UINT64_C(1) << (code & 63);
        if (c->any_case && (code | 32) - 'a' < 26)
            atom->ascii[code >> 6] |= UINT64_C(1) << ((code ^ 32) & 63);
    }
    if (last < 128)
        return;
    if (first > last || c->out->ranges == DT_PATTERN_RANGES) {
        c->failed = true;
        return;
    }
    if (!atom->ranges)
        atom->first_range = (uint8_t)c->out->ranges;
    atom->ranges++;
    uint32_t *range = c->out->range[c->out->ranges++];
    range[0] = first < 128 ? 128 : first;
    range[1] = last;
}

// \p{..} after its p.
static uint32_t property(struct compiler *c)
{
    static const struct {
        const char *name;
        uint32_t categories;
    } known[] = {
        {"{L}", LETTERS},
        {"{Lu}", 1u << DT_UNICODE_LU},
        {"{Ll}", 1u << DT_UNICODE_LL},
        {"{Lt}", 1u << DT_UNICODE_LT},
        {"{Lm}", 1u << DT_UNICODE_LM},
        {"{Lo}", 1u << DT_UNICODE_LO},
        {"{M}", 1u << DT_UNICODE_M},
        {"{N}", 1u << DT_UNICODE_N},
        {"{P}", 1u << DT_UNICODE_P},
        {"{S}", 1u << DT_UNICODE_S},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (accept(c, known[i].name))
            return known[i].categories;
    c->failed = true;
    return 0;
}

// An escape after its backslash: categories, or 0 and a literal in *code.
static uint32_t escape(struct compiler *c, uint32_t *code)
{
    char letter = c->at < c->end ? *c->at++ : 0;
    switch (letter) {
    case 'p':
        return property(c);
    case 's':
        return SPACE;
    case 'r':
        *code = '\r';
        return 0;
    case 'n':
        *code = '\n';
        return 0;
    case 't':
        *code = '\t';
        return 0;
    default:
        *code = (unsigned char)letter;
        if (*code <= ' ' || *code >= 127 || (*code | 32) - 'a' < 26 || *code - '0' < 10)
            c->failed = true; // an escape with a meaning that is not known here
        return 0;
    }
}

// One literal character that is no escape.
static uint32_t literal(struct compiler *c)
{
    uint32_t code;
    c->at += dt_utf8_decode(c->at, (size_t)(c->end - c->at), &code);
    return code;
}

static void class_item(struct compiler *c, struct dt_pattern_atom *atom)
{
    uint32_t first, last;
    if (accept(c, "\\")) {
        uint32_t categories = escape(c, &first);
        if (categories) {
            add_categories(atom, categories);
            return;
        }
    } else {
        first = literal(c);
        if (first == '[') // a class within a class, or a [:name:]
            c->failed = true;
    }
    last = first;
    if (c->end - c->at > 1 && c->at[0] == '-' && c->at[1] != ']') {
        c->at++;
        if (!accept(c, "\\"))
            last = literal(c);
        else if (escape(c, &last))
            c->failed = true;
        c->failed = c->failed || last < first;
    }
    add_range(c, atom, first, last);
}

// A class after its bracket.
static void class_of(struct compiler *c, struct dt_pattern_atom *atom)
{
    atom->negated = accept(c, "^");
    do
        class_item(c, atom);
    while (!c->failed && c->at < c->end && *c->at != ']');
    if (!accept(c, "]"))
        c->failed = true;
    if (atom->negated)
        for (int i = 0; i < 2; i++)
            atom->ascii[i] = ~atom->ascii[i];
}

// One character or class as the contents of an atom.
static void single(struct compiler *c, struct dt_pattern_atom *atom)
{
    uint32_t code;
    if (accept(c, "[")) {
        class_of(c, atom);
    } else if (accept(c, "\\S")) {
        add_categories(atom, SPACE);
        atom->negated = true;
        for (int i = 0; i < 2; i++)
            atom->ascii[i] = ~atom->ascii[i];
    } else if (accept(c, "\\")) {
        uint32_t categories = escape(c, &code);
        if (categories)
            add_categories(atom, categories);
        else
            add_range(c, atom, code, code);
    } else {
        code = literal(c);
        if (code < 128 && (code == 0 || strchr("()|*+?{}^.$", (int)code)))
            c->failed = true;
        add_range(c, atom, code, code);
    }
}

static uint16_t small_number(struct compiler *c)
{
    uint16_t value = 0;
    for (int i = 0; i < 3 && c->at < c->end && *c->at >= '0' && *c->at <= '9'; i++)
        value = (uint16_t)(value * 10 + (*c->at++ - '0'));
    return value;
}

static void repetition(struct compiler *c, struct dt_pattern_atom *atom)
{
    atom->least = atom->most = 1;
    if (accept(c, "?")) {
        atom->least = 0;
    } else if (accept(c, "*")) {
        atom->least = 0;
        atom->most = MANY;
    } else if (accept(c, "+")) {
        atom->most = MANY;
    } else if (accept(c, "{")) {
        atom->least = atom->most = small_number(c);
        if (accept(c, ","))
            atom->most = small_number(c);
        if (!accept(c, "}") || !atom->most || atom->most < atom->least)
            c->failed = true;
    } else {
        return;
    }
    // Possessive and lazy repetition.
    if (c->at < c->end && (*c->at == '+' || *c->at == '?' || *c->at == '*' || *c->at == '{'))
        c->failed = true;
}

static void alternatives(struct compiler *c, uint16_t group);

static void group(struct compiler *c)
{
    bool outer = c->any_case;
    uint16_t at = c->out->atoms;
    if (accept(c, "(?!")) {
        single(c, add_atom(c, NOT_AHEAD));
        if (!accept(c, ")"))
            c->failed = true;
        return;
    }
    c->any_case = accept(c, "(?i:");
    if (!c->any_case && !accept(c, "(?:") && !(accept(c, "(") && c->at < c->end && *c->at != '?'))
        c->failed = true;
    c->any_case = c->any_case || outer;
    add_atom(c, GROUP)->least = 1;
    alternatives(c, at);
    c->any_case = outer;
    if (!accept(c, ")"))
        c->failed = true;
    if (accept(c, "?"))
        c->out->atom[at].least = 0;
}

// a|b|c up to a closing bracket or the end, for the group atom `at`.
static void alternatives(struct compiler *c, uint16_t at)
{
    uint16_t joins[DT_PATTERN_ATOMS], count = 0, branch = 0;
    if (c->depth++ == 4)
        c->failed = true;
    while (!c->failed) {
        if (branch)
            c->out->atom[branch].next = c->out->atoms;
        branch = c->out->atoms;
        add_atom(c, BRANCH);
        while (!c->failed && c->at < c->end && *c->at != '|' && *c->at != ')') {
            if (*c->at == '(') {
                group(c);
            } else if (accept(c, "$")) {
                add_atom(c, END_OF_TEXT);
            } else {
                struct dt_pattern_atom *atom = add_atom(c, CLASS);
                single(c, atom);
                repetition(c, atom);
            }
        }
        joins[count++] = c->out->atoms;
        add_atom(c, JOIN);
        if (!accept(c, "|"))
            break;
    }
    c->depth--;
    if (c->failed)
        return;
    for (uint16_t i = 0; i < count; i++)
        c->out->atom[joins[i]].next = c->out->atoms;
    c->out->atom[at].next = c->out->atoms;
}

bool dt_pattern_compile(struct dt_pattern *out, const char *text, size_t n)
{
    struct compiler c = {.out = out, .at = text, .end = text + n};
    memset(out, 0, sizeof *out);
    add_atom(&c, GROUP)->least = 1;
    alternatives(&c, 0);
    add_atom(&c, ACCEPT);
    return !c.failed && n > 0 && c.at == c.end;
}

// ---- matching ----

struct match {
    const struct dt_pattern *p;
    const char *text;
    size_t n;
    size_t *steps;
};

// The length of the character at `at` if it is of the atom's class, else 0.
static size_t one(const struct match *m, const struct dt_pattern_atom *atom, size_t at)
{
    if (at >= m->n)
        return 0;
    uint32_t code = (unsigned char)m->text[at];
    if (code < 0x80)
        return atom->ascii[code >> 6] >> (code & 63) & 1;
    size_t length = dt_utf8_decode(m->text + at, m->n - at, &code);
    bool in = in_categories(atom->categories, code);
    for (unsigned i = 0; i < atom->ranges && !in; i++) {
        const uint32_t *range = m->p->range[atom->first_range + i];
        in = code >= range[0] && code <= range[1];
    }
    return in != atom->negated ? length : 0;
}

// The start of the character that ends at `at` > 0.
static size_t before(const struct match *m, size_t at)
{
    for (size_t length = 2; length <= 4 && length <= at; length++) {
        uint32_t code;
        if (((unsigned char)m->text[at - 1] & 0xc0) != 0x80)
            break;
        if (dt_utf8_decode(m->text + at - length, length, &code) == length)
            return at - length;
    }
    return at - 1;
}

static size_t from(const struct match *m, uint16_t pc, size_t at);

// A class, as often as possible, then what follows.
static size_t repeat(const struct match *m, uint16_t pc, size_t at)
{
    const struct dt_pattern_atom *atom = &m->p->atom[pc];
    size_t count = 0, most = atom->most == MANY ? SIZE_MAX : atom->most, length;
    while (count < most && (length = one(m, atom, at)) != 0) {
        at += length;
        count++;
    }
    *m->steps -= count < *m->steps ? count : *m->steps;
    return count < atom->least ? DT_PATTERN_NONE : at;
}

static size_t from(const struct match *m, uint16_t pc, size_t at)
{
    for (;;) {
        const struct dt_pattern_atom *atom = &m->p->atom[pc];
        if (*m->steps == 0)
            return DT_PATTERN_NONE;
        --*m->steps;
        switch ((enum kind)atom->kind) {
        case ACCEPT:
            return at;
        case JOIN:
            pc = atom->next;
            continue;
        case BRANCH:
            pc++;
            continue;
        case NOT_AHEAD:
            if (one(m, atom, at))
                return DT_PATTERN_NONE;
            pc++;
            continue;
        case END_OF_TEXT:
            if (at != m->n)
                return DT_PATTERN_NONE;
            pc++;
            continue;
        case GROUP:
            for (uint16_t branch = (uint16_t)(pc + 1); branch; branch = m->p->atom[branch].next) {
                size_t end = from(m, branch, at);
                if (end != DT_PATTERN_NONE)
                    return end;
            }
            if (atom->least)
                return DT_PATTERN_NONE;
            pc = atom->next;
            continue;
        case CLASS:
            break;
        }
        size_t end = repeat(m, pc, at), start = at;
        if (end == DT_PATTERN_NONE)
            return DT_PATTERN_NONE;
        pc++;
        if (atom->least == atom->most || m->p->atom[pc].kind == END_OF_TEXT) {
            at = end; // no shorter repetition can match
            continue;
        }
        // The shortest that is allowed: least is 0 or 1 here, except in {m,n}.
        size_t least = start;
        for (uint16_t i = 0; i < atom->least; i++)
            least += one(m, atom, least);
        for (;; end = before(m, end)) {
            size_t found = from(m, pc, end);
            if (found != DT_PATTERN_NONE || end == least)
                return found;
        }
    }
}

size_t dt_pattern_match(const struct dt_pattern *p, const char *text, size_t n, size_t at,
                        size_t *steps)
{
    struct match m = {p, text, n, steps};
    return from(&m, 0, at);
}
