//! Lines of text.

/// The non-empty lines of a block with their numbers, without their line ends.
pub(super) fn lines(block: &[u8], first: u64) -> impl Iterator<Item = (u64, Result<&str, String>)> {
    block
        .split(|&byte| byte == b'\n')
        .enumerate()
        .filter_map(move |(index, line)| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (!line.is_empty()).then(|| (first + index as u64, utf8(line)))
        })
}

pub(super) fn utf8(line: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(line).map_err(|error| {
        format!(
            "byte {} of the line is not UTF-8; expected text in UTF-8",
            error.valid_up_to() + 1
        )
    })
}
