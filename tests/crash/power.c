/* Stands before the C library's calls and writes down, in their order, what a process writes to the files of one folder and
 * what it syncs, so that it can be said afterwards what a disk is sure to have had at any moment. Everything else passes.
 *
 *   POWER_DIR    the folder        POWER_LOG       where it is written down
 *   POWER_BOOT   stands for /proc/sys/kernel/random/boot_id
 *   POWER_STOP   FILE:N:WHEN, where the process is killed by itself: at the nth sync of files of this name; WHEN is b behind its
 *                beginning, e before its end, E behind it and before anybody is told
 *   POWER_FSYNC_US   how long an fsync takes; none is made in fact, as the process is killed and not the machine
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))real(#name))

enum { FILES_MAX = 512 };

struct __attribute__((packed)) record {
    char op; /* W written, T truncated, B sync begun, E sync ended */
    uint64_t inode, at;
    uint32_t length;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ino_t files[FILES_MAX];
static int file_count, log_file = -1;
static uint64_t syncs;
static ino_t stop_inode;
static long stops;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void put(char op, ino_t inode, uint64_t at, const void *bytes, size_t length) {
    struct record head = {op, inode, at, (uint32_t)length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
    if (log_file < 0)
        log_file = REAL(int, open, const char *, int, ...)(getenv("POWER_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (REAL(ssize_t, writev, int, const struct iovec *, int)(log_file, parts, 2) < 0)
        abort();
}

/* Whether the file is one of the folder's; 0 when not. */
static ino_t known(int file) {
    struct stat found;
    if (fstat(file, &found) != 0 || !S_ISREG(found.st_mode))
        return 0;
    for (int n = 0; n < file_count; n++)
        if (files[n] == found.st_ino)
            return found.st_ino;
    return 0;
}

static int is_of_no_interest(const char *path) {
    const char *left_out[] = {"-shm", ".lock", "ballast"};
    for (size_t n = 0; n < sizeof left_out / sizeof *left_out; n++)
        if (strlen(path) > strlen(left_out[n]) && strcmp(path + strlen(path) - strlen(left_out[n]), left_out[n]) == 0)
            return 1;
    return 0;
}

static int is_to_stop(const char *path) {
    const char *stop = getenv("POWER_STOP"), *name = strrchr(path, '/');
    size_t length = stop == NULL ? 0 : strcspn(stop, ":");
    return length > 0 && name != NULL && strlen(name + 1) == length && strncmp(name + 1, stop, length) == 0;
}

static int opened(int file, const char *path) {
    const char *dir = getenv("POWER_DIR");
    struct stat found;
    if (file < 0 || dir == NULL || strncmp(path, dir, strlen(dir)) != 0 || is_of_no_interest(path))
        return file;
    if (fstat(file, &found) != 0 || !S_ISREG(found.st_mode))
        return file;
    pthread_mutex_lock(&lock);
    if (known(file) == 0 && file_count < FILES_MAX)
        files[file_count++] = found.st_ino;
    if (is_to_stop(path))
        stop_inode = found.st_ino;
    pthread_mutex_unlock(&lock);
    return file;
}

/* The nth sync of the file in question has come so far. */
static void stop_at(ino_t inode, char when) {
    const char *stop = getenv("POWER_STOP"), *behind = stop == NULL ? NULL : strchr(stop, ':');
    if (behind == NULL || inode != stop_inode)
        return;
    stops += when == 'b';
    char *rest;
    if (stops == strtol(behind + 1, &rest, 10) && rest[1] == when)
        kill(getpid(), SIGKILL);
}

static const char *meant(const char *path) {
    const char *boot = getenv("POWER_BOOT");
    return boot != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot : path;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return opened(REAL(int, name, const char *, int, ...)(meant(path), flags, mode), path); \
    }
OPEN(open)
OPEN(open64)

#define PWRITE(name, offset) \
    ssize_t name(int file, const void *bytes, size_t length, offset at) { \
        ino_t inode = known(file); \
        if (inode == 0) \
            return REAL(ssize_t, name, int, const void *, size_t, offset)(file, bytes, length, at); \
        pthread_mutex_lock(&lock); \
        put('W', inode, (uint64_t)at, bytes, length); \
        ssize_t done = REAL(ssize_t, name, int, const void *, size_t, offset)(file, bytes, length, at); \
        pthread_mutex_unlock(&lock); \
        return done; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int file, const void *bytes, size_t length) {
    ino_t inode = known(file);
    if (inode == 0)
        return REAL(ssize_t, write, int, const void *, size_t)(file, bytes, length);
    pthread_mutex_lock(&lock);
    put('W', inode, (uint64_t)lseek(file, 0, SEEK_CUR), bytes, length);
    ssize_t done = REAL(ssize_t, write, int, const void *, size_t)(file, bytes, length);
    pthread_mutex_unlock(&lock);
    return done;
}

#define TRUNCATE(name, offset) \
    int name(int file, offset length) { \
        ino_t inode = known(file); \
        pthread_mutex_lock(&lock); \
        if (inode != 0) \
            put('T', inode, (uint64_t)length, NULL, 0); \
        int done = REAL(int, name, int, offset)(file, length); \
        pthread_mutex_unlock(&lock); \
        return done; \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

static int sync_it(int file) {
    ino_t inode = known(file);
    if (inode != 0) {
        pthread_mutex_lock(&lock);
        uint64_t number = ++syncs;
        put('B', inode, number, NULL, 0);
        stop_at(inode, 'b');
        pthread_mutex_unlock(&lock);
        usleep((useconds_t)atol(getenv("POWER_FSYNC_US")));
        pthread_mutex_lock(&lock);
        stop_at(inode, 'e');
        put('E', inode, number, NULL, 0);
        stop_at(inode, 'E');
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

int fsync(int file) { return sync_it(file); }
int fdatasync(int file) { return sync_it(file); }
