// How a noisy pixel is written: the element types of a graph's input.
#pragma once

#include "purecert/grid_noise.h"

namespace purecert {

enum class Element { int16, float16, float32 };

struct AsInt16 {
  using Type = int16_t;
  PURECERT_HD static Type convert(int32_t value) { return static_cast<Type>(value); }
};

struct AsHalf {
  using Type = uint16_t;
  PURECERT_HD static Type convert(int32_t value) { return half_bits(value); }
};

struct AsFloat {
  using Type = float;
  PURECERT_HD static Type convert(int32_t value) { return static_cast<Type>(value); }
};

}  // namespace purecert
