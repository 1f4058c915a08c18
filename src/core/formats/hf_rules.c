// SPDX-License-Identifier: MIT
// Each section is reduced to what it does: patterns that split, and flags. Whatever is not
// understood is refused, because the tokens would be wrong.
#include "core/formats/hf_rules.h"

#include <string.h>

#include "core/text/pretokenizer.h"

#define META_SPACE  "\xe2\x96\x81" // U+2581
#define PATTERN_MAX 1024u

struct rules {
    const char *name;
    struct dt_error *err;
    struct dt_vocab *out;
    char text[DT_PRETOKENIZER_STEPS][PATTERN_MAX];
    struct dt_pretokenizer_pattern pattern[DT_PRETOKENIZER_STEPS];
    uint32_t patterns;
    bool replaces;   // the normalizer turns spaces into U+2581
    bool byte_level; // a ByteLevel part has been read
    bool metaspace;
};

static bool text_is(struct dt_json_value v, const char *wanted)
{
    char text[64];
    return dt_json_is_text(v) && v.n < sizeof text && dt_json_text_of(v, text) == strlen(wanted) &&
           memcmp(text, wanted, strlen(wanted)) == 0;
}

static dt_status refuse(const struct rules *r, const char *section, struct dt_json_value part)
{
    return dt_error_set(r->err, DT_UNSUPPORTED, r->name,
                        "%s: duotale does not have %.*s, so its tokens would differ", section,
                        part.n < 300 ? (int)part.n : 300, part.at);
}

// ---- normalizer ----

static dt_status normalizer(struct rules *r, struct dt_json_value part)
{
    struct dt_json_value type = dt_json_find(part, "type"), key, item;
    struct dt_json_walk walk = {0};
    dt_status status = DT_OK;
    if (!part.n || dt_json_is(part, "null"))
        return DT_OK;
    if (dt_json_is(type, "\"Sequence\"")) {
        struct dt_json_value list = dt_json_find(part, "normalizers");
        while (!status && dt_json_next(list, &walk, &key, &item))
            status = dt_json_is(dt_json_find(item, "type"), "\"Sequence\"")
                         ? refuse(r, "normalizer", item)
                         : normalizer(r, item);
        return status;
    }
    if (dt_json_is(type, "\"NFC\"") && !r->replaces && !r->out->add_space_prefix) {
        r->out->nfc = true;
        return DT_OK;
    }
    if (dt_json_is(type, "\"Prepend\"") && !r->replaces &&
        text_is(dt_json_find(part, "prepend"), META_SPACE)) {
        r->out->add_space_prefix = true;
        return DT_OK;
    }
    if (dt_json_is(type, "\"Replace\"") &&
        text_is(dt_json_find(dt_json_find(part, "pattern"), "String"), " ") &&
        text_is(dt_json_find(part, "content"), META_SPACE)) {
        r->replaces = true;
        return DT_OK;
    }
    return refuse(r, "normalizer", part);
}

// ---- pre-tokenizer ----

static bool add_pattern(struct rules *r, const char *text, size_t n)
{
    if (r->patterns == DT_PRETOKENIZER_STEPS || n > PATTERN_MAX)
        return false;
    char *copy = r->text[r->patterns];
    memcpy(copy, text, n);
    r->pattern[r->patterns++] = (struct dt_pretokenizer_pattern){copy, n};
    return true;
}

// Split, where the matches and what is between them are words.
static bool split(struct rules *r, struct dt_json_value part)
{
    struct dt_json_value pattern = dt_json_find(part, "pattern"),
                         regex = dt_json_find(pattern, "Regex"),
                         string = dt_json_find(pattern, "String"),
                         behavior = dt_json_find(part, "behavior");
    bool invert = dt_json_is(dt_json_find(part, "invert"), "true");
    // The normalizer has left no spaces.
    if (r->replaces && text_is(string, " "))
        return true;
    // The other way to write it, for a pattern that matches everything.
    bool isolated = dt_json_is(behavior, "\"Isolated\"") && !invert;
    bool removed = dt_json_is(behavior, "\"Removed\"") && invert && r->patterns == 0;
    if ((!isolated && !removed) || !dt_json_is_text(regex) ||
        r->patterns == DT_PRETOKENIZER_STEPS || dt_json_text_of(regex, NULL) > PATTERN_MAX)
        return false;
    char *text = r->text[r->patterns];
    r->pattern[r->patterns] = (struct dt_pretokenizer_pattern){text, dt_json_text_of(regex, text)};
    r->patterns++;
    return true;
}

static bool metaspace(struct rules *r, struct dt_json_value part)
{
    struct dt_json_value scheme = dt_json_find(part, "prepend_scheme"),
                         before = dt_json_find(part, "add_prefix_space");
    struct dt_vocab *v = r->out;
    if (!text_is(dt_json_find(part, "replacement"), META_SPACE))
        return false;
    bool never = scheme.n ? dt_json_is(scheme, "\"never\"") : dt_json_is(before, "false");
    bool first = dt_json_is(scheme, "\"first\"");
    if (scheme.n && !never && !first && !dt_json_is(scheme, "\"always\""))
        return false;
    if (!never) {
        v->prefix_unless_space = !v->add_space_prefix;
        v->add_space_prefix = true;
        v->prefix_once = first;
    }
    v->split_spaces = !dt_json_is(dt_json_find(part, "split"), "false");
    r->metaspace = true;
    return true;
}

static bool byte_level(struct rules *r, struct dt_json_value part)
{
    // A space before every part is not what a space before the text is.
    bool prefix = !dt_json_is(dt_json_find(part, "add_prefix_space"), "false");
    if (r->byte_level || (prefix && r->patterns))
        return false;
    r->byte_level = true;
    r->out->add_space_prefix = r->out->prefix_unless_space = prefix;
    return dt_json_is(dt_json_find(part, "use_regex"), "false") ||
           add_pattern(r, dt_pretokenizer_gpt2, strlen(dt_pretokenizer_gpt2));
}

static dt_status pretokenizer(struct rules *r, struct dt_json_value part)
{
    static const char marks[] = "[\\p{P}$+<=>^~|`]+", digit[] = "\\p{N}", digits[] = "\\p{N}+";
    struct dt_json_value type = dt_json_find(part, "type"), key, item;
    struct dt_json_walk walk = {0};
    dt_status status = DT_OK;
    bool good = false;
    if (!part.n || dt_json_is(part, "null"))
        return DT_OK;
    if (dt_json_is(type, "\"Sequence\"")) {
        struct dt_json_value list = dt_json_find(part, "pretokenizers");
        while (!status && dt_json_next(list, &walk, &key, &item))
            status = dt_json_is(dt_json_find(item, "type"), "\"Sequence\"")
                         ? refuse(r, "pre_tokenizer", item)
                         : pretokenizer(r, item);
        return status;
    }
    if (dt_json_is(type, "\"Split\""))
        good = split(r, part);
    else if (dt_json_is(type, "\"ByteLevel\""))
        good = byte_level(r, part);
    else if (dt_json_is(type, "\"Metaspace\""))
        good = metaspace(r, part);
    else if (dt_json_is(type, "\"Punctuation\"") &&
             dt_json_is(dt_json_find(part, "behavior"), "\"Contiguous\""))
        good = add_pattern(r, marks, sizeof marks - 1);
    else if (dt_json_is(type, "\"Digits\"") &&
             dt_json_is(dt_json_find(part, "individual_digits"), "true"))
        good = add_pattern(r, digit, sizeof digit - 1);
    else if (dt_json_is(type, "\"Digits\""))
        good = add_pattern(r, digits, sizeof digits - 1);
    return good ? DT_OK : refuse(r, "pre_tokenizer", part);
}

void dt_hf_find_sections(const struct dt_json_outline *tokenizer, struct dt_hf_sections *out)
{
    const struct {
        const char *object, *name;
        struct dt_json_value *value;
    } rows[] = {
        {NULL, "normalizer", &out->normalizer},
        {NULL, "pre_tokenizer", &out->pre_tokenizer},
        {NULL, "added_tokens", &out->added_tokens},
        {"model", "type", &out->type},
        {"model", "byte_fallback", &out->byte_fallback},
        {"model", "ignore_merges", &out->ignore_merges},
        {"model", "vocab", &out->vocab},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *rows[i].value = dt_json_outline_find(tokenizer, rows[i].object, rows[i].name, NULL);
    out->merges = dt_json_outline_find(tokenizer, "model", "merges", &out->merges_count);
}

dt_status dt_hf_rules(const struct dt_hf_sections *sections, const char *name, struct dt_vocab *out,
                      struct dt_error *err)
{
    struct rules r = {.name = name, .err = err, .out = out};
    struct dt_json_value before = sections->normalizer, pre = sections->pre_tokenizer;
    dt_status status;
    if ((status = normalizer(&r, before)) || (status = pretokenizer(&r, pre)))
        return status;
    bool fallback = dt_json_is(sections->byte_fallback, "true");
    bool spaces = r.replaces || r.metaspace;
    if (!r.byte_level && fallback && !r.patterns && !out->nfc) {
        out->kind = DT_VOCAB_SPM;
        out->meta_space = spaces;
        return DT_OK;
    }
    if (!r.byte_level || spaces)
        return refuse(&r, r.byte_level ? "normalizer" : "pre_tokenizer",
                      r.byte_level ? before : pre);
    out->kind = DT_VOCAB_BPE;
    out->ignore_merges = dt_json_is(sections->ignore_merges, "true");
    if (!dt_pretokenizer_by_patterns(r.pattern, r.patterns, &out->pretokenizer))
        return refuse(&r, "pre_tokenizer", pre);
    return DT_OK;
}
