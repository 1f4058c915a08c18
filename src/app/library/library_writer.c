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

struct dt_keeper_story {
    atomic_int holders;
    _Atomic int64_t number;        // record.id, for others to read
    unsigned era;                  // of the library that gave it its number
    struct dt_story_record record; // fields; only the keeper's thread touches them
};

struct job {
    struct job *next;
    enum job_type type;
    uint64_t ticket;
    struct dt_keeper_story *story;
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
    enum dt_kept kept;
    struct dt_error error;
    struct dt_story_record record; // of a load, until it is fetched
};

struct dt_keeper {
    struct dt_keeper_options options;
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
    bool told; // the trouble was reported
    bool lost; // the backlog overflowed
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

struct dt_keeper_story *dt_keeper_story_new(struct dt_keeper *keeper,
                                            const struct dt_story_record *record)
{
    struct dt_keeper_story *story = calloc(1, sizeof *story);
    if (!story)
        return NULL;
    atomic_init(&story->holders, 1);
    story->record.id = record->id;
    atomic_init(&story->number, record->id);
    story->record.created = record->created;
    pthread_mutex_lock(&keeper->lock);
    story->era = keeper->era;
    pthread_mutex_unlock(&keeper->lock);
    if (!copy_fields(&story->record, record)) {
        dt_keeper_story_release(story);
        return NULL;
    }
    return story;
}

void dt_keeper_story_release(struct dt_keeper_story *story)
{
    if (!story || atomic_fetch_sub(&story->holders, 1) > 1)
        return;
    dt_story_record_free(&story->record);
    free(story);
}

int64_t dt_keeper_story_number(const struct dt_keeper_story *story)
{
    return atomic_load(&story->number);
}

static struct job *new_job(enum job_type type, struct dt_keeper_story *story, const char *text)
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
    dt_keeper_story_release(job->story);
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
static uint64_t post(struct dt_keeper *keeper, struct job *job)
{
    uint64_t ticket;
    if (!job)
        return 0;
    pthread_mutex_lock(&keeper->lock);
    ticket = job->ticket = ++keeper->tickets;
    struct job *last = keeper->last, *out = NULL;
    if (last && job->type == JOB_TURN && is_draft(last) && last->story == job->story &&
        last->n == job->n) {
        struct dt_turn_record turn = last->turn;
        last->turn = job->turn;
        job->turn = turn;
        last->ticket = ticket;
        out = job;
    } else if (job->type == JOB_SEARCH) {
        for (struct job *other = keeper->first; other; other = other->next) {
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
    if (!out && keeper->waiting >= QUEUE_MAX && is_draft(job)) {
        out = job; // the next one, or the finished turn, has all of its text
    }
    if (!out) {
        while (keeper->waiting >= QUEUE_MAX &&
               job->type != JOB_CALL) // calls come from this thread too
            pthread_cond_wait(&keeper->done, &keeper->lock);
        if (keeper->last)
            keeper->last->next = job;
        else
            keeper->first = job;
        keeper->last = job;
        keeper->waiting++;
        pthread_cond_signal(&keeper->work);
    }
    pthread_mutex_unlock(&keeper->lock);
    free_job(out);
    return ticket;
}

uint64_t dt_keeper_put_turn(struct dt_keeper *keeper, struct dt_keeper_story *story, uint32_t n,
                            const struct dt_turn_record *turn)
{
    struct job *job = new_job(JOB_TURN, story, NULL);
    if (job && dt_turn_record_copy(&job->turn, turn) != DT_OK) {
        free_job(job);
        return 0;
    }
    if (job)
        job->n = n;
    return post(keeper, job);
}

uint64_t dt_keeper_cut(struct dt_keeper *keeper, struct dt_keeper_story *story, uint32_t n)
{
    struct job *job = new_job(JOB_CUT, story, NULL);
    if (job)
        job->n = n;
    return post(keeper, job);
}

uint64_t dt_keeper_put_fields(struct dt_keeper *keeper, struct dt_keeper_story *story,
                              const struct dt_story_record *record)
{
    struct job *job = new_job(JOB_FIELDS, story, NULL);
    if (job && !copy_fields(&job->fields, record)) {
        free_job(job);
        return 0;
    }
    return post(keeper, job);
}

static uint64_t post_id(struct dt_keeper *keeper, enum job_type type, int64_t id, const char *text)
{
    struct job *job = new_job(type, NULL, text);
    if (job)
        job->id = id;
    return post(keeper, job);
}

uint64_t dt_keeper_rename(struct dt_keeper *keeper, int64_t id, const char *title)
{
    return post_id(keeper, JOB_RENAME, id, title);
}

uint64_t dt_keeper_delete(struct dt_keeper *keeper, int64_t id)
{
    return post_id(keeper, JOB_DELETE, id, NULL);
}

uint64_t dt_keeper_load(struct dt_keeper *keeper, int64_t id)
{
    return post_id(keeper, JOB_LOAD, id, NULL);
}

uint64_t dt_keeper_search(struct dt_keeper *keeper, const char *words, uint32_t offset,
                          uint32_t limit, uint32_t number)
{
    struct job *job = new_job(JOB_SEARCH, NULL, words);
    if (job) {
        job->offset = offset;
        job->limit = limit;
        job->number = number;
    }
    return post(keeper, job);
}

uint64_t dt_keeper_call(struct dt_keeper *keeper, void (*function)(void *arg), void *arg)
{
    struct job *job = new_job(JOB_CALL, NULL, NULL);
    if (job) {
        job->function = function;
        job->arg = arg;
    }
    return post(keeper, job);
}

enum dt_kept dt_keeper_wait(struct dt_keeper *keeper, uint64_t ticket, const atomic_int *cancel,
                            struct dt_story_record *record, struct dt_error *err)
{
    enum dt_kept kept = DT_KEPT_LATER;
    struct receipt *receipt = &keeper->receipts[ticket % RECEIPTS];
    if (record)
        memset(record, 0, sizeof *record);
    if (ticket == 0) {
        dt_error_set(err, DT_NO_MEMORY, NULL, "no memory to write to the library");
        return DT_KEPT_NOT;
    }
    pthread_mutex_lock(&keeper->lock);
    while (receipt->ticket < ticket && !(cancel && atomic_load(cancel))) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 50 * 1000000; // how soon a stop is felt while the disk is slow
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (cancel)
            pthread_cond_timedwait(&keeper->done, &keeper->lock, &until);
        else
            pthread_cond_wait(&keeper->done, &keeper->lock);
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
    pthread_mutex_unlock(&keeper->lock);
    return kept;
}

bool dt_keeper_healthy(struct dt_keeper *keeper)
{
    return atomic_load(&keeper->healthy);
}

// ---- the thread's side ----

static void report(struct dt_keeper *keeper, struct dt_keeper_report *what)
{
    if (keeper->options.listener)
        keeper->options.listener(keeper->options.listener_arg, what);
}

static void say(struct dt_keeper *keeper, enum dt_app_level level, const char *text)
{
    struct dt_keeper_report notice = {.type = DT_KEEPER_NOTICE, .level = level, .text = text};
    report(keeper, &notice);
}

static void set_health(struct dt_keeper *keeper, bool healthy)
{
    if (atomic_exchange(&keeper->healthy, healthy) == healthy)
        return;
    struct dt_keeper_report health = {.type = DT_KEEPER_HEALTH, .healthy = healthy};
    report(keeper, &health);
}

// Says once what is wrong, until it is right again.
static void tell_trouble(struct dt_keeper *keeper, const struct dt_error *error)
{
    char line[900], text[1000];
    set_health(keeper, false);
    if (keeper->told)
        return;
    keeper->told = true;
    snprintf(text, sizeof text,
             "Not kept for now: %s. The story goes on; what is told waits in memory.",
             dt_error_line(error, line, sizeof line));
    say(keeper, DT_NOTICE_WARNING, text);
}

// Opens the library if it is not; a damaged one is put aside first. False: told why.
static bool open_library(struct dt_keeper *keeper, bool patient)
{
    struct dt_error err = {0};
    enum dt_library_trouble trouble = DT_LIBRARY_OTHER;
    if (keeper->library && !keeper->read_only)
        return true;
    if (!keeper->path[0]) {
        dt_error_set(&err, DT_FAILED, NULL,
                     "there is no home folder for the library (set XDG_DATA_HOME or --library)");
        tell_trouble(keeper, &err);
        return false;
    }
    dt_library_close(keeper->library);
    keeper->library = NULL;
    for (int round = 0; round < 2; round++) {
        dt_status status =
            dt_library_open(&keeper->library, keeper->path, keeper->options.vfs,
                            DT_LIBRARY_WRITE | (patient ? DT_LIBRARY_PATIENT : 0u), &trouble, &err);
        keeper->read_only = status == DT_OK && trouble == DT_LIBRARY_READ_ONLY;
        if (status == DT_OK)
            return !keeper->read_only;
        if (trouble != DT_LIBRARY_CORRUPT || round > 0)
            break;
        char moved[700], text[1600], line[900];
        struct dt_error again = {0};
        if (dt_library_put_aside(keeper->path, moved, sizeof moved, &again) != DT_OK) {
            err = again;
            break;
        }
        snprintf(text, sizeof text, "%s. It was put aside as %s, and a new library begun.",
                 dt_error_line(&err, line, sizeof line), moved);
        say(keeper, DT_NOTICE_WARNING, text);
        pthread_mutex_lock(&keeper->lock);
        keeper->era++;
        pthread_mutex_unlock(&keeper->lock);
    }
    tell_trouble(keeper, &err);
    return false;
}

static void got_number(struct dt_keeper *keeper, struct dt_keeper_story *story)
{
    atomic_store(&story->number, story->record.id);
    struct dt_keeper_report number = {
        .type = DT_KEEPER_STORY, .id = story->record.id, .story = story};
    report(keeper, &number);
}

// Does a writing job once. *anew is set when the story has to be given again.
static dt_status write_once(struct dt_keeper *keeper, struct job *job, bool *anew,
                            struct dt_error *err)
{
    struct dt_keeper_story *story = job->story;
    if (story->era != keeper->era) {
        *anew = story->record.id != 0;
        story->record.id = 0;
        story->era = keeper->era;
    }
    int64_t before = story->record.id;
    dt_status status = DT_OK;
    switch (job->type) {
    case JOB_TURN:
        status = dt_library_put_turn(keeper->library, &story->record, job->n, &job->turn, err);
        break;
    case JOB_CUT:
        if (story->record.id)
            status = dt_library_cut(keeper->library, story->record.id, job->n, err);
        break;
    case JOB_FIELDS:
        if (!copy_fields(&story->record, &job->fields))
            return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the story's title");
        if (story->record.id)
            status = dt_library_put_story(keeper->library, &story->record, err);
        break;
    default:
        break;
    }
    if (status == DT_OK && story->record.id != before)
        got_number(keeper, story);
    return status;
}

// Tries to write; DT_OK, or the trouble (told).
static dt_status try_write(struct dt_keeper *keeper, struct job *job, bool *anew)
{
    struct dt_error err = {0};
    if (!open_library(keeper, !keeper->told))
        return DT_FAILED;
    dt_status status = write_once(keeper, job, anew, &err);
    if (status == DT_OK)
        return DT_OK;
    if (dt_library_last_trouble(keeper->library) == DT_LIBRARY_CORRUPT) {
        // closed and opened again, the damage shows in full, and the file is put aside
        char moved[700], text[1600], line[900];
        dt_library_close(keeper->library);
        keeper->library = NULL;
        struct dt_error again = {0};
        if (dt_library_put_aside(keeper->path, moved, sizeof moved, &again) == DT_OK) {
            snprintf(text, sizeof text, "%s. It was put aside as %s, and a new library begun.",
                     dt_error_line(&err, line, sizeof line), moved);
            say(keeper, DT_NOTICE_WARNING, text);
            pthread_mutex_lock(&keeper->lock);
            keeper->era++;
            pthread_mutex_unlock(&keeper->lock);
            if (open_library(keeper, true) && write_once(keeper, job, anew, &err) == DT_OK)
                return DT_OK;
        }
    }
    if (keeper->library && !keeper->told)
        dt_library_patience(keeper->library, 200); // the user has waited once
    tell_trouble(keeper, &err);
    return DT_FAILED;
}

// Writes what waits, oldest first; false while something still has to wait.
static bool drain(struct dt_keeper *keeper)
{
    unsigned count = 0;
    while (keeper->backlog) {
        struct job *job = keeper->backlog;
        bool anew = false;
        if (try_write(keeper, job, &anew) != DT_OK)
            return false;
        keeper->backlog = job->next;
        keeper->backlog_count--;
        count += job->type == JOB_TURN;
        free_job(job);
    }
    keeper->backlog_last = NULL;
    if (keeper->told) {
        char text[120];
        keeper->told = false;
        snprintf(text, sizeof text,
                 "The library can be written again: %u turn%s that waited %s kept now.", count,
                 count == 1 ? "" : "s", count == 1 ? "is" : "are");
        say(keeper, DT_NOTICE_INFO, text);
        if (keeper->library)
            dt_library_patience(keeper->library, 2500);
    }
    return true;
}

static void put_off(struct dt_keeper *keeper, struct job *job)
{
    job->next = NULL;
    if (keeper->backlog_last)
        keeper->backlog_last->next = job;
    else
        keeper->backlog = job;
    keeper->backlog_last = job;
    if (++keeper->backlog_count > BACKLOG_MAX) {
        struct job *oldest = keeper->backlog;
        keeper->backlog = oldest->next;
        keeper->backlog_count--;
        free_job(oldest);
        if (!keeper->lost)
            say(keeper, DT_NOTICE_ERROR,
                "Too much waits for the library: the oldest turns are given up. /export keeps a "
                "story in a file.");
        keeper->lost = true;
    }
}

// A write in its order: after all that waits. Takes the job over.
static enum dt_kept do_write(struct dt_keeper *keeper, struct job *job)
{
    bool anew = false;
    if ((keeper->backlog && !drain(keeper)) || try_write(keeper, job, &anew) != DT_OK) {
        if (is_draft(job))
            free_job(job);
        else
            put_off(keeper, job);
        return DT_KEPT_LATER;
    }
    if (keeper->told)
        drain(keeper); // nothing waits: only the good news
    set_health(keeper, true);
    free_job(job);
    return anew ? DT_KEPT_ANEW : DT_KEPT;
}

// The rest: wants a library that can at least be read.
static enum dt_kept do_other(struct dt_keeper *keeper, struct job *job,
                             struct dt_story_record *record, struct dt_error *err)
{
    dt_status status = DT_OK;
    if (job->type == JOB_CALL) {
        job->function(job->arg);
        return DT_KEPT;
    }
    open_library(keeper, false);
    if (!keeper->library) {
        status = dt_error_set(err, DT_FAILED, keeper->path, "the library cannot be opened");
        struct dt_keeper_report nothing = {
            .type = DT_KEEPER_LIST, .number = job->number, .text = err->message};
        if (job->type == JOB_SEARCH) // who asked is answered
            report(keeper, &nothing);
    } else if (job->type == JOB_LOAD) {
        status = dt_library_load(keeper->library, job->id, record, err);
    } else if (job->type == JOB_RENAME) {
        status = dt_library_rename(keeper->library, job->id, job->text, err);
    } else if (job->type == JOB_DELETE) {
        status = dt_library_delete(keeper->library, job->id, err);
    } else if (job->type == JOB_SEARCH) {
        struct dt_keeper_report list = {.type = DT_KEEPER_LIST, .number = job->number};
        status = dt_library_search(keeper->library, job->text, job->offset, job->limit,
                                   &list.entries, &list.count, err);
        report(keeper, &list);
    }
    return status == DT_OK ? DT_KEPT : DT_KEPT_NOT;
}

static void offer_last(struct dt_keeper *keeper)
{
    struct dt_library_entry *entries = NULL;
    size_t count = 0;
    if (dt_library_search(keeper->library, "", 0, 1, &entries, &count, NULL) == DT_OK &&
        count == 1) {
        struct dt_keeper_report last = {.type = DT_KEEPER_LAST,
                                        .id = entries[0].id,
                                        .text = entries[0].title,
                                        .count = entries[0].turns};
        report(keeper, &last);
    }
    dt_library_entries_free(entries, count);
}

// Waits for a job, or for the time to try the backlog again. With the lock; NULL: stop, or try.
static struct job *next_job(struct dt_keeper *keeper)
{
    while (!keeper->first && !keeper->stopping) {
        if (keeper->backlog) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += RETRY_SECONDS;
            if (pthread_cond_timedwait(&keeper->work, &keeper->lock, &until) == ETIMEDOUT)
                return NULL;
        } else {
            pthread_cond_wait(&keeper->work, &keeper->lock);
        }
    }
    struct job *job = keeper->first;
    if (job) {
        keeper->first = job->next;
        if (!keeper->first)
            keeper->last = NULL;
        job->next = NULL;
        keeper->waiting--;
    }
    return job;
}

static void *keep(void *arg)
{
    struct dt_keeper *keeper = arg;
    if (!keeper->options.idle && open_library(keeper, true) && keeper->options.offer_last)
        offer_last(keeper);
    pthread_mutex_lock(&keeper->lock);
    for (;;) {
        struct job *job = next_job(keeper);
        if (!job && keeper->stopping)
            break;
        pthread_mutex_unlock(&keeper->lock);
        struct dt_story_record record = {0};
        struct dt_error err = {0};
        enum dt_kept kept = DT_KEPT;
        uint64_t ticket = job ? job->ticket : 0;
        if (!job) {
            drain(keeper);
            set_health(keeper, !keeper->backlog);
        } else if (job->type <= JOB_FIELDS) {
            kept = do_write(keeper, job);
        } else {
            kept = do_other(keeper, job, &record, &err);
            free_job(job);
        }
        pthread_mutex_lock(&keeper->lock);
        if (ticket) {
            struct receipt *receipt = &keeper->receipts[ticket % RECEIPTS];
            dt_story_record_free(&receipt->record); // one that nobody fetched
            *receipt = (struct receipt){ticket, kept, err, record};
            pthread_cond_broadcast(&keeper->done);
        }
    }
    pthread_mutex_unlock(&keeper->lock);
    if (keeper->backlog && !drain(keeper)) {
        char text[160];
        unsigned count = 0;
        for (struct job *job = keeper->backlog; job; job = job->next)
            count += job->type == JOB_TURN;
        snprintf(text, sizeof text, "%u turn%s could not be kept in the library.", count,
                 count == 1 ? "" : "s");
        if (count)
            say(keeper, DT_NOTICE_ERROR, text);
    }
    while (keeper->backlog) {
        struct job *job = keeper->backlog;
        keeper->backlog = job->next;
        free_job(job);
    }
    dt_library_close(keeper->library);
    return NULL;
}

dt_status dt_keeper_new(struct dt_keeper **out, const struct dt_keeper_options *options,
                        struct dt_error *err)
{
    struct dt_keeper *keeper = calloc(1, sizeof *keeper);
    pthread_condattr_t monotonic;
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigset_t all, before;
    pthread_attr_t attributes;
    *out = NULL;
    if (!keeper)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the library's keeper");
    keeper->options = *options;
    atomic_init(&keeper->healthy, true);
    if (options->path)
        snprintf(keeper->path, sizeof keeper->path, "%s", options->path);
    else
        dt_library_default_path(keeper->path, sizeof keeper->path);
    keeper->options.path = keeper->path;
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->work, &monotonic);
    pthread_cond_init(&keeper->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    // signals are the ui thread's, but for one's own faults
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = pthread_create(&keeper->thread, &attributes, keep, keeper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) {
        free(keeper);
        return dt_error_set(err, DT_FAILED, NULL, "the library's thread cannot be started: %s",
                            strerror(failed));
    }
    *out = keeper;
    return DT_OK;
}

void dt_keeper_free(struct dt_keeper *keeper)
{
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->work);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    for (size_t i = 0; i < RECEIPTS; i++)
        dt_story_record_free(&keeper->receipts[i].record);
    pthread_cond_destroy(&keeper->work);
    pthread_cond_destroy(&keeper->done);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}
