// SPDX-License-Identifier: MIT
#include "app/commands/own_commands.h"

#include <stdlib.h>
#include <string.h>

#include "app/settings/name_match.h"

void dt_own_commands_set(struct dt_app *app, const struct dt_command *table, size_t count)
{
    free(app->all_commands);
    app->all_commands = NULL;
    app->own_commands = table;
    app->own_command_count = count;
}

const struct dt_command *dt_own_commands_find(struct dt_app *app, const char *name)
{
    for (size_t i = 0; i < app->own_command_count; i++) {
        if (strcmp(app->own_commands[i].name, name) == 0)
            return &app->own_commands[i];
    }
    return NULL;
}

static bool is_one_of(const struct dt_command *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return true;
    }
    return false;
}

const struct dt_command *dt_own_commands_all(struct dt_app *app, size_t *count)
{
    size_t n;
    const struct dt_command *ours = dt_command_table(&n);
    *count = n;
    if (!app->own_command_count)
        return ours;
    if (!app->all_commands) {
        app->all_commands = calloc(n + app->own_command_count, sizeof *app->all_commands);
        if (!app->all_commands)
            return ours;
        memcpy(app->all_commands, ours, n * sizeof *ours);
        app->all_command_count = n;
        for (size_t i = 0; i < app->own_command_count; i++) {
            if (!is_one_of(ours, n, app->own_commands[i].name))
                app->all_commands[app->all_command_count++] = app->own_commands[i];
        }
    }
    *count = app->all_command_count;
    return app->all_commands;
}

struct list {
    const struct dt_command *table;
    size_t count;
};

static const char *name_at(const void *arg, size_t i)
{
    const struct list *list = arg;
    return i < list->count ? list->table[i].name : NULL;
}

int dt_own_commands_match(struct dt_app *app, const char *name, const char **nearest)
{
    struct list list;
    list.table = dt_own_commands_all(app, &list.count);
    if (nearest)
        *nearest = dt_name_match_nearest(name, name_at, &list);
    return dt_name_match_find(name, name_at, &list);
}
