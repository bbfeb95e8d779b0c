// The compiled code without TensorFlow, for sanitizers: every set of instructions, type
// and direction, in tensors that end where their memory ends. Prints the largest
// difference from the plain set, and ends with 1 if it is too large.
#define TFMUSIC_WITHOUT_TENSORFLOW
#include "lstm.cc"

#include <math.h>
#include <stdio.h>

#include <random>

namespace {

template <class T>
T make(float value) {
  if constexpr (sizeof(T) == 4) return value;
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return convert<T>(Bfloat16{(uint16_t)(bits >> 16)});
}

template <class T>
std::vector<T> numbers(int64_t size, float scale, int seed) {
  std::mt19937 random(seed);
  std::vector<T> found;
  for (int64_t i = 0; i < size; ++i)
    found.push_back(make<T>(scale * ((int)(random() % 2001) - 1000) / 1000));
  return found;
}

template <class T>
std::vector<float> run_both(int level, int64_t units, int64_t batch, int64_t time,
                            bool is_masked, int num_threads) {
  const int64_t narrow = batch * units;
  auto projected = numbers<T>(time * narrow * 4, 2, 1);
  auto kernel = numbers<T>(units * units * 4, 2 / sqrtf((float)units), 2);
  auto masks = numbers<T>(narrow * 4, 2, 3);
  auto output = numbers<T>(narrow, 1, 4);
  auto cell = numbers<float>(narrow, 1, 5);
  auto outputs_gradient = numbers<T>(time * narrow, 1, 6);
  auto last_gradient = numbers<float>(narrow, 1, 7);
  std::vector<T> outputs(time * narrow), errors(time * narrow * 4);
  std::vector<float> last(narrow), cells(time * narrow), gates(time * narrow * 4);
  std::vector<float> output_gradient(narrow), cell_gradient(narrow);
  Job job{};
  job.time = time;
  job.batch = batch;
  job.units = units;
  job.kernel = kernel.data();
  job.masks = is_masked ? masks.data() : nullptr;
  job.cell = cell.data();
  job.cells = cells.data();
  job.gates = gates.data();
  job.projected = projected.data();
  job.output = output.data();
  job.outputs = outputs.data();
  job.last = last.data();
  job.outputs_gradient = outputs_gradient.data();
  job.last_gradient = last_gradient.data();
  job.errors = errors.data();
  job.output_gradient = output_gradient.data();
  job.cell_gradient = cell_gradient.data();
  const InstructionSet& set = *kSets[level];
  const Kernels& kernels = sizeof(T) == 4 ? set.float32 : set.bfloat16;
  run(set, kernels, job, true, num_threads);
  run(set, kernels, job, false, num_threads);
  std::vector<float> all;
  for (T value : outputs) all.push_back(convert<float>(value));
  for (T value : errors) all.push_back(convert<float>(value));
  for (auto* part : {&last, &cells, &gates, &output_gradient, &cell_gradient})
    all.insert(all.end(), part->begin(), part->end());
  return all;
}

// Nats, hits and gradients, which take the place of the logits if `is_reused`.
template <class T>
std::vector<float> run_both_softmax(int level, int64_t rows, int64_t classes,
                                    bool is_reused, int num_threads) {
  auto logits = numbers<T>(rows * classes, 9, 1);
  auto bias = numbers<float>(classes, 2, 2);
  auto upstream = numbers<float>(rows, 1, 3);
  std::vector<int32_t> labels(rows);
  for (int64_t row = 0; row < rows; ++row) labels[row] = (int32_t)(7 * row % classes);
  std::vector<T> gradient(rows * classes);
  std::vector<float> nats(rows), hits(rows), saved(2 * rows), bias_gradient(classes);
  SoftmaxJob job{};
  job.rows = rows;
  job.classes = classes;
  job.logits = logits.data();
  job.bias = bias.data();
  job.labels = labels.data();
  job.saved = saved.data();
  job.nats = nats.data();
  job.hits = hits.data();
  job.upstream = upstream.data();
  job.gradient = is_reused ? logits.data() : gradient.data();
  job.bias_gradient = bias_gradient.data();
  const InstructionSet& set = *kSets[level];
  const Kernels& kernels = sizeof(T) == 4 ? set.float32 : set.bfloat16;
  run_softmax(kernels, job, true, num_threads);
  run_softmax(kernels, job, false, num_threads);
  std::vector<float> all;
  for (T value : is_reused ? logits : gradient) all.push_back(convert<float>(value));
  for (auto* part : {&nats, &hits, &bias_gradient})
    all.insert(all.end(), part->begin(), part->end());
  return all;
}

// Adds to the largest of differences, relative to the largest number of one.
void compare(const std::vector<float>& one, const std::vector<float>& other,
             float& largest) {
  float difference = 0, size = 1e-3f;
  for (size_t i = 0; i < one.size(); ++i) {
    difference = std::max(difference, fabsf(one[i] - other[i]));
    size = std::max(size, fabsf(one[i]));
  }
  largest = std::max(largest, difference / size);
}

template <class T>
float largest_softmax_difference(int level) {
  float largest = 0;
  for (int64_t rows : {0, 1, 3, 70, 2600})
    for (int64_t classes : {1, 2, 7, 16, 33, 391})
      for (bool is_reused : {false, true})
        for (int num_threads : {1, 3})
          compare(run_both_softmax<T>(0, rows, classes, false, 1),
                  run_both_softmax<T>(level, rows, classes, is_reused, num_threads),
                  largest);
  return largest;
}

template <class T>
float largest_difference(int level) {
  float largest = 0;
  for (int64_t units : {1, 7, 16, 36, 47})
    for (int64_t batch : {1, 3, 50})
      for (int64_t time : {0, 1, 4})
        for (bool is_masked : {false, true})
          for (int num_threads : {1, 3}) {
            auto one = run_both<T>(0, units, batch, time, is_masked, 1);
            auto other = run_both<T>(level, units, batch, time, is_masked, num_threads);
            compare(one, other, largest);
          }
  return largest;
}

}  // namespace

int main() {
  bool is_right = true;
  for (int level = 0; level <= best_level(); ++level) {
    const float exact = std::max(largest_difference<float>(level),
                                 largest_softmax_difference<float>(level));
    const float rough = std::max(largest_difference<Bfloat16>(level),
                                 largest_softmax_difference<Bfloat16>(level));
    printf("level %d: float32 %.1e, bfloat16 %.1e\n", level, exact, rough);
    is_right = is_right && exact < 1e-5f && rough < 0.02f;
  }
  return is_right ? 0 : 1;
}
