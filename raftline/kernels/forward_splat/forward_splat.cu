// forward_splat: where each cell goes, its flow and further channels go with it; holes are filled from their
// neighbours, coarse to fine. Its meaning in plain torch: raftline/kernels/forward_splat/reference.py.
//
// Two launches, on memory of which `winner` and `marks` were set to zero:
//
// forward_splat_land    which cell lands where. One thread per cell of every image; blocks of any size.
// forward_splat_carry   moves one channel of one image and fills its holes. One block of any size per channel and
//                       image: its levels depend on each other, and a block waits for itself without a launch.
//                       At the 1/8 grid of 1080p a block walks over 32,400 cells four times.
//
// Arguments
//   channels   (images, count, height, width) float; the first two are the flow (x, y) in cells.
//   error      (images, height, width) float, the least wins; or null: the longest flow wins.
//   winner     (images, height, width): 1 + (priority << 31 | source), 0 where nothing landed. The priority is a float's
//              bits made to sort as an unsigned integer, so that a maximum of integers decides, in whatever order
//              the threads run, and of equals the last source wins. So height * width < 2^31.
//   marks      (images, levels) bytes: 1 where something landed in a cell of a level. Level l has
//              ceil(height / 2^l) x ceil(width / 2^l) cells; they lie one after the other, down to 1x1.
//   coarse     (images, count, levels without level 0) float: scratch.
//   carried    (images, count, height, width) float.
//
// Shared memory: none. Reads and writes: per channel some 3 x 4 bytes per cell, per image 17 bytes per cell; what a
// block writes it reads again from the L2 cache.

struct Level {
    int height, width;
    long long offset;  // of its first cell, all levels lying one after the other
};

static __device__ __forceinline__ Level level_of(int height, int width, int number) {
    Level level = {height, width, 0};
    for (int n = 0; n < number; ++n) {
        level.offset += (long long)level.height * level.width;
        level.height = (level.height + 1) / 2;
        level.width = (level.width + 1) / 2;
    }
    return level;
}

static __device__ __forceinline__ int last_level(int height, int width) {
    int number = 0;
    for (int side = height > width ? height : width; side > 1; side = (side + 1) / 2) ++number;
    return number;
}

static __device__ __forceinline__ unsigned int ordered(float number) {
    union { float value; unsigned int bits; } word;
    word.value = number;
    if (number != number) return 0x007fffffu;  // NaN sorts as minus infinity
    return word.bits & 0x80000000u ? ~word.bits : word.bits | 0x80000000u;
}

extern "C" __global__ void forward_splat_land(
    const float* __restrict__ channels, const float* __restrict__ error,
    unsigned long long* __restrict__ winner, unsigned char* __restrict__ marks,
    int images, int count, int height, int width)
{
    const long long cells = (long long)height * width;
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= images * cells) return;
    const long long image = thread / cells;
    const int source = (int)(thread % cells);
    const float* channel = channels + image * count * cells + source;
    const float u = channel[0];
    const float v = channel[cells];
    const float x = rintf((float)(source % width) + u);
    const float y = rintf((float)(source / width) + v);
    // Every comparison with NaN is false, so that NaN is outside too.
    if (!(x >= 0.0f && x < (float)width && y >= 0.0f && y < (float)height)) return;
    for (int n = 2; n < count; ++n) {
        const float value = channel[n * cells];
        if (value - value != 0.0f) return;  // infinite or NaN
    }
    // Not fused into one rounding: of flows that are equally long for the twin none is longer here.
    const float priority = error ? 0.0f - error[thread] : __fadd_rn(__fmul_rn(u, u), __fmul_rn(v, v));
    const unsigned long long key = ((unsigned long long)ordered(priority) << 31 | (unsigned int)source) + 1;
    const int row = (int)y;
    const int column = (int)x;
    atomicMax(winner + image * cells + (long long)row * width + column, key);
    const int last = last_level(height, width);
    const Level end = level_of(height, width, last + 1);
    unsigned char* mark = marks + image * end.offset;
    for (int n = 0; n <= last; ++n) {
        const Level level = level_of(height, width, n);
        unsigned char* at = mark + level.offset + (long long)(row >> n) * level.width + (column >> n);
        if (*at == 0) *at = 1;
    }
}

// The mean of what landed in the four finer cells (fewer at the border); what did not land is zero in `fine`.
static __device__ __forceinline__ void pull(
    const float* fine, const unsigned char* fine_marks, Level finer, float* coarse, Level coarser)
{
    for (int cell = threadIdx.x; cell < coarser.height * coarser.width; cell += blockDim.x) {
        const int row = cell / coarser.width * 2;
        const int column = cell % coarser.width * 2;
        float sum = 0.0f;
        int landed = 0;
        for (int n = 0; n < 4; ++n) {
            const int i = row + n / 2;
            const int j = column + n % 2;
            if (i >= finer.height || j >= finer.width) continue;
            const long long at = (long long)i * finer.width + j;
            sum += fine[at];
            landed += fine_marks[at];
        }
        coarse[cell] = landed > 0 ? sum / (float)landed : 0.0f;
    }
}

// Interpolate the coarser level into the holes; a coarse cell lies in the middle of its four.
static __device__ __forceinline__ void push(
    const float* coarse, Level coarser, float* fine, const unsigned char* fine_marks, Level finer)
{
    for (int cell = threadIdx.x; cell < finer.height * finer.width; cell += blockDim.x) {
        if (fine_marks[cell]) continue;
        const int row = cell / finer.width;
        const int column = cell % finer.width;
        const int i = row / 2;
        const int j = column / 2;
        const int other_i = min(max(i + row % 2 * 2 - 1, 0), coarser.height - 1);
        const int other_j = min(max(j + column % 2 * 2 - 1, 0), coarser.width - 1);
        const float* here = coarse + (long long)i * coarser.width;
        const float* there = coarse + (long long)other_i * coarser.width;
        fine[cell] = 0.75f * (0.75f * here[j] + 0.25f * here[other_j]) +
                     0.25f * (0.75f * there[j] + 0.25f * there[other_j]);
    }
}

extern "C" __global__ void __launch_bounds__(1024) forward_splat_carry(
    const float* __restrict__ channels, const unsigned long long* __restrict__ winner,
    const unsigned char* __restrict__ marks, float* coarse, float* carried, int count, int height, int width)
{
    const int cells = height * width;
    const long long plane = blockIdx.x;
    const long long image = plane / count;
    const int last = last_level(height, width);
    const long long pyramid = level_of(height, width, last + 1).offset;
    const float* from = channels + plane * cells;
    const unsigned long long* keys = winner + image * cells;
    const unsigned char* mark = marks + image * pyramid;
    float* to = carried + plane * cells;
    float* scratch = coarse + plane * (pyramid - cells);

#pragma unroll 4
    for (int cell = threadIdx.x; cell < cells; cell += blockDim.x) {
        const unsigned long long key = keys[cell];
        to[cell] = key == 0 ? 0.0f : from[(key - 1) & 0x7fffffffull];
    }
    for (int n = 1; n <= last; ++n) {
        const Level finer = level_of(height, width, n - 1);
        const Level coarser = level_of(height, width, n);
        __syncthreads();
        const float* fine = n == 1 ? to : scratch + (finer.offset - cells);
        pull(fine, mark + finer.offset, finer, scratch + (coarser.offset - cells), coarser);
    }
    for (int n = last; n >= 1; --n) {
        const Level finer = level_of(height, width, n - 1);
        const Level coarser = level_of(height, width, n);
        __syncthreads();
        float* fine = n == 1 ? to : scratch + (finer.offset - cells);
        push(scratch + (coarser.offset - cells), coarser, fine, mark + finer.offset, finer);
    }
}
