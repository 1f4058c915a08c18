// SPDX-License-Identifier: MIT
#include "core/formats/hf_vocab.h"

#include <string.h>

#include "core/formats/hf_rules.h"
#include "core/formats/reader.h"
#include "core/text/added_tokens.h"
#include "core/text/tokenizer_index.h"

// A merge that has been read: text[0..split) and text[split..n).
struct merge {
    uint32_t rank;
    uint16_t split, n;
    unsigned char text[2 * DT_PIECE_MAX];
};

// The vocabulary being built: pieces in the order of the JSON.
struct builder {
    const char *name;
    struct dt_error *err;
    uint32_t size;
    unsigned char *text;
    size_t text_used;
    uint32_t *offset;
    uint16_t *length;
    float *scores; // SentencePiece
    unsigned char *types;
    uint32_t *index, mask;
    struct dt_vocab pieces;           // for the index
    uint32_t *merge_ids, merge_count; // byte-level: of those that can happen
    uint32_t last;                    // the result of the last merge
    bool same;                        // two tokens have the same text
    struct dt_added_tokens added;
    // Read, but not looked up yet, because the index is slow to reach: rings.
    uint32_t ids[DT_PIECE_AHEAD];
    size_t pieces_read, merges_read;
    struct merge merge[DT_PIECE_AHEAD];
};

static uint32_t find(const struct builder *b, const unsigned char *piece, size_t n)
{
    return n <= DT_PIECE_MAX ? dt_piece_index_find(&b->pieces, b->index, b->mask, piece, n)
                             : DT_NO_TOKEN;
}

static void index_piece(struct builder *b, uint32_t id)
{
    b->same = !dt_piece_index_add(&b->pieces, b->index, b->mask, id) || b->same;
}

// Completes the index.
static void flush_pieces(struct builder *b)
{
    size_t waiting = b->pieces_read < DT_PIECE_AHEAD ? b->pieces_read : DT_PIECE_AHEAD;
    for (size_t i = 0; i < waiting; i++)
        index_piece(b, b->ids[i]);
    b->pieces_read = 0;
}

static dt_status add_piece(struct builder *b, struct dt_json_value text,
                           struct dt_json_value id_value, uint32_t type)
{
    uint64_t id;
    if (!dt_json_is_text(text) || !dt_json_uint_of(id_value, &id))
        return dt_error_set(b->err, DT_BAD_INPUT, b->name,
                            "a token is %.*s with the id %.*s; expected a string and a number",
                            text.n < 64 ? (int)text.n : 64, text.at,
                            id_value.n < 32 ? (int)id_value.n : 32, id_value.at);
    if (id >= b->size)
        return dt_error_set(
            b->err, DT_BAD_INPUT, b->name, "token %.*s has the id %llu, vocab_size is %u",
            text.n < 64 ? (int)text.n : 64, text.at, (unsigned long long)id, b->size);
    size_t n = dt_json_text_of(text, (char *)b->text + b->text_used);
    if (n > DT_PIECE_MAX)
        return dt_error_set(b->err, DT_BAD_INPUT, b->name,
                            "token %llu has %zu bytes; expected at most %u", (unsigned long long)id,
                            n, DT_PIECE_MAX);
    if (b->types[id] != DT_TOKEN_UNUSED) {
        bool same =
            b->length[id] == n && memcmp(b->text + b->offset[id], b->text + b->text_used, n) == 0;
        if (!same)
            return dt_error_set(b->err, DT_BAD_INPUT, b->name, "two tokens have the id %llu",
                                (unsigned long long)id);
    } else {
        b->offset[id] = (uint32_t)b->text_used;
        b->length[id] = (uint16_t)n;
        dt_piece_index_prefetch(b->index, b->mask, b->text + b->text_used, n);
        if (b->pieces_read >= DT_PIECE_AHEAD)
            index_piece(b, b->ids[b->pieces_read % DT_PIECE_AHEAD]);
        b->ids[b->pieces_read++ % DT_PIECE_AHEAD] = (uint32_t)id;
        b->text_used += n;
    }
    b->types[id] = (unsigned char)type;
    return DT_OK;
}

static bool is_byte_piece(const unsigned char *p, size_t n)
{
    return n == 6 && memcmp(p, "<0x", 3) == 0 && p[5] == '>';
}

// Whether token `id` is this text.
static bool is_piece(const struct builder *b, uint32_t id, const unsigned char *text, size_t n)
{
    return id < b->size && b->length[id] == n && memcmp(b->text + b->offset[id], text, n) == 0;
}

// Enters a merge. One of pieces that do not exist can never happen.
static void enter_merge(struct builder *b, const struct merge *m)
{
    const unsigned char *text = m->text;
    size_t split = m->split, n = m->n;
    uint32_t left = find(b, text, split);
    uint32_t right = left == DT_NO_TOKEN ? left : find(b, text + split, n - split);
    if (right == DT_NO_TOKEN)
        return;
    // Tokens are numbered in the order of the merges, as a rule.
    uint32_t id = DT_NO_TOKEN;
    for (uint32_t k = 0; k < 2 && id == DT_NO_TOKEN && !b->same; k++)
        if (is_piece(b, b->last + k, text, n))
            id = b->last + k;
    if (id == DT_NO_TOKEN)
        id = find(b, text, n);
    if (id == DT_NO_TOKEN)
        return;
    b->last = id;
    if (b->merge_ids) {
        uint32_t *ids = b->merge_ids + 3 * (size_t)b->merge_count++;
        ids[0] = left;
        ids[1] = right;
        ids[2] = id;
    } else if (b->scores[id] < -1e9f) {
        // the rank of the best merge that makes a piece becomes its score
        b->scores[id] = -(float)m->rank;
    }
}

// How many bytes a string has at most.
static size_t bound(struct dt_json_value text)
{
    return text.n <= DT_PIECE_MAX ? text.n : dt_json_text_of(text, NULL);
}

// One merge: pair[0] is "left right", or in newer files pair is ["left", "right"].
static dt_status add_merge(struct builder *b, const struct dt_json_value pair[2], uint32_t rank)
{
    struct dt_json_value item = pair[0];
    struct merge *m = &b->merge[b->merges_read % DT_PIECE_AHEAD];
    unsigned char *text = m->text;
    size_t n = 0, split = 0;
    if (b->merges_read++ >= DT_PIECE_AHEAD)
        enter_merge(b, m);
    if (pair[1].n) {
        if (bound(item) + bound(pair[1]) <= sizeof m->text) {
            split = dt_json_text_of(item, (char *)text);
            n = split + dt_json_text_of(pair[1], (char *)text + split);
        }
    } else if (dt_json_is_text(item)) {
        if (item.n <= sizeof m->text || dt_json_text_of(item, NULL) <= sizeof m->text)
            n = dt_json_text_of(item, (char *)text);
        const unsigned char *space = n > 1 ? memchr(text + 1, ' ', n - 1) : NULL;
        if (space && space + 1 < text + n) {
            split = (size_t)(space - text);
            memmove(text + split, space + 1, --n - split);
        }
    }
    if (!split || split >= n)
        return dt_error_set(b->err, DT_BAD_INPUT, b->name, "merge %u is %.*s; expected two pieces",
                            rank, item.n < 64 ? (int)item.n : 64, item.at);
    m->rank = rank;
    m->split = (uint16_t)split;
    m->n = (uint16_t)n;
    dt_piece_index_prefetch(b->index, b->mask, text, split);
    dt_piece_index_prefetch(b->index, b->mask, text + split, n - split);
    return DT_OK;
}

// Enters the merges that wait.
static void flush_merges(struct builder *b)
{
    size_t first = b->merges_read < DT_PIECE_AHEAD ? 0 : b->merges_read - DT_PIECE_AHEAD;
    for (size_t i = first; i < b->merges_read; i++)
        enter_merge(b, &b->merge[i % DT_PIECE_AHEAD]);
}

// SentencePiece numbers its pieces by score: 0, -1, -2 ... after the bytes. If the ranks of the
// merges agree with the ids, these are the original scores. Otherwise the ranks do as well, because
// only the order of scores matters.
static void number_scores(const struct builder *b)
{
    uint32_t first = UINT32_MAX;
    float last = 1;
    for (uint32_t i = 0; i < b->size; i++) {
        if (b->types[i] != DT_TOKEN_NORMAL)
            continue;
        first = first == UINT32_MAX ? i : first;
        if (b->scores[i] < -1e9f)
            continue;
        if (b->scores[i] >= last)
            return;
        last = b->scores[i];
    }
    for (uint32_t i = 0; i < b->size; i++)
        b->scores[i] = b->types[i] == DT_TOKEN_NORMAL ? -(float)(i - first) : 0;
}

uint32_t dt_hf_added_flags(struct dt_json_value token)
{
    return (dt_json_is(dt_json_find(token, "lstrip"), "true") ? DT_ADDED_LSTRIP : 0) |
           (dt_json_is(dt_json_find(token, "rstrip"), "true") ? DT_ADDED_RSTRIP : 0) |
           (dt_json_is(dt_json_find(token, "single_word"), "true") ? DT_ADDED_WORD : 0);
}

uint32_t dt_hf_count_added(struct dt_json_value list)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    uint32_t count = 0;
    while (dt_json_next(list, &walk, &key, &item))
        count += dt_hf_added_flags(item) != 0;
    return count;
}

// Allocates tables for `size` pieces; their text is at most as long as the JSON.
static bool alloc_all(struct builder *b, struct dt_arena *arena,
                      const struct dt_hf_sections *sections, bool spm)
{
    b->text = dt_arena_alloc(arena, sections->vocab.n + sections->added_tokens.n, 1);
    b->offset = dt_arena_alloc(arena, b->size, sizeof *b->offset);
    b->length = dt_arena_alloc(arena, b->size, sizeof *b->length);
    b->types = dt_arena_alloc(arena, b->size, 1);
    b->index = dt_piece_index_new(arena, b->size, &b->mask);
    if (spm)
        b->scores = dt_arena_alloc(arena, b->size, sizeof *b->scores);
    else
        b->merge_ids = dt_arena_alloc(arena, sections->merges_count, 3 * sizeof *b->merge_ids);
    b->added = dt_added_tokens_new(arena, dt_hf_count_added(sections->added_tokens));
    if (!b->text || !b->offset || !b->length || !b->types || !b->index ||
        !(spm ? (void *)b->scores : (void *)b->merge_ids) || !b->added.row)
        return false;
    memset(b->offset, 0, b->size * sizeof *b->offset);
    memset(b->length, 0, b->size * sizeof *b->length);
    memset(b->types, DT_TOKEN_UNUSED, b->size);
    for (uint32_t i = 0; spm && i < b->size; i++)
        b->scores[i] = -1e10f; // no merge results in it
    b->pieces = (struct dt_vocab){
        .size = b->size, .bytes = b->text, .offset = b->offset, .length = b->length};
    return true;
}

// Adds the tokens of added_tokens, which may be pieces already.
static dt_status add_tokens(struct builder *b, struct dt_json_value list, struct dt_vocab *out)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    dt_status status = DT_OK;
    while (!status && dt_json_next(list, &walk, &key, &item)) {
        bool special = dt_json_is(dt_json_find(item, "special"), "true");
        struct dt_json_value text = dt_json_find(item, "content");
        bool unknown = dt_json_is(text, "\"<unk>\"");
        uint64_t id;
        if (dt_json_uint_of(dt_json_find(item, "id"), &id) && id >= b->size)
            continue; // the model has no row for it
        status = add_piece(b, text, dt_json_find(item, "id"),
                           unknown   ? DT_TOKEN_UNKNOWN
                           : special ? DT_TOKEN_CONTROL
                                     : DT_TOKEN_USER_DEFINED);
        if (!status)
            dt_added_tokens_put(&b->added, (uint32_t)id, dt_hf_added_flags(item));
        if (!status && unknown)
            out->unknown = (uint32_t)id;
    }
    return status;
}

// Reads the pieces, the merges and the added tokens.
static dt_status read_all(struct builder *b, const struct dt_hf_sections *sections,
                          struct dt_vocab *out)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item, pair[2];
    dt_status status = DT_OK;
    while (!status && dt_json_next(sections->vocab, &walk, &key, &item))
        status = add_piece(b, key, item, DT_TOKEN_NORMAL);
    if (!status && b->merge_ids) // byte-level: added tokens may be parts of merges
        status = add_tokens(b, sections->added_tokens, out);
    flush_pieces(b);
    uint32_t rank = 0;
    walk = (struct dt_json_walk){0};
    while (!status && dt_json_next_pair(sections->merges, &walk, pair))
        status = add_merge(b, pair, rank++);
    if (!status)
        flush_merges(b);
    if (status || b->merge_ids)
        return status;
    for (uint32_t i = 0; i < b->size; i++) // single characters are never merged
        if (b->types[i] == DT_TOKEN_NORMAL && is_byte_piece(b->text + b->offset[i], b->length[i]))
            b->types[i] = DT_TOKEN_BYTE;
    status = add_tokens(b, sections->added_tokens, out);
    flush_pieces(b);
    if (!status)
        number_scores(b);
    return status;
}

dt_status dt_hf_vocab(const struct dt_json_outline *tokenizer, const char *name, uint32_t size,
                      struct dt_arena *arena, bool lenient, struct dt_vocab *out,
                      struct dt_error *err)
{
    struct builder b = {.name = name, .err = err, .size = size};
    struct dt_hf_sections sections;
    dt_hf_find_sections(tokenizer, &sections);
    struct dt_json_value pieces = sections.vocab, merges = sections.merges;
    if (!dt_json_is(sections.type, "\"BPE\"") && !merges.n)
        return dt_error_set(err, DT_UNSUPPORTED, name, "its model is not BPE");
    if (!pieces.n || pieces.at[0] != '{' || !merges.n || merges.at[0] != '[')
        return dt_error_set(err, DT_BAD_INPUT, name, "model.vocab and model.merges are missing");
    struct dt_vocab rules = {0};
    dt_status status = dt_hf_rules(&sections, name, &rules, err);
    if (status && !lenient)
        return status;
    if (status)
        rules.kind = dt_json_is(sections.byte_fallback, "true") ? DT_VOCAB_SPM : DT_VOCAB_BPE;
    bool spm = rules.kind == DT_VOCAB_SPM;
    bool fits = alloc_all(&b, arena, &sections, spm);
    if (dt_hf_count_added(sections.added_tokens) > DT_ADDED_MAX)
        return dt_error_set(err, DT_UNSUPPORTED, name,
                            "added_tokens has more than %u tokens with lstrip, rstrip or "
                            "single_word",
                            DT_ADDED_MAX);
    if (!out)
        return DT_OK;
    if (!fits)
        return dt_error_set(err, DT_NO_MEMORY, name, "the tables of %u tokens do not fit in memory",
                            size);
    if ((status = read_all(&b, &sections, out)))
        return status;
    out->kind = rules.kind;
    out->pretokenizer = rules.pretokenizer;
    out->ignore_merges = rules.ignore_merges;
    out->nfc = rules.nfc;
    out->meta_space = rules.meta_space;
    out->add_space_prefix = rules.add_space_prefix;
    out->prefix_once = rules.prefix_once;
    out->prefix_unless_space = rules.prefix_unless_space;
    out->split_spaces = rules.split_spaces;
    out->size = size;
    out->bytes = b.text;
    out->offset = b.offset;
    out->length = b.length;
    out->types = b.types;
    out->types_stride = 1;
    out->scores = (const unsigned char *)b.scores;
    out->scores_stride = sizeof(float);
    out->merge_ids = b.merge_ids;
    out->merges_count = b.merge_count;
    out->index = b.index;
    out->index_mask = b.mask;
    out->added = b.added.row;
    out->added_count = b.added.count;
    return DT_OK;
}
