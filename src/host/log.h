// SPDX-License-Identifier: MIT
// Where notes for people go. The host never prints: whoever runs it (a verb, the app) says where
// lines go.
#ifndef DT_HOST_LOG_H
#define DT_HOST_LOG_H

enum dt_log_level {
    DT_LOG_DEBUG = 0, // the values of dt_services.log
    DT_LOG_INFO = 1,
    DT_LOG_WARNING = 2,
    DT_LOG_ERROR = 3,
};

// Gets one line, without a newline and free of control bytes. Called on the thread that has
// something to say.
typedef void dt_log_sink(void *arg, int level, const char *line);

// Where lines go from now on, and from which level; NULL: nowhere (as at the start). Set before
// other threads run.
void dt_log_set(dt_log_sink *sink, void *arg, int level);

// Formats (dt_format's rules) and passes the line on. Any thread.
void dt_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
