/* A disk that forgets, for LD_PRELOAD: remembers what each file's last returned sync covered.
 *
 * A SIGKILL alone keeps the page cache, so a store that never syncs would pass a kill test. This shim writes a journal, one line an event:
 *     S inode length    a sync of that file has returned; it covered so many bytes
 *     U inode           that file was unlinked or renamed over: its number may be used again
 * After the kill the test cuts every file back to its journalled length, and deletes files never synced. Only appends are modelled
 * (RocksDB overwrites nothing in place), and directory entries are taken to be as durable as their files.
 *
 * LYING_DISK_JOURNAL  the journal's path
 * LYING_DISK_MODE     "honest"; "ignore": syncs do nothing and say they did; "fail": after the first 200 syncs each fails with EIO;
 *                     "full": after 400,000 bytes written to files (but standard error) each write fails with ENOSPC
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int journal(void) {
    static _Atomic int fd = -1;
    if (fd < 0) {
        const char *path = getenv("LYING_DISK_JOURNAL");
        fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : 2;
    }
    return fd;
}

static int mode_is(const char *mode) {
    const char *set = getenv("LYING_DISK_MODE");
    return set && strcmp(set, mode) == 0;
}

/* One write of one short line to a file opened for appending: lines of several threads never mix. */
static void note(char event, ino_t inode, off_t length) {
    char line[64];
    int bytes = snprintf(line, sizeof line, "%c %llu %lld\n", event, (unsigned long long)inode, (long long)length);
    if (syscall(SYS_write, journal(), line, bytes) != bytes) abort();
}

static int synced(int fd, const char *name) {
    static _Atomic int calls;
    struct stat before;
    if (mode_is("ignore")) return 0;
    if (mode_is("fail") && ++calls > 200) { errno = EIO; return -1; }
    /* The length before the sync: what is written while it runs may not be covered. */
    if (fstat(fd, &before) != 0) return -1;
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (result == 0 && S_ISREG(before.st_mode)) note('S', before.st_ino, before.st_size);
    return result;
}

int fdatasync(int fd) { return synced(fd, "fdatasync"); }
int fsync(int fd) { return synced(fd, "fsync"); }

ssize_t write(int fd, const void *bytes, size_t count) {
    static _Atomic long long written;
    struct stat about;
    if (mode_is("full") && fd > 2 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && (written += count) > 400000) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, count);
}

static void forget(const char *path) {
    struct stat gone;
    if (stat(path, &gone) == 0 && S_ISREG(gone.st_mode) && gone.st_nlink == 1) note('U', gone.st_ino, 0);
}

int unlink(const char *path) {
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    forget(path);
    return real(path);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    forget(to);
    return real(from, to);
}
