// SPDX-License-Identifier: MIT
// The files of a model: finds them by path and maps them together.
#ifndef DT_HOST_MODEL_FILES_H
#define DT_HOST_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/model.h"
#include "host/file.h"

#define DT_MODEL_FILES_MAX 256u

// The mapped files of one model, in the order in which dt_model_open_parts reads them. Zeroed:
// none.
struct dt_model_files {
    struct dt_file file[DT_MODEL_FILES_MAX];
    uint32_t count;
};

// Whether there is a readable file or a folder at `path`.
bool dt_model_files_present(const char *path);

// Maps all files of the model at `path`: a single file; any GGUF split, named by its first file
// (NAME-00001-of-00003.gguf) or by a folder that contains it; or a Hugging Face folder (config.json
// with its tokenizer and *.safetensors). `files` must be zeroed. DT_BAD_INPUT for a file that is
// missing or cannot be mapped, DT_UNSUPPORTED for more than DT_MODEL_FILES_MAX files; the message
// names the file. After an error some files may be mapped: call dt_model_files_unmap in any case.
dt_status dt_model_files_map(struct dt_model_files *files, const char *path, struct dt_error *err);

// Maps the files of a vocabulary and a chat template, without weights: the texts of a Hugging Face
// folder (config.json may be missing), or the file itself. Otherwise as dt_model_files_map.
dt_status dt_model_files_map_vocabulary(struct dt_model_files *files, const char *path,
                                        struct dt_error *err);

// Unmaps all files and zeroes the struct.
void dt_model_files_unmap(struct dt_model_files *files);

// Describes the mapped files for core; returns their number. The descriptions point into `files`.
uint32_t dt_model_files_parts(const struct dt_model_files *files,
                              struct dt_model_part parts[DT_MODEL_FILES_MAX]);

// Bytes of all files together.
size_t dt_model_files_bytes(const struct dt_model_files *files);

// dt_file_check, and dt_file_check_lost, over all files.
dt_status dt_model_files_check(const struct dt_model_files *files, struct dt_error *err);
dt_status dt_model_files_check_lost(const struct dt_model_files *files, struct dt_error *err);

// The file whose mapping holds `at`, and the offset of it; NULL: none.
const struct dt_file *dt_model_files_find(const struct dt_model_files *files, const void *at,
                                          size_t *offset);

// Starts reading all files into the page cache, unless they exceed half of the available memory:
// they would evict each other.
void dt_model_files_read_ahead(const struct dt_model_files *files);

// Removes the pages of bytes [begin, begin + n) from this process's memory, if they are part of a
// mapped file. They stay in the page cache, and can be read again.
void dt_model_files_release(const struct dt_model_files *files, const void *begin, size_t n);

// Finds the tokenizer.bin of a model file without a vocabulary: ./tokenizer.bin, then NAME.tok.bin
// (for NAME.bin and for NAME-SUFFIX.bin) and tokenizer.bin in the model's folder. Writes the path
// to out; false if none is readable.
bool dt_model_files_find_tokenizer(const char *model, char *out, size_t size);

#endif
