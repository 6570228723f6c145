//! How a block of a trie's nodes is laid out; [`Trie`](crate::Trie) says what it holds.

/// Nodes of a block.
pub(crate) const BLOCK_NODES: usize = 64;
/// Words at the start of a block.
pub(crate) const BITS: usize = 8;
/// The length of what is found by its place, and the bytes of the place.
pub(crate) const LONG: u8 = 255;
pub(crate) const SLOT: usize = 8;

/// How tails are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TailForm {
    /// By the lengths of those before.
    Lengths,
    /// By numbers of so many bits.
    Shared { start: u32, length: u32 },
}

/// What a block of nodes holds, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Whether labels take four bytes.
    pub wide: bool,
    pub payloads: bool,
    pub tails: TailForm,
}

impl Layout {
    pub fn to_word(self) -> u64 {
        let widths = match self.tails {
            TailForm::Lengths => 0,
            TailForm::Shared { start, length } => 4 | u64::from(start) << 8 | u64::from(length) << 16,
        };
        u64::from(self.wide) | u64::from(self.payloads) << 1 | widths
    }

    pub fn from_word(word: u64) -> Option<Self> {
        let (start, length) = ((word >> 8 & 0xff) as u32, (word >> 16 & 0xff) as u32);
        let layout = Self {
            wide: word & 1 == 1,
            payloads: word & 2 == 2,
            tails: match word & 4 {
                0 => TailForm::Lengths,
                _ => TailForm::Shared { start, length },
            },
        };
        (layout.to_word() == word && start <= 40 && length <= 24).then_some(layout)
    }

    #[inline]
    pub fn tail_length(self, place: usize) -> usize {
        8 * BITS + place
    }

    #[inline]
    pub fn payload_length(self, place: usize) -> usize {
        let tails = match self.tails {
            TailForm::Lengths => BLOCK_NODES,
            TailForm::Shared { .. } => 0,
        };
        8 * BITS + tails + place
    }

    #[inline]
    pub fn label_width(self) -> usize {
        if self.wide { 4 } else { 2 }
    }

    #[inline]
    pub fn label(self, place: usize) -> usize {
        let payloads = if self.payloads { BLOCK_NODES } else { 0 };
        self.payload_length(0) + payloads + place * self.label_width()
    }

    /// Bytes of a block.
    #[inline]
    pub fn block(self) -> usize {
        self.label(BLOCK_NODES)
    }
}

/// Where the number of first children stands in the word with the first child.
pub(crate) const FAMILIES: u32 = 48;
