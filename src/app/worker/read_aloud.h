// SPDX-License-Identifier: MIT
// Reading the story aloud while it is generated, as the settings say.
#ifndef DT_APP_READ_ALOUD_H
#define DT_APP_READ_ALOUD_H

#include "app/worker/worker.h"

// Opens the voice of the settings unless it is open. False, after an error notice and with the
// setting `speak` off, if that fails.
bool dt_read_aloud_open(struct dt_worker *w);

// A turn begins. If it is to be read, w->reading_aloud is set and the text of `opening` is read
// first (NULL: nothing). If not, the voice is closed.
void dt_read_aloud_begin(struct dt_worker *w, const char *opening);

// More text of the turn. Never waits.
void dt_read_aloud_feed(struct dt_worker *w, const char *text, size_t n);

// The turn ended. stopped: the voice falls silent at once. Without a person at the terminal this
// waits until everything has been said, as the program may end after it.
void dt_read_aloud_end(struct dt_worker *w, bool stopped);

// Posts the figures of the voice if the turn is being read.
void dt_read_aloud_post_figures(struct dt_worker *w);

#endif
