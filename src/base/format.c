// SPDX-License-Identifier: MIT
#include "base/format.h"

#include <stdbool.h>
#include <stdint.h>

struct sink {
    char *out;
    size_t size;
    size_t length;
};

static void put(struct sink *sink, char c)
{
    if (sink->length + 1 < sink->size)
        sink->out[sink->length] = c;
    sink->length++;
}

static void put_padded(struct sink *sink, const char *text, size_t length, int width, bool zero,
                       bool left)
{
    size_t pad = width > 0 && (size_t)width > length ? (size_t)width - length : 0;
    size_t sign = zero && length > 0 && text[0] == '-' ? 1 : 0;
    if (sign)
        put(sink, '-');
    for (size_t i = 0; !left && i < pad; i++)
        put(sink, zero ? '0' : ' ');
    for (size_t i = sign; i < length; i++)
        put(sink, text[i]);
    for (size_t i = 0; left && i < pad; i++)
        put(sink, ' ');
}

// Writes the digits of value backwards from end; returns where they begin.
static char *digits(char *end, uint64_t value, unsigned base)
{
    do {
        *--end = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    return end;
}

static size_t put_word(char *out, const char *word)
{
    size_t n = 0;
    for (; word[n]; n++)
        out[n] = word[n];
    return n;
}

// A finite |value| < 1e18 with `decimals` places, rounded half up. Returns the length.
static size_t fixed(char *out, double value, int decimals)
{
    static const double scales[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    char buffer[48], *end = buffer + sizeof buffer, *p = end;
    bool negative = value < 0;
    if (negative)
        value = -value;
    uint64_t whole = (uint64_t)value;
    uint64_t part = (uint64_t)((value - (double)whole) * scales[decimals] + 0.5);
    if ((double)part >= scales[decimals]) {
        part = 0;
        whole++;
    }
    if (decimals > 0) {
        p = digits(end, part, 10);
        while (end - p < decimals)
            *--p = '0';
        *--p = '.';
    }
    p = digits(p, whole, 10);
    if (negative)
        *--p = '-';
    for (size_t i = 0; i < (size_t)(end - p); i++)
        out[i] = p[i];
    return (size_t)(end - p);
}

static size_t trim_zeros(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '.')
            continue;
        while (text[length - 1] == '0')
            length--;
        return text[length - 1] == '.' ? length - 1 : length;
    }
    return length;
}

static size_t float_text(char *out, double value, char kind, int decimals)
{
    if (value != value)
        return put_word(out, "nan");
    if (value - value != 0)
        return put_word(out, value < 0 ? "-inf" : "inf");
    double magnitude = value < 0 ? -value : value;
    if (kind == 'f' && magnitude < 1e18)
        return fixed(out, value, decimals);
    if (magnitude == 0)
        return put_word(out, "0");
    if (magnitude >= 1e-5 && magnitude < 1e15) {
        int places = 5; // six significant digits
        for (double m = magnitude; m >= 10 && places > 0; m /= 10)
            places--;
        for (double m = magnitude; m < 1 && places < 9; m *= 10)
            places++;
        return trim_zeros(out, fixed(out, value, places));
    }
    int exponent = 0;
    for (; magnitude >= 10; magnitude /= 10)
        exponent++;
    for (; magnitude < 1; magnitude *= 10)
        exponent--;
    size_t n = trim_zeros(out, fixed(out, value < 0 ? -magnitude : magnitude, 5));
    out[n++] = 'e';
    out[n++] = exponent < 0 ? '-' : '+';
    char buffer[8],
        *p = digits(buffer + sizeof buffer, (uint64_t)(exponent < 0 ? -exponent : exponent), 10);
    if (buffer + sizeof buffer - p < 2)
        *--p = '0';
    while (p < buffer + sizeof buffer)
        out[n++] = *p++;
    return n;
}

size_t dt_vformat(char *out, size_t size, const char *format, va_list args)
{
    struct sink sink = {out, size, 0};
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(&sink, *f);
            continue;
        }
        bool zero = false, left = false;
        int width = 0, precision = -1, longs = 0;
        for (f++; *f == '0' || *f == '-'; f++) {
            zero |= *f == '0';
            left |= *f == '-';
        }
        if (*f == '*') {
            width = va_arg(args, int);
            f++;
        }
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + (*f - '0');
        if (*f == '.') {
            precision = 0;
            if (*++f == '*') {
                precision = va_arg(args, int);
                f++;
            }
            for (; *f >= '0' && *f <= '9'; f++)
                precision = precision * 10 + (*f - '0');
        }
        for (; *f == 'l' || *f == 'z' || *f == 'h'; f++)
            longs += *f == 'l' || *f == 'z';
        char text[64], *end = text + sizeof text, *p;
        switch (*f) {
        case '%':
            put(&sink, '%');
            break;
        case 'c': {
            char c = (char)va_arg(args, int);
            put(&sink, (unsigned char)c < 0x20 || c == 0x7f ? '?' : c);
            break;
        }
        case 's': {
            const char *s = va_arg(args, const char *);
            size_t n = 0;
            if (!s)
                s = "(null)";
            while ((precision < 0 || n < (size_t)precision) && s[n])
                n++;
            for (size_t i = n; !left && i < (size_t)(width > 0 ? width : 0); i++)
                put(&sink, ' ');
            for (size_t i = 0; i < n; i++)
                put(&sink, (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i]);
            for (size_t i = n; left && i < (size_t)(width > 0 ? width : 0); i++)
                put(&sink, ' ');
            break;
        }
        case 'd':
        case 'i': {
            long long v = longs > 1    ? va_arg(args, long long)
                          : longs == 1 ? (long long)va_arg(args, long)
                                       : (long long)va_arg(args, int);
            p = digits(end, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10);
            if (v < 0)
                *--p = '-';
            put_padded(&sink, p, (size_t)(end - p), width, zero, left);
            break;
        }
        case 'u':
        case 'x': {
            uint64_t v = longs > 1    ? va_arg(args, unsigned long long)
                         : longs == 1 ? (uint64_t)va_arg(args, unsigned long)
                                      : (uint64_t)va_arg(args, unsigned);
            p = digits(end, v, *f == 'x' ? 16 : 10);
            put_padded(&sink, p, (size_t)(end - p), width, zero, left);
            break;
        }
        case 'p':
            p = digits(end, (uint64_t)(uintptr_t)va_arg(args, void *), 16);
            *--p = 'x';
            *--p = '0';
            put_padded(&sink, p, (size_t)(end - p), width, false, left);
            break;
        case 'f':
        case 'g': {
            int decimals = precision < 0 ? 6 : precision > 9 ? 9 : precision;
            size_t n = float_text(text, va_arg(args, double), *f, decimals);
            put_padded(&sink, text, n, width, zero, left);
            break;
        }
        default: // a format error is ours, and -Wformat finds it; show it rather than stop
            put(&sink, '%');
            if (!*f)
                f--;
            else
                put(&sink, *f);
        }
    }
    if (size > 0)
        out[sink.length < size ? sink.length : size - 1] = 0;
    return sink.length;
}

size_t dt_format(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t length = dt_vformat(out, size, format, args);
    va_end(args);
    return length;
}
