// SPDX-License-Identifier: MIT
// Describes the files of a model that is refused, as far as they can be read.
#ifndef DT_CORE_DESCRIBE_H
#define DT_CORE_DESCRIBE_H

#include "core/formats/gguf.h"
#include "core/model.h"

#define DT_DESCRIBED_TYPES 16u
#define DT_DESCRIBED_NAMES 6u
#define DT_DESCRIBED_NAME  80u

// The first names of a list, which may be cut off.
struct dt_described_names {
    char name[DT_DESCRIBED_NAMES][DT_DESCRIBED_NAME];
    uint64_t count; // of all
};

// Whatever is not known is empty or 0. The arrays of char hold one
// line without control characters.
struct dt_description {
    const char *format;        // as in struct dt_model; NULL: none that duotale knows
    char architecture[64];     // as the file names it
    char pretokenizer[64];     // its name in GGUF, or what the file says
    const char *lacks;         // what of the architecture duotale does not compute; static
    bool supported;            // the architecture has a row in core/structure.c
    struct dt_model model;     // the sizes of hp, name, license, facts, templates, vocabulary
    uint32_t tensors;          // in all files
    struct dt_described_type { // of tensors
        char name[16];
        uint32_t tensors;
        uint64_t values, bytes; // bytes 0: the type is not known
    } type[DT_DESCRIBED_TYPES];
    uint32_t types;
    struct dt_described_names missing; // tensors that the architecture needs
    struct dt_described_names unknown; // tensors that it does not have
};

// Describes the files of a model, in the order of dt_model_open_parts; some may be missing. Never
// fails: a file that cannot be read is left out. arena: dt_model_describe_measure bytes; names and
// texts point into the files and the arena. Any thread.
size_t dt_model_describe_measure(const struct dt_model_part *parts, uint32_t count);
void dt_model_describe(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                       struct dt_description *out);

// ---- for the readers ----

// With out NULL they only count in the arena.
void dt_gguf_describe(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                      struct dt_description *out);
void dt_hf_describe(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                    struct dt_description *out);

// Which slots the tensors of a file fill, by their names.
struct dt_described_slots {
    uint64_t layer[DT_MAX_LAYERS], model; // bits of slots
};

void dt_describe_type(struct dt_description *d, const char *type, uint64_t values, uint64_t bytes);

// Adds a tensor: `rows` is its last size. Unknown ones are listed.
struct dt_slot_names;
void dt_describe_tensor(struct dt_description *d, struct dt_described_slots *slots,
                        const struct dt_slot_names *names, const char *name, size_t n,
                        uint64_t rows);

// Forgets what a reader that failed has left in *v.
void dt_describe_no_vocabulary(struct dt_vocab *v);

// Lists what is missing. d->model.hp.structure is set.
void dt_describe_missing(struct dt_description *d, struct dt_described_slots *slots,
                         const struct dt_slot_names *names);

#endif
