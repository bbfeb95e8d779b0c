// The operations of softmax cross-entropy.

namespace {

// Logits, what all rows share of them, and labels, which are inputs `first` and on.
void read_logits(Call& call, int first, SoftmaxJob& job, bool& is_bfloat16) {
  TF_Tensor* logits = call.input(first);
  if (!call.ok()) return;
  call.check(TF_NumDims(logits) == 2, "logits: expected [row, class]");
  if (!call.ok()) return;
  job.rows = TF_Dim(logits, 0);
  job.classes = TF_Dim(logits, 1);
  job.logits = TF_TensorData(logits);
  is_bfloat16 = TF_TensorType(logits) == TF_BFLOAT16;
  job.bias = (const float*)call.data(first + 1, {job.classes}, "bias: expected [class]");
  job.labels = (const int32_t*)call.data(first + 2, {job.rows}, "labels: expected [row]");
  for (int64_t row = 0; call.ok() && row < job.rows; ++row) {
    const int64_t label = job.labels[row];
    if (label >= 0 && label < job.classes) continue;
    char message[128];
    snprintf(message, sizeof message, "labels: expected 0 to %lld, got %lld",
             (long long)job.classes - 1, (long long)label);
    call.check(false, message);
  }
}

void compute_softmax(Settings* settings, Call& call, const SoftmaxJob& job,
                     bool is_bfloat16, bool is_forward) {
  if (!call.ok()) return;
  const InstructionSet& set = *kSets[settings->level];
  bool is_done = run_softmax(is_bfloat16 ? set.bfloat16 : set.float32, job, is_forward,
                             settings->num_threads);
  call.check(is_done, "no memory for sums of a softmax's gradient",
             TF_RESOURCE_EXHAUSTED);
}

void compute_softmax_forward(void* settings, TF_OpKernelContext* context) {
  Call call(context);
  SoftmaxJob job{};
  bool is_bfloat16 = false;
  read_logits(call, 0, job, is_bfloat16);
  job.nats = (float*)call.output(0, {job.rows});
  job.hits = (float*)call.output(1, {job.rows});
  job.saved = (float*)call.output(2, {job.rows, 2});
  compute_softmax((Settings*)settings, call, job, is_bfloat16, true);
}

void compute_softmax_backward(void* settings, TF_OpKernelContext* context) {
  Call call(context);
  SoftmaxJob job{};
  bool is_bfloat16 = false;
  read_logits(call, 1, job, is_bfloat16);
  job.upstream = (const float*)call.data(0, {job.rows}, "upstream: expected [row]");
  job.saved = (float*)call.data(4, {job.rows, 2}, "saved: expected [row, 2]");
  job.gradient = call.output(0, {job.rows, job.classes}, 1);
  job.bias_gradient = (float*)call.output(1, {job.classes});
  compute_softmax((Settings*)settings, call, job, is_bfloat16, false);
}

void infer_softmax_forward(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* rows = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 2, rows, status);
  TF_ShapeInferenceContextSetOutput(context, 0, rows, status);
  TF_ShapeInferenceContextSetOutput(context, 1, rows, status);
  TF_DeleteShapeHandle(rows);
}

void infer_softmax_backward(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  for (int index : {0, 1}) {
    TF_ShapeInferenceContextGetInput(context, 1 + index, shape, status);
    TF_ShapeInferenceContextSetOutput(context, index, shape, status);
  }
  TF_DeleteShapeHandle(shape);
}

void register_softmax() {
  register_op("TfmusicSoftmax", {"logits: T", "bias: float", "labels: int32"},
              {"nats: float", "hits: float", "saved: float"}, infer_softmax_forward,
              compute_softmax_forward);
  register_op(
      "TfmusicSoftmaxGradient",
      {"upstream: float", "logits: T", "bias: float", "labels: int32", "saved: float"},
      {"gradient: T", "bias_gradient: float"}, infer_softmax_backward,
      compute_softmax_backward);
}

}  // namespace
