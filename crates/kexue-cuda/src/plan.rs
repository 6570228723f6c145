//! The batch of a step as input of the kernels: one vector of words, whose layout depends only on rounded sizes.
//!
//! Sizes are rounded up so that many batches share a recording. The additional rows are tokens that see only themselves and predict nothing, so all their
//! gradients are 0.

use crate::machine::Address;
use crate::program::TILE;
use crate::{CudaError, Shard};
use kexue_nn::{Dropout, Layout, NewNodes, PackedBatch, Prediction, TransformerConfig};
use kexue_train::Objective;
use std::ops::Range;

/// An unused place.
const NONE: u32 = u32::MAX;

/// Maximum number of rows of an embedding's gradient that are summed at a time.
const PART: usize = 32;

/// Words per shard; see `dropout.cu`.
const SHARD_WORDS: usize = 14;

/// Words of a [`Target`].
const TARGET_WORDS: usize = 6;

/// The cache that nodes are added to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub keys_values: Address,
    pub hidden: Address,
}

/// What a step computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// The last hidden states.
    #[default]
    Hidden,
    /// The loss of the shards' objectives, and its gradient.
    Loss,
    /// The states of first tokens, and the gradient of a loss that is computed elsewhere.
    States,
    /// Keys, values and last hidden states of a decoder's nodes.
    Nodes,
}

impl Purpose {
    /// Whether the values that a backward pass needs are kept.
    fn is_training(self) -> bool {
        matches!(self, Self::Loss | Self::States)
    }
}

/// The rounded sizes of a step. Batches with the same key differ only in their words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub rows: usize,
    pub tiles: usize,
    /// Number of predictions, choices or first tokens.
    pub places: usize,
    /// Whether the places are choices.
    pub are_choices: bool,
    /// Number of tokens of all lists of choices, or of nodes of all paths.
    pub listed: usize,
    /// Number of tokens of the longest list.
    pub longest: usize,
    /// Number of shards that draw random bytes; 0 without dropout.
    pub shards: usize,
    pub purpose: Purpose,
    /// Whether something is added to the embeddings.
    pub is_moved: bool,
}

impl Key {
    /// Whether the values that a backward pass needs are kept.
    pub fn is_training(&self) -> bool {
        self.purpose.is_training()
    }
}

/// Rounds up by at most a sixteenth.
fn rounded(count: usize, least: usize) -> usize {
    let power = 1 << count.max(1).ilog2();
    count.max(1).next_multiple_of(least.max(power / 16))
}

/// The places of the parts of a step's words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub tokens: usize,
    pub positions: usize,
    pub types: usize,
    pub factors: usize,
    pub see_from: usize,
    pub see_to: usize,
    pub query_tiles: usize,
    pub key_tiles: usize,
    pub shards: usize,
    pub place_rows: usize,
    pub targets: usize,
    pub lists: usize,
    pub list_tokens: usize,
    pub list_biases: usize,
    /// Parts and table rows of the embeddings' gradients.
    pub counts: usize,
    pub parts: usize,
    pub order: usize,
    pub table_rows: usize,
    /// Where nodes go; see `nodes.cu`.
    pub target: usize,
    pub path_from: usize,
    pub path_to: usize,
    pub paths: usize,
    pub end: usize,
    /// Maximum number of parts.
    pub most_parts: usize,
}

impl Words {
    pub fn new(key: &Key, config: &TransformerConfig) -> Self {
        let mut end = 0;
        let mut take = |count: usize| {
            let start = end;
            end += count.next_multiple_of(4);
            start
        };
        let tables = match key.is_training() {
            true => [config.vocab_size, config.max_positions, config.token_types],
            false => [0; 3],
        };
        let distinct: usize = tables.iter().map(|&size| size.min(key.rows)).sum();
        let used = tables.iter().filter(|&&size| size > 0).count();
        let most_parts = distinct + used * key.rows.div_ceil(PART);
        let places = if key.is_training() { key.places } else { 0 };
        let nodes = if key.purpose == Purpose::Nodes { key.rows } else { 0 };
        let mut words = Self {
            tokens: take(key.rows),
            positions: take(key.rows),
            types: take(key.rows),
            factors: take(key.rows),
            see_from: take(key.rows),
            see_to: take(key.rows),
            query_tiles: take(4 * key.tiles),
            key_tiles: take(4 * key.tiles),
            shards: take(SHARD_WORDS * key.shards),
            place_rows: take(places),
            targets: take(places),
            lists: take(if key.are_choices { 3 * places } else { 0 }),
            list_tokens: take(if key.are_choices { key.listed } else { 0 }),
            list_biases: take(if key.are_choices { key.listed } else { 0 }),
            counts: take(4),
            parts: take(2 * most_parts),
            order: take(used * key.rows),
            table_rows: take(3 * distinct),
            target: take(if nodes > 0 { TARGET_WORDS } else { 0 }),
            path_from: take(nodes),
            path_to: take(nodes),
            paths: take(if nodes > 0 { key.listed } else { 0 }),
            end: 0,
            most_parts,
        };
        words.end = end;
        words
    }
}

/// A batch that is ready to be computed.
pub(crate) struct Plan {
    pub key: Key,
    pub places: Words,
    pub words: Vec<u32>,
    /// One more than the last position.
    pub end_of_positions: usize,
}

/// A choice or a prediction at a row of the whole batch.
struct Place<'a> {
    row: usize,
    target: usize,
    allowed: &'a [u32],
    bias: &'a [f32],
}

impl Plan {
    /// Plans a step over the concatenated batches of the shards.
    ///
    /// # Errors
    /// If the device does not support a mask, or a token is out of range.
    pub fn new(
        config: &TransformerConfig,
        layout: &Layout,
        shards: &[Shard<'_>],
        purpose: Purpose,
    ) -> Result<Self, CudaError> {
        check(config, shards)?;
        let rows: usize = shards.iter().map(|shard| shard.packed.len()).sum();
        let training = purpose.is_training();
        let drops = |shard: &&Shard<'_>| shard.generator.is_some() && !shard.packed.is_empty();
        let random: Vec<&Shard<'_>> = shards.iter().filter(drops).collect();
        let is_dropping = training && Dropout::new(config.dropout).dropped() > 0 && !random.is_empty();
        let places = if purpose == Purpose::States {
            first_tokens(shards)
        } else {
            places(shards)?
        };
        let are_choices = shards
            .iter()
            .any(|shard| matches!(shard.objective, Some(Objective::Choices(_))));
        let lists = Lists::new(&places, are_choices);
        let sight = Sight::new(config, shards, rounded(rows, 16));
        let key = Key {
            rows: rounded(rows, 16),
            tiles: rounded(sight.query_tiles.len(), 4),
            places: rounded(places.len(), 8),
            are_choices,
            listed: if are_choices {
                rounded(lists.tokens.len(), 1024)
            } else {
                0
            },
            longest: if are_choices { rounded(lists.longest, 64) } else { 0 },
            shards: if is_dropping { random.len() } else { 0 },
            purpose,
            is_moved: false,
        };
        let (at, mut words) = laid_out(&key, config, rows)?;
        let mut put = |start: usize, from: &mut dyn Iterator<Item = u32>| fill(&mut words[start..], from);
        let packed = || shards.iter().map(|shard| shard.packed);
        put(
            at.tokens,
            &mut packed().flat_map(|packed| packed.tokens().iter().copied()),
        );
        put(
            at.positions,
            &mut packed().flat_map(|packed| packed.positions().map(|position| position as u32)),
        );
        put(at.types, &mut packed().flat_map(|packed| packed.types().map(u32::from)));
        put(at.factors, &mut sight.factors.iter().map(|factor| factor.to_bits()));
        put(at.see_from, &mut sight.seen.iter().map(|seen| seen.start as u32));
        put(at.see_to, &mut sight.seen.iter().map(|seen| seen.end as u32));
        put(at.query_tiles, &mut sight.query_tiles.iter().flatten().copied());
        put(at.key_tiles, &mut sight.key_tiles.iter().flatten().copied());
        if is_dropping {
            put(at.shards, &mut random_words(config, shards).into_iter());
        }
        if training {
            put(at.place_rows, &mut std::iter::repeat_n(NONE, key.places));
            put(at.place_rows, &mut places.iter().map(|place| place.row as u32));
            put(at.targets, &mut places.iter().map(|place| place.target as u32));
            put(at.lists, &mut lists.places.iter().flatten().copied());
            put(at.list_tokens, &mut lists.tokens.iter().copied());
            put(at.list_biases, &mut lists.biases.iter().map(|bias| bias.to_bits()));
            let tables = Tables::new(config, layout, shards, rows);
            let counts = [tables.parts.len(), tables.rows.len()];
            put(at.counts, &mut counts.into_iter().map(|count| count as u32));
            put(at.parts, &mut tables.parts.iter().flatten().copied());
            put(at.order, &mut tables.order.iter().copied());
            put(at.table_rows, &mut tables.rows.iter().flatten().copied());
        }
        Ok(Self {
            key,
            places: at,
            words,
            end_of_positions: packed()
                .map(|packed| packed.end_of_positions())
                .max()
                .unwrap_or(0)
                .max(1),
        })
    }

    /// Plans the computation of a decoder's nodes.
    ///
    /// # Errors
    /// If a token or a position is out of range.
    pub fn nodes(config: &TransformerConfig, new: &NewNodes, target: Target) -> Result<Self, CudaError> {
        let rows = new.tokens().len();
        check_tokens(config, new.tokens().iter().copied())?;
        let end_of_positions = new.positions().iter().map(|&position| position as usize + 1).max();
        let end_of_positions = end_of_positions.unwrap_or(1);
        check_positions(config, end_of_positions)?;
        let key = Key {
            rows: rounded(rows, 16),
            listed: rounded(new.paths().len(), 64),
            purpose: Purpose::Nodes,
            ..Key::default()
        };
        let (at, mut words) = laid_out(&key, config, rows)?;
        let mut put = |start: usize, from: &mut dyn Iterator<Item = u32>| fill(&mut words[start..], from);
        let factor = |seen| config.attention_scale.factor(seen, config.head_dim());
        put(at.tokens, &mut new.tokens().iter().copied());
        put(at.positions, &mut new.positions().iter().copied());
        put(at.factors, &mut new.seen().map(|seen| factor(seen).to_bits()));
        put(at.see_from, &mut new.prompts().iter().map(|prompt| prompt.start));
        put(at.see_to, &mut new.prompts().iter().map(|prompt| prompt.end));
        put(
            at.path_from,
            &mut std::iter::once(0).chain(new.path_ends().iter().copied()).take(rows),
        );
        put(at.path_to, &mut new.path_ends().iter().copied());
        put(at.paths, &mut new.paths().iter().copied());
        let addresses = [target.keys_values, target.hidden];
        let halves = addresses.iter().flat_map(|&long| [long as u32, (long >> 32) as u32]);
        put(
            at.target,
            &mut [new.first() as u32, rows as u32].into_iter().chain(halves),
        );
        Ok(Self {
            key,
            places: at,
            words,
            end_of_positions,
        })
    }
}

/// The places of a step's words, and memory for them.
fn laid_out(key: &Key, config: &TransformerConfig, rows: usize) -> Result<(Words, Vec<u32>), CudaError> {
    if key.rows >= 1 << 24 || key.listed >= 1 << 30 {
        return Err(CudaError::Batch(format!("{rows} tokens are too many for one step")));
    }
    let places = Words::new(key, config);
    let words = vec![0; places.end];
    Ok((places, words))
}

fn fill(to: &mut [u32], from: &mut dyn Iterator<Item = u32>) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from);
}

/// Refuses tokens that are not in the vocabulary.
pub(crate) fn check_tokens(config: &TransformerConfig, mut tokens: impl Iterator<Item = u32>) -> Result<(), CudaError> {
    let vocabulary = config.vocab_size;
    match tokens.find(|token| *token as usize >= vocabulary) {
        Some(token) => Err(CudaError::Batch(format!(
            "token {token} is not in the vocabulary of {vocabulary} tokens"
        ))),
        None => Ok(()),
    }
}

/// Refuses sequences that are longer than the table of positions.
fn check_positions(config: &TransformerConfig, end: usize) -> Result<(), CudaError> {
    match config.longest_sequence().filter(|most| end > *most) {
        Some(most) => Err(CudaError::Batch(format!(
            "a sequence of {end} positions is longer than the model's {most} positions"
        ))),
        None => Ok(()),
    }
}

/// Refuses options without a kernel, and indices beyond a table.
fn check(config: &TransformerConfig, shards: &[Shard<'_>]) -> Result<(), CudaError> {
    for shard in shards {
        if shard.packed.caps_distances() {
            return Err(CudaError::unsupported(
                "max_distance",
                "capped distances are supported on the CPU only",
            ));
        }
        check_positions(config, shard.packed.end_of_positions())?;
        check_tokens(config, shard.packed.tokens().iter().copied())?;
        let types = config.token_types;
        if types > 0 && shard.packed.types().any(|segment| usize::from(segment) >= types) {
            return Err(CudaError::Batch(format!(
                "a segment is not below {types}, the model's number of segments"
            )));
        }
    }
    Ok(())
}

/// All predictions or choices, in the order of their rows.
fn places<'a>(shards: &[Shard<'a>]) -> Result<Vec<Place<'a>>, CudaError> {
    let (mut all, mut start) = (Vec::new(), 0);
    for shard in shards {
        let first = all.len();
        match shard.objective {
            None => {}
            Some(Objective::Predictions(predictions)) => {
                all.extend(predictions.iter().map(|&Prediction { row, token }| Place {
                    row: start + row,
                    target: token as usize,
                    allowed: &[],
                    bias: &[],
                }));
            }
            Some(Objective::Choices(choices)) => all.extend(choices.iter().map(|choice| Place {
                row: start + choice.row,
                target: choice.target,
                allowed: &choice.allowed,
                bias: &choice.bias,
            })),
        }
        let end = start + shard.packed.len();
        if let Some(place) = all[first..].iter().find(|place| place.row >= end) {
            return Err(CudaError::Batch(format!(
                "row {} is out of range for a batch of {} rows",
                place.row - start,
                shard.packed.len()
            )));
        }
        all[first..].sort_by_key(|place| place.row);
        start = end;
    }
    Ok(all)
}

/// The first token of each sequence.
fn first_tokens<'a>(shards: &[Shard<'a>]) -> Vec<Place<'a>> {
    let (mut all, mut start) = (Vec::new(), 0);
    for shard in shards {
        all.extend(shard.packed.rows().map(|rows| Place {
            row: start + rows.start,
            target: 0,
            allowed: &[],
            bias: &[],
        }));
        start += shard.packed.len();
    }
    all
}

/// The distinct lists of choices.
#[derive(Default)]
struct Lists {
    /// For each choice: its first token, the number of tokens, its first bias.
    places: Vec<[u32; 3]>,
    tokens: Vec<u32>,
    biases: Vec<f32>,
    longest: usize,
}

impl Lists {
    fn new(places: &[Place<'_>], are_choices: bool) -> Self {
        let mut lists = Self::default();
        if !are_choices {
            return lists;
        }
        let mut known = std::collections::HashMap::new();
        for place in places {
            let key = (place.allowed.as_ptr(), place.allowed.len());
            let start = *known.entry(key).or_insert_with(|| {
                let start = lists.tokens.len();
                lists.tokens.extend_from_slice(place.allowed);
                start
            });
            let bias = match place.bias {
                [] => NONE,
                bias => {
                    let start = lists.biases.len();
                    lists.biases.extend_from_slice(bias);
                    start as u32
                }
            };
            lists.places.push([start as u32, place.allowed.len() as u32, bias]);
            lists.longest = lists.longest.max(place.allowed.len());
        }
        // Both have the same size.
        let most = lists.tokens.len().max(lists.biases.len());
        lists.tokens.resize(most, 0);
        lists
    }
}

/// The rows that each row sees, and the tiles of the attention.
struct Sight {
    factors: Vec<f32>,
    seen: Vec<Range<usize>>,
    query_tiles: Vec<[u32; 4]>,
    key_tiles: Vec<[u32; 4]>,
}

impl Sight {
    fn new(config: &TransformerConfig, shards: &[Shard<'_>], padded: usize) -> Self {
        let mut sight = Self {
            factors: Vec::with_capacity(padded),
            seen: Vec::with_capacity(padded),
            query_tiles: Vec::new(),
            key_tiles: Vec::new(),
        };
        let mut start = 0;
        for shard in shards {
            sight.seen.extend(
                shard
                    .packed
                    .visible_rows()
                    .map(|seen| start + seen.start..start + seen.end),
            );
            for rows in shard.packed.rows() {
                sight.add_tiles(start + rows.start..start + rows.end);
            }
            start += shard.packed.len();
        }
        let factor = |seen: &Range<usize>| config.attention_scale.factor(seen.len(), config.head_dim());
        sight.factors = sight.seen.iter().map(factor).collect();
        sight.factors.resize(padded, 1.0);
        sight.seen.extend((start..padded).map(|row| row..row + 1));
        sight.add_tiles(start..padded);
        sight
    }

    /// Adds the tiles of a sequence. Both ends of the interval that a row sees increase from row to row, so the rows that see a tile are an interval too.
    fn add_tiles(&mut self, rows: Range<usize>) {
        for first in rows.clone().step_by(TILE) {
            let tile = first..(first + TILE).min(rows.end);
            let words = |other: Range<usize>| [tile.start, tile.len(), other.start, other.end].map(|word| word as u32);
            let seen = self.seen[tile.start].start..self.seen[tile.end - 1].end;
            let here = &self.seen[rows.clone()];
            let from = rows.start + here.partition_point(|seen| seen.end <= tile.start);
            let to = rows.start + here.partition_point(|seen| seen.start < tile.end);
            self.query_tiles.push(words(seen));
            self.key_tiles.push(words(from..to));
        }
    }
}

/// Number of random words that a pass over a batch draws for dropout.
pub(crate) fn dropout_words(config: &TransformerConfig, packed: &PackedBatch) -> u128 {
    match Dropout::new(config.dropout).dropped() {
        0 => 0,
        _ => (packed.len() * config.d_model / 4 * (2 * config.layers + 1)) as u128,
    }
}

/// The random stream of each shard.
fn random_words(config: &TransformerConfig, shards: &[Shard<'_>]) -> Vec<u32> {
    let (mut words, mut start) = (Vec::new(), 0);
    for shard in shards {
        let count = shard.packed.len();
        if let Some(generator) = shard.generator.filter(|_| count > 0) {
            let key = generator.get_seed();
            words.extend(
                key.chunks_exact(4)
                    .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])),
            );
            let first = generator.get_word_pos() as u64;
            let stream = generator.get_stream();
            let (low, high) = (|long: u64| long as u32, |long: u64| (long >> 32) as u32);
            let each = count * config.d_model / 4;
            words.extend([
                low(first),
                high(first),
                start as u32,
                each as u32,
                low(stream),
                high(stream),
            ]);
        }
        start += count;
    }
    words
}

/// The rows of each embedding table that a batch uses, and the rows of the batch that use them.
#[derive(Default)]
struct Tables {
    /// First in `order`, count.
    parts: Vec<[u32; 2]>,
    order: Vec<u32>,
    /// Row of the flat vector in units of `d_model`, first part, parts.
    rows: Vec<[u32; 3]>,
}

impl Tables {
    fn new(config: &TransformerConfig, layout: &Layout, shards: &[Shard<'_>], rows: usize) -> Self {
        let mut tables = Self::default();
        let packed = || shards.iter().map(|shard| shard.packed);
        let tokens: Vec<u32> = packed().flat_map(|packed| packed.tokens().iter().copied()).collect();
        tables.add(&tokens, &layout.embedding, config);
        if let Some(table) = &layout.position_embedding {
            let positions: Vec<u32> = packed()
                .flat_map(|packed| packed.positions().map(|position| position as u32))
                .collect();
            tables.add(&positions, table, config);
        }
        if let Some(table) = &layout.type_embedding {
            let types: Vec<u32> = packed().flat_map(|packed| packed.types().map(u32::from)).collect();
            tables.add(&types, table, config);
        }
        debug_assert!(tables.order.len() <= 3 * rows);
        tables
    }

    fn add(&mut self, indices: &[u32], table: &Range<usize>, config: &TransformerConfig) {
        // The row is in the lower half, so that one unstable sort keeps the order of rows.
        let mut keyed: Vec<u64> = indices
            .iter()
            .enumerate()
            .map(|(row, &index)| u64::from(index) << 32 | row as u64)
            .collect();
        keyed.sort_unstable();
        for group in keyed.chunk_by(|a, b| a >> 32 == b >> 32) {
            let first = self.parts.len();
            for part in group.chunks(PART) {
                self.parts.push([self.order.len() as u32, part.len() as u32]);
                self.order.extend(part.iter().map(|&key| key as u32));
            }
            let row = table.start / config.d_model + (group[0] >> 32) as usize;
            self.rows
                .push([row as u32, first as u32, (self.parts.len() - first) as u32]);
        }
    }
}
