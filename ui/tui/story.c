// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "../common/message.h"
#include "../common/setting.h"
#include "base/format.h"
#include "tui.h"

bool tui_story_running(const struct tui *ui)
{
    enum dt_app_state state = ui->api->state(ui->app);
    return state == DT_APP_READING || state == DT_APP_GENERATING || state == DT_APP_SWAPPING;
}

void tui_story_append(struct tui *ui, enum tui_text kind, const char *text, size_t n)
{
    bool utf8 = ui->charset == DT_CHARSET_UTF8;
    char substituted[3 * TUI_SUBSTITUTE_MAX + 32];
    for (size_t piece; n > 0; text += piece, n -= piece) {
        piece = utf8 ? n : tui_substitute_length(text, n);
        size_t length = utf8 ? n : tui_substitute(ui, text, piece, substituted);
        size_t row = tui_layout_append(&ui->story, kind, utf8 ? text : substituted, length);
        if (row < ui->changed_row)
            ui->changed_row = row;
    }
    if (ui->story.failed)
        tui_message(ui, TUI_TEXT_ERROR,
                    "Out of memory: the screen lacks text from here on. The story has it.");
    size_t dropped = tui_layout_trim(&ui->story, TUI_SCROLLBACK);
    if (dropped) { // row numbers move with the text
        ui->top -= dropped < ui->top ? dropped : ui->top;
        ui->changed_row -= dropped < ui->changed_row ? dropped : ui->changed_row;
        ui->drawn_top = SIZE_MAX;
    }
    ui->dirty = true;
}

static bool at_line_begin(const struct tui *ui)
{
    return ui->story.length == 0 || ui->story.text[ui->story.length - 1] == '\n';
}

void tui_story_lines(struct tui *ui, enum tui_text kind, const char *lines, size_t n)
{
    if (!at_line_begin(ui))
        tui_story_append(ui, kind, "\n", 1);
    tui_story_append(ui, kind, lines, n);
    tui_story_append(ui, kind, "\n", 1);
}

// ---- notices ----

void tui_story_notice(struct tui *ui, enum dt_app_level level, const char *line, size_t n)
{
    enum tui_text kind = level == DT_NOTICE_ERROR ? TUI_TEXT_ERROR : TUI_TEXT_NOTICE;
    bool running = tui_story_running(ui);
    bool hidden = running || !ui->follow || ui->panel != TUI_PANEL_NONE; // not visible in the story
    if (!tui_shows_error(ui) || (hidden && kind == TUI_TEXT_ERROR))
        tui_message(ui, kind, hidden ? line : "");
    if (!running) {
        tui_story_lines(ui, kind, line, n);
        if (ui->story.failed)
            tui_message(ui, kind, line);
        return;
    }
    char *more = realloc(ui->pending_notices, ui->pending_length + n + 2);
    if (!more)
        return; // it is visible above the input
    memcpy(more + ui->pending_length, line, n);
    more[ui->pending_length + n] = '\n';
    ui->pending_notices = more;
    ui->pending_length += n + 1;
}

void tui_story_flush_notices(struct tui *ui)
{
    if (!ui->pending_length)
        return;
    tui_story_lines(ui, TUI_TEXT_NOTICE, ui->pending_notices, ui->pending_length - 1);
    ui->pending_length = 0;
}

// ---- turns ----

static bool note_turn(struct tui *ui, size_t turn)
{
    if (turn >= ui->turn_size) {
        size_t size = (turn + 16) * 2;
        size_t *more = realloc(ui->turn_begin, size * sizeof *more);
        if (!more)
            return false;
        ui->turn_begin = more;
        ui->turn_size = size;
    }
    ui->turn_begin[turn] = ui->story.dropped + ui->story.length;
    ui->turn_count = turn + 1;
    return true;
}

// A turn's prompt before its text. In story mode the two are one text.
static void append_prompt(struct tui *ui, const char *prompt, size_t n)
{
    bool chat = ui->api->story(ui->app)->chat;
    if (chat && n) {
        if (!at_line_begin(ui))
            tui_story_append(ui, TUI_TEXT_STORY, "\n", 1);
        if (ui->story.length)
            tui_story_append(ui, TUI_TEXT_STORY, "\n", 1);
        tui_story_append(ui, TUI_TEXT_USER, "> ", 2);
    } else if (ui->story.length && !at_line_begin(ui) && ui->turn_count <= 1) {
        tui_story_append(ui, TUI_TEXT_STORY, "\n", 1);
    }
    tui_story_append(ui, TUI_TEXT_USER, prompt, n);
    if (chat && n)
        tui_story_append(ui, TUI_TEXT_STORY, "\n\n", 2);
}

void tui_story_begin_turn(struct tui *ui, size_t number)
{
    struct dt_app_turn turn;
    if (number < ui->turn_count || !note_turn(ui, number) || !ui->api->turn(ui->app, number, &turn))
        return;
    tui_story_thought_end(ui);
    if (ui->story.failed) { // perhaps there is memory again
        tui_story_rebuild(ui, 0);
        return;
    }
    append_prompt(ui, turn.prompt, turn.prompt_length);
}

// That the model thinks, before the message that is shown already.
static void show_thinking(struct tui *ui)
{
    if (ui->message_is_thinking || ui->question)
        return;
    char line[sizeof ui->message];
    bool keeps = ui->message[0] && !ui->message_is_progress && !ui->message_is_state;
    dt_format(line, sizeof line, "%s%s%s", UI_THINKING, keeps ? " " : "", keeps ? ui->message : "");
    tui_message(ui, keeps ? ui->message_kind : TUI_TEXT_NOTICE, line);
    ui->message_is_thinking = true;
}

void tui_story_thinking_end(struct tui *ui)
{
    char line[sizeof ui->message];
    if (!ui->message_is_thinking)
        return;
    const char *rest = ui->message + strlen(UI_THINKING);
    dt_format(line, sizeof line, "%s", rest + (*rest == ' '));
    tui_message(ui, ui->message_kind, line);
}

void tui_story_thought(struct tui *ui, const char *text, size_t n)
{
    if (!ui_thoughts_are_shown(ui->api, ui->app, true)) {
        show_thinking(ui);
        return;
    }
    if (!ui->thinking && !ui->terminal.dims)
        tui_story_append(ui, TUI_TEXT_THOUGHT, "<think>\n", 8);
    ui->thinking = true;
    tui_story_append(ui, TUI_TEXT_THOUGHT, text, n);
}

void tui_story_thought_end(struct tui *ui)
{
    tui_story_thinking_end(ui);
    if (!ui->thinking)
        return;
    ui->thinking = false;
    if (!ui->terminal.dims)
        tui_story_append(ui, TUI_TEXT_THOUGHT, "\n</think>", 9);
    tui_story_append(ui, TUI_TEXT_STORY, "\n\n", 2);
}

void tui_story_rebuild(struct tui *ui, size_t from)
{
    if (from < ui->turn_count && ui->turn_begin[from] >= ui->story.dropped) {
        tui_layout_truncate(&ui->story, ui->turn_begin[from] - ui->story.dropped);
    } else if (from < ui->turn_count) { // its beginning was dropped from the layout
        tui_layout_truncate(&ui->story, 0);
    }
    ui->turn_count = from < ui->turn_count ? from : ui->turn_count;
    ui->thinking = false;
    struct dt_app_turn turn;
    for (size_t i = ui->turn_count; ui->api->turn(ui->app, i, &turn); i++) {
        if (!note_turn(ui, i))
            break;
        append_prompt(ui, turn.prompt, turn.prompt_length);
        if (turn.thought_length && ui_thoughts_are_shown(ui->api, ui->app, true))
            tui_story_thought(ui, turn.thought, turn.thought_length);
        if (turn.text_length)
            tui_story_thought_end(ui);
        tui_story_append(ui, TUI_TEXT_STORY, turn.text, turn.text_length);
    }
    ui->drawn_top = SIZE_MAX;
    ui->changed_row = 0;
    ui->follow = true;
    ui->dirty = true;
}
