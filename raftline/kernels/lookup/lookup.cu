// lookup: a (2r+1) x (2r+1) window of every level of the correlation pyramid around every pixel's coordinates,
// bilinear, zero outside. Its meaning in plain torch: raftline/kernels/lookup/reference.py.
//
// -DELEMENT=32|16|116   the levels: float, half, bfloat16
// -DRADIUS=3|4          r; 1 and 2 compile too
//
// Arguments
//   level0..3   level l is (pixels, heights_l, widths_l), contiguous. Levels beyond `levels` may be null.
//   coords      x, then y, in cells of level 0, at image * image_stride + axis * axis_stride + pixel * pixel_stride,
//               where pixel counts the `plane` pixels of an image.
//   out         (pixels, levels * side * side), side = 2 * r + 1: a pixel's channels lie together (channels-last),
//               numbers of `out_bits` (as in number.cuh); 16-byte aligned.
//               Channel: (level * side + dx + r) * side + dy + r, x outer, y inner.
//
// Launch: blocks of 256 threads, windows_per_block = 8 * (32 / (side + 1)) windows each, a window being one level of
//   one pixel; grid (ceil(pixels * levels / windows_per_block), 1, 1).
//   A window is the work of side + 1 neighbouring lanes of one warp (3 windows a warp for r = 4, 4 for r = 3). Lane i
//   walks down column i: the lanes read a row of side + 1 cells together, so that every cell is read once, (side + 1)^2
//   in all, and all rows are asked for before the first is used. The rows are interpolated in registers, the columns
//   with one shuffle each, since all pixels of a window have the same fractions.
// Shared memory: windows_per_block * side * side * 4 bytes, through which a block's windows, which are neighbours in
//   `out`, are written 16 bytes at a time.
//
// Cost, r = 4, 1080p (32,400 pixels, four levels): about 20 operations a result, 0.2 GFLOP, and per row of a window
//   the sectors of 32 bytes that it lies in, 2.1 for float and 1.6 for half on average: 88 and 65 MB read, 42 and 21 MB
//   written. So it is bound by memory: what counts is reading each sector once, with many in flight.
//
// Offsets into the levels and the output are 64-bit: a volume may exceed 2^31 elements; pixels * levels may not.
// A coordinate that is not finite is outside every level: zeros.

#include "../number.cuh"
#include "window.cuh"

typedef number<ELEMENT> element;

static_assert(WINDOWS * SIDE * SIDE * 2 % 16 == 0, "a block's output must begin on 16 bytes");

static __device__ __forceinline__ void put(void* staged, int at, float value, int out_bits) {
    if (out_bits == 32) ((float*)staged)[at] = value;
    else if (out_bits == 16) ((unsigned short*)staged)[at] = number<16>::store(value);
    else ((unsigned short*)staged)[at] = number<116>::store(value);
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) lookup(
    const element::stored* __restrict__ level0, const element::stored* __restrict__ level1,
    const element::stored* __restrict__ level2, const element::stored* __restrict__ level3,
    const float* __restrict__ coords, void* __restrict__ out,
    int height0, int height1, int height2, int height3,
    int width0, int width1, int width2, int width3,
    long long image_stride, long long axis_stride, long long pixel_stride,
    int pixels, int plane, int levels, int out_bits)
{
    __shared__ uint4 staged[WINDOWS * SIDE * SIDE * 4 / 16];

    const window_column own = own_column(pixels, levels);
    const int height = of_level(own.level, height0, height1, height2, height3);
    const int width = of_level(own.level, width0, width1, width2, width3);
    const element::stored* base = of_level(own.level, level0, level1, level2, level3);
    const window_place at = place_of(own, coords, height, width, image_stride, axis_stride, pixel_stride, plane);
    const int first_row = at.inside ? at.top : height;  // from there on no row is in the level
    const element::stored* cell = base + (long long)own.pixel * height * width + (long long)at.top * width + at.left;

    // All loads before the first conversion, which would wait for its load.
    element::stored down[SIDE + 1] = {};
#pragma unroll
    for (int j = 0; j <= SIDE; ++j)
        if ((unsigned int)(first_row + j) < (unsigned int)height) down[j] = cell[j * width];
#pragma unroll
    for (int j = 0; j < SIDE; ++j) {
        const float here = element::load(down[j]) * (1.0f - at.fy) + element::load(down[j + 1]) * at.fy;
        const float right = __shfl_down_sync(0xffffffffu, here, 1);
        if (own.active && own.column < SIDE)
            put(staged, (own.slot * SIDE + own.column) * SIDE + j, here * (1.0f - at.fx) + right * at.fx, out_bits);
    }
    __syncthreads();

    const int first = blockIdx.x * WINDOWS;
    const int windows = windows_of_block(pixels, levels);
    const int bytes = windows * SIDE * SIDE * (out_bits == 32 ? 4 : 2);
    char* to = (char*)out + (long long)first * SIDE * SIDE * (out_bits == 32 ? 4 : 2);
    for (int i = threadIdx.x; i < bytes / 16; i += 32 * WARPS) ((uint4*)to)[i] = staged[i];
    for (int i = bytes / 16 * 8 + threadIdx.x; i < bytes / 2; i += 32 * WARPS)
        ((unsigned short*)to)[i] = ((const unsigned short*)staged)[i];
}
