// One device with its primary context, and each thread's stack of contexts.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "driver.h"

namespace fake {
namespace {

constexpr char device_name[] = "Fake CUDA device (host memory)";

std::atomic<bool> initialized{false};
std::atomic<int> failure{CUDA_SUCCESS};
std::mutex context_mutex;
Context primary;
thread_local std::vector<Context*> stack;

uint64_t handle(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

// Compute capability times ten, as sm_90 names it.
int architecture() { return setting("FAKE_CUDA_ARCHITECTURE", 90); }

// CUdevice_attribute -> value; what is not here is an error, so that nobody takes a made-up number for a device's.
std::map<int, int> attributes() {
  return {{1, 1024}, {8, 49152}, {10, 32}, {16, 1}, {20, 0}, {33, 0}, {34, 0}, {41, 1}, {50, 0},
          {75, architecture() / 10}, {76, architecture() % 10}};
}

CUresult device_call(const char* name, int device, const std::function<void()>& body) {
  return call(name, {{"device", static_cast<uint64_t>(device)}}, Needs::driver, [&] {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    body();
    return CUDA_SUCCESS;
  });
}

}  // namespace

bool is_initialized() { return initialized; }

CUresult context_state() {
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  std::lock_guard<std::mutex> lock(context_mutex);
  if (stack.back()->retained == 0) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  return static_cast<CUresult>(failure.load());
}

CUresult fail_context(CUresult error) {
  int none = CUDA_SUCCESS;
  failure.compare_exchange_strong(none, error);  // the first one stays
  return static_cast<CUresult>(failure.load());
}

void forget_failure() { failure = CUDA_SUCCESS; }

}  // namespace fake

using fake::call;
using fake::Needs;

FAKE_API CUresult cuInit(unsigned flags) {
  return call("cuInit", {{"flags", flags}}, Needs::nothing, [] {
    fake::initialized = true;
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuDriverGetVersion(int* version) {
  return call("cuDriverGetVersion", {}, Needs::nothing, [=] {
    *version = fake::setting("FAKE_CUDA_DRIVER_VERSION", 13000);
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuGetErrorString(int error, const char** text) {
  static const std::map<int, const char*> texts = {
      {CUDA_SUCCESS, "no error"},
      {CUDA_ERROR_INVALID_VALUE, "invalid argument"},
      {CUDA_ERROR_OUT_OF_MEMORY, "out of memory"},
      {CUDA_ERROR_NOT_INITIALIZED, "initialization error"},
      {CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"},
      {CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"},
      {CUDA_ERROR_INVALID_CONTEXT, "invalid device context"},
      {CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"},
      {CUDA_ERROR_NOT_READY, "device not ready"},
      {CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"},
      {CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"},
      {CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"},
      {CUDA_ERROR_NOT_PERMITTED, "operation not permitted"},
      {CUDA_ERROR_NOT_SUPPORTED, "operation not supported"},
  };
  const auto found = texts.find(error);
  *text = found == texts.end() ? "unrecognized error code" : found->second;
  return found == texts.end() ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

FAKE_API CUresult cuDeviceGetCount(int* count) {
  return call("cuDeviceGetCount", {}, Needs::driver, [=] {
    *count = 1;
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuDeviceGet(int* device, int ordinal) {
  return fake::device_call("cuDeviceGet", ordinal, [=] { *device = 0; });
}

FAKE_API CUresult cuDeviceGetName(char* name, int size, int device) {
  return fake::device_call("cuDeviceGetName", device, [=] { std::snprintf(name, size, "%s", fake::device_name); });
}

FAKE_API CUresult cuDeviceGetPCIBusId(char* name, int size, int device) {
  return fake::device_call("cuDeviceGetPCIBusId", device, [=] { std::snprintf(name, size, "0000:00:00.0"); });
}

FAKE_API CUresult cuDeviceComputeCapability(int* major, int* minor, int device) {
  return fake::device_call("cuDeviceComputeCapability", device, [=] {
    *major = fake::architecture() / 10;
    *minor = fake::architecture() % 10;
  });
}

FAKE_API CUresult cuDeviceGetAttribute(int* value, int attribute, int device) {
  return call("cuDeviceGetAttribute", {{"attribute", static_cast<uint64_t>(attribute)}}, Needs::driver, [=] {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    const auto known = fake::attributes();
    const auto found = known.find(attribute);
    if (found == known.end()) return CUDA_ERROR_INVALID_VALUE;
    *value = found->second;
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuDevicePrimaryCtxRetain(fake::Context** context, int device) {
  return fake::device_call("cuDevicePrimaryCtxRetain", device, [=] {
    std::lock_guard<std::mutex> lock(fake::context_mutex);
    ++fake::primary.retained;
    *context = &fake::primary;
  });
}

// The last release frees what is left and logs how much that was. The context stays on the threads' stacks, where it
// is of no use, as CUDA's documentation of this call has it.
FAKE_API CUresult cuDevicePrimaryCtxRelease_v2(int device) {
  const fake::Left memory = fake::left_in(fake::Memory::device), host = fake::left_in(fake::Memory::page_locked);
  const fake::Arguments left = {
      {"device_left", memory.count}, {"page_locked_left", host.count}, {"pending", fake::pending()}};
  return call("cuDevicePrimaryCtxRelease", left, Needs::driver, [=] {
    std::lock_guard<std::mutex> lock(fake::context_mutex);
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    if (fake::primary.retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--fake::primary.retained > 0) return CUDA_SUCCESS;
    if (fake::end_streams()) fake::violation("the context ended with work that nobody waited for");
    fake::free_everything();
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuCtxPushCurrent_v2(fake::Context* context) {
  return call("cuCtxPushCurrent", {{"context", fake::handle(context)}}, Needs::driver, [=] {
    std::lock_guard<std::mutex> lock(fake::context_mutex);
    if (context != &fake::primary || !context->retained) return CUDA_ERROR_INVALID_CONTEXT;
    fake::stack.push_back(context);
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuCtxPopCurrent_v2(fake::Context** context) {
  return call("cuCtxPopCurrent", {}, Needs::driver, [=] {
    if (fake::stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (context) *context = fake::stack.back();
    fake::stack.pop_back();
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuCtxGetDevice(int* device) {
  return call("cuCtxGetDevice", {}, Needs::context, [=] {
    *device = 0;
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuCtxSynchronize() {
  return call("cuCtxSynchronize", {}, Needs::context, [] { return fake::finish_everything(); });
}
