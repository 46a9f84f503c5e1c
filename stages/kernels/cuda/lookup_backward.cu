// lookup_backward: adds to every level the gradient that its windows bring back. The plain twin is autograd through
// stages/kernels/reference.py, `lookup`.
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

#include "number.cuh"

#define SIDE (2 * RADIUS + 1)
#define LANES (SIDE + 1)
#define WARPS 8
#define WINDOWS_PER_WARP (32 / LANES)
#define WINDOWS (WARPS * WINDOWS_PER_WARP)

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
    const int lane = threadIdx.x % 32;
    const int slot = threadIdx.x / 32 * WINDOWS_PER_WARP + lane / LANES;
    const int column = lane % LANES;
    const int first = blockIdx.x * WINDOWS;
    const bool active = lane < LANES * WINDOWS_PER_WARP && slot < pixels * levels - first;
    const int window = active ? first + slot : 0;
    const int pixel = window / levels;
    const int level = window - pixel * levels;

    element::stored* base = level == 0 ? level0 : level == 1 ? level1 : level == 2 ? level2 : level3;
    const int height = level == 0 ? height0 : level == 1 ? height1 : level == 2 ? height2 : height3;
    const int width = level == 0 ? width0 : level == 1 ? width1 : level == 2 ? width2 : width3;
    const float scale = level == 0 ? 1.0f : level == 1 ? 0.5f : level == 2 ? 0.25f : 0.125f;

    const int image = pixel / plane;
    const long long at = image * image_stride + (pixel - image * plane) * pixel_stride;
    const float x = coords[at] * scale;
    const float y = coords[at + axis_stride] * scale;
    // Every comparison with NaN is false, so that NaN is outside too.
    const bool near = x > -RADIUS - 1.0f && x < (float)(width + RADIUS) &&
                      y > -RADIUS - 1.0f && y < (float)(height + RADIUS);
    const float x_floor = near ? floorf(x) : 0.0f;
    const float y_floor = near ? floorf(y) : 0.0f;
    const float fx = near ? x - x_floor : 0.0f;
    const float fy = near ? y - y_floor : 0.0f;
    const int left = (int)x_floor - RADIUS + column;
    const int top = (int)y_floor - RADIUS;
    const bool inside = active && near && left >= 0 && left < width;
    const long long cell = (long long)pixel * height * width + (long long)top * width + left;
    const long long channel = ((long long)window * SIDE + column) * SIDE;

    float above = 0.0f;
#pragma unroll
    for (int j = 0; j <= SIDE; ++j) {
        const float own = active && column < SIDE && j < SIDE ? get(gradient, channel + j, gradient_bits) : 0.0f;
        const float neighbour = __shfl_up_sync(0xffffffffu, own, 1);
        const float across = own * (1.0f - fx) + (column > 0 ? neighbour : 0.0f) * fx;
        if (inside && top + j >= 0 && top + j < height) {
            element::stored* to = base + cell + (long long)j * width;
            *to = element::store(element::load(*to) + across * (1.0f - fy) + above * fy);
        }
        above = across;
    }
}
