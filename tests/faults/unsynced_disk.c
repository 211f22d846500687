/* For LD_PRELOAD: copies a file to NAME.synced after each successful fsync or fdatasync. To simulate a power cut, kill the
   processes and replace the files with their copies. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static void keep(int fd) {
    char link[64], path[PATH_MAX], copy[PATH_MAX + 16], fresh[PATH_MAX + 16];
    struct stat found;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || fstat(fd, &found) || !S_ISREG(found.st_mode)) return;
    path[length] = 0;
    if (!strstr(path, "bridge.db")) return;
    snprintf(copy, sizeof copy, "%s.synced", path);
    snprintf(fresh, sizeof fresh, "%s.fresh", path);
    int from = open(path, O_RDONLY), to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t at = 0;
    while (at < found.st_size && sendfile(to, from, &at, found.st_size - at) > 0) {}
    close(from);
    close(to);
    rename(fresh, copy);
}

#define SYNC(name)                                                  \
    int name(int fd) {                                              \
        int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name);   \
        int result = real(fd);                                      \
        if (!result) keep(fd);                                      \
        return result;                                              \
    }

SYNC(fsync)
SYNC(fdatasync)
