// The operations of LSTM layers.

namespace {

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

void register_lstm() {
  register_op("TfmusicLstm",
              {"projected: T", "kernel: T", "output: T", "cell: float", "masks: T"},
              {"outputs: T", "last: float", "cells: float", "gates: float"},
              infer_forward, compute_forward);
  register_op("TfmusicLstmGradient",
              {"outputs_gradient: T", "last_gradient: float", "kernel: T",
               "cell: float", "masks: T", "cells: float", "gates: float"},
              {"errors: T", "output_gradient: float", "cell_gradient: float"},
              infer_backward, compute_backward);
}

}  // namespace
