// SPDX-License-Identifier: MIT
// The regular expressions, where L, N and S are letters, numbers and white space (source: the
// pre_tokenizer section of each family's tokenizer.json):
//   GPT-2:   's|'t|'re|'ve|'m|'ll|'d | ?L+ | ?N+ | ?[^SLN]+ | S+(?!non-S) | S+
//   SmolLM:  each N alone, then GPT-2's for the text between
//   Llama 3: (the same contractions, any case) | [^\r\nLN]?L+ | N{1,3} | ?[^SLN]+[\r\n]*
//            | S*[\r\n]+ | S+(?!non-S) | S+
//   Qwen 2:  as Llama 3, but N alone
#include "core/text/pretokenizer_fast.h"

#include "base/text.h"
#include "core/text/unicode_classes.h"

enum kind { END, LETTER, NUMBER, SPACE, OTHER };

// The class of the character at `at` and its length in bytes.
static enum kind look(const char *text, size_t n, size_t at, size_t *length)
{
    *length = 1;
    if (at >= n)
        return END;
    uint32_t code = (unsigned char)text[at];
    if (code >= 0x80)
        *length = dt_utf8_decode(text + at, n - at, &code); // invalid UTF-8: U+FFFD, OTHER
    return dt_unicode_letter(code)   ? LETTER
           : dt_unicode_number(code) ? NUMBER
           : dt_unicode_space(code)  ? SPACE
                                     : OTHER;
}

// The end of a run of one class, at most `most` characters.
static size_t run(const char *text, size_t n, size_t at, enum kind wanted, size_t most)
{
    size_t length;
    while (most-- > 0 && look(text, n, at, &length) == wanted)
        at += length;
    return at;
}

static bool newline(char c)
{
    return c == '\n' || c == '\r';
}

// The end of 's 't 're 've 'm 'll 'd, or `at`.
static size_t contraction(const char *text, size_t n, size_t at, bool any_case)
{
    if (text[at] != '\'' || n - at < 2)
        return at;
    char fold = any_case ? 32 : 0;
    char a = (char)(text[at + 1] | fold), b = n - at > 2 ? (char)(text[at + 2] | fold) : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return at + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return at + 3;
    return at;
}

// The end of white space that begins at `at`. At the end of the text (or of the part) it is one
// word; otherwise its last character belongs to the next word, unless it is the only one.
static size_t spaces(const char *text, size_t n, size_t at, bool numbers_end)
{
    size_t end = at, last = at, length;
    enum kind c;
    while ((c = look(text, n, end, &length)) == SPACE) {
        last = end;
        end += length;
    }
    if (c == END || (numbers_end && c == NUMBER) || last == at)
        return end;
    return last;
}

static size_t gpt2(const char *text, size_t n, size_t at, bool numbers_alone)
{
    size_t length, end = contraction(text, n, at, false);
    if (end > at)
        return end;
    if (numbers_alone && look(text, n, at, &length) == NUMBER)
        return at + length;
    size_t word = at + (text[at] == ' ');
    enum kind c = look(text, n, word, &length);
    if (c == LETTER || c == OTHER || (c == NUMBER && !numbers_alone))
        return run(text, n, word, c, SIZE_MAX);
    return spaces(text, n, at, numbers_alone);
}

static size_t llama3(const char *text, size_t n, size_t at, size_t numbers)
{
    size_t length, after, end = contraction(text, n, at, true);
    if (end > at)
        return end;
    enum kind c = look(text, n, at, &length);
    if (c == LETTER)
        return run(text, n, at, LETTER, SIZE_MAX);
    if (c != NUMBER && !newline(text[at]) && look(text, n, at + length, &after) == LETTER)
        return run(text, n, at + length, LETTER, SIZE_MAX);
    if (c == NUMBER)
        return run(text, n, at, NUMBER, numbers);
    size_t word = at + (text[at] == ' ');
    if (look(text, n, word, &after) == OTHER) {
        end = run(text, n, word, OTHER, SIZE_MAX);
        while (end < n && newline(text[end]))
            end++;
        return end;
    }
    // White space: up to its last newline, if it has one.
    end = at;
    for (size_t i = at; look(text, n, i, &length) == SPACE; i += length)
        if (newline(text[i]))
            end = i + 1;
    return end > at ? end : spaces(text, n, at, false);
}

bool dt_pretokenizer_is_fast(enum dt_pretokenizer kind)
{
    return kind <= DT_PRETOKENIZER_SMOLLM;
}

size_t dt_pretokenizer_fast(enum dt_pretokenizer kind, const char *text, size_t n, size_t at)
{
    switch (kind) {
    case DT_PRETOKENIZER_GPT2:
        return gpt2(text, n, at, false);
    case DT_PRETOKENIZER_SMOLLM:
        return gpt2(text, n, at, true);
    case DT_PRETOKENIZER_LLAMA3:
        return llama3(text, n, at, 3);
    case DT_PRETOKENIZER_QWEN2:
        return llama3(text, n, at, 1);
    default:
        return n;
    }
}
