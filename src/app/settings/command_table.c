// SPDX-License-Identifier: MIT
// Data only: the manual's generator is built from this file too.
#include "app/settings/command_table.h"

#define COMMAND(name_, arguments_, help_, complete_, runs_)                                        \
    {.name = name_, .arguments = arguments_, .help = help_, .complete = DT_COMPLETE_##complete_},

static const struct dt_command table[] = {
#include "app/settings/command_list.h"
};

const struct dt_command *dt_command_table(size_t *count)
{
    *count = sizeof table / sizeof *table;
    return table;
}
