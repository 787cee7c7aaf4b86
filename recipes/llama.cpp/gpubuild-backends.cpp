// ggml reads one path from GGML_BACKEND_PATH. This module is put there when several GPU backends are installed side
// by side: it loads all of GPUBUILD_BACKENDS (paths, separated as in PATH) but the last, and stands in for the last.

#include "ggml-backend.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init(void) {
    const char * list = std::getenv("GPUBUILD_BACKENDS");
    std::string rest = list ? list : "";
    for (size_t colon = rest.find(':'); colon != std::string::npos; colon = rest.find(':')) {
        ggml_backend_load(rest.substr(0, colon).c_str());
        rest.erase(0, colon + 1);
    }
    void * last = rest.empty() ? nullptr : dlopen(rest.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (last == nullptr) {
        if (!rest.empty()) {  // ggml would only say that this module gave it nothing; for the others it says why itself
            std::fprintf(stderr, "failed to load %s: %s\n", rest.c_str(), dlerror());
        }
        return nullptr;
    }
    using init_t = ggml_backend_reg_t (*)(void);
    auto init = reinterpret_cast<init_t>(dlsym(last, "ggml_backend_init"));
    return init ? init() : nullptr;
}
