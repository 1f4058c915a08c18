// SPDX-License-Identifier: MIT
// A table of broken model and tokenizer files, for the readers' unit test and for the test of the
// program.
#ifndef DT_TESTS_BAD_FILES_H
#define DT_TESTS_BAD_FILES_H

#include "synth.h"

enum bad_kind {
    BAD_MODEL,     // opened as a model
    BAD_TOKENIZER, // opened as the tokenizer.bin of a valid model
};

// Makes broken file number i: the file, the name of the row, its kind and a required part of the
// message. Returns false after the last one.
bool bad_file(size_t i, struct synth *out, const char **name, enum bad_kind *kind,
              const char **message);

// The model for broken tokenizers, and the number of its pieces.
void bad_file_companion(struct synth *out);
#define BAD_FILE_VOCAB 300

#endif
