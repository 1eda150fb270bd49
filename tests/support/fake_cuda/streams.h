// Streams and events as the queues and the functions of the driver share them.
#pragma once

#include "driver.h"

namespace fake {

struct Event {
  unsigned flags;
  bool alive = true;
  Mark mark;  // nothing recorded yet where it names no stream
  std::atomic<double> seconds = 0;
};

// Streams and events are found by their address and never freed. Leaked on purpose, as the calls' log.
struct Queues {
  std::mutex mutex;     // the lists and queues, never held while work is done
  std::mutex executor;  // held by the thread that does work
  std::map<uint64_t, std::unique_ptr<Stream>> streams;
  std::map<uint64_t, std::unique_ptr<Event>> events;
  Stream legacy;
  uint64_t numbers = 0;
  bool is_eager = false;
};

Queues& queues();

}  // namespace fake
