// SPDX-License-Identifier: MIT
#include "host/modules/cpu.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

static struct dt_cpu cpu;
static char cpu_model[128];

static const struct {
    uint64_t bit;
    const char *name;
} feature_names[] = {
    {DT_CPU_AVX2, "avx2"},       {DT_CPU_AVX512, "avx512"},    {DT_CPU_AVX512VNNI, "avx512vnni"},
    {DT_CPU_AVXVNNI, "avxvnni"}, {DT_CPU_AMX_INT8, "amxint8"}, {DT_CPU_NEON, "neon"},
    {DT_CPU_DOTPROD, "dotprod"}, {DT_CPU_RVV07, "rvv07"},      {DT_CPU_RVV10, "rvv10"},
};

#if defined(__x86_64__) || defined(__i386__)

// The register sets that the kernel saves. Only if CPUID reports XGETBV.
static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0)); // xgetbv
    return (uint64_t)high << 32 | low;
}

static void detect(void)
{
    unsigned a, b, c, d;
    unsigned brand[12];
    cpu.arch = sizeof(void *) == 8 ? "x86_64" : "i386";
    if (__get_cpuid(0x80000002u, &brand[0], &brand[1], &brand[2], &brand[3]) &&
        __get_cpuid(0x80000003u, &brand[4], &brand[5], &brand[6], &brand[7]) &&
        __get_cpuid(0x80000004u, &brand[8], &brand[9], &brand[10], &brand[11]))
        memcpy(cpu_model, brand, sizeof brand);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return;
    uint64_t saved = saved_registers();
    bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xe6) == 0xe6,
         tiles = (saved & 0x60000) == 0x60000;
    bool fma = (c & bit_FMA) && (c & bit_F16C) && (c & bit_AVX);
    unsigned a1 = 0, b1, c1, d1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return;
    if (a >= 1)
        __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
    if (ymm && fma && (b & bit_AVX2)) {
        cpu.features |= DT_CPU_AVX2;
        if (a1 & 1u << 4)
            cpu.features |= DT_CPU_AVXVNNI;
    }
    if (zmm && (b & bit_AVX512F) && (b & bit_AVX512BW) && (b & bit_AVX512DQ) &&
        (b & bit_AVX512VL)) {
        cpu.features |= DT_CPU_AVX512;
        if (c & bit_AVX512VNNI)
            cpu.features |= DT_CPU_AVX512VNNI;
    }
    // Whether the kernel lets a process use tiles is left to the backend that needs them: each
    // thread's signal frames grow by 8 KB with its first tile.
    if (tiles && (d & 1u << 24) && (d & 1u << 25))
        cpu.features |= DT_CPU_AMX_INT8;
}

#elif defined(__riscv)

static sigjmp_buf trapped;

static void on_trap(int signal_number)
{
    (void)signal_number;
    siglongjmp(trapped, 1);
}

// Runs in a child process. Returns 0 without vectors, 7 for RVV 0.7.1, 10 for RVV 1.0; *vlen is in
// bits. 0x004072d7 is `vsetvli t0, x0, e16, m1` in 0.7.1 and returns VLEN / 16. In 1.0 its vlmul is
// reserved, so vl becomes 0. Without vectors it traps.
static int try_vectors(unsigned *vlen)
{
    struct sigaction action = {.sa_handler = on_trap};
    volatile int found = 0;
    sigaction(SIGILL, &action, NULL);
    if (sigsetjmp(trapped, 1))
        return found;
    unsigned long vl, vlenb;
    __asm__ volatile(".word 0x004072d7\n\tmv %0, t0" : "=r"(vl) : : "t0");
    found = vl ? 7 : 10;
    *vlen = (unsigned)vl * 16;
    if (found == 10) {
        __asm__ volatile("csrr %0, 0xc22" : "=r"(vlenb)); // vlenb
        *vlen = (unsigned)vlenb * 8;
    }
    return found;
}

static void detect(void)
{
    cpu.arch = sizeof(void *) == 8 ? "riscv64" : "riscv32";
    int ends[2];
    unsigned answer[2] = {0, 0};
    if (pipe(ends) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        unsigned vlen = 0;
        answer[0] = (unsigned)try_vectors(&vlen);
        answer[1] = vlen;
        _exit(write(ends[1], answer, sizeof answer) == (ssize_t)sizeof answer ? 0 : 1);
    }
    close(ends[1]);
    if (child > 0) {
        if (read(ends[0], answer, sizeof answer) != (ssize_t)sizeof answer)
            answer[0] = 0;
        waitpid(child, NULL, 0);
    }
    close(ends[0]);
    if (answer[0] == 7)
        cpu.features |= DT_CPU_RVV07;
    if (answer[0] == 10)
        cpu.features |= DT_CPU_RVV10;
    if (answer[0])
        cpu.vlen = answer[1];
}

#elif defined(__aarch64__)

// Names the model by the current core's main identification register, which the kernel emulates if
// HWCAP_CPUID is set.
static void model_from_register(void)
{
    static const struct {
        unsigned part;
        const char *name;
    } ours[] = {
        // of implementer 0x41, Arm
        {0xd03, "Cortex-A53"}, {0xd04, "Cortex-A35"},  {0xd05, "Cortex-A55"},
        {0xd07, "Cortex-A57"}, {0xd08, "Cortex-A72"},  {0xd09, "Cortex-A73"},
        {0xd0a, "Cortex-A75"}, {0xd0b, "Cortex-A76"},  {0xd0c, "Neoverse-N1"},
        {0xd0d, "Cortex-A77"}, {0xd40, "Neoverse-V1"}, {0xd41, "Cortex-A78"},
        {0xd44, "Cortex-X1"},  {0xd46, "Cortex-A510"}, {0xd47, "Cortex-A710"},
        {0xd48, "Cortex-X2"},  {0xd49, "Neoverse-N2"}, {0xd4f, "Neoverse-V2"},
    };
    uint64_t id;
    __asm__("mrs %0, midr_el1" : "=r"(id));
    unsigned implementer = id >> 24 & 255, part = id >> 4 & 4095;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (implementer == 0x41 && part == ours[i].part) {
            dt_format(cpu_model, sizeof cpu_model, "Arm %s", ours[i].name);
            return;
        }
    }
    dt_format(cpu_model, sizeof cpu_model, "ARM implementer 0x%x, part 0x%x", implementer, part);
}

static void detect(void)
{
    cpu.arch = "aarch64";
    unsigned long have = getauxval(AT_HWCAP);
    if (have & 1u << 1) // HWCAP_ASIMD
        cpu.features |= DT_CPU_NEON;
    if (have & 1u << 20) // HWCAP_ASIMDDP
        cpu.features |= DT_CPU_DOTPROD;
    if (have & 1u << 11) // HWCAP_CPUID
        model_from_register();
}

#else

static void detect(void)
{
    cpu.arch = "other";
}

#endif

// Takes the model's name from /proc/cpuinfo, for machines without CPUID.
static void model_from_kernel(void)
{
    static const char *const labels[] = {"model name", "uarch", "Model", "isa"};
    char text[2048];
    int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        const char *line = strstr(text, labels[i]);
        const char *value = line ? strchr(line, ':') : NULL;
        if (!value)
            continue;
        value += strspn(value, ": \t");
        dt_format(cpu_model, sizeof cpu_model, "%.*s", (int)strcspn(value, "\n"), value);
        return;
    }
}

// DUOTALE_CPU lists the features to leave enabled ("none": no feature). It cannot add any.
static void mask_by_environment(void)
{
    const char *list = getenv("DUOTALE_CPU");
    if (!list)
        return;
    uint64_t keep = 0;
    while (*list) {
        size_t n = strcspn(list, ", +");
        for (size_t i = 0; i < sizeof feature_names / sizeof *feature_names; i++) {
            if (n == strlen(feature_names[i].name) && strncmp(list, feature_names[i].name, n) == 0)
                keep |= feature_names[i].bit;
        }
        list += n + (list[n] != 0);
    }
    cpu.features &= keep;
}

static void fill(void)
{
    cpu.size = sizeof cpu;
    detect();
    if (!cpu_model[0])
        model_from_kernel();
    cpu_model[sizeof cpu_model - 1] = 0;
    size_t n = strlen(cpu_model);
    while (n > 0 && cpu_model[n - 1] == ' ')
        cpu_model[--n] = 0;
    cpu.model = cpu_model[0] ? cpu_model : "unknown";
    mask_by_environment();
}

const struct dt_cpu *dt_cpu(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    return &cpu;
}

const char *dt_cpu_features(const struct dt_cpu *which, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < sizeof feature_names / sizeof *feature_names; i++) {
        if (which->features & feature_names[i].bit && used < size)
            used += dt_format(out + used, size - used, used ? " %s" : "%s", feature_names[i].name);
    }
    return out;
}
