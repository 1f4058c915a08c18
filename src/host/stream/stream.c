// SPDX-License-Identifier: MIT
#include "host/stream/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/thread_start.h"

#define STACK_BYTES (64u << 10)
#define POLL_NS     20000000 // the cancel flag is polled as often while waiting

// Addresses like those of a mapped file, of which only the pinned ranges are used.
struct pinned_file {
    unsigned char *at; // NULL: none of the file is pinned
    size_t bytes, used;
    int direct, buffered; // descriptors; -1: none
};

struct dt_stream {
    const struct dt_model *model;
    const struct dt_model_files *files;
    struct dt_account *account;
    struct dt_stream_plan plan;
    struct dt_stream_piece *pieces;
    uint32_t *first; // of each matrix: its first piece; one more at the end
    uint32_t *order; // the pieces that are read
    struct pinned_file *file;
    const struct dt_stream_medium *medium;
    struct dt_supply supply;
    unsigned char *ring;
    bool holds; // the consumer has the oldest buffer

    pthread_t thread;
    bool running;
    pthread_mutex_t lock; // of the rest
    pthread_cond_t free, filled;
    // Read number s is that of order[(start + s) % plan.reads], in buffer s % plan.buffers.
    uint32_t start;
    uint64_t head, tail;  // reads that are complete; of them, those that were computed
    uint64_t restarts;    // a read that began before one is not used
    int error[64];        // of each buffer: an errno, or 0
    int failed;           // of a range that was computed
    uint32_t failed_file; // it was in
    uint64_t failed_at;
    bool quit;
    uint32_t last; // the place of the last range that was computed
    struct dt_stream_facts facts;
};

#define BUFFERS_MOST (sizeof((struct dt_stream *)0)->error / sizeof(int))

// ---- reading ----

// Reads whole pages; returns the number of bytes or -1 with errno.
static int64_t read_system(struct dt_stream *s, uint32_t file, void *out, size_t n, uint64_t at)
{
    struct pinned_file *f = &s->file[file];
    if (f->direct >= 0) {
        int64_t got = pread(f->direct, out, n, (off_t)at);
        if (got >= 0 || errno != EINVAL)
            return got;
        close(f->direct); // the file system takes such reads for other sizes only, or for none
        f->direct = -1;
    }
    int64_t got = pread(f->buffered, out, n, (off_t)at);
#ifdef POSIX_FADV_DONTNEED
    if (got > 0 && !s->plan.cached) // it would evict what is used again
        (void)posix_fadvise(f->buffered, (off_t)at, got, POSIX_FADV_DONTNEED);
#endif
    return got;
}

// Reads the pages of an extent to `out`. Returns 0, or an errno; ENODATA if the file ends before
// it.
static int read_extent(struct dt_stream *s, const struct dt_stream_extent *extent,
                       unsigned char *out, uint64_t *read_bytes)
{
    uint64_t from = dt_stream_page_of(extent);
    size_t span = dt_stream_span(extent), need = (size_t)(extent->at - from) + extent->bytes,
           done = 0;
    int error = 0;
    while (done < need && !error) {
        int64_t got = s->medium
                          ? s->medium->read(s->medium->arg, extent->file, out + done, span - done,
                                            from + done)
                          : read_system(s, extent->file, out + done, span - done, from + done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            error = got < 0 ? errno : ENODATA;
        // the rest of a page that was read in part is read again
        else if (done + (size_t)got >= need)
            done += (size_t)got;
        else if (got < DT_STREAM_PAGE)
            error = ENODATA;
        else
            done += (size_t)got / DT_STREAM_PAGE * DT_STREAM_PAGE;
        if (got > 0)
            *read_bytes += (uint64_t)got;
    }
    return error;
}

static unsigned char *buffer_of(const struct dt_stream *s, uint64_t number)
{
    return s->ring + (size_t)(number % s->plan.buffers) * s->plan.buffer_bytes;
}

static void *read_ahead(void *arg)
{
    struct dt_stream *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->quit && s->head - s->tail == s->plan.buffers)
            pthread_cond_wait(&s->free, &s->lock);
        if (s->quit)
            break;
        uint64_t restarts = s->restarts, number = s->head, bytes = 0;
        const struct dt_stream_piece *piece =
            &s->pieces[s->order[(s->start + number) % s->plan.reads]];
        pthread_mutex_unlock(&s->lock);
        unsigned char *out = buffer_of(s, number);
        int error = read_extent(s, &piece->extent[0], out, &bytes);
        if (!error && piece->extents == 2)
            error =
                read_extent(s, &piece->extent[1], out + dt_stream_span(&piece->extent[0]), &bytes);
        if (error)
            memset(out, 0, s->plan.buffer_bytes);
        pthread_mutex_lock(&s->lock);
        s->facts.read_bytes += bytes;
        if (restarts != s->restarts)
            continue;
        s->error[number % s->plan.buffers] = error;
        s->head++;
        pthread_cond_signal(&s->filled);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

// Makes `place` the next to be computed. The lock is held.
static void restart(struct dt_stream *s, uint32_t place)
{
    s->start = place;
    s->head = s->tail = 0;
    s->restarts++;
    pthread_cond_signal(&s->free);
}

// ---- the supply ----

// Waits for the range at the tail of the ring. False if cancelled. The lock is held.
static bool wait_filled(struct dt_stream *s, const atomic_int *cancel)
{
    uint64_t begun = 0;
    bool cancelled = false;
    while (s->head == s->tail) {
        begun = begun ? begun : dt_clock_ns();
        cancelled = cancel && atomic_load_explicit(cancel, memory_order_relaxed);
        if (cancelled)
            break;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += POLL_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&s->filled, &s->lock, &until);
    }
    if (begun)
        s->facts.waited_ns += dt_clock_ns() - begun;
    return !cancelled;
}

// Drops what was read ahead of `place`, or all of it. The lock is held.
static void go_to(struct dt_stream *s, uint32_t place)
{
    uint32_t reads = s->plan.reads;
    uint32_t ahead = (place + reads - (uint32_t)((s->start + s->tail) % reads)) % reads;
    if (ahead == 0)
        return;
    if (ahead > s->head - s->tail) {
        restart(s, place);
        return;
    }
    s->tail += ahead;
    pthread_cond_signal(&s->free);
}

// A matrix's bytes in the pinned addresses.
static const void *pinned_at(const struct dt_stream *s, const void *at)
{
    size_t offset;
    const struct dt_file *file = at ? dt_model_files_find(s->files, at, &offset) : NULL;
    return file ? s->file[file - s->files->file].at + offset : NULL;
}

static const void *row_at(const void *base, uint32_t row, size_t stride)
{
    return (const void *)((uintptr_t)base + row * stride);
}

static struct dt_matrix in_memory(const struct dt_stream *s, const struct dt_matrix *w,
                                  uint32_t begin, uint32_t end)
{
    const void *scales =
        w->scales ? pinned_at(s, row_at(w->scales, begin, w->scale_row_stride)) : NULL;
    return dt_stream_rows(w, begin, end, pinned_at(s, row_at(w->quants, begin, w->row_stride)),
                          scales);
}

static struct dt_matrix in_buffer(const struct dt_matrix *w, const struct dt_stream_piece *piece,
                                  const unsigned char *buffer)
{
    const struct dt_stream_extent *e = piece->extent;
    const unsigned char *first = buffer + (e->at - dt_stream_page_of(e));
    // the row's first byte is its scale's where that is before the quants
    const unsigned char *quants = w->quants, *scales = w->scales;
    if (piece->extents == 2) {
        scales = buffer + dt_stream_span(e) + (e[1].at - dt_stream_page_of(&e[1]));
        return dt_stream_rows(w, piece->begin, piece->end, first, scales);
    }
    bool scale_first = scales && scales < quants;
    size_t between = scales ? (size_t)(scale_first ? quants - scales : scales - quants) : 0;
    return dt_stream_rows(w, piece->begin, piece->end, first + (scale_first ? between : 0),
                          first + (scale_first ? 0 : between));
}

static bool supply_rows(void *host, uint32_t index, uint32_t row, const atomic_int *cancel,
                        struct dt_supplied *out)
{
    struct dt_stream *s = host;
    const struct dt_matrix *w = dt_weights_matrix(s->model, index);
    uint32_t at = s->first[index];
    while (s->pieces[at].end <= row)
        at++;
    const struct dt_stream_piece *piece = &s->pieces[at];
    out->end = piece->end;
    if (piece->pinned) {
        for (; at + 1 < s->first[index + 1] && s->pieces[at + 1].pinned; at++)
            out->end = s->pieces[at + 1].end;
        out->matrix = in_memory(s, w, row, out->end);
        return true;
    }
    pthread_mutex_lock(&s->lock);
    go_to(s, piece->place);
    bool filled = wait_filled(s, cancel);
    if (filled && s->error[s->tail % s->plan.buffers]) {
        restart(s, piece->place); // it was read ahead, maybe long ago: now it may succeed
        filled = wait_filled(s, cancel);
    }
    uint64_t number = s->tail;
    if (filled) {
        s->holds = true;
        s->facts.passes += piece->place <= s->last;
        s->last = piece->place;
        int error = s->error[number % s->plan.buffers];
        if (error && !s->failed) {
            s->failed = error;
            s->failed_file = piece->extent[0].file;
            s->failed_at = piece->extent[0].at;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (filled)
        out->matrix = in_buffer(w, piece, buffer_of(s, number));
    return filled;
}

static void supply_done(void *host)
{
    struct dt_stream *s = host;
    if (!s->holds)
        return;
    pthread_mutex_lock(&s->lock);
    s->holds = false;
    s->tail++;
    pthread_cond_signal(&s->free);
    pthread_mutex_unlock(&s->lock);
}

// ---- making ----

static dt_status cannot_read(const struct dt_stream *s, uint32_t file, uint64_t at, int error,
                             struct dt_error *err)
{
    const char *path = s->files->file[file].path;
    if (error == ENODATA)
        return dt_error_set(err, DT_BAD_INPUT, path,
                            "can no longer be read completely: it was truncated while in use; open "
                            "it again");
    return dt_error_set(err, DT_BAD_INPUT, path,
                        "cannot be read at byte %llu: %s; check the disk or card, then try again",
                        (unsigned long long)at, strerror(error));
}

static dt_status make_tables(struct dt_stream *s, struct dt_error *err)
{
    uint32_t count = dt_weights_count(s->model);
    s->first = calloc(count + 1, sizeof *s->first);
    s->order = calloc(s->plan.reads + 1, sizeof *s->order);
    s->file = calloc(s->files->count, sizeof *s->file);
    if (!s->first || !s->order || !s->file)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the table of weights");
    for (uint32_t i = 0; i < s->files->count; i++)
        s->file[i].direct = s->file[i].buffered = -1;
    for (uint32_t i = 0, index = 0; i <= s->plan.pieces; i++) {
        for (; index <= (i < s->plan.pieces ? s->pieces[i].index : count); index++)
            s->first[index] = i;
        if (i < s->plan.pieces && !s->pieces[i].pinned)
            s->order[s->pieces[i].place] = i;
    }
    return DT_OK;
}

static dt_status open_files(struct dt_stream *s, struct dt_error *err)
{
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < s->plan.pieces; i++) {
        const struct dt_stream_piece *piece = &s->pieces[i];
        for (uint32_t k = 0; k < piece->extents; k++) {
            struct pinned_file *f = &s->file[piece->extent[k].file];
            f->used += piece->pinned ? dt_stream_span(&piece->extent[k]) : 0;
        }
    }
    for (uint32_t i = 0; i < s->files->count && status == DT_OK; i++) {
        const struct dt_file *file = &s->files->file[i];
        struct pinned_file *f = &s->file[i];
        f->bytes = (file->size + DT_STREAM_PAGE - 1) / DT_STREAM_PAGE * DT_STREAM_PAGE;
        f->direct = s->plan.cached ? -1 : dt_file_open_again(file, true);
        f->buffered = dt_file_open_again(file, false);
        if (f->buffered < 0)
            status = dt_error_set(err, DT_BAD_INPUT, file->path, "cannot be opened again: %s",
                                  strerror(errno));
        void *at;
        if (status == DT_OK && f->used) {
            status = dt_memory_alloc_sparse(s->account, f->bytes, f->used,
                                            "the part of the weights "
                                            "that stays in memory",
                                            &at, err);
            f->at = status == DT_OK ? at : NULL;
        }
    }
    return status;
}

// Reads what stays in memory.
static dt_status read_pinned(struct dt_stream *s, const struct dt_stream_options *o,
                             struct dt_error *err)
{
    uint64_t unused = 0;
    size_t done = 0;
    for (uint32_t i = 0; i < s->plan.pieces; i++) {
        const struct dt_stream_piece *piece = &s->pieces[i];
        if ((o->cancel && atomic_load(o->cancel)) ||
            (o->progress && o->progress(o->progress_arg, done, s->plan.pinned_weights + 1)))
            return dt_error_set(err, DT_CANCELLED, NULL, "stopped while the weights were read");
        for (uint32_t k = 0; piece->pinned && k < piece->extents; k++) {
            const struct dt_stream_extent *e = &piece->extent[k];
            int error = read_extent(s, e, s->file[e->file].at + dt_stream_page_of(e), &unused);
            if (error)
                return cannot_read(s, e->file, e->at, error, err);
            done += e->bytes;
        }
    }
    return DT_OK;
}

static dt_status start_reading(struct dt_stream *s, struct dt_error *err)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->free, NULL);
    pthread_cond_init(&s->filled, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->last = UINT32_MAX;
    if (s->plan.reads == 0)
        return DT_OK;
    void *ring;
    dt_status status = dt_memory_alloc(s->account, s->plan.buffers * s->plan.buffer_bytes,
                                       "the buffers for streaming the weights", &ring, err);
    if (status != DT_OK)
        return status;
    s->ring = ring;
    int error = dt_thread_start(&s->thread, STACK_BYTES, read_ahead, s);
    if (error)
        return dt_error_set(err, DT_FAILED, NULL, "cannot start a thread: %s", strerror(error));
    s->running = true;
    return DT_OK;
}

dt_status dt_stream_new(struct dt_stream **out, const struct dt_model *model,
                        const struct dt_model_files *files, struct dt_account *account,
                        const struct dt_stream_options *options, struct dt_error *err)
{
    struct dt_stream *s = calloc(1, sizeof *s);
    if (!s)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for streaming the weights");
    s->model = model;
    s->files = files;
    s->account = account;
    s->medium = options->medium;
    s->supply = (struct dt_supply){.host = s, .rows = supply_rows, .done = supply_done};
    struct dt_stream_limits limits = options->limits;
    if (limits.buffers > BUFFERS_MOST)
        limits.buffers = BUFFERS_MOST;
    dt_status status = dt_stream_make_plan(model, files, &limits, &s->plan, &s->pieces, err);
    s->plan.cached = options->cached;
    if (status == DT_OK)
        status = make_tables(s, err);
    if (status == DT_OK)
        status = open_files(s, err);
    if (status == DT_OK)
        status = read_pinned(s, options, err);
    if (status == DT_OK)
        status = start_reading(s, err);
    if (status == DT_OK)
        *out = s;
    else
        dt_stream_free(s);
    return status;
}

void dt_stream_free(struct dt_stream *s)
{
    if (!s)
        return;
    if (s->running) {
        pthread_mutex_lock(&s->lock);
        s->quit = true;
        pthread_cond_signal(&s->free);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    if (s->ring)
        dt_memory_free(s->account, s->ring, s->plan.buffers * s->plan.buffer_bytes);
    for (uint32_t i = 0; s->file && i < s->files->count; i++) {
        struct pinned_file *f = &s->file[i];
        dt_memory_free_sparse(s->account, f->at, f->bytes, f->used);
        if (f->direct >= 0)
            close(f->direct);
        if (f->buffered >= 0)
            close(f->buffered);
    }
    free(s->file);
    free(s->order);
    free(s->first);
    free(s->pieces);
    free(s);
}

// ---- using ----

// Whether all pieces of a matrix stay in memory.
static bool all_pinned(const struct dt_stream *s, uint32_t index)
{
    for (uint32_t i = s->first[index]; i < s->first[index + 1]; i++) {
        if (!s->pieces[i].pinned)
            return false;
    }
    return true;
}

dt_status dt_stream_attach(struct dt_stream *s, struct dt_weights *weights, struct dt_error *err)
{
    uint32_t count = dt_weights_count(s->model);
    for (uint32_t i = 0; i < count; i++) {
        const struct dt_matrix *w = dt_weights_matrix(s->model, i);
        struct dt_linear *l = dt_weights_linear(weights, i);
        if (!w->rows)
            continue;
        uint32_t tile = l->by->table.row_tile;
        if (l->matrix.quants != w->quants || (tile > 1 && DT_STREAM_ROWS % tile != 0))
            return dt_error_set(err, DT_UNSUPPORTED, NULL,
                                "%s computes only from weights that are wholly in memory, and "
                                "these do not fit",
                                l->by->table.name);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct dt_matrix *w = dt_weights_matrix(s->model, i);
        struct dt_linear *l = dt_weights_linear(weights, i);
        if (!w->rows)
            continue;
        l->index = i;
        if (!all_pinned(s, i)) {
            l->supply = &s->supply;
            continue;
        }
        l->matrix = in_memory(s, w, 0, w->rows);
        if (i + 1 < count)
            continue;
        if (weights->classifier_rows.matrix.quants == w->quants)
            weights->classifier_rows.matrix = l->matrix;
        if (weights->embedding.matrix.quants == w->quants)
            weights->embedding.matrix = l->matrix;
    }
    return DT_OK;
}

dt_status dt_stream_check(struct dt_stream *s, struct dt_error *err)
{
    pthread_mutex_lock(&s->lock);
    int failed = s->failed;
    s->failed = 0;
    if (failed)
        restart(s, 0); // what was read ahead may be damaged too
    pthread_mutex_unlock(&s->lock);
    return failed ? cannot_read(s, s->failed_file, s->failed_at, failed, err) : DT_OK;
}

const struct dt_stream_plan *dt_stream_plan_of(const struct dt_stream *s)
{
    return &s->plan;
}

void dt_stream_facts(struct dt_stream *s, struct dt_stream_facts *facts)
{
    pthread_mutex_lock(&s->lock);
    *facts = s->facts;
    pthread_mutex_unlock(&s->lock);
}
