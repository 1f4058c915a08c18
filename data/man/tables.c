// SPDX-License-Identifier: MIT
// Prints the manual's tables of commands and settings from the program's own, as scdoc. Built for
// the machine that builds.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "app/settings/command_table.h"
#include "app/settings/settings.h"

// scdoc gives a meaning to some characters.
static void text(const char *s)
{
    for (; *s; s++) {
        if (strchr("*_\\#[]<>", *s) || (*s == '.' && s[1] == '.'))
            putchar('\\');
        putchar(*s);
    }
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

static void settings(void)
{
    const char *group = "";
    for (int id = 0; id < DT_SET_COUNT; id++) {
        const struct dt_setting *s = &dt_settings_table()[id];
        static const char *const when[] = {"from the next token on", "from the next turn on",
                                           "when a model is opened", "when the program starts"};
        if (strcmp(group, s->group) != 0)
            printf("## %s\n\n", s->group);
        group = s->group;
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
            printf(" From %.16g to %.16g.", s->minimum, s->maximum);
        }
        printf(" Default: ");
        text(*s->initial ? s->initial : "empty");
        printf(". Felt %s.\n\n", when[s->when]);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "commands") == 0)
        commands();
    else if (argc == 2 && strcmp(argv[1], "settings") == 0)
        settings();
    else
        return 2;
    return ferror(stdout) != 0;
}
