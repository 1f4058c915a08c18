// SPDX-License-Identifier: MIT
// Finding and loading modules: backends, front ends, plug-ins.
#ifndef DT_HOST_MODULES_H
#define DT_HOST_MODULES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// A kind of module: the folder its files lie in and the one symbol they export.
struct dt_module_kind {
    const char *folder; // "backends", "ui", "plugins"
    const char *symbol; // "dt_backend_module"
    const char *prefix; // files whose names begin otherwise are not even looked at; NULL: all
};

// A module file, loaded or refused.
struct dt_module {
    char *path;         // absolute
    char *name;         // the file's name without ".so"
    const void *symbol; // NULL when refused
    void *handle;       // dlopen's
    char *reason;       // why it was refused, NULL when it was not
};

struct dt_modules {
    struct dt_module *items;
    size_t count;
    char **folders; // every folder that was looked into, in order, for messages
    size_t folder_count;
};

// Where the program is, for the search: argv[0]'s or /proc/self/exe's folder unless told (the
// board's bundle, where /proc/self/exe is the loader). Call once, before threads; NULL: find out.
void dt_modules_set_home(const char *folder);
const char *dt_modules_home(void);

// Finds and loads every module of a kind. Folders, in order: those in DUOTALE_MODULES (colon
// separated; F itself and F/<kind.folder>), <kind.folder> beside the program and its sub-folders
// (the build tree), and the install folder. Never the current folder: relative entries are ignored
// with a reason. A file or folder that others can write, or that belongs neither to root nor to the
// user nor to the owner of the program, is refused. Files are opened RTLD_NOW | RTLD_LOCAL after a
// look at their ELF header: what is broken, foreign or truncated is refused with a reason, and the
// rest goes on. Files of the same name later in the order are left out. Not for static builds.
dt_status dt_modules_load(struct dt_modules *out, const struct dt_module_kind *kind,
                          struct dt_error *err);

// Takes a module out of memory again (where the C library does that; musl does not), and back into
// it: symbol is NULL or valid anew. For modules that were looked at and are not used. Nothing of
// the module's may be in use or referred to.
void dt_module_unload(struct dt_module *module);
dt_status dt_module_reload(struct dt_module *module, const struct dt_module_kind *kind,
                           struct dt_error *err);

// Gives the list back; loaded modules stay loaded.
void dt_modules_free(struct dt_modules *modules);

// Where data files lie (model, openings): first of ../share/duotale or data/ beside the program,
// above the build folder, or the installed one, that holds `name`. Writes the path, returns 0 if
// there is none.
bool dt_modules_data(const char *name, char *out, size_t size);

#endif
