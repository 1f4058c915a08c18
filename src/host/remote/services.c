// SPDX-License-Identifier: MIT
#include "host/remote/services.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "core/formats/json_read.h"

static void *allocate(void *host, size_t bytes)
{
    (void)host;
    return calloc(1, bytes ? bytes : 1);
}

static void release(void *host, void *block)
{
    (void)host;
    free(block);
}

static int json_check(void *host, const char *text, size_t n, struct dt_remote_json *out)
{
    struct dt_json_value root = {0};
    (void)host;
    bool good = dt_json_check(text, n, "JSON", &root, NULL) == DT_OK;
    *out = good ? (struct dt_remote_json){root.at, root.n} : (struct dt_remote_json){0};
    return good;
}

// The item number `index` of an array.
static struct dt_json_value item_at(struct dt_json_value list, size_t index)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    if (*list.at != '[')
        return (struct dt_json_value){0};
    for (size_t i = 0; dt_json_next(list, &walk, &key, &item); i++) {
        if (i == index)
            return item;
    }
    return (struct dt_json_value){0};
}

static struct dt_remote_json json_find(void *host, struct dt_remote_json in, const char *path)
{
    struct dt_json_value value = {in.at, in.n};
    (void)host;
    while (value.n && *path) {
        char name[64];
        size_t n = strcspn(path, ".");
        if (n >= sizeof name)
            return (struct dt_remote_json){0};
        memcpy(name, path, n);
        name[n] = '\0';
        bool index = name[strspn(name, "0123456789")] == '\0';
        value = index ? item_at(value, strtoul(name, NULL, 10)) : dt_json_find(value, name);
        path += n + (path[n] == '.');
    }
    return (struct dt_remote_json){value.at, value.n};
}

static size_t json_count(void *host, struct dt_remote_json in)
{
    (void)host;
    return in.n ? dt_json_count((struct dt_json_value){in.at, in.n}) : 0;
}

static size_t json_text(void *host, struct dt_remote_json value, char *out)
{
    (void)host;
    return value.n ? dt_json_text_of((struct dt_json_value){value.at, value.n}, out) : 0;
}

static int json_number(void *host, struct dt_remote_json value, double *out)
{
    (void)host;
    return value.n && dt_json_number_of((struct dt_json_value){value.at, value.n}, out);
}

static size_t json_quote(void *host, const char *text, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    char *to = out;
    (void)host;
    *to++ = '"';
    while (n > 0) {
        uint32_t code;
        size_t length = dt_utf8_decode(text, n, &code);
        if (code < 0x20 || code == '"' || code == '\\') {
            *to++ = '\\';
            if (code == '"' || code == '\\') {
                *to++ = (char)code;
            } else {
                memcpy(to, "u00", 3);
                to[3] = digits[code >> 4];
                to[4] = digits[code & 15];
                to += 5;
            }
        } else {
            to += dt_utf8_encode(code, to);
        }
        text += length;
        n -= length;
    }
    *to++ = '"';
    return (size_t)(to - out);
}

void dt_remote_services_init(struct dt_remote_host *services)
{
    *services = (struct dt_remote_host){
        .size = sizeof *services,
        .allocate = allocate,
        .release = release,
        .json_check = json_check,
        .json_find = json_find,
        .json_count = json_count,
        .json_text = json_text,
        .json_number = json_number,
        .json_quote = json_quote,
    };
}
