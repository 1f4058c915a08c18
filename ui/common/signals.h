// SPDX-License-Identifier: MIT
// Signals of a terminal's user, for a front end's loop. Any thread may receive them, so they are
// passed on through a descriptor.
#ifndef DT_UI_COMMON_SIGNALS_H
#define DT_UI_COMMON_SIGNALS_H

enum {
    UI_SIGNAL_SIZE = 1,      // the size changed
    UI_SIGNAL_SUSPEND = 2,   // SIGTSTP: restore the terminal, then call ui_signals_suspend()
    UI_SIGNAL_CONTINUED = 4, // the process was stopped; other programs may have used the terminal
};

// Catches them. One that is ignored stays ignored.
void ui_signals_open(void);

// Gives them the handlers they had.
void ui_signals_close(void);

// Readable when there is a signal; -1 if there is no descriptor.
int ui_signals_fd(void);

// The signals since the last call, as a set.
unsigned ui_signals_read(void);

// Stops the process, as Ctrl-Z does in a shell. Returns when it is continued, or at once if no
// shell could continue it.
void ui_signals_suspend(void);

#endif
