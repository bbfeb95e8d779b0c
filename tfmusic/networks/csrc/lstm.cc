// The recurrent part of an LSTM over whole sequences, and softmax cross-entropy, each as
// two TensorFlow operations.
//
// `TfmusicLstm` runs the time loop: sums of the gates, projected[t] + output[t - 1] x
// recurrent kernel, then the gates and the cell. `TfmusicLstmGradient` runs it back. The
// large products (inputs of all steps, gradients of the weights) stay TensorFlow's.
// `tfmusic/networks/recurrence.py` has the same in TensorFlow's own operations: what
// tests compare with, and what runs where this library is not built.
//
// Weights are packed once a sequence. Rows of a batch are independent of each other: they
// are split over threads for the whole time loop, so no thread waits for another within
// a sequence, and a row's arithmetic depends neither on their number nor on their order.
//
// `TfmusicSoftmax` gives the nats of labels and whether they are the likeliest classes,
// `TfmusicSoftmaxGradient` the gradient of the logits in their own type: over a large
// vocabulary memory takes most of the time, and these pass over it once.
// `tfmusic/networks/losses.py` has the same in TensorFlow's own operations.
//
// Only TensorFlow's stable C API is used. Its few functions are declared here by hand and
// looked up in the TensorFlow that is already loaded: this compiles without TensorFlow,
// and one library serves later versions.

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE_METHOD inline __attribute__((always_inline))
#define INLINE static INLINE_METHOD
#define NOINLINE __attribute__((noinline))

namespace {

struct Bfloat16 {
  uint16_t bits;
};

template <class To, class From>
To convert(From value) {
  if constexpr (sizeof(To) == sizeof(From)) {
    return value;
  } else {
    uint32_t bits = (uint32_t)value.bits << 16;
    To wide;
    __builtin_memcpy(&wide, &bits, sizeof wide);
    return wide;
  }
}

// The tensors of one call. void*: float32 or bfloat16.
struct Job {
  int64_t time, batch, units;
  const void* kernel;     // [units, 4 * units]
  const void* masks;      // [4, batch, units], or null
  const float* cell;      // [batch, units], before the first step
  float* cells;           // [time, batch, units]
  float* gates;           // [time, batch, 4 * units]: input, forget, new, output
  const void* projected;  // [time, batch, 4 * units]. Forward, from here on.
  const void* output;     // [batch, units], before the first step
  void* outputs;          // [time, batch, units]
  float* last;            // [batch, units]
  const void* outputs_gradient;  // [time, batch, units]. Backward, from here on.
  const float* last_gradient;    // [batch, units], of the last cell
  void* errors;                  // [time, batch, 4 * units], of the gates' sums
  float* output_gradient;        // [batch, units]
  float* cell_gradient;          // [batch, units]
};

typedef void (*RunRows)(const Job&, const void*, int64_t, int64_t, void*);

// The tensors of a softmax. void*: float32 or bfloat16.
struct SoftmaxJob {
  int64_t rows, classes;
  const void* logits;     // [rows, classes]; with bias added
  const float* bias;      // [classes]
  const int32_t* labels;  // [rows]
  float* saved;           // [rows, 2]: the greatest logit, the sum of exponentials
  float *nats, *hits;     // [rows] each. Forward.
  const float* upstream;  // [rows], gradient of the nats. Backward, from here on.
  void* gradient;         // [rows, classes]; may be the logits' memory
  float* bias_gradient;   // [classes]
};

// Rows from the first to the end; backward, columns' sums of the gradient.
typedef void (*RunSoftmax)(const SoftmaxJob&, int64_t, int64_t, float*);

// The functions of one type of tensors.
struct Kernels {
  size_t packed_bytes;  // of one packed weight
  void (*pack)(const Job&, bool, void*);
  RunRows forward, backward;
  RunSoftmax softmax_forward, softmax_backward;
};

struct InstructionSet {
  int64_t (*count_bytes)(int64_t, int64_t);
  int64_t (*packed_size)(int64_t);
  Kernels float32, bfloat16;
};

// ---- The steps, for each set of instructions: `steps.h`.

#define PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define BEGIN_TARGET(features) \
  PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define END_TARGET PRAGMA(clang attribute pop)
#else
#define BEGIN_TARGET(features) PRAGMA(GCC push_options) PRAGMA(GCC target(features))
#define END_TARGET PRAGMA(GCC pop_options)
#endif

#define LANES 4
#define MAX_ROWS 2
#define IS_AVX512 0
#define IS_BFLOAT16 0
namespace plain {
#include "steps.h"
}

#if defined(__x86_64__)
#undef LANES
#undef MAX_ROWS
#define LANES 8
#define MAX_ROWS 3
BEGIN_TARGET("avx2,fma")
namespace avx2 {
#include "steps.h"
}
END_TARGET

#undef LANES
#undef MAX_ROWS
#undef IS_AVX512
#define LANES 16
#define MAX_ROWS 6
#define IS_AVX512 1
BEGIN_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
namespace avx512 {
#include "steps.h"
}
END_TARGET

#undef IS_BFLOAT16
#define IS_BFLOAT16 1
BEGIN_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace avx512_bf16 {
#include "steps.h"
}
END_TARGET
#endif  // x86_64

const InstructionSet* const kSets[] = {
    &plain::kInstructions,
#if defined(__x86_64__)
    &avx2::kInstructions,
    &avx512::kInstructions,
    &avx512_bf16::kInstructions,
#endif
};

// Index of the best set that this processor has.
int best_level() {
  int level = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    level = 1;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
      level = 2;
      if (__builtin_cpu_supports("avx512bf16")) level = 3;
    }
  }
#endif
  return level;
}

// ---- Threads.

// Rows that one thread takes through all steps at a time: few enough that their buffers
// stay in its cache, many enough that weights are read for several tiles.
constexpr int64_t kMaxRows = 48;

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Calls work(part, thread) for all parts.
template <class Work>
void run_parts(int64_t num_parts, int64_t num_threads, const Work& work) {
  std::atomic<int64_t> next{0};
  auto run_thread = [&](int64_t thread) {
    for (int64_t part; (part = next++) < num_parts;) work(part, thread);
  };
  std::vector<std::thread> threads;
  try {
    for (int64_t i = 1; i < num_threads; ++i) threads.emplace_back(run_thread, i);
  } catch (const std::system_error&) {  // The system gives no more: fewer do it all.
  }
  run_thread(0);
  for (auto& thread : threads) thread.join();
}

typedef std::unique_ptr<char, void (*)(void*)> Memory;

Memory allocate(size_t bytes) {
  return Memory((char*)aligned_alloc(64, aligned(bytes)), free);
}

// Runs a job's time loop, or runs it back. False: there is no memory for it.
bool run(const InstructionSet& set, const Kernels& kernels, const Job& job,
         bool is_forward, int64_t num_threads) {
  if (job.batch == 0 || job.units == 0) return true;
  // A thread takes about as long to start as half a million products.
  const int64_t products = job.time * job.batch * job.units * job.units * 4;
  num_threads = std::min({num_threads, job.batch, 1 + products / 500000});
  num_threads = std::max<int64_t>(num_threads, 1);
  int64_t num_parts = (job.batch + kMaxRows - 1) / kMaxRows;
  num_parts = (num_parts + num_threads - 1) / num_threads * num_threads;
  num_parts = std::min(num_parts, job.batch);

  const size_t weights = aligned(set.packed_size(job.units) * kernels.packed_bytes);
  const size_t buffers = aligned(set.count_bytes(job.batch / num_parts + 1, job.units));
  const Memory memory = allocate(weights + num_threads * buffers);
  if (!memory) return false;
  kernels.pack(job, !is_forward, memory.get());

  RunRows run_rows = is_forward ? kernels.forward : kernels.backward;
  run_parts(num_parts, num_threads, [&](int64_t part, int64_t thread) {
    const int64_t first = job.batch * part / num_parts;
    const int64_t end = job.batch * (part + 1) / num_parts;
    char* own = memory.get() + weights + thread * buffers;
    run_rows(job, memory.get(), first, end - first, own);
  });
  return true;
}

// Parts of a softmax's rows. Each sums up the columns of its gradient, and these sums are
// added in order: results do not depend on the number of threads.
constexpr int64_t kSoftmaxParts = 32;

// Runs a softmax, or runs it back. False: there is no memory for it.
bool run_softmax(const Kernels& kernels, const SoftmaxJob& job, bool is_forward,
                 int64_t num_threads) {
  const int64_t classes = job.classes, num_parts = std::min(kSoftmaxParts, job.rows);
  // Fewer logits than these are done before another thread would have begun.
  num_threads = std::min({num_threads, num_parts, 1 + job.rows * classes / 1000000});
  num_threads = std::max<int64_t>(num_threads, 1);
  const int64_t num_sums = is_forward ? 0 : num_parts * classes;
  const Memory memory = allocate(num_sums * sizeof(float) + 1);
  if (!memory) return false;
  float* sums = (float*)memory.get();
  std::fill(sums, sums + num_sums, 0.0f);
  RunSoftmax run_rows =
      is_forward ? kernels.softmax_forward : kernels.softmax_backward;
  run_parts(num_parts, num_threads, [&](int64_t part, int64_t) {
    run_rows(job, job.rows * part / num_parts, job.rows * (part + 1) / num_parts,
             sums + (is_forward ? 0 : part * classes));
  });
  if (is_forward) return true;
  std::fill(job.bias_gradient, job.bias_gradient + classes, 0.0f);
  for (const float* part = sums; part < sums + num_sums; part += classes)
    for (int64_t i = 0; i < classes; ++i) job.bias_gradient[i] += part[i];
  return true;
}

}  // namespace

#ifndef TFMUSIC_WITHOUT_TENSORFLOW
#include "tensorflow_api.h"

#include "lstm_ops.h"
#include "softmax_ops.h"

namespace {

// While TensorFlow loads the library.
const bool kIsRegistered = [] {
  if (!find_functions()) return false;
  register_lstm();
  register_softmax();
  return true;
}();

}  // namespace

// Which instructions the ops use: 0 any, 1 AVX2, 2 AVX-512, 3 with bfloat16.
extern "C" __attribute__((visibility("default"))) int tfmusic_lstm_level() {
  return best_level();
}
#endif
