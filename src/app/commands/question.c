// SPDX-License-Identifier: MIT
#include "app/commands/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t dt_question_open(struct dt_app *app, dt_worker_function *yes, const char *text,
                          const char *no, bool stop)
{
    if (!app->question)
        app->question = calloc(1, sizeof *app->question);
    if (!app->question)
        return 0;
    app->question->yes = yes;
    app->question->no = no;
    app->question->stop = stop;
    snprintf(app->question->text, sizeof app->question->text, "%s", text);
    return ++app->question_number;
}

void dt_question_post(struct dt_report *report, uint32_t id, const char *question)
{
    struct dt_app_event event = {.type = DT_EVENT_ASK, .id = id};
    dt_events_post(&report->events, &event, question, strlen(question), NULL, NULL);
}

void dt_question_answer(struct dt_app *app, uint32_t id, bool yes)
{
    struct dt_question *question = app->question;
    if (!question || id == 0 || id != app->question_number || !question->yes)
        return;
    if (yes) {
        if (question->stop)
            dt_control_stop(&app->control);
        dt_requests_ask(&app->requests, question->yes, question->text, strlen(question->text),
                        !question->stop);
    } else {
        dt_report_notice(&app->report, DT_NOTICE_INFO, "%s", question->no);
    }
    question->yes = NULL; // one answer
}
