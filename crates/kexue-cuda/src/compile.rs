//! Compilation of the kernels at run time, once for each model and GPU. The machine code is stored in the user's cache.

use crate::CudaError;
use cudarc::nvrtc::{result, sys};
use kexue_output::write_file;
use std::ffi::CString;
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_128;

/// Compiles `source` to machine code for a GPU of compute capability `major.minor`, or reads it from the cache.
///
/// # Errors
/// If NVRTC is missing, or the source does not compile.
pub(crate) fn compile(source: &str, (major, minor): (i32, i32)) -> Result<Vec<u8>, CudaError> {
    let cached = cache(source, (major, minor));
    if let Some(code) = cached.as_ref().and_then(|path| std::fs::read(path).ok()) {
        // If it is an ELF file, it is complete, because files are written atomically.
        if code.starts_with(b"\x7fELF") {
            return Ok(code);
        }
    }
    let code = compile_anew(source, (major, minor))?;
    if let Some(path) = cached {
        // If it cannot be cached, it is compiled again the next time.
        let folder = path.parent().map(std::fs::create_dir_all);
        if folder.is_some_and(|made| made.is_ok()) {
            write_file(&path, &code).ok();
        }
    }
    Ok(code)
}

/// The path of the machine code in the cache, `$XDG_CACHE_HOME/kexue` or `~/.cache/kexue`.
fn cache(source: &str, (major, minor): (i32, i32)) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    let hash = xxh3_128(source.as_bytes());
    Some(
        base.join("kexue")
            .join(format!("kernels-{hash:032x}-sm{major}{minor}.cubin")),
    )
}

/// Whether NVRTC is installed.
pub(crate) fn is_there() -> bool {
    // SAFETY: only opens and closes the library.
    #[allow(unsafe_code)]
    unsafe {
        sys::is_culib_present()
    }
}

#[allow(unsafe_code)]
pub(crate) fn compile_anew(source: &str, (major, minor): (i32, i32)) -> Result<Vec<u8>, CudaError> {
    if !is_there() {
        return Err(CudaError::Library {
            library: "libnvrtc",
            hint: "install the CUDA toolkit, or run `pip install nvidia-cuda-nvrtc nvidia-cublas` and add their folders to LD_LIBRARY_PATH",
        });
    }
    let failed = |call| move |error: result::NvrtcError| CudaError::call(call)(error.to_string());
    let text = CString::new(source).map_err(|error| CudaError::Compile(error.to_string()))?;
    let program = result::create_program(&text, Some(c"kexue.cu")).map_err(failed("nvrtcCreateProgram"))?;
    let options = [
        format!("--gpu-architecture=sm_{major}{minor}"),
        "--std=c++17".to_owned(),
        "--extra-device-vectorization".to_owned(),
    ];
    // SAFETY: the program was created above and is destroyed below, after its last use. The sizes are those that NVRTC returned.
    unsafe {
        let compiled = result::compile_program(program, &options);
        let code = match compiled {
            Err(_) => {
                let log = result::get_program_log(program).unwrap_or_default();
                let log: Vec<u8> = log.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
                Err(CudaError::Compile(String::from_utf8_lossy(&log).into_owned()))
            }
            Ok(()) => {
                let mut size = 0;
                let sized = sys::nvrtcGetCUBINSize(program, &mut size).result();
                let mut code = vec![0u8; size];
                sized
                    .and_then(|()| sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result())
                    .map(|()| code)
                    .map_err(failed("nvrtcGetCUBIN"))
            }
        };
        result::destroy_program(program).ok();
        code
    }
}
