// lookup_backward: adds to every level the gradient that its windows bring back. The plain twin is autograd through
// raftline/kernels/lookup/reference.py.
//
// -DELEMENT=32|16|116   the levels and their gradients: float, half, bfloat16
// -DRADIUS=3|4          r; 1 and 2 compile too
//
// Arguments
//   level0..3   gradients of the levels, laid out as the levels in lookup.cu; the kernel adds to them.
//   coords      as in lookup.cu.
//   gradient    of the windows, laid out as `out` in lookup.cu, numbers of `gradient_bits`.
//
// Launch: as lookup.cu. A window is the work of side + 1 neighbouring lanes; lane i gathers the gradient of column i of
//   cells from columns i - 1 and i of the window, one shuffle a row.
// Shared memory: none. Atomics: none. A pixel has planes of its own, so that each cell is one thread's, and the result
//   is the same in every run.
//
// Cost, r = 4, 1080p, float: 42 MB of gradient read; the sectors of the windows, 88 MB, read and written: bound by memory.
// Offsets are 64-bit, as in lookup.cu. A window at a coordinate that is not finite brings nothing back.

#include "../number.cuh"
#include "window.cuh"

typedef number<ELEMENT> element;

static __device__ __forceinline__ float get(const void* gradient, long long at, int bits) {
    if (bits == 32) return ((const float*)gradient)[at];
    if (bits == 16) return number<16>::load(((const unsigned short*)gradient)[at]);
    return number<116>::load(((const unsigned short*)gradient)[at]);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) lookup_backward(
    element::stored* __restrict__ level0, element::stored* __restrict__ level1,
    element::stored* __restrict__ level2, element::stored* __restrict__ level3,
    const float* __restrict__ coords, const void* __restrict__ gradient,
    int height0, int height1, int height2, int height3,
    int width0, int width1, int width2, int width3,
    long long image_stride, long long axis_stride, long long pixel_stride,
    int pixels, int plane, int levels, int gradient_bits)
{
    const window_column own = own_column(pixels, levels);
    const int height = of_level(own.level, height0, height1, height2, height3);
    const int width = of_level(own.level, width0, width1, width2, width3);
    element::stored* base = of_level(own.level, level0, level1, level2, level3);
    const window_place at = place_of(own, coords, height, width, image_stride, axis_stride, pixel_stride, plane);
    const long long cell = (long long)own.pixel * height * width + (long long)at.top * width + at.left;
    const long long channel = ((long long)own.window * SIDE + own.column) * SIDE;

    float above = 0.0f;
#pragma unroll
    for (int j = 0; j <= SIDE; ++j) {
        const bool given = own.active && own.column < SIDE && j < SIDE;
        const float value = given ? get(gradient, channel + j, gradient_bits) : 0.0f;
        const float neighbour = __shfl_up_sync(0xffffffffu, value, 1);
        const float across = value * (1.0f - at.fx) + (own.column > 0 ? neighbour : 0.0f) * at.fx;
        if (at.inside && at.top + j >= 0 && at.top + j < height) {
            element::stored* to = base + cell + (long long)j * width;
            *to = element::store(element::load(*to) + across * (1.0f - at.fy) + above * at.fy);
        }
        above = across;
    }
}
