// SPDX-License-Identifier: MIT
// Changes of the settings model, tokenizer and chat-template. A value is used first and set then:
// if the model cannot be opened with it, a notice says why and nothing has changed.
#ifndef DT_APP_CHANGE_MODEL_H
#define DT_APP_CHANGE_MODEL_H

#include "app/worker/worker.h"

// value: as for /set. Whatever runs was stopped.
void dt_change_model(struct dt_worker *w, const char *value);
void dt_change_tokenizer(struct dt_worker *w, const char *value);

// Between two tokens: checks the value, and only then stops what runs and makes the change.
void dt_change_model_checked(struct dt_worker *w, const char *value);
void dt_change_tokenizer_checked(struct dt_worker *w, const char *value);

// The story stays; its tokens are made anew in a chat.
void dt_change_template(struct dt_worker *w, const char *value);

// A server's model is opened again, with the timeout of the settings.
void dt_change_remote_timeout(struct dt_worker *w, const char *value);

#endif
