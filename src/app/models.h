// SPDX-License-Identifier: MIT
// The models that are there: how large each is, and whether it fits into memory.
#ifndef DT_APP_MODELS_H
#define DT_APP_MODELS_H

#include "app/session.h"

// Starts to look through the folders of the default model, of the open one and of the setting, and
// through XDG_DATA_HOME/duotale/models. Files are examined one by one on the library writer's
// thread; DT_EVENT_MODELS follows after each. print: the whole list as output at the end. The ui
// thread.
void dt_models_find(struct dt_app *app, bool print);

#endif
