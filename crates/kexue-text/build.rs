//! Generates the table of traditional characters and their simplified forms from OpenCC's, so that programs need not build it when they start.

use std::fmt::Write as _;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut table = String::new();
    let ideographs = [0x3400..=0x4dbf, 0x4e00..=0x9fff, 0xf900..=0xfaff, 0x20000..=0x323af];
    for character in ideographs.into_iter().flatten().filter_map(char::from_u32) {
        let once = simplecc::dicts::T2S.replace_all(character.encode_utf8(&mut [0; 4]));
        let simplified = simplecc::dicts::T2S.replace_all(&once);
        let mut characters = simplified.chars();
        if let (Some(simplified), None) = (characters.next(), characters.next())
            && simplified != character
        {
            write!(table, "({character:?}, {simplified:?}),")?;
        }
    }
    let folder = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&folder).join("simplified.rs"), format!("&[{table}]"))?;
    Ok(())
}
