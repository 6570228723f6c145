//! Bodies of requests to `kexue serve`: read, or refused with a message.
#![no_main]

use kexue_serve::{AskRequest, Fault, NewFacts, Pinning, Replacement, parse};
use libfuzzer_sys::fuzz_target;

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) {
    if let Err(fault) = parse::<T>(bytes) {
        assert!(matches!(fault, Fault::BadBody(_)));
        assert_eq!(fault.status().as_u16(), 400);
    }
}

fuzz_target!(|bytes: &[u8]| {
    read::<AskRequest>(bytes);
    read::<NewFacts>(bytes);
    read::<Replacement>(bytes);
    read::<Pinning>(bytes);
});
