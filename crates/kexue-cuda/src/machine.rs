//! The operations of a machine that the passes need: memory, kernels by name, matrix products.
//!
//! There are two machines: a GPU ([`CudaMachine`](crate::cuda::CudaMachine)), and in tests an emulator that compiles the kernels' source for the CPU, so
//! that everything except the GPU's instructions is tested without a GPU.

use crate::CudaError;

/// An address in the machine's memory; 0 for none.
pub(crate) type Address = u64;

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg {
    Address(Address),
    Word(u32),
    Long(u64),
    Float(f32),
}

impl From<u32> for Arg {
    fn from(word: u32) -> Self {
        Self::Word(word)
    }
}

impl From<usize> for Arg {
    /// Counts of rows and the like. Planning a batch bounds sizes far below 2³².
    fn from(count: usize) -> Self {
        Self::Word(count as u32)
    }
}

impl From<Address> for Arg {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<f32> for Arg {
    fn from(number: f32) -> Self {
        Self::Float(number)
    }
}

/// A launch of a kernel.
pub(crate) struct Launch<'a> {
    pub kernel: &'static str,
    pub grid: (usize, usize),
    pub threads: usize,
    /// Bytes of dynamic shared memory.
    pub shared: usize,
    pub args: &'a [Arg],
}

/// The number type of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Number {
    F32,
    Bf16,
}

impl Number {
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// A row-major matrix, or its transpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    pub at: Address,
    /// Distance between rows, in numbers.
    pub stride: usize,
    pub number: Number,
    pub transposed: bool,
}

impl Matrix {
    pub fn new(at: Address, stride: usize, number: Number) -> Self {
        Self {
            at,
            stride,
            number,
            transposed: false,
        }
    }

    pub fn t(self) -> Self {
        Self {
            transposed: !self.transposed,
            ..self
        }
    }
}

/// `out[m, n] = keep·out + factor·a[m, k]·b[k, n]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub out: Matrix,
    pub a: Matrix,
    pub b: Matrix,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub factor: f32,
    /// 0 or 1.
    pub keep: f32,
}

/// The index of a recording that can be replayed.
pub(crate) type Recording = usize;

/// A machine that computes. Work is done in the order of the calls; `download` and `synchronize` wait for it.
pub(crate) trait Machine: Send {
    /// The name of the machine.
    fn name(&self) -> String;

    /// Minimum number of blocks that run at the same time.
    fn multiprocessors(&self) -> usize;

    /// Allocates zeroed memory.
    fn allocate(&mut self, bytes: usize) -> Result<Address, CudaError>;

    /// Releases memory.
    fn release(&mut self, at: Address);

    /// Copies to the machine.
    fn upload(&mut self, at: Address, bytes: &[u8]) -> Result<(), CudaError>;

    /// Copies from the machine.
    fn download(&mut self, at: Address, bytes: &mut [u8]) -> Result<(), CudaError>;

    /// Sets bytes to 0.
    fn zero(&mut self, at: Address, bytes: usize) -> Result<(), CudaError>;

    /// Runs a kernel.
    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), CudaError>;

    /// Multiplies matrices.
    fn multiply(&mut self, product: &Product) -> Result<(), CudaError>;

    /// Waits for all work.
    fn synchronize(&mut self) -> Result<(), CudaError>;

    /// Whether work can be recorded.
    fn records(&self) -> bool {
        false
    }

    /// Starts to record work instead of executing it.
    fn begin_recording(&mut self) -> Result<(), CudaError> {
        Ok(())
    }

    /// Ends the recording.
    fn end_recording(&mut self) -> Result<Recording, CudaError> {
        Ok(0)
    }

    /// Replays a recording.
    fn play(&mut self, _recording: Recording) -> Result<(), CudaError> {
        Ok(())
    }

    /// Forgets all recordings.
    fn forget_recordings(&mut self) {}

    /// Starts or stops timing each kernel and product. Returns the milliseconds so far, by name.
    fn time_kernels(&mut self, _on: bool) -> Vec<(String, f32)> {
        Vec::new()
    }
}

/// Views numbers as bytes.
pub(crate) fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: plain numbers have no padding, and any bytes may be read.
    #[allow(unsafe_code)]
    unsafe {
        std::slice::from_raw_parts(values.as_ptr().cast(), std::mem::size_of_val(values))
    }
}

/// Views numbers as writable bytes.
pub(crate) fn bytes_of_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and all bit patterns are valid numbers.
    #[allow(unsafe_code)]
    unsafe {
        std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), std::mem::size_of_val(values))
    }
}

/// Numbers without padding for which all bit patterns are valid.
pub(crate) trait Plain {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u32 {}
