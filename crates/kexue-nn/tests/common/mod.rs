//! Helpers for comparisons with the numbers of `benches/peers/nn`.

/// Numbers within −1 and 1: SplitMix64's finisher applied to a counter.
pub fn uniform(stream: usize, count: usize) -> impl Iterator<Item = f64> {
    (0..count as u64).map(move |i| {
        let mut z = ((stream as u64) << 32)
            .wrapping_add(i + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 44) as f64 / f64::from(1 << 19) - 1.0
    })
}

/// Checks that each element is within `tolerance` times the larger of 1 and the largest element.
pub fn close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1.0f64, |size, x| size.max(x.abs()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(
            difference < tolerance * size,
            "{what}[{i}]: {found}, expected {expected}"
        );
    }
}
