// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/settings/settings.h"
#include "app/settings/name_match.h"

static char folder[] = "/tmp/dt-settings-XXXXXX";
static struct dt_settings settings;

static int set_up(void **state)
{
    (void)state;
    dt_settings_init(&settings);
    return 0;
}

// The table itself is sound: every default is a value of its own row, names are unique and no
// prefix makes trouble.
static void table_is_sound(void **state)
{
    (void)state;
    for (int i = 0; i < DT_SET_COUNT; i++) {
        const struct dt_setting *row = &dt_settings_table()[i];
        struct dt_error err = {0};
        assert_non_null(row->name);
        assert_int_equal(dt_settings_find(row->name), i);
        assert_int_equal(dt_settings_set(&settings, i, row->initial, DT_FROM_USER, &err), DT_OK);
        assert_string_equal(dt_settings_text(&settings, i),
                            row->initial[0] == '1' && row->type == DT_SETTING_REAL ? "1"
                                                                                   : row->initial);
        assert_true(strlen(row->help) > 10 && row->help[strlen(row->help) - 1] == '.');
        for (int j = 0; j < i; j++)
            assert_true(!row->letter || row->letter != dt_settings_table()[j].letter);
    }
}

static void values_and_ranges(void **state)
{
    (void)state;
    static const struct {
        int id;
        const char *text;
        bool taken;
        double number;
    } rows[] = {
        {DT_SET_TEMPERATURE, "0.8", true, 0.8},
        {DT_SET_TEMPERATURE, "1e-1", true, 0.1},
        {DT_SET_TEMPERATURE, "-0", true, 0},
        {DT_SET_TEMPERATURE, "-0.1", false, 0},
        {DT_SET_TEMPERATURE, "nan", false, 0},
        {DT_SET_TEMPERATURE, "inf", false, 0},
        {DT_SET_TEMPERATURE, "1e999", false, 0},
        {DT_SET_TEMPERATURE, "0x1p0", false, 0},
        {DT_SET_TEMPERATURE, "", false, 0},
        {DT_SET_TEMPERATURE, "0.8 ", false, 0},
        {DT_SET_TOP_P, "1.01", false, 0},
        {DT_SET_TOP_P, "1", true, 1},
        {DT_SET_SEED, "9007199254740991", true, 9007199254740991.0},
        {DT_SET_SEED, "99999999999999999999999", false, 0},
        {DT_SET_SEED, "-1", false, 0},
        {DT_SET_SEED, "+1", false, 0},
        {DT_SET_LENGTH, "12x", false, 0},
        {DT_SET_PRIVATE, "Yes", true, 1},
        {DT_SET_PRIVATE, "0", true, 0},
        {DT_SET_PRIVATE, "maybe", false, 0},
        {DT_SET_OVERFLOW, "shift", true, 2},
        {DT_SET_OVERFLOW, "shi", false, 0},
        {DT_SET_OVERFLOW, "stop new", false, 0},
        {DT_SET_MODE, "generate", true, 1},
        {DT_SET_MEM_LIMIT, "24M", true, 24 * 1048576.0},
        {DT_SET_MEM_LIMIT, "512kB", true, 512 * 1024.0},
        {DT_SET_MEM_LIMIT, "24MiB", true, 24 * 1048576.0},
        {DT_SET_MEM_LIMIT, "24i", false, 0},
        {DT_SET_MEM_LIMIT, "i", false, 0},
        {DT_SET_MEM_LIMIT, "M", false, 0},
        {DT_SET_MEM_LIMIT, "18446744073709551615G", false, 0},
        {DT_SET_SYSTEM, "two\nlines", false, 0},
        {DT_SET_SYSTEM, "bad \xff", false, 0},
        {DT_SET_SYSTEM, "gut \xc3\xb6", true, 0},
        {DT_SET_MODEL, "name \xff", true, 0}, // paths are bytes
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_settings before;
        struct dt_error err = {0};
        dt_settings_init(&settings);
        before = settings;
        dt_status status = dt_settings_set(&settings, rows[i].id, rows[i].text, DT_FROM_USER, &err);
        if (status != (rows[i].taken ? DT_OK : DT_USAGE))
            fail_msg("'%s' for %s: %s", rows[i].text, dt_settings_table()[rows[i].id].name,
                     err.message);
        if (rows[i].taken) {
            assert_float_equal(dt_settings_real(&settings, rows[i].id), rows[i].number, 1e-9);
        } else {
            assert_memory_equal(&before, &settings, sizeof before);
            assert_non_null(strstr(err.message, dt_settings_table()[rows[i].id].name));
        }
    }
}

// A float that came from a file is shown as somebody would have written it, and reads back as the
// same float.
static void shortest_text(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *shown;
    } rows[] = {{"0.949999988", "0.95"},
                {"0.100000001", "0.1"},
                {"1.00000000000001", "1"},
                {"0.123456789", "0.12345679"},
                {"-0", "0"},
                {"7e-1", "0.7"},
                {"1e-50", "0"},
                {"33.3333333333", "33.333332"}};
    char text[32];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(
            dt_settings_set(&settings, DT_SET_TEMPERATURE, rows[i].typed, DT_FROM_USER, NULL),
            DT_OK);
        assert_string_equal(dt_settings_text(&settings, DT_SET_TEMPERATURE), rows[i].shown);
    }
    assert_string_equal(dt_settings_real_text(0.95f, text, sizeof text), "0.95");
    assert_string_equal(dt_settings_real_text(16777216.0f, text, sizeof text), "16777216");
    assert_string_equal(dt_settings_real_text(-0.0f, text, sizeof text), "0");
    srand(11);
    for (int round = 0; round < 20000; round++) {
        uint32_t bits = (uint32_t)rand() << 16 ^ (uint32_t)rand();
        float value;
        memcpy(&value, &bits, sizeof value);
        if (value != value || value - value != 0)
            continue;
        if (strtof(dt_settings_real_text(value, text, sizeof text), NULL) != value)
            fail_msg("%.9g became %s", (double)value, text);
    }
}

static void precedence(void **state)
{
    (void)state;
    dt_settings_set(&settings, DT_SET_TOP_K, "7", DT_FROM_ENVIRONMENT, NULL);
    assert_int_equal(dt_settings_set(&settings, DT_SET_TOP_K, "8", DT_FROM_FILE, NULL), DT_OK);
    assert_int_equal(dt_settings_uint(&settings, DT_SET_TOP_K), 7);
    dt_settings_set(&settings, DT_SET_TOP_K, "9", DT_FROM_USER, NULL);
    assert_int_equal(dt_settings_uint(&settings, DT_SET_TOP_K), 9);
    dt_settings_set(&settings, DT_SET_TOP_K, "default", DT_FROM_USER, NULL);
    assert_int_equal(dt_settings_uint(&settings, DT_SET_TOP_K), 0);
    dt_settings_set(&settings, DT_SET_TOP_K, "40", DT_FROM_MODEL, NULL);
    assert_int_equal(dt_settings_uint(&settings, DT_SET_TOP_K), 40);
    dt_settings_forget(&settings, DT_FROM_MODEL);
    assert_int_equal(dt_settings_uint(&settings, DT_SET_TOP_K), 0);
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(dt_settings_find("top_p"), DT_SET_TOP_P);
    assert_int_equal(dt_settings_find("temp"), DT_SET_TEMPERATURE);
    assert_int_equal(dt_settings_find("top"), -1);
    assert_int_equal(dt_settings_find(""), -1);
    assert_string_equal(dt_settings_nearest("temprature"), "temperature");
    assert_string_equal(dt_settings_nearest("sede"), "seed");
    assert_null(dt_settings_nearest("xyzzy"));
    assert_int_equal(dt_name_match_distance("abcd", "abdc"), 1);
    assert_int_equal(dt_name_match_distance("", "abc"), 3);
    assert_int_equal(dt_name_match_distance("kitten", "sitting"), 3);
}

static void steps(void **state)
{
    (void)state;
    char text[64];
    assert_true(dt_settings_step(&settings, DT_SET_TOP_P, 1, text, sizeof text));
    assert_string_equal(text, "0.91");
    dt_settings_set(&settings, DT_SET_TOP_P, "0.913", DT_FROM_USER, NULL);
    dt_settings_step(&settings, DT_SET_TOP_P, -1, text, sizeof text);
    assert_string_equal(text, "0.91");
    dt_settings_step(&settings, DT_SET_TOP_P, 100, text, sizeof text);
    assert_string_equal(text, "1");
    dt_settings_step(&settings, DT_SET_TOP_K, -1, text, sizeof text);
    assert_string_equal(text, "0");
    dt_settings_step(&settings, DT_SET_OVERFLOW, -1, text, sizeof text);
    assert_string_equal(text, "stop");
    dt_settings_step(&settings, DT_SET_PRIVATE, 1, text, sizeof text);
    assert_string_equal(text, "on");
    assert_false(dt_settings_step(&settings, DT_SET_MODEL, 1, text, sizeof text));
}

static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void ini_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *word;
    } rows[] = {
        {"top-p = 0.5\nseed = x\n", ":2", "seed"},
        {"[a]\n\n# no\ntop-q = 1\n", ":4", "top-p"},
        {"temperature\n", ":1", "NAME = VALUE"},
        {"top_k = 3\n", ":1", "top-k"},
        {"temp = 1\n", ":1", "unknown setting"}, // no abbreviations in files
        {"system = "
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
         ":1", "longer"},
    };
    char path[100];
    snprintf(path, sizeof path, "%s/errors.ini", folder);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_error err = {0};
        struct dt_settings before = settings;
        put(path, rows[i].text);
        if (dt_settings_read(&settings, path, &err) != DT_USAGE)
            fail_msg("taken: %s", rows[i].text);
        if (!strstr(err.file, rows[i].line) || !strstr(err.message, rows[i].word))
            fail_msg("%s: %s", err.file, err.message);
        assert_memory_equal(&before, &settings, sizeof before);
    }
    assert_int_equal(dt_settings_read(&settings, "/nonexistent/file", NULL), DT_OK);
    assert_int_equal(dt_settings_read(&settings, folder, NULL), DT_BAD_INPUT); // a folder
}

// What is written is read again, whatever characters a text holds; and nothing else than what
// differs is written.
static void ini_round_trip(void **state)
{
    (void)state;
    char path[100], nested[140], text[DT_SETTING_TEXT_MAX];
    struct dt_settings again;
    struct stat st;
    snprintf(path, sizeof path, "%s/a/b/config.ini", folder);
    srand(7);
    for (int round = 0; round < 200; round++) {
        static const char *const pieces[] = {"word", "; ", " ;x", "#",        " # ", "\\", "\\;",
                                             "=",    "[",  "]",   "\xc3\xb6", " ",   "a"};
        size_t n = 0;
        dt_settings_init(&settings);
        dt_settings_init(&again);
        int wanted = rand() % (DT_SETTING_TEXT_MAX - 8);
        while (n < (size_t)wanted) {
            const char *piece = pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)];
            if ((n == 0 || text[n - 1] == ' ') && *piece == ' ')
                continue; // runs of spaces and those at the ends are not kept
            n += (size_t)sprintf(text + n, "%s", piece);
        }
        while (n > 0 && text[n - 1] == ' ')
            n--;
        text[n] = '\0';
        assert_int_equal(dt_settings_set(&settings, DT_SET_SYSTEM, text, DT_FROM_USER, NULL),
                         DT_OK);
        dt_settings_set(&settings, DT_SET_TOP_P, "0.25", DT_FROM_USER, NULL);
        dt_settings_set(&settings, DT_SET_PRIVATE, "on", DT_FROM_USER, NULL);
        struct dt_error err = {0};
        assert_int_equal(dt_settings_write(&settings, path, &err), DT_OK);
        if (dt_settings_read(&again, path, &err) != DT_OK)
            fail_msg("%s: %s\n%s", err.file, err.message, text);
        assert_string_equal(dt_settings_text(&again, DT_SET_SYSTEM), text);
        assert_string_equal(dt_settings_text(&again, DT_SET_TOP_P), "0.25");
        assert_int_equal(again.value[DT_SET_TOP_P].source, DT_FROM_FILE);
        assert_false(dt_settings_on(&again, DT_SET_PRIVATE));
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(nested, sizeof nested, "%s/config.ini", path); // below a file
    struct dt_error err = {0};
    assert_int_equal(dt_settings_write(&settings, nested, &err), DT_FAILED);
    assert_non_null(strstr(err.message, "cannot be written"));
}

static void environment(void **state)
{
    (void)state;
    struct dt_error err = {0};
    setenv("DUOTALE_REPEAT_PENALTY", "1.25", 1);
    assert_int_equal(dt_settings_environment(&settings, &err), DT_OK);
    assert_float_equal(dt_settings_real(&settings, DT_SET_REPEAT_PENALTY), 1.25, 0);
    setenv("DUOTALE_REPEAT_PENALTY", "much", 1);
    assert_int_equal(dt_settings_environment(&settings, &err), DT_USAGE);
    assert_non_null(strstr(err.message, "DUOTALE_REPEAT_PENALTY"));
    unsetenv("DUOTALE_REPEAT_PENALTY");
}

static void arguments(void **state)
{
    (void)state;
    char *letters = NULL;
    static const struct option extra[] = {{"version", no_argument, NULL, 'V'}};
    struct option *options = dt_settings_options(NULL, 0, extra, 1, "V", &letters);
    char *argv[] = {"duotale", "-t",     "0.5", "--top-p=0.3", "--private", "--no-history",
                    "-V",      "--seed", "x",   "story.bin",   NULL};
    struct dt_error err = {0};
    int result, theirs = 0, errors = 0;
    assert_non_null(options);
    optind = 0;
    while ((result = getopt_long(10, argv, letters, options, NULL)) != -1) {
        struct dt_error one = {0};
        if (!dt_settings_option(&settings, result, optarg, &one))
            theirs += result == 'V';
        if (one.status) {
            errors++;
            err = one;
        }
    }
    assert_string_equal(argv[optind], "story.bin");
    assert_float_equal(dt_settings_real(&settings, DT_SET_TEMPERATURE), 0.5, 0);
    assert_string_equal(dt_settings_text(&settings, DT_SET_TOP_P), "0.3");
    assert_true(dt_settings_on(&settings, DT_SET_PRIVATE));
    assert_false(dt_settings_on(&settings, DT_SET_HISTORY));
    assert_int_equal(theirs, 1);
    assert_int_equal(errors, 1);
    assert_non_null(strstr(err.message, "--seed"));
    free(options);
    free(letters);
}

// A setting of several texts: as a value, by options, and in the file.
static void texts(void **state)
{
    static const struct {
        const char *value;
        size_t count; // DT_SETTING_NO_TEXTS: refused
        const char *first, *last;
    } rows[] = {
        {"", 0, NULL, NULL},
        {"The end", 1, "The end", "The end"},
        {"a \"b\" \\n", 1, "a \"b\" \\n", "a \"b\" \\n"},
        {"\"a\"", 1, "a", "a"},
        {"\"Human:\" \"\\n\\n\"", 2, "Human:", "\n\n"},
        {"\"a\"\"b\"   \"c \\\"d\\\" \\\\ \\t\"", 3, "a", "c \"d\" \\ \t"},
        {"\"1\" \"2\" \"3\" \"4\" \"5\" \"6\" \"7\" \"8\"", 8, "1", "8"},
        {"\"1\" \"2\" \"3\" \"4\" \"5\" \"6\" \"7\" \"8\" \"9\"", DT_SETTING_NO_TEXTS, NULL, NULL},
        {"\"", DT_SETTING_NO_TEXTS, NULL, NULL},
        {"\"a", DT_SETTING_NO_TEXTS, NULL, NULL},
        {"\"a\" b", DT_SETTING_NO_TEXTS, NULL, NULL},
        {"\"\"", DT_SETTING_NO_TEXTS, NULL, NULL},
        {"\"a\\x\"", DT_SETTING_NO_TEXTS, NULL, NULL},
        {"\"a\\", DT_SETTING_NO_TEXTS, NULL, NULL},
    };
    (void)state;
    char storage[DT_SETTING_TEXT_MAX], value[DT_SETTING_TEXT_MAX] = "", path[200], longest[300];
    const char *found[8];
    struct dt_error err = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t count = dt_settings_texts(rows[i].value, storage, found);
        assert_int_equal(count, rows[i].count);
        bool good = count != DT_SETTING_NO_TEXTS;
        if (good && count) {
            assert_string_equal(found[0], rows[i].first);
            assert_string_equal(found[count - 1], rows[i].last);
        }
        assert_int_equal(
            dt_settings_set(&settings, DT_SET_STOP_TEXT, rows[i].value, DT_FROM_FILE, &err),
            good ? DT_OK : DT_USAGE);
    }
    assert_non_null(strstr(err.message, "stop-text must be one text, or up to 8"));
    // options: each is a text as it is, and the first replaces the file's
    static const char *const given[] = {"a \"b\"", "\n\nUser:", "\\n"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(dt_settings_set_flag(&settings, DT_SET_STOP_TEXT, given[i], &err), DT_OK);
    assert_string_equal(dt_settings_text(&settings, DT_SET_STOP_TEXT),
                        "\"a \\\"b\\\"\" \"\\n\\nUser:\" \"\\\\n\"");
    assert_int_equal(
        dt_settings_texts(dt_settings_text(&settings, DT_SET_STOP_TEXT), storage, found), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(found[i], given[i]);
    snprintf(path, sizeof path, "%s/texts.ini", folder);
    assert_int_equal(dt_settings_write(&settings, path, &err), DT_OK);
    snprintf(value, sizeof value, "%s", dt_settings_text(&settings, DT_SET_STOP_TEXT));
    dt_settings_init(&settings);
    assert_int_equal(dt_settings_read(&settings, path, &err), DT_OK);
    assert_string_equal(dt_settings_text(&settings, DT_SET_STOP_TEXT), value);
    // limits
    assert_int_equal(dt_settings_set_flag(&settings, DT_SET_STOP_TEXT, "", &err), DT_USAGE);
    memset(longest, 'x', sizeof longest);
    longest[257] = 0;
    assert_int_equal(dt_settings_set_flag(&settings, DT_SET_STOP_TEXT, longest, &err), DT_USAGE);
    longest[256] = 0;
    assert_int_equal(dt_settings_set_flag(&settings, DT_SET_STOP_TEXT, longest, &err), DT_OK);
    assert_int_equal(dt_settings_set_flag(&settings, DT_SET_STOP_TEXT, longest, &err), DT_USAGE);
    assert_non_null(strstr(err.message, "stop-text: at most 8 texts"));
    value[0] = '\0';
    for (int i = 0; i < 8; i++)
        assert_true(dt_settings_add_text(value, "\n"));
    assert_false(dt_settings_add_text(value, "\n"));
}

static void help(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    dt_settings_help(out, NULL, 0, 80);
    fclose(out);
    for (int i = 0; i < DT_SET_COUNT; i++)
        assert_non_null(strstr(text, dt_settings_table()[i].name));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 80 && line[strlen(line) - 1] != ' ');
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(table_is_sound, set_up),
        cmocka_unit_test_setup(values_and_ranges, set_up),
        cmocka_unit_test_setup(shortest_text, set_up),
        cmocka_unit_test_setup(precedence, set_up),
        cmocka_unit_test_setup(names, set_up),
        cmocka_unit_test_setup(steps, set_up),
        cmocka_unit_test_setup(ini_errors, set_up),
        cmocka_unit_test_setup(ini_round_trip, set_up),
        cmocka_unit_test_setup(environment, set_up),
        cmocka_unit_test_setup(arguments, set_up),
        cmocka_unit_test_setup(texts, set_up),
        cmocka_unit_test_setup(help, set_up),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests_name("settings", tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 ? 1 : failed;
}
