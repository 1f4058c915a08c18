// SPDX-License-Identifier: MIT
// Questions before something is lost: /delete, and files that exist. One can be open at a time.
#ifndef DT_APP_QUESTION_H
#define DT_APP_QUESTION_H

#include "app/session.h"

// What follows the answer.
struct dt_question {
    dt_worker_function *yes; // on the worker, with `text`
    char text[4096];
    const char *no; // the notice after the answer no
    bool stop;      // yes stops what runs first
};

// Opens a question that replaces an open one. Returns its number for DT_EVENT_ASK.
uint32_t dt_question_open(struct dt_app *app, dt_worker_function *yes, const char *text,
                          const char *no, bool stop);

// Posts DT_EVENT_ASK. The default answer is no. Any thread.
void dt_question_post(struct dt_report *report, uint32_t id, const char *question);

// As answer() of struct dt_app_api.
void dt_question_answer(struct dt_app *app, uint32_t id, bool yes);

#endif
