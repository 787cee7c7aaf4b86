#include "config.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "record.h"

namespace rig {

namespace {

[[noreturn]] void refuse(const std::string &what) {
    std::fprintf(stderr, "gpubuild rig: %s\n", what.c_str());
    _exit(70);
}

std::vector<std::string> fields_of(const std::string &line) {
    std::vector<std::string> fields;
    std::istringstream stream(line);
    std::string field;
    while (std::getline(stream, field, '\t')) fields.push_back(field);
    return fields;
}

void take(Config &config, const std::vector<std::string> &row) {
    const std::string &kind = row.at(0);
    if (kind == "log") {
        config.log = row.at(1);
    } else if (kind == "runtime") {
        config.runtime_version = std::stoi(row.at(1));
    } else if (kind == "device") {
        Device device;
        device.target = row.at(1);
        device.generic = row.at(2);
        device.name = row.at(3);
        device.memory = std::stoull(row.at(4));
        device.units = std::stoi(row.at(5));
        device.warp = std::stoi(row.at(6));
        device.major = std::stoi(row.at(7));
        device.minor = std::stoi(row.at(8));
        config.devices.push_back(device);
    } else if (kind == "machine") {
        config.machines[std::stoul(row.at(1))] = Machine{row.at(2), row.at(3) == "1", row.at(4) == "1"};
    } else if (kind == "generic") {
        config.generic_versions[row.at(1)] = std::stoul(row.at(2));
    } else {
        refuse("unknown line " + kind);
    }
}

Config read() {
    const Busy guard;
    const char *path = std::getenv("GPUBUILD_RIG");
    if (!path) refuse("GPUBUILD_RIG does not name a configuration.");
    std::ifstream file(path);
    if (!file) refuse(std::string(path) + " cannot be read.");
    Config config;
    std::string line;
    while (std::getline(file, line)) {
        try {
            if (!line.empty()) take(config, fields_of(line));
        } catch (const std::exception &) {
            refuse("wrong line: " + line);
        }
    }
    return config;
}

}  // namespace

const Config &config() {
    static const Config read_once = read();
    return read_once;
}

}  // namespace rig
