// The operations, by TensorFlow's stable C API.

// ---- TensorFlow's functions, as in its tensorflow/c/{kernels,ops,tf_tensor}.h.

extern "C" {
typedef struct TF_KernelBuilder TF_KernelBuilder;
typedef struct TF_OpDefinitionBuilder TF_OpDefinitionBuilder;
typedef struct TF_OpKernelConstruction TF_OpKernelConstruction;
typedef struct TF_OpKernelContext TF_OpKernelContext;
typedef struct TF_ShapeHandle TF_ShapeHandle;
typedef struct TF_ShapeInferenceContext TF_ShapeInferenceContext;
typedef struct TF_Status TF_Status;
typedef struct TF_Tensor TF_Tensor;
enum TF_Code { TF_OK = 0, TF_INVALID_ARGUMENT = 3, TF_RESOURCE_EXHAUSTED = 8 };
enum TF_DataType { TF_FLOAT = 1, TF_BFLOAT16 = 14 };
}

#define TENSORFLOW_FUNCTIONS(FUNCTION)                                                   \
  FUNCTION(TF_Status*, TF_NewStatus, ())                                                 \
  FUNCTION(void, TF_DeleteStatus, (TF_Status*))                                          \
  FUNCTION(void, TF_SetStatus, (TF_Status*, TF_Code, const char*))                       \
  FUNCTION(TF_Code, TF_GetCode, (const TF_Status*))                                      \
  FUNCTION(TF_OpDefinitionBuilder*, TF_NewOpDefinitionBuilder, (const char*))            \
  FUNCTION(void, TF_OpDefinitionBuilderAddAttr, (TF_OpDefinitionBuilder*, const char*))  \
  FUNCTION(void, TF_OpDefinitionBuilderAddInput, (TF_OpDefinitionBuilder*, const char*)) \
  FUNCTION(void, TF_OpDefinitionBuilderAddOutput,                                        \
           (TF_OpDefinitionBuilder*, const char*))                                       \
  FUNCTION(void, TF_OpDefinitionBuilderSetShapeInferenceFunction,                        \
           (TF_OpDefinitionBuilder*,                                                     \
            void (*)(TF_ShapeInferenceContext*, TF_Status*)))                            \
  FUNCTION(void, TF_RegisterOpDefinition, (TF_OpDefinitionBuilder*, TF_Status*))         \
  FUNCTION(TF_ShapeHandle*, TF_NewShapeHandle, ())                                       \
  FUNCTION(void, TF_DeleteShapeHandle, (TF_ShapeHandle*))                                \
  FUNCTION(void, TF_ShapeInferenceContextGetInput,                                       \
           (TF_ShapeInferenceContext*, int, TF_ShapeHandle*, TF_Status*))                \
  FUNCTION(void, TF_ShapeInferenceContextSetOutput,                                      \
           (TF_ShapeInferenceContext*, int, TF_ShapeHandle*, TF_Status*))                \
  FUNCTION(void, TF_ShapeInferenceContextWithRank,                                       \
           (TF_ShapeInferenceContext*, TF_ShapeHandle*, int64_t, TF_ShapeHandle*,        \
            TF_Status*))                                                                 \
  FUNCTION(void, TF_ShapeInferenceContextSubshape,                                       \
           (TF_ShapeInferenceContext*, TF_ShapeHandle*, int64_t, int64_t,                \
            TF_ShapeHandle*, TF_Status*))                                                \
  FUNCTION(void, TF_ShapeInferenceContextConcatenateShapes,                              \
           (TF_ShapeInferenceContext*, TF_ShapeHandle*, TF_ShapeHandle*,                 \
            TF_ShapeHandle*, TF_Status*))                                                \
  FUNCTION(TF_KernelBuilder*, TF_NewKernelBuilder,                                       \
           (const char*, const char*, void* (*)(TF_OpKernelConstruction*),               \
            void (*)(void*, TF_OpKernelContext*), void (*)(void*)))                      \
  FUNCTION(void, TF_KernelBuilder_TypeConstraint,                                        \
           (TF_KernelBuilder*, const char*, TF_DataType, TF_Status*))                    \
  FUNCTION(void, TF_RegisterKernelBuilder,                                               \
           (const char*, TF_KernelBuilder*, TF_Status*))                                 \
  FUNCTION(void, TF_OpKernelConstruction_GetAttrInt64,                                   \
           (TF_OpKernelConstruction*, const char*, int64_t*, TF_Status*))                \
  FUNCTION(void, TF_OpKernelConstruction_Failure,                                        \
           (TF_OpKernelConstruction*, TF_Status*))                                       \
  FUNCTION(void, TF_OpKernelContext_Failure, (TF_OpKernelContext*, TF_Status*))          \
  FUNCTION(void, TF_GetInput, (TF_OpKernelContext*, int, TF_Tensor**, TF_Status*))       \
  FUNCTION(TF_Tensor*, TF_ForwardInputOrAllocateOutput,                                  \
           (TF_OpKernelContext*, const int*, int, int, const int64_t*, int, int*,        \
            TF_Status*))                                                                 \
  FUNCTION(void, TF_DeleteTensor, (TF_Tensor*))                                          \
  FUNCTION(TF_DataType, TF_TensorType, (const TF_Tensor*))                               \
  FUNCTION(int, TF_NumDims, (const TF_Tensor*))                                          \
  FUNCTION(int64_t, TF_Dim, (const TF_Tensor*, int))                                     \
  FUNCTION(void*, TF_TensorData, (const TF_Tensor*))

namespace {

#define DECLARE(result, name, arguments) result(*name) arguments;
TENSORFLOW_FUNCTIONS(DECLARE)
#undef DECLARE

// Whether the TensorFlow of this process has all of them.
bool find_functions() {
  void* library = dlopen("libtensorflow_framework.so.2", RTLD_NOW | RTLD_NOLOAD);
  if (!library) return false;
  bool is_complete = true;
#define FIND(result, name, arguments)                                     \
  is_complete = is_complete &&                                            \
                (name = reinterpret_cast<result(*) arguments>(dlsym(library, #name)));
  TENSORFLOW_FUNCTIONS(FIND)
#undef FIND
  return is_complete;
}

// ---- Kernels.

struct Settings {
  int64_t num_threads = 1, level = 0;
};

void* create(TF_OpKernelConstruction* construction) {
  auto* settings = new Settings;
  TF_Status* status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64(construction, "num_threads",
                                       &settings->num_threads, status);
  if (TF_GetCode(status) == TF_OK)
    TF_OpKernelConstruction_GetAttrInt64(construction, "level", &settings->level, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  settings->level = std::max<int64_t>(
      0, std::min<int64_t>(settings->level, best_level()));
  return settings;
}

void destroy(void* settings) { delete static_cast<Settings*>(settings); }

// Inputs and outputs of one call; the first fault ends it.
class Call {
 public:
  explicit Call(TF_OpKernelContext* context)
      : context_(context), status_(TF_NewStatus()) {}
  ~Call() {
    if (!ok()) TF_OpKernelContext_Failure(context_, status_);
    for (TF_Tensor* tensor : tensors_) TF_DeleteTensor(tensor);
    TF_DeleteStatus(status_);
  }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }
  void check(bool is_right, const char* message, TF_Code code = TF_INVALID_ARGUMENT) {
    if (ok() && !is_right) TF_SetStatus(status_, code, message);
  }

  TF_Tensor* input(int index) {
    TF_Tensor* tensor = nullptr;
    if (ok()) TF_GetInput(context_, index, &tensor, status_);
    if (tensor) tensors_.push_back(tensor);
    return tensor;
  }
  // Of an input of known shape.
  const void* data(int index, const std::vector<int64_t>& shape, const char* message) {
    TF_Tensor* tensor = input(index);
    if (!ok()) return nullptr;
    bool is_right = TF_NumDims(tensor) == (int)shape.size();
    for (size_t i = 0; is_right && i < shape.size(); ++i)
      is_right = TF_Dim(tensor, (int)i) == shape[i];
    check(is_right, message);
    return ok() ? TF_TensorData(tensor) : nullptr;
  }
  // Of an output, in the memory of input `reused` where nothing else needs that.
  void* output(int index, const std::vector<int64_t>& shape, int reused = -1) {
    if (!ok()) return nullptr;
    TF_Tensor* tensor = TF_ForwardInputOrAllocateOutput(
        context_, &reused, reused < 0 ? 0 : 1, index, shape.data(), (int)shape.size(),
        nullptr, status_);
    if (tensor) tensors_.push_back(tensor);
    return ok() ? TF_TensorData(tensor) : nullptr;
  }

 private:
  TF_OpKernelContext* context_;
  TF_Status* status_;
  std::vector<TF_Tensor*> tensors_;
};

// Sizes by the first input, [time, batch, width * units]; false: it is no such tensor.
bool read_sizes(Call& call, int64_t width, Job& job, bool& is_bfloat16) {
  TF_Tensor* sequence = call.input(0);
  if (!call.ok()) return false;
  call.check(TF_NumDims(sequence) == 3 && TF_Dim(sequence, 2) % width == 0,
             "expected [time, batch, units] or [time, batch, 4 * units] first");
  if (!call.ok()) return false;
  job.time = TF_Dim(sequence, 0);
  job.batch = TF_Dim(sequence, 1);
  job.units = TF_Dim(sequence, 2) / width;
  is_bfloat16 = TF_TensorType(sequence) == TF_BFLOAT16;
  return true;
}

const void* read_masks(Call& call, int index, const Job& job) {
  TF_Tensor* masks = call.input(index);
  if (!call.ok() || (TF_NumDims(masks) == 1 && TF_Dim(masks, 0) == 0)) return nullptr;
  return call.data(index, {4, job.batch, job.units},
                   "masks: expected [4, batch, units], or [0] for none");
}

void compute(Settings* settings, Call& call, const Job& job, bool is_bfloat16,
             bool is_forward) {
  if (!call.ok()) return;
  const InstructionSet& set = *kSets[settings->level];
  bool is_done = run(set, is_bfloat16 ? set.bfloat16 : set.float32, job, is_forward,
                     settings->num_threads);
  call.check(is_done, "no memory for an LSTM's packed weights", TF_RESOURCE_EXHAUSTED);
}

void compute_forward(void* settings, TF_OpKernelContext* context) {
  Call call(context);
  Job job{};
  bool is_bfloat16 = false;
  if (!read_sizes(call, 4, job, is_bfloat16)) return;
  const int64_t time = job.time, batch = job.batch, units = job.units;
  job.projected = call.data(0, {time, batch, 4 * units}, "");
  job.kernel = call.data(1, {units, 4 * units}, "kernel: expected [units, 4 * units]");
  job.output = call.data(2, {batch, units}, "output: expected [batch, units]");
  job.cell = (const float*)call.data(3, {batch, units}, "cell: expected [batch, units]");
  job.masks = read_masks(call, 4, job);
  job.outputs = call.output(0, {time, batch, units});
  job.last = (float*)call.output(1, {batch, units});
  job.cells = (float*)call.output(2, {time, batch, units});
  // Reused in float32 alone: types have to agree.
  job.gates = (float*)call.output(3, {time, batch, 4 * units}, 0);
  compute((Settings*)settings, call, job, is_bfloat16, true);
}

void compute_backward(void* settings, TF_OpKernelContext* context) {
  Call call(context);
  Job job{};
  bool is_bfloat16 = false;
  if (!read_sizes(call, 1, job, is_bfloat16)) return;
  const int64_t time = job.time, batch = job.batch, units = job.units;
  job.outputs_gradient = call.data(0, {time, batch, units}, "");
  job.last_gradient = (const float*)call.data(
      1, {batch, units}, "last_gradient: expected [batch, units]");
  job.kernel = call.data(2, {units, 4 * units}, "kernel: expected [units, 4 * units]");
  job.cell = (const float*)call.data(3, {batch, units}, "cell: expected [batch, units]");
  job.masks = read_masks(call, 4, job);
  job.cells = (float*)call.data(5, {time, batch, units},
                                "cells: expected [time, batch, units]");
  job.gates = (float*)call.data(6, {time, batch, 4 * units},
                                "gates: expected [time, batch, 4 * units]");
  job.errors = call.output(0, {time, batch, 4 * units}, 6);
  job.output_gradient = (float*)call.output(1, {batch, units});
  job.cell_gradient = (float*)call.output(2, {batch, units});
  compute((Settings*)settings, call, job, is_bfloat16, false);
}

// ---- Shapes, as far as the graph knows them.

void infer_forward(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle *projected = TF_NewShapeHandle(), *cell = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, projected, status);
  TF_ShapeInferenceContextGetInput(context, 3, cell, status);
  if (TF_GetCode(status) == TF_OK)
    TF_ShapeInferenceContextWithRank(context, projected, 3, projected, status);
  if (TF_GetCode(status) == TF_OK)
    TF_ShapeInferenceContextWithRank(context, cell, 2, cell, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_ShapeInferenceContextSetOutput(context, 1, cell, status);
    TF_ShapeInferenceContextSetOutput(context, 3, projected, status);
    TF_ShapeHandle *time = TF_NewShapeHandle(), *cells = TF_NewShapeHandle();
    TF_ShapeInferenceContextSubshape(context, projected, 0, 1, time, status);
    TF_ShapeInferenceContextConcatenateShapes(context, time, cell, cells, status);
    TF_ShapeInferenceContextSetOutput(context, 0, cells, status);
    TF_ShapeInferenceContextSetOutput(context, 2, cells, status);
    TF_DeleteShapeHandle(time);
    TF_DeleteShapeHandle(cells);
  }
  TF_DeleteShapeHandle(projected);
  TF_DeleteShapeHandle(cell);
}

void infer_backward(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 6, shape, status);
  TF_ShapeInferenceContextSetOutput(context, 0, shape, status);
  TF_ShapeInferenceContextGetInput(context, 3, shape, status);
  TF_ShapeInferenceContextSetOutput(context, 1, shape, status);
  TF_ShapeInferenceContextSetOutput(context, 2, shape, status);
  TF_DeleteShapeHandle(shape);
}

// ---- Registration, while TensorFlow loads the library.

void register_op(const char* name, const std::vector<const char*>& inputs,
                 const std::vector<const char*>& outputs,
                 void (*infer)(TF_ShapeInferenceContext*, TF_Status*),
                 void (*compute)(void*, TF_OpKernelContext*)) {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddAttr(op, "T: {float, bfloat16}");
  TF_OpDefinitionBuilderAddAttr(op, "num_threads: int");
  TF_OpDefinitionBuilderAddAttr(op, "level: int");
  for (const char* input : inputs) TF_OpDefinitionBuilderAddInput(op, input);
  for (const char* output : outputs) TF_OpDefinitionBuilderAddOutput(op, output);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, infer);
  TF_RegisterOpDefinition(op, status);
  for (TF_DataType type : {TF_FLOAT, TF_BFLOAT16}) {
    if (TF_GetCode(status) != TF_OK) break;
    TF_KernelBuilder* kernel =
        TF_NewKernelBuilder(name, "CPU", create, compute, destroy);
    TF_KernelBuilder_TypeConstraint(kernel, "T", type, status);
    TF_RegisterKernelBuilder(name, kernel, status);
  }
  TF_DeleteStatus(status);
}

const bool kIsRegistered = [] {
  if (!find_functions()) return false;
  register_op("TfmusicLstm",
              {"projected: T", "kernel: T", "output: T", "cell: float", "masks: T"},
              {"outputs: T", "last: float", "cells: float", "gates: float"},
              infer_forward, compute_forward);
  register_op("TfmusicLstmGradient",
              {"outputs_gradient: T", "last_gradient: float", "kernel: T",
               "cell: float", "masks: T", "cells: float", "gates: float"},
              {"errors: T", "output_gradient: float", "cell_gradient: float"},
              infer_backward, compute_backward);
  return true;
}();

}  // namespace

// Which instructions the ops use: 0 any, 1 AVX2, 2 AVX-512, 3 with bfloat16.
extern "C" __attribute__((visibility("default"))) int tfmusic_lstm_level() {
  return best_level();
}
