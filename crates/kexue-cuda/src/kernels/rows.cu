// The residual stream between the matrix products: embeddings, sums with branches, norms, dropout, with one warp per row.

// The sum of the embeddings and of an offset, which may be missing, the norm after them, dropout; then the input of the first branch.
extern "C" __global__ void embed(u32 rows, float* stream, const u32* tokens, const u32* positions, const u32* types, const float* word_table,
                                 const float* position_table, const float* type_table, const float* offset, const float* after_gamma, const float* after_beta,
                                 OPERAND* after_normal, float* after_inverse, const u8* bytes, u32 dropped, float drop_scale, OPERAND* input,
                                 const float* before_gamma, const float* before_beta, OPERAND* before_normal, float* before_inverse) {
    int lane = threadIdx.x & 31;
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (row >= rows) return;
    size_t at = (size_t)row * D_MODEL;
    Row x, other;
    load(x, word_table + (size_t)tokens[row] * D_MODEL, lane);
    if (position_table) {
        load(other, position_table + (size_t)positions[row] * D_MODEL, lane);
        add(x, other);
    }
    if (type_table) {
        load(other, type_table + (size_t)types[row] * D_MODEL, lane);
        add(x, other);
    }
    if (offset) {
        load(other, offset + at, lane);
        add(x, other);
    }
    if (POST) normalise(x, after_gamma, after_beta, after_normal ? after_normal + at : 0, after_inverse + row, lane);
    drop(x, bytes ? bytes + at : 0, dropped, drop_scale, lane);
    store(stream + at, x, lane);
    if (PRE) normalise(x, before_gamma, before_beta, before_normal ? before_normal + at : 0, before_inverse + row, lane);
    store(input + at, x, lane);
}

// Adds the output of a branch to the stream, with the bias of its last layer and the norms and factors of its placement. Then computes the input of
// the next branch, or the last hidden state times `factor`.
extern "C" __global__ void add_branch(u32 rows, float* stream, const OPERAND* branch, const float* bias, const float* out_gamma, const float* out_beta,
                                      OPERAND* out_normal, float* out_inverse, const u8* bytes, u32 dropped, float drop_scale, const float* gate,
                                      OPERAND* ungated, float residual, const float* after_gamma, const float* after_beta, OPERAND* after_normal,
                                      float* after_inverse, OPERAND* input, float* hidden, float factor, const float* before_gamma,
                                      const float* before_beta, OPERAND* before_normal, float* before_inverse) {
    int lane = threadIdx.x & 31;
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (row >= rows) return;
    size_t at = (size_t)row * D_MODEL;
    Row b, x;
    load(b, branch + at, lane);
    FOR_CHUNKS(c, i, lane) {
        float four[4];
        load_parameters(four, bias + i);
        for (int k = 0; k < 4; k++) b.v[4 * c + k] += four[k];
    }
    if (SANDWICH) normalise(b, out_gamma, out_beta, out_normal ? out_normal + at : 0, out_inverse + row, lane);
    drop(b, bytes ? bytes + at : 0, dropped, drop_scale, lane);
    if (GATED) {
        if (ungated) store(ungated + at, b, lane);
        scale(b, gate[0]);
    }
    load(x, stream + at, lane);
    scale(x, residual);
    add(x, b);
    if (POST) normalise(x, after_gamma, after_beta, after_normal ? after_normal + at : 0, after_inverse + row, lane);
    store(stream + at, x, lane);
    if (PRE) normalise(x, before_gamma, before_beta, before_normal ? before_normal + at : 0, before_inverse + row, lane);
    if (input) store(input + at, x, lane);
    if (hidden) {
        scale(x, factor);
        store(hidden + at, x, lane);
    }
}

// Sums over rows that the boundaries leave: γ and β of the norm before, γ and β of the norm after (or of the branch's output), bias, gate.
#define SUMS 6

// Backward from the input of a branch through the end of the one before: the gradient of the stream is completed, and that of the earlier branch's
// output split off. FIRST begins at the last hidden state, LAST ends at the embeddings.
template <bool FIRST, bool LAST, class X>
__device__ inline void boundary(u32 rows, float* d_stream, const X* d_input, float factor, const OPERAND* before_normal, const float* before_inverse,
                                const float* before_gamma, const u8* bytes, u32 dropped, float drop_scale, const OPERAND* out_normal,
                                const float* out_inverse, const float* out_gamma, const OPERAND* after_normal, const float* after_inverse,
                                const float* after_gamma, const float* gate, const OPERAND* ungated, float residual, OPERAND* d_branch,
                                float* partial) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    Row before_g, before_b, after_g, after_b, d_bias;
    clear(before_g), clear(before_b), clear(after_g), clear(after_b), clear(d_bias);
    float d_gate = 0.0f;
    for (u32 row = blockIdx.x * warps + warp; row < rows; row += gridDim.x * warps) {
        size_t at = (size_t)row * D_MODEL;
        Row d, dx;
        load(d, d_input + at, lane);
        if (FIRST) scale(d, factor);
        if (PRE) normalise_backward(d, before_normal + at, before_inverse[row], before_gamma, before_g, before_b, lane);
        if (!FIRST) {
            load(dx, d_stream + at, lane);
            add(d, dx);
        }
        if (LAST) drop(d, bytes ? bytes + at : 0, dropped, drop_scale, lane);
        if (POST) normalise_backward(d, after_normal + at, after_inverse[row], after_gamma, after_g, after_b, lane);
        if (!LAST) {
            Row b = d;
            if (GATED) {
                Row u;
                load(u, ungated + at, lane);
                d_gate += dot(b, u);
                scale(b, gate[0]);
            }
            drop(b, bytes ? bytes + at : 0, dropped, drop_scale, lane);
            if (SANDWICH) normalise_backward(b, out_normal + at, out_inverse[row], out_gamma, after_g, after_b, lane);
            add(d_bias, b);
            store(d_branch + at, b, lane);
            scale(d, residual);
        }
        store(d_stream + at, d, lane);
    }
    partial += (size_t)blockIdx.x * SUMS * D_MODEL;
    if (PRE) {
        sum_over_warps(before_g, partial, dynamic);
        sum_over_warps(before_b, partial + D_MODEL, dynamic);
    }
    if (POST || SANDWICH && !LAST) {
        sum_over_warps(after_g, partial + 2 * D_MODEL, dynamic);
        sum_over_warps(after_b, partial + 3 * D_MODEL, dynamic);
    }
    if (!LAST) sum_over_warps(d_bias, partial + 4 * D_MODEL, dynamic);
    if (GATED && !LAST) {
        __syncthreads();
        d_gate = warp_sum(d_gate);
        if (lane == 0) dynamic[warp] = d_gate;
        __syncthreads();
        if (threadIdx.x == 0) {
            float sum = 0.0f;
            for (int w = 0; w < warps; w++) sum += dynamic[w];
            partial[5 * D_MODEL] = sum;
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) boundary_first(
    u32 rows, float* d_stream, const float* d_hidden, float factor, const OPERAND* before_normal, const float* before_inverse, const float* before_gamma,
    const u8* bytes, u32 dropped, float drop_scale, const OPERAND* out_normal, const float* out_inverse, const float* out_gamma,
    const OPERAND* after_normal, const float* after_inverse, const float* after_gamma, const float* gate, const OPERAND* ungated, float residual,
    OPERAND* d_branch, float* partial) {
    boundary<true, false>(rows, d_stream, d_hidden, factor, before_normal, before_inverse, before_gamma, bytes, dropped, drop_scale, out_normal,
                          out_inverse, out_gamma, after_normal, after_inverse, after_gamma, gate, ungated, residual, d_branch, partial);
}

extern "C" __global__ void __launch_bounds__(256) boundary_middle(
    u32 rows, float* d_stream, const OPERAND* d_input, float factor, const OPERAND* before_normal, const float* before_inverse,
    const float* before_gamma, const u8* bytes, u32 dropped, float drop_scale, const OPERAND* out_normal, const float* out_inverse,
    const float* out_gamma, const OPERAND* after_normal, const float* after_inverse, const float* after_gamma, const float* gate,
    const OPERAND* ungated, float residual, OPERAND* d_branch, float* partial) {
    boundary<false, false>(rows, d_stream, d_input, factor, before_normal, before_inverse, before_gamma, bytes, dropped, drop_scale, out_normal,
                           out_inverse, out_gamma, after_normal, after_inverse, after_gamma, gate, ungated, residual, d_branch, partial);
}

extern "C" __global__ void __launch_bounds__(256) boundary_last(
    u32 rows, float* d_stream, const OPERAND* d_input, float factor, const OPERAND* before_normal, const float* before_inverse,
    const float* before_gamma, const u8* bytes, u32 dropped, float drop_scale, const OPERAND* out_normal, const float* out_inverse,
    const float* out_gamma, const OPERAND* after_normal, const float* after_inverse, const float* after_gamma, const float* gate,
    const OPERAND* ungated, float residual, OPERAND* d_branch, float* partial) {
    boundary<false, true>(rows, d_stream, d_input, factor, before_normal, before_inverse, before_gamma, bytes, dropped, drop_scale, out_normal,
                          out_inverse, out_gamma, after_normal, after_inverse, after_gamma, gate, ungated, residual, d_branch, partial);
}

// Sums `parts` rows of `stride` numbers: number `width·y + column` goes to place `column` of destination y, where there is one. Destination 5 has a
// single number. Blocks are [32, 8].
extern "C" __global__ void sum_parts(const float* partial, u32 parts, u32 stride, u32 width, float* d0, float* d1, float* d2, float* d3, float* d4,
                                     float* d5) {
    __shared__ float shared[8][33];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    float* to = blockIdx.y == 0 ? d0 : blockIdx.y == 1 ? d1 : blockIdx.y == 2 ? d2 : blockIdx.y == 3 ? d3 : blockIdx.y == 4 ? d4 : d5;
    u32 count = blockIdx.y == 5 ? 1 : width, column = blockIdx.x * 32 + lane;
    if (!to || blockIdx.x * 32 >= count) return;
    float sum = 0.0f;
    if (column < count)
        for (u32 part = warp; part < parts; part += 8) sum += partial[(size_t)part * stride + (size_t)blockIdx.y * width + column];
    shared[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < count) {
        sum = 0.0f;
        for (int w = 0; w < 8; w++) sum += shared[w][lane];
        to[column] = sum;
    }
}

// Adds the bias to a layer's output `[rows, D_FFN]` and applies the activation.
extern "C" __global__ void activate_forward(u64 fours, OPERAND* up, const float* bias, OPERAND* activated) {
    u64 four = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (four >= fours) return;
    float x[4], b[4];
    load4(x, up + 4 * four);
    load_parameters(b, bias + 4 * (four % (D_FFN / 4)));
    for (int i = 0; i < 4; i++) x[i] += b[i];
    store4(up + 4 * four, x);
    // Rounded, as the backward pass will read it.
    load4(x, up + 4 * four);
    for (int i = 0; i < 4; i++) x[i] = activate(x[i]);
    store4(activated + 4 * four, x);
}

// Adds up four columns over the warps of a block; thread l of the first warp writes those of its lane.
__device__ inline void sum_columns(const float* sums, float* partial, u32 width) {
    __shared__ float shared[8][128];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    for (int i = 0; i < 4; i++) shared[warp][4 * lane + i] = sums[i];
    __syncthreads();
    u32 column = blockIdx.x * 128 + threadIdx.x;
    if (threadIdx.x < 128 && column < width) {
        float sum = 0.0f;
        for (int w = 0; w < 8; w++) sum += shared[w][threadIdx.x];
        partial[(size_t)blockIdx.y * width + column] = sum;
    }
}

// Turns the gradient of the activation's output into that of its input, and sums it over rows. Blocks of 8 warps share 128 columns.
extern "C" __global__ void activate_backward(u32 rows, OPERAND* d, const OPERAND* up, float* partial) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    u32 column = (blockIdx.x * 32 + lane) * 4;
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (column < D_FFN) {
        for (u32 row = blockIdx.y * 8 + warp; row < rows; row += gridDim.y * 8) {
            size_t at = (size_t)row * D_FFN + column;
            float x[4], g[4];
            load4(x, up + at);
            load4(g, d + at);
            for (int i = 0; i < 4; i++) {
                g[i] *= activation_slope(x[i]);
                sums[i] += g[i];
            }
            store4(d + at, g);
        }
    }
    sum_columns(sums, partial, D_FFN);
}

// Rotates pairs of queries and keys to their position, or back, and scales the queries.
__device__ inline void turn4(float* x, u32 part, u32 column, float factor, const float* table, u32 position, float sign) {
    if (part == 0)
        for (int i = 0; i < 4; i++) x[i] *= factor;
#if ROTARY
    if (part < 2) {
        for (int i = 0; i < 4; i += 2) {
            const float* pair = table + ((size_t)position * (HEAD_DIM / 2) + (column + i) % HEAD_DIM / 2) * 2;
            float cosine = pair[0], sine = sign * pair[1], a = x[i], b = x[i + 1];
            x[i] = a * cosine - b * sine;
            x[i + 1] = b * cosine + a * sine;
        }
    }
#endif
}

// Adds the bias to queries, keys and values `[rows, 3·D_MODEL]`, scales the queries, and rotates queries and keys.
extern "C" __global__ void turn_forward(u32 rows, OPERAND* qkv, const float* bias, const float* factors, const u32* positions, const float* table) {
    u32 four = blockIdx.x * blockDim.x + threadIdx.x, each = 3 * D_MODEL / 4;
    u32 row = four / each, column = four % each * 4;
    if (row >= rows) return;
    float x[4], b[4];
    OPERAND* at = qkv + (size_t)row * 3 * D_MODEL + column;
    load4(x, at);
    load_parameters(b, bias + column);
    for (int i = 0; i < 4; i++) x[i] += b[i];
    turn4(x, column / D_MODEL, column % D_MODEL, factors[row], table, positions[row], 1.0f);
    store4(at, x);
}

// The gradient of the original queries, keys and values, and its sum over rows.
extern "C" __global__ void turn_backward(u32 rows, OPERAND* d_qkv, const float* factors, const u32* positions, const float* table, float* partial) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    u32 column = (blockIdx.x * 32 + lane) * 4;
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (column < 3 * D_MODEL) {
        for (u32 row = blockIdx.y * 8 + warp; row < rows; row += gridDim.y * 8) {
            OPERAND* at = d_qkv + (size_t)row * 3 * D_MODEL + column;
            float g[4];
            load4(g, at);
            turn4(g, column / D_MODEL, column % D_MODEL, factors[row], table, positions[row], -1.0f);
            for (int i = 0; i < 4; i++) sums[i] += g[i];
            store4(at, g);
        }
    }
    sum_columns(sums, partial, 3 * D_MODEL);
}

// Sums the gradient of rows that share a row of an embedding table, in parts of a bounded number of rows: part p adds the rows
// `order[parts[2p]..][..parts[2p + 1]]`.
extern "C" __global__ void embedding_parts(const u32* counts, const u32* parts, const u32* order, const float* d_stream, float* partial) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    for (u32 part = blockIdx.x; part < counts[0]; part += gridDim.x) {
        u32 start = parts[2 * part], count = parts[2 * part + 1];
        Row sum, one;
        clear(sum);
        for (u32 k = warp; k < count; k += warps) {
            load(one, d_stream + (size_t)order[start + k] * D_MODEL, lane);
            add(sum, one);
        }
        sum_over_warps(sum, partial + (size_t)part * D_MODEL, dynamic);
    }
}

// Adds the parts of each table row to its gradient: row e has the parts `rows[3e + 1]..` in number `rows[3e + 2]` and stands at
// `rows[3e] · D_MODEL` of the gradient.
extern "C" __global__ void embedding_sums(const u32* counts, const u32* rows, const float* partial, float* gradient) {
    int lane = threadIdx.x & 31;
    u32 step = gridDim.x * blockDim.x >> 5;
    for (u32 e = (blockIdx.x * blockDim.x + threadIdx.x) >> 5; e < counts[1]; e += step) {
        float* to = gradient + (size_t)rows[3 * e] * D_MODEL;
        Row sum, one;
        load(sum, to, lane);
        for (u32 part = 0; part < rows[3 * e + 2]; part++) {
            load(one, partial + (size_t)(rows[3 * e + 1] + part) * D_MODEL, lane);
            add(sum, one);
        }
        store(to, sum, lane);
    }
}
