// Types, loads and stores, sums over a warp. The host prepends one #define for each size and choice of the model:
//   D_MODEL HEADS HEAD_DIM D_FFN VOCAB LOGITS (VOCAB rounded up)          sizes
//   CENTRED (layer norm, not RMS norm) EPSILON PRE POST SANDWICH GATED    norms and branches
//   ALIGNED (parameters begin at multiples of four numbers)
//   TILE (rows of a tile of the attention) NODES (rows of a block of that of nodes) TENSOR_CORES (0 none, 1 bf16, 2 tf32)
//   ROTARY ACTIVATION (0 GELU, 1 GELU by tanh, 2 ReLU)
//   OPERAND (float or bf16: what matrix products read)

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;
typedef unsigned char u8;

#ifdef __CUDACC_RTC__
#define INFINITY __int_as_float(0x7f800000)
// Dynamic shared memory, whose size is set at launch.
extern __shared__ __align__(16) float dynamic[];
#endif

// The upper half of a float.
struct bf16 {
    u16 bits;
};

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bf16 x) { return __uint_as_float((u32)x.bits << 16); }

// Two floats as two bf16, the first in the lower half; to the nearest, ties to even.
__device__ inline u32 pack_bf16(float low, float high) {
#if __CUDA_ARCH__ >= 800
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
#else
    u32 a = __float_as_uint(low), b = __float_as_uint(high);
    a = low != low ? 0x7fff0000u : a + 0x7fffu + (a >> 16 & 1);
    b = high != high ? 0x7fff0000u : b + 0x7fffu + (b >> 16 & 1);
    return a >> 16 | (b & 0xffff0000u);
#endif
}

__device__ inline void put(float& y, float x) { y = x; }
__device__ inline void put(bf16& y, float x) { y.bits = (u16)pack_bf16(x, 0.0f); }

// Four neighbours at once; their address is a multiple of their size together.
__device__ inline void load4(float* v, const float* p) {
    float4 x = *(const float4*)p;
    v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
}
__device__ inline void load4(float* v, const bf16* p) {
    uint2 x = *(const uint2*)p;
    v[0] = __uint_as_float(x.x << 16), v[1] = __uint_as_float(x.x & 0xffff0000u);
    v[2] = __uint_as_float(x.y << 16), v[3] = __uint_as_float(x.y & 0xffff0000u);
}
__device__ inline void store4(float* p, const float* v) { *(float4*)p = make_float4(v[0], v[1], v[2], v[3]); }
__device__ inline void store4(bf16* p, const float* v) {
    *(uint2*)p = make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
}

// Four neighbouring parameters; a parameter of odd size (a gate) moves those after it off the multiples of four.
__device__ inline void load_parameters(float* v, const float* p) {
#if ALIGNED
    load4(v, p);
#else
    for (int i = 0; i < 4; i++) v[i] = p[i];
#endif
}

__device__ inline float warp_sum(float x) {
    for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}
__device__ inline float warp_max(float x) {
    for (int offset = 16; offset > 0; offset >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
    return x;
}

// Zeroes or keeps four neighbours by one random byte each.
__device__ inline void drop4(float* v, const u8* bytes, u32 dropped, float scale) {
    u32 four = *(const u32*)bytes;
    for (int i = 0; i < 4; i++) v[i] *= (four >> 8 * i & 255) >= dropped ? scale : 0.0f;
}

// Φ(x), the normal distribution function, and e^(−x²/2), computed as on the CPU (Abramowitz & Stegun 7.1.26, within 1.5e-7).
__device__ inline float normal_distribution(float x, float& bell) {
    float z = fabsf(x) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * z);
    bell = expf(-z * z);
    float tail = 0.5f * t * (0.2548296f + t * (-0.28449673f + t * (1.4214137f + t * (-1.453152f + t * 1.0614054f)))) * bell;
    return x < 0.0f ? tail : 1.0f - tail;
}

__device__ inline float activate(float x) {
#if ACTIVATION == 0
    float bell;
    return x * normal_distribution(x, bell);
#elif ACTIVATION == 1
    return x / (1.0f + expf(-1.5957692f * (x + 0.044715f * x * x * x)));
#else
    return fmaxf(x, 0.0f);
#endif
}

__device__ inline float activation_slope(float x) {
#if ACTIVATION == 0
    float bell, distribution = normal_distribution(x, bell);
    return distribution + x * bell * 0.3989423f;
#elif ACTIVATION == 1
    float p = 1.0f / (1.0f + expf(-1.5957692f * (x + 0.044715f * x * x * x)));
    return p + x * p * (1.0f - p) * 1.5957692f * (1.0f + 0.134145f * x * x);
#else
    return x > 0.0f ? 1.0f : 0.0f;
#endif
}

// A row of the residual stream in the registers of a warp: lane l has the elements 4·(32·c + l) + 0..4 of each c.
#define CHUNKS ((D_MODEL + 127) / 128)
#define FOR_CHUNKS(c, i, lane)                                 \
    _Pragma("unroll") for (int c = 0; c < CHUNKS; c++)         \
        if (int i = (c * 32 + (lane)) * 4; D_MODEL % 128 == 0 || i < D_MODEL)

struct Row {
    float v[CHUNKS * 4];
};

__device__ inline void clear(Row& row) {
    _Pragma("unroll") for (int k = 0; k < CHUNKS * 4; k++) row.v[k] = 0.0f;
}
template <class X> __device__ inline void load(Row& row, const X* from, int lane) {
    if (D_MODEL % 128 != 0) clear(row);
    FOR_CHUNKS(c, i, lane) load4(row.v + 4 * c, from + i);
}
template <class X> __device__ inline void store(X* to, const Row& row, int lane) {
    FOR_CHUNKS(c, i, lane) store4(to + i, row.v + 4 * c);
}
__device__ inline void add(Row& row, const Row& other) {
    _Pragma("unroll") for (int k = 0; k < CHUNKS * 4; k++) row.v[k] += other.v[k];
}
__device__ inline void scale(Row& row, float factor) {
    _Pragma("unroll") for (int k = 0; k < CHUNKS * 4; k++) row.v[k] *= factor;
}
__device__ inline void drop(Row& row, const u8* bytes, u32 dropped, float factor, int lane) {
    if (bytes) FOR_CHUNKS(c, i, lane) drop4(row.v + 4 * c, bytes + i, dropped, factor);
}
__device__ inline float dot(const Row& a, const Row& b) {
    float sum = 0.0f;
    _Pragma("unroll") for (int k = 0; k < CHUNKS * 4; k++) sum += a.v[k] * b.v[k];
    return sum;
}

// Replaces x by its norm, and keeps the values for the backward pass if there is memory for them.
__device__ inline void normalise(Row& x, const float* gamma, const float* beta, OPERAND* normal, float* inverse_std, int lane) {
    float mean = 0.0f;
    if (CENTRED) {
        float sum = 0.0f;
        _Pragma("unroll") for (int k = 0; k < CHUNKS * 4; k++) sum += x.v[k];
        mean = warp_sum(sum) / D_MODEL;
    }
    float squares = 0.0f;
    FOR_CHUNKS(c, i, lane) {
        for (int k = 4 * c; k < 4 * c + 4; k++) {
            x.v[k] -= mean;
            squares += x.v[k] * x.v[k];
        }
    }
    float inverse = 1.0f / sqrtf(warp_sum(squares) / D_MODEL + EPSILON);
    scale(x, inverse);
    if (normal) {
        store(normal, x, lane);
        if (lane == 0) *inverse_std = inverse;
    }
    FOR_CHUNKS(c, i, lane) {
        float g[4], b[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        load_parameters(g, gamma + i);
        if (CENTRED) load_parameters(b, beta + i);
        for (int k = 0; k < 4; k++) x.v[4 * c + k] = x.v[4 * c + k] * g[k] + b[k];
    }
}

// Replaces the gradient of a norm's output by that of its input; adds to those of γ and β.
__device__ inline void normalise_backward(Row& dy, const OPERAND* normal, float inverse_std, const float* gamma, Row& d_gamma, Row& d_beta, int lane) {
    Row n;
    load(n, normal, lane);
    float sum = 0.0f, sum_normal = 0.0f;
    FOR_CHUNKS(c, i, lane) {
        float g[4];
        load_parameters(g, gamma + i);
        for (int k = 0; k < 4; k++) {
            float& d = dy.v[4 * c + k];
            d_gamma.v[4 * c + k] += d * n.v[4 * c + k];
            d_beta.v[4 * c + k] += d;
            d *= g[k];
            sum += d;
            sum_normal += d * n.v[4 * c + k];
        }
    }
    float mean = CENTRED ? warp_sum(sum) / D_MODEL : 0.0f;
    float mean_normal = warp_sum(sum_normal) / D_MODEL;
    FOR_CHUNKS(c, i, lane) {
        for (int k = 4 * c; k < 4 * c + 4; k++) dy.v[k] = inverse_std * (dy.v[k] - mean - n.v[k] * mean_normal);
    }
}

// Sums a row over the warps of a block; `shared` is [warps, D_MODEL].
__device__ inline void sum_over_warps(const Row& row, float* partial, float* shared) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    __syncthreads();
    store(shared + warp * D_MODEL, row, lane);
    __syncthreads();
    for (int i = threadIdx.x; i < D_MODEL; i += blockDim.x) {
        float sum = 0.0f;
        for (int w = 0; w < warps; w++) sum += shared[w * D_MODEL + i];
        partial[i] = sum;
    }
}
