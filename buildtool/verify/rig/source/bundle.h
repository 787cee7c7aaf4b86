// Clang offload bundles, plain and compressed (CCOB), and which entry HIP takes for a device.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "codeobject.h"

namespace rig {

struct Loaded {
    std::string format;                // bundle, ccob, code-object, or unknown
    std::vector<std::string> entries;  // ids of the bundle's entries
    std::string chosen;                // id of the entry that HIP takes, "" when none suits
    Answer answer;
};

// What becomes of an image that is handed to HIP for a device; `size` 0 when nobody says how long it is.
Loaded load_image(const unsigned char *image, std::size_t size, const Device &device);

}  // namespace rig
