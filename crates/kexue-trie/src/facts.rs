//! The prefix index of a knowledge graph: keys `subject SEP relation SEP sense SEP`, packed.
//!
//! A plain trie repeats the relations of every subject. Here only the subjects are a trie; each subject has a row that lists its facts by
//! numbers into two dictionaries, of relations and of senses (`rows.rs` says how).
//!
//! The facts of a subject are numbered in the order of their keys, and those below a prefix follow each other: a handle below a subject is the
//! subject, a range of its facts, and how many tokens of the current part they share.

use crate::container::Container;
use crate::fact_order::FactOrder;
use crate::facts_builder::PREFIX;
use crate::index::{Allowed, Error, Handle, Key, PrefixIndex, Result, Token};
use crate::rows::read_relation;
use crate::texts::{Codes, Texts};
use crate::trie::{Bound, Place, Trie};
use crate::varint::read_varint;
use std::cell::Cell;
use std::ops::{ControlFlow, Range};

/// A fact as the two numbers that its key consists of, in the index's order.
type Pair = (u32, u32);

thread_local! {
    /// Memory for the facts of a subject, kept between calls. It is taken out while in use, so that a visitor may ask the index again.
    static PAIRS: Cell<Vec<Pair>> = const { Cell::new(Vec::new()) };
}

fn with_pairs<T>(use_pairs: impl FnOnce(&mut Vec<Pair>) -> Result<T>) -> Result<T> {
    let mut pairs = PAIRS.take();
    let result = use_pairs(&mut pairs);
    PAIRS.set(pairs);
    result
}

/// The prefix index of a knowledge graph.
#[derive(Clone, Debug)]
pub struct FactIndex {
    order: FactOrder,
    separator: Token,
    relations: Texts,
    senses: Texts,
    /// The subjects; their payloads are the rows.
    subjects: Trie,
}

fn damaged(what: &str) -> Error {
    Error::Damaged(what.into())
}

/// A place below a subject: facts `first..last` of it share `depth` tokens of part `part` (1, 2, or 3 behind the last separator).
#[derive(Clone, Copy, Debug)]
struct Below {
    part: u64,
    depth: u64,
    /// The node where the subject ends.
    node: u64,
    first: u32,
    last: u32,
    /// Where the subject's row starts.
    row: u64,
}

impl Below {
    fn pack(self) -> Handle {
        // Behind the last separator the row is not asked any more.
        let row = if self.part == 3 { 0 } else { self.row };
        Handle(
            [
                self.part | self.depth << 3 | self.node << 24,
                u64::from(self.first) << 32 | u64::from(self.last),
                row,
            ],
            0,
        )
    }

    fn unpack(words: [u64; 3]) -> Self {
        Self {
            part: words[0] & 3,
            depth: words[0] >> 3 & ((1 << 21) - 1),
            node: words[0] >> 24,
            first: (words[1] >> 32) as u32,
            last: words[1] as u32,
            row: words[2],
        }
    }
}

/// A place below a subject with one fact left: what follows stands in a dictionary, and the row is not read again.
#[derive(Clone, Copy, Debug)]
struct Single {
    /// 1 or 2.
    part: u64,
    node: u64,
    fact: u32,
    /// In part 1, the number of the fact's part 2.
    second: u32,
    /// Where the codes of what is left of the part stand, and how many bytes they take.
    at: u64,
    left: u64,
}

const SINGLE: u64 = 4;

impl Single {
    fn pack(self) -> Handle {
        Handle(
            [
                self.part | SINGLE | self.node << 24,
                u64::from(self.fact) << 32 | u64::from(self.second),
                self.at << 24 | self.left,
            ],
            0,
        )
    }

    fn unpack(words: [u64; 3]) -> Self {
        Self {
            part: words[0] & 3,
            node: words[0] >> 24,
            fact: (words[1] >> 32) as u32,
            second: words[1] as u32,
            at: words[2] >> 24,
            left: words[2] & ((1 << 24) - 1),
        }
    }
}

enum Position {
    Trie(Place),
    Below(Below),
    Single(Single),
}

/// The third word of a handle whose subject's row has not been read; no place of the trie has it.
const UNREAD: u64 = u64::MAX;

impl FactIndex {
    /// Reads an index from a container. Nothing is read but the sections' headers.
    ///
    /// # Errors
    /// If a section is missing or the sizes do not fit together.
    pub fn open(container: &Container) -> Result<Self> {
        let section = |part: &str| container.section(&format!("{PREFIX}{part}"));
        let header = section("header")?;
        let mut at = 0;
        let order = match read_varint(&header, &mut at) {
            Some(0) => FactOrder::SubjectRelationSense,
            Some(1) => FactOrder::SubjectSenseRelation,
            _ => return Err(damaged("the order of the parts is not known")),
        };
        let separator = read_varint(&header, &mut at)
            .and_then(|token| Token::try_from(token).ok())
            .ok_or_else(|| damaged("the header is cut off"))?;
        Ok(Self {
            order,
            separator,
            relations: Texts::open(container, &format!("{PREFIX}relations."))?,
            senses: Texts::open(container, &format!("{PREFIX}senses."))?,
            subjects: Trie::read(container, &format!("{PREFIX}subjects."))?,
        })
    }

    /// The order of the parts of a key.
    pub fn order(&self) -> FactOrder {
        self.order
    }

    /// The token between the parts.
    pub fn separator(&self) -> Token {
        self.separator
    }

    /// The number of distinct subjects.
    pub fn subjects(&self) -> u64 {
        self.subjects.sequences()
    }

    /// The number of distinct relations.
    pub fn relations(&self) -> u64 {
        self.relations.len()
    }

    /// The number of distinct senses.
    pub fn senses(&self) -> u64 {
        self.senses.len()
    }

    /// The number of nodes of the trie of subjects.
    pub fn nodes(&self) -> u64 {
        self.subjects.nodes()
    }

    fn position(&self, at: Handle) -> Result<Position> {
        if at.1 != 0 {
            return Err(Error::ForeignHandle);
        }
        if at.0[0] & 3 == 0 && at.0[2] == UNREAD {
            return self.below(at.0[0] >> 3).map(Position::Below);
        }
        if at.0[0] & 3 == 0 {
            return self.subjects.checked(at.0).map(Position::Trie);
        }
        if at.0[0] & SINGLE != 0 {
            let single = Single::unpack(at.0);
            return match (1..=2).contains(&single.part) && single.node < self.subjects.nodes() {
                true => Ok(Position::Single(single)),
                false => Err(Error::ForeignHandle),
            };
        }
        let below = Below::unpack(at.0);
        if below.first >= below.last || below.row > self.rows().len() as u64 || below.node >= self.subjects.nodes() {
            return Err(Error::ForeignHandle);
        }
        Ok(Position::Below(below))
    }

    fn rows(&self) -> &[u8] {
        self.subjects.payloads()
    }

    /// The handle after a subject, which ends at this node, and its separator. What it stands for is read when it is asked: a text mentions many
    /// subjects of which few are.
    fn unread(node: u64) -> Handle {
        Handle([node << 3, 0, UNREAD], 0)
    }

    /// The place after the subject that ends at a node, and its separator.
    #[inline]
    fn below(&self, node: u64) -> Result<Below> {
        let row = self.subjects.payload(node)?;
        let count = || {
            let row = self.rows().get(usize::try_from(row).ok()?..)?;
            let mut at = 0;
            let head = read_varint(row, &mut at)?;
            let count = if head & 3 < 2 {
                head >> 2
            } else {
                read_varint(row, &mut at)?
            };
            u32::try_from(count).ok().filter(|&count| count > 0)
        };
        Ok(Below {
            part: 1,
            depth: 0,
            node,
            first: 0,
            last: count().ok_or_else(|| damaged("a subject has no facts, or too many"))?,
            row,
        })
    }

    /// The first `limit` facts of a row.
    fn facts(&self, row: u64, limit: u32, pairs: &mut Vec<Pair>) -> Result<()> {
        pairs.clear();
        self.try_facts(row, limit, pairs)
            .ok_or_else(|| damaged("a subject's row of facts is cut off"))
    }

    #[inline]
    fn try_facts(&self, row: u64, limit: u32, pairs: &mut Vec<Pair>) -> Option<()> {
        let limit = limit as usize;
        let row = self.rows().get(usize::try_from(row).ok()?..)?;
        let mut at = 0;
        let head = read_varint(row, &mut at)?;
        let relations = head >> 2;
        let swapped = self.order == FactOrder::SubjectSenseRelation;
        let number = |at: &mut usize| read_varint(row, at).and_then(|number| u32::try_from(number).ok());
        if head & 3 < 2 {
            let sense = if head & 3 == 0 { 0 } else { number(&mut at)? };
            let count = usize::try_from(relations).ok()?.min(limit);
            for _ in 0..count {
                let relation = read_relation(row, &mut at)?;
                pairs.push(if swapped { (sense, relation) } else { (relation, sense) });
            }
        } else {
            read_varint(row, &mut at)?;
            let senses = usize::try_from(read_varint(row, &mut at)?).ok()?;
            // Every sense takes a byte at least: what cannot be there is not asked memory for.
            row.get(at..at.checked_add(senses)?)?;
            let mut codes = Vec::with_capacity(senses);
            for _ in 0..senses {
                codes.push(number(&mut at)?);
            }
            let mut places = Vec::new();
            for _ in 0..relations {
                let relation = read_relation(row, &mut at)?;
                if head & 3 == 2 {
                    let mask = row.get(at..at + senses.div_ceil(8))?;
                    at += mask.len();
                    for (index, &byte) in mask.iter().enumerate() {
                        let mut bits = byte;
                        while bits != 0 {
                            let place = 8 * index + bits.trailing_zeros() as usize;
                            bits &= bits - 1;
                            pairs.push((relation, *codes.get(place)?));
                            if swapped {
                                places.push(place);
                            }
                        }
                    }
                } else {
                    let mut next = 0usize;
                    for _ in 0..read_varint(row, &mut at)? {
                        let place = next.checked_add(usize::try_from(read_varint(row, &mut at)?).ok()?)?;
                        pairs.push((relation, *codes.get(place)?));
                        next = place + 1;
                        if swapped {
                            places.push(place);
                        }
                    }
                }
                if !swapped && pairs.len() >= limit {
                    break;
                }
            }
            if swapped {
                let mut order: Vec<usize> = (0..pairs.len()).collect();
                order.sort_by_key(|&index| places.get(index).copied());
                *pairs = order
                    .into_iter()
                    .filter_map(|index| pairs.get(index).map(|&(relation, sense)| (sense, relation)))
                    .collect();
            }
        }
        pairs.truncate(limit);
        (pairs.len() == limit).then_some(())
    }

    /// The dictionary and the bounds of the tokens of a fact's part, where the part has tokens.
    #[inline]
    fn part(&self, pair: Pair, part: u64) -> Result<(&Codes, Range<u64>)> {
        let number = if part == 1 { pair.0 } else { pair.1 };
        let is_relation = (part == 1) == (self.order == FactOrder::SubjectRelationSense);
        if is_relation {
            Ok((&self.relations.codes, self.relations.range(u64::from(number))?))
        } else if number == 0 {
            Ok((&self.senses.codes, 0..0))
        } else {
            Ok((&self.senses.codes, self.senses.range(u64::from(number) - 1)?))
        }
    }

    /// The first token of a fact's part, where it is at hand: that of a frequent relation.
    #[inline]
    fn first_token(&self, pair: Pair, part: u64) -> Option<Token> {
        let is_relation = (part == 1) == (self.order == FactOrder::SubjectRelationSense);
        is_relation
            .then(|| self.relations.first(Self::number(pair, part)))
            .flatten()
    }

    /// The token at `depth` of a fact's part, the separator at its end.
    #[inline]
    fn token(&self, pair: Pair, part: u64, depth: u64) -> Result<Token> {
        if depth == 0
            && let Some(first) = self.first_token(pair, part)
        {
            return Ok(first);
        }
        let (dictionary, mut range) = self.part(pair, part)?;
        if !dictionary.skip(&mut range, depth)? {
            return Err(damaged("a row's facts are out of order"));
        }
        if range.is_empty() {
            Ok(self.separator)
        } else {
            dictionary.next(&mut range.start)
        }
    }

    #[inline]
    fn number(pair: Pair, part: u64) -> u32 {
        if part == 1 { pair.0 } else { pair.1 }
    }

    /// Appends each token that may follow, ascending.
    #[inline]
    fn branches(&self, below: &Below, tokens: &mut Vec<Token>) -> Result<()> {
        with_pairs(|pairs| {
            self.facts(below.row, below.last, pairs)?;
            let mut previous = None;
            for &pair in pairs.iter().skip(below.first as usize) {
                let number = Self::number(pair, below.part);
                if previous != Some(number) {
                    previous = Some(number);
                    tokens.push(self.token(pair, below.part, below.depth)?);
                }
            }
            if !tokens.is_sorted() {
                return Err(damaged("a row's facts are out of order"));
            }
            tokens.dedup();
            Ok(())
        })
    }

    /// The handle of a place whose subject's facts are these.
    fn settle(&self, below: Below, pairs: &[Pair]) -> Result<Handle> {
        if below.last - below.first != 1 || below.part == 3 {
            return Ok(below.pack());
        }
        let pair = *pairs
            .get(below.first as usize)
            .ok_or_else(|| damaged("a subject's row of facts is cut off"))?;
        let (dictionary, mut range) = self.part(pair, below.part)?;
        dictionary.skip(&mut range, below.depth)?;
        let second = if below.part == 1 { pair.1 } else { 0 };
        Ok(self.single(below.part, below.node, below.first, second, range)?.pack())
    }

    fn single(&self, part: u64, node: u64, fact: u32, second: u32, range: Range<u64>) -> Result<Single> {
        let left = range.end.saturating_sub(range.start);
        if left >> 24 != 0 || range.start >> 39 != 0 {
            return Err(damaged("a sequence of tokens is too long"));
        }
        Ok(Single {
            part,
            node,
            fact,
            second,
            at: range.start,
            left,
        })
    }

    /// The dictionary that a part of the keys is in.
    #[inline]
    fn dictionary(&self, part: u64) -> &Codes {
        match (part == 1) == (self.order == FactOrder::SubjectRelationSense) {
            true => &self.relations.codes,
            false => &self.senses.codes,
        }
    }

    /// The place after one more token where one fact is left.
    fn step_single(&self, single: Single, token: Token) -> Result<Option<Handle>> {
        if single.left > 0 {
            let mut at = single.at;
            if self.dictionary(single.part).next(&mut at)? != token {
                return Ok(None);
            }
            let left = (single.at + single.left)
                .checked_sub(at)
                .ok_or_else(|| damaged("a sequence of tokens is cut off"))?;
            return Ok(Some(Single { at, left, ..single }.pack()));
        }
        if token != self.separator {
            return Ok(None);
        }
        if single.part == 1 {
            let (_, range) = self.part((0, single.second), 2)?;
            return Ok(Some(self.single(2, single.node, single.fact, 0, range)?.pack()));
        }
        let end = single.fact.checked_add(1).ok_or(Error::ForeignHandle)?;
        Ok(Some(
            Below {
                part: 3,
                depth: 0,
                node: single.node,
                first: single.fact,
                last: end,
                row: 0,
            }
            .pack(),
        ))
    }

    /// Visits the one fact that is left.
    fn visit_single(
        &self,
        single: Single,
        tokens: &mut Vec<Token>,
        visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>,
    ) -> Result<()> {
        let key = self.key(single.node, single.fact)?;
        self.dictionary(single.part)
            .append(single.at..single.at + single.left, tokens)?;
        tokens.push(self.separator);
        if single.part == 1 {
            let (dictionary, range) = self.part((0, single.second), 2)?;
            dictionary.append(range, tokens)?;
            tokens.push(self.separator);
        }
        let _ = visit(tokens, key);
        Ok(())
    }

    /// The facts of `below` whose current part goes on with `tokens`, and ends there where it is `closed`.
    #[inline]
    fn narrow(&self, pairs: &[Pair], below: &Below, tokens: &[Token], closed: bool) -> Result<Option<Below>> {
        let mut found: Option<Range<u32>> = None;
        let (mut previous, mut fits) = (None, false);
        for (index, &pair) in (below.first..below.last).zip(pairs.iter().skip(below.first as usize)) {
            let number = Self::number(pair, below.part);
            if previous != Some(number) {
                previous = Some(number);
                fits = self.fits(pair, below, tokens, closed)?;
                if !fits && found.is_some() {
                    break;
                }
            }
            if fits {
                found = Some(found.map_or(index, |found| found.start)..index + 1);
            }
        }
        Ok(found.map(|facts| Below {
            first: facts.start,
            last: facts.end,
            part: below.part + u64::from(closed),
            depth: if closed { 0 } else { below.depth + tokens.len() as u64 },
            ..*below
        }))
    }

    #[inline]
    fn fits(&self, pair: Pair, below: &Below, tokens: &[Token], closed: bool) -> Result<bool> {
        if below.depth == 0
            && let Some(token) = tokens.first()
            && let Some(first) = self.first_token(pair, below.part)
            && first != *token
        {
            return Ok(false);
        }
        let (dictionary, mut range) = self.part(pair, below.part)?;
        if !dictionary.skip(&mut range, below.depth)? {
            return Err(damaged("a row's facts are out of order"));
        }
        for &token in tokens {
            if range.is_empty() || dictionary.next(&mut range.start)? != token {
                return Ok(false);
            }
        }
        Ok(!closed || range.is_empty())
    }

    /// The fact with this key: the subject's tokens are appended to `subject`, the relation's and the sense's to theirs; no sense has no
    /// tokens.
    ///
    /// # Errors
    /// If there is no such key or the index is damaged.
    pub fn fact(
        &self,
        key: Key,
        subject: &mut Vec<Token>,
        relation: &mut Vec<Token>,
        sense: &mut Vec<Token>,
    ) -> Result<()> {
        let (node, first) = self.subjects.node_of_key(key, subject)?;
        let below = self.below(node)?;
        with_pairs(|pairs| {
            self.facts(below.row, below.last, pairs)?;
            let pair = key
                .checked_sub(first)
                .and_then(|index| pairs.get(usize::try_from(index).ok()?))
                .ok_or_else(|| damaged("the table of keys is out of order"))?;
            for part in [1, 2] {
                let (dictionary, range) = self.part(*pair, part)?;
                let is_relation = (part == 1) == (self.order == FactOrder::SubjectRelationSense);
                dictionary.append(range, if is_relation { relation } else { sense })?;
            }
            Ok(())
        })
    }

    /// The place that is reached from a subject: one reading of its row for both parts.
    fn find_below(&self, mut below: Below, mut rest: &[Token]) -> Result<Option<Handle>> {
        with_pairs(|pairs| {
            self.facts(below.row, below.last, pairs)?;
            while !rest.is_empty() {
                if below.part == 3 {
                    return Ok(None);
                }
                let end = rest.iter().position(|&token| token == self.separator);
                let tokens = &rest[..end.unwrap_or(rest.len())];
                match self.narrow(pairs, &below, tokens, end.is_some())? {
                    Some(next) => below = next,
                    None => return Ok(None),
                }
                rest = end.map_or(&[], |end| &rest[end + 1..]);
            }
            self.settle(below, pairs).map(Some)
        })
    }

    /// The keys of a subject; where there is none, the empty range at the place that it would have.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn keys_of(&self, subject: &[Token]) -> Result<Range<Key>> {
        if self.subjects.keys() == 0 {
            return Ok(0..0);
        }
        Ok(match self.subjects.bound(subject)? {
            Bound::At(node) => self.keys_below(node..node)?,
            Bound::Before(place) => {
                let keys = self.keys_below(self.subjects.outermost(&place)?)?;
                keys.start..keys.start
            }
            Bound::After(place) => {
                let keys = self.keys_below(self.subjects.outermost(&place)?)?;
                keys.end..keys.end
            }
        })
    }

    /// The keys that begin with this prefix; they follow each other.
    ///
    /// # Errors
    /// If the index is damaged or the handle foreign.
    pub fn keys_at(&self, at: Handle) -> Result<Range<Key>> {
        let of_facts = |node, facts: Range<u32>| {
            let first = self.key(node, facts.start)?;
            Ok(first..first + u64::from(facts.end - facts.start))
        };
        match self.position(at)? {
            Position::Trie(_) if self.subjects.keys() == 0 => Ok(0..0),
            Position::Trie(place) => self.keys_below(self.subjects.outermost(&place)?),
            Position::Below(below) => of_facts(below.node, below.first..below.last),
            Position::Single(single) => of_facts(single.node, single.fact..single.fact.saturating_add(1)),
        }
    }

    /// The number of a fact of the subject that ends at a node.
    #[inline]
    fn key(&self, node: u64, fact: u32) -> Result<Key> {
        (self.subjects.first_key(node)?.checked_add(u64::from(fact)))
            .ok_or_else(|| damaged("the numbers of keys are out of order"))
    }

    /// The keys from the first of the subject that ends at one node to the last of the one that ends at the other.
    fn keys_below(&self, nodes: Range<u64>) -> Result<Range<Key>> {
        let first = self.subjects.first_key(nodes.start)?;
        let last = self.key(nodes.end, self.below(nodes.end)?.last)?;
        match first < last && last <= self.subjects.keys() {
            true => Ok(first..last),
            false => Err(damaged("the numbers of keys are out of order")),
        }
    }

    /// Visits every subject in lexicographic order: its tokens, and the handle after its separator.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn visit_subjects(&self, visit: &mut dyn FnMut(&[Token], Handle) -> ControlFlow<()>) -> Result<()> {
        if self.subjects.is_empty() {
            return Ok(());
        }
        let root = self.subjects.root_place();
        self.subjects
            .visit(&root, &mut Vec::new(), &mut |tokens, node| {
                Ok(visit(tokens, Self::unread(node)))
            })
            .map(drop)
    }

    /// Visits every subject that occurs in `text`: where, and the handle after its separator. By rising start, then by rising end.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn mentions(&self, text: &[Token], visit: &mut dyn FnMut(Range<usize>, Handle)) -> Result<()> {
        if self.subjects.is_empty() {
            return Ok(());
        }
        let root = self.subjects.root_place();
        for start in 0..text.len() {
            let mut place = root;
            for (end, &token) in text.iter().enumerate().skip(start) {
                match self.subjects.advance(&place, token)? {
                    Some(next) => place = next,
                    None => break,
                }
                if place.ends_key() {
                    visit(start..end + 1, Self::unread(place.node));
                }
            }
        }
        Ok(())
    }

    /// Visits the facts of `below`: the tokens that follow, put behind `prefix`, and the key.
    fn visit_below(
        &self,
        below: &Below,
        tokens: &mut Vec<Token>,
        visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        if below.part == 3 {
            return Ok(visit(tokens, self.key(below.node, below.first)?));
        }
        // Where the last has a number, so have those before.
        let base = self.key(below.node, below.last)? - u64::from(below.last);
        let length = tokens.len();
        let flow = with_pairs(|pairs| {
            self.facts(below.row, below.last, pairs)?;
            let mut previous = None;
            let mut second = length;
            for (index, &pair) in pairs.iter().enumerate().skip(below.first as usize) {
                if below.part == 1 && previous != Some(pair.0) {
                    previous = Some(pair.0);
                    tokens.truncate(length);
                    let (dictionary, mut range) = self.part(pair, 1)?;
                    dictionary.skip(&mut range, below.depth)?;
                    dictionary.append(range, tokens)?;
                    tokens.push(self.separator);
                    second = tokens.len();
                }
                tokens.truncate(second);
                let (dictionary, mut range) = self.part(pair, 2)?;
                dictionary.skip(&mut range, if below.part == 2 { below.depth } else { 0 })?;
                dictionary.append(range, tokens)?;
                tokens.push(self.separator);
                if visit(tokens, base + index as u64).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        tokens.truncate(length);
        Ok(flow)
    }
}

impl PrefixIndex for FactIndex {
    fn len(&self) -> u64 {
        self.subjects.keys()
    }

    fn root(&self) -> Handle {
        self.subjects.root()
    }

    fn allowed(&self, at: Handle, allowed: &mut Allowed) -> Result<()> {
        allowed.tokens.clear();
        allowed.terminal = None;
        match self.position(at)? {
            Position::Trie(place) => {
                if place.ends_key() {
                    allowed.tokens.push(self.separator);
                }
                self.subjects.continuations(&place, &mut allowed.tokens)
            }
            Position::Below(below) if below.part == 3 => {
                allowed.terminal = Some(self.key(below.node, below.first)?);
                Ok(())
            }
            Position::Below(below) => self.branches(&below, &mut allowed.tokens),
            Position::Single(single) => {
                allowed.tokens.push(match single.left {
                    0 => self.separator,
                    _ => self.dictionary(single.part).next(&mut { single.at })?,
                });
                Ok(())
            }
        }
    }

    fn step(&self, at: Handle, token: Token) -> Result<Option<Handle>> {
        match self.position(at)? {
            Position::Trie(place) => {
                if token == self.separator {
                    if !place.ends_key() {
                        return Ok(None);
                    }
                    return Ok(Some(Self::unread(place.node)));
                }
                Ok(self
                    .subjects
                    .advance(&place, token)?
                    .map(|place| Handle(place.pack(), 0)))
            }
            Position::Below(below) if below.part == 3 => Ok(None),
            Position::Below(below) => with_pairs(|pairs| {
                self.facts(below.row, below.last, pairs)?;
                let closed = token == self.separator;
                let tokens = if closed { &[][..] } else { &[token] };
                match self.narrow(pairs, &below, tokens, closed)? {
                    Some(next) => self.settle(next, pairs).map(Some),
                    None => Ok(None),
                }
            }),
            Position::Single(single) => self.step_single(single, token),
        }
    }

    fn find(&self, prefix: &[Token]) -> Result<Option<Handle>> {
        let mut place = self.subjects.root_place();
        for (index, &token) in prefix.iter().enumerate() {
            if token == self.separator {
                if !place.ends_key() {
                    return Ok(None);
                }
                if index + 1 == prefix.len() {
                    return Ok(Some(Self::unread(place.node)));
                }
                return self.find_below(self.below(place.node)?, &prefix[index + 1..]);
            }
            match self.subjects.advance(&place, token)? {
                Some(next) => place = next,
                None => return Ok(None),
            }
        }
        Ok(Some(Handle(place.pack(), 0)))
    }

    fn count(&self, at: Handle) -> Result<u64> {
        match self.position(at)? {
            Position::Trie(_) => self.keys_at(at).map(|keys| keys.end - keys.start),
            Position::Below(below) => Ok(u64::from(below.last - below.first)),
            Position::Single(_) => Ok(1),
        }
    }

    fn completions(&self, at: Handle, visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>) -> Result<()> {
        let mut tokens = Vec::new();
        match self.position(at)? {
            Position::Below(below) => self.visit_below(&below, &mut tokens, visit).map(drop),
            Position::Single(single) => self.visit_single(single, &mut tokens, visit),
            Position::Trie(_) if self.subjects.is_empty() => Ok(()),
            Position::Trie(place) => self
                .subjects
                .visit(&place, &mut tokens, &mut |tokens, node| {
                    let below = self.below(node)?;
                    tokens.push(self.separator);
                    let flow = self.visit_below(&below, tokens, visit)?;
                    tokens.pop();
                    Ok(flow)
                })
                .map(drop),
        }
    }
}
