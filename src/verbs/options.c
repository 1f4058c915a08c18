// SPDX-License-Identifier: MIT
// Reading a verb's command line, and its help, from the table.
#include "verbs/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/text.h"
#include "host/print.h"
#include "verbs/verb.h"

#define COLUMNS  100
#define INDENT   30
#define OWN      5000 // getopt_long's value of --NAME is OWN + row
#define ROWS_MAX 40

// ---- values ----

bool dt_options_real(const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool dt_options_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end || errno)
        return false;
    *out = value;
    return true;
}

// The index of text among space separated words, or -1.
static int word_index(const char *words, const char *text)
{
    size_t length = strlen(text);
    for (int i = 0; *words; i++) {
        size_t n = strcspn(words, " ");
        if (n == length && strncasecmp(words, text, n) == 0)
            return i;
        words += n + (words[n] == ' ');
    }
    return -1;
}

// Checks a value by the row of its option. 0, or the exit code with the message written.
static int check_value(enum dt_verb_id verb, const struct dt_option *o, struct dt_option_value *v)
{
    int index;
    switch (o->type) {
    case DT_OPTION_INT:
        if (v->text[0] == '-' || !dt_options_seed(v->text, &v->integer) ||
            (double)v->integer < o->minimum || (double)v->integer > o->maximum)
            return dt_options_usage(verb,
                                    "--%s: must be a whole number from %.0f to %.0f (got "
                                    "\"%s\")",
                                    o->name, o->minimum, o->maximum, v->text);
        v->number = (double)v->integer;
        return 0;
    case DT_OPTION_REAL:
        if (!dt_options_real(v->text, &v->number) || v->number < o->minimum ||
            v->number > o->maximum)
            return o->maximum > 1e6
                       ? dt_options_usage(verb, "--%s: must be a number, %g or more (got \"%s\")",
                                          o->name, o->minimum, v->text)
                       : dt_options_usage(verb, "--%s: must be a number from %g to %g (got \"%s\")",
                                          o->name, o->minimum, o->maximum, v->text);
        return 0;
    case DT_OPTION_RANDOM:
        if (!dt_options_seed(v->text, &v->integer))
            return dt_options_usage(verb, "--%s: must be a whole number (got \"%s\")", o->name,
                                    v->text);
        return 0;
    case DT_OPTION_CHOICE:
        index = word_index(o->choices, v->text);
        if (index < 0)
            return dt_options_usage(verb, "--%s: must be one of %s (got \"%s\")", o->name,
                                    o->choices, v->text);
        v->integer = (uint64_t)index;
        return 0;
    default:
        return 0;
    }
}

// ---- reading ----

static int argument_of(const struct dt_option *o)
{
    switch (o->type) {
    case DT_OPTION_SWITCH:
        return no_argument;
    case DT_OPTION_STORY:
    case DT_OPTION_SOUND:
        return optional_argument;
    default:
        return required_argument;
    }
}

static bool is_sound_file(const char *path)
{
    size_t n = strlen(path);
    return strcmp(path, "-") == 0 || (n > 4 && strcasecmp(path + n - 4, ".wav") == 0);
}

// getopt_long's tables for a page, malloc'ed; false without memory.
static bool make_tables(const struct dt_verb_page *page, struct option **options, char **letters)
{
    static const int none[1];
    struct option rows[ROWS_MAX] = {0};
    char own[2 * ROWS_MAX + 1];
    size_t n = 0, count = 0;
    for (const struct dt_option *o = page->options; o->name; o++, count++) {
        rows[count] = (struct option){o->name, argument_of(o), NULL, OWN + (int)count};
        if (o->letter) {
            own[n++] = o->letter;
            if (o->type != DT_OPTION_SWITCH)
                own[n++] = ':';
        }
    }
    own[n] = 0;
    const int *ids = page->setting_count ? page->settings : none;
    char *joined;
    *options = dt_settings_options(ids, page->setting_count, rows, count, own, letters);
    if (!*options)
        return false;
    joined = malloc(strlen(*letters) + 2);
    if (!joined) {
        free(*options);
        free(*letters);
        return false;
    }
    joined[0] = ':'; // getopt_long returns ':' for a missing value, and prints nothing
    memcpy(joined + 1, *letters, strlen(*letters) + 1);
    free(*letters);
    *letters = joined;
    return true;
}

static const struct dt_option *row_of(const struct dt_verb_page *page, int result)
{
    for (const struct dt_option *o = page->options; o->name; o++) {
        if (result == OWN + (int)(o - page->options) || (o->letter && result == o->letter))
            return o;
    }
    return NULL;
}

// Says which word getopt_long did not accept. optopt is a letter, the number of a known long
// option, or 0.
static int refuse(enum dt_verb_id verb, int result, char **argv)
{
    char letter[3] = {'-', (char)optopt, 0};
    const char *word = optopt > 0 && optopt < 256 ? letter : argv[optind - 1];
    if (result == ':')
        return dt_options_usage(verb, "%s: needs a value", word);
    if (optopt >= 256)
        return dt_options_usage(verb, "%s: takes no value", word);
    return dt_options_usage(verb, "%s: unknown or ambiguous option", word);
}

static int print_version(void)
{
    puts("duotale " DT_VERSION);
    return dt_verb_flush();
}

// o: NULL for a setting.
static int read_one(enum dt_verb_id verb, const struct dt_option *o, int result, int argc,
                    char **argv, dt_on_option *on_option, void *arg)
{
    struct dt_option_value v = {.text = optarg};
    if (!o) {
        int id = dt_settings_flag(result, &v.text);
        return on_option(arg, id, &v);
    }
    // getopt_long finds an optional value behind '=' only; the next word is one if it is a sound
    if (o->type == DT_OPTION_SOUND && !v.text && optind < argc && is_sound_file(argv[optind]))
        v.text = argv[optind++];
    int code = v.text ? check_value(verb, o, &v) : 0;
    return code ? code : on_option(arg, (int)o->id, &v);
}

int dt_options_read(enum dt_verb_id verb, int argc, char **argv, dt_on_option *on_option, void *arg)
{
    struct option *options;
    char *letters;
    int result, code = -1;
    if (!make_tables(dt_verb_page(verb), &options, &letters)) {
        fputs("duotale: not enough memory to read the command line\n", stderr);
        return dt_status_exit_code(DT_NO_MEMORY);
    }
    optind = 0;
    opterr = 0;
    while (code < 0 && (result = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (result == '?' || result == ':') {
            code = refuse(verb, result, argv);
            break;
        }
        const struct dt_option *o = row_of(dt_verb_page(verb), result);
        int refused;
        if (o && o->id == DT_OPTION_HELP)
            code = dt_options_help(verb);
        else if (o && o->id == DT_OPTION_VERSION)
            code = print_version();
        else if ((refused = read_one(verb, o, result, argc, argv, on_option, arg)) != 0)
            code = refused;
    }
    free(options);
    free(letters);
    return code;
}

int dt_options_usage(enum dt_verb_id verb, const char *format, ...)
{
    char line[1024];
    const char *name = dt_verb_page(verb)->name, *space = *name ? " " : "";
    va_list args;
    va_start(args, format);
    size_t n = dt_vformat(line, sizeof line, format, args);
    va_end(args);
    if (n >= sizeof line)
        n = dt_utf8_whole(line, sizeof line - 1);
    dt_text_clean(line, sizeof line, line, n, DT_TEXT_LINE);
    dt_print(stderr, "duotale%s%s: %s; see duotale%s%s --help\n", space, name, line, space, name);
    return dt_status_exit_code(DT_USAGE);
}

// ---- help ----

static void paragraphs(const char *text)
{
    char line[1024];
    for (const char *at = text; at && *at;) {
        size_t n = strcspn(at, "\n");
        dt_format(line, sizeof line, "%.*s", (int)n, at);
        dt_settings_help_row(stdout, "", line, 0, COLUMNS);
        at += n + (at[n] == '\n');
    }
}

static void print_option(const struct dt_option *o)
{
    char letter[8] = "    ", flag[80], help[512], range[160] = "";
    bool optional = argument_of(o) == optional_argument;
    if (o->letter)
        dt_format(letter, sizeof letter, "-%c, ", o->letter);
    dt_format(flag, sizeof flag, "  %s--%s%s%s%s", letter, o->name,
              optional   ? "[="
              : o->value ? " "
                         : "",
              o->value ? o->value : "", optional ? "]" : "");
    if (o->choices)
        dt_format(range, sizeof range, "%s", o->choices);
    else if (o->type == DT_OPTION_INT && o->maximum < INT32_MAX)
        dt_format(range, sizeof range, "%.0f to %.0f", o->minimum, o->maximum);
    const char *before = *range || o->initial ? " (" : "";
    dt_format(help, sizeof help, "%s%s%s%s%s%s%s", o->help, before, range,
              *range && o->initial ? "; " : "", o->initial ? "default " : "",
              o->initial ? o->initial : "", *before ? ")" : "");
    dt_settings_help_row(stdout, flag, help, INDENT, COLUMNS);
}

int dt_options_help(enum dt_verb_id verb)
{
    const struct dt_verb_page *page = dt_verb_page(verb);
    const char *head = "usage: ";
    for (const char *at = page->synopsis; *at; head = "       ") {
        size_t n = strcspn(at, "\n");
        dt_print(stdout, "%sduotale %s%s%.*s\n", head, page->name, *page->name ? " " : "", (int)n,
                 at);
        at += n + (at[n] == '\n');
    }
    putchar('\n');
    paragraphs(page->about);
    puts("\nOptions:");
    for (const struct dt_option *o = page->options; o->name; o++)
        print_option(o);
    if (page->setting_count) {
        putchar('\n');
        dt_settings_help(stdout, page->settings, page->setting_count, COLUMNS);
    }
    if (page->notes) {
        putchar('\n');
        paragraphs(page->notes);
    }
    return dt_verb_flush();
}
