//! The one training loop: batches, progress, metrics, checkpoint and resume, reports.
