// The log of calls and work, errors on request, and violations: what a test reads and sets.
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "driver.h"

namespace fake {
namespace {

struct Request {
  int error, first, calls, seen;
};

// Leaked on purpose: pycuda's last objects go after this library's own would have.
struct Calls {
  std::mutex mutex;
  std::string log, violations;
  std::map<std::string, Request> requests;
};

void read_requests(Calls& calls) {
  const char* text = std::getenv("FAKE_CUDA_ERRORS");  // name:error[:first[:calls]],...
  std::stringstream all(text ? text : "");
  for (std::string one; std::getline(all, one, ',');) {
    char name[64];
    Request request{0, 1, 1, 0};
    const int read = std::sscanf(one.c_str(), "%63[^:]:%d:%d:%d", name, &request.error, &request.first, &request.calls);
    if (read < 2) {
      std::fprintf(stderr, "FAKE_CUDA_ERRORS: expected name:error[:first[:calls]], got '%s'\n", one.c_str());
      std::abort();
    }
    calls.requests[name] = request;
  }
}

Calls& calls() {
  static Calls* const only = [] {
    auto* made = new Calls;
    read_requests(*made);
    return made;
  }();
  return *only;
}

void append(const char* kind, const char* name, Arguments arguments, CUresult result) {
  std::ostringstream line;
  line << kind << ' ' << name;
  for (const auto& [key, value] : arguments) line << ' ' << key << '=' << value;
  line << " -> " << result << '\n';
  std::lock_guard<std::mutex> lock(calls().mutex);
  calls().log += line.str();
}

CUresult requested_error(const char* name) {
  std::lock_guard<std::mutex> lock(calls().mutex);
  const auto found = calls().requests.find(name);
  if (found == calls().requests.end()) return CUDA_SUCCESS;
  Request& request = found->second;
  const int past = ++request.seen - request.first;
  const bool is_due = past >= 0 && (request.calls < 0 || past < request.calls);
  return is_due ? static_cast<CUresult>(request.error) : CUDA_SUCCESS;
}

CUresult refusal(const char* name, Needs needs) {
  if (const CUresult error = requested_error(name)) {
    // From here on a fault of the device meets every call, as it does on a real one.
    return error >= CUDA_ERROR_ILLEGAL_ADDRESS && error <= CUDA_ERROR_LAUNCH_FAILED ? fail_context(error) : error;
  }
  if (needs != Needs::nothing && !is_initialized()) return CUDA_ERROR_NOT_INITIALIZED;
  return needs == Needs::context ? context_state() : CUDA_SUCCESS;
}

}  // namespace

CUresult call(const char* name, Arguments arguments, Needs needs, const std::function<CUresult()>& body) {
  const CUresult refused = refusal(name, needs);
  const CUresult result = refused ? refused : body();
  append("call", name, arguments, result);
  return result;
}

void log_work(const char* name, Arguments arguments, CUresult result) { append("work", name, arguments, result); }

void violation(const std::string& what) {
  std::lock_guard<std::mutex> lock(calls().mutex);
  calls().violations += what + '\n';
}

int setting(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::atoi(text) : otherwise;
}

}  // namespace fake

// The text stays until the same thread asks again.
FAKE_API const char* fake_log() {
  thread_local std::string copy;
  std::lock_guard<std::mutex> lock(fake::calls().mutex);
  return (copy = fake::calls().log).c_str();
}

FAKE_API const char* fake_violations() {
  thread_local std::string copy;
  std::lock_guard<std::mutex> lock(fake::calls().mutex);
  return (copy = fake::calls().violations).c_str();
}

// From the `first` call of `name` on (counted from now), `calls` calls give `error`; all where `calls` is negative.
FAKE_API void fake_request_error(const char* name, int error, int first, int calls) {
  std::lock_guard<std::mutex> lock(fake::calls().mutex);
  fake::calls().requests[name] = {error, first, calls, 0};
}

// Forgets log, violations, requests and the device's failure; memory and streams stay.
FAKE_API void fake_reset() {
  fake::forget_failure();
  std::lock_guard<std::mutex> lock(fake::calls().mutex);
  fake::calls().log.clear();
  fake::calls().violations.clear();
  fake::calls().requests.clear();
}

// A command's process has nobody to ask at its end.
__attribute__((destructor)) static void write_report() {
  const char* path = std::getenv("FAKE_CUDA_REPORT");
  std::FILE* file = path ? std::fopen(path, "w") : nullptr;
  if (!file) return;
  std::fputs(fake_log(), file);
  for (std::stringstream all(fake_violations()); all.good();) {
    std::string one;
    if (std::getline(all, one)) std::fprintf(file, "violation %s\n", one.c_str());
  }
  std::fclose(file);
}
