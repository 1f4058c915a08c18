// SPDX-License-Identifier: MIT
#include "core/formats/hf_vocab.h"

#include <string.h>

#include "core/formats/hf_rules.h"
#include "core/formats/reader.h"
#include "core/text/added_tokens.h"

// The vocabulary being built: pieces in the order of the JSON.
struct builder {
    const char *name;
    struct dt_error *err;
    uint32_t size;
    unsigned char *text;
    size_t text_used;
    uint32_t *offset;
    uint16_t *length;
    float *scores;
    uint32_t *types;
    uint32_t *index; // id + 1 by a hash of the piece
    uint32_t mask;
    unsigned char *merges;
    size_t merges_used;
    uint32_t merge_count; // of those that can happen
    struct dt_added_tokens added;
};

static uint32_t hash(const unsigned char *p, size_t n)
{
    uint32_t h = 2166136261u; // FNV-1a
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 16777619u;
    return h ^ h >> 15;
}

static uint32_t slot_of(const struct builder *b, const unsigned char *piece, size_t n)
{
    uint32_t slot = hash(piece, n) & b->mask;
    for (; b->index[slot]; slot = (slot + 1) & b->mask) {
        uint32_t id = b->index[slot] - 1;
        if (b->length[id] == n && memcmp(b->text + b->offset[id], piece, n) == 0)
            break;
    }
    return slot;
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
        uint32_t slot = slot_of(b, b->text + b->text_used, n);
        if (!b->index[slot])
            b->index[slot] = (uint32_t)id + 1;
        b->text_used += n;
    }
    b->types[id] = type;
    return DT_OK;
}

static bool is_byte_piece(const unsigned char *p, size_t n)
{
    return n == 6 && memcmp(p, "<0x", 3) == 0 && p[5] == '>';
}

// One merge, "left right", or ["left", "right"] in newer files, into GGUF's form.
static dt_status add_merge(struct builder *b, struct dt_json_value item, uint32_t rank, bool spm)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, left = {0}, right = {0}, third;
    unsigned char *out = b->merges + b->merges_used + 8;
    size_t n, split;
    if (dt_json_is_text(item)) {
        n = dt_json_text_of(item, (char *)out);
        const unsigned char *space = n > 1 ? memchr(out + 1, ' ', n - 1) : NULL;
        split = space ? (size_t)(space - out) : 0;
    } else {
        bool pair = dt_json_next(item, &walk, &key, &left) &&
                    dt_json_next(item, &walk, &key, &right) &&
                    !dt_json_next(item, &walk, &key, &third) && item.at[0] == '[';
        if (!pair || !dt_json_is_text(left) || !dt_json_is_text(right))
            return dt_error_set(b->err, DT_BAD_INPUT, b->name,
                                "merge %u is %.*s; expected two pieces", rank,
                                item.n < 64 ? (int)item.n : 64, item.at);
        split = dt_json_text_of(left, (char *)out);
        out[split] = ' ';
        n = split + 1 + dt_json_text_of(right, (char *)out + split + 1);
    }
    if (!split || split + 1 >= n || n > 2 * DT_PIECE_MAX)
        return dt_error_set(b->err, DT_BAD_INPUT, b->name, "merge %u is %.*s; expected two pieces",
                            rank, item.n < 64 ? (int)item.n : 64, item.at);
    uint64_t length = n;
    memcpy(out - 8, &length, 8);
    if (!spm) { // dt_bpe_build finds the pieces
        b->merges_used += 8 + n;
        b->merge_count++;
        return DT_OK;
    }
    unsigned char joined[2 * DT_PIECE_MAX];
    memcpy(joined, out, split);
    memcpy(joined + split, out + split + 1, n - split - 1);
    // A merge of pieces that do not exist can never happen.
    uint32_t id = b->index[slot_of(b, joined, n - 1)];
    if (!id || !b->index[slot_of(b, out, split)] ||
        !b->index[slot_of(b, out + split + 1, n - split - 1)])
        return DT_OK;
    // the rank of the best merge that makes a piece becomes its score
    if (b->scores[id - 1] < -1e9f)
        b->scores[id - 1] = -(float)rank;
    return DT_OK;
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
static bool alloc_all(struct builder *b, struct dt_arena *arena, struct dt_json_value pieces,
                      struct dt_json_value merges, struct dt_json_value added)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint64_t)b->size)
        slots *= 2;
    size_t merge_capacity = merges.n + 8 * dt_json_count(merges);
    b->text = dt_arena_alloc(arena, pieces.n + added.n, 1);
    b->offset = dt_arena_alloc(arena, b->size, sizeof *b->offset);
    b->length = dt_arena_alloc(arena, b->size, sizeof *b->length);
    b->scores = dt_arena_alloc(arena, b->size, sizeof *b->scores);
    b->types = dt_arena_alloc(arena, b->size, sizeof *b->types);
    b->index = dt_arena_alloc(arena, slots, sizeof *b->index);
    b->merges = dt_arena_alloc(arena, merge_capacity + 8, 1);
    b->added = dt_added_tokens_new(arena, dt_hf_count_added(added));
    b->mask = slots - 1;
    if (!b->merges || !b->index || !b->text || !b->types || !b->added.row)
        return false;
    memset(b->index, 0, slots * sizeof *b->index);
    for (uint32_t i = 0; i < b->size; i++) {
        b->offset[i] = 0;
        b->length[i] = 0;
        b->scores[i] = -1e10f; // no merge results in it
        b->types[i] = DT_TOKEN_UNUSED;
    }
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

dt_status dt_hf_vocab(struct dt_json_value tokenizer, const char *name, uint32_t size,
                      struct dt_arena *arena, bool lenient, struct dt_vocab *out,
                      struct dt_error *err)
{
    struct builder b = {.name = name, .err = err, .size = size};
    struct dt_hf_sections sections;
    dt_hf_find_sections(tokenizer, &sections);
    struct dt_json_value pieces = sections.vocab, merges = sections.merges;
    struct dt_json_value added = sections.added_tokens, key, item;
    struct dt_json_walk walk = {0};
    dt_status status = DT_OK;
    if (!dt_json_is(sections.type, "\"BPE\"") && !merges.n)
        return dt_error_set(err, DT_UNSUPPORTED, name, "its model is not BPE");
    if (!pieces.n || pieces.at[0] != '{' || !merges.n || merges.at[0] != '[')
        return dt_error_set(err, DT_BAD_INPUT, name, "model.vocab and model.merges are missing");
    struct dt_vocab rules = {0};
    status = dt_hf_rules(&sections, name, &rules, err);
    if (status && !lenient)
        return status;
    if (status)
        rules.kind = dt_json_is(sections.byte_fallback, "true") ? DT_VOCAB_SPM : DT_VOCAB_BPE;
    status = DT_OK;
    bool spm = rules.kind == DT_VOCAB_SPM;
    bool fits = alloc_all(&b, arena, pieces, merges, added);
    if (dt_hf_count_added(added) > DT_ADDED_MAX)
        return dt_error_set(err, DT_UNSUPPORTED, name,
                            "added_tokens has more than %u tokens with lstrip, rstrip or "
                            "single_word",
                            DT_ADDED_MAX);
    if (!out)
        return DT_OK;
    if (!fits)
        return dt_error_set(err, DT_NO_MEMORY, name, "the tables of %u tokens do not fit in memory",
                            size);

    while (!status && dt_json_next(pieces, &walk, &key, &item))
        status = add_piece(&b, key, item, DT_TOKEN_NORMAL);
    uint32_t rank = 0;
    walk = (struct dt_json_walk){0};
    while (!status && dt_json_next(merges, &walk, &key, &item))
        status = add_merge(&b, item, rank++, spm);
    for (uint32_t i = 0; i < size && spm && !status; i++) // single characters are never merged
        if (b.types[i] == DT_TOKEN_NORMAL && is_byte_piece(b.text + b.offset[i], b.length[i]))
            b.types[i] = DT_TOKEN_BYTE;
    if (!status)
        status = add_tokens(&b, added, out);
    if (!status && spm)
        number_scores(&b);
    if (status)
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
    out->types = (const unsigned char *)b.types;
    out->types_stride = sizeof *b.types;
    out->scores = spm ? (const unsigned char *)b.scores : NULL;
    out->scores_stride = sizeof(float);
    out->merges = spm ? NULL : b.merges;
    out->merges_count = b.merge_count;
    out->merges_bytes = b.merges_used;
    out->added = b.added.row;
    out->added_count = b.added.count;
    return DT_OK;
}
