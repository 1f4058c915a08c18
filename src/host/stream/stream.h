// SPDX-License-Identifier: MIT
// Weights that are read while they are computed: a thread reads ahead the ranges that a pass will
// use next, into a ring of buffers; the pinned ranges of the plan (plan.h) are read once.
//
// Threads: the functions below, and those of the supply, are for the thread that computes.
#ifndef DT_HOST_STREAM_H
#define DT_HOST_STREAM_H

#include "core/weights.h"
#include "host/memory.h"
#include "host/stream/plan.h"

struct dt_stream;

// How the files are read. NULL in dt_stream_options: by the system; tests have media that are slow
// or fail.
struct dt_stream_medium {
    // Reads up to n bytes of a file of the model from offset `at` on, as pread does: the number of
    // bytes, 0 at the end, or -1 with errno. out, n and at are multiples of DT_STREAM_PAGE.
    int64_t (*read)(void *arg, uint32_t file, void *out, size_t n, uint64_t at);
    void *arg;
};

struct dt_stream_options {
    struct dt_stream_limits limits;
    const struct dt_stream_medium *medium;
    bool cached;              // as in the plan: only allocated memory is short
    const atomic_int *cancel; // ends dt_stream_new; may be NULL
    dt_progress *progress;    // of reading what stays; may be NULL
    void *progress_arg;
};

// Since the stream was made.
struct dt_stream_facts {
    uint64_t read_bytes; // by the thread
    uint64_t waited_ns;  // by the one that computes
    uint64_t passes;     // over what is read
    uint64_t eval_ns;    // of all evaluations, counted by the engine
};

// Plans, allocates from the account, reads what stays in memory and starts the thread. model and
// files outlive it. DT_NO_MEMORY, DT_UNSUPPORTED: as dt_stream_make_plan. DT_BAD_INPUT: a file
// cannot be read. DT_CANCELLED.
dt_status dt_stream_new(struct dt_stream **out, const struct dt_model *model,
                        const struct dt_model_files *files, struct dt_account *account,
                        const struct dt_stream_options *options, struct dt_error *err);

// Ends the thread, after the read in progress. Weights that were attached must not be used any
// more. NULL is harmless.
void dt_stream_free(struct dt_stream *stream);

// Lets weights that are used in place be computed from the stream: those that are wholly in memory
// from there, the others by ranges. DT_UNSUPPORTED: a backend cannot compute these ranges.
dt_status dt_stream_attach(struct dt_stream *stream, struct dt_weights *weights,
                           struct dt_error *err);

// DT_BAD_INPUT, once, if ranges were computed that could not be read; what was computed since the
// last call is worthless then. The next pass reads again.
dt_status dt_stream_check(struct dt_stream *stream, struct dt_error *err);

const struct dt_stream_plan *dt_stream_plan_of(const struct dt_stream *stream);
void dt_stream_facts(struct dt_stream *stream, struct dt_stream_facts *facts);

#endif
