#include "codeobject.h"

#include <elf.h>

#include <cstring>
#include <vector>

// Numbers of LLVM's "User Guide for AMDGPU Backend", section "ELF Code Object".
namespace rig {

namespace {

constexpr unsigned kMachineAmdgpu = 224;
constexpr unsigned kAbiHsa = 64;
constexpr unsigned kVersion3 = 1, kVersion4 = 2, kVersion6 = 4;  // EI_ABIVERSION
constexpr unsigned kMost = 1u << 20;                             // sections or symbols that are believed

std::vector<std::string> split(const std::string &text, char separator) {
    std::vector<std::string> parts(1);
    for (const char c : text) {
        if (c == separator) {
            parts.emplace_back();
        } else {
            parts.back() += c;
        }
    }
    return parts;
}

// The value of a feature in a target name: '+', '-', or ' ' when the name leaves it open.
char setting(const std::string &target, const std::string &feature) {
    const auto parts = split(target, ':');
    for (std::size_t i = 1; i < parts.size(); ++i) {
        if (parts[i].size() == feature.size() + 1 && parts[i].compare(0, feature.size(), feature) == 0) {
            return parts[i].back();
        }
    }
    return ' ';
}

std::string feature_words(const Elf64_Ehdr &header, const Machine &machine) {
    char sramecc = ' ', xnack = ' ';
    if (header.e_ident[EI_ABIVERSION] >= kVersion4) {
        static const char words[] = {' ', ' ', '-', '+'};
        xnack = words[header.e_flags >> 8 & 3];
        sramecc = words[header.e_flags >> 10 & 3];
    } else {  // version 3 has one bit each: off where the processor has the feature and the bit is not set
        if (machine.xnack) xnack = header.e_flags & 0x100 ? '+' : '-';
        if (machine.sramecc) sramecc = header.e_flags & 0x200 ? '+' : '-';
    }
    std::string words;
    if (sramecc != ' ') words += std::string(":sramecc") + sramecc;
    if (xnack != ' ') words += std::string(":xnack") + xnack;
    return words;
}

bool within(std::uint64_t offset, std::uint64_t length, std::size_t size) {
    return !size || (offset <= size && length <= size - offset);
}

std::set<std::string> kernel_names(const unsigned char *data, std::size_t size, const Elf64_Ehdr &header) {
    std::set<std::string> names;
    if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum > kMost) return names;
    if (!within(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr), size)) return names;
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    if (!sections.empty()) std::memcpy(sections.data(), data + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
    for (const auto &section : sections) {
        if (section.sh_type != SHT_DYNSYM || section.sh_link >= sections.size()) continue;
        const auto &strings = sections[section.sh_link];
        const std::uint64_t count = section.sh_size / sizeof(Elf64_Sym);
        if (count > kMost || !within(section.sh_offset, section.sh_size, size)) continue;
        if (!within(strings.sh_offset, strings.sh_size, size)) continue;
        for (std::uint64_t i = 0; i < count; ++i) {
            Elf64_Sym symbol;
            std::memcpy(&symbol, data + section.sh_offset + i * sizeof symbol, sizeof symbol);
            if (symbol.st_name >= strings.sh_size) continue;
            const char *name = reinterpret_cast<const char *>(data + strings.sh_offset + symbol.st_name);
            const std::size_t length = strnlen(name, strings.sh_size - symbol.st_name);
            if (length > 3 && std::memcmp(name + length - 3, ".kd", 3) == 0) names.emplace(name, length - 3);
        }
    }
    return names;
}

std::string refusal(const Elf64_Ehdr &header, const std::string &target, const Device &device) {
    const auto chip = split(target, ':')[0];
    const auto own = split(device.target, ':')[0];
    const auto generic = config().generic_versions.find(chip);
    if (generic != config().generic_versions.end()) {
        if (chip != device.generic) return chip + " does not cover " + own;
        const unsigned version = header.e_ident[EI_ABIVERSION] >= kVersion6 ? header.e_flags >> 24 : 0;
        if (version < generic->second) {
            return chip + " code of version " + std::to_string(version) + ", " + std::to_string(generic->second) +
                   " is the oldest that loads";
        }
    } else if (chip != own) {
        return "its e_flags name " + chip + ", the device is " + own;
    }
    for (const char *feature : {"sramecc", "xnack"}) {
        const char wanted = setting(target, feature), have = setting(device.target, feature);
        if (wanted != ' ' && have != ' ' && wanted != have) {
            return "it was compiled for " + std::string(feature) + wanted + ", the device has " + feature + have;
        }
    }
    return "";
}

}  // namespace

bool suits(const std::string &code, const std::string &device) {
    if (split(code, ':')[0] != split(device, ':')[0]) return false;
    for (const char *feature : {"sramecc", "xnack"}) {
        const char wanted = setting(code, feature);
        if (wanted != ' ' && wanted != setting(device, feature)) return false;
    }
    return true;
}

Answer load_code_object(const unsigned char *data, std::size_t size, const Device &device) {
    Answer answer;
    Elf64_Ehdr header;
    if (size && size < sizeof header) {
        answer.reason = "it is too short for a code object";
        return answer;
    }
    std::memcpy(&header, data, sizeof header);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != kMachineAmdgpu) {
        answer.reason = "it is no AMDGPU code object";
        return answer;
    }
    if (header.e_ident[EI_OSABI] != kAbiHsa || header.e_ident[EI_ABIVERSION] < kVersion3 ||
        header.e_ident[EI_ABIVERSION] > kVersion6) {
        answer.reason = "its ABI version " + std::to_string(header.e_ident[EI_ABIVERSION]) + " is not one of ROCm's";
        return answer;
    }
    const auto machine = config().machines.find(header.e_flags & 0xff);
    if (machine == config().machines.end()) {
        answer.reason = "its e_flags name no known processor";
        return answer;
    }
    answer.target = machine->second.name + feature_words(header, machine->second);
    answer.reason = refusal(header, answer.target, device);
    if (!answer.reason.empty()) return answer;
    auto object = std::make_shared<CodeObject>();
    object->target = answer.target;
    object->flags = header.e_flags;
    object->kernels = kernel_names(data, size, header);
    answer.object = object;
    return answer;
}

}  // namespace rig
