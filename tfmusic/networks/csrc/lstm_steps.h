// The steps of an LSTM for one instruction set. See `steps.h`.
//
// Columns come in blocks of LANES units. For each step and block a tile of rows sums up
// the products of all four gates, in vectors [row][gate]; then `ForwardCell` or
// `BackwardCell` turns the sums of a row into what the next step multiplies. Both
// directions share the product: forward, a gate's sum is outputs x its weights;
// backward, outputs' gradient is the sum over the gates of errors x weights, transposed.

// ---- Products.

// How many inputs one number of a packed vector stands for.
template <class P>
constexpr int64_t GROUP = sizeof(P) == 2 ? 2 : 1;

template <class P>
INLINE int64_t padded_depth(int64_t units) {
  return (units + GROUP<P> - 1) / GROUP<P> * GROUP<P>;
}

INLINE int64_t count_blocks(int64_t units) { return (units + LANES - 1) / LANES; }

// Weights in the order in which tiles read them: [block][input][gate][unit of block],
// inputs in pairs for bfloat16. `transposed`: units and inputs change places.
template <class T, class P>
static void pack(const Job& job, bool transposed, void* packed) {
  const int64_t units = job.units, depth = padded_depth<P>(units);
  const T* kernel = (const T*)job.kernel;
  const int64_t row = 4 * units;
  const int64_t over_inputs = transposed ? 1 : row, over_lanes = transposed ? row : 1;
  P* to = (P*)packed;
  for (int64_t block = 0; block < count_blocks(units); ++block) {
    const int64_t column = block * LANES;
    const int64_t n = units - column < LANES ? units - column : LANES;
    for (int64_t k = 0; k < depth; k += GROUP<P>) {
      for (int64_t gate = 0; gate < 4; ++gate, to += GROUP<P> * LANES) {
        for (int64_t part = 0; part < GROUP<P>; ++part) {
          const T* from = kernel + gate * units + (k + part) * over_inputs +
                          column * over_lanes;
          const int64_t there = k + part < units ? n : 0;
          for (int64_t lane = 0; lane < there; ++lane)
            to[lane * GROUP<P> + part] = convert<P>(from[lane * over_lanes]);
          for (int64_t lane = there; lane < LANES; ++lane)
            to[lane * GROUP<P> + part] = P{};
        }
      }
    }
  }
}

INLINE void multiply_add(Floats& sum, const float* input, const float* weights) {
  Floats vector;
  __builtin_memcpy(&vector, weights, sizeof vector);
  sum += *input * vector;
}

#if IS_BFLOAT16
INLINE void multiply_add(Floats& sum, const Bfloat16* input, const Bfloat16* weights) {
  int32_t pair;
  __builtin_memcpy(&pair, input, sizeof pair);
  __m512i vector;
  __builtin_memcpy(&vector, weights, sizeof vector);
  sum = (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair),
                                 (__m512bh)vector);
}
#endif

// Sums of `ROWS` rows of inputs times weights, for each gate. Inputs, `row` numbers
// apart, are those of all gates; or, if not `IS_SHARED`, in turn LANES of each gate.
template <int ROWS, bool IS_SHARED, class P>
static NOINLINE void multiply(const P* inputs, int64_t row, const P* weights,
                              int64_t depth, Floats (*sums)[4]) {
  Floats tile[ROWS][4] = {};
  const int64_t gate = IS_SHARED ? 0 : LANES;
  for (int64_t block = 0; block < depth; block += LANES) {
    const int64_t end = depth - block < LANES ? depth - block : LANES;
    for (int64_t k = 0; k < end; k += GROUP<P>, weights += 4 * GROUP<P> * LANES) {
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 4
        for (int g = 0; g < 4; ++g)
          multiply_add(tile[r][g], inputs + r * row + g * gate + k,
                       weights + g * GROUP<P> * LANES);
      }
    }
    inputs += IS_SHARED ? LANES : 4 * LANES;
  }
  for (int r = 0; r < ROWS; ++r)
    for (int g = 0; g < 4; ++g) sums[r][g] = tile[r][g];
}

template <int ROWS, class P>
INLINE void multiply_rows(int64_t rows, bool is_shared, const P* inputs, int64_t row,
                          const P* weights, int64_t depth, Floats (*sums)[4]) {
  if constexpr (ROWS > 0) {
    if (rows < ROWS)
      multiply_rows<ROWS - 1>(rows, is_shared, inputs, row, weights, depth, sums);
    else if (is_shared)
      multiply<ROWS, true>(inputs, row, weights, depth, sums);
    else
      multiply<ROWS, false>(inputs, row, weights, depth, sums);
  }
}

// ---- One step of some rows and of one block of units.

// A row and the first of n <= LANES units.
struct Place {
  int64_t step, row, column, n;
};

// Where these are in tensors [batch, units], [time, batch, units] and [.., 4 * units].
struct Offsets {
  int64_t now, narrow, wide;
  Offsets(const Job& job, const Place& at)
      : now(at.row * job.units + at.column),
        narrow(at.step * job.batch * job.units + now),
        wide(4 * (narrow - at.column) + at.column) {}
};

// The cells before a step.
INLINE const float* cells_before(const Job& job, const Place& at, const Offsets& o) {
  return at.step ? job.cells + o.narrow - job.batch * job.units : job.cell + o.now;
}

// A vector that is soon read or written: memory takes longer than a row's arithmetic.
template <class T>
INLINE void fetch(const T* vector) {
  __builtin_prefetch(vector);
  __builtin_prefetch(vector + LANES - 1);
}

template <class T>
INLINE void fetch_gates(const T* vectors, int64_t units) {
  for (int g = 0; g < 4; ++g) fetch(vectors + g * units);
}

// An output goes to the next step's inputs, masked for each gate where there are masks.
template <class T, class P>
INLINE void remember_output(const Job& job, const Place& at, Floats output, P* next) {
  if (!job.masks) return store_input<T>(next, output);
  if (sizeof(T) == 2) output = widen(narrow(output));
  const T* mask = (const T*)job.masks + at.row * job.units + at.column;
  for (int g = 0; g < 4; ++g) {
    Floats masked = output * load(mask + g * job.batch * job.units, at.n);
    store_input<T>(next + g * LANES, masked);
  }
}

// Forward: from sums to outputs.
template <class T, class P>
struct ForwardCell {
  static INLINE_METHOD void prepare(const Job& job, const Place& at) {
    const Offsets o(job, at);
    fetch_gates((const T*)job.projected + o.wide, job.units);
    if ((void*)job.gates != job.projected) fetch_gates(job.gates + o.wide, job.units);
    fetch(job.cells + o.narrow);
    fetch((const T*)job.outputs + o.narrow);
  }

  static NOINLINE void finish(const Job& job, const Place& at, const Floats* sums,
                              P* next) {
    const int64_t units = job.units;
    const Offsets o(job, at);
    const T* projected = (const T*)job.projected + o.wide;
    Floats into = sigmoid(sums[0] + load(projected, at.n));
    Floats stay = sigmoid(sums[1] + load(projected + units, at.n));
    Floats fresh = tanh(sums[2] + load(projected + 2 * units, at.n));
    Floats out = sigmoid(sums[3] + load(projected + 3 * units, at.n));
    Floats cell = stay * load(cells_before(job, at, o), at.n) + into * fresh;
    Floats output = out * tanh(cell);
    float* gates = job.gates + o.wide;
    store(gates, at.n, into);
    store(gates + units, at.n, stay);
    store(gates + 2 * units, at.n, fresh);
    store(gates + 3 * units, at.n, out);
    store(job.cells + o.narrow, at.n, cell);
    store((T*)job.outputs + o.narrow, at.n, output);
    remember_output<T>(job, at, output, next);
  }
};

// Gradient of the output from what comes later.
template <class T>
INLINE Floats output_gradient(const Job& job, const Place& at, const Floats* sums) {
  if (!job.masks) return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  const T* mask = (const T*)job.masks + at.row * job.units + at.column;
  Floats total = {};
  for (int g = 0; g < 4; ++g)
    total += sums[g] * load(mask + g * job.batch * job.units, at.n);
  return total;
}

// Backward: from the gradient of a step's outputs to those of its gates' sums.
template <class T, class P>
struct BackwardCell {
  static INLINE_METHOD void prepare(const Job& job, const Place& at) {
    const Offsets o(job, at);
    fetch_gates(job.gates + o.wide, job.units);
    if ((void*)job.gates != job.errors)
      fetch_gates((const T*)job.errors + o.wide, job.units);
    fetch((const T*)job.outputs_gradient + o.narrow);
    fetch(cells_before(job, at, o));
  }

  static NOINLINE void finish(const Job& job, const Place& at, const Floats* sums,
                              P* next) {
    const int64_t units = job.units;
    const Offsets o(job, at);
    const float* gates = job.gates + o.wide;
    Floats into = load(gates, at.n), stay = load(gates + units, at.n);
    Floats fresh = load(gates + 2 * units, at.n), out = load(gates + 3 * units, at.n);
    Floats shown = tanh(load(job.cells + o.narrow, at.n));
    Floats before = load(cells_before(job, at, o), at.n);
    Floats output = output_gradient<T>(job, at, sums) +
                    load((const T*)job.outputs_gradient + o.narrow, at.n);
    Floats cell = load(job.cell_gradient + o.now, at.n);
    cell += output * out * (1.0f - shown * shown);
    const Floats errors[4] = {
        cell * fresh * into * (1.0f - into),
        cell * before * stay * (1.0f - stay),
        cell * into * (1.0f - fresh * fresh),
        output * shown * out * (1.0f - out),
    };
    store(job.cell_gradient + o.now, at.n, cell * stay);
    for (int g = 0; g < 4; ++g) {
      store((T*)job.errors + o.wide + g * units, at.n, errors[g]);
      store_input<T>(next + g * LANES, errors[g]);
    }
  }
};

// At the end of the way back: the gradient of the output before the first step.
template <class T, class P>
struct FirstOutput {
  static INLINE_METHOD void prepare(const Job&, const Place&) {}
  static NOINLINE void finish(const Job& job, const Place& at, const Floats* sums,
                              P*) {
    store(job.output_gradient + at.row * job.units + at.column, at.n,
          output_gradient<T>(job, at, sums));
  }
};

// ---- All steps of some rows.

// The inputs of the products in memory: two buffers, written and read in turn.
template <class P>
struct Buffers {
  int64_t block, row;
  P *now, *next;
  // One vector more than needed: rows a power of two apart share few lines of a cache.
  Buffers(void* memory, int64_t rows, int64_t units, int64_t num_gates)
      : block(num_gates * LANES), row(count_blocks(units) * block + LANES),
        now((P*)memory), next(now + rows * row) {}
  void turn() {
    P* other = now;
    now = next;
    next = other;
  }
};

static int64_t count_bytes(int64_t rows, int64_t units) {
  return 2 * rows * (4 * count_blocks(units) + 1) * LANES * sizeof(float);
}

// One step of rows `first` and on: for each tile the product, then its cells.
template <class Cell, class P>
INLINE void run_step(const Job& job, int64_t step, int64_t first, int64_t rows,
                     const void* packed, int64_t depth, const Buffers<P>& buffers,
                     bool is_shared) {
  const int64_t block_size = padded_depth<P>(job.units) * 4 * LANES;
  const int64_t num_tiles = (rows + MAX_ROWS - 1) / MAX_ROWS;
  const P* weights = (const P*)packed;
  P* next = buffers.next;
  Floats sums[MAX_ROWS][4];
  for (int64_t column = 0; column < job.units; column += LANES) {
    const int64_t left = job.units - column, n = left < LANES ? left : LANES;
    for (int64_t tile = 0; tile < num_tiles; ++tile) {
      const int64_t from = rows * tile / num_tiles;
      const int64_t to = rows * (tile + 1) / num_tiles;
      for (int64_t row = from; row < to; ++row)
        Cell::prepare(job, Place{step, first + row, column, n});
      multiply_rows<MAX_ROWS>(to - from, is_shared, buffers.now + from * buffers.row,
                              buffers.row, weights, depth, sums);
      for (int64_t row = from; row < to; ++row)
        Cell::finish(job, Place{step, first + row, column, n}, sums[row - from],
                     next + row * buffers.row);
    }
    weights += block_size;
    next += buffers.block;
  }
}

template <class T, class P>
static void forward_rows(const Job& job, const void* packed, int64_t first,
                         int64_t rows, void* memory) {
  const int64_t units = job.units, size = job.batch * units;
  Buffers<P> buffers(memory, rows, units, job.masks ? 4 : 1);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < units; column += LANES) {
      const int64_t left = units - column;
      const Place at{0, first + row, column, left < LANES ? left : LANES};
      const T* output = (const T*)job.output + at.row * units + column;
      remember_output<T>(job, at, load(output, at.n),
                         buffers.now + row * buffers.row + column / LANES * buffers.block);
    }
  }
  for (int64_t step = 0; step < job.time; ++step, buffers.turn())
    run_step<ForwardCell<T, P>>(job, step, first, rows, packed, padded_depth<P>(units),
                                buffers, !job.masks);
  const float* last = job.time ? job.cells + (job.time - 1) * size : job.cell;
  __builtin_memcpy(job.last + first * units, last + first * units,
                   rows * units * sizeof(float));
}

template <class T, class P>
static void backward_rows(const Job& job, const void* packed, int64_t first,
                          int64_t rows, void* memory) {
  const int64_t units = job.units;
  Buffers<P> buffers(memory, rows, units, 4);
  __builtin_memcpy(job.cell_gradient + first * units,
                   job.last_gradient + first * units, rows * units * sizeof(float));
  // Nothing comes after the last step: no product.
  int64_t depth = 0;
  for (int64_t step = job.time - 1; step >= 0; --step, buffers.turn()) {
    run_step<BackwardCell<T, P>>(job, step, first, rows, packed, depth, buffers, false);
    depth = padded_depth<P>(units);
  }
  run_step<FirstOutput<T, P>>(job, 0, first, rows, packed, depth, buffers, false);
}

static int64_t packed_size(int64_t units) {
  return count_blocks(units) * 4 * LANES * (units + 1);
}
