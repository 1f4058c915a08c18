// SPDX-License-Identifier: MIT
#include "app/library/library_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/library/library_queue.h"
#include "host/thread_start.h"

#define BACKLOG_MAX   256
#define RETRY_SECONDS 3
#define STACK_BYTES   (256 * 1024)

struct dt_writer {
    struct dt_writer_options options;
    char path[512];
    pthread_t thread;
    struct dt_queue queue;
    // Counts the libraries begun because one was damaged: a story whose number is from an earlier
    // one has to be written anew.
    atomic_uint era;
    atomic_bool healthy;
    // the thread's own
    struct dt_library *library;
    bool read_only;                        // the library is open for reading only
    struct dt_job *backlog, *backlog_last; // writes that wait for the library
    unsigned backlog_count;
    bool reported; // the present trouble was reported
    bool dropped;  // the backlog was too long: jobs were lost, and that was reported
};

// ---- jobs, on any thread ----

struct dt_writer_story *dt_writer_story_new(struct dt_writer *writer,
                                            const struct dt_story_record *record)
{
    return dt_queue_story_new(record, atomic_load(&writer->era));
}

uint64_t dt_writer_put_turn(struct dt_writer *writer, struct dt_writer_story *story, uint32_t n,
                            const struct dt_turn_record *turn)
{
    struct dt_job *job = dt_job_new(DT_JOB_TURN, story, NULL);
    if (job && dt_turn_record_copy(&job->turn, turn) != DT_OK) {
        dt_job_free(job);
        return 0;
    }
    if (job)
        job->n = n;
    return dt_queue_post(&writer->queue, job);
}

uint64_t dt_writer_cut(struct dt_writer *writer, struct dt_writer_story *story, uint32_t n)
{
    struct dt_job *job = dt_job_new(DT_JOB_CUT, story, NULL);
    if (job)
        job->n = n;
    return dt_queue_post(&writer->queue, job);
}

uint64_t dt_writer_put_fields(struct dt_writer *writer, struct dt_writer_story *story,
                              const struct dt_story_record *record)
{
    struct dt_job *job = dt_job_new(DT_JOB_FIELDS, story, NULL);
    if (job && !dt_queue_copy_fields(&job->fields, record)) {
        dt_job_free(job);
        return 0;
    }
    return dt_queue_post(&writer->queue, job);
}

static uint64_t post_id(struct dt_writer *writer, enum dt_job_type type, int64_t id)
{
    struct dt_job *job = dt_job_new(type, NULL, NULL);
    if (job)
        job->id = id;
    return dt_queue_post(&writer->queue, job);
}

uint64_t dt_writer_delete(struct dt_writer *writer, int64_t id)
{
    return post_id(writer, DT_JOB_DELETE, id);
}

uint64_t dt_writer_load(struct dt_writer *writer, int64_t id)
{
    return post_id(writer, DT_JOB_LOAD, id);
}

uint64_t dt_writer_search(struct dt_writer *writer, const char *words, uint32_t offset,
                          uint32_t limit, uint32_t number)
{
    struct dt_job *job = dt_job_new(DT_JOB_SEARCH, NULL, words);
    if (job) {
        job->offset = offset;
        job->limit = limit;
        job->number = number;
    }
    return dt_queue_post(&writer->queue, job);
}

uint64_t dt_writer_call(struct dt_writer *writer, void (*function)(void *arg), void *arg)
{
    struct dt_job *job = dt_job_new(DT_JOB_CALL, NULL, NULL);
    if (job) {
        job->function = function;
        job->arg = arg;
    }
    return dt_queue_post(&writer->queue, job);
}

enum dt_saved dt_writer_wait(struct dt_writer *writer, uint64_t ticket, const atomic_int *cancel,
                             struct dt_story_record *record, struct dt_error *err)
{
    return dt_queue_wait(&writer->queue, ticket, cancel, record, err);
}

bool dt_writer_healthy(struct dt_writer *writer)
{
    return atomic_load(&writer->healthy);
}

// ---- reports ----

static void report(struct dt_writer *writer, struct dt_writer_report *what)
{
    if (writer->options.listener)
        writer->options.listener(writer->options.listener_arg, what);
}

static void notice(struct dt_writer *writer, enum dt_app_level level, const char *text)
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

// Reports once what is wrong, until a write succeeds.
static void report_trouble(struct dt_writer *writer, const struct dt_error *error)
{
    char line[900], text[1000];
    set_health(writer, false);
    if (writer->reported)
        return;
    writer->reported = true;
    snprintf(text, sizeof text,
             "Not saved for now: %s. The story continues; finished turns wait in memory.",
             dt_error_line(error, line, sizeof line));
    notice(writer, DT_NOTICE_WARNING, text);
}

// ---- writing, on the thread ----

// Puts the damaged library aside, so that a new one can be begun. *err: the damage; if the file
// cannot be renamed, that. False then.
static bool put_aside(struct dt_writer *writer, struct dt_error *err)
{
    char moved[700], text[1700], line[900];
    struct dt_error failure = {0};
    dt_library_close(writer->library);
    writer->library = NULL;
    if (dt_library_put_aside(writer->path, moved, sizeof moved, &failure) != DT_OK) {
        *err = failure;
        return false;
    }
    snprintf(text, sizeof text, "%s. It was renamed to %s, and a new library begun.",
             dt_error_line(err, line, sizeof line), moved);
    notice(writer, DT_NOTICE_WARNING, text);
    atomic_fetch_add(&writer->era, 1);
    return true;
}

// Opens the library for writing unless it is open; a damaged one is put aside first. False after a
// report; it may be open for reading then.
static bool open_library(struct dt_writer *writer, bool patient)
{
    struct dt_error err = {0};
    enum dt_library_trouble trouble = DT_LIBRARY_OTHER;
    if (writer->library && !writer->read_only)
        return true;
    if (!writer->path[0]) {
        dt_error_set(
            &err, DT_FAILED, NULL,
            "no home directory for the library; set XDG_DATA_HOME, or name a file with --library");
        report_trouble(writer, &err);
        return false;
    }
    dt_library_close(writer->library);
    writer->library = NULL;
    for (int attempt = 0; attempt < 2; attempt++) {
        dt_status status =
            dt_library_open(&writer->library, writer->path, writer->options.vfs,
                            DT_LIBRARY_WRITE | (patient ? DT_LIBRARY_PATIENT : 0u), &trouble, &err);
        writer->read_only = status == DT_OK && trouble == DT_LIBRARY_READ_ONLY;
        if (status == DT_OK)
            return !writer->read_only;
        if (trouble != DT_LIBRARY_CORRUPT || attempt > 0 || !put_aside(writer, &err))
            break;
    }
    report_trouble(writer, &err);
    return false;
}

// Does a writing job once. *anew: the turns of the story have to be posted again.
static dt_status write_once(struct dt_writer *writer, struct dt_job *job, bool *anew,
                            struct dt_error *err)
{
    struct dt_writer_story *story = job->story;
    unsigned era = atomic_load(&writer->era);
    if (story->era != era) {
        *anew = story->record.id != 0;
        story->record.id = 0;
        story->era = era;
    }
    int64_t before = story->record.id;
    dt_status status = DT_OK;
    if (job->type == DT_JOB_TURN)
        status = dt_library_put_turn(writer->library, &story->record, job->n, &job->turn, err);
    else if (job->type == DT_JOB_FIELDS && !dt_queue_copy_fields(&story->record, &job->fields))
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the story's title");
    else if (job->type == DT_JOB_FIELDS && story->record.id)
        status = dt_library_put_story(writer->library, &story->record, err);
    else if (job->type == DT_JOB_CUT && story->record.id)
        status = dt_library_cut(writer->library, story->record.id, job->n, err);
    if (status == DT_OK && story->record.id != before) {
        atomic_store(&story->number, story->record.id);
        struct dt_writer_report number = {
            .type = DT_WRITER_STORY, .id = story->record.id, .story = story};
        report(writer, &number);
    }
    return status;
}

// Does a writing job, in a new library if the old one turns out to be damaged. False after a
// report.
static bool try_write(struct dt_writer *writer, struct dt_job *job, bool *anew)
{
    struct dt_error err = {0};
    if (!open_library(writer, !writer->reported))
        return false;
    if (write_once(writer, job, anew, &err) == DT_OK)
        return true;
    if (dt_library_last_trouble(writer->library) == DT_LIBRARY_CORRUPT && put_aside(writer, &err) &&
        open_library(writer, true) && write_once(writer, job, anew, &err) == DT_OK)
        return true;
    if (writer->library && !writer->reported)
        dt_library_patience(writer->library, 200); // the user has waited once
    report_trouble(writer, &err);
    return false;
}

// Writes the backlog, oldest job first. False while a part of it still has to wait.
static bool drain(struct dt_writer *writer)
{
    unsigned count = 0;
    while (writer->backlog) {
        struct dt_job *job = writer->backlog;
        bool anew = false;
        if (!try_write(writer, job, &anew))
            return false;
        writer->backlog = job->next;
        writer->backlog_count--;
        count += job->type == DT_JOB_TURN;
        dt_job_free(job);
    }
    writer->backlog_last = NULL;
    if (writer->reported) {
        char text[120];
        writer->reported = false;
        snprintf(text, sizeof text,
                 "The library can be written again. %u turn%s from memory %s saved.", count,
                 count == 1 ? "" : "s", count == 1 ? "was" : "were");
        notice(writer, DT_NOTICE_INFO, text);
        if (writer->library)
            dt_library_patience(writer->library, 2500);
    }
    return true;
}

// Appends a job to the backlog; the oldest is dropped if that is too long.
static void postpone(struct dt_writer *writer, struct dt_job *job)
{
    job->next = NULL;
    if (writer->backlog_last)
        writer->backlog_last->next = job;
    else
        writer->backlog = job;
    writer->backlog_last = job;
    if (++writer->backlog_count > BACKLOG_MAX) {
        struct dt_job *oldest = writer->backlog;
        writer->backlog = oldest->next;
        writer->backlog_count--;
        dt_job_free(oldest);
        if (!writer->dropped)
            notice(
                writer, DT_NOTICE_ERROR,
                "Too many turns wait for the library: the oldest ones are lost. /export saves the "
                "story to a file.");
        writer->dropped = true;
    }
}

// Does a writing job after all that wait. Takes the job over.
static enum dt_saved do_write(struct dt_writer *writer, struct dt_job *job)
{
    bool anew = false;
    if ((writer->backlog && !drain(writer)) || !try_write(writer, job, &anew)) {
        if (dt_job_is_draft(job))
            dt_job_free(job);
        else
            postpone(writer, job);
        return DT_SAVED_LATER;
    }
    if (writer->reported)
        drain(writer); // the backlog is empty: reports that the trouble is over
    set_health(writer, true);
    dt_job_free(job);
    return anew ? DT_SAVED_ANEW : DT_SAVED;
}

// ---- other jobs, on the thread ----

// A library that can only be read is enough for most of these.
static enum dt_saved do_other(struct dt_writer *writer, struct dt_job *job,
                              struct dt_story_record *record, struct dt_error *err)
{
    dt_status status = DT_OK;
    struct dt_writer_report list = {.type = DT_WRITER_LIST, .number = job->number};
    if (job->type == DT_JOB_CALL) {
        job->function(job->arg);
        return DT_SAVED;
    }
    open_library(writer, false);
    if (!writer->library) {
        status = dt_error_set(err, DT_FAILED, writer->path, "the library cannot be opened");
        list.text = err->message;
    } else if (job->type == DT_JOB_LOAD) {
        status = dt_library_load(writer->library, job->id, record, err);
    } else if (job->type == DT_JOB_DELETE) {
        status = dt_library_delete(writer->library, job->id, err);
    } else if (job->type == DT_JOB_SEARCH) {
        status = dt_library_search(writer->library, job->text, job->offset, job->limit,
                                   &list.entries, &list.count, err);
    }
    if (job->type == DT_JOB_SEARCH)
        report(writer, &list);
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

// The end: writes the backlog, or reports what is lost.
static void finish_backlog(struct dt_writer *writer)
{
    char text[160];
    unsigned count = 0;
    if (writer->backlog)
        drain(writer);
    while (writer->backlog) {
        struct dt_job *job = writer->backlog;
        writer->backlog = job->next;
        count += job->type == DT_JOB_TURN;
        dt_job_free(job);
    }
    if (count == 0)
        return;
    snprintf(text, sizeof text, "%u turn%s could not be saved in the library.", count,
             count == 1 ? "" : "s");
    notice(writer, DT_NOTICE_ERROR, text);
}

static void *work(void *arg)
{
    struct dt_writer *writer = arg;
    bool stopped;
    if (!writer->options.idle && open_library(writer, true) && writer->options.offer_last)
        offer_last(writer);
    for (;;) {
        struct dt_job *job =
            dt_queue_next(&writer->queue, writer->backlog ? RETRY_SECONDS : 0, &stopped);
        if (stopped)
            break;
        if (!job) {
            drain(writer);
            set_health(writer, !writer->backlog);
            continue;
        }
        struct dt_story_record record = {0};
        struct dt_error err = {0};
        uint64_t ticket = job->ticket;
        enum dt_saved saved;
        if (job->type <= DT_JOB_FIELDS) {
            saved = do_write(writer, job);
        } else {
            saved = do_other(writer, job, &record, &err);
            dt_job_free(job);
        }
        dt_queue_finish(&writer->queue, ticket, saved, &err, &record);
    }
    finish_backlog(writer);
    dt_library_close(writer->library);
    return NULL;
}

// ---- beginning and end ----

dt_status dt_writer_new(struct dt_writer **out, const struct dt_writer_options *options,
                        struct dt_error *err)
{
    struct dt_writer *writer = calloc(1, sizeof *writer);
    *out = NULL;
    if (!writer)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the library writer");
    writer->options = *options;
    atomic_init(&writer->healthy, true);
    atomic_init(&writer->era, 0);
    if (options->path)
        snprintf(writer->path, sizeof writer->path, "%s", options->path);
    else
        dt_library_default_path(writer->path, sizeof writer->path);
    writer->options.path = writer->path;
    dt_queue_init(&writer->queue);
    int failed = dt_thread_start(&writer->thread, STACK_BYTES, work, writer);
    if (failed) {
        dt_queue_free(&writer->queue);
        free(writer);
        return dt_error_set(err, DT_FAILED, NULL,
                            "the library writer's thread cannot be started: %s", strerror(failed));
    }
    *out = writer;
    return DT_OK;
}

void dt_writer_free(struct dt_writer *writer)
{
    if (!writer)
        return;
    dt_queue_stop(&writer->queue);
    pthread_join(writer->thread, NULL);
    dt_queue_free(&writer->queue);
    free(writer);
}
