// A CUDA driver for tests where there is none: it stands in for a GPU and its driver, so that the real pycuda works.
// A device's memory is the host's, behind guard pages; a stream's work waits in a queue until somebody waits for it,
// so a test sees what code does that reads too early, or frees or reuses too early. Where CUDA's documentation leaves
// it open whether a call waits for the device, this one does not.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#define FAKE_API extern "C" __attribute__((visibility("default")))

// Numbers of cuda.h, which is not needed to build this.
enum CUresult : int {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_NOT_PERMITTED = 800,
  CUDA_ERROR_NOT_SUPPORTED = 801,
};

using CUdeviceptr = unsigned long long;

namespace fake {

using Arguments = std::initializer_list<std::pair<const char*, uint64_t>>;

// --- calls.cpp: the log, errors that a test asks for, and what was done wrong ---

enum class Needs { nothing, driver, context };

// Logs a call, gives the error that a test asked for instead of it, and checks what the call needs.
CUresult call(const char* name, Arguments arguments, Needs needs, const std::function<CUresult()>& body);
void log_work(const char* name, Arguments arguments, CUresult result);
void violation(const std::string& what);
// The number that an environment variable holds, else `otherwise`.
int setting(const char* variable, int otherwise);

// --- devices.cpp ---

struct Context {
  int retained = 0;
};

bool is_initialized();
// Whether the calling thread may work with the device: its newest context is there and has not failed.
CUresult context_state();
// Ends the context with the error that all its later calls give, as a fault of a kernel does.
CUresult fail_context(CUresult error);
void forget_failure();

// --- memory.cpp ---

enum class Memory { device, page_locked, pageable, freed, outside };

struct Left {
  uint64_t count = 0, bytes = 0;
};

// Where `bytes` from `address` lie; `outside` begins in an allocation and ends beyond it.
Memory memory_of(uint64_t address, size_t bytes);
Left left_in(Memory kind);
void free_everything();
// Keeps allocations as they are while it is held.
std::mutex& memory_mutex();

// --- streams.cpp ---

struct Stream;

// A place in a stream's order: everything enqueued there up to `number`.
struct Mark {
  Stream* stream = nullptr;
  uint64_t number = 0;
};

struct Operation {
  const char* name = nullptr;  // nothing where only `after` counts
  uint64_t address = 0, bytes = 0, number = 0;
  std::function<CUresult()> perform;
  Mark after;
};

// Streams are never freed, so a handle that is no longer one is told from a new one.
struct Stream {
  std::atomic<uint64_t> last = 0;  // newest operation
  std::atomic<uint64_t> done = 0;  // newest operation that was done
  std::deque<Operation> queue;
  bool alive = true, waits_for_legacy = true;
};

// The stream of a handle; the legacy stream for 0 and 1, nothing where there is none.
Stream* stream_of(uint64_t handle);
Mark enqueue(Stream& stream, Operation operation);
// Does what `mark` names; the calling thread waits.
CUresult finish(Mark mark);
CUresult finish_everything();
// Does one operation on the way to `mark`, where no other thread is at it: time passes between two queries.
void tick(Mark mark);
bool is_done(Mark mark);
uint64_t pending();
// Drops what is queued and ends all streams and events; returns how many operations were dropped.
uint64_t end_streams();

}  // namespace fake
