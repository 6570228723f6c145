//! Every importer on any bytes; the first byte chooses the format.
#![no_main]

use kexue_kg::{BuildOptions, Format, GraphBuilder, ImportOptions, import_reader, parse_block};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, text)) = input.split_first() else { return };
    let format = [Format::Tsv, Format::JsonLines, Format::NTriples, Format::Csv][usize::from(choice % 4)];
    if format != Format::Csv {
        let _ = parse_block(format, None, text.to_vec(), 1);
        return;
    }
    let options = ImportOptions {
        skip_bad: true,
        ..ImportOptions::default()
    };
    let mut builder = GraphBuilder::new(BuildOptions::default());
    let _ = import_reader(text, format, "input", &options, &mut builder);
});
