// SPDX-License-Identifier: MIT
// The functions that every template has.
#include "base/bytes.h"
#include "base/format.h"
#include "core/text/jinja/jinja_value.h"

static struct dt_jvalue raise_exception(struct dt_jinja *j, const struct dt_jargs *args)
{
    struct dt_jvalue text = dt_jinja_text_of(j, dt_jarg(args, 0, "message"));
    return dt_jinja_fail(j, DT_BAD_INPUT, "%.*s", text.n < 300 ? (int)text.n : 300, text.as.text);
}

// ---- dates ----

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

// Days from 1 January of year 0 to a date (Gregorian calendar, years from 1).
static int day_number(int year, int month, int day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int last = year - 1;
    return last * 365 + last / 4 - last / 100 + last / 400 + before[(month + 11) % 12] +
           (leap && month > 2) + day;
}

// Writes one conversion of strftime in the C locale; false if it is not supported.
static bool put_date(const struct dt_jinja_date *d, char kind, bool bare, char *out, size_t size)
{
    int number = day_number(d->year, d->month, d->day);
    const char *day = days[number % 7], *month = months[(d->month + 11) % 12];
    int hour = d->hour % 12 ? d->hour % 12 : 12;
    const struct {
        char kind;
        int value, width;
    } rows[] = {
        {'d', d->day, 2},
        {'m', d->month, 2},
        {'H', d->hour, 2},
        {'I', hour, 2},
        {'M', d->minute, 2},
        {'S', d->second, 2},
        {'Y', d->year, 1},
        {'y', d->year % 100, 2},
        {'j', number - day_number(d->year, 1, 1) + 1, 3},
        {'w', number % 7, 1},
        {'u', number % 7 ? number % 7 : 7, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (kind == rows[i].kind) {
            const char *form = rows[i].width == 3 ? "%03d" : rows[i].width == 2 ? "%02d" : "%d";
            dt_format(out, size, bare ? "%d" : form, rows[i].value);
            return true;
        }
    switch (kind) {
    case 'e':
        dt_format(out, size, "%2d", d->day);
        return true;
    case 'b':
    case 'h':
        dt_format(out, size, "%.3s", month);
        return true;
    case 'B':
        dt_format(out, size, "%s", month);
        return true;
    case 'a':
        dt_format(out, size, "%.3s", day);
        return true;
    case 'A':
        dt_format(out, size, "%s", day);
        return true;
    case 'p':
        dt_format(out, size, "%s", d->hour < 12 ? "AM" : "PM");
        return true;
    case 'F':
        dt_format(out, size, "%d-%02d-%02d", d->year, d->month, d->day);
        return true;
    case 'D':
    case 'x':
        dt_format(out, size, "%02d/%02d/%02d", d->month, d->day, d->year % 100);
        return true;
    case 'T':
    case 'X':
        dt_format(out, size, "%02d:%02d:%02d", d->hour, d->minute, d->second);
        return true;
    case 'R':
        dt_format(out, size, "%02d:%02d", d->hour, d->minute);
        return true;
    default:
        return false;
    }
}

static struct dt_jvalue strftime_now(struct dt_jinja *j, const struct dt_jargs *args)
{
    struct dt_jbuffer b = {0};
    struct dt_jvalue form = dt_jarg(args, 0, "format");
    char text[32];
    if (form.kind != DT_JTEXT)
        return dt_jinja_fail(j, DT_BAD_INPUT, "strftime_now needs a format");
    for (size_t at = 0; at < form.n && !j->status; at++) {
        const char *c = form.as.text + at;
        if (*c != '%' || at + 1 == form.n) {
            dt_jbuffer_put(j, &b, c, 1, form.user ? form.user + at : NULL);
            continue;
        }
        bool bare = c[1] == '-' && at + 2 < form.n;
        at += bare ? 2 : 1;
        char kind = form.as.text[at];
        if (kind == '%' || kind == 'n' || kind == 't')
            dt_jbuffer_puts(j, &b, kind == '%' ? "%" : kind == 'n' ? "\n" : "\t");
        else if (put_date(&j->date, kind, bare, text, sizeof text))
            dt_jbuffer_puts(j, &b, text);
        else
            return dt_jinja_fail(j, DT_UNSUPPORTED, "strftime_now: %%%c is not supported", kind);
    }
    return dt_jbuffer_value(&b);
}

// ---- collections ----

static struct dt_jvalue dict(struct dt_jinja *j, const struct dt_jargs *args)
{
    struct dt_jvalue out = dt_jnew_dict(j), from = dt_jarg(args, 0, NULL);
    for (uint32_t i = 0; from.kind == DT_JDICT && i < from.as.dict->keys.count && !j->status; i++)
        dt_jinja_put(j, out.as.dict, from.as.dict->keys.at[i], from.as.dict->values.at[i]);
    for (uint32_t i = 0; i < args->named_count && !j->status; i++)
        dt_jinja_put(j, out.as.dict, args->names[i], args->named[i]);
    return out;
}

static struct dt_jvalue namespace(struct dt_jinja *j, const struct dt_jargs *args)
{
    struct dt_jvalue out = dict(j, args);
    if (!j->status)
        out.kind = DT_JNAMESPACE;
    return out;
}

static struct dt_jvalue range(struct dt_jinja *j, const struct dt_jargs *args)
{
    struct dt_jvalue out = dt_jnew_list(j);
    int64_t from = 0, to, by = 1;
    for (uint32_t i = 0; i < args->count; i++)
        if (args->at[i].kind != DT_JINT && args->at[i].kind != DT_JBOOL)
            return dt_jinja_fail(j, DT_BAD_INPUT, "range: %s is not a whole number",
                                 dt_jkind_name(args->at[i]));
    if (args->count < 1 || args->count > 3)
        return dt_jinja_fail(j, DT_BAD_INPUT, "range needs 1 to 3 numbers");
    to = args->at[args->count > 1].as.integer;
    from = args->count > 1 ? args->at[0].as.integer : 0;
    by = args->count > 2 ? args->at[2].as.integer : 1;
    if (by == 0)
        return dt_jinja_fail(j, DT_BAD_INPUT, "range: the step is 0");
    int64_t count = 0;
    for (int64_t i = from; by > 0 ? i < to : i > to; count++) {
        if (count == DT_JINJA_ITEMS_MOST)
            return dt_jinja_fail(j, DT_UNSUPPORTED, "range: more than %d numbers",
                                 DT_JINJA_ITEMS_MOST);
        if (!dt_jinja_push(j, out.as.list, dt_jint(i)) || __builtin_add_overflow(i, by, &i))
            break;
    }
    return out;
}

struct dt_jvalue dt_jinja_global(struct dt_jvalue name)
{
    static const struct dt_jfunction rows[] = {
        {"raise_exception", raise_exception},
        {"strftime_now", strftime_now},
        {"namespace", namespace},
        {"dict", dict},
        {"range", range},
    };
    struct dt_jvalue none = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dt_jis(name, rows[i].name))
            return (struct dt_jvalue){.kind = DT_JFUNCTION, .as.function = &rows[i]};
    return none;
}
