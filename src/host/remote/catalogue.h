// SPDX-License-Identifier: MIT
// The catalogue of models that can be downloaded (data/catalogue.tsv), and the folder they are in.
#ifndef DT_HOST_CATALOGUE_H
#define DT_HOST_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct dt_catalogue_entry {
    char name[64], file[128];
    char url[512];       // https://..., or hf:OWNER/REPO/FILE
    char sha256[72];     // "": unknown
    char tokenizer[512]; // the address of a llama2.c file's tokenizer; "": it has its vocabulary
    char licence[64], about[160];
    uint64_t bytes; // exact if sha256 is known, else about so many
};

// Reads the catalogue, or the file that DUOTALE_CATALOGUE names. DT_BAD_INPUT names the line.
// *out is malloc'ed.
dt_status dt_catalogue_read(struct dt_catalogue_entry **out, size_t *count, struct dt_error *err);

// Finds an entry by its name. False: there is none, or no catalogue.
bool dt_catalogue_find(const char *name, struct dt_catalogue_entry *out);

// Writes the path of a file in the user's folder of models; name "": the folder. False without a
// home directory, or for a name with a slash.
bool dt_catalogue_path(const char *name, char *out, size_t size);

// Writes the address that hf:OWNER/REPO/FILE means (HF_ENDPOINT names another server), or the
// address itself. DT_USAGE: it is none.
dt_status dt_catalogue_address(const char *url, char *out, size_t size, struct dt_error *err);

// Whether `name` means a file in the user's folder of models: no file of this name is in the
// current folder, and there is the file of the entry with this name, or one of this name. Writes
// its path.
bool dt_catalogue_resolve(const char *name, char *out, size_t size);

// Whether `name` is an entry whose file is not there; err then says so, with the command that
// downloads it.
bool dt_catalogue_missing(const char *name, struct dt_error *err);

#endif
