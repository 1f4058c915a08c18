// SPDX-License-Identifier: MIT
// Scripts: the input of a user, from a file. Each line is a command and its argument:
//
//   enter TEXT        types TEXT and Enter
//   type TEXT         types TEXT
//   key NAME...       presses keys: F1, C-x, Enter, Up, PgDn, a
//   paste TEXT        pastes TEXT; \n in it is a new line
//   wait idle         until the turn has ended and is saved
//   wait generating   until text is being generated
//   wait tokens N     until the turn has N tokens
//   wait text TEXT    until the story contains TEXT
//   wait ms N         N milliseconds
//   size COLSxROWS    resizes the screen
//   save-screen FILE  writes the screen to a text file
//   quit              leaves
//   # ...             a comment
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/format.h"
#include "base/text.h"
#include "base/typed_text.h"
#include "tui.h"

#define SCRIPTS_MAX 8u // so many scripts may begin one another
#define SCRIPT_MAX  (64u * 1024)
#define ENTRY_NS    1000000000u  // an entry without a visible effect counts as done after this
#define WAIT_MAX_NS 60000000000u // then the script ends with an error

struct tui_script {
    char path[512], *text, *at;
    int line;
    char waiting[256]; // the condition, empty: none
    uint64_t since;
    bool entered; // an entry is on its way: no event has come since
};

bool tui_script_begin(struct tui *ui, const char *path)
{
    char line[640];
    tui_script_end(ui);
    if (++ui->scripts_begun > SCRIPTS_MAX) {
        dt_format(line, sizeof line,
                  "More than %u scripts begin one another; all were ended. A script must not begin "
                  "itself.",
                  SCRIPTS_MAX);
        tui_message(ui, TUI_TEXT_ERROR, line);
        ui->api->exit_code(ui->app, 2);
        if (ui->terminal.headless)
            fprintf(stderr, "duotale: %s\n", line);
        return false;
    }
    struct stat info;
    errno = 0;
    bool regular = stat(path, &info) == 0 && S_ISREG(info.st_mode); // a pipe would wait
    if (!regular)
        errno = errno ? errno : EINVAL;
    struct tui_script *s = calloc(1, sizeof *s);
    char *text = malloc(SCRIPT_MAX + 1);
    FILE *f = regular ? fopen(path, "r") : NULL;
    if (!s || !text || !f) {
        dt_format(line, sizeof line, "%s: cannot read the script: %s", path, strerror(errno));
        tui_message(ui, TUI_TEXT_ERROR, line);
        if (ui->terminal.headless)
            fprintf(stderr, "duotale: %s\n", line);
        free(s);
        free(text);
        if (f)
            fclose(f);
        return false;
    }
    size_t n = fread(text, 1, SCRIPT_MAX, f);
    fclose(f);
    struct dt_error err = {0};
    if (dt_typed_text_clean(text, &n, path, &err) != DT_OK) {
        dt_format(line, sizeof line, "%s: %s", path, err.message);
        tui_message(ui, TUI_TEXT_ERROR, line);
        if (ui->terminal.headless)
            fprintf(stderr, "duotale: %s\n", line);
        free(s);
        free(text);
        return false;
    }
    text[n] = 0;
    s->text = s->at = text;
    dt_format(s->path, sizeof s->path, "%s", path);
    ui->script = s;
    return true;
}

void tui_script_end(struct tui *ui)
{
    if (!ui->script)
        return;
    free(ui->script->text);
    free(ui->script);
    ui->script = NULL;
}

static void press(struct tui *ui, const char *text)
{
    for (size_t n = strlen(text), at = 0; at < n;) {
        uint32_t code;
        at += dt_utf8_decode(text + at, n - at, &code);
        tui_key(ui, 0, (wint_t)code);
    }
}

static bool holds(struct tui *ui, const char *condition)
{
    enum dt_app_state state = ui->api->state(ui->app);
    unsigned number;
    if (strcmp(condition, "idle") == 0)
        return state == DT_APP_IDLE &&
               !(ui->script->entered && tui_now() - ui->script->since < ENTRY_NS);
    if (strcmp(condition, "generating") == 0 || strcmp(condition, "telling") == 0)
        return state == DT_APP_GENERATING;
    if (sscanf(condition, "tokens %u", &number) == 1)
        return ui->api->figures(ui->app)->tokens >= number;
    if (sscanf(condition, "ms %u", &number) == 1)
        return tui_now() - ui->script->since >= number * 1000000ull;
    if (strncmp(condition, "text ", 5) == 0)
        return ui->story.text &&
               memmem(ui->story.text, ui->story.length, condition + 5, strlen(condition + 5));
    return false;
}

static void fail(struct tui *ui, const char *what, const char *detail)
{
    char line[900];
    dt_format(line, sizeof line, "%s:%d: %s: %s", ui->script->path, ui->script->line, what, detail);
    tui_message(ui, TUI_TEXT_ERROR, line);
    if (ui->terminal.headless)
        fprintf(stderr, "duotale: %s\n", line);
    tui_script_end(ui);
}

static bool perform(struct tui *ui, char *line)
{
    struct tui_script *s = ui->script;
    char *rest = strchr(line, ' ');
    if (rest)
        *rest++ = 0;
    else
        rest = line + strlen(line);
    if (!*line || *line == '#') {
        return true;
    } else if (strcmp(line, "enter") == 0 || strcmp(line, "type") == 0) {
        press(ui, rest);
        if (*line == 'e') {
            tui_key(ui, 0, '\r');
            if (ui->script != s)
                return false;
            s->entered = true;
        }
    } else if (strcmp(line, "key") == 0) {
        for (char *name = strtok(rest, " "); name; name = strtok(NULL, " ")) {
            int key;
            wint_t wide;
            if (!tui_key_named(name, &key, &wide)) {
                fail(ui, "unknown key", name);
                return false;
            }
            tui_key(ui, key, wide);
            if (ui->script != s)
                return false; // the key ended the script
        }
    } else if (strcmp(line, "paste") == 0) {
        tui_key(ui, TUI_KEY_PASTE_BEGIN, 0);
        for (char *part = rest, *next; part; part = next) {
            next = strstr(part, "\\n");
            if (next)
                *next = 0;
            press(ui, part);
            if (next)
                tui_key(ui, 0, '\r');
            next = next ? next + 2 : NULL;
        }
        tui_key(ui, TUI_KEY_PASTE_END, 0);
    } else if (strcmp(line, "wait") == 0) {
        dt_format(s->waiting, sizeof s->waiting, "%s", rest);
        s->since = tui_now();
    } else if (strcmp(line, "size") == 0) {
        int rows, cols;
        if (sscanf(rest, "%dx%d", &cols, &rows) != 2 || cols < 10 || rows < 4 || cols > 500 ||
            rows > 300) {
            fail(ui, "the size must be COLSxROWS, 10x4 to 500x300", rest);
            return false;
        }
        ui->terminal.fixed_size = true;
        tui_terminal_resize(&ui->terminal, rows, cols);
        tui_draw_sizes(ui);
    } else if (strcmp(line, "save-screen") == 0) {
        ui->status_dirty = ui->dirty = true;
        ui->status_ns = 0;
        tui_draw(ui);
        if (!tui_save_screen(ui, rest)) {
            fail(ui, "cannot write the screen", rest);
            return false;
        }
    } else if (strcmp(line, "quit") == 0) {
        tui_commandf(ui, "/quit");
    } else {
        fail(ui, "unknown script command", line);
        return false;
    }
    return true;
}

void tui_script_step(struct tui *ui, const struct dt_app_event *event)
{
    if (ui->script && event && event->type != DT_EVENT_FIGURES && event->type != DT_EVENT_VOICE &&
        event->type != DT_EVENT_COMMAND)
        ui->script->entered = false; // the app has handled the entry
    while (ui->script && !ui->quit) {
        struct tui_script *s = ui->script;
        if (s->waiting[0]) {
            if (!holds(ui, s->waiting)) {
                if (tui_now() - s->since > WAIT_MAX_NS)
                    fail(ui, "waited 60 s without result for", s->waiting);
                return;
            }
            s->waiting[0] = 0;
        }
        if (!*s->at) {
            tui_script_end(ui);
            return;
        }
        char line[1024];
        size_t n = strcspn(s->at, "\n");
        dt_format(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), s->at);
        s->at += n + (s->at[n] == '\n');
        s->line++;
        if (!perform(ui, line) || ui->script != s)
            return;
    }
}

int tui_script_wait_ms(struct tui *ui)
{
    if (!ui->script)
        return -1;
    return strncmp(ui->script->waiting, "ms ", 3) == 0 ? 5 : 50;
}
