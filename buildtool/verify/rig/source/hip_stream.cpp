// Streams, events and graphs: all work is done when it is asked for, so there is nothing to wait for.
#include <atomic>

#include "abi.h"

namespace {

std::atomic<int> capturing{0};

void *fresh() { return new char; }

hipError_t forget(void *handle) {
    delete static_cast<char *>(handle);
    return hipSuccess;
}

}  // namespace

RIG_API hipError_t hipStreamCreate(hipStream_t *stream) {
    *stream = fresh();
    return hipSuccess;
}
RIG_API hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned) { return hipStreamCreate(stream); }
RIG_API hipError_t hipStreamCreateWithPriority(hipStream_t *stream, unsigned, int) { return hipStreamCreate(stream); }
RIG_API hipError_t hipStreamDestroy(hipStream_t stream) { return forget(stream); }
RIG_API hipError_t hipStreamSynchronize(hipStream_t) { return hipSuccess; }
RIG_API hipError_t hipStreamQuery(hipStream_t) { return hipSuccess; }
RIG_API hipError_t hipStreamWaitEvent(hipStream_t, hipEvent_t, unsigned) { return hipSuccess; }
RIG_API hipError_t hipStreamGetFlags(hipStream_t, unsigned *flags) {
    *flags = 0;
    return hipSuccess;
}
RIG_API hipError_t hipStreamGetDevice(hipStream_t, int *device) {
    *device = rig::current_device();
    return hipSuccess;
}

RIG_API hipError_t hipEventCreate(hipEvent_t *event) {
    *event = fresh();
    return hipSuccess;
}
RIG_API hipError_t hipEventCreateWithFlags(hipEvent_t *event, unsigned) { return hipEventCreate(event); }
RIG_API hipError_t hipEventDestroy(hipEvent_t event) { return forget(event); }
RIG_API hipError_t hipEventRecord(hipEvent_t, hipStream_t) { return hipSuccess; }
RIG_API hipError_t hipEventSynchronize(hipEvent_t) { return hipSuccess; }
RIG_API hipError_t hipEventQuery(hipEvent_t) { return hipSuccess; }
RIG_API hipError_t hipEventElapsedTime(float *milliseconds, hipEvent_t, hipEvent_t) {
    *milliseconds = 0.001F;
    return hipSuccess;
}

// A captured graph keeps no nodes: what it launches has been recorded while it was captured.
RIG_API hipError_t hipStreamBeginCapture(hipStream_t, int) {
    ++capturing;
    return hipSuccess;
}
RIG_API hipError_t hipStreamEndCapture(hipStream_t, void **graph) {
    --capturing;
    *graph = fresh();
    return hipSuccess;
}
RIG_API hipError_t hipStreamIsCapturing(hipStream_t, int *status) {
    *status = capturing > 0 ? 1 : 0;
    return hipSuccess;
}
RIG_API hipError_t hipGraphInstantiate(void **executable, void *, void **, char *, std::size_t) {
    *executable = fresh();
    return hipSuccess;
}
RIG_API hipError_t hipGraphExecUpdate(void *, void *, void **, int *result) {
    if (result) *result = 0;
    return hipSuccess;
}
RIG_API hipError_t hipGraphLaunch(void *, hipStream_t) { return hipSuccess; }
RIG_API hipError_t hipGraphDestroy(void *graph) { return forget(graph); }
RIG_API hipError_t hipGraphExecDestroy(void *executable) { return forget(executable); }
