// SPDX-License-Identifier: MIT
// Opens untrusted bytes as a model and reads everything that the reader guarantees.
#ifndef DT_TESTS_OPEN_MODEL_H
#define DT_TESTS_OPEN_MODEL_H

#include "core/formats/describe.h"
#include "core/formats/open_model.h"
#include "core/text/template.h"
#include "fuzz.h"

static dt_status fuzz_look(void *arg, const char *tensor, const struct dt_matrix *w)
{
    (void)arg, (void)tensor;
    FUZZ_HOLDS(w->rows && w->cols && w->quants);
    if (w->form == DT_FORM_PACKED) {
        FUZZ_HOLDS(w->layout);
        return DT_OK;
    }
    float *row = malloc(w->cols * sizeof *row);
    dt_matrix_row(w, 0, row);
    dt_matrix_row(w, w->rows - 1, row);
    free(row);
    return DT_OK;
}

// Describes the bytes, whatever they are.
static void fuzz_describe(const struct dt_model_part *parts, uint32_t count)
{
    size_t need = dt_model_describe_measure(parts, count);
    FUZZ_HOLDS(need < 64u << 20);
    void *memory = aligned_alloc(DT_ALIGN, need + DT_ALIGN - need % DT_ALIGN);
    struct dt_arena arena = dt_arena_over(memory, need);
    struct dt_description d;
    dt_model_describe(parts, count, &arena, &d);
    FUZZ_HOLDS(arena.used <= need && d.types <= DT_DESCRIBED_TYPES);
    FUZZ_HOLDS(!memchr(d.architecture, '\n', strlen(d.architecture)));
    size_t sum = 0, length;
    for (uint32_t i = 0; i < d.model.vocab.end_count; i++) {
        const unsigned char *piece = dt_vocab_piece(&d.model.vocab, d.model.vocab.ends[i], &length);
        for (size_t c = 0; c < length; c++)
            sum += piece[c];
    }
    for (uint32_t i = 0; i < d.model.fact_count; i++) {
        const struct dt_model_fact *f = &d.model.facts[i];
        for (size_t c = 0; c < f->length; c++)
            sum += (unsigned char)f->text[c];
        sum += f->key_length ? (unsigned char)f->key[f->key_length - 1] : 0;
    }
    for (uint32_t i = 0; i < d.model.template_count; i++)
        for (size_t c = 0; c < d.model.templates[i].length; c++)
            sum += (unsigned char)d.model.templates[i].text[c];
    FUZZ_HOLDS(sum < SIZE_MAX);
    free(memory);
}

static void fuzz_open_parts(const struct dt_model_part *parts, uint32_t count)
{
    struct dt_error err = {0};
    fuzz_describe(parts, count);
    struct dt_model_found found = {0};
    size_t need = dt_model_measure_parts(parts, count, &found, &err);
    if (!need) {
        FUZZ_HOLDS(err.status != DT_OK && err.message[0] && !strchr(err.message, '\n'));
        return;
    }
    FUZZ_HOLDS(need < 64u << 20); // a small file needs little memory
    void *memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(memory, need);
    struct dt_model m;
    dt_status status = dt_model_open_parts(parts, count, &found, &arena, &m, &err);
    FUZZ_HOLDS(status != DT_NO_MEMORY && status != DT_FAILED);
    if (status) {
        FUZZ_HOLDS(err.status == status && err.message[0] && arena.used == 0);
        free(memory);
        return;
    }
    FUZZ_HOLDS(arena.used == need);
    FUZZ_HOLDS(m.hp.heads % m.hp.kv_heads == 0 && m.hp.rotated % 2 == 0 &&
               m.hp.rotated <= m.hp.head_size);
    dt_model_each_matrix(&m, fuzz_look, NULL);
    dt_model_check_scales(&m, "fuzz", &err);
    size_t sum = 0, length;
    for (uint32_t i = 0; i < m.vocab.size; i++) {
        const unsigned char *piece = dt_vocab_piece(&m.vocab, i, &length);
        for (size_t c = 0; c < length; c++)
            sum += piece[c];
    }
    const char *system =
        dt_template_default_system(m.chat_template, m.chat_template_length, &length);
    for (size_t c = 0; system && c < length; c++)
        sum += (unsigned char)system[c];
    FUZZ_HOLDS(sum < SIZE_MAX);
    free(memory);
}

#endif
