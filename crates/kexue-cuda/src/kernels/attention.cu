// Attention of packed sequences, forward and backward, tile by tile, without a matrix of length × length in memory.
//
// Each token sees an interval of rows (`see_from`, `see_to`), whatever its mask. A tile is up to 64 rows of one sequence: {first row, rows, first
// row of the other side, row after its last}. Queries are already scaled and rotated. A block of 256 threads works on a tile of a head: thread
// (y, x) of 16 × 16 has rows 4y..4y+4 and every 16th column from x on.
//
// The scheme is FlashAttention's (arXiv 2205.14135): a running maximum and sum for each query. The backward pass recomputes the probabilities from
// their logarithms. It goes over queries for dQ and over keys for dK and dV, so that every sum has a fixed order.

#define WIDTH ((HEAD_DIM + 3) / 4 * 4)
#define STRIDE (WIDTH + 4)
#define SCORE_STRIDE (TILE + 4)
// Groups of four columns of a head for each thread.
#define GROUPS ((WIDTH / 4 + 15) / 16)

// Copies rows of a head into shared memory [TILE, STRIDE], with zeros below and beside them.
__device__ inline void load_tile(float* to, const OPERAND* from, u32 count, u32 stride) {
    for (u32 i = threadIdx.x; i < TILE * (WIDTH / 4); i += 256) {
        u32 row = i / (WIDTH / 4), column = i % (WIDTH / 4) * 4;
        float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (row < count) {
            const OPERAND* at = from + (size_t)row * stride + column;
            if (HEAD_DIM % 4 == 0)
                load4(v, at);
            else
                for (u32 k = 0; k < 4; k++)
                    if (column + k < HEAD_DIM) v[k] = to_float(at[k]);
        }
        store4(to + row * STRIDE + column, v);
    }
}

// s[i][j] = Σ a[4y + i]·b[x + 16j]
__device__ inline void products(float s[4][4], const float* a, const float* b) {
    int y = threadIdx.x >> 4, x = threadIdx.x & 15;
    _Pragma("unroll") for (int i = 0; i < 4; i++) _Pragma("unroll") for (int j = 0; j < 4; j++) s[i][j] = 0.0f;
    _Pragma("unroll 4") for (int k = 0; k < WIDTH; k += 4) {
        float4 p[4], q[4];
        _Pragma("unroll") for (int i = 0; i < 4; i++) p[i] = *(const float4*)(a + (4 * y + i) * STRIDE + k);
        _Pragma("unroll") for (int j = 0; j < 4; j++) q[j] = *(const float4*)(b + (x + 16 * j) * STRIDE + k);
        _Pragma("unroll") for (int i = 0; i < 4; i++) _Pragma("unroll") for (int j = 0; j < 4; j++)
            s[i][j] += p[i].x * q[j].x + p[i].y * q[j].y + p[i].z * q[j].z + p[i].w * q[j].w;
    }
}

struct Sums {
    float v[4][GROUPS][4];
};

__device__ inline void clear_sums(Sums& o) {
    _Pragma("unroll") for (int i = 0; i < 4; i++) _Pragma("unroll") for (int g = 0; g < GROUPS; g++) _Pragma("unroll") for (int c = 0; c < 4; c++)
        o.v[i][g][c] = 0.0f;
}

// o[4y + i][4(x + 16g) + c] += Σ weights[4y + i][k]·values[k][…]
__device__ inline void accumulate(Sums& o, const float* weights, const float* values) {
    int y = threadIdx.x >> 4, x = threadIdx.x & 15;
    _Pragma("unroll 4") for (int k = 0; k < TILE; k += 4) {
        float w[4][4];
        _Pragma("unroll") for (int i = 0; i < 4; i++) load4(w[i], weights + (4 * y + i) * SCORE_STRIDE + k);
        _Pragma("unroll") for (int g = 0; g < GROUPS; g++) {
            if (WIDTH % 64 == 0 || x + 16 * g < WIDTH / 4) {
                _Pragma("unroll") for (int kk = 0; kk < 4; kk++) {
                    float v[4];
                    load4(v, values + (k + kk) * STRIDE + 4 * (x + 16 * g));
                    _Pragma("unroll") for (int i = 0; i < 4; i++) _Pragma("unroll") for (int c = 0; c < 4; c++) o.v[i][g][c] += w[i][kk] * v[c];
                }
            }
        }
    }
}

// Writes the sums of the tile's rows, each times its factor.
__device__ inline void store_sums(OPERAND* to, const Sums& o, const float* factors, u32 count, u32 stride) {
    int y = threadIdx.x >> 4, x = threadIdx.x & 15;
    for (u32 i = 0; i < 4; i++) {
        if (4 * y + i >= count) continue;
        _Pragma("unroll") for (int g = 0; g < GROUPS; g++) {
            u32 column = 4 * (x + 16 * g);
            OPERAND* at = to + (size_t)(4 * y + i) * stride + column;
            float v[4];
            for (int c = 0; c < 4; c++) v[c] = o.v[i][g][c] * factors[i];
            if (HEAD_DIM % 4 == 0) {
                if (column < HEAD_DIM) store4(at, v);
            } else {
                for (u32 c = 0; c < 4; c++)
                    if (column + c < HEAD_DIM) put(at[c], v[c]);
            }
        }
    }
}

__device__ inline float sum_of_16(float x) {
    for (int offset = 8; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}
__device__ inline float max_of_16(float x) {
    for (int offset = 8; offset > 0; offset >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
    return x;
}

// `context` is [rows, D_MODEL]; `log_sums` gets the logarithm of the softmax's denominator, [HEADS, rows].
extern "C" __global__ void __launch_bounds__(256) attention_forward(u32 rows, const OPERAND* qkv, const u32* tiles, const u32* see_from,
                                                                    const u32* see_to, OPERAND* context, float* log_sums) {
    float *q = dynamic, *k = q + TILE * STRIDE, *v = k + TILE * STRIDE, *p = v + TILE * STRIDE;
    const u32* tile = tiles + 4 * blockIdx.x;
    u32 start = tile[0], count = tile[1], to = tile[3], head = blockIdx.y;
    if (count == 0) return;
    int y = threadIdx.x >> 4, x = threadIdx.x & 15;
    qkv += head * HEAD_DIM;
    load_tile(q, qkv + (size_t)start * 3 * D_MODEL, count, 3 * D_MODEL);
    u32 first[4], last[4];
    float most[4], total[4];
    for (u32 i = 0; i < 4; i++) {
        bool is_row = 4 * y + i < count;
        first[i] = is_row ? see_from[start + 4 * y + i] : 0, last[i] = is_row ? see_to[start + 4 * y + i] : 0;
        most[i] = -INFINITY, total[i] = 0.0f;
    }
    Sums o;
    clear_sums(o);
    for (u32 key = tile[2]; key < to; key += TILE) {
        u32 keys = min(TILE, to - key);
        __syncthreads();
        load_tile(k, qkv + (size_t)key * 3 * D_MODEL + D_MODEL, keys, 3 * D_MODEL);
        load_tile(v, qkv + (size_t)key * 3 * D_MODEL + 2 * D_MODEL, keys, 3 * D_MODEL);
        __syncthreads();
        float s[4][4];
        products(s, q, k);
        _Pragma("unroll") for (int i = 0; i < 4; i++) {
            float here = -INFINITY;
            _Pragma("unroll") for (int j = 0; j < 4; j++) {
                u32 at = key + x + 16 * j;
                if (at < first[i] || at >= last[i]) s[i][j] = -INFINITY;
                here = fmaxf(here, s[i][j]);
            }
            here = fmaxf(most[i], max_of_16(here));
            float shrink = most[i] == -INFINITY ? 0.0f : expf(most[i] - here), sum = 0.0f;
            _Pragma("unroll") for (int j = 0; j < 4; j++) {
                float w = s[i][j] == -INFINITY ? 0.0f : expf(s[i][j] - here);
                sum += w;
                p[(4 * y + i) * SCORE_STRIDE + x + 16 * j] = w;
            }
            total[i] = total[i] * shrink + sum_of_16(sum);
            most[i] = here;
            _Pragma("unroll") for (int g = 0; g < GROUPS; g++) _Pragma("unroll") for (int c = 0; c < 4; c++) o.v[i][g][c] *= shrink;
        }
        // A row of weights is written and read by the same half of a warp.
        __syncwarp();
        accumulate(o, p, v);
    }
    float inverse[4];
    for (u32 i = 0; i < 4; i++) {
        inverse[i] = 1.0f / total[i];
        if (log_sums && x == 0 && 4 * y + i < count) log_sums[(size_t)head * rows + start + 4 * y + i] = most[i] + logf(total[i]);
    }
    store_sums(context + (size_t)start * D_MODEL + head * HEAD_DIM, o, inverse, count, D_MODEL);
}

// The gradient of the queries, and for each query the mean of the gradients of its probabilities under them, `means` [HEADS, rows].
extern "C" __global__ void __launch_bounds__(256) attention_queries_backward(u32 rows, const OPERAND* qkv, const u32* tiles, const u32* see_from,
                                                                             const u32* see_to, const OPERAND* context, const float* log_sums,
                                                                             const OPERAND* d_context, float* means, OPERAND* d_qkv) {
    __shared__ float mean_of[TILE];
    float *q = dynamic, *k = q + TILE * STRIDE, *v = k + TILE * STRIDE, *d_out = v + TILE * STRIDE, *ds = d_out + TILE * STRIDE;
    const u32* tile = tiles + 4 * blockIdx.x;
    u32 start = tile[0], count = tile[1], to = tile[3], head = blockIdx.y;
    if (count == 0) return;
    int y = threadIdx.x >> 4, x = threadIdx.x & 15;
    qkv += head * HEAD_DIM;
    load_tile(q, qkv + (size_t)start * 3 * D_MODEL, count, 3 * D_MODEL);
    load_tile(d_out, d_context + (size_t)start * D_MODEL + head * HEAD_DIM, count, D_MODEL);
    load_tile(k, context + (size_t)start * D_MODEL + head * HEAD_DIM, count, D_MODEL);
    __syncthreads();
    {
        u32 row = threadIdx.x >> 2;
        float sum = 0.0f;
        for (u32 c = threadIdx.x & 3; c < WIDTH; c += 4) sum += d_out[row * STRIDE + c] * k[row * STRIDE + c];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        if ((threadIdx.x & 3) == 0) {
            mean_of[row] = sum;
            if (row < count) means[(size_t)head * rows + start + row] = sum;
        }
    }
    u32 first[4], last[4];
    float log_sum[4];
    for (u32 i = 0; i < 4; i++) {
        bool is_row = 4 * y + i < count;
        first[i] = is_row ? see_from[start + 4 * y + i] : 0, last[i] = is_row ? see_to[start + 4 * y + i] : 0;
        log_sum[i] = is_row ? log_sums[(size_t)head * rows + start + 4 * y + i] : 0.0f;
    }
    Sums d_q;
    clear_sums(d_q);
    for (u32 key = tile[2]; key < to; key += TILE) {
        u32 keys = min(TILE, to - key);
        __syncthreads();
        load_tile(k, qkv + (size_t)key * 3 * D_MODEL + D_MODEL, keys, 3 * D_MODEL);
        load_tile(v, qkv + (size_t)key * 3 * D_MODEL + 2 * D_MODEL, keys, 3 * D_MODEL);
        __syncthreads();
        float s[4][4], dp[4][4];
        products(s, q, k);
        products(dp, d_out, v);
        _Pragma("unroll") for (int i = 0; i < 4; i++) _Pragma("unroll") for (int j = 0; j < 4; j++) {
            u32 at = key + x + 16 * j;
            float w = at < first[i] || at >= last[i] ? 0.0f : expf(s[i][j] - log_sum[i]);
            ds[(4 * y + i) * SCORE_STRIDE + x + 16 * j] = w * (dp[i][j] - mean_of[4 * y + i]);
        }
        __syncwarp();
        accumulate(d_q, ds, k);
    }
    float ones[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    store_sums(d_qkv + (size_t)start * 3 * D_MODEL + head * HEAD_DIM, d_q, ones, count, 3 * D_MODEL);
}

// The gradients of keys and values. The tiles are of keys, and the other side of a tile is the queries that see any of its keys.
extern "C" __global__ void __launch_bounds__(256) attention_keys_backward(u32 rows, const OPERAND* qkv, const u32* tiles, const u32* see_from,
                                                                          const u32* see_to, const float* log_sums, const OPERAND* d_context,
                                                                          const float* means, OPERAND* d_qkv) {
    __shared__ float mean_of[TILE], log_sum[TILE];
    __shared__ u32 first[TILE], last[TILE];
    float *k = dynamic, *v = k + TILE * STRIDE, *q = v + TILE * STRIDE, *d_out = q + TILE * STRIDE, *w = d_out + TILE * STRIDE;
    const u32* tile = tiles + 4 * blockIdx.x;
    u32 start = tile[0], count = tile[1], to = tile[3], head = blockIdx.y;
    if (count == 0) return;
    int y = threadIdx.x >> 4, x = threadIdx.x & 15;
    qkv += head * HEAD_DIM;
    load_tile(k, qkv + (size_t)start * 3 * D_MODEL + D_MODEL, count, 3 * D_MODEL);
    load_tile(v, qkv + (size_t)start * 3 * D_MODEL + 2 * D_MODEL, count, 3 * D_MODEL);
    Sums d_k, d_v;
    clear_sums(d_k), clear_sums(d_v);
    for (u32 query = tile[2]; query < to; query += TILE) {
        u32 queries = min(TILE, to - query);
        __syncthreads();
        load_tile(q, qkv + (size_t)query * 3 * D_MODEL, queries, 3 * D_MODEL);
        load_tile(d_out, d_context + (size_t)query * D_MODEL + head * HEAD_DIM, queries, D_MODEL);
        if (threadIdx.x < TILE) {
            bool is_row = threadIdx.x < queries;
            u32 at = query + threadIdx.x;
            first[threadIdx.x] = is_row ? see_from[at] : 0, last[threadIdx.x] = is_row ? see_to[at] : 0;
            log_sum[threadIdx.x] = is_row ? log_sums[(size_t)head * rows + at] : 0.0f;
            mean_of[threadIdx.x] = is_row ? means[(size_t)head * rows + at] : 0.0f;
        }
        __syncthreads();
        float s[4][4], dp[4][4];
        products(s, k, q);
        products(dp, v, d_out);
        _Pragma("unroll") for (int i = 0; i < 4; i++) _Pragma("unroll") for (int j = 0; j < 4; j++) {
            u32 at = start + 4 * y + i, other = x + 16 * j;
            s[i][j] = at < first[other] || at >= last[other] ? 0.0f : expf(s[i][j] - log_sum[other]);
            w[(4 * y + i) * SCORE_STRIDE + other] = s[i][j];
        }
        __syncwarp();
        accumulate(d_v, w, d_out);
        __syncwarp();
        _Pragma("unroll") for (int i = 0; i < 4; i++) _Pragma("unroll") for (int j = 0; j < 4; j++)
            w[(4 * y + i) * SCORE_STRIDE + x + 16 * j] = s[i][j] * (dp[i][j] - mean_of[x + 16 * j]);
        __syncwarp();
        accumulate(d_k, w, q);
    }
    float ones[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    OPERAND* to_keys = d_qkv + (size_t)start * 3 * D_MODEL + D_MODEL + head * HEAD_DIM;
    store_sums(to_keys, d_k, ones, count, 3 * D_MODEL);
    store_sums(to_keys + D_MODEL, d_v, ones, count, 3 * D_MODEL);
}
