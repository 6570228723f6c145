//! The kernels compiled for the CPU, so that the passes can be tested without a GPU.

use crate::CudaError;
use crate::machine::{Address, Arg, Launch, Machine, Matrix, Number, Product};
use std::collections::HashMap;
use std::ffi::c_void;
use std::process::Command;

type Kernel = unsafe extern "C" fn(*mut *mut c_void, u32, u32, u32, u32, u32);

/// A machine that uses the memory of the CPU.
pub(crate) struct Emulator {
    library: libloading::Library,
    _folder: tempfile::TempDir,
    blocks: HashMap<Address, Vec<u64>>,
}

impl Emulator {
    /// Compiles a source; `None` if there is no C++ compiler.
    pub fn new(source: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut text = include_str!("kernels/emulator.hpp").to_owned() + source;
        for part in source.split("extern \"C\" __global__ void").skip(1) {
            let part = match part.trim_start().strip_prefix("__launch_bounds__(") {
                Some(rest) => rest.split_once(')').unwrap().1,
                None => part,
            };
            let name = part.split('(').next().unwrap().trim();
            text += &format!(
                "extern \"C\" void emulate_{name}(void** args, unsigned count, unsigned x, unsigned y, unsigned threads, unsigned shared) {{ \
                 emulate({name}, args, count, x, y, threads, shared); }}\n"
            );
        }
        let (path, out) = (folder.path().join("kernels.cpp"), folder.path().join("kernels.so"));
        std::fs::write(&path, text).unwrap();
        let compiled = Command::new("c++")
            .args([
                "-std=c++17",
                "-O1",
                "-fno-strict-aliasing",
                "-w",
                "-shared",
                "-fPIC",
                "-o",
            ])
            .args([&out, &path])
            .output()
            .ok()?;
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        #[allow(unsafe_code)]
        // SAFETY: the library was compiled above.
        let library = unsafe { libloading::Library::new(&out) }.unwrap();
        Some(Self {
            library,
            _folder: folder,
            blocks: HashMap::new(),
        })
    }
}

#[allow(unsafe_code)]
fn read(matrix: &Matrix, row: usize, column: usize) -> f32 {
    let (row, column) = if matrix.transposed {
        (column, row)
    } else {
        (row, column)
    };
    let index = row * matrix.stride + column;
    // SAFETY: the matrices of the engine's products are in its memory.
    unsafe {
        match matrix.number {
            Number::F32 => *(matrix.at as *const f32).add(index),
            Number::Bf16 => f32::from_bits(u32::from(*(matrix.at as *const u16).add(index)) << 16),
        }
    }
}

#[allow(unsafe_code)]
impl Machine for Emulator {
    fn name(&self) -> String {
        "emulator".to_owned()
    }

    fn multiprocessors(&self) -> usize {
        2
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, CudaError> {
        let block = vec![0u64; bytes.div_ceil(8) + 32];
        let at = (block.as_ptr() as u64).next_multiple_of(256);
        self.blocks.insert(at, block);
        Ok(at)
    }

    fn release(&mut self, at: Address) {
        assert!(at == 0 || self.blocks.remove(&at).is_some());
    }

    fn upload(&mut self, at: Address, bytes: &[u8]) -> Result<(), CudaError> {
        // SAFETY: the engine copies into its memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
        Ok(())
    }

    fn download(&mut self, at: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(at as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn zero(&mut self, at: Address, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: as above.
        unsafe { std::ptr::write_bytes(at as *mut u8, 0, bytes) };
        Ok(())
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), CudaError> {
        let mut words: Vec<u64> = launch
            .args
            .iter()
            .map(|arg| match *arg {
                Arg::Address(address) => address,
                Arg::Long(long) => long,
                Arg::Word(word) => u64::from(word),
                Arg::Float(float) => u64::from(float.to_bits()),
            })
            .collect();
        let mut args: Vec<*mut c_void> = words.iter_mut().map(|word| std::ptr::from_mut(word).cast()).collect();
        let (x, y) = launch.grid;
        // SAFETY: the wrapper that `new` wrote has this type.
        unsafe {
            let kernel = self
                .library
                .get::<Kernel>(format!("emulate_{}", launch.kernel).as_bytes());
            kernel.unwrap()(
                args.as_mut_ptr(),
                args.len() as u32,
                x as u32,
                y as u32,
                launch.threads as u32,
                launch.shared as u32,
            );
        }
        Ok(())
    }

    fn multiply(&mut self, product: &Product) -> Result<(), CudaError> {
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
        for row in 0..m {
            for column in 0..n {
                let sum: f64 = (0..k)
                    .map(|i| f64::from(read(&a, row, i)) * f64::from(read(&b, i, column)))
                    .sum();
                let old = if keep == 0.0 {
                    0.0
                } else {
                    keep * read(&out, row, column)
                };
                let new = old + factor * sum as f32;
                let index = row * out.stride + column;
                // SAFETY: as above.
                unsafe {
                    match out.number {
                        Number::F32 => *(out.at as *mut f32).add(index) = new,
                        Number::Bf16 => {
                            let bits = new.to_bits();
                            *(out.at as *mut u16).add(index) = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), CudaError> {
        Ok(())
    }
}
