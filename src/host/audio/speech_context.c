// SPDX-License-Identifier: MIT
#include "host/audio/speech_context.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/memory.h"
#include "host/audio/wav.h"

// A child that neither reads nor writes for this long counts as hung, unless it only has too little
// of the processor: it is waited for so many times as long while its CPU time grows.
#define HANG_MILLISECONDS 10000u
#define HANG_STARVED      6u
// How much sound a text may have: the slowest voice speaks about four characters a second.
#define SOUND_SECONDS          30u
#define SOUND_SECONDS_PER_BYTE 1u
#define SOUND_BYTES_PER_SECOND 400000u // 48 kHz, two channels, 32 bits
#define TEXT_OUTPUT_BYTES      (1u << 20)
// Time to exit after the end of the output.
#define END_MILLISECONDS 2000

// ---- services ----

static void *allocate(void *host, size_t bytes)
{
    (void)host;
    return calloc(1, bytes ? bytes : 1);
}

static void release(void *host, void *block)
{
    (void)host;
    free(block);
}

static void log_line(void *host, int level, const char *line)
{
    (void)host;
    dt_log(level, "%s", line);
}

static int cancelled(void *host)
{
    struct dt_speech_context *context = host;
    return context->stop && atomic_load(&context->stop->set);
}

static int find_program(void *host, const char *name, char *path, size_t path_size)
{
    (void)host;
    return dt_child_find(name, path, path_size);
}

static uint64_t memory_available(void *host)
{
    struct dt_memory_facts facts;
    (void)host;
    dt_memory_facts(&facts);
    return facts.available;
}

// ---- running a child ----

// The output of a child while it is read.
struct output {
    const struct dt_speech_child *spec;
    struct dt_wav_parser parser;
    size_t text_used;
    uint64_t bytes, most_bytes; // of the output: read so far; more is an error
    uint64_t samples, most_seconds;
    int sink_result; // what the sink returned last
};

static dt_status play_samples(void *arg, const struct dt_wav_format *format, const int16_t *samples,
                              size_t n, struct dt_error *err)
{
    struct output *output = arg;
    output->samples += n;
    if (format->rate && output->samples / format->rate > output->most_seconds) {
        return dt_error_set(err, DT_BAD_INPUT, NULL, "is longer than the text explains");
    }
    output->sink_result =
        output->spec->sink->play(output->spec->sink->arg, format->rate, samples, n);
    return output->sink_result == DT_SPEECH_DONE
               ? DT_OK
               : dt_error_set(err, DT_CANCELLED, NULL, "cannot be played");
}

static dt_status read_output(struct output *output, const char *bytes, size_t n,
                             struct dt_error *err)
{
    const struct dt_speech_child *spec = output->spec;
    output->bytes += n;
    if (output->bytes > output->most_bytes) {
        return dt_error_set(err, DT_BAD_INPUT, NULL, "is longer than the text explains");
    }
    if (spec->output == DT_SPEECH_OUTPUT_WAV)
        return dt_wav_parser_push(&output->parser, bytes, n, err);
    if (spec->text_size > output->text_used + 1) {
        size_t part = spec->text_size - 1 - output->text_used;
        part = part < n ? part : n;
        memcpy(spec->text + output->text_used, bytes, part);
        output->text_used += part;
        spec->text[output->text_used] = '\0';
    }
    return DT_OK;
}

// Waits for the child once, for a step of patience, then feeds its input and reads its output.
static dt_status exchange(struct dt_child *child, struct dt_speech_context *context,
                          struct output *output, const char *input, size_t *left,
                          struct dt_error *err)
{
    char bytes[8192];
    struct pollfd fds[4] = {
        {.fd = child->out, .events = POLLIN},
        {.fd = child->in, .events = POLLOUT},
        {.fd = child->err, .events = POLLIN},
        {.fd = context->stop ? context->stop->fd : -1, .events = POLLIN},
    };
    int ready = poll(fds, 4, DT_PATIENCE_STEP);
    if (context->stop && atomic_load(&context->stop->set))
        return DT_CANCELLED;
    if (ready <= 0)
        return DT_OK;
    if (fds[2].revents)
        dt_child_read_error(child);
    if (fds[1].revents) {
        ssize_t n = dt_child_write(child, input, *left);
        *left -= n > 0 ? (size_t)n : 0;
        if (n < 0 || *left == 0)
            dt_child_close(&child->in);
    }
    if (fds[0].revents) {
        ssize_t n = read(child->out, bytes, sizeof bytes);
        if (n > 0)
            return read_output(output, bytes, (size_t)n, err);
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            dt_child_close(&child->out);
    }
    return DT_OK;
}

// Bounds the output by the text: the child's input, arguments and files.
static void bound_output(struct output *output)
{
    const struct dt_speech_child *spec = output->spec;
    uint64_t bytes = spec->input_length;
    for (size_t i = 0; spec->argv[i]; i++)
        bytes += strlen(spec->argv[i]);
    for (size_t i = 0; i < spec->file_count; i++)
        bytes += spec->files[i].length;
    output->most_seconds = SOUND_SECONDS + SOUND_SECONDS_PER_BYTE * bytes;
    output->most_bytes = spec->output == DT_SPEECH_OUTPUT_WAV
                             ? output->most_seconds * SOUND_BYTES_PER_SECOND
                             : TEXT_OUTPUT_BYTES;
}

// What run() returns; writes the reason of a failure. status: of the exchange with the child.
static int outcome(struct dt_speech_context *context, struct output *output,
                   const struct dt_child *child, const char *name, const struct dt_child_end *end,
                   int hang_milliseconds, dt_status status, struct dt_error *err, char *reason,
                   size_t reason_size)
{
    if (output->sink_result != DT_SPEECH_DONE)
        return output->sink_result;
    if (status == DT_CANCELLED)
        return DT_SPEECH_CANCELLED;
    if (context->hung) {
        dt_format(reason, reason_size, "%s hung: no output for %d s%s%s", name,
                  hang_milliseconds / 1000, child->line_length ? ": " : "",
                  child->line_length ? child->line : "");
        return DT_SPEECH_FAILED;
    }
    if (status == DT_OK && (end->code != 0 || end->signal)) {
        dt_child_describe(child, name, end, reason, reason_size);
        return DT_SPEECH_FAILED;
    }
    if (status == DT_OK && output->spec->output == DT_SPEECH_OUTPUT_WAV)
        status = dt_wav_parser_finish(&output->parser, err);
    if (status != DT_OK) {
        dt_format(reason, reason_size, "the output of %s %s", name, err->message);
        return DT_SPEECH_FAILED;
    }
    return DT_SPEECH_DONE;
}

// How long a child has made no progress.
struct progress {
    struct dt_patience patience;
    uint64_t cpu_ns, cpu_seen_ns; // the child's CPU time at its last progress and the last look
    uint32_t looks;
};

static void progress_made(struct progress *p, const struct dt_child *child)
{
    dt_patience_begin(&p->patience);
    p->cpu_ns = p->cpu_seen_ns = dt_child_cpu_ns(child);
    p->looks = 0;
}

// A voice runs below all others: on a busy machine it may get next to nothing of the processor.
static bool progress_is_over(struct progress *p, const struct dt_child *child,
                             uint32_t hang_milliseconds)
{
    if (!dt_patience_ends(&p->patience, hang_milliseconds))
        return false;
    uint64_t cpu = dt_child_cpu_ns(child);
    bool starved = cpu > p->cpu_seen_ns && cpu - p->cpu_ns < hang_milliseconds * UINT64_C(1000000);
    p->cpu_seen_ns = cpu;
    dt_patience_begin(&p->patience);
    return !starved || ++p->looks >= HANG_STARVED;
}

// dt_speech_host.run: feeds the child's input, passes its output on, and kills it on a stop or if
// it hangs.
static int run(void *host, const struct dt_speech_child *spec, char *reason, size_t reason_size)
{
    struct dt_speech_context *context = host;
    const char *name = spec->argv[0];
    struct dt_child child;
    struct dt_child_file files[DT_CHILD_FILES];
    struct dt_child_end end = {0};
    struct dt_error err = {0};
    struct output output = {.spec = spec};
    output.parser.sink = play_samples;
    output.parser.arg = &output;
    bound_output(&output);
    const char *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;

    context->hung = false;
    if (spec->output == DT_SPEECH_OUTPUT_TEXT && spec->text_size > 0)
        spec->text[0] = '\0';
    size_t file_count = spec->file_count < DT_CHILD_FILES ? spec->file_count : DT_CHILD_FILES;
    for (size_t i = 0; i < file_count; i++)
        files[i] = (struct dt_child_file){spec->files[i].bytes, spec->files[i].length};
    struct dt_child_spec start = {
        .argv = spec->argv,
        .pipes = DT_CHILD_STDOUT | DT_CHILD_STDERR | (spec->input_length ? DT_CHILD_STDIN : 0),
        .files = files,
        .file_count = file_count,
        .nice = context->nice,
    };
    dt_status status = dt_child_start(&child, &start, &err);
    if (status != DT_OK) {
        dt_error_line(&err, reason, reason_size);
        return DT_SPEECH_FAILED;
    }

    const char *input = spec->input_length ? spec->input : "";
    size_t left = spec->input_length;
    int hang_milliseconds =
        (int)(spec->hang_milliseconds ? spec->hang_milliseconds : context->hang_milliseconds);
    struct progress progress;
    progress_made(&progress, &child);
    while (status == DT_OK && child.out >= 0) {
        size_t before = left;
        uint64_t read_before = output.bytes;
        status = exchange(&child, context, &output, input, &left, &err);
        input += before - left;
        if (before != left || output.bytes != read_before)
            progress_made(&progress, &child);
        else // messages alone are no progress
            context->hung =
                status == DT_OK && progress_is_over(&progress, &child, (uint32_t)hang_milliseconds);
        if (context->hung)
            break;
    }
    bool ended = status == DT_OK && !context->hung &&
                 dt_child_wait(&child, END_MILLISECONDS, context->stop, &end);
    if (!ended) {
        bool stopped = context->stop && atomic_load(&context->stop->set);
        context->hung = context->hung || (status == DT_OK && !stopped);
        status = stopped ? DT_CANCELLED : status;
        dt_child_finish(&child, &end);
    }
    atomic_fetch_add(&context->cpu_ns, end.cpu_ns);

    return outcome(context, &output, &child, name, &end, hang_milliseconds, status, &err, reason,
                   reason_size);
}

void dt_speech_context_init(struct dt_speech_context *context, struct dt_stop *stop)
{
    memset(context, 0, sizeof *context);
    context->stop = stop;
    context->hang_milliseconds = HANG_MILLISECONDS;
    context->services = (struct dt_speech_host){
        .size = sizeof context->services,
        .host = context,
        .allocate = allocate,
        .release = release,
        .log = log_line,
        .cancelled = cancelled,
        .find_program = find_program,
        .run = run,
        .memory_available = memory_available,
    };
}
