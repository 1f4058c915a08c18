// SPDX-License-Identifier: MIT
#include "app/settings/settings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/settings/name_match.h"
#include "base/text.h"
#include "base/typed_text.h"
#include "host/file.h"

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
    case DT_SETTING_TEXTS:
        snprintf(out, size, "one text, or several in double quotes");
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
        if (n > 2 && digits[n - 1] == 'i') // 24MiB: M means MiB
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
    for (int digits = 1; digits <= 9; digits++) { // nine are always enough
        snprintf(out, size, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value)
            break;
    }
    return out;
}

static bool set_value(struct dt_setting_value *value, double number, uint64_t integer,
                      const char *text)
{
    value->number = number;
    value->integer = integer;
    memmove(value->text, text, strlen(text) + 1); // it may be the value's own text
    return true;
}

static bool parse_bool(const char *text, struct dt_setting_value *value)
{
    static const char *const words[][2] = {
        {"off", "on"}, {"no", "yes"}, {"false", "true"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        for (unsigned on = 0; on < 2; on++) {
            if (strcasecmp(text, words[i][on]) == 0)
                return set_value(value, on, on, words[0][on]);
        }
    }
    return false;
}

static bool parse_int(const struct dt_setting *setting, const char *text,
                      struct dt_setting_value *value)
{
    uint64_t integer;
    char decimal[32];
    if (!parse_uint(text, &integer) || (double)integer < setting->minimum ||
        (double)integer > setting->maximum)
        return false;
    snprintf(decimal, sizeof decimal, "%llu", (unsigned long long)integer);
    return set_value(value, (double)integer, integer, decimal);
}

static bool parse_real(const struct dt_setting *setting, const char *text,
                       struct dt_setting_value *value)
{
    char *end, decimal[32];
    size_t n = strlen(text);
    // strtod also reads hexadecimal numbers, infinities and NaN
    if (n == 0 || strspn(text, "0123456789.eE+-") != n)
        return false;
    double number = strtod(text, &end);
    if (*end || end == text || !isfinite(number) || number < setting->minimum ||
        number > setting->maximum)
        return false;
    dt_settings_real_text((float)number, decimal, sizeof decimal);
    return set_value(value, strtod(decimal, NULL), 0, decimal);
}

static bool parse_choice(const struct dt_setting *setting, const char *text,
                         struct dt_setting_value *value)
{
    char word[64];
    if (setting == &dt_settings_table()[DT_SET_MODE] && strcmp(text, "generate") == 0)
        text = "story"; // llama2.c's word
    for (size_t i = 0; dt_settings_choice(setting, i, word, sizeof word); i++) {
        if (strcmp(word, text) == 0)
            return set_value(value, (double)i, i, word);
    }
    return false;
}

static bool parse_text(const struct dt_setting *setting, const char *text,
                       struct dt_setting_value *value)
{
    char storage[DT_SETTING_TEXT_MAX];
    const char *texts[DT_STOP_TEXTS];
    if (setting->type != DT_SETTING_FILE && !dt_utf8_valid(text, strlen(text)))
        return false;
    if (setting->type == DT_SETTING_TEXTS &&
        dt_settings_texts(text, storage, texts) == DT_SETTING_NO_TEXTS)
        return false;
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    }
    return set_value(value, 0, 0, text);
}

// Reads text into *value, except its source. False, without a change, if it is not a value of this
// setting.
static bool parse(const struct dt_setting *setting, const char *text,
                  struct dt_setting_value *value)
{
    uint64_t integer;
    if (strlen(text) >= DT_SETTING_TEXT_MAX)
        return false;
    switch (setting->type) {
    case DT_SETTING_BOOL:
        return parse_bool(text, value);
    case DT_SETTING_INT:
        return parse_int(setting, text, value);
    case DT_SETTING_REAL:
        return parse_real(setting, text, value);
    case DT_SETTING_BYTES:
        return parse_bytes(text, &integer) && (double)integer <= setting->maximum &&
               set_value(value, (double)integer, integer, text);
    case DT_SETTING_CHOICE:
        return parse_choice(setting, text, value);
    case DT_SETTING_TEXT:
    case DT_SETTING_FILE:
    case DT_SETTING_TEXTS:
        return parse_text(setting, text, value);
    }
    return false;
}

void dt_settings_init(struct dt_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    for (int id = 0; id < DT_SET_COUNT; id++)
        parse(&dt_settings_table()[id], dt_settings_table()[id].initial, &settings->value[id]);
}

// What a value must be, for an error message.
static const char *requirement(const struct dt_setting *setting, char *out, size_t size)
{
    switch (setting->type) {
    case DT_SETTING_BOOL:
        snprintf(out, size, "on or off");
        break;
    case DT_SETTING_INT:
    case DT_SETTING_REAL:
        snprintf(out, size, "between %.16g and %.16g", setting->minimum, setting->maximum);
        break;
    case DT_SETTING_CHOICE:
        snprintf(out, size, "one of: %s", setting->choices);
        break;
    case DT_SETTING_TEXTS:
        snprintf(out, size, "one text, or up to %u in double quotes, of 1 to %u bytes",
                 DT_STOP_TEXTS, DT_STOP_TEXT_MAX);
        break;
    default:
        return dt_settings_range(setting, out, size);
    }
    return out;
}

dt_status dt_settings_parse(int id, const char *text, struct dt_setting_value *out,
                            struct dt_error *err)
{
    const struct dt_setting *setting = &dt_settings_table()[id];
    char what[256];
    if (parse(setting, text, out))
        return DT_OK;
    return dt_error_set(err, DT_USAGE, NULL, "%s must be %s (got \"%.80s\")", setting->name,
                        requirement(setting, what, sizeof what), text);
}

dt_status dt_settings_value(int id, const char *text, enum dt_setting_source source,
                            struct dt_setting_value *out, struct dt_error *err)
{
    const struct dt_setting *setting = &dt_settings_table()[id];
    struct dt_setting_value value = {0};
    if (strcmp(text, "default") == 0 &&
        !(setting->choices && strstr(setting->choices, "default"))) {
        text = setting->initial;
        source = DT_FROM_DEFAULT;
    }
    dt_status status = dt_settings_parse(id, text, &value, err);
    if (status != DT_OK)
        return status;
    value.source = source;
    if (setting->type == DT_SETTING_TEXT || setting->type == DT_SETTING_TEXTS) // not a path
        dt_text_clean(value.text, sizeof value.text, value.text, strlen(value.text), DT_TEXT_LINES);
    *out = value;
    return DT_OK;
}

dt_status dt_settings_set(struct dt_settings *settings, int id, const char *text,
                          enum dt_setting_source source, struct dt_error *err)
{
    struct dt_setting_value value;
    dt_status status = dt_settings_value(id, text, source, &value, err);
    // "default" takes even a stronger value back
    if (status == DT_OK &&
        (value.source == DT_FROM_DEFAULT || settings->value[id].source <= source))
        settings->value[id] = value;
    return status;
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

const char *dt_settings_path(const struct dt_settings *settings, int id, char *out, size_t size)
{
    return dt_settings_value_path(&settings->value[id], out, size);
}

const char *dt_settings_value_path(const struct dt_setting_value *value, char *out, size_t size)
{
    const char *text = value->text;
    if (text[0] == '\0')
        return NULL;
    if (text[0] == '~' && text[1] == '/' && dt_folder_home())
        snprintf(out, size, "%s%s", dt_folder_home(), text + 1);
    else
        snprintf(out, size, "%s", text);
    return out;
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
    // Values are multiples of the step, so that 0.1 + 0.05 - 0.05 is 0.1 again; any other value
    // goes to the next multiple.
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
