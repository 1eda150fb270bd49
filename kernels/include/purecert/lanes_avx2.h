// Eight blocks at a time with AVX2 (and F16C, which every processor with AVX2 has).
#pragma once

#include <immintrin.h>

#include "purecert/noise_rows.h"

namespace purecert {

// A word of eight blocks: two vectors of four, each in the low half of 64 bits, as a multiplication reads them. What lies
// in the high halves is not looked at.
struct Avx2Word {
  __m256i even, odd;

  Avx2Word(__m256i even, __m256i odd) : even(even), odd(odd) {}
  explicit Avx2Word(uint32_t same) : even(_mm256_set1_epi32(static_cast<int>(same))), odd(even) {}
};

inline Product<Avx2Word> multiply(const Avx2Word& a, uint32_t factor) {
  const __m256i factors = _mm256_set1_epi32(static_cast<int>(factor));
  const __m256i even = _mm256_mul_epu32(a.even, factors), odd = _mm256_mul_epu32(a.odd, factors);
  return {{_mm256_srli_epi64(even, 32), _mm256_srli_epi64(odd, 32)}, {even, odd}};
}

inline Avx2Word xor3(const Avx2Word& a, const Avx2Word& b, const Avx2Word& c) {
  return {_mm256_xor_si256(a.even, _mm256_xor_si256(b.even, c.even)),
          _mm256_xor_si256(a.odd, _mm256_xor_si256(b.odd, c.odd))};
}

// Eight numbers of 32 bits.
struct Avx2Vector {
  __m256i bits;

  Avx2Vector() = default;
  Avx2Vector(__m256i bits) : bits(bits) {}
  explicit Avx2Vector(uint32_t same) : bits(_mm256_set1_epi32(static_cast<int>(same))) {}
};

inline Avx2Vector operator&(const Avx2Vector& a, const Avx2Vector& b) { return _mm256_and_si256(a.bits, b.bits); }
inline Avx2Vector operator|(const Avx2Vector& a, const Avx2Vector& b) { return _mm256_or_si256(a.bits, b.bits); }
inline Avx2Vector operator^(const Avx2Vector& a, const Avx2Vector& b) { return _mm256_xor_si256(a.bits, b.bits); }
inline Avx2Vector operator+(const Avx2Vector& a, const Avx2Vector& b) { return _mm256_add_epi32(a.bits, b.bits); }

template <int kBits>
inline Avx2Vector shift_right_signed(const Avx2Vector& value) {
  return _mm256_srai_epi32(value.bits, kBits);
}

inline Avx2Vector shift_right(const Avx2Vector& value, uint32_t bits) {
  return _mm256_srl_epi32(value.bits, _mm_cvtsi32_si128(static_cast<int>(bits)));
}

inline Avx2Vector float_bits(const Avx2Vector& value) { return _mm256_castps_si256(_mm256_cvtepi32_ps(value.bits)); }

inline Avx2Vector gather(const uint32_t* origin, const Avx2Vector& index) {
  return _mm256_i32gather_epi32(reinterpret_cast<const int*>(origin), index.bits, sizeof *origin);
}

struct Avx2Lanes {
  static constexpr uint32_t kBlocks = 8;
  // Such that the unpacking in interleave() leaves the blocks in their order.
  static constexpr uint32_t kBlockOfLane[kBlocks] = {0, 1, 4, 5, 2, 3, 6, 7};
  using Word = Avx2Word;
  using Vector = Avx2Vector;
  struct Group {
    __m256i low, high;  // 32 numbers of 16 bits
  };

  static Word blocks(uint32_t first) {
    const __m256i firsts = _mm256_set1_epi32(static_cast<int>(first));
    return {_mm256_add_epi32(firsts, _mm256_setr_epi64x(0, 4, 2, 6)),
            _mm256_add_epi32(firsts, _mm256_setr_epi64x(1, 5, 3, 7))};
  }

  static Vector vector(const Word& word) { return _mm256_blend_epi32(word.even, _mm256_slli_epi64(word.odd, 32), 0xAA); }

  static bool is_any_undecided(const Vector (&found)[kBlockElements]) {
    // Both signs of an undecided value are the equality of a half with one of this number.
    const __m256i sign = _mm256_set1_epi32(static_cast<int>(kManyThresholds));
    __m256i any = _mm256_setzero_si256();
    for (const Vector& each : found) any = _mm256_or_si256(any, _mm256_cmpeq_epi16(each.bits, sign));
    return _mm256_testz_si256(any, any) == 0;
  }

  static Group interleave(const Vector (&found)[kBlockElements]) {
    const __m256i first = high_halves(found[0], found[1]), second = high_halves(found[2], found[3]);
    return {_mm256_unpacklo_epi32(first, second), _mm256_unpackhi_epi32(first, second)};
  }

  static Group add(const Group& group, const uint8_t* image) {
    return {_mm256_adds_epi16(group.low, pixels(image)), _mm256_adds_epi16(group.high, pixels(image + 16))};
  }

  static Group clip(const Group& group) { return {clipped(group.low), clipped(group.high)}; }

  static void store(const Group& group, int16_t* out, AsInt16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), group.low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 16), group.high);
  }

  static void store(const Group& group, uint16_t* out, AsHalf) {
    for_each_quarter(group, [=](int quarter, __m256 values) {
      const __m128i halves = _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + quarter * 8), halves);
    });
  }

  static void store(const Group& group, float* out, AsFloat) {
    for_each_quarter(group, [=](int quarter, __m256 values) { _mm256_storeu_ps(out + quarter * 8, values); });
  }

 private:
  static __m256i high_halves(const Vector& even, const Vector& odd) {
    return _mm256_blend_epi16(_mm256_srli_epi32(even.bits, 16), odd.bits, 0xAA);
  }

  static __m256i pixels(const uint8_t* image) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(image)));
  }

  static __m256i clipped(__m256i values) {
    return _mm256_max_epi16(_mm256_set1_epi16(kGridMin), _mm256_min_epi16(_mm256_set1_epi16(kGridMax), values));
  }

  template <class Use>
  static void for_each_quarter(const Group& group, Use use) {
    use(0, floats(_mm256_castsi256_si128(group.low)));
    use(1, floats(_mm256_extracti128_si256(group.low, 1)));
    use(2, floats(_mm256_castsi256_si128(group.high)));
    use(3, floats(_mm256_extracti128_si256(group.high, 1)));
  }

  static __m256 floats(__m128i values) { return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(values)); }
};

}  // namespace purecert
