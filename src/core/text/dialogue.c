// SPDX-License-Identifier: MIT
#include "core/text/dialogue.h"

#include <string.h>

#include "base/format.h"
#include "base/text.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool same(const char *a, size_t n, const char *word)
{
    if (strlen(word) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((a[i] >= 'A' && a[i] <= 'Z' ? a[i] + 32 : a[i]) != word[i])
            return false;
    return true;
}

// The first word of a name that is in the list; n 0: none is.
static struct dt_dialogue_name find_word(struct dt_dialogue_name name, const char *const *words)
{
    for (size_t at = 0, end; at < name.n; at = end + 1) {
        for (end = at; end < name.n && is_letter(name.text[end]);)
            end++;
        for (size_t i = 0; words[i]; i++)
            if (same(name.text + at, end - at, words[i]))
                return (struct dt_dialogue_name){name.text + at, end - at};
    }
    return (struct dt_dialogue_name){name.text, 0};
}

static bool names_say(const struct dt_dialogue_name *names, size_t count, const char *const *words,
                      struct dt_dialogue *out)
{
    for (size_t i = 0; i < count; i++) {
        struct dt_dialogue_name word = find_word(names[i], words);
        if (word.n) {
            dt_format(out->reason, sizeof out->reason, "its name says \"%.*s\"", (int)word.n,
                      word.text);
            return true;
        }
    }
    return false;
}

static bool contains(const char *text, size_t n, const char *part, size_t length)
{
    for (size_t i = 0; length && i + length <= n; i++)
        if (text[i] == part[0] && memcmp(text + i, part, length) == 0)
            return true;
    return false;
}

void dt_dialogue_decide(const struct dt_vocab *vocab, const char *text, size_t n,
                        const struct dt_dialogue_name *names, size_t name_count,
                        const uint32_t *ends, size_t count, const char *family,
                        struct dt_dialogue *out)
{
    static const char *const no[] = {"base", "pretrained", "pretrain", NULL};
    static const char *const yes[] = {"instruct",  "chat",     "it",     "assistant",
                                      "dialogue",  "thinking", "sft",    "dpo",
                                      "reasoning", "rlhf",     "dialog", NULL};
    char clean[48] = "";
    *out = (struct dt_dialogue){.chat = false};
    if (!text || !n || names_say(names, name_count, no, out))
        return;
    out->chat = names_say(names, name_count, yes, out);
    if (out->chat)
        return;
    bool variable = contains(text, n, "eos_token", 9);
    for (size_t i = 0; i < count && !out->chat; i++) {
        size_t length;
        if (ends[i] >= vocab->size)
            continue;
        const char *piece = (const char *)dt_vocab_piece(vocab, ends[i], &length);
        out->chat = contains(text, n, piece, length) || (variable && ends[i] == vocab->eos);
        if (out->chat || !clean[0])
            dt_text_clean(clean, sizeof clean, piece, length, DT_TEXT_LINE);
    }
    if (!out->chat && family) {
        out->chat = true;
        dt_format(out->reason, sizeof out->reason,
                  "a model of the architecture %s that is not named \"base\"", family);
    } else if (!clean[0]) {
        dt_format(out->reason, sizeof out->reason, "the file names no end token");
    } else {
        dt_format(out->reason, sizeof out->reason,
                  out->chat ? "its end token %s ends the turns of its chat template"
                            : "its end token %s is not that of its chat template",
                  clean);
    }
}
