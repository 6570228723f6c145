//! The objects of the keys: a record for each key, in compressed blocks.
//!
//! ```text
//! block, unpacked = varint(bytes of heads) · heads · texts
//! head of a key   = varint(objects << 1 | respelt) · varint(bytes) of each text
//! texts of a key  = if respelt: subject, relation, sense as written; then the objects; in the code of `characters`
//! block, packed   = varint(bytes unpacked) · a Zstandard frame, with the file's dictionary if it has one
//! ```
//!
//! A key is respelt if its tokens do not decode to the spelling of its first triple, which happens in a vocabulary that folds case.

use crate::characters::{CharacterDecoder, CharacterEncoder};
use kexue_trie::elias_fano::{EliasFano, EliasFanoBuilder};
use kexue_trie::{Bytes, Container, ContainerWriter, Error, Key, read_varint, write_varint};
use rayon::prelude::*;
use std::cell::RefCell;
use std::io::{Read, Seek, Write};
use std::sync::OnceLock;
use zstd::bulk::Compressor;
use zstd::dict::EncoderDictionary;

/// The number of bytes of text after which a block is closed.
const BLOCK: usize = 16 << 10;
const LEVEL: i32 = 3;
/// Maximum size of the dictionary, and minimum size of the text that is worth one, in bytes.
const DICTIONARY: usize = 64 << 10;
const WORTH_A_DICTIONARY: usize = 1 << 20;
/// Blocks up to this size are decompressed in one call, into memory that is allocated at once.
const ONE_GO: u64 = 1 << 20;

/// The record of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Subject, relation and sense as written, if the tokens do not determine the spelling.
    pub spelling: Option<[String; 3]>,
    pub objects: Vec<String>,
}

/// The character code and the compression dictionary, both made from a sample of the objects.
pub(crate) struct Coding {
    characters: CharacterEncoder,
    /// Empty if there is too little text to be worth one.
    dictionary: Vec<u8>,
    prepared: EncoderDictionary<'static>,
}

impl Coding {
    pub fn new(sample: &[u8]) -> Self {
        let sample = String::from_utf8_lossy(sample);
        let characters = CharacterEncoder::new(&sample);
        let mut dictionary = Vec::new();
        if sample.len() >= WORTH_A_DICTIONARY {
            let mut codes = Vec::with_capacity(sample.len());
            characters.encode(sample.as_bytes(), &mut codes);
            let sizes: Vec<usize> = codes.chunks(4096).map(<[u8]>::len).collect();
            dictionary = zstd::dict::from_continuous(&codes, &sizes, DICTIONARY).unwrap_or_default();
        }
        Self {
            characters,
            prepared: EncoderDictionary::copy(&dictionary, LEVEL),
            dictionary,
        }
    }
}

/// The packed blocks of some consecutive keys.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    packed: Vec<u8>,
    /// For each block, the number of its keys and its length.
    sizes: Vec<(u64, u64)>,
}

/// Packs records into blocks.
pub(crate) struct BlockCoder<'a> {
    coding: &'a Coding,
    compressor: Compressor<'a>,
    heads: Vec<u8>,
    texts: Vec<u8>,
    block: Vec<u8>,
    keys: u64,
    blocks: Blocks,
}

impl<'a> BlockCoder<'a> {
    pub fn new(coding: &'a Coding) -> std::io::Result<Self> {
        Ok(Self {
            coding,
            compressor: Compressor::with_prepared_dictionary(&coding.prepared)?,
            heads: Vec::new(),
            texts: Vec::new(),
            block: Vec::new(),
            keys: 0,
            blocks: Blocks::default(),
        })
    }

    /// Adds the record of the next key.
    pub fn push<'t>(
        &mut self,
        spelling: Option<[&'t [u8]; 3]>,
        objects: impl ExactSizeIterator<Item = &'t [u8]>,
    ) -> std::io::Result<()> {
        write_varint(
            (objects.len() as u64) << 1 | u64::from(spelling.is_some()),
            &mut self.heads,
        );
        for text in spelling.into_iter().flatten().chain(objects) {
            let length = self.coding.characters.encode(text, &mut self.texts);
            write_varint(length as u64, &mut self.heads);
        }
        self.keys += 1;
        if self.texts.len() >= BLOCK {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> std::io::Result<()> {
        if self.keys == 0 {
            return Ok(());
        }
        self.block.clear();
        write_varint(self.heads.len() as u64, &mut self.block);
        self.block.append(&mut self.heads);
        self.block.append(&mut self.texts);
        let packed = &mut self.blocks.packed;
        let start = packed.len();
        write_varint(self.block.len() as u64, packed);
        let frame = packed.len();
        packed.resize(frame + zstd::zstd_safe::compress_bound(self.block.len()), 0);
        let length = self.compressor.compress_to_buffer(&self.block, &mut packed[frame..])?;
        packed.truncate(frame + length);
        self.blocks.sizes.push((self.keys, (packed.len() - start) as u64));
        self.keys = 0;
        Ok(())
    }

    /// Closes the last block and swaps all blocks with `blocks`, whose memory is reused.
    pub fn finish(&mut self, blocks: &mut Blocks) -> std::io::Result<()> {
        self.close()?;
        std::mem::swap(&mut self.blocks, blocks);
        self.blocks.packed.clear();
        self.blocks.sizes.clear();
        Ok(())
    }
}

/// Writes blocks in the order of their keys.
pub(crate) struct ObjectWriter {
    key: Key,
    written: u64,
    first_keys: EliasFanoBuilder,
    ends: EliasFanoBuilder,
}

impl ObjectWriter {
    /// Writes the dictionary and starts the blocks. Until [`finish`](Self::finish), nothing else may be written to `out`.
    pub fn new<W: Write + Seek>(coding: &Coding, out: &mut ContainerWriter<W>) -> std::io::Result<Self> {
        out.section("objects.characters", coding.characters.table().as_bytes())?;
        out.section("objects.dictionary", &coding.dictionary)?;
        out.begin("objects.blocks")?;
        let mut ends = EliasFanoBuilder::new();
        ends.push(0);
        Ok(Self {
            key: 0,
            written: 0,
            first_keys: EliasFanoBuilder::new(),
            ends,
        })
    }

    /// Adds blocks.
    pub fn push<W: Write + Seek>(&mut self, blocks: &Blocks, out: &mut ContainerWriter<W>) -> std::io::Result<()> {
        out.write_all(&blocks.packed)?;
        for &(keys, length) in &blocks.sizes {
            self.first_keys.push(self.key);
            self.key += keys;
            self.written += length;
            self.ends.push(self.written);
        }
        Ok(())
    }

    /// Writes the tables.
    pub fn finish<W: Write + Seek>(self, out: &mut ContainerWriter<W>) -> std::io::Result<()> {
        out.section("objects.keys", &self.first_keys.finish())?;
        out.section("objects.ends", &self.ends.finish())
    }
}

thread_local! {
    /// A context is large. Creating one takes as long as decompressing a block.
    static CONTEXT: RefCell<zstd::zstd_safe::DCtx<'static>> = RefCell::new(zstd::zstd_safe::DCtx::create());
}

/// The records of an open index.
pub(crate) struct Objects {
    table: Bytes,
    characters: OnceLock<CharacterDecoder>,
    dictionary: Bytes,
    prepared: OnceLock<zstd::dict::DecoderDictionary<'static>>,
    blocks: Bytes,
    first_keys: EliasFano,
    ends: EliasFano,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Objects").field("ends", &self.ends).finish()
    }
}

fn damaged(what: &str) -> Error {
    Error::Damaged(what.into())
}

impl Objects {
    pub fn open(container: &Container) -> Result<Self, Error> {
        let objects = Self {
            table: container.section("objects.characters")?,
            characters: OnceLock::new(),
            dictionary: container.section("objects.dictionary")?,
            prepared: OnceLock::new(),
            blocks: container.section("objects.blocks")?,
            first_keys: EliasFano::new(container.section("objects.keys")?, "objects.keys")?,
            ends: EliasFano::new(container.section("objects.ends")?, "objects.ends")?,
        };
        if objects.ends.len() != objects.first_keys.len() + 1 {
            return Err(damaged("the blocks of objects and their keys do not fit together"));
        }
        Ok(objects)
    }

    /// Checks that every key below `keys` has a record.
    pub fn verify(&self, keys: Key) -> Result<(), Error> {
        let broken = || damaged("a block of objects is out of order");
        let count = self.first_keys.len();
        let checked: Result<(), Error> = (0..count).into_par_iter().try_for_each(|block| {
            let first = self.first_keys.get(block)?;
            let end = if block + 1 < count {
                self.first_keys.get(block + 1)?
            } else {
                keys
            };
            let mut records = 0;
            let mut readable = true;
            each_record(&self.unpack(block)?, self.characters(), |_, record| {
                records += 1;
                readable &= record().is_some_and(|record| !record.objects.is_empty());
                readable
            })
            .ok_or_else(broken)?;
            let starts = block > 0 || first == 0;
            if readable && starts && first.checked_add(records) == Some(end) {
                Ok(())
            } else {
                Err(broken())
            }
        });
        checked
    }

    /// The decoder, created at its first use so that opening an index is fast.
    fn characters(&self) -> &CharacterDecoder {
        self.characters
            .get_or_init(|| CharacterDecoder::new(&String::from_utf8_lossy(&self.table)))
    }

    /// A block, unpacked.
    pub fn unpack(&self, block: u64) -> Result<Vec<u8>, Error> {
        let cut_off = || damaged("a block of objects is cut off");
        let range = self.ends.range(block)?;
        let packed = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .and_then(|(start, end)| self.blocks.get(start..end))
            .ok_or_else(cut_off)?;
        let mut at = 0;
        let length = read_varint(packed, &mut at).ok_or_else(cut_off)?;
        let frame = packed.get(at..).unwrap_or_default();
        let dictionary = self
            .prepared
            .get_or_init(|| zstd::dict::DecoderDictionary::copy(&self.dictionary));
        let broken = |error: String| Error::Damaged(format!("a block of objects cannot be unpacked ({error})"));
        let unpacked = if length <= ONE_GO {
            let mut unpacked = Vec::with_capacity(length as usize);
            CONTEXT
                .with_borrow_mut(|context| context.decompress_using_ddict(&mut unpacked, frame, dictionary.as_ddict()))
                .map_err(|code| broken(zstd::zstd_safe::get_error_name(code).to_owned()))?;
            unpacked
        } else {
            let mut unpacked = Vec::new();
            zstd::stream::Decoder::with_prepared_dictionary(frame, dictionary)
                .and_then(|decoder| decoder.take(length).read_to_end(&mut unpacked))
                .map_err(|error| broken(error.to_string()))?;
            unpacked
        };
        if unpacked.len() as u64 != length {
            return Err(cut_off());
        }
        Ok(unpacked)
    }

    /// The record of a key.
    pub fn record(&self, key: Key) -> Result<Record, Error> {
        LastBlock::default().record(self, key)
    }
}

/// The block that was decompressed last, so that reading neighbouring keys in any order decompresses it once.
#[derive(Debug, Default)]
pub(crate) struct LastBlock(Option<(u64, Vec<u8>)>);

impl LastBlock {
    /// The record of a key. The objects must be the same at every call.
    pub fn record(&mut self, objects: &Objects, key: Key) -> Result<Record, Error> {
        let missing = || damaged("there are no objects for a key");
        let block = objects.first_keys.last_at_most(key)?.ok_or_else(missing)?;
        let first = objects.first_keys.get(block)?;
        let unpacked = match self.0.take() {
            Some((last, unpacked)) if last == block => unpacked,
            _ => objects.unpack(block)?,
        };
        let mut wanted = None;
        let read = each_record(&unpacked, objects.characters(), |index, record| {
            if first + index == key {
                wanted = Some(record());
            }
            wanted.is_none()
        });
        self.0 = Some((block, unpacked));
        read.ok_or_else(|| damaged("a block of objects is out of order"))?;
        wanted.flatten().ok_or_else(missing)
    }
}

/// Reads records in the order of their keys, so that each block is decompressed once. Any other order also works, but is slower.
pub(crate) struct Records<'a> {
    objects: &'a Objects,
    /// The records of the current block, and the key of the first one.
    records: Vec<Option<Record>>,
    first: Key,
}

impl<'a> Records<'a> {
    pub fn new(objects: &'a Objects) -> Self {
        Self {
            objects,
            records: Vec::new(),
            first: 0,
        }
    }

    /// The record of a key.
    pub fn take(&mut self, key: Key) -> Result<Record, Error> {
        let missing = || damaged("there are no objects for a key");
        let place = |first: Key| key.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        let there = |place: usize| self.records.get(place).is_some_and(Option::is_some);
        if !place(self.first).is_some_and(there) {
            let block = self.objects.first_keys.last_at_most(key)?.ok_or_else(missing)?;
            self.first = self.objects.first_keys.get(block)?;
            self.records.clear();
            each_record(&self.objects.unpack(block)?, self.objects.characters(), |_, record| {
                self.records.push(record());
                true
            })
            .ok_or_else(|| damaged("a block of objects is out of order"))?;
        }
        place(self.first)
            .and_then(|place| self.records.get_mut(place))
            .and_then(Option::take)
            .ok_or_else(missing)
    }
}

/// Calls `visit` with the number of each record of a block and a function that reads it, until `visit` returns false.
fn each_record(
    block: &[u8],
    characters: &CharacterDecoder,
    mut visit: impl FnMut(u64, &dyn Fn() -> Option<Record>) -> bool,
) -> Option<()> {
    let mut at = 0;
    let heads = usize::try_from(read_varint(block, &mut at)?).ok()?;
    let start = at;
    let end = start.checked_add(heads)?;
    let heads = block.get(..end)?;
    let mut text = end;
    let mut index = 0;
    while at < end {
        let head = read_varint(heads, &mut at)?;
        let (count, respelt) = (head >> 1, head & 1 == 1);
        let count = usize::try_from(count).ok()?.checked_add(if respelt { 3 } else { 0 })?;
        let sizes = at;
        let mut length = 0usize;
        // Every text takes at least one byte of the heads, which bounds the count in a damaged block.
        for _ in 0..count {
            length = length.checked_add(usize::try_from(read_varint(heads, &mut at)?).ok()?)?;
        }
        let texts = block.get(text..text.checked_add(length)?)?;
        text += length;
        let read = || {
            let (mut at, mut start) = (sizes, 0);
            let mut next = || {
                let end = start + read_varint(heads, &mut at)? as usize;
                let text = texts.get(start..end)?;
                start = end;
                characters.decode(text)
            };
            let spelling = if respelt {
                Some([next()?, next()?, next()?])
            } else {
                None
            };
            let mut objects = Vec::new();
            for _ in 0..head >> 1 {
                objects.push(next()?);
            }
            Some(Record { spelling, objects })
        };
        if !visit(index, &read) {
            return Some(());
        }
        index += 1;
    }
    Some(())
}
