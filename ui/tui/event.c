// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "../common/message.h"
#include "../common/setting.h"
#include "base/format.h"
#include "tui.h"

void tui_message(struct tui *ui, enum tui_text kind, const char *line)
{
    dt_format(ui->message, sizeof ui->message, "%s", line);
    ui->message_kind = kind;
    ui->message_is_progress = ui->message_is_state = ui->message_is_thinking = false;
    ui->dirty = true;
}

bool tui_shows_error(const struct tui *ui)
{
    return ui->message[0] && ui->message_kind == TUI_TEXT_ERROR;
}

void tui_greet(struct tui *ui)
{
    if (ui->api->state(ui->app) == DT_APP_IDLE && ui->turn_count == 0 && ui->story.length == 0 &&
        !tui_shows_error(ui))
        tui_message(ui, TUI_TEXT_NOTICE,
                    "Type how a story begins, or press Enter. Help: F1 or Ctrl-G");
}

static const char *state_text(enum dt_app_state state)
{
    switch (state) {
    case DT_APP_LOADING:
        return "opening the model";
    case DT_APP_SWAPPING:
        return "loading the backend";
    case DT_APP_COMPARING:
        return "comparing";
    case DT_APP_IDLE:
    case DT_APP_READING:
    case DT_APP_GENERATING:
    case DT_APP_SAVING:
        break;
    }
    return "";
}

static void state_changed(struct tui *ui, enum dt_app_state state)
{
    if (ui->message_is_progress || ui->message_is_state)
        tui_message(ui, TUI_TEXT_NOTICE, "");
    if (*state_text(state) && !tui_shows_error(ui)) {
        tui_message(ui, TUI_TEXT_NOTICE, state_text(state));
        ui->message_is_state = true;
    }
    if (!tui_story_running(ui))
        tui_story_flush_notices(ui);
    if (state == DT_APP_READING)
        ui->speed_count = 0;
    tui_greet(ui);
    ui->status_dirty = true;
}

static void turn_ended(struct tui *ui, enum dt_app_turn_end end)
{
    char line[128];
    tui_story_thinking_end(ui);
    tui_story_flush_notices(ui);
    if (ui_is_story_end(end) && !ui->api->story(ui->app)->chat)
        tui_message(ui, TUI_TEXT_NOTICE, UI_STORY_END);
    else if (end == DT_END_LENGTH)
        tui_message(ui, TUI_TEXT_NOTICE, ui_length_limit_text(ui->api, ui->app, line, sizeof line));
    else if (end == DT_END_STOPPED)
        tui_message(ui, TUI_TEXT_NOTICE,
                    "Stopped. /continue continues; /retry generates the turn again.");
    ui->status_dirty = true;
    ui->status_ns = 0; // draw the final figures at once
}

static void show_progress(struct tui *ui, const struct dt_app_event *e)
{
    if (e->done >= e->total) {
        if (ui->message_is_progress)
            tui_message(ui, TUI_TEXT_NOTICE, "");
        return;
    }
    char line[sizeof ui->message], progress[64], bar[21];
    for (unsigned i = 0; i < 20; i++)
        bar[i] = e->done * 20 > e->total * i ? '#' : '.';
    bar[20] = 0;
    dt_format(line, sizeof line, "%s [%s] %s", e->text, bar,
              ui_progress_text(e, progress, sizeof progress));
    tui_message(ui, TUI_TEXT_NOTICE, line);
    ui->message_is_progress = true;
}

static void show_output(struct tui *ui, const char *text, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    if (lines <= 3 && !tui_story_running(ui)) { // short enough for the story
        tui_story_lines(ui, TUI_TEXT_NOTICE, text, n && text[n - 1] == '\n' ? n - 1 : n);
        return;
    }
    free(ui->output);
    ui->output = strndup(text, n);
    tui_panel_open(ui, TUI_PANEL_OUTPUT);
}

static void ask(struct tui *ui, const struct dt_app_event *e)
{
    char line[sizeof ui->message];
    ui->question = e->id;
    ui->question_default = e->yes_default;
    dt_format(line, sizeof line, "%s %s", e->text, e->yes_default ? "[Y/n]" : "[y/N]");
    tui_message(ui, TUI_TEXT_USER, line);
}

static void edit(struct tui *ui, const char *text)
{
    ui->editing = true;
    tui_editor_set(&ui->input, text);
    tui_message(ui, TUI_TEXT_NOTICE,
                "Edit the text. Enter continues from it; Esc leaves it unchanged.");
    tui_panel_close(ui);
}

// Puts a prompt into the entry, unless something is being typed.
static void suggest(struct tui *ui, const char *text)
{
    if (ui->input.length > 0 || ui->editing) {
        tui_editor_remember(&ui->input, text);
        tui_message(ui, TUI_TEXT_NOTICE, "The prompt is in the history. Up shows it.");
        return;
    }
    tui_editor_set(&ui->input, text);
    ui->suggested = true;
}

static void setting_changed(struct tui *ui, int setting)
{
    if (setting == DT_SET_THEME) {
        tui_terminal_paint(&ui->terminal,
                           (enum tui_theme)ui_setting_choice(ui->api, ui->app, DT_SET_THEME));
        tui_redraw(ui);
    } else if (setting == DT_SET_SIZE) {
        tui_use_size(ui);
    } else if (setting == DT_SET_THINKING) {
        tui_story_rebuild(ui, 0);
    }
    ui->status_dirty = true;
}

static void figures_changed(struct tui *ui)
{
    const struct dt_app_figures *figures = ui->api->figures(ui->app);
    if (tui_story_running(ui) && figures->speed_now > 0)
        tui_status_note_speed(ui, figures->speed_now);
    ui->status_dirty = true;
}

static void library_changed(struct tui *ui, uint32_t search_id)
{
    if (search_id != ui->search_id || ui->panel != TUI_PANEL_LIBRARY)
        return;
    ui->selected = 0;
    tui_draw_sizes(ui);
}

// Events of a turn and its text. False: the event is another one.
static bool story_event(struct tui *ui, const struct dt_app_event *e)
{
    switch (e->type) {
    case DT_EVENT_TURN:
        tui_story_flush_notices(ui);
        tui_story_begin_turn(ui, e->turn);
        return true;
    case DT_EVENT_THOUGHT:
        tui_story_thought(ui, e->text, e->length);
        return true;
    case DT_EVENT_TEXT:
        tui_story_thought_end(ui);
        tui_story_append(ui, TUI_TEXT_STORY, e->text, e->length);
        return true;
    case DT_EVENT_TURN_END:
        turn_ended(ui, e->end);
        return true;
    case DT_EVENT_REDRAW:
        tui_story_rebuild(ui, e->turn);
        if (e->length)
            tui_message(ui, TUI_TEXT_NOTICE, e->text);
        return true;
    case DT_EVENT_NOTICE:
        tui_story_notice(ui, e->level, e->text, e->length);
        return true;
    case DT_EVENT_OUTPUT:
        show_output(ui, e->text, e->length);
        return true;
    default:
        return false;
    }
}

void tui_event(struct tui *ui, const struct dt_app_event *e)
{
    ui->dirty = true;
    if (story_event(ui, e))
        return;
    switch (e->type) {
    case DT_EVENT_STATE:
        state_changed(ui, e->state);
        break;
    case DT_EVENT_FIGURES:
        figures_changed(ui);
        break;
    case DT_EVENT_VOICE:
        ui->status_dirty = true;
        break;
    case DT_EVENT_PROGRESS:
        show_progress(ui, e);
        break;
    case DT_EVENT_ASK:
        ask(ui, e);
        break;
    case DT_EVENT_EDIT:
        edit(ui, e->text);
        break;
    case DT_EVENT_INPUT:
        suggest(ui, e->text);
        break;
    case DT_EVENT_SETTING:
        setting_changed(ui, e->setting);
        break;
    case DT_EVENT_MODEL:
        ui->status_dirty = true;
        ui->status_ns = 0;
        break;
    case DT_EVENT_BACKENDS:
    case DT_EVENT_MODELS:
    case DT_EVENT_COMPARE:
        tui_draw_sizes(ui);
        break;
    case DT_EVENT_LIBRARY:
        library_changed(ui, e->id);
        break;
    case DT_EVENT_COMMAND:
        tui_command_run(ui, e);
        break;
    case DT_EVENT_QUIT:
        ui->quit = true;
        break;
    default:
        break;
    }
}
