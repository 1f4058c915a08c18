// SPDX-License-Identifier: MIT
// Settings that hold several texts: one as it is, or several in double quotes.
#include <string.h>

#include "app/settings/settings.h"
#include "base/typed_text.h"

// The character that a backslash and `code` write; 0: none.
static char escaped(char code)
{
    static const char codes[] = "nt\"\\", characters[] = "\n\t\"\\";
    const char *at = code ? strchr(codes, code) : NULL;
    return at ? characters[at - codes] : 0;
}

// Reads what is between double quotes, from the first of them on, into out. Returns what follows;
// NULL: it is wrong.
static const char *read_quoted(const char *text, char *out, size_t *length)
{
    *length = 0;
    for (text++; *text != '"'; text++) {
        char c = *text == '\\' ? escaped(*++text) : *text;
        if (!c)
            return NULL;
        out[(*length)++] = c;
    }
    out[*length] = '\0';
    return *length && *length <= DT_STOP_TEXT_MAX ? text + 1 : NULL;
}

size_t dt_settings_texts(const char *value, char *storage, const char **out)
{
    size_t count = 0, length = strlen(value);
    if (length && value[0] != '"') {
        memcpy(storage, value, length + 1);
        out[0] = storage;
        return length <= DT_STOP_TEXT_MAX ? 1 : DT_SETTING_NO_TEXTS;
    }
    while (*value) {
        if (*value != '"' || count == DT_STOP_TEXTS)
            return DT_SETTING_NO_TEXTS;
        value = read_quoted(value, storage, &length);
        if (!value)
            return DT_SETTING_NO_TEXTS;
        out[count++] = storage;
        storage += length + 1;
        value += strspn(value, " ");
    }
    return count;
}

bool dt_settings_add_text(char *value, const char *text)
{
    char all[2 * DT_SETTING_TEXT_MAX], storage[DT_SETTING_TEXT_MAX];
    const char *texts[DT_STOP_TEXTS + 1];
    size_t count = dt_settings_texts(value, storage, texts), n = 0;
    if (count >= DT_STOP_TEXTS)
        return false;
    texts[count++] = text;
    for (size_t i = 0; i < count; i++) {
        const char *p = texts[i];
        n += i > 0;
        if (i > 0)
            all[n - 1] = ' ';
        all[n++] = '"';
        for (; *p && n + 4 < DT_SETTING_TEXT_MAX; p++) {
            const char *code = strchr("\n\t\"\\", *p);
            if (code)
                all[n++] = '\\';
            all[n++] = *p == '\n' ? 'n' : *p == '\t' ? 't' : *p;
        }
        if (*p)
            return false;
        all[n++] = '"';
    }
    all[n] = '\0';
    if (n >= DT_SETTING_TEXT_MAX || dt_settings_texts(all, storage, texts) != count)
        return false;
    memcpy(value, all, n + 1);
    return true;
}
