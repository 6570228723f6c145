// Clip, masks, Adam, decay, rate and averages in two passes over the parameters, which are divided into pieces.

// A piece: first number, count, position of the first number in masks, decay, factor of the rate.
struct Piece {
    u32 start, count, position;
    float decay, rate;
};

// The values that change from step to step, set by the host.
struct StepScalars {
    // 1 / terms, which turns the gradient of a sum into that of the mean.
    float factor, rate, first_factor, second_factor;
    // Weights of the present in the averages.
    float average[4];
    // The key of this step's random mask.
    u64 key;
};

// The sum of the squares of each block's pieces.
extern "C" __global__ void square_sums(u32 pieces, const Piece* table, const float* gradient, double* sums) {
    __shared__ double shared[32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    double sum = 0.0;
    for (u32 p = blockIdx.x; p < pieces; p += gridDim.x) {
        const float* g = gradient + table[p].start;
        float here = 0.0f;
        u32 count = table[p].count, fours = table[p].start % 4 == 0 ? count / 4 : 0;
        for (u32 i = threadIdx.x; i < fours; i += blockDim.x) {
            float v[4];
            load4(v, g + 4 * i);
            here += v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + v[3] * v[3];
        }
        for (u32 i = 4 * fours + threadIdx.x; i < count; i += blockDim.x) here += g[i] * g[i];
        sum += (double)here;
    }
    for (int offset = 16; offset > 0; offset >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (lane == 0) shared[warp] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        sum = 0.0;
        for (int w = 0; w < warps; w++) sum += shared[w];
        sums[blockIdx.x] = sum;
    }
}

// The factor of the gradient, in one block. `max_norm` may be infinite.
extern "C" __global__ void clip_factor(u32 blocks, const double* sums, const StepScalars* scalars, float max_norm, float* factor) {
    __shared__ double shared[256];
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < blocks; i += blockDim.x) sum += sums[i];
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        sum = 0.0;
        for (u32 i = 0; i < blockDim.x; i++) sum += shared[i];
        double norm = sqrt(sum) * (double)scalars->factor;
        *factor = scalars->factor * (norm > (double)max_norm ? (float)((double)max_norm / norm) : 1.0f);
    }
}

// What is masked.
#define MASK_GRADIENT 1
#define MASK_UPDATE 2
#define MASK_DECAY 4

// A mask: one bit for each position in `bits`, or random with probability threshold / 65536. What it keeps is multiplied by `factor`, or by
// `decay_factor` in the case of the decay.
struct Mask {
    u32 what, threshold;
    const u32* bits;
    float factor, decay_factor;
    u64 key;
};

// 16 random bits for each of the positions 4·index …
__device__ inline u64 mask_word(u64 key, u64 index) {
    u64 z = key + index * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

// Whether positions are kept, as the four lowest bits.
__device__ inline u32 kept4(const Mask& mask, u32 position) {
    u32 kept = 0;
    if (mask.bits) {
        for (u32 j = 0; j < 4; j++) kept |= (mask.bits[(position + j) / 32] >> (position + j) % 32 & 1) << j;
        return kept;
    }
    u64 word = mask_word(mask.key, position / 4);
    for (u32 j = 0; j < 4; j++) {
        u32 place = (position + j) % 4;
        if (j > 0 && place == 0) word = mask_word(mask.key, (position + j) / 4);
        kept |= (u32)((u32)(word >> 16 * place & 0xffff) < mask.threshold) << j;
    }
    return kept;
}

struct AdamNumbers {
    float scale, beta1, beta2, epsilon, first_factor, second_factor, rate, decay;
};

__device__ inline void adam_step(float& p, float g, float& m, float& v, const AdamNumbers& n, const Mask& mask, bool kept) {
    float u = g * n.scale, decay = n.decay * p;
    if (mask.what & MASK_GRADIENT) u = kept ? u * mask.factor : 0.0f;
    m += (1.0f - n.beta1) * (u - m);
    v += (1.0f - n.beta2) * (u * u - v);
    u = m * n.first_factor / (sqrtf(v * n.second_factor) + n.epsilon);
    if (mask.what & MASK_UPDATE) u = kept ? u * mask.factor : 0.0f;
    if (mask.what & MASK_DECAY) decay = kept ? decay * mask.decay_factor : 0.0f;
    p -= (u + decay) * n.rate;
}

// One step of all pieces. `operands` gets the parameters as operands of matrix products, if that is another type. Averages may be missing.
extern "C" __global__ void adam(u32 pieces, const Piece* table, const StepScalars* scalars, const float* factor, float beta1, float beta2, float epsilon,
                                float* parameters, const float* gradient, float* first, float* second, bf16* operands, float* average0,
                                float* average1, float* average2, float* average3, u32 masked, u32 threshold, const u32* bits, float mask_factor,
                                float decay_factor) {
    Mask mask = {masked, threshold, bits, mask_factor, decay_factor, scalars->key};
    AdamNumbers n = {*factor, beta1, beta2, epsilon, scalars->first_factor, scalars->second_factor, 0.0f, 0.0f};
    float* averages[4] = {average0, average1, average2, average3};
    for (u32 piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
        u32 start = table[piece].start, count = table[piece].count, position = table[piece].position;
        n.decay = table[piece].decay, n.rate = scalars->rate * table[piece].rate;
        u32 fours = start % 4 == 0 ? count / 4 : 0;
        for (u32 k = threadIdx.x; k < fours; k += blockDim.x) {
            size_t i = start + 4 * (size_t)k;
            float p[4], g[4], m[4], v[4];
            load4(p, parameters + i), load4(g, gradient + i), load4(m, first + i), load4(v, second + i);
            u32 kept = masked ? kept4(mask, position + 4 * k) : 0;
            _Pragma("unroll") for (int j = 0; j < 4; j++) adam_step(p[j], g[j], m[j], v[j], n, mask, kept >> j & 1);
            store4(parameters + i, p), store4(first + i, m), store4(second + i, v);
            if (operands) store4(operands + i, p);
            _Pragma("unroll") for (int a = 0; a < 4; a++) {
                if (averages[a]) {
                    float x[4];
                    load4(x, averages[a] + i);
                    for (int j = 0; j < 4; j++) x[j] += scalars->average[a] * (p[j] - x[j]);
                    store4(averages[a] + i, x);
                }
            }
        }
        for (u32 k = 4 * fours + threadIdx.x; k < count; k += blockDim.x) {
            size_t i = start + (size_t)k;
            bool kept = masked && kept4(mask, position + k) & 1;
            adam_step(parameters[i], gradient[i], first[i], second[i], n, mask, kept);
            if (operands) put(operands[i], parameters[i]);
            _Pragma("unroll") for (int a = 0; a < 4; a++)
                if (averages[a]) averages[a][i] += scalars->average[a] * (parameters[i] - averages[a][i]);
        }
    }
}

// Converts the parameters to operands of matrix products.
extern "C" __global__ void to_operands(u64 count, const float* parameters, bf16* operands) {
    u64 step = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) put(operands[i], parameters[i]);
}

// Adds `from` to `keep` times `to`; `to` is only read if `keep` is not 0.
extern "C" __global__ void add_floats(u64 count, const float* from, float keep, float* to) {
    u64 step = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) to[i] = keep == 0.0f ? from[i] : from[i] + keep * to[i];
}

// Adds the squares of a gradient.
extern "C" __global__ void add_squares(u64 count, const float* gradient, float* sums) {
    u64 step = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) sums[i] += gradient[i] * gradient[i];
}
