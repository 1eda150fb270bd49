#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "purecert/capture.h"

namespace purecert {
namespace {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // or the next call here would report it again
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

cudaStream_t stream_at(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

void begin_capture(void* stream) {
  // Other threads may go on: they wait for events, which the global mode would forbid.
  check(cudaStreamBeginCapture(stream_at(stream), cudaStreamCaptureModeThreadLocal), "a CUDA graph cannot begin");
}

void* end_capture(void* stream) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream_at(stream), &graph), "the work of a batch cannot be captured");
  cudaGraphExec_t ready = nullptr;
  const cudaError_t status = cudaGraphInstantiateWithFlags(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "a CUDA graph cannot be made");
  return ready;
}

void launch_captured(void* graph, void* stream) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_at(stream)), "a CUDA graph cannot be launched");
}

void free_captured(void* graph) {
  check(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)), "a CUDA graph cannot be freed");
}

}  // namespace purecert
