// SPDX-License-Identifier: MIT
#include "host/modules/fallback.h"

#include "base/format.h"
#include "host/modules/cpu.h"
#include "host/modules/modules.h"

// What was found besides the reference backend.
struct found {
    size_t count;                         // compiled in, and files
    size_t refused;                       // files that cannot be loaded or do not belong here
    size_t for_other_cpus;                // those that cannot run on this CPU
    const struct dt_backend_info *broken; // the first refused one
};

static struct found survey(const struct dt_registry *registry)
{
    struct found found = {0};
    for (size_t i = 0; i < dt_registry_count(registry); i++) {
        const struct dt_backend_info *b = dt_registry_at(registry, i);
        found.refused += b->reason && !b->table;
        found.for_other_cpus += b->reason && b->table;
        if (!found.broken && b->reason && !b->table)
            found.broken = b;
    }
    found.count = dt_registry_count(registry) - 1;
    return found;
}

// "A, B or C".
static void list_places(const struct dt_registry *registry, char *out, size_t size)
{
    size_t count, used = 0;
    const char *const *places = dt_registry_places(registry, &count);
    out[0] = 0;
    for (size_t i = 0; i < count && used < size; i++) {
        const char *before = i == 0 ? "" : i + 1 == count ? " or " : ", ";
        used += dt_format(out + used, size - used, "%s%s", before, places[i]);
    }
}

const char *dt_fallback_text(const struct dt_registry *registry, const struct dt_model *model,
                             char *out, size_t size)
{
    static const char list[] = "; `duotale backends` lists them";
    char why[800];
    const struct found found = survey(registry);
    const char *form = dt_form_name(dt_registry_main_form(model));
    if (found.count == 0) {
        list_places(registry, why, sizeof why);
        dt_format(out, size,
                  why[0] ? "Computing with the reference backend, which is slow: there are no "
                           "backend modules in %s%s. Put them beside the program, or set "
                           "DUOTALE_MODULES to their folder."
                         : "Computing with the reference backend, which is slow: this program was "
                           "built without other backends%s%s.",
                  why,
                  *dt_modules_home() || !why[0]
                      ? ""
                      : " (the folder of the program is unknown, because /proc is not mounted)");
        return out;
    }
    if (found.refused)
        dt_format(why, sizeof why,
                  "%zu of %zu backend modules cannot be used; the first is %s, which %s",
                  found.refused, found.count, found.broken->path, found.broken->reason);
    else if (found.for_other_cpus)
        dt_format(
            why, sizeof why,
            "%zu of %zu backends cannot run on this CPU (%s), and no other computes %s weights",
            found.for_other_cpus, found.count, dt_cpu()->model, form);
    else
        dt_format(why, sizeof why, "none of %zu backends computes %s weights", found.count, form);
    dt_format(out, size,
              "Computing with the reference backend, which is slow: %s. Install the backends that "
              "belong to this program and CPU%s.",
              why, list);
    return out;
}
