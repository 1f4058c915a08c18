// SPDX-License-Identifier: MIT
// Runs a fuzzer's function once on each file, or each file of a folder: tests the seeds with any
// compiler.
#include <dirent.h>

#include "fuzz.h"

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    size_t capacity = 1 << 20;
    uint8_t *data = malloc(capacity);
    size_t n = fread(data, 1, capacity, f);
    fclose(f);
    uint8_t *exact = malloc(n ? n : 1); // exact size: sanitizers detect overruns
    memcpy(exact, data, n);
    free(data);
    LLVMFuzzerTestOneInput(exact, n);
    for (size_t cut = 0; cut < n && cut < 4096; cut += 1 + cut / 8) // and on truncated copies
        LLVMFuzzerTestOneInput(exact, cut);
    free(exact);
    return 1;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            files += replay_file(argv[i]);
            continue;
        }
        for (struct dirent *e; (e = readdir(dir));) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (e->d_name[0] != '.')
                files += replay_file(path);
        }
        closedir(dir);
    }
    printf("%d files replayed\n", files);
    return files ? 0 : 1;
}
