// SPDX-License-Identifier: MIT
// A library as untrusted input: its rows hold any type and any value, or the file any bytes. It is
// opened, listed, searched, loaded, exported and saved. The first byte says what the others are.
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/api.h"
#include "app/library/export.h"
#include "app/library/library.h"
#include "fuzz.h"

static char path[64], empty[64];

static void copy(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t n;
    FUZZ_HOLDS(in && out);
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        FUZZ_HOLDS(fwrite(buffer, 1, n, out) == n);
    fclose(in);
    fclose(out);
}

static void clean_up(void)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal", ".v1", ".v1.part"};
    char name[100];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        unlink(name);
    }
}

static void remove_all(void)
{
    clean_up();
    unlink(empty);
}

// A library without stories, whose columns accept NULL.
static void make_empty(void)
{
    static const char relaxed[] =
        "PRAGMA journal_mode = DELETE; PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = "
        "replace(sql, ' NOT NULL', '') WHERE name IN ('story', 'turn')";
    struct dt_library *library;
    enum dt_library_trouble trouble;
    sqlite3 *db;
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/dt-fuzz-%ld.db", folder, (long)getpid());
    snprintf(empty, sizeof empty, "%s/dt-fuzz-%ld-empty.db", folder, (long)getpid());
    atexit(remove_all);
    FUZZ_HOLDS(dt_library_open(&library, empty, NULL, DT_LIBRARY_WRITE, &trouble, NULL) == DT_OK);
    dt_library_close(library);
    FUZZ_HOLDS(sqlite3_open(empty, &db) == SQLITE_OK);
    FUZZ_HOLDS(sqlite3_exec(db, relaxed, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

struct input {
    const uint8_t *data;
    size_t size;
};

static uint64_t number(struct input *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && in->size > 0; i++, in->data++, in->size--)
        value = value << 8 | *in->data;
    return value;
}

static void bind_any(sqlite3_stmt *s, int i, struct input *in)
{
    uint64_t kind = number(in, 1);
    size_t n = kind / 8 < in->size ? (size_t)kind / 8 : in->size;
    double real;
    uint64_t bits;
    switch (kind % 8) {
    case 0:
        sqlite3_bind_null(s, i);
        return;
    case 1:
        sqlite3_bind_int64(s, i, (int64_t)number(in, 8));
        return;
    case 2:
        bits = number(in, 8);
        memcpy(&real, &bits, sizeof real);
        sqlite3_bind_double(s, i, real);
        return;
    case 3:
        sqlite3_bind_blob(s, i, in->data, (int)n, SQLITE_TRANSIENT);
        break;
    case 4:
        sqlite3_bind_int64(s, i, (int64_t)(kind / 8));
        return;
    default:
        sqlite3_bind_text(s, i, (const char *)in->data, (int)n, SQLITE_TRANSIENT);
        break;
    }
    in->data += n;
    in->size -= n;
}

static void add_rows(struct input *in)
{
    sqlite3 *db;
    sqlite3_stmt *story = NULL, *turn = NULL;
    FUZZ_HOLDS(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_exec(db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL);
    sqlite3_prepare_v2(db, "INSERT INTO story VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)", -1, &story, NULL);
    sqlite3_prepare_v2(db, "INSERT INTO turn VALUES(NULL,?,?,?,?,?,?,?,?,?,?)", -1, &turn, NULL);
    FUZZ_HOLDS(story && turn);
    while (in->size > 0) {
        bool is_story = number(in, 1) % 3 == 0;
        sqlite3_stmt *s = is_story ? story : turn;
        for (int i = 1; i <= (is_story ? 13 : 10); i++)
            bind_any(s, i, in);
        sqlite3_step(s); // a wrong id is refused
        sqlite3_reset(s);
    }
    sqlite3_finalize(story);
    sqlite3_finalize(turn);
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(db);
}

static void use_story(struct dt_library *library, int64_t id)
{
    static FILE *out;
    struct dt_story_record record;
    char when[64];
    if (!out)
        out = fopen("/dev/null", "w");
    if (dt_library_load(library, id, &record, NULL) != DT_OK)
        return;
    for (int form = 0; form < 3; form++)
        FUZZ_HOLDS(dt_export_write(out, &record, (enum dt_export_form)form, form & 1));
    FUZZ_HOLDS(strlen(dt_record_date(record.updated, true, "%Y-%m-%d", when, sizeof when)) == 10);
    for (size_t i = 0; i < record.turn_count; i++)
        FUZZ_HOLDS(record.turns[i].end >= 0 && record.turns[i].end <= DT_END_STOP_TEXT &&
                   record.turns[i].prompt);
    dt_library_save(library, &record, record.renumbered ? 0 : record.turn_count, NULL);
    dt_story_record_free(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt_library *library = NULL;
    struct dt_library_entry *entries = NULL;
    enum dt_library_trouble trouble;
    struct dt_error err = {0};
    size_t count = 0;
    struct input in = {data, size};
    if (!empty[0])
        make_empty();
    if (size < 2)
        return 0;
    clean_up();
    if (number(&in, 1) % 4) {
        copy(empty, path);
        add_rows(&in);
    } else {
        FILE *out = fopen(path, "wb");
        FUZZ_HOLDS(out && fwrite(in.data, 1, in.size, out) == in.size);
        fclose(out);
    }
    if (dt_library_open(&library, path, NULL, DT_LIBRARY_WRITE, &trouble, &err) != DT_OK) {
        FUZZ_HOLDS(err.message[0]);
        return 0;
    }
    static const char *const words[] = {"", "a", "the \"moon*"};
    for (size_t i = 0; i < 3; i++) {
        if (dt_library_search(library, words[i], 0, 20, &entries, &count, NULL) != DT_OK)
            continue;
        for (size_t j = 0; j < count; j++) {
            FUZZ_HOLDS(entries[j].title && entries[j].snippet);
            if (j < 4)
                use_story(library, entries[j].id);
        }
        dt_library_entries_free(entries, count);
    }
    use_story(library, 0);
    dt_library_close(library);
    return 0;
}
