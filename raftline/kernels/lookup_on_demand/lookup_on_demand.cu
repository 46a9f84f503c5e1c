// lookup_on_demand: the lookup without a volume. A (2r+1) x (2r+1) window, bilinear, zero outside, of the dot products
// of a pixel's features with each level's features around the pixel's coordinates. Its meaning in plain torch:
// raftline/kernels/lookup_on_demand/reference.py.
//
// -DELEMENT=32|16|116   the features: float, half, bfloat16; sums are float
// -DRADIUS=3|4          r; 1 and 2 compile too
//
// Arguments
//   features1   (images, height, width, channels), already divided by sqrt(channels).
//   level0..3   level l is (images, heights_l, widths_l, channels). Levels beyond `levels` may be null.
//               Features are contiguous and 16-byte aligned; channels is a multiple of CHANNELS, below, so that a row
//               of channels is read in steps of 128 bytes. All of a tensor is less than 2^31 times 16 bytes.
//   coords      x, then y, in cells of level 0, at image * image_stride + axis * axis_stride + pixel * pixel_stride.
//   out         (images * height * width, levels * side * side), side = 2 * r + 1, as in lookup.cu; numbers of `out_bits`.
//   kept_corners, kept_windows  (levels, images * height * width, 2) and (levels, images * height * width,
//               (side + 1)^2), 16-byte aligned: left and top cell of the windows last looked at, in a fresh pair
//               INT_MIN, and their products, x outer. Both null where nothing is kept.
//
// Launch: a block of 128 threads serves one level for a tile of 8 x 8 pixels; grid (images * ceil(height / 8) *
//   ceil(width / 8) * levels, 1, 1), the levels innermost.
// Shared memory: 18,432 bytes of features, 64 * (side + 1)^2 * 4 bytes of windows (25,600 for r = 4), 1.3 kB of the rest.
//
// How: where the flow is smooth, the windows of a tile overlap: their bounding box has about (8 + 9)^2 = 289 cells at
// level 0 and 13^2, 11^2, 11^2 at the others, not 64 * 100. The block multiplies all its pixels with all cells of the
// box, 64 x 64 at a time, as a matrix product would, and keeps of each product what lies in the pixel's window. Strips
// of 64 cells that no window touches are skipped, so that at a motion boundary, where the box is large and mostly
// empty, the work grows with what is touched. There is no other path: a box may be as large as the level.
//
// Cost, r = 4, 256 channels, 1080p (506 tiles): 12 strips a tile in all, 64 * 64 * 256 multiplications each: 12.7 GFLOP
// (what the windows themselves need is 6.6), on the tensor cores for half and bfloat16 (sm_80 and newer: mma.sync,
// float sums), in float arithmetic otherwise. Each strip reads 128 rows of features: 0.4 GB for half and 0.8 GB for
// float in all, nearly all of it from the L2 cache, since both frames' features are 17 and 33 MB. So for half the L2
// cache is the limit, for float the arithmetic. The volume would be 2.8 and 5.6 GB.
//
// While a pixel's coordinates stay within one cell, its window stays, and only how it is mixed changes. Such windows
// are read from kept_windows, 1.6 kB a pixel in long stretches (52 MB at 1080p), and the box is that of the others.
// Once the iterations have settled, that is nearly all, and the cost that of lookup.cu.
//
// A coordinate that is not finite is outside every level: zeros.

#include "../number.cuh"

#define SIDE (2 * RADIUS + 1)
#define CELLS (SIDE + 1)
#define WINDOW_VECTORS (CELLS * CELLS / 4)
#define TILE 8
#define PIXELS (TILE * TILE)
#define STRIP 64
#define THREADS 128
#define VECTORS 8         // of 16 bytes: what is staged of a row at a time
#define ROW 36            // words from one staged row to the next: 128 bytes, and 16 so that 8 rows lie in all 32 banks
#define FETCHES ((PIXELS + STRIP) * VECTORS / THREADS)
#define NOWHERE 0xffffffffu
#define FAR_OUTSIDE (-(1 << 28))

typedef number<ELEMENT> element;
#define PER_VECTOR (16 / (int)sizeof(element::stored))
#define CHANNELS (VECTORS * PER_VECTOR)

#if ELEMENT != 32 && __CUDA_ARCH__ >= 800
#define TENSOR_CORES 1
#else
#define TENSOR_CORES 0
#endif

struct Tile {
    uint4 rows[(PIXELS + STRIP) * ROW / 4];            // the pixels' channels, then the cells'
    __align__(16) float windows[PIXELS * CELLS * CELLS];  // x outer, y inner
    int left[PIXELS], top[PIXELS];           // of the windows to compute, in cells; FAR_OUTSIDE where one misses the level
    float fx[PIXELS], fy[PIXELS];
    int kept[PIXELS];                        // 1 where the window is the one that was kept; left and top are FAR_OUTSIDE
    int x_begin, y_begin, x_end, y_end;      // bounding box within the level of the windows to compute
};

// Every thread holds 32 of the 64 x 64 products: those of some pixels with some cells. On tensor cores these are what
// PTX's mma.m16n8k16 leaves in a thread; the threads' sums lie in the order of the instructions.
#if TENSOR_CORES
#define PIXELS_HELD 4
#define CELLS_HELD 8
static __device__ __forceinline__ int pixel_held(int p) {
    return threadIdx.x / 64 * 32 + p / 2 * 16 + threadIdx.x % 32 / 4 + p % 2 * 8;
}
static __device__ __forceinline__ int cell_held(int c) {
    return threadIdx.x / 32 % 2 * 32 + c / 2 * 8 + threadIdx.x % 4 * 2 + c % 2;
}
static __device__ __forceinline__ int sum_of(int p, int c) { return (p / 2 * 4 + c / 2) * 4 + p % 2 * 2 + c % 2; }
#else
#define PIXELS_HELD 8
#define CELLS_HELD 4
static __device__ __forceinline__ int pixel_held(int p) { return threadIdx.x / 64 * 4 + threadIdx.x % 32 / 8 + p * 8; }
static __device__ __forceinline__ int cell_held(int c) { return threadIdx.x / 32 % 2 * 8 + threadIdx.x % 8 + c * 16; }
static __device__ __forceinline__ int sum_of(int p, int c) { return p * 4 + c; }
#endif

#if TENSOR_CORES
// c (16 x 8) += a (16 x 16) * b (16 x 8), spread over a warp as PTX's mma.m16n8k16 has it.
static __device__ __forceinline__ void multiply_add(float* c, const unsigned int* a, const unsigned int* b) {
#ifndef __CUDACC__
    on_cpu::mma_m16n8k16<element>(c, a, b);
#elif ELEMENT == 16
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Adds the products of the staged channels.
static __device__ __forceinline__ void multiply(const uint4* rows, float* sums) {
    const unsigned int* words = (const unsigned int*)rows;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned int* pixels = words + pixel_held(0) * ROW + lane % 4;
    const unsigned int* cells = words + (PIXELS + warp % 2 * 32 + lane / 4) * ROW + lane % 4;
#pragma unroll
    for (int k = 0; k < VECTORS * 4; k += 8) {
        unsigned int a[2][4], b[4][2];
#pragma unroll
        for (int m = 0; m < 2; ++m)
#pragma unroll
            for (int part = 0; part < 4; ++part) a[m][part] = pixels[(m * 16 + part % 2 * 8) * ROW + k + part / 2 * 4];
#pragma unroll
        for (int n = 0; n < 4; ++n)
#pragma unroll
            for (int part = 0; part < 2; ++part) b[n][part] = cells[n * 8 * ROW + k + part * 4];
#pragma unroll
        for (int m = 0; m < 2; ++m)
#pragma unroll
            for (int n = 0; n < 4; ++n) multiply_add(sums + (m * 4 + n) * 4, a[m], b[n]);
    }
}
#else
static __device__ __forceinline__ void unpack(uint4 vector, float* values) {
    const unsigned int words[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#if ELEMENT == 32
        values[i] = __uint_as_float(words[i]);
#else
        values[2 * i] = element::load((element::stored)(words[i] & 0xffffu));
        values[2 * i + 1] = element::load((element::stored)(words[i] >> 16));
#endif
    }
}

// Adds the products of the staged channels.
static __device__ __forceinline__ void multiply(const uint4* rows, float* sums) {
    const uint4* pixels = rows + pixel_held(0) * (ROW / 4);
    const uint4* cells = rows + (PIXELS + cell_held(0)) * (ROW / 4);
#pragma unroll 1
    for (int k = 0; k < VECTORS; ++k) {
        float b[4][PER_VECTOR];
#pragma unroll
        for (int n = 0; n < 4; ++n) unpack(cells[n * 16 * (ROW / 4) + k], b[n]);
#pragma unroll
        for (int m = 0; m < 8; ++m) {
            float a[PER_VECTOR];
            unpack(pixels[m * 8 * (ROW / 4) + k], a);
#pragma unroll
            for (int n = 0; n < 4; ++n)
#pragma unroll
                for (int i = 0; i < PER_VECTOR; ++i) sums[m * 4 + n] += a[i] * b[n][i];
        }
    }
}
#endif

// The number in its image of a pixel of the tile, -1 outside of the image.
static __device__ __forceinline__ int number_in_image(int pixel, int tile_x, int tile_y, int height, int width) {
    const int x = tile_x * TILE + pixel % TILE, y = tile_y * TILE + pixel / TILE;
    return x < width && y < height ? y * width + x : -1;
}

// Where each thread's share of the rows begins, in vectors: pixels of the tile in `features1`, cells of the box from
// number `first` on in the level.
static __device__ __forceinline__ void find_rows(
    const Tile& tile, unsigned int* from, int first, int cells, int image, int tile_x, int tile_y, int height, int width,
    int level_height, int level_width, int row_vectors)
{
    const int box_width = tile.x_end - tile.x_begin;
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) {
        const int row = threadIdx.x / VECTORS + i * (THREADS / VECTORS);
        unsigned int at = NOWHERE;
        if (i < FETCHES / 2) {
            const int number = number_in_image(row, tile_x, tile_y, height, width);
            if (number >= 0) at = image * height * width + number;
        } else if (first + row - PIXELS < cells) {
            const int cell = first + row - PIXELS;
            const int y = cell / box_width;
            at = (image * level_height + tile.y_begin + y) * level_width + tile.x_begin + cell - y * box_width;
        }
        from[i] = at == NOWHERE ? NOWHERE : at * row_vectors + threadIdx.x % VECTORS;
    }
}

static __device__ __forceinline__ void fetch(
    uint4* fetched, const uint4* features1, const uint4* level, const unsigned int* from, int step)
{
#pragma unroll
    for (int i = 0; i < FETCHES; ++i) {
        const uint4* features = i < FETCHES / 2 ? features1 : level;
        fetched[i] = uint4{0, 0, 0, 0};
        if (from[i] != NOWHERE) fetched[i] = features[from[i] + (unsigned int)(step * VECTORS)];
    }
}

// Whether a window of the tile has a cell in the strip; all threads get the same answer.
static __device__ __forceinline__ bool touched(const Tile& tile, int first, int last) {
    bool mine = false;
    if (threadIdx.x < PIXELS) {
        const int box_width = tile.x_end - tile.x_begin;
        const int y_first = first / box_width, y_last = last / box_width;
        const int left = tile.left[threadIdx.x] - tile.x_begin, top = tile.top[threadIdx.x] - tile.y_begin;
        mine = top <= y_last && top + CELLS > y_first;
        if (y_first == y_last)
            mine = mine && left <= last - y_last * box_width && left + CELLS > first - y_first * box_width;
    }
    return __syncthreads_or(mine);
}

// The tile's windows: where they begin, what fraction of a cell they are off, which are kept, the others' bounding box.
static __device__ __forceinline__ void place_windows(
    Tile& tile, const float* coords, int* kept_corners, int tile_x, int tile_y, int height, int width,
    int level_height, int level_width, long long axis_stride, long long pixel_stride, float scale)
{
    if (threadIdx.x == 0) {
        tile.x_begin = level_width;
        tile.y_begin = level_height;
        tile.x_end = tile.y_end = 0;
    }
    __syncthreads();
    if (threadIdx.x < PIXELS) {
        const int number = number_in_image(threadIdx.x, tile_x, tile_y, height, width);
        const long long at = max(number, 0) * pixel_stride;
        const float x = coords[at] * scale;
        const float y = coords[at + axis_stride] * scale;
        // Every comparison with NaN is false, so that NaN is outside too.
        const bool near = number >= 0 && x > -RADIUS - 1.0f && x < (float)(level_width + RADIUS) &&
                          y > -RADIUS - 1.0f && y < (float)(level_height + RADIUS);
        const float x_floor = near ? floorf(x) : 0.0f;
        const float y_floor = near ? floorf(y) : 0.0f;
        const int left = near ? (int)x_floor - RADIUS : FAR_OUTSIDE;
        const int top = near ? (int)y_floor - RADIUS : FAR_OUTSIDE;
        bool kept = false;
        if (kept_corners != nullptr && number >= 0) {
            int* corner = kept_corners + 2ll * number;
            kept = corner[0] == left && corner[1] == top;
            corner[0] = left;
            corner[1] = top;
        }
        tile.kept[threadIdx.x] = kept;
        tile.left[threadIdx.x] = kept ? FAR_OUTSIDE : left;
        tile.top[threadIdx.x] = kept ? FAR_OUTSIDE : top;
        tile.fx[threadIdx.x] = near ? x - x_floor : 0.0f;
        tile.fy[threadIdx.x] = near ? y - y_floor : 0.0f;
        if (near && !kept) {
            atomicMin(&tile.x_begin, max(left, 0));
            atomicMin(&tile.y_begin, max(top, 0));
            atomicMax(&tile.x_end, min(left + CELLS, level_width));
            atomicMax(&tile.y_end, min(top + CELLS, level_height));
        }
    }
    __syncthreads();
}

// Begins with the windows that are kept, and zeros in the others.
static __device__ __forceinline__ void begin_windows(
    Tile& tile, const float4* kept_windows, int tile_x, int tile_y, int height, int width)
{
    float4* windows = (float4*)tile.windows;
    for (int i = threadIdx.x; i < PIXELS * WINDOW_VECTORS; i += THREADS) {
        const int pixel = i / WINDOW_VECTORS;
        windows[i] = float4{0.0f, 0.0f, 0.0f, 0.0f};
        if (tile.kept[pixel]) {
            const int number = number_in_image(pixel, tile_x, tile_y, height, width);
            windows[i] = kept_windows[(long long)number * WINDOW_VECTORS + i % WINDOW_VECTORS];
        }
    }
}

// Keeps the windows that were computed.
static __device__ __forceinline__ void keep_windows(
    const Tile& tile, float4* kept_windows, int tile_x, int tile_y, int height, int width)
{
    const float4* windows = (const float4*)tile.windows;
    for (int i = threadIdx.x; i < PIXELS * WINDOW_VECTORS; i += THREADS) {
        const int pixel = i / WINDOW_VECTORS;
        const int number = number_in_image(pixel, tile_x, tile_y, height, width);
        if (number >= 0 && !tile.kept[pixel])
            kept_windows[(long long)number * WINDOW_VECTORS + i % WINDOW_VECTORS] = windows[i];
    }
}

// Takes what lies in the pixels' windows of the products with the box's cells from number `first` on.
static __device__ __forceinline__ void take(Tile& tile, const float* sums, int first, int cells) {
    const int box_width = tile.x_end - tile.x_begin;
    int x[CELLS_HELD], y[CELLS_HELD];
#pragma unroll
    for (int c = 0; c < CELLS_HELD; ++c) {
        const int cell = first + cell_held(c);
        const int row = cell / box_width;
        x[c] = cell < cells ? tile.x_begin + cell - row * box_width : -FAR_OUTSIDE;
        y[c] = tile.y_begin + row;
    }
#pragma unroll
    for (int p = 0; p < PIXELS_HELD; ++p) {
        const int pixel = pixel_held(p);
        const int left = tile.left[pixel], top = tile.top[pixel];
        float* window = tile.windows + pixel * CELLS * CELLS;
#pragma unroll
        for (int c = 0; c < CELLS_HELD; ++c) {
            const int i = x[c] - left, j = y[c] - top;
            if (i >= 0 && i < CELLS && j >= 0 && j < CELLS) window[i * CELLS + j] = sums[sum_of(p, c)];
        }
    }
}

static __device__ __forceinline__ void put(void* out, long long at, float value, int out_bits) {
    if (out_bits == 32) ((float*)out)[at] = value;
    else if (out_bits == 16) ((unsigned short*)out)[at] = number<16>::store(value);
    else ((unsigned short*)out)[at] = number<116>::store(value);
}

extern "C" __global__ void __launch_bounds__(THREADS, TENSOR_CORES ? 4 : 3) lookup_on_demand(
    const uint4* __restrict__ features1, const uint4* __restrict__ level0, const uint4* __restrict__ level1,
    const uint4* __restrict__ level2, const uint4* __restrict__ level3,
    const float* __restrict__ coords, void* __restrict__ out,
    int* __restrict__ kept_corners, float4* __restrict__ kept_windows,
    int height0, int height1, int height2, int height3,
    int width0, int width1, int width2, int width3,
    long long image_stride, long long axis_stride, long long pixel_stride,
    int height, int width, int channels, int levels, int out_bits)
{
    __shared__ Tile tile;

    const int tiles_x = (width + TILE - 1) / TILE, tiles_y = (height + TILE - 1) / TILE;
    const int level = blockIdx.x % levels;
    const int number_of_tile = blockIdx.x / levels;
    const int tile_x = number_of_tile % tiles_x;
    const int tile_y = number_of_tile / tiles_x % tiles_y;
    const int image = number_of_tile / tiles_x / tiles_y;
    const uint4* features2 = level == 0 ? level0 : level == 1 ? level1 : level == 2 ? level2 : level3;
    const int level_height = level == 0 ? height0 : level == 1 ? height1 : level == 2 ? height2 : height3;
    const int level_width = level == 0 ? width0 : level == 1 ? width1 : level == 2 ? width2 : width3;
    const float scale = level == 0 ? 1.0f : level == 1 ? 0.5f : level == 2 ? 0.25f : 0.125f;
    const int images = gridDim.x / (tiles_x * tiles_y * levels);
    const long long first_pixel = ((long long)level * images + image) * height * width;
    const bool keeps = kept_corners != nullptr;
    if (keeps) {
        kept_corners += first_pixel * 2;
        kept_windows += first_pixel * WINDOW_VECTORS;
    }
    place_windows(tile, coords + image * image_stride, kept_corners, tile_x, tile_y, height, width, level_height,
                  level_width, axis_stride, pixel_stride, scale);
    begin_windows(tile, kept_windows, tile_x, tile_y, height, width);

    const int cells = max(tile.x_end - tile.x_begin, 0) * max(tile.y_end - tile.y_begin, 0);
    for (int first = 0; first < cells; first += STRIP) {
        if (!touched(tile, first, min(first + STRIP, cells) - 1)) continue;
        unsigned int from[FETCHES];
        uint4 fetched[FETCHES];
        float sums[PIXELS * STRIP / THREADS] = {};
        find_rows(tile, from, first, cells, image, tile_x, tile_y, height, width, level_height, level_width,
                  channels / PER_VECTOR);
        const int steps = channels / CHANNELS;
        fetch(fetched, features1, features2, from, 0);
        for (int step = 0; step < steps; ++step) {
            __syncthreads();
#pragma unroll
            for (int i = 0; i < FETCHES; ++i)
                tile.rows[(threadIdx.x / VECTORS + i * (THREADS / VECTORS)) * (ROW / 4) + threadIdx.x % VECTORS] = fetched[i];
            __syncthreads();
            if (step + 1 < steps) fetch(fetched, features1, features2, from, step + 1);
            multiply(tile.rows, sums);
        }
        take(tile, sums, first, cells);
    }
    __syncthreads();
    if (keeps) keep_windows(tile, kept_windows, tile_x, tile_y, height, width);

    for (int i = threadIdx.x; i < PIXELS * SIDE * SIDE; i += THREADS) {
        const int pixel = i / (SIDE * SIDE), channel = i % (SIDE * SIDE);
        const int number = number_in_image(pixel, tile_x, tile_y, height, width);
        if (number < 0) continue;
        const float* cell = tile.windows + (pixel * CELLS + channel / SIDE) * CELLS + channel % SIDE;
        const float fx = tile.fx[pixel], fy = tile.fy[pixel];
        const float here = cell[0] * (1.0f - fy) + cell[1] * fy;
        const float right = cell[CELLS] * (1.0f - fy) + cell[CELLS + 1] * fy;
        const long long at = (((long long)image * height * width + number) * levels + level) * (SIDE * SIDE) + channel;
        put(out, at, here * (1.0f - fx) + right * fx, out_bits);
    }
}
