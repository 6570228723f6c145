//! What `kexue --version` says.

/// The optional features that this build has.
pub const FEATURES: &[&str] = &[
    #[cfg(feature = "burn")]
    "burn",
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "mpi")]
    "mpi",
    #[cfg(feature = "parquet")]
    "parquet",
];

/// Version, features and commit: `0.1.0 (features: parquet; commit 0123456789ab)`.
pub fn version() -> &'static str {
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| {
        let features = match FEATURES {
            [] => "none".to_owned(),
            features => features.join(", "),
        };
        let commit = match env!("KEXUE_COMMIT") {
            "" => String::new(),
            commit => format!("; commit {commit}"),
        };
        format!("{} (features: {features}{commit})", env!("CARGO_PKG_VERSION"))
    })
}
