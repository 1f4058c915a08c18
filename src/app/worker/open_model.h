// SPDX-License-Identifier: MIT
// Opening a model in a session.
#ifndef DT_APP_OPEN_MODEL_H
#define DT_APP_OPEN_MODEL_H

#include "app/worker/worker.h"

// Closes the open model and opens this one ("": the one of the setting, or the default one), once
// its files, the backends and the memory plan were checked: until then nothing changes. The story
// stays; its tokens are made anew when they are needed. If the new model cannot be opened, a
// notice says why and the former one is opened again; without a former one the program's exit code
// is set.
// The setting tokenizer belongs to the model it was set for: another model is opened without it.
void dt_open_model(struct dt_worker *w, const char *path);

// The same, with this tokenizer file if the path is that of another model ("": the model's own).
void dt_open_model_with(struct dt_worker *w, const char *path, const char *tokenizer);

// Checks the model between two tokens, and then stops what runs and opens it. If it cannot be
// opened, a notice says why and nothing stops.
void dt_open_model_checked(struct dt_worker *w, const char *path);

// Whether a new story is a chat, as the setting `mode` and the open model say.
bool dt_open_model_chat_wanted(struct dt_worker *w);

#endif
