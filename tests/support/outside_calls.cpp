// Preloaded into a command, writes a line for every name that is looked up, every connection, and every file that is
// opened for writing, to the file that OUTSIDE_CALLS names. Calls that a C library makes within itself are not seen.
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

template <typename Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

void say(const std::string& kind, const std::string& what) {
    const char* path = std::getenv("OUTSIDE_CALLS");
    if (path == nullptr) return;
    static const auto real_open = next<int (*)(const char*, int, ...)>("open");
    const int file = real_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const std::string line = kind + " " + what + "\n";
    if (file < 0 || write(file, line.data(), line.size()) < 0) std::abort();
    close(file);
}

std::string absolute(int folder, const char* path) {
    if (path[0] == '/') return path;
    char here[4096] = "";
    if (folder == AT_FDCWD) {
        if (getcwd(here, sizeof here) == nullptr) std::abort();
    } else {
        const std::string link = "/proc/self/fd/" + std::to_string(folder);
        if (readlink(link.c_str(), here, sizeof here - 1) < 0) std::abort();
    }
    return std::string(here) + "/" + path;
}

void opened(int folder, const char* path, int flags) {
    const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
    if (path != nullptr && writes) say("write", absolute(folder, path));
}

mode_t mode_of(int flags, va_list& rest) {
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

}  // namespace

extern "C" {

#define OPEN(name)                                              \
    int name(const char* path, int flags, ...) {                \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        const mode_t mode = mode_of(flags, rest);               \
        va_end(rest);                                           \
        opened(AT_FDCWD, path, flags);                          \
        return next<int (*)(const char*, int, ...)>(#name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                            \
    int name(int folder, const char* path, int flags, ...) {    \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        const mode_t mode = mode_of(flags, rest);               \
        va_end(rest);                                           \
        opened(folder, path, flags);                            \
        return next<int (*)(int, const char*, int, ...)>(#name)(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

int creat(const char* path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

#define FOPEN(name)                                                       \
    FILE* name(const char* path, const char* mode) {                      \
        if (std::strpbrk(mode, "wa+") != nullptr) opened(AT_FDCWD, path, O_WRONLY); \
        return next<FILE* (*)(const char*, const char*)>(#name)(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

int mkdir(const char* path, mode_t mode) {
    say("write", absolute(AT_FDCWD, path));
    return next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
    say("lookup", node == nullptr ? "(none)" : node);
    return next<int (*)(const char*, const char*, const addrinfo*, addrinfo**)>("getaddrinfo")(node, service, hints, found);
}

hostent* gethostbyname(const char* name) {
    say("lookup", name);
    return next<hostent* (*)(const char*)>("gethostbyname")(name);
}

int connect(int socket, const sockaddr* address, socklen_t size) {
    if (address->sa_family != AF_UNIX) say("connect", std::to_string(address->sa_family));
    return next<int (*)(int, const sockaddr*, socklen_t)>("connect")(socket, address, size);
}

int socket(int family, int kind, int protocol) {
    if (family != AF_UNIX && family != AF_NETLINK) say("socket", std::to_string(family));
    return next<int (*)(int, int, int)>("socket")(family, kind, protocol);
}

}  // extern "C"
