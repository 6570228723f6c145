//! One dependency for all of Kexue.
