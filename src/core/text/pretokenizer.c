// SPDX-License-Identifier: MIT
// The rules and their names. The patterns are those of the pre_tokenizer section of each family's
// tokenizer.json; four rules also have a faster form without patterns (pretokenizer_fast.c).
#include "core/text/pretokenizer.h"

#include <string.h>

#include "core/text/pretokenizer_fast.h"

const char dt_pretokenizer_gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
#define GPT2 dt_pretokenizer_gpt2

// What most rules since Llama 3 have in common.
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORD         "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SPACES       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define MARKS        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(end)                                                                                 \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" end "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER     \
    "*" end
#define PATHS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define BLOOM " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"

static const struct rule {
    const char *patterns[DT_PRETOKENIZER_STEPS];
} rules[] = {
    [DT_PRETOKENIZER_GPT2] = {{GPT2}},
    [DT_PRETOKENIZER_LLAMA3] = {{CONTRACTIONS "|" WORD "|\\p{N}{1,3}|" MARKS "|" SPACES}},
    [DT_PRETOKENIZER_QWEN2] = {{CONTRACTIONS "|" WORD "|\\p{N}|" MARKS "|" SPACES}},
    [DT_PRETOKENIZER_SMOLLM] = {{"\\p{N}", GPT2}},
    [DT_PRETOKENIZER_GPT4O] = {{CASED(CONTRACTIONS "?") "|\\p{N}{1,3}" PATHS}},
    [DT_PRETOKENIZER_TEKKEN] = {{CASED("") "|\\p{N}" PATHS}},
    [DT_PRETOKENIZER_DEEPSEEK_V3] =
        {{"\\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
          "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
          "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
          "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"}},
    [DT_PRETOKENIZER_DEEPSEEK_CODER] = {{"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+",
                                         "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", "\\p{N}"}},
    [DT_PRETOKENIZER_DEEPSEEK_LLM] =
        {{"[\r\n]",
          "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf"
          "\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386"
          "\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
          "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf"
          "\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
          "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"
          "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb"
          "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
          "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
          "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2"
          "\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e"
          "\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
          "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb"
          "\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
          "\U0001e900-\U0001e943]+",
          "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", "\\s+$",
          "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", "\\p{N}+"}},
    // \\p{N}+ comes after ByteLevel: see mapped_digits().
    [DT_PRETOKENIZER_FALCON] = {{"[\\p{P}$+<=>^~|`]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    [DT_PRETOKENIZER_BLOOM] = {{BLOOM}},
    [DT_PRETOKENIZER_VIKING] = {{BLOOM, "\\p{N}"}},
    [DT_PRETOKENIZER_BAILING] = {{"'(?i:[sdmt]|ll|ve|re)|" WORD "|\\p{N}|" MARKS
                                  "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    [DT_PRETOKENIZER_SEED_CODER] = {{CONTRACTIONS "|" WORD "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|"
                                                  "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"}},
};

#define MAPPED 2 // the step of Falcon's rule that sees bytes
#define RULES  (sizeof rules / sizeof *rules)

// The names in GGUF files. The first row of a rule with the same flags is the name that is written.
static const struct name {
    const char *name;
    unsigned char kind;
    bool ignore_merges, nfc;
} names[] = {
    {"gpt-2", DT_PRETOKENIZER_GPT2, false, false},
    {"default", DT_PRETOKENIZER_GPT2, false, false},
    {"phi-2", DT_PRETOKENIZER_GPT2, false, false},
    {"jina-es", DT_PRETOKENIZER_GPT2, false, false},
    {"jina-de", DT_PRETOKENIZER_GPT2, false, false},
    {"jina-v1-en", DT_PRETOKENIZER_GPT2, false, false},
    {"jina-v2-es", DT_PRETOKENIZER_GPT2, false, false},
    {"jina-v2-de", DT_PRETOKENIZER_GPT2, false, false},
    {"jina-v2-code", DT_PRETOKENIZER_GPT2, false, false},
    {"roberta-bpe", DT_PRETOKENIZER_GPT2, false, false},
    {"modern-bert", DT_PRETOKENIZER_GPT2, false, false},
    {"gigachat", DT_PRETOKENIZER_GPT2, false, false},
    {"a.x-4.0", DT_PRETOKENIZER_GPT2, false, false},
    {"mellum", DT_PRETOKENIZER_GPT2, false, false},
    {"exaone4", DT_PRETOKENIZER_GPT2, false, false},
    {"mpt", DT_PRETOKENIZER_GPT2, false, false},
    {"olmo", DT_PRETOKENIZER_GPT2, false, false},
    {"jais", DT_PRETOKENIZER_GPT2, false, false},
    {"trillion", DT_PRETOKENIZER_GPT2, false, false},
    {"granite-docling", DT_PRETOKENIZER_GPT2, false, false},
    {"llama-bpe", DT_PRETOKENIZER_LLAMA3, true, false},
    {"llama3", DT_PRETOKENIZER_LLAMA3, true, false},
    {"llama-v3", DT_PRETOKENIZER_LLAMA3, true, false},
    {"falcon3", DT_PRETOKENIZER_LLAMA3, true, false},
    {"falcon-h1", DT_PRETOKENIZER_LLAMA3, true, false},
    {"pixtral", DT_PRETOKENIZER_LLAMA3, true, false},
    {"midm-2.0", DT_PRETOKENIZER_LLAMA3, true, false},
    {"lfm2", DT_PRETOKENIZER_LLAMA3, true, false},
    {"jina-v5-nano", DT_PRETOKENIZER_LLAMA3, true, false},
    {"smaug-bpe", DT_PRETOKENIZER_LLAMA3, false, false},
    {"dbrx", DT_PRETOKENIZER_LLAMA3, false, false},
    {"chatglm-bpe", DT_PRETOKENIZER_LLAMA3, false, false},
    {"glm4", DT_PRETOKENIZER_LLAMA3, false, false},
    {"qwen2", DT_PRETOKENIZER_QWEN2, false, true},
    {"deepseek-r1-qwen", DT_PRETOKENIZER_QWEN2, false, false},
    {"kormo", DT_PRETOKENIZER_QWEN2, false, false},
    {"megrez", DT_PRETOKENIZER_QWEN2, false, false},
    {"stablelm2", DT_PRETOKENIZER_QWEN2, false, false},
    {"hunyuan", DT_PRETOKENIZER_QWEN2, false, false},
    {"solar-open", DT_PRETOKENIZER_QWEN2, false, false},
    {"grok-2", DT_PRETOKENIZER_QWEN2, false, false},
    {"smollm", DT_PRETOKENIZER_SMOLLM, false, false},
    {"starcoder", DT_PRETOKENIZER_SMOLLM, false, false},
    {"refact", DT_PRETOKENIZER_SMOLLM, false, false},
    {"command-r", DT_PRETOKENIZER_SMOLLM, false, false},
    {"codeshell", DT_PRETOKENIZER_SMOLLM, false, false},
    {"exaone", DT_PRETOKENIZER_SMOLLM, false, false},
    {"minerva-7b", DT_PRETOKENIZER_SMOLLM, false, false},
    {"gpt-4o", DT_PRETOKENIZER_GPT4O, false, false},
    {"llama4", DT_PRETOKENIZER_GPT4O, false, false},
    {"minimax-m2", DT_PRETOKENIZER_GPT4O, false, false},
    {"tekken", DT_PRETOKENIZER_TEKKEN, true, false},
    {"deepseek-v3", DT_PRETOKENIZER_DEEPSEEK_V3, false, false},
    {"hunyuan-dense", DT_PRETOKENIZER_DEEPSEEK_V3, false, false},
    {"joyai-llm", DT_PRETOKENIZER_DEEPSEEK_V3, false, false},
    {"deepseek-coder", DT_PRETOKENIZER_DEEPSEEK_CODER, false, false},
    {"deepseek-llm", DT_PRETOKENIZER_DEEPSEEK_LLM, false, false},
    {"falcon", DT_PRETOKENIZER_FALCON, false, false},
    {"bloom", DT_PRETOKENIZER_BLOOM, false, false},
    {"poro-chat", DT_PRETOKENIZER_BLOOM, false, false},
    {"gpt3-finnish", DT_PRETOKENIZER_BLOOM, false, false},
    {"viking", DT_PRETOKENIZER_VIKING, false, false},
    {"bailingmoe", DT_PRETOKENIZER_BAILING, false, false},
    {"bailingmoe2", DT_PRETOKENIZER_BAILING, false, false},
    {"llada-moe", DT_PRETOKENIZER_BAILING, false, false},
    {"seed-coder", DT_PRETOKENIZER_SEED_CODER, false, false},
};

#define NAMES (sizeof names / sizeof *names)

bool dt_pretokenizer_by_name(const char *name, size_t length, enum dt_pretokenizer *kind,
                             bool *ignore_merges, bool *nfc)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strlen(names[i].name) == length && memcmp(names[i].name, name, length) == 0) {
            *kind = (enum dt_pretokenizer)names[i].kind;
            *ignore_merges = names[i].ignore_merges;
            *nfc = names[i].nfc;
            return true;
        }
    return false;
}

const char *dt_pretokenizer_name(enum dt_pretokenizer kind, bool ignore_merges, bool nfc)
{
    const char *first = NULL;
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].kind != kind)
            continue;
        if (names[i].ignore_merges == ignore_merges && names[i].nfc == nfc)
            return names[i].name;
        first = first ? first : names[i].name;
    }
    return first;
}

bool dt_pretokenizer_by_patterns(const struct dt_pretokenizer_pattern *patterns, uint32_t count,
                                 enum dt_pretokenizer *kind)
{
    struct dt_pattern theirs, ours;
    for (size_t i = 0; i < RULES; i++) {
        uint32_t same = 0;
        for (; same < count && same < DT_PRETOKENIZER_STEPS && rules[i].patterns[same]; same++) {
            const char *text = rules[i].patterns[same];
            size_t length = strlen(text);
            if (length == patterns[same].length && memcmp(text, patterns[same].text, length) == 0)
                continue;
            // written in another way, with the same meaning
            if (!dt_pattern_compile(&theirs, patterns[same].text, patterns[same].length) ||
                !dt_pattern_compile(&ours, text, length) ||
                memcmp(&theirs, &ours, sizeof ours) != 0)
                break;
        }
        if (same == count && (same == DT_PRETOKENIZER_STEPS || !rules[i].patterns[same])) {
            *kind = (enum dt_pretokenizer)i;
            return true;
        }
    }
    return false;
}

// ---- splitting ----

static uint32_t steps_of(enum dt_pretokenizer kind)
{
    uint32_t steps = 0;
    if (dt_pretokenizer_is_fast(kind))
        return 0;
    while (steps < DT_PRETOKENIZER_STEPS && rules[kind].patterns[steps])
        steps++;
    return steps;
}

size_t dt_pretokenizer_measure(enum dt_pretokenizer kind)
{
    struct dt_arena counter = dt_arena_over(NULL, 0);
    dt_arena_alloc(&counter, steps_of(kind), sizeof(struct dt_pattern));
    return counter.wanted;
}

bool dt_pretokenizer_plan(struct dt_pretokenizer_plan *out, enum dt_pretokenizer kind,
                          struct dt_arena *arena)
{
    uint32_t steps = steps_of(kind);
    struct dt_pattern *step = dt_arena_alloc(arena, steps, sizeof *step);
    *out = (struct dt_pretokenizer_plan){.kind = kind, .steps = steps, .step = step};
    for (uint32_t i = 0; i < steps; i++) {
        const char *text = rules[kind].patterns[i];
        if (!step || !dt_pattern_compile(&step[i], text, strlen(text)))
            return false;
    }
    return true;
}

// A run of digits, or of others, of bytes as ByteLevel writes them: the bytes of the six numbers of
// Latin-1 look like digits then.
static size_t mapped_digits(const char *text, size_t n, size_t at)
{
    static const char more[] = "0123456789\xb2\xb3\xb9\xbc\xbd\xbe";
    bool number = text[at] && strchr(more, text[at]);
    while (at < n && (text[at] && strchr(more, text[at])) == number)
        at++;
    return at;
}

// The end of the part of text[0..n) that begins at `at`: a match, or what is before the next one.
static size_t part(const struct dt_pattern *pattern, const char *text, size_t n, size_t at)
{
    for (size_t from = at; from < n; from++) {
        size_t steps = SIZE_MAX, end = dt_pattern_match(pattern, text, n, from, &steps);
        if (end != DT_PATTERN_NONE && end > from)
            return from > at ? from : end;
        // the next character
        while (from + 1 < n && ((unsigned char)text[from + 1] & 0xc0) == 0x80)
            from++;
    }
    return n;
}

size_t dt_pretokenizer_word(struct dt_pretokenizer_walk *walk, const char *text, size_t n,
                            size_t at)
{
    const struct dt_pretokenizer_plan *plan = walk->plan;
    size_t end = n;
    if (plan->steps == 0)
        return dt_pretokenizer_fast(plan->kind, text, n, at);
    for (uint32_t i = 0; i < plan->steps; i++) {
        if (walk->end[i] <= at)
            walk->end[i] = plan->kind == DT_PRETOKENIZER_FALCON && i == MAPPED
                               ? mapped_digits(text, end, at)
                               : part(&plan->step[i], text, end, at);
        end = walk->end[i];
    }
    return end;
}
