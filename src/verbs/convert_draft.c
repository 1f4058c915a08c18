// SPDX-License-Identifier: MIT
// duotale convert --draft: a table of n-grams for speculation.
#include <stdlib.h>
#include <string.h>

#include "core/text/tokenizer.h"
#include "host/array.h"
#include "host/convert/convert_draft.h"
#include "host/file.h"
#include "host/print.h"
#include "verbs/convert_draft.h"
#include "verbs/eval.h"

#define TEXT_MAX   ((size_t)1 << 30)
#define TOKENS_MAX ((size_t)8 << 20) // more are not counted
#define STORY_MAX  ((size_t)1 << 18) // bytes of a story that are encoded
#define SLOTS      (1u << 16)        // 512 KB: more save little

struct reading {
    struct dt_engine *engine;
    uint32_t *tokens;
    size_t count, capacity;
    bool (*stop)(void);
    struct dt_error *err;
};

static dt_status on_story(void *arg, const char *text, size_t n)
{
    struct reading *r = arg;
    const uint32_t *tokens;
    size_t count;
    if (r->stop())
        return dt_error_set(r->err, DT_CANCELLED, NULL, "interrupted");
    if (r->count >= TOKENS_MAX)
        return DT_OK;
    dt_status status = dt_engine_encode(r->engine, text, n < STORY_MAX ? n : STORY_MAX,
                                        DT_ENCODE_BOS | DT_ENCODE_PREFIX, &tokens, &count, r->err);
    if (status)
        return status;
    if (!dt_array_grow(&r->tokens, &r->capacity, r->count + count + 1, sizeof *r->tokens))
        return dt_error_set(r->err, DT_NO_MEMORY, NULL, "no memory for the tokens of the text");
    memcpy(r->tokens + r->count, tokens, count * sizeof *tokens);
    r->count += count;
    r->tokens[r->count++] = DT_NO_TOKEN;
    return DT_OK;
}

dt_status dt_verb_convert_draft(struct dt_engine *engine, const char *text, const char *out,
                                bool (*stop)(void), struct dt_convert_draft_facts *facts,
                                struct dt_error *err)
{
    struct reading r = {.engine = engine, .stop = stop, .err = err};
    struct dt_eval_text stories = {.count = UINT32_MAX};
    char *bytes = NULL;
    dt_status status = dt_file_read(text, TEXT_MAX, &bytes, &stories.size, err);
    stories.bytes = bytes;
    if (!status)
        status = dt_eval_stories(&stories, on_story, &r, NULL);
    free(bytes);
    if (!status)
        status = dt_convert_draft(&dt_engine_model(engine)->vocab, r.tokens, r.count, SLOTS, out,
                                  stop, facts, err);
    free(r.tokens);
    return status;
}
