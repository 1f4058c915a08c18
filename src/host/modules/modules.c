// SPDX-License-Identifier: MIT
#include "host/modules/modules.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
#include "host/array.h"

// Set by the build: the folders that `meson install` writes to.
#ifndef DT_MODULE_FOLDER
#define DT_MODULE_FOLDER ""
#endif
#ifndef DT_LIBRARY_FOLDER // "lib/x86_64-linux-gnu"
#define DT_LIBRARY_FOLDER ""
#endif
#ifndef DT_DATA_FOLDER
#define DT_DATA_FOLDER ""
#endif

static char home[PATH_MAX];
static uid_t program_owner;

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

// Writes the path of this program to out[PATH_MAX], "" if it is unknown.
static void find_program(char *out)
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = 0;
    if (n > 0)
        return;
    const char *started = (const char *)getauxval(AT_EXECFN); // relative to the current folder
    if (!started || !realpath(started, out))
        out[0] = 0;
}

void dt_modules_set_home(const char *folder)
{
    struct stat info;
    char program[PATH_MAX];
    program_owner = geteuid();
    find_program(program);
    if (program[0] && stat(program, &info) == 0)
        program_owner = info.st_uid;
    home[0] = 0;
    if (folder) {
        if (!realpath(folder, home))
            home[0] = 0;
        return;
    }
    char *slash = strrchr(program, '/');
    if (!slash)
        return;
    *(slash == program ? slash + 1 : slash) = 0;
    strcpy(home, program);
}

const char *dt_modules_home(void)
{
    if (!home[0])
        dt_modules_set_home(NULL);
    return home;
}

// ---- one file ----

// NULL if only root, this user and the program's owner can write the file; else what is wrong.
static const char *writable_by_others(const struct stat *info)
{
    if (info->st_uid != 0 && info->st_uid != geteuid() && info->st_uid != program_owner)
        return "belongs to another user";
    if (info->st_mode & S_IWOTH)
        return "is writable by everybody";
    if ((info->st_mode & S_IWGRP) && info->st_gid != 0 && info->st_gid != getegid())
        return "is writable by a group that is not yours";
    return NULL;
}

// The ELF machine and class of this program.
#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#elif defined(__riscv)
#define OUR_MACHINE EM_RISCV
#elif defined(__i386__)
#define OUR_MACHINE EM_386
#else
#define OUR_MACHINE 0
#endif
#define OUR_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

// Whether the file is a complete shared object for this machine; if not, writes the reason. Checked
// before dlopen, which maps what the header states and raises SIGBUS if the file is truncated.
static bool is_loadable(const char *path, char *reason, size_t size)
{
    bool good = false;
    char head[2048]; // the ELF header and usually all program headers
    ElfW(Ehdr) header = {0};
    ElfW(Phdr) segment;
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        dt_format(reason, size, "cannot be opened: %s", strerror(errno));
        goto done;
    }
    ssize_t n = pread(fd, head, sizeof head, 0);
    memcpy(&header, head, n < 0 ? 0 : (size_t)n < sizeof header ? (size_t)n : sizeof header);
    if (n < EI_NIDENT || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        dt_format(reason, size, "is not a shared object (no ELF header)");
        goto done;
    }
    if (header.e_ident[EI_CLASS] != OUR_CLASS) {
        dt_format(reason, size, "is for %s-bit machines; this program is %d-bit",
                  header.e_ident[EI_CLASS] == ELFCLASS64 ? "64" : "32", (int)sizeof(void *) * 8);
        goto done;
    }
    if (n < (ssize_t)sizeof header) {
        dt_format(reason, size, "is truncated: %lld bytes", (long long)info.st_size);
        goto done;
    }
    if (OUR_MACHINE && header.e_machine != OUR_MACHINE) {
        dt_format(reason, size, "is for another machine (ELF machine %u; this program's is %u)",
                  (unsigned)header.e_machine, (unsigned)OUR_MACHINE);
        goto done;
    }
    if (header.e_type != ET_DYN || header.e_phentsize != sizeof segment) {
        dt_format(reason, size, "is an ELF file, but not a shared object");
        goto done;
    }
    for (unsigned i = 0; i < header.e_phnum; i++) {
        uint64_t at = header.e_phoff + i * sizeof segment;
        bool there = at <= (uint64_t)n - sizeof segment;
        if (there)
            memcpy(&segment, head + at, sizeof segment);
        else
            there = pread(fd, &segment, sizeof segment, (off_t)at) == (ssize_t)sizeof segment;
        if (!there || (segment.p_type == PT_LOAD &&
                       (segment.p_filesz > (uint64_t)info.st_size ||
                        segment.p_offset > (uint64_t)info.st_size - segment.p_filesz))) {
            dt_format(reason, size, "is truncated: %lld bytes, and its header states more",
                      (long long)info.st_size);
            goto done;
        }
    }
    good = true;
done:
    if (fd >= 0)
        close(fd);
    return good;
}

bool dt_module_name_valid(const char *name)
{
    return name && *name && strlen(name) < 32 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789")] == 0;
}

static bool file_name_matches(const struct dt_module_kind *kind, const char *name)
{
    size_t n = strlen(name);
    if (kind->prefix && strncmp(name, kind->prefix, strlen(kind->prefix)) != 0)
        return false;
    return name[0] != '.' && n > 3 && strcmp(name + n - 3, ".so") == 0;
}

static bool already_known(const struct dt_modules *modules, const char *name)
{
    for (size_t i = 0; i < modules->count; i++) {
        size_t n = strlen(modules->items[i].name);
        if (strncmp(modules->items[i].name, name, n) == 0 && strcmp(name + n, ".so") == 0)
            return true;
    }
    return false;
}

static dt_status no_memory(struct dt_error *err)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of modules");
}

// Appends a module to the list, which owns its strings from here on; frees them on failure.
static dt_status append(struct dt_modules *modules, const struct dt_module *module, bool refused,
                        struct dt_error *err)
{
    if (module->path && module->name && !(refused && !module->reason) &&
        dt_array_grow(&modules->items, &modules->capacity, modules->count + 1,
                      sizeof *modules->items)) {
        modules->items[modules->count++] = *module;
        return DT_OK;
    }
    free(module->path);
    free(module->name);
    free(module->reason);
    return no_memory(err);
}

// Appends one file to the list, with the reason if it is refused.
static dt_status consider(struct dt_modules *modules, const char *folder, const char *file,
                          struct dt_error *err)
{
    char path[PATH_MAX], reason[512] = "";
    if (dt_format(path, sizeof path, "%s/%s", folder, file) >= sizeof path)
        return DT_OK;
    struct dt_module module = {0};
    struct stat info;
    if (stat(path, &info) != 0) {
        dt_format(reason, sizeof reason, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        return DT_OK;
    } else if (writable_by_others(&info)) {
        dt_format(reason, sizeof reason, "%s, so it is not loaded (chmod go-w it)",
                  writable_by_others(&info));
    } else {
        is_loadable(path, reason, sizeof reason);
    }
    module.path = strdup(path);
    module.name = strndup(file, strlen(file) - 3);
    module.reason = reason[0] ? strdup(reason) : NULL;
    return append(modules, &module, reason[0], err);
}

// ---- folders ----

// Appends a copy of `text` to an array of strings.
static dt_status append_string(char ***strings, size_t *count, size_t *capacity, const char *text,
                               struct dt_error *err)
{
    if (!dt_array_grow(strings, capacity, *count + 1, sizeof **strings) ||
        !((*strings)[*count] = strdup(text)))
        return no_memory(err);
    ++*count;
    return DT_OK;
}

// Appends one refused item for a whole folder.
static dt_status refuse_folder(struct dt_modules *modules, const struct dt_module_kind *kind,
                               const char *folder, const char *wrong, struct dt_error *err)
{
    char reason[256];
    dt_format(reason, sizeof reason, "the folder %s, so nothing in it is loaded (chmod go-w it)",
              wrong);
    struct dt_module module = {
        .path = strdup(folder), .name = strdup(kind->folder), .reason = strdup(reason)};
    return append(modules, &module, true, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Finds the modules in a folder and `depth` levels of sub-folders. A folder that others can write
// becomes one refused item.
static dt_status scan(struct dt_modules *modules, const struct dt_module_kind *kind,
                      const char *folder, int depth, struct dt_error *err)
{
    struct stat info;
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode))
        return DT_OK;
    for (size_t i = 0; i < modules->folder_count; i++) {
        if (strcmp(modules->folders[i], folder) == 0)
            return DT_OK;
    }
    dt_status status = append_string(&modules->folders, &modules->folder_count,
                                     &modules->folder_capacity, folder, err);
    if (status != DT_OK)
        return status;
    const char *wrong = writable_by_others(&info);
    DIR *dir = opendir(folder);
    if (!dir)
        return DT_OK;
    char **names = NULL;
    size_t count = 0, capacity = 0;
    for (struct dirent *entry; (entry = readdir(dir)) && status == DT_OK;)
        status = append_string(&names, &count, &capacity, entry->d_name, err);
    closedir(dir);
    if (status == DT_OK && count > 0)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count && status == DT_OK; i++) {
        char path[PATH_MAX];
        if (file_name_matches(kind, names[i]) && !already_known(modules, names[i])) {
            if (wrong) {
                status = refuse_folder(modules, kind, folder, wrong, err);
                break;
            }
            status = consider(modules, folder, names[i], err);
        } else if (depth > 0 && !strchr(names[i], '.') && // skips the build tree's "x.so.p"
                   dt_format(path, sizeof path, "%s/%s", folder, names[i]) < sizeof path &&
                   is_folder(path)) {
            status = scan(modules, kind, path, depth - 1, err);
        }
    }
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return status;
}

// Scans one of the places where modules may be.
static dt_status scan_place(struct dt_modules *modules, const struct dt_module_kind *kind,
                            const char *folder, int depth, struct dt_error *err)
{
    dt_status status = append_string(&modules->places, &modules->place_count,
                                     &modules->place_capacity, folder, err);
    return status == DT_OK ? scan(modules, kind, folder, depth, err) : status;
}

// Finds those in each folder of DUOTALE_MODULES and from its sub-folder of the kind.
static dt_status scan_environment(struct dt_modules *modules, const struct dt_module_kind *kind,
                                  struct dt_error *err)
{
    dt_status status = DT_OK;
    const char *list = secure_getenv("DUOTALE_MODULES");
    while (list && *list && status == DT_OK) {
        char entry[PATH_MAX], path[PATH_MAX];
        size_t n = strcspn(list, ":");
        if (n > 0 && n < sizeof entry && list[0] == '/') {
            memcpy(entry, list, n);
            entry[n] = 0;
            if (dt_format(path, sizeof path, "%s/%s", entry, kind->folder) < sizeof path)
                status = scan_place(modules, kind, path, 1, err);
            if (status == DT_OK)
                status = scan_place(modules, kind, entry, 0, err);
        }
        list += n + (list[n] == ':');
    }
    return status;
}

dt_status dt_modules_find(struct dt_modules *out, const struct dt_module_kind *kind,
                          struct dt_error *err)
{
    memset(out, 0, sizeof *out);
    char path[PATH_MAX];
    const char *base = dt_modules_home();
    dt_status status = scan_environment(out, kind, err);
    if (status == DT_OK && base[0] &&
        dt_format(path, sizeof path, "%s/%s", base, kind->folder) < sizeof path)
        status = scan_place(out, kind, path, 1, err);
    // The install folder: first relative to the program, in case the tree was moved, then as
    // configured.
    static const char *const beside[] = {"lib", DT_LIBRARY_FOLDER};
    for (size_t i = 0; i < sizeof beside / sizeof *beside && status == DT_OK; i++) {
        char real[PATH_MAX];
        if (base[0] && beside[i][0] &&
            dt_format(path, sizeof path, "%s/../%s/duotale/%s", base, beside[i], kind->folder) <
                sizeof path)
            status = scan_place(out, kind, realpath(path, real) ? real : path, 0, err);
    }
    if (status == DT_OK && sizeof DT_MODULE_FOLDER > 1 &&
        dt_format(path, sizeof path, "%s/%s", DT_MODULE_FOLDER, kind->folder) < sizeof path)
        status = scan_place(out, kind, path, 0, err);
    if (status != DT_OK)
        dt_modules_free(out);
    return status;
}

// ---- loading ----

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER; // while dlopen runs

void *dt_modules_library(const char *name)
{
    pthread_mutex_lock(&loading);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    pthread_mutex_unlock(&loading);
    return handle;
}

pid_t dt_modules_fork(void)
{
    pthread_mutex_lock(&loading);
    pid_t child = fork();
    pthread_mutex_unlock(&loading);
    return child;
}

void dt_module_unload(struct dt_module *module)
{
    if (module->handle)
        dlclose(module->handle);
    module->handle = NULL;
    module->symbol = NULL;
}

dt_status dt_module_load(struct dt_module *module, const struct dt_module_kind *kind,
                         struct dt_error *err)
{
    char reason[512];
    if (module->symbol)
        return DT_OK;
    // Checked again, because the file may have been replaced.
    if (is_loadable(module->path, reason, sizeof reason)) {
        module->handle = dt_modules_library(module->path);
        module->symbol = module->handle ? dlsym(module->handle, kind->symbol) : NULL;
        if (module->symbol)
            return DT_OK;
        const char *why = module->handle ? NULL : dlerror();
        if (module->handle)
            dt_format(reason, sizeof reason,
                      "does not export %s, so it is not a module of this kind", kind->symbol);
        else
            dt_format(reason, sizeof reason, "cannot be loaded: %s",
                      why ? why : "the loader gives no reason");
        dt_module_unload(module);
    }
    return dt_error_set(err, DT_FAILED, module->path, "%s", reason);
}

void dt_modules_free(struct dt_modules *modules)
{
    for (size_t i = 0; i < modules->count; i++) {
        free(modules->items[i].path);
        free(modules->items[i].name);
        free(modules->items[i].reason);
    }
    for (size_t i = 0; i < modules->folder_count; i++)
        free(modules->folders[i]);
    for (size_t i = 0; i < modules->place_count; i++)
        free(modules->places[i]);
    free(modules->items);
    free(modules->folders);
    free(modules->places);
    memset(modules, 0, sizeof *modules);
}

bool dt_modules_data(const char *name, char *out, size_t size)
{
    static const char *const places[] = {"data", "../data", "../../data", "../share/duotale"};
    const char *base = dt_modules_home();
    for (size_t i = 0; base[0] && i < sizeof places / sizeof *places; i++) {
        if (dt_format(out, size, "%s/%s/%s", base, places[i], name) < size &&
            access(out, R_OK) == 0) {
            char real[PATH_MAX];
            if (realpath(out, real) && strlen(real) < size)
                strcpy(out, real);
            return true;
        }
    }
    return DT_DATA_FOLDER[0] && dt_format(out, size, "%s/%s", DT_DATA_FOLDER, name) < size &&
           access(out, R_OK) == 0;
}
