//! Sub-layers: the branches of all blocks, in the order of the stream.

use kexue_optim::{Branch, Place, Slot};

/// The sub-layer that a parameter belongs to, from 0: attention and feed-forward in turn. `None` outside the blocks.
pub(crate) fn sublayer(slot: &Slot) -> Option<usize> {
    match slot.place {
        Place::Block { block, branch } => Some(2 * block + usize::from(branch == Branch::FeedForward)),
        _ => None,
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
        let places = |which: Place| layout.slots().iter().filter(|slot| slot.place == which).count();
        assert_eq!(places(Place::Input), 1);
        assert_eq!(places(Place::Output), 2, "the last norm's γ and β");
        assert_eq!(places(Place::Head), 5);
        for slot in layout.slots() {
            match slot.role {
                Role::Query | Role::AttentionOutput => assert!(sublayer(slot).is_some_and(|at| at % 2 == 0)),
                Role::Up | Role::Down => assert!(sublayer(slot).is_some_and(|at| at % 2 == 1)),
                _ => {}
            }
        }
        let count = |which: usize| {
            layout
                .slots()
                .iter()
                .filter(|slot| sublayer(slot) == Some(which))
                .count()
        };
        assert_eq!((count(0), count(3)), (10, 6));
    }
}
