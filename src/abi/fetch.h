// SPDX-License-Identifier: MIT
// The interface between duotale (the host) and the plug-in that downloads files. Both are built
// together; it is not installed. The module exports one symbol, `dt_fetch_module`.
#ifndef DT_ABI_FETCH_H
#define DT_ABI_FETCH_H

#include <stddef.h>
#include <stdint.h>

#define DT_FETCH_ABI 1u

// Results.
#define DT_FETCH_DONE      0
#define DT_FETCH_FAILED    (-1) // trying again gives the same
#define DT_FETCH_CANCELLED (-2) // cancelled(), or a function of the request returned 0
#define DT_FETCH_BROKEN    (-3) // the connection broke: the rest can be asked for

struct dt_fetch_request {
    uint32_t size;
    uint32_t silence_seconds;    // how long the server may be silent
    const char *url;             // http or https; what redirects to another scheme is refused
    uint64_t from;               // so many bytes are there: asks for the rest
    void *arg;                   // the first argument of all that follow
    int (*cancelled)(void *arg); // asked at least every 20 ms
    // Before the first byte. from: where the bytes begin, 0 if the server sends the whole file.
    // total: of the whole file, 0: unknown. type: of the content, may be empty. Returns 0 to stop.
    int (*on_begin)(void *arg, uint64_t from, uint64_t total, const char *type);
    int (*on_bytes)(void *arg, const char *bytes, size_t n); // returns 0 to stop
};

struct dt_fetch_module {
    uint32_t abi;  // DT_FETCH_ABI
    uint32_t size; // sizeof(struct dt_fetch_module)
    // Downloads one file. Unless the result is DONE or CANCELLED, reason has one line. One call at
    // a time.
    int (*fetch)(const struct dt_fetch_request *request, char *reason, size_t reason_size);
};

#endif
