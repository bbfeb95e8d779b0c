// Softmax cross-entropy for one instruction set. See `steps.h`.
//
// A row comes from memory once in each direction: its second pass finds it in the cache.
// Nothing as large as the logits is kept for the way back, which takes the exponentials
// anew.

// LANES logits from `column` on, or the last n: a row's own and what all rows share.
template <class T>
INLINE Floats logits_at(const SoftmaxJob& job, const T* row, int64_t column, int64_t n) {
  return load(row + column, n) + load(job.bias + column, n);
}

// A scalar as `logits_at` has it.
template <class T>
INLINE float logit_at(const SoftmaxJob& job, const T* row, int64_t column) {
  return convert<float>(row[column]) + job.bias[column];
}

// The first n numbers, then others that change neither the greatest nor a sum of
// exponentials.
INLINE Floats first_numbers(Floats values, int64_t n) {
  for (int64_t i = n; i < LANES; ++i) values[i] = -__builtin_inff();
  return values;
}

INLINE void take_greatest(Floats& most, Floats values) {
  most = values > most ? values : most;  // never NaN
}

template <class T>
INLINE float greatest_logit(const SoftmaxJob& job, const T* row) {
  const int64_t classes = job.classes, whole = classes / LANES * LANES;
  Floats most = Floats{} - __builtin_inff(), other = most;
  int64_t column = 0;
  for (; column + LANES < whole; column += 2 * LANES) {
    take_greatest(most, logits_at(job, row, column, LANES));
    take_greatest(other, logits_at(job, row, column + LANES, LANES));
  }
  if (column < whole) take_greatest(other, logits_at(job, row, column, LANES));
  if (whole < classes) {
    const Floats last = logits_at(job, row, whole, classes - whole);
    take_greatest(most, first_numbers(last, classes - whole));
  }
  take_greatest(most, other);
  float found = most[0];
  for (int64_t i = 1; i < LANES; ++i) found = most[i] > found ? most[i] : found;
  return found;
}

// The sum of exp(logit - most), NaN where there is one.
template <class T>
INLINE float sum_exponentials(const SoftmaxJob& job, const T* row, float most) {
  const int64_t classes = job.classes, whole = classes / LANES * LANES;
  Floats sums = {};
  for (int64_t column = 0; column < whole; column += LANES)
    sums += exp(logits_at(job, row, column, LANES) - most);
  if (whole < classes) {
    const Floats last = logits_at(job, row, whole, classes - whole);
    sums += exp(first_numbers(last, classes - whole) - most);
  }
  float sum = 0;
  for (int64_t i = 0; i < LANES; ++i) sum += sums[i];
  return sum;
}

// Whether the label is the likeliest class, the first of those that are equal.
template <class T>
INLINE bool is_likeliest(const SoftmaxJob& job, const T* row, int64_t label, float most) {
  if (logit_at(job, row, label) != most) return false;
  for (int64_t column = 0; column < label; ++column)
    if (logit_at(job, row, column) == most) return false;
  return true;
}

template <class T>
static void softmax_forward(const SoftmaxJob& job, int64_t first, int64_t end, float*) {
  for (int64_t r = first; r < end; ++r) {
    const T* row = (const T*)job.logits + r * job.classes;
    const float most = greatest_logit(job, row);
    const float sum = sum_exponentials(job, row, most);
    job.nats[r] = __builtin_logf(sum) - (logit_at(job, row, job.labels[r]) - most);
    job.hits[r] = is_likeliest(job, row, job.labels[r], most);
    job.saved[2 * r] = most;
    job.saved[2 * r + 1] = sum;
  }
}

// (softmax - 1 at the label) * upstream; adds it to the columns' sums.
template <class T>
static void softmax_backward(const SoftmaxJob& job, int64_t first, int64_t end,
                             float* sums) {
  const int64_t classes = job.classes;
  for (int64_t r = first; r < end; ++r) {
    const T* row = (const T*)job.logits + r * classes;
    T* gradient = (T*)job.gradient + r * classes;
    const float most = job.saved[2 * r], sum = job.saved[2 * r + 1];
    const float upstream = job.upstream[r], scale = upstream / sum;
    const bool is_nothing = upstream == 0 && most - most == 0 && sum - sum == 0;
    for (int64_t column = 0; column < classes; column += LANES) {
      const int64_t left = classes - column, n = left < LANES ? left : LANES;
      if (is_nothing) {
        store(gradient + column, n, Floats{});
        continue;
      }
      Floats values = exp(logits_at(job, row, column, n) - most) * scale;
      const int64_t lane = job.labels[r] - column;
      if (lane >= 0 && lane < n) values[lane] -= upstream;
      store(gradient + column, n, values);
      store(sums + column, n, load(sums + column, n) + values);
    }
  }
}
