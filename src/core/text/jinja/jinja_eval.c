// SPDX-License-Identifier: MIT
// Statements, and the entry point.
#include "core/text/jinja/jinja_eval.h"

#include "base/bytes.h"

enum { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

// Runs statements; their output goes to j->out.
static void run(struct dt_jinja *j, const struct dt_jnode *first);

// Enters a scope inside `parent`; the caller restores j->scope.
static bool enter(struct dt_jinja *j, struct dt_jscope *parent)
{
    struct dt_jscope *scope = dt_jinja_alloc(j, sizeof *scope);
    if (!scope)
        return false;
    scope->parent = parent;
    j->scope = scope;
    return true;
}

static void set(struct dt_jinja *j, struct dt_jvalue name, struct dt_jvalue value)
{
    dt_jinja_put(j, &j->scope->variables, name, value);
}

// Sets a variable, a member of a namespace, or several variables to the items of a list.
static void assign(struct dt_jinja *j, const struct dt_jnode *target, struct dt_jvalue value)
{
    if (j->status || !target)
        return;
    if (target->type == DT_JN_NAME) {
        set(j, target->value, value);
        return;
    }
    if (target->type == DT_JN_ATTR) {
        struct dt_jvalue space = dt_jinja_eval(j, target->a);
        if (j->status)
            return;
        if (space.kind != DT_JNAMESPACE)
            dt_jinja_fail(j, DT_BAD_INPUT, "a member of %s cannot be set; only of a namespace",
                          dt_jkind_name(space));
        else
            dt_jinja_put(j, space.as.dict, target->value, value);
        return;
    }
    struct dt_jlist *items = dt_jitems(j, value);
    uint32_t count = 0, i = 0;
    for (const struct dt_jnode *t = target->a; t; t = t->next)
        count++;
    if (!items)
        return;
    if (items->count != count) {
        dt_jinja_fail(j, DT_BAD_INPUT, "%u names for %u values", count, items->count);
        return;
    }
    for (const struct dt_jnode *t = target->a; t; t = t->next)
        assign(j, t, items->at[i++]);
}

// Runs statements and returns their output.
static struct dt_jvalue capture(struct dt_jinja *j, const struct dt_jnode *first)
{
    struct dt_jbuffer b = {0}, *out = j->out;
    j->out = &b;
    run(j, first);
    j->out = out;
    return dt_jbuffer_value(&b);
}

// Runs a body in a scope of its own and returns its output.
static struct dt_jvalue capture_inside(struct dt_jinja *j, const struct dt_jnode *first)
{
    struct dt_jscope *scope = j->scope;
    struct dt_jvalue v = {0};
    if (enter(j, scope))
        v = capture(j, first);
    j->scope = scope;
    return v;
}

// The value of filters whose innermost input is `body`.
static struct dt_jvalue through_filters(struct dt_jinja *j, const struct dt_jnode *filters,
                                        struct dt_jvalue body)
{
    struct dt_jvalue before = j->body;
    j->body = body;
    struct dt_jvalue v = dt_jinja_eval(j, filters);
    j->body = before;
    return v;
}

// ---- loops ----

// The items for which the loop's condition holds.
static struct dt_jlist *filtered(struct dt_jinja *j, const struct dt_jnode *node,
                                 struct dt_jlist *items)
{
    struct dt_jscope *scope = j->scope;
    struct dt_jvalue out = dt_jnew_list(j);
    for (uint32_t i = 0; i < items->count && !j->status && enter(j, scope); i++) {
        assign(j, node->a, items->at[i]);
        if (dt_jtruth(dt_jinja_eval(j, node->d)))
            dt_jinja_push(j, out.as.list, items->at[i]);
    }
    j->scope = scope;
    return j->status ? NULL : out.as.list;
}

static void run_for(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jscope *scope = j->scope;
    struct dt_jlist *items = dt_jitems(j, dt_jinja_eval(j, node->b));
    if (items && node->d)
        items = filtered(j, node, items);
    struct dt_jloop *loop = items ? dt_jinja_alloc(j, sizeof *loop) : NULL;
    if (!loop)
        return;
    loop->items = items;
    struct dt_jvalue variable = {.kind = DT_JLOOP, .as.loop = loop};
    uint32_t count = items->count;
    for (; loop->at < count && dt_jinja_step(j, 1) && enter(j, scope); loop->at++) {
        set(j, dt_jtext("loop", 4), variable);
        assign(j, node->a, items->at[loop->at]);
        run(j, node->c);
        bool stop = j->flow == FLOW_BREAK;
        j->flow = FLOW_NEXT;
        if (stop)
            break;
    }
    if (count == 0 && node->e && enter(j, scope))
        run(j, node->e);
    j->scope = scope;
}

static struct dt_jvalue cycle(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    if (args->count == 0)
        return dt_jinja_fail(j, DT_BAD_INPUT, "loop.cycle needs values");
    return args->at[self.as.loop->at % args->count];
}

static struct dt_jvalue changed(struct dt_jinja *j, struct dt_jvalue self,
                                const struct dt_jargs *args)
{
    struct dt_jloop *loop = self.as.loop;
    struct dt_jvalue v = args->count == 1 ? args->at[0] : dt_jnew_list(j);
    for (uint32_t i = 0; args->count != 1 && i < args->count; i++)
        dt_jinja_push(j, v.as.list, args->at[i]);
    bool differs = !loop->changed_called || !dt_jequal(loop->last, v);
    loop->last = v;
    loop->changed_called = true;
    return dt_jbool(differs);
}

struct dt_jvalue dt_jloop_attribute(struct dt_jinja *j, struct dt_jvalue self,
                                    struct dt_jvalue name)
{
    const struct dt_jloop *loop = self.as.loop;
    int64_t at = loop->at, count = loop->items->count;
    struct dt_jvalue none = {0};
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        {"index", at + 1}, {"index0", at}, {"revindex", count - at}, {"revindex0", count - at - 1},
        {"length", count}, {"depth", 1}, // of recursive loops, which are not supported
        {"depth0", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dt_jis(name, rows[i].name))
            return dt_jint(rows[i].value);
    if (dt_jis(name, "first"))
        return dt_jbool(at == 0);
    if (dt_jis(name, "last"))
        return dt_jbool(at + 1 == count);
    if (dt_jis(name, "previtem"))
        return at > 0 ? loop->items->at[at - 1] : none;
    if (dt_jis(name, "nextitem"))
        return at + 1 < count ? loop->items->at[at + 1] : none;
    if (!dt_jis(name, "cycle") && !dt_jis(name, "changed"))
        return none;
    struct dt_jmethod *bound = dt_jinja_alloc(j, sizeof *bound);
    if (!bound)
        return none;
    *bound = (struct dt_jmethod){self, dt_jis(name, "cycle") ? cycle : changed};
    return (struct dt_jvalue){.kind = DT_JMETHOD, .as.method = bound};
}

// ---- macros ----

static struct dt_jvalue new_macro(struct dt_jinja *j, const struct dt_jnode *parameters,
                                  const struct dt_jnode *inside)
{
    struct dt_jvalue none = {0};
    struct dt_jmacro *macro = dt_jinja_alloc(j, sizeof *macro);
    if (!macro)
        return none;
    *macro = (struct dt_jmacro){parameters, inside, j->scope};
    return (struct dt_jvalue){.kind = DT_JMACRO, .as.macro = macro};
}

struct dt_jvalue dt_jmacro_call(struct dt_jinja *j, const struct dt_jmacro *macro,
                                const struct dt_jargs *args)
{
    struct dt_jscope *scope = j->scope;
    struct dt_jvalue out = {0}, none = {0}, name;
    uint32_t i = 0;
    if (!enter(j, macro->scope))
        return out;
    for (const struct dt_jnode *p = macro->parameters; p && !j->status; p = p->next, i++) {
        bool given = i < args->count;
        struct dt_jvalue value = {0};
        for (uint32_t k = 0; !given && k < args->named_count; k++)
            if (dt_jequal(args->names[k], p->value)) {
                given = true;
                value = args->named[k];
            }
        if (i < args->count)
            value = args->at[i];
        set(j, p->value, given ? value : dt_jinja_eval(j, p->a));
    }
    if (i < args->count)
        dt_jinja_fail(j, DT_BAD_INPUT, "a macro with %u parameters is called with %u", i,
                      args->count);
    name = dt_jtext("caller", 6);
    for (uint32_t k = 0; k < args->named_count && !j->status; k++)
        if (dt_jequal(args->names[k], name))
            set(j, name, args->named[k]);
    name = dt_jtext("loop", 4); // the loop around the call is not visible
    if (!j->status)
        set(j, name, none);
    out = capture(j, macro->body);
    j->flow = FLOW_NEXT;
    j->scope = scope;
    return out;
}

static void run_caller(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jargs args;
    struct dt_jvalue callee = dt_jinja_eval(j, node->a->a), name = dt_jtext("caller", 6),
                     caller = new_macro(j, node->c, node->b);
    if (!dt_jinja_arguments(j, node->a->b, &args))
        return;
    if (args.named_count) {
        dt_jinja_fail(j, DT_UNSUPPORTED, "{%%s call %%s} with named arguments is not supported");
        return;
    }
    args.names = &name;
    args.named = &caller;
    args.named_count = 1;
    dt_jinja_print(j, j->out, dt_jinja_call(j, callee, &args));
}

// ---- statements ----

static void run_set(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jvalue v = node->b ? dt_jinja_eval(j, node->b)
                                 : through_filters(j, node->d, capture_inside(j, node->c));
    j->line = node->line;
    assign(j, node->a, v);
}

static void run_with(struct dt_jinja *j, const struct dt_jnode *node)
{
    struct dt_jscope *scope = j->scope, *inside;
    if (!enter(j, scope))
        return;
    inside = j->scope;
    for (const struct dt_jnode *s = node->a; s && !j->status; s = s->next) {
        j->scope = scope; // values do not see each other
        struct dt_jvalue v = dt_jinja_eval(j, s->b);
        j->scope = inside;
        assign(j, s->a, v);
    }
    run(j, node->b);
    j->scope = scope;
}

static void run_if(struct dt_jinja *j, const struct dt_jnode *node)
{
    for (const struct dt_jnode *b = node->a; b && !j->status; b = b->next)
        if (!b->a || dt_jtruth(dt_jinja_eval(j, b->a))) {
            run(j, b->b);
            break;
        }
}

static void run_one(struct dt_jinja *j, const struct dt_jnode *node)
{
    switch ((enum dt_jnode_type)node->type) {
    case DT_JN_DATA:
        dt_jinja_print(j, j->out, node->value);
        break;
    case DT_JN_PRINT:
        dt_jinja_print(j, j->out, dt_jinja_eval(j, node->a));
        break;
    case DT_JN_IF:
        run_if(j, node);
        break;
    case DT_JN_FOR:
        if (node->op)
            dt_jinja_fail(j, DT_UNSUPPORTED, "recursive loops are not supported");
        else
            run_for(j, node);
        break;
    case DT_JN_SET:
        run_set(j, node);
        break;
    case DT_JN_MACRO:
        set(j, node->value, new_macro(j, node->a, node->b));
        break;
    case DT_JN_CALLER:
        run_caller(j, node);
        break;
    case DT_JN_FILTER_BLOCK:
        dt_jinja_print(j, j->out, through_filters(j, node->a, capture_inside(j, node->b)));
        break;
    case DT_JN_WITH:
        run_with(j, node);
        break;
    case DT_JN_GROUP:
        run(j, node->b);
        break;
    case DT_JN_DO:
        dt_jinja_eval(j, node->a);
        break;
    case DT_JN_BREAK:
    case DT_JN_CONTINUE:
        j->flow = node->type == DT_JN_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
        break;
    default:
        dt_jinja_fail(j, DT_UNSUPPORTED, "the statement \"%.*s\" is not supported",
                      node->value.n < 60 ? (int)node->value.n : 60, node->value.as.text);
    }
}

static void run(struct dt_jinja *j, const struct dt_jnode *first)
{
    if (++j->depth > DT_JINJA_DEPTH_MOST)
        dt_jinja_fail(j, DT_UNSUPPORTED, "the template is nested more than %u deep",
                      DT_JINJA_DEPTH_MOST);
    for (const struct dt_jnode *n = first; n && j->flow == FLOW_NEXT && dt_jinja_step(j, 1);
         n = n->next) {
        j->line = n->line;
        run_one(j, n);
    }
    j->depth--;
}

// ---- entry point ----

static void set_variable(struct dt_jinja *j, const char *name, struct dt_jvalue value)
{
    set(j, dt_jtext(name, strlen(name)), value);
}

// A role. Templates make control tokens of it ("<|" + role + "|>"), so a plain word counts as text
// of the template; anything else as a user's.
static struct dt_jvalue role_of(struct dt_jinja *j, const char *role)
{
    size_t n = strlen(role);
    for (size_t i = 0; i < n; i++)
        if (!(role[i] >= 'a' && role[i] <= 'z') && role[i] != '_')
            return dt_juser_text(j, role, n);
    return dt_jtext(role, n);
}

static void set_variables(struct dt_jinja *j, const struct dt_jinja_input *in)
{
    struct dt_jvalue none = {.kind = DT_JNONE}, messages = dt_jnew_list(j);
    for (size_t i = 0; i < in->count && !j->status; i++) {
        const struct dt_jinja_message *m = &in->messages[i];
        struct dt_jvalue message = dt_jnew_dict(j), role = role_of(j, m->role),
                         content = dt_juser_text(j, m->content, m->length);
        if (j->status)
            return;
        dt_jinja_put(j, message.as.dict, dt_jtext("role", 4), role);
        dt_jinja_put(j, message.as.dict, dt_jtext("content", 7), content);
        dt_jinja_push(j, messages.as.list, message);
    }
    set_variable(j, "messages", messages);
    set_variable(j, "tools", none);
    set_variable(j, "documents", none);
    set_variable(j, "bos_token", dt_jtext(in->bos ? in->bos : "", in->bos ? in->bos_length : 0));
    set_variable(j, "eos_token", dt_jtext(in->eos ? in->eos : "", in->eos ? in->eos_length : 0));
    set_variable(j, "add_generation_prompt", dt_jbool(in->add_generation_prompt));
    if (in->without_thinking) { // the names that published templates have for it
        set_variable(j, "enable_thinking", dt_jbool(false));
        set_variable(j, "thinking", dt_jbool(false));
    }
}

dt_status dt_jinja_render(const char *source, size_t n, const struct dt_jinja_input *input,
                          struct dt_arena *arena, struct dt_jinja_text *out, struct dt_error *err)
{
    struct dt_jinja j = {.arena = arena, .err = err, .line = 1, .date = input->date};
    struct dt_jbuffer b = {0};
    struct dt_jnode *first = dt_jinja_parse(&j, source, n);
    j.out = &b;
    j.depth = 0;
    if (!j.status && enter(&j, NULL)) {
        set_variables(&j, input);
        if (!j.status && enter(&j, j.scope))
            run(&j, first);
    }
    struct dt_jvalue text = dt_jbuffer_value(&b);
    *out = (struct dt_jinja_text){text.as.text, text.user, text.n};
    return j.status;
}
