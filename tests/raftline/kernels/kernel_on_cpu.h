// What a .cu file needs to be compiled by g++ and run on the CPU: every thread of a block is a fiber of its own, so
// that barriers and shuffles mean what they mean on a GPU; the blocks run one after the other.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))

struct dim { unsigned int x = 1, y = 1, z = 1; };
static dim blockIdx, blockDim, gridDim, threadIdx;
struct __align__(16) uint4 { unsigned int x, y, z, w; };
struct __align__(16) float4 { float x, y, z, w; };
struct __align__(8) uint2 { unsigned int x, y; };
struct __align__(8) float2 { float x, y; };

namespace on_cpu {

const unsigned int WARP = 32;
const size_t STACK_BYTES = 256 * 1024;

struct Barrier { unsigned int expected = 0, arrived = 0; unsigned long generation = 0; };
struct Fiber { ucontext_t context; std::unique_ptr<char[]> stack{new char[STACK_BYTES]}; bool done = false; uint64_t slot = 0; unsigned int words[6] = {}; };

static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static std::vector<Barrier> warps;
static Barrier block;
static void (*body)(void*);
static void* body_arguments;
static bool moved;

[[noreturn]] inline void fail(const char* what) {
    fprintf(stderr, "kernel on the CPU: %s (block %u, thread %u)\n", what, blockIdx.x, threadIdx.x);
    exit(3);
}

// -DREVERSED=1: the last block and the last thread run first. A kernel whose result depends on that has a race.
#ifndef REVERSED
#define REVERSED 0
#endif
inline unsigned int in_order(unsigned int turn, unsigned int count) { return REVERSED ? count - 1 - turn : turn; }

inline unsigned int lane() { return threadIdx.x % WARP; }
inline unsigned int warp() { return threadIdx.x / WARP; }

inline void yield() {
    const unsigned int me = threadIdx.x;
    swapcontext(&fibers[me].context, &scheduler);
    threadIdx.x = me;
}

inline void wait(Barrier& barrier) {
    const unsigned long generation = barrier.generation;
    if (++barrier.arrived == barrier.expected) {
        barrier.arrived = 0;
        ++barrier.generation;
        moved = true;
        return;
    }
    while (barrier.generation == generation) yield();
}

inline void start() {
    const unsigned int me = threadIdx.x;
    body(body_arguments);
    fibers[me].done = moved = true;
}

inline void run_block() {
    block = Barrier{blockDim.x};
    warps.assign((blockDim.x + WARP - 1) / WARP, Barrier{});
    for (unsigned int t = 0; t < blockDim.x; ++t) {
        ++warps[t / WARP].expected;
        Fiber& fiber = fibers[t];
        fiber.done = false;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = STACK_BYTES;
        fiber.context.uc_link = &scheduler;
        makecontext(&fiber.context, start, 0);
    }
    for (unsigned int left = blockDim.x; left > 0;) {
        moved = false;
        left = 0;
        for (unsigned int turn = 0; turn < blockDim.x; ++turn) {
            const unsigned int t = in_order(turn, blockDim.x);
            if (fibers[t].done) continue;
            threadIdx.x = t;
            swapcontext(&scheduler, &fibers[t].context);
            left += !fibers[t].done;
        }
        if (left > 0 && !moved) fail("a barrier that not all threads reach");
    }
}

template <class... Parameters>
void launch(unsigned int blocks, unsigned int threads, void (*kernel)(Parameters...), std::tuple<Parameters...> arguments) {
    std::pair<decltype(kernel), decltype(arguments)*> call{kernel, &arguments};
    body = [](void* given) {
        auto* call = static_cast<std::pair<void (*)(Parameters...), std::tuple<Parameters...>*>*>(given);
        std::apply(call->first, *call->second);
    };
    body_arguments = &call;
    fibers.resize(std::max<size_t>(fibers.size(), threads));
    gridDim.x = blocks;
    blockDim.x = threads;
    for (unsigned int turn = 0; turn < blocks; ++turn) {
        blockIdx.x = in_order(turn, blocks);
        run_block();
    }
}

template <class Value>
Value from_lane(Value value, unsigned int source, bool own) {
    static_assert(sizeof(Value) <= sizeof(uint64_t));
    const unsigned int first = warp() * WARP;
    memcpy(&fibers[threadIdx.x].slot, &value, sizeof value);
    wait(warps[warp()]);
    if (!own && first + source >= blockDim.x) fail("a shuffle from a thread that does not exist");
    if (!own) memcpy(&value, &fibers[first + source].slot, sizeof value);
    wait(warps[warp()]);
    return value;
}

// PTX's mma.m16n8k16 (row, col): c (16 x 8) += a (16 x 16) * b (16 x 8), two 16-bit numbers to a word. Lane 4 * g + t
// holds of a the rows g and g + 8, of b the column g, of both what k = 2 * t, 2 * t + 1 and those + 8 are.
template <class Number>
void mma_m16n8k16(float* c, const unsigned int* a, const unsigned int* b) {
    Fiber* warp_fibers = &fibers[warp() * WARP];
    std::copy(a, a + 4, fibers[threadIdx.x].words);
    std::copy(b, b + 2, fibers[threadIdx.x].words + 4);
    wait(warps[warp()]);
    const auto half = [](unsigned int word, unsigned int k) { return Number::load((unsigned short)(word >> k % 2 * 16)); };
    for (unsigned int held = 0; held < 4; ++held) {
        const unsigned int row = lane() / 4 + held / 2 * 8, column = lane() % 4 * 2 + held % 2;
        for (unsigned int k = 0; k < 16; ++k) {
            const unsigned int of_a = warp_fibers[row % 8 * 4 + k % 8 / 2].words[row / 8 + k / 8 * 2];
            const unsigned int of_b = warp_fibers[column * 4 + k % 8 / 2].words[4 + k / 8];
            c[held] += half(of_a, k) * half(of_b, k);
        }
    }
    wait(warps[warp()]);
}

}  // namespace on_cpu

inline void __syncthreads() { on_cpu::wait(on_cpu::block); }
inline void __syncwarp(unsigned int = 0xffffffffu) { on_cpu::wait(on_cpu::warps[on_cpu::warp()]); }
inline int __syncthreads_or(int predicate) {
    on_cpu::fibers[threadIdx.x].slot = predicate != 0;
    __syncthreads();
    bool any = false;
    for (unsigned int t = 0; t < blockDim.x; ++t) any |= on_cpu::fibers[t].slot != 0;
    __syncthreads();
    return any;
}
template <class Value>
Value __shfl_sync(unsigned int, Value value, int source) { return on_cpu::from_lane(value, source % 32, false); }
template <class Value>
Value __shfl_down_sync(unsigned int, Value value, unsigned int by) {
    return on_cpu::from_lane(value, on_cpu::lane() + by, on_cpu::lane() + by >= 32);
}
template <class Value>
Value __shfl_up_sync(unsigned int, Value value, unsigned int by) {
    return on_cpu::from_lane(value, on_cpu::lane() - by, on_cpu::lane() < by);
}
template <class Value>
Value __shfl_xor_sync(unsigned int, Value value, unsigned int mask) {
    return on_cpu::from_lane(value, on_cpu::lane() ^ mask, false);
}
template <class Value>
Value atomicAdd(Value* at, Value value) { return std::exchange(*at, *at + value); }
template <class Value>
Value atomicMin(Value* at, Value value) { return std::exchange(*at, std::min(*at, value)); }
template <class Value>
Value atomicMax(Value* at, Value value) { return std::exchange(*at, std::max(*at, value)); }
template <class Value>
Value __ldg(const Value* at) { return *at; }
inline float __uint_as_float(unsigned int bits) { return __builtin_bit_cast(float, bits); }
inline unsigned int __float_as_uint(float value) { return __builtin_bit_cast(unsigned int, value); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
using std::max;
using std::min;

namespace on_cpu {

// A call in a file: blocks, threads, then per parameter its type ('p' pointer, 'f' float or 'i' integer, and the size)
// and 8 bytes: a value, or for a pointer the number of bytes behind it, which follow. Every buffer is a heap block of exactly its size, so that AddressSanitizer sees the first byte beyond it.
struct Call {
    FILE* file;
    std::vector<std::pair<void*, uint64_t>> buffers;

    uint64_t word() {
        uint64_t value;
        if (fread(&value, 8, 1, file) != 1) fail("the call's file is too short");
        return value;
    }
    template <class Parameter>
    Parameter next() {
        const char kind = std::is_pointer_v<Parameter> ? 'p' : std::is_floating_point_v<Parameter> ? 'f' : 'i';
        if (word() != (uint64_t(kind) << 8 | sizeof(Parameter))) fail("an argument of another type than its parameter");
        const uint64_t value = word();
        if constexpr (std::is_pointer_v<Parameter>) {
            if (value == ~uint64_t(0)) return nullptr;
            void* buffer = malloc(value);
            if (value > 0 && fread(buffer, value, 1, file) != 1) fail("the call's file is too short");
            buffers.emplace_back(buffer, value);
            return static_cast<Parameter>(buffer);
        } else {
            Parameter parameter;
            memcpy(&parameter, &value, sizeof parameter);
            return parameter;
        }
    }
};

template <class... Parameters>
int run_call(const char* path, void (*kernel)(Parameters...)) {
    Call call{fopen(path, "rb"), {}};
    if (call.file == nullptr) fail("the call's file cannot be opened");
    const unsigned int blocks = (unsigned int)call.word(), threads = (unsigned int)call.word();
    std::tuple<Parameters...> arguments{call.next<Parameters>()...};
    if (fgetc(call.file) != EOF) fail("more arguments than the kernel has parameters");
    fclose(call.file);
    launch(blocks, threads, kernel, arguments);
    FILE* out = fopen(path, "wb");
    for (auto& [buffer, bytes] : call.buffers) {
        if (bytes > 0 && fwrite(buffer, bytes, 1, out) != 1) fail("the result cannot be written");
        free(buffer);
    }
    fclose(out);
    return 0;
}

}  // namespace on_cpu
