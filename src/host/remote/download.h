// SPDX-License-Identifier: MIT
// Downloads of files, by the plug-in `fetch`.
#ifndef DT_HOST_DOWNLOAD_H
#define DT_HOST_DOWNLOAD_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

struct dt_download {
    const char *url, *path;
    const char *sha256;     // 64 hexadecimal digits; NULL: unknown
    uint64_t bytes;         // 0: unknown; another size is an error
    const atomic_int *stop; // not 0: stops
    void (*progress)(void *arg, uint64_t done, uint64_t total); // total 0: unknown. May be NULL
    void *arg;
};

// Downloads a file into PATH.part, and renames that when it is complete and its hash is right. A
// part that is there is continued, and a connection that breaks is tried again while there is
// progress. DT_CANCELLED and DT_FAILED leave the part; DT_BAD_INPUT (a web page, another size,
// another hash) does not. The disk is asked for space before the first byte. The folders are made.
dt_status dt_download(const struct dt_download *download, struct dt_error *err);

#endif
