// SPDX-License-Identifier: MIT
// Filters of single values, and the look-up of all filters.
#include <math.h>

#include "base/bytes.h"
#include "core/text/jinja/jinja_value.h"

static struct dt_jvalue trim(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    return dt_jstrip(dt_jinja_text_of(j, in), dt_jarg(args, 0, "chars"), true, true);
}

static struct dt_jvalue tojson(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    struct dt_jbuffer b = {0};
    struct dt_jvalue indent = dt_jarg(args, 0, "indent");
    bool given = indent.kind == DT_JINT && indent.as.integer >= 0;
    dt_jinja_json(j, &b, in, given ? (int)(indent.as.integer < 64 ? indent.as.integer : 64) : -1);
    return dt_jbuffer_value(&b);
}

static struct dt_jvalue length(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    (void)args;
    return dt_jint(dt_jlength(j, in));
}

static struct dt_jvalue upper(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    (void)args;
    return dt_jchange_case(j, dt_jinja_text_of(j, in), DT_JUPPER, false);
}

static struct dt_jvalue lower(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    (void)args;
    return dt_jchange_case(j, dt_jinja_text_of(j, in), DT_JLOWER, false);
}

static struct dt_jvalue title(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    (void)args;
    return dt_jchange_case(j, dt_jinja_text_of(j, in), DT_JTITLE, false);
}

static struct dt_jvalue capitalize(struct dt_jinja *j, struct dt_jvalue in,
                                   const struct dt_jargs *args)
{
    (void)args;
    return dt_jchange_case(j, dt_jinja_text_of(j, in), DT_JCAPITAL, false);
}

static struct dt_jvalue replace(struct dt_jinja *j, struct dt_jvalue in,
                                const struct dt_jargs *args)
{
    struct dt_jvalue text = dt_jinja_text_of(j, in), name = dt_jtext("replace", 7);
    dt_jfilter *method = dt_jinja_method(text, name);
    return j->status ? text : method(j, text, args);
}

static struct dt_jvalue string(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    (void)args;
    return dt_jinja_text_of(j, in);
}

// Reads a number; false if the text is not one. whole: it has no fraction or exponent.
static bool number_of(struct dt_jvalue text, double *out, bool *is_whole)
{
    struct dt_jvalue none = {0}, t = dt_jstrip(text, none, true, true);
    double value = 0, scale = 1;
    bool negative = t.n && t.as.text[0] == '-', fraction = false, any = false;
    for (size_t i = t.n && (t.as.text[0] == '-' || t.as.text[0] == '+'); i < t.n; i++) {
        char c = t.as.text[i];
        if (c == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (c < '0' || c > '9')
            return false;
        any = true;
        value = value * 10 + (c - '0');
        scale *= fraction ? 10 : 1;
    }
    *out = (negative ? -value : value) / scale;
    *is_whole = !fraction;
    return any;
}

static struct dt_jvalue to_int(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    double value = 0;
    bool is_whole, valid = true;
    struct dt_jvalue absent = dt_jarg(args, 0, "default");
    (void)j;
    if (in.kind == DT_JINT || in.kind == DT_JBOOL)
        return dt_jint(in.as.integer);
    if (in.kind == DT_JREAL)
        value = in.as.real;
    else
        valid = in.kind == DT_JTEXT && number_of(in, &value, &is_whole);
    if (!valid || !(value > -9e18 && value < 9e18))
        return absent.kind == DT_JUNDEFINED ? dt_jint(0) : absent;
    return dt_jint((int64_t)value);
}

static struct dt_jvalue to_float(struct dt_jinja *j, struct dt_jvalue in,
                                 const struct dt_jargs *args)
{
    double value = 0;
    bool is_whole;
    struct dt_jvalue absent = dt_jarg(args, 0, "default");
    (void)j;
    if (dt_jis_number(in))
        return dt_jreal(dt_jnumber(in));
    if (in.kind == DT_JTEXT && number_of(in, &value, &is_whole))
        return dt_jreal(value);
    return absent.kind == DT_JUNDEFINED ? dt_jreal(0) : absent;
}

static struct dt_jvalue absolute(struct dt_jinja *j, struct dt_jvalue in,
                                 const struct dt_jargs *args)
{
    (void)args;
    if (in.kind == DT_JREAL)
        return dt_jreal(fabs(in.as.real));
    if (!dt_jis_number(in) || in.as.integer == INT64_MIN)
        return dt_jinja_fail(j, DT_BAD_INPUT, "abs: %s is not a number", dt_jkind_name(in));
    return dt_jint(in.as.integer < 0 ? -in.as.integer : in.as.integer);
}

static struct dt_jvalue round_to(struct dt_jinja *j, struct dt_jvalue in,
                                 const struct dt_jargs *args)
{
    struct dt_jvalue places = dt_jarg(args, 0, "precision"), method = dt_jarg(args, 1, "method");
    if (!dt_jis_number(in))
        return dt_jinja_fail(j, DT_BAD_INPUT, "round: %s is not a number", dt_jkind_name(in));
    double scale = pow(10, places.kind == DT_JINT ? (double)places.as.integer : 0),
           x = dt_jnumber(in) * scale, down = floor(x);
    if (dt_jis(method, "floor"))
        x = down;
    else if (dt_jis(method, "ceil"))
        x = down < x ? down + 1 : down;
    else if (x - down < 0.5 || (x - down <= 0.5 && floor(down / 2) * 2 >= down))
        x = down; // halves to even
    else
        x = down + 1;
    return dt_jreal(x / scale);
}

static struct dt_jvalue or_default(struct dt_jinja *j, struct dt_jvalue in,
                                   const struct dt_jargs *args)
{
    struct dt_jvalue other = dt_jarg(args, 0, "default_value");
    bool empty = dt_jtruth(dt_jarg(args, 1, "boolean")) && !dt_jtruth(in);
    (void)j;
    if (in.kind != DT_JUNDEFINED && !empty)
        return in;
    return other.kind == DT_JUNDEFINED ? dt_jtext("", 0) : other;
}

static struct dt_jvalue escape(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    static const char marks[] = "&<>\"'";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
    struct dt_jbuffer b = {0};
    struct dt_jvalue text = dt_jinja_text_of(j, in);
    (void)args;
    for (size_t at = 0; at < text.n && !j->status; at++) {
        const char *mark = text.as.text[at] ? strchr(marks, text.as.text[at]) : NULL;
        unsigned char user[8];
        memset(user, text.user && text.user[at], sizeof user);
        if (mark)
            dt_jbuffer_put(j, &b, names[mark - marks], strlen(names[mark - marks]), user);
        else
            dt_jbuffer_put(j, &b, text.as.text + at, 1, user);
    }
    return dt_jbuffer_value(&b);
}

static struct dt_jvalue indent(struct dt_jinja *j, struct dt_jvalue in, const struct dt_jargs *args)
{
    struct dt_jvalue text = dt_jinja_text_of(j, in), width = dt_jarg(args, 0, "width");
    bool first = dt_jtruth(dt_jarg(args, 1, "first")), blank = dt_jtruth(dt_jarg(args, 2, "blank"));
    struct dt_jbuffer b = {0}, space = {0};
    int64_t count = width.kind == DT_JINT ? width.as.integer : 4;
    for (int64_t i = 0; width.kind != DT_JTEXT && i < count && !j->status; i++)
        dt_jbuffer_puts(j, &space, " ");
    struct dt_jvalue margin = width.kind == DT_JTEXT ? width : dt_jbuffer_value(&space);
    for (size_t at = 0; at <= text.n && !j->status;) {
        const char *end = at < text.n ? memchr(text.as.text + at, '\n', text.n - at) : NULL;
        size_t to = end ? (size_t)(end - text.as.text) : text.n;
        if (at)
            dt_jbuffer_puts(j, &b, "\n");
        if (at ? to > at || blank : first)
            dt_jinja_print(j, &b, margin);
        dt_jinja_print(j, &b, dt_jpart(text, at, to));
        at = to + 1;
    }
    return dt_jbuffer_value(&b);
}

static struct dt_jvalue first_of(struct dt_jinja *j, struct dt_jvalue in,
                                 const struct dt_jargs *args)
{
    struct dt_jlist *items = dt_jitems(j, in);
    struct dt_jvalue none = {0};
    (void)args;
    return items && items->count ? items->at[0] : none;
}

static struct dt_jvalue last_of(struct dt_jinja *j, struct dt_jvalue in,
                                const struct dt_jargs *args)
{
    struct dt_jlist *items = dt_jitems(j, in);
    struct dt_jvalue none = {0};
    (void)args;
    return items && items->count ? items->at[items->count - 1] : none;
}

static struct dt_jvalue wordcount(struct dt_jinja *j, struct dt_jvalue in,
                                  const struct dt_jargs *args)
{
    struct dt_jvalue text = dt_jinja_text_of(j, in), name = dt_jtext("split", 5);
    dt_jfilter *method = dt_jinja_method(text, name);
    const struct dt_jargs nothing = {0};
    (void)args;
    struct dt_jvalue words = j->status ? text : method(j, text, &nothing);
    return j->status ? words : dt_jint(words.as.list->count);
}

static dt_jfilter *find(const struct dt_jfilter_row *rows, struct dt_jvalue name)
{
    for (; rows->name; rows++)
        if (dt_jis(name, rows->name))
            return rows->filter;
    return NULL;
}

struct dt_jvalue dt_jinja_filter(struct dt_jinja *j, struct dt_jvalue name, struct dt_jvalue in,
                                 const struct dt_jargs *args)
{
    static const struct dt_jfilter_row rows[] = {
        {"trim", trim},          {"tojson", tojson},         {"length", length},
        {"count", length},       {"upper", upper},           {"lower", lower},
        {"title", title},        {"capitalize", capitalize}, {"replace", replace},
        {"string", string},      {"safe", string},           {"int", to_int},
        {"float", to_float},     {"abs", absolute},          {"round", round_to},
        {"default", or_default}, {"d", or_default},          {"escape", escape},
        {"e", escape},           {"indent", indent},         {"first", first_of},
        {"last", last_of},       {"wordcount", wordcount},   {NULL, NULL},
    };
    dt_jfilter *filter = find(rows, name);
    if (!filter)
        filter = find(dt_jinja_list_filters, name);
    if (filter)
        return filter(j, in, args);
    return dt_jinja_fail(j, DT_UNSUPPORTED, "the filter \"%.*s\" is not supported",
                         name.n < 60 ? (int)name.n : 60, name.as.text);
}
