// SPDX-License-Identifier: MIT
#include "verbs/calibration.h"

#include <stdlib.h>
#include <string.h>

#include "core/text/tokenizer.h"
#include "host/file.h"
#include "verbs/eval.h"

#define TEXT_MAX     ((size_t)1 << 30)
#define TOKENS_MAX   16384u // more changes the result by less than chance does
#define SEQUENCE_MAX 512u
#define STORY_MAX    ((size_t)1 << 18) // bytes of a story that are encoded

struct reading {
    struct dt_verb_calibration *out;
    struct dt_engine *engine;
    size_t sequences;
    uint32_t length; // of a sequence, at most
    struct dt_error *err;
};

static dt_status on_story(void *arg, const char *text, size_t n)
{
    struct reading *r = arg;
    struct dt_verb_calibration *out = r->out;
    const uint32_t *tokens;
    size_t count;
    if (out->tokens == TOKENS_MAX)
        return DT_OK;
    dt_status status = dt_engine_encode(r->engine, text, n < STORY_MAX ? n : STORY_MAX,
                                        DT_ENCODE_BOS | DT_ENCODE_PREFIX, &tokens, &count, r->err);
    if (status)
        return status;
    if (count > TOKENS_MAX - out->tokens)
        count = TOKENS_MAX - out->tokens;
    memcpy(out->token + out->tokens, tokens, count * sizeof *tokens);
    while (count > 0) {
        size_t step = count < r->length ? count : r->length;
        out->tokens += step;
        out->begin[++r->sequences] = out->tokens;
        count -= step;
    }
    return DT_OK;
}

static dt_status read_text(struct reading *r, const char *file)
{
    struct dt_verb_calibration *out = r->out;
    struct dt_eval_text text = {.count = UINT32_MAX};
    uint32_t context = dt_engine_model(r->engine)->hp.context;
    char *bytes = NULL;
    r->length = context < SEQUENCE_MAX ? context : SEQUENCE_MAX;
    out->token = malloc(TOKENS_MAX * sizeof *out->token);
    out->begin = calloc(TOKENS_MAX + 1, sizeof *out->begin);
    if (!out->token || !out->begin)
        return dt_error_set(r->err, DT_NO_MEMORY, file, "no memory for %u tokens", TOKENS_MAX);
    dt_status status = dt_file_read(file, TEXT_MAX, &bytes, &text.size, r->err);
    text.bytes = bytes;
    if (!status)
        status = dt_eval_stories(&text, on_story, r, NULL);
    free(bytes);
    if (status)
        return status;
    if (out->tokens == 0)
        return dt_error_set(r->err, DT_BAD_INPUT, file,
                            "contains no text to calibrate with; give some of the kind that the "
                            "model writes");
    if (out->tokens < r->length)
        return dt_error_set(r->err, DT_BAD_INPUT, file,
                            "has %zu tokens; calibration needs at least %u, and is good with %u",
                            out->tokens, r->length, TOKENS_MAX);
    return DT_OK;
}

dt_status dt_verb_calibration_open(struct dt_verb_calibration *out, struct dt_engine *engine,
                                   const char *file, uint32_t threads,
                                   const struct dt_conversion *conversion, dt_progress *progress,
                                   void *progress_arg, struct dt_error *err)
{
    struct reading r = {.out = out, .engine = engine, .err = err};
    struct dt_registry *registry = dt_engine_registry(engine);
    dt_status status = read_text(&r, file);
    if (!status)
        status = dt_threads_new(&out->threads, threads, err);
    if (status)
        return status;
    // the same bits: one is faster, the other always there
    status =
        dt_registry_assemble(registry, "fp32", NULL, &out->account, out->threads, &out->stack, err);
    if (status)
        status = dt_registry_assemble(registry, "reference", NULL, &out->account, out->threads,
                                      &out->stack, err);
    if (status)
        return status;
    struct dt_calibration_options options = {
        .text = {.tokens = out->token, .begin = out->begin, .count = r.sequences},
        .stack = &out->stack->stack,
        .services = &out->stack->services,
        .progress = progress,
        .progress_arg = progress_arg};
    return dt_calibration_new(&out->calibration, conversion, &options, err);
}

void dt_verb_calibration_free(struct dt_verb_calibration *c)
{
    dt_calibration_free(c->calibration);
    if (c->stack)
        dt_stack_instance_free(c->stack);
    dt_threads_free(c->threads);
    free(c->token);
    free(c->begin);
    memset(c, 0, sizeof *c);
}
