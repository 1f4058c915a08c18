// SPDX-License-Identifier: MIT
// Statements, and what the parser of expressions uses.
#include "core/text/jinja/jinja_parser.h"

#include "base/bytes.h"

struct dt_jnode *dt_jnode_new(struct dt_jparser *p, enum dt_jnode_type type)
{
    struct dt_jnode *node = dt_jinja_alloc(p->j, sizeof *node);
    if (node) {
        node->type = (uint8_t)type;
        node->line = p->at->line;
    }
    return node;
}

struct dt_jnode **dt_jnode_append(struct dt_jnode **tail, struct dt_jnode *node)
{
    if (!tail || !node)
        return tail;
    *tail = node;
    return &node->next;
}

void dt_jparser_fail(struct dt_jparser *p, const char *expected)
{
    const struct dt_jtoken *t = p->at;
    if (t->type == DT_JT_END)
        dt_jinja_fail(p->j, DT_BAD_INPUT, "expected %s, but the template ends", expected);
    else if (t->type == DT_JT_BLOCK_END || t->type == DT_JT_PRINT_END)
        dt_jinja_fail(p->j, DT_BAD_INPUT, "expected %s, but the tag ends", expected);
    else
        dt_jinja_fail(p->j, DT_BAD_INPUT, "expected %s at \"%.*s\"", expected,
                      t->n < 40 ? (int)t->n : 40, t->at);
}

void dt_jparser_advance(struct dt_jparser *p)
{
    if (p->at->type != DT_JT_END)
        p->at++;
    p->j->line = p->at->line;
}

bool dt_jparser_is_name(const struct dt_jparser *p, const char *name)
{
    return p->at->type == DT_JT_NAME && dt_read_is(p->at->at, p->at->n, name);
}

bool dt_jparser_is_operator(const struct dt_jparser *p, uint16_t op)
{
    return p->at->type == DT_JT_OPERATOR && p->at->op == op;
}

bool dt_jparser_skip_name(struct dt_jparser *p, const char *name)
{
    bool is = !p->j->status && dt_jparser_is_name(p, name);
    if (is)
        dt_jparser_advance(p);
    return is;
}

bool dt_jparser_skip(struct dt_jparser *p, uint16_t op)
{
    bool is = !p->j->status && dt_jparser_is_operator(p, op);
    if (is)
        dt_jparser_advance(p);
    return is;
}

void dt_jparser_expect(struct dt_jparser *p, uint16_t op, const char *what)
{
    if (!p->j->status && !dt_jparser_skip(p, op))
        dt_jparser_fail(p, what);
}

struct dt_jvalue dt_jparser_name(struct dt_jparser *p)
{
    struct dt_jvalue text = dt_jtext(p->at->at, p->at->n);
    if (p->at->type != DT_JT_NAME)
        dt_jparser_fail(p, "a name");
    else
        dt_jparser_advance(p);
    return text;
}

// ---- statements ----

static struct dt_jnode *body(struct dt_jparser *p, const char *const *ends);

static void end_of_tag(struct dt_jparser *p)
{
    if (p->j->status)
        return;
    if (p->at->type != DT_JT_BLOCK_END)
        dt_jparser_fail(p, "%}");
    else
        dt_jparser_advance(p);
}

// The body up to {% word %}, and that tag with whatever follows the word.
static struct dt_jnode *body_to(struct dt_jparser *p, const char *word)
{
    const char *const ends[] = {word, NULL};
    end_of_tag(p);
    struct dt_jnode *inside = body(p, ends);
    dt_jparser_skip_name(p, word);
    if (p->at->type == DT_JT_NAME) // {% endblock name %}
        dt_jparser_advance(p);
    end_of_tag(p);
    return inside;
}

// A name, a member of a namespace, or several names to unpack a list into.
static struct dt_jnode *target(struct dt_jparser *p)
{
    struct dt_jnode *first = NULL, **tail = &first;
    bool open = dt_jparser_skip(p, DT_JOP('(', 0)), several = open;
    do {
        struct dt_jnode *name = dt_jnode_new(p, DT_JN_NAME);
        if (!name)
            return NULL;
        name->value = dt_jparser_name(p);
        if (dt_jparser_skip(p, DT_JOP('.', 0))) {
            struct dt_jnode *member = dt_jnode_new(p, DT_JN_ATTR);
            if (!member)
                return NULL;
            member->a = name;
            member->value = dt_jparser_name(p);
            name = member;
        }
        tail = dt_jnode_append(tail, name);
        if (!dt_jparser_skip(p, DT_JOP(',', 0)))
            break;
        several = true;
    } while (!p->j->status && p->at->type == DT_JT_NAME);
    if (open)
        dt_jparser_expect(p, DT_JOP(')', 0), ")");
    if (!several)
        return first;
    struct dt_jnode *tuple = dt_jnode_new(p, DT_JN_TUPLE);
    if (tuple)
        tuple->a = first;
    return tuple;
}

static void parse_if(struct dt_jparser *p, struct dt_jnode *node)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct dt_jnode **tail = &node->a;
    bool more = true, last = false;
    while (more && !p->j->status) {
        struct dt_jnode *branch = dt_jnode_new(p, DT_JN_BRANCH);
        if (!branch)
            return;
        branch->a = last ? NULL : dt_jparse_tuple(p, true);
        end_of_tag(p);
        branch->b = body(p, ends);
        tail = dt_jnode_append(tail, branch);
        more = !dt_jparser_skip_name(p, "endif");
        if (more && !dt_jparser_skip_name(p, "elif")) {
            if (last)
                dt_jparser_fail(p, "endif");
            last = dt_jparser_skip_name(p, "else");
        }
    }
    end_of_tag(p);
}

static void parse_for(struct dt_jparser *p, struct dt_jnode *node)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    node->a = target(p);
    if (!p->j->status && !dt_jparser_skip_name(p, "in"))
        dt_jparser_fail(p, "in");
    node->b = dt_jparse_tuple(p, false);
    if (dt_jparser_skip_name(p, "if"))
        node->d = dt_jparse_expression(p);
    node->op = dt_jparser_skip_name(p, "recursive");
    end_of_tag(p);
    node->c = body(p, ends);
    if (dt_jparser_skip_name(p, "else")) {
        end_of_tag(p);
        node->e = body(p, ends + 1);
    }
    dt_jparser_skip_name(p, "endfor");
    end_of_tag(p);
}

static struct dt_jnode *filters_of_body(struct dt_jparser *p)
{
    return dt_jparse_filters(p, dt_jnode_new(p, DT_JN_BODY));
}

static void parse_set(struct dt_jparser *p, struct dt_jnode *node)
{
    node->a = target(p);
    if (dt_jparser_skip(p, DT_JOP('=', 0))) {
        node->b = dt_jparse_tuple(p, true);
        end_of_tag(p);
        return;
    }
    node->d = filters_of_body(p);
    node->c = body_to(p, "endset");
}

// The parameters of a macro in parentheses.
static struct dt_jnode *parameters(struct dt_jparser *p)
{
    struct dt_jnode *first = NULL, **tail = &first;
    dt_jparser_expect(p, DT_JOP('(', 0), "(");
    while (!p->j->status && !dt_jparser_is_operator(p, DT_JOP(')', 0))) {
        struct dt_jnode *param = dt_jnode_new(p, DT_JN_PARAM);
        if (!param)
            break;
        param->value = dt_jparser_name(p);
        if (dt_jparser_skip(p, DT_JOP('=', 0)))
            param->a = dt_jparse_expression(p);
        tail = dt_jnode_append(tail, param);
        if (!dt_jparser_skip(p, DT_JOP(',', 0)))
            break;
    }
    dt_jparser_expect(p, DT_JOP(')', 0), ")");
    return first;
}

static void parse_macro(struct dt_jparser *p, struct dt_jnode *node)
{
    node->value = dt_jparser_name(p);
    node->a = parameters(p);
    node->b = body_to(p, "endmacro");
}

static void parse_caller(struct dt_jparser *p, struct dt_jnode *node)
{
    if (dt_jparser_is_operator(p, DT_JOP('(', 0)))
        node->c = parameters(p);
    node->a = dt_jparse_expression(p);
    if (node->a && node->a->type != DT_JN_CALL)
        dt_jparser_fail(p, "a call");
    node->b = body_to(p, "endcall");
}

static void parse_filter_block(struct dt_jparser *p, struct dt_jnode *node)
{
    // the first filter has no bar before it: a bar is put in place of the word "filter"
    p->at--;
    p->at->type = DT_JT_OPERATOR;
    p->at->op = DT_JOP('|', 0);
    node->a = filters_of_body(p);
    node->b = body_to(p, "endfilter");
}

static void parse_with(struct dt_jparser *p, struct dt_jnode *node)
{
    struct dt_jnode **tail = &node->a;
    while (!p->j->status && p->at->type != DT_JT_BLOCK_END) {
        struct dt_jnode *set = dt_jnode_new(p, DT_JN_SET);
        if (!set)
            return;
        set->a = dt_jnode_new(p, DT_JN_NAME);
        if (set->a)
            set->a->value = dt_jparser_name(p);
        dt_jparser_expect(p, DT_JOP('=', 0), "=");
        set->b = dt_jparse_expression(p);
        tail = dt_jnode_append(tail, set);
        if (!dt_jparser_skip(p, DT_JOP(',', 0)))
            break;
    }
    node->b = body_to(p, "endwith");
}

static void parse_generation(struct dt_jparser *p, struct dt_jnode *node)
{
    node->b = body_to(p, "endgeneration");
}

static void parse_block(struct dt_jparser *p, struct dt_jnode *node)
{
    dt_jparser_name(p);
    node->b = body_to(p, "endblock");
}

static void parse_do(struct dt_jparser *p, struct dt_jnode *node)
{
    node->a = dt_jparse_tuple(p, true);
    end_of_tag(p);
}

static void parse_nothing(struct dt_jparser *p, struct dt_jnode *node)
{
    (void)node;
    end_of_tag(p);
}

// include, import, trans ...: fails when it is reached.
static void parse_unsupported(struct dt_jparser *p, struct dt_jnode *node)
{
    p->at--;
    node->value = dt_jparser_name(p);
    while (p->at->type != DT_JT_END && p->at->type != DT_JT_BLOCK_END)
        dt_jparser_advance(p);
    end_of_tag(p);
}

static struct dt_jnode *statement(struct dt_jparser *p)
{
    static const struct {
        const char *name;
        enum dt_jnode_type type;
        void (*parse)(struct dt_jparser *p, struct dt_jnode *node);
    } rows[] = {
        {"if", DT_JN_IF, parse_if},
        {"for", DT_JN_FOR, parse_for},
        {"set", DT_JN_SET, parse_set},
        {"macro", DT_JN_MACRO, parse_macro},
        {"call", DT_JN_CALLER, parse_caller},
        {"filter", DT_JN_FILTER_BLOCK, parse_filter_block},
        {"with", DT_JN_WITH, parse_with},
        {"generation", DT_JN_GROUP, parse_generation},
        {"block", DT_JN_GROUP, parse_block},
        {"do", DT_JN_DO, parse_do},
        {"break", DT_JN_BREAK, parse_nothing},
        {"continue", DT_JN_CONTINUE, parse_nothing},
    };
    struct dt_jnode *node = dt_jnode_new(p, DT_JN_UNSUPPORTED);
    struct dt_jvalue name = dt_jparser_name(p);
    if (!node || p->j->status)
        return NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dt_jis(name, rows[i].name)) {
            node->type = (uint8_t)rows[i].type;
            rows[i].parse(p, node);
            return node;
        }
    if (name.n > 3 && memcmp(name.as.text, "end", 3) == 0)
        return dt_jinja_fail(p->j, DT_BAD_INPUT, "unexpected %.*s", name.n < 40 ? (int)name.n : 40,
                             name.as.text),
               NULL;
    parse_unsupported(p, node);
    return node;
}

// Statements up to a tag that begins with one of these words, which becomes the next token; `ends`
// NULL: up to the end of the template.
static struct dt_jnode *body(struct dt_jparser *p, const char *const *ends)
{
    struct dt_jnode *first = NULL, **tail = &first;
    if (++p->nested > DT_JINJA_DEPTH_MOST)
        dt_jinja_fail(p->j, DT_UNSUPPORTED, "statements are nested more than %u deep",
                      DT_JINJA_DEPTH_MOST);
    while (!p->j->status) {
        struct dt_jnode *node = NULL;
        if (p->at->type == DT_JT_DATA) {
            node = dt_jnode_new(p, DT_JN_DATA);
            if (node)
                node->value = dt_jtext(p->at->at, p->at->n);
            dt_jparser_advance(p);
        } else if (p->at->type == DT_JT_PRINT) {
            node = dt_jnode_new(p, DT_JN_PRINT);
            dt_jparser_advance(p);
            if (node)
                node->a = dt_jparse_tuple(p, true);
            if (!p->j->status && p->at->type != DT_JT_PRINT_END)
                dt_jparser_fail(p, "}}");
            dt_jparser_advance(p);
        } else if (p->at->type == DT_JT_BLOCK) {
            bool ended = false;
            dt_jparser_advance(p);
            for (const char *const *end = ends; end && *end; end++)
                ended = ended || dt_jparser_is_name(p, *end);
            if (ended)
                break;
            node = statement(p);
        } else {
            if (ends)
                dt_jparser_fail(p, ends[0]);
            break;
        }
        tail = dt_jnode_append(tail, node);
    }
    p->nested--;
    return first;
}

struct dt_jnode *dt_jinja_parse(struct dt_jinja *j, const char *source, size_t n)
{
    struct dt_jtokens tokens = {0};
    dt_jinja_lex(j, source, n, &tokens);
    if (j->status)
        return NULL;
    struct dt_jparser p = {.j = j, .at = tokens.at + 1};
    struct dt_jnode *first = body(&p, NULL);
    return j->status ? NULL : first;
}
