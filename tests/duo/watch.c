// SPDX-License-Identifier: MIT
// watch NAME...: reads the memory figures of programs every 20 ms until standard input ends.
//
// NAME is a part of the path of a program, or of the path that the bundle's loader starts. Prints:
//   least MemAvailable: N kB
//   NAME: most resident N kB, of which anonymous N kB, runs N
// "most resident" is VmHWM, the kernel's high-water mark, so that short peaks count too.
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct watched {
    const char *name;
    long resident, anonymous, runs;
    long pid; // of the last process found
};

static long field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

// Reads a file as text, with spaces for NUL bytes; an empty text if it cannot be read. Returns the
// length.
static size_t slurp(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;
    if (fd >= 0)
        close(fd);
    n = n < 0 ? 0 : n;
    for (ssize_t i = 0; i < n; i++)
        text[i] = text[i] ? text[i] : ' ';
    text[n] = '\0';
    return (size_t)n;
}

// The program of a command line: the first word; after a loader, the word after its options.
static const char *program(char *line)
{
    char *word = strtok(line, " ");
    if (word && strstr(word, "/ld-linux")) {
        while ((word = strtok(NULL, " ")) && word[0] == '-')
            strtok(NULL, " "); // --library-path PATH
    }
    return word ? word : "";
}

static void look_at(long pid, struct watched *watched, int count)
{
    char path[64], text[4096], line[1024];
    snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
    if (slurp(path, line, sizeof line) == 0)
        return;
    const char *name = program(line);
    for (int i = 0; i < count; i++) {
        struct watched *w = &watched[i];
        if (!strstr(name, w->name))
            continue;
        snprintf(path, sizeof path, "/proc/%ld/status", pid);
        slurp(path, text, sizeof text);
        long resident = field(text, "VmHWM:"), anonymous = field(text, "RssAnon:");
        w->resident = resident > w->resident ? resident : w->resident;
        w->anonymous = anonymous > w->anonymous ? anonymous : w->anonymous;
        w->runs += w->pid != pid;
        w->pid = pid;
        return;
    }
}

int main(int argc, char **argv)
{
    struct watched watched[16] = {{0}};
    int count = argc - 1 < 16 ? argc - 1 : 16;
    long least = -1;
    char text[4096];
    for (int i = 0; i < count; i++)
        watched[i].name = argv[i + 1];
    for (;;) {
        slurp("/proc/meminfo", text, sizeof text);
        long available = field(text, "MemAvailable:");
        least = least < 0 || available < least ? available : least;
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; proc && (entry = readdir(proc));)
            if (isdigit((unsigned char)entry->d_name[0]))
                look_at(atol(entry->d_name), watched, count);
        if (proc)
            closedir(proc);
        struct pollfd input = {.fd = 0, .events = POLLIN};
        if (poll(&input, 1, 20) > 0 && read(0, text, sizeof text) <= 0)
            break;
    }
    printf("least MemAvailable: %ld kB\n", least);
    for (int i = 0; i < count; i++)
        printf("%s: most resident %ld kB, of which anonymous %ld kB, runs %ld\n", watched[i].name,
               watched[i].resident, watched[i].anonymous, watched[i].runs);
    return 0;
}
