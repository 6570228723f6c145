//! A sample of the objects, for training the compression dictionary.

/// Maximum size of the sample. If there is enough text, at least half of it is filled.
const TARGET: usize = 4 << 20;

/// Objects spread evenly over a stream of unknown length.
///
/// An object is kept if the hash of its triple's number is below a bound, which is halved when the sample is too large. The sample depends only on
/// the stream.
#[derive(Debug)]
pub(crate) struct Sample {
    kept: Vec<(u64, u32)>,
    text: Vec<u8>,
    bound: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            text: Vec::new(),
            bound: u64::MAX,
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(number: u64) -> u64 {
    let mut hash = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

impl Sample {
    /// Considers the object of triple `number`.
    pub fn offer(&mut self, number: u64, object: &[u8]) {
        let hash = mix(number);
        if hash >= self.bound || object.len() > TARGET / 64 {
            return;
        }
        self.kept.push((hash, object.len() as u32));
        self.text.extend_from_slice(object);
        while self.text.len() > TARGET {
            self.bound /= 2;
            let (mut read, mut write) = (0, 0);
            self.kept.retain(|&(hash, length)| {
                let length = length as usize;
                let keep = hash < self.bound;
                if keep {
                    self.text.copy_within(read..read + length, write);
                    write += length;
                }
                read += length;
                keep
            });
            self.text.truncate(write);
        }
    }

    /// The text of the sampled objects, in order.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}
