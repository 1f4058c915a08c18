// SPDX-License-Identifier: MIT
// duotale run: the lines before the story, and the figures after it.
#include <stdio.h>

#include "host/print.h"
#include "core/text/template.h"
#include "verbs/run/run.h"

static double milliseconds(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e6 : 0;
}

// Figures of streamed weights and of speculation.
static void put_engine(struct dt_json *j, const struct dt_engine *engine)
{
    struct dt_stream_facts stream;
    struct dt_stream_plan plan;
    if (dt_engine_stream(engine, &plan, &stream)) {
        dt_json_put_uint(j, "streamed_in_memory_bytes", plan.pinned_weights);
        dt_json_put_uint(j, "streamed_bytes", plan.read_bytes);
        dt_json_put_uint(j, "streamed_read_bytes", stream.read_bytes);
        dt_json_put_uint(j, "streamed_passes", stream.passes);
        dt_json_put_number(j, "streamed_waited_s", (double)stream.waited_ns / 1e9);
    }
    struct dt_draft_facts draft;
    if (dt_engine_draft(engine, &draft)) {
        dt_json_put_uint(j, "draft_passes", draft.passes);
        dt_json_put_uint(j, "draft_guesses", draft.guesses);
        dt_json_put_uint(j, "draft_right", draft.right);
        dt_json_put_number(j, "tokens_per_pass", dt_engine_tokens_per_pass(engine));
    }
}

static void print_draft(const struct dt_engine *engine)
{
    struct dt_draft_facts draft;
    if (dt_engine_draft(engine, &draft) && draft.right)
        dt_print(stderr, "speculation: %.2f tokens a pass; %llu of %llu guesses were right\n",
                 dt_engine_tokens_per_pass(engine), (unsigned long long)draft.right,
                 (unsigned long long)draft.guesses);
}

void dt_run_report(struct dt_run *run, uint64_t done)
{
    const struct dt_run_options *o = run->options;
    struct dt_memory_facts facts;
    char weights[64];
    dt_memory_facts(&facts);
    dt_engine_weights_now(run->engine, weights, sizeof weights);
    // as in llama2.c: positions evaluated after the first token, divided by their time
    double achieved = run->decode_ns ? run->decoded / ((double)run->decode_ns / 1e9) : 0;
    double prompt_ms = milliseconds(run->begun, run->first ? run->first : done);
    if (o->json) {
        struct dt_json *j = &run->json;
        dt_json_object(j);
        dt_json_put_bool(j, "done", true);
        dt_json_put_text(j, "stop", run->ended);
        if (o->sequences > 1) {
            dt_json_put_uint(j, "sequences", o->sequences);
            dt_json_name(j, "stops");
            dt_json_array(j);
            for (uint32_t i = 0; i < o->sequences; i++)
                dt_json_text(j, run[i].ended);
            dt_json_end(j);
        }
        dt_json_put_uint(j, "tokens", run->generated);
        dt_json_put_uint(j, "thought_tokens", run->thought_tokens);
        dt_json_put_uint(j, "prompt_tokens", run->prompt_tokens);
        dt_json_put_number(j, "tok_s", achieved);
        dt_json_put_number(j, "first_token_ms", prompt_ms);
        dt_json_put_uint(j, "seed", o->seed);
        dt_json_put_text(j, "model", dt_engine_path(run->engine));
        dt_json_put_text(j, "tokenizer", dt_engine_tokenizer_source(run->engine));
        dt_json_put_text(j, "backend", dt_engine_stack_name(run->engine));
        dt_json_put_bool(j, "slow", dt_engine_is_slow(run->engine));
        dt_json_put_uint(j, "threads", dt_engine_threads(run->engine));
        dt_json_put_uint(j, "context", dt_session_capacity(dt_engine_session(run->engine)));
        dt_json_put_uint(j, "context_used", dt_session_position(dt_engine_session(run->engine)));
        dt_json_put_text(j, "weights", weights);
        put_engine(j, run->engine);
        dt_json_put_uint(j, "rss_kib", facts.rss / 1024);
        dt_json_put_uint(j, "peak_rss_kib", facts.rss_peak / 1024);
        dt_json_put_uint(j, "anonymous_kib", facts.anonymous / 1024);
        dt_json_put_uint(j, "available_kib", facts.available / 1024);
        dt_json_put_uint(j, "major_faults", facts.major_faults);
        dt_verb_voice_json(&o->voice, j);
        dt_json_end(j);
        fflush(stdout);
    }
    if (o->quiet)
        return;
    dt_print(stderr, "achieved tok/s: %f\n", achieved);
    char thoughts[48] = "";
    if (run->thought_tokens)
        snprintf(thoughts, sizeof thoughts, " (%u of them thoughts)", run->thought_tokens);
    dt_print(stderr,
             "%u token%s%s after a prompt of %u, the first after %.1f ms; context %u of %u; %s%s, "
             "%u thread%s; seed %llu\n",
             run->generated, run->generated == 1 ? "" : "s", thoughts, run->prompt_tokens,
             prompt_ms, dt_session_position(dt_engine_session(run->engine)),
             dt_session_capacity(dt_engine_session(run->engine)), dt_engine_stack_name(run->engine),
             dt_engine_is_slow(run->engine) ? " (slow)" : "", dt_engine_threads(run->engine),
             dt_engine_threads(run->engine) == 1 ? "" : "s", (unsigned long long)o->seed);
    if (o->sequences > 1)
        dt_print(stderr, "%u stories together, seeds %llu to %llu\n", o->sequences,
                 (unsigned long long)o->seed, (unsigned long long)(o->seed + o->sequences - 1));
    dt_print(
        stderr,
        "memory: %.1f MB resident, %.1f MB of it private; %.0f MB available; %llu page fault%s "
        "from disk; weights %s\n",
        (double)facts.rss / 1e6, (double)facts.anonymous / 1e6, (double)facts.available / 1e6,
        (unsigned long long)facts.major_faults, facts.major_faults == 1 ? "" : "s", weights);
    print_draft(run->engine);
    dt_verb_voice_report(&o->voice, stderr);
}

void dt_run_announce(const struct dt_run_options *o, struct dt_engine *engine,
                     const struct dt_engine_plan *plan)
{
    char cost[256], note[512];
    if (o->quiet)
        return;
    dt_print(stderr, "%s: %s; vocabulary: %s; backend %s; seed %llu\n", dt_engine_path(engine),
             dt_engine_model(engine)->format, dt_engine_tokenizer_source(engine), plan->stack,
             (unsigned long long)o->seed);
    if (plan->context_reason == DT_CONTEXT_USUAL)
        dt_print(stderr, "%s\n", dt_engine_context_note(engine, note, sizeof note));
    const struct dt_model *model = dt_engine_model(engine);
    if (o->mode_open && model->dialogue.chat &&
        dt_template_recognise(model->chat_template, model->chat_template_length) !=
            DT_TEMPLATE_STORY)
        dt_print(stderr,
                 "the model is for dialogues (%s), but run continues a text; -m chat talks to it, "
                 "-m story leaves this line out\n",
                 model->dialogue.reason);
    bool asked = o->model.engine.pack != DT_PACK_AUTO || o->verbose;
    if (*dt_verb_cost(plan, cost, sizeof cost) &&
        (asked || plan->weights.from_form != DT_FORM_NONE))
        dt_print(stderr, "%s %s\n", plan->stack, cost);
    if (o->verbose)
        dt_print(
            stderr,
            "plan: %zu bytes of the file mapped; %zu bytes private (KV cache %zu, scratch up to "
            "%zu, logits %zu, copied weights %zu, model and vocabulary %zu)\n",
            plan->file_bytes, plan->total, plan->session.kv, plan->session.scratch,
            plan->session.logits, plan->weights.copied_bytes, plan->model_tables + plan->tokenizer);
}
