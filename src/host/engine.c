// SPDX-License-Identifier: MIT
#include "host/engine.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/formats/open_model.h"
#include "core/slots.h"
#include "host/engine_tune.h"
#include "host/log.h"
#include "host/modules/fallback.h"
#include "host/modules/modules.h"

// With less memory than this available, prompts are evaluated in narrow batches, which need less
// scratch memory.
#define WIDE_BATCH_MEMORY (256u << 20)

// Copies of weights of at least this size are requested in pages of 2 MB.
#define LARGE_PAGES_MIN (4u << 20)

void dt_engine_stack_free(struct dt_engine *e, struct dt_engine_stack *c)
{
    dt_block_free(&e->account, &c->weights_block);
    dt_block_free(&e->account, &c->scratch);
    dt_stack_instance_free(c->instance);
    free(c->weights);
    memset(c, 0, sizeof *c);
}

static void service_for(void *host, dt_loop_body *body, void *arg, uint32_t count, uint32_t grain)
{
    struct dt_engine *e = host;
    dt_threads_for(e->threads, body, arg, count, grain);
}

static uint32_t service_threads(void *host)
{
    struct dt_engine *e = host;
    return e->threads ? dt_threads_count(e->threads) : 1;
}

dt_status dt_engine_new(struct dt_engine **out, const struct dt_engine_options *options,
                        struct dt_error *err)
{
    struct dt_engine *e = calloc(1, sizeof *e);
    if (!e)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the engine");
    if (options)
        e->options = *options;
    e->stack_wanted = strdup(e->options.stack ? e->options.stack : "auto");
    if (e->options.draft_file)
        e->options.draft_file = e->draft_wanted = strdup(e->options.draft_file);
    if (!e->stack_wanted || (!e->draft_wanted && options && options->draft_file)) {
        free(e->stack_wanted);
        free(e->draft_wanted);
        free(e);
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the engine");
    }
    e->options.stack = e->stack_wanted;
    e->account.limit = e->options.memory_limit;
    e->services = (struct dt_services){
        .size = sizeof e->services,
        .host = e,
        .parallel_for = service_for,
        .threads = service_threads,
    };
    *out = e;
    return DT_OK;
}

void dt_engine_free(struct dt_engine *e)
{
    if (!e)
        return;
    dt_engine_close(e);
    dt_registry_free(e->registry);
    free(e->stack_wanted);
    free(e->draft_wanted);
    free(e);
}

struct dt_registry *dt_engine_registry(struct dt_engine *e)
{
    if (!e->registry && dt_registry_new(&e->registry, NULL) != DT_OK)
        return NULL;
    return e->registry;
}

dt_status dt_engine_default_model(char *out, size_t size, struct dt_error *err)
{
    char path[PATH_MAX], name[PATH_MAX];
    char *text;
    size_t n;
    if (!dt_modules_data("models/default", path, sizeof path))
        return dt_error_set(
            err, DT_BAD_INPUT, NULL,
            "no model named, and data/models/default was not found near %s; name a model file",
            dt_modules_home());
    dt_status status = dt_file_read(path, sizeof name - 16, &text, &n, err);
    if (status != DT_OK)
        return status;
    dt_format(name, sizeof name, "models/%.*s", (int)strcspn(text, "\r\n"), text);
    free(text);
    if (!dt_modules_data(name, out, size))
        return dt_error_set(err, DT_BAD_INPUT, path,
                            "names %s, which does not exist beside it; name a model file", name);
    return DT_OK;
}

// ---- opening ----

// Copies norms and biases, so that a token reads no page of the file but those of weights in place
// and of the embedding.
static dt_status copy_vectors(struct dt_engine *e, struct dt_error *err)
{
    dt_status status = dt_block_alloc(&e->account, &e->vectors_block,
                                      dt_slot_vector_bytes(&e->model), "norms and biases", err);
    struct dt_arena arena = dt_arena_over(e->vectors_block.memory, e->vectors_block.bytes);
    return status == DT_OK ? dt_slot_copy_vectors(&e->model, &arena, err) : status;
}

static dt_status read_model(struct dt_engine *e, struct dt_error *err)
{
    struct dt_model_part parts[DT_MODEL_FILES_MAX];
    uint32_t count = dt_model_files_parts(&e->files, parts);
    struct dt_model_found found = {0};
    struct dt_error local;
    size_t bytes = dt_model_measure_parts(parts, count, &found, &local);
    if (bytes == 0) {
        if (err)
            *err = local;
        return local.status;
    }
    dt_status status =
        dt_block_alloc(&e->account, &e->model_block, bytes, "the model's tables", err);
    if (status != DT_OK)
        return status;
    struct dt_arena arena = dt_arena_over(e->model_block.memory, bytes);
    status = dt_model_open_parts(parts, count, &found, &arena, &e->model, err);
    for (uint32_t i = 0; i < e->model.notes && status == DT_OK; i++)
        dt_log(DT_LOG_WARNING, "%s: %s", e->files.file[0].path, e->model.note[i]);
    if (status == DT_OK && e->options.check_scales)
        status = dt_model_check_scales(&e->model, e->files.file[0].path, err);
    if (status == DT_OK)
        status = copy_vectors(e, err);
    return status;
}

dt_status dt_engine_check(const struct dt_engine *e, struct dt_error *err)
{
    dt_status status = dt_model_files_check(&e->files, err);
    return status == DT_OK ? dt_file_check(&e->tokenizer_file, err) : status;
}

void dt_engine_make_shortlist(struct dt_engine *e)
{
    const struct dt_linear *classifier = &e->stack.weights->classifier_rows;
    uint32_t users = dt_engine_sessions(e);
    // the rows of one that is streamed would be read again, in places
    bool use = !e->stack.weights->classifier.supply &&
               dt_engine_needs_shortlist(e, &classifier->matrix, classifier->by),
         packed = e->stack.weights->classifier.matrix.form == DT_FORM_PACKED;
    size_t bytes = use ? dt_shortlist_measure(classifier, packed, users) : 0;
    if (e->shortlist_block.bytes != bytes) {
        dt_block_free(&e->account, &e->shortlist_block);
        use = use && dt_block_alloc(&e->account, &e->shortlist_block, bytes, "the shortlist",
                                    NULL) == DT_OK;
    }
    if (use)
        dt_shortlist_init(&e->shortlist, classifier, packed, users, e->shortlist_block.memory);
    dt_session_set_shortlist(e->session, use ? &e->shortlist : NULL);
}

// A wide batch reads the weights less often for a long prompt.
static uint32_t choose_batch(const struct dt_engine *e)
{
    uint64_t memory = dt_memory_available(NULL), limit = e->account.limit;
    return (limit && limit < memory ? limit : memory) < WIDE_BATCH_MEMORY ? 32 : 64;
}

dt_status dt_engine_prepare(struct dt_engine *e, const char *path, const char *tokenizer,
                            struct dt_engine_plan *plan, struct dt_error *err)
{
    if (e->prepared)
        return dt_error_set(err, DT_FAILED, path, "another model is open; close it first");
    e->prepared = true; // dt_engine_close() releases everything from here on
    e->batch_chosen = !e->options.batch;
    if (e->batch_chosen)
        e->options.batch = choose_batch(e);
    dt_status status = dt_model_files_map(&e->files, path, err);
    if (status == DT_OK)
        status = read_model(e, err);
    if (status == DT_OK)
        status = dt_engine_read_vocabulary(e, tokenizer, err);
    if (status == DT_OK && e->model.vocab.kind != DT_VOCAB_NONE)
        status = dt_engine_make_tokenizer(e, 0, err);
    bool computes = !e->options.without_backend;
    if (status == DT_OK && computes)
        status = dt_engine_open_draft(e, err);
    if (status == DT_OK && computes && !e->registry)
        status = dt_registry_new(&e->registry, err);
    if (status == DT_OK && computes)
        status = dt_registry_assemble(e->registry, e->stack_wanted, &e->model, &e->account, NULL,
                                      &e->stack.instance, err);
    if (status == DT_OK && computes)
        status = dt_engine_choose_context(e, e->stack.instance, err);
    if (status == DT_OK && computes)
        status = dt_engine_make_plan(e, e->stack.instance, &e->plan, err);
    if (status == DT_OK && e->batch_chosen && e->plan.stream.streamed)
        status = dt_engine_widen_batch(e, err);
    if (status == DT_OK)
        status = dt_engine_check(e, err);
    if (status != DT_OK) {
        dt_engine_close(e);
        return status;
    }
    if (plan)
        *plan = e->plan;
    return DT_OK;
}

struct build_progress {
    struct dt_engine *engine;
    dt_progress *progress;
    void *arg;
};

static int on_build_progress(void *arg, size_t done, size_t total)
{
    struct build_progress *p = arg;
    if (atomic_load(&p->engine->cancel))
        return 1;
    return p->progress ? p->progress(p->arg, done, total) : 0;
}

// A dt_weights_visit. The mapped pages of a copied matrix would count as memory of this process.
static void on_copied(void *arg, const struct dt_matrix *from)
{
    const struct build_progress *p = arg;
    const struct dt_model_files *files = &p->engine->files;
    dt_model_files_release(files, from->quants, from->rows * from->row_stride);
    if (from->form == DT_FORM_I8)
        dt_model_files_release(files, from->scales, from->rows * from->scale_row_stride);
}

// Allocates the memory of the copies, and that for making them. If a packed copy that was not
// requested does not fit, nothing is packed.
static dt_status alloc_weights(struct dt_engine *e, struct dt_engine_stack *c,
                               struct dt_block *building, struct dt_error *err)
{
    struct dt_weights_plan plan;
    dt_status status = dt_engine_plan_weights(e, c->instance, c->instance->pack, &plan, err);
    if (status != DT_OK)
        return status;
    if (e->stream && plan.copied_bytes)
        return dt_engine_refuse_copy(e, c->instance->name, plan.copied_bytes, err);
    status = dt_block_alloc(&e->account, &c->weights_block, plan.arena_bytes,
                            plan.packed_bytes   ? "a packed copy of the weights"
                            : plan.copied_bytes ? "a converted copy of the weights"
                                                : "the table of weights",
                            err);
    if (status == DT_OK && plan.building_bytes)
        status = dt_block_alloc(&e->account, building, plan.building_bytes,
                                "the conversion of the weights", err);
    if (status == DT_OK && plan.copied_bytes >= LARGE_PAGES_MIN) {
        dt_memory_large_pages(c->weights_block.memory, c->weights_block.bytes);
        dt_memory_touch_end(c->weights_block.memory, c->weights_block.bytes);
    }
    bool packs = plan.packed_bytes || plan.converted_packed_bytes;
    if (status != DT_NO_MEMORY || !packs || e->options.pack != DT_PACK_AUTO)
        return status;
    dt_log(DT_LOG_WARNING,
           "no memory for a packed copy of the weights (%zu bytes): they are not packed, which is "
           "slower",
           plan.arena_bytes);
    dt_block_free(&e->account, &c->weights_block);
    c->instance->pack = DT_PACK_NEVER;
    return alloc_weights(e, c, building, err);
}

dt_status dt_engine_build(struct dt_engine *e, struct dt_engine_stack *c, dt_progress *progress,
                          void *progress_arg, struct dt_error *err)
{
    struct dt_error local;
    struct dt_block building = {0};
    err = err ? err : &local;
    dt_status status = dt_engine_choose_pack(e, c->instance, err);
    if (status != DT_OK)
        return status;
    c->weights = calloc(1, sizeof *c->weights);
    if (!c->weights)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the table of weights");
    status = alloc_weights(e, c, &building, err);
    if (status != DT_OK)
        return status;
    struct dt_arena arena = dt_arena_over(c->weights_block.memory, c->weights_block.bytes);
    struct dt_arena aside = dt_arena_over(building.memory, building.bytes);
    struct build_progress state = {e, progress, progress_arg};
    struct dt_weights_watch watch = {on_build_progress, on_copied, &state};
    status =
        dt_weights_build(&e->model, &c->instance->stack, c->instance->pack, &arena,
                         building.memory ? &aside : NULL, &e->services, &watch, c->weights, err);
    dt_block_free(&e->account, &building);
    if (status == DT_BAD_INPUT)
        dt_engine_name_damage(e, err);
    if (status == DT_OK)
        status = dt_engine_check(e, err); // copies are made of what could be read
    if (status != DT_OK)
        return status;
    dt_engine_tune(e, c);
    // again: a page that was read beside a released one may have brought that back
    dt_weights_each_copied(c->weights, on_copied, &state);
    struct dt_session_bytes bytes;
    struct dt_session_options options = dt_engine_session_options(e, dt_threads_count(e->threads));
    status =
        dt_session_measure(c->weights, &c->instance->stack, &options, &e->services, &bytes, err);
    if (status == DT_OK)
        status = dt_block_alloc(&e->account, &c->scratch, bytes.scratch, "scratch memory", err);
    e->plan.session = bytes;
    return status;
}

dt_status dt_engine_make_session(struct dt_engine *e, struct dt_block *block,
                                 struct dt_session **out, struct dt_error *err)
{
    // 0 threads: the session asks the services, so the number may change later
    struct dt_session_options options = dt_engine_session_options(e, 0);
    struct dt_session_bytes bytes;
    dt_status status = dt_session_measure(e->stack.weights, &e->stack.instance->stack, &options,
                                          &e->services, &bytes, err);
    if (status == DT_OK)
        status = dt_block_alloc(&e->account, block, bytes.own, "the KV cache", err);
    if (status != DT_OK)
        return status;
    struct dt_arena own = dt_arena_over(block->memory, block->bytes);
    struct dt_arena scratch = dt_arena_over(e->stack.scratch.memory, e->stack.scratch.bytes);
    status = dt_session_init(out, e->stack.weights, &e->stack.instance->stack, &options,
                             &e->services, &own, &scratch, err);
    if (status != DT_OK) {
        dt_block_free(&e->account, block);
        return status;
    }
    char *kv = (char *)block->memory + bytes.own - bytes.kv; // at the end of the block
    uint32_t count = dt_engine_sessions(e);
    dt_memory_large_pages(kv, bytes.kv);
    for (uint32_t i = 0; i < count; i++)
        dt_session_set_cancel(dt_session_in_group(*out, i), &e->cancel);
    dt_memory_touch(kv, bytes.kv_first);
    return DT_OK;
}

dt_status dt_engine_start(struct dt_engine *e, dt_progress *progress, void *progress_arg,
                          struct dt_error *err)
{
    if (!e->prepared || e->session || !e->stack.instance)
        return dt_error_set(err, DT_FAILED, NULL,
                            "no model is prepared, or it has already been started");
    dt_status status =
        dt_threads_new(&e->threads, dt_engine_threads_for(e, e->options.threads), err);
    if (status != DT_OK)
        return status;
    e->stack.instance->threads = e->threads;
    status = dt_engine_check_context(e, false, err);
    if (status == DT_OK) // the number of sessions may have changed
        status = dt_engine_make_plan(e, e->stack.instance, &e->plan, err);
    if (status == DT_OK) {
        if (!e->plan.stream.streamed)
            dt_model_files_read_ahead(&e->files);
        status = dt_engine_build(e, &e->stack, progress, progress_arg, err);
    }
    if (status == DT_OK)
        status = dt_engine_make_session(e, &e->session_block, &e->session, err);
    if (status == DT_OK)
        status = dt_block_alloc(&e->account, &e->sampler_block,
                                dt_sampler_measure(e->model.hp.vocab), "the sampler", err);
    if (status == DT_OK && e->plan.stream.streamed)
        status = dt_engine_start_stream(e, progress, progress_arg, err);
    if (status != DT_OK) { // back to the prepared state
        dt_block_free(&e->account, &e->sampler_block);
        dt_block_free(&e->account, &e->session_block);
        dt_block_free(&e->account, &e->stack.weights_block);
        dt_block_free(&e->account, &e->stack.scratch);
        free(e->stack.weights);
        e->stack.weights = NULL;
        e->session = NULL;
        e->stack.instance->threads = NULL;
        dt_threads_free(e->threads);
        e->threads = NULL;
        if (status == DT_NO_MEMORY)
            dt_engine_check_context(e, true, err);
        return status;
    }
    dt_engine_warn_context(e);
    dt_engine_make_shortlist(e);
    dt_engine_make_draft(e);
    dt_engine_report_fallback(e);
    static const struct dt_sampling llama2c = {
        .temperature = 1.0f, .top_p = 0.9f, .repeat_penalty = 1.0f};
    for (uint32_t i = 0; i < dt_engine_sessions(e); i++)
        dt_engine_set_sampling_at(e, i, &llama2c, 1);
    return DT_OK;
}

dt_status dt_engine_open(struct dt_engine *e, const char *path, const char *tokenizer,
                         struct dt_error *err)
{
    dt_status status = dt_engine_prepare(e, path, tokenizer, NULL, err);
    if (status != DT_OK)
        return status;
    status = dt_engine_start(e, NULL, NULL, err);
    if (status != DT_OK)
        dt_engine_close(e);
    return status;
}

void dt_engine_close(struct dt_engine *e)
{
    if (!e->prepared)
        return;
    dt_engine_stack_free(e, &e->stack);
    dt_stream_free(e->stream);
    e->stream = NULL;
    dt_threads_free(e->threads);
    e->threads = NULL;
    dt_block_free(&e->account, &e->session_block);
    dt_block_free(&e->account, &e->sampler_block);
    dt_block_free(&e->account, &e->shortlist_block);
    dt_block_free(&e->account, &e->draft_block);
    dt_block_free(&e->account, &e->tokenizer_block);
    dt_block_free(&e->account, &e->vocab_block);
    dt_block_free(&e->account, &e->model_block);
    dt_block_free(&e->account, &e->vectors_block);
    dt_file_unmap(&e->tokenizer_file);
    dt_file_unmap(&e->draft_file);
    memset(&e->draft_table, 0, sizeof e->draft_table);
    memset(&e->draft, 0, sizeof e->draft);
    dt_model_files_unmap(&e->files);
    free(e->tokens);
    e->tokens = NULL;
    e->tokens_capacity = 0;
    e->session = NULL;
    e->tokenizer_source = NULL;
    if (e->batch_chosen) // again for the next model
        e->options.batch = 0;
    e->batch_chosen = false;
    e->prepared = false;
}

// ---- what is open ----

const struct dt_engine_tuning *dt_engine_tuning(const struct dt_engine *e)
{
    return &e->tuning;
}

bool dt_engine_is_open(const struct dt_engine *e)
{
    return e->session != NULL;
}

const struct dt_model *dt_engine_model(const struct dt_engine *e)
{
    return e->prepared ? &e->model : NULL;
}

const char *dt_engine_path(const struct dt_engine *e)
{
    return e->prepared ? e->files.file[0].path : NULL;
}

struct dt_session *dt_engine_session(struct dt_engine *e)
{
    return e->session;
}

struct dt_sampler *dt_engine_sampler(struct dt_engine *e)
{
    return e->session ? &e->sampler[0] : NULL;
}

uint32_t dt_engine_sessions(const struct dt_engine *e)
{
    return e->options.sessions ? e->options.sessions : 1;
}

struct dt_session *dt_engine_session_at(struct dt_engine *e, uint32_t index)
{
    return e->session ? dt_session_in_group(e->session, index) : NULL;
}

const struct dt_tokenizer *dt_engine_tokenizer(const struct dt_engine *e)
{
    return e->prepared ? &e->tokenizer : NULL;
}

const char *dt_engine_tokenizer_source(const struct dt_engine *e)
{
    return e->tokenizer_source;
}

const char *dt_engine_stack_name(const struct dt_engine *e)
{
    return e->stack.instance ? e->stack.instance->name : e->stack_wanted;
}

bool dt_engine_is_slow(const struct dt_engine *e)
{
    return e->stack.instance && e->stack.instance->fallback;
}

void dt_engine_report_fallback(struct dt_engine *e)
{
    char line[1000];
    if (!dt_engine_is_slow(e) || e->fallback_reported)
        return;
    e->fallback_reported = true;
    dt_log(DT_LOG_WARNING, "%s", dt_fallback_text(e->registry, &e->model, line, sizeof line));
}

const struct dt_weights *dt_engine_weights(const struct dt_engine *e)
{
    return e->stack.weights;
}

uint32_t dt_engine_threads(const struct dt_engine *e)
{
    return e->threads ? dt_threads_count(e->threads) : 1;
}

struct dt_account *dt_engine_account(struct dt_engine *e)
{
    return &e->account;
}

void dt_engine_memory(const struct dt_engine *e, struct dt_engine_plan *now)
{
    *now = e->plan;
    now->weights = e->stack.weights ? e->stack.weights->plan : (struct dt_weights_plan){0};
    now->weights.arena_bytes = e->stack.weights_block.bytes;
    now->model_tables = e->model_block.bytes + e->vectors_block.bytes + e->vocab_block.bytes;
    now->tokenizer = e->tokenizer_block.bytes;
    now->sampler = e->sampler_block.bytes;
    now->shortlist = e->shortlist_block.bytes;
    now->draft = e->draft_block.bytes;
    now->session.own = e->session_block.bytes;
    now->session.scratch = e->stack.scratch.bytes;
    now->stream = e->stream ? *dt_stream_plan_of(e->stream) : (struct dt_stream_plan){0};
    now->total = atomic_load(&e->account.used);
    now->context_reason = e->context_reason;
    now->context = e->session ? dt_session_capacity(e->session) : now->context;
    now->threads = dt_engine_threads(e);
    dt_format(now->stack, sizeof now->stack, "%s", dt_engine_stack_name(e));
}

void dt_engine_trim(struct dt_engine *e)
{
    // The pages read as zeros afterwards. Scratch memory holds nothing between evaluations, and a
    // tokenizer starts with a zeroed index.
    if (e->stack.scratch.memory)
        dt_memory_forget(e->stack.scratch.memory, e->stack.scratch.bytes);
    if (e->tokenizer_block.memory) {
        dt_memory_forget(e->tokenizer_block.memory, e->tokenizer_block.bytes);
        (void)dt_tokenizer_init(&e->tokenizer, &e->model.vocab, e->tokenizer_block.memory,
                                e->tokenizer_block.bytes, NULL);
    }
}

// ---- cancelling ----

void dt_engine_cancel(struct dt_engine *e)
{
    atomic_store(&e->cancel, 1);
}

void dt_engine_uncancel(struct dt_engine *e)
{
    atomic_store(&e->cancel, 0);
}

bool dt_engine_shortlist(const struct dt_engine *e, struct dt_shortlist_facts *facts)
{
    memset(facts, 0, sizeof *facts);
    if (e->session && e->shortlist_block.memory)
        *facts = e->shortlist.facts;
    return e->session && e->shortlist_block.memory;
}

bool dt_engine_cancelled(const struct dt_engine *e)
{
    return atomic_load(&e->cancel) != 0;
}
