// bilinear_upsample: full-resolution flow by interpolation, the corners of the grid on the corners of the image,
// straight into the image's layout. Its meaning in plain torch: raftline/kernels/bilinear_upsample/reference.py.
//
// The type of the result, as in number.cuh:
// -DFINE=32|16
//
// Arguments, all contiguous
//   flow   (images, height, width, 2) float, (x, y) in cells.
//   fine   (images, fine_height, fine_width, 2) in pixels: the crop of the upsampled image that begins at row
//          `top` and column `left`. It is all that is written.
//
// Launch: one thread per pixel; blocks of any size, grid (ceil(pixels / block)). Neighbours read the same cells, which
//   lie in the cache: what counts is the writing, 8.3 MB of half at 1080p (16.6 of float).
// Shared memory: none. Offsets are 64-bit.

#include "../number.cuh"

typedef number<FINE>::stored fine_number;
struct __align__(2 * sizeof(fine_number)) FinePair { fine_number u, v; };
struct __align__(8) FlowPair { float u, v; };

extern "C" __global__ void bilinear_upsample(
    const FlowPair* __restrict__ flow, FinePair* __restrict__ fine,
    int images, int height, int width, int top, int left, int fine_height, int fine_width)
{
    const long long pixel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= (long long)images * fine_height * fine_width) return;
    const int x = (int)(pixel % fine_width) + left;
    const int y = (int)(pixel / fine_width % fine_height) + top;
    const float at_x = (float)x * ((float)(width - 1) / (float)(8 * width - 1));
    const float at_y = (float)y * ((float)(height - 1) / (float)(8 * height - 1));
    const int j = (int)at_x;
    const int i = (int)at_y;
    const float right_share = at_x - (float)j;
    const float below_share = at_y - (float)i;
    const int right = min(j + 1, width - 1);
    const FlowPair* row = flow + (pixel / fine_width / fine_height * height + i) * width;
    const FlowPair* below = row + (i + 1 < height ? width : 0);
    const FlowPair corners[4] = {row[j], row[right], below[j], below[right]};
    const float above_u = corners[0].u * (1.0f - right_share) + corners[1].u * right_share;
    const float above_v = corners[0].v * (1.0f - right_share) + corners[1].v * right_share;
    const float below_u = corners[2].u * (1.0f - right_share) + corners[3].u * right_share;
    const float below_v = corners[2].v * (1.0f - right_share) + corners[3].v * right_share;
    fine[pixel].u = number<FINE>::store(8.0f * (above_u * (1.0f - below_share) + below_u * below_share));
    fine[pixel].v = number<FINE>::store(8.0f * (above_v * (1.0f - below_share) + below_v * below_share));
}
