// SPDX-License-Identifier: MIT
#include "app/library/library_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_MAX 64

// ---- stories ----

static bool copy_turns(struct dt_story_record *to, const struct dt_story_record *from)
{
    to->turns = from->turn_count ? calloc(from->turn_count, sizeof *to->turns) : NULL;
    if (from->turn_count && !to->turns)
        return false;
    while (to->turn_count < from->turn_count) {
        size_t n = to->turn_count++;
        if (dt_turn_record_copy(&to->turns[n], &from->turns[n]) != DT_OK)
            return false;
    }
    return true;
}

struct dt_writer_story *dt_queue_story_new(const struct dt_story_record *record, unsigned era)
{
    struct dt_writer_story *story = calloc(1, sizeof *story);
    if (!story)
        return NULL;
    atomic_init(&story->holders, 1);
    story->record.id = record->id;
    atomic_init(&story->number, record->id);
    story->record.created = record->created;
    story->record.revision = record->revision;
    story->era = era;
    if (!dt_story_record_copy_fields(&story->record, record) ||
        (record->id && !copy_turns(&story->record, record))) {
        dt_writer_story_release(story);
        return NULL;
    }
    story->saved_to = record->renumbered ? 0 : story->record.turn_count;
    return story;
}

static void cut(struct dt_writer_story *story, size_t n)
{
    struct dt_story_record *record = &story->record;
    if (n >= record->turn_count)
        return;
    while (record->turn_count > n)
        dt_turn_record_free(&record->turns[--record->turn_count]);
    story->unsaved = true;
    if (story->saved_to > n)
        story->saved_to = n;
}

static bool set_turn(struct dt_writer_story *story, size_t n, struct dt_turn_record *turn)
{
    struct dt_story_record *record = &story->record;
    // turns before it that were private are in the library without their text
    static const struct dt_turn_record empty = {.finished = true};
    if (n >= record->turn_count) {
        struct dt_turn_record *more = realloc(record->turns, (n + 1) * sizeof *more);
        if (!more)
            return false;
        record->turns = more;
        while (record->turn_count <= n) {
            if (dt_turn_record_copy(&more[record->turn_count], &empty) != DT_OK)
                return false;
            record->turn_count++;
        }
    }
    dt_turn_record_free(&record->turns[n]);
    record->turns[n] = *turn;
    memset(turn, 0, sizeof *turn);
    story->unsaved = true;
    if (story->saved_to > n)
        story->saved_to = n;
    return true;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool set_fields(struct dt_writer_story *story, const struct dt_story_record *fields)
{
    const struct dt_story_record *has = &story->record;
    if (same_text(has->title, fields->title) && same_text(has->model, fields->model) &&
        same_text(has->tokenizer, fields->tokenizer) && same_text(has->stack, fields->stack) &&
        same_text(has->settings, fields->settings) && same_text(has->premise, fields->premise) &&
        same_text(has->system, fields->system) && has->seed == fields->seed &&
        has->chat == fields->chat)
        return true;
    story->unsaved = true;
    return dt_story_record_copy_fields(&story->record, fields);
}

bool dt_queue_story_apply(struct dt_writer_story *story, struct dt_job *job)
{
    if (job->type == DT_JOB_TURN)
        return set_turn(story, job->n, &job->turn);
    if (job->type == DT_JOB_FIELDS)
        return set_fields(story, &job->fields);
    cut(story, job->n);
    return true;
}

unsigned dt_queue_story_unsaved(const struct dt_writer_story *story)
{
    unsigned count = 0;
    for (size_t i = story->saved_to; story->unsaved && i < story->record.turn_count; i++)
        count += story->record.turns[i].finished;
    return count;
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

// ---- jobs ----

struct dt_job *dt_job_new(enum dt_job_type type, struct dt_writer_story *story, const char *text)
{
    struct dt_job *job = calloc(1, sizeof *job);
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

void dt_job_free(struct dt_job *job)
{
    if (!job)
        return;
    dt_writer_story_release(job->story);
    dt_turn_record_free(&job->turn);
    dt_story_record_free(&job->fields);
    free(job->text);
    free(job);
}

bool dt_job_is_draft(const struct dt_job *job)
{
    return job->type == DT_JOB_TURN && !job->turn.finished;
}

// ---- the queue ----

void dt_queue_init(struct dt_queue *queue)
{
    pthread_condattr_t monotonic;
    memset(queue, 0, sizeof *queue);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->work, &monotonic);
    pthread_cond_init(&queue->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void dt_queue_free(struct dt_queue *queue)
{
    for (size_t i = 0; i < DT_QUEUE_RECEIPTS; i++)
        dt_story_record_free(&queue->receipts[i].record);
    pthread_cond_destroy(&queue->work);
    pthread_cond_destroy(&queue->done);
    pthread_mutex_destroy(&queue->lock);
}

// Gives the job's content to a waiting one that it replaces; the job then has the old content. The
// lock is held.
static bool replaces_waiting(struct dt_queue *queue, struct dt_job *job)
{
    struct dt_job *last = queue->last;
    if (last && job->type == DT_JOB_TURN && dt_job_is_draft(last) && last->story == job->story &&
        last->n == job->n) {
        struct dt_turn_record turn = last->turn;
        last->turn = job->turn;
        job->turn = turn;
        last->ticket = job->ticket;
        return true;
    }
    for (struct dt_job *other = queue->first; other && job->type == DT_JOB_SEARCH;
         other = other->next) {
        if (other->type != DT_JOB_SEARCH)
            continue;
        char *text = other->text;
        other->text = job->text;
        job->text = text;
        other->offset = job->offset;
        other->limit = job->limit;
        other->number = job->number;
        other->ticket = job->ticket;
        return true;
    }
    return false;
}

uint64_t dt_queue_post(struct dt_queue *queue, struct dt_job *job)
{
    if (!job)
        return 0;
    pthread_mutex_lock(&queue->lock);
    uint64_t ticket = job->ticket = ++queue->tickets;
    // a dropped draft is no loss: the next one, or the finished turn, has all of its text
    bool queued =
        !replaces_waiting(queue, job) && !(queue->waiting >= QUEUE_MAX && dt_job_is_draft(job));
    if (queued) {
        // calls are posted by the thread that empties the queue, which must not wait for itself
        while (queue->waiting >= QUEUE_MAX && job->type != DT_JOB_CALL)
            pthread_cond_wait(&queue->done, &queue->lock);
        if (queue->last)
            queue->last->next = job;
        else
            queue->first = job;
        queue->last = job;
        queue->waiting++;
        pthread_cond_signal(&queue->work);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!queued)
        dt_job_free(job);
    return ticket;
}

enum dt_saved dt_queue_wait(struct dt_queue *queue, uint64_t ticket, const atomic_int *cancel,
                            struct dt_story_record *record, struct dt_error *err)
{
    enum dt_saved saved = DT_SAVED_LATER;
    struct dt_queue_receipt *receipt = &queue->receipts[ticket % DT_QUEUE_RECEIPTS];
    if (record)
        memset(record, 0, sizeof *record);
    if (ticket == 0) {
        dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory to write to the library");
        return DT_NOT_SAVED;
    }
    pthread_mutex_lock(&queue->lock);
    while (receipt->ticket < ticket && !(cancel && atomic_load(cancel))) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 50 * 1000000; // how soon a stop is noticed while the disk is slow
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (cancel)
            pthread_cond_timedwait(&queue->done, &queue->lock, &until);
        else
            pthread_cond_wait(&queue->done, &queue->lock);
    }
    if (receipt->ticket == ticket) {
        saved = receipt->saved;
        if (err)
            *err = receipt->error;
        if (record) {
            *record = receipt->record;
            memset(&receipt->record, 0, sizeof receipt->record);
        }
    } else if (err) {
        dt_error_set(err, DT_CANCELLED, NULL, "the library has not answered yet");
    }
    pthread_mutex_unlock(&queue->lock);
    return saved;
}

void dt_queue_stop(struct dt_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_cond_signal(&queue->work);
    pthread_mutex_unlock(&queue->lock);
}

struct dt_job *dt_queue_next(struct dt_queue *queue, unsigned seconds, bool *stopped)
{
    struct timespec until;
    int result = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->stopping && result != ETIMEDOUT)
        result = seconds ? pthread_cond_timedwait(&queue->work, &queue->lock, &until)
                         : pthread_cond_wait(&queue->work, &queue->lock);
    struct dt_job *job = queue->first;
    if (job) {
        queue->first = job->next;
        if (!queue->first)
            queue->last = NULL;
        job->next = NULL;
        queue->waiting--;
    }
    *stopped = !job && queue->stopping;
    pthread_mutex_unlock(&queue->lock);
    return job;
}

void dt_queue_finish(struct dt_queue *queue, uint64_t ticket, enum dt_saved saved,
                     const struct dt_error *err, const struct dt_story_record *record)
{
    pthread_mutex_lock(&queue->lock);
    struct dt_queue_receipt *receipt = &queue->receipts[ticket % DT_QUEUE_RECEIPTS];
    dt_story_record_free(&receipt->record); // nobody fetched it
    *receipt = (struct dt_queue_receipt){ticket, saved, *err, *record};
    pthread_cond_broadcast(&queue->done);
    pthread_mutex_unlock(&queue->lock);
}
