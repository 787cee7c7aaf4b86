// The part of HIP's interface that the imitation needs: numbers and layouts of hip_runtime_api.h, releases 6 and 7.
#pragma once
#include <cstddef>
#include <cstdint>

#define RIG_API extern "C" __attribute__((visibility("default")))

using hipError_t = int;
constexpr hipError_t hipSuccess = 0, hipErrorInvalidValue = 1, hipErrorOutOfMemory = 2, hipErrorInvalidDeviceFunction = 98,
                     hipErrorNoDevice = 100, hipErrorInvalidDevice = 101, hipErrorInvalidImage = 200,
                     hipErrorNoBinaryForGpu = 209, hipErrorFileNotFound = 301, hipErrorInvalidHandle = 400,
                     hipErrorNotFound = 500, hipErrorNotSupported = 801;

using hipStream_t = void *;
using hipEvent_t = void *;
using hipModule_t = void *;
using hipFunction_t = void *;

struct dim3 {
    std::uint32_t x, y, z;
};

struct hipDeviceProp_tR0600 {
    char name[256];
    char uuid[16];
    char luid[8];
    unsigned luidDeviceNodeMask;
    std::size_t totalGlobalMem, sharedMemPerBlock;
    int regsPerBlock, warpSize;
    std::size_t memPitch;
    int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3], clockRate;
    std::size_t totalConstMem;
    int major, minor;
    std::size_t textureAlignment, texturePitchAlignment;
    int deviceOverlap, multiProcessorCount, kernelExecTimeoutEnabled, integrated, canMapHostMemory, computeMode;
    int textures[40];  // limits of textures and surfaces, none of them asked for by a BLAS
    std::size_t surfaceAlignment;
    int concurrentKernels, ECCEnabled, pciBusID, pciDeviceID, pciDomainID, tccDriver, asyncEngineCount;
    int unifiedAddressing, memoryClockRate, memoryBusWidth, l2CacheSize, persistingL2CacheMaxSize;
    int maxThreadsPerMultiProcessor, streamPrioritiesSupported, globalL1CacheSupported, localL1CacheSupported;
    std::size_t sharedMemPerMultiprocessor;
    int regsPerMultiprocessor, managedMemory, isMultiGpuBoard, multiGpuBoardGroupID, hostNativeAtomicSupported;
    int singleToDoublePrecisionPerfRatio, pageableMemoryAccess, concurrentManagedAccess, computePreemptionSupported;
    int canUseHostPointerForRegisteredMem, cooperativeLaunch, cooperativeMultiDeviceLaunch;
    std::size_t sharedMemPerBlockOptin;
    int pageableMemoryAccessUsesHostPageTables, directManagedMemAccessFromHost, maxBlocksPerMultiProcessor;
    int accessPolicyMaxWindowSize;
    std::size_t reservedSharedMemPerBlock;
    int hostRegisterSupported, sparseHipArraySupported, hostRegisterReadOnlySupported;
    int timelineSemaphoreInteropSupported, memoryPoolsSupported, gpuDirectRDMASupported;
    unsigned gpuDirectRDMAFlushWritesOptions;
    int gpuDirectRDMAWritesOrdering;
    unsigned memoryPoolSupportedHandleTypes;
    int deferredMappingHipArraySupported, ipcEventSupported, clusterLaunch, unifiedFunctionPointers;
    int reserved[63], hipReserved[32];
    char gcnArchName[256];
    std::size_t maxSharedMemoryPerMultiProcessor;
    int clockInstructionRate;
    unsigned arch;  // hipDeviceArch_t: one bit per ability
    unsigned *hdpMemFlushCntl, *hdpRegFlushCntl;
    int unmatched[4], isLargeBar, asicRevision;
};
static_assert(sizeof(hipDeviceProp_tR0600) == 1472, "the layout of HIP 6");
static_assert(offsetof(hipDeviceProp_tR0600, gcnArchName) == 1160, "the layout of HIP 6");

// The numbers of hipDeviceAttribute_t that are answered from the device's properties.
enum Attribute {
    kAsyncEngineCount = 2,
    kCanMapHostMemory = 3,
    kClockRate = 5,
    kConcurrentKernels = 8,
    kCooperativeLaunch = 10,
    kIntegrated = 16,
    kL2CacheSize = 19,
    kCapabilityMajor = 23,
    kManagedMemory = 24,
    kMaxBlockDimX = 26,
    kMaxBlockDimY = 27,
    kMaxBlockDimZ = 28,
    kMaxGridDimX = 29,
    kMaxGridDimY = 30,
    kMaxGridDimZ = 31,
    kMaxThreadsPerBlock = 56,
    kMaxThreadsPerMultiProcessor = 57,
    kCapabilityMinor = 61,
    kMultiprocessorCount = 63,
    kMaxRegistersPerBlock = 71,
    kMaxSharedMemoryPerBlock = 74,
    kSharedMemPerBlockOptin = 75,
    kSharedMemPerMultiprocessor = 76,
    kUnifiedAddressing = 85,
    kWarpSize = 87,
    kMemoryPoolsSupported = 88,
    kMaxSharedMemoryPerMultiprocessor = 10002,
    kPhysicalMultiProcessorCount = 10015,
};

struct hipPointerAttribute_t {
    int type, device;
    void *devicePointer, *hostPointer;
    int isManaged;
    unsigned allocationFlags;
};

struct hipFuncAttributes {
    int binaryVersion, cacheModeCA;
    std::size_t constSizeBytes, localSizeBytes;
    int maxDynamicSharedSizeBytes, maxThreadsPerBlock, numRegs, preferredShmemCarveout, ptxVersion;
    std::size_t sharedSizeBytes;
};

namespace rig {

int current_device();
hipError_t failed(hipError_t error);  // remembers it for hipGetLastError, and returns it

}  // namespace rig
