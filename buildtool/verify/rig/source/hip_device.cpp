// Devices: how many, what they report.
#include <cstdio>
#include <cstring>

#include "abi.h"
#include "config.h"
#include "record.h"

namespace {

thread_local int current = 0;
thread_local hipError_t last = hipSuccess;

bool valid(int device) { return device >= 0 && device < static_cast<int>(rig::config().devices.size()); }

hipDeviceProp_tR0600 properties(int index) {
    const auto &device = rig::config().devices[index];
    hipDeviceProp_tR0600 p;
    std::memset(&p, 0, sizeof p);
    std::snprintf(p.name, sizeof p.name, "%s", device.name.c_str());
    std::snprintf(p.gcnArchName, sizeof p.gcnArchName, "%s", device.target.c_str());
    p.totalGlobalMem = device.memory;
    p.sharedMemPerBlock = p.sharedMemPerBlockOptin = p.sharedMemPerMultiprocessor = 65536;
    p.maxSharedMemoryPerMultiProcessor = 65536;
    p.regsPerBlock = p.regsPerMultiprocessor = 65536;
    p.warpSize = device.warp;
    p.memPitch = 0x7fffffff;
    p.maxThreadsPerBlock = 1024;
    p.maxThreadsDim[0] = p.maxThreadsDim[1] = p.maxThreadsDim[2] = 1024;
    p.maxGridSize[0] = 0x7fffffff;
    p.maxGridSize[1] = p.maxGridSize[2] = 65536;
    p.clockRate = p.memoryClockRate = 1000000;
    p.totalConstMem = 0x7fffffff;
    p.major = device.major;
    p.minor = device.minor;
    p.textureAlignment = p.texturePitchAlignment = 256;
    p.multiProcessorCount = device.units;
    p.canMapHostMemory = 1;
    p.concurrentKernels = 1;
    p.pciBusID = index + 1;
    p.asyncEngineCount = 1;
    p.memoryBusWidth = 128;
    p.l2CacheSize = 2 << 20;
    p.maxThreadsPerMultiProcessor = 2048;
    p.cooperativeLaunch = 1;
    p.memoryPoolsSupported = 1;
    return p;
}

int attribute(const hipDeviceProp_tR0600 &p, int what) {
    switch (what) {
        case kAsyncEngineCount: return p.asyncEngineCount;
        case kCanMapHostMemory: return p.canMapHostMemory;
        case kClockRate: return p.clockRate;
        case kConcurrentKernels: return p.concurrentKernels;
        case kCooperativeLaunch: return p.cooperativeLaunch;
        case kIntegrated: return p.integrated;
        case kL2CacheSize: return p.l2CacheSize;
        case kCapabilityMajor: return p.major;
        case kCapabilityMinor: return p.minor;
        case kManagedMemory: return p.managedMemory;
        case kMaxBlockDimX:
        case kMaxBlockDimY:
        case kMaxBlockDimZ: return p.maxThreadsDim[what - kMaxBlockDimX];
        case kMaxGridDimX:
        case kMaxGridDimY:
        case kMaxGridDimZ: return p.maxGridSize[what - kMaxGridDimX];
        case kMaxThreadsPerBlock: return p.maxThreadsPerBlock;
        case kMaxThreadsPerMultiProcessor: return p.maxThreadsPerMultiProcessor;
        case kMultiprocessorCount:
        case kPhysicalMultiProcessorCount: return p.multiProcessorCount;
        case kMaxRegistersPerBlock: return p.regsPerBlock;
        case kMaxSharedMemoryPerBlock:
        case kSharedMemPerBlockOptin:
        case kSharedMemPerMultiprocessor:
        case kMaxSharedMemoryPerMultiprocessor: return static_cast<int>(p.sharedMemPerBlock);
        case kUnifiedAddressing: return p.unifiedAddressing;
        case kWarpSize: return p.warpSize;
        case kMemoryPoolsSupported: return p.memoryPoolsSupported;
        default: return 0;
    }
}

}  // namespace

namespace rig {

int current_device() { return current; }

hipError_t failed(hipError_t error) {
    last = error;
    return error;
}

}  // namespace rig

RIG_API hipError_t hipInit(unsigned) { return rig::config().devices.empty() ? hipErrorNoDevice : hipSuccess; }

RIG_API hipError_t hipGetDeviceCount(int *count) {
    *count = static_cast<int>(rig::config().devices.size());
    return *count ? hipSuccess : rig::failed(hipErrorNoDevice);
}

RIG_API hipError_t hipSetDevice(int device) {
    if (!valid(device)) return rig::failed(hipErrorInvalidDevice);
    current = device;
    return hipSuccess;
}

RIG_API hipError_t hipGetDevice(int *device) {
    if (rig::config().devices.empty()) return rig::failed(hipErrorNoDevice);
    *device = current;
    return hipSuccess;
}

RIG_API hipError_t hipGetDevicePropertiesR0600(hipDeviceProp_tR0600 *result, int device) {
    if (!valid(device)) return rig::failed(hipErrorInvalidDevice);
    *result = properties(device);
    rig::Event("properties").number("device", device).text("target", result->gcnArchName);
    return hipSuccess;
}

RIG_API hipError_t hipDeviceGetAttribute(int *value, int what, int device) {
    if (!valid(device)) return rig::failed(hipErrorInvalidDevice);
    *value = attribute(properties(device), what);
    return hipSuccess;
}

RIG_API hipError_t hipDeviceGet(int *handle, int device) {
    if (!valid(device)) return rig::failed(hipErrorInvalidDevice);
    *handle = device;
    return hipSuccess;
}

RIG_API hipError_t hipDeviceGetName(char *name, int length, int device) {
    if (!valid(device)) return rig::failed(hipErrorInvalidDevice);
    std::snprintf(name, length, "%s", rig::config().devices[device].name.c_str());
    return hipSuccess;
}

RIG_API hipError_t hipDeviceGetPCIBusId(char *id, int length, int device) {
    if (!valid(device)) return rig::failed(hipErrorInvalidDevice);
    std::snprintf(id, length, "0000:%02x:00.0", device + 1);
    return hipSuccess;
}

RIG_API hipError_t hipDeviceTotalMem(std::size_t *bytes, int device) {
    if (!valid(device)) return rig::failed(hipErrorInvalidDevice);
    *bytes = rig::config().devices[device].memory;
    return hipSuccess;
}

RIG_API hipError_t hipDeviceCanAccessPeer(int *can, int, int) {
    *can = 0;
    return hipSuccess;
}

RIG_API hipError_t hipDeviceEnablePeerAccess(int, unsigned) { return rig::failed(217); }  // ...PeerAccessUnsupported

RIG_API hipError_t hipDeviceSynchronize() { return hipSuccess; }

RIG_API hipError_t hipDeviceReset() { return hipSuccess; }

RIG_API hipError_t hipSetDeviceFlags(unsigned) { return hipSuccess; }

RIG_API hipError_t hipRuntimeGetVersion(int *version) {
    *version = rig::config().runtime_version;
    return hipSuccess;
}

RIG_API hipError_t hipDriverGetVersion(int *version) { return hipRuntimeGetVersion(version); }

RIG_API hipError_t hipGetLastError() {
    const auto error = last;
    last = hipSuccess;
    return error;
}

RIG_API hipError_t hipPeekAtLastError() { return last; }

RIG_API const char *hipGetErrorName(hipError_t error) {
    switch (error) {
        case hipSuccess: return "hipSuccess";
        case hipErrorInvalidValue: return "hipErrorInvalidValue";
        case hipErrorOutOfMemory: return "hipErrorOutOfMemory";
        case hipErrorInvalidDeviceFunction: return "hipErrorInvalidDeviceFunction";
        case hipErrorNoDevice: return "hipErrorNoDevice";
        case hipErrorInvalidDevice: return "hipErrorInvalidDevice";
        case hipErrorInvalidImage: return "hipErrorInvalidImage";
        case hipErrorNoBinaryForGpu: return "hipErrorNoBinaryForGpu";
        case hipErrorFileNotFound: return "hipErrorFileNotFound";
        case hipErrorInvalidHandle: return "hipErrorInvalidHandle";
        case hipErrorNotFound: return "hipErrorNotFound";
        case hipErrorNotSupported: return "hipErrorNotSupported";
        default: return "hipErrorUnknown";
    }
}

RIG_API const char *hipGetErrorString(hipError_t error) { return hipGetErrorName(error); }
