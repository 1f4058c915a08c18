// SPDX-License-Identifier: MIT
#include "app/library/library_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/library/library_queue.h"
#include "app/library/library_rescue.h"
#include "host/clock.h"
#include "host/thread_start.h"

#define RETRY_SECONDS 3
#define ATTEMPTS      4 // to save a story, each after another trouble was removed
#define STACK_BYTES   (256 * 1024)

struct dt_writer {
    struct dt_writer_options options;
    char path[512];
    pthread_t thread;
    struct dt_queue queue;
    atomic_uint era; // counts the files that were the library; numbers belong to one
    atomic_bool healthy;
    // the thread's own
    struct dt_library *library;
    bool read_only;                        // the library is open for reading only
    struct dt_writer_story *first, **last; // stories that wait for the library
    struct dt_writer_story *current;       // written last, or NULL
    bool reported;                         // the present trouble was reported
    uint64_t tried_ns;                     // when the library was last opened, 0: try again at once
    unsigned lost;                         // finished turns that are not in the library
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
    if (job && !dt_story_record_copy_fields(&job->fields, record)) {
        dt_job_free(job);
        return 0;
    }
    return dt_queue_post(&writer->queue, job);
}

uint64_t dt_writer_delete(struct dt_writer *writer, struct dt_writer_story *story, int64_t id)
{
    struct dt_job *job = dt_job_new(DT_JOB_DELETE, story, NULL);
    if (job)
        job->id = id;
    return dt_queue_post(&writer->queue, job);
}

uint64_t dt_writer_load(struct dt_writer *writer, int64_t id)
{
    struct dt_job *job = dt_job_new(DT_JOB_LOAD, NULL, NULL);
    if (job)
        job->id = id;
    return dt_queue_post(&writer->queue, job);
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

// ---- the library, on the thread ----

static void close_library(struct dt_writer *writer)
{
    dt_library_close(writer->library);
    writer->library = NULL;
    writer->read_only = false;
}

// Puts the damaged library aside, so that a new one can be begun. *err: the damage; if the file
// cannot be checked or renamed, that. False then.
static bool put_aside(struct dt_writer *writer, struct dt_error *err)
{
    char moved[700], text[1700], line[900];
    struct dt_error failure = {0};
    bool known;
    close_library(writer);
    if (!dt_library_is_damaged(writer->path, writer->options.vfs, &known, &failure)) {
        if (!known)
            *err = failure;
        return known;
    }
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

// Closes a library whose files were removed or replaced. True if stories have to be saved again.
static bool leave_removed(struct dt_writer *writer)
{
    char text[700];
    enum dt_library_place place = writer->library ? dt_library_place(writer->library) : 0;
    if (place == DT_LIBRARY_IN_PLACE)
        return false;
    close_library(writer);
    snprintf(text, sizeof text, "%s%s", writer->path,
             place == DT_LIBRARY_CUT
                 ? "-wal or -shm was removed by another program. Nothing is lost."
                 : " was removed or replaced by another program. The story is saved again.");
    notice(writer, DT_NOTICE_WARNING, text);
    atomic_fetch_add(&writer->era, place == DT_LIBRARY_REPLACED);
    return place == DT_LIBRARY_REPLACED;
}

// Opens the library for writing unless it is open; a damaged one is put aside first. False after a
// report; it may be open for reading then.
static bool open_library(struct dt_writer *writer, bool patient)
{
    struct dt_error err = {0};
    enum dt_library_trouble trouble = DT_LIBRARY_OTHER;
    leave_removed(writer);
    if (writer->library && !writer->read_only)
        return true;
    uint64_t now = dt_clock_ns();
    if (writer->library && writer->tried_ns &&
        now - writer->tried_ns < RETRY_SECONDS * 1000000000ull)
        return false; // reported
    writer->tried_ns = now;
    if (!writer->path[0]) {
        dt_error_set(
            &err, DT_FAILED, NULL,
            "no home directory for the library; set XDG_DATA_HOME, or name a file with --library");
        report_trouble(writer, &err);
        return false;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        close_library(writer);
        dt_status status =
            dt_library_open(&writer->library, writer->path, writer->options.vfs,
                            DT_LIBRARY_WRITE | (patient ? DT_LIBRARY_PATIENT : 0u), &trouble, &err);
        writer->read_only = status == DT_OK && trouble != DT_LIBRARY_FINE;
        if (status == DT_OK && !writer->read_only)
            return true;
        if (trouble != DT_LIBRARY_CORRUPT || attempt > 0 || !put_aside(writer, &err))
            break;
    }
    report_trouble(writer, &err);
    return false;
}

// ---- writing, on the thread ----

// From now on it is a new story, to be written as a whole.
static void forget_number(struct dt_writer_story *story)
{
    story->record.id = story->record.revision = 0;
    story->saved_to = 0;
    story->unsaved = true;
}

static void on_saved(struct dt_writer *writer, struct dt_writer_story *story)
{
    story->unsaved = false;
    story->saved_to = story->record.turn_count;
    if (atomic_exchange(&story->number, story->record.id) == story->record.id)
        return;
    struct dt_writer_report number = {
        .type = DT_WRITER_STORY, .id = story->record.id, .story = story};
    report(writer, &number);
}

static void report_fork(struct dt_writer *writer, enum dt_library_trouble trouble, int64_t before,
                        int64_t after)
{
    char text[200];
    snprintf(text, sizeof text,
             trouble == DT_LIBRARY_CHANGED
                 ? "Another session has changed story %lld. This session continues as story %lld."
                 : "Another session has deleted story %lld. This session saves it as story %lld.",
             (long long)before, (long long)after);
    notice(writer, DT_NOTICE_WARNING, text);
}

// Removes what prevents saving, if possible. True: try again.
static bool remove_trouble(struct dt_writer *writer, struct dt_writer_story *story,
                           enum dt_library_trouble trouble, struct dt_error *err)
{
    switch (trouble) {
    case DT_LIBRARY_CORRUPT:
        return put_aside(writer, err);
    case DT_LIBRARY_CHANGED:
    case DT_LIBRARY_DELETED:
        forget_number(story);
        return true;
    case DT_LIBRARY_FULL: // the -wal file may have space that can be used again
        dt_library_checkpoint(writer->library);
        close_library(writer);
        if (open_library(writer, false))
            dt_library_checkpoint(writer->library); // a file that was opened is appended to first
        return writer->library != NULL;
    default:
        return false;
    }
}

// Saves what is unsaved of a story. False after a report.
static bool save(struct dt_writer *writer, struct dt_writer_story *story)
{
    struct dt_error err = {0};
    enum dt_library_trouble fork = DT_LIBRARY_FINE;
    int64_t before = 0;
    if (!story->unsaved)
        return true;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (!open_library(writer, !writer->reported))
            return false;
        unsigned era = atomic_load(&writer->era);
        if (story->era != era)
            forget_number(story);
        story->era = era;
        if (!story->record.id && !story->record.turn_count)
            return true; // saved with its first turn
        if (dt_library_save(writer->library, &story->record, story->saved_to, &err) == DT_OK) {
            if (leave_removed(writer))
                continue;
            on_saved(writer, story);
            if (fork != DT_LIBRARY_FINE)
                report_fork(writer, fork, before, story->record.id);
            return true;
        }
        enum dt_library_trouble trouble = dt_library_last_trouble(writer->library);
        if (trouble == DT_LIBRARY_CHANGED || trouble == DT_LIBRARY_DELETED) {
            fork = trouble;
            before = story->record.id;
        }
        // what SQLite and its index have in memory may be wrong after such an error
        if (trouble == DT_LIBRARY_OTHER)
            close_library(writer);
        if ((trouble == DT_LIBRARY_FULL && attempt > 0) ||
            !remove_trouble(writer, story, trouble, &err))
            break;
    }
    if (writer->library && !writer->reported)
        dt_library_patience(writer->library, 200); // the user has waited once
    report_trouble(writer, &err);
    return false;
}

// Saves the stories that wait, oldest first. False while one still has to wait.
static bool save_waiting(struct dt_writer *writer)
{
    unsigned count = 0;
    while (writer->first) {
        struct dt_writer_story *story = writer->first;
        unsigned turns = dt_queue_story_unsaved(story);
        if (!save(writer, story))
            return false;
        writer->first = story->next;
        story->waiting = false;
        count += turns;
        dt_writer_story_release(story);
    }
    writer->last = &writer->first;
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

static void make_wait(struct dt_writer *writer, struct dt_writer_story *story)
{
    if (story->waiting)
        return;
    atomic_fetch_add(&story->holders, 1);
    story->waiting = true;
    story->next = NULL;
    *writer->last = story;
    writer->last = &story->next;
}

static void set_current(struct dt_writer *writer, struct dt_writer_story *story)
{
    if (writer->current == story)
        return;
    dt_writer_story_release(writer->current);
    writer->current = story;
    if (story)
        atomic_fetch_add(&story->holders, 1);
}

// Does a writing job after all that wait.
static enum dt_saved do_write(struct dt_writer *writer, struct dt_job *job, struct dt_error *err)
{
    struct dt_writer_story *story = job->story;
    bool later = writer->reported && dt_job_is_draft(job); // tries are for finished turns
    if (!later)
        writer->tried_ns = 0;
    if (!later && writer->first)
        later = !save_waiting(writer);
    set_current(writer, story);
    if (!dt_queue_story_apply(story, job)) {
        dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory: the turn is not saved");
        notice(writer, DT_NOTICE_ERROR, "Out of memory: the turn is not saved.");
        writer->lost += job->type == DT_JOB_TURN && job->turn.finished;
        return DT_NOT_SAVED;
    }
    if (later || !save(writer, story)) {
        make_wait(writer, story);
        return DT_SAVED_LATER;
    }
    if (writer->reported)
        save_waiting(writer); // nothing waits: reports that the trouble is over
    set_health(writer, true);
    return DT_SAVED;
}

// ---- other jobs, on the thread ----

// A library that can only be read is enough for most of these.
static void forget_story(struct dt_writer_story *story)
{
    if (!story)
        return;
    while (story->record.turn_count > 0)
        dt_turn_record_free(&story->record.turns[--story->record.turn_count]);
    story->record.id = story->record.revision = 0;
    story->saved_to = 0;
    story->unsaved = false;
    atomic_store(&story->number, 0);
}

static dt_status delete_story(struct dt_writer *writer, struct dt_job *job, struct dt_error *err)
{
    struct dt_writer_story *story = job->story;
    bool numbered = story && story->era == atomic_load(&writer->era) && story->record.id;
    int64_t id = !story ? job->id : numbered ? story->record.id : 0;
    dt_status status = DT_OK;
    if (id && !writer->library)
        status = dt_error_set(err, DT_FAILED, writer->path, "the library cannot be opened");
    else if (id)
        status = dt_library_delete(writer->library, id, err);
    if (status != DT_OK)
        return status;
    // the writer's copies of the story must not bring it back
    forget_story(story);
    if (id && writer->current && writer->current->record.id == id)
        forget_story(writer->current);
    for (struct dt_writer_story *other = writer->first; id && other; other = other->next) {
        if (other->record.id == id)
            forget_story(other);
    }
    return status;
}

static enum dt_saved do_other(struct dt_writer *writer, struct dt_job *job,
                              struct dt_story_record *record, struct dt_error *err)
{
    dt_status status = DT_OK;
    struct dt_writer_report list = {.type = DT_WRITER_LIST, .number = job->number};
    if (job->type == DT_JOB_CALL) {
        job->function(job->arg);
        return DT_SAVED;
    }
    if (open_library(writer, false) && writer->first)
        save_waiting(writer);
    if (job->type == DT_JOB_DELETE) {
        status = delete_story(writer, job, err);
    } else if (!writer->library) {
        status = dt_error_set(err, DT_FAILED, writer->path, "the library cannot be opened");
        list.text = err->message;
    } else if (job->type == DT_JOB_LOAD) {
        status = dt_library_load(writer->library, job->id, record, err);
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

// The end: saves what waits, or writes it to files and reports that.
static void finish(struct dt_writer *writer)
{
    char text[1200], path[700];
    if (writer->current && leave_removed(writer)) {
        writer->current->unsaved = true;
        make_wait(writer, writer->current);
    }
    set_current(writer, NULL);
    writer->tried_ns = 0;
    if (writer->first)
        save_waiting(writer);
    while (writer->first) {
        struct dt_writer_story *story = writer->first;
        unsigned count = dt_queue_story_unsaved(story);
        writer->first = story->next;
        writer->lost += count;
        if (count > 0) {
            bool rescued = dt_library_rescue(writer->path, &story->record, path, sizeof path);
            snprintf(text, sizeof text, "%u turn%s could not be saved in the library. %s%s%s",
                     count, count == 1 ? "" : "s",
                     rescued ? "The story is in " : "No folder has space for the story: it is lost",
                     rescued ? path : "", ".");
            notice(writer, DT_NOTICE_ERROR, text);
        }
        dt_writer_story_release(story);
    }
}

static void *work(void *arg)
{
    struct dt_writer *writer = arg;
    bool stopped;
    if (!writer->options.idle)
        open_library(writer, true);
    if (writer->library && writer->options.offer_last)
        offer_last(writer);
    for (;;) {
        struct dt_job *job =
            dt_queue_next(&writer->queue, writer->first ? RETRY_SECONDS : 0, &stopped);
        if (stopped)
            break;
        if (!job) {
            set_health(writer, save_waiting(writer));
            continue;
        }
        struct dt_story_record record = {0};
        struct dt_error err = {0};
        uint64_t ticket = job->ticket;
        enum dt_saved saved;
        if (job->type <= DT_JOB_FIELDS)
            saved = do_write(writer, job, &err);
        else
            saved = do_other(writer, job, &record, &err);
        dt_job_free(job);
        dt_queue_finish(&writer->queue, ticket, saved, &err, &record);
    }
    finish(writer);
    close_library(writer);
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
    writer->last = &writer->first;
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

unsigned dt_writer_free(struct dt_writer *writer)
{
    if (!writer)
        return 0;
    dt_queue_stop(&writer->queue);
    pthread_join(writer->thread, NULL);
    dt_queue_free(&writer->queue);
    unsigned lost = writer->lost;
    free(writer);
    return lost;
}
