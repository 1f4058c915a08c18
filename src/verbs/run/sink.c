// SPDX-License-Identifier: MIT
#include "verbs/run/sink.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/format.h"

void dt_sink_init(struct dt_sink *sink, int fd)
{
    sink->fd = fd;
    sink->failure = 0;
    sink->held = NULL;
}

bool dt_sink_fail(struct dt_sink *sink, int failure)
{
    if (!sink->failure)
        sink->failure = failure ? failure : EIO;
    return false;
}

bool dt_sink_hold(struct dt_sink *sink, struct dt_string_buffer *held)
{
    const struct dt_string_buffer *kept = sink->held;
    sink->held = held;
    return held || !kept || dt_sink_write(sink, kept->text, kept->length);
}

bool dt_sink_write(struct dt_sink *sink, const char *text, size_t n)
{
    if (sink->held) {
        dt_string_buffer_append(sink->held, text, n);
        return true;
    }
    while (n > 0 && !sink->failure) {
        ssize_t wrote = write(sink->fd, text, n);
        if (wrote >= 0) {
            text += wrote;
            n -= (size_t)wrote;
        } else if (errno == EAGAIN) { // another process made the terminal non-blocking
            struct pollfd wait = {.fd = sink->fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            dt_sink_fail(sink, errno);
        }
    }
    return !sink->failure;
}

bool dt_sink_format(struct dt_sink *sink, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    size_t n = dt_vformat(text, sizeof text, format, args);
    va_end(args);
    return dt_sink_write(sink, text, n < sizeof text ? n : sizeof text - 1);
}
