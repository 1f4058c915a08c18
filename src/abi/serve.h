// SPDX-License-Identifier: MIT
// The interface between duotale (the host) and its HTTP server, a module that exports one symbol,
// `dt_serve_module`. Plain C; no library to link.
//
// The module does HTTP: connections, limits, the token, the page. What a request means is the
// host's: the module hands it over, and sends the answer that comes back, as it comes.
//
// Threads: open, run and close are called on one thread; run calls the functions of the host on
// that thread only. wake and stop may be called on any thread, stop in signal handlers too.
#ifndef DT_ABI_SERVE_H
#define DT_ABI_SERVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DT_SERVE_ABI 1u

// A request that has arrived completely. Valid during the call.
struct dt_serve_request {
    const char *method; // "GET"; a HEAD is handed over as GET
    const char *path;   // decoded, without the query
    const char *body;   // length bytes and a NUL
    size_t length;
};

// The head of an answer.
struct dt_serve_head {
    uint32_t status;      // of HTTP: 200
    const char *type;     // of the content; static
    int64_t length;       // of the content; -1: it ends when read says so
    uint32_t retry_after; // seconds, for a header of that name; 0: none
    const char *allow;    // methods, for a header of that name; NULL: none
};

#define DT_SERVE_END (-1)

// What the host offers. An exchange is one request with its answer.
struct dt_serve_host {
    uint32_t size; // of this struct
    void *ctx;
    // Begins an exchange; returns NULL if memory is short.
    void *(*begin)(void *ctx, const struct dt_serve_request *request);
    // Whether the next call of head (at first) or read will return something.
    int (*ready)(void *ctx, void *exchange);
    // Fills *out and returns 1; 0: it is not known yet.
    int (*head)(void *ctx, void *exchange, struct dt_serve_head *out);
    // Writes at most `size` bytes of the content to out and returns their number; 0: there are none
    // yet; DT_SERVE_END: there are no more.
    ptrdiff_t (*read)(void *ctx, void *exchange, char *out, size_t size);
    // Ends an exchange: the answer was sent, or the client has left. Called once for each.
    void (*end)(void *ctx, void *exchange);
    // A request that the module answered with this status itself, for the host's figures.
    void (*refused)(void *ctx, uint32_t status);
};

struct dt_serve_options {
    uint32_t size;        // of this struct
    const char *address;  // numeric: "127.0.0.1", "::"
    uint32_t port;        // 0: any that is free
    const char *token;    // that requests have to bring; NULL: none
    uint32_t local;       // only names of this machine are accepted as Host, against web pages that
                          // give it another
    uint32_t connections; // the most at a time
    size_t body_max;      // bytes of a body
    uint32_t seconds;     // in which a request has to arrive
};

struct dt_serve_module {
    uint32_t abi;     // DT_SERVE_ABI
    uint32_t size;    // of this struct
    const char *name; // and version of the library that is used
    // Opens the port. NULL: writes what is wrong to reason. options and host outlive the server.
    void *(*open)(const struct dt_serve_options *options, const struct dt_serve_host *host,
                  char *reason, size_t size);
    uint32_t (*port)(void *server);
    void (*run)(void *server);  // serves until stop
    void (*wake)(void *server); // some exchange has become ready
    void (*stop)(void *server);
    void (*close)(void *server);
};

// Defines the module's table:
//     DT_SERVE_EXPORT = {.abi = DT_SERVE_ABI, .size = sizeof(struct dt_serve_module), ...};
#define DT_SERVE_EXPORT                                                                            \
    __attribute__((visibility("default"))) extern const struct dt_serve_module dt_serve_module;    \
    const struct dt_serve_module dt_serve_module

#ifdef __cplusplus
}
#endif
#endif
