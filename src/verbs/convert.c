// SPDX-License-Identifier: MIT
// duotale convert: writes a model in another file format or weight form.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
#include "core/quant/packed.h"
#include "host/clock.h"
#include "host/convert/convert.h"
#include "host/json.h"
#include "host/print.h"
#include "verbs/calibration.h"
#include "verbs/convert_draft.h"
#include "verbs/verb.h"

enum target { BY_ENDING, GGUF, LLAMA2C_0, LLAMA2C_1, LLAMA2C_2, LLAMA2C };

struct work {
    const char *in, *out, *tokenizer, *backend, *text;
    const char *draft; // the text of --draft
    uint32_t threads;
    struct dt_verb_calibration calibration;
    struct dt_conversion c;
    enum target target;
    bool shard, quiet, grouped, as_json;
    struct dt_json *json; // NULL: text
    bool bar;             // stderr is a terminal
    uint64_t last_drawn;
    size_t tensors;
    double worst;
    char worst_name[80];
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void clear_bar(void)
{
    fprintf(stderr, "\r%70s\r", "");
}

static void draw_bar(struct work *w, const char *what, size_t done, size_t total)
{
    uint64_t now = dt_clock_ns();
    if (done < total && now - w->last_drawn < 100000000u)
        return;
    w->last_drawn = now;
    int filled = total ? (int)(30.0 * (double)done / (double)total) : 30;
    // not dt_print, which replaces a carriage return
    fprintf(stderr, "\r%s [%.*s%*s] %3d %%", what, filled, "##############################",
            30 - filled, "", total ? (int)(100.0 * (double)done / (double)total) : 100);
    if (!w->text)
        fprintf(stderr, "  %.1f of %.1f MB", (double)done / 1e6, (double)total / 1e6);
    if (done >= total)
        clear_bar();
    fflush(stderr);
}

static int on_progress(void *arg, size_t done, size_t total)
{
    struct work *w = arg;
    if (w->bar && !w->text)
        draw_bar(w, "converting", done, total);
    return interrupted;
}

static int on_calibration(void *arg, size_t done, size_t total)
{
    struct work *w = arg;
    if (w->bar)
        draw_bar(w, "calibrating", done, total);
    return interrupted;
}

static void on_tensor(void *arg, const struct dt_convert_tensor *t)
{
    struct work *w = arg;
    w->tensors++;
    if (t->worst > w->worst) {
        w->worst = t->worst;
        dt_format(w->worst_name, sizeof w->worst_name, "%s", t->name);
    }
    if (w->json) {
        dt_json_object(w->json);
        dt_json_put_text(w->json, "name", t->name);
        dt_json_put_text(w->json, "form", dt_form_name(t->form));
        dt_json_put_uint(w->json, "rows", t->rows);
        dt_json_put_uint(w->json, "cols", t->cols);
        dt_json_put_uint(w->json, "group", t->group);
        dt_json_put_bool(w->json, "copied", t->copied);
        dt_json_put_number(w->json, "mean_error", t->mean);
        dt_json_put_number(w->json, "largest_error", t->worst);
        dt_json_end(w->json);
        return;
    }
    if (w->quiet)
        return;
    if (w->bar)
        clear_bar();
    dt_print(stdout, "%-28s %-6s %6u x %-6u ", t->name, dt_form_name(t->form), t->rows, t->cols);
    if (t->copied)
        dt_print(stdout, "copied\n");
    else if (t->form == DT_FORM_PACKED)
        dt_print(stdout, "packed\n");
    else
        dt_print(stdout, "error: mean %.3g, largest %.3g\n", t->mean, t->worst);
}

static int on_model_option(struct work *w, int id, const struct dt_option_value *value)
{
    struct dt_verb_model model = {0};
    int code = dt_verb_model_option(DT_VERB_CONVERT, &model, id, value);
    if (id == DT_SET_TOKENIZER)
        w->tokenizer = model.tokenizer;
    else
        w->threads = model.engine.threads;
    return code > 0 ? code : 0;
}

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    // in the order of the choices in the table of options
    static const uint32_t forms[] = {DT_FORM_NONE, DT_FORM_F32,  DT_FORM_F16,  DT_FORM_BF16,
                                     DT_FORM_Q8_0, DT_FORM_Q5_1, DT_FORM_Q5_0, DT_FORM_Q4_1,
                                     DT_FORM_Q4_K, DT_FORM_Q4_0, DT_FORM_I8};
    static const enum target targets[] = {GGUF, LLAMA2C_0, LLAMA2C_1, LLAMA2C_2, LLAMA2C};
    struct work *w = arg;
    switch (id) {
    case DT_OPTION_OUTPUT:
        w->out = value->text;
        break;
    case DT_OPTION_FORMAT:
        w->c.form = forms[value->integer];
        break;
    case DT_OPTION_EMBEDDING:
        w->c.embedding = forms[value->integer + 1];
        break;
    case DT_OPTION_CALIBRATE:
        w->text = value->text;
        break;
    case DT_OPTION_DRAFT:
        w->draft = value->text;
        break;
    case DT_OPTION_TO:
        w->target = targets[value->integer];
        break;
    case DT_OPTION_GROUP:
        w->grouped = true;
        w->c.group = (uint32_t)value->integer;
        break;
    case DT_OPTION_FOR:
        w->backend = value->text;
        break;
    case DT_OPTION_SHARD:
        w->shard = true;
        break;
    case DT_OPTION_NAME:
        w->c.name = value->text;
        break;
    case DT_OPTION_QUIET:
        w->quiet = true;
        break;
    case DT_OPTION_JSON:
        w->as_json = true;
        break;
    default:
        return on_model_option(w, id, value);
    }
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

// Derives the target from the options. 0, or the exit code.
static int settle(struct work *w)
{
    if (w->draft && (w->shard || w->backend || w->text || w->c.form || w->c.embedding ||
                     w->grouped || w->target != BY_ENDING || w->c.name))
        return dt_options_usage(DT_VERB_CONVERT,
                                "--draft: writes a table and no model, so that only --output, "
                                "--tokenizer, --quiet and --json apply");
    if (w->draft)
        return 0;
    if (w->shard || w->backend) {
        if (w->target != BY_ENDING && w->target != GGUF)
            return dt_options_usage(DT_VERB_CONVERT, "--to: must be gguf with %s",
                                    w->shard ? "--shard" : "--for");
        w->target = GGUF;
    }
    if (w->target == BY_ENDING)
        w->target = ends_with(w->out, ".gguf")  ? GGUF
                    : ends_with(w->out, ".bin") ? LLAMA2C
                                                : BY_ENDING;
    if (w->target == BY_ENDING)
        return dt_options_usage(DT_VERB_CONVERT,
                                "%s: ends in neither .gguf nor .bin; choose the format with --to",
                                w->out);
    if (w->text && w->shard)
        return dt_options_usage(DT_VERB_CONVERT,
                                "--shard and --calibrate cannot be combined; convert the "
                                "calibrated file");
    if (w->text && w->target != GGUF)
        return dt_options_usage(DT_VERB_CONVERT, "--calibrate: applies to GGUF files only");
    if (w->c.embedding && w->target != GGUF)
        return dt_options_usage(DT_VERB_CONVERT, "--embedding: applies to GGUF files only");
    if (w->grouped && w->target == GGUF && w->c.form != DT_FORM_I8)
        return dt_options_usage(DT_VERB_CONVERT,
                                "--group: applies to --format i8 and .bin files only");
    return 0;
}

// The form of the matrices; if they are packed, of what they were packed from.
static uint32_t source_form(const struct dt_model *m)
{
    struct dt_matrix plain;
    const struct dt_matrix *w = &m->layers[0].query;
    return dt_packed_plain(w, &plain) ? plain.form : w->form;
}

// The llama2.c version for the weight form. False if none holds it.
static bool version_for(const struct work *w, const struct dt_model *m, int *version)
{
    uint32_t form = w->c.form ? w->c.form : source_form(m);
    bool eight = form == DT_FORM_I8 || form == DT_FORM_Q8_0;
    if (w->target == LLAMA2C_0 || w->target == LLAMA2C_1 || w->target == LLAMA2C_2) {
        *version = (int)w->target - LLAMA2C_0;
        return !w->c.form || eight == (*version == 2);
    }
    *version = eight ? 2 : 0;
    return eight || form == DT_FORM_F32;
}

static dt_status write_llama2c(struct work *w, const struct dt_engine *engine, struct dt_error *err)
{
    const struct dt_model *m = dt_engine_model(engine);
    int version;
    if (!version_for(w, m, &version))
        return dt_error_set(
            err, DT_UNSUPPORTED, w->out,
            "llama2.c files hold f32 or int8 groups (i8), not %s; choose one with --format",
            dt_form_name(w->c.form ? w->c.form : source_form(m)));
    if (version == 2 && !w->grouped && source_form(m) == DT_FORM_Q8_0 && !w->c.form)
        w->c.group = 32;
    dt_status status = dt_convert_llama2c(&w->c, version, w->out, err);
    if (status || strcmp(dt_engine_tokenizer_source(engine), "the model file") != 0 ||
        m->vocab.kind != DT_VOCAB_SPM)
        return status;
    char path[4096];
    size_t stem = strlen(w->out) - (ends_with(w->out, ".bin") ? 4 : 0);
    dt_format(path, sizeof path, "%.*s.tok.bin", (int)stem, w->out);
    status = dt_convert_tokenizer(m, path, err);
    if (!status && !w->quiet && !w->json)
        dt_print(stdout, "%s: the vocabulary, %u pieces\n", path, m->vocab.size);
    return status;
}

// The backend that packs: that of a layout's name, the one that "auto" would choose for "host", or
// the one that is named.
static void packer(const struct work *w, const struct dt_registry *registry, char *out, size_t size)
{
    dt_format(out, size, "%s", strcmp(w->backend, "host") == 0 ? "auto" : w->backend);
    for (size_t i = dt_registry_count(registry); i-- > 0;) {
        const struct dt_backend_info *b = dt_registry_at(registry, i);
        if (!b->reason && b->table->layout && strcmp(b->table->layout, w->backend) == 0)
            dt_format(out, size, *b->variant ? "%s@%s" : "%s", b->name, b->variant);
    }
}

static dt_status calibrate(struct work *w, struct dt_engine *engine, struct dt_error *err)
{
    dt_status status = dt_verb_calibration_open(&w->calibration, engine, w->text, w->threads, &w->c,
                                                on_calibration, w, err);
    if (status)
        return status;
    w->c.calibration = w->calibration.calibration;
    size_t bytes = dt_calibration_bytes(w->c.calibration);
    if (!w->quiet && !w->json)
        dt_print(stdout, "%s: calibrating with %zu tokens, in %.1f MB of memory\n", w->text,
                 w->calibration.tokens, (double)bytes / 1e6);
    fflush(stdout);
    return DT_OK;
}

static dt_status write_all(struct work *w, struct dt_engine *engine, struct dt_error *err)
{
    struct dt_registry *registry = NULL;
    struct dt_stack_instance *instance = NULL;
    struct dt_account account = {0};
    struct dt_threads *threads = NULL;
    dt_status status;
    w->c.model = dt_engine_model(engine);
    if (w->target != GGUF)
        return write_llama2c(w, engine, err);
    if (w->text && (status = calibrate(w, engine, err)))
        return status;
    if (!w->backend)
        return w->shard ? dt_convert_shards(&w->c, w->out, err)
                        : dt_convert_gguf(&w->c, w->out, err);
    char spec[80];
    if ((status = dt_threads_new(&threads, 1, err)) || (status = dt_registry_new(&registry, err)))
        goto out;
    packer(w, registry, spec, sizeof spec);
    status = dt_registry_assemble(registry, spec, w->c.model, &account, threads, &instance, err);
    if (status == DT_USAGE)
        status = dt_error_set(err, DT_USAGE, NULL,
                              "--for %s: no layout and no backend of this machine has this name; "
                              "name host, or one that `duotale backends` lists",
                              w->backend);
    if (status)
        goto out;
    w->c.pack_for = instance->stack.level[instance->stack.count - 1];
    if (strcmp(w->backend, "host") == 0 && !w->c.pack_for->table.layout) {
        status = dt_error_set(err, DT_UNSUPPORTED, NULL,
                              "--for host: %s, which is the best backend of this machine for this "
                              "model, has no packed layout",
                              instance->name);
        goto out;
    }
    status = w->shard ? dt_convert_shards(&w->c, w->out, err) : dt_convert_gguf(&w->c, w->out, err);
out:
    if (instance)
        dt_stack_instance_free(instance);
    if (registry)
        dt_registry_free(registry);
    dt_threads_free(threads);
    return status;
}

static void summarise(const struct work *w)
{
    struct stat st;
    bool file = stat(w->out, &st) == 0 && S_ISREG(st.st_mode);
    if (w->json) {
        dt_json_end(w->json);
        dt_json_put_text(w->json, "output", w->out);
        if (file)
            dt_json_put_uint(w->json, "bytes", (uint64_t)st.st_size);
        dt_json_put_number(w->json, "largest_error", w->worst);
        if (w->text) {
            dt_json_put_uint(w->json, "calibration_tokens", w->calibration.tokens);
            dt_json_put_uint(w->json, "calibration_bytes", dt_calibration_bytes(w->c.calibration));
        }
        dt_json_end(w->json);
    } else if (!w->quiet) {
        dt_print(stdout, "%s: %zu matrices", w->out, w->tensors);
        if (file)
            dt_print(stdout, ", %lld bytes", (long long)st.st_size);
        if (w->worst > 0)
            dt_print(stdout, ", largest error %.3g (%s)", w->worst, w->worst_name);
        dt_print(stdout, "\n");
    }
}

static bool is_interrupted(void)
{
    return interrupted != 0;
}

// --draft: writes the table.
static dt_status write_draft(const struct work *w, struct dt_engine *engine, struct dt_error *err)
{
    struct dt_convert_draft_facts facts;
    dt_status status = dt_verb_convert_draft(engine, w->draft, w->out, is_interrupted, &facts, err);
    if (status == DT_OK && w->json) {
        dt_json_end(w->json);
        dt_json_put_text(w->json, "output", w->out);
        dt_json_put_uint(w->json, "tokens", facts.tokens);
        dt_json_put_uint(w->json, "entries", facts.entries);
        dt_json_put_uint(w->json, "bytes", facts.bytes);
        dt_json_end(w->json);
    } else if (status == DT_OK && !w->quiet) {
        dt_print(stdout, "%s: %u n-grams of %llu tokens, %llu bytes\n", w->out, facts.entries,
                 (unsigned long long)facts.tokens, (unsigned long long)facts.bytes);
    }
    return status;
}

static int convert(struct work *w)
{
    struct dt_engine_options options = {
        .stack = "reference",
        .without_backend = !w->text,
        .check_scales = !w->draft,
        .without_vocabulary = !w->text && !w->draft,
        .threads = 1,
    };
    struct dt_engine *engine = NULL;
    struct dt_error err = {0};
    struct dt_json writer;
    struct sigaction action = {.sa_handler = on_signal};
    dt_status status = dt_engine_new(&engine, &options, &err);
    if (!status)
        status = dt_engine_prepare(engine, w->in, w->tokenizer, NULL, &err);
    if (status)
        goto out;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    w->c.progress = on_progress;
    w->c.progress_arg = w;
    w->c.report = on_tensor;
    w->c.report_arg = w;
    w->bar = isatty(STDERR_FILENO) && !w->quiet;
    if (w->as_json) {
        dt_json_init(&writer, stdout, 0);
        dt_json_object(&writer);
        dt_json_put_text(&writer, "input", w->in);
        dt_json_name(&writer, "tensors");
        dt_json_array(&writer);
        w->json = &writer;
    }
    status = w->draft ? write_draft(w, engine, &err) : write_all(w, engine, &err);
    if (!status && !w->draft)
        summarise(w);
out:
    dt_verb_calibration_free(&w->calibration);
    dt_engine_free(engine);
    if (status && w->json)
        dt_json_fail(w->json, err.message);
    if (status && w->bar)
        clear_bar();
    return status ? dt_verb_fail(&err) : dt_verb_flush();
}

int dt_verb_convert(int argc, char **argv)
{
    struct work w = {0};
    int code = dt_options_read(DT_VERB_CONVERT, argc, argv, on_option, &w);
    if (code >= 0)
        return code;
    if (optind == argc)
        return dt_options_usage(DT_VERB_CONVERT, "IN is missing");
    if (optind + 1 < argc)
        return dt_options_usage(DT_VERB_CONVERT, "%s: only one model can be given",
                                argv[optind + 1]);
    w.in = argv[optind];
    if (!w.out)
        return dt_options_usage(DT_VERB_CONVERT, "--output: is missing");
    code = settle(&w);
    return code ? code : convert(&w);
}
