// SPDX-License-Identifier: MIT
#include "verbs/serve/job.h"

#include <stdlib.h>
#include <string.h>

static ssize_t write_fresh(void *cookie, const char *bytes, size_t n)
{
    struct dt_serve_job *job = cookie;
    return dt_string_buffer_append(&job->fresh, bytes, n) ? (ssize_t)n : 0;
}

struct dt_serve_job *dt_serve_job_new(pthread_mutex_t *lock)
{
    struct dt_serve_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->lock = lock;
    job->users = 1;
    job->file = fopencookie(job, "w", (cookie_io_functions_t){.write = write_fresh});
    if (!job->file) {
        free(job);
        return NULL;
    }
    dt_json_init(&job->json, job->file, 0);
    return job;
}

void dt_serve_job_drop(struct dt_serve_job *job)
{
    pthread_mutex_lock(job->lock);
    bool last = --job->users == 0;
    pthread_mutex_unlock(job->lock);
    if (!last)
        return;
    fclose(job->file);
    dt_string_buffer_free(&job->fresh);
    dt_string_buffer_free(&job->out);
    for (uint32_t i = 0; i < DT_SERVE_TEXTS_MAX; i++) {
        dt_string_buffer_free(&job->texts[i].answer);
        dt_string_buffer_free(&job->texts[i].thought);
    }
    free(job->memory);
    free(job->messages);
    free(job->tokens);
    free(job);
}

bool dt_serve_job_gone(struct dt_serve_job *job)
{
    pthread_mutex_lock(job->lock);
    bool gone = job->gone;
    pthread_mutex_unlock(job->lock);
    return gone;
}

void dt_serve_job_flush(struct dt_serve_job *job, bool begun)
{
    fflush(job->file);
    pthread_mutex_lock(job->lock);
    if (!job->gone && job->fresh.length)
        dt_string_buffer_append(&job->out, job->fresh.text, job->fresh.length);
    if (begun && !job->begun) {
        job->begun = true;
        job->status = 200;
    }
    pthread_mutex_unlock(job->lock);
    job->fresh.length = 0;
}

void dt_serve_job_complete(struct dt_serve_job *job, uint32_t status)
{
    dt_serve_job_flush(job, false);
    pthread_mutex_lock(job->lock);
    if (!job->begun)
        job->status = status;
    job->begun = job->complete = true;
    pthread_mutex_unlock(job->lock);
}

void dt_serve_job_fail(struct dt_serve_job *job, uint32_t status, const char *param,
                       const char *code, const char *message)
{
    struct dt_json *j = &job->json;
    bool event = job->begun; // only this thread sets it
    dt_json_init(j, job->file, 0);
    fflush(job->file);
    job->fresh.length = 0;
    if (event)
        fputs("data: ", job->file);
    dt_json_object(j);
    dt_json_name(j, "error");
    dt_json_object(j);
    dt_json_put_text(j, "message", message);
    dt_json_put_text(j, "type", status >= 500 ? "server_error" : "invalid_request_error");
    dt_json_put_text(j, "param", param);
    dt_json_put_text(j, "code", code);
    dt_json_end(j);
    dt_json_end(j);
    if (event)
        fputs("\n", job->file);
    dt_serve_job_complete(job, status);
}

void dt_serve_job_fail_with(struct dt_serve_job *job, const struct dt_error *err)
{
    bool full = err->status == DT_CONTEXT_FULL;
    uint32_t status = full || err->status == DT_USAGE || err->status == DT_UNSUPPORTED ? 400
                      : err->status == DT_CANCELLED || err->status == DT_NO_MEMORY     ? 503
                                                                                       : 500;
    dt_serve_job_fail(job, status, NULL, full ? "context_length_exceeded" : NULL, err->message);
}
