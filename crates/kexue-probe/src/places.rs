//! Which part of a model a parameter belongs to.

use kexue_nn::Slot;

/// A part of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before the first branch.
    Embedding,
    /// A branch, from 0: attention and feed-forward in turn.
    SubLayer(usize),
    /// The norm after the last branch.
    Last,
    /// After the last hidden state.
    Head,
}

/// Where a parameter stands.
pub(crate) fn place(slot: &Slot) -> Place {
    if slot.name.starts_with("embeddings.") {
        return Place::Embedding;
    }
    if slot.name.starts_with("cls.") {
        return Place::Head;
    }
    let within = slot
        .name
        .strip_prefix("encoder.layer.")
        .and_then(|rest| rest.split_once('.'));
    let layer = within.and_then(|(layer, part)| Some((layer.parse::<usize>().ok()?, part)));
    match layer {
        Some((layer, part)) if part.starts_with("attention.") => Place::SubLayer(2 * layer),
        Some((layer, _)) => Place::SubLayer(2 * layer + 1),
        None => Place::Last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_nn::{Head, Layout, Role, TransformerConfig};

    #[test]
    fn every_parameter_has_the_place_of_its_role() {
        let config = TransformerConfig {
            layers: 2,
            head: Head::DenseNorm,
            ..TransformerConfig::new(300)
        };
        let layout = Layout::new(&config);
        let count = |which: Place| layout.slots().iter().filter(|slot| place(slot) == which).count();
        assert_eq!(count(Place::Embedding), 1);
        assert_eq!(count(Place::Last), 2, "the last norm's γ and β");
        assert_eq!(count(Place::Head), 5);
        for slot in layout.slots() {
            match slot.role {
                Role::Query | Role::AttentionOutput => {
                    assert!(matches!(place(slot), Place::SubLayer(at) if at % 2 == 0))
                }
                Role::Up | Role::Down => assert!(matches!(place(slot), Place::SubLayer(at) if at % 2 == 1)),
                _ => {}
            }
        }
        assert_eq!(count(Place::SubLayer(0)), 10);
        assert_eq!(count(Place::SubLayer(3)), 6);
    }
}
