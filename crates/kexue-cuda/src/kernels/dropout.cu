// Random bytes for dropout: the same stream of the ChaCha generator with 8 rounds as on the CPU, block by block.

// A shard of the batch: key (8 words), the number of the first word of the stream (2), the first row (1), words of a site (1), stream (2).
#define SHARD_WORDS 14

__device__ inline u32 rotate_left(u32 x, int by) { return x << by | x >> (32 - by); }

#define QUARTER(a, b, c, d)                                                     \
    x[a] += x[b], x[d] = rotate_left(x[d] ^ x[a], 16);                          \
    x[c] += x[d], x[b] = rotate_left(x[b] ^ x[c], 12);                          \
    x[a] += x[b], x[d] = rotate_left(x[d] ^ x[a], 8);                           \
    x[c] += x[d], x[b] = rotate_left(x[b] ^ x[c], 7);

// Fills `bytes` `[sites, rows, D_MODEL]`: each shard draws its rows site by site. Blocks of the grid's second dimension are shards.
extern "C" __global__ void dropout_bytes(u32* bytes, const u32* shards, u32 sites, u32 rows) {
    const u32* shard = shards + blockIdx.y * SHARD_WORDS;
    u64 first = (u64)shard[9] << 32 | shard[8];
    u64 each = shard[11], end = first + each * sites, last_block = (end + 15) / 16;
    u64 site_words = (u64)rows * (D_MODEL / 4), place = (u64)shard[10] * (D_MODEL / 4);
    u64 step = (u64)gridDim.x * blockDim.x;
    for (u64 block = first / 16 + (u64)blockIdx.x * blockDim.x + threadIdx.x; block < last_block; block += step) {
        u32 start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, shard[0], shard[1], shard[2], shard[3],
                         shard[4], shard[5], shard[6], shard[7], (u32)block, (u32)(block >> 32), shard[12], shard[13]};
        u32 x[16];
        _Pragma("unroll") for (int i = 0; i < 16; i++) x[i] = start[i];
        _Pragma("unroll") for (int round = 0; round < 4; round++) {
            QUARTER(0, 4, 8, 12) QUARTER(1, 5, 9, 13) QUARTER(2, 6, 10, 14) QUARTER(3, 7, 11, 15)
            QUARTER(0, 5, 10, 15) QUARTER(1, 6, 11, 12) QUARTER(2, 7, 8, 13) QUARTER(3, 4, 9, 14)
        }
        u64 word = block * 16;
        u64 site = word < first ? 0 : (word - first) / each, within = word < first ? 0 : (word - first) % each;
        _Pragma("unroll") for (int i = 0; i < 16; i++, word++) {
            if (word < first || word >= end) continue;
            bytes[site * site_words + place + within] = x[i] + start[i];
            if (++within == each) within = 0, site++;
        }
    }
}
