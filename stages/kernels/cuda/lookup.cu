// lookup: a (2r+1) x (2r+1) window of every level of the correlation pyramid around every pixel's coordinates,
// bilinear, zero outside. Its meaning in plain torch: stages/kernels/reference.py, `lookup`.
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

#include "number.cuh"

#define SIDE (2 * RADIUS + 1)
#define LANES (SIDE + 1)
#define WARPS 8
#define WINDOWS_PER_WARP (32 / LANES)
#define WINDOWS (WARPS * WINDOWS_PER_WARP)

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

    const int lane = threadIdx.x % 32;
    const int slot = threadIdx.x / 32 * WINDOWS_PER_WARP + lane / LANES;
    const int column = lane % LANES;
    const int first = blockIdx.x * WINDOWS;
    const int windows = min(WINDOWS, pixels * levels - first);
    const bool active = lane < LANES * WINDOWS_PER_WARP && slot < windows;
    const int window = active ? first + slot : 0;
    const int pixel = window / levels;
    const int level = window - pixel * levels;

    const element::stored* base = level == 0 ? level0 : level == 1 ? level1 : level == 2 ? level2 : level3;
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
    const int first_row = inside ? top : height;  // from there on no row is in the level
    const element::stored* cell = base + (long long)pixel * height * width + (long long)top * width + left;

    // All loads before the first conversion, which would wait for its load.
    element::stored down[SIDE + 1] = {};
#pragma unroll
    for (int j = 0; j <= SIDE; ++j)
        if ((unsigned int)(first_row + j) < (unsigned int)height) down[j] = cell[j * width];
#pragma unroll
    for (int j = 0; j < SIDE; ++j) {
        const float here = element::load(down[j]) * (1.0f - fy) + element::load(down[j + 1]) * fy;
        const float right = __shfl_down_sync(0xffffffffu, here, 1);
        if (active && column < SIDE)
            put(staged, (slot * SIDE + column) * SIDE + j, here * (1.0f - fx) + right * fx, out_bits);
    }
    __syncthreads();

    const int bytes = windows * SIDE * SIDE * (out_bits == 32 ? 4 : 2);
    char* to = (char*)out + (long long)first * SIDE * SIDE * (out_bits == 32 ? 4 : 2);
    for (int i = threadIdx.x; i < bytes / 16; i += 32 * WARPS) ((uint4*)to)[i] = staged[i];
    for (int i = bytes / 16 * 8 + threadIdx.x; i < bytes / 2; i += 32 * WARPS)
        ((unsigned short*)to)[i] = ((const unsigned short*)staged)[i];
}
