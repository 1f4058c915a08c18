// SPDX-License-Identifier: MIT
// duotale inspect: the contents of a model file and its memory plan; reads no weights.
#include <stdio.h>
#include <string.h>

#include "core/formats/open_model.h"
#include "core/text/template.h"
#include "host/chat.h"
#include "host/json.h"
#include "host/print.h"
#include "verbs/inspect/inspect.h"
#include "verbs/verb.h"

struct tally {
    struct dt_json *json; // NULL: text
    bool every;
    struct {
        uint32_t form, matrices;
        const char *layout; // NULL: not packed
        uint64_t values, bytes;
    } form[24];
    uint32_t forms;
};

static dt_status on_matrix(void *arg, const char *tensor, const struct dt_matrix *w)
{
    struct tally *t = arg;
    uint32_t i = 0;
    while (i < t->forms && t->form[i].form != w->form)
        i++;
    if (i == t->forms && t->forms < sizeof t->form / sizeof *t->form)
        t->form[t->forms].layout = w->layout, t->form[t->forms++].form = w->form;
    if (i < t->forms) {
        t->form[i].matrices++;
        t->form[i].values += (uint64_t)w->rows * w->cols;
        t->form[i].bytes += w->bytes;
    }
    if (t->json && t->every) {
        dt_json_object(t->json);
        dt_json_put_text(t->json, "name", tensor);
        dt_json_put_text(t->json, "form", dt_form_name(w->form));
        dt_json_put_uint(t->json, "rows", w->rows);
        dt_json_put_uint(t->json, "cols", w->cols);
        dt_json_put_uint(t->json, "group", w->group);
        dt_json_put_uint(t->json, "bytes", w->bytes);
        if (w->layout)
            dt_json_put_text(t->json, "layout", w->layout);
        dt_json_end(t->json);
    } else if (t->every) {
        dt_print(stdout, "  %-28s %-6s %6u x %-6u", tensor, dt_form_name(w->form), w->rows,
                 w->cols);
        if (w->group)
            dt_print(stdout, " groups of %-4u", w->group);
        else
            dt_print(stdout, " %-14s", "");
        dt_print(stdout, " %12zu bytes\n", w->bytes);
    }
    return DT_OK;
}

static void print_vocabulary(struct dt_engine *engine)
{
    const struct dt_vocab *vocab = &dt_engine_model(engine)->vocab;
    dt_print(stdout, "vocabulary: %s, %u pieces, from %s\n", dt_inspect_kind(vocab), vocab->size,
             dt_engine_tokenizer_source(engine));
    dt_inspect_print_words(vocab, dt_inspect_pretokenizer(vocab));
}

static void put_hyperparameters(struct dt_json *j, const struct dt_hparams *hp)
{
    dt_json_name(j, "hyperparameters");
    dt_json_object(j);
    dt_json_put_uint(j, "dim", hp->dim);
    dt_json_put_uint(j, "hidden", hp->hidden);
    dt_json_put_uint(j, "layers", hp->layers);
    dt_json_put_uint(j, "heads", hp->heads);
    dt_json_put_uint(j, "kv_heads", hp->kv_heads);
    dt_json_put_uint(j, "head_size", hp->head_size);
    dt_json_put_uint(j, "vocab", hp->vocab);
    dt_json_put_uint(j, "context", hp->context);
    dt_json_put_uint(j, "rotated", hp->rotated);
    dt_json_put_number(j, "rope_base", (double)hp->rope_base);
    dt_json_put_number(j, "rope_scale", (double)hp->rope_scale);
    dt_json_put_uint(j, "window", hp->window);
    dt_json_put_number(j, "norm_epsilon", (double)hp->norm_epsilon);
    dt_json_put_bool(j, "tied", hp->tied);
    dt_json_end(j);
}

static void put_tensors(struct dt_json *j, const struct dt_model *m)
{
    struct tally tally = {.json = j, .every = true};
    dt_json_name(j, "tensors");
    dt_json_array(j);
    dt_model_each_matrix(m, on_matrix, &tally);
    dt_json_end(j);
    uint64_t values = 0;
    dt_json_name(j, "forms");
    dt_json_array(j);
    for (uint32_t i = 0; i < tally.forms; i++) {
        dt_json_object(j);
        dt_json_put_text(j, "form", dt_form_name(tally.form[i].form));
        dt_json_put_uint(j, "matrices", tally.form[i].matrices);
        dt_json_put_uint(j, "parameters", tally.form[i].values);
        dt_json_put_uint(j, "bytes", tally.form[i].bytes);
        dt_json_end(j);
        values += tally.form[i].values;
    }
    dt_json_end(j);
    dt_json_put_uint(j, "parameters", values);
}

static void put_vocabulary(struct dt_json *j, struct dt_engine *engine)
{
    const struct dt_model *m = dt_engine_model(engine);
    dt_json_name(j, "vocabulary");
    dt_json_object(j);
    dt_json_put_text(j, "source", dt_engine_tokenizer_source(engine));
    dt_json_put_text(j, "kind", dt_inspect_kind(&m->vocab));
    dt_json_put_uint(j, "size", m->vocab.size);
    dt_inspect_put_token(j, "bos", m->vocab.bos);
    dt_inspect_put_token(j, "eos", m->vocab.eos);
    dt_inspect_put_token(j, "eot", m->vocab.eot);
    dt_inspect_put_words(j, &m->vocab, dt_inspect_pretokenizer(&m->vocab));
    dt_json_end(j);
}

static const char *context_reason(enum dt_context_reason reason)
{
    static const char *const names[] = {
        [DT_CONTEXT_ASKED] = "asked",
        [DT_CONTEXT_TRAINED] = "trained",
        [DT_CONTEXT_USUAL] = "usual",
        [DT_CONTEXT_MEMORY] = "memory",
    };
    return names[reason];
}

static void put_plan(struct dt_json *j, const struct dt_engine_plan *plan)
{
    dt_json_name(j, "plan");
    dt_json_object(j);
    dt_json_put_text(j, "backend", plan->stack);
    dt_json_put_uint(j, "threads", plan->threads);
    dt_json_put_uint(j, "context", plan->context);
    dt_json_put_text(j, "context_because", context_reason(plan->context_reason));
    char weights[64];
    dt_json_put_text(j, "weights", dt_engine_weights_text(&plan->weights, weights, sizeof weights));
    dt_json_put_uint(j, "mapped_bytes", plan->file_bytes);
    dt_json_put_uint(j, "in_place_bytes", plan->weights.in_place_bytes);
    dt_json_put_uint(j, "copied_bytes", plan->weights.copied_bytes);
    dt_json_put_uint(j, "packed_bytes", plan->weights.packed_bytes);
    dt_json_put_uint(j, "packed_in_file_bytes", plan->weights.mapped_packed_bytes);
    if (plan->weights.from_form != DT_FORM_NONE) {
        dt_json_put_text(j, "converted_from", dt_form_name(plan->weights.from_form));
        dt_json_put_text(j, "converted_to", dt_form_name(plan->weights.to_form));
    }
    dt_json_put_bool(j, "streamed", plan->stream.streamed);
    if (plan->stream.streamed) {
        dt_json_put_uint(j, "streamed_in_memory_bytes", plan->stream.pinned_weights);
        dt_json_put_uint(j, "streamed_bytes_per_token", plan->stream.read_bytes);
        dt_json_put_uint(j, "streaming_buffer_bytes",
                         plan->stream.buffers * plan->stream.buffer_bytes);
    }
    dt_json_put_uint(j, "kv_bytes", plan->session.kv);
    dt_json_put_uint(j, "scratch_bytes", plan->session.scratch);
    dt_json_put_uint(j, "logits_bytes", plan->session.logits);
    dt_json_put_uint(j, "model_and_vocabulary_bytes", plan->model_tables);
    dt_json_put_uint(j, "tokenizer_bytes", plan->tokenizer);
    dt_json_put_uint(j, "sampler_bytes", plan->sampler);
    dt_json_put_uint(j, "draft_bytes", plan->draft);
    dt_json_put_uint(j, "draft_table_bytes", plan->draft_table);
    dt_json_put_uint(j, "total_bytes", plan->total);
    struct dt_memory_facts facts;
    dt_memory_facts(&facts);
    dt_json_put_uint(j, "available_bytes", facts.available);
    dt_json_put_bool(j, "fits", plan->total <= facts.available);
    dt_json_end(j);
}

// Whether the model's own template can be run, and why not.
static void put_template(struct dt_json *j, const struct dt_model *m)
{
    struct dt_chat chat;
    struct dt_error ignored;
    dt_chat_open(&chat, m, NULL, DT_TEMPLATE_LLAMA2, &ignored);
    enum dt_template family = chat.family;
    if (chat.source) // by its markers
        family = dt_template_recognise(m->chat_template, m->chat_template_length);
    dt_json_put_text(j, "chat_template", dt_template_name(family));
    dt_json_put_uint(j, "chat_template_bytes", m->chat_template_length);
    dt_json_put_bool(j, "chat_template_runs", chat.source != NULL);
    dt_json_put_text(j, "chat_template_fault",
                     chat.reason.status == DT_OK ? NULL : chat.reason.message);
    dt_json_put_bool(j, "for_dialogues", m->dialogue.chat);
    dt_json_put_text(j, "for_dialogues_reason", m->dialogue.reason);
    dt_inspect_put_templates(j, m);
    dt_chat_close(&chat);
}

static void print_template(const struct dt_model *m)
{
    struct dt_chat chat;
    struct dt_error ignored;
    char name[64];
    dt_chat_open(&chat, m, NULL, DT_TEMPLATE_LLAMA2, &ignored);
    dt_print(stdout, "chat template: %s%s\n", dt_chat_name(&chat, name, sizeof name),
             m->chat_template ? "" : " (the file has none)");
    if (chat.reason.status != DT_OK)
        dt_print(stdout, "the model's own template (%zu bytes) cannot be run: %s\n",
                 m->chat_template_length, chat.reason.message);
    if (*m->dialogue.reason)
        dt_print(stdout, "made for dialogues: %s (%s)\n", m->dialogue.chat ? "yes" : "no",
                 m->dialogue.reason);
    dt_inspect_print_templates(m);
    dt_chat_close(&chat);
}

static void as_json(struct dt_engine *engine, const struct dt_engine_plan *plan)
{
    const struct dt_model *m = dt_engine_model(engine);
    struct dt_json j;
    dt_json_init(&j, stdout, 2);
    dt_json_object(&j);
    dt_json_put_text(&j, "model", dt_engine_path(engine));
    dt_json_put_text(&j, "format", m->format);
    dt_json_put_text(&j, "architecture", m->architecture);
    dt_inspect_put_facts(&j, m);
    dt_json_put_uint(&j, "file_bytes", m->file_bytes);
    dt_json_put_uint(&j, "weights_bytes", m->weight_bytes);
    put_hyperparameters(&j, &m->hp);
    put_tensors(&j, m);
    put_vocabulary(&j, engine);
    put_template(&j, m);
    put_plan(&j, plan);
    dt_json_end(&j);
}

static void row(const char *what, size_t bytes, const char *note)
{
    dt_print(stdout, "  %-24s %14zu  %s\n", what, bytes, note);
}

static void as_text(struct dt_engine *engine, const struct dt_engine_plan *plan, bool tensors)
{
    const struct dt_model *m = dt_engine_model(engine);
    const struct dt_hparams *hp = &m->hp;
    char cost[256], note[512], weights[64];
    dt_print(stdout, "%s: %s, architecture %s, %zu bytes\n", dt_engine_path(engine), m->format,
             m->architecture, m->file_bytes);
    dt_inspect_print_facts(m);
    dt_print(stdout,
             "dim %u, hidden %u, %u layers, %u heads (%u KV) of %u, vocabulary %u, context %u\n",
             hp->dim, hp->hidden, hp->layers, hp->heads, hp->kv_heads, hp->head_size, hp->vocab,
             hp->context);
    if (hp->rotated)
        dt_print(stdout, "RoPE base %g on %u channels, ", (double)hp->rope_base, hp->rotated);
    else
        dt_print(stdout, "learned positions, ");
    if (hp->window)
        dt_print(stdout, "attention windows of %u positions, ", hp->window);
    dt_print(stdout, "norm epsilon %g, classifier %s\n", (double)hp->norm_epsilon,
             hp->tied ? "tied to the embedding" : "separate");
    struct tally tally = {.every = tensors};
    dt_model_each_matrix(m, on_matrix, &tally);
    for (uint32_t i = 0; i < tally.forms; i++)
        dt_print(stdout, "%u matrices in %s%s%s: %llu parameters, %llu bytes\n",
                 tally.form[i].matrices, dt_form_name(tally.form[i].form),
                 tally.form[i].layout ? " " : "", tally.form[i].layout ? tally.form[i].layout : "",
                 (unsigned long long)tally.form[i].values, (unsigned long long)tally.form[i].bytes);
    print_vocabulary(engine);
    print_template(m);
    dt_print(stdout, "\nwith %s, %u thread%s, context %u, weights %s:\n", plan->stack,
             plan->threads, plan->threads == 1 ? "" : "s", plan->context,
             plan->stream.streamed
                 ? dt_engine_stream_text(&plan->stream, weights, sizeof weights)
                 : dt_engine_weights_text(&plan->weights, weights, sizeof weights));
    if (*dt_engine_context_note(engine, note, sizeof note))
        dt_print(stdout, "  %s\n", note);
    row("the file", plan->file_bytes, "mapped; counts as page cache");
    if (plan->stream.streamed) {
        const struct dt_stream_plan *s = &plan->stream;
        row("weights in memory", s->pinned_bytes, "read once");
        row("weights streamed", s->read_bytes,
            s->cached ? "read for every token, through the page cache"
                      : "read from the disk for every token");
        row("buffers for them", s->buffers * s->buffer_bytes, "");
    } else {
        row("weights in place", plan->weights.in_place_bytes, "used from the mapping");
        row("weights copied", plan->weights.copied_bytes, dt_verb_cost(plan, cost, sizeof cost));
    }
    row("KV cache", plan->session.kv, plan->session.kv ? "grows as positions are used" : "");
    row("scratch", plan->session.scratch, "the most, used by prompts of a full batch");
    row("logits", plan->session.logits, "");
    row("model and vocabulary", plan->model_tables, "");
    row("tokenizer", plan->tokenizer, "used from the first prompt on");
    row("sampler", plan->sampler, "");
    row("speculation", plan->draft, plan->draft ? "its logits are among the logits" : "off");
    if (plan->draft_table)
        row("table of n-grams", plan->draft_table, "mapped; not in the total");
    row("total private memory", plan->total, "");
    struct dt_memory_facts facts;
    dt_memory_facts(&facts);
    dt_print(stdout, "available memory: %llu bytes%s\n", (unsigned long long)facts.available,
             plan->total <= facts.available ? "" : "; the model does not fit");
}

struct request {
    struct dt_verb_model model;
    bool json, tensors;
};

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    if (id == DT_OPTION_JSON)
        r->json = true;
    else if (id == DT_OPTION_TENSORS)
        r->tensors = true;
    else
        return dt_verb_model_option(DT_VERB_INSPECT, &r->model, id, value);
    return 0;
}

int dt_verb_inspect(int argc, char **argv)
{
    struct request r = {.model.engine.draft = DT_DRAFT_AUTO}; // as run
    int code = dt_options_read(DT_VERB_INSPECT, argc, argv, on_option, &r);
    if (code >= 0)
        return code;
    if (optind + 1 < argc)
        return dt_options_usage(DT_VERB_INSPECT, "%s: only one model can be given",
                                argv[optind + 1]);
    r.model.path = optind < argc ? argv[optind] : NULL;
    struct dt_error err = {0};
    struct dt_engine *engine = NULL;
    struct dt_engine_plan plan;
    dt_verb_log(false);
    r.model.engine.without_vocabulary = true;
    dt_status status = dt_verb_model_path(&r.model, &err);
    if (status == DT_OK)
        status = dt_engine_new(&engine, &r.model.engine, &err);
    if (status == DT_OK)
        status = dt_engine_prepare(engine, r.model.path, r.model.tokenizer, &plan, &err);
    if (status == DT_OK && r.json)
        as_json(engine, &plan);
    else if (status == DT_OK)
        as_text(engine, &plan, r.tensors);
    else if (r.model.path && (status == DT_BAD_INPUT || status == DT_UNSUPPORTED))
        dt_inspect_refused(r.model.path, r.json, &err);
    code = status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
    dt_engine_free(engine);
    return code;
}
