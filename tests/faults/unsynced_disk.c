/* For LD_PRELOAD. Copies a database file to NAME.synced after each successful fsync or fdatasync: to simulate a power cut,
   kill the processes and replace the files with their copies. A deleted file keeps its copy until its folder is synced.

   After stop_at(n) the process ends, as by kill -9, before the n-th operation that changes or syncs a database file. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define STOPPED 77
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long done = 0, last = 0; /* 0: never stops */

long operations(void) { return __atomic_load_n(&done, __ATOMIC_SEQ_CST); }

void stop_at(long operation) {
    __atomic_store_n(&done, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&last, operation, __ATOMIC_SEQ_CST);
}

/* Also called by the program itself, where it tells others something. */
void before_operation(void) {
    if (__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST) == __atomic_load_n(&last, __ATOMIC_SEQ_CST)) _exit(STOPPED);
}

static int is_database(const char *path) { return strstr(path, "bridge.db") && !strstr(path, ".lock"); }

static int path_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_database(path);
}

static void before(int fd) {
    char path[PATH_MAX];
    if (path_of(fd, path)) before_operation();
}

/* Deletions in a synced folder are final. */
static void forget_deleted(const char *folder) {
    char file[PATH_MAX + 256], copy[PATH_MAX + 280];
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        char *suffix = strstr(entry->d_name, ".synced");
        if (!suffix) continue;
        snprintf(copy, sizeof copy, "%s/%s", folder, entry->d_name);
        snprintf(file, sizeof file, "%s/%.*s", folder, (int)(suffix - entry->d_name), entry->d_name);
        if (access(file, F_OK)) REAL(unlink)(copy);
    }
    if (entries) closedir(entries);
}

static void keep(int fd) {
    char path[PATH_MAX], copy[PATH_MAX + 16], fresh[PATH_MAX + 16];
    struct stat found;
    int is_ours = path_of(fd, path);
    if (fstat(fd, &found)) return;
    if (S_ISDIR(found.st_mode)) forget_deleted(path);
    if (!is_ours || !S_ISREG(found.st_mode)) return;
    snprintf(copy, sizeof copy, "%s.synced", path);
    snprintf(fresh, sizeof fresh, "%s.fresh", path);
    int from = open(path, O_RDONLY), to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t at = 0;
    while (at < found.st_size && sendfile(to, from, &at, found.st_size - at) > 0) {}
    close(from);
    close(to);
    REAL(rename)(fresh, copy);
}

#define SYNC(name)                            \
    int name(int fd) {                        \
        before(fd);                           \
        int result = REAL(name)(fd);          \
        if (!result) keep(fd);                \
        return result;                        \
    }

SYNC(fsync)
SYNC(fdatasync)

ssize_t write(int fd, const void *bytes, size_t count) {
    before(fd);
    return REAL(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    before(fd);
    return REAL(pwrite)(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    before(fd);
    return REAL(pwrite64)(fd, bytes, count, at);
}

int ftruncate(int fd, off_t length) {
    before(fd);
    return REAL(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    before(fd);
    return REAL(ftruncate64)(fd, length);
}

int unlink(const char *path) {
    if (is_database(path)) before_operation();
    return REAL(unlink)(path);
}

int rename(const char *from, const char *to) {
    if (is_database(to)) before_operation();
    return REAL(rename)(from, to);
}
