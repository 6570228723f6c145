//! A trie's nodes as flat arrays, for devices that follow many beams by vector operations.

use crate::index::{Error, Result};
use crate::trie::Trie;

/// The nodes of a trie, numbered level by level; 0 is the root, and the children of a node are neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlatTrie {
    /// The token that leads into each node; the root's is 0. `[nodes]`
    pub labels: Vec<i32>,
    /// The children of node `n` are the nodes `children[n]..children[n + 1]`. `[nodes + 1]`
    pub children: Vec<i64>,
    /// The tokens that must follow the label of node `n` are `tail_tokens[tails[n]..tails[n + 1]]`. `[nodes + 1]`
    pub tails: Vec<i64>,
    /// All tails, one after another.
    pub tail_tokens: Vec<i32>,
    /// Whether a sequence ends at the end of each node's tail. `[nodes]`
    pub ends: Vec<bool>,
}

impl Trie {
    /// All nodes as flat arrays: 17 bytes a node, and 4 a token of a tail.
    ///
    /// ```
    /// use kexue_trie::Trie;
    ///
    /// let flat = Trie::from_sequences([vec![7, 1, 5], vec![7, 2], vec![8]])?.flatten()?;
    /// assert_eq!(flat.labels, [0, 7, 8, 1, 2]);
    /// assert_eq!(flat.children, [1, 3, 5, 5, 5, 5]);
    /// assert_eq!(flat.tail_tokens[flat.tails[3] as usize..flat.tails[4] as usize], [5]);
    /// # Ok::<(), kexue_trie::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the trie is damaged.
    pub fn flatten(&self) -> Result<FlatTrie> {
        let mut flat = FlatTrie::default();
        let mut next_child = 1;
        let mut tail = Vec::new();
        for node in 0..self.nodes() {
            let place = self.place(node)?;
            flat.labels.push(self.label_of(node)? as i32);
            flat.children.push(next_child as i64);
            flat.tails.push(flat.tail_tokens.len() as i64);
            flat.ends.push(place.terminal);
            if place.degree > 0 && place.first_child != next_child {
                return Err(Error::Damaged("a node's children are out of order".into()));
            }
            next_child += place.degree;
            tail.clear();
            self.append_tail(&place, &mut tail)?;
            flat.tail_tokens.extend(tail.iter().map(|&token| token as i32));
        }
        flat.children.push(next_child as i64);
        flat.tails.push(flat.tail_tokens.len() as i64);
        match next_child == self.nodes() {
            true => Ok(flat),
            false => Err(Error::Damaged("a trie has nodes that are nobody's children".into())),
        }
    }
}
