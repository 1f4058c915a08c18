// SPDX-License-Identifier: MIT
// Opening a model in a session.
#ifndef DT_APP_OPEN_MODEL_H
#define DT_APP_OPEN_MODEL_H

#include "app/worker/worker.h"

// All of these close the open model and open another one, once its files, the backends and the
// memory plan were checked: until then nothing changes. The story stays; its tokens are made anew
// when they are needed. If the new model cannot be opened, a notice says why and the former one is
// opened again; without a former one the program's exit code is set. The settings model and
// tokenizer are the caller's to change, with one exception: the tokenizer belongs to the model that
// it was set for, and is taken out of the setting when another model is opened without it.

// Opens the model and the tokenizer of the settings, or the default model.
void dt_open_model(struct dt_worker *w, const char *unused);

// Opens the model at `path` ("": the default one), with this tokenizer file if it is not the open
// model (NULL or "": the model's own).
dt_status dt_open_model_with(struct dt_worker *w, const char *path, const char *tokenizer);

// Opens the open model again, with this tokenizer file (NULL: the model's own).
dt_status dt_open_model_tokenizer(struct dt_worker *w, const char *tokenizer);

// Whether a model can be opened, as far as its files, the backends and the memory plan say. Nothing
// of the open model changes.
dt_status dt_open_model_check(struct dt_worker *w, const char *path, const char *tokenizer,
                              struct dt_error *err);

// Chooses the chat template of the open model: the name of a family, a file, or "auto". After an
// error nothing has changed.
dt_status dt_open_template(struct dt_worker *w, const char *wanted, struct dt_error *err);

// Whether a new story is a chat, as the setting `mode` and the open model say.
bool dt_open_model_chat_wanted(struct dt_worker *w);

#endif
