// Losses from hidden states, and their gradients.

// Marks unused places of predictions.
#define NO_ROW 0xffffffffu

// Gathers the hidden states of rows; 0 for unused places. One warp per place.
template <class X>
__device__ inline void gather(u32 count, const u32* rows, const float* hidden, X* states) {
    int lane = threadIdx.x & 31;
    u32 place = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (place >= count) return;
    Row x;
    clear(x);
    if (rows[place] != NO_ROW) load(x, hidden + (size_t)rows[place] * D_MODEL, lane);
    store(states + (size_t)place * D_MODEL, x, lane);
}

// Of the rows that predict.
extern "C" __global__ void gather_states(u32 count, const u32* rows, const float* hidden, OPERAND* states) {
    gather(count, rows, hidden, states);
}
// Of first tokens, in single precision.
extern "C" __global__ void gather_first(u32 count, const u32* rows, const float* hidden, float* states) {
    gather(count, rows, hidden, states);
}

// Adds the gradients of states to those of their rows, which are 0. Rows are in ascending order; the first of several that are equal adds all.
template <class X>
__device__ inline void scatter(u32 count, const u32* rows, const X* d_states, float* d_hidden) {
    int lane = threadIdx.x & 31;
    u32 place = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (place >= count || rows[place] == NO_ROW || place > 0 && rows[place - 1] == rows[place]) return;
    u32 row = rows[place];
    Row sum, one;
    clear(sum);
    for (; place < count && rows[place] == row; place++) {
        load(one, d_states + (size_t)place * D_MODEL, lane);
        add(sum, one);
    }
    store(d_hidden + (size_t)row * D_MODEL, sum, lane);
}

extern "C" __global__ void scatter_states(u32 count, const u32* rows, const OPERAND* d_states, float* d_hidden) {
    scatter(count, rows, d_states, d_hidden);
}
extern "C" __global__ void scatter_first(u32 count, const u32* rows, const float* d_states, float* d_hidden) {
    scatter(count, rows, d_states, d_hidden);
}

// The dense layer of the head: adds its bias, applies activation and norm.
extern "C" __global__ void head_forward(u32 count, OPERAND* dense, const float* bias, const float* gamma, const float* beta, OPERAND* normal,
                                        float* inverse_std, OPERAND* outputs) {
    int lane = threadIdx.x & 31;
    u32 place = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (place >= count) return;
    size_t at = (size_t)place * D_MODEL;
    Row x;
    load(x, dense + at, lane);
    FOR_CHUNKS(c, i, lane) {
        float b[4];
        load_parameters(b, bias + i);
        for (int k = 0; k < 4; k++) x.v[4 * c + k] += b[k];
    }
    store(dense + at, x, lane);
    load(x, dense + at, lane);
    FOR_CHUNKS(c, i, lane) for (int k = 4 * c; k < 4 * c + 4; k++) x.v[k] = activate(x.v[k]);
    normalise(x, gamma, beta, normal + at, inverse_std + place, lane);
    store(outputs + at, x, lane);
}

// Backward through `head_forward`: `d` is the gradient of the outputs and becomes that of the dense layer's output; sums for `sum_parts`.
extern "C" __global__ void __launch_bounds__(256) head_backward(u32 count, OPERAND* d, const OPERAND* dense, const OPERAND* normal, const float* inverse_std,
                                                                const float* gamma, float* partial) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    Row d_gamma, d_beta, d_bias;
    clear(d_gamma), clear(d_beta), clear(d_bias);
    for (u32 place = blockIdx.x * warps + warp; place < count; place += gridDim.x * warps) {
        size_t at = (size_t)place * D_MODEL;
        Row dy, x;
        load(dy, d + at, lane);
        normalise_backward(dy, normal + at, inverse_std[place], gamma, d_gamma, d_beta, lane);
        load(x, dense + at, lane);
        FOR_CHUNKS(c, i, lane) for (int k = 4 * c; k < 4 * c + 4; k++) dy.v[k] *= activation_slope(x.v[k]);
        add(d_bias, dy);
        store(d + at, dy, lane);
    }
    partial += (size_t)blockIdx.x * 3 * D_MODEL;
    sum_over_warps(d_gamma, partial, dynamic);
    sum_over_warps(d_beta, partial + D_MODEL, dynamic);
    sum_over_warps(d_bias, partial + 2 * D_MODEL, dynamic);
}

// The largest number and the sum of e^(x − largest) over a block, from those of each thread; NaN stays NaN.
__device__ inline void softmax_over_block(float& largest, float& sum) {
    __shared__ float both[2][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    float most = warp_max(largest);
    sum = warp_sum(largest == -INFINITY ? 0.0f : sum * expf(largest - most));
    __syncthreads();
    if (lane == 0) both[0][warp] = most, both[1][warp] = sum;
    __syncthreads();
    largest = -INFINITY, sum = 0.0f;
    for (int w = 0; w < warps; w++) largest = fmaxf(largest, both[0][w]);
    for (int w = 0; w < warps; w++) sum += both[0][w] == -INFINITY ? 0.0f : both[1][w] * expf(both[0][w] - largest);
    // fmaxf ignores NaN, but the sum keeps it.
}

// The logarithm of a probability, bounded from below in case of underflow; NaN stays NaN.
__device__ inline float log_of(float p) { return p != p ? p : logf(p < 1e-37f ? 1e-37f : p); }

// The cross-entropy of a prediction over the vocabulary: a block for each. `logits` is `[count, LOGITS]`; `d` gets the gradient and may be the same
// memory. `bias` may be missing.
extern "C" __global__ void token_loss(const float* logits, const float* bias, const u32* rows, const u32* targets, OPERAND* d, float* losses, u32* right) {
    u32 place = blockIdx.x;
    const float* row = logits + (size_t)place * LOGITS;
    OPERAND* d_row = d + (size_t)place * LOGITS;
    if (rows[place] == NO_ROW) {
        for (u32 i = threadIdx.x; i < LOGITS; i += blockDim.x) put(d_row[i], 0.0f);
        if (threadIdx.x == 0) losses[place] = 0.0f, right[place] = 0;
        return;
    }
    u32 target = targets[place];
    float at_target = row[target] + (bias ? bias[target] : 0.0f);
    float largest = -INFINITY, sum = 0.0f;
    bool is_largest = true;
    for (u32 i = threadIdx.x; i < VOCAB; i += blockDim.x) {
        float x = row[i] + (bias ? bias[i] : 0.0f);
        is_largest = is_largest && x <= at_target;
        float most = fmaxf(largest, x);
        sum = (largest == -INFINITY ? 0.0f : sum * expf(largest - most)) + expf(x - most);
        largest = most;
    }
    bool all_right = __syncthreads_and(is_largest);
    softmax_over_block(largest, sum);
    float inverse = 1.0f / sum;
    for (u32 i = threadIdx.x; i < LOGITS; i += blockDim.x) {
        float p = 0.0f;
        if (i < VOCAB) p = expf(row[i] + (bias ? bias[i] : 0.0f) - largest) * inverse;
        put(d_row[i], i == target ? p - 1.0f : p);
    }
    if (threadIdx.x == 0) losses[place] = -log_of(expf(at_target - largest) * inverse), right[place] = all_right;
}

// The cross-entropy of a choice among allowed tokens: a block for each. Choice c has `lists[3c + 1]` tokens from `tokens[lists[3c]]` on and biases
// from `biases[lists[3c + 2]]` on, if that is not NO_ROW; the correct one has index `targets[c]`. `scores` has room for the longest list times choices.
extern "C" __global__ void choice_loss(const float* logits, const u32* rows, const u32* lists, const u32* tokens, const float* biases, const u32* targets,
                                       float* scores, u32 longest, OPERAND* d, float* losses, u32* right) {
    u32 place = blockIdx.x;
    const float* row = logits + (size_t)place * LOGITS;
    OPERAND* d_row = d + (size_t)place * LOGITS;
    u32 count = rows[place] == NO_ROW ? 0 : lists[3 * place + 1];
    const u32* allowed = tokens + lists[3 * place];
    const float* bias = lists[3 * place + 2] == NO_ROW ? 0 : biases + lists[3 * place + 2];
    float* here = scores + (size_t)place * longest;
    float largest = -INFINITY, sum = 0.0f;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        float x = row[allowed[i]] + (bias ? bias[i] : 0.0f);
        here[i] = x;
        float most = fmaxf(largest, x);
        sum = (largest == -INFINITY ? 0.0f : sum * expf(largest - most)) + expf(x - most);
        largest = most;
    }
    softmax_over_block(largest, sum);
    float inverse = 1.0f / sum;
    for (u32 i = threadIdx.x; i < LOGITS; i += blockDim.x) put(d_row[i], 0.0f);
    __syncthreads();
    if (threadIdx.x == 0) losses[place] = 0.0f, right[place] = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        float p = expf(here[i] - largest) * inverse;
        bool is_target = i == targets[place];
        if (is_target) losses[place] = -log_of(p), right[place] = here[i] >= largest;
        put(d_row[allowed[i]], is_target ? p - 1.0f : p);
    }
}

// Sums 128 columns of each block over rows of width `stride`; blocks have 8 warps.
extern "C" __global__ void column_sums(u32 rows, u32 width, u32 stride, const OPERAND* x, float* partial) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    u32 column = (blockIdx.x * 32 + lane) * 4;
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (column < width) {
        for (u32 row = blockIdx.y * 8 + warp; row < rows; row += gridDim.y * 8) {
            float v[4];
            load4(v, x + (size_t)row * stride + column);
            for (int i = 0; i < 4; i++) sums[i] += v[i];
        }
    }
    sum_columns(sums, partial, width);
}

// The sum of all losses, and the number of correct predictions, in one block.
extern "C" __global__ void sum_losses(u32 count, const float* losses, const u32* right, double* sums) {
    __shared__ double shared[2][256];
    double loss = 0.0, correct = 0.0;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) loss += losses[i], correct += right[i];
    shared[0][threadIdx.x] = loss, shared[1][threadIdx.x] = correct;
    __syncthreads();
    if (threadIdx.x < 2) {
        double sum = 0.0;
        for (u32 i = 0; i < blockDim.x; i++) sum += shared[threadIdx.x][i];
        sums[threadIdx.x] = sum;
    }
}
