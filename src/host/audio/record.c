// SPDX-License-Identifier: MIT
// The microphone: records until the person has finished speaking.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "host/audio/sound.h"

enum {
    RATE = 16000,
    FRAME = RATE / 50, // 20 ms: loudness is judged by frames
    MOST_SECONDS = 12,
    FIRST_WORD_FRAMES = 6 * 50,
    LAST_WORD_FRAMES = 40, // 0.8 s of silence end what was said
    SPEECH_FRAMES = 8,     // less than 160 ms is a click
    SETTLING_FRAMES = 5,   // many cards begin with a click or with zeros
    QUIETEST = 150,        // mean magnitude below which nothing is speech
};

// Tells speech from silence by loudness against the quietest frames so far.
struct endpoint {
    uint32_t frames, speech, quiet;
    uint32_t floor; // of the loudness, slowly rising so that one very quiet frame does not spoil it
};

// True when the recording may end.
static bool heard_enough(struct endpoint *e, const int16_t *frame)
{
    uint32_t loudness = 0;
    for (int i = 0; i < FRAME; i++)
        loudness += (uint32_t)abs(frame[i]);
    loudness /= FRAME;
    e->frames++;
    if (e->frames <= SETTLING_FRAMES)
        return false;
    if (e->frames == SETTLING_FRAMES + 1 || loudness < e->floor)
        e->floor = loudness;
    else
        e->floor += e->floor / 200 + (e->frames % 8 == 0);
    bool speech = loudness > QUIETEST && loudness > 3 * e->floor;
    if (speech) {
        e->speech++;
        e->quiet = 0;
    } else {
        e->quiet++;
    }
    return e->speech >= SPEECH_FRAMES ? e->quiet >= LAST_WORD_FRAMES
                                      : e->frames >= FIRST_WORD_FRAMES;
}

dt_status dt_record(const struct dt_record_options *options, int16_t **samples, size_t *count,
                    struct dt_error *err)
{
    size_t most = (size_t)RATE * (options->seconds ? options->seconds : MOST_SECONDS);
    size_t bytes = 0, judged = 0;
    struct endpoint endpoint = {0};
    struct dt_child recorder;
    struct dt_child_end end = {0};
    const char *argv[] = {"arecord",
                          "-q",
                          "-t",
                          "raw",
                          "-f",
                          "S16_LE",
                          "-c",
                          "1",
                          "-r",
                          "16000",
                          options->device ? "-D" : NULL,
                          options->device,
                          NULL};
    struct dt_child_spec spec = {.argv = argv, .pipes = DT_CHILD_STDOUT | DT_CHILD_STDERR};
    struct dt_error what = {0};

    *samples = NULL;
    *count = 0;
    dt_status status = dt_child_start(&recorder, &spec, &what);
    if (status != DT_OK) {
        char line[768];
        return dt_error_set(err, status, NULL, "no microphone: %s (Debian: alsa-utils)",
                            dt_error_line(&what, line, sizeof line));
    }
    int16_t *buffer = malloc(most * sizeof *buffer);
    if (!buffer) {
        dt_child_finish(&recorder, NULL);
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %zu samples of sound", most);
    }
    bool enough = false, ended = false;
    while (status == DT_OK && !enough && bytes < most * sizeof *buffer) {
        struct pollfd fds[4] = {
            {.fd = recorder.out, .events = POLLIN},
            {.fd = recorder.err, .events = POLLIN},
            {.fd = options->enough ? options->enough->fd : -1, .events = POLLIN},
            {.fd = options->stop ? options->stop->fd : -1, .events = POLLIN},
        };
        poll(fds, 4, -1);
        if (options->stop && atomic_load(&options->stop->set))
            status = DT_CANCELLED;
        else if (options->enough && atomic_load(&options->enough->set))
            enough = true;
        if (fds[1].revents)
            dt_child_read_error(&recorder);
        if (!fds[0].revents)
            continue;
        ssize_t n = read(recorder.out, (char *)buffer + bytes, most * sizeof *buffer - bytes);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            ended = true;
            break;
        }
        bytes += n > 0 ? (size_t)n : 0;
        for (; !options->until_stopped && !enough && judged + FRAME <= bytes / sizeof *buffer;
             judged += FRAME)
            enough = heard_enough(&endpoint, buffer + judged);
        if (enough &&
            !options->until_stopped) // what came behind it in the same breath is no part of it
            bytes = judged * sizeof *buffer;
    }
    if (ended && dt_child_wait(&recorder, 1000, options->stop, &end) &&
        (end.code != 0 || end.signal)) {
        char line[320];
        status = dt_error_set(err, DT_FAILED, NULL, "no microphone: %s",
                              dt_child_describe(&recorder, "arecord", &end, line, sizeof line));
    }
    dt_child_finish(&recorder, NULL);
    if (status != DT_OK) {
        free(buffer);
        return status;
    }
    *samples = buffer;
    *count = bytes / sizeof *buffer;
    return DT_OK;
}
