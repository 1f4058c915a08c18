// SPDX-License-Identifier: MIT
// The module of the server, its address and its token.
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/format.h"
#include "host/file.h"
#include "host/modules/modules.h"
#include "verbs/serve/serve.h"

#define TOKEN_LEAST 8u
#define TOKEN_MADE  16u // random bytes

// ---- the module ----

static dt_status load_module(struct dt_serve *serve, struct dt_error *err)
{
    static const struct dt_module_kind kind = {"plugins", "dt_serve_module", "serve"};
    struct dt_modules modules;
    dt_status status = dt_modules_find(&modules, &kind, err);
    if (status != DT_OK)
        return status;
    struct dt_module *file = NULL;
    for (size_t i = 0; i < modules.count && !file; i++) {
        if (strcmp(modules.items[i].name, "serve") == 0)
            file = &modules.items[i];
    }
    if (!file)
        status = dt_error_set(err, DT_UNSUPPORTED, NULL,
                              "the module of the server, plugins/serve.so, is not installed; "
                              "install libmicrohttpd-dev and build duotale again");
    else if (file->reason)
        status = dt_error_set(err, DT_UNSUPPORTED, file->path, "%s", file->reason);
    else
        status = dt_module_load(file, &kind, err);
    const struct dt_serve_module *m = status == DT_OK ? file->symbol : NULL;
    if (m && (m->abi != DT_SERVE_ABI || m->size < sizeof *m))
        status = dt_error_set(err, DT_UNSUPPORTED, file->path,
                              "was built for version %u of the interface <duotale/serve.h>; this "
                              "program has version %u",
                              m->abi, DT_SERVE_ABI);
    if (status == DT_OK)
        serve->module = m;
    dt_modules_free(&modules);
    return status;
}

// ---- the token ----

static dt_status check_token(const char *token, const char *where, struct dt_error *err)
{
    size_t n = strlen(token);
    for (size_t i = 0; i < n; i++) {
        if (token[i] <= ' ' || token[i] > '~')
            return dt_error_set(err, DT_USAGE, where,
                                "a token is of letters, digits and signs, without spaces");
    }
    return n >= TOKEN_LEAST
               ? DT_OK
               : dt_error_set(err, DT_USAGE, where, "a token has at least %u characters (got %zu)",
                              TOKEN_LEAST, n);
}

static dt_status take_token(struct dt_serve_place *place, const char *text, size_t n,
                            const char *where, struct dt_error *err)
{
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n >= sizeof place->token)
        return dt_error_set(err, DT_USAGE, where, "a token has at most %zu characters",
                            sizeof place->token - 1);
    memcpy(place->token, text, n);
    place->token[n] = 0;
    place->options.token = place->token;
    return check_token(place->token, where, err);
}

static dt_status read_token_file(struct dt_serve_place *place, struct dt_error *err)
{
    struct stat info;
    char *text = NULL;
    size_t n = 0;
    if (stat(place->token_file, &info) == 0 && info.st_mode & 077)
        return dt_error_set(err, DT_USAGE, place->token_file,
                            "others can read the token (chmod 600 it)");
    dt_status status = dt_file_read(place->token_file, 4096, &text, &n, err);
    if (status == DT_OK)
        status = take_token(place, text, n, place->token_file, err);
    free(text);
    return status;
}

static dt_status choose_token(struct dt_serve_place *place, struct dt_error *err)
{
    const char *given = getenv("DUOTALE_TOKEN");
    unsigned char bytes[TOKEN_MADE];
    if (place->token_file)
        return read_token_file(place, err);
    if (given && *given)
        return take_token(place, given, strlen(given), "DUOTALE_TOKEN", err);
    if (place->open || place->options.local)
        return DT_OK;
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return dt_error_set(err, DT_FAILED, NULL, "cannot make a token: %s", strerror(errno));
    for (unsigned i = 0; i < TOKEN_MADE; i++)
        dt_format(place->token + 2 * i, 3, "%02x", bytes[i]);
    place->options.token = place->token;
    return DT_OK;
}

// ---- the address ----

static bool is_loopback(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

dt_status dt_serve_listen(struct dt_serve *serve, struct dt_serve_place *place,
                          struct dt_error *err)
{
    char reason[256];
    if (!place->address[0])
        dt_format(place->address, sizeof place->address, "127.0.0.1");
    place->options.size = sizeof place->options;
    place->options.address = place->address;
    place->options.local = is_loopback(place->address);
    place->options.connections = DT_SERVE_QUEUE_MAX;
    place->options.body_max = serve->body_max;
    dt_status status = choose_token(place, err);
    if (status == DT_OK)
        status = load_module(serve, err);
    if (status != DT_OK)
        return status;
    serve->server = serve->module->open(&place->options, &serve->host, reason, sizeof reason);
    return serve->server ? DT_OK : dt_error_set(err, DT_FAILED, NULL, "%s", reason);
}

static void print_address(const struct dt_serve *serve, const struct dt_serve_place *place,
                          const char *address)
{
    bool six = strchr(address, ':') != NULL;
    const char *token = place->options.token;
    printf("http://%s%s%s:%u/%s%s\n", six ? "[" : "", address, six ? "]" : "",
           serve->module->port(serve->server), token ? "#" : "", token ? token : "");
}

void dt_serve_print_addresses(const struct dt_serve *serve, const struct dt_serve_place *place)
{
    struct ifaddrs *all = NULL;
    char text[INET_ADDRSTRLEN];
    unsigned printed = 0;
    bool any = strcmp(place->address, "0.0.0.0") == 0 || strcmp(place->address, "::") == 0;
    if (any && getifaddrs(&all) == 0) {
        for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
            if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) ||
                (i->ifa_flags & IFF_LOOPBACK))
                continue;
            const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)i->ifa_addr;
            if (inet_ntop(AF_INET, &four->sin_addr, text, sizeof text)) {
                print_address(serve, place, text);
                printed++;
            }
        }
        freeifaddrs(all);
    }
    if (!printed)
        print_address(serve, place, any ? "127.0.0.1" : place->address);
    fflush(stdout);
}
