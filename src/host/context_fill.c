// SPDX-License-Identifier: MIT
#include "host/context_fill.h"

#include "base/format.h"

#define SPARE 8 // positions that are left for an answer

static size_t sum(const struct dt_context_fill *fill)
{
    return fill->system + fill->premise + fill->message;
}

enum dt_context_part dt_context_fill_cause(const struct dt_context_fill *fill)
{
    size_t parts = sum(fill);
    if (fill->turns && parts + SPARE <= fill->capacity)
        return DT_CONTEXT_TURNS;
    if (fill->premise > fill->system && fill->premise > fill->message)
        return DT_CONTEXT_PREMISE;
    return fill->system > fill->message ? DT_CONTEXT_SYSTEM : DT_CONTEXT_MESSAGE;
}

// Appends ", the premise has 12".
static size_t add(char *out, size_t size, size_t used, const char *what, size_t tokens)
{
    if (tokens && used < size)
        used += dt_format(out + used, size - used, "%s%s %zu", used ? ", " : "", what, tokens);
    return used;
}

dt_status dt_context_fill_error(const struct dt_context_fill *fill, const char *advice,
                                struct dt_error *err)
{
    char list[300] = "", turns[40];
    size_t used = 0, parts = sum(fill), rest = fill->total > parts ? fill->total - parts : 0;
    used = add(list, sizeof list, used, "system prompt", fill->system);
    used = add(list, sizeof list, used, "premise", fill->premise);
    dt_format(turns, sizeof turns, "%zu earlier turn%s", fill->turns, fill->turns == 1 ? "" : "s");
    used = add(list, sizeof list, used,
               fill->turns  ? turns
               : fill->chat ? "chat template"
                            : "beginning",
               rest);
    add(list, sizeof list, used, fill->chat ? "this message" : "this text", fill->message);
    return dt_error_set(err, DT_CONTEXT_FULL, NULL,
                        "%zu tokens do not fit into the context of %zu (%s); %s", parts + rest,
                        fill->capacity, list, advice);
}
