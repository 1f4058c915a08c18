// SPDX-License-Identifier: MIT
// From a token to a piece of an answer: clean text, stop texts, thoughts.
#include <string.h>

#include "host/clock.h"
#include "verbs/serve/serve.h"

#define CLEAN_MAX (3 * (DT_PIECE_MAX + 4))
#define PARTS_MAX (CLEAN_MAX + DT_STOP_TEXT_MAX + 2 * DT_THOUGHTS_HELD)

struct parts {
    char whole[PARTS_MAX], thought[PARTS_MAX], answer[PARTS_MAX];
    size_t whole_n, thought_n, answer_n;
};

static size_t piece_of(struct dt_serve *serve, const struct dt_serve_text *text, uint32_t id,
                       char *out)
{
    const struct dt_vocab *vocab = &dt_engine_model(serve->engine)->vocab;
    if (dt_vocab_type(vocab, id) == DT_TOKEN_CONTROL && text->thoughts.rows) {
        size_t n; // a marker of thoughts may be a control token
        const char *piece = (const char *)dt_vocab_piece(vocab, id, &n);
        if (dt_thoughts_is_marker(text->thoughts.rows, piece, n)) {
            memcpy(out, piece, n);
            return n;
        }
    }
    return dt_engine_piece(serve->engine, text->previous, id, out);
}

static bool ends(struct dt_serve *serve, uint32_t id)
{
    const struct dt_vocab *vocab = &dt_engine_model(serve->engine)->vocab;
    return (vocab->bos != DT_NO_TOKEN && id == vocab->bos) ||
           dt_tokenizer_is_end(dt_engine_tokenizer(serve->engine), id);
}

static void write_parts(struct dt_serve_text *text, struct parts *p)
{
    if (p->answer_n || p->thought_n)
        dt_serve_write_piece(text, p->answer, p->answer_n, p->thought, p->thought_n);
}

static void finish(struct dt_serve_text *text, struct parts *p, const char *reason, const char *by)
{
    text->state = DT_SERVE_FINISHED;
    text->reason = reason;
    text->by = by;
    text->decode_ns = dt_clock_ns() - text->clock_ns;
    p->whole_n = p->thought_n = p->answer_n = 0;
    if (strcmp(by, "word") != 0) { // else what is held is behind the stop text
        p->whole_n = dt_stop_text_flush(&text->stops, p->whole);
        p->whole_n += dt_text_filter_flush(&text->filter, p->whole + p->whole_n);
    }
    dt_thoughts_push(&text->thoughts, p->whole, p->whole_n, p->thought, &p->thought_n, p->answer,
                     &p->answer_n);
    dt_thoughts_flush(&text->thoughts, p->thought, &p->thought_n, p->answer, &p->answer_n);
    write_parts(text, p);
    if (text->job->stream)
        dt_serve_write_finish(text);
}

void dt_serve_take_token(struct dt_serve *serve, struct dt_serve_text *text)
{
    struct dt_session *session = dt_engine_session_at(serve->engine, text->session);
    char raw[DT_PIECE_MAX], clean[CLEAN_MAX];
    struct parts p;
    bool stopped = false;
    uint32_t id = dt_engine_next_at(serve->engine, text->session);
    if (ends(serve, id)) {
        finish(text, &p, "stop", "eos");
        return;
    }
    size_t n = dt_text_filter_push(&text->filter, raw, piece_of(serve, text, id, raw), clean);
    memcpy(p.whole, clean, n);
    p.whole_n = n;
    p.thought_n = p.answer_n = 0;
    if (text->stops.count)
        stopped = dt_stop_text_push(&text->stops, clean, n, p.whole, &p.whole_n);
    dt_thoughts_push(&text->thoughts, p.whole, p.whole_n, p.thought, &p.thought_n, p.answer,
                     &p.answer_n);
    text->previous = text->next = id;
    text->generated++;
    write_parts(text, &p);
    if (stopped)
        finish(text, &p, "stop", "word");
    else if (text->generated >= text->job->most ||
             dt_session_position(session) >= dt_session_capacity(session))
        finish(text, &p, "length", "limit");
}
