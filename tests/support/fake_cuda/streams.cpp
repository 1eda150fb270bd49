// A queue of operations for each stream, done in order when somebody waits.
#include "streams.h"

namespace fake {
namespace {

thread_local bool is_working = false;

uint64_t handle(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

void perform(const Operation& operation, const Stream& stream) {
  if (!operation.name || context_state()) return;  // after a fault nothing is done any more
  const CUresult result = operation.perform ? operation.perform() : CUDA_SUCCESS;
  const Arguments arguments = {
      {"stream", handle(&stream)}, {"address", operation.address}, {"bytes", operation.bytes}};
  log_work(operation.name, arguments, result);
  if (result) fail_context(result);
}

// Does a stream's work up to `number`; the caller holds the executor.
void advance(Stream& stream, uint64_t number) {
  for (;;) {
    Operation operation;
    {
      std::lock_guard<std::mutex> lock(queues().mutex);
      if (stream.queue.empty() || stream.queue.front().number > number) return;
      operation = std::move(stream.queue.front());
      stream.queue.pop_front();
    }
    if (operation.after.stream) advance(*operation.after.stream, operation.after.number);
    is_working = true;
    perform(operation, stream);
    is_working = false;
    stream.done = operation.number;
  }
}

Mark push(Stream& stream, Operation operation) {
  operation.number = stream.last = ++queues().numbers;
  stream.queue.push_back(std::move(operation));
  return {&stream, stream.last};
}

void wait_for(Stream& stream, Stream& other) {
  if (other.last <= other.done) return;
  Operation wait;
  wait.after = {&other, other.last};
  push(stream, std::move(wait));
}

// The legacy stream and those that were not made non-blocking wait for each other.
void order_with_legacy(Stream& stream) {
  if (&stream != &queues().legacy) {
    if (stream.waits_for_legacy) wait_for(stream, queues().legacy);
    return;
  }
  for (auto& [address, other] : queues().streams)
    if (other->waits_for_legacy) wait_for(stream, *other);
}

}  // namespace

Queues& queues() {
  static auto* const only = new Queues;
  return *only;
}

Stream* stream_of(uint64_t handle) {
  if (handle <= 1) return &queues().legacy;
  std::lock_guard<std::mutex> lock(queues().mutex);
  const auto found = queues().streams.find(handle);
  return found == queues().streams.end() || !found->second->alive ? nullptr : found->second.get();
}

Mark enqueue(Stream& stream, Operation operation) {
  Mark mark;
  bool is_eager;
  {
    std::lock_guard<std::mutex> lock(queues().mutex);
    order_with_legacy(stream);
    mark = push(stream, std::move(operation));
    is_eager = queues().is_eager;
  }
  while (is_eager && !is_done(mark) && !is_working && queues().executor.try_lock()) {
    advance(*mark.stream, mark.number);
    queues().executor.unlock();
  }
  return mark;
}

// Whoever calls this must not hold Python's lock: the work may be Python's.
CUresult finish(Mark mark) {
  if (is_working) return CUDA_ERROR_NOT_PERMITTED;  // as a host function of a real stream may not wait either
  if (mark.stream) {
    std::lock_guard<std::mutex> lock(queues().executor);
    advance(*mark.stream, mark.number);
  }
  return context_state();
}

CUresult finish_everything() {
  std::vector<Mark> marks;
  {
    std::lock_guard<std::mutex> lock(queues().mutex);
    marks.push_back({&queues().legacy, queues().legacy.last});
    for (auto& [address, stream] : queues().streams) marks.push_back({stream.get(), stream->last});
  }
  for (const Mark mark : marks)
    if (const CUresult result = finish(mark)) return result;
  return context_state();
}

void tick(Mark mark) {
  // A query holds Python's lock, so it must not wait for another thread's work.
  if (is_working || !queues().executor.try_lock()) return;
  uint64_t next = 0;
  {
    std::lock_guard<std::mutex> lock(queues().mutex);
    if (!mark.stream->queue.empty()) next = mark.stream->queue.front().number;
  }
  if (next && next <= mark.number) advance(*mark.stream, next);
  queues().executor.unlock();
}

bool is_done(Mark mark) { return !mark.stream || mark.stream->done >= mark.number; }

uint64_t pending() {
  std::lock_guard<std::mutex> lock(queues().mutex);
  const auto count = [](const Stream& stream) {
    uint64_t named = 0;
    for (const Operation& operation : stream.queue) named += operation.name != nullptr;
    return named;
  };
  uint64_t sum = count(queues().legacy);
  for (const auto& [address, stream] : queues().streams) sum += count(*stream);
  return sum;
}

uint64_t end_streams() {
  const uint64_t dropped = pending();
  std::lock_guard<std::mutex> lock(queues().mutex);
  queues().legacy.queue.clear();
  queues().legacy.done = queues().legacy.last.load();
  for (auto& [address, stream] : queues().streams) {
    stream->queue.clear();
    stream->done = stream->last.load();
    stream->alive = false;
  }
  for (auto& [address, event] : queues().events) event->alive = false;
  return dropped;
}

}  // namespace fake
