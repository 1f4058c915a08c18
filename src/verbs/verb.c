// SPDX-License-Identifier: MIT
#include "verbs/verb.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

// ---- numbers ---------------------------------------------------------------------------------------

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
    unsigned long long value = strtoull(text, &end, 10); // a minus wraps around, as it does in llama2.c
    if (end == text || *end || errno)
        return false;
    *out = value;
    return true;
}

bool dt_verb_size(const char *text, size_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || text[0] == '-' || errno)
        return false;
    unsigned shift = 0;
    switch (*end) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        shift = 30;
        break;
    case 0:
        break;
    default:
        return false;
    }
    if (*end && strcmp(end + 1, "") != 0 && strcmp(end + 1, "B") != 0 && strcmp(end + 1, "iB") != 0)
        return false;
    if (value > (SIZE_MAX >> shift))
        return false;
    *out = (size_t)value << shift;
    return true;
}

// ---- opening a model --------------------------------------------------------------------------------

int dt_verb_model_option(const char *verb, struct dt_verb_model *model, int option, const char *value)
{
    struct dt_engine_options *o = &model->engine;
    switch (option) {
    case 'z':
        model->tokenizer = value;
        return 0;
    case 'b':
        o->stack = value;
        return 0;
    case 'j':
        return dt_verb_count(value, 64, &o->threads) ? 0 : dt_verb_usage(verb, "--threads takes 0 to 64, not \"%s\"", value);
    case 'c':
        return dt_verb_count(value, DT_MAX_CONTEXT, &o->context)
                   ? 0
                   : dt_verb_usage(verb, "--context takes 0 to %u, not \"%s\"", DT_MAX_CONTEXT, value);
    case DT_OPTION_BATCH:
        return dt_verb_count(value, 512, &o->batch) ? 0 : dt_verb_usage(verb, "--batch takes 0 to 512, not \"%s\"", value);
    case DT_OPTION_KV:
        o->kv_type = strcmp(value, "f16") == 0 ? DT_KV_F16 : DT_KV_F32;
        if (o->kv_type == DT_KV_F32 && strcmp(value, "f32") != 0)
            return dt_verb_usage(verb, "--kv takes f32 or f16, not \"%s\"", value);
        return 0;
    case DT_OPTION_MEM_LIMIT:
        return dt_verb_size(value, &o->memory_limit)
                   ? 0
                   : dt_verb_usage(verb, "--mem-limit takes bytes, or a number with K, M or G, not \"%s\"", value);
    case DT_OPTION_PACK:
        o->pack = strcmp(value, "always") == 0 ? DT_PACK_ALWAYS : DT_PACK_NEVER;
        if (o->pack == DT_PACK_NEVER && strcmp(value, "never") != 0)
            return dt_verb_usage(verb, "--pack takes never or always, not \"%s\"", value);
        return 0;
    case DT_OPTION_CHECK:
        o->check_scales = true;
        return 0;
    default:
        return -1;
    }
}

dt_status dt_verb_model_path(struct dt_verb_model *model, struct dt_error *err)
{
    if (model->path)
        return DT_OK;
    dt_status status = dt_engine_default_model(model->default_path, sizeof model->default_path, err);
    if (status == DT_OK)
        model->path = model->default_path;
    return status;
}

const char *dt_verb_cost(const struct dt_engine_plan *plan, char *out, size_t size)
{
    out[0] = 0;
    if (plan->weights.from_form != DT_FORM_NONE)
        dt_format(out, size, "converts weights from %s to %s: %zu bytes of memory beside the file",
                  dt_form_name(plan->weights.from_form), dt_form_name(plan->weights.to_form), plan->weights.copied_bytes);
    else if (plan->weights.packed)
        dt_format(out, size, "packs the weights for %s: %zu bytes of memory beside the file", plan->stack,
                  plan->weights.copied_bytes);
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
