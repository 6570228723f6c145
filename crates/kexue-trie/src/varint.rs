//! Variable-length integers: seven bits a byte, the lowest first, the high bit set on all bytes but the last.

/// Appends `value`.
pub fn write_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads a value at `*at` and moves behind it; `None` beyond the end or where the value does not fit 64 bits.
#[inline]
pub fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(values in proptest::collection::vec(any::<u64>().prop_flat_map(|value| (0u32..64).prop_map(move |shift| value >> shift)), 0..20)) {
            let mut bytes = Vec::new();
            for &value in &values {
                write_varint(value, &mut bytes);
            }
            let mut at = 0;
            for &value in &values {
                prop_assert_eq!(read_varint(&bytes, &mut at), Some(value));
            }
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(read_varint(&bytes, &mut at), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut at = 0;
            while read_varint(&bytes, &mut at).is_some() {}
            prop_assert!(at <= bytes.len());
        }
    }
}
