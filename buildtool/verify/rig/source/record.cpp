#include "record.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "config.h"

namespace rig {

namespace {

thread_local bool inside = false;

int log_file() {
    // One write per line on a file opened for appending: lines of several processes and threads do not mix.
    static const int file = open(config().log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return file;
}

void quote(std::string &out, const std::string &value) {
    out += '"';
    for (const unsigned char c : value) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += static_cast<char>(c);
        } else if (c < 0x20 || c >= 0x7f) {  // names are ASCII; other bytes are told as what they are
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", c);
            out += code;
        } else {
            out += static_cast<char>(c);
        }
    }
    out += '"';
}

}  // namespace

bool busy() { return inside; }

Busy::Busy() : before_(inside) { inside = true; }

Busy::~Busy() { inside = before_; }

Event::Event(const char *name) {
    line_ = "{\"event\":";
    quote(line_, name);
}

Event::~Event() {
    const Busy guard;
    line_ += "}\n";
    if (log_file() >= 0 && write(log_file(), line_.data(), line_.size()) < 0) {
        std::fprintf(stderr, "gpubuild rig: the record cannot be written: %s\n", std::strerror(errno));
        _exit(70);  // without its record a run would prove nothing
    }
}

Event &Event::text(const char *key, const std::string &value) {
    line_ += ",\"";
    line_ += key;
    line_ += "\":";
    quote(line_, value);
    return *this;
}

Event &Event::number(const char *key, std::uint64_t value) {
    line_ += ",\"";
    line_ += key;
    line_ += "\":" + std::to_string(value);
    return *this;
}

Event &Event::flag(const char *key, bool value) {
    line_ += ",\"";
    line_ += key;
    line_ += value ? "\":true" : "\":false";
    return *this;
}

Event &Event::list(const char *key, const std::vector<std::string> &values) {
    line_ += ",\"";
    line_ += key;
    line_ += "\":[";
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i) line_ += ',';
        quote(line_, values[i]);
    }
    line_ += ']';
    return *this;
}

}  // namespace rig
