//! Many beams in one call: their states are plain numbers, and what each may go on with is written as masks or lists.

use crate::index::{Error, Key, PrefixIndex, Result, Token};
use crate::trie::{Place, Trie};
use multiversion::multiversion;

/// Where a beam stands in a [`Trie`]: three numbers that mean nothing outside it.
///
/// States may be copied, stored in arrays and reordered like any numbers. Numbers that the trie has not given out get an error or some
/// answer, never a panic.
pub type BeamState = [i64; 3];

/// The state of a beam that no sequence begins like, or that has ended: it stays so whatever token follows.
pub const DEAD: BeamState = [-1; 3];

/// Beams whose memory is asked for side by side.
const AHEAD: usize = 64;

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
    #[inline(always)]
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
        step_all(self, states, tokens)
    }

    /// Moves a state as far as is known without reading the node that it comes to, and returns that node where there is one to read.
    #[inline(always)]
    fn begin(&self, state: &mut BeamState, token: i64) -> Result<Option<u64>> {
        let (Some(place), Ok(token)) = (self.place(state)?, Token::try_from(token)) else {
            *state = DEAD;
            return Ok(None);
        };
        if place.tail_left == 0 && place.node != 0 {
            let node = self.trie.child(&place, token)?;
            match node {
                Some(node) => self.trie.expect_head(node),
                None => *state = DEAD,
            }
            return Ok(node);
        }
        let next = self.trie.advance(&place, token)?;
        *state = next.as_ref().map_or(DEAD, pack);
        next.iter().for_each(|next| self.trie.expect_following(next));
        Ok(None)
    }

    /// The places of states, in order; those of the next ones are asked for what may follow.
    #[inline(always)]
    fn places(&self, states: &[BeamState]) -> impl Iterator<Item = Result<Option<Place>>> {
        let expect = |state: &BeamState| {
            if let Ok(Some(place)) = self.place(state) {
                self.trie.expect_following(&place);
            }
        };
        states.iter().take(AHEAD).for_each(expect);
        states.iter().enumerate().map(move |(beam, state)| {
            states.get(beam + AHEAD).into_iter().for_each(expect);
            self.place(state)
        })
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
    #[inline(always)]
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
        match words {
            0 => Ok(()),
            _ => fill_bits_of_all(self, states, words, masks),
        }
    }

    /// Fills masks of one byte a token, `vocabulary` bytes a beam: 1 where the token is allowed, else 0. Tokens beyond are left out.
    ///
    /// # Errors
    /// If `masks` is not `vocabulary` times as long as `states`, a state is foreign, or the trie is damaged.
    pub fn fill_bytes(&self, states: &[BeamState], vocabulary: usize, masks: &mut [u8]) -> Result<()> {
        same("bytes", masks.len(), "tokens of the beams", states.len() * vocabulary)?;
        match vocabulary {
            0 => Ok(()),
            _ => fill_bytes_of_all(self, states, vocabulary, masks),
        }
    }

    /// The mask that a place keeps ready made.
    #[inline(always)]
    fn dense(&self, place: &Place) -> Option<&[u8]> {
        match place.tail_left {
            0 => self.trie.masks.find(place.node).map(|mask| self.trie.masks.mask(mask)),
            _ => None,
        }
    }

    /// Calls `visit` with the end token, where it is allowed at this place.
    #[inline(always)]
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
        for (place, offset) in self.places(states).zip(&mut offsets[1..]) {
            self.each_allowed(place?.as_ref(), |token| match tokens.get_mut(count) {
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

// The loops over beams count bits and copy masks: they are compiled for the processors that have instructions for it, too. What they call is
// inlined, or it would be compiled without.

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn step_all(batch: &Batch<'_>, states: &mut [BeamState], tokens: &[i64]) -> Result<()> {
    let trie = batch.trie;
    // A beam waits for memory five times, one time after another. Beams wait side by side: each part is done of all before the next, and asks
    // for what the next part reads.
    let (mut nodes, mut heads) = ([None; AHEAD], [None; AHEAD]);
    for (states, tokens) in states.chunks_mut(AHEAD).zip(tokens.chunks(AHEAD)) {
        let (nodes, heads) = (&mut nodes[..states.len()], &mut heads[..states.len()]);
        for (state, &token) in states.iter().zip(tokens) {
            if let (Some(place), Ok(token)) = (batch.place(state)?, Token::try_from(token)) {
                trie.expect_child(&place, token);
            }
        }
        let mut any = false;
        for ((state, &token), node) in states.iter_mut().zip(tokens).zip(&mut *nodes) {
            *node = batch.begin(state, token)?;
            any |= node.is_some();
        }
        if !any {
            continue;
        }
        for (node, head) in nodes.iter().zip(&mut *heads) {
            *head = node.map(|node| trie.head(node)).transpose()?;
            head.iter().for_each(|head| trie.expect_family(head));
        }
        for head in heads.iter_mut().flatten() {
            trie.seek_family(head)?;
            trie.expect_children(head);
        }
        for (state, head) in states.iter_mut().zip(&*heads) {
            if let Some(head) = head {
                let place = trie.place_of(head)?;
                trie.expect_following(&place);
                *state = pack(&place);
            }
        }
    }
    Ok(())
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn fill_bits_of_all(batch: &Batch<'_>, states: &[BeamState], words: usize, masks: &mut [i32]) -> Result<()> {
    for (place, row) in batch.places(states).zip(masks.chunks_exact_mut(words)) {
        let place = place?;
        if let Some(mask) = place.as_ref().and_then(|place| batch.dense(place)) {
            let mask = mask.as_chunks::<4>().0;
            let (whole, beyond) = row.split_at_mut(mask.len().min(words));
            for (word, &bytes) in whole.iter_mut().zip(mask) {
                *word = i32::from_le_bytes(bytes);
            }
            beyond.fill(0);
            batch.with_end(place.as_ref(), |end| set_bit(row, end));
        } else {
            row.fill(0);
            batch.each_allowed(place.as_ref(), |token| set_bit(row, token))?;
        }
    }
    Ok(())
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn fill_bytes_of_all(batch: &Batch<'_>, states: &[BeamState], vocabulary: usize, masks: &mut [u8]) -> Result<()> {
    for (place, row) in batch.places(states).zip(masks.chunks_exact_mut(vocabulary)) {
        let place = place?;
        if let Some(mask) = place.as_ref().and_then(|place| batch.dense(place)) {
            let filled = unpack_bits(mask, row);
            row[filled..].fill(0);
            batch.with_end(place.as_ref(), |end| set_byte(row, end));
        } else {
            row.fill(0);
            batch.each_allowed(place.as_ref(), |token| set_byte(row, token))?;
        }
    }
    Ok(())
}

#[inline(always)]
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
#[inline(always)]
fn unpack_bits(bits: &[u8], bytes: &mut [u8]) -> usize {
    let filled = bytes.len().min(8 * bits.len());
    let (whole, rest) = bytes[..filled].as_chunks_mut::<8>();
    for (bytes, &bits) in whole.iter_mut().zip(bits) {
        *bytes = SPREAD[usize::from(bits)];
    }
    if let Some(&bits) = bits.get(whole.len()) {
        rest.copy_from_slice(&SPREAD[usize::from(bits)][..rest.len()]);
    }
    filled
}

/// The eight bits of each byte as eight bytes, the lowest first.
static SPREAD: [[u8; 8]; 256] = {
    let mut spread = [[0; 8]; 256];
    let mut bits = 0;
    while bits < 8 * 256 {
        spread[bits / 8][bits % 8] = ((bits / 8) >> (bits % 8) & 1) as u8;
        bits += 1;
    }
    spread
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_bytes() {
        for bits in 0..=255u8 {
            let expected: Vec<u8> = (0..8).map(|bit| bits >> bit & 1).collect();
            assert_eq!(SPREAD[usize::from(bits)], expected.as_slice());
            let mut bytes = [9; 13];
            assert_eq!(unpack_bits(&[bits, bits], &mut bytes), 13);
            assert_eq!(bytes[8..], expected[..5]);
        }
    }
}
