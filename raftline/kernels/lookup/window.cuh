// The windows of lookup.cu and lookup_backward.cu: one is one level of one pixel, and the work of side + 1 neighbouring
// lanes of one warp, of which each has a column of cells. Their arguments and launch are told in lookup.cu.
//
// -DRADIUS=3|4          r; 1 and 2 compile too

#define SIDE (2 * RADIUS + 1)
#define LANES (SIDE + 1)
#define WARPS 8
#define WINDOWS_PER_WARP (32 / LANES)
#define WINDOWS (WARPS * WINDOWS_PER_WARP)

// What is this thread's.
struct window_column {
    int slot;      // of the window in its block
    int column;
    int window;    // pixel * levels + level
    bool active;   // false for a lane without a window; then pixel and level are those of window 0
    int pixel;
    int level;
};

static __device__ __forceinline__ int windows_of_block(int pixels, int levels) {
    const int first = blockIdx.x * WINDOWS;
    return min(WINDOWS, pixels * levels - first);
}

static __device__ __forceinline__ window_column own_column(int pixels, int levels) {
    window_column own;
    const int lane = threadIdx.x % 32;
    own.slot = threadIdx.x / 32 * WINDOWS_PER_WARP + lane / LANES;
    own.column = lane % LANES;
    own.active = lane < LANES * WINDOWS_PER_WARP && own.slot < windows_of_block(pixels, levels);
    own.window = own.active ? blockIdx.x * WINDOWS + own.slot : 0;
    own.pixel = own.window / levels;
    own.level = own.window - own.pixel * levels;
    return own;
}

template <typename T>
static __device__ __forceinline__ T of_level(int level, T value0, T value1, T value2, T value3) {
    return level == 0 ? value0 : level == 1 ? value1 : level == 2 ? value2 : value3;
}

// Where a window lies on its level.
struct window_place {
    int left;      // of this thread's column
    int top;
    float fx, fy;  // how far between the cells, the same for all of a window's
    bool inside;   // whether some of this thread's column is in the level, as far as x says
};

static __device__ __forceinline__ window_place place_of(
    const window_column& own, const float* __restrict__ coords, int height, int width,
    long long image_stride, long long axis_stride, long long pixel_stride, int plane)
{
    const float scale = of_level(own.level, 1.0f, 0.5f, 0.25f, 0.125f);
    const int image = own.pixel / plane;
    const long long at = image * image_stride + (own.pixel - image * plane) * pixel_stride;
    const float x = coords[at] * scale;
    const float y = coords[at + axis_stride] * scale;
    // Every comparison with NaN is false, so that NaN is outside too.
    const bool near = x > -RADIUS - 1.0f && x < (float)(width + RADIUS) &&
                      y > -RADIUS - 1.0f && y < (float)(height + RADIUS);
    const float x_floor = near ? floorf(x) : 0.0f;
    const float y_floor = near ? floorf(y) : 0.0f;
    window_place place;
    place.fx = near ? x - x_floor : 0.0f;
    place.fy = near ? y - y_floor : 0.0f;
    place.left = (int)x_floor - RADIUS + own.column;
    place.top = (int)y_floor - RADIUS;
    place.inside = own.active && near && place.left >= 0 && place.left < width;
    return place;
}
