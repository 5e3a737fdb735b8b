/* One step of Adam for all parameters, in one pass over them.
 *
 * XLA:CPU makes three loops of it for each parameter, one for each result: more than 300 for a network of 34 layers,
 * which take longer to compile and to run. It is written in C, because oneDNN has no Adam.
 */

#include <math.h>
#include <stdint.h>

#include "calls.h"

typedef void with_threads(void (*work)(void*), void* what, unsigned threads, unsigned flags);
typedef int number(void);

enum { GRADIENT, PARAMETER, MEAN, SQUARE, ARRAYS, ALONE = 1 << 16, LINE = 16 };

static with_threads* run;
static number *own_number, *count_threads;

/* The functions of OpenMP that GCC calls for `parallel`, as the library that computes convolutions has them. */
void resjax_begin_adam(with_threads* parallel, number* get_thread_num, number* get_num_threads) {
  run = parallel, own_number = get_thread_num, count_threads = get_num_threads;
}

typedef struct {
  const XLA_FFI_CallFrame* frame;
  int64_t leaves, total;
  float rate, mean_share, square_share, apart;
  const float* decays;
} update;

static int64_t size_of(const XLA_FFI_Buffer* buffer) {
  int64_t size = 1;
  for (int64_t axis = 0; axis < buffer->rank; ++axis) size *= buffer->dims[axis];
  return size;
}

static XLA_FFI_Buffer* argument(const XLA_FFI_CallFrame* frame, int64_t index) { return frame->args.args[index]; }

static float* result(const update* its, int64_t kind, int64_t leaf) {
  return ((XLA_FFI_Buffer*)its->frame->rets.rets[(kind - PARAMETER) * its->leaves + leaf])->data;
}

/* Kingma and Ba 2015, algorithm 1, in the order of optax's operations. The decay is in the gradient or apart from it. */
static void step(const update* its, float decay, int64_t count, const float* gradient, const float* const from[ARRAYS],
                 float* parameters, float* means, float* squares) {
  float inside = its->apart ? 0 : decay, outside = its->apart ? decay : 0;
  float rate = its->rate, mean_share = its->mean_share, square_share = its->square_share;
  const float *olds = from[PARAMETER], *old_means = from[MEAN], *old_squares = from[SQUARE];
  /* A result may lie where its argument lay, but never elsewhere in an argument. */
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    float old = olds[i], slope = gradient[i] + inside * old;
    float mean = 0.1f * slope + 0.9f * old_means[i], square = 0.001f * (slope * slope) + 0.999f * old_squares[i];
    float moved = (mean / mean_share) / (sqrtf(square / square_share) + 1e-8f) + outside * old;
    parameters[i] = old - rate * moved;
    means[i] = mean;
    squares[i] = square;
  }
}

/* The share of a thread: so many numbers of all leaves, one after the other. */
static void work(void* given) {
  const update* its = given;
  int64_t threads = its->total < ALONE ? 1 : count_threads(), thread = threads == 1 ? 0 : own_number();
  int64_t share = (its->total / threads / LINE + 1) * LINE, first = thread * share, last = first + share, at = 0;
  for (int64_t leaf = 0; leaf < its->leaves && at < last; ++leaf) {
    int64_t size = size_of(argument(its->frame, 1 + leaf));
    int64_t begin = first > at ? first - at : 0, end = last - at < size ? last - at : size;
    at += size;
    if (begin >= end) continue;
    const float* from[ARRAYS];
    for (int kind = 0; kind < ARRAYS; ++kind)
      from[kind] = (const float*)argument(its->frame, 1 + kind * its->leaves + leaf)->data + begin;
    step(its, its->decays[leaf], end - begin, from[GRADIENT], from, result(its, PARAMETER, leaf) + begin,
         result(its, MEAN, leaf) + begin, result(its, SQUARE, leaf) + begin);
  }
}

/* Arguments: numbers (rate, the moments' bias corrections, whether the decay is apart, the decay of each leaf); then
 * gradients, parameters, means and squares of all leaves. Results: parameters, means and squares. All are float32. */
XLA_FFI_Error* resjax_adam(XLA_FFI_CallFrame* frame) {
  if (asks_what_it_is(frame)) return NULL;
  int64_t leaves = (frame->args.size - 1) / ARRAYS;
  if (frame->args.size != 1 + ARRAYS * leaves || frame->rets.size != (ARRAYS - 1) * leaves)
    return failed(frame->api, "not a call of resjax");
  const float* numbers = argument(frame, 0)->data;
  update its = {frame, leaves, 0, numbers[0], numbers[1], numbers[2], numbers[3], numbers + 4};
  for (int64_t leaf = 0; leaf < leaves; ++leaf) its.total += size_of(argument(frame, 1 + leaf));
  pthread_mutex_lock(&resjax_turn);
  if (its.total < ALONE)
    work(&its);
  else
    run(work, &its, 0, 0);
  pthread_mutex_unlock(&resjax_turn);
  return NULL;
}
