// An environment to run the kernels on a CPU in tests: the threads of a block are coroutines that take turns at barriers.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

// With internal linkage: shared memory of a function is then that of its own library, of which tests load several at a time.
#define __device__ static
#define __global__
#define __shared__ static
#define __launch_bounds__(...)

struct float4 { float x, y, z, w; };
struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
static inline unsigned __float_as_uint(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }

struct Place { unsigned x, y, z; };
struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    Place thread;
    unsigned turn;
    bool done;
};
static std::vector<Fiber> fibers;
static unsigned current;
static ucontext_t scheduler;
static Place blockIdx, blockDim, gridDim;
static float* dynamic;
static std::function<void()> body;
#define threadIdx (fibers[current].thread)

struct Barrier { unsigned arrived = 0, alive = 0, generation = 0; };
static Barrier block_barrier, warp_barriers[64];
static unsigned char exchanged[64][2][32][16];
static bool all;

static inline void open_if_full(Barrier& barrier) {
    if (barrier.alive && barrier.arrived == barrier.alive) barrier.arrived = 0, barrier.generation++;
}
static inline void wait(Barrier& barrier) {
    unsigned generation = barrier.generation;
    barrier.arrived++;
    open_if_full(barrier);
    while (barrier.generation == generation) swapcontext(&fibers[current].context, &scheduler);
}
static inline void __syncthreads() { wait(block_barrier); }
static inline void __syncwarp() { wait(warp_barriers[threadIdx.x / 32]); }
static inline bool __syncthreads_and(bool holds) {
    __syncthreads();
    if (threadIdx.x == 0) all = true;
    __syncthreads();
    all = all && holds;
    __syncthreads();
    return all;
}
template <class T> static inline T __shfl_xor_sync(unsigned, T value, int mask) {
    unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32, turn = fibers[current].turn++ % 2;
    memcpy(exchanged[warp][turn][lane], &value, sizeof(T));
    __syncwarp();
    memcpy(&value, exchanged[warp][turn][lane ^ mask], sizeof(T));
    return value;
}

// A product on tensor cores: every lane provides its parts of the factors and receives its part of the result.
static unsigned parts[64][2][32][6];
static inline float element(const unsigned (*of)[6], int first, int row_or_column, int k, int step, bool is_left) {
    int high = is_left && row_or_column >= 8, far = k >= step / 2, within = k % (step / 2);
    int reg = is_left ? first + high + 2 * far : first + far;
    int lane = row_or_column % 8 * 4 + (step == 16 ? within / 2 : within);
    unsigned bits = of[lane][reg];
    if (step == 16) bits = within % 2 ? bits & 0xffff0000u : bits << 16;
    return __uint_as_float(bits);
}
static inline void emulate_multiply_add(float* c, const unsigned* a, const unsigned* b, int step) {
    unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32, turn = fibers[current].turn++ % 2;
    memcpy(parts[warp][turn][lane], a, 16), memcpy(parts[warp][turn][lane] + 4, b, 8);
    __syncwarp();
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < step; k++)
            c[i] += element(parts[warp][turn], 0, lane / 4 + 8 * (i / 2), k, step, true) * element(parts[warp][turn], 4, lane % 4 * 2 + i % 2, k, step, false);
}
#define __expf expf

static void enter() {
    body();
    fibers[current].done = true;
    for (Barrier* barrier : {&block_barrier, &warp_barriers[threadIdx.x / 32]}) {
        barrier->alive--;
        open_if_full(*barrier);
    }
    swapcontext(&fibers[current].context, &scheduler);
}

static void run_blocks(unsigned x, unsigned y, unsigned threads, unsigned shared, std::function<void()> kernel) {
    static std::vector<float> memory;
    // Makes elements that are never written visible.
    memory.assign(shared / 4 + 64, NAN);
    dynamic = (float*)(((uintptr_t)memory.data() + 63) / 64 * 64);
    body = kernel;
    gridDim = {x, y, 1}, blockDim = {threads, 1, 1};
    if (fibers.size() < threads) fibers.resize(threads);
    for (unsigned by = 0; by < y; by++) {
        for (unsigned bx = 0; bx < x; bx++) {
            blockIdx = {bx, by, 0};
            block_barrier = Barrier{0, threads, 0};
            for (unsigned warp = 0; warp < (threads + 31) / 32; warp++) warp_barriers[warp] = Barrier{0, std::min(32u, threads - 32 * warp), 0};
            for (unsigned i = 0; i < threads; i++) {
                Fiber& fiber = fibers[i];
                if (fiber.stack.empty()) fiber.stack.resize(1 << 16);
                fiber.thread = {i, 0, 0}, fiber.turn = 0, fiber.done = false;
                getcontext(&fiber.context);
                fiber.context.uc_stack.ss_sp = fiber.stack.data();
                fiber.context.uc_stack.ss_size = fiber.stack.size();
                fiber.context.uc_link = 0;
                makecontext(&fiber.context, enter, 0);
            }
            for (bool busy = true; busy;) {
                busy = false;
                for (current = 0; current < threads; current++) {
                    if (fibers[current].done) continue;
                    busy = true;
                    swapcontext(&scheduler, &fibers[current].context);
                }
            }
        }
    }
}

template <class... A, size_t... I> static void call_with(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
    kernel(*(A*)args[I]...);
}
template <class... A>
static void emulate(void (*kernel)(A...), void** args, unsigned count, unsigned x, unsigned y, unsigned threads, unsigned shared) {
    if (count != sizeof...(A)) abort();
    run_blocks(x, y, threads, shared, [=] { call_with(kernel, args, std::index_sequence_for<A...>{}); });
}
