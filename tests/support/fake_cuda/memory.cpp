// Allocations of the device and page-locked ones of the host. Each ends at a page that nobody may touch, and freed ones
// stay reserved and closed: whoever writes past an end or holds a dead address faults where it happens.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "driver.h"

namespace fake {
namespace {

constexpr size_t page = 4096;
constexpr size_t alignment = 256;     // what cuMemAlloc promises
constexpr unsigned char fresh = 0xCB;  // new memory is not zero

struct Allocation {
  size_t bytes;
  bool on_device, alive;
  char* mapping;  // nothing where the memory is the caller's, only registered
  size_t mapped;
};

// By first address. Leaked on purpose, as the calls' log.
std::map<uint64_t, Allocation>& allocations() {
  static auto* const only = new std::map<uint64_t, Allocation>;
  return *only;
}

std::atomic<uint64_t> device_bytes{1ull << 30};

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

Memory kind_of(const Allocation& allocation) {
  if (!allocation.alive) return Memory::freed;
  return allocation.on_device ? Memory::device : Memory::page_locked;
}

Left count_left(Memory kind) {
  Left left;
  for (const auto& [address, allocation] : allocations()) {
    if (kind_of(allocation) != kind) continue;
    ++left.count;
    left.bytes += allocation.bytes;
  }
  return left;
}

CUresult allocate(bool on_device, size_t bytes, uint64_t* address) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard<std::mutex> lock(memory_mutex());
  if (on_device && bytes > device_bytes - std::min<uint64_t>(device_bytes, count_left(Memory::device).bytes))
    return CUDA_ERROR_OUT_OF_MEMORY;
  const size_t used = rounded(bytes, alignment), mapped = rounded(used, page) + page;
  void* mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  char* const guard = static_cast<char*>(mapping) + mapped - page;
  mprotect(guard, page, PROT_NONE);
  std::memset(guard - used, fresh, used);
  *address = reinterpret_cast<uint64_t>(guard - used);
  allocations()[*address] = {bytes, on_device, true, static_cast<char*>(mapping), mapped};
  return CUDA_SUCCESS;
}

// What lies between an allocation's end and the guard page must be as it was.
void check_end(const char* first, const Allocation& allocation) {
  for (size_t byte = allocation.bytes; byte < rounded(allocation.bytes, alignment); ++byte)
    if (static_cast<unsigned char>(first[byte]) != fresh) {
      violation("written past the end of an allocation of " + std::to_string(allocation.bytes) + " bytes");
      return;
    }
}

void close(uint64_t address, Allocation& allocation) {
  allocation.alive = false;
  if (!allocation.mapping) return;
  check_end(reinterpret_cast<const char*>(address), allocation);
  madvise(allocation.mapping, allocation.mapped, MADV_DONTNEED);
  mprotect(allocation.mapping, allocation.mapped, PROT_NONE);
}

CUresult release(const char* name, Memory kind, bool is_registered, uint64_t address) {
  std::lock_guard<std::mutex> lock(memory_mutex());
  const auto found = allocations().find(address);
  if (found != allocations().end() && !found->second.alive) violation(std::string(name) + " of what was freed before");
  if (found == allocations().end() || kind_of(found->second) != kind || is_registered == !!found->second.mapping)
    return CUDA_ERROR_INVALID_VALUE;
  close(address, found->second);
  return CUDA_SUCCESS;
}

}  // namespace

std::mutex& memory_mutex() {
  static auto* const only = new std::mutex;
  return *only;
}

Memory memory_of(uint64_t address, size_t bytes) {
  auto next = allocations().upper_bound(address);
  // What begins outside and reaches into an allocation is no more the caller's own than what begins in one.
  const bool reaches_next = next != allocations().end() && next->second.alive && address + bytes > next->first;
  if (reaches_next) return Memory::outside;
  if (next == allocations().begin()) return Memory::pageable;
  const auto& [first, allocation] = *--next;
  if (address >= first + std::max<size_t>(allocation.bytes, 1)) {
    const uint64_t mapped_end = reinterpret_cast<uint64_t>(allocation.mapping) + allocation.mapped;
    return allocation.mapping && address < mapped_end ? Memory::outside : Memory::pageable;
  }
  if (!allocation.alive && !allocation.mapping) return Memory::pageable;
  const bool fits = address + bytes <= first + allocation.bytes;
  return fits || !allocation.alive ? kind_of(allocation) : Memory::outside;
}

Left left_in(Memory kind) {
  std::lock_guard<std::mutex> lock(memory_mutex());
  return count_left(kind);
}

void free_everything() {
  std::lock_guard<std::mutex> lock(memory_mutex());
  for (auto& [address, allocation] : allocations())
    if (allocation.alive) close(address, allocation);
}

}  // namespace fake

using fake::call;
using fake::Needs;

FAKE_API CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  return call("cuMemAlloc", {{"bytes", bytes}}, Needs::context, [=] {
    uint64_t first = 0;
    const CUresult result = fake::allocate(true, bytes, &first);
    *address = first;
    return result;
  });
}

FAKE_API CUresult cuMemFree_v2(CUdeviceptr address) {
  return call("cuMemFree", {{"address", address}}, Needs::context,
              [=] { return fake::release("cuMemFree", fake::Memory::device, false, address); });
}

FAKE_API CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned flags) {
  return call("cuMemHostAlloc", {{"bytes", bytes}, {"flags", flags}}, Needs::context,
              [=] { return fake::allocate(false, bytes, reinterpret_cast<uint64_t*>(address)); });
}

FAKE_API CUresult cuMemFreeHost(void* address) {
  const auto first = reinterpret_cast<uint64_t>(address);
  return call("cuMemFreeHost", {{"address", first}}, Needs::context,
              [=] { return fake::release("cuMemFreeHost", fake::Memory::page_locked, false, first); });
}

FAKE_API CUresult cuMemHostRegister_v2(void* address, size_t bytes, unsigned flags) {
  const auto first = reinterpret_cast<uint64_t>(address);
  return call("cuMemHostRegister", {{"address", first}, {"bytes", bytes}, {"flags", flags}}, Needs::context, [=] {
    std::lock_guard<std::mutex> lock(fake::memory_mutex());
    if (bytes == 0 || fake::memory_of(first, bytes) != fake::Memory::pageable) return CUDA_ERROR_INVALID_VALUE;
    fake::allocations()[first] = {bytes, false, true, nullptr, 0};
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuMemHostUnregister(void* address) {
  const auto first = reinterpret_cast<uint64_t>(address);
  return call("cuMemHostUnregister", {{"address", first}}, Needs::context,
              [=] { return fake::release("cuMemHostUnregister", fake::Memory::page_locked, true, first); });
}

FAKE_API CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  return call("cuMemGetInfo", {}, Needs::context, [=] {
    *total = fake::device_bytes;
    *free = *total - fake::left_in(fake::Memory::device).bytes;
    return CUDA_SUCCESS;
  });
}

FAKE_API CUresult cuDeviceTotalMem_v2(size_t* bytes, int device) {
  return call("cuDeviceTotalMem", {}, Needs::driver, [=] {
    *bytes = fake::device_bytes;
    return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
  });
}

FAKE_API void fake_set_memory(size_t bytes) { fake::device_bytes = bytes; }

// What is allocated and not freed, on the device or page-locked on the host.
FAKE_API void fake_left(int on_device, uint64_t* count, uint64_t* bytes) {
  const fake::Left left = fake::left_in(on_device ? fake::Memory::device : fake::Memory::page_locked);
  *count = left.count;
  *bytes = left.bytes;
}
