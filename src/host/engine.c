// SPDX-License-Identifier: MIT
#include "host/engine.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/formats/open_model.h"
#include "host/file.h"
#include "host/log.h"
#include "host/modules/modules.h"

#define PARTS_MAX 256u
// Bytes of text that the first tokenizer is made for; a longer text makes a larger one.
#define TEXT_FIRST 2048u
// A second thread does not speed up a model smaller than this.
#define ALONE_BYTES        (1536u << 10)
#define THREADS_CHOSEN_MAX 16u
#define WIDE_BATCH_MEMORY                                                                          \
    (256u << 20) // with less to be had, prompts go in narrow batches: less scratch
#define TOUCH_MAX       (256u << 20)
#define LARGE_PAGES_MIN (8u << 20)

// A block from dt_memory_alloc.
struct block {
    void *memory;
    size_t bytes;
};

// What belongs to one stack and is replaced when it is swapped.
struct computing {
    struct dt_stack_instance *instance;
    struct dt_weights *weights; // malloc'ed: the session keeps its address
    struct block weights_block, scratch;
};

struct dt_engine {
    struct dt_engine_options options;
    char *stack_wanted;
    struct dt_account account;
    struct dt_registry *registry;
    struct dt_threads *threads;
    struct dt_services services; // to the session; services.host is the engine
    atomic_int cancel;

    // prepared
    struct dt_file part[PARTS_MAX];
    uint32_t parts;
    struct dt_file tokenizer_file;
    const char *tokenizer_source;
    struct block model_block, vocab_block, tokenizer_block;
    struct dt_model model;
    struct dt_tokenizer tokenizer;
    size_t text_max; // bytes the tokenizer can encode at a time
    uint32_t *tokens;
    size_t tokens_capacity;
    struct computing now;
    struct dt_engine_plan plan;
    bool prepared;

    // started
    struct block session_block, sampler_block, shortlist_block;
    struct dt_session *session;
    struct dt_sampler sampler;
    struct dt_shortlist shortlist; // in use where shortlist_block is taken
};

// ---- small things ----

static dt_status take(struct dt_engine *e, struct block *out, size_t bytes, const char *what,
                      struct dt_error *err)
{
    dt_status status = dt_memory_alloc(&e->account, bytes, what, &out->memory, err);
    if (status == DT_OK)
        out->bytes = bytes;
    return status;
}

static void give(struct dt_engine *e, struct block *block)
{
    dt_memory_free(&e->account, block->memory, block->bytes);
    *block = (struct block){0};
}

static void computing_free(struct dt_engine *e, struct computing *c)
{
    give(e, &c->weights_block);
    give(e, &c->scratch);
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
    if (!e->stack_wanted) {
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
            "no model was named, and there is no data/models/default near %s; name a model file",
            dt_modules_home());
    dt_status status = dt_file_read(path, sizeof name - 16, &text, &n, err);
    if (status != DT_OK)
        return status;
    dt_format(name, sizeof name, "models/%.*s", (int)strcspn(text, "\r\n"), text);
    free(text);
    if (!dt_modules_data(name, out, size))
        return dt_error_set(err, DT_BAD_INPUT, path, "names %s, which is not beside it", name);
    return DT_OK;
}

// ---- opening ----

// The first file of the shards in a folder, into out; false where there is none.
static bool first_shard(const char *folder, char *out, size_t size)
{
    static const char middle[] = "-00001-of-";
    DIR *dir = opendir(folder);
    bool found = false;
    for (struct dirent *e; dir && !found && (e = readdir(dir));) {
        size_t n = strlen(e->d_name), tail = sizeof middle - 1 + strlen("00001.gguf");
        found = n > tail && strncmp(e->d_name + n - tail, middle, sizeof middle - 1) == 0 &&
                strcmp(e->d_name + n - 5, ".gguf") == 0;
        if (found)
            dt_format(out, size, "%s/%s", folder, e->d_name);
    }
    if (dir)
        closedir(dir);
    return found;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Maps the next file of the model.
static dt_status map_part(struct dt_engine *e, const char *path, struct dt_error *err)
{
    if (e->parts == PARTS_MAX)
        return dt_error_set(
            err, DT_UNSUPPORTED, path,
            "is one of more than %u files; that is the most that can be opened together",
            PARTS_MAX);
    dt_status status = dt_file_map(&e->part[e->parts], path, err);
    if (status != DT_OK)
        return status;
    struct dt_file *file = &e->part[e->parts++];
    if (file->size >= LARGE_PAGES_MIN && file->size < dt_memory_available(NULL) / 4)
        dt_file_large_pages(file);
    return DT_OK;
}

// Maps folder/name if it is there; a required one must be.
static dt_status map_one(struct dt_engine *e, const char *folder, const char *name, bool required,
                         struct dt_error *err)
{
    char path[PATH_MAX];
    dt_format(path, sizeof path, "%s/%s", folder, name);
    if (!required && !dt_file_readable(path))
        return DT_OK;
    return map_part(e, path, err);
}

// Maps what a Hugging Face folder says of a model, then its weights: model.safetensors, or all
// model-*.safetensors in their order.
static dt_status map_folder(struct dt_engine *e, const char *folder, struct dt_error *err)
{
    static const char *const texts[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                        "model.safetensors.index.json"};
    static const char whole[] = "model.safetensors", suffix[] = ".safetensors";
    char *names[PARTS_MAX];
    size_t count = 0;
    dt_status status = DT_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !status; i++)
        status = map_one(e, folder, texts[i], i == 0, err);
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && count < PARTS_MAX && (d = readdir(dir));) {
        size_t n = strlen(d->d_name), tail = sizeof suffix - 1;
        bool shard = n > tail && strncmp(d->d_name, "model-", 6) == 0 &&
                     strcmp(d->d_name + n - tail, suffix) == 0;
        if ((shard || strcmp(d->d_name, whole) == 0) && (names[count] = strdup(d->d_name)))
            count++;
    }
    if (dir)
        closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        if (!status && (count == 1 || strcmp(names[i], whole) != 0))
            status = map_one(e, folder, names[i], true, err);
        free(names[i]);
    }
    return status;
}

// Maps the other files of a split GGUF: "NAME-00001-of-00003.gguf" and so on.
static dt_status map_parts(struct dt_engine *e, const char *path, struct dt_error *err)
{
    char shard[PATH_MAX];
    dt_format(shard, sizeof shard, "%s/config.json", path);
    if (dt_file_readable(shard))
        return map_folder(e, path, err);
    if (first_shard(path, shard, sizeof shard))
        path = shard;
    dt_status status = map_part(e, path, err);
    if (status != DT_OK)
        return status;
    if (e->part[0].size <= TOUCH_MAX)
        dt_file_touch(&e->part[0]); // a reader that checks scales looks into every part of it
    uint32_t count = dt_model_split_count(e->part[0].bytes, e->part[0].size);
    if (count <= 1)
        return DT_OK;
    if (count > PARTS_MAX)
        return dt_error_set(err, DT_UNSUPPORTED, path,
                            "is one of %u files; at most %u can be opened together", count,
                            PARTS_MAX);
    char middle[32], name[PATH_MAX];
    dt_format(middle, sizeof middle, "-00001-of-%05u.gguf", count);
    size_t n = strlen(path), tail = strlen(middle);
    if (n < tail || strcmp(path + n - tail, middle) != 0)
        return dt_error_set(err, DT_BAD_INPUT, path,
                            "is one of %u files; open the one whose name ends in %s", count,
                            middle);
    for (uint32_t i = 1; i < count; i++) {
        dt_format(name, sizeof name, "%.*s-%05u-of-%05u.gguf", (int)(n - tail), path, i + 1, count);
        status = map_part(e, name, err);
        if (status != DT_OK)
            return status;
    }
    return DT_OK;
}

static dt_status read_model(struct dt_engine *e, struct dt_error *err)
{
    struct dt_model_part parts[PARTS_MAX];
    for (uint32_t i = 0; i < e->parts; i++)
        parts[i] = (struct dt_model_part){e->part[i].bytes, e->part[i].size, e->part[i].path};
    struct dt_error local;
    size_t bytes = dt_model_measure_parts(parts, e->parts, &local);
    if (bytes == 0) {
        if (err)
            *err = local;
        return local.status;
    }
    dt_status status = take(e, &e->model_block, bytes, "the model's tables", err);
    if (status != DT_OK)
        return status;
    struct dt_arena arena = dt_arena_over(e->model_block.memory, bytes);
    status = dt_model_open_parts(parts, e->parts, &arena, &e->model, err);
    if (status == DT_OK && e->options.check_scales)
        status = dt_model_check_scales(&e->model, e->part[0].path, err);
    for (uint32_t i = 0; i < e->parts && status == DT_OK; i++)
        status = dt_file_check(&e->part[i], err);
    return status;
}

// Where a tokenizer may lie when nobody says: beside the program's user, then beside the model.
static bool find_tokenizer(const char *model, char *out, size_t size)
{
    dt_format(out, size, "tokenizer.bin");
    if (dt_file_readable(out))
        return true;
    const char *slash = strrchr(model, '/');
    int folder = slash ? (int)(slash - model) + 1 : 0;
    size_t stem = strlen(model + folder);
    if (stem > 4 && strcmp(model + folder + stem - 4, ".bin") == 0)
        stem -= 4;
    // NAME.tok.bin for NAME.bin; for NAME-q80-g32.bin and the like too: the part before any dash
    for (size_t n = stem; n > 0; n--) {
        if (n != stem && model[folder + n] != '-')
            continue;
        dt_format(out, size, "%.*s.tok.bin", (int)(folder + n), model);
        if (dt_file_readable(out))
            return true;
    }
    dt_format(out, size, "%.*stokenizer.bin", folder, model);
    return dt_file_readable(out);
}

static dt_status read_tokenizer(struct dt_engine *e, const char *path, struct dt_error *err)
{
    char found[PATH_MAX];
    dt_status status;
    if (!path && e->model.vocab.kind != DT_VOCAB_NONE) {
        e->tokenizer_source = "the model file";
        return DT_OK;
    }
    if (!path) {
        bool there = find_tokenizer(e->part[0].path, found, sizeof found);
        if (!there && e->options.without_vocabulary) {
            e->tokenizer_source = "none";
            return DT_OK;
        }
        if (!there)
            return dt_error_set(err, DT_BAD_INPUT, e->part[0].path,
                                "holds no vocabulary, and there is neither ./tokenizer.bin nor one "
                                "beside the model; name one with -z");
        path = found;
    }
    status = dt_file_map(&e->tokenizer_file, path, err);
    if (status != DT_OK)
        return status;
    size_t bytes = dt_vocab_measure(e->model.hp.vocab);
    status = take(e, &e->vocab_block, bytes, "the vocabulary", err);
    if (status != DT_OK)
        return status;
    struct dt_arena arena = dt_arena_over(e->vocab_block.memory, bytes);
    status =
        dt_vocab_open_bin(e->tokenizer_file.bytes, e->tokenizer_file.size, e->tokenizer_file.path,
                          e->model.hp.vocab, &arena, &e->model.vocab, err);
    e->tokenizer_source = e->tokenizer_file.path;
    return status;
}

// A tokenizer for texts of up to text_max bytes. The old one stays when there is no memory.
static dt_status make_tokenizer(struct dt_engine *e, size_t text_max, struct dt_error *err)
{
    struct block fresh = {0};
    struct dt_tokenizer made;
    dt_status status =
        take(e, &fresh, dt_tokenizer_measure(&e->model.vocab, text_max), "the tokenizer", err);
    if (status == DT_OK)
        status = dt_tokenizer_init(&made, &e->model.vocab, fresh.memory, fresh.bytes, err);
    if (status != DT_OK) {
        give(e, &fresh);
        return status;
    }
    give(e, &e->tokenizer_block);
    e->tokenizer_block = fresh;
    e->tokenizer = made;
    e->text_max = text_max;
    return DT_OK;
}

static uint32_t threads_for(const struct dt_engine *e, uint32_t wanted)
{
    if (wanted)
        return wanted;
    if (e->model.weight_bytes < ALONE_BYTES)
        return 1;
    uint32_t cpus = dt_threads_cpus();
    return cpus < THREADS_CHOSEN_MAX ? cpus : THREADS_CHOSEN_MAX;
}

static struct dt_session_options session_options(const struct dt_engine *e, uint32_t threads)
{
    return (struct dt_session_options){
        .context = e->options.context,
        .batch = e->options.batch,
        .kv_type = e->options.kv_type,
        .threads = threads,
    };
}

static bool wants_shortlist(const struct dt_engine *e, const struct dt_matrix *classifier,
                            const struct dt_instance *by)
{
    return !e->options.without_shortlist &&
           dt_shortlist_pays(classifier, by, e->model.weight_bytes);
}

// Gives the session a shortlist of its weights, if it pays; without memory for it, it does without.
static void make_shortlist(struct dt_engine *e)
{
    const struct dt_linear *classifier = &e->now.weights->classifier;
    bool wanted = wants_shortlist(e, &classifier->matrix, classifier->by);
    if (!wanted)
        give(e, &e->shortlist_block);
    else if (!e->shortlist_block.memory)
        wanted =
            take(e, &e->shortlist_block, dt_shortlist_measure(e->model.hp.vocab, e->model.hp.dim),
                 "the shortlist", NULL) == DT_OK;
    if (wanted)
        dt_shortlist_init(&e->shortlist, classifier, e->shortlist_block.memory);
    dt_session_set_shortlist(e->session, wanted ? &e->shortlist : NULL);
}

// What a stack over the open model takes.
static dt_status make_plan(struct dt_engine *e, const struct dt_stack_instance *instance,
                           struct dt_engine_plan *plan, struct dt_error *err)
{
    memset(plan, 0, sizeof *plan);
    dt_status status =
        dt_weights_plan(&e->model, &instance->stack, e->options.pack, &plan->weights, err);
    if (status != DT_OK)
        return status;
    plan->threads = e->threads ? dt_threads_count(e->threads) : threads_for(e, e->options.threads);
    struct dt_session_options options = session_options(e, plan->threads);
    status = dt_session_estimate(&e->model, &options, &e->services, &plan->session, err);
    if (status != DT_OK)
        return status;
    for (uint32_t i = 0; i < e->parts; i++)
        plan->file_bytes += e->part[i].size;
    plan->model_tables = e->model_block.bytes + e->vocab_block.bytes;
    plan->tokenizer = e->tokenizer_block.bytes;
    plan->sampler = dt_sampler_measure(e->model.hp.vocab);
    if (wants_shortlist(e, &e->model.classifier,
                        dt_stack_for_matrix(&instance->stack, &e->model.classifier)))
        plan->shortlist = dt_shortlist_measure(e->model.hp.vocab, e->model.hp.dim);
    plan->total = plan->weights.arena_bytes + plan->model_tables + plan->tokenizer + plan->sampler +
                  plan->shortlist + plan->session.own + plan->session.scratch +
                  atomic_load(&instance->bytes);
    plan->context = e->options.context ? e->options.context : e->model.hp.context;
    dt_format(plan->stack, sizeof plan->stack, "%s", instance->name);
    return DT_OK;
}

// Wide batches read the weights less often for a long prompt.
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
    e->prepared = true; // from here on close() gives everything back
    if (!e->options.batch)
        e->options.batch = choose_batch(e);
    dt_status status = map_parts(e, path, err);
    if (status == DT_OK)
        status = read_model(e, err);
    if (status == DT_OK)
        status = read_tokenizer(e, tokenizer, err);
    if (status == DT_OK && e->model.vocab.kind != DT_VOCAB_NONE)
        status = make_tokenizer(e, TEXT_FIRST, err);
    if (status == DT_OK && !e->registry)
        status = dt_registry_new(&e->registry, err);
    if (status == DT_OK)
        status = dt_registry_assemble(e->registry, e->stack_wanted, &e->model, &e->account, NULL,
                                      &e->now.instance, err);
    if (status == DT_OK)
        status = make_plan(e, e->now.instance, &e->plan, err);
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

// Makes the weights and the scratch of c->assembly; c is freed by the caller when this fails.
static dt_status build(struct dt_engine *e, struct computing *c, dt_progress *progress,
                       void *progress_arg, struct dt_error *err)
{
    struct dt_weights_plan plan;
    dt_status status = dt_weights_plan(&e->model, &c->instance->stack, e->options.pack, &plan, err);
    if (status != DT_OK)
        return status;
    c->weights = calloc(1, sizeof *c->weights);
    if (!c->weights)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the weights' table");
    status =
        take(e, &c->weights_block, plan.arena_bytes,
             plan.copied_bytes ? "a converted copy of the weights" : "the table of weights", err);
    if (status != DT_OK)
        return status;
    struct dt_arena arena = dt_arena_over(c->weights_block.memory, c->weights_block.bytes);
    struct build_progress watch = {e, progress, progress_arg};
    status = dt_weights_build(&e->model, &c->instance->stack, e->options.pack, &arena, &e->services,
                              on_build_progress, &watch, c->weights, err);
    if (status != DT_OK)
        return status;
    struct dt_session_bytes bytes;
    struct dt_session_options options = session_options(e, dt_threads_count(e->threads));
    status =
        dt_session_measure(c->weights, &c->instance->stack, &options, &e->services, &bytes, err);
    if (status == DT_OK)
        status = take(e, &c->scratch, bytes.scratch, "scratch memory", err);
    e->plan.session = bytes;
    return status;
}

static dt_status make_session(struct dt_engine *e, struct block *block, struct dt_session **out,
                              struct dt_error *err)
{
    struct dt_session_options options =
        session_options(e, 0); // workers: what the services say, now and after a change
    struct dt_session_bytes bytes;
    dt_status status = dt_session_measure(e->now.weights, &e->now.instance->stack, &options,
                                          &e->services, &bytes, err);
    if (status == DT_OK)
        status = take(e, block, bytes.own, "the KV cache", err);
    if (status != DT_OK)
        return status;
    struct dt_arena own = dt_arena_over(block->memory, block->bytes);
    struct dt_arena scratch = dt_arena_over(e->now.scratch.memory, e->now.scratch.bytes);
    status = dt_session_init(out, e->now.weights, &e->now.instance->stack, &options, &e->services,
                             &own, &scratch, err);
    if (status != DT_OK) {
        give(e, block);
        return status;
    }
    dt_session_set_cancel(*out, &e->cancel);
    // The cache is the end of the block, and its first half the keys: channel by channel, so the
    // first position touches every page.
    void *keys = (char *)block->memory + bytes.own - bytes.kv;
    dt_memory_large_pages(keys, bytes.kv / 2);
    if (bytes.kv <= (16u << 20))
        dt_memory_touch(keys, bytes.kv / 2);
    return DT_OK;
}

dt_status dt_engine_start(struct dt_engine *e, dt_progress *progress, void *progress_arg,
                          struct dt_error *err)
{
    if (!e->prepared || e->session)
        return dt_error_set(err, DT_FAILED, NULL, "no model is prepared, or it is started already");
    dt_status status = dt_threads_new(&e->threads, threads_for(e, e->options.threads), err);
    if (status != DT_OK)
        return status;
    e->now.instance->threads = e->threads;
    // Whole files are read every token, so they may as well come now; but not where they would push
    // each other out.
    uint64_t available = dt_memory_available(NULL);
    for (uint32_t i = 0; i < e->parts && e->plan.file_bytes < available / 2; i++) {
        if (!e->part[i].large) // it would come in small pages
            dt_file_advise(&e->part[i], 0, e->part[i].size, DT_FILE_WILL_NEED);
    }
    status = build(e, &e->now, progress, progress_arg, err);
    if (status == DT_OK)
        status = make_session(e, &e->session_block, &e->session, err);
    if (status == DT_OK)
        status =
            take(e, &e->sampler_block, dt_sampler_measure(e->model.hp.vocab), "the sampler", err);
    if (status != DT_OK) { // back to what prepare left
        give(e, &e->session_block);
        give(e, &e->now.weights_block);
        give(e, &e->now.scratch);
        free(e->now.weights);
        e->now.weights = NULL;
        e->session = NULL;
        e->now.instance->threads = NULL;
        dt_threads_free(e->threads);
        e->threads = NULL;
        return status;
    }
    make_shortlist(e);
    static const struct dt_sampling llama2c = {
        .temperature = 1.0f, .top_p = 0.9f, .repeat_penalty = 1.0f};
    dt_engine_set_sampling(e, &llama2c, 1);
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
    computing_free(e, &e->now);
    dt_threads_free(e->threads);
    e->threads = NULL;
    give(e, &e->session_block);
    give(e, &e->sampler_block);
    give(e, &e->shortlist_block);
    give(e, &e->tokenizer_block);
    give(e, &e->vocab_block);
    give(e, &e->model_block);
    dt_file_unmap(&e->tokenizer_file);
    for (uint32_t i = 0; i < e->parts; i++)
        dt_file_unmap(&e->part[i]);
    free(e->tokens);
    e->tokens = NULL;
    e->tokens_capacity = 0;
    e->parts = 0;
    e->session = NULL;
    e->tokenizer_source = NULL;
    e->prepared = false;
}

// ---- what is open ----

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
    return e->prepared ? e->part[0].path : NULL;
}

struct dt_session *dt_engine_session(struct dt_engine *e)
{
    return e->session;
}

struct dt_sampler *dt_engine_sampler(struct dt_engine *e)
{
    return e->session ? &e->sampler : NULL;
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
    return e->now.instance ? e->now.instance->name : e->stack_wanted;
}

const struct dt_weights *dt_engine_weights(const struct dt_engine *e)
{
    return e->now.weights;
}

uint32_t dt_engine_threads(const struct dt_engine *e)
{
    return e->threads ? dt_threads_count(e->threads) : 1;
}

struct dt_account *dt_engine_account(struct dt_engine *e)
{
    return &e->account;
}

const struct dt_engine_options *dt_engine_options(const struct dt_engine *e)
{
    return &e->options;
}

void dt_engine_memory(const struct dt_engine *e, struct dt_engine_plan *now)
{
    *now = e->plan;
    now->weights.arena_bytes = e->now.weights_block.bytes;
    now->weights.copied_bytes = e->now.weights ? e->now.weights->copied_bytes : 0;
    now->weights.in_place_bytes = e->now.weights ? e->now.weights->in_place_bytes : 0;
    now->model_tables = e->model_block.bytes + e->vocab_block.bytes;
    now->tokenizer = e->tokenizer_block.bytes;
    now->sampler = e->sampler_block.bytes;
    now->shortlist = e->shortlist_block.bytes;
    now->session.own = e->session_block.bytes;
    now->session.scratch = e->now.scratch.bytes;
    now->total = atomic_load(&e->account.used);
    now->context = e->session ? dt_session_capacity(e->session) : now->context;
    now->threads = dt_engine_threads(e);
    dt_format(now->stack, sizeof now->stack, "%s", dt_engine_stack_name(e));
}

// ---- text and tokens ----

dt_status dt_engine_encode(struct dt_engine *e, const char *text, size_t n, unsigned flags,
                           const uint32_t **tokens, size_t *count, struct dt_error *err)
{
    if (n > e->text_max) {
        dt_status status = make_tokenizer(e, n + n / 4, err);
        if (status != DT_OK)
            return status;
    }
    size_t capacity = n + 8; // a byte makes one token at most; BOS, EOS, a space
    if (capacity > e->tokens_capacity) {
        uint32_t *more = realloc(e->tokens, capacity * sizeof *more);
        if (!more)
            return dt_error_set(err, DT_NO_MEMORY, NULL,
                                "no memory for the tokens of %zu bytes of text", n);
        e->tokens = more;
        e->tokens_capacity = capacity;
    }
    *tokens = e->tokens;
    return dt_tokenizer_encode(&e->tokenizer, text, n, flags, e->tokens, e->tokens_capacity, count,
                               err);
}

dt_status dt_engine_encode_pieces(struct dt_engine *e, const struct dt_template_piece *pieces,
                                  size_t piece_count, bool bos, char *scratch, size_t scratch_size,
                                  uint32_t *tokens, size_t capacity, size_t *count,
                                  struct dt_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < piece_count; i++)
        n += pieces[i].length;
    if (n > e->text_max) {
        dt_status status = make_tokenizer(e, n + n / 4, err);
        if (status != DT_OK)
            return status;
    }
    return dt_template_encode(&e->tokenizer, pieces, piece_count, bos, scratch, scratch_size,
                              tokens, capacity, count, err);
}

size_t dt_engine_piece(const struct dt_engine *e, uint32_t previous, uint32_t id, char *out)
{
    return dt_tokenizer_decode(&e->tokenizer, previous, id, out);
}

dt_status dt_engine_eval(struct dt_engine *e, const uint32_t *tokens, uint32_t count,
                         struct dt_error *err)
{
    float margin, temperature;
    bool some = dt_sampler_bound(&e->sampler, &margin, &temperature);
    dt_session_set_bound(e->session, some ? margin : -1, temperature);
    dt_status status = dt_session_eval(e->session, tokens, count, NULL, NULL, err);
    for (uint32_t i = 0; i < e->parts && status == DT_OK; i++)
        status = dt_file_check(&e->part[i], err);
    return status;
}

void dt_engine_trim(struct dt_engine *e)
{
    if (e->session)
        (void)dt_session_logits(e->session); // they may still have to be computed from the scratch
    // Fresh pages are zeros: scratch holds nothing between evaluations, and an empty index is what
    // a tokenizer begins with.
    if (e->now.scratch.memory)
        dt_memory_forget(e->now.scratch.memory, e->now.scratch.bytes);
    if (e->tokenizer_block.memory) {
        dt_memory_forget(e->tokenizer_block.memory, e->tokenizer_block.bytes);
        (void)dt_tokenizer_init(&e->tokenizer, &e->model.vocab, e->tokenizer_block.memory,
                                e->tokenizer_block.bytes, NULL);
    }
}

uint32_t dt_engine_next(struct dt_engine *e)
{
    struct dt_candidates candidates;
    if (dt_session_candidates(e->session, &candidates)) {
        uint32_t token = dt_sampler_some(&e->sampler, &candidates);
        if (token != DT_SAMPLER_UNSURE)
            return token;
    }
    return dt_sampler_next(&e->sampler, dt_session_logits(e->session),
                           dt_session_tokens(e->session), dt_session_position(e->session));
}

void dt_engine_set_sampling(struct dt_engine *e, const struct dt_sampling *settings, uint64_t seed)
{
    dt_sampler_init(&e->sampler, e->model.hp.vocab, &e->now.instance->stack, settings, seed,
                    e->sampler_block.memory);
}

// ---- while it runs ----

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

dt_status dt_engine_swap_plan(struct dt_engine *e, const char *stack, struct dt_engine_plan *plan,
                              struct dt_error *err)
{
    struct dt_stack_instance *instance;
    if (!e->prepared)
        return dt_error_set(err, DT_FAILED, NULL, "no model is open");
    dt_status status = dt_registry_assemble(e->registry, stack, &e->model, &e->account, e->threads,
                                            &instance, err);
    if (status != DT_OK)
        return status;
    status = make_plan(e, instance, plan, err);
    plan->total = plan->weights.arena_bytes + plan->session.scratch + atomic_load(&instance->bytes);
    dt_stack_instance_free(instance);
    return status;
}

dt_status dt_engine_swap(struct dt_engine *e, const char *stack, dt_progress *progress,
                         void *progress_arg, struct dt_error *err)
{
    if (!e->session)
        return dt_error_set(err, DT_FAILED, NULL, "no story is running");
    struct computing fresh = {0};
    struct dt_session_bytes before = e->plan.session;
    dt_status status = dt_registry_assemble(e->registry, stack, &e->model, &e->account, e->threads,
                                            &fresh.instance, err);
    if (status == DT_OK)
        status = build(e, &fresh, progress, progress_arg, err);
    struct dt_arena scratch = dt_arena_over(fresh.scratch.memory, fresh.scratch.bytes);
    if (status == DT_OK) {
        dt_session_set_shortlist(e->session, NULL);
        status = dt_session_swap(e->session, fresh.weights, &fresh.instance->stack, &scratch, err);
        if (status != DT_OK)
            dt_session_set_shortlist(e->session, e->shortlist_block.memory ? &e->shortlist : NULL);
    }
    if (status != DT_OK) {
        e->plan.session = before;
        computing_free(e, &fresh);
        return status;
    }
    e->sampler.stack = &fresh.instance->stack;
    computing_free(e, &e->now);
    e->now = fresh;
    make_shortlist(e);
    return DT_OK;
}

dt_status dt_engine_set_threads(struct dt_engine *e, uint32_t threads, struct dt_error *err)
{
    if (!e->session) {
        e->options.threads = threads;
        return DT_OK;
    }
    uint32_t wanted = threads_for(e, threads);
    if (wanted == dt_threads_count(e->threads))
        return DT_OK;
    struct dt_threads *fresh, *old = e->threads;
    dt_status status = dt_threads_new(&fresh, wanted, err);
    if (status != DT_OK)
        return status;
    // Scratch is per worker: the session takes it anew and asks the services how many there are.
    struct dt_session_bytes bytes;
    struct dt_session_options options = session_options(e, wanted);
    struct block block = {0};
    e->threads = fresh;
    status = dt_session_measure(e->now.weights, &e->now.instance->stack, &options, &e->services,
                                &bytes, err);
    if (status == DT_OK)
        status = take(e, &block, bytes.scratch, "scratch memory", err);
    struct dt_arena scratch = dt_arena_over(block.memory, block.bytes);
    if (status == DT_OK)
        status =
            dt_session_swap(e->session, e->now.weights, &e->now.instance->stack, &scratch, err);
    if (status != DT_OK) {
        give(e, &block);
        e->threads = old;
        dt_threads_free(fresh);
        return status;
    }
    give(e, &e->now.scratch);
    e->now.scratch = block;
    e->now.instance->threads = fresh;
    e->options.threads = threads;
    dt_threads_free(old);
    return DT_OK;
}

dt_status dt_engine_set_context(struct dt_engine *e, uint32_t context, struct dt_error *err)
{
    uint32_t before = e->options.context;
    e->options.context = context;
    if (!e->session)
        return DT_OK;
    struct block block = {0}, scratch = {0};
    struct dt_session_bytes bytes;
    struct dt_session *fresh = NULL;
    struct dt_session_options options = session_options(e, dt_threads_count(e->threads));
    dt_status status = dt_session_measure(e->now.weights, &e->now.instance->stack, &options,
                                          &e->services, &bytes, err);
    if (status == DT_OK)
        status = take(e, &scratch, bytes.scratch, "scratch memory", err);
    struct block old_scratch = e->now.scratch;
    if (status == DT_OK) {
        e->now.scratch = scratch;
        status = make_session(e, &block, &fresh, err);
    }
    if (status != DT_OK) {
        e->now.scratch = old_scratch;
        e->options.context = before;
        give(e, &scratch);
        return status;
    }
    give(e, &old_scratch);
    give(e, &e->session_block);
    e->session_block = block;
    e->session = fresh;
    dt_session_set_shortlist(fresh, e->shortlist_block.memory ? &e->shortlist : NULL);
    return DT_OK;
}
