// SPDX-License-Identifier: MIT
#include "app/library/library_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_MAX     64
#define RECEIPTS      16
#define BACKLOG_MAX   256
#define RETRY_SECONDS 3

enum job_type {
    JOB_TURN,
    JOB_CUT,
    JOB_FIELDS,
    JOB_RENAME,
    JOB_DELETE,
    JOB_LOAD,
    JOB_SEARCH,
    JOB_CALL
};

struct dt_writer_story {
    atomic_int holders;
    _Atomic int64_t number;        // record.id, for others to read
    unsigned era;                  // of the library that gave it its number
    struct dt_story_record record; // fields; only the library writer's thread touches them
};

struct job {
    struct job *next;
    enum job_type type;
    uint64_t ticket;
    struct dt_writer_story *story;
    uint32_t n;
    struct dt_turn_record turn;
    struct dt_story_record fields;
    int64_t id;
    char *text;
    uint32_t offset, limit, number;
    void (*function)(void *arg);
    void *arg;
};

struct receipt {
    uint64_t ticket;
    enum dt_saved kept;
    struct dt_error error;
    struct dt_story_record record; // of a load, until it is fetched
};

struct dt_writer {
    struct dt_writer_options options;
    char path[512];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    // under the lock
    struct job *first, *last;
    unsigned waiting;
    bool stopping;
    uint64_t tickets;
    struct receipt receipts[RECEIPTS];
    // the thread's own
    struct dt_library *library;
    bool read_only; // the library is open, but for reading alone
    unsigned era;
    struct job *backlog, *backlog_last;
    unsigned backlog_count;
    bool output; // the trouble was reported
    bool lost;   // the backlog overflowed
    atomic_bool healthy;
};

// ---- stories and jobs ----

static bool copy_text(char **to, const char *from)
{
    free(*to);
    *to = strdup(from ? from : "");
    return *to != NULL;
}

// The fields of a story without id, dates and turns.
static bool copy_fields(struct dt_story_record *to, const struct dt_story_record *from)
{
    to->seed = from->seed;
    to->chat = from->chat;
    return copy_text(&to->title, from->title) && copy_text(&to->model, from->model) &&
           copy_text(&to->tokenizer, from->tokenizer) && copy_text(&to->stack, from->stack) &&
           copy_text(&to->settings, from->settings) && copy_text(&to->premise, from->premise) &&
           copy_text(&to->system, from->system);
}

struct dt_writer_story *dt_writer_story_new(struct dt_writer *writer,
                                            const struct dt_story_record *record)
{
    struct dt_writer_story *story = calloc(1, sizeof *story);
    if (!story)
        return NULL;
    atomic_init(&story->holders, 1);
    story->record.id = record->id;
    atomic_init(&story->number, record->id);
    story->record.created = record->created;
    pthread_mutex_lock(&writer->lock);
    story->era = writer->era;
    pthread_mutex_unlock(&writer->lock);
    if (!copy_fields(&story->record, record)) {
        dt_writer_story_release(story);
        return NULL;
    }
    return story;
}

void dt_writer_story_release(struct dt_writer_story *story)
{
    if (!story || atomic_fetch_sub(&story->holders, 1) > 1)
        return;
    dt_story_record_free(&story->record);
    free(story);
}

int64_t dt_writer_story_number(const struct dt_writer_story *story)
{
    return atomic_load(&story->number);
}

static struct job *new_job(enum job_type type, struct dt_writer_story *story, const char *text)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->type = type;
    if (text && !(job->text = strdup(text))) {
        free(job);
        return NULL;
    }
    job->story = story;
    if (story)
        atomic_fetch_add(&story->holders, 1);
    return job;
}

static void free_job(struct job *job)
{
    if (!job)
        return;
    dt_writer_story_release(job->story);
    dt_turn_record_free(&job->turn);
    dt_story_record_free(&job->fields);
    free(job->text);
    free(job);
}

static bool is_draft(const struct job *job)
{
    return job->type == JOB_TURN && !job->turn.finished;
}

// Takes the job over: queues it, or lets it replace one that it makes needless.
static uint64_t post(struct dt_writer *writer, struct job *job)
{
    uint64_t ticket;
    if (!job)
        return 0;
    pthread_mutex_lock(&writer->lock);
    ticket = job->ticket = ++writer->tickets;
    struct job *last = writer->last, *out = NULL;
    if (last && job->type == JOB_TURN && is_draft(last) && last->story == job->story &&
        last->n == job->n) {
        struct dt_turn_record turn = last->turn;
        last->turn = job->turn;
        job->turn = turn;
        last->ticket = ticket;
        out = job;
    } else if (job->type == JOB_SEARCH) {
        for (struct job *other = writer->first; other; other = other->next) {
            if (other->type == JOB_SEARCH) {
                char *text = other->text;
                other->text = job->text;
                job->text = text;
                other->offset = job->offset;
                other->limit = job->limit;
                other->number = job->number;
                other->ticket = ticket;
                out = job;
                break;
            }
        }
    }
    if (!out && writer->waiting >= QUEUE_MAX && is_draft(job)) {
        out = job; // the next one, or the finished turn, has all of its text
    }
    if (!out) {
        while (writer->waiting >= QUEUE_MAX &&
               job->type != JOB_CALL) // calls come from this thread too
            pthread_cond_wait(&writer->done, &writer->lock);
        if (writer->last)
            writer->last->next = job;
        else
            writer->first = job;
        writer->last = job;
        writer->waiting++;
        pthread_cond_signal(&writer->work);
    }
    pthread_mutex_unlock(&writer->lock);
    free_job(out);
    return ticket;
}

uint64_t dt_writer_put_turn(struct dt_writer *writer, struct dt_writer_story *story, uint32_t n,
                            const struct dt_turn_record *turn)
{
    struct job *job = new_job(JOB_TURN, story, NULL);
    if (job && dt_turn_record_copy(&job->turn, turn) != DT_OK) {
        free_job(job);
        return 0;
    }
    if (job)
        job->n = n;
    return post(writer, job);
}

uint64_t dt_writer_cut(struct dt_writer *writer, struct dt_writer_story *story, uint32_t n)
{
    struct job *job = new_job(JOB_CUT, story, NULL);
    if (job)
        job->n = n;
    return post(writer, job);
}

uint64_t dt_writer_put_fields(struct dt_writer *writer, struct dt_writer_story *story,
                              const struct dt_story_record *record)
{
    struct job *job = new_job(JOB_FIELDS, story, NULL);
    if (job && !copy_fields(&job->fields, record)) {
        free_job(job);
        return 0;
    }
    return post(writer, job);
}

static uint64_t post_id(struct dt_writer *writer, enum job_type type, int64_t id, const char *text)
{
    struct job *job = new_job(type, NULL, text);
    if (job)
        job->id = id;
    return post(writer, job);
}

uint64_t dt_writer_rename(struct dt_writer *writer, int64_t id, const char *title)
{
    return post_id(writer, JOB_RENAME, id, title);
}

uint64_t dt_writer_delete(struct dt_writer *writer, int64_t id)
{
    return post_id(writer, JOB_DELETE, id, NULL);
}

uint64_t dt_writer_load(struct dt_writer *writer, int64_t id)
{
    return post_id(writer, JOB_LOAD, id, NULL);
}

uint64_t dt_writer_search(struct dt_writer *writer, const char *words, uint32_t offset,
                          uint32_t limit, uint32_t number)
{
    struct job *job = new_job(JOB_SEARCH, NULL, words);
    if (job) {
        job->offset = offset;
        job->limit = limit;
        job->number = number;
    }
    return post(writer, job);
}

uint64_t dt_writer_call(struct dt_writer *writer, void (*function)(void *arg), void *arg)
{
    struct job *job = new_job(JOB_CALL, NULL, NULL);
    if (job) {
        job->function = function;
        job->arg = arg;
    }
    return post(writer, job);
}

enum dt_saved dt_writer_wait(struct dt_writer *writer, uint64_t ticket, const atomic_int *cancel,
                             struct dt_story_record *record, struct dt_error *err)
{
    enum dt_saved kept = DT_SAVED_LATER;
    struct receipt *receipt = &writer->receipts[ticket % RECEIPTS];
    if (record)
        memset(record, 0, sizeof *record);
    if (ticket == 0) {
        dt_error_set(err, DT_NO_MEMORY, NULL, "no memory to write to the library");
        return DT_NOT_SAVED;
    }
    pthread_mutex_lock(&writer->lock);
    while (receipt->ticket < ticket && !(cancel && atomic_load(cancel))) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 50 * 1000000; // how soon a stop is felt while the disk is slow
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (cancel)
            pthread_cond_timedwait(&writer->done, &writer->lock, &until);
        else
            pthread_cond_wait(&writer->done, &writer->lock);
    }
    if (receipt->ticket == ticket) {
        kept = receipt->kept;
        if (err)
            *err = receipt->error;
        if (record) {
            *record = receipt->record;
            memset(&receipt->record, 0, sizeof receipt->record);
        }
    } else if (err) {
        dt_error_set(err, DT_CANCELLED, NULL, "the library has not answered yet");
    }
    pthread_mutex_unlock(&writer->lock);
    return kept;
}

bool dt_writer_healthy(struct dt_writer *writer)
{
    return atomic_load(&writer->healthy);
}

// ---- the thread's side ----

static void report(struct dt_writer *writer, struct dt_writer_report *what)
{
    if (writer->options.listener)
        writer->options.listener(writer->options.listener_arg, what);
}

static void say(struct dt_writer *writer, enum dt_app_level level, const char *text)
{
    struct dt_writer_report notice = {.type = DT_WRITER_NOTICE, .level = level, .text = text};
    report(writer, &notice);
}

static void set_health(struct dt_writer *writer, bool healthy)
{
    if (atomic_exchange(&writer->healthy, healthy) == healthy)
        return;
    struct dt_writer_report health = {.type = DT_WRITER_HEALTH, .healthy = healthy};
    report(writer, &health);
}

// Says once what is wrong, until it is right again.
static void report_trouble(struct dt_writer *writer, const struct dt_error *error)
{
    char line[900], text[1000];
    set_health(writer, false);
    if (writer->output)
        return;
    writer->output = true;
    snprintf(text, sizeof text,
             "Not kept for now: %s. The story goes on; what is told waits in memory.",
             dt_error_line(error, line, sizeof line));
    say(writer, DT_NOTICE_WARNING, text);
}

// Opens the library if it is not; a damaged one is put aside first. False: told why.
static bool open_library(struct dt_writer *writer, bool patient)
{
    struct dt_error err = {0};
    enum dt_library_trouble trouble = DT_LIBRARY_OTHER;
    if (writer->library && !writer->read_only)
        return true;
    if (!writer->path[0]) {
        dt_error_set(&err, DT_FAILED, NULL,
                     "there is no home folder for the library (set XDG_DATA_HOME or --library)");
        report_trouble(writer, &err);
        return false;
    }
    dt_library_close(writer->library);
    writer->library = NULL;
    for (int round = 0; round < 2; round++) {
        dt_status status =
            dt_library_open(&writer->library, writer->path, writer->options.vfs,
                            DT_LIBRARY_WRITE | (patient ? DT_LIBRARY_PATIENT : 0u), &trouble, &err);
        writer->read_only = status == DT_OK && trouble == DT_LIBRARY_READ_ONLY;
        if (status == DT_OK)
            return !writer->read_only;
        if (trouble != DT_LIBRARY_CORRUPT || round > 0)
            break;
        char moved[700], text[1600], line[900];
        struct dt_error again = {0};
        if (dt_library_put_aside(writer->path, moved, sizeof moved, &again) != DT_OK) {
            err = again;
            break;
        }
        snprintf(text, sizeof text, "%s. It was put aside as %s, and a new library begun.",
                 dt_error_line(&err, line, sizeof line), moved);
        say(writer, DT_NOTICE_WARNING, text);
        pthread_mutex_lock(&writer->lock);
        writer->era++;
        pthread_mutex_unlock(&writer->lock);
    }
    report_trouble(writer, &err);
    return false;
}

static void got_number(struct dt_writer *writer, struct dt_writer_story *story)
{
    atomic_store(&story->number, story->record.id);
    struct dt_writer_report number = {
        .type = DT_WRITER_STORY, .id = story->record.id, .story = story};
    report(writer, &number);
}

// Does a writing job once. *anew is set when the story has to be given again.
static dt_status write_once(struct dt_writer *writer, struct job *job, bool *anew,
                            struct dt_error *err)
{
    struct dt_writer_story *story = job->story;
    if (story->era != writer->era) {
        *anew = story->record.id != 0;
        story->record.id = 0;
        story->era = writer->era;
    }
    int64_t before = story->record.id;
    dt_status status = DT_OK;
    switch (job->type) {
    case JOB_TURN:
        status = dt_library_put_turn(writer->library, &story->record, job->n, &job->turn, err);
        break;
    case JOB_CUT:
        if (story->record.id)
            status = dt_library_cut(writer->library, story->record.id, job->n, err);
        break;
    case JOB_FIELDS:
        if (!copy_fields(&story->record, &job->fields))
            return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the story's title");
        if (story->record.id)
            status = dt_library_put_story(writer->library, &story->record, err);
        break;
    default:
        break;
    }
    if (status == DT_OK && story->record.id != before)
        got_number(writer, story);
    return status;
}

// Tries to write; DT_OK, or the trouble (told).
static dt_status try_write(struct dt_writer *writer, struct job *job, bool *anew)
{
    struct dt_error err = {0};
    if (!open_library(writer, !writer->output))
        return DT_FAILED;
    dt_status status = write_once(writer, job, anew, &err);
    if (status == DT_OK)
        return DT_OK;
    if (dt_library_last_trouble(writer->library) == DT_LIBRARY_CORRUPT) {
        // closed and opened again, the damage shows in full, and the file is put aside
        char moved[700], text[1600], line[900];
        dt_library_close(writer->library);
        writer->library = NULL;
        struct dt_error again = {0};
        if (dt_library_put_aside(writer->path, moved, sizeof moved, &again) == DT_OK) {
            snprintf(text, sizeof text, "%s. It was put aside as %s, and a new library begun.",
                     dt_error_line(&err, line, sizeof line), moved);
            say(writer, DT_NOTICE_WARNING, text);
            pthread_mutex_lock(&writer->lock);
            writer->era++;
            pthread_mutex_unlock(&writer->lock);
            if (open_library(writer, true) && write_once(writer, job, anew, &err) == DT_OK)
                return DT_OK;
        }
    }
    if (writer->library && !writer->output)
        dt_library_patience(writer->library, 200); // the user has waited once
    report_trouble(writer, &err);
    return DT_FAILED;
}

// Writes what waits, oldest first; false while something still has to wait.
static bool drain(struct dt_writer *writer)
{
    unsigned count = 0;
    while (writer->backlog) {
        struct job *job = writer->backlog;
        bool anew = false;
        if (try_write(writer, job, &anew) != DT_OK)
            return false;
        writer->backlog = job->next;
        writer->backlog_count--;
        count += job->type == JOB_TURN;
        free_job(job);
    }
    writer->backlog_last = NULL;
    if (writer->output) {
        char text[120];
        writer->output = false;
        snprintf(text, sizeof text,
                 "The library can be written again: %u turn%s that waited %s kept now.", count,
                 count == 1 ? "" : "s", count == 1 ? "is" : "are");
        say(writer, DT_NOTICE_INFO, text);
        if (writer->library)
            dt_library_patience(writer->library, 2500);
    }
    return true;
}

static void put_off(struct dt_writer *writer, struct job *job)
{
    job->next = NULL;
    if (writer->backlog_last)
        writer->backlog_last->next = job;
    else
        writer->backlog = job;
    writer->backlog_last = job;
    if (++writer->backlog_count > BACKLOG_MAX) {
        struct job *oldest = writer->backlog;
        writer->backlog = oldest->next;
        writer->backlog_count--;
        free_job(oldest);
        if (!writer->lost)
            say(writer, DT_NOTICE_ERROR,
                "Too much waits for the library: the oldest turns are given up. /export keeps a "
                "story in a file.");
        writer->lost = true;
    }
}

// A write in its order: after all that waits. Takes the job over.
static enum dt_saved do_write(struct dt_writer *writer, struct job *job)
{
    bool anew = false;
    if ((writer->backlog && !drain(writer)) || try_write(writer, job, &anew) != DT_OK) {
        if (is_draft(job))
            free_job(job);
        else
            put_off(writer, job);
        return DT_SAVED_LATER;
    }
    if (writer->output)
        drain(writer); // nothing waits: only the good news
    set_health(writer, true);
    free_job(job);
    return anew ? DT_SAVED_ANEW : DT_SAVED;
}

// The rest: wants a library that can at least be read.
static enum dt_saved do_other(struct dt_writer *writer, struct job *job,
                              struct dt_story_record *record, struct dt_error *err)
{
    dt_status status = DT_OK;
    if (job->type == JOB_CALL) {
        job->function(job->arg);
        return DT_SAVED;
    }
    open_library(writer, false);
    if (!writer->library) {
        status = dt_error_set(err, DT_FAILED, writer->path, "the library cannot be opened");
        struct dt_writer_report nothing = {
            .type = DT_WRITER_LIST, .number = job->number, .text = err->message};
        if (job->type == JOB_SEARCH) // who asked is answered
            report(writer, &nothing);
    } else if (job->type == JOB_LOAD) {
        status = dt_library_load(writer->library, job->id, record, err);
    } else if (job->type == JOB_RENAME) {
        status = dt_library_rename(writer->library, job->id, job->text, err);
    } else if (job->type == JOB_DELETE) {
        status = dt_library_delete(writer->library, job->id, err);
    } else if (job->type == JOB_SEARCH) {
        struct dt_writer_report list = {.type = DT_WRITER_LIST, .number = job->number};
        status = dt_library_search(writer->library, job->text, job->offset, job->limit,
                                   &list.entries, &list.count, err);
        report(writer, &list);
    }
    return status == DT_OK ? DT_SAVED : DT_NOT_SAVED;
}

static void offer_last(struct dt_writer *writer)
{
    struct dt_library_entry *entries = NULL;
    size_t count = 0;
    if (dt_library_search(writer->library, "", 0, 1, &entries, &count, NULL) == DT_OK &&
        count == 1) {
        struct dt_writer_report last = {.type = DT_WRITER_LAST,
                                        .id = entries[0].id,
                                        .text = entries[0].title,
                                        .count = entries[0].turns};
        report(writer, &last);
    }
    dt_library_entries_free(entries, count);
}

// Waits for a job, or for the time to try the backlog again. With the lock; NULL: stop, or try.
static struct job *next_job(struct dt_writer *writer)
{
    while (!writer->first && !writer->stopping) {
        if (writer->backlog) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += RETRY_SECONDS;
            if (pthread_cond_timedwait(&writer->work, &writer->lock, &until) == ETIMEDOUT)
                return NULL;
        } else {
            pthread_cond_wait(&writer->work, &writer->lock);
        }
    }
    struct job *job = writer->first;
    if (job) {
        writer->first = job->next;
        if (!writer->first)
            writer->last = NULL;
        job->next = NULL;
        writer->waiting--;
    }
    return job;
}

static void *keep(void *arg)
{
    struct dt_writer *writer = arg;
    if (!writer->options.idle && open_library(writer, true) && writer->options.offer_last)
        offer_last(writer);
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        struct job *job = next_job(writer);
        if (!job && writer->stopping)
            break;
        pthread_mutex_unlock(&writer->lock);
        struct dt_story_record record = {0};
        struct dt_error err = {0};
        enum dt_saved kept = DT_SAVED;
        uint64_t ticket = job ? job->ticket : 0;
        if (!job) {
            drain(writer);
            set_health(writer, !writer->backlog);
        } else if (job->type <= JOB_FIELDS) {
            kept = do_write(writer, job);
        } else {
            kept = do_other(writer, job, &record, &err);
            free_job(job);
        }
        pthread_mutex_lock(&writer->lock);
        if (ticket) {
            struct receipt *receipt = &writer->receipts[ticket % RECEIPTS];
            dt_story_record_free(&receipt->record); // one that nobody fetched
            *receipt = (struct receipt){ticket, kept, err, record};
            pthread_cond_broadcast(&writer->done);
        }
    }
    pthread_mutex_unlock(&writer->lock);
    if (writer->backlog && !drain(writer)) {
        char text[160];
        unsigned count = 0;
        for (struct job *job = writer->backlog; job; job = job->next)
            count += job->type == JOB_TURN;
        snprintf(text, sizeof text, "%u turn%s could not be kept in the library.", count,
                 count == 1 ? "" : "s");
        if (count)
            say(writer, DT_NOTICE_ERROR, text);
    }
    while (writer->backlog) {
        struct job *job = writer->backlog;
        writer->backlog = job->next;
        free_job(job);
    }
    dt_library_close(writer->library);
    return NULL;
}

dt_status dt_writer_new(struct dt_writer **out, const struct dt_writer_options *options,
                        struct dt_error *err)
{
    struct dt_writer *writer = calloc(1, sizeof *writer);
    pthread_condattr_t monotonic;
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigset_t all, before;
    pthread_attr_t attributes;
    *out = NULL;
    if (!writer)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the library's keeper");
    writer->options = *options;
    atomic_init(&writer->healthy, true);
    if (options->path)
        snprintf(writer->path, sizeof writer->path, "%s", options->path);
    else
        dt_library_default_path(writer->path, sizeof writer->path);
    writer->options.path = writer->path;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->work, &monotonic);
    pthread_cond_init(&writer->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    // signals are the ui thread's, but for one's own faults
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = pthread_create(&writer->thread, &attributes, keep, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) {
        free(writer);
        return dt_error_set(err, DT_FAILED, NULL, "the library's thread cannot be started: %s",
                            strerror(failed));
    }
    *out = writer;
    return DT_OK;
}

void dt_writer_free(struct dt_writer *writer)
{
    if (!writer)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->stopping = true;
    pthread_cond_signal(&writer->work);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    for (size_t i = 0; i < RECEIPTS; i++)
        dt_story_record_free(&writer->receipts[i].record);
    pthread_cond_destroy(&writer->work);
    pthread_cond_destroy(&writer->done);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
