// Asks rocBLAS for the matrix products that ggml asks it for, and prints what each call answered, one JSON line each.
// Usage: gemm LIBROCBLAS. Types and numbers are those of rocblas-types.h.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { NONE = 111, TRANSPOSE = 112, F16 = 150, F32 = 151, STANDARD = 0 };
// A is K x M and is transposed, B is K x N: how ggml lays out a layer's weights and its activations.
enum { M = 512, N = 64, K = 256, BATCH = 4 };

typedef int (*create_t)(void **);
typedef int (*destroy_t)(void *);
typedef int (*sgemm_t)(void *, int, int, int, int, int, const float *, const void *, int, const void *, int,
                       const float *, void *, int);
typedef int (*sgemm_strided_t)(void *, int, int, int, int, int, const float *, const void *, int, int64_t,
                               const void *, int, int64_t, const float *, void *, int, int64_t, int);
typedef int (*gemm_ex_t)(void *, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int,
                         const void *, const void *, int, int, void *, int, int, int, int, int32_t, uint32_t);
typedef int (*gemm_strided_ex_t)(void *, int, int, int, int, int, const void *, const void *, int, int, int64_t,
                                 const void *, int, int, int64_t, const void *, const void *, int, int, int64_t, void *,
                                 int, int, int64_t, int, int, int, int32_t, uint32_t);
typedef int (*gemm_batched_ex_t)(void *, int, int, int, int, int, const void *, const void *, int, int, const void *,
                                 int, int, const void *, const void *, int, int, void *, int, int, int, int, int,
                                 int32_t, uint32_t);
typedef int (*malloc_t)(void **, size_t);

static void *library;

static void *need(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    if (!found) {
        printf("{\"call\":\"%s\",\"status\":-1,\"problem\":\"it is not in the library\"}\n", name);
        exit(3);
    }
    return found;
}

static void told(const char *call, int status) {
    printf("{\"call\":\"%s\",\"status\":%d}\n", call, status);
    fflush(stdout);
}

static void *device_memory(size_t bytes) {
    void *pointer = NULL;
    if (((malloc_t)need(RTLD_DEFAULT, "hipMalloc"))(&pointer, bytes)) {
        told("hipMalloc", -1);
        exit(3);
    }
    return pointer;
}

int main(int count, char **words) {
    if (count != 2) return 2;
    library = dlopen(words[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    void *handle = NULL;
    const int made = ((create_t)need(library, "rocblas_create_handle"))(&handle);
    told("rocblas_create_handle", made);
    if (made) return 1;
    char *a = device_memory((size_t)4 * M * K * BATCH), *b = device_memory((size_t)4 * K * N * BATCH);
    char *c = device_memory((size_t)4 * M * N * BATCH);
    const float one = 1, zero = 0;
    const uint16_t half_one = 0x3c00, half_zero = 0;

    told("rocblas_sgemm", ((sgemm_t)need(library, "rocblas_sgemm"))(handle, TRANSPOSE, NONE, M, N, K, &one, a, K, b, K,
                                                                    &zero, c, M));
    told("rocblas_sgemm_strided_batched",
         ((sgemm_strided_t)need(library, "rocblas_sgemm_strided_batched"))(handle, TRANSPOSE, NONE, M, N, K, &one, a, K,
                                                                           (int64_t)M * K, b, K, (int64_t)K * N, &zero,
                                                                           c, M, (int64_t)M * N, BATCH));
    const gemm_ex_t gemm_ex = (gemm_ex_t)need(library, "rocblas_gemm_ex");
    told("rocblas_gemm_ex f16, f32 inside",
         gemm_ex(handle, TRANSPOSE, NONE, M, N, K, &one, a, F16, K, b, F16, K, &zero, c, F32, M, c, F32, M, F32,
                 STANDARD, 0, 0));
    told("rocblas_gemm_ex f16", gemm_ex(handle, TRANSPOSE, NONE, M, N, K, &half_one, a, F16, K, b, F16, K, &half_zero, c,
                                        F16, M, c, F16, M, F16, STANDARD, 0, 0));
    told("rocblas_gemm_strided_batched_ex f16",
         ((gemm_strided_ex_t)need(library, "rocblas_gemm_strided_batched_ex"))(
             handle, TRANSPOSE, NONE, M, N, K, &half_one, a, F16, K, (int64_t)M * K, b, F16, K, (int64_t)K * N,
             &half_zero, c, F16, M, (int64_t)M * N, c, F16, M, (int64_t)M * N, BATCH, F16, STANDARD, 0, 0));
    void **all_a = device_memory(sizeof(void *) * BATCH), **all_b = device_memory(sizeof(void *) * BATCH);
    void **all_c = device_memory(sizeof(void *) * BATCH);
    for (int i = 0; i < BATCH; i++) {
        all_a[i] = a + (size_t)2 * M * K * i;
        all_b[i] = b + (size_t)2 * K * N * i;
        all_c[i] = c + (size_t)2 * M * N * i;
    }
    told("rocblas_gemm_batched_ex f16",
         ((gemm_batched_ex_t)need(library, "rocblas_gemm_batched_ex"))(
             handle, TRANSPOSE, NONE, M, N, K, &half_one, all_a, F16, K, all_b, F16, K, &half_zero, all_c, F16, M, all_c,
             F16, M, BATCH, F16, STANDARD, 0, 0));
    told("rocblas_destroy_handle", ((destroy_t)need(library, "rocblas_destroy_handle"))(handle));
    return 0;
}
