// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw,
// "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). The constants are the paper's.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define PURECERT_HD __host__ __device__
#define PURECERT_UNROLL _Pragma("unroll")
#else
#define PURECERT_HD
#define PURECERT_UNROLL
#endif

namespace purecert {

struct Words4 {
  uint32_t word[4];
};

// ctr addresses the draw, key names the stream: same (ctr, key), same words, on every device.
PURECERT_HD inline Words4 philox4x32(Words4 ctr, uint32_t key0, uint32_t key1) {
  constexpr int kRounds = 10;
  constexpr uint64_t kMultiplier0 = 0xD2511F53u;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u;  // golden ratio
  constexpr uint32_t kWeyl1 = 0xBB67AE85u;  // sqrt(3) - 1
  uint32_t a = ctr.word[0], b = ctr.word[1], c = ctr.word[2], d = ctr.word[3];
  PURECERT_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = kMultiplier0 * a;
    const uint64_t product1 = kMultiplier1 * c;
    a = static_cast<uint32_t>(product1 >> 32) ^ b ^ key0;
    b = static_cast<uint32_t>(product1);
    c = static_cast<uint32_t>(product0 >> 32) ^ d ^ key1;
    d = static_cast<uint32_t>(product0);
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return Words4{{a, b, c, d}};
}

}  // namespace purecert
