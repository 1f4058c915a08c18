// SPDX-License-Identifier: MIT
#include "app/settings/name_match.h"

#include <string.h>

#define LONGEST 40

unsigned dt_name_match_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return DT_NAME_MATCH_FAR;
    // Three rows of the table of Damerau's distance (neighbours may change places once).
    unsigned rows[3][LONGEST + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[m];
}

int dt_name_match_find(const char *name, dt_name_match_at *at, const void *list)
{
    size_t n = strlen(name);
    int found = -1;
    const char *word;
    for (size_t i = 0; (word = at(list, i)) != NULL; i++) {
        if (strncmp(word, name, n) != 0)
            continue;
        if (word[n] == '\0')
            return (int)i;
        found = found == -1 ? (int)i : -2;
    }
    return n > 0 ? found : -1;
}

const char *dt_name_match_nearest(const char *name, dt_name_match_at *at, const void *list)
{
    const char *best = NULL, *word;
    unsigned least = (unsigned)(strlen(name) / 3 + 1); // one slip in three letters
    for (size_t i = 0; (word = at(list, i)) != NULL; i++) {
        unsigned distance = dt_name_match_distance(name, word);
        if (distance < least || (distance == least && !best)) {
            least = distance;
            best = word;
        }
    }
    return best;
}
