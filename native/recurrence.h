// What the kernels are asked to do. Plain data, shared by all instruction sets.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace loopwise {

enum Cell { RNN_TANH, RNN_RELU, LSTM, GRU };

// Gates of a cell, and numbers that a unit keeps of a step: for the GRU r, z, n, and besides them
// the state's share of n, which its gradient needs.
constexpr int gates_of(int cell) { return cell == LSTM ? 4 : cell == GRU ? 3 : 1; }
constexpr int kept_of(int cell) { return cell == LSTM || cell == GRU ? 4 : 1; }

// One layer in one direction through a batch. T steps, B rows, I inputs, H units, P outputs
// (P == H without a projection), G gates, K numbers kept. Absent parts are null.
struct Recurrence {
  int cell, T, B, I, H, P;
  bool reverse;
  int threads;

  const float* x;                         // [T, B, I]
  const float *h0, *c0;                   // [B, P], [B, H]
  const float *restart_h, *restart_c;     // the same: what a reset row starts from
  const float *w_ih, *w_hh, *b_ih, *b_hh; // [G*H, I], [G*H, P], [G*H], [G*H]
  const float* w_hr;                      // [P, H]
  const float *packed_ih, *packed_hh, *packed_hr;  // as `pack` leaves them; null: pack them here
  const float* peephole;                  // [3, H]
  const float *norm_ih, *norm_hh;         // [G*H]
  const float *norm_c, *norm_c_bias;      // [H]

  const int32_t* order;   // [B] rows by falling length
  const int32_t* length;  // [B] their lengths, in that order
  const uint8_t* reset;   // [T, B]
  const float* mask;      // [B, P]
  const float *keep_h, *keep_c;  // [T, B, P], [T, B, H]

  float* y;         // [T, B, P]; where a row has ended it is not written
  float *hn, *cn;   // [B, P], [B, H]
  float* kept;      // [T, B, K*H] activated gates; null in inference
  float* cells;     // [T, B, H] the LSTM's cell states; null in inference
  float *share_x, *share_h;  // [T, B, G*H] before layer norm; null without it or in inference
};

// Gradients: of the results (in) and of everything else (out). Null where not wanted.
struct Gradients {
  const float *y, *hn, *cn;      // [T, B, P], [B, P], [B, H]
  const float *kept, *cells;     // [T, B, K*H], [T, B, H]

  // What the gradients were on their way, of the steps that rows have. Null where not wanted.
  float *new_h, *new_c;  // [T, B, P], [T, B, H] of what each step computes, before zoneout
  float* shares;         // [T, B, G*H] of the input's share of the gates

  // Work space of the kernels, theirs to fill in.
  float* gates;    // [T, B, K*H] of the gates before activation
  float* share_h;  // [T, B, G*H] behind layer norm
  float *out, *narrow;  // [T, B, H] what a projection sees; [T, B, P] its gradient

  float* x;
  float *h0, *c0, *restart_h, *restart_c;
  float *w_ih, *w_hh, *b_ih, *b_hh, *w_hr, *peephole, *norm_ih, *norm_hh, *norm_c, *norm_c_bias;
};

// Rows of logits, whose place the gradient takes: of the sum of surprisals, times `scale`.
struct Surprisal {
  void* logits;            // [rows, classes], float or bfloat16
  bool bfloat16;
  int rows, classes, threads;
  const int64_t* targets;  // [rows] below classes; a negative one leaves its row out
  float scale;
  float* nats;             // [rows]
};

// A linear layer, the surprisals of its logits, and the gradients of their sum.
struct Head {
  int rows, features, classes, threads;
  int at_once;             // rows whose logits are in memory together
  const float *x, *weight, *bias;  // [rows, features], [classes, features], [classes] or null
  const int64_t* targets;  // [rows] below classes; a negative one leaves its row out
  float* nats;             // [rows]
  float *d_x, *d_weight, *d_bias;  // null where not wanted
};

// What each row of a batch says, and which nodes (frame, place) it has: places are the labels before
// it, from none to all. Tables of nodes are [B, T, places, 2]: of blank, and of the next label.
struct Transcripts {
  int T, B, places;
  const int64_t* targets;         // [places - 1, B] above 0, which is blank; unread past a row's end
  const int64_t* lengths;         // [B] from 1 to T
  const int64_t* target_lengths;  // [B] from 0 to places - 1
};

// Linear layer over tanh(encoded[t] + predicted[u]) and log-softmax at each node; or backwards.
struct Joiner {
  Transcripts of;
  int features, classes, threads;
  int at_once;  // nodes whose logits are in memory together, backwards
  const float *encoded, *predicted;  // [T, B, features], [places, B, features]
  const float *weight, *bias;        // [classes, features], [classes] or null
  float* log_probs;  // forwards; where a row has no node, or no next label, it is not written

  const float* d_log_probs;  // backwards; nodes where both are zero cost nothing
  float *d_encoded, *d_predicted, *d_weight, *d_bias;  // null where not wanted
};

// The probability of transcripts: the sum over all ways through the nodes.
struct Lattice {
  Transcripts of;
  int threads;
  const float* log_probs;
  float* nats;         // [B]
  float* d_log_probs;  // null where not wanted; where a row has no node it is not written
};

// Of weights. Arithmetic is in float, but for the products of INT8, whose inputs are bytes as well.
enum Precision { FLOAT32, BFLOAT16, INT8 };

// A deployed layer, read forwards a step at a time. Of `p` sizes and small weights are used.
struct StreamLayer {
  Recurrence p;
  const void *ih, *hh, *hr;      // weights as `pack` leaves them
  const float* bias;             // both biases, as `pack_bias` leaves them
  const float *keep_h, *keep_c;  // [P], [H] zoneout's expectation; may be null
  bool residual;
  size_t h, c;                   // where its state lies in that of a stream
};

// A deployed model: an embedding or plain input, layers, and maybe a linear head.
struct StreamModel {
  int precision, layers, inputs, outputs;
  const StreamLayer* layer;
  const float* embedding;  // [V, inputs]; null for plain input
  const void* head;        // null without one
  const float* head_bias;
};

// Some steps of some streams.
struct StreamCall {
  int steps, rows;
  float* const* states;  // [rows]
  const float** x;       // [steps * rows]; is written over
  float** y;             // [steps * rows]
  void* scratch;         // as many bytes as `stream_scratch` says
};

// The kernels of one instruction set.
struct Kernels {
  const char* name;
  void (*forward)(const Recurrence&);
  void (*backward)(const Recurrence&, const Gradients&);
  size_t (*packed_size)(int K, int units, int gates, int precision);  // bytes
  void (*pack)(const float* w, int K, int units, int gates, int precision, void* to);
  size_t (*bias_size)(const Recurrence&);  // numbers
  void (*pack_bias)(const Recurrence&, float* to);
  size_t (*stream_scratch)(const StreamModel&, int positions);
  void (*stream)(const StreamModel&, const StreamCall&);
  void (*surprisal)(const Surprisal&);
  bool (*head)(const Head&);  // whether all numbers were finite; if not, the results are worthless
  void (*joiner)(const Joiner&);
  void (*lattice)(const Lattice&);
  void (*activate)(int function, const float* x, float* y, ptrdiff_t n);  // 0 sigmoid, 1 tanh
};

}  // namespace loopwise
