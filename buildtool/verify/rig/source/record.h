// What happened, one JSON object per line, in the order in which it happened.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rig {

// Builds one line; it is written when the object goes out of scope.
class Event {
  public:
    explicit Event(const char *name);
    ~Event();
    Event(const Event &) = delete;
    Event &operator=(const Event &) = delete;
    Event &text(const char *key, const std::string &value);
    Event &number(const char *key, std::uint64_t value);
    Event &flag(const char *key, bool value);
    Event &list(const char *key, const std::vector<std::string> &values);

  private:
    std::string line_;
};

// True while this thread is inside of the recorder or the loader itself: what it does then is not the program's doing.
bool busy();

class Busy {
  public:
    Busy();
    ~Busy();
    Busy(const Busy &) = delete;
    Busy &operator=(const Busy &) = delete;

  private:
    bool before_;
};

}  // namespace rig
