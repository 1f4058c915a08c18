// SPDX-License-Identifier: MIT
// The HTTP server of `duotale serve`, by libmicrohttpd: connections, limits, the token, the page.
// One thread does it all. A connection whose answer is not ready is suspended, and its socket is
// watched here, so that a client that leaves is noticed while it waits.
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "abi/serve.h"
#include "page.h" // page_text, page_policy: made from the folder page

#define POOL_BYTES  (16u << 10) // of a connection: its headers, and what is being sent
#define BLOCK_BYTES 4096u       // of an answer that is read in pieces
#define IDLE_MOST   30u         // seconds without any byte
#define DRAIN_MOST  (8u << 20)  // of a body that is too long, so that its answer is read
#define LAST_MS     1000u       // for answers that are not sent when the server stops

// A socket.
struct client {
    struct server *server;
    struct client *previous, *next;
    int fd;
    bool arriving; // a request is
    bool ending;   // the client sends no more
    uint64_t since;
};

// A request and its answer.
struct exchange {
    struct server *server;
    struct MHD_Connection *connection;
    struct client *client;
    struct exchange *previous, *next; // in the list of all
    char *body;
    size_t length, capacity, dropped;
    unsigned refusal; // the status, 0: none
    void *theirs;     // the host's; NULL: not begun, or ended
    bool suspended, gone;
};

struct server {
    const struct dt_serve_options *options;
    const struct dt_serve_host *host;
    struct MHD_Daemon *daemon;
    int epoll, bell, listening;
    atomic_bool stopping;
    struct client *clients;
    struct exchange *exchanges;
    struct pollfd *polled;
    struct exchange **polled_of; // of polled[2] and so on
    struct client **client_of;   // of those behind them
    uint32_t port;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// ---- refusals ----

static const struct refusal {
    unsigned status;
    const char *code, *message;
} refusals[] = {
    {401, "invalid_api_key", "this server needs a token: Authorization: Bearer TOKEN"},
    {403, "forbidden_origin", "this request comes from a page of another server"},
    {404, "not_found", "there is nothing at this address"},
    {405, "method_not_allowed", "this method is not supported"},
    {413, "request_too_large", "the body is too long for the context of this server"},
    {500, "server_error", "not enough memory for this request"},
};

static enum MHD_Result send_text(struct exchange *x, unsigned status, const char *type,
                                 const char *text, size_t n, bool constant)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        n, (void *)(uintptr_t)text, constant ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (constant) { // the page
        MHD_add_response_header(response, "Content-Security-Policy", page_policy);
        MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
        MHD_add_response_header(response, "Cache-Control", "no-cache");
    }
    if (status == 401)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (status == 405)
        MHD_add_response_header(response, "Allow", "GET, HEAD, POST");
    enum MHD_Result result = MHD_queue_response(x->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct exchange *x, unsigned status)
{
    char text[400];
    const struct refusal *r = refusals;
    while (r->status != status && r->status != 500)
        r++;
    int n = snprintf(text, sizeof text,
                     "{\"error\": {\"message\": \"%s\", \"type\": \"%s\", \"param\": null, "
                     "\"code\": \"%s\"}}\n",
                     r->message, status >= 500 ? "server_error" : "invalid_request_error", r->code);
    x->server->host->refused(x->server->host->ctx, r->status);
    return send_text(x, r->status, "application/json", text, (size_t)n, false);
}

// Whether a Host or the rest of an Origin is a name of this machine that no other server can have.
static bool is_local_name(const char *name)
{
    size_t n = name[0] == '[' ? strcspn(name, "]") + 1 : strcspn(name, ":");
    char numbers[16];
    struct in_addr address;
    if (n == 9 && strncasecmp(name, "localhost", 9) == 0)
        return true;
    if (n == 5 && strncmp(name, "[::1]", 5) == 0)
        return true;
    if (n >= sizeof numbers)
        return false;
    memcpy(numbers, name, n);
    numbers[n] = 0;
    return inet_pton(AF_INET, numbers, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

// The time does not depend on where they differ.
static bool is_token(const char *given, const char *token)
{
    size_t n = strlen(given), m = strlen(token);
    unsigned differ = n != m;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned char)given[i] ^ (unsigned char)token[m ? i % m : 0];
    return differ == 0;
}

static const char *header(struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

// The status with which the headers of a request are refused; 0: they are not.
static unsigned check_headers(struct exchange *x, const char *method, const char *path)
{
    const struct dt_serve_options *o = x->server->options;
    const char *host = header(x, "Host"), *origin = header(x, "Origin"),
               *key = header(x, "Authorization");
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (o->local && host && !is_local_name(host))
        return 403;
    if (origin) {
        const char *rest = strstr(origin, "://");
        if (!rest || !host || strcasecmp(rest + 3, host) != 0)
            return 403;
    }
    if (!get && strcmp(method, "POST") != 0)
        return 405;
    if (o->token && !(get && (strcmp(path, "/") == 0 || strcmp(path, "/health") == 0)) &&
        (!key || strncasecmp(key, "Bearer ", 7) != 0 || !is_token(key + 7, o->token)))
        return 401;
    return 0;
}

// ---- answers ----

static void end_theirs(struct exchange *x)
{
    if (x->theirs)
        x->server->host->end(x->server->host->ctx, x->theirs);
    x->theirs = NULL;
}

static void suspend(struct exchange *x)
{
    x->suspended = true;
    MHD_suspend_connection(x->connection);
}

static ssize_t read_answer(void *arg, uint64_t position, char *out, size_t size)
{
    struct exchange *x = arg;
    (void)position;
    if (x->gone || !x->theirs)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ptrdiff_t n = x->server->host->read(x->server->host->ctx, x->theirs, out, size);
    if (n == 0)
        suspend(x);
    return n == DT_SERVE_END ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static enum MHD_Result answer(struct exchange *x)
{
    const struct dt_serve_host *host = x->server->host;
    struct dt_serve_head head = {0};
    char seconds[16];
    if (x->gone)
        return MHD_NO;
    if (!host->head(host->ctx, x->theirs, &head)) {
        suspend(x);
        return MHD_YES;
    }
    struct MHD_Response *response = MHD_create_response_from_callback(
        head.length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)head.length, BLOCK_BYTES, read_answer, x,
        NULL);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", head.type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (head.allow)
        MHD_add_response_header(response, "Allow", head.allow);
    if (head.retry_after) {
        snprintf(seconds, sizeof seconds, "%u", (unsigned)head.retry_after);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    enum MHD_Result result = MHD_queue_response(x->connection, head.status, response);
    MHD_destroy_response(response);
    return result;
}

// ---- requests ----

static struct exchange *begin_exchange(struct server *server, struct MHD_Connection *connection)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->server = server;
    x->connection = connection;
    x->client =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    x->next = server->exchanges;
    if (x->next)
        x->next->previous = x;
    server->exchanges = x;
    return x;
}

static void take_body(struct exchange *x, const char *data, size_t n)
{
    size_t most = x->server->options->body_max;
    if (x->length + n > most && !x->refusal)
        x->refusal = 413;
    if (x->refusal) {
        x->dropped += n;
        return;
    }
    if (x->length + n + 1 > x->capacity) {
        size_t capacity = x->length + n + 1 > 2 * x->capacity ? x->length + n + 1 : 2 * x->capacity;
        char *body = realloc(x->body, capacity);
        if (!body) {
            x->refusal = 500;
            return;
        }
        x->body = body;
        x->capacity = capacity;
    }
    memcpy(x->body + x->length, data, n);
    x->length += n;
    x->body[x->length] = 0;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **state)
{
    struct server *server = arg;
    struct exchange *x = *state;
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    (void)version;
    if (!x) {
        *state = x = begin_exchange(server, connection);
        if (!x)
            return MHD_NO;
        x->refusal = check_headers(x, method, path);
        return MHD_YES;
    }
    if (x->theirs)
        return answer(x);
    if (*n) {
        take_body(x, data, *n);
        *n = 0;
        return x->dropped > DRAIN_MOST ? MHD_NO : MHD_YES;
    }
    if (x->gone)
        return MHD_NO;
    if (x->client)
        x->client->arriving = false;
    if (x->refusal)
        return refuse(x, x->refusal);
    if (get && strcmp(path, "/") == 0)
        return send_text(x, 200, "text/html; charset=utf-8", page_text, sizeof page_text - 1, true);
    struct dt_serve_request request = {
        .method = get ? "GET" : "POST",
        .path = path,
        .body = x->body ? x->body : "",
        .length = x->length,
    };
    x->theirs = server->host->begin(server->host->ctx, &request);
    free(x->body);
    x->body = NULL;
    return x->theirs ? answer(x) : refuse(x, 500);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct server *server = arg;
    struct exchange *x = *state;
    (void)connection;
    (void)code;
    *state = NULL;
    if (!x)
        return;
    end_theirs(x);
    if (x->client) {
        x->client->arriving = true;
        x->client->since = now_ms();
    }
    if (x->previous)
        x->previous->next = x->next;
    else
        server->exchanges = x->next;
    if (x->next)
        x->next->previous = x->previous;
    free(x->body);
    free(x);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = arg;
    struct client *c = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int on = 1;
        c = *context = calloc(1, sizeof *c);
        if (!c)
            return; // then only the limits of idle connections hold
        c->server = server;
        c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->arriving = true;
        c->since = now_ms();
        c->next = server->clients;
        if (c->next)
            c->next->previous = c;
        server->clients = c;
    } else if (c) {
        if (c->previous)
            c->previous->next = c->next;
        else
            server->clients = c->next;
        if (c->next)
            c->next->previous = c->previous;
        free(c);
        *context = NULL;
    }
}

// ---- the loop ----

static void resume(struct exchange *x)
{
    x->suspended = false;
    MHD_resume_connection(x->connection);
}

static void leave(struct exchange *x)
{
    x->gone = true;
    end_theirs(x);
    if (x->suspended)
        resume(x);
}

// Ends the connections whose request has not arrived in time, or cannot arrive any more.
static void end_late(struct server *s, uint64_t now)
{
    for (struct client *c = s->clients; c; c = c->next) {
        int left = 0;
        bool never = c->ending && ioctl(c->fd, FIONREAD, &left) == 0 && left == 0;
        if (c->arriving && (never || now - c->since > s->options->seconds * 1000u)) {
            shutdown(c->fd, SHUT_RDWR);
            c->arriving = false;
        }
    }
}

static int timeout_of(const struct server *s)
{
    MHD_UNSIGNED_LONG_LONG wait = 0;
    if (!s->clients)
        return -1;
    int most = atomic_load(&s->stopping) ? 20 : 1000;
    return MHD_get_timeout(s->daemon, &wait) == MHD_YES && wait < (unsigned)most ? (int)wait : most;
}

// Waits for sockets, for the host, and for clients that wait for an answer to leave.
static void wait_for_work(struct server *s)
{
    nfds_t count = 0;
    s->polled[count++] = (struct pollfd){.fd = s->epoll, .events = POLLIN};
    s->polled[count++] = (struct pollfd){.fd = s->bell, .events = POLLIN};
    for (struct exchange *x = s->exchanges; x && count < s->options->connections + 2; x = x->next) {
        if (!x->suspended || !x->client)
            continue;
        s->polled_of[count] = x;
        s->polled[count++] = (struct pollfd){.fd = x->client->fd, .events = POLLRDHUP};
    }
    nfds_t waiting = count;
    for (struct client *c = s->clients; c && count < s->options->connections + 2; c = c->next) {
        if (!c->arriving || c->ending)
            continue;
        s->client_of[count] = c;
        s->polled[count++] = (struct pollfd){.fd = c->fd, .events = POLLRDHUP};
    }
    if (poll(s->polled, count, timeout_of(s)) <= 0)
        return;
    for (nfds_t i = 2; i < waiting; i++) {
        if (s->polled[i].revents)
            leave(s->polled_of[i]);
    }
    for (nfds_t i = waiting; i < count; i++)
        s->client_of[i]->ending = s->polled[i].revents != 0;
    if (s->polled[1].revents) {
        uint64_t rung;
        if (read(s->bell, &rung, sizeof rung) < 0)
            return;
    }
}

static void run(void *arg)
{
    struct server *s = arg;
    uint64_t last = 0;
    for (;;) {
        wait_for_work(s);
        for (struct exchange *x = s->exchanges, *next; x; x = next) {
            next = x->next;
            if (x->suspended && !x->gone && s->host->ready(s->host->ctx, x->theirs))
                resume(x);
        }
        MHD_run(s->daemon);
        uint64_t now = now_ms();
        end_late(s, now);
        if (!atomic_load(&s->stopping))
            continue;
        if (!last) {
            int fd = MHD_quiesce_daemon(s->daemon);
            if (fd >= 0)
                close(fd);
            s->listening = -1;
            last = now + LAST_MS;
        }
        if (!s->exchanges || now >= last)
            break;
    }
    for (struct exchange *x = s->exchanges, *next; x; x = next) {
        next = x->next;
        leave(x);
    }
    MHD_run(s->daemon);
}

static void wake(void *arg)
{
    struct server *s = arg;
    uint64_t one = 1;
    if (write(s->bell, &one, sizeof one) < 0)
        return; // full: it has rung
}

static void stop(void *arg)
{
    struct server *s = arg;
    atomic_store(&s->stopping, true);
    wake(s);
}

// ---- opening ----

static void close_server(void *arg)
{
    struct server *s = arg;
    if (!s)
        return;
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    else if (s->listening >= 0)
        close(s->listening);
    if (s->bell >= 0)
        close(s->bell);
    free(s->polled);
    free(s->polled_of);
    free(s->client_of);
    free(s);
}

// A listening socket; -1 with the reason.
static int listen_at(const struct dt_serve_options *o, uint32_t *port, char *reason, size_t size)
{
    char service[16];
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    int on = 1, off = 0;
    snprintf(service, sizeof service, "%u", (unsigned)o->port);
    if (getaddrinfo(o->address, service, &hints, &found) != 0) {
        snprintf(reason, size,
                 "%s is not a numeric address, such as 192.168.42.1 or ::", o->address);
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && found->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &length) != 0) {
        snprintf(reason, size, "cannot listen at port %u of %s: %s", (unsigned)o->port, o->address,
                 strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    } else {
        *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    }
    freeaddrinfo(found);
    return fd;
}

static void log_nothing(void *arg, const char *format, va_list arguments)
{
    (void)arg;
    (void)format;
    (void)arguments;
}

static void *open_server(const struct dt_serve_options *options, const struct dt_serve_host *host,
                         char *reason, size_t size)
{
    struct server *s = calloc(1, sizeof *s);
    size_t most = options->connections + 2;
    snprintf(reason, size, "not enough memory for the server");
    if (!s)
        return NULL;
    s->options = options;
    s->host = host;
    s->listening = -1;
    s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->polled = calloc(most, sizeof *s->polled);
    s->polled_of = calloc(most, sizeof *s->polled_of);
    s->client_of = calloc(most, sizeof *s->client_of);
    if (s->bell >= 0 && s->polled && s->polled_of && s->client_of)
        s->listening = listen_at(options, &s->port, reason, size);
    if (s->listening >= 0) {
        snprintf(reason, size, "libmicrohttpd %s cannot start", MHD_get_version());
        s->daemon = MHD_start_daemon(
            MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
            s, MHD_OPTION_EXTERNAL_LOGGER, log_nothing, NULL, MHD_OPTION_LISTEN_SOCKET,
            s->listening, MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->connections,
            MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)(options->seconds < IDLE_MOST ? options->seconds : IDLE_MOST),
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_NOTIFY_COMPLETED,
            on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
    }
    if (s->daemon) {
        s->epoll = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        return s;
    }
    close_server(s);
    return NULL;
}

static uint32_t port_of(void *server)
{
    return ((struct server *)server)->port;
}

DT_SERVE_EXPORT = {
    .abi = DT_SERVE_ABI,
    .size = sizeof(struct dt_serve_module),
    .name = "libmicrohttpd",
    .open = open_server,
    .port = port_of,
    .run = run,
    .wake = wake,
    .stop = stop,
    .close = close_server,
};
