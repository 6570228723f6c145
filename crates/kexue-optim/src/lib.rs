//! Gradient transformations, chained in a stated order.
