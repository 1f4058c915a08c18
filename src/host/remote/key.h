// SPDX-License-Identifier: MIT
// The keys of servers: from the environment or a private file, never from a command line.
#ifndef DT_HOST_REMOTE_KEY_H
#define DT_HOST_REMOTE_KEY_H

#include "base/status.h"

#define DT_REMOTE_KEY_MAX 4096u

// Writes the key for an address to out[DT_REMOTE_KEY_MAX], "" if there is none: DUOTALE_API_KEY,
// else that of the first line "ADDRESS KEY" of api-keys in the settings' folder whose address is
// the beginning of this one. DT_BAD_INPUT: the file can be read by others, or a key has other
// characters than printable ASCII; no message has the key.
dt_status dt_remote_key(const char *address, char *out, struct dt_error *err);

#endif
