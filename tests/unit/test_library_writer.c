// SPDX-License-Identifier: MIT
// The library writer when all is well, and when the disk is full, locked, read-only, broken or
// gone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>

#include "app/library/library_writer.h"
#include "shim_vfs.h"

static char folder[] = "/tmp/dt-library-writer-XXXXXX";
static char path[160];
static struct dt_writer *writer;

static struct {
    pthread_mutex_t lock;
    int warnings, good_news, errors, lists, unhealthy;
    size_t list_count;
    int64_t id, last_id;
    char last_title[64];
    char text[2000];
} heard = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void listen_to(void *arg, const struct dt_writer_report *report)
{
    (void)arg;
    pthread_mutex_lock(&heard.lock);
    switch (report->type) {
    case DT_WRITER_NOTICE:
        heard.warnings += report->level == DT_NOTICE_WARNING;
        heard.good_news += report->level == DT_NOTICE_INFO;
        heard.errors += report->level == DT_NOTICE_ERROR;
        snprintf(heard.text, sizeof heard.text, "%s", report->text);
        break;
    case DT_WRITER_STORY:
        heard.id = report->id;
        break;
    case DT_WRITER_LAST:
        heard.last_id = report->id;
        snprintf(heard.last_title, sizeof heard.last_title, "%s", report->text);
        break;
    case DT_WRITER_LIST:
        heard.lists++;
        heard.list_count = report->count;
        dt_library_entries_free(report->entries, report->count);
        break;
    case DT_WRITER_HEALTH:
        heard.unhealthy += !report->healthy;
        break;
    }
    pthread_mutex_unlock(&heard.lock);
}

static void start(const char *vfs)
{
    struct dt_writer_options options = {
        .path = path, .vfs = vfs, .listener = listen_to, .offer_last = true};
    assert_int_equal(dt_writer_new(&writer, &options, NULL), DT_OK);
}

static int set_up(void **state)
{
    (void)state;
    static int number;
    snprintf(path, sizeof path, "%s/n%d/library.db", folder, number++);
    heard.warnings = heard.good_news = heard.errors = heard.lists = heard.unhealthy = 0;
    heard.id = heard.last_id = 0;
    shim_vfs_forget(false, 0);
    shim_vfs_full(false);
    shim_vfs_read_only(false);
    return 0;
}

static struct dt_writer_story *new_story(const char *title)
{
    struct dt_story_record record = {.title = (char *)title};
    return dt_writer_story_new(writer, &record);
}

static uint64_t put(struct dt_writer_story *story, uint32_t n, const char *output, bool finished)
{
    struct dt_turn_record turn = {.prompt = (char *)"p",
                                  .output = (char *)output,
                                  .finished = finished,
                                  .stack = (char *)"s"};
    return dt_writer_put_turn(writer, story, n, &turn);
}

static enum dt_saved wait_for(uint64_t ticket)
{
    return dt_writer_wait(writer, ticket, NULL, NULL, NULL);
}

// What the file holds, read by somebody else.
static size_t turns_on_disk(int64_t id, char *output, size_t size)
{
    struct dt_library *library;
    enum dt_library_trouble trouble;
    struct dt_story_record record = {0};
    size_t count = 0;
    if (dt_library_open(&library, path, NULL, 0, &trouble, NULL) != DT_OK)
        return 0;
    if (dt_library_load(library, id, &record, NULL) == DT_OK) {
        count = record.turn_count;
        if (output && count)
            snprintf(output, size, "%s", record.turns[count - 1].output);
    }
    dt_story_record_free(&record);
    dt_library_close(library);
    return count;
}

static void receipts(void **state)
{
    (void)state;
    char output[100];
    struct dt_error err = {0};
    struct dt_story_record record;
    start(NULL);
    struct dt_writer_story *story = new_story("First");
    for (int i = 0; i < 100; i++)
        put(story, 0, "draft", false);
    assert_int_equal(wait_for(put(story, 0, "whole", true)), DT_SAVED);
    assert_int_equal(heard.id, 1);
    assert_int_equal(turns_on_disk(1, output, sizeof output), 1);
    assert_string_equal(output, "whole");
    assert_int_equal(wait_for(put(story, 1, "more", true)), DT_SAVED);
    assert_int_equal(wait_for(dt_writer_cut(writer, story, 1)), DT_SAVED);
    assert_int_equal(turns_on_disk(1, NULL, 0), 1);
    struct dt_story_record other = {.title = "Other"};
    assert_int_equal(wait_for(dt_writer_put_fields(writer, story, &other)), DT_SAVED);
    assert_int_equal(dt_writer_wait(writer, dt_writer_delete(writer, NULL, 9), NULL, NULL, &err),
                     DT_NOT_SAVED);
    assert_non_null(strstr(err.message, "no story 9"));
    assert_int_equal(dt_writer_wait(writer, dt_writer_load(writer, 0), NULL, &record, NULL),
                     DT_SAVED);
    assert_string_equal(record.title, "Other");
    dt_story_record_free(&record);
    uint64_t ticket = dt_writer_search(writer, "whole", 0, 5, 3);
    wait_for(ticket);
    assert_int_equal(heard.list_count, 1);
    dt_writer_story_release(story);
    dt_writer_free(writer);
    start(NULL); // the next session gets the last story
    wait_for(dt_writer_search(writer, "", 0, 5, 4));
    assert_int_equal(heard.last_id, 1);
    assert_string_equal(heard.last_title, "Other");
    assert_int_equal(wait_for(dt_writer_delete(writer, NULL, 1)), DT_SAVED);
    dt_writer_free(writer);
    assert_int_equal(turns_on_disk(1, NULL, 0), 0);
    assert_int_equal(heard.warnings + heard.errors, 0);
}

// A trouble comes and goes: said once, nothing stops, nothing is lost.
static void comes_and_goes(void (*trouble)(bool on))
{
    char output[100], text[40];
    start("shim");
    struct dt_writer_story *story = new_story("Trouble");
    assert_int_equal(wait_for(put(story, 0, "before", true)), DT_SAVED);
    trouble(true);
    for (uint32_t n = 1; n <= 20; n++) {
        // longer than the pages that SQLite has at hand
        static char big[30000];
        memset(big, 'a' + (int)n, sizeof big - 1);
        put(story, n, "draft", false);
        assert_int_equal(wait_for(put(story, n, big, true)), DT_SAVED_LATER);
    }
    assert_false(dt_writer_healthy(writer));
    assert_int_equal(heard.warnings, 1);
    trouble(false);
    assert_int_equal(wait_for(put(story, 21, "after", true)), DT_SAVED);
    assert_true(dt_writer_healthy(writer));
    assert_int_equal(heard.good_news, 1);
    snprintf(text, sizeof text, "20 turns");
    assert_non_null(strstr(heard.text, text));
    dt_writer_story_release(story);
    dt_writer_free(writer);
    assert_int_equal(turns_on_disk(heard.id, output, sizeof output), 22);
    assert_string_equal(output, "after");
    assert_int_equal(heard.errors, 0);
}

static void full_disk(void **state)
{
    (void)state;
    comes_and_goes(shim_vfs_full);
}

static void read_only_disk(void **state)
{
    (void)state;
    comes_and_goes(shim_vfs_read_only);
}

static sqlite3 *locker;
static void lock_it(bool on)
{
    if (on) {
        sqlite3_open(path, &locker);
        assert_int_equal(sqlite3_exec(locker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    } else {
        sqlite3_exec(locker, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_close(locker);
    }
}

static void locked_by_another(void **state)
{
    (void)state;
    struct dt_writer_story *story;
    start(NULL);
    story = new_story("Lock");
    assert_int_equal(wait_for(put(story, 0, "before", true)), DT_SAVED);
    lock_it(true);
    assert_int_equal(wait_for(put(story, 1, "during", true)), DT_SAVED_LATER);
    assert_int_equal(wait_for(put(story, 2, "during", true)), DT_SAVED_LATER);
    assert_int_equal(heard.warnings, 1);
    lock_it(false);
    assert_int_equal(wait_for(put(story, 3, "after", true)), DT_SAVED);
    assert_int_equal(turns_on_disk(heard.id, NULL, 0), 4);
    dt_writer_story_release(story);
    dt_writer_free(writer);
}

// A turn that is generated again while another program holds the lock, as by /retry: a search finds
// the new text and not the old one.
static void retold_while_locked(void **state)
{
    (void)state;
    struct dt_library *library;
    enum dt_library_trouble trouble;
    start(NULL);
    struct dt_writer_story *story = new_story("Retold");
    assert_int_equal(wait_for(put(story, 0, "a walrus", true)), DT_SAVED);
    lock_it(true);
    put(story, 0, "a pen", false);
    assert_int_equal(wait_for(put(story, 0, "a penguin", true)), DT_SAVED_LATER);
    lock_it(false);
    assert_int_equal(wait_for(put(story, 1, "the end", true)), DT_SAVED);
    wait_for(dt_writer_search(writer, "walrus", 0, 5, 1));
    assert_int_equal(heard.list_count, 0);
    wait_for(dt_writer_search(writer, "penguin", 0, 5, 2));
    assert_int_equal(heard.list_count, 1);
    dt_writer_story_release(story);
    dt_writer_free(writer);
    assert_int_equal(dt_library_open(&library, path, NULL, 0, &trouble, NULL), DT_OK);
    assert_int_equal(dt_library_check(library, NULL), DT_OK);
    dt_library_close(library);
}

// What waits is written by itself, without a further turn; and at the end at the latest.
static void written_at_the_end(void **state)
{
    (void)state;
    start("shim");
    struct dt_writer_story *story = new_story("End");
    assert_int_equal(wait_for(put(story, 0, "before", true)), DT_SAVED);
    shim_vfs_full(true);
    static char big[30000];
    memset(big, 'x', sizeof big - 1);
    assert_int_equal(wait_for(put(story, 1, big, true)), DT_SAVED_LATER);
    shim_vfs_full(false);
    dt_writer_story_release(story);
    dt_writer_free(writer);
    assert_int_equal(turns_on_disk(heard.id, NULL, 0), 2);
}

static void lost_is_reported(void **state)
{
    (void)state;
    char command[200];
    start("shim");
    struct dt_writer_story *story = new_story("Lost");
    shim_vfs_read_only(true);
    assert_int_equal(wait_for(put(story, 0, "walrus", true)), DT_SAVED_LATER);
    dt_writer_story_release(story);
    assert_int_equal(dt_writer_free(writer), 1);
    shim_vfs_read_only(false);
    assert_int_equal(heard.errors, 1);
    assert_non_null(strstr(heard.text, "1 turn could not be saved"));
    // and is in a file, whose name was reported
    snprintf(command, sizeof command, "grep -q walrus '%.*s'",
             (int)strcspn(strchr(heard.text, '/'), "\n") - 1, strchr(heard.text, '/'));
    assert_int_equal(system(command), 0);
}

// A failing medium: the sync fails, the turn is not called kept, and is written by the next try.
static void failing_sync(void **state)
{
    (void)state;
    start("shim");
    struct dt_writer_story *story = new_story("Sync");
    assert_int_equal(wait_for(put(story, 0, "before", true)), DT_SAVED);
    shim_vfs_bad_sync(1);
    assert_int_equal(wait_for(put(story, 1, "during", true)), DT_SAVED_LATER);
    assert_int_equal(wait_for(put(story, 2, "after", true)), DT_SAVED);
    dt_writer_story_release(story);
    dt_writer_free(writer);
    assert_int_equal(turns_on_disk(heard.id, NULL, 0), 3);
}

static void broken_file(void **state)
{
    (void)state;
    char command[300];
    start("shim");
    struct dt_writer_story *story = new_story("Anew");
    assert_int_equal(wait_for(put(story, 0, "zero", true)), DT_SAVED);
    assert_int_equal(wait_for(put(story, 1, "one", true)), DT_SAVED);
    // an error that only looks like damage: the library stays
    shim_vfs_damaged();
    assert_int_equal(wait_for(put(story, 1, "one", true)), DT_SAVED);
    assert_int_equal(heard.warnings, 0);
    // damaged while it is open: the whole story goes to the new library
    snprintf(command, sizeof command,
             "seq 20000 | dd of=%s bs=4096 seek=1 conv=notrunc 2>/dev/null && truncate -s 0 %s-wal",
             path, path);
    assert_int_equal(system(command), 0);
    shim_vfs_damaged();
    assert_int_equal(wait_for(put(story, 2, "two", true)), DT_SAVED);
    assert_int_equal(heard.warnings, 1);
    assert_non_null(strstr(heard.text, "renamed to"));
    assert_int_equal(turns_on_disk(heard.id, NULL, 0), 3);
    dt_writer_story_release(story);
    dt_writer_free(writer);
    // damaged at the start
    snprintf(command, sizeof command,
             "seq 20000 | dd of=%s bs=1 seek=100 conv=notrunc 2>/dev/null && rm -f %s-wal", path,
             path);
    assert_int_equal(system(command), 0);
    start("shim");
    story = new_story("Once more");
    assert_int_equal(wait_for(put(story, 0, "zero", true)), DT_SAVED);
    assert_int_equal(heard.warnings, 2);
    dt_writer_story_release(story);
    assert_int_equal(dt_writer_free(writer), 0);
    snprintf(command, sizeof command, "test $(ls %s.broken-* | grep -vc -e -wal -e -shm) = 2",
             path);
    assert_int_equal(system(command), 0);
}

// A file that is no library is left alone; the story goes to a file of its own at the end.
static void foreign_file(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "mkdir -p %s && rmdir %s && seq 20 > %s", path, path, path);
    assert_int_equal(system(command), 0);
    start(NULL);
    struct dt_writer_story *story = new_story("Elsewhere");
    assert_int_equal(wait_for(put(story, 0, "walrus", true)), DT_SAVED_LATER);
    assert_int_equal(heard.warnings, 1);
    assert_non_null(strstr(heard.text, "not a library of stories"));
    assert_false(dt_writer_healthy(writer));
    dt_writer_story_release(story);
    assert_int_equal(dt_writer_free(writer), 1);
    snprintf(
        command, sizeof command,
        "seq 20 | cmp - %s && test $(ls %s* | wc -l) = 1 && cat %.*s/duotale-story-*.md | grep "
        "-q walrus",
        path, path, (int)(strrchr(path, '/') - path), path);
    assert_int_equal(system(command), 0);
}

static struct dt_story_record load(int64_t id)
{
    struct dt_library *library;
    enum dt_library_trouble trouble;
    struct dt_story_record record = {0};
    assert_int_equal(dt_library_open(&library, path, NULL, 0, &trouble, NULL), DT_OK);
    dt_library_load(library, id, &record, NULL);
    dt_library_close(library);
    return record;
}

// Read-only from the first moment: one notice before any turn, and no health.
static void read_only_from_the_start(void **state)
{
    (void)state;
    struct dt_story_record record;
    start(NULL);
    struct dt_writer_story *story = new_story("Old");
    assert_int_equal(wait_for(put(story, 0, "old text", true)), DT_SAVED);
    dt_writer_story_release(story);
    dt_writer_free(writer);
    shim_vfs_read_only(true);
    start("shim");
    wait_for(dt_writer_search(writer, "", 0, 5, 1));
    assert_int_equal(heard.warnings, 1);
    assert_non_null(strstr(heard.text, "written"));
    assert_int_equal(heard.unhealthy, 1);
    assert_false(dt_writer_healthy(writer));
    assert_int_equal(heard.list_count, 1); // it can be read
    assert_int_equal(heard.last_id, 1);
    assert_int_equal(dt_writer_wait(writer, dt_writer_load(writer, 1), NULL, &record, NULL),
                     DT_SAVED);
    story = dt_writer_story_new(writer, &record);
    dt_story_record_free(&record);
    assert_int_equal(wait_for(put(story, 1, "new text", true)), DT_SAVED_LATER);
    assert_int_equal(heard.warnings, 1);
    dt_writer_story_release(story);
    assert_int_equal(dt_writer_free(writer), 1); // for the exit status
    shim_vfs_read_only(false);
}

// The file is removed, or another one has its place: nothing is lost, nothing is overwritten.
static void file_removed(void **state)
{
    (void)state;
    char command[400];
    start(NULL);
    struct dt_writer_story *story = new_story("Removed");
    assert_int_equal(wait_for(put(story, 0, "zero", true)), DT_SAVED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(wait_for(put(story, 1, "one", true)), DT_SAVED);
    assert_int_equal(heard.warnings, 1);
    assert_int_equal(turns_on_disk(heard.id, NULL, 0), 2);
    // replaced by another library that has a story with the same number
    snprintf(command, sizeof command, "mv %s %s.old; rm -f %s-*", path, path, path);
    assert_int_equal(system(command), 0);
    struct dt_writer *mine = writer;
    start(NULL);
    struct dt_writer_story *other = new_story("Other");
    assert_int_equal(wait_for(put(other, 0, "other", true)), DT_SAVED);
    dt_writer_story_release(other);
    dt_writer_free(writer);
    writer = mine;
    assert_int_equal(wait_for(put(story, 2, "two", true)), DT_SAVED);
    assert_int_equal(heard.warnings, 2);
    assert_int_equal(heard.id, 2);
    assert_int_equal(turns_on_disk(1, NULL, 0), 1);
    assert_int_equal(turns_on_disk(2, NULL, 0), 3);
    // removed after the last turn: saved again at the end
    snprintf(command, sizeof command, "rm -f %s %s-*", path, path);
    assert_int_equal(system(command), 0);
    dt_writer_story_release(story);
    assert_int_equal(dt_writer_free(writer), 0);
    assert_int_equal(turns_on_disk(1, NULL, 0), 3);
}

static void remove_tail(const char *tail)
{
    char name[sizeof path + 8];
    snprintf(name, sizeof name, "%s%s", path, tail);
    assert_int_equal(unlink(name), 0);
}

// The -wal or the -shm file alone is removed: what is in it is still open, and not lost.
static void tail_removed(void **state)
{
    (void)state;
    static const char *const tails[] = {"-wal", "-shm"};
    for (int i = 0; i < 2; i++) {
        char command[300], output[64];
        set_up(NULL);
        start(NULL);
        struct dt_writer_story *story = new_story("Cut");
        assert_int_equal(wait_for(put(story, 0, "zero", true)), DT_SAVED);
        remove_tail(tails[i]);
        assert_int_equal(wait_for(put(story, 1, "one", true)), DT_SAVED);
        assert_int_equal(heard.warnings, 1);
        assert_non_null(strstr(heard.text, "was removed"));
        // the program is killed, and what it had in memory is gone: another one reads a copy
        snprintf(command, sizeof command, "mkdir %s.d && cp %s %s-wal %s.d/", path, path, path,
                 path);
        assert_int_equal(system(command), 0);
        size_t length = strlen(path);
        snprintf(path + length, sizeof path - length, ".d/library.db");
        assert_int_equal(turns_on_disk(1, output, sizeof output), 2);
        assert_string_equal(output, "one");
        path[length] = '\0';
        // after the last turn
        remove_tail(tails[i]);
        dt_writer_story_release(story);
        assert_int_equal(dt_writer_free(writer), 0);
        assert_int_equal(heard.warnings, 2);
        assert_int_equal(turns_on_disk(1, output, sizeof output), 2);
        assert_int_equal(turns_on_disk(2, NULL, 0), 0); // it is still the same story
    }
}

// In another process, because SQLite shares locks and the -shm file within one: adds a story when
// it gets a byte, and closes the library when it gets another.
static void other_session(int orders, int answers)
{
    char byte = 0;
    if (read(orders, &byte, 1) != 1)
        _exit(1);
    start(NULL);
    struct dt_writer_story *other = new_story("Other");
    bool good = wait_for(put(other, 0, "other", true)) == DT_SAVED;
    good = write(answers, &byte, 1) == 1 && read(orders, &byte, 1) == 1 && good;
    dt_writer_story_release(other);
    good = dt_writer_free(writer) == 0 && good;
    _exit(!good);
}

// The -wal and -shm files are removed, and another session has begun new ones: both texts stay.
static void tails_replaced(void **state)
{
    (void)state;
    int orders[2], answers[2], status;
    char byte = 0;
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(answers), 0);
    pid_t child = fork();
    if (child == 0)
        other_session(orders[0], answers[1]);
    start(NULL);
    struct dt_writer_story *story = new_story("Mine");
    assert_int_equal(wait_for(put(story, 0, "zero", true)), DT_SAVED);
    remove_tail("-wal");
    remove_tail("-shm");
    assert_int_equal(write(orders[1], &byte, 1), 1);
    assert_int_equal(read(answers[0], &byte, 1), 1);
    assert_int_equal(wait_for(put(story, 1, "one", true)), DT_SAVED);
    assert_int_equal(heard.warnings, 1);
    int64_t mine = dt_writer_story_number(story);
    assert_int_equal(write(orders[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    dt_writer_story_release(story);
    assert_int_equal(dt_writer_free(writer), 0);
    assert_int_equal(turns_on_disk(mine, NULL, 0), 2);
    assert_int_equal(turns_on_disk(mine == 1 ? 2 : 1, NULL, 0), 1);
    for (int i = 0; i < 2; i++) {
        close(orders[i]);
        close(answers[i]);
    }
}

// Another session adds a turn to the same story, or deletes it: both texts stay.
static void two_sessions(void **state)
{
    (void)state;
    struct dt_story_record record;
    start(NULL);
    struct dt_writer *a = writer;
    struct dt_writer_story *in_a = new_story("Shared");
    assert_int_equal(wait_for(put(in_a, 0, "a0", true)), DT_SAVED);
    assert_int_equal(wait_for(put(in_a, 1, "a1", true)), DT_SAVED);
    start(NULL);
    struct dt_writer *b = writer;
    record = load(1);
    struct dt_writer_story *in_b = dt_writer_story_new(b, &record);
    dt_story_record_free(&record);
    assert_int_equal(wait_for(put(in_b, 2, "b2", true)), DT_SAVED);
    writer = a;
    assert_int_equal(wait_for(put(in_a, 2, "a2", true)), DT_SAVED);
    assert_int_equal(heard.warnings, 1);
    assert_non_null(strstr(heard.text, "continues as story 2"));
    assert_int_equal(dt_writer_story_number(in_a), 2);
    record = load(1);
    assert_int_equal(record.turn_count, 3);
    assert_string_equal(record.turns[2].output, "b2");
    dt_story_record_free(&record);
    record = load(2);
    assert_int_equal(record.turn_count, 3);
    assert_string_equal(record.turns[0].output, "a0");
    assert_string_equal(record.turns[2].output, "a2");
    dt_story_record_free(&record);
    // deleted by the other one: what this session has is a whole story
    writer = b;
    assert_int_equal(wait_for(dt_writer_delete(b, NULL, 2)), DT_SAVED);
    writer = a;
    assert_int_equal(wait_for(put(in_a, 3, "a3", true)), DT_SAVED);
    assert_int_equal(heard.warnings, 2);
    record = load(dt_writer_story_number(in_a));
    assert_int_equal(record.turn_count, 4);
    assert_string_equal(record.turns[0].output, "a0");
    dt_story_record_free(&record);
    dt_writer_story_release(in_a);
    dt_writer_story_release(in_b);
    dt_writer_free(a);
    dt_writer_free(b);
}

// A deleted story that still waits in memory does not come back.
static void deleted_while_it_waits(void **state)
{
    (void)state;
    start("shim");
    struct dt_writer_story *story = new_story("Secret");
    wait_for(dt_writer_search(writer, "", 0, 1, 1)); // the library is open
    shim_vfs_full(true);
    static char big[300000];
    memset(big, 'x', sizeof big - 1);
    assert_int_equal(wait_for(put(story, 0, big, true)), DT_SAVED_LATER);
    assert_int_equal(wait_for(dt_writer_delete(writer, story, 0)), DT_SAVED);
    shim_vfs_full(false);
    dt_writer_story_release(story);
    assert_int_equal(dt_writer_free(writer), 0);
    struct dt_story_record record = load(0);
    assert_int_equal(record.turn_count, 0);
}

// The -wal file is long and the disk full: what is in it goes to the library, and its space is used
// again.
static void full_disk_with_a_long_wal(void **state)
{
    (void)state;
    static char big[20000];
    start("shim");
    struct dt_writer_story *story = new_story("Long");
    memset(big, 'x', sizeof big - 1);
    assert_int_equal(wait_for(put(story, 0, big, false)), DT_SAVED);
    dt_writer_story_release(story);
    dt_writer_free(writer); // which moves it all to the library
    start("shim");
    struct dt_story_record record = load(1);
    story = dt_writer_story_new(writer, &record);
    dt_story_record_free(&record);
    for (int i = 0; i < 12; i++) {
        big[i] = 'z';
        assert_int_equal(wait_for(put(story, 0, big, false)), DT_SAVED);
    }
    shim_vfs_full(true);
    for (int i = 0; i < 12; i++) {
        big[i] = 'y';
        assert_int_equal(wait_for(put(story, 0, big, false)), DT_SAVED);
    }
    assert_int_equal(heard.warnings, 0);
    shim_vfs_full(false);
    dt_writer_story_release(story);
    dt_writer_free(writer);
}

static void no_home(void **state)
{
    (void)state;
    struct dt_writer_options options = {
        .path = "/proc/nowhere/library.db", .listener = listen_to, .offer_last = true};
    assert_int_equal(dt_writer_new(&writer, &options, NULL), DT_OK);
    struct dt_writer_story *story = new_story("Homeless");
    assert_int_equal(wait_for(put(story, 0, "x", true)), DT_SAVED_LATER);
    assert_int_equal(wait_for(put(story, 1, "x", true)), DT_SAVED_LATER);
    wait_for(dt_writer_search(writer, "", 0, 5, 1));
    assert_int_equal(heard.warnings, 1);
    assert_int_equal(heard.lists, 1); // who asked is answered, if with nothing
    dt_writer_story_release(story);
    dt_writer_free(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(receipts, set_up),
        cmocka_unit_test_setup(full_disk, set_up),
        cmocka_unit_test_setup(read_only_disk, set_up),
        cmocka_unit_test_setup(locked_by_another, set_up),
        cmocka_unit_test_setup(retold_while_locked, set_up),
        cmocka_unit_test_setup(written_at_the_end, set_up),
        cmocka_unit_test_setup(lost_is_reported, set_up),
        cmocka_unit_test_setup(failing_sync, set_up),
        cmocka_unit_test_setup(broken_file, set_up),
        cmocka_unit_test_setup(foreign_file, set_up),
        cmocka_unit_test_setup(read_only_from_the_start, set_up),
        cmocka_unit_test_setup(file_removed, set_up),
        cmocka_unit_test_setup(tail_removed, set_up),
        cmocka_unit_test_setup(tails_replaced, set_up),
        cmocka_unit_test_setup(two_sessions, set_up),
        cmocka_unit_test_setup(deleted_while_it_waits, set_up),
        cmocka_unit_test_setup(full_disk_with_a_long_wal, set_up),
        cmocka_unit_test_setup(no_home, set_up),
    };
    if (!mkdtemp(folder) || !shim_vfs_register())
        return 1;
    int failed = cmocka_run_group_tests_name("library_writer", tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 ? 1 : failed;
}
