#include "bundle.h"

#include <dlfcn.h>
#include <elf.h>

#include <cstdint>
#include <cstring>

namespace rig {

namespace {

constexpr char kPlain[] = "__CLANG_OFFLOAD_BUNDLE__";
constexpr char kPacked[] = "CCOB";
constexpr std::uint64_t kMostEntries = 4096, kLongestId = 4096, kLargest = std::uint64_t{4} << 30;
// The names that comgr accepts before an entry's target, with four fields of a triple or three.
constexpr const char *kKinds[] = {"hipv4-", "hip-", "hcc-"};
constexpr const char *kTriples[] = {"amdgcn-amd-amdhsa--", "amdgcn-amd-amdhsa-"};

struct Entry {
    std::string id, target;
    std::uint64_t offset, size;
};

template <typename T>
T number(const unsigned char *at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// The target in an entry's id; "" for the host's entry and for other triples.
std::string target_of(const std::string &id) {
    for (const std::string kind : kKinds) {
        for (const std::string triple : kTriples) {
            const auto start = kind + triple;
            if (id.compare(0, start.size(), start) == 0 && id.size() > start.size()) return id.substr(start.size());
        }
    }
    return "";
}

bool read_entries(const unsigned char *image, std::size_t size, std::vector<Entry> &entries) {
    std::uint64_t at = sizeof kPlain - 1;
    const auto fits = [&](std::uint64_t length) { return !size || (at <= size && length <= size - at); };
    if (!fits(8)) return false;
    const auto count = number<std::uint64_t>(image + at);
    at += 8;
    if (count > kMostEntries) return false;
    for (std::uint64_t i = 0; i < count; ++i) {
        if (!fits(24)) return false;
        Entry entry{"", "", number<std::uint64_t>(image + at), number<std::uint64_t>(image + at + 8)};
        const auto length = number<std::uint64_t>(image + at + 16);
        at += 24;
        if (length > kLongestId || !fits(length)) return false;
        entry.id.assign(reinterpret_cast<const char *>(image + at), length);
        entry.target = target_of(entry.id);
        at += length;
        if (size && (entry.offset > size || entry.size > size - entry.offset)) return false;
        entries.push_back(entry);
    }
    return true;
}

// HIP asks for code of the device's own target, and takes its generic target's only where there is none. What the
// loader then refuses is not replaced by another entry.
const Entry *choose(const std::vector<Entry> &entries, const Device &device) {
    const auto colon = device.target.find(':');
    const auto features = colon == std::string::npos ? "" : device.target.substr(colon);
    for (const auto &wanted : {device.target, device.generic + features}) {
        if (wanted == features) continue;  // no generic target
        for (const auto &entry : entries) {
            if (entry.size && !entry.target.empty() && suits(entry.target, wanted)) return &entry;
        }
    }
    return nullptr;
}

struct Packed {
    std::uint64_t header = 0, total = 0, unpacked = 0;  // total 0: version 1 does not tell
    bool zstd = false;
    bool known = false;
};

Packed packed_header(const unsigned char *image, std::size_t size) {
    Packed packed;
    if (size && size < 32) return packed;
    const auto version = number<std::uint16_t>(image + 4), method = number<std::uint16_t>(image + 6);
    if (version < 1 || version > 3 || method > 1) return packed;
    packed.zstd = method == 1;
    packed.header = version == 1 ? 20 : version == 2 ? 24 : 32;
    if (version == 3) {
        packed.total = number<std::uint64_t>(image + 8);
        packed.unpacked = number<std::uint64_t>(image + 16);
    } else {
        packed.total = version == 2 ? number<std::uint32_t>(image + 8) : 0;
        packed.unpacked = number<std::uint32_t>(image + (version == 2 ? 12 : 8));
    }
    packed.known = packed.unpacked <= kLargest && (version == 1 || packed.total > packed.header) &&
                   (!size || packed.total <= size);
    return packed;
}

using ZstdDecompress = std::size_t (*)(void *, std::size_t, const void *, std::size_t);
using ZstdFrameSize = std::size_t (*)(const void *, std::size_t);
using ZlibUncompress = int (*)(unsigned char *, unsigned long *, const unsigned char *, unsigned long);

template <typename F>
F function_of(const char *library, const char *name) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    return handle ? reinterpret_cast<F>(dlsym(handle, name)) : nullptr;
}

std::string unpack(const unsigned char *image, const Packed &packed, std::size_t room, std::vector<unsigned char> &out) {
    const auto *data = image + packed.header;
    std::size_t length = (packed.total ? packed.total : room) - packed.header;
    out.resize(packed.unpacked);
    if (packed.zstd) {
        static const auto decompress = function_of<ZstdDecompress>("libzstd.so.1", "ZSTD_decompress");
        static const auto frame = function_of<ZstdFrameSize>("libzstd.so.1", "ZSTD_findFrameCompressedSize");
        if (!decompress || !frame) return "there is no libzstd.so.1 to unpack it with";
        if (!packed.total) {
            length = frame(data, length);
            if (length > kLargest) return "its compressed data is damaged";
        }
        if (decompress(out.data(), out.size(), data, length) != out.size()) return "its compressed data is damaged";
        return "";
    }
    static const auto uncompress = function_of<ZlibUncompress>("libz.so.1", "uncompress");
    if (!uncompress) return "there is no libz.so.1 to unpack it with";
    unsigned long written = out.size();
    // zlib stops at the end of its stream; version 1 leaves nothing else to tell where that is.
    if (uncompress(out.data(), &written, data, length) != 0 || written != out.size()) {
        return "its compressed data is damaged";
    }
    return "";
}

void load_bundle(const unsigned char *image, std::size_t size, const Device &device, Loaded &loaded) {
    std::vector<Entry> entries;
    if (!read_entries(image, size, entries)) {
        loaded.answer.reason = "the bundle's directory is damaged";
        return;
    }
    for (const auto &entry : entries) loaded.entries.push_back(entry.id);
    const Entry *chosen = choose(entries, device);
    if (!chosen) {
        loaded.answer.reason = "the bundle has no entry for " + device.target;
        return;
    }
    loaded.chosen = chosen->id;
    loaded.answer = load_code_object(image + chosen->offset, chosen->size, device);
}

}  // namespace

Loaded load_image(const unsigned char *image, std::size_t size, const Device &device) {
    Loaded loaded;
    const auto starts = [&](const char *magic, std::size_t length) {
        return (!size || size >= length) && std::memcmp(image, magic, length) == 0;
    };
    if (starts(kPlain, sizeof kPlain - 1)) {
        loaded.format = "bundle";
        load_bundle(image, size, device, loaded);
    } else if (starts(kPacked, sizeof kPacked - 1)) {
        loaded.format = "ccob";
        const auto packed = packed_header(image, size);
        std::vector<unsigned char> plain;
        if (!packed.known || (!packed.total && !size)) {
            loaded.answer.reason = "the header of the compressed bundle is damaged";
        } else if (loaded.answer.reason = unpack(image, packed, size, plain); loaded.answer.reason.empty()) {
            if (plain.size() < sizeof kPlain || std::memcmp(plain.data(), kPlain, sizeof kPlain - 1) != 0) {
                loaded.answer.reason = "the compressed data is no bundle";
            } else {
                load_bundle(plain.data(), plain.size(), device, loaded);
            }
        }
    } else if (starts(ELFMAG, SELFMAG)) {
        loaded.format = "code-object";
        loaded.answer = load_code_object(image, size, device);
    } else {
        loaded.format = "unknown";
        loaded.answer.reason = "it is neither a bundle nor a code object";
    }
    return loaded;
}

}  // namespace rig
