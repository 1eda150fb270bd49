// Copies and fills. A page-locked side is read or written when the work is done, a pageable one when it is enqueued,
// as CUDA documents ("API synchronization behavior").
#include <cstring>

#include "driver.h"

namespace fake {
namespace {

struct Copy {
  const char* name;
  uint64_t to, from;
  size_t bytes;
};

bool is_in(Memory kind, uint64_t address, size_t bytes) {
  std::lock_guard<std::mutex> lock(memory_mutex());
  return memory_of(address, bytes) == kind;
}

// Another look when the work is done: what was there may be gone.
CUresult touch(const char* name, std::initializer_list<uint64_t> addresses, size_t bytes,
               const std::function<void()>& body) {
  std::lock_guard<std::mutex> lock(memory_mutex());
  for (const uint64_t address : addresses) {
    const Memory now = memory_of(address, bytes);
    if (now == Memory::device || now == Memory::page_locked) continue;
    violation(std::string(name) + " met freed memory: it was freed before anybody waited for the work");
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  body();
  return CUDA_SUCCESS;
}

Operation operation(const char* name, uint64_t address, size_t bytes, std::function<CUresult()> perform) {
  Operation made;
  made.name = name;
  made.address = address;
  made.bytes = bytes;
  made.perform = std::move(perform);
  return made;
}

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

Mark enqueue_copy(Stream& stream, const Copy& copy) {
  return enqueue(stream, operation(copy.name, copy.to, copy.bytes, [copy] {
                   return touch(copy.name, {copy.to, copy.from}, copy.bytes,
                                [&] { std::memmove(pointer(copy.to), pointer(copy.from), copy.bytes); });
                 }));
}

// Where the host's side of a copy lies; device memory and ends beyond an allocation are no host's.
bool is_host(uint64_t address, size_t bytes, bool* is_pageable) {
  *is_pageable = is_in(Memory::pageable, address, bytes);
  if (is_in(Memory::freed, address, bytes)) violation("a copy was asked for from or to freed memory of the host");
  return *is_pageable || is_in(Memory::page_locked, address, bytes);
}

CUresult to_device(Stream& stream, const Copy& copy) {
  bool is_pageable;
  if (!is_in(Memory::device, copy.to, copy.bytes) || !is_host(copy.from, copy.bytes, &is_pageable))
    return CUDA_ERROR_INVALID_VALUE;
  if (!is_pageable) {
    enqueue_copy(stream, copy);
    return CUDA_SUCCESS;
  }
  const auto* first = static_cast<const char*>(pointer(copy.from));
  const std::vector<char> staged(first, first + copy.bytes);
  enqueue(stream, operation(copy.name, copy.to, copy.bytes, [copy, staged] {
            return touch(copy.name, {copy.to}, copy.bytes,
                         [&] { std::memcpy(pointer(copy.to), staged.data(), copy.bytes); });
          }));
  return CUDA_SUCCESS;
}

CUresult to_host(Stream& stream, const Copy& copy) {
  bool is_pageable;
  if (!is_in(Memory::device, copy.from, copy.bytes) || !is_host(copy.to, copy.bytes, &is_pageable))
    return CUDA_ERROR_INVALID_VALUE;
  if (!is_pageable) {
    enqueue_copy(stream, copy);
    return CUDA_SUCCESS;
  }
  return finish(enqueue(stream, operation(copy.name, copy.to, copy.bytes, [copy] {
                          return touch(copy.name, {copy.from}, copy.bytes,
                                       [&] { std::memcpy(pointer(copy.to), pointer(copy.from), copy.bytes); });
                        })));
}

CUresult within_device(Stream& stream, const Copy& copy) {
  if (!is_in(Memory::device, copy.to, copy.bytes) || !is_in(Memory::device, copy.from, copy.bytes))
    return CUDA_ERROR_INVALID_VALUE;
  enqueue_copy(stream, copy);
  return CUDA_SUCCESS;
}

using Way = CUresult (*)(Stream&, const Copy&);

CUresult copy_call(Way way, const Copy& copy, uint64_t stream) {
  bool is_pageable = false;
  if (way != within_device) is_pageable = is_in(Memory::pageable, way == to_device ? copy.from : copy.to, copy.bytes);
  const Arguments arguments = {{"to", copy.to}, {"from", copy.from}, {"bytes", copy.bytes}, {"stream", stream},
                               {"pageable", is_pageable}};
  return call(copy.name, arguments, Needs::context, [&] {
    Stream* const found = stream_of(stream);
    return found ? way(*found, copy) : CUDA_ERROR_INVALID_HANDLE;
  });
}

// A copy without a stream returns when it is done.
CUresult copy_and_wait(Way way, const Copy& copy) {
  const CUresult result = copy_call(way, copy, 0);
  Stream& legacy = *stream_of(0);
  return result ? result : finish({&legacy, legacy.last});
}

template <class Element>
CUresult fill_call(const char* name, uint64_t address, Element value, size_t count, uint64_t stream) {
  const size_t bytes = count * sizeof(Element);
  const Arguments arguments = {{"address", address}, {"value", value}, {"bytes", bytes}, {"stream", stream}};
  return call(name, arguments, Needs::context, [&] {
    Stream* const found = stream_of(stream);
    if (!found) return CUDA_ERROR_INVALID_HANDLE;
    if (address % sizeof(Element) || !is_in(Memory::device, address, bytes)) return CUDA_ERROR_INVALID_VALUE;
    enqueue(*found, operation(name, address, bytes, [=] {
              return touch(name, {address}, bytes, [&] {
                for (size_t each = 0; each < count; ++each) static_cast<Element*>(pointer(address))[each] = value;
              });
            }));
    return CUDA_SUCCESS;
  });
}

uint64_t number(const void* host) { return reinterpret_cast<uint64_t>(host); }

}  // namespace
}  // namespace fake

FAKE_API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, uint64_t stream) {
  return fake::copy_call(fake::to_device, {"cuMemcpyHtoDAsync", to, fake::number(from), bytes}, stream);
}
FAKE_API CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, uint64_t stream) {
  return fake::copy_call(fake::to_host, {"cuMemcpyDtoHAsync", fake::number(to), from, bytes}, stream);
}
FAKE_API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, uint64_t stream) {
  return fake::copy_call(fake::within_device, {"cuMemcpyDtoDAsync", to, from, bytes}, stream);
}
FAKE_API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  return fake::copy_and_wait(fake::to_device, {"cuMemcpyHtoD", to, fake::number(from), bytes});
}
FAKE_API CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  return fake::copy_and_wait(fake::to_host, {"cuMemcpyDtoH", fake::number(to), from, bytes});
}
// The documentation leaves it open whether these two wait.
FAKE_API CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return fake::copy_call(fake::within_device, {"cuMemcpyDtoD", to, from, bytes}, 0);
}
FAKE_API CUresult cuMemsetD8_v2(CUdeviceptr address, unsigned char value, size_t count) {
  return fake::fill_call("cuMemsetD8", address, value, count, 0);
}
FAKE_API CUresult cuMemsetD8Async(CUdeviceptr address, unsigned char value, size_t count, uint64_t stream) {
  return fake::fill_call("cuMemsetD8Async", address, value, count, stream);
}
FAKE_API CUresult cuMemsetD32Async(CUdeviceptr address, unsigned value, size_t count, uint64_t stream) {
  return fake::fill_call("cuMemsetD32Async", address, value, count, stream);
}
