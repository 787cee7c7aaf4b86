// Memory: "device" memory is the host's, so copies are copies. Kernels never run, so what they would write stays zero.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "abi.h"
#include "config.h"

namespace {

struct Block {
    std::size_t size;
    int device;
    bool host;
};

std::mutex guard;

std::map<char *, Block> &blocks() {
    static auto *all = new std::map<char *, Block>;  // outlives every destructor that still frees
    return *all;
}

std::size_t used(int device) {
    std::size_t sum = 0;
    for (const auto &entry : blocks()) {
        if (!entry.second.host && entry.second.device == device) sum += entry.second.size;
    }
    return sum;
}

hipError_t allocate(void **result, std::size_t size, bool host) {
    if (!result) return rig::failed(hipErrorInvalidValue);
    *result = nullptr;
    if (!size) return hipSuccess;
    const std::lock_guard<std::mutex> lock(guard);
    const int device = rig::current_device();
    if (!host && size > rig::config().devices[device].memory - used(device)) return rig::failed(hipErrorOutOfMemory);
    // Pages that nobody touches take no memory: a backend may reserve gigabytes.
    void *pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return rig::failed(hipErrorOutOfMemory);
    blocks()[static_cast<char *>(pages)] = Block{size, device, host};
    *result = pages;
    return hipSuccess;
}

hipError_t release(void *pointer) {
    if (!pointer) return hipSuccess;
    const std::lock_guard<std::mutex> lock(guard);
    const auto found = blocks().find(static_cast<char *>(pointer));
    if (found == blocks().end()) return rig::failed(hipErrorInvalidValue);
    munmap(pointer, found->second.size);
    blocks().erase(found);
    return hipSuccess;
}

hipError_t copy_rows(void *to, std::size_t to_pitch, const void *from, std::size_t from_pitch, std::size_t width,
                     std::size_t height) {
    for (std::size_t row = 0; row < height; ++row) {
        std::memmove(static_cast<char *>(to) + row * to_pitch, static_cast<const char *>(from) + row * from_pitch, width);
    }
    return hipSuccess;
}

}  // namespace

RIG_API hipError_t hipMalloc(void **result, std::size_t size) { return allocate(result, size, false); }
RIG_API hipError_t hipMallocAsync(void **result, std::size_t size, hipStream_t) { return allocate(result, size, false); }
RIG_API hipError_t hipMallocManaged(void **result, std::size_t size, unsigned) { return allocate(result, size, false); }
RIG_API hipError_t hipExtMallocWithFlags(void **result, std::size_t size, unsigned) {
    return allocate(result, size, false);
}
RIG_API hipError_t hipHostMalloc(void **result, std::size_t size, unsigned) { return allocate(result, size, true); }
RIG_API hipError_t hipFree(void *pointer) { return release(pointer); }
RIG_API hipError_t hipFreeAsync(void *pointer, hipStream_t) { return release(pointer); }
RIG_API hipError_t hipHostFree(void *pointer) { return release(pointer); }
RIG_API hipError_t hipHostRegister(void *, std::size_t, unsigned) { return hipSuccess; }
RIG_API hipError_t hipHostUnregister(void *) { return hipSuccess; }
RIG_API hipError_t hipHostGetDevicePointer(void **result, void *host, unsigned) {
    *result = host;
    return hipSuccess;
}
RIG_API hipError_t hipMemAdvise(const void *, std::size_t, int, int) { return hipSuccess; }
RIG_API hipError_t hipMemPrefetchAsync(const void *, std::size_t, int, hipStream_t) { return hipSuccess; }

RIG_API hipError_t hipMemGetInfo(std::size_t *free_bytes, std::size_t *total) {
    const std::lock_guard<std::mutex> lock(guard);
    const int device = rig::current_device();
    *total = rig::config().devices[device].memory;
    *free_bytes = *total - used(device);
    return hipSuccess;
}

RIG_API hipError_t hipPointerGetAttributes(hipPointerAttribute_t *result, const void *pointer) {
    const std::lock_guard<std::mutex> lock(guard);
    std::memset(result, 0, sizeof *result);
    const auto *address = static_cast<const char *>(pointer);
    for (auto &entry : blocks()) {
        if (address < entry.first || address >= entry.first + entry.second.size) continue;
        result->type = entry.second.host ? 1 : 2;
        result->device = entry.second.device;
        result->devicePointer = const_cast<void *>(pointer);
        result->hostPointer = entry.second.host ? const_cast<void *>(pointer) : nullptr;
        return hipSuccess;
    }
    return rig::failed(hipErrorInvalidValue);
}

RIG_API hipError_t hipMemcpy(void *to, const void *from, std::size_t size, int) {
    if (size) std::memmove(to, from, size);
    return hipSuccess;
}
RIG_API hipError_t hipMemcpyAsync(void *to, const void *from, std::size_t size, int kind, hipStream_t) {
    return hipMemcpy(to, from, size, kind);
}
RIG_API hipError_t hipMemcpyPeerAsync(void *to, int, const void *from, int, std::size_t size, hipStream_t) {
    return hipMemcpy(to, from, size, 0);
}
RIG_API hipError_t hipMemcpy2D(void *to, std::size_t to_pitch, const void *from, std::size_t from_pitch,
                               std::size_t width, std::size_t height, int) {
    return copy_rows(to, to_pitch, from, from_pitch, width, height);
}
RIG_API hipError_t hipMemcpy2DAsync(void *to, std::size_t to_pitch, const void *from, std::size_t from_pitch,
                                    std::size_t width, std::size_t height, int, hipStream_t) {
    return copy_rows(to, to_pitch, from, from_pitch, width, height);
}
RIG_API hipError_t hipMemset(void *to, int value, std::size_t size) {
    if (size) std::memset(to, value, size);
    return hipSuccess;
}
RIG_API hipError_t hipMemsetAsync(void *to, int value, std::size_t size, hipStream_t) {
    return hipMemset(to, value, size);
}
RIG_API hipError_t hipDeviceGetDefaultMemPool(void **pool, int) {
    static int only;
    *pool = &only;
    return hipSuccess;
}
RIG_API hipError_t hipMemPoolTrimTo(void *, std::size_t) { return hipSuccess; }
RIG_API hipError_t hipMemPoolSetAttribute(void *, int, void *) { return hipSuccess; }
