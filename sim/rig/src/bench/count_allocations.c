/* Counts what a region's process asks of malloc and memcpy, for LD_PRELOAD in `cargo xtask bench` alone.
 *
 * Rust's allocator calls malloc, calloc, realloc and posix_memalign; the C++ of the storage engine calls operator new, which is counted
 * apart. A copy of COPY_BYTES or more is what moving a message's body costs. The numbers lie in a file that the bench reads while
 * the process runs: ARCHIPELAGO_COUNTS names it. Copies that the compiler wrote inline are not seen; it does not do so with bodies, whose length it does not know. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define COPY_BYTES 1024

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

struct counts { _Atomic uint64_t allocations, allocated_bytes, engine_allocations, copies, copied_bytes; };
static struct counts unread;
static struct counts *counts = &unread;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("ARCHIPELAGO_COUNTS");
    int file = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
    if (file < 0) return;
    if (ftruncate(file, sizeof(struct counts)) == 0) {
        void *shared = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (shared != MAP_FAILED) counts = shared;
    }
    close(file);
}

static void count(size_t bytes) {
    atomic_fetch_add_explicit(&counts->allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->allocated_bytes, bytes, memory_order_relaxed);
}

void *malloc(size_t bytes) { count(bytes); return __libc_malloc(bytes); }
void *calloc(size_t number, size_t bytes) { count(number * bytes); return __libc_calloc(number, bytes); }
void *realloc(void *old, size_t bytes) { count(bytes); return __libc_realloc(old, bytes); }
int posix_memalign(void **result, size_t alignment, size_t bytes) {
    count(bytes);
    *result = __libc_memalign(alignment, bytes);
    return *result ? 0 : ENOMEM;
}

/* operator new(size_t), whose only caller here is the storage engine. */
void *_Znwm(size_t bytes) {
    atomic_fetch_add_explicit(&counts->engine_allocations, 1, memory_order_relaxed);
    void *result = __libc_malloc(bytes ? bytes : 1);
    if (!result) abort();
    return result;
}

static void copied(size_t bytes) {
    if (bytes < COPY_BYTES) return;
    atomic_fetch_add_explicit(&counts->copies, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->copied_bytes, bytes, memory_order_relaxed);
}

typedef void *(*copy_function)(void *, const void *, size_t);
static void *slow_copy(void *to, const void *from, size_t bytes) {
    if ((uintptr_t)to - (uintptr_t)from >= bytes) {
        for (size_t at = 0; at < bytes; at++) ((volatile char *)to)[at] = ((const char *)from)[at];
    } else {
        for (size_t at = bytes; at-- > 0;) ((volatile char *)to)[at] = ((const char *)from)[at];
    }
    return to;
}
static void *find_memcpy(void *to, const void *from, size_t bytes);
static void *find_memmove(void *to, const void *from, size_t bytes);
static _Atomic(copy_function) real_memcpy = find_memcpy, real_memmove = find_memmove;

/* While the linker looks it up it may copy by itself. */
static void *find_memcpy(void *to, const void *from, size_t bytes) {
    real_memcpy = slow_copy;
    copy_function found = (copy_function)dlsym(RTLD_NEXT, "memcpy");
    if (found) real_memcpy = found;
    return real_memcpy(to, from, bytes);
}
static void *find_memmove(void *to, const void *from, size_t bytes) {
    real_memmove = slow_copy;
    copy_function found = (copy_function)dlsym(RTLD_NEXT, "memmove");
    if (found) real_memmove = found;
    return real_memmove(to, from, bytes);
}
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) { copied(bytes); return real_memcpy(to, from, bytes); }
void *memmove(void *to, const void *from, size_t bytes) { copied(bytes); return real_memmove(to, from, bytes); }
