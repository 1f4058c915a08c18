// SPDX-License-Identifier: MIT
// write_bad_files FOLDER: writes the table of broken files as files, and for each a line to stdout:
// file, kind, part of the message. For tests/cli/test_bad_table.py.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bad_files.h"

static void save(const char *folder, const char *name, const struct synth *s)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(s->bytes, 1, s->n, f) != s->n || fclose(f)) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct synth file = {0};
    const char *name, *message;
    enum bad_kind kind;
    if (argc != 2)
        return 2;
    bad_file_companion(&file);
    save(argv[1], "companion", &file);
    synth_free(&file);
    for (size_t i = 0; bad_file(i, &file, &name, &kind, &message); i++, synth_free(&file)) {
        save(argv[1], name, &file);
        printf("%s\t%s\t%s\n", name, kind == BAD_TOKENIZER ? "tokenizer" : "model", message);
    }
    return 0;
}
