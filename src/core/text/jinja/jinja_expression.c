// SPDX-License-Identifier: MIT
// The values of expressions.
#include <math.h>

#include "base/bytes.h"
#include "core/text/jinja/jinja_eval.h"

// ---- members ----

// A member of a dict, a namespace or a loop, or a method; undefined if there is none.

static struct dt_jvalue attribute(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue name)
{
    struct dt_jvalue *found, none = {0};
    if (v.kind == DT_JUNDEFINED)
        return dt_jinja_fail(j, DT_BAD_INPUT, "an undefined value has no member \"%.*s\"",
                             name.n < 60 ? (int)name.n : 60, name.as.text);
    if (v.kind == DT_JLOOP)
        return dt_jloop_attribute(j, v, name);
    dt_jfilter *method = v.kind == DT_JNAMESPACE ? NULL : dt_jinja_method(v, name);
    if (method) {
        struct dt_jmethod *bound = dt_jinja_alloc(j, sizeof *bound);
        if (!bound)
            return none;
        *bound = (struct dt_jmethod){v, method};
        return (struct dt_jvalue){.kind = DT_JMETHOD, .as.method = bound};
    }
    if (v.kind != DT_JDICT && v.kind != DT_JNAMESPACE)
        return none;
    found = dt_jinja_find(v.as.dict, name);
    return found ? *found : none;
}

// An item, or a member by its name.
static struct dt_jvalue item(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue key)
{
    struct dt_jvalue *found, none = {0};
    if (v.kind == DT_JUNDEFINED)
        return dt_jinja_fail(j, DT_BAD_INPUT, "an undefined value has no items");
    if ((v.kind == DT_JLIST || v.kind == DT_JTEXT) && (key.kind == DT_JINT || key.kind == DT_JBOOL))
        return dt_jindex(j, v, key.as.integer);
    if (v.kind == DT_JDICT && (found = dt_jinja_find(v.as.dict, key)) != NULL)
        return *found;
    return key.kind == DT_JTEXT ? attribute(j, v, key) : none;
}

struct dt_jvalue dt_jinja_path(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue path)
{
    if (path.kind != DT_JTEXT)
        return item(j, v, path);
    for (size_t at = 0; at <= path.n && !j->status;) {
        const char *dot = at < path.n ? memchr(path.as.text + at, '.', path.n - at) : NULL;
        size_t end = dot ? (size_t)(dot - path.as.text) : path.n;
        struct dt_jvalue part = dt_jpart(path, at, end);
        int64_t index = 0;
        bool digits = end > at && end - at < 10;
        for (size_t i = at; i < end; i++) {
            digits = digits && path.as.text[i] >= '0' && path.as.text[i] <= '9';
            index = digits ? index * 10 + (path.as.text[i] - '0') : 0;
        }
        v = item(j, v, digits ? dt_jint(index) : part);
        at = end + 1;
    }
    return v;
}

// ---- operators ----

static struct dt_jvalue bad_operands(struct dt_jinja *j, uint16_t op, struct dt_jvalue a,
                                     struct dt_jvalue b)
{
    char name[3] = {(char)(op & 0xff), (char)(op >> 8)};
    return dt_jinja_fail(j, DT_BAD_INPUT, "\"%s\" cannot join %s and %s", name, dt_jkind_name(a),
                         dt_jkind_name(b));
}

static struct dt_jvalue join(struct dt_jinja *j, struct dt_jvalue a, struct dt_jvalue b)
{
    struct dt_jbuffer buffer = {0};
    if (a.kind == DT_JTEXT && b.kind == DT_JTEXT && (a.n == 0 || b.n == 0))
        return a.n ? a : b;
    dt_jinja_print(j, &buffer, a);
    dt_jinja_print(j, &buffer, b);
    return dt_jbuffer_value(&buffer);
}

static struct dt_jvalue join_lists(struct dt_jinja *j, struct dt_jvalue a, struct dt_jvalue b)
{
    struct dt_jvalue out = dt_jnew_list(j);
    for (uint32_t i = 0; i < a.as.list->count && !j->status; i++)
        dt_jinja_push(j, out.as.list, a.as.list->at[i]);
    for (uint32_t i = 0; i < b.as.list->count && !j->status; i++)
        dt_jinja_push(j, out.as.list, b.as.list->at[i]);
    out.tuple = a.tuple;
    return out;
}

// text * n or list * n
static struct dt_jvalue repeat(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue times)
{
    struct dt_jbuffer b = {0};
    struct dt_jvalue out = dt_jnew_list(j);
    for (int64_t i = 0; i < times.as.integer && dt_jinja_step(j, 1); i++) {
        if (v.kind == DT_JTEXT)
            dt_jinja_print(j, &b, v);
        for (uint32_t k = 0; v.kind == DT_JLIST && k < v.as.list->count && !j->status; k++)
            dt_jinja_push(j, out.as.list, v.as.list->at[k]);
    }
    return v.kind == DT_JTEXT ? dt_jbuffer_value(&b) : out;
}

static bool is_whole(struct dt_jvalue v)
{
    return v.kind == DT_JINT || v.kind == DT_JBOOL;
}

static struct dt_jvalue whole(struct dt_jinja *j, uint16_t op, int64_t a, int64_t b)
{
    int64_t out = 0;
    bool over = false;
    switch (op) {
    case DT_JOP('+', 0):
        over = __builtin_add_overflow(a, b, &out);
        break;
    case DT_JOP('-', 0):
        over = __builtin_sub_overflow(a, b, &out);
        break;
    case DT_JOP('*', 0):
        over = __builtin_mul_overflow(a, b, &out);
        break;
    case DT_JOP('*', '*'):
        for (out = 1; b > 0 && !over && dt_jinja_step(j, 1); b--)
            over = __builtin_mul_overflow(out, a, &out) && a != 0;
        break;
    default: // // and %: rounded down, as in Python
        if (b == -1) {
            over = a == INT64_MIN;
            out = op == DT_JOP('%', 0) || over ? 0 : -a;
            break;
        }
        out = op == DT_JOP('%', 0) ? a % b : a / b;
        if (a % b != 0 && (a < 0) != (b < 0))
            out += op == DT_JOP('%', 0) ? b : -1;
    }
    if (over)
        return dt_jinja_fail(j, DT_UNSUPPORTED, "a whole number needs more than 64 bits");
    return dt_jint(out);
}

static struct dt_jvalue calculate(struct dt_jinja *j, uint16_t op, struct dt_jvalue a,
                                  struct dt_jvalue b)
{
    if (!dt_jis_number(a) || !dt_jis_number(b))
        return bad_operands(j, op, a, b);
    double x = dt_jnumber(a), y = dt_jnumber(b);
    bool divides = (op & 0xff) == '/' || (op & 0xff) == '%';
    if (divides && !(y < 0) && !(y > 0))
        return dt_jinja_fail(j, DT_BAD_INPUT, "division by zero");
    if (is_whole(a) && is_whole(b) && op != DT_JOP('/', 0) && !(op == DT_JOP('*', '*') && y < 0))
        return whole(j, op, a.as.integer, b.as.integer);
    switch (op) {
    case DT_JOP('+', 0):
        return dt_jreal(x + y);
    case DT_JOP('-', 0):
        return dt_jreal(x - y);
    case DT_JOP('*', 0):
        return dt_jreal(x * y);
    case DT_JOP('/', 0):
        return dt_jreal(x / y);
    case DT_JOP('/', '/'):
        return dt_jreal(floor(x / y));
    case DT_JOP('%', 0):
        return dt_jreal(x - y * floor(x / y));
    default:
        return dt_jreal(pow(x, y));
    }
}

static struct dt_jvalue binary(struct dt_jinja *j, uint16_t op, struct dt_jvalue a,
                               struct dt_jvalue b)
{
    if (a.kind == DT_JUNDEFINED || b.kind == DT_JUNDEFINED) {
        if (op != DT_JOP('~', 0))
            return bad_operands(j, op, a, b);
    }
    if (op == DT_JOP('~', 0) || (op == DT_JOP('+', 0) && a.kind == DT_JTEXT && b.kind == DT_JTEXT))
        return join(j, a, b);
    if (op == DT_JOP('+', 0) && a.kind == DT_JLIST && b.kind == DT_JLIST && a.tuple == b.tuple)
        return join_lists(j, a, b);
    if (op == DT_JOP('*', 0) && (a.kind == DT_JTEXT || a.kind == DT_JLIST) && is_whole(b))
        return repeat(j, a, b);
    if (op == DT_JOP('*', 0) && (b.kind == DT_JTEXT || b.kind == DT_JLIST) && is_whole(a))
        return repeat(j, b, a);
    if (op == DT_JOP('%', 0) && a.kind == DT_JTEXT)
        return dt_jinja_fail(j, DT_UNSUPPORTED, "%s", "formatting with % is not supported");
    return calculate(j, op, a, b);
}

bool dt_jinja_contains(struct dt_jinja *j, struct dt_jvalue in, struct dt_jvalue what)
{
    if (!dt_jinja_step(j, 1 + (in.kind == DT_JTEXT ? in.n / 16 : 0)))
        return false;
    if (in.kind == DT_JUNDEFINED)
        return false;
    if (in.kind == DT_JDICT)
        return dt_jinja_find(in.as.dict, what) != NULL;
    if (in.kind == DT_JTEXT && what.kind == DT_JTEXT)
        return dt_jsearch(in, what, 0) != SIZE_MAX;
    if (in.kind == DT_JLIST) {
        for (uint32_t i = 0; i < in.as.list->count && dt_jinja_step(j, 1); i++)
            if (dt_jequal(in.as.list->at[i], what))
                return true;
        return false;
    }
    dt_jinja_fail(j, DT_BAD_INPUT, "%s cannot be in %s", dt_jkind_name(what), dt_jkind_name(in));
    return false;
}

static bool compare(struct dt_jinja *j, uint16_t op, struct dt_jvalue a, struct dt_jvalue b)
{
    switch (op) {
    case DT_JOP('=', '='):
        return dt_jequal(a, b);
    case DT_JOP('!', '='):
        return !dt_jequal(a, b);
    case DT_JOP('i', 'n'):
        return dt_jinja_contains(j, b, a);
    case DT_JOP('n', 'i'):
        return !dt_jinja_contains(j, b, a);
    case DT_JOP('<', 0):
        return dt_jorder(j, a, b) < 0;
    case DT_JOP('>', 0):
        return dt_jorder(j, a, b) > 0;
    case DT_JOP('<', '='):
        return dt_jorder(j, a, b) <= 0;
    default:
        return dt_jorder(j, a, b) >= 0;
    }
}

static struct dt_jvalue chain(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jvalue v = dt_jinja_eval(j, node->a);
    for (const struct dt_jnode *o = node->b; o && !j->status; o = o->next) {
        if (node->op == DT_JL_OR || node->op == DT_JL_AND) {
            if (dt_jtruth(v) == (node->op == DT_JL_OR))
                break;
            v = dt_jinja_eval(j, o->a);
            continue;
        }
        struct dt_jvalue other = dt_jinja_eval(j, o->a);
        if (j->status)
            break;
        j->line = o->line;
        if (node->op != DT_JL_COMPARE) {
            v = binary(j, o->op, v, other);
            continue;
        }
        bool holds = compare(j, o->op, v, other);
        if (!holds || !o->next)
            return dt_jbool(holds);
        v = other;
    }
    return v;
}

// ---- names, calls ----

static struct dt_jvalue look_up(struct dt_jinja *j, struct dt_jvalue name)
{
    for (struct dt_jscope *s = j->scope; s && dt_jinja_step(j, 1); s = s->parent) {
        struct dt_jvalue *found = dt_jinja_find(&s->variables, name);
        if (found)
            return *found;
    }
    return dt_jinja_global(name);
}

// Appends the arguments that * or ** unpacks.
static void unpack(struct dt_jinja *j, uint16_t op, struct dt_jvalue from, struct dt_jlist *at,
                   struct dt_jlist *names, struct dt_jlist *named)
{
    if (op == DT_JOP('*', 0)) {
        struct dt_jlist *items = dt_jitems(j, from);
        for (uint32_t i = 0; items && i < items->count && !j->status; i++)
            dt_jinja_push(j, at, items->at[i]);
    } else if (from.kind == DT_JDICT) {
        for (uint32_t i = 0; i < from.as.dict->keys.count && !j->status; i++) {
            dt_jinja_push(j, names, from.as.dict->keys.at[i]);
            dt_jinja_push(j, named, from.as.dict->values.at[i]);
        }
    } else {
        dt_jinja_fail(j, DT_BAD_INPUT, "%s cannot be unpacked", dt_jkind_name(from));
    }
}

bool dt_jinja_arguments(struct dt_jinja *j, const struct dt_jnode *first, struct dt_jargs *out)
{
    struct dt_jlist at = {0}, names = {0}, named = {0};
    for (const struct dt_jnode *arg = first; arg && !j->status; arg = arg->next) {
        struct dt_jvalue v = dt_jinja_eval(j, arg->a);
        if (arg->op) {
            unpack(j, arg->op, v, &at, &names, &named);
        } else if (arg->value.kind == DT_JTEXT) {
            dt_jinja_push(j, &names, arg->value);
            dt_jinja_push(j, &named, v);
        } else {
            dt_jinja_push(j, &at, v);
        }
    }
    *out = (struct dt_jargs){at.at, at.count, names.at, named.at, names.count};
    return !j->status;
}

struct dt_jvalue dt_jinja_call(struct dt_jinja *j, struct dt_jvalue callee,
                               const struct dt_jargs *args)
{
    if (callee.kind == DT_JFUNCTION)
        return callee.as.function->call(j, args);
    if (callee.kind == DT_JMETHOD)
        return callee.as.method->call(j, callee.as.method->self, args);
    if (callee.kind == DT_JMACRO)
        return dt_jmacro_call(j, callee.as.macro, args);
    return dt_jinja_fail(j, callee.kind == DT_JLOOP ? DT_UNSUPPORTED : DT_BAD_INPUT,
                         "%s cannot be called", dt_jkind_name(callee));
}

static struct dt_jvalue call(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jargs args;
    struct dt_jvalue none = {0}, callee = dt_jinja_eval(j, node->a);
    if (!dt_jinja_arguments(j, node->b, &args))
        return none;
    j->line = node->line;
    if (callee.kind == DT_JUNDEFINED &&
        (node->a->type == DT_JN_NAME || node->a->type == DT_JN_ATTR))
        return dt_jinja_fail(j, DT_UNSUPPORTED, "there is no function or method \"%.*s\"",
                             node->a->value.n < 60 ? (int)node->a->value.n : 60,
                             node->a->value.as.text);
    return dt_jinja_call(j, callee, &args);
}

// ---- expressions ----

static struct dt_jvalue collection(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jvalue out = node->type == DT_JN_DICT ? dt_jnew_dict(j) : dt_jnew_list(j);
    for (const struct dt_jnode *n = node->a; n && !j->status; n = n->next) {
        struct dt_jvalue v = dt_jinja_eval(j, n);
        if (node->type != DT_JN_DICT) {
            dt_jinja_push(j, out.as.list, v);
            continue;
        }
        n = n->next;
        if (!j->status && n)
            dt_jinja_put(j, out.as.dict, v, dt_jinja_eval(j, n));
    }
    out.tuple = node->type == DT_JN_TUPLE;
    return out;
}

static struct dt_jvalue signed_number(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jvalue v = dt_jinja_eval(j, node->a);
    if (j->status)
        return v;
    if (node->op == DT_JOP('-', 0))
        return calculate(j, node->op, dt_jint(0), v);
    return calculate(j, node->op, v, dt_jint(0));
}

static struct dt_jvalue slice(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jvalue of = dt_jinja_eval(j, node->a), start = dt_jinja_eval(j, node->b),
                     stop = dt_jinja_eval(j, node->c), step = dt_jinja_eval(j, node->d);
    j->line = node->line;
    return j->status ? of : dt_jslice(j, of, start, stop, step);
}

static struct dt_jvalue filter(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jargs args;
    struct dt_jvalue v = dt_jinja_eval(j, node->a);
    if (!dt_jinja_arguments(j, node->b, &args))
        return v;
    j->line = node->line;
    if (node->type == DT_JN_FILTER)
        return dt_jinja_filter(j, node->value, v, &args);
    return dt_jbool(dt_jinja_test(j, node->value, v, &args) != (node->op != 0));
}

static struct dt_jvalue evaluate(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jvalue v, none = {0};
    switch ((enum dt_jnode_type)node->type) {
    case DT_JN_CONST:
        return node->value;
    case DT_JN_NAME:
        return look_up(j, node->value);
    case DT_JN_LIST:
    case DT_JN_TUPLE:
    case DT_JN_DICT:
        return collection(j, node);
    case DT_JN_CHAIN:
        return chain(j, node);
    case DT_JN_NOT:
        return dt_jbool(!dt_jtruth(dt_jinja_eval(j, node->a)));
    case DT_JN_SIGN:
        return signed_number(j, node);
    case DT_JN_COND:
        return dt_jinja_eval(j, dt_jtruth(dt_jinja_eval(j, node->b)) ? node->a : node->c);
    case DT_JN_ATTR:
        v = dt_jinja_eval(j, node->a);
        j->line = node->line;
        return j->status ? none : attribute(j, v, node->value);
    case DT_JN_ITEM:
        v = dt_jinja_eval(j, node->a);
        none = dt_jinja_eval(j, node->b);
        j->line = node->line;
        return j->status ? none : item(j, v, none);
    case DT_JN_SLICE:
        return slice(j, node);
    case DT_JN_CALL:
        return call(j, node);
    case DT_JN_FILTER:
    case DT_JN_TEST:
        return filter(j, node);
    case DT_JN_BODY:
        return j->body;
    default:
        return none;
    }
}

struct dt_jvalue dt_jinja_eval(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jvalue v = {0};
    if (!node || !dt_jinja_step(j, 1))
        return v;
    j->line = node->line;
    if (++j->depth > DT_JINJA_DEPTH_MOST)
        dt_jinja_fail(j, DT_UNSUPPORTED, "the template is nested more than %u deep",
                      DT_JINJA_DEPTH_MOST);
    else
        v = evaluate(j, node);
    j->depth--;
    return v;
}
