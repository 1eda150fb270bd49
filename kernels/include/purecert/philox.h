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

// Four words side by side. A Word is a number of 32 bits or a vector of them, as Philox and its callers compute with
// either: whatever can be made of a uint32_t (the same in every lane) and has multiply() and xor3().
template <class Word>
struct Words {
  Word word[4];
};
using Words4 = Words<uint32_t>;

template <class Word>
struct Product {
  Word high, low;
};

PURECERT_HD inline Product<uint32_t> multiply(uint32_t a, uint32_t factor) {
  const uint64_t product = static_cast<uint64_t>(factor) * a;
  return {static_cast<uint32_t>(product >> 32), static_cast<uint32_t>(product)};
}

PURECERT_HD inline uint32_t xor3(uint32_t a, uint32_t b, uint32_t c) { return a ^ b ^ c; }

// ctr addresses the draw, key names the stream: same (ctr, key), same words, on every device.
template <class Word>
PURECERT_HD inline Words<Word> philox4x32(Words<Word> ctr, uint32_t key0, uint32_t key1) {
  constexpr int kRounds = 10;
  constexpr uint32_t kMultiplier0 = 0xD2511F53u;
  constexpr uint32_t kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u;  // golden ratio
  constexpr uint32_t kWeyl1 = 0xBB67AE85u;  // sqrt(3) - 1
  Word a = ctr.word[0], b = ctr.word[1], c = ctr.word[2], d = ctr.word[3];
  PURECERT_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    const Product<Word> product0 = multiply(a, kMultiplier0);
    const Product<Word> product1 = multiply(c, kMultiplier1);
    a = xor3(product1.high, b, Word(key0));
    b = product1.low;
    c = xor3(product0.high, d, Word(key1));
    d = product0.low;
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return Words<Word>{{a, b, c, d}};
}

}  // namespace purecert
