// SPDX-License-Identifier: MIT
// Prints the program's own tables as scdoc, for the man pages. Runs on the build machine.
//     man-tables commands | settings
//     man-tables help | synopsis | about | options | notes VERB       (session: the session)
#include <string.h>

#include "app/settings/command_table.h"
#include "verbs/options.h"

// Writes text with a backslash before the characters that have a meaning in scdoc.
static void text_n(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("*_\\#[]<>`~", s[i]) || (s[i] == '.' && i + 1 < n && s[i + 1] == '.'))
            putchar('\\');
        putchar(s[i]);
    }
}

static void text(const char *s)
{
    text_n(s, strlen(s));
}

static void commands(void)
{
    size_t count;
    const struct dt_command *table = dt_command_table(&count);
    for (size_t i = 0; i < count; i++) {
        printf("*/%s*", table[i].name);
        if (*table[i].arguments) {
            putchar(' ');
            text(table[i].arguments);
        }
        printf("\n\t");
        text(table[i].help);
        printf("\n\n");
    }
}

static void setting(const struct dt_setting *s)
{
    if (s->letter)
        printf("*-%c*, ", s->letter);
    printf("*--%s*", s->name);
    if (s->value) {
        printf(" _");
        text(s->value);
        putchar('_');
    }
    if (s->type == DT_SETTING_BOOL)
        printf(", *--no-%s*", s->name);
    printf("\n\t");
    text(s->help);
    if (s->type == DT_SETTING_CHOICE) {
        printf(" One of: ");
        text(s->choices);
        putchar('.');
    } else if (s->type == DT_SETTING_INT || s->type == DT_SETTING_REAL) {
        printf(" Range: %.16g to %.16g.", s->minimum, s->maximum);
    }
    printf(" Default: ");
    text(*s->initial ? s->initial : "empty");
    putchar('.');
}

static void settings(void)
{
    static const char *const when[] = {
        [DT_SETTING_LIVE] = "with the next token",
        [DT_SETTING_TURN] = "with the next turn",
        [DT_SETTING_MODEL] = "at once: the model is opened again",
        [DT_SETTING_START] = "when duotale starts",
    };
    const char *group = "";
    for (int id = 0; id < DT_SET_COUNT; id++) {
        const struct dt_setting *s = &dt_settings_table()[id];
        if (strcmp(group, s->group) != 0)
            printf("## %s\n\n", s->group);
        group = s->group;
        setting(s);
        printf(" Takes effect %s.\n\n", when[s->when]);
    }
}

// Paragraphs of a text that separates them by '\n'. That of exit codes is left out: the page has a
// section for them.
static void paragraphs(const char *s)
{
    while (s && *s) {
        size_t n = strcspn(s, "\n");
        if (strncmp(s, "Exit codes:", 11) != 0) {
            text_n(s, n);
            printf("\n\n");
        }
        s += n + (s[n] == '\n');
    }
}

static void synopsis(const struct dt_verb_page *page)
{
    for (const char *at = page->synopsis; *at;) {
        size_t n = strcspn(at, "\n");
        printf("*duotale%s%s* ", *page->name ? " " : "", page->name);
        text_n(at, n);
        printf("\n\n");
        at += n + (at[n] == '\n');
    }
}

static void option(const struct dt_option *o)
{
    bool optional = o->type == DT_OPTION_STORY || o->type == DT_OPTION_SOUND;
    if (o->letter)
        printf("*-%c*, ", o->letter);
    printf("*--%s*", o->name);
    if (o->value) {
        printf(optional ? "[=_" : " _");
        text(o->value);
        printf(optional ? "_]" : "_");
    }
    printf("\n\t");
    text(o->help);
    if (o->choices) {
        printf(" One of: ");
        text(o->choices);
        putchar('.');
    } else if (o->type == DT_OPTION_INT && o->maximum < INT32_MAX) {
        printf(" Range: %.0f to %.0f.", o->minimum, o->maximum);
    }
    if (o->initial) {
        printf(" Default: ");
        text(o->initial);
        putchar('.');
    }
    printf("\n\n");
}

static void options(const struct dt_verb_page *page)
{
    for (const struct dt_option *o = page->options; o->name; o++)
        option(o);
    for (size_t i = 0; page->settings && i < page->setting_count; i++) {
        setting(&dt_settings_table()[page->settings[i]]);
        printf("\n\n");
    }
}

static const struct dt_verb_page *find_page(const char *name)
{
    for (int i = 0; i < DT_VERB_COUNT; i++) {
        const struct dt_verb_page *page = dt_verb_page((enum dt_verb_id)i);
        if (strcmp(page->name, name) == 0 || (i == DT_VERB_SESSION && strcmp(name, "session") == 0))
            return page;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct dt_verb_page *page = argc == 3 ? find_page(argv[2]) : NULL;
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(what, "commands") == 0)
        commands();
    else if (argc == 2 && strcmp(what, "settings") == 0)
        settings();
    else if (page && strcmp(what, "help") == 0)
        text(page->help);
    else if (page && strcmp(what, "synopsis") == 0)
        synopsis(page);
    else if (page && strcmp(what, "about") == 0)
        paragraphs(page->about);
    else if (page && strcmp(what, "options") == 0)
        options(page);
    else if (page && strcmp(what, "notes") == 0)
        paragraphs(page->notes);
    else
        return 2;
    return ferror(stdout) != 0;
}
