// SPDX-License-Identifier: MIT
// Broken model and tokenizer files: one table for the readers' unit test and for the test of the
// whole program.
#ifndef DT_TESTS_BAD_FILES_H
#define DT_TESTS_BAD_FILES_H

#include "synth.h"

enum bad_kind {
    BAD_MODEL,     // opened as a model
    BAD_TOKENIZER, // opened as the tokenizer.bin of a sound model
};

// Broken file number i: fills *out, the name of the row, its kind and a part of the message that
// must be told. Returns false past the last one.
bool bad_file(size_t i, struct synth *out, const char **name, enum bad_kind *kind,
              const char **message);

// The model that broken tokenizers are tried with, and the number of its pieces.
void bad_file_companion(struct synth *out);
#define BAD_FILE_VOCAB 300

#endif
