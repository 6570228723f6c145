//! What changes cost, in memory that is asked for: it does not depend on how many were made before.

use kexue_kg::{BuildOptions, Change, GraphBuilder, GraphWriter};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed on to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_change_costs_the_same_after_many_others() {
    const CHANGES: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    for inverse in [false, true] {
        // To many subjects, and to one fact.
        for one in [false, true] {
            let path = folder.path().join(format!("{inverse}-{one}.idx"));
            let mut builder = GraphBuilder::new(BuildOptions {
                inverse,
                ..BuildOptions::default()
            });
            builder.add("甲", "父", "乙").unwrap();
            builder.finish(&path).unwrap();
            let mut writer = GraphWriter::open(&path).unwrap();
            let mut bytes = |numbers: std::ops::Range<usize>| {
                let before = BYTES.load(Ordering::Relaxed);
                for number in numbers {
                    let change = Change::Add {
                        subject: if one { "甲".into() } else { format!("{number}") },
                        relation: "父".into(),
                        object: format!("{number}子"),
                    };
                    assert!(writer.apply(&change).unwrap());
                }
                BYTES.load(Ordering::Relaxed) - before
            };
            let (first, last) = (bytes(0..CHANGES), bytes(3 * CHANGES..4 * CHANGES));
            assert!(last < 2 * first, "{first} bytes for the first, {last} for the last");
        }
    }
}
