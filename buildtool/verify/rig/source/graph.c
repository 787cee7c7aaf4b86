// Loads a ggml backend module as ggml does and computes small graphs on its first device; prints one JSON line per step.
// Usage: graph LIBGGML-BASE LIBGGML-HIP. Only ggml's public C functions are called.
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { F32 = 0, F16 = 1, Q4_0 = 2, Q8_0 = 8, Q4_K = 12 };  // ggml_type

struct init_params {
    size_t mem_size;
    void *mem_buffer;
    bool no_alloc;
};

static void *base;

static void *need(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    if (!found) {
        printf("{\"call\":\"%s\",\"status\":-1,\"problem\":\"it is not in the library\"}\n", name);
        exit(3);
    }
    return found;
}

#define CALL(RESULT, NAME, ...) ((RESULT(*)(__VA_ARGS__))need(base, #NAME))

static void told(const char *call, int status) {
    printf("{\"call\":\"%s\",\"status\":%d}\n", call, status);
    fflush(stdout);
}

// One graph: a product of `type` weights (K x M) with N rows of activations, or, with N 0, what a layer needs besides.
static int compute(void *backend, int type, int64_t m, int64_t n, int64_t k) {
    const struct init_params params = {16 << 20, NULL, true};
    void *context = CALL(void *, ggml_init, struct init_params)(params);
    void *result;
    if (n) {
        void *weights = CALL(void *, ggml_new_tensor_2d, void *, int, int64_t, int64_t)(context, type, k, m);
        void *rows = CALL(void *, ggml_new_tensor_2d, void *, int, int64_t, int64_t)(context, F32, k, n);
        result = CALL(void *, ggml_mul_mat, void *, void *, void *)(context, weights, rows);
    } else {
        void *rows = CALL(void *, ggml_new_tensor_2d, void *, int, int64_t, int64_t)(context, F32, k, m);
        result = CALL(void *, ggml_rms_norm, void *, void *, float)(context, rows, 1e-5F);
        result = CALL(void *, ggml_add, void *, void *, void *)(context, result, rows);
        result = CALL(void *, ggml_soft_max, void *, void *)(context, result);
    }
    void *graph = CALL(void *, ggml_new_graph, void *)(context);
    CALL(void, ggml_build_forward_expand, void *, void *)(graph, result);
    void *buffer = CALL(void *, ggml_backend_alloc_ctx_tensors, void *, void *)(context, backend);
    if (!buffer) return -1;
    const int status = CALL(int, ggml_backend_graph_compute, void *, void *)(backend, graph);
    CALL(void, ggml_backend_synchronize, void *)(backend);
    CALL(void, ggml_backend_buffer_free, void *)(buffer);
    CALL(void, ggml_free, void *)(context);
    return status;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    base = dlopen(words[1], RTLD_NOW | RTLD_GLOBAL);
    void *module = base ? dlopen(words[2], RTLD_NOW | RTLD_GLOBAL) : NULL;
    if (!module) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    void *(*registration)(void) = (void *(*)(void))dlsym(module, "ggml_backend_init");  // of a loadable module
    if (!registration) registration = (void *(*)(void))need(module, "ggml_backend_cuda_reg");
    void *registry = registration();
    const size_t devices = registry ? CALL(size_t, ggml_backend_reg_dev_count, void *)(registry) : 0;
    printf("{\"call\":\"ggml_backend_reg_dev_count\",\"status\":%d,\"devices\":%zu}\n", devices ? 0 : 1, devices);
    fflush(stdout);
    if (!devices) return 1;
    void *device = CALL(void *, ggml_backend_reg_dev_get, void *, size_t)(registry, 0);
    void *backend = CALL(void *, ggml_backend_dev_init, void *, const char *)(device, NULL);
    told("ggml_backend_dev_init", backend ? 0 : 1);
    if (!backend) return 1;
    told("mul_mat f32", compute(backend, F32, 512, 64, 256));
    told("mul_mat f16", compute(backend, F16, 512, 64, 256));
    told("mul_mat f16, one row", compute(backend, F16, 512, 1, 256));
    told("mul_mat q4_0", compute(backend, Q4_0, 512, 64, 256));
    told("mul_mat q4_0, one row", compute(backend, Q4_0, 512, 1, 256));
    told("mul_mat q8_0", compute(backend, Q8_0, 512, 512, 256));
    told("mul_mat q4_K", compute(backend, Q4_K, 512, 512, 256));
    told("rms_norm, add, soft_max", compute(backend, F32, 64, 0, 256));
    CALL(void, ggml_backend_free, void *)(backend);
    return 0;
}
