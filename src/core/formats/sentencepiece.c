// SPDX-License-Identifier: MIT
// The fields (SentencePiece's sentencepiece_model.proto):
//   ModelProto: 1 pieces, 2 trainer_spec, 3 normalizer_spec
//   SentencePiece: 1 piece, 2 score (float), 3 type (1 if absent; the values of enum dt_token_type)
//   TrainerSpec: 3 model_type (1 unigram, 2 BPE), 40 unk_id, 41 bos_id, 42 eos_id
//   NormalizerSpec: 2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces
#include "core/formats/sentencepiece.h"

#include <string.h>

#include "base/bytes.h"
#include "core/formats/hf_vocab.h"
#include "core/text/added_tokens.h"

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
    uint32_t number;
    uint64_t value; // VARINT, FIXED32
    const unsigned char *bytes;
    size_t n; // BYTES
};

struct message {
    const unsigned char *at, *end;
    bool failed;
};

static bool varint(struct message *m, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && m->at < m->end; shift += 7) {
        unsigned char byte = *m->at++;
        *out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

// The next field of a message; false at its end, with m->failed set if it is broken.
static bool next(struct message *m, struct field *f)
{
    uint64_t key;
    if (m->at == m->end)
        return false;
    m->failed = true;
    if (!varint(m, &key) || key >> 3 == 0 || key >> 3 > 1u << 29)
        return false;
    *f = (struct field){.number = (uint32_t)(key >> 3)};
    size_t left = (size_t)(m->end - m->at), width;
    switch (key & 7) {
    case VARINT:
        m->failed = !varint(m, &f->value);
        return !m->failed;
    case FIXED32:
    case FIXED64:
        width = (key & 7) == FIXED32 ? 4 : 8;
        if (left < width)
            return false;
        f->value = width == 4 ? dt_read_u32(m->at) : 0;
        m->at += width;
        break;
    case BYTES:
        if (!varint(m, &f->value) || f->value > (size_t)(m->end - m->at))
            return false;
        f->n = (size_t)f->value;
        f->bytes = m->at;
        m->at += f->n;
        break;
    default:
        return false;
    }
    m->failed = false;
    return true;
}

struct reader {
    const struct dt_model_part *file;
    struct dt_error *err;
    struct dt_vocab *out; // NULL: only counts
    uint32_t size, pieces;
    size_t text_bytes, text_used;
    unsigned char *text;
    uint32_t *offset, *types;
    uint16_t *length;
    float *scores;
    uint64_t algorithm;
    uint64_t prefix, extra_spaces; // 1: true
    uint64_t unknown, bos, eos;
    bool maps_characters;
    struct dt_added_tokens added;
};

static dt_status broken(const struct reader *r, const unsigned char *at)
{
    return dt_error_set(r->err, DT_BAD_INPUT, r->file->name,
                        "not a SentencePiece model, or cut off: the field at byte %zu of %zu is "
                        "broken",
                        (size_t)(at - r->file->bytes), r->file->n);
}

static void put_piece(struct reader *r, uint32_t id, uint32_t type, float score,
                      const unsigned char *piece, size_t n)
{
    if (n) // piece may be NULL
        memcpy(r->text + r->text_used, piece, n);
    r->offset[id] = (uint32_t)r->text_used;
    r->length[id] = (uint16_t)n;
    r->types[id] = type;
    r->scores[id] = score;
    r->text_used += n;
}

static dt_status read_piece(struct reader *r, const struct field *piece)
{
    struct message m = {piece->bytes, piece->bytes + piece->n, false};
    struct field f, text = {0};
    uint64_t type = DT_TOKEN_NORMAL;
    float score = 0;
    while (next(&m, &f)) {
        if (f.number == 1)
            text = f;
        else if (f.number == 3)
            type = f.value;
        else if (f.number == 2)
            memcpy(&score, &(uint32_t){(uint32_t)f.value}, sizeof score);
    }
    if (m.failed)
        return broken(r, m.at);
    if (text.n > DT_PIECE_MAX || type < DT_TOKEN_NORMAL || type > DT_TOKEN_BYTE ||
        !(score - score == 0))
        return dt_error_set(r->err, DT_BAD_INPUT, r->file->name,
                            "piece %u has %zu bytes, the type %llu and the score %g; expected at "
                            "most %u bytes, a type from 1 to 6 and a finite score",
                            r->pieces, text.n, (unsigned long long)type, (double)score,
                            DT_PIECE_MAX);
    if (r->out && r->pieces < r->size)
        put_piece(r, r->pieces, (uint32_t)type, score, text.bytes, text.n);
    r->text_bytes += text.n;
    r->pieces++;
    return DT_OK;
}

static dt_status read_specs(struct reader *r, const struct field *spec)
{
    struct message m = {spec->bytes, spec->bytes + spec->n, false};
    struct field f;
    while (next(&m, &f)) {
        if (spec->number == 2) {
            r->algorithm = f.number == 3 ? f.value : r->algorithm;
            r->unknown = f.number == 40 ? f.value : r->unknown;
            r->bos = f.number == 41 ? f.value : r->bos;
            r->eos = f.number == 42 ? f.value : r->eos;
        } else {
            r->maps_characters = r->maps_characters || (f.number == 2 && f.n);
            r->prefix = f.number == 3 ? f.value : r->prefix;
            r->extra_spaces = f.number == 4 ? f.value : r->extra_spaces;
        }
    }
    return m.failed ? broken(r, m.at) : DT_OK;
}

static dt_status read_all(struct reader *r)
{
    struct message m = {r->file->bytes, r->file->bytes + r->file->n, false};
    struct field f;
    dt_status status = DT_OK;
    r->pieces = 0;
    r->text_bytes = 0;
    while (!status && next(&m, &f)) {
        if (!f.bytes) // no message
            continue;
        if (f.number == 1 && r->pieces == DT_MAX_VOCAB)
            return dt_error_set(r->err, DT_BAD_INPUT, r->file->name,
                                "it has more than %u pieces, which is the limit", DT_MAX_VOCAB);
        if (f.number == 1)
            status = read_piece(r, &f);
        else if (f.number == 2 || f.number == 3)
            status = read_specs(r, &f);
    }
    if (!status && (m.failed || !r->pieces))
        status = broken(r, m.at);
    return status;
}

// What other algorithms and normalizers would do to the tokens cannot be left out.
static dt_status check(const struct reader *r)
{
    const char *why = r->algorithm == 1   ? "its algorithm is unigram; duotale has BPE"
                      : r->algorithm != 2 ? "its algorithm is not BPE"
                      : r->maps_characters
                          ? "it replaces characters before it splits text (precompiled_charsmap)"
                      : r->extra_spaces ? "it removes spaces (remove_extra_whitespaces)"
                                        : NULL;
    return why ? dt_error_set(r->err, DT_UNSUPPORTED, r->file->name, "%s", why) : DT_OK;
}

// Tokens that tokenizer_config.json adds or whose kind it changes: {"32000": {"content": ..}}.
static void add_tokens(struct reader *r, struct dt_json_value added)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    while (dt_json_next(added, &walk, &key, &item)) {
        struct dt_json_value text = dt_json_find(item, "content");
        uint64_t id;
        struct dt_json_value digits = {key.at + 1, key.n - 2};
        size_t n = dt_json_text_of(text, NULL);
        if (key.n < 3 || !dt_json_uint_of(digits, &id) || !n || n > DT_PIECE_MAX) // a JSON string
            continue;
        r->text_bytes += n;
        if (!r->out || id >= r->size)
            continue;
        bool special = dt_json_is(dt_json_find(item, "special"), "true");
        uint32_t type = special ? DT_TOKEN_CONTROL : DT_TOKEN_USER_DEFINED;
        if (r->types[id] == DT_TOKEN_UNKNOWN)
            type = DT_TOKEN_UNKNOWN;
        char piece[DT_PIECE_MAX];
        dt_json_text_of(text, piece);
        put_piece(r, (uint32_t)id, type, -1e10f, (const unsigned char *)piece, n);
        dt_added_tokens_put(&r->added, (uint32_t)id, dt_hf_added_flags(item));
    }
}

static bool alloc_all(struct reader *r, struct dt_arena *arena)
{
    r->text = dt_arena_alloc(arena, r->text_bytes + 1, 1);
    r->offset = dt_arena_alloc(arena, r->size, sizeof *r->offset);
    r->types = dt_arena_alloc(arena, r->size, sizeof *r->types);
    r->length = dt_arena_alloc(arena, r->size, sizeof *r->length);
    r->scores = dt_arena_alloc(arena, r->size, sizeof *r->scores);
    return r->text && r->offset && r->types && r->length && r->scores;
}

static uint32_t id_of(uint64_t value, uint32_t size)
{
    return value < size ? (uint32_t)value : DT_NO_TOKEN; // -1: none
}

dt_status dt_sentencepiece_read(const struct dt_model_part *file, struct dt_json_value added,
                                uint32_t size, struct dt_arena *arena, struct dt_vocab *out,
                                struct dt_error *err)
{
    struct reader r = {.file = file,
                       .err = err,
                       .size = size,
                       .algorithm = 1,
                       .prefix = 1,
                       .extra_spaces = 1,
                       .bos = 1,
                       .eos = 2};
    dt_status status;
    if ((status = read_all(&r)) || (status = check(&r)))
        return status;
    add_tokens(&r, added);
    bool fits = alloc_all(&r, arena);
    uint32_t flagged = dt_hf_count_added(added);
    r.added = dt_added_tokens_new(arena, flagged < DT_ADDED_MAX ? flagged : DT_ADDED_MAX);
    fits = fits && r.added.row;
    if (!out)
        return DT_OK;
    if (!fits)
        return dt_error_set(err, DT_NO_MEMORY, file->name,
                            "the tables of %u tokens do not fit in memory", size);
    for (uint32_t i = 0; i < size; i++) {
        r.offset[i] = 0;
        r.length[i] = 0;
        r.types[i] = DT_TOKEN_UNUSED;
        r.scores[i] = -1e10f;
    }
    r.out = out;
    if ((status = read_all(&r)))
        return status;
    add_tokens(&r, added);
    out->kind = DT_VOCAB_SPM;
    out->size = size;
    out->bytes = r.text;
    out->offset = r.offset;
    out->length = r.length;
    out->types = (const unsigned char *)r.types;
    out->types_stride = sizeof *r.types;
    out->scores = (const unsigned char *)r.scores;
    out->scores_stride = sizeof *r.scores;
    out->meta_space = true;
    out->add_space_prefix = r.prefix != 0;
    out->added = r.added.row;
    out->added_count = r.added.count;
    out->unknown = id_of(r.unknown, size);
    out->bos = id_of(r.bos, size);
    out->eos = id_of(r.eos, size);
    return DT_OK;
}

uint32_t dt_sentencepiece_count(const struct dt_model_part *file)
{
    struct message m = {file->bytes, file->bytes + file->n, false};
    struct field f;
    uint32_t count = 0;
    while (count < DT_MAX_VOCAB && next(&m, &f))
        count += f.number == 1;
    return count;
}
