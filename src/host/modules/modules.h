// SPDX-License-Identifier: MIT
// Finds and loads modules: backends, front ends, plug-ins.
#ifndef DT_HOST_MODULES_H
#define DT_HOST_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

struct dt_module_kind {
    const char *folder; // where its files are: "backends", "ui", "plugins"
    const char *symbol; // what they export: "dt_backend_module"
    const char *prefix; // of their names; other files are skipped. NULL: any
};

// A module file.
struct dt_module {
    char *path;         // absolute
    char *name;         // the file's name without ".so"
    const void *symbol; // NULL if it is not loaded
    void *handle;       // from dlopen
    char *reason;       // why it was refused; NULL if it was not
};

struct dt_modules {
    struct dt_module *items;
    size_t count, capacity;
    char **folders; // the existing folders that were searched, in order
    size_t folder_count, folder_capacity;
    char **places; // all folders that were looked for, in order, for messages
    size_t place_count, place_capacity;
};

// Sets the folder of the program, where the search for modules and data starts; NULL means the
// folder of /proc/self/exe, or, where /proc is not mounted, of the path that the kernel was given
// to start the program. The board's bundle sets it, because both name the loader there. Call once,
// before other threads start and before the current folder changes.
void dt_modules_set_home(const char *folder);

// The folder of the program, "" if unknown.
const char *dt_modules_home(void);

// Whether `name` may be the name of a module: 1 to 31 of a-z and 0-9. NULL is not.
bool dt_module_name_valid(const char *name);

// Finds all modules of a kind, and loads none. Searches, in order: the folders F of DUOTALE_MODULES
// (separated by colons) as F/<kind.folder> and F; <kind.folder> beside the program, with its
// sub-folders (as in the build tree); the install folder. Relative entries are ignored, so the
// current folder is never searched. Of several files with one name the first counts.
//
// A file is refused, and listed with a reason, if it or its folder can be written by others, or
// belongs neither to root nor to the user nor to the owner of the program; and if it is broken,
// truncated or for another machine, which its ELF header shows. Does not fail because of a refused
// file. Not for static builds. The caller frees *out with dt_modules_free. Before a module is
// loaded it should be examined in a child (probe.h).
dt_status dt_modules_find(struct dt_modules *out, const struct dt_module_kind *kind,
                          struct dt_error *err);

// Loads a module with dlopen(RTLD_NOW | RTLD_LOCAL): sets symbol. DT_FAILED with the reason.
dt_status dt_module_load(struct dt_module *module, const struct dt_module_kind *kind,
                         struct dt_error *err);

// Unloads a module (with musl it stays in memory): symbol is NULL afterwards. Nothing may refer to
// the module's code or data.
void dt_module_unload(struct dt_module *module);

// dlopen(RTLD_NOW | RTLD_LOCAL) of a library that is no module, never while dt_modules_fork runs.
void *dt_modules_library(const char *name);

// fork() while no other thread is within dlopen: a child that loads modules must not inherit a list
// of libraries that is half made.
pid_t dt_modules_fork(void);

// Frees the list. Loaded modules stay loaded.
void dt_modules_free(struct dt_modules *modules);

// Finds a data file (model, openings): in data/ beside the program or above the build folder, in
// ../share/duotale, or in the install folder. Writes the path to out; false if there is none.
bool dt_modules_data(const char *name, char *out, size_t size);

#endif
