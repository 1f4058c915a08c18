// SPDX-License-Identifier: MIT
#include "host/audio/sound.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"

void dt_sound_arguments(const char *argv[DT_SOUND_ARGUMENTS], const char *program, const char *rate,
                        const char *device)
{
    const char *const all[DT_SOUND_ARGUMENTS] = {
        program, "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", rate, device ? "-D" : NULL,
        device,  NULL};
    memcpy(argv, all, sizeof all);
}

static bool is_stopped(const struct dt_stop *stop)
{
    return stop && atomic_load(&stop->set);
}

void dt_sound_init(struct dt_sound *s, const char *wav_path, const char *device,
                   struct dt_stop *stop)
{
    memset(s, 0, sizeof *s);
    s->wav_path = wav_path;
    s->device = device;
    s->stop = stop;
    s->player.in = s->player.out = s->player.err = -1;
}

dt_status dt_sound_check(struct dt_sound *s, struct dt_error *err)
{
    if (s->wav_path) {
        // Any rate will do: this only reports early that the file cannot be written.
        if (s->writer.file)
            return DT_OK;
        return dt_wav_create(&s->writer, s->wav_path, 16000, err);
    }
    if (!dt_child_find("aplay", NULL, 0))
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "aplay, which plays sound, is not installed; install it (Debian: "
                            "alsa-utils) or write to a file with --speak-to FILE.wav");
    return DT_OK;
}

// ---- the player ----

static void end_player(struct dt_sound *s, const struct dt_child_end *end)
{
    s->cpu_ns += end->cpu_ns;
    s->rate = 0;
}

static dt_status player_failed(struct dt_sound *s, struct dt_error *err)
{
    char line[320];
    struct dt_child_end end = {0};
    if (!dt_child_wait(&s->player, 1000, s->stop, &end))
        dt_child_finish(&s->player, &end);
    end_player(s, &end);
    if (is_stopped(s->stop))
        return DT_CANCELLED;
    dt_child_describe(&s->player, "aplay", &end, line, sizeof line);
    return dt_error_set(err, DT_FAILED, NULL, "no sound: %s", line);
}

static dt_status start_player(struct dt_sound *s, uint32_t rate, struct dt_error *err)
{
    char rate_text[16];
    dt_format(rate_text, sizeof rate_text, "%u", rate);
    const char *argv[DT_SOUND_ARGUMENTS];
    dt_sound_arguments(argv, "aplay", rate_text, s->device);
    struct dt_child_spec spec = {.argv = argv, .pipes = DT_CHILD_STDIN | DT_CHILD_STDERR};
    dt_status status = dt_child_start(&s->player, &spec, err);
    s->rate = status == DT_OK ? rate : 0;
    return status;
}

static dt_status write_player(struct dt_sound *s, const int16_t *samples, size_t n,
                              struct dt_error *err)
{
    const char *bytes = (const char *)samples; // assumes a little-endian CPU: aplay reads S16_LE
    size_t left = n * sizeof *samples;
    while (left > 0) {
        struct pollfd fds[3] = {
            {.fd = s->player.in, .events = POLLOUT},
            {.fd = s->player.err, .events = POLLIN},
            {.fd = s->stop ? s->stop->fd : -1, .events = POLLIN},
        };
        poll(fds, 3, -1);
        if (is_stopped(s->stop))
            return DT_CANCELLED;
        if (fds[1].revents)
            dt_child_read_error(&s->player);
        if (!fds[0].revents)
            continue;
        ssize_t done = dt_child_write(&s->player, bytes, left);
        if (done < 0)
            return player_failed(s, err);
        bytes += done;
        left -= (size_t)done;
    }
    return DT_OK;
}

// ---- the file ----

static dt_status write_file(struct dt_sound *s, uint32_t rate, const int16_t *samples, size_t n,
                            struct dt_error *err)
{
    dt_status status = DT_OK;
    if (!s->writer.file || (s->rate == 0 && s->writer.samples == 0 && s->writer.rate != rate)) {
        dt_wav_close(&s->writer, NULL);
        status = dt_wav_create(&s->writer, s->wav_path, rate, err);
        if (status != DT_OK)
            return status;
    }
    s->rate = s->writer.rate;
    if (rate == s->writer.rate)
        return dt_wav_write(&s->writer, samples, n, err);
    if (!s->resampler || s->resampler_from != rate) {
        dt_resampler_free(s->resampler);
        s->resampler = NULL;
        status = dt_resampler_new(&s->resampler, rate, s->writer.rate, err);
        if (status != DT_OK)
            return status;
        s->resampler_from = rate;
    }
    int16_t *out = malloc(dt_resampler_capacity(s->resampler, n) * sizeof *out);
    if (!out)
        return dt_error_set(err, DT_NO_MEMORY, s->wav_path, "no memory to resample %zu samples", n);
    size_t made = dt_resampler_push(s->resampler, samples, n, false, out);
    status = dt_wav_write(&s->writer, out, made, err);
    free(out);
    return status;
}

// ---- both ----

dt_status dt_sound_write(struct dt_sound *s, uint32_t rate, const int16_t *samples, size_t n,
                         struct dt_error *err)
{
    dt_status status = DT_OK;
    if (is_stopped(s->stop))
        return DT_CANCELLED;
    if (s->wav_path) {
        status = write_file(s, rate, samples, n, err);
    } else {
        if (s->player.pid > 0 && s->rate != rate)
            status = dt_sound_drain(s, err);
        if (status == DT_OK && s->player.pid <= 0)
            status = start_player(s, rate, err);
        if (status == DT_OK)
            status = write_player(s, samples, n, err);
    }
    if (status == DT_OK)
        s->duration_ns += (uint64_t)n * 1000000000u / rate;
    return status;
}

dt_status dt_sound_drain(struct dt_sound *s, struct dt_error *err)
{
    struct dt_child_end end = {0};
    if (s->player.pid <= 0)
        return is_stopped(s->stop) ? DT_CANCELLED : DT_OK;
    dt_child_close(&s->player.in);
    if (!dt_child_wait(&s->player, -1, s->stop, &end)) {
        dt_sound_silence(s);
        return DT_CANCELLED;
    }
    end_player(s, &end);
    if (end.code != 0 || end.signal) {
        char line[320];
        return dt_error_set(err, DT_FAILED, NULL, "no sound: %s",
                            dt_child_describe(&s->player, "aplay", &end, line, sizeof line));
    }
    return DT_OK;
}

void dt_sound_silence(struct dt_sound *s)
{
    struct dt_child_end end = {0};
    if (s->player.pid <= 0)
        return;
    dt_child_finish(&s->player, &end);
    end_player(s, &end);
}

dt_status dt_sound_close(struct dt_sound *s, struct dt_error *err)
{
    dt_sound_silence(s);
    dt_resampler_free(s->resampler);
    s->resampler = NULL;
    return dt_wav_close(&s->writer, err);
}
