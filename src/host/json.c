// SPDX-License-Identifier: MIT
#include "host/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "base/text.h"

void dt_json_init(struct dt_json *json, FILE *out, int indent)
{
    memset(json, 0, sizeof *json);
    json->out = out;
    json->indent = indent;
    json->first[0] = true;
}

static void new_line(struct dt_json *json)
{
    if (json->indent)
        fprintf(json->out, "\n%*s", json->depth * json->indent, "");
}

// Writes what precedes a value or a name: a comma, except before the first, and the line break.
static void separate(struct dt_json *json)
{
    if (json->named) {
        json->named = false;
        return;
    }
    if (json->depth == 0)
        return;
    if (!json->first[json->depth])
        fputs(json->indent ? "," : ", ", json->out);
    json->first[json->depth] = false;
    new_line(json);
}

static void put_quoted(struct dt_json *json, const char *text, size_t n)
{
    fputc('"', json->out);
    for (size_t i = 0; i < n;) {
        uint32_t code;
        char utf8[4];
        i += dt_utf8_decode(text + i, n - i, &code);
        if (code == '"' || code == '\\')
            fprintf(json->out, "\\%c", (char)code);
        else if (code == '\n')
            fputs("\\n", json->out);
        else if (code == '\t')
            fputs("\\t", json->out);
        else if (code < 0x20 || (code >= 0x7f && code < 0xa0) ||
                 (code >= 0x2028 && code <= 0x202e) ||
                 (code >= 0x2066 && code <= 0x2069)) // controls and bidi overrides
            fprintf(json->out, "\\u%04x", (unsigned)code);
        else
            fwrite(utf8, 1, dt_utf8_encode(code, utf8), json->out);
    }
    fputc('"', json->out);
}

void dt_json_name(struct dt_json *json, const char *name)
{
    separate(json);
    put_quoted(json, name, strlen(name));
    fputs(": ", json->out);
    json->named = true;
}

static void open_level(struct dt_json *json, char bracket)
{
    separate(json);
    fputc(bracket, json->out);
    if (json->depth + 1 < DT_JSON_DEPTH)
        json->depth++;
    json->first[json->depth] = true;
}

void dt_json_object(struct dt_json *json)
{
    open_level(json, '{');
    json->array &= ~(1u << json->depth);
}

void dt_json_array(struct dt_json *json)
{
    open_level(json, '[');
    json->array |= 1u << json->depth;
}

void dt_json_end(struct dt_json *json)
{
    bool array = json->array >> json->depth & 1;
    bool empty = json->first[json->depth];
    json->depth--;
    if (!empty)
        new_line(json);
    fputc(array ? ']' : '}', json->out);
    if (json->depth == 0)
        fputc('\n', json->out);
}

void dt_json_fail(struct dt_json *json, const char *line)
{
    while (json->depth > 1)
        dt_json_end(json);
    if (json->depth == 1 && !(json->array >> 1 & 1))
        dt_json_put_text(json, "error", line);
    if (json->depth == 1)
        dt_json_end(json);
}

void dt_json_text_n(struct dt_json *json, const char *text, size_t n)
{
    separate(json);
    if (text)
        put_quoted(json, text, n);
    else
        fputs("null", json->out);
}

void dt_json_text(struct dt_json *json, const char *text)
{
    dt_json_text_n(json, text, text ? strlen(text) : 0);
}

void dt_json_uint(struct dt_json *json, uint64_t value)
{
    separate(json);
    fprintf(json->out, "%" PRIu64, value);
}

void dt_json_number(struct dt_json *json, double value)
{
    separate(json);
    if (!isfinite(value)) {
        fputs("null", json->out);
        return;
    }
    // dt_format, because printf's decimal point depends on the locale. Nine places below 1, else
    // six.
    char text[64];
    if (fabs(value) < 1e15 && fabs(value) >= 1e-4)
        dt_format(text, sizeof text, "%.*f", fabs(value) < 1 ? 9 : 6, value);
    else
        dt_format(text, sizeof text, "%g", value);
    if (strchr(text, '.') && !strchr(text, 'e')) {
        size_t n = strlen(text);
        while (text[n - 1] == '0')
            n--;
        text[text[n - 1] == '.' ? n - 1 : n] = 0;
    }
    fputs(text, json->out);
}

void dt_json_put_text(struct dt_json *json, const char *name, const char *text)
{
    dt_json_name(json, name);
    dt_json_text(json, text);
}

void dt_json_put_uint(struct dt_json *json, const char *name, uint64_t value)
{
    dt_json_name(json, name);
    dt_json_uint(json, value);
}

void dt_json_put_number(struct dt_json *json, const char *name, double value)
{
    dt_json_name(json, name);
    dt_json_number(json, value);
}

void dt_json_put_bool(struct dt_json *json, const char *name, bool value)
{
    dt_json_name(json, name);
    separate(json);
    fputs(value ? "true" : "false", json->out);
}
