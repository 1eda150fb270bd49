// The driver's functions for streams and events, and work that stands for a kernel's.
#include <chrono>

#include "streams.h"

namespace fake {
namespace {

constexpr unsigned disable_timing = 2, non_blocking = 1;

uint64_t handle(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Event* event_of(uint64_t handle) {
  std::lock_guard<std::mutex> lock(queues().mutex);
  const auto found = queues().events.find(handle);
  return found == queues().events.end() || !found->second->alive ? nullptr : found->second.get();
}

CUresult on_event(const char* name, uint64_t handle, const std::function<CUresult(Event&)>& body) {
  return call(name, {{"event", handle}}, Needs::context, [&] {
    Event* const event = event_of(handle);
    return event ? body(*event) : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult on_stream(const char* name, uint64_t handle, const std::function<CUresult(Stream&)>& body) {
  return call(name, {{"stream", handle}}, Needs::context, [&] {
    Stream* const stream = stream_of(handle);
    return stream ? body(*stream) : CUDA_ERROR_INVALID_HANDLE;
  });
}

// A first query of unfinished work says so; each lets one operation be done, so polling ends.
CUresult query(Mark mark) {
  if (is_done(mark)) return CUDA_SUCCESS;
  tick(mark);
  const CUresult state = context_state();
  return state ? state : CUDA_ERROR_NOT_READY;
}

CUresult record(Event& event, Stream& stream) {
  Operation operation;
  operation.name = "cuEventRecord";
  operation.perform = [&event] {
    event.seconds = now();
    return CUDA_SUCCESS;
  };
  event.mark = enqueue(stream, std::move(operation));
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace fake

using fake::call;
using fake::Needs;

FAKE_API CUresult cuStreamCreate(uint64_t* stream, unsigned flags) {
  return call("cuStreamCreate", {{"flags", flags}}, Needs::context, [=] {
    auto made = std::make_unique<fake::Stream>();
    made->waits_for_legacy = !(flags & fake::non_blocking);
    *stream = fake::handle(made.get());
    std::lock_guard<std::mutex> lock(fake::queues().mutex);
    fake::queues().streams[*stream] = std::move(made);
    return CUDA_SUCCESS;
  });
}

// What is enqueued is still done when somebody waits for it.
FAKE_API CUresult cuStreamDestroy_v2(uint64_t stream) {
  return fake::on_stream("cuStreamDestroy", stream, [](fake::Stream& found) {
    if (&found == &fake::queues().legacy) return CUDA_ERROR_INVALID_HANDLE;
    found.alive = false;
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuStreamSynchronize(uint64_t stream) {
  return fake::on_stream("cuStreamSynchronize", stream, [](fake::Stream& found) {
    return fake::finish({&found, found.last});
  });
}

FAKE_API CUresult cuStreamQuery(uint64_t stream) {
  return fake::on_stream("cuStreamQuery", stream, [](fake::Stream& found) {
    return fake::query({&found, found.last});
  });
}

FAKE_API CUresult cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned) {
  return fake::on_stream("cuStreamWaitEvent", stream, [=](fake::Stream& found) {
    fake::Event* const awaited = fake::event_of(event);
    if (!awaited) return CUDA_ERROR_INVALID_HANDLE;
    fake::Operation wait;
    wait.name = "cuStreamWaitEvent";
    wait.after = awaited->mark;
    fake::enqueue(found, std::move(wait));
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuEventCreate(uint64_t* event, unsigned flags) {
  return call("cuEventCreate", {{"flags", flags}}, Needs::context, [=] {
    auto made = std::make_unique<fake::Event>();
    made->flags = flags;
    *event = fake::handle(made.get());
    std::lock_guard<std::mutex> lock(fake::queues().mutex);
    fake::queues().events[*event] = std::move(made);
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuEventDestroy_v2(uint64_t event) {
  return fake::on_event("cuEventDestroy", event, [](fake::Event& found) {
    found.alive = false;
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuEventRecord(uint64_t event, uint64_t stream) {
  return fake::on_stream("cuEventRecord", stream, [=](fake::Stream& found) {
    fake::Event* const recorded = fake::event_of(event);
    return recorded ? fake::record(*recorded, found) : CUDA_ERROR_INVALID_HANDLE;
  });
}

FAKE_API CUresult cuEventSynchronize(uint64_t event) {
  return fake::on_event("cuEventSynchronize", event, [](fake::Event& found) { return fake::finish(found.mark); });
}

FAKE_API CUresult cuEventQuery(uint64_t event) {
  return fake::on_event("cuEventQuery", event, [](fake::Event& found) { return fake::query(found.mark); });
}

FAKE_API CUresult cuEventElapsedTime_v2(float* milliseconds, uint64_t start, uint64_t end) {
  return call("cuEventElapsedTime", {{"start", start}, {"end", end}}, Needs::context, [=] {
    const fake::Event *const first = fake::event_of(start), *const last = fake::event_of(end);
    for (const fake::Event* one : {first, last}) {
      if (!one || !one->mark.stream || one->flags & fake::disable_timing) return CUDA_ERROR_INVALID_HANDLE;
      if (!fake::is_done(one->mark)) return CUDA_ERROR_NOT_READY;
    }
    *milliseconds = static_cast<float>((last->seconds - first->seconds) * 1e3);
    return CUDA_SUCCESS;
  });
}

// Stands for a kernel's launch: `function(argument)` runs in the stream's order and returns 0 or the device's error.
FAKE_API CUresult fake_enqueue(uint64_t stream, int (*function)(void*), void* argument) {
  return fake::on_stream("fake_enqueue", stream, [=](fake::Stream& found) {
    fake::Operation work;
    work.name = "fake_enqueue";
    work.address = fake::handle(argument);
    work.perform = [=] { return static_cast<CUresult>(function(argument)); };
    fake::enqueue(found, std::move(work));
    return CUDA_SUCCESS;
  });
}

FAKE_API uint64_t fake_pending() { return fake::pending(); }

// Work is done when it is enqueued: the other end of what a device may do.
FAKE_API void fake_set_eager(int is_eager) {
  std::lock_guard<std::mutex> lock(fake::queues().mutex);
  fake::queues().is_eager = is_eager != 0;
}
