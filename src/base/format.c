// SPDX-License-Identifier: MIT
#include "base/format.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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

// Writes the digits of value backwards from end. Returns the first one.
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

// Writes a finite |value| < 1e18 with `decimals` places, rounded half up. Returns the length.
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

// A conversion such as %-8.3ld, without its letter.
struct conversion {
    bool zero, left;
    int width, precision; // precision -1: not given
    int longs;            // of the argument's type: 0 int, 1 long, 2 long long
};

// Reads a number, or an argument for '*'. *f moves to the next character.
static int number(const char **f, va_list *args)
{
    int n = 0;
    if (**f == '*') {
        n = va_arg(*args, int);
        ++*f;
    }
    for (; **f >= '0' && **f <= '9'; ++*f)
        n = n * 10 + (**f - '0');
    return n;
}

// Reads the conversion at f, after the '%'. Returns a pointer to its letter.
static const char *read_conversion(const char *f, va_list *args, struct conversion *c)
{
    *c = (struct conversion){.precision = -1};
    for (; *f == '0' || *f == '-'; f++) {
        c->zero |= *f == '0';
        c->left |= *f == '-';
    }
    c->width = number(&f, args);
    if (*f == '.') {
        f++;
        c->precision = number(&f, args);
    }
    for (; *f == 'l' || *f == 'z' || *f == 'h'; f++)
        c->longs += *f == 'l' || *f == 'z';
    return f;
}

static void put_text(struct sink *sink, const struct conversion *c, const char *s)
{
    size_t n = 0;
    if (!s)
        s = "(null)";
    while ((c->precision < 0 || n < (size_t)c->precision) && s[n])
        n++;
    size_t pad = c->width > 0 && (size_t)c->width > n ? (size_t)c->width - n : 0;
    for (size_t i = 0; !c->left && i < pad; i++)
        put(sink, ' ');
    for (size_t i = 0; i < n; i++)
        put(sink, s[i]);
    for (size_t i = 0; c->left && i < pad; i++)
        put(sink, ' ');
}

// Prints an integer: `magnitude` with a sign or prefix.
static void put_integer(struct sink *sink, const struct conversion *c, const char *prefix,
                        uint64_t magnitude, unsigned base)
{
    char text[64], *end = text + sizeof text, *p = digits(end, magnitude, base);
    for (size_t n = strlen(prefix); n > 0; n--)
        *--p = prefix[n - 1];
    put_padded(sink, p, (size_t)(end - p), c->width, c->zero, c->left);
}

static void put_signed(struct sink *sink, const struct conversion *c, va_list *args)
{
    long long v = c->longs > 1    ? va_arg(*args, long long)
                  : c->longs == 1 ? (long long)va_arg(*args, long)
                                  : (long long)va_arg(*args, int);
    put_integer(sink, c, v < 0 ? "-" : "", v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10);
}

static void put_unsigned(struct sink *sink, const struct conversion *c, va_list *args,
                         unsigned base)
{
    uint64_t v = c->longs > 1    ? va_arg(*args, unsigned long long)
                 : c->longs == 1 ? (uint64_t)va_arg(*args, unsigned long)
                                 : (uint64_t)va_arg(*args, unsigned);
    put_integer(sink, c, "", v, base);
}

static void put_float(struct sink *sink, const struct conversion *c, char kind, double value)
{
    char text[64];
    int decimals = c->precision < 0 ? 6 : c->precision > 9 ? 9 : c->precision;
    size_t n = float_text(text, value, kind, decimals);
    put_padded(sink, text, n, c->width, c->zero, c->left);
}

static void put_argument(struct sink *sink, const struct conversion *c, char kind, va_list *args)
{
    switch (kind) {
    case '%':
        put(sink, '%');
        break;
    case 'c':
        put(sink, (char)va_arg(*args, int));
        break;
    case 's':
        put_text(sink, c, va_arg(*args, const char *));
        break;
    case 'd':
    case 'i':
        put_signed(sink, c, args);
        break;
    case 'u':
    case 'x':
        put_unsigned(sink, c, args, kind == 'x' ? 16 : 10);
        break;
    case 'p': {
        struct conversion blanks = *c;
        blanks.zero = false;
        put_integer(sink, &blanks, "0x", (uint64_t)(uintptr_t)va_arg(*args, void *), 16);
        break;
    }
    case 'f':
    case 'g':
        put_float(sink, c, kind, va_arg(*args, double));
        break;
    default: // a mistake in the format, which -Wformat reports: print it as it is
        put(sink, '%');
        if (kind)
            put(sink, kind);
    }
}

size_t dt_vformat(char *out, size_t size, const char *format, va_list args)
{
    struct sink sink = {out, size, 0};
    va_list rest; // a parameter of this type may be an array, whose address is another type
    va_copy(rest, args);
    for (const char *f = format; *f; f++) {
        struct conversion c;
        if (*f != '%') {
            put(&sink, *f);
            continue;
        }
        f = read_conversion(f + 1, &rest, &c);
        put_argument(&sink, &c, *f, &rest);
        if (!*f)
            break;
    }
    va_end(rest);
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
