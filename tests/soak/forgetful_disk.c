/* Writes down, in order, what a process does to the files below one directory, for forgetful_disk.py.
 *
 * Preloaded (LD_PRELOAD) into the process. FORGETFUL_DIRECTORY is the directory, an absolute path without links;
 * FORGETFUL_JOURNAL the file that takes the records; FORGETFUL_CUT the number of the record after which the process
 * dies. What the process says on its standard output is a record too, so that the journal tells what had been
 * promised before what was written. Syncs are written down and not done: the real files are thrown away afterwards.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* A record in the journal; `length` bytes follow it. */
struct record {
    uint32_t kind;
    uint32_t file; /* which open, from 1 */
    int64_t offset;
    int64_t length;
};

enum { FILES = 4096 };

static uint32_t opened[FILES]; /* by descriptor: the number of its open, 0 for what lies elsewhere */
static uint32_t opens, records, cut;
static int journal = -1;
static const char *directory = "";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FORGETFUL_JOURNAL"), *below = getenv("FORGETFUL_DIRECTORY"), *at = getenv("FORGETFUL_CUT");
    if (!path || !below || !at) return;
    directory = below;
    cut = (uint32_t)atol(at);
    journal = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) abort();
}

static int below(const char *path) {
    size_t length = strlen(directory);
    return journal >= 0 && !strncmp(path, directory, length) && (path[length] == '/' || !path[length]);
}

static uint32_t number(int fd) {
    return journal >= 0 && fd >= 0 && fd < FILES ? opened[fd] : 0;
}

/* With the lock held, after the real thing was done. */
static void note(char kind, uint32_t file, int64_t offset, const void *data, size_t length) {
    struct record record = {(uint32_t)kind, file, offset, (int64_t)length};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)data, length}};
    if (writev(journal, parts, 2) != (ssize_t)(sizeof record + length)) abort();
    if (++records == cut) kill(getpid(), SIGKILL);
}

static int note_open(int fd, const char *path, int flags) {
    if (fd < 0 || journal < 0) return fd;
    if (fd >= FILES) abort();
    opened[fd] = below(path) ? ++opens : 0;
    if (opened[fd]) note('O', opened[fd], flags, path, strlen(path));
    return fd;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                                      \
        va_end(more);                                                                                                  \
        pthread_mutex_lock(&lock);                                                                                     \
        int fd = note_open(REAL(name)(path, flags, mode), path, flags);                                                \
        pthread_mutex_unlock(&lock);                                                                                   \
        return fd;                                                                                                     \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                   \
    int name(int at, const char *path, int flags, ...) {                                                               \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                                      \
        va_end(more);                                                                                                  \
        pthread_mutex_lock(&lock);                                                                                     \
        int fd = note_open(REAL(name)(at, path, flags, mode), path, flags);                                            \
        pthread_mutex_unlock(&lock);                                                                                   \
        return fd;                                                                                                     \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (number(fd)) opened[fd] = 0;
    int result = REAL(close)(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

#define PWRITE(name, offset_t)                                                                                         \
    ssize_t name(int fd, const void *data, size_t length, offset_t offset) {                                           \
        pthread_mutex_lock(&lock);                                                                                     \
        ssize_t result = REAL(name)(fd, data, length, offset);                                                         \
        if (number(fd) && result > 0) note('W', number(fd), offset, data, (size_t)result);                             \
        pthread_mutex_unlock(&lock);                                                                                   \
        return result;                                                                                                 \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t length) {
    uint32_t file = number(fd);
    if (!file && (fd != STDOUT_FILENO || journal < 0)) return REAL(write)(fd, data, length); /* it may block */
    pthread_mutex_lock(&lock);
    ssize_t result = REAL(write)(fd, data, length);
    if (result > 0) {
        off64_t end = file ? lseek64(fd, 0, SEEK_CUR) : 0;
        note(file ? 'W' : 'P', file, file ? end - result : 0, data, (size_t)result);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

#define FTRUNCATE(name, offset_t)                                                                                      \
    int name(int fd, offset_t size) {                                                                                  \
        pthread_mutex_lock(&lock);                                                                                     \
        int result = REAL(name)(fd, size);                                                                             \
        if (number(fd) && !result) note('T', number(fd), size, NULL, 0);                                               \
        pthread_mutex_unlock(&lock);                                                                                   \
        return result;                                                                                                 \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                                                     \
    int name(int fd) {                                                                                                 \
        if (!number(fd)) return REAL(name)(fd);                                                                        \
        pthread_mutex_lock(&lock);                                                                                     \
        note('S', number(fd), 0, NULL, 0);                                                                             \
        pthread_mutex_unlock(&lock);                                                                                   \
        return 0;                                                                                                      \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    int result = REAL(unlink)(path);
    if (below(path) && !result) note('U', 0, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *from, const char *to) {
    char both[2 * PATH_MAX + 2];
    pthread_mutex_lock(&lock);
    int result = REAL(rename)(from, to);
    if (!result && (below(from) || below(to))) {
        int length = snprintf(both, sizeof both, "%s%c%s", from, '\n', to);
        note('R', 0, 0, both, (size_t)length);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
