// SPDX-License-Identifier: MIT
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define NCURSES_NOMACROS 1
#include <curses.h>
#include <term.h>

// What a crash handler writes; prepared while everything is well.
static struct {
    char bytes[256];
    size_t length;
} last_words;

static struct termios modes_before;

// The answer to a cursor position report, from a terminal that was sent to its lower right corner.
// It must come within a second, else it is no answer. What was typed before it is lost to us, so
// this is done before anybody can have typed.
static bool ask_terminal(int *rows, int *cols)
{
    static const char question[] = "\0337\033[999;999H\033[6n\0338";
    struct termios before, raw;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    char answer[64];
    size_t n = 0;
    bool found = false;
    if (write(STDOUT_FILENO, question, sizeof question - 1) == (ssize_t)sizeof question - 1) {
        struct pollfd wait = {STDIN_FILENO, POLLIN, 0};
        while (!found && n < sizeof answer - 1 && poll(&wait, 1, 1000) == 1) {
            ssize_t got = read(STDIN_FILENO, answer + n, sizeof answer - 1 - n);
            if (got <= 0)
                break;
            n += (size_t)got;
            answer[n] = 0;
            const char *report = strstr(answer, "\033[");
            found = report && sscanf(report + 2, "%d;%dR", rows, cols) == 2;
        }
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return found;
}

void tui_terminal_size(int *rows, int *cols)
{
    static int asked_rows,
        asked_columns; // a serial line does not change its size unseen; it is asked once
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        *rows = size.ws_row;
        *cols = size.ws_col;
        return;
    }
    if (!asked_rows && !ask_terminal(&asked_rows, &asked_columns)) {
        asked_rows = 24;
        asked_columns = 80;
    }
    *rows = asked_rows;
    *cols = asked_columns;
}

static const char *capability(const char *name)
{
    const char *value = tigetstr(name);
    return value && value != (const char *)-1 ? value : NULL;
}

static void say_at_the_end(const char *bytes)
{
    // padding ("$<5>") is for terminals that no longer exist; a signal handler cannot wait for it
    for (; bytes && *bytes && last_words.length < sizeof last_words.bytes; bytes++) {
        if (bytes[0] == '$' && bytes[1] == '<') {
            bytes = strchr(bytes, '>');
            if (!bytes)
                return;
            continue;
        }
        last_words.bytes[last_words.length++] = *bytes;
    }
}

static void prepare_last_words(int rows)
{
    last_words.length = 0;
    const char *region = capability("csr"), *place = capability("cup");
    if (region) // a crash while lines were being scrolled
        say_at_the_end(tiparm(region, 0, rows - 1));
    if (place) // a terminal without an alternate screen goes on below ours
        say_at_the_end(tiparm(place, rows - 1, 0));
    say_at_the_end(capability("sgr0"));
    say_at_the_end(capability("cnorm"));
    say_at_the_end(capability("rmcup"));
    say_at_the_end(capability("rmkx"));
    say_at_the_end(capability("BD")); // bracketed paste off
    say_at_the_end("\r\n");
}

const char *tui_terminal_last_words(size_t *n)
{
    *n = last_words.length;
    return last_words.bytes;
}

// ---- signals ----

static int wake[2] = {-1, -1};
static atomic_uint pending; // TUI_SIGNAL_...
static const int signals[] = {SIGWINCH, SIGTSTP, SIGCONT};
static struct sigaction actions_before[3];

static void on_signal(int number)
{
    int error = errno;
    atomic_fetch_or(&pending, number == SIGWINCH  ? TUI_SIGNAL_SIZE
                              : number == SIGTSTP ? TUI_SIGNAL_SUSPEND
                                                  : TUI_SIGNAL_WOKEN);
    ssize_t n = write(wake[1], "", 1); // full is as good: there is something to read
    (void)n;
    errno = error;
}

static void catch_signals(bool all)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (all)
            sigaction(signals[i], &action, &actions_before[i]);
        else if (signals[i] == SIGTSTP)
            sigaction(SIGTSTP, &action, NULL);
    }
}

int tui_terminal_fd(void)
{
    return wake[0];
}

unsigned tui_terminal_signals(void)
{
    char drain[64];
    while (read(wake[0], drain, sizeof drain) == (ssize_t)sizeof drain)
        ;
    return atomic_exchange(&pending, 0);
}

// ---- bracketed paste ----

static void paste_mode(bool on)
{
    const char *begin = capability("PS"), *end = capability("PE"),
               *bytes = capability(on ? "BE" : "BD");
    if (!begin || !end || !bytes)
        return;
    if (on) {
        define_key(begin, TUI_KEY_PASTE_BEGIN);
        define_key(end, TUI_KEY_PASTE_END);
    }
    putp(bytes);
    fflush(stdout);
}

// ---- keys ----

static WINDOW *keys;

int tui_terminal_key(void)
{
    return wgetch(keys);
}

// Over a serial line TERM often says vt100 while an xterm sits at the other end, and some terminals
// never enter the keypad mode that their entry speaks of. So both forms of the common keys are
// known, where the entry has no other use for them.
static void know_common_keys(void)
{
    static const struct {
        const char *bytes;
        int key;
    } common[] = {
        {"\033[A", KEY_UP},      {"\033[B", KEY_DOWN},     {"\033[C", KEY_RIGHT},
        {"\033[D", KEY_LEFT},    {"\033OA", KEY_UP},       {"\033OB", KEY_DOWN},
        {"\033OC", KEY_RIGHT},   {"\033OD", KEY_LEFT},     {"\033[H", KEY_HOME},
        {"\033[F", KEY_END},     {"\033OH", KEY_HOME},     {"\033OF", KEY_END},
        {"\033[1~", KEY_HOME},   {"\033[4~", KEY_END},     {"\033[3~", KEY_DC},
        {"\033[5~", KEY_PPAGE},  {"\033[6~", KEY_NPAGE},   {"\033OP", KEY_F(1)},
        {"\033OQ", KEY_F(2)},    {"\033OR", KEY_F(3)},     {"\033OS", KEY_F(4)},
        {"\033[11~", KEY_F(1)},  {"\033[12~", KEY_F(2)},   {"\033[13~", KEY_F(3)},
        {"\033[14~", KEY_F(4)},  {"\033[15~", KEY_F(5)},   {"\033[17~", KEY_F(6)},
        {"\033[21~", KEY_F(10)}, {"\033[1;2H", KEY_SHOME}, {"\033[1;2F", KEY_SEND},
    };
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        if (key_defined(common[i].bytes) == 0)
            define_key(common[i].bytes, common[i].key);
    }
}

// ---- opening and closing ----

// True when the entry exists and can place the cursor; the word for why not goes to reason.
static bool usable(const char *term, char *reason, size_t size)
{
    int error = 0;
    if (!term || !*term) {
        snprintf(reason, size, "TERM is not set");
        return false;
    }
    if (setupterm(term, STDOUT_FILENO, &error) != OK) {
        snprintf(reason, size, "there is no terminfo entry for TERM=%s", term);
        return false;
    }
    bool can = capability("cup") && capability("clear");
    if (!can)
        snprintf(reason, size, "TERM=%s cannot place its cursor", term);
    del_curterm(cur_term);
    return can;
}

const char *tui_terminal_entry(char *reason, size_t size)
{
    const char *own = getenv("TERM");
    const char *const chain[] = {own, "xterm-256color", "vt100"};
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++) {
        char why[128];
        if (usable(chain[i], i == 0 ? reason : why, i == 0 ? size : sizeof why))
            return chain[i];
        if (i == 0 && (!own || !*own || strncmp(reason, "there is no", 11) != 0))
            return NULL; // it is known and cannot do it (dumb), or nobody knows what it is
    }
    return NULL;
}

static FILE *nowhere[2]; // a headless screen's
static void release(void)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &actions_before[i], NULL);
    for (int i = 0; i < 2; i++) {
        if (nowhere[i])
            fclose(nowhere[i]);
        nowhere[i] = NULL;
        if (wake[i] >= 0)
            close(wake[i]);
        wake[i] = -1;
    }
}

bool tui_terminal_open(struct tui_terminal *t, const struct tui_terminal_options *options,
                       char *reason, size_t size)
{
    memset(t, 0, sizeof *t);
    const char *chosen = tui_terminal_entry(reason, size);
    if (!chosen)
        return false;

    int rows = options->rows, cols = options->cols;
    if (!rows || !cols)
        tui_terminal_size(&rows, &cols);
    if (rows < TUI_ROWS_MIN || cols < TUI_COLUMNS_MIN) {
        snprintf(reason, size, "the terminal has %dx%d characters; the full screen needs %dx%d",
                 cols, rows, TUI_COLUMNS_MIN, TUI_ROWS_MIN);
        return false;
    }
    if (!options->headless && tcgetattr(STDIN_FILENO, &modes_before) != 0) {
        snprintf(reason, size, "the terminal's settings cannot be read: %s", strerror(errno));
        return false;
    }
    FILE *out = stdout, *in = stdin;
    if (options->headless) {
        out = nowhere[0] = fopen("/dev/null", "w");
        in = nowhere[1] = fopen("/dev/null", "r");
    }
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        wake[0] = wake[1] = -1;
    catch_signals(true); // before curses, which leaves handlers alone that it finds
    SCREEN *screen = out && in ? newterm(chosen, out, in) : NULL;
    if (!screen) {
        snprintf(reason, size, "the terminal %s could not be opened", chosen);
        release();
        return false;
    }
    set_term(screen);
    resize_term(rows, cols);
    snprintf(t->term, sizeof t->term, "%s", chosen);
    const char *own = getenv("TERM");
    t->fell_back = !own || strcmp(chosen, own) != 0;
    t->fixed_size = options->rows && options->cols;
    t->headless = options->headless;
    t->open = true;
    prepare_last_words(rows);
    raw(); // Ctrl-C, Ctrl-Z and Ctrl-S are keys here; the program says what they do
    noecho();
    nonl();
    keys = newpad(1, 1); // keys are read through a pad: reading through a window would draw it
    keypad(keys, TRUE);
    meta(keys, TRUE);
    nodelay(keys, TRUE);
    set_escdelay(50);
    know_common_keys();
    idlok(stdscr, TRUE);
    t->colour = options->colour && has_colors() && start_color() == OK;
    if (t->colour)
        use_default_colors();
    bool console = strncmp(chosen, "linux", 5) == 0;
    t->glyphs = options->utf8        ? console ? TUI_GLYPHS_CONSOLE : TUI_GLYPHS_UTF8
                : capability("acsc") ? TUI_GLYPHS_ACS
                                     : TUI_GLYPHS_ASCII;
    tui_terminal_paint(t, options->theme);
    if (!t->headless)
        paste_mode(true);
    return true;
}

bool tui_terminal_stays(const struct tui_terminal *t)
{
    return t->open && !t->headless && !tigetstr("smcup");
}

void tui_terminal_close(struct tui_terminal *t)
{
    if (!t->open)
        return;
    t->open = false;
    if (!t->headless)
        paste_mode(false);
    endwin();
    if (!t->headless)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &modes_before);
    release();
}

void tui_terminal_resize(struct tui_terminal *t, int rows, int cols)
{
    if (!t->open)
        return;
    resize_term(rows, cols);
    prepare_last_words(rows);
    clearok(curscr, TRUE); // terminals cut and wrap what stood there in ways of their own
}

void tui_terminal_suspend(struct tui_terminal *t)
{
    if (t->headless)
        return;
    paste_mode(false);
    endwin();
    signal(SIGTSTP, SIG_DFL);
    kill(getpid(), SIGTSTP); // asleep; back with SIGCONT
    catch_signals(false);
    clearok(curscr, TRUE);
    refresh(); // curses takes the terminal again
    paste_mode(true);
}

void tui_terminal_paint(struct tui_terminal *t, enum tui_theme theme)
{
    // per paint: attributes without colour, then foreground and background of the default and the
    // high-contrast theme
    static const struct {
        attr_t mono;
        short front, back, strong_front, strong_back;
    } paints[TUI_PAINT_COUNT] = {
        [TUI_PAINT_PLAIN] = {A_NORMAL, -1, -1, COLOR_WHITE, COLOR_BLACK},
        [TUI_PAINT_STORY] = {A_NORMAL, -1, -1, COLOR_WHITE, COLOR_BLACK},
        [TUI_PAINT_USER] = {A_BOLD, COLOR_CYAN, -1, COLOR_YELLOW, COLOR_BLACK},
        [TUI_PAINT_NOTICE] = {A_DIM, COLOR_GREEN, -1, COLOR_CYAN, COLOR_BLACK},
        [TUI_PAINT_ERROR] = {A_BOLD | A_UNDERLINE, COLOR_RED, -1, COLOR_WHITE, COLOR_RED},
        [TUI_PAINT_STATUS] = {A_REVERSE, COLOR_BLACK, COLOR_CYAN, COLOR_BLACK, COLOR_WHITE},
        [TUI_PAINT_TITLE] = {A_BOLD, COLOR_CYAN, -1, COLOR_WHITE, COLOR_BLACK},
        [TUI_PAINT_SELECTED] = {A_REVERSE, COLOR_BLACK, COLOR_YELLOW, COLOR_BLACK, COLOR_YELLOW},
    };
    t->theme = theme;
    for (short i = 0; i < TUI_PAINT_COUNT; i++) {
        t->attributes[i] = paints[i].mono;
        if (!t->colour || theme == TUI_THEME_MONO)
            continue;
        bool strong = theme == TUI_THEME_CONTRAST;
        short front = strong ? paints[i].strong_front : paints[i].front;
        short back = strong ? paints[i].strong_back : paints[i].back;
        if (front == -1 && back == -1)
            continue; // the terminal's own colours
        init_pair((short)(i + 1), front, back);
        t->attributes[i] = (unsigned)COLOR_PAIR(i + 1) | (strong ? A_BOLD : A_NORMAL);
    }
}
