// Device code: fat binaries that are registered, modules that are loaded, kernels that are looked up and launched.
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "abi.h"
#include "bundle.h"
#include "config.h"
#include "record.h"

namespace {

constexpr unsigned kWrapperMagic = 0x48495046;  // "HIPF"

struct Wrapper {
    unsigned magic, version;
    const unsigned char *binary;
    void *unused;
};

struct FatBinary {
    std::string library;
    std::vector<rig::Loaded> per_device;
};

struct StaticKernel {
    const FatBinary *binary;
    std::string name;
};

struct Kernel {
    std::string name, target;
};

struct Module {
    std::shared_ptr<const rig::CodeObject> object;
    std::map<std::string, Kernel> asked;  // a function's handle is the address of its entry
};

struct Launch {
    dim3 grid, block;
    std::size_t shared;
    hipStream_t stream;
};

struct State {
    std::mutex guard;
    std::map<const void *, StaticKernel> kernels;  // by the address of the host's stub
};

State &state() {
    static auto *only = new State;  // libraries unregister after our own destructors
    return *only;
}

thread_local std::vector<Launch> configured;

struct Place {
    const unsigned char *image;
    std::string library;
    std::size_t room;
};

int find_segment(dl_phdr_info *info, std::size_t, void *data) {
    auto *place = static_cast<Place *>(data);
    const auto address = reinterpret_cast<std::uintptr_t>(place->image);
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto &segment = info->dlpi_phdr[i];
        const auto start = info->dlpi_addr + segment.p_vaddr;
        if (segment.p_type != PT_LOAD || address < start || address >= start + segment.p_memsz) continue;
        place->library = info->dlpi_name;
        place->room = start + segment.p_memsz - address;
        return 1;
    }
    return 0;
}

void record_image(rig::Event &event, const rig::Loaded &loaded, int device) {
    event.number("device", device).text("format", loaded.format).list("entries", loaded.entries);
    event.text("chosen", loaded.chosen).text("target", loaded.answer.target);
    event.flag("accepted", loaded.answer.object != nullptr).text("reason", loaded.answer.reason);
    if (loaded.answer.object) {
        event.number("e_flags", loaded.answer.object->flags).number("kernels", loaded.answer.object->kernels.size());
    }
}

hipError_t load(hipModule_t *module, const unsigned char *image, std::size_t size, const char *path) {
    const rig::Busy busy;
    const int device = rig::current_device();
    const auto loaded = rig::load_image(image, size, rig::config().devices[device]);
    {
        rig::Event event("module");
        event.text("path", path);
        record_image(event, loaded, device);
    }
    if (!loaded.answer.object) {
        return rig::failed(loaded.format == "unknown" ? hipErrorInvalidImage : hipErrorNoBinaryForGpu);
    }
    *module = new Module{loaded.answer.object, {}};
    return hipSuccess;
}

hipError_t record_launch(const Kernel &kernel, dim3 groups, dim3 block, std::size_t shared, const std::string &library) {
    rig::Event("launch")
        .text("kernel", kernel.name)
        .text("target", kernel.target)
        .text("library", library)
        .list("groups", {std::to_string(groups.x), std::to_string(groups.y), std::to_string(groups.z)})
        .list("block", {std::to_string(block.x), std::to_string(block.y), std::to_string(block.z)})
        .number("shared", shared);
    return hipSuccess;
}

hipError_t launch_static(const void *function, dim3 groups, dim3 block, std::size_t shared) {
    std::string name, library, reason;
    {
        const std::lock_guard<std::mutex> lock(state().guard);
        const auto found = state().kernels.find(function);
        if (found == state().kernels.end()) {
            reason = "nobody registered it";
        } else {
            const auto &loaded = found->second.binary->per_device[rig::current_device()];
            name = found->second.name;
            library = found->second.binary->library;
            if (!loaded.answer.object) {
                reason = loaded.answer.reason;
            } else if (!loaded.answer.object->kernels.count(name)) {
                reason = "its code object does not hold it";
            } else {
                return record_launch({name, loaded.answer.target}, groups, block, shared, library);
            }
        }
    }
    rig::Event("launch-refused").text("kernel", name).text("library", library).text("reason", reason);
    return rig::failed(hipErrorInvalidDeviceFunction);
}

}  // namespace

RIG_API void **__hipRegisterFatBinary(const void *data) {
    const rig::Busy busy;
    const auto *wrapper = static_cast<const Wrapper *>(data);
    auto *binary = new FatBinary;
    Place place{wrapper->binary, "", 0};
    dl_iterate_phdr(find_segment, &place);
    binary->library = place.library;
    for (std::size_t i = 0; i < rig::config().devices.size(); ++i) {
        rig::Loaded loaded;
        loaded.format = "unknown";
        loaded.answer.reason = "its wrapper is not of a kind that HIP 6 and 7 know";
        if (wrapper->magic == kWrapperMagic && wrapper->version == 1) {
            loaded = rig::load_image(wrapper->binary, place.room, rig::config().devices[i]);
        }
        binary->per_device.push_back(loaded);
        rig::Event event("fat-binary");
        event.text("library", binary->library);
        record_image(event, loaded, static_cast<int>(i));
    }
    return reinterpret_cast<void **>(binary);
}

RIG_API void __hipRegisterFunction(void **modules, const void *host, char *, const char *name, unsigned, void *, void *,
                                   void *, void *, int *) {
    const std::lock_guard<std::mutex> lock(state().guard);
    state().kernels[host] = StaticKernel{reinterpret_cast<const FatBinary *>(modules), name};
}

RIG_API void __hipRegisterVar(void **, void *, char *, char *, int, std::size_t, int, int) {}
RIG_API void __hipRegisterManagedVar(void *, void **, void *, const char *, std::size_t, unsigned) {}
RIG_API void __hipRegisterSurface(void **, void *, char *, char *, int, int) {}
RIG_API void __hipRegisterTexture(void **, void *, char *, char *, int, int, int) {}
RIG_API void __hipUnregisterFatBinary(void **) {}

RIG_API hipError_t __hipPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared, hipStream_t stream) {
    configured.push_back({grid, block, shared, stream});
    return hipSuccess;
}

RIG_API hipError_t __hipPopCallConfiguration(dim3 *grid, dim3 *block, std::size_t *shared, hipStream_t *stream) {
    if (configured.empty()) return rig::failed(hipErrorInvalidValue);
    const auto launch = configured.back();
    configured.pop_back();
    *grid = launch.grid;
    *block = launch.block;
    *shared = launch.shared;
    *stream = launch.stream;
    return hipSuccess;
}

RIG_API hipError_t hipLaunchKernel(const void *function, dim3 grid, dim3 block, void **, std::size_t shared, hipStream_t) {
    return launch_static(function, grid, block, shared);
}

RIG_API hipError_t hipLaunchCooperativeKernel(const void *function, dim3 grid, dim3 block, void **, unsigned shared,
                                              hipStream_t) {
    return launch_static(function, grid, block, shared);
}

RIG_API hipError_t hipExtLaunchKernel(const void *function, dim3 grid, dim3 block, void **, std::size_t shared,
                                      hipStream_t, hipEvent_t, hipEvent_t, int) {
    return launch_static(function, grid, block, shared);
}

RIG_API hipError_t hipModuleLoadData(hipModule_t *module, const void *image) {
    if (!image) return rig::failed(hipErrorInvalidValue);
    return load(module, static_cast<const unsigned char *>(image), 0, "");
}

RIG_API hipError_t hipModuleLoadDataEx(hipModule_t *module, const void *image, unsigned, int *, void **) {
    return hipModuleLoadData(module, image);
}

RIG_API hipError_t hipModuleLoad(hipModule_t *module, const char *path) {
    const rig::Busy busy;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || !status.st_size) {
        if (file >= 0) close(file);
        rig::Event("module").text("path", path).flag("accepted", false).text("reason", "the file cannot be read");
        return rig::failed(hipErrorFileNotFound);
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    void *pages = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (pages == MAP_FAILED) return rig::failed(hipErrorOutOfMemory);
    const auto result = load(module, static_cast<const unsigned char *>(pages), size, path);
    munmap(pages, size);
    return result;
}

RIG_API hipError_t hipModuleUnload(hipModule_t) { return hipSuccess; }  // functions of it may still be compared

RIG_API hipError_t hipModuleGetFunction(hipFunction_t *function, hipModule_t module, const char *name) {
    auto *loaded = static_cast<Module *>(module);
    if (!loaded || !name) return rig::failed(hipErrorInvalidHandle);
    const bool there = loaded->object->kernels.count(name) != 0;
    rig::Event("kernel").text("kernel", name).flag("found", there).text("target", loaded->object->target);
    if (!there) return rig::failed(hipErrorNotFound);
    const std::lock_guard<std::mutex> lock(state().guard);
    auto &kernel = loaded->asked[name];
    kernel = Kernel{name, loaded->object->target};
    *function = &kernel;
    return hipSuccess;
}

RIG_API hipError_t hipModuleLaunchKernel(hipFunction_t function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                                         unsigned by, unsigned bz, unsigned shared, hipStream_t, void **, void **) {
    if (!function) return rig::failed(hipErrorInvalidHandle);
    return record_launch(*static_cast<const Kernel *>(function), {gx, gy, gz}, {bx, by, bz}, shared, "");
}

// Its grid is counted in threads.
RIG_API hipError_t hipExtModuleLaunchKernel(hipFunction_t function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                                            unsigned by, unsigned bz, std::size_t shared, hipStream_t, void **, void **,
                                            hipEvent_t, hipEvent_t, unsigned) {
    if (!function || !bx || !by || !bz) return rig::failed(hipErrorInvalidHandle);
    return record_launch(*static_cast<const Kernel *>(function), {gx / bx, gy / by, gz / bz}, {bx, by, bz}, shared, "");
}

RIG_API hipError_t hipFuncGetAttributes(hipFuncAttributes *attributes, const void *) {
    std::memset(attributes, 0, sizeof *attributes);
    attributes->maxThreadsPerBlock = 1024;
    attributes->numRegs = 64;
    return hipSuccess;
}

RIG_API hipError_t hipFuncSetAttribute(const void *, int, int) { return hipSuccess; }

RIG_API hipError_t hipOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *, int, std::size_t) {
    *blocks = 2;
    return hipSuccess;
}

RIG_API hipError_t hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, hipFunction_t, int, std::size_t) {
    *blocks = 2;
    return hipSuccess;
}
