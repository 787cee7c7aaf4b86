// Which files of device code and tables the program opens: the C library's own calls, told and passed on.
#include <dlfcn.h>
#include <fcntl.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "abi.h"
#include "record.h"

namespace {

bool of_interest(const char *path) {
    static const char *endings[] = {".dat", ".co", ".hsaco", ".kpack", ".hipfb", ".yaml"};
    const std::size_t length = path ? std::strlen(path) : 0;
    for (const char *ending : endings) {
        const std::size_t own = std::strlen(ending);
        if (length > own && std::strcmp(path + length - own, ending) == 0) return !rig::busy();
    }
    return false;
}

void record(const char *path, bool opened) {
    const int error = errno;
    rig::Event("open").text("path", path).flag("opened", opened);
    errno = error;
}

template <typename F>
F next(const char *name) {
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

using Open = int (*)(const char *, int, ...);
using OpenAt = int (*)(int, const char *, int, ...);
using FileOpen = FILE *(*)(const char *, const char *);

int open_with(const char *name, const char *path, int flags, mode_t mode) {
    const int file = next<Open>(name)(path, flags, mode);
    if (of_interest(path)) record(path, file >= 0);
    return file;
}

int open_at_with(const char *name, int folder, const char *path, int flags, mode_t mode) {
    const int file = next<OpenAt>(name)(folder, path, flags, mode);
    if (of_interest(path)) record(path, file >= 0);
    return file;
}

FILE *file_open_with(const char *name, const char *path, const char *mode) {
    FILE *file = next<FileOpen>(name)(path, mode);
    if (of_interest(path)) record(path, file != nullptr);
    return file;
}

mode_t mode_of(int flags, va_list arguments) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

#define RIG_OPEN(NAME)                                  \
    RIG_API int NAME(const char *path, int flags, ...) { \
        va_list arguments;                              \
        va_start(arguments, flags);                     \
        const mode_t mode = mode_of(flags, arguments);  \
        va_end(arguments);                              \
        return open_with(#NAME, path, flags, mode);     \
    }
#define RIG_OPEN_AT(NAME)                                           \
    RIG_API int NAME(int folder, const char *path, int flags, ...) { \
        va_list arguments;                                          \
        va_start(arguments, flags);                                 \
        const mode_t mode = mode_of(flags, arguments);              \
        va_end(arguments);                                          \
        return open_at_with(#NAME, folder, path, flags, mode);      \
    }

RIG_OPEN(open)
RIG_OPEN(open64)
RIG_OPEN_AT(openat)
RIG_OPEN_AT(openat64)

RIG_API FILE *fopen(const char *path, const char *mode) { return file_open_with("fopen", path, mode); }
RIG_API FILE *fopen64(const char *path, const char *mode) { return file_open_with("fopen64", path, mode); }
