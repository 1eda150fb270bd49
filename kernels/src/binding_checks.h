// Arguments from Python that are not arrays: checked, or a ValueError that says what was expected and what came.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>

namespace purecert {

inline void require(bool holds, const std::string& expected, const std::string& came) {
  if (!holds) throw nanobind::value_error(("expected " + expected + ", got " + came).c_str());
}

inline uint64_t integer(const nanobind::int_& value, const char* name, uint64_t max) {
  const unsigned long long converted = PyLong_AsUnsignedLongLong(value.ptr());
  const bool is_outside = PyErr_Occurred() != nullptr;
  if (is_outside) PyErr_Clear();
  require(!is_outside && converted <= max, std::string(name) + " in [0, " + std::to_string(max) + "]",
          nanobind::str(value).c_str());
  return converted;
}

}  // namespace purecert
