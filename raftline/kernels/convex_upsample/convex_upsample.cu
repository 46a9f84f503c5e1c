// convex_upsample: full-resolution flow as a convex combination of the 3x3 cells around, softmax and weighted sum in
// one pass. Its meaning in plain torch: raftline/kernels/convex_upsample/reference.py.
//
// The types of the mask and of the result, as in number.cuh:
// -DMASK=32|16|116
// -DFINE=32|16
//
// Arguments, all contiguous
//   flow   (images, height, width, 2) float, (x, y) in cells; zero outside.
//   mask   (images, height, width, 9, 8, 8): before the softmax over the 9 neighbours. At a multiple of 8 bytes.
//   fine   (images, fine_height, fine_width, 2) in pixels: the crop of the upsampled image that begins at row
//          `top` and column `left`. It is all that is written.
//
// Launch: one warp per cell, so blocks of a multiple of 32 threads; grid (ceil(cells * 32 / block)). A lane has two
//   neighbouring pixels: a warp's load of one neighbour's weights is one stretch of 64 of them (128 bytes of half),
//   and the 9 loads do not wait for each other; a row of the cell's result is one stretch of 64 bytes (float).
// Shared memory: none. Bytes at 1080p (135 x 240 cells): 37.3 MB of half weights (74.6 of float) read once, 8.3 MB of
//   half flow (16.6 of float) written: 10 us at 4.5 TB/s. Offsets are 64-bit.
// A weight that is NaN makes its pixel NaN, and no other.

#include "../number.cuh"

typedef number<MASK>::stored mask_number;
typedef number<FINE>::stored fine_number;
struct __align__(2 * sizeof(mask_number)) MaskPair { mask_number first, second; };
struct __align__(2 * sizeof(fine_number)) FinePair { fine_number u, v; };

extern "C" __global__ void convex_upsample(
    const float* __restrict__ flow, const mask_number* __restrict__ mask, fine_number* __restrict__ fine,
    int images, int height, int width, int top, int left, int fine_height, int fine_width)
{
    const long long cell = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (cell >= (long long)images * height * width) return;
    const int pixel = threadIdx.x % 32 * 2;  // of the cell's 64, and the one to its right
    const int column = (int)(cell % width);
    const int row = (int)(cell / width % height);
    const long long image = cell / width / height;
    const int y = 8 * row + pixel / 8 - top;
    const int x = 8 * column + pixel % 8 - left;
    if (y < 0 || y >= fine_height || x + 1 < 0 || x >= fine_width) return;

    const MaskPair* pairs = (const MaskPair*)(mask + cell * 576 + pixel);
    float first[9], second[9];
    float first_largest, second_largest;
#pragma unroll
    for (int n = 0; n < 9; ++n) {
        const MaskPair pair = pairs[n * 32];
        first[n] = number<MASK>::load(pair.first);
        second[n] = number<MASK>::load(pair.second);
        first_largest = n == 0 ? first[n] : fmaxf(first_largest, first[n]);
        second_largest = n == 0 ? second[n] : fmaxf(second_largest, second[n]);
    }
    float first_total = 0.0f, first_u = 0.0f, first_v = 0.0f;
    float second_total = 0.0f, second_u = 0.0f, second_v = 0.0f;
#pragma unroll
    for (int n = 0; n < 9; ++n) {
        const int i = row + n / 3 - 1;
        const int j = column + n % 3 - 1;
        float u = 0.0f, v = 0.0f;
        if (i >= 0 && i < height && j >= 0 && j < width) {
            const float* at = flow + ((image * height + i) * width + j) * 2;
            u = 8.0f * at[0];
            v = 8.0f * at[1];
        }
        const float first_share = __expf(first[n] - first_largest);
        const float second_share = __expf(second[n] - second_largest);
        first_total += first_share;
        first_u += first_share * u;
        first_v += first_share * v;
        second_total += second_share;
        second_u += second_share * u;
        second_v += second_share * v;
    }
    FinePair* at = (FinePair*)fine + (image * fine_height + y) * fine_width + x;
    if (x >= 0) {
        at[0].u = number<FINE>::store(first_u / first_total);
        at[0].v = number<FINE>::store(first_v / first_total);
    }
    if (x + 1 < fine_width) {
        at[1].u = number<FINE>::store(second_u / second_total);
        at[1].v = number<FINE>::store(second_v / second_total);
    }
}
