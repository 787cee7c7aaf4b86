// One AMDGPU code object, and whether ROCr's loader takes it for an agent.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "config.h"

namespace rig {

struct CodeObject {
    std::string target;  // by its e_flags, in canonical order
    unsigned flags = 0;
    std::set<std::string> kernels;
};

struct Answer {
    std::shared_ptr<const CodeObject> object;  // null when refused
    std::string target;                        // what the code is for, as far as that can be told
    std::string reason;                        // of a refusal
};

// `size` 0: unknown, as for an image in memory, which HIP's interface hands over without its length.
Answer load_code_object(const unsigned char *data, std::size_t size, const Device &device);

// Whether an isa name (or a bundle entry's target) suits a device that reports `device`, by comgr's rule:
// the same processor, and every feature that the code names set as it says.
bool suits(const std::string &code, const std::string &device);

}  // namespace rig
