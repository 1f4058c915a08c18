// SPDX-License-Identifier: MIT
// All keys in one table: code, function, and the text for the help panel.
#include <stdio.h>
#include <string.h>

#include "../common/setting.h"
#include "base/text.h"
#include "tui.h"

#define CTRL(letter) ((letter)&31)

static void enter(struct tui *ui)
{
    if (ui->input.length &&
        ui->input.text[ui->input.length - 1] == '\\') { // the entry gets another line
        tui_editor_end(&ui->input);
        ui->input.cursor = ui->input.length;
        tui_editor_backspace(&ui->input);
        tui_editor_insert(&ui->input, "\n", 1);
        return;
    }
    tui_editor_finish(&ui->input, ui->finished, sizeof ui->finished);
    if (*ui->finished)
        ui->api->remember(ui->app, ui->finished);
    tui_message(ui, TUI_TEXT_NOTICE, "");
    tui_input(ui, ui->finished);
}

static void newline(struct tui *ui)
{
    tui_editor_insert(&ui->input, "\n", 1);
}

// Ends listening, or says that reading aloud ends. False if neither is active.
static bool hush(struct tui *ui)
{
    const struct dt_app_voice *voice = ui->api->voice(ui->app);
    if (voice->listening)
        tui_commandf(ui, "/listen off");
    else if (voice->speaking)
        tui_message(ui, TUI_TEXT_NOTICE,
                    "Reading stopped. The next turn is read aloud again; /speak off turns it off.");
    else
        return false;
    return true;
}

// Stops the turn, reading aloud or listening. False if none of them is active.
static bool stop(struct tui *ui)
{
    enum dt_app_state state = ui->api->state(ui->app);
    // A turn that is being saved has its whole text; only its voice can be stopped.
    bool hushed = (state == DT_APP_IDLE || state == DT_APP_SAVING) && hush(ui);
    ui->api->stop(ui->app);
    return hushed || state != DT_APP_IDLE;
}

static void interrupt(struct tui *ui)
{
    if (stop(ui))
        return;
    if (ui->input.length || ui->editing) {
        tui_editor_clear(&ui->input);
        ui->editing = false;
        tui_message(ui, TUI_TEXT_NOTICE, "");
    } else if (ui_setting_is(ui->api, ui->app, DT_SET_INTERRUPT, "quit")) {
        tui_commandf(ui, "/quit");
    } else {
        tui_message(ui, TUI_TEXT_NOTICE,
                    "Press Ctrl-D or F10, or enter /quit, to leave. The story is saved.");
    }
}

static void escape(struct tui *ui)
{
    if (ui->panel != TUI_PANEL_NONE)
        tui_panel_close(ui);
    else if (ui->input.searching)
        tui_editor_search_end(&ui->input, false);
    else if (!stop(ui) && ui->editing) {
        ui->editing = false;
        tui_editor_clear(&ui->input);
        tui_message(ui, TUI_TEXT_NOTICE, "The text is unchanged.");
    }
}

// Push-to-talk with two presses, because terminals do not report released keys: the second one ends
// the recording.
static void listen(struct tui *ui)
{
    tui_commandf(ui, "/listen");
}

static void end_of_input(struct tui *ui)
{
    if (ui->input.length)
        tui_editor_delete(&ui->input);
    else
        tui_commandf(ui, "/quit");
}

static void quit(struct tui *ui)
{
    tui_commandf(ui, "/quit");
}

static void up(struct tui *ui)
{
    if (!tui_editor_up(&ui->input))
        beep();
}

static void down(struct tui *ui)
{
    if (!tui_editor_down(&ui->input))
        beep();
}

static void page_up(struct tui *ui)
{
    tui_scroll(ui, -(ui->story_rows > 2 ? ui->story_rows - 1 : 1));
}

static void page_down(struct tui *ui)
{
    tui_scroll(ui, ui->story_rows > 2 ? ui->story_rows - 1 : 1);
}

static void to_top(struct tui *ui)
{
    tui_scroll(ui, -(long)ui->story.row_count);
}

static void to_end(struct tui *ui)
{
    tui_scroll(ui, (long)ui->story.row_count);
}

static void search(struct tui *ui)
{
    if (ui->input.searching)
        tui_editor_search_again(&ui->input);
    else
        tui_editor_search(&ui->input);
}

// Inserts the only candidate; of several, inserts their common beginning and lists them.
static void complete(struct tui *ui)
{
    const struct dt_app_completion *c =
        ui->api->complete(ui->app, ui->input.text, ui->input.cursor);
    if (!c || c->count == 0) {
        beep();
        return;
    }
    size_t common = strlen(c->words[0]);
    for (size_t i = 1; i < c->count; i++) {
        size_t same = 0;
        while (same < common && c->words[i][same] == c->words[0][same])
            same++;
        common = same;
    }
    size_t typed = ui->input.cursor - c->from;
    if (common >= typed) {
        while (ui->input.cursor > c->from)
            tui_editor_backspace(&ui->input);
        tui_editor_insert(&ui->input, c->words[0], common);
    }
    if (c->count == 1) {
        if (c->suffix)
            tui_editor_insert(&ui->input, &c->suffix, 1);
        if (c->hints && c->hints[0])
            tui_message(ui, TUI_TEXT_NOTICE, c->hints[0]);
        return;
    }
    char line[512] = "";
    for (size_t i = 0; i < c->count && strlen(line) + strlen(c->words[i]) + 8 < sizeof line; i++) {
        strcat(line, i ? "  " : "");
        strcat(line, c->words[i]);
    }
    tui_message(ui, TUI_TEXT_NOTICE, line);
}

#define EDITOR(name, function)                                                                     \
    static void name(struct tui *ui)                                                               \
    {                                                                                              \
        function(&ui->input);                                                                      \
    }
EDITOR(left, tui_editor_left)
EDITOR(right, tui_editor_right)
EDITOR(word_left, tui_editor_word_left)
EDITOR(word_right, tui_editor_word_right)
EDITOR(home, tui_editor_home)
EDITOR(end, tui_editor_end)
EDITOR(backspace, tui_editor_backspace)
EDITOR(delete, tui_editor_delete)
EDITOR(kill_end, tui_editor_kill_end)
EDITOR(kill_begin, tui_editor_kill_begin)
EDITOR(kill_word, tui_editor_kill_word)
EDITOR(yank, tui_editor_yank)
#undef EDITOR

#define PANEL(name, id)                                                                            \
    static void name(struct tui *ui)                                                               \
    {                                                                                              \
        tui_panel_open(ui, id);                                                                    \
    }
PANEL(panel_help, TUI_PANEL_HELP)
PANEL(panel_sampling, TUI_PANEL_SAMPLING)
PANEL(panel_backends, TUI_PANEL_BACKENDS)
PANEL(panel_models, TUI_PANEL_MODELS)
PANEL(panel_library, TUI_PANEL_LIBRARY)
#undef PANEL

// `always`: works while a panel is open, before the panel gets the key.
static const struct {
    int key;     // a curses key code, or 0
    int control; // the control character that does the same on every terminal, or 0
    bool always;
    void (*run)(struct tui *ui);
    const char *keys, *help;
} table[] = {
    {KEY_F(1), CTRL('g'), true, panel_help, "F1  Ctrl-G  /help", "this help"},
    {KEY_F(2), CTRL('t'), true, panel_sampling, "F2  Ctrl-T  /panel sampling",
     "temperature and others, also during a story"},
    {KEY_F(3), CTRL('x'), true, panel_backends, "F3  Ctrl-X  /panel backends",
     "switch in mid-story; compare two"},
    {KEY_F(4), CTRL('o'), true, panel_models, "F4  Ctrl-O  /panel models",
     "models, their size, whether they fit"},
    {KEY_F(5), CTRL('f'), true, panel_library, "F5  Ctrl-F  /panel library",
     "saved stories: search, open, export"},
    {KEY_F(6), CTRL('v'), true, listen, "F6  Ctrl-V  /listen",
     "speak instead of typing; press again to end"},
    {KEY_F(10), 0, true, quit, "F10  Ctrl-D on an empty line  /quit", "leave; the story is saved"},
    {KEY_ENTER, CTRL('m'), false, enter, "Enter", "enter; on an empty line, continue the story"},
    {0, CTRL('j'), false, newline, "Ctrl-J, or \\ and Enter", "a new line in the entry"},
    {0, CTRL('c'), true, interrupt, "Ctrl-C", "stop the story or the voice; clear the entry"},
    {0, 27, true, escape, "Esc", "close the panel, or stop"},
    {KEY_PPAGE, CTRL('p'), false, page_up, "PgUp  Ctrl-P", "scroll up"},
    {KEY_NPAGE, CTRL('n'), false, page_down, "PgDn  Ctrl-N", "scroll down"},
    {KEY_SHOME, 0, false, to_top, "Shift-Home  Alt-<  /scroll top", "scroll to the beginning"},
    {TUI_KEY_ALT + '<', 0, false, to_top, NULL, NULL},
    {KEY_SEND, 0, false, to_end, "Shift-End  Alt->  /scroll end", "scroll to the end"},
    {TUI_KEY_ALT + '>', 0, false, to_end, NULL, NULL},
    {KEY_UP, 0, false, up, "Up", "a line up, or the entry before"},
    {KEY_DOWN, 0, false, down, "Down", "a line down, or the entry after"},
    {0, CTRL('r'), false, search, "Ctrl-R", "search earlier entries"},
    {0, CTRL('i'), false, complete, "Tab", "complete commands, settings, backends, models, files"},
    {KEY_LEFT, CTRL('b'), false, left, "Left  Ctrl-B", "a character back"},
    {KEY_RIGHT, 0, false, right, "Right", "a character forward"},
    {KEY_SLEFT, 0, false, word_left, "Shift-Left  Alt-B", "a word back"},
    {TUI_KEY_ALT + 'b', 0, false, word_left, NULL, NULL},
    {KEY_SRIGHT, 0, false, word_right, "Shift-Right  Alt-F", "a word forward"},
    {TUI_KEY_ALT + 'f', 0, false, word_right, NULL, NULL},
    {KEY_HOME, CTRL('a'), false, home, "Home  Ctrl-A", "beginning of the line"},
    {KEY_END, CTRL('e'), false, end, "End  Ctrl-E", "end of the line"},
    {KEY_BACKSPACE, CTRL('h'), false, backspace, "Backspace", "delete the character before"},
    {0, 127, false, backspace, NULL, NULL},
    {KEY_DC, 0, false, delete, "Del  Ctrl-D", "delete the character after"},
    {0, CTRL('d'), false, end_of_input, NULL, NULL},
    {0, CTRL('k'), false, kill_end, "Ctrl-K", "cut to the end of the line"},
    {0, CTRL('u'), false, kill_begin, "Ctrl-U", "cut to the beginning of the line"},
    {0, CTRL('w'), false, kill_word, "Ctrl-W", "cut the word before"},
    {0, CTRL('y'), false, yank, "Ctrl-Y", "insert the text cut last"},
    {0, CTRL('l'), true, tui_measure, "Ctrl-L", "measure the terminal, redraw the screen"},
    {0, CTRL('z'), true, tui_suspend, "Ctrl-Z", "stop the program (the shell's fg continues it)"},
};

bool tui_key_help(size_t i, const char **keys, const char **help)
{
    size_t seen = 0;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        if (!table[k].keys || seen++ != i)
            continue;
        *keys = table[k].keys;
        *help = table[k].help;
        return true;
    }
    return false;
}

static void type(struct tui *ui, wint_t wide)
{
    char bytes[4];
    size_t n = dt_utf8_encode((uint32_t)wide, bytes);
    if (ui->input.searching)
        tui_editor_search_add(&ui->input, bytes, n);
    else if (!tui_editor_insert(&ui->input, bytes, n))
        tui_message(ui, TUI_TEXT_ERROR, "The entry is full (16 KiB).");
}

static bool answer(struct tui *ui, int key, wint_t wide)
{
    bool enter = key == KEY_ENTER || wide == CTRL('m') || wide == CTRL('j');
    bool no = wide == 'n' || wide == 'N' || wide == 27 || wide == CTRL('c') ||
              (enter && !ui->question_default);
    bool yes = wide == 'y' || wide == 'Y' || (enter && ui->question_default);
    if (!yes && !no)
        return false;
    uint32_t id = ui->question;
    ui->question = 0;
    tui_message(ui, TUI_TEXT_NOTICE, "");
    if (id == TUI_QUESTION_SAVE)
        tui_command_answer(ui, yes);
    else
        ui->api->answer(ui->app, id, yes);
    return true;
}

// Whether nothing but a key ends the turn that is being generated, and this may be that key: a
// command, or an entry that is being typed, is not.
static bool ends_endless_turn(struct tui *ui)
{
    return ui->panel == TUI_PANEL_NONE && ui->input.length == 0 && !ui->input.searching &&
           ui->api->state(ui->app) == DT_APP_GENERATING &&
           ui_setting_is(ui->api, ui->app, DT_SET_LENGTH, "0") &&
           (ui_setting_is(ui->api, ui->app, DT_SET_OVERFLOW, "shift") ||
            ui_setting_is(ui->api, ui->app, DT_SET_OVERFLOW, "window"));
}

void tui_key(struct tui *ui, int key, wint_t wide)
{
    bool suggested = ui->suggested;
    ui->dirty = true;
    ui->suggested = false;
    if (key == TUI_KEY_PASTE_BEGIN || key == TUI_KEY_PASTE_END) {
        ui->pasting = key == TUI_KEY_PASTE_BEGIN;
        return;
    }
    if (ui->pasting && !key) { // a paste is one entry, with its newlines
        if (wide == CTRL('m') || wide == CTRL('j'))
            newline(ui);
        else if (wide == CTRL('i') || (wide >= 32 && wide != 127))
            type(ui, wide);
        return;
    }
    if (ui->question && answer(ui, key, wide))
        return;
    if (!key && wide >= 32 && wide != '/' && ends_endless_turn(ui))
        ui->api->stop(ui->app);
    if (suggested && !key && wide == '/' && ui->panel == TUI_PANEL_NONE)
        tui_editor_clear(&ui->input); // a command, not the end of the prompt that was put there
    if (!ui->message_is_progress && !ui->question)
        tui_message(ui, TUI_TEXT_NOTICE, "");
    int found = -1;
    for (size_t k = 0; k < sizeof table / sizeof *table && found < 0; k++) {
        if ((key && table[k].key == key) || (!key && wide && table[k].control == (int)wide))
            found = (int)k;
    }
    if (found >= 0 && table[found].always) {
        table[found].run(ui);
        return;
    }
    // With a panel open, an entry can be continued but not begun: the first character goes to the
    // panel. In the library, all of them go to the search.
    bool to_entry = !key && (wide >= 32 || wide == CTRL('m')) && ui->input.length &&
                    ui->panel != TUI_PANEL_LIBRARY;
    if (ui->panel != TUI_PANEL_NONE && !to_entry && tui_panels[ui->panel].key(ui, key, wide))
        return;
    if (ui->input.searching && (wide == 127 || wide == CTRL('h') || key == KEY_BACKSPACE)) {
        tui_editor_search_backspace(&ui->input);
        return;
    }
    if (ui->input.searching && found >= 0 && table[found].run != search)
        tui_editor_search_end(&ui->input, true); // any other key accepts the entry found
    if (found >= 0)
        table[found].run(ui);
    else if (!key && wide >= 32)
        type(ui, wide);
}

bool tui_key_named(const char *name, int *key, wint_t *wide)
{
    static const struct {
        const char *name;
        int key;
        wint_t wide;
    } names[] = {
        {"Enter", 0, CTRL('m')}, {"Esc", 0, 27},           {"Tab", 0, CTRL('i')},
        {"Space", 0, ' '},       {"Up", KEY_UP, 0},        {"Down", KEY_DOWN, 0},
        {"Left", KEY_LEFT, 0},   {"Right", KEY_RIGHT, 0},  {"Home", KEY_HOME, 0},
        {"End", KEY_END, 0},     {"PgUp", KEY_PPAGE, 0},   {"PgDn", KEY_NPAGE, 0},
        {"Del", KEY_DC, 0},      {"Backspace", 0, 127},    {"S-Home", KEY_SHOME, 0},
        {"S-End", KEY_SEND, 0},  {"S-Left", KEY_SLEFT, 0}, {"S-Right", KEY_SRIGHT, 0},
    };
    *key = 0;
    *wide = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].name, name) == 0) {
            *key = names[i].key;
            *wide = names[i].wide;
            return true;
        }
    }
    int number;
    char rest;
    if (sscanf(name, "F%d%c", &number, &rest) == 1 && number >= 1 && number <= 12) {
        *key = KEY_F(number);
        return true;
    }
    if (strncmp(name, "A-", 2) == 0 && name[2] && !name[3]) {
        *key = TUI_KEY_ALT + name[2];
        return true;
    }
    if (strncmp(name, "C-", 2) == 0 && name[2] && !name[3]) {
        *wide = (wint_t)CTRL(name[2]);
        return true;
    }
    uint32_t code;
    size_t n = strlen(name);
    if (n && dt_utf8_decode(name, n, &code) == n && code != DT_REPLACEMENT) {
        *wide = (wint_t)code;
        return true;
    }
    return false;
}
