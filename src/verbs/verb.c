// SPDX-License-Identifier: MIT
#include "verbs/verb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/settings/settings.h"
#include "base/format.h"
#include "core/kv/kv_cache.h"
#include "host/log.h"
#include "host/print.h"
#include "host/remote/catalogue.h"

// ---- errors and logs ----

int dt_verb_fail(const struct dt_error *err)
{
    char line[1024];
    dt_print(stderr, "duotale: %s\n", dt_error_line(err, line, sizeof line));
    return dt_status_exit_code(err->status);
}

static void log_to_stderr(void *arg, int level, const char *line)
{
    (void)arg;
    dt_print(stderr, "duotale: %s%s\n", level >= DT_LOG_WARNING ? "warning: " : "", line);
}

void dt_verb_log(bool verbose)
{
    dt_log_set(log_to_stderr, NULL, verbose ? DT_LOG_DEBUG : DT_LOG_WARNING);
}

int dt_verb_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    if (errno != EPIPE)
        dt_print(stderr, "duotale: cannot write to standard output: %s\n", strerror(errno));
    return dt_status_exit_code(DT_FAILED);
}

// ---- opening a model ----

int dt_verb_model_option(enum dt_verb_id verb, struct dt_verb_model *model, int id,
                         const struct dt_option_value *value)
{
    struct dt_engine_options *o = &model->engine;
    struct dt_setting_value read = {0};
    struct dt_error err = {0};
    switch (id) {
    case DT_OPTION_CHECK_SCALES:
        o->check_scales = true;
        return 0;
    case DT_SET_TOKENIZER: // as given: a path may be longer than a setting's text
        model->tokenizer = value->text;
        return 0;
    case DT_SET_BACKEND:
        o->stack = value->text;
        return 0;
    case DT_SET_DRAFT:
        o->draft = dt_draft_policy_of(value->text);
        o->draft_file = dt_draft_file_of(value->text);
        return 0;
    case DT_SET_THREADS:
    case DT_SET_CONTEXT:
    case DT_SET_BATCH:
    case DT_SET_KV:
    case DT_SET_MEM_LIMIT:
    case DT_SET_SHORTLIST:
    case DT_SET_PACK:
    case DT_SET_WEIGHTS:
        break;
    default:
        return -1;
    }
    if (dt_settings_parse(id, value->text, &read, &err) != DT_OK)
        return dt_options_usage(verb, "--%s", err.message);
    if (id == DT_SET_THREADS)
        o->threads = (uint32_t)read.integer;
    else if (id == DT_SET_CONTEXT)
        o->context = (uint32_t)read.integer;
    else if (id == DT_SET_BATCH)
        o->batch = (uint32_t)read.integer;
    else if (id == DT_SET_KV)
        o->kv_type = dt_kv_type_of(read.text);
    else if (id == DT_SET_PACK)
        o->pack = dt_pack_policy_of(read.text);
    else if (id == DT_SET_WEIGHTS)
        o->weights = dt_weights_place_of(read.text);
    else if (id == DT_SET_SHORTLIST)
        o->without_shortlist = read.integer == 0;
    else
        o->memory_limit = (size_t)read.integer;
    return 0;
}

dt_status dt_verb_model_path(struct dt_verb_model *model, struct dt_error *err)
{
    if (model->path) {
        const char *name = model->path;
        char *path = model->default_path;
        size_t size = sizeof model->default_path;
        struct dt_error missing = {0};
        bool found = dt_catalogue_resolve(name, path, size);
        if (!found)
            found = dt_models_offer(name, &missing) && dt_catalogue_resolve(name, path, size);
        if (found)
            model->path = path;
        if (missing.status != DT_OK)
            *err = missing;
        return missing.status;
    }
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
        dt_format(out, size, "converts the weights from %s to %s: %zu bytes besides the file",
                  dt_form_name(plan->weights.from_form), dt_form_name(plan->weights.to_form),
                  plan->weights.copied_bytes);
    else if (plan->weights.packed_bytes)
        dt_format(out, size, "packs the weights (--pack): %zu bytes besides the file",
                  plan->weights.copied_bytes);
    return out;
}
