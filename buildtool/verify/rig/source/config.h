// The devices that are imitated and the facts that the loader's rules need, from the file named in GPUBUILD_RIG.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace rig {

struct Device {
    std::string target;   // what the device reports: gfx90a:sramecc+:xnack-
    std::string generic;  // its generic target, "" without one
    std::string name;
    std::uint64_t memory = 0;  // bytes
    int units = 0;             // as hipDeviceProp_t.multiProcessorCount counts them
    int warp = 0;
    int major = 0;
    int minor = 0;
};

struct Machine {  // a row of EF_AMDGPU_MACH
    std::string name;
    bool xnack = false;  // whether the processor has the feature at all
    bool sramecc = false;
};

struct Config {
    std::string log;
    int runtime_version = 0;
    std::vector<Device> devices;
    std::map<unsigned, Machine> machines;
    std::map<std::string, unsigned> generic_versions;  // lowest version of a generic target's code that is accepted
};

// Ends the process with a message when the file is missing or wrong.
const Config &config();

}  // namespace rig
