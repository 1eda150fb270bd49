// Work on a CUDA stream kept as a graph, to be launched again at the cost of one launch.
#pragma once

namespace purecert {

// Record what this thread enqueues on `stream` from here on, instead of doing it.
void begin_capture(void* stream);

// End the recording and return the graph made of it, ready to launch. Throws, with the stream out of its recording, where
// something was enqueued that no graph can hold.
void* end_capture(void* stream);

// Enqueue the whole of `graph` on `stream`.
void launch_captured(void* graph, void* stream);

// Free `graph`, which must have ended its work.
void free_captured(void* graph);

}  // namespace purecert
