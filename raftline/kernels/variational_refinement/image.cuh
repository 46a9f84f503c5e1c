// Images that lie one after the other, row by row, and the tiles of them that blocks work on.

struct Image {
    int height, width;
    long long first;   // of its pixels, all images lying one after the other
    long long pixels;  // of all images
};

struct Tile {
    Image image;
    int top, left;
};

static __device__ __forceinline__ Tile tile_of(int images, int height, int width, int tile_height, int tile_width) {
    const int across = (width + tile_width - 1) / tile_width;
    const int down = (height + tile_height - 1) / tile_height;
    const int number = blockIdx.x;
    const long long size = (long long)height * width;
    const Image image = {height, width, number / across / down * size, images * size};
    return {image, number / across % down * tile_height, number % across * tile_width};
}

static __device__ __forceinline__ bool inside(const Image& image, int y, int x) {
    return y >= 0 && y < image.height && x >= 0 && x < image.width;
}

static __device__ __forceinline__ long long place(const Image& image, int y, int x) {
    return image.first + (long long)y * image.width + x;
}

// Of the pixel, or where it is outside of the nearest one.
static __device__ __forceinline__ long long nearest(const Image& image, int y, int x) {
    return place(image, min(max(y, 0), image.height - 1), min(max(x, 0), image.width - 1));
}
