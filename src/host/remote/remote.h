// SPDX-License-Identifier: MIT
// An engine on another machine, or in another program: a model whose name is an address, such as
// http://HOST:8080. A module of plugins/ talks to it (abi/engine.h), and is loaded when the first
// such model is opened.
//
// Threads: one at a time may use an object. A stop comes through options.stop.
#ifndef DT_HOST_REMOTE_H
#define DT_HOST_REMOTE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "abi/engine.h"
#include "base/status.h"

struct dt_remote;

// Whether the name of a model is an address: SCHEME://...
bool dt_remote_is_address(const char *name);

struct dt_remote_options {
    const char *address;
    uint32_t silence_seconds; // how long the other side may be silent; 0: for ever
    const atomic_int *stop;   // not 0: the running call returns DT_CANCELLED
    void (*notice)(void *arg, const char *line); // one line for the user, clean
    void *arg;
};

// Finds the module, the key (key.h), and connects. DT_UNSUPPORTED: no module for this scheme;
// DT_FAILED: what the module says; DT_CANCELLED; DT_NO_MEMORY. Copies the address, not *stop.
// Release *out with dt_remote_close.
dt_status dt_remote_open(struct dt_remote **out, const struct dt_remote_options *options,
                         struct dt_error *err);
// NULL is harmless. The module stays loaded, because its libraries may have threads.
void dt_remote_close(struct dt_remote *remote);

// Valid until dt_remote_close. The texts of the facts are clean.
const char *dt_remote_address(const struct dt_remote *remote);
const struct dt_remote_facts *dt_remote_facts(const struct dt_remote *remote);

// Calls on_name with the clean name of each model there.
void dt_remote_models(const struct dt_remote *remote, void (*on_name)(void *arg, const char *name),
                      void *arg);

// Generates; request.size and figures.size are filled here. DT_CONTEXT_FULL: the prompt is too
// long, figures say by how much where that is known; DT_CANCELLED: by the stop, or on_text returned
// 0; DT_FAILED: after text had arrived too, which stays. The text is not clean.
dt_status dt_remote_generate(struct dt_remote *remote, struct dt_remote_request *request,
                             dt_remote_on_text *on_text, void *arg,
                             struct dt_remote_figures *figures, struct dt_error *err);

// The tokens of a request's prompt, as the other side counts them. DT_UNSUPPORTED: it does not.
dt_status dt_remote_count(struct dt_remote *remote, struct dt_remote_request *request,
                          uint32_t *tokens, struct dt_error *err);

#endif
