// SPDX-License-Identifier: MIT
#include "base/typed_text.h"

#include <string.h>

// Whether every second byte of the beginning is zero, as in UTF-16 without a byte order mark, or
// all are, as behind the last newline of UTF-16.
static bool looks_wide(const char *text, size_t n)
{
    size_t zeros = 0;
    while (zeros < n && text[zeros] == 0)
        zeros++;
    if (n > 0 && zeros == n)
        return true;
    size_t most = n < 64 ? n / 2 : 32, even = 0, odd = 0;
    for (size_t i = 0; i < most; i++) {
        even += text[2 * i] == 0;
        odd += text[2 * i + 1] == 0;
    }
    return most >= 2 && (even == most || odd == most) && even != odd;
}

dt_status dt_typed_text_clean(char *text, size_t *n, const char *where, struct dt_error *err)
{
    bool marked = *n >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0);
    if (marked || looks_wide(text, *n))
        return dt_error_set(err, DT_BAD_INPUT, where,
                            "the text is UTF-16; save it as UTF-8, or convert it with "
                            "iconv -f UTF-16 -t UTF-8");
    size_t from = *n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, to = 0;
    for (; from < *n; from++)
        if (text[from] != '\r' || from + 1 == *n || text[from + 1] != '\n')
            text[to++] = text[from];
    *n = to;
    return DT_OK;
}

// ---- stop texts ----

bool dt_stop_text_push(struct dt_stop_text *s, const char *bytes, size_t n, char *out,
                       size_t *written)
{
    *written = 0;
    for (size_t i = 0; i < n; i++) {
        // held ends before a text can end; so there is space for one byte more
        s->held[s->held_count++] = bytes[i];
        size_t longest = 0; // of the ends of what is held that begin a text
        for (size_t k = 0; k < s->count; k++) {
            size_t length = strlen(s->text[k]);
            if (length <= s->held_count &&
                memcmp(s->held + s->held_count - length, s->text[k], length) == 0) {
                memcpy(out + *written, s->held, s->held_count - length);
                *written += s->held_count - length;
                s->held_count = 0;
                return true;
            }
            size_t part = length - 1 < s->held_count ? length - 1 : s->held_count;
            while (part > longest && memcmp(s->held + s->held_count - part, s->text[k], part) != 0)
                part--;
            longest = part > longest ? part : longest;
        }
        size_t certain = s->held_count - longest;
        memcpy(out + *written, s->held, certain);
        *written += certain;
        memmove(s->held, s->held + certain, longest);
        s->held_count = longest;
    }
    return false;
}

size_t dt_stop_text_flush(struct dt_stop_text *s, char *out)
{
    size_t n = s->held_count;
    memcpy(out, s->held, n);
    s->held_count = 0;
    return n;
}
