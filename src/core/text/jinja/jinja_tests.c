// SPDX-License-Identifier: MIT
// Tests: `value is name(argument)`.
#include "core/text/jinja/jinja_value.h"

typedef bool test_function(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other);

static bool is_defined(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind != DT_JUNDEFINED;
}

static bool is_undefined(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JUNDEFINED;
}

static bool is_none(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JNONE;
}

static bool is_text(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JTEXT;
}

static bool is_number(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return dt_jis_number(v);
}

static bool is_integer(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JINT;
}

static bool is_float(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JREAL;
}

static bool is_boolean(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JBOOL;
}

static bool is_true(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JBOOL && v.as.integer;
}

static bool is_false(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JBOOL && !v.as.integer;
}

static bool is_mapping(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JDICT;
}

static bool is_sequence(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JLIST || v.kind == DT_JTEXT || v.kind == DT_JDICT ||
           v.kind == DT_JUNDEFINED;
}

static bool is_iterable(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    return is_sequence(j, v, other) || v.kind == DT_JLOOP;
}

static bool is_callable(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j, (void)other;
    return v.kind == DT_JFUNCTION || v.kind == DT_JMACRO || v.kind == DT_JMETHOD;
}

static bool divides(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue by)
{
    if ((v.kind != DT_JINT && v.kind != DT_JBOOL) || by.kind != DT_JINT || by.as.integer == 0) {
        dt_jinja_fail(j, DT_BAD_INPUT, "divisibleby needs whole numbers, and not 0");
        return false;
    }
    return by.as.integer == -1 || v.as.integer % by.as.integer == 0;
}

static bool is_even(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)other;
    return divides(j, v, dt_jint(2));
}

static bool is_odd(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)other;
    return !divides(j, v, dt_jint(2)) && !j->status;
}

static bool is_equal(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j;
    return dt_jequal(v, other);
}

static bool is_not_equal(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j;
    return !dt_jequal(v, other);
}

static bool is_same(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)j;
    return v.kind == other.kind && dt_jequal(v, other);
}

static bool is_less(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    return dt_jorder(j, v, other) < 0;
}

static bool is_at_most(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    return dt_jorder(j, v, other) <= 0;
}

static bool is_greater(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    return dt_jorder(j, v, other) > 0;
}

static bool is_at_least(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    return dt_jorder(j, v, other) >= 0;
}

static bool is_in(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    return dt_jinja_contains(j, other, v);
}

// Whether a text has letters, and all of them have this case.
static bool has_case(struct dt_jinja *j, struct dt_jvalue v, enum dt_jcase how)
{
    struct dt_jvalue text = dt_jinja_text_of(j, v);
    return dt_jequal(text, dt_jchange_case(j, text, how, false)) &&
           !dt_jequal(text,
                      dt_jchange_case(j, text, how == DT_JUPPER ? DT_JLOWER : DT_JUPPER, false));
}

static bool is_lower(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)other;
    return has_case(j, v, DT_JLOWER);
}

static bool is_upper(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue other)
{
    (void)other;
    return has_case(j, v, DT_JUPPER);
}

bool dt_jinja_test(struct dt_jinja *j, struct dt_jvalue name, struct dt_jvalue in,
                   const struct dt_jargs *args)
{
    static const struct {
        const char *name;
        test_function *test;
    } rows[] = {
        {"defined", is_defined},   {"undefined", is_undefined},
        {"none", is_none},         {"string", is_text},
        {"number", is_number},     {"integer", is_integer},
        {"float", is_float},       {"boolean", is_boolean},
        {"true", is_true},         {"false", is_false},
        {"mapping", is_mapping},   {"iterable", is_iterable},
        {"sequence", is_sequence}, {"callable", is_callable},
        {"even", is_even},         {"odd", is_odd},
        {"divisibleby", divides},  {"eq", is_equal},
        {"equalto", is_equal},     {"==", is_equal},
        {"ne", is_not_equal},      {"!=", is_not_equal},
        {"sameas", is_same},       {"lt", is_less},
        {"lessthan", is_less},     {"<", is_less},
        {"le", is_at_most},        {"<=", is_at_most},
        {"gt", is_greater},        {"greaterthan", is_greater},
        {">", is_greater},         {"ge", is_at_least},
        {">=", is_at_least},       {"in", is_in},
        {"lower", is_lower},       {"upper", is_upper},
        {"True", is_true},         {"False", is_false},
        {"None", is_none},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dt_jis(name, rows[i].name))
            return rows[i].test(j, in, dt_jarg(args, 0, NULL));
    dt_jinja_fail(j, DT_UNSUPPORTED, "the test \"%.*s\" is not supported",
                  name.n < 60 && name.kind == DT_JTEXT ? (int)name.n : 0,
                  name.kind == DT_JTEXT ? name.as.text : "");
    return false;
}
