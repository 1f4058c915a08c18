// SPDX-License-Identifier: MIT
// Verifies one module with the harness of `duotale backends --verify`, as strictly as duotale's own
// modules must pass: only fastexp may approximate exponentials.
//     test_ops MODULE.so [SHAPES]
// Exit 77 if this CPU cannot run the module.
#include <stdlib.h>
#include <string.h>

#include "verbs/verify/verify.h"

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: test_ops MODULE.so [SHAPES]\n");
        return 2;
    }
    const char *shapes = argc > 2 ? argv[2] : "1000";
    const struct dt_verify_options options = {
        .shapes = (uint32_t)strtoul(shapes, NULL, 10),
        .seed = 20240521,
        .exact = !strstr(argv[1], "fastexp"),
        .seconds = 280,
    };
    uint32_t failed;
    char line[1024];
    struct dt_error err = {0};
    dt_status status = dt_verify_module(argv[1], &options, stdout, &failed, &err);
    if (status != DT_OK)
        printf("%s\n", dt_error_line(&err, line, sizeof line));
    return status == DT_UNSUPPORTED ? 77 : status != DT_OK || failed > 0;
}
