// SPDX-License-Identifier: MIT
// Kills a process that saves turns, at random moments, many times. Afterwards the library opens, it
// has every turn whose receipt had come, and a draft has all text that was passed a second before.
// With the system's disk, and with a disk that loses what was not synced: all of it, or a random
// part. DT_ROUNDS sets the number of rounds of each kind (50).
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/library/library_writer.h"
#include "shim_vfs.h"

static char folder[] = "/tmp/dt-durable-XXXXXX";
static char path[100];

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

// What the child writes to its parent's pipe: a receipt, or the draft it has passed on.
struct message {
    int64_t story; // its number in the library
    uint32_t turn;
    uint32_t finished;
    int64_t words; // the length of the text
    int64_t when;
};

// The text of a turn: numbered words, so that their count determines all of it.
static char *make_text(uint32_t turn, int64_t words)
{
    char *text = malloc((size_t)words * 16 + 32);
    size_t n = (size_t)sprintf(text, "turn %u:", turn);
    for (int64_t i = 0; i < words; i++)
        n += (size_t)sprintf(text + n, " w%lld", (long long)i);
    return text;
}

static int64_t count_words(const char *text, uint32_t turn)
{
    int64_t words = 0;
    for (const char *p = text; (p = strstr(p, " w")) != NULL; p += 2)
        words++;
    char *again = make_text(turn, words);
    bool same = strcmp(again, text) == 0;
    free(again);
    return same ? words : -1;
}

static _Atomic int64_t number;

static void on_report(void *arg, const struct dt_writer_report *report)
{
    (void)arg;
    if (report->type == DT_WRITER_STORY)
        number = report->id;
    if (report->type == DT_WRITER_LIST)
        dt_library_entries_free(report->entries, report->count);
}

// Saves stories until it is killed.
static void save_stories(int out, const char *vfs, unsigned seed, bool fills)
{
    struct dt_writer *writer;
    struct dt_writer_options options = {.path = path, .vfs = vfs, .listener = on_report};
    struct dt_story_record fields = {.title = (char *)"Killed"};
    srand(seed);
    if (dt_writer_new(&writer, &options, NULL) != DT_OK)
        _exit(9);
    for (;;) {
        struct dt_writer_story *story = dt_writer_story_new(writer, &fields);
        uint32_t turns = 1 + (uint32_t)rand() % 5;
        number = 0;
        for (uint32_t turn = 0; turn < turns; turn++) {
            int64_t words = 0, wanted = rand() % 400;
            if (fills)
                shim_vfs_full(rand() % 3 == 0);
            while (words < wanted) {
                words += 1 + rand() % 60;
                char *text = make_text(turn, words);
                struct dt_turn_record record = {.output = text};
                struct message message = {number, turn, 0, words, now_ms()};
                uint64_t ticket = dt_writer_put_turn(writer, story, turn, &record);
                free(text);
                // the program does not wait for a draft's receipt; here it says what must be there
                if (dt_writer_wait(writer, ticket, NULL, NULL, NULL) == DT_SAVED) {
                    message.story = number;
                    if (write(out, &message, sizeof message) != sizeof message)
                        _exit(8);
                }
                pause_ms(rand() % 4);
            }
            char *text = make_text(turn, words);
            struct dt_turn_record record = {.output = text, .finished = true};
            if (dt_writer_wait(writer, dt_writer_put_turn(writer, story, turn, &record), NULL, NULL,
                               NULL) == DT_SAVED) {
                struct message message = {number, turn, 1, words, now_ms()};
                if (write(out, &message, sizeof message) != sizeof message)
                    _exit(8);
            }
            free(text);
        }
        dt_writer_story_release(story);
    }
}

static int failures;

static void look(const struct message *messages, size_t count, int round)
{
    struct dt_library *library = NULL;
    struct dt_error err = {0};
    enum dt_library_trouble trouble;
    if (dt_library_open(&library, path, NULL, DT_LIBRARY_WRITE, &trouble, &err) != DT_OK ||
        (round % 20 == 0 && dt_library_check(library, &err) != DT_OK)) {
        printf("round %d: %s: %s\n", round, err.file, err.message);
        failures++;
        dt_library_close(library);
        return;
    }
    struct dt_story_record record = {0};
    for (size_t i = 0; i < count; i++) {
        const struct message *m = &messages[i];
        if (record.id != m->story) {
            dt_story_record_free(&record);
            if (dt_library_load(library, m->story, &record, &err) != DT_OK) {
                printf("round %d: story %lld: %s\n", round, (long long)m->story, err.message);
                failures++;
                continue;
            }
        }
        int64_t words =
            m->turn < record.turn_count ? count_words(record.turns[m->turn].output, m->turn) : -2;
        if (words < m->words ||
            (m->finished && (words != m->words || !record.turns[m->turn].finished))) {
            printf("round %d: story %lld turn %u: %lld words %s, found %lld\n", round,
                   (long long)m->story, m->turn, (long long)m->words,
                   m->finished ? "finished" : "as a draft", (long long)words);
            failures++;
        }
    }
    dt_story_record_free(&record);
    dt_library_close(library);
}

static void rounds(const char *name, int count, const char *vfs, int leak, bool fills)
{
    size_t finished = 0, drafts = 0;
    int slow = 1; // grows until turns are finished: under a sanitizer on a busy machine
    snprintf(path, sizeof path, "%s/%s/library.db", folder, name);
    for (int round = 0; round < count; round++) {
        static struct message messages[20000];
        size_t n = 0;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            exit(1);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            shim_vfs_forget(vfs != NULL, leak);
            save_stories(ends[1], vfs, (unsigned)(round * 7919 + leak), fills);
        }
        close(ends[1]);
        pause_ms((5 + rand() % 90) * slow);
        kill(child, SIGKILL);
        while (n < sizeof messages / sizeof *messages &&
               read(ends[0], &messages[n], sizeof *messages) == sizeof *messages)
            n++;
        close(ends[0]);
        int status = 0;
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status)) {
            printf("round %d: the child ended by itself: %d\n", round, WEXITSTATUS(status));
            failures++;
        }
        for (size_t i = 0; i < n; i++) {
            finished += messages[i].finished;
            drafts += !messages[i].finished;
        }
        look(messages, n, round);
        if (round % 10 == 9 && finished == 0 && slow < 64)
            slow *= 2;
    }
    printf("%-28s %d rounds, %zu finished turns and %zu drafts looked for, %d lost\n", name, count,
           finished, drafts, failures);
    if (finished == 0) {
        printf("%s: no turn was ever finished: nothing was tested\n", name);
        failures++;
    }
}

int main(void)
{
    int count = getenv("DT_ROUNDS") ? atoi(getenv("DT_ROUNDS")) : 50;
    srand(1);
    if (!mkdtemp(folder) || !shim_vfs_register())
        return 1;
    rounds("killed", count, NULL, 0, false);
    rounds("unsynced-writes-lost", count, "shim", 0, false);
    rounds("some-unsynced-writes-lost", count, "shim", 50, false);
    rounds("lost-on-a-full-disk", count, "shim", 50, true);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (!failures && system(command) != 0)
        return 1;
    if (failures)
        printf("left for a look: %s\n", folder);
    return failures != 0;
}
