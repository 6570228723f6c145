// Decoding: nodes of trees of tokens. The keys and values of all nodes so far are in a cache of rows [layers, 2·D_MODEL], the last hidden states in one of
// rows [D_MODEL].

// Where new nodes go. A recording is replayed for other caches, so the addresses are data.
struct Target {
    u32 first, count;
    OPERAND* keys_values;
    float* hidden;
};

// Copies the keys and values of new nodes, already rotated, into the cache. A thread copies four neighbours.
extern "C" __global__ void keep_keys_values(u32 rows, const OPERAND* qkv, const Target* target, u32 layer, u32 layers) {
    u32 four = blockIdx.x * blockDim.x + threadIdx.x, each = 2 * D_MODEL / 4;
    u32 row = four / each, column = four % each * 4;
    if (row >= rows || row >= target->count) return;
    float x[4];
    load4(x, qkv + (size_t)row * 3 * D_MODEL + D_MODEL + column);
    store4(target->keys_values + ((size_t)(target->first + row) * layers + layer) * 2 * D_MODEL + column, x);
}

// Copies last hidden states into the cache. A warp copies a row.
extern "C" __global__ void keep_hidden(u32 rows, const float* hidden, const Target* target) {
    int lane = threadIdx.x & 31;
    u32 row = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (row >= rows || row >= target->count) return;
    Row x;
    load(x, hidden + (size_t)row * D_MODEL, lane);
    store(target->hidden + (size_t)(target->first + row) * D_MODEL, x, lane);
}

// Attention of new nodes over those that they see: their prompt, `prompt_from` to `prompt_to`, and their path, `paths[path_from]` to `paths[path_to]`.
// A warp computes a head of a node, with a running maximum and sum over 32 nodes at a time, one for each lane. A padding row sees nothing.
extern "C" __global__ void __launch_bounds__(128) attention_nodes(u32 rows, const OPERAND* qkv, const Target* target, u32 layer, u32 layers, const u32* prompt_from,
                                                                  const u32* prompt_to, const u32* path_from, const u32* path_to, const u32* paths,
                                                                  OPERAND* context) {
    __shared__ float queries[NODES][(HEAD_DIM + 3) / 4 * 4], weights[NODES][32];
    __shared__ u32 seen[NODES][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    u32 row = blockIdx.x * NODES + warp, head = blockIdx.y;
    if (row >= rows) return;
    const OPERAND* query = qkv + (size_t)row * 3 * D_MODEL + head * HEAD_DIM;
    for (u32 i = lane; i < HEAD_DIM; i += 32) queries[warp][i] = to_float(query[i]);
    const OPERAND* keys = target->keys_values + (size_t)layer * 2 * D_MODEL + head * HEAD_DIM;
    size_t stride = (size_t)layers * 2 * D_MODEL;
    u32 prompt = prompt_from[row], in_prompt = prompt_to[row] - prompt, path = path_from[row];
    u32 total = in_prompt + path_to[row] - path;
    float most = -INFINITY, sum = 0.0f, out[(HEAD_DIM + 31) / 32];
    _Pragma("unroll") for (int c = 0; c < (HEAD_DIM + 31) / 32; c++) out[c] = 0.0f;
    for (u32 start = 0; start < total; start += 32) {
        __syncwarp();
        u32 at = start + lane, count = min(32, total - start);
        float score = -INFINITY;
        if (at < total) {
            u32 node = at < in_prompt ? prompt + at : paths[path + at - in_prompt];
            const OPERAND* key = keys + node * stride;
            score = 0.0f;
            if (HEAD_DIM % 4 == 0) {
                for (u32 i = 0; i < HEAD_DIM; i += 4) {
                    float k[4];
                    load4(k, key + i);
                    for (int j = 0; j < 4; j++) score += queries[warp][i + j] * k[j];
                }
            } else {
                for (u32 i = 0; i < HEAD_DIM; i++) score += queries[warp][i] * to_float(key[i]);
            }
            seen[warp][lane] = node;
        }
        float now = fmaxf(most, warp_max(score)), weight = expf(score - now), shrink = expf(most - now);
        weights[warp][lane] = weight;
        sum = sum * shrink + warp_sum(weight);
        most = now;
        __syncwarp();
        _Pragma("unroll") for (int c = 0; c < (HEAD_DIM + 31) / 32; c++) {
            u32 i = 32 * c + lane;
            if (i >= HEAD_DIM) continue;
            const OPERAND* values = keys + D_MODEL + i;
            float o = out[c] * shrink;
            for (u32 k = 0; k < count; k++) o += weights[warp][k] * to_float(values[seen[warp][k] * stride]);
            out[c] = o;
        }
    }
    float factor = sum > 0.0f ? 1.0f / sum : 0.0f;
    OPERAND* to = context + (size_t)row * D_MODEL + head * HEAD_DIM;
    _Pragma("unroll") for (int c = 0; c < (HEAD_DIM + 31) / 32; c++) {
        u32 i = 32 * c + lane;
        if (i < HEAD_DIM) put(to[i], out[c] * factor);
    }
}

// The logits of pairs of a node and a token, in single precision. One warp per pair.
extern "C" __global__ void node_logits(u32 count, const u32* pairs, const float* hidden, const float* embedding, float* logits) {
    int lane = threadIdx.x & 31;
    u32 pair = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    if (pair >= count) return;
    Row state, token;
    load(state, hidden + (size_t)pairs[2 * pair] * D_MODEL, lane);
    load(token, embedding + (size_t)pairs[2 * pair + 1] * D_MODEL, lane);
    float logit = warp_sum(dot(state, token));
    if (lane == 0) logits[pair] = logit;
}
