/* A machine whose clock is wrong, whose disk is slow, nearly full or full, for LD_PRELOAD: as much as the test says at that moment.
 *
 * BAD_MACHINE  the path of a file of four signed 64-bit numbers, in the order of `struct bad`, which the test writes while the process runs
 *
 * What it does not do: the disk's contents are as safe as ever, and nothing that the kernel itself writes is late.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct bad {
    long long clock_ahead_ms;
    long long sync_us;    /* how much longer each sync takes */
    long long full;       /* not zero: no file takes another byte */
    long long free_bytes; /* below zero: what is true */
};

static volatile struct bad *bad;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("BAD_MACHINE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *seen = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *bad, PROT_READ, MAP_SHARED, fd, 0);
    if (seen == MAP_FAILED) abort();
    close(fd);
    bad = seen;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && bad && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += bad->clock_ahead_ms / 1000;
        now->tv_nsec += bad->clock_ahead_ms % 1000 * 1000000;
        if (now->tv_nsec >= 1000000000) { now->tv_sec++; now->tv_nsec -= 1000000000; }
        if (now->tv_nsec < 0) { now->tv_sec--; now->tv_nsec += 1000000000; }
    }
    return (int)result;
}

static int synced(int fd, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (bad && bad->sync_us > 0) usleep((useconds_t)bad->sync_us);
    return real(fd);
}

int fdatasync(int fd) { return synced(fd, "fdatasync"); }
int fsync(int fd) { return synced(fd, "fsync"); }

ssize_t write(int fd, const void *bytes, size_t count) {
    struct stat about;
    if (bad && bad->full && fd > 2 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, count);
}

int statvfs(const char *path, struct statvfs *found) {
    int (*real)(const char *, struct statvfs *) = (int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, "statvfs");
    int result = real(path, found);
    if (result == 0 && bad && bad->free_bytes >= 0) found->f_bavail = (fsblkcnt_t)bad->free_bytes / found->f_frsize;
    return result;
}
