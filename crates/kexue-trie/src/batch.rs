//! Many beams in one call: their states are plain numbers, and what each may go on with is written as masks or lists.

use crate::index::{Error, Key, PrefixIndex, Result, Token};
use crate::trie::{Place, Trie};

/// Where a beam stands in a [`Trie`]: three numbers that mean nothing outside it.
///
/// States may be copied, stored in arrays and reordered like any numbers. Numbers that the trie has not given out get an error or some
/// answer, never a panic.
pub type BeamState = [i64; 3];

/// The state of a beam that no sequence begins like, or that has ended: it stays so whatever token follows.
pub const DEAD: BeamState = [-1; 3];

/// Beams whose memory is asked for side by side.
const AHEAD: usize = 64;

/// What is known of a step.
#[derive(Clone, Copy)]
enum Step {
    Known(BeamState),
    /// It leads to this node, whose place is still to be read.
    To(u64),
}

/// Steps and masks for a batch of beams.
///
/// With an *end token*, a sequence that is complete may be followed by it: it is allowed at the ends of sequences, after it a beam is [`DEAD`],
/// and a dead beam is allowed nothing else, so that no beam is ever without a choice. Without one, the sequences hold all tokens that are ever
/// allowed, and a dead beam is allowed nothing.
///
/// ```
/// use kexue_trie::{Batch, DEAD, Trie};
///
/// let trie = Trie::from_sequences([vec![7, 1], vec![7, 2, 3], vec![8]])?;
/// let batch = Batch::new(&trie, Some(0));
/// let mut states = [batch.root(); 2];
/// batch.step(&mut states, &[7, 8])?;
/// let mut masks = [0; 2]; // one word of 32 tokens each
/// batch.fill_bits(&states, 1, &mut masks)?;
/// assert_eq!(masks, [1 << 1 | 1 << 2, 1 << 0]); // 1 or 2 after 7, the end token after 8
/// batch.step(&mut states, &[1, 0])?;
/// assert_eq!(states[1], DEAD); // it has ended
/// # Ok::<(), kexue_trie::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    trie: &'a Trie,
    end: Option<Token>,
}

impl<'a> Batch<'a> {
    /// Beams in `trie`, whose complete sequences are followed by `end`.
    pub fn new(trie: &'a Trie, end: Option<Token>) -> Self {
        Self { trie, end }
    }

    /// The state before the first token.
    #[inline]
    pub fn root(&self) -> BeamState {
        match self.trie.is_empty() {
            true => DEAD,
            false => pack(&self.trie.root_place()),
        }
    }

    /// The place of a state, none where it is dead.
    #[inline]
    fn place(&self, state: &BeamState) -> Result<Option<Place>> {
        match *state == DEAD {
            true => Ok(None),
            false => self.trie.checked(state.map(|word| word as u64)).map(Some),
        }
    }

    /// Moves each state behind its token. A token that is not allowed, a negative one and the end token make it [`DEAD`].
    ///
    /// # Errors
    /// If there are not as many tokens as states, a state is foreign, or the trie is damaged.
    pub fn step(&self, states: &mut [BeamState], tokens: &[i64]) -> Result<()> {
        same("tokens", tokens.len(), "states", states.len())?;
        // A beam waits for memory four times, one time after another. Beams wait side by side: each part is begun for all before the next.
        let mut steps = [Step::Known(DEAD); AHEAD];
        for (states, tokens) in states.chunks_mut(AHEAD).zip(tokens.chunks(AHEAD)) {
            self.expect(states)?;
            for ((state, &token), step) in states.iter().zip(tokens).zip(&mut steps) {
                *step = match (self.place(state)?, Token::try_from(token)) {
                    (Some(place), Ok(token)) => self.begin(&place, token)?,
                    _ => Step::Known(DEAD),
                };
            }
            for expect in [Trie::expect_family, Trie::expect_children] {
                for step in &steps[..states.len()] {
                    if let Step::To(node) = *step {
                        expect(self.trie, node);
                    }
                }
            }
            for (state, step) in states.iter_mut().zip(&steps) {
                *state = match *step {
                    Step::Known(state) => state,
                    Step::To(node) => {
                        let place = self.trie.read_place(node)?;
                        self.trie.expect_following(&place);
                        pack(&place)
                    }
                };
            }
        }
        Ok(())
    }

    #[inline]
    fn begin(&self, place: &Place, token: Token) -> Result<Step> {
        if place.tail_left > 0 || place.node == 0 {
            let next = self.trie.advance(place, token)?;
            return Ok(Step::Known(next.as_ref().map_or(DEAD, pack)));
        }
        let Some(node) = self.trie.child(place, token)? else {
            return Ok(Step::Known(DEAD));
        };
        self.trie.expect_node(node);
        Ok(Step::To(node))
    }

    /// Asks for the memory that says what may follow each state.
    #[inline]
    fn expect(&self, states: &[BeamState]) -> Result<()> {
        for state in states {
            if let Some(place) = self.place(state)? {
                self.trie.expect_following(&place);
            }
        }
        Ok(())
    }

    /// The state after all these tokens, from the root on.
    ///
    /// # Errors
    /// If the trie is damaged.
    pub fn walk(&self, tokens: &[i64]) -> Result<BeamState> {
        if self.trie.is_empty() {
            return Ok(DEAD);
        }
        let mut place = self.trie.root_place();
        for &token in tokens {
            let next = match Token::try_from(token) {
                Ok(token) => self.trie.advance(&place, token)?,
                Err(_) => None,
            };
            match next {
                Some(next) => place = next,
                None => return Ok(DEAD),
            }
        }
        Ok(pack(&place))
    }

    /// Calls `visit` with each token that is allowed, in order.
    #[inline]
    fn each_allowed(&self, place: Option<&Place>, mut visit: impl FnMut(Token)) -> Result<()> {
        let Some(place) = place else {
            self.end.into_iter().for_each(visit);
            return Ok(());
        };
        if place.tail_left > 0 {
            visit(self.trie.next_of_tail(place)?);
            return Ok(());
        }
        let mut end = self.end.filter(|_| place.terminal);
        if end.is_none() {
            return self.trie.each_label(place, visit);
        }
        self.trie.each_label(place, |token| {
            match end {
                Some(ending) if ending < token => visit(ending),
                Some(ending) if ending > token => return visit(token),
                _ => {}
            }
            end = None;
            visit(token);
        })?;
        end.into_iter().for_each(visit);
        Ok(())
    }

    /// Fills bit masks, `words` numbers a beam: bit `t % 32` of number `t / 32` is set where token `t` is allowed. Tokens beyond are left out.
    ///
    /// # Errors
    /// If `masks` is not `words` times as long as `states`, a state is foreign, or the trie is damaged.
    pub fn fill_bits(&self, states: &[BeamState], words: usize, masks: &mut [i32]) -> Result<()> {
        same("numbers", masks.len(), "words of the beams", states.len() * words)?;
        if words == 0 {
            return Ok(());
        }
        self.expect(states)?;
        for (state, row) in states.iter().zip(masks.chunks_exact_mut(words)) {
            let place = self.place(state)?;
            if let Some(mask) = place.as_ref().and_then(|place| self.dense(place)) {
                let mask = mask.as_chunks::<4>().0;
                let (whole, beyond) = row.split_at_mut(mask.len().min(words));
                for (word, &bytes) in whole.iter_mut().zip(mask) {
                    *word = i32::from_le_bytes(bytes);
                }
                beyond.fill(0);
                self.with_end(place.as_ref(), |end| set_bit(row, end));
            } else {
                row.fill(0);
                self.each_allowed(place.as_ref(), |token| set_bit(row, token))?;
            }
        }
        Ok(())
    }

    /// Fills masks of one byte a token, `vocabulary` bytes a beam: 1 where the token is allowed, else 0. Tokens beyond are left out.
    ///
    /// # Errors
    /// If `masks` is not `vocabulary` times as long as `states`, a state is foreign, or the trie is damaged.
    pub fn fill_bytes(&self, states: &[BeamState], vocabulary: usize, masks: &mut [u8]) -> Result<()> {
        same("bytes", masks.len(), "tokens of the beams", states.len() * vocabulary)?;
        if vocabulary == 0 {
            return Ok(());
        }
        self.expect(states)?;
        for (state, row) in states.iter().zip(masks.chunks_exact_mut(vocabulary)) {
            let place = self.place(state)?;
            if let Some(mask) = place.as_ref().and_then(|place| self.dense(place)) {
                let filled = unpack_bits(mask, row);
                row[filled..].fill(0);
                self.with_end(place.as_ref(), |end| set_byte(row, end));
            } else {
                row.fill(0);
                self.each_allowed(place.as_ref(), |token| set_byte(row, token))?;
            }
        }
        Ok(())
    }

    /// The mask that a place keeps ready made.
    #[inline]
    fn dense(&self, place: &Place) -> Option<&[u8]> {
        match place.tail_left {
            0 => self.trie.masks.find(place.node).map(|mask| self.trie.masks.mask(mask)),
            _ => None,
        }
    }

    /// Calls `visit` with the end token, where it is allowed at this place.
    #[inline]
    fn with_end(&self, place: Option<&Place>, visit: impl FnOnce(Token)) {
        if let (Some(end), Some(true)) = (self.end, place.map(Place::ends_key)) {
            visit(end);
        }
    }

    /// How many tokens [`lists`](Self::lists) will write.
    ///
    /// # Errors
    /// If a state is foreign.
    pub fn listed(&self, states: &[BeamState]) -> Result<usize> {
        let mut sum = 0;
        for state in states {
            sum += match self.place(state)? {
                None => usize::from(self.end.is_some()),
                Some(place) if place.tail_left > 0 => 1,
                // One too many where the end token is among the children too.
                Some(place) => place.degree as usize + usize::from(self.end.is_some() && place.terminal),
            };
        }
        Ok(sum)
    }

    /// Writes the allowed tokens of all beams one after another, those of each ascending: those of beam `b` are `tokens[offsets[b]..offsets[b + 1]]`.
    /// Returns their number.
    ///
    /// # Errors
    /// If `offsets` is not one longer than `states`, or `tokens` is shorter than [`listed`](Self::listed) says; if a state is foreign, or the
    /// trie is damaged.
    pub fn lists(&self, states: &[BeamState], offsets: &mut [i64], tokens: &mut [i64]) -> Result<usize> {
        same("offsets", offsets.len(), "states and one", states.len() + 1)?;
        let (mut count, mut missing) = (0, false);
        offsets[0] = 0;
        self.expect(states)?;
        for (state, offset) in states.iter().zip(&mut offsets[1..]) {
            self.each_allowed(self.place(state)?.as_ref(), |token| match tokens.get_mut(count) {
                Some(slot) => {
                    *slot = i64::from(token);
                    count += 1;
                }
                None => missing = true,
            })?;
            *offset = count as i64;
        }
        match missing {
            true => Err(Error::Batch("there is no room for all allowed tokens".into())),
            false => Ok(count),
        }
    }

    /// Writes the key that ends where each beam stands, or -1.
    ///
    /// # Errors
    /// If there are not as many keys as states, a state is foreign, or the trie is damaged.
    pub fn keys(&self, states: &[BeamState], keys: &mut [i64]) -> Result<()> {
        same("keys", keys.len(), "states", states.len())?;
        for (state, key) in states.iter().zip(keys) {
            *key = match self.place(state)? {
                Some(place) if place.ends_key() => key_number(self.trie.first_key(place.node)?),
                _ => -1,
            };
        }
        Ok(())
    }

    /// Writes how many keys begin as each beam does.
    ///
    /// # Errors
    /// If there are not as many counts as states, a state is foreign, or the trie is damaged.
    pub fn counts(&self, states: &[BeamState], counts: &mut [i64]) -> Result<()> {
        same("counts", counts.len(), "states", states.len())?;
        for (state, count) in states.iter().zip(counts) {
            *count = match self.place(state)? {
                Some(place) => key_number(self.trie.count_at(&place)?),
                None => 0,
            };
        }
        Ok(())
    }
}

fn pack(place: &Place) -> BeamState {
    place.pack().map(|word| word as i64)
}

fn key_number(key: Key) -> i64 {
    i64::try_from(key).unwrap_or(i64::MAX)
}

fn same(what: &str, found: usize, of: &str, expected: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Batch(format!("{found} {what} were given for {expected} {of}"))),
    }
}

#[inline]
fn set_bit(row: &mut [i32], token: Token) {
    if let Some(word) = row.get_mut(token as usize / 32) {
        *word |= 1 << (token % 32);
    }
}

#[inline]
fn set_byte(row: &mut [u8], token: Token) {
    if let Some(allowed) = row.get_mut(token as usize) {
        *allowed = 1;
    }
}

/// Writes a byte for each bit, as many as there is room for; returns their number.
#[inline]
fn unpack_bits(bits: &[u8], bytes: &mut [u8]) -> usize {
    let filled = bytes.len().min(8 * bits.len());
    let (whole, rest) = bytes[..filled].as_chunks_mut::<8>();
    for (bytes, &bits) in whole.iter_mut().zip(bits) {
        *bytes = spread(bits).to_le_bytes();
    }
    if let Some(&bits) = bits.get(whole.len()) {
        rest.copy_from_slice(&spread(bits).to_le_bytes()[..rest.len()]);
    }
    filled
}

/// The eight bits of a byte as the eight bytes of a word, the lowest first.
#[inline]
fn spread(bits: u8) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const OWN: u64 = 0x8040_2010_0804_0201;
    // A byte that is not zero carries into its highest bit, and no further.
    (((u64::from(bits) * EACH) & OWN) + 0x7f * EACH) >> 7 & EACH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_bytes() {
        for bits in 0..=255u8 {
            let expected: Vec<u8> = (0..8).map(|bit| bits >> bit & 1).collect();
            assert_eq!(spread(bits).to_le_bytes(), expected.as_slice());
            let mut bytes = [9; 13];
            assert_eq!(unpack_bits(&[bits, bits], &mut bytes), 13);
            assert_eq!(bytes[8..], expected[..5]);
        }
    }
}
