// TensorFlow's stable C API, as far as the operations need it.

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
    for (auto& [input, tensor] : tensors_)
      if (tensor) TF_DeleteTensor(tensor);
    TF_DeleteStatus(status_);
  }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }
  void check(bool is_right, const char* message, TF_Code code = TF_INVALID_ARGUMENT) {
    if (ok() && !is_right) TF_SetStatus(status_, code, message);
  }

  TF_Tensor* input(int index) {
    TF_Tensor* tensor = nullptr;
    if (ok()) TF_GetInput(context_, index, &tensor, status_);
    if (tensor) tensors_.push_back({index, tensor});
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
    // What is held here is needed here.
    for (auto& [input, tensor] : tensors_) {
      if (input != reused || !tensor) continue;
      TF_DeleteTensor(tensor);
      tensor = nullptr;
    }
    TF_Tensor* tensor = TF_ForwardInputOrAllocateOutput(
        context_, &reused, reused < 0 ? 0 : 1, index, shape.data(), (int)shape.size(),
        nullptr, status_);
    if (tensor) tensors_.push_back({-1, tensor});
    return ok() ? TF_TensorData(tensor) : nullptr;
  }

 private:
  TF_OpKernelContext* context_;
  TF_Status* status_;
  std::vector<std::pair<int, TF_Tensor*>> tensors_;  // with the number of an input
};

// ---- Registration.

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

}  // namespace
