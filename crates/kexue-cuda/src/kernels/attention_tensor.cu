// The attention of `attention.cu` on tensor cores, with the same tiles, arguments and results. A tile has four warps of 16 rows each.
//
// TENSOR_CORES is 1 for bf16 (products of 16 × 16 × 8) and 2 for tf32 (16 × 8 × 8). Lane 4·g + t holds the rows g and g + 8 and the columns 2t and
// 2t + 1 of a result. In this layout, the result of a product is directly the left factor of the next one; for tf32, this requires counting the columns
// of a step in the order 0, 2, 4, 6, 1, 3, 5, 7 on both sides.

#if TENSOR_CORES == 1
#define STEP 16
#define TENSOR_STRIDE (HEAD_DIM + 8)
#else
#define STEP 8
#define TENSOR_STRIDE (HEAD_DIM + 4)
#endif
#define STEPS (HEAD_DIM / STEP)
#define COLUMN_BLOCKS (HEAD_DIM / 8)
#define KEY_BLOCKS (TILE / 8)
#define KEY_STEPS (TILE / STEP)

struct Left {
    u32 r[4];
};
struct Right {
    u32 r[2];
};

__device__ inline u32 to_tf32(float x) {
#if __CUDA_ARCH__ >= 800
    u32 y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
#else
    return (__float_as_uint(x) + 0x1000u) & 0xffffe000u;
#endif
}

// c += a·b
__device__ inline void multiply_add(float* c, const Left& a, const Right& b) {
#if __CUDA_ARCH__ >= 800
#if TENSOR_CORES == 1
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
#else
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
#endif
#elif !defined(__CUDACC_RTC__)
    emulate_multiply_add(c, a.r, b.r, STEP);
#endif
}

// Two neighbours from an address that is a multiple of their size together, as one register.
__device__ inline u32 pair(const bf16* p) { return *(const u32*)p; }
__device__ inline u32 single(const float* p) { return to_tf32(*p); }

// The left factor of 16 rows at step `step`, from memory of row distance `stride`; rows from `count` on are 0.
__device__ inline Left load_left(const OPERAND* from, u32 row, u32 count, u32 stride, int step) {
    int lane = threadIdx.x & 31;
    u32 g = lane >> 2, t = lane & 3;
    Left a;
    _Pragma("unroll") for (int i = 0; i < 4; i++) {
        u32 at = row + g + (i & 1) * 8;
#if TENSOR_CORES == 1
        u32 column = step * 16 + 2 * t + (i >> 1) * 8;
        a.r[i] = at < count ? pair(from + (size_t)at * stride + column) : 0;
#else
        u32 column = step * 8 + t + (i >> 1) * 4;
        a.r[i] = at < count ? single(from + (size_t)at * stride + column) : 0;
#endif
    }
    return a;
}

// The right factor whose columns are rows `column`.. of a tile in shared memory: a product with its transpose.
__device__ inline Right load_transposed(const OPERAND* tile, int column, int step) {
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const OPERAND* row = tile + (column + g) * TENSOR_STRIDE + step * STEP;
#if TENSOR_CORES == 1
    return {pair(row + 2 * t), pair(row + 2 * t + 8)};
#else
    return {single(row + t), single(row + t + 4)};
#endif
}

// The right factor of rows `step`·STEP.. and columns `column`.. of a tile in shared memory, for a left factor from `as_left`.
__device__ inline Right load_right(const OPERAND* tile, int step, int column) {
    int lane = threadIdx.x & 31;
#if TENSOR_CORES == 1
    Right b;
#ifdef __CUDACC_RTC__
    u32 address = (u32)__cvta_generic_to_shared(tile + (step * 16 + (lane & 15)) * TENSOR_STRIDE + column);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(b.r[0]), "=r"(b.r[1]) : "r"(address));
#else
    int g = lane >> 2, t = lane & 3;
    for (int i = 0; i < 2; i++) {
        const bf16* at = tile + (step * 16 + 8 * i + 2 * t) * TENSOR_STRIDE + column + g;
        b.r[i] = at[0].bits | (u32)at[TENSOR_STRIDE].bits << 16;
    }
#endif
    return b;
#else
    int g = lane >> 2, t = lane & 3;
    const float* at = tile + (step * 8 + 2 * t) * TENSOR_STRIDE + column + g;
    return {single(at), single(at + TENSOR_STRIDE)};
#endif
}

// Results of a product as the left factor of the next, at step `step` of its columns.
__device__ inline Left as_left(const float (*c)[4], int step) {
#if TENSOR_CORES == 1
    const float *p = c[2 * step], *q = c[2 * step + 1];
    return {pack_bf16(p[0], p[1]), pack_bf16(p[2], p[3]), pack_bf16(q[0], q[1]), pack_bf16(q[2], q[3])};
#else
    const float* p = c[step];
    return {to_tf32(p[0]), to_tf32(p[2]), to_tf32(p[1]), to_tf32(p[3])};
#endif
}

// Copies rows of a head into shared memory, with zeros after them.
__device__ inline void load_tensor_tile(OPERAND* to, const OPERAND* from, u32 count, u32 stride) {
    const u32 each = 16 / sizeof(OPERAND), across = HEAD_DIM / each;
    for (u32 i = threadIdx.x; i < TILE * across; i += 128) {
        u32 row = i / across, column = i % across * each;
        uint4 x = {0, 0, 0, 0};
        if (row < count) x = *(const uint4*)(from + (size_t)row * stride + column);
        *(uint4*)(to + row * TENSOR_STRIDE + column) = x;
    }
}

// Writes two neighbours.
__device__ inline void store2(float* p, float a, float b) { p[0] = a, p[1] = b; }
__device__ inline void store2(bf16* p, float a, float b) { *(u32*)p = pack_bf16(a, b); }

__device__ inline void store_blocks(OPERAND* to, const float (*o)[4], float low, float high, u32 row, u32 count, u32 stride) {
    int lane = threadIdx.x & 31;
    u32 g = lane >> 2, t = lane & 3;
    _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) {
        u32 column = 8 * n + 2 * t;
        if (row + g < count) store2(to + (size_t)(row + g) * stride + column, o[n][0] * low, o[n][1] * low);
        if (row + g + 8 < count) store2(to + (size_t)(row + g + 8) * stride + column, o[n][2] * high, o[n][3] * high);
    }
}

__device__ inline float sum_of_4(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ inline float max_of_4(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

extern "C" __global__ void __launch_bounds__(128) attention_forward(u32 rows, const OPERAND* qkv, const u32* tiles, const u32* see_from,
                                                                    const u32* see_to, OPERAND* context, float* log_sums) {
    OPERAND *k = (OPERAND*)dynamic, *v = k + TILE * TENSOR_STRIDE;
    const u32* tile = tiles + 4 * blockIdx.x;
    u32 start = tile[0], count = tile[1], to = tile[3], head = blockIdx.y;
    if (count == 0) return;
    u32 lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3, row = threadIdx.x / 32 * 16;
    qkv += head * HEAD_DIM;
    Left q[STEPS];
    _Pragma("unroll") for (int step = 0; step < STEPS; step++) q[step] = load_left(qkv + (size_t)start * 3 * D_MODEL, row, count, 3 * D_MODEL, step);
    u32 first[2], last[2];
    float most[2] = {-INFINITY, -INFINITY}, total[2] = {0.0f, 0.0f}, o[COLUMN_BLOCKS][4];
    for (int i = 0; i < 2; i++) {
        bool is_row = row + g + 8 * i < count;
        first[i] = is_row ? see_from[start + row + g + 8 * i] : 0, last[i] = is_row ? see_to[start + row + g + 8 * i] : 0;
    }
    _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) o[n][0] = o[n][1] = o[n][2] = o[n][3] = 0.0f;
    for (u32 key = tile[2]; key < to; key += TILE) {
        u32 keys = min(TILE, to - key);
        __syncthreads();
        load_tensor_tile(k, qkv + (size_t)key * 3 * D_MODEL + D_MODEL, keys, 3 * D_MODEL);
        load_tensor_tile(v, qkv + (size_t)key * 3 * D_MODEL + 2 * D_MODEL, keys, 3 * D_MODEL);
        __syncthreads();
        float s[KEY_BLOCKS][4];
        float here[2] = {most[0], most[1]};
        _Pragma("unroll") for (int n = 0; n < KEY_BLOCKS; n++) {
            s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0.0f;
            _Pragma("unroll") for (int step = 0; step < STEPS; step++) multiply_add(s[n], q[step], load_transposed(k, 8 * n, step));
            _Pragma("unroll") for (int i = 0; i < 4; i++) {
                u32 at = key + 8 * n + 2 * t + (i & 1);
                if (at < first[i >> 1] || at >= last[i >> 1]) s[n][i] = -INFINITY;
                here[i >> 1] = fmaxf(here[i >> 1], s[n][i]);
            }
        }
        float shrink[2], sum[2] = {0.0f, 0.0f};
        for (int i = 0; i < 2; i++) {
            here[i] = max_of_4(here[i]);
            shrink[i] = most[i] == -INFINITY ? 0.0f : __expf(most[i] - here[i]);
            most[i] = here[i];
        }
        _Pragma("unroll") for (int n = 0; n < KEY_BLOCKS; n++) _Pragma("unroll") for (int i = 0; i < 4; i++) {
            s[n][i] = s[n][i] == -INFINITY ? 0.0f : __expf(s[n][i] - here[i >> 1]);
            sum[i >> 1] += s[n][i];
        }
        for (int i = 0; i < 2; i++) total[i] = total[i] * shrink[i] + sum_of_4(sum[i]);
        _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) _Pragma("unroll") for (int i = 0; i < 4; i++) o[n][i] *= shrink[i >> 1];
        _Pragma("unroll") for (int step = 0; step < KEY_STEPS; step++) {
            Left p = as_left(s, step);
            _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) multiply_add(o[n], p, load_right(v, step, 8 * n));
        }
    }
    for (int i = 0; i < 2; i++) {
        u32 at = row + g + 8 * i;
        if (log_sums && t == 0 && at < count) log_sums[(size_t)head * rows + start + at] = most[i] + logf(total[i]);
    }
    store_blocks(context + (size_t)start * D_MODEL + head * HEAD_DIM, o, 1.0f / total[0], 1.0f / total[1], row, count, D_MODEL);
}

// The sum of the products of two rows' elements that a lane has.
__device__ inline void add_products(float* sums, const Left& a, const Left& b) {
    _Pragma("unroll") for (int i = 0; i < 4; i++) {
#if TENSOR_CORES == 1
        sums[i & 1] += __uint_as_float(a.r[i] << 16) * __uint_as_float(b.r[i] << 16) +
                       __uint_as_float(a.r[i] & 0xffff0000u) * __uint_as_float(b.r[i] & 0xffff0000u);
#else
        sums[i & 1] += __uint_as_float(a.r[i]) * __uint_as_float(b.r[i]);
#endif
    }
}

extern "C" __global__ void __launch_bounds__(128) attention_queries_backward(u32 rows, const OPERAND* qkv, const u32* tiles, const u32* see_from,
                                                                             const u32* see_to, const OPERAND* context, const float* log_sums,
                                                                             const OPERAND* d_context, float* means, OPERAND* d_qkv) {
    OPERAND *k = (OPERAND*)dynamic, *v = k + TILE * TENSOR_STRIDE;
    const u32* tile = tiles + 4 * blockIdx.x;
    u32 start = tile[0], count = tile[1], to = tile[3], head = blockIdx.y;
    if (count == 0) return;
    u32 lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3, row = threadIdx.x / 32 * 16;
    qkv += head * HEAD_DIM;
    const size_t at_start = (size_t)start * D_MODEL + head * HEAD_DIM;
    Left q[STEPS], d_out[STEPS];
    float mean[2] = {0.0f, 0.0f}, log_sum[2], d_q[COLUMN_BLOCKS][4];
    _Pragma("unroll") for (int step = 0; step < STEPS; step++) {
        q[step] = load_left(qkv + (size_t)start * 3 * D_MODEL, row, count, 3 * D_MODEL, step);
        d_out[step] = load_left(d_context + at_start, row, count, D_MODEL, step);
        add_products(mean, d_out[step], load_left(context + at_start, row, count, D_MODEL, step));
    }
    u32 first[2], last[2];
    for (int i = 0; i < 2; i++) {
        u32 at = row + g + 8 * i;
        bool is_row = at < count;
        mean[i] = sum_of_4(mean[i]);
        if (t == 0 && is_row) means[(size_t)head * rows + start + at] = mean[i];
        log_sum[i] = is_row ? log_sums[(size_t)head * rows + start + at] : 0.0f;
        first[i] = is_row ? see_from[start + at] : 0, last[i] = is_row ? see_to[start + at] : 0;
    }
    _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) d_q[n][0] = d_q[n][1] = d_q[n][2] = d_q[n][3] = 0.0f;
    for (u32 key = tile[2]; key < to; key += TILE) {
        u32 keys = min(TILE, to - key);
        __syncthreads();
        load_tensor_tile(k, qkv + (size_t)key * 3 * D_MODEL + D_MODEL, keys, 3 * D_MODEL);
        load_tensor_tile(v, qkv + (size_t)key * 3 * D_MODEL + 2 * D_MODEL, keys, 3 * D_MODEL);
        __syncthreads();
        float s[KEY_BLOCKS][4];
        _Pragma("unroll") for (int n = 0; n < KEY_BLOCKS; n++) {
            float dp[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0.0f;
            _Pragma("unroll") for (int step = 0; step < STEPS; step++) {
                multiply_add(s[n], q[step], load_transposed(k, 8 * n, step));
                multiply_add(dp, d_out[step], load_transposed(v, 8 * n, step));
            }
            _Pragma("unroll") for (int i = 0; i < 4; i++) {
                u32 at = key + 8 * n + 2 * t + (i & 1);
                float p = at < first[i >> 1] || at >= last[i >> 1] ? 0.0f : __expf(s[n][i] - log_sum[i >> 1]);
                s[n][i] = p * (dp[i] - mean[i >> 1]);
            }
        }
        _Pragma("unroll") for (int step = 0; step < KEY_STEPS; step++) {
            Left ds = as_left(s, step);
            _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) multiply_add(d_q[n], ds, load_right(k, step, 8 * n));
        }
    }
    store_blocks(d_qkv + (size_t)start * 3 * D_MODEL + head * HEAD_DIM, d_q, 1.0f, 1.0f, row, count, 3 * D_MODEL);
}

extern "C" __global__ void __launch_bounds__(128) attention_keys_backward(u32 rows, const OPERAND* qkv, const u32* tiles, const u32* see_from,
                                                                          const u32* see_to, const float* log_sums, const OPERAND* d_context,
                                                                          const float* means, OPERAND* d_qkv) {
    __shared__ float mean_of[TILE], log_sum[TILE];
    __shared__ u32 first[TILE], last[TILE];
    OPERAND *q = (OPERAND*)dynamic, *d_out = q + TILE * TENSOR_STRIDE;
    const u32* tile = tiles + 4 * blockIdx.x;
    u32 start = tile[0], count = tile[1], to = tile[3], head = blockIdx.y;
    if (count == 0) return;
    u32 lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3, row = threadIdx.x / 32 * 16;
    qkv += head * HEAD_DIM;
    Left k[STEPS], v[STEPS];
    float d_k[COLUMN_BLOCKS][4], d_v[COLUMN_BLOCKS][4];
    _Pragma("unroll") for (int step = 0; step < STEPS; step++) {
        k[step] = load_left(qkv + (size_t)start * 3 * D_MODEL + D_MODEL, row, count, 3 * D_MODEL, step);
        v[step] = load_left(qkv + (size_t)start * 3 * D_MODEL + 2 * D_MODEL, row, count, 3 * D_MODEL, step);
    }
    _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) _Pragma("unroll") for (int i = 0; i < 4; i++) d_k[n][i] = d_v[n][i] = 0.0f;
    for (u32 query = tile[2]; query < to; query += TILE) {
        u32 queries = min(TILE, to - query);
        __syncthreads();
        load_tensor_tile(q, qkv + (size_t)query * 3 * D_MODEL, queries, 3 * D_MODEL);
        load_tensor_tile(d_out, d_context + (size_t)query * D_MODEL + head * HEAD_DIM, queries, D_MODEL);
        if (threadIdx.x < TILE) {
            bool is_row = threadIdx.x < queries;
            u32 at = query + threadIdx.x;
            first[threadIdx.x] = is_row ? see_from[at] : 0, last[threadIdx.x] = is_row ? see_to[at] : 0;
            log_sum[threadIdx.x] = is_row ? log_sums[(size_t)head * rows + at] : 0.0f;
            mean_of[threadIdx.x] = is_row ? means[(size_t)head * rows + at] : 0.0f;
        }
        __syncthreads();
        float p[KEY_BLOCKS][4], ds[KEY_BLOCKS][4];
        _Pragma("unroll") for (int n = 0; n < KEY_BLOCKS; n++) {
            _Pragma("unroll") for (int i = 0; i < 4; i++) p[n][i] = ds[n][i] = 0.0f;
            _Pragma("unroll") for (int step = 0; step < STEPS; step++) {
                multiply_add(p[n], k[step], load_transposed(q, 8 * n, step));
                multiply_add(ds[n], v[step], load_transposed(d_out, 8 * n, step));
            }
            _Pragma("unroll") for (int i = 0; i < 4; i++) {
                u32 at = start + row + g + 8 * (i >> 1), other = 8 * n + 2 * t + (i & 1);
                p[n][i] = at < first[other] || at >= last[other] ? 0.0f : __expf(p[n][i] - log_sum[other]);
                ds[n][i] = p[n][i] * (ds[n][i] - mean_of[other]);
            }
        }
        _Pragma("unroll") for (int step = 0; step < KEY_STEPS; step++) {
            Left left = as_left(p, step);
            _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) multiply_add(d_v[n], left, load_right(d_out, step, 8 * n));
            left = as_left(ds, step);
            _Pragma("unroll") for (int n = 0; n < COLUMN_BLOCKS; n++) multiply_add(d_k[n], left, load_right(q, step, 8 * n));
        }
    }
    OPERAND* to_keys = d_qkv + (size_t)start * 3 * D_MODEL + D_MODEL + head * HEAD_DIM;
    store_blocks(to_keys, d_k, 1.0f, 1.0f, row, count, 3 * D_MODEL);
    store_blocks(to_keys + D_MODEL, d_v, 1.0f, 1.0f, row, count, 3 * D_MODEL);
}
