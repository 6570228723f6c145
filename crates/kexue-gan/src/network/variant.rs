//! Forward passes of networks with several architectures.

/// Calls the network of the variant, with the tangent of the same variant.
macro_rules! by_variant {
    ($self:ident, $tangent:ident, $input:ident, $($variant:ident),+) => {
        match $self {
            $(Self::$variant(network) => {
                let tangent = $tangent.and_then(|tangent| match tangent {
                    Self::$variant(tangent) => Some(tangent),
                    _ => None,
                });
                network.forward_dual(tangent, $input)
            })+
        }
    };
}

pub(super) use by_variant;
