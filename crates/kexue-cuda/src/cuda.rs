//! A GPU: driver, kernels, cuBLAS.

use crate::compile::compile;
use crate::machine::{Address, Arg, Launch, Machine, Number, Product, Recording};
use crate::{CudaError, Precision};
use cudarc::cublas::{result as blas, sys as blas_sys};
use cudarc::driver::result as driver;
use cudarc::driver::sys;
use std::collections::HashMap;
use std::ffi::{CString, c_void};

/// Size of cuBLAS's workspace, in bytes.
const WORKSPACE: usize = 64 << 20;

/// Shared memory that a kernel has by default, in bytes.
const PLAIN_SHARED: usize = 48 << 10;

/// A GPU before its libraries are loaded. Opening it is cheap; a [`CudaMachine`] computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gpu {
    device: sys::CUdevice,
    pub capability: (i32, i32),
    pub multiprocessors: usize,
}

fn failed(call: &'static str) -> impl FnOnce(driver::DriverError) -> CudaError {
    // Formatting the error calls the driver, which has been loaded.
    move |error| CudaError::call(call)(error.to_string())
}

fn blas_failed(call: &'static str) -> impl FnOnce(blas::CublasError) -> CudaError {
    move |error| CudaError::call(call)(error.to_string())
}

#[allow(unsafe_code)]
impl Gpu {
    /// Opens the GPU with this number.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        // SAFETY: only opens and closes the library.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::Library {
                library: "libcuda",
                hint: "this machine has no NVIDIA driver; compute on the CPU instead",
            });
        }
        driver::init().map_err(failed("cuInit"))?;
        let count = driver::device::get_count().map_err(failed("cuDeviceGetCount"))? as usize;
        if ordinal >= count {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let device = driver::device::get(ordinal as i32).map_err(failed("cuDeviceGet"))?;
        // SAFETY: the driver returned this device.
        let attribute = |which| unsafe { driver::device::get_attribute(device, which) };
        use sys::CUdevice_attribute as Attribute;
        let read = |which| attribute(which).map_err(failed("cuDeviceGetAttribute"));
        Ok(Self {
            device,
            capability: (
                read(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                read(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            multiprocessors: read(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize,
        })
    }

    /// The driver's name for it.
    pub fn name(&self) -> String {
        driver::device::get_name(self.device).unwrap_or_else(|_| "GPU".to_owned())
    }
}

struct Function {
    handle: sys::CUfunction,
    /// Shared memory that has been requested for it.
    shared: usize,
}

/// A GPU with the kernels of a program.
pub(crate) struct CudaMachine {
    gpu: Gpu,
    context: sys::CUcontext,
    stream: sys::CUstream,
    module: sys::CUmodule,
    functions: HashMap<&'static str, Function>,
    blas: blas_sys::cublasHandle_t,
    workspace: Address,
    compute: blas_sys::cublasComputeType_t,
    recordings: Vec<sys::CUgraphExec>,
    /// The timed work: a name, and events before and after it.
    timed: Option<Vec<(String, sys::CUevent, sys::CUevent)>>,
}

// SAFETY: handles of the driver and of cuBLAS may be used from any thread, but only one at a time, which `&mut self` ensures. The context is made
// current on the calling thread before each use.
#[allow(unsafe_code)]
unsafe impl Send for CudaMachine {}

#[allow(unsafe_code)]
impl CudaMachine {
    /// Compiles the kernels and prepares the libraries.
    pub fn new(gpu: Gpu, source: &str, precision: Precision) -> Result<Self, CudaError> {
        // SAFETY: only opens and closes the library.
        if !unsafe { blas_sys::is_culib_present() } {
            return Err(CudaError::Library {
                library: "libcublas",
                hint: "install the CUDA toolkit, or run `pip install nvidia-cuda-nvrtc nvidia-cublas` and add their folders to LD_LIBRARY_PATH",
            });
        }
        let code = compile(source, gpu.capability)?;
        use blas_sys::cublasComputeType_t as Compute;
        // SAFETY: each handle comes from the previous call, and `drop` releases each once, also where a later call fails. The code is an ELF file, which
        // contains its own length.
        unsafe {
            let mut machine = Self {
                gpu,
                context: driver::primary_ctx::retain(gpu.device).map_err(failed("cuDevicePrimaryCtxRetain"))?,
                stream: std::ptr::null_mut(),
                module: std::ptr::null_mut(),
                functions: HashMap::new(),
                blas: std::ptr::null_mut(),
                workspace: 0,
                compute: match precision {
                    Precision::F32 | Precision::Bf16 => Compute::CUBLAS_COMPUTE_32F,
                    Precision::Tf32 => Compute::CUBLAS_COMPUTE_32F_FAST_TF32,
                },
                recordings: Vec::new(),
                timed: None,
            };
            machine.enter()?;
            let stream = driver::stream::create(driver::stream::StreamKind::NonBlocking);
            machine.stream = stream.map_err(failed("cuStreamCreate"))?;
            let module = driver::module::load_data(code.as_ptr().cast());
            machine.module = module.map_err(failed("cuModuleLoadData"))?;
            machine.blas = blas::create_handle().map_err(blas_failed("cublasCreate"))?;
            blas::set_stream(machine.blas, machine.stream.cast()).map_err(blas_failed("cublasSetStream"))?;
            machine.workspace = driver::malloc_sync(WORKSPACE).map_err(failed("cuMemAlloc"))?;
            blas_sys::cublasSetWorkspace_v2(machine.blas, machine.workspace as *mut c_void, WORKSPACE)
                .result()
                .map_err(blas_failed("cublasSetWorkspace"))?;
            Ok(machine)
        }
    }

    /// Makes the context current on the calling thread.
    fn enter(&self) -> Result<(), CudaError> {
        // SAFETY: the context is retained until `drop`.
        unsafe { driver::ctx::set_current(self.context) }.map_err(failed("cuCtxSetCurrent"))
    }

    /// Records an event in the stream, if kernels are timed.
    fn mark(&self) -> Result<Option<sys::CUevent>, CudaError> {
        if self.timed.is_none() {
            return Ok(None);
        }
        let event = driver::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(failed("cuEventCreate"))?;
        // SAFETY: event and stream are live.
        unsafe { driver::event::record(event, self.stream) }.map_err(failed("cuEventRecord"))?;
        Ok(Some(event))
    }

    /// Records the name of the work since a mark.
    fn note(&mut self, begun: Option<sys::CUevent>, name: impl FnOnce() -> String) -> Result<(), CudaError> {
        if let (Some(begun), Some(ended)) = (begun, self.mark()?) {
            self.timed.get_or_insert_default().push((name(), begun, ended));
        }
        Ok(())
    }

    fn function(&mut self, name: &'static str, shared: usize) -> Result<sys::CUfunction, CudaError> {
        if !self.functions.contains_key(name) {
            let symbol =
                CString::new(name).map_err(|error| CudaError::call("cuModuleGetFunction")(error.to_string()))?;
            // SAFETY: the module is loaded until `drop`.
            let handle = unsafe { driver::module::get_function(self.module, symbol) };
            let handle = handle.map_err(failed("cuModuleGetFunction"))?;
            self.functions.insert(
                name,
                Function {
                    handle,
                    shared: PLAIN_SHARED,
                },
            );
        }
        let function = self.functions.get_mut(name).expect("inserted above");
        if shared > function.shared {
            use sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MOST_SHARED;
            // SAFETY: the function belongs to the loaded module.
            unsafe { driver::function::set_function_attribute(function.handle, MOST_SHARED, shared as i32) }
                .map_err(failed("cuFuncSetAttribute"))?;
            function.shared = shared;
        }
        Ok(function.handle)
    }
}

#[allow(unsafe_code)]
impl Machine for CudaMachine {
    fn name(&self) -> String {
        self.gpu.name()
    }

    fn multiprocessors(&self) -> usize {
        self.gpu.multiprocessors
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, CudaError> {
        self.enter()?;
        let bytes = bytes.max(256);
        // SAFETY: the memory is set before it is read, and released by `release`.
        let at = unsafe { driver::malloc_sync(bytes) };
        let at = at.map_err(|_| CudaError::Memory { wanted: bytes >> 20 })?;
        self.zero(at, bytes)?;
        Ok(at)
    }

    fn release(&mut self, at: Address) {
        if at != 0 && self.enter().is_ok() {
            self.synchronize().ok();
            // SAFETY: the callers release memory from `allocate`, once.
            unsafe { driver::free_sync(at) }.ok();
        }
    }

    fn upload(&mut self, at: Address, bytes: &[u8]) -> Result<(), CudaError> {
        self.enter()?;
        // SAFETY: the callers copy into memory that they allocated. The driver has read pageable memory when the call returns.
        unsafe { driver::memcpy_htod_async(at, bytes, self.stream) }.map_err(failed("cuMemcpyHtoD"))
    }

    fn download(&mut self, at: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        self.enter()?;
        // SAFETY: the callers copy from memory that they allocated, and the copy is complete when the method returns.
        unsafe { driver::memcpy_dtoh_async(bytes, at, self.stream) }.map_err(failed("cuMemcpyDtoH"))?;
        self.synchronize()
    }

    fn zero(&mut self, at: Address, bytes: usize) -> Result<(), CudaError> {
        self.enter()?;
        // SAFETY: the callers write into memory that they allocated.
        unsafe { driver::memset_d8_async(at, 0, bytes, self.stream) }.map_err(failed("cuMemsetD8"))
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), CudaError> {
        self.enter()?;
        let begun = self.mark()?;
        let function = self.function(launch.kernel, launch.shared)?;
        let mut words: Vec<u64> = Vec::with_capacity(launch.args.len());
        for arg in launch.args {
            // The argument is in the first bytes of each, because machines with GPUs are little-endian.
            words.push(match *arg {
                Arg::Address(address) => address,
                Arg::Long(long) => long,
                Arg::Word(word) => u64::from(word),
                Arg::Float(float) => u64::from(float.to_bits()),
            });
        }
        let mut args: Vec<*mut c_void> = words.iter_mut().map(|word| std::ptr::from_mut(word).cast()).collect();
        let (x, y) = launch.grid;
        // SAFETY: the arguments match the kernel's declaration (the tests run every kernel), and point to memory that the caller allocated.
        unsafe {
            driver::launch_kernel(
                function,
                (x as u32, y as u32, 1),
                (launch.threads as u32, 1, 1),
                launch.shared as u32,
                self.stream,
                &mut args,
            )
        }
        .map_err(failed(launch.kernel))?;
        self.note(begun, || launch.kernel.to_owned())
    }

    fn multiply(&mut self, product: &Product) -> Result<(), CudaError> {
        self.enter()?;
        let Product {
            out,
            a,
            b,
            m,
            n,
            k,
            factor,
            keep,
        } = *product;
        if m == 0 || n == 0 {
            return Ok(());
        }
        let begun = self.mark()?;
        let operation = |transposed| match transposed {
            true => blas_sys::cublasOperation_t::CUBLAS_OP_T,
            false => blas_sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let kind = |number| match number {
            Number::F32 => blas_sys::cudaDataType_t::CUDA_R_32F,
            Number::Bf16 => blas_sys::cudaDataType_t::CUDA_R_16BF,
        };
        // cuBLAS is column-major, so it computes the transposed product from the factors in reverse order.
        // SAFETY: the sizes are those of the matrices, which are in memory that the callers allocated.
        unsafe {
            blas::gemm_ex(
                self.blas,
                operation(b.transposed),
                operation(a.transposed),
                n as i32,
                m as i32,
                k as i32,
                std::ptr::from_ref(&factor).cast(),
                b.at as *const c_void,
                kind(b.number),
                b.stride as i32,
                a.at as *const c_void,
                kind(a.number),
                a.stride as i32,
                std::ptr::from_ref(&keep).cast(),
                out.at as *mut c_void,
                kind(out.number),
                out.stride as i32,
                self.compute,
                blas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(blas_failed("cublasGemmEx"))?;
        self.note(begun, || format!("product {m} x {n} x {k}"))
    }

    fn time_kernels(&mut self, on: bool) -> Vec<(String, f32)> {
        let timed = self.timed.take().unwrap_or_default();
        self.timed = on.then(Vec::new);
        self.synchronize().ok();
        let of = |(name, begun, ended)| {
            // SAFETY: the events are on the stream, which has been synchronised. Each is destroyed once.
            unsafe {
                let time = driver::event::elapsed(begun, ended).unwrap_or(f32::NAN);
                driver::event::destroy(begun).ok();
                driver::event::destroy(ended).ok();
                (name, time)
            }
        };
        timed.into_iter().map(of).collect()
    }

    fn synchronize(&mut self) -> Result<(), CudaError> {
        self.enter()?;
        // SAFETY: the stream lives until `drop`.
        unsafe { driver::stream::synchronize(self.stream) }.map_err(failed("cuStreamSynchronize"))
    }

    fn records(&self) -> bool {
        true
    }

    fn begin_recording(&mut self) -> Result<(), CudaError> {
        self.enter()?;
        use sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as MODE;
        // SAFETY: the stream lives until `drop`, and no recording is in progress.
        unsafe { driver::stream::begin_capture(self.stream, MODE) }.map_err(failed("cuStreamBeginCapture"))
    }

    fn end_recording(&mut self) -> Result<Recording, CudaError> {
        self.enter()?;
        // SAFETY: the stream is recording. The graph is destroyed after it is instantiated.
        unsafe {
            let graph = driver::stream::end_capture(self.stream).map_err(failed("cuStreamEndCapture"))?;
            let flags = std::mem::zeroed();
            let ready = driver::graph::instantiate(graph, flags).map_err(failed("cuGraphInstantiate"));
            driver::graph::destroy(graph).ok();
            self.recordings.push(ready?);
        }
        Ok(self.recordings.len() - 1)
    }

    fn play(&mut self, recording: Recording) -> Result<(), CudaError> {
        self.enter()?;
        // SAFETY: only `forget_recordings` destroys recordings, and the engine has none after it.
        unsafe { driver::graph::launch(self.recordings[recording], self.stream) }.map_err(failed("cuGraphLaunch"))
    }

    fn forget_recordings(&mut self) {
        if self.synchronize().is_ok() {
            for recording in self.recordings.drain(..) {
                // SAFETY: no recording is being replayed.
                unsafe { driver::graph::exec_destroy(recording) }.ok();
            }
        }
    }
}

#[allow(unsafe_code)]
impl Drop for CudaMachine {
    fn drop(&mut self) {
        self.forget_recordings();
        let workspace = self.workspace;
        self.release(workspace);
        // SAFETY: each handle is released once, and no work is running. Those that were never made are null.
        unsafe {
            if !self.blas.is_null() {
                blas::destroy_handle(self.blas).ok();
            }
            if !self.module.is_null() {
                driver::module::unload(self.module).ok();
            }
            if !self.stream.is_null() {
                driver::stream::destroy(self.stream).ok();
            }
            driver::primary_ctx::release(self.gpu.device).ok();
        }
    }
}
