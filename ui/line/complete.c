// SPDX-License-Identifier: MIT
#include "complete.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <readline/readline.h>

// readline's call-backs have no argument.
static const struct dt_app_api *api;
static struct dt_app *app;

// The app's candidates replace the line from c->from on, readline's from the last blank on. So this
// cuts the candidates, or puts the text between the two places before them.
static char **complete(const char *text, int start, int end)
{
    (void)text;
    rl_attempted_completion_over = 1;
    const struct dt_app_completion *c = api->complete(app, rl_line_buffer, (size_t)end);
    if (!c || c->count == 0)
        return NULL;
    char **matches = calloc(c->count + 2, sizeof *matches);
    if (!matches)
        return NULL;
    size_t from = c->from, begin = (size_t)start, found = 0, common = SIZE_MAX;
    for (size_t i = 0; i < c->count; i++) {
        const char *word = c->words[i];
        size_t n = strlen(word);
        char *match;
        if (from <= begin) { // readline replaces less
            size_t skip = begin - from < n ? begin - from : n;
            match = strdup(word + skip);
        } else { // readline replaces more
            match = malloc(from - begin + n + 1);
            if (match) {
                memcpy(match, rl_line_buffer + begin, from - begin);
                memcpy(match + (from - begin), word, n + 1);
            }
        }
        if (!match)
            continue;
        matches[++found] = match;
        size_t same = 0;
        while (found > 1 && same < common && match[same] && match[same] == matches[1][same])
            same++;
        common = found > 1 ? same : strlen(match);
    }
    if (found == 0) {
        free(matches);
        return NULL;
    }
    matches[0] = strndup(matches[1], common);
    rl_completion_append_character = c->suffix;
    return matches;
}

void complete_open(const struct dt_app_api *table, struct dt_app *of)
{
    api = table;
    app = of;
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = " ";
    rl_completer_quote_characters = "";
}
