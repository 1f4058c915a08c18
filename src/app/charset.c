// SPDX-License-Identifier: MIT
#include "app/charset.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

// The name of the locale for characters; "" if none is set.
static const char *locale_name(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *name = getenv(variables[i]);
        if (name && *name)
            return name;
    }
    return "";
}

void dt_charset_set_locale(void)
{
    if (setlocale(LC_CTYPE, "") && *locale_name())
        return;
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "C.utf8");
}

enum dt_app_charset dt_charset_resolve(const char *word)
{
    if (strcmp(word, "utf8") == 0)
        return DT_CHARSET_UTF8;
    if (strcmp(word, "ascii") == 0)
        return DT_CHARSET_ASCII;
    if (strcmp(word, "latin1") == 0)
        return DT_CHARSET_LATIN1;
    // musl reports UTF-8 for every locale but C, so the name is examined first
    const char *name = locale_name();
    if (strcasestr(name, "8859-1") || strcasestr(name, "8859-15") || strcasestr(name, "latin1"))
        return DT_CHARSET_LATIN1;
    if (strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0)
        return DT_CHARSET_ASCII;
    if (!*name)
        return DT_CHARSET_UTF8; // not set, as in containers and on boards
    const char *codeset = nl_langinfo(CODESET);
    if (strcasecmp(codeset, "UTF-8") == 0 || strcasecmp(codeset, "utf8") == 0)
        return DT_CHARSET_UTF8;
    if (strncasecmp(codeset, "ISO-8859-1", 10) == 0)
        return DT_CHARSET_LATIN1;
    return DT_CHARSET_ASCII;
}

// What ASCII has for U+00A0..U+00FF; spaces are '?'.
static const char latin_twins[96 + 1] = " !cL?Y|?\"Ca<--R-"
                                        "o+23'uP.,1o>???"
                                        "?"
                                        "AAAAAAACEEEEIIII"
                                        "DNOOOOOxOUUUUYPs"
                                        "aaaaaaaceeeeiiii"
                                        "dnooooo/ouuuuypy";

// A twin for other characters, NULL if there is none.
static const char *twin(uint32_t code)
{
    switch (code) {
    case 0x2018:
    case 0x2019:
    case 0x201A:
    case 0x2032:
        return "'";
    case 0x201C:
    case 0x201D:
    case 0x201E:
    case 0x2033:
        return "\"";
    case 0x2010:
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2212:
        return "-";
    case 0x2014:
    case 0x2015:
        return "--";
    case 0x2026:
        return "...";
    case 0x2022:
    case 0x00B7:
        return "*";
    case 0x2190:
        return "<-";
    case 0x2192:
        return "->";
    case 0x00C6:
        return "AE";
    case 0x00E6:
        return "ae";
    case 0x00DF:
        return "ss";
    case 0x0152:
        return "OE";
    case 0x0153:
        return "oe";
    case 0x20AC:
        return "EUR";
    default:
        return NULL;
    }
}

size_t dt_charset_encode(enum dt_app_charset charset, const char *s, size_t n, char *out)
{
    size_t used = 0;
    if (charset == DT_CHARSET_UTF8) {
        memcpy(out, s, n);
        return n;
    }
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t length = dt_utf8_decode(s + i, n - i, &code);
        i += length;
        const char *other = twin(code);
        if (code < 0x80) {
            out[used++] = (char)code;
        } else if (charset == DT_CHARSET_LATIN1 && code >= 0xA0 && code <= 0xFF) {
            out[used++] = (char)code;
        } else if (other && strlen(other) <= length) { // never longer than it was
            size_t bytes = strlen(other);
            memcpy(out + used, other, bytes);
            used += bytes;
        } else if (code >= 0xA0 && code <= 0xFF) {
            out[used++] = latin_twins[code - 0xA0];
        } else if (code >= 0x2000 && code <= 0x200A) {
            out[used++] = ' ';
        } else {
            for (int width = dt_text_width(code); width > 0; width--)
                out[used++] = '?';
        }
    }
    return used;
}

size_t dt_charset_decode(enum dt_app_charset charset, const char *s, size_t n, char *out)
{
    struct dt_text_filter filter = {0};
    size_t used = 0;
    // Text that is valid UTF-8 is UTF-8, whatever the locale: terminals outlive settings.
    if (charset != DT_CHARSET_LATIN1 || dt_utf8_valid(s, n)) {
        used = dt_text_filter_push(&filter, s, n, out);
        return used + dt_text_filter_flush(&filter, out + used);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0xA0)
            used += dt_utf8_encode(c, out + used);
        else if (c >= 0x80)
            used += dt_utf8_encode(DT_REPLACEMENT, out + used);
        else if (c >= 0x20 ? c != 0x7f : c == '\n' || c == '\t')
            out[used++] = (char)c;
    }
    return used;
}
