/* count_calls: a library to preload that counts a process's allocations and locks. The counts lie
 * in the file that SLUICE_COUNTS names (three native 64-bit numbers: allocations, frees, locks),
 * mapped, so that the benchmark reads them while the process runs. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    uint64_t allocations, frees, locks;
};

/* glibc's own allocator, under the names that cannot be replaced. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static struct counts before_main, *counts = &before_main;

static void add(uint64_t *count)
{
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void counts_open(void)
{
    const char *path = getenv("SLUICE_COUNTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped;

    if (fd < 0)
        return;
    mapped = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        counts = mapped;
}

void *malloc(size_t size)
{
    add(&counts->allocations);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    add(&counts->allocations);
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    add(&counts->allocations);
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    add(&counts->allocations);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    add(&counts->allocations);
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}

void free(void *block)
{
    if (block)
        add(&counts->frees);
    __libc_free(block);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*real)(pthread_mutex_t *);

    if (!real)
        real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
    add(&counts->locks);
    return real(mutex);
}
