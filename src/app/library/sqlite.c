// SPDX-License-Identifier: MIT
#include "app/library/sqlite.h"

#ifdef DT_SQLITE_LINKED

dt_status dt_sqlite_load(const char *path, struct dt_error *err)
{
    (void)path;
    (void)err;
    return DT_OK;
}

#else

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/format.h"
#include "host/modules/modules.h"

#define FILE_NAME "libsqlite3.so.0"

const sqlite3_api_routines *sqlite3_api;

static char trouble[256];

typedef void any_function(void);
typedef int auto_function(any_function *);
typedef int open_function(const char *, sqlite3 **);
typedef int close_function(sqlite3 *);

// SQLite calls this as the entry point of an extension, with its table of functions.
static int take_table(sqlite3 *db, char **message, const sqlite3_api_routines *table)
{
    (void)db;
    (void)message;
    sqlite3_api = table;
    return SQLITE_OK;
}

// A data pointer that is a function's address, as POSIX has it of dlsym.
static any_function *symbol(void *handle, const char *name)
{
    void *address = dlsym(handle, name);
    any_function *function = NULL;
    memcpy(&function, &address, sizeof function);
    return function;
}

static void load(void)
{
    void *handle = dt_modules_library(FILE_NAME);
    if (!handle) {
        const char *why = dlerror();
        dt_format(trouble, sizeof trouble, "%s", why ? why : "no reason given");
        return;
    }
    auto_function *automatic = (auto_function *)symbol(handle, "sqlite3_auto_extension");
    auto_function *no_more = (auto_function *)symbol(handle, "sqlite3_cancel_auto_extension");
    open_function *open = (open_function *)symbol(handle, "sqlite3_open");
    close_function *close = (close_function *)symbol(handle, "sqlite3_close");
    sqlite3 *db = NULL;
    if (automatic && no_more && open && close &&
        automatic((any_function *)take_table) == SQLITE_OK) {
        open(":memory:", &db);
        close(db);
        no_more((any_function *)take_table);
    }
    if (!sqlite3_api)
        dt_format(trouble, sizeof trouble, "%s does not provide its table of functions", FILE_NAME);
}

dt_status dt_sqlite_load(const char *path, struct dt_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (sqlite3_api)
        return DT_OK;
    return dt_error_set(err, DT_FAILED, path,
                        "the library cannot be opened without SQLite (%s); install %s", trouble,
                        FILE_NAME);
}

#endif
