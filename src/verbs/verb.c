// SPDX-License-Identifier: MIT
#include "verbs/verb.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/settings.h"
#include "base/format.h"
#include "host/log.h"

const struct dt_verb *dt_verb_find(const char *name)
{
    for (const struct dt_verb *v = dt_verbs; v->name; v++) {
        if (strcmp(v->name, name) == 0)
            return v;
    }
    return NULL;
}

int dt_verb_fail(const struct dt_error *err)
{
    char line[1024];
    fprintf(stderr, "duotale: %s\n", dt_error_line(err, line, sizeof line));
    return dt_status_exit_code(err->status);
}

int dt_verb_usage(const char *verb, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    dt_vformat(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "duotale %s: %s (see duotale %s --help)\n", verb, line, verb);
    return dt_status_exit_code(DT_USAGE);
}

static void log_to_stderr(void *arg, int level, const char *line)
{
    (void)arg;
    fprintf(stderr, "duotale: %s%s\n", level >= DT_LOG_WARNING ? "warning: " : "", line);
}

void dt_verb_log(bool verbose)
{
    dt_log_set(log_to_stderr, NULL, verbose ? DT_LOG_DEBUG : DT_LOG_WARNING);
}

// ---- numbers ----

bool dt_verb_float(const char *text, double *out)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool dt_verb_count(const char *text, uint32_t max, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end || text[0] == '-' || errno || value > max)
        return false;
    *out = (uint32_t)value;
    return true;
}

bool dt_verb_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value =
        strtoull(text, &end, 10); // a minus wraps around, as it does in llama2.c
    if (end == text || *end || errno)
        return false;
    *out = value;
    return true;
}

// ---- opening a model ----

int dt_verb_model_setting(const char *verb, struct dt_verb_model *model, int id, const char *value)
{
    struct dt_engine_options *o = &model->engine;
    struct dt_setting_value read = {0};
    struct dt_error err = {0};
    if (id == DT_SET_TOKENIZER) {
        model->tokenizer =
            value; // whole: a path on the command line may be longer than a setting's text
        return 0;
    }
    if (id == DT_SET_BACKEND) {
        o->stack = value;
        return 0;
    }
    if (id != DT_SET_THREADS && id != DT_SET_CONTEXT && id != DT_SET_BATCH && id != DT_SET_KV &&
        id != DT_SET_MEM_LIMIT && id != DT_SET_SHORTLIST)
        return -1;
    if (dt_settings_parse(id, value, &read, &err) != DT_OK)
        return dt_verb_usage(verb, "--%s", err.message);
    if (id == DT_SET_THREADS)
        o->threads = (uint32_t)read.integer;
    else if (id == DT_SET_CONTEXT)
        o->context = (uint32_t)read.integer;
    else if (id == DT_SET_BATCH)
        o->batch = (uint32_t)read.integer;
    else if (id == DT_SET_KV)
        o->kv_type = strcmp(read.text, "f16") == 0 ? DT_KV_F16 : DT_KV_F32;
    else if (id == DT_SET_SHORTLIST)
        o->without_shortlist = read.integer == 0;
    else
        o->memory_limit = (size_t)read.integer;
    return 0;
}

int dt_verb_model_option(const char *verb, struct dt_verb_model *model, int option,
                         const char *value)
{
    static const struct {
        int option, id;
    } rows[] = {
        {'z', DT_SET_TOKENIZER},
        {'b', DT_SET_BACKEND},
        {'j', DT_SET_THREADS},
        {'c', DT_SET_CONTEXT},
        {DT_OPTION_BATCH, DT_SET_BATCH},
        {DT_OPTION_KV, DT_SET_KV},
        {DT_OPTION_MEM_LIMIT, DT_SET_MEM_LIMIT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].option == option)
            return dt_verb_model_setting(verb, model, rows[i].id, value);
    }
    switch (option) {
    case DT_OPTION_PACK:
        model->engine.pack = strcmp(value, "always") == 0 ? DT_PACK_ALWAYS : DT_PACK_NEVER;
        if (model->engine.pack == DT_PACK_NEVER && strcmp(value, "never") != 0)
            return dt_verb_usage(verb, "--pack takes never or always, not \"%s\"", value);
        return 0;
    case DT_OPTION_NO_SHORTLIST:
        model->engine.without_shortlist = true;
        return 0;
    case DT_OPTION_CHECK:
        model->engine.check_scales = true;
        return 0;
    default:
        return -1;
    }
}

dt_status dt_verb_model_path(struct dt_verb_model *model, struct dt_error *err)
{
    if (model->path)
        return DT_OK;
    dt_status status =
        dt_engine_default_model(model->default_path, sizeof model->default_path, err);
    if (status == DT_OK)
        model->path = model->default_path;
    return status;
}

const char *dt_verb_cost(const struct dt_engine_plan *plan, char *out, size_t size)
{
    out[0] = 0;
    if (plan->weights.from_form != DT_FORM_NONE)
        dt_format(out, size, "converts weights from %s to %s: %zu bytes of memory beside the file",
                  dt_form_name(plan->weights.from_form), dt_form_name(plan->weights.to_form),
                  plan->weights.copied_bytes);
    else if (plan->weights.packed)
        dt_format(out, size, "packs the weights for %s: %zu bytes of memory beside the file",
                  plan->stack, plan->weights.copied_bytes);
    return out;
}

int dt_verb_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    if (errno != EPIPE)
        fprintf(stderr, "duotale: cannot write to standard output: %s\n", strerror(errno));
    return dt_status_exit_code(DT_FAILED);
}
