// SPDX-License-Identifier: MIT
// Filters of lists and dicts.
#include "base/bytes.h"
#include "core/text/jinja/jinja_value.h"

static struct dt_jvalue tuple_of(struct dt_jinja *j, struct dt_jvalue a, struct dt_jvalue b)
{
    struct dt_jvalue out = dt_jnew_list(j);
    if (j->status)
        return out;
    dt_jinja_push(j, out.as.list, a);
    dt_jinja_push(j, out.as.list, b);
    out.tuple = true;
    return out;
}

static struct dt_jvalue list(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    struct dt_jlist *items = dt_jitems(j, in);
    struct dt_jvalue out = dt_jnew_list(j);
    (void)args;
    for (uint32_t i = 0; items && i < items->count && !j->status; i++)
        dt_jinja_push(j, out.as.list, items->at[i]);
    return out;
}

static struct dt_jvalue reverse(struct dt_jinja *j, struct dt_jvalue in,
                                const struct dt_jargs *args)
{
    struct dt_jvalue none = {0}, step = dt_jint(-1);
    if (in.kind != DT_JTEXT)
        in = list(j, in, args);
    return j->status ? in : dt_jslice(j, in, none, none, step);
}

static struct dt_jvalue join(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    struct dt_jbuffer b = {0};
    struct dt_jvalue between = dt_jarg(args, 0, "d"), path = dt_jarg(args, 1, "attribute");
    struct dt_jlist *items = dt_jitems(j, in);
    for (uint32_t i = 0; items && i < items->count && dt_jinja_step(j, 1); i++) {
        if (i)
            dt_jinja_print(j, &b, between);
        dt_jinja_print(j, &b,
                       path.kind == DT_JUNDEFINED || path.kind == DT_JNONE
                           ? items->at[i]
                           : dt_jinja_path(j, items->at[i], path));
    }
    return dt_jbuffer_value(&b);
}

static struct dt_jvalue items_of(struct dt_jinja *j, struct dt_jvalue in,
                                 const struct dt_jargs *args)
{
    struct dt_jvalue out = dt_jnew_list(j);
    (void)args;
    if (in.kind != DT_JDICT && in.kind != DT_JUNDEFINED)
        return dt_jinja_fail(j, DT_BAD_INPUT, "items: %s has none", dt_jkind_name(in));
    for (uint32_t i = 0; in.kind == DT_JDICT && i < in.as.dict->keys.count && !j->status; i++)
        dt_jinja_push(j, out.as.list,
                      tuple_of(j, in.as.dict->keys.at[i], in.as.dict->values.at[i]));
    return out;
}

// ---- choosing ----

// The items for which a test holds (or fails: `not`). attribute: the first argument is a path, and
// its value is tested.
static struct dt_jvalue choose(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args,
                               bool attribute, bool not )
{
    struct dt_jlist *items = dt_jitems(j, in);
    struct dt_jvalue out = dt_jnew_list(j);
    uint32_t used = attribute;
    struct dt_jvalue path = dt_jarg(args, 0, "attribute"), test = dt_jarg(args, used, NULL);
    struct dt_jargs rest = *args;
    if (attribute && path.kind == DT_JUNDEFINED)
        return dt_jinja_fail(j, DT_BAD_INPUT, "selectattr needs the name of an attribute");
    used += test.kind != DT_JUNDEFINED;
    rest.count = used < args->count ? args->count - used : 0;
    rest.at = rest.count ? args->at + used : NULL;
    for (uint32_t i = 0; items && i < items->count && dt_jinja_step(j, 1); i++) {
        struct dt_jvalue v = attribute ? dt_jinja_path(j, items->at[i], path) : items->at[i];
        bool holds = test.kind == DT_JUNDEFINED ? dt_jtruth(v) : dt_jinja_test(j, test, v, &rest);
        if (holds != not )
            dt_jinja_push(j, out.as.list, items->at[i]);
    }
    return out;
}

static struct dt_jvalue select_(struct dt_jinja *j, struct dt_jvalue in,
                                const struct dt_jargs *args)
{
    return choose(j, in, args, false, false);
}

static struct dt_jvalue reject(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    return choose(j, in, args, false, true);
}

static struct dt_jvalue selectattr(struct dt_jinja *j, struct dt_jvalue in,
                                   const struct dt_jargs *args)
{
    return choose(j, in, args, true, false);
}

static struct dt_jvalue rejectattr(struct dt_jinja *j, struct dt_jvalue in,
                                   const struct dt_jargs *args)
{
    return choose(j, in, args, true, true);
}

static struct dt_jvalue map(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    struct dt_jlist *items = dt_jitems(j, in);
    struct dt_jvalue out = dt_jnew_list(j), path = dt_jarg(args, UINT32_MAX, "attribute"),
                     absent = dt_jarg(args, UINT32_MAX, "default"), name = dt_jarg(args, 0, NULL);
    struct dt_jargs rest = *args;
    if (path.kind == DT_JUNDEFINED && name.kind != DT_JTEXT)
        return dt_jinja_fail(j, DT_BAD_INPUT, "map needs an attribute or the name of a filter");
    rest.count = args->count ? args->count - 1 : 0;
    rest.at = rest.count ? args->at + 1 : NULL;
    for (uint32_t i = 0; items && i < items->count && dt_jinja_step(j, 1); i++) {
        struct dt_jvalue v;
        if (path.kind == DT_JUNDEFINED) {
            v = dt_jinja_filter(j, name, items->at[i], &rest);
        } else {
            v = dt_jinja_path(j, items->at[i], path);
            v = v.kind == DT_JUNDEFINED ? absent : v;
        }
        dt_jinja_push(j, out.as.list, v);
    }
    return out;
}

// ---- order ----

// What an item is compared by.
static struct dt_jvalue key_of(struct dt_jinja *j, struct dt_jvalue item, struct dt_jvalue path,
                               bool exact)
{
    if (path.kind == DT_JTEXT || path.kind == DT_JINT)
        item = dt_jinja_path(j, item, path);
    return item.kind == DT_JTEXT && !exact ? dt_jchange_case(j, item, DT_JLOWER, false) : item;
}

// Sorts items by their keys; equal ones keep their order.
static void sort_by(struct dt_jinja *j, struct dt_jlist *items, struct dt_jlist *keys, bool down)
{
    for (uint32_t i = 1; i < items->count && !j->status; i++) {
        struct dt_jvalue item = items->at[i], key = keys->at[i];
        uint32_t at = i;
        for (; at > 0 && dt_jinja_step(j, 1); at--) {
            int order = dt_jorder(j, keys->at[at - 1], key);
            if (down ? order >= 0 : order <= 0)
                break;
            items->at[at] = items->at[at - 1];
            keys->at[at] = keys->at[at - 1];
        }
        items->at[at] = item;
        keys->at[at] = key;
    }
}

static struct dt_jvalue sort(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    struct dt_jvalue out = list(j, in, args), keys = dt_jnew_list(j),
                     path = dt_jarg(args, 2, "attribute");
    bool down = dt_jtruth(dt_jarg(args, 0, "reverse")),
         exact = dt_jtruth(dt_jarg(args, 1, "case_sensitive"));
    for (uint32_t i = 0; !j->status && i < out.as.list->count; i++)
        dt_jinja_push(j, keys.as.list, key_of(j, out.as.list->at[i], path, exact));
    if (!j->status)
        sort_by(j, out.as.list, keys.as.list, down);
    return out;
}

static struct dt_jvalue dictsort(struct dt_jinja *j, struct dt_jvalue in,
                                 const struct dt_jargs *args)
{
    struct dt_jvalue out = items_of(j, in, args), keys = dt_jnew_list(j), none = {0};
    bool exact = dt_jtruth(dt_jarg(args, 0, "case_sensitive")),
         by_value = dt_jis(dt_jarg(args, 1, "by"), "value"),
         down = dt_jtruth(dt_jarg(args, 2, "reverse"));
    for (uint32_t i = 0; !j->status && i < out.as.list->count; i++)
        dt_jinja_push(j, keys.as.list,
                      key_of(j, out.as.list->at[i].as.list->at[by_value], none, exact));
    if (!j->status)
        sort_by(j, out.as.list, keys.as.list, down);
    return out;
}

static struct dt_jvalue unique(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    struct dt_jlist *items = dt_jitems(j, in);
    struct dt_jvalue out = dt_jnew_list(j), keys = dt_jnew_list(j),
                     path = dt_jarg(args, 1, "attribute");
    bool exact = dt_jtruth(dt_jarg(args, 0, "case_sensitive"));
    for (uint32_t i = 0; items && i < items->count && !j->status; i++) {
        struct dt_jvalue key = key_of(j, items->at[i], path, exact);
        if (!j->status && !dt_jinja_contains(j, keys, key)) {
            dt_jinja_push(j, keys.as.list, key);
            dt_jinja_push(j, out.as.list, items->at[i]);
        }
    }
    return out;
}

static struct dt_jvalue extreme(struct dt_jinja *j, struct dt_jvalue in,
                                const struct dt_jargs *args, int sign)
{
    struct dt_jlist *items = dt_jitems(j, in);
    struct dt_jvalue best = {0}, best_key = {0}, path = dt_jarg(args, 1, "attribute");
    bool exact = dt_jtruth(dt_jarg(args, 0, "case_sensitive"));
    for (uint32_t i = 0; items && i < items->count && !j->status; i++) {
        struct dt_jvalue key = key_of(j, items->at[i], path, exact);
        if (i == 0 || dt_jorder(j, key, best_key) * sign > 0) {
            best = items->at[i];
            best_key = key;
        }
    }
    return best;
}

static struct dt_jvalue least(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    return extreme(j, in, args, -1);
}

static struct dt_jvalue most(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    return extreme(j, in, args, 1);
}

static struct dt_jvalue sum(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    struct dt_jlist *items = dt_jitems(j, in);
    struct dt_jvalue path = dt_jarg(args, 0, "attribute"), start = dt_jarg(args, 1, "start");
    double real = dt_jis_number(start) ? dt_jnumber(start) : 0;
    int64_t whole = start.kind == DT_JINT ? start.as.integer : 0;
    bool exact = start.kind != DT_JREAL;
    for (uint32_t i = 0; items && i < items->count && dt_jinja_step(j, 1); i++) {
        struct dt_jvalue v = path.kind == DT_JUNDEFINED || path.kind == DT_JNONE
                                 ? items->at[i]
                                 : dt_jinja_path(j, items->at[i], path);
        if (!dt_jis_number(v))
            return dt_jinja_fail(j, DT_BAD_INPUT, "sum: %s is not a number", dt_jkind_name(v));
        exact = exact && v.kind != DT_JREAL && !__builtin_add_overflow(whole, v.as.integer, &whole);
        real += dt_jnumber(v);
    }
    return exact ? dt_jint(whole) : dt_jreal(real);
}

const struct dt_jfilter_row dt_jinja_list_filters[] = {
    {"list", list},
    {"reverse", reverse},
    {"join", join},
    {"items", items_of},
    {"select", select_},
    {"reject", reject},
    {"selectattr", selectattr},
    {"rejectattr", rejectattr},
    {"map", map},
    {"sort", sort},
    {"dictsort", dictsort},
    {"unique", unique},
    {"min", least},
    {"max", most},
    {"sum", sum},
    {NULL, NULL},
};
