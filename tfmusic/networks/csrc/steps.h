// All that is compiled for one instruction set. `lstm.cc` includes this once for each,
// inside a namespace, after defining
//   LANES     numbers of float32 in a vector,
//   MAX_ROWS  rows of a tile: its 4 * MAX_ROWS sums stay in registers,
//   IS_AVX512, IS_BFLOAT16  1 where these instructions may be used.
//
// No lambdas and no templates of the standard library here: they would be compiled for
// instructions that the processor may lack.

#include "vectors.h"
#include "lstm_steps.h"
#include "softmax_steps.h"

template <class T, class P>
constexpr Kernels make_kernels() {
  return {sizeof(P),          pack<T, P>,           forward_rows<T, P>,
          backward_rows<T, P>, softmax_forward<T>, softmax_backward<T>};
}

#if IS_BFLOAT16
typedef Bfloat16 Half;
#else
typedef float Half;  // products of bfloat16 numbers, in float32
#endif
const InstructionSet kInstructions = {
    count_bytes, packed_size, make_kernels<float, float>(),
    make_kernels<Bfloat16, Half>()};
