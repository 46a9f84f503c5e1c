// Numbers as they lie in memory, told apart by their bits: 32 is float, 16 is half, 116 is bfloat16.
// Arithmetic is in float: number<BITS>::load widens, number<BITS>::store rounds to nearest, ties to even.
// No header of CUDA's is needed, so that a bare NVRTC compiles this, and g++ too.

template <int BITS>
struct number;

template <>
struct number<32> {
    typedef float stored;
    static __device__ __forceinline__ float load(stored value) { return value; }
    static __device__ __forceinline__ stored store(float value) { return value; }
};

template <>
struct number<16> {
    typedef unsigned short stored;
#ifdef __CUDACC__
    static __device__ __forceinline__ float load(stored value) {
        float result;
        asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value));
        return result;
    }
    static __device__ __forceinline__ stored store(float value) {
        stored result;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
        return result;
    }
#else
    static float load(stored value) { return (float)__builtin_bit_cast(_Float16, value); }
    static stored store(float value) { return __builtin_bit_cast(stored, (_Float16)value); }
#endif
};

template <>
struct number<116> {
    typedef unsigned short stored;
    union word { unsigned int bits; float value; };
    static __device__ __forceinline__ float load(stored value) {
        word w;
        w.bits = (unsigned int)value << 16;
        return w.value;
    }
    static __device__ __forceinline__ stored store(float value) {
        word w;
        w.value = value;
        if (value != value) return 0x7fc0;
        return (stored)((w.bits + 0x7fffu + ((w.bits >> 16) & 1u)) >> 16);
    }
};
