// Vectors of one instruction set: loads, stores and functions. See `steps.h`.

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

// ---- Loads and stores of the first n <= LANES numbers; others are zeros.

INLINE Floats widen(Halves bits) {
  return (Floats)(__builtin_convertvector(bits, Words) << 16);
}

// To the nearest bfloat16, ties to even; NaN stays NaN.
INLINE Halves narrow(Floats values) {
#if IS_BFLOAT16
  return (Halves)_mm512_cvtneps_pbh((__m512)values);
#endif
  Words bits = (Words)values;
  Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  Words is_number = (Words)(values == values);
  return __builtin_convertvector((rounded & is_number) | (0x7fc0 & ~is_number), Halves);
}

template <class V, class E>
INLINE V load_vector(const E* from, int64_t n) {
  V values = {};
  if (n == LANES) {
    __builtin_memcpy(&values, from, sizeof values);
    return values;
  }
#if IS_AVX512
  __mmask16 mask = (__mmask16)((1u << n) - 1);
  if constexpr (sizeof(E) == 4) return (V)_mm512_maskz_loadu_ps(mask, from);
  if constexpr (sizeof(E) == 2) return (V)_mm256_maskz_loadu_epi16(mask, from);
#endif
  for (int64_t i = 0; i < n; ++i) values[i] = from[i];
  return values;
}

template <class V, class E>
INLINE void store_vector(E* to, int64_t n, V values) {
  if (n == LANES) {
    __builtin_memcpy(to, &values, sizeof values);
    return;
  }
#if IS_AVX512
  __mmask16 mask = (__mmask16)((1u << n) - 1);
  if constexpr (sizeof(E) == 4) _mm512_mask_storeu_ps(to, mask, (__m512)values);
  if constexpr (sizeof(E) == 2) _mm256_mask_storeu_epi16(to, mask, (__m256i)values);
  return;
#endif
  for (int64_t i = 0; i < n; ++i) to[i] = values[i];
}

INLINE Floats load(const float* from, int64_t n) {
  return load_vector<Floats>(from, n);
}
INLINE Floats load(const Bfloat16* from, int64_t n) {
  return widen(load_vector<Halves>(&from->bits, n));
}
INLINE void store(float* to, int64_t n, Floats values) { store_vector(to, n, values); }
INLINE void store(Bfloat16* to, int64_t n, Floats values) {
  store_vector(&to->bits, n, narrow(values));
}

// Writes an input of the next product: as T holds it, whatever P is.
template <class T, class P>
INLINE void store_input(P* to, Floats values) {
  if (sizeof(T) < sizeof(P)) values = widen(narrow(values));
  store(to, LANES, values);
}

// ---- Functions, relative error below 1e-6.

// exp(x) = power * (1 + series) for |x| <= 88: x = n ln 2 + r, power is 2^n, and series
// is Taylor's of r to the 7th power.
struct Exponential {
  Floats power, series;
};

INLINE Exponential exponential(Floats x) {
  const float round = 12582912.0f;  // 1.5 * 2^23: nothing behind the point is left
  x = x > 88.0f ? Floats{} + 88.0f : x;
  x = x < -88.0f ? Floats{} - 88.0f : x;
  Floats shifted = x * 1.44269504f + round;
  Floats n = shifted - round;
  Floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Floats series = Floats{} + 1.0f / 5040;
  series = series * r + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  series = series * r * r + r;
  // The exponent's bits, from the last bits of `shifted`.
  return {(Floats)(((Ints)shifted + 127) << 23), series};
}

INLINE Floats exp_minus_one(Floats x) {
  const Exponential e = exponential(x);
  return e.power * e.series + (e.power - 1.0f);
}

// 0 where float32 has only denormal numbers, as 2^-127 has no bits.
INLINE Floats exp(Floats x) {
  const Exponential e = exponential(x);
  return e.power * e.series + e.power;
}

INLINE Floats sigmoid(Floats x) { return 1.0f / (exp_minus_one(-x) + 2.0f); }

INLINE Floats tanh(Floats x) {
  x = x > 20.0f ? Floats{} + 20.0f : x;
  Floats e = exp_minus_one(x + x);
  return e / (e + 2.0f);
}
