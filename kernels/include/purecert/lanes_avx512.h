// Sixteen blocks at a time with AVX-512 (F and BW).
#pragma once

#include <immintrin.h>

#include "purecert/noise_rows.h"

namespace purecert {

// A word of sixteen blocks: two vectors of eight, each in the low half of 64 bits, as a multiplication reads them. What lies
// in the high halves is not looked at.
struct Avx512Word {
  __m512i even, odd;

  Avx512Word(__m512i even, __m512i odd) : even(even), odd(odd) {}
  explicit Avx512Word(uint32_t same) : even(_mm512_set1_epi32(static_cast<int>(same))), odd(even) {}
};

inline Product<Avx512Word> multiply(const Avx512Word& a, uint32_t factor) {
  const __m512i factors = _mm512_set1_epi32(static_cast<int>(factor));
  const __m512i even = _mm512_mul_epu32(a.even, factors), odd = _mm512_mul_epu32(a.odd, factors);
  return {{_mm512_srli_epi64(even, 32), _mm512_srli_epi64(odd, 32)}, {even, odd}};
}

inline Avx512Word xor3(const Avx512Word& a, const Avx512Word& b, const Avx512Word& c) {
  constexpr int kXor3 = 0x96;  // the truth table of a ^ b ^ c
  return {_mm512_ternarylogic_epi64(a.even, b.even, c.even, kXor3),
          _mm512_ternarylogic_epi64(a.odd, b.odd, c.odd, kXor3)};
}

// Sixteen numbers of 32 bits.
struct Avx512Vector {
  __m512i bits;

  Avx512Vector() = default;
  Avx512Vector(__m512i bits) : bits(bits) {}
  explicit Avx512Vector(uint32_t same) : bits(_mm512_set1_epi32(static_cast<int>(same))) {}
};

inline Avx512Vector operator&(const Avx512Vector& a, const Avx512Vector& b) { return _mm512_and_si512(a.bits, b.bits); }
inline Avx512Vector operator|(const Avx512Vector& a, const Avx512Vector& b) { return _mm512_or_si512(a.bits, b.bits); }
inline Avx512Vector operator^(const Avx512Vector& a, const Avx512Vector& b) { return _mm512_xor_si512(a.bits, b.bits); }
inline Avx512Vector operator+(const Avx512Vector& a, const Avx512Vector& b) { return _mm512_add_epi32(a.bits, b.bits); }

template <int kBits>
inline Avx512Vector shift_right_signed(const Avx512Vector& value) {
  return _mm512_srai_epi32(value.bits, kBits);
}

inline Avx512Vector shift_right(const Avx512Vector& value, uint32_t bits) {
  return _mm512_srl_epi32(value.bits, _mm_cvtsi32_si128(static_cast<int>(bits)));
}

inline Avx512Vector float_bits(const Avx512Vector& value) {
  return _mm512_castps_si512(_mm512_cvtepi32_ps(value.bits));
}

inline Avx512Vector gather(const uint32_t* origin, const Avx512Vector& index) {
  return _mm512_i32gather_epi32(index.bits, origin, sizeof *origin);
}

struct Avx512Lanes {
  static constexpr uint32_t kBlocks = 16;
  // Such that the unpacking in interleave() leaves the blocks in their order.
  static constexpr uint32_t kBlockOfLane[kBlocks] = {0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15};
  using Word = Avx512Word;
  using Vector = Avx512Vector;
  struct Group {
    __m512i low, high;  // 64 numbers of 16 bits
  };

  static Word blocks(uint32_t first) {
    const __m512i firsts = _mm512_set1_epi32(static_cast<int>(first));
    return {_mm512_add_epi32(firsts, _mm512_setr_epi64(0, 8, 2, 10, 4, 12, 6, 14)),
            _mm512_add_epi32(firsts, _mm512_setr_epi64(1, 9, 3, 11, 5, 13, 7, 15))};
  }

  static Vector vector(const Word& word) {
    return _mm512_mask_shuffle_epi32(word.even, 0xAAAA, word.odd, _MM_PERM_CCAA);
  }

  static bool is_any_undecided(const Vector (&found)[kBlockElements]) {
    // Both signs of an undecided value are the equality of a half with one of this number.
    const __m512i sign = _mm512_set1_epi32(static_cast<int>(kManyThresholds));
    __mmask32 any = 0;
    for (const Vector& each : found) any = _kor_mask32(any, _mm512_cmpeq_epi16_mask(each.bits, sign));
    return !_kortestz_mask32_u8(any, any);
  }

  static Group interleave(const Vector (&found)[kBlockElements]) {
    const __m512i first = high_halves(found[0], found[1]), second = high_halves(found[2], found[3]);
    return {_mm512_unpacklo_epi32(first, second), _mm512_unpackhi_epi32(first, second)};
  }

  static Group add(const Group& group, const uint8_t* image) {
    return {_mm512_adds_epi16(group.low, pixels(image)), _mm512_adds_epi16(group.high, pixels(image + 32))};
  }

  static Group clip(const Group& group) { return {clipped(group.low), clipped(group.high)}; }

  static void store(const Group& group, int16_t* out, AsInt16) {
    _mm512_storeu_si512(out, group.low);
    _mm512_storeu_si512(out + 32, group.high);
  }

  static void store(const Group& group, uint16_t* out, AsHalf) {
    for_each_quarter(group, [=](int quarter, __m512 values) {
      const __m256i halves = _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + quarter * 16), halves);
    });
  }

  static void store(const Group& group, float* out, AsFloat) {
    for_each_quarter(group, [=](int quarter, __m512 values) { _mm512_storeu_ps(out + quarter * 16, values); });
  }

 private:
  static __m512i high_halves(const Vector& even, const Vector& odd) {
    return _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(even.bits, 16), odd.bits);
  }

  static __m512i pixels(const uint8_t* image) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(image)));
  }

  static __m512i clipped(__m512i values) {
    return _mm512_max_epi16(_mm512_set1_epi16(kGridMin), _mm512_min_epi16(_mm512_set1_epi16(kGridMax), values));
  }

  template <class Use>
  static void for_each_quarter(const Group& group, Use use) {
    use(0, floats(_mm512_castsi512_si256(group.low)));
    use(1, floats(_mm512_extracti64x4_epi64(group.low, 1)));
    use(2, floats(_mm512_castsi512_si256(group.high)));
    use(3, floats(_mm512_extracti64x4_epi64(group.high, 1)));
  }

  static __m512 floats(__m256i values) { return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(values)); }
};

}  // namespace purecert
