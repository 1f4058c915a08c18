// SPDX-License-Identifier: MIT
#include "figures.h"

#include "base/format.h"

const char *ui_size_text(uint64_t bytes, char *out, size_t size)
{
    static const char units[] = "KMGT";
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units - 1) {
        value /= 1024;
        unit++;
    }
    dt_format(out, size, value < 9.95 && unit > 0 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    return out;
}

const char *ui_context_text(const struct dt_app_figures *f, char *out, size_t size)
{
    if (f->context_dropped)
        dt_format(out, size, "ctx %u/%u of %u (%s)", f->context_used, f->context_total,
                  f->context_used + f->context_dropped, f->overflow);
    else // a server may not say its size
        dt_format(out, size, f->context_total ? "ctx %u/%u" : "ctx %u", f->context_used,
                  f->context_total);
    return out;
}

const char *ui_figures_line(const struct dt_app_figures *f, int live, char *out, size_t size)
{
    char rss[16], anonymous[16], available[16], first[40] = "", thoughts[40] = "", pass[40] = "";
    char threads[24] = "", context[64];
    ui_size_text(f->memory.rss, rss, sizeof rss);
    ui_size_text(f->memory.anonymous, anonymous, sizeof anonymous);
    ui_size_text(f->memory.available, available, sizeof available);
    if (!live)
        dt_format(first, sizeof first, ", first token %.1f ms", f->first_token_ms);
    if (f->threads) // a server's are unknown
        dt_format(threads, sizeof threads, ", %u thread%s", f->threads, f->threads == 1 ? "" : "s");
    if (f->thought_tokens)
        dt_format(thoughts, sizeof thoughts, " (%u of them thoughts)", f->thought_tokens);
    if (f->per_pass >= 1.005)
        dt_format(pass, sizeof pass, ", %.2f tokens a pass", f->per_pass);
    dt_format(out, size,
              "%u tokens%s, %.1f tok/s%s%s | %s | rss %s anon %s avail %s | faults %llu | %s%s%s | "
              "seed %llu%s%s%s",
              f->tokens, thoughts, live ? f->speed_now : f->speed_mean, pass, first,
              ui_context_text(f, context, sizeof context), rss, anonymous, available,
              (unsigned long long)f->memory.major_faults, f->stack, f->slow ? " (slow)" : "",
              threads, (unsigned long long)f->seed, f->weights[0] ? " | " : "", f->weights,
              f->unsaved ? " | not saved" : "");
    return out;
}
