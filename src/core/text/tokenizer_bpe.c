// SPDX-License-Identifier: MIT
// Pieces are written in 256 visible characters, one for each byte (GPT-2's byte_encoder): printable
// Latin-1 is itself, the other 68 bytes are U+0100 and up. A hash table finds a merge by its two
// tokens. A tournament tree over the symbols of a word gives the merge of lowest rank, the leftmost
// of equal ones, so that even a word of a million letters takes n log n steps.
#include "core/text/tokenizer_bpe.h"

#include <string.h>

#include "core/text/normalize.h"
#include "core/text/pretokenizer.h"

#define NONE UINT32_MAX

struct merges {
    struct dt_pretokenizer_plan plan;
    const uint32_t *ids; // by rank: left, right and result, or three times DT_NO_TOKEN
    uint32_t *slot;      // hash table of the pairs: rank + 1, or 0: free
    uint32_t mask;
};

// ---- bytes and characters ----

// The character of a byte. These bytes are not their own: 0..32, 127..160, 173.
static uint32_t byte_character(unsigned char byte)
{
    if (byte < 33)
        return 256u + byte;
    if (byte >= 127 && byte < 161)
        return 256u + 33 + (byte - 127u);
    return byte == 173 ? 256 + 33 + 34 : byte;
}

static int character_byte(uint32_t code)
{
    if (code < 256)
        return byte_character((unsigned char)code) == code ? (int)code : -1;
    if (code < 256 + 33)
        return (int)code - 256;
    if (code < 256 + 33 + 34)
        return (int)code - (256 + 33) + 127;
    return code == 256 + 33 + 34 ? 173 : -1;
}

static size_t put_character(uint32_t code, unsigned char out[2])
{
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    out[0] = (unsigned char)(0xc0 | code >> 6);
    out[1] = (unsigned char)(0x80 | (code & 63));
    return 2;
}

size_t dt_bpe_spell(const unsigned char *piece, size_t n, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < n;) {
        bool two = (piece[i] & 0xe0) == 0xc0 && i + 1 < n && (piece[i + 1] & 0xc0) == 0x80;
        uint32_t code = two ? (piece[i] & 31u) << 6 | (piece[i + 1] & 63u) : piece[i];
        int byte = two || code < 0x80 ? character_byte(code) : -1;
        if (byte >= 0)
            out[written++] = (char)byte;
        else
            for (size_t k = 0; k <= (size_t)two; k++)
                out[written++] = (char)piece[i + k];
        i += 1 + two;
    }
    return written;
}

// ---- the table of merges ----

static uint32_t slots_for(uint64_t count)
{
    uint32_t slots = 16;
    while (slots < 2 * count && slots < 1u << 31)
        slots *= 2;
    return slots;
}

// *ids: memory for the ids of merges that the vocabulary has as text, else NULL.
static bool alloc_table(struct merges **table, uint32_t **ids, struct dt_arena *arena,
                        const struct dt_vocab *vocab)
{
    struct merges unused, *m = dt_arena_alloc(arena, 1, sizeof *m);
    *table = m;
    m = m ? m : &unused;
    *ids =
        vocab->merge_ids ? NULL : dt_arena_alloc(arena, vocab->merges_count, 3 * sizeof(uint32_t));
    m->ids = *ids ? *ids : vocab->merge_ids;
    m->slot = dt_arena_alloc(arena, slots_for(vocab->merges_count), sizeof(uint32_t));
    return m->slot && *table;
}

size_t dt_bpe_measure_table(const struct dt_vocab *vocab)
{
    struct dt_arena counter = dt_arena_over(NULL, 0);
    struct merges *table;
    uint32_t *ids;
    alloc_table(&table, &ids, &counter, vocab);
    return counter.wanted + dt_pretokenizer_measure(vocab->pretokenizer);
}

static uint32_t hash_pair(uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32) ^ (uint32_t)(hash >> 15);
}

// The slot of this pair, or the free slot where it belongs.
static uint32_t slot_of(const struct merges *m, uint32_t left, uint32_t right)
{
    uint32_t slot = hash_pair(left, right) & m->mask;
    for (; m->slot[slot] != 0; slot = (slot + 1) & m->mask) {
        uint32_t rank = m->slot[slot] - 1;
        if (m->ids[3 * (size_t)rank] == left && m->ids[3 * (size_t)rank + 1] == right)
            break;
    }
    return slot;
}

// A merge of the file: text[0..left), a space, and the rest of text[0..n).
struct merge {
    const char *text;
    size_t left, n;
};

static dt_status read_merge(struct merge *m, uint32_t rank, const char *text, size_t n,
                            struct dt_error *err)
{
    const char *space = n > 1 ? memchr(text + 1, ' ', n - 1) : NULL;
    if (!space || space + 1 == text + n || n > 2 * DT_PIECE_MAX)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "tokenizer.ggml.merges: item %u is \"%.*s\"; expected two pieces", rank,
                            n < 64 ? (int)n : 64, text);
    *m = (struct merge){text, (size_t)(space - text), n};
    return DT_OK;
}

// Whether token `id` is the text of a merge without its space.
static bool is_result(const struct dt_vocab *vocab, uint32_t id, const struct merge *m)
{
    size_t n;
    if (id >= vocab->size)
        return false;
    const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
    return n == m->n - 1 && memcmp(piece, m->text, m->left) == 0 &&
           memcmp(piece + m->left, m->text + m->left + 1, n - m->left) == 0;
}

// Finds the ids of one merge. A merge of pieces that do not exist can never happen: it is ignored,
// as is a header line ("#version: 0.2"). *last: the result of the merge before.
static void find_ids(struct dt_tokenizer *t, const struct merge *m, uint32_t ids[3], uint32_t *last)
{
    size_t left = m->left, right = m->n - left - 1;
    uint32_t first = dt_tokenizer_find(t, m->text, left);
    uint32_t second =
        first == DT_NO_TOKEN ? first : dt_tokenizer_find(t, m->text + left + 1, right);
    uint32_t both = DT_NO_TOKEN;
    // tokens are numbered in the order of the merges, as a rule
    for (uint32_t k = 0; k < 2 && second != DT_NO_TOKEN && both == DT_NO_TOKEN && !t->repeats; k++)
        if (is_result(t->vocab, *last + k, m))
            both = *last + k;
    if (second != DT_NO_TOKEN && both == DT_NO_TOKEN) {
        char joined[2 * DT_PIECE_MAX];
        memcpy(joined, m->text, left);
        memcpy(joined + left, m->text + left + 1, right);
        both = dt_tokenizer_find(t, joined, left + right);
    }
    bool whole = both != DT_NO_TOKEN;
    ids[0] = whole ? first : DT_NO_TOKEN;
    ids[1] = whole ? second : DT_NO_TOKEN;
    ids[2] = both;
    *last = whole ? both : *last;
}

static void prefetch_texts(const struct dt_tokenizer *t, const struct merge *m)
{
    const char *right = m->text + m->left + 1;
    dt_piece_index_prefetch_text(t->vocab, t->index, t->index_mask, m->text, m->left);
    dt_piece_index_prefetch_text(t->vocab, t->index, t->index_mask, right, m->n - m->left - 1);
}

// The ids of all merges of a GGUF array of strings, whose lengths the reader has checked. The index
// is slow to reach, so that a few merges are read ahead.
static dt_status find_all_ids(struct dt_tokenizer *t, uint32_t *ids, struct dt_error *err)
{
    const unsigned char *at = t->vocab->merges;
    enum { first = 2 * DT_PIECE_AHEAD, second = DT_PIECE_AHEAD };
    struct merge ahead[first];
    uint64_t count = t->vocab->merges_count;
    uint32_t last = 0;
    dt_tokenizer_index_build(t);
    for (uint64_t i = 0; i < count + first; i++) {
        struct merge *m = &ahead[i % first], *between = &ahead[(i + second) % first];
        if (i >= first)
            find_ids(t, m, ids + 3 * (i - first), &last);
        if (i >= second && i - second < count)
            prefetch_texts(t, between);
        if (i >= count)
            continue;
        uint64_t n;
        memcpy(&n, at, sizeof n);
        dt_status status = read_merge(m, (uint32_t)i, (const char *)at + 8, (size_t)n, err);
        if (status)
            return status;
        dt_piece_index_prefetch(t->index, t->index_mask, m->text, m->left);
        dt_piece_index_prefetch(t->index, t->index_mask, m->text + m->left + 1, m->n - m->left - 1);
        at += 8 + n;
    }
    return DT_OK;
}

dt_status dt_bpe_build(struct dt_tokenizer *t, struct dt_error *err)
{
    const struct dt_vocab *vocab = t->vocab;
    struct dt_arena saved = t->arena;
    struct merges *m;
    uint32_t *ids;
    if (!alloc_table(&m, &ids, &t->arena, vocab) ||
        !dt_pretokenizer_plan(&m->plan, vocab->pretokenizer, &t->arena)) {
        t->arena = saved;
        return dt_error_set(err, DT_NO_MEMORY, NULL, "the table of %llu merges needs %zu bytes",
                            (unsigned long long)vocab->merges_count, dt_bpe_measure_table(vocab));
    }
    dt_status status = ids ? find_all_ids(t, ids, err) : DT_OK;
    if (status) {
        t->arena = saved;
        return status;
    }
    m->mask = slots_for(vocab->merges_count) - 1;
    memset(m->slot, 0, (m->mask + 1) * sizeof *m->slot);
    for (uint32_t rank = 0; rank < vocab->merges_count; rank++) {
        const uint32_t *merge = m->ids + 3 * (size_t)rank;
        const uint32_t *ahead =
            vocab->merges_count - rank > DT_PIECE_AHEAD ? merge + 3 * DT_PIECE_AHEAD : merge;
        __builtin_prefetch(&m->slot[hash_pair(ahead[0], ahead[1]) & m->mask], 1);
        uint32_t slot = merge[2] == DT_NO_TOKEN ? 0 : slot_of(m, merge[0], merge[1]);
        // the first of two merges of a pair counts
        if (merge[2] != DT_NO_TOKEN && m->slot[slot] == 0)
            m->slot[slot] = rank + 1;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        unsigned char character[2];
        size_t n = put_character(byte_character((unsigned char)byte), character);
        uint32_t id = dt_tokenizer_find(t, character, n);
        t->byte_token[byte] = id != DT_NO_TOKEN ? id : vocab->unknown;
    }
    t->merges = m;
    return DT_OK;
}

// ---- merging ----

struct word {
    const struct merges *m;
    uint32_t count;
    uint32_t *token;  // of each symbol; NONE: merged into the one before it
    uint32_t *before; // the remaining neighbours, NONE at the ends
    uint32_t *after;
    uint32_t *rank; // of the merge of a symbol with the next; NONE: no merge
    uint32_t *tree; // tree[count + i] is i; tree[j] is the better of tree[2j] and tree[2j + 1]
};

static bool alloc_word(struct word *w, struct dt_arena *arena, size_t count)
{
    w->token = dt_arena_alloc(arena, count, sizeof(uint32_t));
    w->before = dt_arena_alloc(arena, count, sizeof(uint32_t));
    w->after = dt_arena_alloc(arena, count, sizeof(uint32_t));
    w->rank = dt_arena_alloc(arena, count, sizeof(uint32_t));
    w->tree = dt_arena_alloc(arena, count, 2 * sizeof(uint32_t));
    return w->tree != NULL;
}

size_t dt_bpe_measure(const struct dt_vocab *vocab, size_t n)
{
    struct dt_arena counter = dt_arena_over(NULL, 0);
    struct word w;
    n += vocab->add_space_prefix;
    dt_arena_alloc(&counter, n, vocab->nfc ? DT_NFC_GROWTH : 1);
    alloc_word(&w, &counter, (vocab->nfc ? DT_NFC_GROWTH : 1) * n + 1);
    return counter.wanted;
}

static uint32_t better(const struct word *w, uint32_t a, uint32_t b)
{
    if (w->rank[a] == w->rank[b])
        return a < b ? a : b;
    return w->rank[a] < w->rank[b] ? a : b;
}

static void enter_pair(struct word *w, uint32_t i)
{
    w->rank[i] = NONE;
    if (w->token[i] == NONE || w->after[i] == NONE)
        return;
    uint32_t slot = slot_of(w->m, w->token[i], w->token[w->after[i]]);
    w->rank[i] = w->m->slot[slot] - 1; // NONE for a free slot
}

static void update_pair(struct word *w, uint32_t i)
{
    enter_pair(w, i);
    for (uint32_t j = (w->count + i) / 2; j >= 1; j /= 2)
        w->tree[j] = better(w, w->tree[2 * j], w->tree[2 * j + 1]);
}

static void merge_all(struct word *w)
{
    uint32_t count = w->count;
    for (uint32_t i = 0; i < count; i++) {
        w->before[i] = i == 0 ? NONE : i - 1;
        w->after[i] = i + 1 == count ? NONE : i + 1;
        w->tree[count + i] = i;
    }
    for (uint32_t i = 0; i < count; i++)
        enter_pair(w, i);
    for (uint32_t j = count - 1; j >= 1; j--)
        w->tree[j] = better(w, w->tree[2 * j], w->tree[2 * j + 1]);

    for (uint32_t i; w->rank[i = w->tree[1]] != NONE;) {
        uint32_t gone = w->after[i];
        w->token[i] = w->m->ids[3 * (size_t)w->rank[i] + 2];
        w->token[gone] = NONE;
        w->after[i] = w->after[gone];
        if (w->after[i] != NONE)
            w->before[w->after[i]] = i;
        update_pair(w, gone);
        update_pair(w, i);
        if (w->before[i] != NONE)
            update_pair(w, w->before[i]);
    }
}

// "ignore_merges": a word that is a piece becomes that token, whatever the merges.
static uint32_t whole_word(struct dt_tokenizer *t, const char *text, size_t n)
{
    unsigned char spelled[DT_PIECE_MAX + 2];
    size_t length = 0;
    if (!t->vocab->ignore_merges)
        return DT_NO_TOKEN;
    for (size_t i = 0; i < n; i++) {
        if (length > DT_PIECE_MAX)
            return DT_NO_TOKEN;
        length += put_character(byte_character((unsigned char)text[i]), spelled + length);
    }
    uint32_t id = dt_tokenizer_find(t, spelled, length);
    return id != DT_NO_TOKEN && dt_vocab_type(t->vocab, id) == DT_TOKEN_NORMAL ? id : DT_NO_TOKEN;
}

// The text as the pre-tokenizer sees it: in form C, with a space before it. Copies it only if it
// changes. NULL: the arena is too small.
static const char *prepare(struct dt_tokenizer *t, const char *text, size_t *n, bool prefix)
{
    bool nfc = t->vocab->nfc && !dt_nfc_is_simple(text, *n);
    prefix = prefix && text[0] != ' ';
    if (!nfc && !prefix)
        return text;
    char *copy = dt_arena_alloc(&t->arena, *n + prefix, nfc ? DT_NFC_GROWTH : 1);
    if (!copy)
        return NULL;
    copy[0] = ' ';
    if (nfc)
        *n = dt_nfc(text, *n, copy + prefix);
    else
        memcpy(copy + prefix, text, *n);
    *n += prefix;
    return copy;
}

dt_status dt_bpe_encode(struct dt_tokenizer *t, const char *text, size_t n, bool prefix,
                        uint32_t *tokens, size_t capacity, size_t *count)
{
    struct dt_arena saved = t->arena;
    const struct merges *m = t->merges;
    struct word w = {.m = m};
    dt_status status = DT_NO_MEMORY;
    if (n > NONE / 16 || n == 0 || !(text = prepare(t, text, &n, prefix)) ||
        !alloc_word(&w, &t->arena, n + 1))
        goto out;
    struct dt_pretokenizer_walk walk = {.plan = &m->plan};
    for (size_t at = 0, end; at < n; at = end) {
        end = dt_pretokenizer_word(&walk, text, n, at);
        w.count = 0;
        w.token[0] = whole_word(t, text + at, end - at);
        if (w.token[0] != DT_NO_TOKEN)
            w.count = 1;
        else
            for (size_t i = at; i < end; i++) {
                uint32_t id = t->byte_token[(unsigned char)text[i]];
                if (id != DT_NO_TOKEN)
                    w.token[w.count++] = id;
            }
        if (w.count > 1)
            merge_all(&w);
        for (uint32_t i = 0; i < w.count; i++) {
            if (w.token[i] == NONE)
                continue;
            if (*count < capacity)
                tokens[*count] = w.token[i];
            ++*count;
        }
    }
    status = DT_OK;
out:
    t->arena = saved;
    return status;
}
