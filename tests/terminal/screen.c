// SPDX-License-Identifier: MIT
// A terminal for tests: runs a program on a pty, emulates the terminal with libvterm, and compares
// the screen with text files.
//
//   screen GOLDENS SCENE PROGRAM [argument ...]      REGENERATE=1: writes the goldens instead
//
// A scene has one command a line. Before "run":
//   term NAME             sets TERM
//   locale NAME           sets LC_ALL
//   env NAME=VALUE        sets an environment variable
//   argument TEXT         adds an argument of the program
//   size COLSxROWS        of the window
//   size unknown          the kernel reports 0x0
//   latin1                the terminal shows bytes as Latin-1
// Then:
//   run                   starts the program
//   send TEXT             types: \r \n \t \e \\ \xHH are bytes
//   expect TEXT           waits until TEXT is on the screen
//   absent TEXT           waits until TEXT is not on the screen
//   resize COLSxROWS      changes the size of the window
//   screen NAME [looks]   waits until the screen is GOLDENS/NAME.txt; with "looks", also a
//                         letter a cell for its colours and attributes
//   picture FILE          writes the screen as SVG
//   mark                  sets the count of bytes to 0
//   bytes N               fails if the program wrote more than N bytes since
//   idle MS               after a second without output: fails if the program writes or wakes up
//                         within MS
//   signal NUMBER         sends a signal to the program
//   hang-up               closes the terminal, and waits for the end of the program
//   given-back STATUS     waits for the end; fails unless the exit status is STATUS, and the
//                         terminal has its old modes, the primary screen and a visible cursor
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <vterm.h>

#define PATIENCE_MS 20000
#define SCREEN_MAX  (320u * 1024)

static struct {
    const char *goldens, *scene;
    int line;
    char *program[32];
    int arguments;
    int rows, cols, master, slave;
    pid_t child;
    bool running;
    int status;
    struct termios modes;
    bool size_unknown, latin1;
    VTerm *vt;
    VTermScreen *screen;
    bool alternate, cursor;
    size_t bytes;
} t = {.rows = 24, .cols = 80, .master = -1, .cursor = true};

static void text_of_screen(char *out, bool looks);

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    static char text[SCREEN_MAX];
    va_list args;
    fprintf(stderr, "%s:%d: ", t.scene, t.line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (t.screen) {
        text_of_screen(text, false);
        fprintf(stderr, "\nThe screen:\n%s", text);
    }
    if (t.child > 0 && t.running && waitpid(t.child, &t.status, WNOHANG) == t.child)
        fprintf(stderr, "The program has ended: wait status %d\n", t.status);
    else if (t.child > 0 && t.running)
        kill(t.child, SIGKILL);
    exit(1);
}

// ---- the terminal ----

static int on_property(VTermProp property, VTermValue *value, void *user)
{
    (void)user;
    if (property == VTERM_PROP_ALTSCREEN)
        t.alternate = value->boolean;
    else if (property == VTERM_PROP_CURSORVISIBLE)
        t.cursor = value->boolean;
    return 1;
}

static const VTermScreenCallbacks callbacks = {.settermprop = on_property};

static void start(void)
{
    struct winsize size = {.ws_row = (unsigned short)t.rows, .ws_col = (unsigned short)t.cols};
    struct winsize none = {0};
    if (openpty(&t.master, &t.slave, NULL, NULL, t.size_unknown ? &none : &size) != 0)
        fail("openpty: %s", strerror(errno));
    tcgetattr(t.slave, &t.modes);
    t.vt = vterm_new(t.rows, t.cols);
    vterm_set_utf8(t.vt, 1);
    t.screen = vterm_obtain_screen(t.vt);
    vterm_screen_enable_altscreen(t.screen, 1);
    vterm_screen_set_callbacks(t.screen, &callbacks, NULL);
    vterm_screen_reset(t.screen, 1);
    t.child = fork();
    if (t.child == 0) {
        setsid();
        ioctl(t.slave, TIOCSCTTY, 0);
        for (int fd = 0; fd <= 2; fd++)
            dup2(t.slave, fd);
        if (t.slave > 2)
            close(t.slave);
        close(t.master);
        t.program[t.arguments] = NULL;
        execv(t.program[0], t.program);
        _exit(127);
    }
    t.running = true;
}

static size_t encode(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | code);
    return n;
}

// Reads output of the program, for which it waits at most `ms` milliseconds. False if there was
// none.
static bool listen_for(int ms)
{
    char bytes[4096];
    struct pollfd wait = {t.master, POLLIN, 0};
    if (poll(&wait, 1, ms) <= 0)
        return false;
    ssize_t n = read(t.master, bytes, sizeof bytes);
    if (n <= 0) {
        usleep(1000);
        return false;
    }
    t.bytes += (size_t)n;
    for (ssize_t i = 0; t.latin1 && i < n; i++) {
        char two[4];
        vterm_input_write(t.vt, two, encode((unsigned char)bytes[i], two));
    }
    if (!t.latin1)
        vterm_input_write(t.vt, bytes, (size_t)n);
    vterm_screen_flush_damage(t.screen);
    char answer[256]; // reports that the program asked for
    size_t m = vterm_output_read(t.vt, answer, sizeof answer);
    if (m > 0 && write(t.master, answer, m) != (ssize_t)m)
        fail("cannot send the terminal's answer");
    return true;
}

static char look(const VTermScreenCell *cell)
{
    static const char colours[] = "kRGYBMCW";
    if (cell->attrs.reverse)
        return cell->attrs.bold ? '#' : '=';
    if (VTERM_COLOR_IS_INDEXED(&cell->bg) && !VTERM_COLOR_IS_DEFAULT_BG(&cell->bg))
        return '@';
    if (VTERM_COLOR_IS_INDEXED(&cell->fg) && !VTERM_COLOR_IS_DEFAULT_FG(&cell->fg) &&
        cell->fg.indexed.idx < 8)
        return colours[cell->fg.indexed.idx];
    return cell->attrs.bold                          ? 'b'
           : cell->attrs.underline                   ? 'u'
           : cell->chars[0] && cell->chars[0] != ' ' ? '.'
                                                     : ' ';
}

static void text_of_screen(char *out, bool looks)
{
    for (int pass = 0; pass < (looks ? 2 : 1); pass++) {
        if (pass == 1)
            out += sprintf(out, "looks\n");
        for (int row = 0; row < t.rows; row++) {
            char *trimmed = out;
            for (int col = 0; col < t.cols; col++) {
                VTermScreenCell cell;
                vterm_screen_get_cell(t.screen, (VTermPos){row, col}, &cell);
                if (cell.chars[0] == (uint32_t)-1)
                    continue; // second half of a wide character
                if (pass == 1)
                    *out++ = look(&cell);
                else if (!cell.chars[0])
                    *out++ = ' ';
                for (int i = 0; pass == 0 && i < VTERM_MAX_CHARS_PER_CELL && cell.chars[i]; i++)
                    out += encode(cell.chars[i], out);
                if (out[-1] != ' ')
                    trimmed = out;
            }
            out = trimmed;
            *out++ = '\n';
        }
    }
    *out = 0;
}

static uint64_t now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

// ---- the commands of a scene ----

static void wait_for(const char *text, bool there)
{
    static char screen[SCREEN_MAX];
    uint64_t since = now_ms();
    for (;;) {
        text_of_screen(screen, false);
        if ((strstr(screen, text) != NULL) == there)
            return;
        if (now_ms() - since > PATIENCE_MS)
            fail("waited 20 s for \"%s\" %s", text, there ? "to appear" : "to go away");
        listen_for(100);
    }
}

static void compare(const char *name, bool looks)
{
    static char screen[SCREEN_MAX], golden[SCREEN_MAX];
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.txt", t.goldens, name);
    if (getenv("REGENERATE")) {
        uint64_t quiet = now_ms(), begin = quiet;
        while (now_ms() - quiet < 900 && now_ms() - begin < 10000) {
            if (listen_for(50))
                quiet = now_ms();
        }
        text_of_screen(screen, looks);
        FILE *f = fopen(path, "w");
        if (!f || fputs(screen, f) < 0 || fclose(f) != 0)
            fail("%s: %s", path, strerror(errno));
        return;
    }
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(golden, 1, sizeof golden - 1, f) : 0;
    if (f)
        fclose(f);
    golden[n] = 0;
    uint64_t since = now_ms();
    for (;;) { // the output may not be complete yet
        text_of_screen(screen, looks);
        if (strcmp(screen, golden) == 0)
            return;
        if (now_ms() - since > PATIENCE_MS)
            break;
        listen_for(100);
    }
    fprintf(stderr, "%s:%d: the screen differs from %s\n", t.scene, t.line, path);
    const char *a = golden, *b = screen;
    for (int row = 1; *a || *b; row++) {
        size_t na = strcspn(a, "\n"), nb = strcspn(b, "\n");
        if (na != nb || memcmp(a, b, na) != 0)
            fprintf(stderr, "%3d - %.*s\n    + %.*s\n", row, (int)na, a, (int)nb, b);
        a += na + (a[na] == '\n');
        b += nb + (b[nb] == '\n');
    }
    fail("see the differences above (REGENERATE=1 writes the golden file)");
}

// Writes the screen as SVG, in the colours of a dark terminal.
static void picture(const char *path)
{
    static const char *const colours[] = {"#1c1c1c", "#e06c75", "#98c379", "#e5c07b",
                                          "#61afef", "#c678dd", "#56b6c2", "#d7dae0"};
    const int wide = 9, high = 19;
    FILE *f = fopen(path, "w");
    if (!f)
        fail("%s: %s", path, strerror(errno));
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" "
            "font-size=\"15\" xml:space=\"preserve\">\n<rect width=\"100%%\" height=\"100%%\" "
            "rx=\"6\" fill=\"#1c1c1c\"/>\n",
            t.cols * wide + 20, t.rows * high + 20);
    for (int row = 0; row < t.rows; row++) {
        for (int col = 0, end; col < t.cols; col = end) { // a run of cells with the same look
            VTermScreenCell first, cell;
            char text[2048];
            size_t n = 0;
            bool blank = true;
            vterm_screen_get_cell(t.screen, (VTermPos){row, col}, &first);
            for (end = col; end < t.cols; end++) {
                vterm_screen_get_cell(t.screen, (VTermPos){row, end}, &cell);
                if (end > col && (memcmp(&cell.fg, &first.fg, sizeof cell.fg) != 0 ||
                                  memcmp(&cell.bg, &first.bg, sizeof cell.bg) != 0 ||
                                  cell.attrs.bold != first.attrs.bold ||
                                  cell.attrs.reverse != first.attrs.reverse))
                    break;
                if (cell.chars[0] == (uint32_t)-1)
                    continue;
                blank = blank && (!cell.chars[0] || cell.chars[0] == ' ');
                if (cell.chars[0] == '<' || cell.chars[0] == '&')
                    n += (size_t)sprintf(text + n, cell.chars[0] == '<' ? "&lt;" : "&amp;");
                else if (!cell.chars[0])
                    text[n++] = ' ';
                else
                    for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell.chars[i]; i++)
                        n += encode(cell.chars[i], text + n);
            }
            bool has_fg =
                VTERM_COLOR_IS_INDEXED(&first.fg) && !VTERM_COLOR_IS_DEFAULT_FG(&first.fg);
            bool has_bg =
                VTERM_COLOR_IS_INDEXED(&first.bg) && !VTERM_COLOR_IS_DEFAULT_BG(&first.bg);
            const char *front = has_fg ? colours[first.fg.indexed.idx % 8] : "#d7dae0",
                       *back = has_bg ? colours[first.bg.indexed.idx % 8] : NULL;
            if (back)
                fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
                        10 + col * wide, 10 + row * high, (end - col) * wide, high, back);
            if (!blank)
                fprintf(f, "<text x=\"%d\" y=\"%d\" textLength=\"%d\" fill=\"%s\"%s>%.*s</text>\n",
                        10 + col * wide, 24 + row * high, (end - col) * wide, front,
                        first.attrs.bold ? " font-weight=\"bold\"" : "", (int)n, text);
        }
    }
    fprintf(f, "</svg>\n");
    if (fclose(f) != 0)
        fail("%s: %s", path, strerror(errno));
}

static void send_keys(const char *text)
{
    char bytes[4096];
    size_t n = 0;
    for (; *text && n < sizeof bytes; text++) {
        unsigned value;
        if (*text != '\\') {
            bytes[n++] = *text;
            continue;
        }
        switch (*++text) {
        case 'r':
            bytes[n++] = '\r';
            break;
        case 'n':
            bytes[n++] = '\n';
            break;
        case 't':
            bytes[n++] = '\t';
            break;
        case 'e':
            bytes[n++] = 27;
            break;
        case 'x':
            if (sscanf(text + 1, "%2x", &value) != 1)
                fail("\\x needs two hex digits");
            bytes[n++] = (char)value;
            text += 2;
            break;
        default:
            bytes[n++] = *text;
        }
    }
    if (write(t.master, bytes, n) != (ssize_t)n)
        fail("cannot type: %s", strerror(errno));
}

static void await_end(void)
{
    uint64_t since = now_ms();
    while (t.running) {
        if (t.master >= 0)
            listen_for(20);
        else
            usleep(10000);
        if (waitpid(t.child, &t.status, WNOHANG) == t.child)
            t.running = false;
        else if (now_ms() - since > PATIENCE_MS)
            fail("the program did not end");
    }
    while (t.master >= 0 && listen_for(20))
        ;
}

static void given_back(int status)
{
    struct termios now;
    await_end();
    int got = WIFEXITED(t.status) ? WEXITSTATUS(t.status) : 128 + WTERMSIG(t.status);
    if (got != status)
        fail("the program ended with %d, not %d", got, status);
    if (tcgetattr(t.slave, &now) != 0 || now.c_iflag != t.modes.c_iflag ||
        now.c_oflag != t.modes.c_oflag || now.c_lflag != t.modes.c_lflag ||
        now.c_cflag != t.modes.c_cflag || memcmp(now.c_cc, t.modes.c_cc, sizeof now.c_cc) != 0)
        fail("the terminal's modes are not restored");
    if (t.alternate)
        fail("the alternate screen is still on");
    if (!t.cursor)
        fail("the cursor is still invisible");
}

static void resize(const char *size)
{
    if (sscanf(size, "%dx%d", &t.cols, &t.rows) != 2)
        fail("the size must be COLSxROWS");
    if (!t.vt)
        return;
    struct winsize to = {.ws_row = (unsigned short)t.rows, .ws_col = (unsigned short)t.cols};
    vterm_set_size(t.vt, t.rows, t.cols);
    if (!t.size_unknown) // the kernel does not know of a change either
        ioctl(t.master, TIOCSWINSZ, &to);
}

// How often the program has woken up so far.
static long wakes(void)
{
    char path[64], line[256];
    long n = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)t.child);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "voluntary_ctxt_switches: %ld", &n);
    if (f)
        fclose(f);
    return n;
}

static void idle(int ms)
{
    while (listen_for(1000))
        ;
    long before = wakes();
    if (listen_for(ms))
        fail("the idle program wrote output");
    if (wakes() != before)
        fail("the idle program woke up %ld times in %d ms", wakes() - before, ms);
}

static void perform(char *line)
{
    char *rest = strchr(line, ' ');
    if (rest)
        *rest++ = 0;
    else
        rest = line + strlen(line);
    if (!*line || *line == '#')
        return;
    if (strcmp(line, "term") == 0)
        setenv("TERM", rest, 1);
    else if (strcmp(line, "locale") == 0)
        setenv("LC_ALL", rest, 1);
    else if (strcmp(line, "latin1") == 0)
        t.latin1 = true;
    else if (strcmp(line, "env") == 0)
        putenv(strdup(rest));
    else if (strcmp(line, "size") == 0 && strcmp(rest, "unknown") == 0)
        t.size_unknown = true;
    else if (strcmp(line, "size") == 0 || strcmp(line, "resize") == 0)
        resize(rest);
    else if (strcmp(line, "argument") == 0)
        t.program[t.arguments++] = strdup(rest);
    else if (strcmp(line, "run") == 0)
        start();
    else if (strcmp(line, "send") == 0)
        send_keys(rest);
    else if (strcmp(line, "expect") == 0)
        wait_for(rest, true);
    else if (strcmp(line, "absent") == 0)
        wait_for(rest, false);
    else if (strcmp(line, "screen") == 0) {
        char *looks = strchr(rest, ' ');
        if (looks)
            *looks = 0;
        compare(rest, looks != NULL);
    } else if (strcmp(line, "picture") == 0)
        picture(rest);
    else if (strcmp(line, "mark") == 0)
        t.bytes = 0;
    else if (strcmp(line, "bytes") == 0) {
        printf("%s: %zu bytes, at most %s\n", t.scene, t.bytes, rest);
        if (t.bytes > (size_t)atol(rest))
            fail("%zu bytes were written, more than %s", t.bytes, rest);
    } else if (strcmp(line, "idle") == 0)
        idle(atoi(rest));
    else if (strcmp(line, "signal") == 0)
        kill(t.child, atoi(rest));
    else if (strcmp(line, "hang-up") == 0) {
        close(t.slave);
        close(t.master);
        t.master = -1;
        await_end();
    } else if (strcmp(line, "given-back") == 0)
        given_back(atoi(rest));
    else
        fail("unknown scene command: %s", line);
}

int main(int argc, char **argv)
{
    char line[4096];
    if (argc < 4)
        return 2;
    t.goldens = argv[1];
    t.scene = argv[2];
    for (int i = 3; i < argc && t.arguments < 24; i++)
        t.program[t.arguments++] = argv[i];
    setenv("TZ", "UTC", 1);
    setenv("TERM", "xterm-256color", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("NO_COLOR");
    unsetenv("LINES");
    unsetenv("COLUMNS");
    signal(SIGPIPE, SIG_IGN);
    FILE *f = fopen(t.scene, "r");
    if (!f)
        fail("%s", strerror(errno));
    while (fgets(line, sizeof line, f)) {
        t.line++;
        line[strcspn(line, "\n")] = 0;
        perform(line);
    }
    fclose(f);
    if (t.running) {
        kill(t.child, SIGKILL);
        waitpid(t.child, &t.status, 0);
        fail("the scene ended before the program");
    }
    return 0;
}
