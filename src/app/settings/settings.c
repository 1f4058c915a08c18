// SPDX-License-Identifier: MIT
#include "app/settings/settings.h"

#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "app/settings/name_match.h"
#include "base/text.h"

static const char *name_at(const void *list, size_t i)
{
    const struct dt_setting *table = list;
    return i < DT_SET_COUNT ? table[i].name : NULL;
}

// Names may be typed with '_' for '-'.
static const char *dashed(const char *name, char *out, size_t size)
{
    size_t i = 0;
    for (; name[i] && i + 1 < size; i++)
        out[i] = name[i] == '_' ? '-' : name[i];
    out[i] = '\0';
    return out;
}

int dt_settings_find(const char *name)
{
    char text[64];
    int id = dt_name_match_find(dashed(name, text, sizeof text), name_at, dt_settings_table());
    return id < 0 ? -1 : id;
}

const char *dt_settings_nearest(const char *name)
{
    char text[64];
    return dt_name_match_nearest(dashed(name, text, sizeof text), name_at, dt_settings_table());
}

bool dt_settings_choice(const struct dt_setting *setting, size_t i, char *out, size_t size)
{
    const char *p = setting->choices;
    if (!p)
        return false;
    for (; i > 0; i--) {
        p = strchr(p, ' ');
        if (!p)
            return false;
        p++;
    }
    size_t n = strcspn(p, " ");
    if (n >= size)
        n = size - 1;
    memcpy(out, p, n);
    out[n] = '\0';
    return true;
}

const char *dt_settings_range(const struct dt_setting *setting, char *out, size_t size)
{
    switch (setting->type) {
    case DT_SETTING_BOOL:
        snprintf(out, size, "on off");
        break;
    case DT_SETTING_INT:
    case DT_SETTING_REAL:
        snprintf(out, size, "%.16g .. %.16g", setting->minimum, setting->maximum);
        break;
    case DT_SETTING_CHOICE:
        snprintf(out, size, "%s", setting->choices);
        break;
    case DT_SETTING_TEXT:
        snprintf(out, size, "one line of text");
        break;
    case DT_SETTING_FILE:
        snprintf(out, size, "a path");
        break;
    case DT_SETTING_BYTES:
        snprintf(out, size, "a size such as 24M");
        break;
    }
    return out;
}

// A whole decimal number without sign; false for anything else or overflow.
static bool parse_uint(const char *text, uint64_t *out)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool parse_bytes(const char *text, uint64_t *out)
{
    char digits[32];
    size_t n = strlen(text);
    unsigned shift = 0;
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, text, n + 1);
    if (n > 1 && (digits[n - 1] == 'B' || digits[n - 1] == 'b')) { // 24MB
        digits[--n] = '\0';
        if (n > 2 && digits[n - 1] == 'i') // 24MiB: what M stands for here
            digits[--n] = '\0';
    }
    switch (digits[n - 1]) {
    case 'K':
    case 'k':
        shift = 10;
        break;
    case 'M':
    case 'm':
        shift = 20;
        break;
    case 'G':
    case 'g':
        shift = 30;
        break;
    default:
        break;
    }
    if (shift)
        digits[n - 1] = '\0';
    if (!parse_uint(digits, out) || *out > UINT64_MAX >> shift)
        return false;
    *out <<= shift;
    return true;
}

const char *dt_settings_real_text(float value, char *out, size_t size)
{
    value += 0.0f;                                // no minus zero
    for (int digits = 1; digits <= 9; digits++) { // nine always do
        snprintf(out, size, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value)
            break;
    }
    return out;
}

// Reads text into *value; false if it is not of the setting's kind or out of its range. The source
// is not touched.
static bool parse(const struct dt_setting *setting, const char *text,
                  struct dt_setting_value *value)
{
    static const char *const yes[] = {"on", "yes", "true", "1"}, *const no[] = {"off", "no",
                                                                                "false", "0"};
    char word[64];
    size_t n = strlen(text);
    uint64_t integer = 0;
    double number = 0;
    if (n >= DT_SETTING_TEXT_MAX)
        return false;
    switch (setting->type) {
    case DT_SETTING_BOOL:
        for (size_t i = 0; i < 4; i++) {
            if (strcasecmp(text, yes[i]) == 0) {
                value->number = 1;
                value->integer = 1;
                snprintf(value->text, sizeof value->text, "on");
                return true;
            }
            if (strcasecmp(text, no[i]) == 0) {
                value->number = 0;
                value->integer = 0;
                snprintf(value->text, sizeof value->text, "off");
                return true;
            }
        }
        return false;
    case DT_SETTING_INT:
        if (!parse_uint(text, &integer) || (double)integer < setting->minimum ||
            (double)integer > setting->maximum)
            return false;
        value->number = (double)integer;
        value->integer = integer;
        snprintf(value->text, sizeof value->text, "%llu", (unsigned long long)integer);
        return true;
    case DT_SETTING_REAL: {
        // strtod also takes hexadecimal, infinities and NaN: nobody means those here
        char *end;
        if (n == 0 || strspn(text, "0123456789.eE+-") != n)
            return false;
        number = strtod(text, &end);
        if (*end || end == text || !isfinite(number) || number < setting->minimum ||
            number > setting->maximum)
            return false;
        dt_settings_real_text((float)number, value->text, sizeof value->text);
        value->number = strtod(value->text, NULL);
        value->integer = 0;
        return true;
    }
    case DT_SETTING_BYTES:
        if (!parse_bytes(text, &integer) || (double)integer > setting->maximum)
            return false;
        value->number = (double)integer;
        value->integer = integer;
        snprintf(value->text, sizeof value->text, "%s", text);
        return true;
    case DT_SETTING_CHOICE:
        if (setting == &dt_settings_table()[DT_SET_MODE] && strcmp(text, "generate") == 0)
            text = "story"; // llama2.c's word
        for (size_t i = 0; dt_settings_choice(setting, i, word, sizeof word); i++) {
            if (strcmp(word, text) == 0) {
                value->number = (double)i;
                value->integer = i;
                snprintf(value->text, sizeof value->text, "%s", word);
                return true;
            }
        }
        return false;
    case DT_SETTING_TEXT:
    case DT_SETTING_FILE:
        if (setting->type == DT_SETTING_TEXT && !dt_utf8_valid(text, n))
            return false;
        for (size_t i = 0; i < n; i++) {
            if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
                return false;
        }
        value->number = 0;
        value->integer = 0;
        memmove(value->text, text, n + 1);
        return true;
    }
    return false;
}

void dt_settings_init(struct dt_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    for (int id = 0; id < DT_SET_COUNT; id++)
        parse(&dt_settings_table()[id], dt_settings_table()[id].initial, &settings->value[id]);
}

dt_status dt_settings_parse(int id, const char *text, struct dt_setting_value *out,
                            struct dt_error *err)
{
    const struct dt_setting *setting = &dt_settings_table()[id];
    char range[256];
    if (parse(setting, text, out))
        return DT_OK;
    return dt_error_set(err, DT_USAGE, NULL, "%s: '%.80s' is not what it takes: %s", setting->name,
                        text, dt_settings_range(setting, range, sizeof range));
}

dt_status dt_settings_set(struct dt_settings *settings, int id, const char *text,
                          enum dt_setting_source source, struct dt_error *err)
{
    const struct dt_setting *setting = &dt_settings_table()[id];
    struct dt_setting_value value = settings->value[id];
    if (strcmp(text, "default") == 0 &&
        !(setting->choices && strstr(setting->choices, "default"))) {
        text = setting->initial;
        source = DT_FROM_DEFAULT;
        value.source = DT_FROM_DEFAULT;
    }
    dt_status status = dt_settings_parse(id, text, &value, err);
    if (status != DT_OK)
        return status;
    if (value.source > source)
        return DT_OK;
    value.source = source;
    settings->value[id] = value;
    return DT_OK;
}

void dt_settings_forget(struct dt_settings *settings, enum dt_setting_source source)
{
    for (int id = 0; id < DT_SET_COUNT; id++) {
        struct dt_setting_value *value = &settings->value[id];
        if (value->source == source) {
            parse(&dt_settings_table()[id], dt_settings_table()[id].initial, value);
            value->source = DT_FROM_DEFAULT;
        }
    }
}

const char *dt_settings_text(const struct dt_settings *settings, int id)
{
    return settings->value[id].text;
}

double dt_settings_real(const struct dt_settings *settings, int id)
{
    return settings->value[id].number;
}

uint64_t dt_settings_uint(const struct dt_settings *settings, int id)
{
    return settings->value[id].integer;
}

bool dt_settings_on(const struct dt_settings *settings, int id)
{
    return settings->value[id].integer != 0;
}

bool dt_settings_is(const struct dt_settings *settings, int id, const char *word)
{
    return strcmp(settings->value[id].text, word) == 0;
}

// The user's folder: HOME, else what the password file says (boards often start without HOME).
static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return home;
    struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

const char *dt_settings_path(const struct dt_settings *settings, int id, char *out, size_t size)
{
    const char *text = settings->value[id].text;
    if (text[0] == '\0')
        return NULL;
    if (text[0] == '~' && text[1] == '/' && home_folder())
        snprintf(out, size, "%s%s", home_folder(), text + 1);
    else
        snprintf(out, size, "%s", text);
    return out;
}

bool dt_settings_folder(const char *variable, const char *below_home, char *out, size_t size)
{
    const char *folder = getenv(variable);
    int n;
    if (folder && folder[0] == '/') // the specification says to ignore relative ones
        n = snprintf(out, size, "%s/duotale", folder);
    else if (home_folder())
        n = snprintf(out, size, "%s/%s/duotale", home_folder(), below_home);
    else
        return false;
    return n > 0 && (size_t)n < size;
}

bool dt_settings_step(const struct dt_settings *settings, int id, int steps, char *out, size_t size)
{
    const struct dt_setting *setting = &dt_settings_table()[id];
    const struct dt_setting_value *value = &settings->value[id];
    if (setting->step == 0)
        return false;
    if (setting->type == DT_SETTING_BOOL) {
        snprintf(out, size, "%s", steps % 2 ? (value->integer ? "off" : "on") : value->text);
        return true;
    }
    if (setting->type == DT_SETTING_CHOICE) {
        char word[64];
        int count = 0;
        while (dt_settings_choice(setting, (size_t)count, word, sizeof word))
            count++;
        int i = ((int)value->integer + steps) % count;
        return dt_settings_choice(setting, (size_t)(i < 0 ? i + count : i), out, size);
    }
    // On the grid of steps, so that 0.1 + 0.05 - 0.05 is 0.1 again; what lies between goes to the
    // next one.
    double grid = value->number / setting->step, nearest = round(grid);
    if (fabs(grid - nearest) < 1e-6)
        grid = nearest + steps;
    else
        grid = steps > 0 ? floor(grid) + steps : ceil(grid) + steps;
    double number = grid * setting->step;
    if (number < setting->minimum)
        number = setting->minimum;
    if (number > setting->maximum)
        number = setting->maximum;
    if (setting->type == DT_SETTING_REAL)
        dt_settings_real_text((float)number, out, size);
    else
        snprintf(out, size, "%.0f", number);
    return true;
}
