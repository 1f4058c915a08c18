// SPDX-License-Identifier: MIT
// Runs the verb that the command line names, or an interactive session.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../ui/plain/plain.h"
#include "host/model_files.h"
#include "host/modules/modules.h"
#include "host/remote/catalogue.h"
#include "host/remote/remote.h"
#include "verbs/interactive.h"
#include "verbs/verb.h"

#ifdef DT_STATIC_TUI
extern const struct dt_ui dt_ui_module_tui;
#endif

static const struct dt_ui *const compiled[] = {
    &dt_ui_plain,
#ifdef DT_STATIC_TUI
    &dt_ui_module_tui,
#endif
};

static int print_help(void)
{
    puts("Tell stories and chat with small language models in a terminal.\n\n"
         "usage: duotale [MODEL] [options]         an interactive session\n"
         "       duotale VERB [arguments]          one of these:");
    for (int i = DT_VERB_SESSION + 1; i < DT_VERB_COUNT; i++) {
        const struct dt_verb_page *page = dt_verb_page((enum dt_verb_id)i);
        printf("  %-10s %s\n", page->name, page->help);
    }
    puts("`duotale VERB --help` describes a verb.\n");
    return dt_options_help(DT_VERB_SESSION);
}

// Opens descriptors 0 to 2 where they are closed, so that no other file becomes standard output.
static void open_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        // standard output is opened for reading, so that writing fails and is reported
        int opened = open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
        if (opened >= 0 && opened != fd) {
            dup2(opened, fd);
            close(opened);
        }
    }
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);                    // a limit of the file size is an error of write()
    dt_modules_set_home(getenv("DUOTALE_HOME")); // where /proc/self/exe is a loader, on the board
    if (argc > 1 && argv[1][0] != '-') {
        dt_verb_run_function *run = dt_verb_find(argv[1]);
        if (run)
            return run(argc - 1, argv + 1);
        if (strcmp(argv[1], "help") == 0)
            return print_help();
        char path[4096];
        bool here = dt_remote_is_address(argv[1]) || dt_model_files_present(argv[1]) ||
                    dt_catalogue_resolve(argv[1], path, sizeof path);
        struct dt_error err = {0};
        if (!here && !dt_models_offer(argv[1], &err) && err.status != DT_OK)
            return dt_verb_fail(&err);
        if (!here && !dt_catalogue_resolve(argv[1], path, sizeof path))
            return dt_options_usage(DT_VERB_SESSION, "%s: no such verb, model file or folder",
                                    argv[1]);
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return print_help();
    return dt_interactive(argc, argv, compiled, sizeof compiled / sizeof *compiled);
}
