// SPDX-License-Identifier: MIT
// Opening a model on a server in a session.
#ifndef DT_APP_OPEN_REMOTE_H
#define DT_APP_OPEN_REMOTE_H

#include "app/worker/worker.h"

// Connects to a server, and closes the open model once that has succeeded. After an error nothing
// has changed. The story stays.
dt_status dt_open_remote(struct dt_worker *w, const char *address, struct dt_error *err);

// A local model is open: closes the connection.
void dt_open_remote_leave(struct dt_worker *w);

// Whether the setting `mode` and the server's model mean a chat.
bool dt_open_remote_chat_wanted(struct dt_worker *w);

// The options of a connection for this session.
struct dt_remote_options dt_open_remote_options(struct dt_worker *w, const char *address);

#endif
