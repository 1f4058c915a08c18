// SPDX-License-Identifier: MIT
// Writes each line of standard input in normalisation form C.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/normalize.h"

int main(void)
{
    static char line[65536], out[3 * sizeof line];
    while (fgets(line, sizeof line, stdin)) {
        size_t n = dt_nfc(line, strcspn(line, "\n"), out);
        fwrite(out, 1, n, stdout);
        putchar('\n');
    }
    return 0;
}
