// SPDX-License-Identifier: MIT
// Recording with end-point detection.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/audio/sound.h"

enum {
    RATE = 16000,
    SAMPLE = sizeof(int16_t),
    FRAME = RATE / 50, // 20 ms; loudness is measured a frame
    MOST_SECONDS = 12,
    FIRST_WORD_FRAMES = 6 * 50, // without speech until then, the recording ends
    LAST_WORD_FRAMES = 40,      // 0.8 s of silence end it
    SPEECH_FRAMES = 8,          // fewer than that (160 ms) are a click
    SETTLING_FRAMES = 5,        // ignored: many cards start with a click or with zeros
    QUIETEST = 150,             // a frame of a lower mean magnitude is silence
};

// Distinguishes speech from silence by the loudness of a frame against the quietest frames before.
struct endpoint {
    uint32_t frames, speech, quiet;
    uint32_t silence; // its loudness; rises slowly, to recover from one very quiet frame
};

// Judges the next frame. True if the recording is complete.
static bool is_complete(struct endpoint *e, const int16_t *frame)
{
    uint32_t loudness = 0;
    for (int i = 0; i < FRAME; i++)
        loudness += (uint32_t)abs(frame[i]);
    loudness /= FRAME;
    e->frames++;
    if (e->frames <= SETTLING_FRAMES)
        return false;
    if (e->frames == SETTLING_FRAMES + 1 || loudness < e->silence)
        e->silence = loudness;
    else
        e->silence += e->silence / 200 + (e->frames % 8 == 0);
    bool speech = loudness > QUIETEST && loudness > 3 * e->silence;
    if (speech) {
        e->speech++;
        e->quiet = 0;
    } else {
        e->quiet++;
    }
    return e->speech >= SPEECH_FRAMES ? e->quiet >= LAST_WORD_FRAMES
                                      : e->frames >= FIRST_WORD_FRAMES;
}

// A recording in progress.
struct recording {
    const struct dt_record_options *options;
    struct dt_child recorder;
    struct endpoint endpoint;
    int16_t *samples;
    size_t bytes, capacity; // of samples, in bytes
    size_t judged;          // samples that the end-point detection has seen
    bool enough, ended;     // complete; the recorder closed its output
};

// Waits for the recorder once and reads what it recorded.
static dt_status read_recorder(struct recording *r)
{
    const struct dt_record_options *options = r->options;
    struct pollfd fds[4] = {
        {.fd = r->recorder.out, .events = POLLIN},
        {.fd = r->recorder.err, .events = POLLIN},
        {.fd = options->enough ? options->enough->fd : -1, .events = POLLIN},
        {.fd = options->stop ? options->stop->fd : -1, .events = POLLIN},
    };
    dt_status status = DT_OK;
    poll(fds, 4, -1);
    if (options->stop && atomic_load(&options->stop->set))
        status = DT_CANCELLED;
    else if (options->enough && atomic_load(&options->enough->set))
        r->enough = true;
    if (fds[1].revents)
        dt_child_read_error(&r->recorder);
    if (!fds[0].revents)
        return status;
    ssize_t n = read(r->recorder.out, (char *)r->samples + r->bytes, r->capacity - r->bytes);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        r->ended = true;
        return status;
    }
    r->bytes += n > 0 ? (size_t)n : 0;
    for (; !options->until_stopped && !r->enough && r->judged + FRAME <= r->bytes / SAMPLE;
         r->judged += FRAME)
        r->enough = is_complete(&r->endpoint, r->samples + r->judged);
    if (r->enough && !options->until_stopped) // drop what was read beyond the end point
        r->bytes = r->judged * SAMPLE;
    return status;
}

dt_status dt_record(const struct dt_record_options *options, int16_t **samples, size_t *count,
                    struct dt_error *err)
{
    size_t most = (size_t)RATE * (options->seconds ? options->seconds : MOST_SECONDS);
    struct recording r = {.options = options, .capacity = most * SAMPLE};
    struct dt_child_end end = {0};
    struct dt_error what = {0};
    const char *argv[DT_SOUND_ARGUMENTS];
    struct dt_child_spec spec = {.argv = argv, .pipes = DT_CHILD_STDOUT | DT_CHILD_STDERR};

    *samples = NULL;
    *count = 0;
    dt_sound_arguments(argv, "arecord", "16000", options->device);
    dt_status status = dt_child_start(&r.recorder, &spec, &what);
    if (status != DT_OK) {
        char line[768];
        return dt_error_set(err, status, NULL, "no microphone: %s (Debian: alsa-utils)",
                            dt_error_line(&what, line, sizeof line));
    }
    r.samples = malloc(r.capacity);
    if (!r.samples) {
        dt_child_finish(&r.recorder, NULL);
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %zu samples of sound", most);
    }
    while (status == DT_OK && !r.enough && !r.ended && r.bytes < r.capacity)
        status = read_recorder(&r);
    if (r.ended && dt_child_wait(&r.recorder, 1000, options->stop, &end) &&
        (end.code != 0 || end.signal)) {
        char line[320];
        status = dt_error_set(err, DT_FAILED, NULL, "no microphone: %s",
                              dt_child_describe(&r.recorder, "arecord", &end, line, sizeof line));
    }
    dt_child_finish(&r.recorder, NULL);
    if (status != DT_OK) {
        free(r.samples);
        return status;
    }
    *samples = r.samples;
    *count = r.bytes / SAMPLE;
    return DT_OK;
}
