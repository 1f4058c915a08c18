// SPDX-License-Identifier: MIT
// Compares rvv07, packed and in place, with the reference on a whole model: the logits of every
// position, bit for bit. Linked with base and core only; runs in the RVV 0.7.1 emulator.
//
//   model FILE [POSITIONS [BATCH]]      compares; exit code 0 if all logits are equal
//   model --count FILE AT TOKENS        generates greedily from position AT on, packed, and prints
//   the
//                                       tokens; for counting instructions
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/formats/open_model.h"
#include "core/session.h"

extern const struct dt_backend dt_backend_module;

struct run {
    struct dt_stack stack;
    struct dt_weights weights;
    struct dt_session *session;
};

static struct dt_error err;

static void must(dt_status status, const char *what)
{
    char line[900];
    if (status == DT_OK)
        return;
    printf("model: %s: %s\n", what, dt_error_line(&err, line, sizeof line));
    exit(1);
}

static struct dt_arena arena_of(size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes + 64))
        exit(1);
    memset(p, 0, bytes + 64);
    return dt_arena_over(p, bytes + 64);
}

static void start(struct run *r, const struct dt_model *model, const struct dt_instance *instance,
                  enum dt_pack_policy pack, uint32_t batch)
{
    struct dt_weights_plan plan;
    struct dt_session_bytes bytes;
    struct dt_session_options options = {.batch = batch, .threads = 1};
    must(dt_stack_make(&r->stack, &instance, 1, &err), "stack");
    must(dt_weights_plan(model, &r->stack, pack, &plan, &err), "plan");
    struct dt_arena arena = arena_of(plan.arena_bytes), building = arena_of(plan.building_bytes);
    must(dt_weights_build(model, &r->stack, pack, &arena, &building, NULL, NULL, &r->weights, &err),
         "weights");
    must(dt_session_measure(&r->weights, &r->stack, &options, NULL, &bytes, &err), "measure");
    struct dt_arena own = arena_of(bytes.own), scratch = arena_of(bytes.scratch);
    must(dt_session_init(&r->session, &r->weights, &r->stack, &options, NULL, &own, &scratch, &err),
         "session");
}

static unsigned long long logits_hash;

static int hash_logits(void *arg, uint32_t position, const float *logits)
{
    uint32_t vocab = *(const uint32_t *)arg;
    const unsigned char *p = (const unsigned char *)logits;
    (void)position;
    for (size_t i = 0; i < (size_t)vocab * 4; i++)
        logits_hash = (logits_hash ^ p[i]) * 1099511628211ull;
    return 0;
}

int main(int argc, char **argv)
{
    int count = argc > 4 && strcmp(argv[1], "--count") == 0;
    const char *path = argc > 1 ? argv[1 + count] : "";
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        printf("model: %s: cannot be opened\n", path);
        return 1;
    }
    unsigned char *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    struct dt_model model;
    size_t need = dt_model_measure(file, (size_t)st.st_size, path, &err);
    struct dt_arena tables = arena_of(need);
    must(dt_model_open(file, (size_t)st.st_size, path, &tables, &model, &err), "open");
    struct dt_instance vectors;
    dt_instance_init(&vectors, &dt_backend_module, NULL);

    if (count) {
        struct run r;
        start(&r, &model, &vectors, DT_PACK_ALWAYS, 1);
        uint32_t at = (uint32_t)atoi(argv[3]), tokens = (uint32_t)atoi(argv[4]), token = 1;
        dt_session_fill(r.session, at);
        for (uint32_t i = 0; i < tokens; i++) {
            must(dt_session_eval(r.session, &token, 1, NULL, NULL, &err), "eval");
            const struct dt_instance *by = r.stack.argmax;
            token = by->table.argmax(by->ctx, dt_session_logits(r.session), model.hp.vocab);
            printf("%u ", token);
        }
        puts("");
        return 0;
    }

    uint32_t positions = argc > 2 ? (uint32_t)atoi(argv[2]) : 40,
             batch = argc > 3 ? (uint32_t)atoi(argv[3]) : 7;
    if (positions > model.hp.context)
        positions = model.hp.context;
    uint32_t *tokens = malloc(positions * sizeof *tokens);
    for (uint32_t i = 0; i < positions; i++)
        tokens[i] = (i * 2654435761u >> 7) % model.hp.vocab;
    static const char *const names[] = {"reference", "rvv07 packed", "rvv07 in place"};
    unsigned long long hash[3];
    for (int i = 0; i < 3; i++) {
        struct run r;
        start(&r, &model, i == 0 ? &dt_instance_reference : &vectors,
              i == 1 ? DT_PACK_ALWAYS : DT_PACK_NEVER, i == 0 ? 1 : batch);
        logits_hash = 14695981039346656037ull;
        must(dt_session_eval(r.session, tokens, positions, hash_logits, &model.hp.vocab, &err),
             names[i]);
        hash[i] = logits_hash;
    }
    int bad = hash[1] != hash[0] || hash[2] != hash[0];
    printf("model: %s, %u positions: %016llx, packed %s, in place %s\n", path, positions, hash[0],
           hash[1] == hash[0] ? "equal" : "DIFFERS", hash[2] == hash[0] ? "equal" : "DIFFERS");
    return bad;
}
