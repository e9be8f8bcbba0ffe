#pragma once
#include "monge/flow/nn/graph.h"

// What one thread does to contiguous elements: vector code, dispatched at run time to what the machine has. T is float
// or double; `out` may be an operand.
namespace monge::flow::cpu {

// out_i = a_i op b_i for add, subtract and multiply; an operand that is `single` has one element for all i.
template <class T>
void binary_row(nn::Op op, const T* a, bool a_single, const T* b, bool b_single, T* out, Index n);

template <class T>
void scale_row(const T* a, T factor, T* out, Index n);

// out_i = the order-th derivative of f at x_i, times factor_i unless `factor` is null.
template <class T>
void activation_row(nn::Function function, int order, const T* x, const T* factor, T* out, Index n);

// out = exp(x - max x) / sum exp(x - max x)
template <class T>
void softmax_row(const T* x, T* out, Index n);

// sum_i a_i, summed in double.
template <class T>
double sum_row(const T* a, Index n);

// sum_i a_i^2, summed in double.
template <class T>
double sum_squares_row(const T* a, Index n);

// out = (x - mean) / sqrt(variance + epsilon)
template <class T>
void normalize_row(const T* x, T* out, Index n);

// 1 / sqrt(variance + epsilon)
template <class T>
T inverse_deviation_row(const T* x, Index n);

// out = (v - mean(v) - z mean(v z)) / sqrt(variance + epsilon), z being what normalize_row makes of x.
template <class T>
void normalize_jacobian_row(const T* x, const T* v, T* out, Index n);

}  // namespace monge::flow::cpu
