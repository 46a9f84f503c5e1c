// What a kernel without shared memory needs to be compiled by g++ and run thread after thread on the CPU.
#pragma once
#include <cmath>

struct dim { unsigned int x; };
static thread_local dim blockIdx, blockDim, threadIdx;

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__

template <class Kernel, class... Arguments>
void launch(unsigned int grid, unsigned int block, Kernel kernel, Arguments... arguments) {
    blockDim.x = block;
    for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < block; ++threadIdx.x)
            kernel(arguments...);
}
