// SPDX-License-Identifier: MIT
// Input and output that fails, once or for good, at any point of a session: what was acknowledged
// is in the library afterwards, and once the fault is over, everything is. DT_FAULTS sets how many
// faults (400); with DT_SHOW, prints what the writer reports and checks the file after each
// session.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "app/library/library_writer.h"
#include "shim_vfs.h"

#define TURNS 5

static char folder[] = "/tmp/dt-faults-XXXXXX";
static char path[100];
static int failures;

static void on_report(void *arg, const struct dt_writer_report *report)
{
    (void)arg;
    if (report->type == DT_WRITER_NOTICE && getenv("DT_SHOW"))
        printf("    %s\n", report->text);
    if (report->type == DT_WRITER_LIST)
        dt_library_entries_free(report->entries, report->count);
}

static void text_of(char *out, size_t size, int round, int turn, int version)
{
    size_t n = (size_t)snprintf(out, size, "round %d turn %d version %d ", round, turn, version);
    size_t length = n + (size_t)(rand() % 6000);
    while (n < length && n + 1 < size)
        out[n++] = (char)('a' + rand() % 26);
    out[n] = '\0';
}

static struct dt_writer *start(void)
{
    struct dt_writer *writer = NULL;
    struct dt_writer_options options = {.path = path, .vfs = "shim", .listener = on_report};
    if (dt_writer_new(&writer, &options, NULL) != DT_OK)
        exit(1);
    return writer;
}

// What a session has posted of a turn, and what of it was acknowledged.
struct posted {
    char text[8192];
    int version, acknowledged; // 0: none
};

static int version_of(const char *text)
{
    const char *at = strstr(text, "version ");
    return at ? atoi(at + 8) : -1;
}

static void look(int64_t number, const struct posted *turns, int round, bool healed)
{
    struct dt_library *library = NULL;
    struct dt_error err = {0};
    enum dt_library_trouble trouble;
    struct dt_story_record record = {0};
    bool any = false;
    for (int n = 0; n < TURNS; n++)
        any |= turns[n].acknowledged || healed;
    if (!any)
        return;
    if (dt_library_open(&library, path, NULL, DT_LIBRARY_WRITE, &trouble, &err) != DT_OK ||
        dt_library_load(library, number, &record, &err) != DT_OK ||
        ((round % 10 == 0 || getenv("DT_SHOW")) && dt_library_check(library, &err) != DT_OK)) {
        printf("round %d: story %lld: %s\n", round, (long long)number, err.message);
        failures++;
    }
    for (int n = 0; n < TURNS && number; n++) {
        int least = healed ? turns[n].version : turns[n].acknowledged;
        int found = (size_t)n < record.turn_count ? version_of(record.turns[n].output) : 0;
        if (found >= least && (found < turns[n].version || !found ||
                               strcmp(record.turns[n].output, turns[n].text) == 0))
            continue;
        printf("round %d: turn %d: version %d acknowledged, %d posted, %d found\n", round, n,
               turns[n].acknowledged, turns[n].version, found);
        failures++;
    }
    dt_story_record_free(&record);
    dt_library_close(library);
}

// One session with a fault. Returns how many calls failed.
static int session(int round)
{
    static const int codes[] = {SQLITE_IOERR, SQLITE_FULL, SQLITE_BUSY};
    static struct posted turns[TURNS];
    memset(turns, 0, sizeof turns);
    bool late = rand() % 2;
    int code = codes[(size_t)rand() % (sizeof codes / sizeof *codes)];
    long at = 1 + rand() % 150;
    bool stays = rand() % 3 == 0;
    if (!late)
        shim_vfs_fault(at, code, stays);
    struct dt_writer *writer = start();
    struct dt_story_record fields = {.title = (char *)"Faults"};
    struct dt_writer_story *story = dt_writer_story_new(writer, &fields);
    for (int i = 0; i < 12; i++) {
        int n = i < TURNS ? i : TURNS - 1; // the last one again and again, as /retry does
        struct posted *turn = &turns[n];
        if (late && i == 1)
            shim_vfs_fault(at, code, stays);
        text_of(turn->text, sizeof turn->text, round, n, ++turn->version);
        struct dt_turn_record record = {.output = turn->text, .finished = i % 3 != 1};
        uint64_t ticket = dt_writer_put_turn(writer, story, (uint32_t)n, &record);
        if (dt_writer_wait(writer, ticket, NULL, NULL, NULL) == DT_SAVED)
            for (int k = 0; k <= n; k++) // a save is of all that waits
                turns[k].acknowledged = turns[k].version;
        if (rand() % 8 == 0)
            dt_writer_wait(writer, dt_writer_search(writer, "turn", 0, 3, 1), NULL, NULL, NULL);
    }
    int faults = shim_vfs_faults();
    if (getenv("DT_SHOW"))
        printf("round %d: code %d at %ld stays %d late %d: %d\n", round, code, at, stays, late,
               faults);
    bool healed = rand() % 2;
    if (healed)
        shim_vfs_fault(0, SQLITE_OK, false);
    unsigned lost = dt_writer_free(writer);
    faults = healed ? faults : shim_vfs_faults();
    shim_vfs_fault(0, SQLITE_OK, false);
    if (healed && lost) {
        printf("round %d: %u turns lost after the fault was over\n", round, lost);
        failures++;
    }
    look(dt_writer_story_number(story), turns, round, healed);
    dt_writer_story_release(story);
    return faults;
}

int main(void)
{
    int wanted = getenv("DT_FAULTS") ? atoi(getenv("DT_FAULTS")) : 400, faults = 0, rounds = 0;
    char command[200];
    srand(7);
    if (!mkdtemp(folder) || !shim_vfs_register())
        return 1;
    for (; faults < wanted && failures < 20; rounds++) {
        if (rounds % 40 == 0) { // not too large
            snprintf(path, sizeof path, "%s/n%d/library.db", folder, rounds);
            snprintf(command, sizeof command, "rm -rf %s/n*", folder);
            if (system(command) != 0)
                return 1;
        }
        faults += session(rounds);
    }
    printf("%d sessions, %d faults, %d findings\n", rounds, faults, failures);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return (!failures && system(command) != 0) || failures;
}
