// SPDX-License-Identifier: MIT
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define NCURSES_NOMACROS 1
#include <curses.h>
#include <term.h>

#include "../common/capability.h"
#include "../common/signals.h"

// Prepared in advance: a crash handler cannot ask terminfo.
static struct {
    char bytes[256];
    size_t length;
} restore_bytes;

static struct termios modes_before;

// ---- typed ahead ----

// Bytes that were read while the program waited for an answer of the terminal, or before the screen
// was open. Beyond this size the rest is dropped.
static struct {
    char bytes[4096];
    size_t length;
} typed_ahead;

static void keep_typed(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && typed_ahead.length < sizeof typed_ahead.bytes; i++)
        typed_ahead.bytes[typed_ahead.length++] = bytes[i];
}

// The driver has turned Enter into a line feed, and Ctrl-D into a zero byte, in what was typed
// while the terminal had the modes of a shell. On the screen a line feed is the key Ctrl-J.
static void keep_typed_before(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        keep_typed(bytes[i] == '\n' ? "\r" : bytes[i] == '\0' ? "\004" : bytes + i, 1);
}

static void read_typed_before(void)
{
    struct pollfd wait = {STDIN_FILENO, POLLIN, 0};
    char bytes[1024];
    ssize_t n;
    while (poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN) &&
           typed_ahead.length < sizeof typed_ahead.bytes &&
           (n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
        keep_typed_before(bytes, (size_t)n);
}

int tui_terminal_read(char *bytes, size_t size)
{
    if (typed_ahead.length > 0) {
        size_t n = typed_ahead.length < size ? typed_ahead.length : size;
        memcpy(bytes, typed_ahead.bytes, n);
        memmove(typed_ahead.bytes, typed_ahead.bytes + n, typed_ahead.length - n);
        typed_ahead.length -= n;
        return (int)n;
    }
    struct pollfd wait = {STDIN_FILENO, POLLIN, 0};
    if (poll(&wait, 1, 0) != 1)
        return 0;
    ssize_t n = read(STDIN_FILENO, bytes, size);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return n > 0 ? (int)n : -1;
}

// ---- size ----

// Finds the answer "ESC [ rows ; columns R" in bytes[0..n). *begin and *end: where it is.
static bool find_report(const char *bytes, size_t n, int *rows, int *cols, size_t *begin,
                        size_t *end)
{
    for (size_t i = 0; i + 1 < n; i++) {
        int length = 0;
        if (bytes[i] == '\033' && bytes[i + 1] == '[' &&
            sscanf(bytes + i, "\033[%4d;%4dR%n", rows, cols, &length) == 2 && length > 0 &&
            *rows > 0 && *cols > 0) {
            *begin = i;
            *end = i + (size_t)length;
            return true;
        }
    }
    return false;
}

// Moves the cursor to the lower right corner and asks for its position. Waits one second for the
// answer. before_open: the terminal's modes are those of a shell.
static bool ask_terminal(int *rows, int *cols, bool before_open)
{
    static const char question[] = "\0337\033[999;999H\033[6n\0338";
    void (*keep)(const char *bytes, size_t n) = before_open ? keep_typed_before : keep_typed;
    struct termios before, raw;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    char answer[1024];
    size_t n = 0, begin = 0, end = 0;
    bool found = false;
    if (write(STDOUT_FILENO, question, sizeof question - 1) == (ssize_t)sizeof question - 1) {
        struct pollfd wait = {STDIN_FILENO, POLLIN, 0};
        while (!found && n < sizeof answer - 1 && poll(&wait, 1, 1000) == 1) {
            ssize_t got = read(STDIN_FILENO, answer + n, sizeof answer - 1 - n);
            if (got <= 0)
                break;
            n += (size_t)got;
            answer[n] = 0;
            found = find_report(answer, n, rows, cols, &begin, &end);
        }
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    keep(answer, found ? begin : n);
    if (found)
        keep(answer + end, n - end);
    return found;
}

static void measure(int *rows, int *cols, bool ask_again, bool before_open)
{
    static int asked_rows, asked_columns;
    int new_rows, new_columns;
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        *rows = size.ws_row;
        *cols = size.ws_col;
        return;
    }
    if (!asked_rows || ask_again) {
        if (ask_terminal(&new_rows, &new_columns, before_open)) {
            asked_rows = new_rows;
            asked_columns = new_columns;
        } else if (!asked_rows) {
            asked_rows = 24;
            asked_columns = 80;
        }
    }
    *rows = asked_rows;
    *cols = asked_columns;
}

void tui_terminal_size(int *rows, int *cols, bool ask_again)
{
    measure(rows, cols, ask_again, false);
}

// ---- restoring ----

// On the alternate screen many terminals send Up and Down for the wheel (mode 1007), which would
// replace the entry by older ones. The mode is stored, turned off, and restored at the end. Has no
// terminfo capability; terminals with bracketed paste understand it or ignore it.
#define WHEEL_OFF     "\033[?1007s\033[?1007l"
#define WHEEL_RESTORE "\033[?1007r"

static bool has_wheel_mode(void)
{
    return ui_capability("smcup") && ui_capability("BE");
}

static void add_restore_bytes(const char *bytes)
{
    restore_bytes.length += ui_capability_copy(bytes, restore_bytes.bytes + restore_bytes.length,
                                               sizeof restore_bytes.bytes - restore_bytes.length);
}

static void prepare_restore_bytes(int rows)
{
    restore_bytes.length = 0;
    const char *region = ui_capability("csr"), *place = ui_capability("cup");
    if (region) // the crash may come while lines are scrolled
        add_restore_bytes(tiparm(region, 0, rows - 1));
    if (place) // without an alternate screen, the shell's prompt comes below the screen
        add_restore_bytes(tiparm(place, rows - 1, 0));
    add_restore_bytes(ui_capability("sgr0"));
    add_restore_bytes(ui_capability("cnorm"));
    add_restore_bytes(ui_capability("rmcup"));
    add_restore_bytes(ui_capability("rmkx"));
    add_restore_bytes(ui_capability("BD")); // bracketed paste off
    if (has_wheel_mode())
        add_restore_bytes(WHEEL_RESTORE);
    add_restore_bytes("\r\n");
}

const char *tui_terminal_restore_bytes(size_t *n)
{
    *n = restore_bytes.length;
    return restore_bytes.bytes;
}

// ---- modes ----

static void put(const char *capability)
{
    if (capability)
        putp(capability);
}

// The keypad's application mode, bracketed paste, and the wheel.
static void input_modes(bool on)
{
    put(ui_capability(on ? "smkx" : "rmkx"));
    put(ui_capability(on ? "BE" : "BD"));
    if (has_wheel_mode())
        put(on ? WHEEL_OFF : WHEEL_RESTORE);
    fflush(stdout);
}

// ---- keys ----

#define KEYS_MAX 96

static struct {
    char bytes[14];
    unsigned char length;
    int key;
} keys[KEYS_MAX];
static size_t key_count;

static void add_key(const char *bytes, int key)
{
    size_t n = bytes ? strlen(bytes) : 0;
    if (n < 2 || n > sizeof keys->bytes || bytes[0] != '\033' || key_count == KEYS_MAX ||
        tui_terminal_find_key(bytes, n))
        return; // a key that sends one control character has a row of its own in keys.c
    memcpy(keys[key_count].bytes, bytes, n);
    keys[key_count].length = (unsigned char)n;
    keys[key_count++].key = key;
}

int tui_terminal_find_key(const char *bytes, size_t n)
{
    for (size_t i = 0; i < key_count; i++) {
        if (keys[i].length == n && memcmp(keys[i].bytes, bytes, n) == 0)
            return keys[i].key;
    }
    return 0;
}

bool tui_terminal_is_whole_key(const char *bytes, size_t n)
{
    for (size_t i = 0; i < key_count; i++) {
        if (keys[i].length > n && memcmp(keys[i].bytes, bytes, n) == 0)
            return false;
    }
    return tui_terminal_find_key(bytes, n) != 0;
}

// The keys of the terminfo entry, and then, unless the entry uses the bytes for something else,
// both forms of the common keys: over a serial line TERM is often vt100 while the terminal is an
// xterm, and some terminals do not have the keypad mode of their entry.
static void find_keys(void)
{
    static const struct {
        const char *capability;
        int key;
    } named[] = {
        {"kcuu1", KEY_UP},   {"kcud1", KEY_DOWN},  {"kcub1", KEY_LEFT},    {"kcuf1", KEY_RIGHT},
        {"khome", KEY_HOME}, {"kend", KEY_END},    {"kpp", KEY_PPAGE},     {"knp", KEY_NPAGE},
        {"kdch1", KEY_DC},   {"kHOM", KEY_SHOME},  {"kEND", KEY_SEND},     {"kLFT", KEY_SLEFT},
        {"kent", KEY_ENTER}, {"kRIT", KEY_SRIGHT}, {"kbs", KEY_BACKSPACE},
    };
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
    key_count = 0;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        add_key(ui_capability(named[i].capability), named[i].key);
    for (int i = 1; i <= 12; i++) {
        char name[8];
        snprintf(name, sizeof name, "kf%d", i);
        add_key(ui_capability(name), KEY_F(i));
    }
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        add_key(common[i].bytes, common[i].key);
}

// ---- opening and closing ----

enum entry {
    ENTRY_MISSING,
    ENTRY_USELESS, // the terminal cannot position its cursor
    ENTRY_GOOD,
};

static enum entry look_up(const char *term)
{
    int error = 0;
    if (setupterm(term, STDOUT_FILENO, &error) != OK)
        return ENTRY_MISSING;
    bool good = ui_capability("cup") && ui_capability("clear");
    del_curterm(cur_term);
    return good ? ENTRY_GOOD : ENTRY_USELESS;
}

const char *tui_terminal_entry(char *reason, size_t size)
{
    static const char *const fallbacks[] = {"xterm-256color", "vt100"};
    const char *own = getenv("TERM");
    if (!own || !*own) {
        snprintf(reason, size, "TERM is not set");
        return NULL;
    }
    enum entry entry = look_up(own);
    if (entry == ENTRY_GOOD)
        return own;
    if (entry == ENTRY_USELESS) {
        snprintf(reason, size, "TERM=%s: the terminal cannot position its cursor", own);
        return NULL;
    }
    for (size_t i = 0; i < sizeof fallbacks / sizeof *fallbacks; i++) {
        if (look_up(fallbacks[i]) == ENTRY_GOOD)
            return fallbacks[i];
    }
    snprintf(reason, size, "TERM=%s: no terminfo entry", own);
    return NULL;
}

static FILE *nowhere[2]; // input and output of a headless screen

static void release(void)
{
    ui_signals_close();
    for (int i = 0; i < 2; i++) {
        if (nowhere[i])
            fclose(nowhere[i]);
        nowhere[i] = NULL;
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
        measure(&rows, &cols, false, true);
    if (rows < TUI_ROWS_MIN || cols < TUI_COLUMNS_MIN) {
        snprintf(reason, size,
                 "the terminal has %dx%d characters; the full screen needs at least %dx%d", cols,
                 rows, TUI_COLUMNS_MIN, TUI_ROWS_MIN);
        return false;
    }
    if (!options->headless && tcgetattr(STDIN_FILENO, &modes_before) != 0) {
        snprintf(reason, size, "cannot read the terminal's settings: %s", strerror(errno));
        return false;
    }
    FILE *out = stdout, *in = stdin;
    if (options->headless) {
        out = nowhere[0] = fopen("/dev/null", "w");
        in = nowhere[1] = fopen("/dev/null", "r");
    }
    ui_signals_open(); // before newterm(), which keeps the handlers it finds
    SCREEN *screen = out && in ? newterm(chosen, out, in) : NULL;
    if (!screen) {
        snprintf(reason, size, "cannot open the terminal as %s", chosen);
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
    prepare_restore_bytes(rows);
    raw(); // Ctrl-C, Ctrl-Z and Ctrl-S are keys here
    noecho();
    nonl();
    meta(stdscr, TRUE);
    if (!t->headless)
        read_typed_before();
    find_keys();
    idlok(stdscr, TRUE);
    t->dims = ui_capability("dim") != NULL;
    t->colour = options->colour && has_colors() && start_color() == OK;
    if (t->colour)
        use_default_colors();
    bool console = strncmp(chosen, "linux", 5) == 0;
    t->glyphs = options->utf8           ? console ? TUI_GLYPHS_CONSOLE : TUI_GLYPHS_UTF8
                : ui_capability("acsc") ? TUI_GLYPHS_ACS
                                        : TUI_GLYPHS_ASCII;
    tui_terminal_paint(t, options->theme);
    if (!t->headless)
        input_modes(true);
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
        input_modes(false);
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
    prepare_restore_bytes(rows);
    clearok(curscr, TRUE); // terminals cut or wrap the old content
}

void tui_terminal_release(struct tui_terminal *t)
{
    if (t->headless)
        return;
    input_modes(false);
    endwin();
}

void tui_terminal_resume(struct tui_terminal *t)
{
    if (t->headless)
        return;
    clearok(curscr, TRUE);
    refresh(); // makes curses take the terminal again
    read_typed_before();
    input_modes(true);
}

void tui_terminal_paint(struct tui_terminal *t, enum tui_theme theme)
{
    // attributes without colour; foreground and background of the default theme and of the
    // high-contrast one
    static const struct {
        attr_t mono;
        short front, back, strong_front, strong_back;
    } paints[TUI_PAINT_COUNT] = {
        [TUI_PAINT_PLAIN] = {A_NORMAL, -1, -1, COLOR_WHITE, COLOR_BLACK},
        [TUI_PAINT_STORY] = {A_NORMAL, -1, -1, COLOR_WHITE, COLOR_BLACK},
        [TUI_PAINT_USER] = {A_BOLD, COLOR_CYAN, -1, COLOR_YELLOW, COLOR_BLACK},
        [TUI_PAINT_THOUGHT] = {A_DIM, -1, -1, COLOR_WHITE, COLOR_BLACK},
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
        t->attributes[i] = (unsigned)COLOR_PAIR(i + 1) | (!strong                  ? A_NORMAL
                                                          : i == TUI_PAINT_THOUGHT ? A_DIM
                                                                                   : A_BOLD);
    }
}
