// SPDX-License-Identifier: MIT
// Reports of a benchmark: table, JSON, CSV and chart.
#include <string.h>

#include "host/modules/cpu.h"
#include "host/print.h"
#include "verbs/bench/bench.h"

// The entry's median speed, of prompts or of decoding, relative to the first entry's.
static double ratio(const struct dt_bench *bench, uint32_t i, bool prompt)
{
    const struct dt_bench_entry *a = &bench->entry[i], *b = &bench->entry[0];
    double mine = prompt ? a->prompt_tok_s.median : a->decode_tok_s.median;
    double first = prompt ? b->prompt_tok_s.median : b->decode_tok_s.median;
    return first > 0 ? mine / first : 0;
}

static const char *short_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void dt_bench_print(const struct dt_bench *bench, FILE *out)
{
    const struct dt_bench_options *o = &bench->options;
    dt_print(out, "%s; %u interleaved runs after %u to warm up; tokens are sampled and discarded\n",
             dt_cpu()->model, o->runs, o->warm);
    dt_print(out, "prompt: %u tokens; decoding: %u tokens from position %u, temperature %g\n\n",
             o->prompt, o->gen, o->at, (double)o->temperature);
    dt_print(out, "%-28s %-22s %2s %2s %10s %6s %10s %8s %8s %8s %8s %6s %8s %8s %8s\n", "model",
             "backend", "j", "n", "prompt/s", "ratio", "decode/s", "min", "max", "trimmed", "sd",
             "ratio", "first ms", "start ms", "RSS MB");
    for (uint32_t i = 0; i < bench->count; i++) {
        const struct dt_bench_entry *e = &bench->entry[i];
        dt_print(
            out,
            "%-28.28s %-22s %2u %2u %10.1f %6.2f %10.1f %8.1f %8.1f %8.1f %8.1f %6.2f %8.2f %8.2f "
            "%8.1f\n",
            short_name(e->model), e->resolved, e->threads, e->sequences, e->prompt_tok_s.median,
            ratio(bench, i, true), e->decode_tok_s.median, e->decode_tok_s.min, e->decode_tok_s.max,
            e->decode_tok_s.trimmed, e->decode_tok_s.sd, ratio(bench, i, false),
            e->first_token_ms.median, e->start_ms.median, (double)e->peak_rss / 1e6);
    }
}

void dt_bench_json(const struct dt_bench *bench, FILE *out)
{
    const struct dt_bench_options *o = &bench->options;
    struct dt_json j;
    dt_json_init(&j, out, 2);
    dt_json_object(&j);
    dt_json_put_text(&j, "cpu", dt_cpu()->model);
    dt_json_put_text(&j, "arch", dt_cpu()->arch);
    dt_json_put_uint(&j, "runs", o->runs);
    dt_json_put_uint(&j, "warm_up", o->warm);
    dt_json_put_uint(&j, "prompt", o->prompt);
    dt_json_put_uint(&j, "gen", o->gen);
    dt_json_put_uint(&j, "at", o->at);
    dt_json_put_number(&j, "temperature", (double)o->temperature);
    dt_json_put_text(&j, "sink", "none");
    dt_json_name(&j, "results");
    dt_json_array(&j);
    for (uint32_t i = 0; i < bench->count; i++) {
        const struct dt_bench_entry *e = &bench->entry[i];
        dt_json_object(&j);
        dt_json_put_text(&j, "backend", strcmp(e->asked, "auto") == 0 ? e->resolved : e->asked);
        dt_json_put_text(&j, "resolved", e->resolved);
        dt_json_put_uint(&j, "threads", e->threads);
        dt_json_put_uint(&j, "sequences", e->sequences);
        dt_stats_put(&j, "prompt_tok_s", &e->prompt_tok_s);
        dt_stats_put(&j, "decode_tok_s", &e->decode_tok_s);
        dt_json_name(&j, "first_token_ms");
        dt_json_number(&j, e->first_token_ms.n ? e->first_token_ms.median : 0.0 / 0.0);
        dt_json_name(&j, "start_to_first_byte_ms");
        dt_json_number(&j, e->start_ms.n ? e->start_ms.median : 0.0 / 0.0);
        dt_json_put_uint(&j, "peak_rss_kib", e->peak_rss / 1024);
        dt_json_put_uint(&j, "anonymous_kib", e->anonymous / 1024);
        dt_json_put_text(&j, "model", e->model);
        dt_json_put_uint(&j, "weights_bytes", e->weights_bytes);
        dt_json_put_uint(&j, "tokens_decoded", e->gen);
        dt_json_put_number(&j, "prompt_ratio", ratio(bench, i, true));
        dt_json_put_number(&j, "decode_ratio", ratio(bench, i, false));
        dt_json_end(&j);
    }
    dt_json_end(&j);
    dt_json_end(&j);
}

// Writes a quoted field and a comma; quotes inside are doubled.
static void csv_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++)
        fputs(*text == '"' ? "\"\"" : (char[]){*text, 0}, out);
    fputs("\",", out);
}

void dt_bench_csv(const struct dt_bench *bench, FILE *out)
{
    fputs("model,backend,resolved,threads,at,prompt_median,prompt_min,prompt_max,prompt_mean,"
          "prompt_sd,decode_median,decode_min,"
          "decode_max,decode_mean,decode_sd,decode_trimmed,decode_ratio,first_token_ms,start_to_"
          "first_byte_ms,peak_rss_kib,"
          "anonymous_kib,weights_bytes,sequences\n",
          out);
    for (uint32_t i = 0; i < bench->count; i++) {
        const struct dt_bench_entry *e = &bench->entry[i];
        const struct dt_stats *p = &e->prompt_tok_s, *d = &e->decode_tok_s;
        csv_text(out, e->model);
        csv_text(out, e->asked);
        csv_text(out, e->resolved);
        dt_print(
            out,
            "%u,%u,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.4f,%.3f,%.3f,%llu,%"
            "llu,%zu,%u\n",
            e->threads, bench->options.at, p->median, p->min, p->max, p->mean, p->sd, d->median,
            d->min, d->max, d->mean, d->sd, d->trimmed, ratio(bench, i, false),
            e->first_token_ms.median, e->start_ms.median, (unsigned long long)(e->peak_rss / 1024),
            (unsigned long long)(e->anonymous / 1024), e->weights_bytes, e->sequences);
    }
}

static void xml_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&' || *text == '<' || *text == '>')
            dt_print(out, "&#%d;", *text);
        else
            fputc(*text, out);
    }
}

void dt_bench_svg(const struct dt_bench *bench, FILE *out)
{
    enum { LEFT = 330, WIDTH = 420, ROW = 30, TOP = 56 };
    double most = 0;
    for (uint32_t i = 0; i < bench->count; i++)
        most = bench->entry[i].decode_tok_s.max > most ? bench->entry[i].decode_tok_s.max : most;
    double scale = most > 0 ? WIDTH / most : 0;
    dt_print(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
             "font-family=\"sans-serif\" font-size=\"12\">\n",
             LEFT + WIDTH + 90, TOP + ROW * bench->count + 16);
    fputs("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"12\" y=\"22\" "
          "font-size=\"15\">Decode speed, tokens per second"
          "</text>\n<text x=\"12\" y=\"42\" fill=\"#555\">median of ",
          out);
    dt_print(out, "%u interleaved runs, from position %u; ", bench->options.runs,
             bench->options.at);
    xml_text(out, dt_cpu()->model);
    fputs("</text>\n", out);
    for (uint32_t i = 0; i < bench->count; i++) {
        const struct dt_bench_entry *e = &bench->entry[i];
        const struct dt_stats *d = &e->decode_tok_s;
        unsigned y = TOP + ROW * i, middle = y + ROW / 2 - 3;
        dt_print(out, "<text x=\"12\" y=\"%u\">", middle + 4);
        xml_text(out, short_name(e->model));
        fputs(", ", out);
        xml_text(out, e->resolved);
        dt_print(out, ", %u", e->threads);
        if (e->sequences > 1)
            dt_print(out, ", %u sequences", e->sequences);
        fputs("</text>\n", out);
        dt_print(out, "<rect x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"#4878a8\"/>\n",
                 LEFT, y, d->median * scale, ROW - 6);
        dt_print(out,
                 "<path d=\"M%.1f %uH%.1fM%.1f %uv8M%.1f %uv8\" stroke=\"#222\" fill=\"none\"/>\n",
                 LEFT + d->min * scale, middle, LEFT + d->max * scale, LEFT + d->min * scale,
                 middle - 4, LEFT + d->max * scale, middle - 4);
        dt_print(out, "<text x=\"%.1f\" y=\"%u\">%.1f</text>\n", LEFT + d->max * scale + 6,
                 middle + 4, d->median);
    }
    fputs("</svg>\n", out);
}
