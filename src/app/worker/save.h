// SPDX-License-Identifier: MIT
// The worker's story as records for the library, and its turns to the library writer.
#ifndef DT_APP_SAVE_H
#define DT_APP_SAVE_H

#include "app/worker/worker.h"

// A record of the worker's story. Its strings belong to the story, the settings and this struct:
// it is valid until one of them changes.
struct dt_save_record {
    struct dt_story_record story;
    char settings[512];
};

// The fields of the story, without its turns.
void dt_save_make_fields(struct dt_worker *w, struct dt_save_record *out);

// The whole story. The caller releases out->story.turns with free(). If memory is short there are
// no turns in it.
void dt_save_make_record(struct dt_worker *w, struct dt_save_record *out);

// Asks the library writer to save turn n, and does not wait. Returns its ticket; 0: nothing is to
// be saved, or memory is short.
uint64_t dt_save_turn(struct dt_worker *w, size_t n);

// Saves the title and the finished turn n, and waits for the receipt.
void dt_save_finished_turn(struct dt_worker *w, size_t n);

#endif
