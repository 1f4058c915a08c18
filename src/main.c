// SPDX-License-Identifier: MIT
// Finds the verb, or opens a front end.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../ui/plain/plain.h"
#include "host/file.h"
#include "host/modules/modules.h"
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

static int print_help(FILE *out)
{
    fputs("duotale tells stories, and chats, with small LLaMA-family models.\n\n"
          "usage: duotale [MODEL] [options] sit down and talk\n"
          "       duotale VERB [arguments]  one of these:\n",
          out);
    for (const struct dt_verb *v = dt_verbs; v->name; v++)
        fprintf(out, "  %-10s %s\n             %s\n", v->name, v->arguments, v->help);
    fputs("\n`duotale VERB --help` tells more.\n", out);
    return ferror(out) != 0;
}

// The descriptors 0, 1 and 2 must be somebody's: else the model's file becomes standard output.
static void keep_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        // 1 is opened so that writing fails: a closed output is told, not swallowed
        int opened = open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
        if (opened >= 0 && opened != fd) {
            dup2(opened, fd);
            close(opened);
        }
    }
}

int main(int argc, char **argv)
{
    keep_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    dt_modules_set_home(
        getenv("DUOTALE_HOME")); // the board's bundle says so: /proc/self/exe is the loader there
    if (argc > 1 && argv[1][0] != '-') {
        const struct dt_verb *verb = dt_verb_find(argv[1]);
        if (verb)
            return verb->run(argc - 1, argv + 1);
        if (strcmp(argv[1], "help") == 0)
            return print_help(stdout);
        if (!dt_file_readable(argv[1])) { // else a model to sit down with
            fprintf(stderr,
                    "duotale: there is no verb and no model file \"%s\" (see duotale --help)\n",
                    argv[1]);
            return dt_status_exit_code(DT_USAGE);
        }
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        print_help(stdout); // and then the settings
    return dt_sit(argc, argv, compiled, sizeof compiled / sizeof *compiled);
}
