// SPDX-License-Identifier: MIT
// Compares the tokenizer with a simple version of llama2.c's rules that searches all pairs for each
// merge.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/text/tokenizer.h"

#define MAX_TEXT 4096

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % n);
}

// ---- a tokenizer.bin in memory ----

struct fixture {
    unsigned char *file;
    size_t file_size, file_capacity;
    uint32_t size;
    void *memory[2];
    struct dt_vocab vocab;
    struct dt_tokenizer tokenizer;
    uint32_t *sorted; // ids by piece, then id
};

static void put_bytes(struct fixture *f, const void *bytes, size_t n)
{
    if (f->file_size + n > f->file_capacity)
        f->file = realloc(f->file, f->file_capacity = 2 * (f->file_size + n));
    assert_non_null(f->file);
    if (n > 0)
        memcpy(f->file + f->file_size, bytes, n);
    f->file_size += n;
}

static void put_piece(struct fixture *f, float score, const void *piece, size_t n)
{
    int32_t length = (int32_t)n;
    put_bytes(f, &score, 4);
    put_bytes(f, &length, 4);
    put_bytes(f, piece, n);
    f->size++;
}

static const struct dt_vocab *sorting;

static int by_piece(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    size_t n, m;
    const unsigned char *p = dt_vocab_piece(sorting, i, &n), *q = dt_vocab_piece(sorting, j, &m);
    int order = memcmp(p, q, n < m ? n : m);
    return order != 0 ? order : n != m ? (n < m ? -1 : 1) : i < j ? -1 : 1;
}

// Opens f->file.
static void open_fixture(struct fixture *f)
{
    struct dt_error err;
    size_t bytes = dt_vocab_measure(f->size);
    assert_int_equal(posix_memalign(&f->memory[0], DT_ALIGN, bytes), 0);
    struct dt_arena arena = dt_arena_over(f->memory[0], bytes);
    assert_int_equal(
        dt_vocab_open_bin(f->file, f->file_size, "synthetic", f->size, &arena, &f->vocab, &err),
        DT_OK);
    bytes = dt_tokenizer_measure(&f->vocab, MAX_TEXT);
    assert_int_equal(posix_memalign(&f->memory[1], DT_ALIGN, bytes), 0);
    assert_int_equal(dt_tokenizer_init(&f->tokenizer, &f->vocab, f->memory[1], bytes, &err), DT_OK);
    f->sorted = malloc(f->size * sizeof *f->sorted);
    for (uint32_t i = 0; i < f->size; i++)
        f->sorted[i] = i;
    sorting = &f->vocab;
    qsort(f->sorted, f->size, sizeof *f->sorted, by_piece);
}

static void close_fixture(struct fixture *f)
{
    free(f->file);
    free(f->memory[0]);
    free(f->memory[1]);
    free(f->sorted);
    memset(f, 0, sizeof *f);
}

static void put_start(struct fixture *f, uint32_t longest)
{
    put_bytes(f, &longest, 4);
    put_piece(f, 0, "<unk>", 5);
    put_piece(f, 0, "\n<s>\n", 5);
    put_piece(f, 0, "\n</s>\n", 6);
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        put_piece(f, 0, name, 6);
    }
}

// Letters of a small alphabet (two not ASCII), pieces made of two earlier ones, few different
// scores so that many are equal, some too low to be merged, and duplicates.
static void random_vocabulary(struct fixture *f, uint32_t pieces)
{
    static const char *const letters[] = {" ", "a", "b", "c", "d", "\n", "\xc3\xa9", "\xe4\xbd\xa0",
                                          "<", "0", "x", ">"};
    char kept[400][16];
    uint32_t kept_count = 0;
    put_start(f, 16);
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        if (random_below(8) == 0 && i > 0)
            continue; // this letter is encoded as bytes
        put_piece(f, -1000, letters[i], strlen(letters[i]));
        snprintf(kept[kept_count++], sizeof kept[0], "%s", letters[i]);
    }
    for (uint32_t i = 0; i < pieces && kept_count < 400; i++) {
        const char *left = kept[random_below(kept_count)], *right = kept[random_below(kept_count)];
        static const float odd[] = {-1e9f, -1e10f, -2e10f, (float)__builtin_nan(""), 3.5f};
        float score = random_below(12) == 0 ? odd[random_below(5)] : -(float)random_below(6);
        char joined[32];
        int n = snprintf(joined, sizeof joined, "%s%s", left, right);
        if (n > 15)
            continue;
        put_piece(f, score, joined, (size_t)n);
        memcpy(kept[kept_count++], joined, (size_t)n + 1);
    }
    put_piece(f, 1, "<0x41><0x42>", 12); // bytes are joined by the names of their pieces
    put_piece(f, 1, "\n<s>\n ", 6);      // BOS takes part in merging
    open_fixture(f);
}

static bool read_fixture(struct fixture *f, const char *path)
{
    const char *root = getenv("DT_SOURCE_ROOT");
    char name[1024];
    snprintf(name, sizeof name, "%s/%s", root ? root : ".", path);
    FILE *file = fopen(name, "rb");
    if (!file)
        return false;
    char block[4096];
    size_t n;
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        put_bytes(f, block, n);
    fclose(file);
    for (size_t at = 4; at < f->file_size; f->size++) {
        int32_t length;
        memcpy(&length, f->file + at + 4, 4);
        at += 8 + (size_t)length;
    }
    open_fixture(f);
    return true;
}

// ---- the simple version ----

static uint32_t naive_find(const struct fixture *f, const unsigned char *piece, size_t n)
{
    uint32_t low = 0, high = f->size;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        size_t m;
        const unsigned char *q = dt_vocab_piece(&f->vocab, f->sorted[middle], &m);
        int order = memcmp(q, piece, n < m ? n : m);
        if (order < 0 || (order == 0 && m < n))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == f->size)
        return DT_NO_TOKEN;
    size_t m;
    const unsigned char *q = dt_vocab_piece(&f->vocab, f->sorted[low], &m);
    return m == n && memcmp(q, piece, n) == 0 ? f->sorted[low] : DT_NO_TOKEN;
}

static size_t naive_encode(const struct fixture *f, const unsigned char *text, size_t n, bool bos,
                           bool eos, uint32_t *tokens)
{
    size_t count = 0;
    if (bos)
        tokens[count++] = 1;
    if (n > 0) {
        uint32_t space = naive_find(f, (const unsigned char *)" ", 1);
        tokens[count++] = space == DT_NO_TOKEN ? ' ' + 3 : space;
    }
    unsigned char held[4];
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if ((text[i] & 0xC0) != 0x80)
            length = 0;
        held[length++] = text[i];
        if (i + 1 < n && (text[i + 1] & 0xC0) == 0x80 && length < 4)
            continue;
        uint32_t id = naive_find(f, held, length);
        if (id != DT_NO_TOKEN) {
            tokens[count++] = id;
        } else {
            for (size_t j = 0; j < length; j++)
                tokens[count++] = held[j] + 3u;
        }
        length = 0;
    }
    for (;;) {
        float best_score = -1e10f;
        uint32_t best_id = 0;
        size_t best_at = SIZE_MAX;
        for (size_t i = 0; i + 1 < count; i++) {
            unsigned char joined[2 * DT_PIECE_MAX];
            size_t left, right;
            const unsigned char *p = dt_vocab_piece(&f->vocab, tokens[i], &left);
            const unsigned char *q = dt_vocab_piece(&f->vocab, tokens[i + 1], &right);
            memcpy(joined, p, left);
            memcpy(joined + left, q, right);
            uint32_t id = naive_find(f, joined, left + right);
            if (id != DT_NO_TOKEN && dt_vocab_score(&f->vocab, id) > best_score) {
                best_score = dt_vocab_score(&f->vocab, id);
                best_id = id;
                best_at = i;
            }
        }
        if (best_at == SIZE_MAX)
            break;
        tokens[best_at] = best_id;
        memmove(tokens + best_at + 1, tokens + best_at + 2, (count - best_at - 2) * sizeof *tokens);
        count--;
    }
    if (eos)
        tokens[count++] = 2;
    return count;
}

// ---- comparison ----

static void compare(struct fixture *f, const unsigned char *text, size_t n, unsigned flags)
{
    static uint32_t ours[MAX_TEXT + 8], theirs[MAX_TEXT + 8];
    struct dt_error err;
    size_t count;
    assert_int_equal(dt_tokenizer_encode(&f->tokenizer, (const char *)text, n,
                                         flags | DT_ENCODE_PREFIX, ours, MAX_TEXT + 8, &count,
                                         &err),
                     DT_OK);
    size_t wanted = naive_encode(f, text, n, flags & DT_ENCODE_BOS, flags & DT_ENCODE_EOS, theirs);
    assert_int_equal(count, wanted);
    assert_memory_equal(ours, theirs, count * sizeof *ours);

    // Without BOS and the prefix, tokens decode to the same bytes.
    if (flags == 0 && n > 0) {
        char out[DT_PIECE_MAX];
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            size_t m = dt_tokenizer_decode(&f->tokenizer, i == 0 ? 1 : ours[i - 1], ours[i], out);
            if (f->tokenizer.longest >
                16) // real vocabularies only: synthetic pieces contain the names of bytes
                assert_memory_equal(out, text + at, m);
            at += m;
        }
        if (f->tokenizer.longest > 16)
            assert_int_equal(at, n);
    }
}

static size_t random_text(unsigned char *text, size_t capacity)
{
    static const char *const bits[] = {" ",
                                       "a",
                                       "b",
                                       "c",
                                       "d",
                                       "\n",
                                       "\xc3\xa9",
                                       "\xe4\xbd\xa0",
                                       "<s>",
                                       "the ",
                                       "once",
                                       "lily",
                                       "  ",
                                       "AB",
                                       "\xf0\x9f\x99\x82",
                                       "\n<s>\n",
                                       "\xc3",
                                       "\x80",
                                       "\xff",
                                       "\xe4\xbd",
                                       "x",
                                       "0x41",
                                       "ing ",
                                       "zzzzzz"};
    size_t want = random_below(6) == 0 ? random_below((uint32_t)capacity) : random_below(60), n = 0;
    uint32_t kind = random_below(4);
    while (n < want) {
        const char *bit = bits[random_below(kind == 1 ? 6 : sizeof bits / sizeof *bits)];
        unsigned char byte = (unsigned char)random_below(256);
        size_t m = kind == 0 ? 1 : strlen(bit);
        if (n + m > capacity)
            break;
        memcpy(text + n, kind == 0 ? (const void *)&byte : bit, m);
        n += m;
    }
    return n;
}

static void compare_many(struct fixture *f, int times)
{
    unsigned char text[500] = {0};
    compare(f, text, 0, DT_ENCODE_BOS);
    for (int i = 0; i < times; i++) {
        size_t n = random_text(text, sizeof text);
        compare(f, text, n, random_below(4)); // BOS = 1, EOS = 2
    }
}

static void synthetic_vocabularies(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct fixture f = {0};
        random_vocabulary(&f, 10 + random_below(300));
        compare_many(&f, 40);
        close_fixture(&f);
    }
}

static void compare_with_file(const char *path, int times)
{
    struct fixture f = {0};
    if (!read_fixture(&f, path)) {
        print_message("skipped: %s is not here\n", path);
        skip();
    }
    compare_many(&f, times);
    close_fixture(&f);
}

static void vocabulary_of_the_shipped_model(void **state)
{
    (void)state;
    compare_with_file("data/models/bedtime-2m.tok.bin", 300);
}

static void vocabulary_of_512(void **state)
{
    (void)state;
    compare_with_file("../shared/models/tok512.bin", 300);
}

static void vocabulary_of_32000(void **state)
{
    (void)state;
    compare_with_file("../shared/models/tokenizer32000.bin", 300);
}

static void known_ids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t ids[8];
        size_t count;
    } rows[] = {
        // from the original Llama 2 tokenizer
        {"", {1}, 1},
        {"Once upon a time", {1, 9038, 2501, 263, 931}, 5},
        {"\xff", {1, 29871, 258}, 3},
        {"\xf0\x9f\x99\x82", {1, 29871, 243, 162, 156, 133}, 6},
    };
    struct fixture f = {0};
    if (!read_fixture(&f, "../shared/models/tokenizer32000.bin")) {
        print_message("skipped: ../shared/models/tokenizer32000.bin is not here\n");
        skip();
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t ids[32];
        size_t count;
        assert_int_equal(dt_tokenizer_encode(&f.tokenizer, rows[i].text, strlen(rows[i].text),
                                             DT_ENCODE_BOS | DT_ENCODE_PREFIX, ids, 32, &count,
                                             NULL),
                         DT_OK);
        assert_int_equal(count, rows[i].count);
        assert_memory_equal(ids, rows[i].ids, count * sizeof *ids);
    }
    close_fixture(&f);
}

// ---- memory, capacity, decoding, GGUF ----

static void capacity_and_memory(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct dt_error err;
    static char text[MAX_TEXT + 1];
    static uint32_t ids[MAX_TEXT + 8];
    size_t count;
    put_start(&f, 6);
    open_fixture(&f);
    memset(text, '?', sizeof text); // no merges: one token for each byte
    assert_int_equal(
        dt_tokenizer_encode(&f.tokenizer, text, MAX_TEXT, 7, ids, MAX_TEXT + 8, &count, &err),
        DT_OK);
    assert_int_equal(count, MAX_TEXT + 3);
    assert_int_equal(
        dt_tokenizer_encode(&f.tokenizer, text, MAX_TEXT, 7, ids, MAX_TEXT + 2, &count, &err),
        DT_NO_MEMORY);
    assert_int_equal(count, MAX_TEXT + 3);
    assert_string_equal(err.message, "the text has 4099 tokens; at most 4098 fit");
    // Alignment leaves some slack; much longer text is refused.
    char *longer = calloc(1, 2 * MAX_TEXT);
    assert_int_equal(
        dt_tokenizer_encode(&f.tokenizer, longer, 2 * MAX_TEXT, 7, ids, 8, &count, &err),
        DT_NO_MEMORY);
    free(longer);
    // the tokenizer still works
    compare(&f, (const unsigned char *)"a b", 3, DT_ENCODE_BOS);

    struct dt_tokenizer small;
    assert_int_equal(dt_tokenizer_init(&small, &f.vocab, f.memory[1], 64, &err), DT_NO_MEMORY);
    struct dt_vocab none = {0};
    assert_int_equal(dt_tokenizer_init(&small, &none, f.memory[1], 64, &err), DT_BAD_INPUT);
    close_fixture(&f);
}

static void decode_is(const struct dt_tokenizer *t, uint32_t previous, uint32_t id,
                      const char *wanted, size_t n)
{
    char out[DT_PIECE_MAX];
    assert_int_equal(dt_tokenizer_decode(t, previous, id, out), n);
    assert_memory_equal(out, wanted, n);
}

static void decoding(void **state)
{
    (void)state;
    struct fixture f = {0};
    put_start(&f, 16);
    put_piece(&f, 0, " a", 2);
    put_piece(&f, 0, "  ", 2);
    put_piece(&f, 0, "", 0);
    open_fixture(&f);
    const struct dt_tokenizer *t = &f.tokenizer;
    decode_is(t, 1, 259, "a", 1);
    decode_is(t, 5, 259, " a", 2);
    decode_is(t, DT_NO_TOKEN, 259, " a", 2);
    decode_is(t, 1, 260, " ", 1); // only one space
    decode_is(t, 1, 261, "", 0);
    decode_is(t, 1, 3 + 0x20, " ", 1); // a byte is never stripped
    decode_is(t, 5, 3, "\0", 1);
    decode_is(t, 5, 3 + 0xff, "\xff", 1);
    decode_is(t, 5, 2, "\n</s>\n", 6);
    decode_is(t, 5, 262, "", 0);
    decode_is(t, 5, DT_NO_TOKEN, "", 0);
    assert_true(dt_tokenizer_is_end(t, 2));
    assert_false(dt_tokenizer_is_end(t, 1));
    assert_false(dt_tokenizer_is_end(t, DT_NO_TOKEN));
    assert_null(t->index); // decoding needs none
    close_fixture(&f);
}

// A vocabulary as in GGUF: types, U+2581 for spaces, byte pieces at any id.
static void types_and_special_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *piece;
        int32_t type;
        float score;
    } pieces[] = {
        {"<unk>", DT_TOKEN_UNKNOWN, 0},
        {"<s>", DT_TOKEN_CONTROL, 0},
        {"</s>", DT_TOKEN_CONTROL, 0},
        {"a", DT_TOKEN_NORMAL, -9},
        {"b", DT_TOKEN_NORMAL, -9},
        {"\xe2\x96\x81", DT_TOKEN_NORMAL, -9},
        {"\xe2\x96\x81"
         "a",
         DT_TOKEN_NORMAL, -1},
        {"<0x0A>", DT_TOKEN_BYTE, 0},
        {"<0x20>", DT_TOKEN_BYTE, 0},
        {"<s", DT_TOKEN_NORMAL, -1},
        {">", DT_TOKEN_NORMAL, -9},
        {"<", DT_TOKEN_NORMAL, -9},
        {"s", DT_TOKEN_NORMAL, -9},
        {"<s><s>", DT_TOKEN_USER_DEFINED, 0},
        {"\xe2\x96\x81\xe2\x96\x81", DT_TOKEN_NORMAL, -2},
    };
    enum { COUNT = sizeof pieces / sizeof pieces[0] };
    struct fixture f = {0};
    unsigned char types[COUNT * 4 + 1];
    uint32_t longest = 6;
    put_bytes(&f, &longest, 4);
    for (int i = 0; i < COUNT; i++) {
        put_piece(&f, pieces[i].score, pieces[i].piece, strlen(pieces[i].piece));
        memcpy(types + 1 + 4 * i, &pieces[i].type, 4); // unaligned, as in a file
    }
    open_fixture(&f);
    f.vocab.types = types + 1;
    f.vocab.meta_space = true;

    static const struct {
        const char *text;
        unsigned flags;
        uint32_t ids[12];
        size_t count;
    } rows[] = {
        {"a b", DT_ENCODE_BOS | DT_ENCODE_PREFIX, {1, 6, 5, 4}, 4},
        {"a b", 0, {3, 5, 4}, 3},
        {"  ", 0, {14}, 1},
        {"\xe2\x96\x81"
         "a",
         0,
         {6},
         1},                        // as SentencePiece
        {"\n?", 0, {7, 0}, 2},      // no token for the byte of '?': unknown
        {"<s>a", 0, {9, 10, 3}, 3}, // text does not become a marker
        {"<s>a", DT_ENCODE_SPECIAL, {1, 3}, 2},
        {"a<s>a</s>", DT_ENCODE_SPECIAL | DT_ENCODE_PREFIX, {6, 1, 6, 2}, 4},
        {"<s><s><s>", DT_ENCODE_SPECIAL, {13, 1}, 2}, // the longest piece first
        {"<s", DT_ENCODE_SPECIAL, {9}, 1},
        {"", DT_ENCODE_BOS | DT_ENCODE_EOS | DT_ENCODE_PREFIX, {1, 2}, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t ids[16];
        size_t count;
        assert_int_equal(dt_tokenizer_encode(&f.tokenizer, rows[i].text, strlen(rows[i].text),
                                             rows[i].flags, ids, 16, &count, NULL),
                         DT_OK);
        assert_int_equal(count, rows[i].count);
        assert_memory_equal(ids, rows[i].ids, count * sizeof *ids);
    }
    decode_is(&f.tokenizer, 1, 6, "a", 1);
    decode_is(&f.tokenizer, 3, 6, " a", 2);
    decode_is(&f.tokenizer, 3, 2, "", 0);
    decode_is(&f.tokenizer, 3, 7, "\n", 1);
    decode_is(&f.tokenizer, 3, 13, "<s><s>", 6);
    assert_int_equal(dt_tokenizer_find(&f.tokenizer, "<s", 2), 9);
    assert_int_equal(dt_tokenizer_find(&f.tokenizer, "<t", 2), DT_NO_TOKEN);
    close_fixture(&f);
}

// ---- invalid files ----

static void refused(const struct fixture *f, size_t n, uint32_t size, const char *words)
{
    struct dt_error err;
    struct dt_vocab vocab;
    size_t bytes = dt_vocab_measure(1000);
    void *memory;
    assert_int_equal(posix_memalign(&memory, DT_ALIGN, bytes), 0);
    struct dt_arena arena = dt_arena_over(memory, bytes);
    unsigned char *copy = malloc(n + 1); // the exact size, so that sanitizers detect overruns
    memcpy(copy, f->file, n);
    assert_int_equal(dt_vocab_open_bin(copy, n, "t.bin", size, &arena, &vocab, &err), DT_BAD_INPUT);
    assert_string_equal(err.file, "t.bin");
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    free(copy);
    free(memory);
}

static void broken_files(void **state)
{
    (void)state;
    struct fixture f = {0};
    put_start(&f, 6);
    put_piece(&f, 0, " a", 2);
    refused(&f, 0, f.size, "not a tokenizer.bin: the file has 0 bytes");
    refused(&f, 3, f.size, "not a tokenizer.bin: the file has 3 bytes");
    refused(&f, 4, f.size, "the model has 260 pieces, but 4 bytes hold at most 0");
    refused(&f, f.file_size - 1, f.size, "piece 259: length is 2, the file has 1 more bytes");
    refused(&f, f.file_size - 3, f.size, "piece 259 of 260: the file ends at byte");
    refused(&f, f.file_size - 10, f.size, "piece 259 of 260: the file ends at byte");
    refused(&f, f.file_size, f.size + 1, "piece 260 of 261: the file ends");
    refused(&f, f.file_size, f.size - 1, "10 bytes after the 259 pieces");
    refused(&f, f.file_size, 0, "a vocabulary of no pieces");
    refused(&f, f.file_size, UINT32_MAX, "the model has 4294967295 pieces");
    refused(&f, f.file_size, 0x80000000u, "the model has 2147483648 pieces");
    for (size_t n = 4; n < f.file_size; n++) // truncated at every length
        refused(&f, n, f.size, "");
    static const int32_t lies[] = {-1, INT32_MIN, INT32_MAX, 7, 1 << 20};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(f.file + 4 + 4, &lies[i], 4);
        refused(&f, f.file_size, f.size, "piece 0: length is ");
    }
    uint32_t longest = 0;
    memcpy(f.file, &longest, 4);
    refused(&f, f.file_size, f.size, "longest piece is 0; expected 1 to 512");
    longest = DT_PIECE_MAX + 1;
    memcpy(f.file, &longest, 4);
    refused(&f, f.file_size, f.size, "longest piece is 513");
    close_fixture(&f);

    struct fixture good = {0};
    put_start(&good, 6);
    struct dt_arena none = dt_arena_over(good.file, 0);
    struct dt_vocab vocab;
    struct dt_error err;
    assert_int_equal(
        dt_vocab_open_bin(good.file, good.file_size, "t.bin", good.size, &none, &vocab, &err),
        DT_NO_MEMORY);
    close_fixture(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synthetic_vocabularies),
        cmocka_unit_test(vocabulary_of_the_shipped_model),
        cmocka_unit_test(vocabulary_of_512),
        cmocka_unit_test(vocabulary_of_32000),
        cmocka_unit_test(known_ids),
        cmocka_unit_test(capacity_and_memory),
        cmocka_unit_test(decoding),
        cmocka_unit_test(types_and_special_pieces),
        cmocka_unit_test(broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
