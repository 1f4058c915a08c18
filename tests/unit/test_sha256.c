// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/sha256.h"

static void expect_hash(const char *text, size_t n, const char *expected)
{
    struct dt_sha256 hash;
    char hex[65];
    dt_sha256_begin(&hash);
    dt_sha256_add(&hash, text, n);
    dt_sha256_end(&hash, hex);
    assert_string_equal(hex, expected);
}

// The examples of FIPS 180-4.
static void examples(void **state)
{
    (void)state;
    expect_hash("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_hash("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    expect_hash(two, sizeof two - 1,
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// A million letters, in pieces of every length up to 200.
static void pieces(void **state)
{
    struct dt_sha256 hash;
    char letters[200], hex[65];
    size_t left = 1000000, n = 0;
    (void)state;
    memset(letters, 'a', sizeof letters);
    dt_sha256_begin(&hash);
    for (; left > 0; left -= n) {
        n = n % 200 + 1;
        n = n < left ? n : left;
        dt_sha256_add(&hash, letters, n);
    }
    dt_sha256_end(&hash, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Every length around the ends of blocks gives the same in one piece and byte by byte.
static void lengths(void **state)
{
    char text[200], whole[65], bytes[65];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof text; n++) {
        struct dt_sha256 a, b;
        dt_sha256_begin(&a);
        dt_sha256_add(&a, text, n);
        dt_sha256_end(&a, whole);
        dt_sha256_begin(&b);
        for (size_t i = 0; i < n; i++)
            dt_sha256_add(&b, text + i, 1);
        dt_sha256_end(&b, bytes);
        assert_string_equal(whole, bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples),
        cmocka_unit_test(pieces),
        cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
