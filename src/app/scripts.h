// SPDX-License-Identifier: MIT
// The script files that are being played; input.c enters their lines. The ui thread.
#ifndef DT_APP_SCRIPTS_H
#define DT_APP_SCRIPTS_H

#include <stdio.h>

#include "app/session.h"

// Plays a script; one that is being played continues after it. Beyond DT_SCRIPTS_MAX all of them
// end, with a notice, and the program's exit code is 2. Takes over the file.
void dt_scripts_begin(struct dt_app *app, FILE *in);

// Ends the one that was begun last; all of them.
void dt_scripts_end_last(struct dt_app *app);
void dt_scripts_end(struct dt_app *app);

#endif
