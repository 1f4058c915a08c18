// SPDX-License-Identifier: MIT
#include "verbs/verify/verify.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "core/stack.h"
#include "host/log.h"
#include "host/modules/cpu.h"
#include "host/modules/modules.h"
#include "host/modules/probe.h"
#include "host/modules/registry.h"
#include "host/print.h"
#include "verbs/verify/harness.h"

#define EXIT_FAULT 1 // of a child that has found one

// Shared with the child, so that the parent can report the shape of a crash.
static struct report {
    uint32_t index;
    char shape[160], fault[400];
} * report;

// ---- in the child ----

void dt_rig_shape(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt_vformat(report->shape, sizeof report->shape, format, args);
    va_end(args);
}

_Noreturn void dt_rig_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt_vformat(report->fault, sizeof report->fault, format, args);
    va_end(args);
    _exit(EXIT_FAULT);
}

// splitmix64, so that consecutive seeds give unrelated states; never 0.
static uint64_t state_of(uint64_t seed)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15ull + 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) | 1;
}

static _Noreturn void check_shapes(const struct dt_rig_operator *op,
                                   const struct dt_verify_options *options)
{
    alarm(options->seconds ? options->seconds : 60);
    for (uint32_t i = 0; i < options->shapes; i++) {
        report->index = dt_rig.index = i;
        report->shape[0] = 0;
        dt_rig.state = state_of(options->seed + i);
        op->check();
        dt_rig_free();
    }
    _exit(0);
}

// ---- in the parent ----

static void describe_end(int ended, char *out, size_t size)
{
    int number = WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;
    if (number == SIGALRM)
        dt_format(out, size, "did not finish in time");
    else if (number == SIGSEGV || number == SIGBUS)
        dt_format(out, size, "crashed with signal %d: it reads or writes outside its operands",
                  number);
    else if (number)
        dt_format(out, size, "crashed with signal %d", number);
    else
        dt_format(out, size, "ended the process with exit code %d", WEXITSTATUS(ended));
}

// Prints the line of one operator. *failed is incremented if there is a fault.
static dt_status verify_operator(const struct dt_rig_operator *op,
                                 const struct dt_verify_options *options, FILE *out,
                                 uint32_t *failed, struct dt_error *err)
{
    if (!op->present()) {
        dt_print(out, "%-16s not in this module\n", op->name);
        return DT_OK;
    }
    memset(report, 0, sizeof *report);
    fflush(NULL);
    int ended = 0;
    pid_t pid = fork();
    if (pid < 0)
        return dt_error_set(err, DT_FAILED, NULL, "cannot start a child process: %s",
                            strerror(errno));
    if (pid == 0)
        check_shapes(op, options);
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) {
        dt_print(out, "%-16s passed, %u shape%s\n", op->name, options->shapes,
                 options->shapes == 1 ? "" : "s");
        return DT_OK;
    }
    if (!report->fault[0])
        describe_end(ended, report->fault, sizeof report->fault);
    ++*failed;
    dt_print(out, "%-16s FAILED at shape %u (--seed %llu --shapes 1 repeats it): %s%s%s\n",
             op->name, report->index, (unsigned long long)(options->seed + report->index),
             report->shape, report->shape[0] ? ": " : "", report->fault);
    return DT_OK;
}

static void service_log(void *host, int level, const char *line)
{
    (void)host;
    dt_log(level, "%s", line);
}

static void *service_allocate(void *host, size_t bytes)
{
    (void)host;
    void *block = NULL;
    return bytes && posix_memalign(&block, 64, bytes) == 0 ? memset(block, 0, bytes) : NULL;
}

static void service_release(void *host, void *block, size_t bytes)
{
    (void)host;
    (void)bytes;
    free(block);
}

static void service_for(void *host, dt_loop_body *body, void *arg, uint32_t count, uint32_t grain)
{
    (void)host;
    (void)grain;
    if (count)
        body(arg, 0, count, 0);
}

static uint32_t service_threads(void *host)
{
    (void)host;
    return 1;
}

static bool has_integer_form(const struct dt_backend *table)
{
    for (uint32_t i = 0; i < table->form_count; i++) {
        uint32_t form = table->forms[i];
        if (form != DT_FORM_F32 && form != DT_FORM_F16 && form != DT_FORM_BF16)
            return true;
    }
    return table->form_count == 0 || table->more_forms;
}

// In a child: whether the module can be used.
static void look(void *arg, const struct dt_module *module, void *finding, char *reason)
{
    struct dt_instance whole;
    (void)arg;
    if (!dt_registry_accepts(module->symbol, reason, DT_PROBE_REASON))
        return;
    dt_instance_init(&whole, module->symbol, NULL);
    *(int *)finding = whole.table.probe(dt_cpu());
}

// Loads the module and fills dt_rig.
static dt_status load(const char *path, const struct dt_verify_options *options,
                      struct dt_error *err)
{
    static const struct dt_module_kind kind = {"backends", "dt_backend_module", NULL};
    static const struct dt_services services = {.size = sizeof services,
                                                .allocate = service_allocate,
                                                .release = service_release,
                                                .log = service_log,
                                                .parallel_for = service_for,
                                                .threads = service_threads};
    static char absolute[PATH_MAX]; // a name without '/' would be searched for by dlopen
    char reason[512] = "";
    struct dt_module module = {.path = absolute};
    struct dt_modules only = {.items = &module, .count = 1};
    const struct dt_examination how = {&kind, look, NULL, sizeof(int), false};
    struct dt_instance whole;
    int score = 0;
    if (!realpath(path, absolute))
        return dt_error_set(err, DT_BAD_INPUT, path, "cannot be opened: %s", strerror(errno));
    dt_status status = dt_modules_examine(&only, &how, &score, err);
    if (status == DT_OK && module.reason)
        status = dt_error_set(err, DT_BAD_INPUT, path, "%s", module.reason);
    free(module.reason);
    module.reason = NULL;
    if (status != DT_OK)
        return status;
    if (dt_module_load(&module, &kind, err) != DT_OK) {
        err->status = DT_BAD_INPUT;
        return err->status;
    }
    if (!dt_registry_accepts(module.symbol, reason, sizeof reason))
        return dt_error_set(err, DT_BAD_INPUT, path, "%s", reason);
    dt_instance_init(&whole, module.symbol, NULL);
    dt_rig.table = whole.table;
    if (score <= 0)
        return dt_error_set(err, DT_UNSUPPORTED, path, "cannot run on this CPU (%s)",
                            dt_cpu()->model);
    if (dt_rig.table.create &&
        dt_rig.table.create(&services, &dt_rig.ctx, reason, sizeof reason) != 0)
        return dt_error_set(err, DT_FAILED, path, "create() failed: %s", reason);
    if (dt_rig.table.row_tile == 0)
        dt_rig.table.row_tile = 1;
    dt_rig.integer = options->exact || has_integer_form(&dt_rig.table);
    dt_rig.exact = options->exact;
    return DT_OK;
}

dt_status dt_verify_module(const char *path, const struct dt_verify_options *options, FILE *out,
                           uint32_t *failed, struct dt_error *err)
{
    *failed = 0;
    dt_status status = load(path, options, err);
    if (status != DT_OK)
        return status;
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory to check a module");
    dt_print(out, "%s%s%s: %s\n", dt_rig.table.name,
             dt_rig.table.variant && *dt_rig.table.variant ? "@" : "",
             dt_rig.table.variant ? dt_rig.table.variant : "", path);
    for (size_t i = 0; i < dt_rig_operator_count && status == DT_OK; i++)
        status = verify_operator(&dt_rig_operators[i], options, out, failed, err);
    munmap(report, sizeof *report);
    if (dt_rig.table.destroy)
        dt_rig.table.destroy(dt_rig.ctx);
    return status;
}
