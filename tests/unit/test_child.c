// SPDX-License-Identifier: MIT
// Child processes: finding, starting, input, output and end; none outlives the program.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/child.h"
#include "host/clock.h"

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

// Whether a process exists and is not a zombie.
static bool alive(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *state = strrchr(text, ')');
    return state && state[1] == ' ' && state[2] != 'Z' && state[2] != 'X';
}

// Waits until a process is gone. The limit only ends a failing test.
static bool goes_away(pid_t pid)
{
    for (int i = 0; i < 1000 && alive(pid); i++)
        sleep_ms(10);
    return !alive(pid);
}

static void test_find(void **state)
{
    (void)state;
    char path[256];
    assert_true(dt_child_find("sh", path, sizeof path));
    assert_true(path[0] == '/');
    assert_false(dt_child_find("no-such-program-here", path, sizeof path));
    assert_true(dt_child_find("/bin/sh", NULL, 0));
    assert_false(dt_child_find("/", NULL, 0));
    // Never from the current folder, however PATH names it.
    char old[4096];
    snprintf(old, sizeof old, "%s", getenv("PATH"));
    assert_int_equal(chdir("/bin"), 0);
    assert_int_equal(setenv("PATH", ":.::./:", 1), 0);
    assert_false(dt_child_find("sh", path, sizeof path));
    assert_int_equal(setenv("PATH", old, 1), 0);
}

static void test_talk(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c",
                          "cat; cat /proc/self/fd/21 /proc/self/fd/20 /proc/self/oom_score_adj; "
                          "echo one >&2; printf ' \\n two\\033[1m\\n\\n' >&2; exit 3",
                          NULL};
    const struct dt_child_file files[] = {{"first", 5}, {"second", 6}};
    struct dt_child_spec spec = {.argv = argv,
                                 .pipes = DT_CHILD_STDIN | DT_CHILD_STDOUT | DT_CHILD_STDERR,
                                 .files = files,
                                 .file_count = 2,
                                 .nice = 3};
    struct dt_child child;
    struct dt_child_end end;
    struct dt_error err = {0};
    char text[256], line[300];
    size_t used = 0;
    assert_int_equal(dt_child_start(&child, &spec, &err), DT_OK);
    assert_int_equal(getpgid(child.pid), child.pid);
    assert_int_equal(dt_child_write(&child, "hello ", 6), 6);
    dt_child_close(&child.in);
    for (;;) {
        ssize_t n = read(child.out, text + used, sizeof text - used);
        if (n == 0)
            break;
        if (n < 0)
            sleep_ms(1);
        else
            used += (size_t)n;
    }
    // 800: the kernel kills it before the program if memory runs out.
    assert_int_equal(used, 21);
    assert_memory_equal(text, "hello secondfirst800\n", 21);
    assert_true(dt_child_wait(&child, -1, NULL, &end));
    assert_int_equal(end.code, 3);
    assert_int_equal(end.signal, 0);
    assert_string_equal(dt_child_describe(&child, "sh", &end, line, sizeof line),
                        "sh ended with code 3: two [1m");
    assert_int_equal(child.pid, 0);
    assert_true(dt_child_wait(&child, -1, NULL, &end));
    dt_child_finish(&child, &end);
}

// A child has no other open files and default signal handling.
static void test_clean(void **state)
{
    (void)state;
    int leak = open("/dev/null", O_RDONLY); // without O_CLOEXEC, as a library might open it
    signal(SIGPIPE, SIG_IGN);
    const char *argv[] = {"sh", "-c", "ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status",
                          NULL};
    struct dt_child_spec spec = {.argv = argv, .pipes = DT_CHILD_STDOUT};
    struct dt_child child;
    char text[256] = "";
    size_t used = 0;
    assert_int_equal(dt_child_start(&child, &spec, NULL), DT_OK);
    for (ssize_t n; (n = read(child.out, text + used, sizeof text - 1 - used)) != 0;)
        if (n > 0)
            used += (size_t)n;
        else
            sleep_ms(1);
    dt_child_finish(&child, NULL);
    signal(SIGPIPE, SIG_DFL);
    close(leak);
    assert_int_equal(atoi(text), 4); // 0, 1, 2 and the folder that ls reads
    assert_non_null(strstr(text, "SigIgn:\t0000000000000000"));
}

static void test_missing(void **state)
{
    (void)state;
    const char *argv[] = {"no-such-program-here", NULL};
    struct dt_child_spec spec = {.argv = argv};
    struct dt_child child;
    struct dt_error err = {0};
    assert_int_equal(dt_child_start(&child, &spec, &err), DT_UNSUPPORTED);
    assert_non_null(strstr(err.message, "no-such-program-here is not installed"));
    // An executable that the kernel refuses.
    char path[] = "/tmp/test_child_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "\177ELFnonsense", 12) == 12 && fchmod(fd, 0700) == 0 &&
                close(fd) == 0);
    argv[0] = path;
    assert_int_equal(dt_child_start(&child, &spec, &err), DT_UNSUPPORTED);
    assert_string_equal(err.file, path);
    assert_int_equal(child.pid, 0);
    unlink(path);
}

// A child that closes its input: no SIGPIPE, and the write returns -1.
static void test_deaf(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "exec 0</dev/null; echo; sleep 100", NULL};
    struct dt_child_spec spec = {.argv = argv, .pipes = DT_CHILD_STDIN | DT_CHILD_STDOUT};
    struct dt_child child;
    char byte;
    assert_int_equal(dt_child_start(&child, &spec, NULL), DT_OK);
    while (read(child.out, &byte, 1) != 1)
        sleep_ms(1);
    assert_int_equal(dt_child_write(&child, "x", 1), -1);
    sigset_t pending;
    sigpending(&pending);
    assert_false(sigismember(&pending, SIGPIPE));
    dt_child_finish(&child, NULL);
}

static void test_stop(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "sleep 100 & echo $!; trap '' TERM INT; wait", NULL};
    struct dt_child_spec spec = {.argv = argv, .pipes = DT_CHILD_STDOUT};
    struct dt_child child;
    struct dt_child_end end;
    struct dt_stop stop;
    char text[32] = "";
    assert_int_equal(dt_stop_init(&stop, NULL), DT_OK);
    assert_int_equal(dt_child_start(&child, &spec, NULL), DT_OK);
    pid_t pid = child.pid;
    for (size_t used = 0; !strchr(text, '\n');) {
        ssize_t n = read(child.out, text + used, sizeof text - 1 - used);
        used += n > 0 ? (size_t)n : 0;
    }
    assert_false(dt_child_wait(&child, 20, &stop, &end));
    dt_stop_set(&stop);
    assert_false(dt_child_wait(&child, -1, &stop, &end));
    dt_stop_clear(&stop);
    assert_false(atomic_load(&stop.set));
    dt_child_finish(&child, &end);
    assert_int_equal(end.signal, SIGKILL);
    assert_true(goes_away(pid));
    assert_true(goes_away((pid_t)atoi(text))); // the script's own child, too
    dt_stop_free(&stop);
    dt_stop_free(&stop);
}

// SIGKILL to the program also ends its children.
static void test_orphans(void **state)
{
    (void)state;
    static const int signals[] = {SIGKILL, SIGSEGV, SIGTERM};
    for (size_t i = 0; i < 3; i++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t program = fork();
        if (program == 0) {
            const char *argv[] = {"sleep", "1000", NULL};
            struct dt_child_spec spec = {.argv = argv, .pipes = DT_CHILD_STDIN};
            struct dt_child child;
            signal(SIGSEGV, SIG_DFL);
            if (dt_child_start(&child, &spec, NULL) != DT_OK ||
                write(ends[1], &child.pid, sizeof child.pid) < 0)
                _exit(1);
            for (;;)
                pause();
        }
        pid_t child = 0;
        assert_int_equal(read(ends[0], &child, sizeof child), sizeof child);
        assert_true(alive(child));
        assert_int_equal(kill(program, signals[i]), 0);
        assert_int_equal(waitpid(program, NULL, 0), program);
        assert_true(goes_away(child));
        close(ends[0]);
        close(ends[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),    cmocka_unit_test(test_talk), cmocka_unit_test(test_clean),
        cmocka_unit_test(test_missing), cmocka_unit_test(test_deaf), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_orphans),
    };
    return cmocka_run_group_tests_name("host: child processes", tests, NULL, NULL);
}
