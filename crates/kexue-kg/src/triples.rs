//! Triples by number, in memory or spilled to temporary files.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The numbers of a triple's names: subject, relation, and 0 for no sense or the sense's number + 1.
pub(crate) type Names = [u32; 3];

/// Triples of a chunk; a power of two, so that a triple is found by its number.
const CHUNK: usize = 1 << 16;

/// Why a triple could not be put in.
#[derive(Debug)]
pub(crate) struct TooMuchText;

#[derive(Debug, Default)]
struct Chunk {
    names: Vec<Names>,
    ends: Vec<u32>,
    objects: Vec<u8>,
}

impl Chunk {
    fn push(&mut self, names: Names, object: &[u8]) -> Result<(), TooMuchText> {
        let end = u32::try_from(self.objects.len() + object.len()).map_err(|_| TooMuchText)?;
        self.names.push(names);
        self.objects.extend_from_slice(object);
        self.ends.push(end);
        Ok(())
    }

    fn object(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.objects[start as usize..self.ends[index] as usize]
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut bytes = Vec::with_capacity(8 + 16 * self.names.len());
        bytes.extend((self.names.len() as u32).to_le_bytes());
        bytes.extend((self.objects.len() as u32).to_le_bytes());
        for (names, end) in self.names.iter().zip(&self.ends) {
            names.iter().for_each(|name| bytes.extend(name.to_le_bytes()));
            bytes.extend(end.to_le_bytes());
        }
        out.write_all(&bytes)?;
        out.write_all(&self.objects)
    }

    /// Reads the next chunk that [`write`](Self::write) wrote; none at the end.
    fn read(input: &mut impl Read) -> std::io::Result<Option<Self>> {
        let mut head = [0; 8];
        match input.read_exact(&mut head) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let mut bytes = vec![0; 16 * word(&head) as usize];
        input.read_exact(&mut bytes)?;
        let mut chunk = Self {
            objects: vec![0; word(&head[4..]) as usize],
            ..Self::default()
        };
        for triple in bytes.chunks_exact(16) {
            chunk.names.push([word(triple), word(&triple[4..]), word(&triple[8..])]);
            chunk.ends.push(word(&triple[12..]));
        }
        input.read_exact(&mut chunk.objects)?;
        Ok(Some(chunk))
    }

    fn bytes(&self) -> usize {
        16 * self.names.len() + self.objects.len()
    }

    fn clear(&mut self) {
        self.names.clear();
        self.ends.clear();
        self.objects.clear();
    }
}

/// Triples in memory, in the order in which they were put in.
#[derive(Debug, Default)]
pub(crate) struct Triples {
    chunks: Vec<Chunk>,
    bytes: usize,
}

impl Triples {
    pub fn push(&mut self, names: Names, object: &[u8]) -> Result<(), TooMuchText> {
        if self.chunks.last().is_none_or(|chunk| chunk.names.len() == CHUNK) {
            if let Some(full) = self.chunks.last_mut() {
                full.objects.shrink_to_fit();
            }
            self.chunks.push(Chunk {
                names: Vec::with_capacity(CHUNK),
                ends: Vec::with_capacity(CHUNK),
                objects: Vec::new(),
            });
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(names, object)?;
            self.bytes += 16 + object.len();
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        match self.chunks.last() {
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.names.len(),
            None => 0,
        }
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn names(&self, triple: u32) -> Names {
        let triple = triple as usize;
        self.chunks[triple / CHUNK].names[triple % CHUNK]
    }

    /// The object of a triple. Only text goes in, so that it is always UTF-8.
    pub fn object(&self, triple: u32) -> &str {
        let triple = triple as usize;
        std::str::from_utf8(self.chunks[triple / CHUNK].object(triple % CHUNK)).unwrap_or_default()
    }

    /// Names of all triples, in order.
    pub fn iter(&self) -> impl Iterator<Item = Names> {
        self.chunks.iter().flat_map(|chunk| chunk.names.iter().copied())
    }

    /// Moves everything to the end of a file.
    pub fn spill(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        for chunk in self.chunks.drain(..) {
            chunk.write(out)?;
        }
        self.bytes = 0;
        Ok(())
    }
}

/// Triples in a temporary file without a name.
#[derive(Debug)]
pub(crate) struct Spill {
    file: BufWriter<File>,
}

impl Spill {
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(folder)?),
        })
    }

    pub fn writer(&mut self) -> &mut impl Write {
        &mut self.file
    }

    /// Deals the triples out to `parts` files by the number that `part` gives for their names, keeping their order.
    pub fn deal(self, folder: &Path, parts: usize, part: impl Fn(Names) -> usize) -> std::io::Result<Vec<Self>> {
        const HELD: usize = 1 << 18;
        let mut files: Vec<(Self, Chunk)> = (0..parts)
            .map(|_| Ok((Self::new(folder)?, Chunk::default())))
            .collect::<std::io::Result<_>>()?;
        self.each_chunk(|chunk| {
            for (index, &names) in chunk.names.iter().enumerate() {
                let (file, held) = &mut files[part(names)];
                if held.bytes() >= HELD {
                    held.write(file.writer())?;
                    held.clear();
                }
                held.push(names, chunk.object(index))
                    .map_err(|_| std::io::Error::other("an object has more than four thousand million bytes"))?;
            }
            Ok(())
        })?;
        files
            .into_iter()
            .map(|(mut file, held)| {
                held.write(file.writer())?;
                Ok(file)
            })
            .collect()
    }

    /// Reads everything back.
    pub fn load(self) -> std::io::Result<Triples> {
        let mut triples = Triples::default();
        self.each_chunk(|chunk| {
            for (index, &names) in chunk.names.iter().enumerate() {
                triples
                    .push(names, chunk.object(index))
                    .map_err(|_| std::io::Error::other("65,536 triples have more than four thousand million bytes"))?;
            }
            Ok(())
        })?;
        Ok(triples)
    }

    fn each_chunk(self, mut visit: impl FnMut(&Chunk) -> std::io::Result<()>) -> std::io::Result<()> {
        let mut file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let mut input = BufReader::with_capacity(1 << 18, file);
        while let Some(chunk) = Chunk::read(&mut input)? {
            visit(&chunk)?;
        }
        Ok(())
    }
}
