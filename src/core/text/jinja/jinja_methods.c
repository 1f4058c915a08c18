// SPDX-License-Identifier: MIT
// Methods of text, lists and dicts, as in Python.
#include "base/bytes.h"
#include "base/text.h"
#include "core/text/jinja/jinja_value.h"
#include "core/text/unicode_classes.h"

static const struct dt_jvalue none = {.kind = DT_JNONE};

// ---- ends ----

static struct dt_jvalue strip(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    (void)j;
    return dt_jstrip(self, dt_jarg(args, 0, NULL), true, true);
}

static struct dt_jvalue lstrip(struct dt_jinja *j, struct dt_jvalue self,
                               const struct dt_jargs *args)
{
    (void)j;
    return dt_jstrip(self, dt_jarg(args, 0, NULL), true, false);
}

static struct dt_jvalue rstrip(struct dt_jinja *j, struct dt_jvalue self,
                               const struct dt_jargs *args)
{
    (void)j;
    return dt_jstrip(self, dt_jarg(args, 0, NULL), false, true);
}

static bool ends_with(struct dt_jvalue text, struct dt_jvalue word)
{
    return word.kind == DT_JTEXT && word.n <= text.n &&
           memcmp(text.as.text + text.n - word.n, word.as.text, word.n) == 0;
}

static bool starts_with(struct dt_jvalue text, struct dt_jvalue word)
{
    return word.kind == DT_JTEXT && word.n <= text.n &&
           memcmp(text.as.text, word.as.text, word.n) == 0;
}

// Whether a text begins or ends with the argument, or with one of a tuple.
static struct dt_jvalue any_end(struct dt_jinja *j, struct dt_jvalue self,
                                const struct dt_jargs *args,
                                bool (*has)(struct dt_jvalue text, struct dt_jvalue word))
{
    struct dt_jvalue word = dt_jarg(args, 0, NULL);
    if (word.kind == DT_JTEXT)
        return dt_jbool(has(self, word));
    if (word.kind != DT_JLIST)
        return dt_jinja_fail(j, DT_BAD_INPUT, "startswith and endswith need a text, not %s",
                             dt_jkind_name(word));
    for (uint32_t i = 0; i < word.as.list->count && dt_jinja_step(j, 1); i++)
        if (has(self, word.as.list->at[i]))
            return dt_jbool(true);
    return dt_jbool(false);
}

static struct dt_jvalue startswith(struct dt_jinja *j, struct dt_jvalue self,
                                   const struct dt_jargs *args)
{
    return any_end(j, self, args, starts_with);
}

static struct dt_jvalue endswith(struct dt_jinja *j, struct dt_jvalue self,
                                 const struct dt_jargs *args)
{
    return any_end(j, self, args, ends_with);
}

static struct dt_jvalue removeprefix(struct dt_jinja *j, struct dt_jvalue self,
                                     const struct dt_jargs *args)
{
    struct dt_jvalue word = dt_jarg(args, 0, NULL);
    (void)j;
    return starts_with(self, word) ? dt_jpart(self, word.n, self.n) : self;
}

static struct dt_jvalue removesuffix(struct dt_jinja *j, struct dt_jvalue self,
                                     const struct dt_jargs *args)
{
    struct dt_jvalue word = dt_jarg(args, 0, NULL);
    (void)j;
    return ends_with(self, word) ? dt_jpart(self, 0, self.n - word.n) : self;
}

// ---- case ----

static struct dt_jvalue upper(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    (void)args;
    return dt_jchange_case(j, self, DT_JUPPER, false);
}

static struct dt_jvalue lower(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    (void)args;
    return dt_jchange_case(j, self, DT_JLOWER, false);
}

static struct dt_jvalue title(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    (void)args;
    return dt_jchange_case(j, self, DT_JTITLE, true);
}

static struct dt_jvalue capitalize(struct dt_jinja *j, struct dt_jvalue self,
                                   const struct dt_jargs *args)
{
    (void)args;
    return dt_jchange_case(j, self, DT_JCAPITAL, false);
}

// Whether a text is not empty and all its characters are of a kind.
static struct dt_jvalue all_are(struct dt_jvalue self, bool (*is)(uint32_t code))
{
    uint32_t code;
    for (size_t at = 0; at < self.n;) {
        at += dt_utf8_decode(self.as.text + at, self.n - at, &code);
        if (!is(code))
            return dt_jbool(false);
    }
    return dt_jbool(self.n > 0);
}

static struct dt_jvalue isdigit_(struct dt_jinja *j, struct dt_jvalue self,
                                 const struct dt_jargs *args)
{
    (void)j, (void)args;
    return all_are(self, dt_unicode_number);
}

static struct dt_jvalue isalpha_(struct dt_jinja *j, struct dt_jvalue self,
                                 const struct dt_jargs *args)
{
    (void)j, (void)args;
    return all_are(self, dt_unicode_letter);
}

static struct dt_jvalue isspace_(struct dt_jinja *j, struct dt_jvalue self,
                                 const struct dt_jargs *args)
{
    (void)j, (void)args;
    return all_are(self, dt_jspace);
}

// ---- parts ----

static int64_t limit_of(const struct dt_jargs *args, uint32_t index, const char *name)
{
    struct dt_jvalue most = dt_jarg(args, index, name);
    return most.kind == DT_JINT && most.as.integer >= 0 ? most.as.integer : INT64_MAX;
}

// text.split() at runs of white space.
static struct dt_jvalue split_spaces(struct dt_jinja *j, struct dt_jvalue self, int64_t most)
{
    struct dt_jvalue out = dt_jnew_list(j);
    struct dt_jvalue spaces = {0};
    size_t at = 0;
    uint32_t code;
    while (dt_jinja_step(j, 1)) {
        struct dt_jvalue rest = dt_jstrip(dt_jpart(self, at, self.n), spaces, true, false);
        size_t begin = self.n - rest.n, end = begin;
        if (begin == self.n)
            break;
        while (end < self.n) {
            size_t n = dt_utf8_decode(self.as.text + end, self.n - end, &code);
            if (dt_jspace(code))
                break;
            end += n;
        }
        if (most-- == 0)
            end = begin + dt_jstrip(rest, spaces, false, true).n;
        dt_jinja_push(j, out.as.list, dt_jpart(self, begin, end));
        at = most < 0 ? self.n : end;
    }
    return out;
}

static struct dt_jvalue split(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    struct dt_jvalue word = dt_jarg(args, 0, "sep"), out;
    int64_t most = limit_of(args, 1, "maxsplit");
    if (word.kind == DT_JUNDEFINED || word.kind == DT_JNONE)
        return split_spaces(j, self, most);
    if (word.kind != DT_JTEXT || word.n == 0)
        return dt_jinja_fail(j, DT_BAD_INPUT, "split needs a text that is not empty");
    out = dt_jnew_list(j);
    for (size_t at = 0; dt_jinja_step(j, 1 + (self.n - at) / 64);) {
        size_t found = most-- > 0 ? dt_jsearch(self, word, at) : SIZE_MAX;
        dt_jinja_push(j, out.as.list, dt_jpart(self, at, found == SIZE_MAX ? self.n : found));
        if (found == SIZE_MAX)
            break;
        at = found + word.n;
    }
    return out;
}

// The last occurrence of a word before byte `end`; SIZE_MAX: none.
static size_t search_back(struct dt_jvalue text, struct dt_jvalue word, size_t end)
{
    for (size_t at = end < word.n ? 0 : end - word.n + 1; end >= word.n && at > 0; at--)
        if (memcmp(text.as.text + at - 1, word.as.text, word.n) == 0)
            return at - 1;
    return SIZE_MAX;
}

static struct dt_jvalue rsplit(struct dt_jinja *j, struct dt_jvalue self,
                               const struct dt_jargs *args)
{
    struct dt_jvalue word = dt_jarg(args, 0, "sep"), out = dt_jnew_list(j);
    int64_t most = limit_of(args, 1, "maxsplit");
    if (most == INT64_MAX)
        return split(j, self, args);
    if (word.kind != DT_JTEXT || word.n == 0)
        return dt_jinja_fail(j, DT_UNSUPPORTED, "rsplit with a limit needs a text to split at");
    for (size_t end = self.n; dt_jinja_step(j, 1 + end / 16);) {
        size_t found = most-- > 0 ? search_back(self, word, end) : SIZE_MAX;
        dt_jinja_push(j, out.as.list, dt_jpart(self, found == SIZE_MAX ? 0 : found + word.n, end));
        if (found == SIZE_MAX)
            break;
        end = found;
    }
    struct dt_jvalue absent = {0}, step = dt_jint(-1);
    return j->status ? out : dt_jslice(j, out, absent, absent, step);
}

static struct dt_jvalue splitlines(struct dt_jinja *j, struct dt_jvalue self,
                                   const struct dt_jargs *args)
{
    struct dt_jvalue out = dt_jnew_list(j);
    bool keep = dt_jtruth(dt_jarg(args, 0, "keepends"));
    for (size_t at = 0, end; at < self.n && dt_jinja_step(j, 1); at = end) {
        size_t text = at;
        while (text < self.n && self.as.text[text] != '\n' && self.as.text[text] != '\r')
            text++;
        end = text + (text < self.n);
        if (end < self.n && self.as.text[text] == '\r' && self.as.text[end] == '\n')
            end++;
        dt_jinja_push(j, out.as.list, dt_jpart(self, at, keep ? end : text));
    }
    return out;
}

static struct dt_jvalue partition(struct dt_jinja *j, struct dt_jvalue self,
                                  const struct dt_jargs *args)
{
    struct dt_jvalue word = dt_jarg(args, 0, NULL), out = dt_jnew_list(j);
    if (word.kind != DT_JTEXT || word.n == 0)
        return dt_jinja_fail(j, DT_BAD_INPUT, "partition needs a text that is not empty");
    size_t found = dt_jsearch(self, word, 0), end = found == SIZE_MAX ? self.n : found + word.n;
    if (j->status)
        return out;
    dt_jinja_push(j, out.as.list, dt_jpart(self, 0, found == SIZE_MAX ? self.n : found));
    dt_jinja_push(j, out.as.list, found == SIZE_MAX ? dt_jtext("", 0) : word);
    dt_jinja_push(j, out.as.list, dt_jpart(self, end, self.n));
    out.tuple = true;
    return out;
}

static struct dt_jvalue replace(struct dt_jinja *j, struct dt_jvalue self,
                                const struct dt_jargs *args)
{
    struct dt_jbuffer b = {0};
    struct dt_jvalue old = dt_jarg(args, 0, "old"), new = dt_jarg(args, 1, "new");
    int64_t most = limit_of(args, 2, "count");
    if (old.kind != DT_JTEXT || new.kind != DT_JTEXT || old.n == 0)
        return dt_jinja_fail(j, DT_BAD_INPUT, "replace needs two texts, the first not empty");
    if (dt_jsearch(self, old, 0) == SIZE_MAX)
        return self;
    for (size_t at = 0; dt_jinja_step(j, 1 + (self.n - at) / 64);) {
        size_t found = most-- > 0 ? dt_jsearch(self, old, at) : SIZE_MAX;
        dt_jinja_print(j, &b, dt_jpart(self, at, found == SIZE_MAX ? self.n : found));
        if (found == SIZE_MAX)
            break;
        dt_jinja_print(j, &b, new);
        at = found + old.n;
    }
    return dt_jbuffer_value(&b);
}

static struct dt_jvalue position(struct dt_jinja *j, struct dt_jvalue self,
                                 const struct dt_jargs *args, bool last)
{
    struct dt_jvalue word = dt_jarg(args, 0, NULL);
    if (word.kind != DT_JTEXT)
        return dt_jinja_fail(j, DT_BAD_INPUT, "find needs a text, not %s", dt_jkind_name(word));
    dt_jinja_step(j, 1 + self.n / 16);
    size_t at = last ? search_back(self, word, self.n) : dt_jsearch(self, word, 0);
    return dt_jint(at == SIZE_MAX ? -1 : (int64_t)dt_jcharacters(dt_jpart(self, 0, at)));
}

static struct dt_jvalue find(struct dt_jinja *j, struct dt_jvalue self, const struct dt_jargs *args)
{
    return position(j, self, args, false);
}

static struct dt_jvalue rfind(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    return position(j, self, args, true);
}

static struct dt_jvalue count(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    struct dt_jvalue word = dt_jarg(args, 0, NULL);
    int64_t found = 0;
    if (self.kind == DT_JLIST) {
        for (uint32_t i = 0; i < self.as.list->count && dt_jinja_step(j, 1); i++)
            found += dt_jequal(self.as.list->at[i], word);
        return dt_jint(found);
    }
    if (word.kind != DT_JTEXT || word.n == 0)
        return dt_jinja_fail(j, DT_BAD_INPUT, "count needs a text that is not empty");
    for (size_t at = 0; dt_jinja_step(j, 1 + (self.n - at) / 64); found++) {
        at = dt_jsearch(self, word, at);
        if (at == SIZE_MAX)
            break;
        at += word.n;
    }
    return dt_jint(found);
}

static struct dt_jvalue join(struct dt_jinja *j, struct dt_jvalue self, const struct dt_jargs *args)
{
    struct dt_jargs between = {.at = &self, .count = 1};
    return dt_jinja_filter(j, dt_jtext("join", 4), dt_jarg(args, 0, NULL), &between);
}

// ---- dicts ----

static struct dt_jvalue items(struct dt_jinja *j, struct dt_jvalue self,
                              const struct dt_jargs *args)
{
    return dt_jinja_filter(j, dt_jtext("items", 5), self, args);
}

static struct dt_jvalue keys(struct dt_jinja *j, struct dt_jvalue self, const struct dt_jargs *args)
{
    return dt_jinja_filter(j, dt_jtext("list", 4), self, args);
}

static struct dt_jvalue values(struct dt_jinja *j, struct dt_jvalue self,
                               const struct dt_jargs *args)
{
    struct dt_jvalue list = {.kind = DT_JLIST, .as.list = &self.as.dict->values};
    return dt_jinja_filter(j, dt_jtext("list", 4), list, args);
}

static struct dt_jvalue get(struct dt_jinja *j, struct dt_jvalue self, const struct dt_jargs *args)
{
    struct dt_jvalue *found = dt_jinja_find(self.as.dict, dt_jarg(args, 0, NULL)),
                     absent = dt_jarg(args, 1, "default");
    (void)j;
    return found ? *found : absent.kind == DT_JUNDEFINED ? none : absent;
}

dt_jfilter *dt_jinja_method(struct dt_jvalue self, struct dt_jvalue name)
{
    static const struct dt_jfilter_row text[] = {
        {"strip", strip},
        {"lstrip", lstrip},
        {"rstrip", rstrip},
        {"startswith", startswith},
        {"endswith", endswith},
        {"removeprefix", removeprefix},
        {"removesuffix", removesuffix},
        {"upper", upper},
        {"lower", lower},
        {"title", title},
        {"capitalize", capitalize},
        {"isdigit", isdigit_},
        {"isnumeric", isdigit_},
        {"isalpha", isalpha_},
        {"isspace", isspace_},
        {"split", split},
        {"rsplit", rsplit},
        {"splitlines", splitlines},
        {"partition", partition},
        {"replace", replace},
        {"find", find},
        {"rfind", rfind},
        {"count", count},
        {"join", join},
        {NULL, NULL},
    };
    static const struct dt_jfilter_row lists[] = {{"count", count}, {NULL, NULL}};
    static const struct dt_jfilter_row dicts[] = {
        {"items", items}, {"keys", keys}, {"values", values}, {"get", get}, {NULL, NULL},
    };
    const struct dt_jfilter_row *rows = self.kind == DT_JTEXT   ? text
                                        : self.kind == DT_JLIST ? lists
                                        : self.kind == DT_JDICT ? dicts
                                                                : NULL;
    for (; rows && rows->name; rows++)
        if (dt_jis(name, rows->name))
            return rows->filter;
    return NULL;
}
