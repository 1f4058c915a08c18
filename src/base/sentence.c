// SPDX-License-Identifier: MIT
#include "base/sentence.h"

#include <string.h>

enum unit_class {
    UNIT_OTHER,
    UNIT_CONTROL,
    UNIT_SPACE,
    UNIT_NEWLINE,
    UNIT_STOP,      // may end a sentence
    UNIT_FULL_STOP, // always ends one: no space follows an ideographic stop
    UNIT_CLOSER,
    UNIT_LOWER,
    UNIT_UPPER,
    UNIT_JOINER, // punctuation after which the sentence continues
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
    return is_lower(c) || is_upper(c);
}

static bool unit_is(const char *unit, size_t n, const char *sequence)
{
    return n == strlen(sequence) && memcmp(unit, sequence, n) == 0;
}

static enum unit_class classify(const char *unit, size_t n)
{
    if (n > 1) {
        if (unit_is(unit, n, "\xe2\x80\xa6")) // horizontal ellipsis
            return UNIT_STOP;
        if (unit_is(unit, n, "\xe2\x80\x9d") || unit_is(unit, n, "\xe2\x80\x99") ||
            unit_is(unit, n, "\xc2\xbb")) // right quotation marks
            return UNIT_CLOSER;
        if (unit_is(unit, n, "\xc2\xa0")) // no-break space
            return UNIT_SPACE;
        if (unit_is(unit, n, "\xe3\x80\x82") || unit_is(unit, n, "\xef\xbc\x81") ||
            unit_is(unit, n, "\xef\xbc\x9f")) // ideographic stop, fullwidth ! and ?
            return UNIT_FULL_STOP;
        return UNIT_OTHER;
    }
    char c = unit[0];
    if (c == '\n' || c == '\r')
        return UNIT_NEWLINE;
    if (c == ' ' || c == '\t')
        return UNIT_SPACE;
    if ((unsigned char)c < 0x20 || c == 0x7f)
        return UNIT_CONTROL;
    if (is_lower(c))
        return UNIT_LOWER;
    if (is_upper(c))
        return UNIT_UPPER;
    if (c == '.' || c == '!' || c == '?')
        return UNIT_STOP;
    if (c == '"' || c == '\'' || c == ')' || c == ']' || c == '}')
        return UNIT_CLOSER;
    if (c == ',' || c == ';' || c == ':')
        return UNIT_JOINER;
    return UNIT_OTHER;
}

static bool word_is(const char *word, size_t n, const char *title)
{
    if (n != strlen(title))
        return false;
    for (size_t i = 0; i < n; i++) {
        // The list is in small letters; the first letter may be a capital.
        char c = i == 0 && is_upper(word[i]) ? (char)(word[i] - 'A' + 'a') : word[i];
        if (c != title[i])
            return false;
    }
    return true;
}

// Whether the '.' at the end of text[0..n) is part of a word and does not end the sentence.
static bool is_abbreviation(const char *text, size_t n)
{
    static const char *const titles[] = {
        "mr", "mrs", "ms", "dr", "prof", "st", "mt", "vs", "capt", "sgt", "lt", "rev", "e.g", "i.e",
    };
    size_t end = n - 1; // of the word before the dot
    size_t begin = end;
    while (begin > 0 && (is_letter(text[begin - 1]) || text[begin - 1] == '.'))
        begin--;
    const char *word = text + begin;
    size_t length = end - begin;
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (word_is(word, length, titles[i]))
            return true;
    // "1. Take the bread": a number at the start.
    size_t digits = 0;
    while (digits < end && is_digit(text[digits]))
        digits++;
    if (digits > 0 && digits == end)
        return true;
    // Initials, "J. Smith" and "U.S."; but "It was I." is an end.
    if (length == 0 || (length == 1 && word[0] == 'I'))
        return false;
    for (size_t i = 0; i < length; i++)
        if (i % 2 == 0 ? !is_upper(word[i]) : word[i] != '.')
            return false;
    return length % 2 == 1;
}

// Whether the text has anything to read aloud.
static bool is_speakable(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_letter(text[i]) || is_digit(text[i]))
            return true;
        // Other scripts, but not general punctuation (U+2000..U+206F).
        if ((unsigned char)text[i] >= 0xc3 &&
            !((unsigned char)text[i] == 0xe2 && i + 1 < n && (unsigned char)text[i + 1] <= 0x81))
            return true;
    }
    return false;
}

// Moves text[0..n) to the sentence and leaves the rest. False if it has nothing to read aloud; then
// it is dropped.
static bool complete_at(struct dt_sentence *s, size_t n)
{
    bool speakable = is_speakable(s->text, n);
    if (speakable) {
        memcpy(s->sentence, s->text, n);
        s->sentence[n] = '\0';
    }
    while (n < s->length && s->text[n] == ' ')
        n++;
    memmove(s->text, s->text + n, s->length - n);
    s->length -= n;
    s->end = 0;
    s->gap = false;
    s->newlines = 0;
    return speakable;
}

// Where to split a sentence that fills the buffer: after the last comma of its second half, else
// before its last space, else after the last complete character.
static size_t cut_point(const struct dt_sentence *s)
{
    size_t space = 0;
    for (size_t i = s->length - 1; i > s->length / 2; i--) {
        if (s->text[i] != ' ')
            continue;
        char before = s->text[i - 1];
        if (before == ',' || before == ';' || before == ':')
            return i;
        if (!space)
            space = i;
    }
    return space ? space : s->length;
}

static bool has_boundary(const struct dt_sentence *s, enum unit_class next)
{
    if (next == UNIT_LOWER || next == UNIT_JOINER)
        return false;
    if (s->gap)
        return s->end > 0 || (s->newlines > 0 && s->text[s->length - 1] != '.');
    // "the end.Then": a missing space; but not "U.S.A" and "3.14".
    return s->end >= 2 && s->end == s->length && next == UNIT_UPPER &&
           is_lower(s->text[s->end - 2]);
}

// Adds one character; true if that completed a sentence.
static bool put(struct dt_sentence *s, const char *unit, size_t n)
{
    enum unit_class class = classify(unit, n);
    bool complete = false;

    if (class == UNIT_CONTROL)
        return false;
    if (class == UNIT_SPACE || class == UNIT_NEWLINE) {
        if (s->length == 0)
            return false;
        s->gap = true;
        s->newlines += class == UNIT_NEWLINE;
        // The end of a line after a stop ends the sentence, and so does an empty line.
        if (s->newlines >= 2 || (s->newlines == 1 && s->end > 0))
            return complete_at(s, s->length);
        return false;
    }
    if (s->length > 0 && has_boundary(s, class)) {
        complete = complete_at(s, s->length);
    } else if (s->length + n + 1 > DT_SENTENCE_MAX) {
        size_t cut = cut_point(s);
        bool gap = s->gap;
        complete = complete_at(s, cut);
        s->gap = gap && s->length > 0;
    }
    if (s->gap && s->length > 0)
        s->text[s->length++] = ' ';
    bool attached = !s->gap && s->end > 0 && s->end == s->length;
    s->gap = false;
    s->newlines = 0;
    memcpy(s->text + s->length, unit, n);
    s->length += n;

    if (class == UNIT_STOP && !(unit[0] == '.' && is_abbreviation(s->text, s->length)))
        s->end = s->length;
    else if (class == UNIT_CLOSER && attached)
        s->end = s->length;
    else if (class == UNIT_FULL_STOP && !complete)
        complete = complete_at(s, s->length);
    else
        s->end = 0;
    return complete;
}

size_t dt_sentence_push(struct dt_sentence *s, const char *text, size_t n, bool *complete)
{
    *complete = false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (s->unit_length > 0 && (c & 0xc0) != 0x80)
            s->unit_length = 0; // drops an incomplete sequence
        if (s->unit_length == 0) {
            if (c >= 0x80 && c < 0xc0)
                continue; // drops a stray continuation byte
            s->unit_need = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        }
        s->unit[s->unit_length++] = (char)c;
        if (s->unit_length < s->unit_need)
            continue;
        size_t length = s->unit_length;
        s->unit_length = 0;
        if (put(s, s->unit, length)) {
            *complete = true;
            return i + 1;
        }
    }
    return n;
}

bool dt_sentence_flush(struct dt_sentence *s)
{
    bool complete = s->length > 0 && complete_at(s, s->length);
    s->length = 0;
    s->end = 0;
    s->gap = false;
    s->newlines = 0;
    s->unit_length = 0;
    return complete;
}

static bool is_vowel(char c)
{
    c = is_upper(c) ? (char)(c - 'A' + 'a') : c;
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' || c == 'y';
}

static uint32_t word_syllables(const char *word, size_t n)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += is_vowel(word[i]) && (i == 0 || !is_vowel(word[i - 1]));
    // A silent e at the end: "like", "liked", but not "little", "wanted".
    if (count > 1 && n > 2) {
        bool final_e = word[n - 1] == 'e' && !is_vowel(word[n - 2]) &&
                       !(word[n - 2] == 'l' && !is_vowel(word[n - 3]));
        bool final_ed = n > 3 && word[n - 1] == 'd' && word[n - 2] == 'e' &&
                        !is_vowel(word[n - 3]) && word[n - 3] != 't' && word[n - 3] != 'd';
        count -= final_e || final_ed;
    }
    return count ? count : 1;
}

uint32_t dt_sentence_syllables(const char *text, size_t n)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n;) {
        size_t begin = i;
        while (i < n && (is_letter(text[i]) || text[i] == '\''))
            i++;
        if (i > begin) {
            count += word_syllables(text + begin, i - begin);
            continue;
        }
        if (is_digit(text[i]))
            count += 2;
        i++;
    }
    return count;
}

uint32_t dt_sentence_milliseconds(const char *text, size_t n, uint32_t words_per_minute)
{
    uint32_t pauses = 0; // in tenths of a second at 175 words a minute
    for (size_t i = 0; i < n; i++) {
        bool last = i + 1 == n || text[i + 1] == ' ' || text[i + 1] == '\n' || text[i + 1] == '"';
        if (last && (text[i] == '.' || text[i] == '!' || text[i] == '?'))
            pauses += 4;
        else if (last && (text[i] == ',' || text[i] == ';' || text[i] == ':'))
            pauses += 2;
    }
    uint64_t speed = words_per_minute ? words_per_minute : 175;
    uint64_t milliseconds = (uint64_t)dt_sentence_syllables(text, n) * 60000 * 2 / 3 / speed;
    return (uint32_t)(milliseconds + (uint64_t)pauses * 100 * 175 / speed);
}
