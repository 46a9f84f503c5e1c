// lookup: a (2r+1) x (2r+1) window of every level of the correlation pyramid around every pixel's coordinates,
// bilinear, zero outside. Its meaning in plain torch: stages/kernels/reference.py, `lookup`.
//
// Compile with -DELEMENT=32 (float), 16 (half) or 116 (bfloat16): the type of the levels and of the output.
//
// Arguments
//   level0..3   level l is (pixels, height >> l, width >> l), contiguous. Levels beyond `levels` may be null.
//   coords      (batch, 2, plane) float: x, then y, in cells of level 0; plane = pixels / batch.
//   out         (pixels, levels * side * side), side = 2 * radius + 1: a pixel's channels lie together
//               (channels-last). Channel: (level * side + dx + radius) * side + dy + radius, x outer, y inner.
//   heights, widths  cells of each level (a level may be halved with rounding, so they are given).
//
// Launch: one thread per (pixel, level, dx), which walks down one column of the window: it reads two columns of
//   2r + 2 cells and writes 2r + 1 neighbouring channels, so that a warp's writes are one stretch of memory.
//   Blocks of any size in x; grid (ceil(pixels * levels * side / block), 1, 1).
// Shared memory: none. Offsets into the levels and the output are 64-bit: a volume may exceed 2^31 elements.
// A coordinate that is not finite is outside every level: zeros.

#if ELEMENT == 32
typedef float element;
static __device__ __forceinline__ float load(element value) { return value; }
static __device__ __forceinline__ element store(float value) { return value; }
#elif ELEMENT == 16
typedef unsigned short element;
#ifdef __CUDACC__
static __device__ __forceinline__ float load(element value) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value));
    return result;
}
static __device__ __forceinline__ element store(float value) {
    element result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}
#else
static float load(element value) { return (float)__builtin_bit_cast(_Float16, value); }
static element store(float value) { return __builtin_bit_cast(element, (_Float16)value); }
#endif
#elif ELEMENT == 116
typedef unsigned short element;
union bits { unsigned int word; float value; };
static __device__ __forceinline__ float load(element value) {
    bits b;
    b.word = (unsigned int)value << 16;
    return b.value;
}
static __device__ __forceinline__ element store(float value) {
    bits b;
    b.value = value;
    if (value != value) return 0x7fc0;
    return (element)((b.word + 0x7fffu + ((b.word >> 16) & 1u)) >> 16);  // to nearest, ties to even
}
#else
#error "ELEMENT must be 32, 16 or 116"
#endif

extern "C" __global__ void lookup(
    const element* __restrict__ level0, const element* __restrict__ level1,
    const element* __restrict__ level2, const element* __restrict__ level3,
    const float* __restrict__ coords, element* __restrict__ out,
    int height0, int height1, int height2, int height3,
    int width0, int width1, int width2, int width3,
    long long pixels, long long plane, int levels, int radius)
{
    const int side = 2 * radius + 1;
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= pixels * levels * side) return;
    const int column = (int)(thread % side);
    const int level = (int)(thread / side % levels);
    const long long pixel = thread / ((long long)side * levels);

    const element* base = level == 0 ? level0 : level == 1 ? level1 : level == 2 ? level2 : level3;
    const int height = level == 0 ? height0 : level == 1 ? height1 : level == 2 ? height2 : height3;
    const int width = level == 0 ? width0 : level == 1 ? width1 : level == 2 ? width2 : width3;
    const element* cells = base + pixel * height * width;
    element* channel = out + thread * side;

    const float scale = 1.0f / (float)(1 << level);
    const long long image = pixel / plane;
    const long long at = image * 2 * plane + pixel % plane;
    const float x = coords[at] * scale;
    const float y = coords[at + plane] * scale;
    // Every comparison with NaN is false, so that NaN is outside too.
    if (!(x > -radius - 1.0f && x < (float)(width + radius) && y > -radius - 1.0f && y < (float)(height + radius))) {
        for (int j = 0; j < side; ++j) channel[j] = store(0.0f);
        return;
    }
    const float x_floor = floorf(x);
    const float y_floor = floorf(y);
    const float fx = x - x_floor;
    const float fy = y - y_floor;
    const int left = (int)x_floor - radius + column;
    const int top = (int)y_floor - radius;
    const bool left_inside = left >= 0 && left < width;
    const bool right_inside = left + 1 >= 0 && left + 1 < width;

    float above = 0.0f;
    for (int j = 0; j <= side; ++j) {
        const int row = top + j;
        float across = 0.0f;
        if (row >= 0 && row < height) {
            const long long start = (long long)row * width + left;
            const float a = left_inside ? load(cells[start]) : 0.0f;
            const float b = right_inside ? load(cells[start + 1]) : 0.0f;
            across = a * (1.0f - fx) + b * fx;
        }
        if (j > 0) channel[j - 1] = store(above * (1.0f - fy) + across * fy);
        above = across;
    }
}
