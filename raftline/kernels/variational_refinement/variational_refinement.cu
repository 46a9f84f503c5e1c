// variational_refinement: flow brought nearer to the images. Its meaning in plain torch:
// raftline/kernels/variational_refinement/reference.py.
//
// Launches, for each warp of the later image:
//
// variational_refinement_linearise  how the gradients differ, and how that changes with the flow.
// then for each reweighting
// variational_refinement_assemble   the linear equations that the lengths of the flow so far make.
// variational_refinement_sweep      some sweeps over them. Several launches where more sweeps are wanted than fit.
//
// Arguments, all contiguous
//   luma1, luma2  (images, height, width) float, grey levels.
//   flow          (images, height, width) float2, px, as is `change`, what the flow so far lacks: null is zero.
//                 Each at a multiple of 8 bytes.
//   tensor        (6, images, height, width) float: uu, uv, vv, u0, v0, constant of the squared residual.
//   system        (7, images, height, width) float: the known side (u, v), the inverse (uu, uv, vv) of a pixel's own
//                 two equations, and what holds it to its neighbour to the right, and below; these are 0 at a border.
//   after         (images, height, width) float2: the change after the sweeps, plus `base` unless that is null. Not in
//                 the place of `change`: blocks read what their neighbours begin with.
//
// Launch: linearise, assemble: a block of any size for every TILE_X x TILE_Y pixels of each image, best 256 threads.
//   sweep: a block of SWEEP_THREADS for every square of SIDE - 4 * sweeps pixels of each image; sweeps < SIDE / 4.
//   It works on a square of SIDE: a sweep carries a value one pixel further for each color, so what is read within
//   2 * sweeps of a square's edge is wrong after them, and is left out. So all squares are as if there were one.
// Shared memory: linearise 8.6 kB, assemble 8.2 kB, sweep 32 kB, its colors apart: a warp reads without conflicts.
// Bytes a pixel: linearise 16 read, 24 written; assemble 40 read, 28 written; sweep 36 read (44 with `base`), 8
//   written. With 5 sweeps a square is 2.1 times what is kept of it; what is its neighbours' comes from the L2 cache.
//   A reweighting at 1080p (2.1 million pixels): 250 MB, 55 us at 4.5 TB/s. Offsets are 64-bit.

#define TILE_X 32
#define TILE_Y 16
#define SIDE 64
#define ROWS 4  // of a thread, which has 2 columns of them; even, so that all threads begin with the same color
#define SWEEP_THREADS (SIDE / 2 * SIDE / ROWS)

#include "image.cuh"

static __device__ __forceinline__ float2 sum(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }

// The later image where it is wanted, bilinear; only where that is inside.
static __device__ __forceinline__ float interpolated(
    const float* __restrict__ luma, const Image& image, float y, float x)
{
    const int row = (int)y;
    const int column = (int)x;
    const float share_y = y - (float)row;
    const float share_x = x - (float)column;
    const float* above = luma + place(image, row, 0);
    const float* below = luma + nearest(image, row + 1, 0);
    const int after = min(column + 1, image.width - 1);
    return (above[column] * (1.0f - share_x) + above[after] * share_x) * (1.0f - share_y) +
           (below[column] * (1.0f - share_x) + below[after] * share_x) * share_y;
}

extern "C" __global__ void __launch_bounds__(256) variational_refinement_linearise(
    const float* __restrict__ luma1, const float* __restrict__ luma2, const float2* __restrict__ flow,
    float* __restrict__ tensor, int images, int height, int width, float gradient_floor_squared)
{
    __shared__ float mean[TILE_Y + 4][TILE_X + 4], difference[TILE_Y + 4][TILE_X + 4], seen[TILE_Y + 4][TILE_X + 4];
    const Tile tile = tile_of(images, height, width, TILE_Y, TILE_X);
    const Image image = tile.image;
    for (int n = threadIdx.x; n < (TILE_Y + 4) * (TILE_X + 4); n += blockDim.x) {
        const int i = n / (TILE_X + 4);
        const int j = n % (TILE_X + 4);
        const int y = min(max(tile.top + i - 2, 0), height - 1);
        const int x = min(max(tile.left + j - 2, 0), width - 1);
        const long long at = place(image, y, x);
        const float to_x = (float)x + flow[at].x;
        const float to_y = (float)y + flow[at].y;
        const float here = luma1[at];
        // Every comparison with NaN is false, so that NaN is outside too.
        const bool there = to_x >= 0.0f && to_x <= (float)(width - 1) && to_y >= 0.0f && to_y <= (float)(height - 1);
        const float warped = there ? interpolated(luma2, image, to_y, to_x) : here;
        mean[i][j] = 0.5f * (here + warped);
        difference[i][j] = warped - here;
        seen[i][j] = there ? 1.0f : 0.0f;
    }
    __syncthreads();
    for (int n = threadIdx.x; n < TILE_Y * TILE_X; n += blockDim.x) {
        const int y = tile.top + n / TILE_X;
        const int x = tile.left + n % TILE_X;
        if (!inside(image, y, x)) continue;
        const int i = n / TILE_X + 2;
        const int j = n % TILE_X + 2;
        const float here = 2.0f * mean[i][j];
        const float xx = 0.25f * (mean[i][j + 2] - here + mean[i][j - 2]);
        const float yy = 0.25f * (mean[i + 2][j] - here + mean[i - 2][j]);
        const float below = mean[i + 1][j + 1] - mean[i + 1][j - 1];
        const float xy = 0.25f * (below - mean[i - 1][j + 1] + mean[i - 1][j - 1]);
        const float by_x = 0.5f * (difference[i][j + 1] - difference[i][j - 1]);
        const float by_y = 0.5f * (difference[i + 1][j] - difference[i - 1][j]);
        const float weight_x = seen[i][j] / (xx * xx + xy * xy + gradient_floor_squared);
        const float weight_y = seen[i][j] / (xy * xy + yy * yy + gradient_floor_squared);
        float* at = tensor + place(image, y, x);
        at[0] = weight_x * xx * xx + weight_y * xy * xy;
        at[image.pixels] = weight_x * xx * xy + weight_y * xy * yy;
        at[2 * image.pixels] = weight_x * xy * xy + weight_y * yy * yy;
        at[3 * image.pixels] = weight_x * xx * by_x + weight_y * xy * by_y;
        at[4 * image.pixels] = weight_x * xy * by_x + weight_y * yy * by_y;
        at[5 * image.pixels] = weight_x * by_x * by_x + weight_y * by_y * by_y;
    }
}

// What holds a pixel to its neighbours, and what its flow differs from theirs, weighed by that.
struct Hold { float right, left, down, up; float2 pull; };

static __device__ __forceinline__ void add_pull(
    float2& pull, float hold, float2 neighbour, float2 here = {0.0f, 0.0f})
{
    pull.x += hold * (neighbour.x - here.x);
    pull.y += hold * (neighbour.y - here.y);
}

static __device__ __forceinline__ Hold hold_of(
    const float2* __restrict__ flow, const Image& image, int y, int x, const float* weak, int pitch)
{
    Hold hold;
    hold.right = x + 1 < image.width ? weak[0] + weak[1] : 0.0f;
    hold.left = x > 0 ? weak[0] + weak[-1] : 0.0f;
    hold.down = y + 1 < image.height ? weak[0] + weak[pitch] : 0.0f;
    hold.up = y > 0 ? weak[0] + weak[-pitch] : 0.0f;
    const float2 here = flow[place(image, y, x)];
    hold.pull = {0.0f, 0.0f};
    add_pull(hold.pull, hold.right, flow[nearest(image, y, x + 1)], here);
    add_pull(hold.pull, hold.left, flow[nearest(image, y, x - 1)], here);
    add_pull(hold.pull, hold.down, flow[nearest(image, y + 1, x)], here);
    add_pull(hold.pull, hold.up, flow[nearest(image, y - 1, x)], here);
    return hold;
}

// A pixel's two equations are solved together.
static __device__ __forceinline__ void write_equations(
    const float* __restrict__ tensor, float* __restrict__ system, long long pixels, float2 change, Hold hold,
    float residual_floor_squared)
{
    const float uu = tensor[0], uv = tensor[pixels], vv = tensor[2 * pixels];
    const float u0 = tensor[3 * pixels], v0 = tensor[4 * pixels];
    const float u = change.x, v = change.y;
    const float residual =
        uu * u * u + 2.0f * uv * u * v + vv * v * v + 2.0f * (u0 * u + v0 * v) + tensor[5 * pixels];
    const float trust = 1.0f / sqrtf(fmaxf(residual, 0.0f) + residual_floor_squared);
    const float total = hold.right + hold.left + hold.down + hold.up + 1e-9f;  // an image of one pixel has none
    const float own_u = total + trust * uu, both = trust * uv, own_v = total + trust * vv;
    const float inverse = 1.0f / (own_u * own_v - both * both);
    system[0] = hold.pull.x - trust * u0;
    system[pixels] = hold.pull.y - trust * v0;
    system[2 * pixels] = own_v * inverse;
    system[3 * pixels] = -both * inverse;
    system[4 * pixels] = own_u * inverse;
    system[5 * pixels] = hold.right;
    system[6 * pixels] = hold.down;
}

extern "C" __global__ void __launch_bounds__(256) variational_refinement_assemble(
    const float2* __restrict__ flow, const float2* __restrict__ change, const float* __restrict__ tensor,
    float* __restrict__ system, int images, int height, int width,
    float smoothness, float residual_floor_squared, float step_floor_squared)
{
    __shared__ float2 moved[TILE_Y + 4][TILE_X + 4];
    __shared__ float weak[TILE_Y + 2][TILE_X + 2];
    const Tile tile = tile_of(images, height, width, TILE_Y, TILE_X);
    const Image image = tile.image;
    for (int n = threadIdx.x; n < (TILE_Y + 4) * (TILE_X + 4); n += blockDim.x) {
        const int i = n / (TILE_X + 4);
        const int j = n % (TILE_X + 4);
        const long long at = nearest(image, tile.top + i - 2, tile.left + j - 2);
        moved[i][j] = change ? sum(flow[at], change[at]) : flow[at];
    }
    __syncthreads();
    for (int n = threadIdx.x; n < (TILE_Y + 2) * (TILE_X + 2); n += blockDim.x) {
        const int i = n / (TILE_X + 2);
        const int j = n % (TILE_X + 2);
        const float2 right = moved[i + 1][j + 2], left = moved[i + 1][j];
        const float2 down = moved[i + 2][j + 1], up = moved[i][j + 1];
        const float u_x = right.x - left.x, v_x = right.y - left.y;
        const float u_y = down.x - up.x, v_y = down.y - up.y;
        const float steps = 0.25f * (u_x * u_x + v_x * v_x + u_y * u_y + v_y * v_y);
        weak[i][j] = 0.5f * smoothness / sqrtf(steps + step_floor_squared);
    }
    __syncthreads();
    for (int n = threadIdx.x; n < TILE_Y * TILE_X; n += blockDim.x) {
        const int y = tile.top + n / TILE_X;
        const int x = tile.left + n % TILE_X;
        if (!inside(image, y, x)) continue;
        const Hold hold = hold_of(flow, image, y, x, &weak[n / TILE_X + 1][n % TILE_X + 1], TILE_X + 2);
        const long long at = place(image, y, x);
        const float2 before = change ? change[at] : float2{0.0f, 0.0f};
        write_equations(tensor + at, system + at, image.pixels, before, hold, residual_floor_squared);
    }
}

struct Pixel { float2 change; float known_u, known_v, uu, uv, vv; };

static __device__ __forceinline__ Pixel pixel_of(
    const float* __restrict__ system, const float2* __restrict__ change, const Image& image, int y, int x)
{
    if (!inside(image, y, x)) return {};
    const long long at = place(image, y, x), pixels = image.pixels;
    const float* own = system + at;
    const float2 before = change ? change[at] : float2{0.0f, 0.0f};
    return {before, own[0], own[pixels], own[2 * pixels], own[3 * pixels], own[4 * pixels]};
}

static __device__ __forceinline__ float held(
    const float* __restrict__ system, const Image& image, int plane, int y, int x)
{
    return inside(image, y, x) ? system[plane * image.pixels + place(image, y, x)] : 0.0f;
}

// What a thread has, from (y, x) on.
struct Patch {
    Pixel pixels[ROWS][2];
    float across[ROWS][3];    // what holds to the left, between the two, and to the right
    float down[ROWS + 1][2];  // above and below each row
};

static __device__ __forceinline__ Patch patch_of(
    const float* __restrict__ system, const float2* __restrict__ change, const Image& image, int y, int x)
{
    Patch patch;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
#pragma unroll
        for (int s = 0; s < 2; ++s) patch.pixels[r][s] = pixel_of(system, change, image, y + r, x + s);
#pragma unroll
        for (int s = 0; s < 3; ++s) patch.across[r][s] = held(system, image, 5, y + r, x + s - 1);
    }
#pragma unroll
    for (int r = 0; r <= ROWS; ++r) {
#pragma unroll
        for (int s = 0; s < 2; ++s) patch.down[r][s] = held(system, image, 6, y + r - 1, x + s);
    }
    return patch;
}

static __device__ __forceinline__ void relax(Pixel& pixel, float2 wanted, float relaxation) {
    pixel.change.x += relaxation * (pixel.uu * wanted.x + pixel.uv * wanted.y - pixel.change.x);
    pixel.change.y += relaxation * (pixel.uv * wanted.x + pixel.vv * wanted.y - pixel.change.y);
}

extern "C" __global__ void __launch_bounds__(SWEEP_THREADS) variational_refinement_sweep(
    const float* __restrict__ system, const float2* __restrict__ change, const float2* __restrict__ base,
    float2* __restrict__ after, int images, int height, int width, int sweeps, float relaxation)
{
    __shared__ float2 shown[2][SIDE][SIDE / 2];  // by color: a row of a square has a pixel of each for every lane
    const int beyond = 2 * sweeps;
    const int kept = SIDE - 2 * beyond;  // even, as is `beyond`: the colors are those of the image
    const Tile tile = tile_of(images, height, width, kept, kept);
    const Image image = tile.image;
    const int lane = threadIdx.x % (SIDE / 2);
    const int row = threadIdx.x / (SIDE / 2) * ROWS;
    const int x = tile.left - beyond + 2 * lane;
    const int y = tile.top - beyond + row;

    Patch patch = patch_of(system, change, image, y, x);
    auto& pixels = patch.pixels;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
#pragma unroll
        for (int s = 0; s < 2; ++s) shown[(r + s) % 2][row + r][lane] = pixels[r][s].change;
    }
    for (int sweep = 0; sweep < sweeps; ++sweep) {
#pragma unroll
        for (int color = 0; color < 2; ++color) {
            __syncthreads();
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                const int s = (r + color) % 2;
                Pixel& own = pixels[r][s];
                const int beside = s == 0 ? max(lane - 1, 0) : min(lane + 1, SIDE / 2 - 1);
                float2 wanted = {own.known_u, own.known_v};
                add_pull(wanted, patch.across[r][1], pixels[r][1 - s].change);
                add_pull(wanted, patch.across[r][2 * s], shown[1 - color][row + r][beside]);
                add_pull(wanted, patch.down[r][s],
                         r > 0 ? pixels[r - 1][s].change : shown[1 - color][max(row - 1, 0)][lane]);
                add_pull(wanted, patch.down[r + 1][s],
                         r + 1 < ROWS ? pixels[r + 1][s].change : shown[1 - color][min(row + ROWS, SIDE - 1)][lane]);
                relax(own, wanted, relaxation);
                shown[color][row + r][lane] = own.change;
            }
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
#pragma unroll
        for (int s = 0; s < 2; ++s) {
            const bool own = min(row + r, 2 * lane + s) >= beyond && max(row + r, 2 * lane + s) < SIDE - beyond;
            if (!own || !inside(image, y + r, x + s)) continue;
            const long long at = place(image, y + r, x + s);
            after[at] = base ? sum(pixels[r][s].change, base[at]) : pixels[r][s].change;
        }
    }
}
