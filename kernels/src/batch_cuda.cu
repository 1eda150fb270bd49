// The batch kernels on a GPU. The arithmetic is that of batch_rows.h; here are grids, shared memory and streams.
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "purecert/batch_rows.h"

namespace purecert {
namespace {

constexpr uint32_t kNoiseThreads = 256;
constexpr uint32_t kVoteThreads = 1024;
// Blocks that must fit a multiprocessor at least. Without a number the compiler aims at more and spills registers.
constexpr uint32_t kNoiseBlocks = 2;

void check(cudaError_t code, const char* what) {
  if (code != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(code));
}

// Bytes of shared memory for the parts of the table that every draw reads; the full thresholds decide one draw in a
// million and stay where they are.
size_t staged_bytes(const ThresholdView& table) {
  return sizeof(uint32_t) * (table.count + 1) + sizeof(uint16_t) * kGuideSize;
}

// Copy tops and guide into shared memory; return the table that reads them there.
__device__ ThresholdView stage(const ThresholdView& table, uint32_t* shared) {
  auto* const guide = reinterpret_cast<uint16_t*>(shared + table.count + 1);
  for (uint32_t index = threadIdx.x; index <= table.count; index += blockDim.x) shared[index] = table.top[index];
  for (uint32_t index = threadIdx.x; index < kGuideSize; index += blockDim.x) guide[index] = table.guide[index];
  __syncthreads();
  return ThresholdView{table.full, shared, guide, table.count};
}

// kStaged is a template argument so that the compiler knows the loads to be of shared memory.
template <bool kStaged>
__device__ NoiseBatch staged(NoiseBatch batch) {
  extern __shared__ uint32_t shared[];
  if constexpr (kStaged) batch.table = stage(batch.table, shared);
  return batch;
}

template <class Format, uint32_t Channels, bool kStaged>
__global__ void __launch_bounds__(kNoiseThreads, kNoiseBlocks) fill_stores_kernel(NoiseBatch given, uint32_t units) {
  const NoiseBatch batch = staged<kStaged>(given);
  const uint32_t step = gridDim.x * blockDim.x;
  for (uint32_t unit = blockIdx.x * blockDim.x + threadIdx.x; unit < units; unit += step) {
    fill_unit<Format, Channels>(batch, unit);
  }
}

template <class Format, bool kStaged>
__global__ void __launch_bounds__(kNoiseThreads, kNoiseBlocks) fill_blocks_kernel(NoiseBatch given, uint32_t blocks) {
  const NoiseBatch batch = staged<kStaged>(given);
  const uint32_t step = gridDim.x * blockDim.x;
  for (uint32_t number = blockIdx.x * blockDim.x + threadIdx.x; number < blocks; number += step) {
    fill_any_block<Format>(batch, number);
  }
}

// One block of threads, so that the map moves on after the last vote.
__global__ void __launch_bounds__(kVoteThreads) count_votes_kernel(VoteBatch batch) {
  const uint32_t number = batch.map.head->batch;
  for (uint32_t row = threadIdx.x; row < batch.rows; row += blockDim.x) {
    vote(batch, number * batch.rows, row, [](uint32_t* counter) { atomicAdd(counter, 1u); });
  }
  __syncthreads();
  if (threadIdx.x == 0) batch.map.head->batch = number + 1;
}

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  check(cudaGetDevice(&device), "no current device");
  check(cudaDeviceGetAttribute(&value, which, device), "the device does not describe itself");
  return value;
}

// Launch as many blocks as the device holds at once, each of which stages the table once and then strides.
template <class Kernel>
void launch(Kernel kernel, const NoiseBatch& batch, uint32_t count, size_t shared, cudaStream_t stream) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        "shared memory");
  int resident = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, kNoiseThreads, shared), "occupancy");
  const auto most = static_cast<uint32_t>(resident * attribute(cudaDevAttrMultiProcessorCount));
  const uint32_t wanted = (count + kNoiseThreads - 1) / kNoiseThreads;
  kernel<<<wanted < most ? wanted : most, kNoiseThreads, shared, stream>>>(batch, count);
  check(cudaGetLastError(), "the noise kernel was not launched");
}

struct DeviceRun {
  const NoiseBatch& batch;
  cudaStream_t stream;
  size_t shared;
  bool is_staged;

  template <class Format, uint32_t Channels>
  void stores(uint32_t units) {
    launch(is_staged ? fill_stores_kernel<Format, Channels, true> : fill_stores_kernel<Format, Channels, false>, batch,
           units, is_staged ? shared : 0, stream);
  }
  template <class Format>
  void blocks(uint32_t blocks) {
    launch(is_staged ? fill_blocks_kernel<Format, true> : fill_blocks_kernel<Format, false>, batch, blocks,
           is_staged ? shared : 0, stream);
  }
};

}  // namespace

void fill_batch(const NoiseBatch& batch, void* stream) {
  const size_t shared = staged_bytes(batch.table);
  const bool is_staged = shared <= static_cast<size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  DeviceRun run{batch, static_cast<cudaStream_t>(stream), shared, is_staged};
  dispatch(batch, run);
}

void count_votes(const VoteBatch& batch, void* stream) {
  count_votes_kernel<<<1, kVoteThreads, 0, static_cast<cudaStream_t>(stream)>>>(batch);
  check(cudaGetLastError(), "the vote kernel was not launched");
}

}  // namespace purecert
